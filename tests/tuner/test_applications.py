"""Networks with hyperparameters: their spaces are Keras Tuner's, each kind builds and gives what it should."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import cornu
from cornu.tuner import HyperParameters, applications

SIZE: dict[str, Any] = {"input_shape": (32, 32, 3), "classes": 4}
#: Hypermodels, values that are chosen, and the names of what they ask for.
ROWS: list[tuple[Any, dict[str, Any], str]] = [
    *(
        (
            applications.HyperResNet(**SIZE),
            {"version": version},
            "version conv3_depth conv4_depth pooling optimizer learning_rate",
        )
        for version in ("v1", "v2", "next")
    ),
    (
        applications.HyperResNet(include_top=False, input_shape=(32, 32, 3)),
        {"pooling": "max"},
        "version conv3_depth conv4_depth pooling",
    ),
    (
        applications.HyperXception(**SIZE),
        {"num_dense_layers": 2},
        "activation conv2d_num_filters kernel_size initial_strides sep_num_filters num_residual_blocks "
        "pooling num_dense_layers dropout_rate dense_use_bn learning_rate",
    ),
    (
        applications.HyperImageAugment((32, 32, 3)),
        {"factor_rotate": 0.2, "factor_contrast": 0.1, "augment_layers": 2},
        "augment_layers factor_rotate factor_translate_x factor_translate_y factor_contrast",
    ),
]


@pytest.mark.parametrize(("hypermodel", "values", "names"), ROWS)
def test_networks(hypermodel: Any, values: dict[str, Any], names: str) -> None:
    hp = HyperParameters()
    hp.values.update(values)
    model = hypermodel.build(hp)
    assert [p.name for p in hp.space] == names.split()
    assert isinstance(model, cornu.Model)
    if getattr(hypermodel, "include_top", False):
        assert model.output_shape == (None, 4) and model.optimizer is not None


def test_images_are_augmented_in_training_alone() -> None:
    hp = HyperParameters()
    hp.values["factor_rotate"] = 0.5
    with cornu.backend.use("numpy"):
        model = applications.HyperImageAugment((8, 8, 3)).build(hp)
        x = np.random.default_rng(0).uniform(size=(2, 8, 8, 3)).astype("float32")
        np.testing.assert_array_equal(model(x, training=False), x)
        assert np.abs(np.asarray(model(x, training=True)) - x).max() > 0.01
