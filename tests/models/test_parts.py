"""What a layer or model owns: its parts, their changes, and copies of them."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import cornu
from cornu import layers, tree
from cornu.engines import use
from tests.engines_tested import ENGINES

X = np.random.default_rng(0).normal(size=(16, 3)).astype("float32")
Y = X.sum(1, keepdims=True)
QUIET: dict[str, Any] = {"verbose": 0, "shuffle": False, "batch_size": 16}


def twice(owner: Any) -> None:
    owner.a = owner.b = layers.Dense(1)
    owner.a = None


def deleted(owner: Any) -> None:
    owner.a = [layers.Dense(1)]
    owner.b = owner.a
    del owner.a


def listed(owner: Any) -> None:
    owner.a = layers.Dense(1)
    owner.b = {"a": [owner.a]}
    owner.b.clear()


def replaced(owner: Any) -> None:
    owner.a = layers.Dense(1)
    owner.a = layers.Dense(2)


def emptied(owner: Any) -> None:
    owner.a = {layers.Dense(1)}
    owner.a = 0


def popped(owner: Any) -> None:
    owner.a = {"x": layers.Dense(1), "y": layers.Dense(1)}
    owner.a.popitem()


def joined(owner: Any) -> None:
    owner.a, owner.b = {"x": layers.Dense(1)}, {layers.Dense(1)}
    owner.a |= {"y": layers.Dense(1)}
    owner.b |= {layers.Dense(1)}
    owner.b.pop()


def narrowed(owner: Any) -> None:
    owner.a = {layers.Dense(1)}
    owner.a -= set(owner.a)
    owner.b = [layers.Dense(1)]
    del owner.b[0]


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        (twice, 1),
        (deleted, 1),
        (listed, 1),
        (replaced, 1),
        (emptied, 0),
        (popped, 1),
        (joined, 3),
        (narrowed, 0),
    ],
)
def test_a_part_is_one_as_long_as_an_attribute_holds_it(
    change: Callable[[Any], None], parts: int
) -> None:
    owner = cornu.Model()
    change(owner)
    assert len(owner.layers) == parts


def test_a_weight_that_a_layer_made_stays() -> None:
    layer = layers.Layer()
    layer.w = layer.add_weight(shape=np.int64(2) * np.ones(1, int), name="w")
    layer.w = layer.w * 2
    layer.v = cornu.Variable(np.ones(2), name="v")
    layer.v = None
    assert [(weight.name, weight.shape) for weight in layer.weights] == [("w", (2,))]
    assert type(layer.weights[0].shape[0]) is int


def test_options_that_nothing_reads_are_refused_where_they_are_set() -> None:
    with pytest.raises(ValueError, match="ragged=True"):
        cornu.KerasTensor((2, 3), ragged=True)
    with pytest.raises(ValueError, match="synchronization='sometimes'"):
        cornu.Variable(np.ones(2), synchronization="sometimes")
    with pytest.raises(ValueError, match="shape=3"):
        layers.Layer().add_weight(shape=3)


def test_other_models_leave_compiled_calls_alone() -> None:
    models = [cornu.Sequential([cornu.Input((3,)), layers.Dense(1)]) for _ in range(2)]
    for model in models:
        model.compile("sgd", "mse")
        model.predict(X, verbose=0)
    kept = models[0]._programs.predicting()
    models[1].fit(X, Y, **QUIET)
    models[0].fit(X, Y, **QUIET)
    layers.Dense(2)(X).sum()
    assert models[0]._programs.predicting() is kept
    family = models[0]._family()
    models[0].layers[0].activation = cornu.activations.relu
    assert models[0]._family() is not family


def test_losses_of_one_layer_are_cleared_by_its_next_call() -> None:
    class Adds(layers.Layer):
        def call(self, inputs: Any) -> Any:
            self.add_loss(cornu.ops.sum(inputs))
            return inputs

    model = cornu.Sequential([Adds(), layers.Dense(1)])
    for _ in range(3):
        model(X)
    assert len(model.losses) == len(model.layers[0].losses) == 1


def test_structures_of_a_layer_are_plain_once_mapped() -> None:
    layer = layers.Layer()
    layer.items, layer.named, layer.some = [1, 2], {"b": 1, "a": 2}, {3, 4}
    for ours, plain in (
        (layer.items, [1, 2]),
        (layer.named, {"a": 2, "b": 1}),
        (layer.some, {3, 4}),
    ):
        mapped = tree.map_structure(lambda leaf: leaf, ours)
        assert type(mapped) is type(plain)
        assert mapped == plain
    assert tree.flatten(layer.some) == [3, 4]
    assert tree.flatten_with_path(layer.named) == [(("a",), 2), (("b",), 1)]


def graph() -> Any:
    x = cornu.Input((3,))
    return cornu.Model(x, layers.Dense(1)(layers.Concatenate()([x, layers.Dense(2)(x)])))


def stack() -> Any:
    normalized = layers.BatchNormalization()
    return cornu.Sequential(
        [
            cornu.Input((3,)),
            layers.Dense(4, "relu"),
            normalized,
            layers.Dropout(0.3),
            layers.Dense(1),
        ]
    )


COPIES = [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("build", [graph, stack])
def test_a_copy_goes_on_as_the_model_would(engine: str, build: Callable[[], Any]) -> None:
    with use(engine):
        model = build()
        optimizer = cornu.optimizers.AdamW(0.05, weight_decay=0.1)
        optimizer.build(model.trainable_variables)
        optimizer.exclude_from_weight_decay(var_names=["bias"])
        model.compile(optimizer, "mse", metrics=["mae"])
        model.fit(X, Y, **QUIET)
        before = model.get_weights()
        twins = [make(model) for make in COPIES]
        for trained in (*twins, model):
            trained.fit(X, Y, epochs=2, **QUIET)
        for twin in twins:
            assert not {id(v) for v in twin.variables} & {id(v) for v in model.variables}
            for ours, theirs in zip(twin.get_weights(), model.get_weights(), strict=True):
                np.testing.assert_allclose(ours, theirs, 1e-5, 1e-6)
            twin.trainable = True
            assert [v.trainable for v in twin.weights] == [v.trainable for v in model.weights]
        assert not np.allclose(before[0], model.get_weights()[0])


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("make", COPIES)
def test_a_copy_has_no_losses_of_a_call(engine: str, make: Callable[[Any], Any]) -> None:
    """On PyTorch they hold the graph that they came from, which is nobody else's."""
    with use(engine):
        layer = layers.Dense(2, activity_regularizer="l2")
        layer(X)
        assert len(layer.losses) == 1 and make(layer).losses == []


