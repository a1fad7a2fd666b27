"""When a layer is built: by its first call, by `build`, and when it can't be."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

import cornu
from cornu import layers, ops
from cornu.engines import current
from tests.layers.rows import ROWS
from tests.layers.test_table import drawn, made

X = np.ones((2, 4), "float32")


class Pair(layers.Layer):
    """Two layers, with something in between."""

    def __init__(self, between: Callable[[Any], Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.between = between
        self.first, self.second = layers.Dense(3, name="first"), layers.Dense(2, name="second")

    def call(self, x: Any) -> Any:
        return self.second(self.between(self.first(x)))

    def is_built(self) -> tuple[bool, ...]:
        return self.built, self.first.built, self.second.built


def broken(x: Any) -> Any:
    raise KeyError("mine")


def looks(x: Any) -> Any:
    return x * float(ops.sum(x))


PATHS = [f"{part}/{weight}" for part in ("first", "second") for weight in ("kernel", "bias")]


def paths(layer: Any) -> list[str]:
    """The weights' paths within the layer."""
    return [weight.path.rpartition("pair/")[2] for weight in layer.weights]


IN_A_MODEL = {
    "in a stack": lambda layer: cornu.Sequential([layer]).build((None, 4)),
    "in a graph": lambda layer: layer(cornu.Input((4,))),
    "by a shape": lambda layer: layer.build((None, 4)),
    "by a config": lambda layer: layer.build_from_config({"input_shape": [None, 4]}),
    "for a shape": lambda layer: layer.compute_output_shape((None, 4)),
}


@pytest.mark.parametrize("build", [*IN_A_MODEL.values(), lambda layer: layer(X)])
def test_a_call_that_fails_is_not_passed_over(build: Callable[[Any], Any]) -> None:
    layer = Pair(broken)
    with pytest.raises(KeyError, match="mine") as found:
        build(layer)
    assert found.traceback[-1].name == "broken"
    assert layer.is_built() == (False, True, False)
    layer.between = ops.relu
    layer.third = layers.Dense(2)  # nothing is locked
    assert layer(X).shape == (2, 2)
    assert layer.is_built() == (True, True, True)


@pytest.mark.parametrize("build", IN_A_MODEL.values(), ids=IN_A_MODEL)
def test_a_call_that_looks_at_values_builds_on_values(
    build: Callable[[Any], Any], caplog: pytest.LogCaptureFixture
) -> None:
    layer = Pair(looks, name="pair")
    with pytest.raises(TypeError, match="has no value"):
        build(layer)
    with caplog.at_level(logging.INFO, "cornu"):
        layer(X)
    assert "pair is built by a call on values" in caplog.text
    assert layer.is_built() == (True, True, True)
    assert paths(layer) == PATHS
    assert layer.get_build_config() is None
    with pytest.raises(ValueError, match="before or while it is built"):
        layer.third = layers.Dense(2)


@pytest.mark.parametrize("engine", ["jax", "torch", "tensorflow"])
@pytest.mark.parametrize("build", IN_A_MODEL.values(), ids=IN_A_MODEL)
def test_native_functions_are_traced(engine: str, build: Callable[[Any], Any]) -> None:
    with cornu.backend.use(engine):
        native = __import__(engine)
        tanh = native.numpy.tanh if engine == "jax" else native.tanh
        layer = Pair(tanh, name="pair")
        outputs = build(layer)
        assert getattr(outputs, "shape", (None, 2)) == (None, 2)
        assert layer.is_built() == (True, True, True)
        assert paths(layer) == PATHS
        inside = cornu.Sequential([Pair(tanh)])
        inside.compile("sgd", "mse")
        inside.fit(X, X[:, :2], verbose=0)
        assert current().is_tensor(inside(X))


@cornu.saving.register_keras_serializable("building")
class Tokens(layers.Layer):
    """Takes integers alone, and a number beside them."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.table = layers.Embedding(5, 3)

    def call(self, x: Any, scale: float) -> Any:
        if x.dtype != "int32" and "int32" not in str(x.dtype):
            raise TypeError("integers")
        return self.table(x) * scale


def test_a_loaded_graph_is_built_by_its_calls(tmp_path: Any) -> None:
    x = cornu.Input((4,), dtype="int32")
    model = cornu.Model(x, Tokens(name="tokens")(x, scale=2.0))
    model.save(tmp_path / "model.keras")
    again = cornu.saving.load_model(tmp_path / "model.keras")
    tokens = X.astype("int32")
    np.testing.assert_array_equal(again(tokens), model(tokens))
    assert again.get_layer("tokens").built
    with pytest.raises(TypeError, match="'scale'"):
        Tokens().build((None, 4))


@pytest.mark.parametrize(
    ("kind", "args"),
    [("Dropout", (0.5,)), ("Reshape", ((4,),)), ("ReLU", ()), ("MaxPooling2D", ())],
)
def test_a_layer_without_weights_is_built_once_made(kind: str, args: tuple[Any, ...]) -> None:
    class Builds(getattr(layers, kind)):  # type: ignore[misc]
        def build(self, input_shape: Any) -> None:
            self.w = self.add_weight(shape=(1,))

    assert getattr(layers, kind)(*args).built
    assert getattr(keras.layers, kind)(*args).built
    layer = Builds(*args)
    assert not layer.built
    layer.build((None, 4, 4, 1))
    assert len(layer.weights) == 1


@pytest.mark.parametrize("index", {row.layer: i for i, row in enumerate(ROWS)}.values())
def test_what_is_built_is_not_built_again(index: int) -> None:
    row = ROWS[index]
    layer = made(row, cornu)
    layer(drawn(row.inputs), **drawn(row.call, 50))
    before = layer.variables
    shapes = layer.get_build_config() or {"input_shape": (None, 4)}
    layer.build(
        **shapes.get("shapes_dict", {}) or {layer._build_signature.names[0]: [*shapes.values()][0]}
    )
    assert list(map(id, layer.variables)) == list(map(id, before))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (
            lambda: layers.Embedding(0, 2),
            "`input_dim` must be a positive integer. Received: input_dim=0",
        ),
        (lambda: layers.Embedding(2, "x"), "Received: output_dim='x'"),
        (lambda: layers.GroupNormalization(0), "Received: groups=0"),
        (lambda: cornu.metrics.TopKCategoricalAccuracy(k=0), "Received: k=0"),
        (lambda: cornu.metrics.SparseTopKCategoricalAccuracy(k=-1), "Received: k=-1"),
        (lambda: cornu.Variable([1.0], layout="x"), "Received: layout='x'"),
    ],
)
def test_arguments_that_can_not_be(make: Callable[[], Any], said: str) -> None:
    with pytest.raises((ValueError, TypeError), match=re.escape(said)):
        make()
