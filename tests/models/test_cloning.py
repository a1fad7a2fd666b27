"""`clone_model` against Keras: the same calls, the same architecture, new weights."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from types import ModuleType
from typing import Any

import keras
import numpy as np
import pytest

import cornu
from cornu.models import clone_model


def stack(k: ModuleType) -> Any:
    nest = k.Sequential([k.layers.Dense(2, name="inside")], name="nest")
    dense = k.layers.Dense(3, name="dense", activation="relu")
    return k.Sequential([k.Input((4,), name="start"), dense, nest], name="stack")


def graph(k: ModuleType) -> Any:
    a, b = k.Input((4,), name="a"), k.Input((4,), name="b")
    shared = k.layers.Dense(4, name="shared")
    total = k.layers.Add(name="total")([shared(a), shared(b)])
    inner = stack(k)(total, training=True)
    return k.Model({"a": a, "b": b}, [inner, k.ops.relu(inner)], name="graph")


def unbuilt(k: ModuleType) -> Any:
    return k.Sequential([k.layers.Dense(3, name="dense")], name="unbuilt")


def frozen(k: ModuleType) -> Any:
    model = stack(k)
    model.layers[0].trainable = False
    return model


MODELS = {make.__name__: make for make in (stack, graph, unbuilt, frozen)}


def architecture(model: Any) -> Any:
    """The config without what is named after a process's own objects."""
    text = json.dumps(model.get_config(), default=str)
    config = json.loads(text)
    return _cleaned(config)


def _cleaned(config: Any) -> Any:
    if isinstance(config, dict):
        return {
            k: _cleaned(v) for k, v in config.items() if k not in ("shared_object_id", "module")
        }
    return [_cleaned(item) for item in config] if isinstance(config, list) else config


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("recursive", [False, True])
def test_the_same_architecture_with_new_weights(name: str, recursive: bool) -> None:
    model = MODELS[name](cornu)
    copy = clone_model(model, recursive=recursive)
    assert architecture(copy) == architecture(model)
    assert type(copy) is type(model) and copy.built == model.built
    assert copy.name == model.name
    mine, theirs = {id(w) for w in model.weights}, {id(w) for w in copy.weights}
    assert not mine & theirs
    assert [w.trainable for w in copy.weights] == [w.trainable for w in model.weights]
    if model.weights:
        assert not np.array_equal(model.weights[0].numpy(), copy.weights[0].numpy())
        copy.set_weights(model.get_weights())
        x = [np.ones((2, 4), "float32")] * len(model.inputs)
        fed: Any = dict(zip("ab", x, strict=True)) if len(x) > 1 else x[0]
        for one, other in zip(_listed(model(fed)), _listed(copy(fed)), strict=True):
            np.testing.assert_array_equal(one, other)


def _listed(outputs: Any) -> list[Any]:
    return list(outputs) if isinstance(outputs, (list, tuple)) else [outputs]


@pytest.mark.parametrize("name", ["stack", "graph"])
@pytest.mark.parametrize("recursive", [False, True])
def test_calls_are_keras_calls(name: str, recursive: bool) -> None:
    seen: dict[str, list[Any]] = {}
    for k in (keras, cornu):
        calls: list[Any] = []

        def clone(layer: Any, calls: list[Any] = calls) -> Any:
            calls.append((type(layer).__name__, layer.name))
            return type(layer).from_config(layer.get_config())

        def call(layer: Any, *args: Any, calls: list[Any] = calls, **kwargs: Any) -> Any:
            given = {key: value for key, value in kwargs.items() if value is not None}
            calls.append((layer.name, len(args), given))
            return layer(*args, **kwargs)

        options = {"call_function": call} if name == "graph" else {}
        model = MODELS[name](k)
        copy = k.models.clone_model(model, clone_function=clone, recursive=recursive, **options)
        assert [layer.name for layer in copy.layers] == [layer.name for layer in model.layers]
        seen[k.__name__] = calls
    assert seen["cornu"] == seen["keras"]


def test_clone_function_may_give_another_layer() -> None:
    def wider(layer: Any) -> Any:
        config = layer.get_config()
        if "units" in config:
            config["units"] *= 2
        return type(layer).from_config(config)

    model = cornu.Sequential([cornu.Input((4,)), cornu.layers.Dense(3), cornu.layers.Dense(1)])
    copy = clone_model(model, clone_function=wider)
    assert [w.shape for w in copy.weights] == [(4, 6), (6,), (6, 2), (2,)]


