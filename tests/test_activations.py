"""Activations: values, names and configs are Keras's."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from cornu import activations, ops
from cornu.core.serialization import custom_object_scope, register_keras_serializable

X = np.array([[-9.0, -3.0, -1.0, -0.4, 0.0, 0.6], [0.9, 1.0, 2.5, 6.0, 7.0, 11.0]], "float32")
NAMES = sorted(
    {name for name in dir(keras.activations) if not name.startswith("_")}
    - {"get", "serialize", "deserialize", "sparsemax"}
)
VARIANTS: list[tuple[str, dict[str, Any]]] = [
    ("relu", {"max_value": 6}),
    ("relu", {"max_value": 1.5}),
    ("relu", {"negative_slope": 0.1}),
    ("relu", {"threshold": 1.0}),
    ("relu", {"negative_slope": 0.1, "max_value": 6, "threshold": 1.0}),
    ("gelu", {"approximate": True}),
    ("elu", {"alpha": 0.5}),
    ("softmax", {"axis": 0}),
]


@pytest.mark.parametrize(
    ("name", "settings"), [*((name, {}) for name in NAMES if name != "threshold"), *VARIANTS]
)
def test_values(name: str, settings: dict[str, Any]) -> None:
    found = activations.get(name)(X, **settings)
    wanted = keras.activations.get(name)(X, **settings)
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)


def test_threshold() -> None:
    found = activations.threshold(X, 1.0, 0.5)
    np.testing.assert_array_equal(found, np.where(X > 1, X, 0.5))


@pytest.mark.parametrize("name", [*NAMES, "sparsemax"])
def test_name_round_trip(name: str) -> None:
    function = activations.get(name)
    config = activations.serialize(function)
    assert config == keras.activations.serialize(keras.activations.get(name))
    assert activations.deserialize(config) is function
    as_object = {
        "module": "builtins",
        "class_name": "function",
        "config": config,
        "registered_name": "function",
    }
    assert activations.get(as_object) is function


def test_what_get_takes() -> None:
    assert activations.get(None) is activations.linear
    assert activations.get(activations.relu) is activations.relu
    assert activations.get("swish") is activations.silu
    assert activations.get("hard_swish") is activations.hard_silu
    assert activations.serialize(ops.relu) == "relu"
    assert activations.deserialize(None) is None


def double(x: Any) -> Any:
    return 2 * x


def test_own_functions() -> None:
    registered = register_keras_serializable("tests")(double)
    config = activations.serialize(registered)
    assert config == {
        "module": "builtins",
        "class_name": "function",
        "config": "tests>double",
        "registered_name": "function",
    }
    assert activations.get(config) is double
    with custom_object_scope({"mine": double}):
        assert activations.get("mine") is double
    assert activations.deserialize("mine", custom_objects={"mine": double}) is double


@pytest.mark.parametrize("identifier", ["rellu", 3, ["relu"]])
def test_unknown(identifier: Any) -> None:
    with pytest.raises(ValueError, match="Received: .*Known names: .*'relu'"):
        activations.get(identifier)


def test_serialize_needs_a_function() -> None:
    with pytest.raises(ValueError, match="Received: 'relu'"):
        activations.serialize("relu")
