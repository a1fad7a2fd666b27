"""Layers that change images, in the places where they run: compiled steps, `tf.data`, worker processes, files."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import cornu
from cornu import engines, layers, utils
from tests.engines_tested import ENGINES

IMAGES = np.random.default_rng(0).uniform(0, 255, (4, 8, 8, 3)).astype("float32")
TARGETS = np.ones((4, 1), "float32")
CLAHE = "ContrastLimitedAdaptiveHistogramEqualization"
LAYERS: dict[str, dict[str, Any]] = {
    **{name: {} for name in ("AutoContrast", "CutMix", "Equalization", "MixUp", "RandomFlip")},
    **{name: {} for name in ("RandomErasing", "RandomGaussianBlur", "RandomGrayscale")},
    **{name: {} for name in ("RandomInvert", "RandomPerspective", "RandomElasticTransform")},
    **{name: {} for name in ("RandAugment", "AugMix", "Solarization")},
    **{name: {"factor": 0.3} for name in ("RandomBrightness", "RandomColorDegeneration")},
    **{name: {"factor": 0.3} for name in ("RandomContrast", "RandomHue", "RandomSaturation")},
    **{name: {"factor": 0.3} for name in ("RandomSharpness", "RandomRotation")},
    "RandomPosterization": {"factor": 3},
    "RandomColorJitter": {"brightness_factor": 0.2, "hue_factor": 0.2},
    CLAHE: {"tile_grid_size": (2, 2)},
    "RandomCrop": {"height": 8, "width": 8},
    "RandomShear": {"x_factor": 0.2, "y_factor": 0.1},
    "RandomTranslation": {"height_factor": 0.2, "width_factor": 0.2},
    "RandomZoom": {"height_factor": 0.2},
}
#: PyTensor's graphs take long to compile; NumPy computes as the others do at once.
FEW = ["CutMix", "RandAugment", "RandomErasing", "RandomZoom"]


def made(name: str) -> Any:
    seed = {"seed": 3} if getattr(layers, name)._draws() else {}
    return getattr(layers, name)(**LAYERS[name], **seed)


@pytest.mark.parametrize("engine", ENGINES)
def test_within_a_training_step(engine: str, tmp_path: Any) -> None:
    """`fit` changes images in its compiled steps, `predict` does not; a file has the layers."""
    names = (
        FEW if engine in ("pytensor", "numpy") else [name for name in LAYERS if name != "AugMix"]
    )
    with engines.use(engine):
        model = cornu.Sequential(
            [cornu.Input((8, 8, 3)), *map(made, names), layers.Flatten(), layers.Dense(1)]
        )
        model.compile("sgd", "mse")
        model.fit(IMAGES, TARGETS, verbose=0, batch_size=4)
        assert np.isfinite(model.layers[-1].kernel.numpy()).all()
        model.save(tmp_path / "m.keras")
        again = cornu.saving.load_model(tmp_path / "m.keras")
        found = model.predict(IMAGES, verbose=0)
        np.testing.assert_allclose(again.predict(IMAGES, verbose=0), found, 1e-5)
        configs = [[layer.get_config() for layer in x.layers] for x in (again, model)]
        assert json.loads(json.dumps(configs[0])) == json.loads(json.dumps(configs[1]))


class Changed(utils.PyDataset):
    """Batches of images that worker processes change."""

    def __init__(self, names: list[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.layers = [made(name) for name in names]

    def __len__(self) -> int:
        return len(self.layers)

    def __getitem__(self, index: int) -> Any:
        with engines.use("numpy"):
            return np.asarray(self.layers[index](IMAGES)), TARGETS


def test_within_worker_processes() -> None:
    data = Changed(list(LAYERS), workers=2, use_multiprocessing=True)
    model = cornu.Sequential([cornu.Input((8, 8, 3)), layers.Flatten(), layers.Dense(1)])
    model.compile("sgd", "mse")
    assert np.isfinite(model.evaluate(data, verbose=0))


@pytest.mark.parametrize("name", FEW)
def test_within_tf_data(name: str) -> None:
    """What an eager call gives, also where neither the batch nor the sizes are known."""
    with engines.use("numpy"):
        wanted = made(name)(IMAGES)
    spec = tf.TensorSpec((None, None, 3), "float32")
    data = tf.data.Dataset.from_generator(lambda: iter(IMAGES), output_signature=spec)
    found = next(iter(data.batch(4).map(made(name))))
    np.testing.assert_allclose(
        found, wanted, 0, 1.01 if name in ("AugMix", "RandAugment") else 0.05
    )