@pytest.mark.parametrize("k", [keras, cornu], ids=["keras", "cornu"])
def test_new_inputs(k: ModuleType) -> None:
    clone = k.models.clone_model
    copy = clone(stack(k), input_tensors=k.Input((4,), batch_size=5, name="other"))
    assert copy.input_shape == (5, 4)
    assert [x.shape for x in clone(stack(k), input_tensors=[k.Input((4,))]).inputs] == [(None, 4)]
    given = {"a": k.Input((4,), name="u"), "b": k.Input((4,), name="v")}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        copy = clone(graph(k), input_tensors=given)
    assert [layer.name for layer in copy.layers][:2] == ["u", "v"]
    assert clone(unbuilt(k), input_tensors=k.Input((4,))).built


def test_compiled_models_and_subclasses() -> None:
    model = stack(cornu)
    model.compile("adam", "mse", metrics=["mae"])
    model.fit(np.ones((2, 4)), np.ones((2, 2)), verbose=0)
    copy = clone_model(model)
    assert copy.compiled and copy.optimizer is not model.optimizer
    assert int(copy.optimizer.iterations) == 0
    assert copy.get_compile_config() == model.get_compile_config()

    class Own(cornu.Model):
        def __init__(self, width: int = 2, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.width = width
            self.dense = cornu.layers.Dense(width)

        def call(self, x: Any) -> Any:
            return self.dense(x)

        def get_config(self) -> dict[str, Any]:
            return {**super().get_config(), "width": self.width}

    own = Own(3)
    own.compile("sgd", "mse")
    twin = clone_model(own)
    assert type(twin) is Own and twin.width == 3 and twin.compiled


class Plain(cornu.Model):
    def call(self, x: Any) -> Any:
        return x


REFUSED: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "unknown": (lambda: clone_model(stack(cornu), foo=1), ValueError, "no such arguments"),
    "call of a stack": (
        lambda: clone_model(stack(cornu), call_function=print),
        ValueError,
        "made of a graph.*for a Sequential",
    ),
    "clone of a subclass": (
        lambda: clone_model(Plain(), clone_function=print),
        ValueError,
        "for Sequential and Functional models.*Plain",
    ),
    "inputs of a subclass": (
        lambda: clone_model(Plain(), input_tensors=cornu.Input((2,))),
        ValueError,
        "for Sequential and Functional models",
    ),
    "two inputs of a stack": (
        lambda: clone_model(stack(cornu), input_tensors=[cornu.Input((4,)), cornu.Input((4,))]),
        ValueError,
        "one symbolic tensor",
    ),
    "arrays": (
        lambda: clone_model(stack(cornu), input_tensors=np.ones((2, 4))),
        ValueError,
        "one symbolic tensor",
    ),
    "another structure": (
        lambda: clone_model(graph(cornu), input_tensors=[cornu.Input((4,))]),
        ValueError,
        "structure of the model's inputs",
    ),
    "arrays of a graph": (
        lambda: clone_model(graph(cornu), input_tensors={"a": np.ones(4), "b": np.ones(4)}),
        ValueError,
        "must be symbolic",
    ),
    "no layer": (
        lambda: clone_model(stack(cornu), clone_function=lambda layer: None),
        TypeError,
        "must return a layer. Received: None for the layer 'dense'",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    call, kind, message = REFUSED[name]
    with pytest.raises(kind, match=f"(?s){message}"):
        call()


def test_codes_of_layers_that_a_layer_makes_when_it_is_built() -> None:
    x = cornu.Input((5, 8))
    model = cornu.Model(x, cornu.layers.MultiHeadAttention(2, 4, name="attention")(x, x))
    model.quantize("int8")
    copy = clone_model(model)
    policies = [
        [part.dtype_policy.name for part in m._flatten_layers() if part.built]
        for m in (model, copy)
    ]
    assert policies[0] == policies[1] and "int8_from_float32" in policies[1]
    copy.set_weights(model.get_weights())
    data = np.ones((1, 5, 8), "float32")
    np.testing.assert_array_equal(copy.predict(data, verbose=0), model.predict(data, verbose=0))