@pytest.mark.parametrize("make", COPIES)
def test_containers_of_a_copy_go_on_tracking(make: Callable[[Any], Any]) -> None:
    owner = layers.Layer()
    owner.items, owner.named, owner.some = [layers.Dense(1)], {"a": layers.Dense(1)}, set()
    twin = make(owner)
    twin.items.append(layers.Dense(2))
    twin.named["b"] = layers.Dense(2)
    twin.some.add(layers.Dense(2))
    assert len(twin._layers) == 5
    assert len(owner._layers) == 2


def test_a_loaded_model_is_as_frozen_as_it_was() -> None:
    model = graph()
    model.layers[1].trainable = False
    loaded = cornu.Model.from_config(model.get_config())
    assert [layer.trainable for layer in loaded.layers] == [
        layer.trainable for layer in model.layers
    ]


def test_a_lambda_is_cloned_in_memory() -> None:
    x = cornu.Input((3,))
    model = cornu.Model(x, layers.Dense(1)(layers.Lambda(lambda t: t * 2)(x)))
    clone = cornu.models.clone_model(model)
    clone.set_weights(model.get_weights())
    np.testing.assert_allclose(clone(X), model(X), 1e-6)


@pytest.mark.parametrize("engine", ENGINES)
def test_weights_that_are_given_out_are_the_callers(engine: str) -> None:
    with use(engine):
        layer = layers.Dense(1)
        layer.build((None, 3))
        (kernel, _) = layer.get_weights()
        kernel += 1
        assert not np.allclose(kernel, layer.get_weights()[0])


def test_sizes_of_an_input_are_numpys_integers_too() -> None:
    assert cornu.Input((np.int64(3),)).shape == (None, 3)
    with pytest.raises(ValueError, match="takes a symbolic tensor"):
        cornu.Input(tensor=np.ones((2, 3)))
