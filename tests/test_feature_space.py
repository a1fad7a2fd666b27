"""FeatureSpace against Keras's: every kind of feature, both forms of use, files both ways."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import cornu
from cornu import ops
from cornu.utils import FeatureSpace
from tests.engines_tested import ENGINES

TABLE: dict[str, list[Any]] = {
    "s": ["a", "b", "c", "a"],
    "i": [1, 2, 3, 2],
    "f": [0.1, 0.5, 0.9, 2.0],
    "fn": [1.0, 2.0, 3.0, 4.0],
    "fd": [0.0, 1.0, 2.0, 3.0],
    "fr": [0.0, 1.0, 2.0, 3.0],
    "h": ["x", "y", "z", "x"],
    "ih": [5, 6, 7, 8],
}
ARRAYS = {name: np.array(column) for name, column in TABLE.items()}


def made(library: Any, mode: str, adapted: bool = True) -> Any:
    space = library.utils.FeatureSpace
    features = {
        "s": space.string_categorical(),
        "i": space.integer_categorical(output_mode="int" if mode == "dict" else "one_hot"),
        "f": "float",
        "fn": space.float_normalized(),
        "fd": space.float_discretized(num_bins=3),
        "fr": space.float_rescaled(scale=0.5, offset=1.0),
        "h": space.string_hashed(num_bins=4),
        "ih": space.integer_hashed(num_bins=4),
    }
    crosses = [space.cross(("s", "i"), crossing_dim=8), ("fd", "h")]
    made = space(features, output_mode=mode, crosses=crosses, name="space")
    if adapted:
        made.adapt(tf.data.Dataset.from_tensor_slices(TABLE))
    return made


def by_name(found: Any) -> dict[str, np.ndarray[Any, Any]]:
    parts = found if isinstance(found, dict) else {"": found}
    return {name: np.asarray(x) for name, x in parts.items()}


def assert_same(found: Any, expected: Any) -> None:
    assert by_name(found).keys() == by_name(expected).keys()
    for name, x in by_name(expected).items():
        np.testing.assert_allclose(by_name(found)[name], x, 1e-5, 1e-6)


@pytest.mark.filterwarnings("ignore:.*Explicitly requested dtype")  # Keras's
@pytest.mark.parametrize("mode", ["concat", "dict"])
def test_against_keras(mode: str, tmp_path: Path) -> None:
    ours, theirs = made(cornu, mode), made(keras, mode)
    for form in (lambda x: x, lambda x: x[:, None], lambda x: x[0]):
        table = {name: form(column) for name, column in ARRAYS.items()}
        expected = theirs(table)
        for engine in {"jax", "torch"} & set(ENGINES):
            with cornu.backend.use(engine):
                found = ours(table)
                values = cornu.tree.map_structure(ops.convert_to_numpy, found)
                assert_same(values, expected)
    encoded = ours.get_encoded_features()
    specs, others = (
        x if mode == "dict" else {"": x} for x in (encoded, theirs.get_encoded_features())
    )
    assert {k: v.shape for k, v in specs.items()} == {k: v.shape for k, v in others.items()}
    inputs, others = ours.get_inputs(), theirs.get_inputs()
    assert {k: (v.shape, v.dtype) for k, v in inputs.items()} == {
        k: (v.shape, v.dtype) for k, v in others.items()
    }
    for writer in (ours, theirs):
        writer.save(tmp_path / "space.keras")
        for library in (cornu, keras):
            assert_same(library.saving.load_model(tmp_path / "space.keras")(ARRAYS), ours(ARRAYS))


def test_configs() -> None:
    ours, theirs = made(cornu, "concat"), made(keras, "concat")
    written, wanted = (json.loads(json.dumps(x.get_config())) for x in (ours, theirs))
    assert {k: v for k, v in written.items() if k != "features"} == {
        k: v for k, v in wanted.items() if k != "features"
    }
    for name, feature in wanted["features"].items():
        assert written["features"][name]["class_name"] == feature["class_name"]
        for key in ("dtype", "output_mode"):
            assert written["features"][name]["config"][key] == feature["config"][key]
    again = FeatureSpace.from_config(wanted)
    assert again.get_config().keys() == wanted.keys()


@pytest.mark.parametrize("engine", sorted({"jax", "torch"} & set(ENGINES)))
def test_within_a_data_pipeline_and_a_model(engine: str, tmp_path: Path) -> None:
    with cornu.backend.use(engine):
        space = made(cornu, "concat")
        wanted = ops.convert_to_numpy(space(ARRAYS))
        data = tf.data.Dataset.from_tensor_slices(TABLE).batch(2).map(space)
        np.testing.assert_allclose(np.concatenate([x.numpy() for x in data]), wanted, 1e-5)
        y = np.arange(4.0)
        outputs = cornu.layers.Dense(1)(space.get_encoded_features())
        model = cornu.Model(space.get_inputs(), outputs)
        model.compile("sgd", "mse")
        model.fit(ARRAYS, y, batch_size=2, verbose=0)
        kernel, bias = model.get_weights()[-2:]
        found = model.predict(ARRAYS, verbose=0)
        np.testing.assert_allclose(found, wanted @ kernel + bias, 1e-4, 1e-5)
        model.save(tmp_path / "model.keras")
        again = cornu.models.load_model(tmp_path / "model.keras")
        np.testing.assert_allclose(again.predict(ARRAYS, verbose=0), found, 1e-5)


@pytest.mark.parametrize(
    "run, error, message",
    [
        (lambda: FeatureSpace({}), ValueError, "Received: features={}"),
        (lambda: FeatureSpace({"a": "text"}), ValueError, "Received: feature='text'"),
        (lambda: FeatureSpace({"a": "float"}, "list"), ValueError, "output_mode='list'"),
        (
            lambda: FeatureSpace({"a": "float"}, crosses=[("a", "z")]),
            ValueError,
            r"Received: \['z'\]",
        ),
        (
            lambda: FeatureSpace({"a": "string_categorical"})({"a": ["x"]}),
            ValueError,
            r"\['a'\] are not",
        ),
        (lambda: FeatureSpace({"a": "float"})({"b": [1.0]}), ValueError, r"Received: no \['a'\]"),
        (lambda: FeatureSpace({"a": "float"})([1.0]), ValueError, "Received: list .*dict.frame"),
        (
            lambda: FeatureSpace({"a": FeatureSpace.string_hashed(3, "int")})({"a": ["x"]}),
            ValueError,
            r"Received: \['a'\] as they are",
        ),
        (lambda: FeatureSpace({"a": "float"}).adapt(np.ones(3)), ValueError, "Received: ndarray"),
        (
            lambda: FeatureSpace(
                {"a": FeatureSpace.feature("float32", cornu.layers.Identity(), "one_hot")}
            )({"a": [1.0]}),
            ValueError,
            "Use output_mode='float'",
        ),
    ],
)
def test_bad_input(run: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        run()
