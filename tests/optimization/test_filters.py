"""Filters that are really taken out of a graph."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import cornu
from cornu import layers, ops, optimization

X = np.random.default_rng(0).normal(size=(2, 8, 8, 3)).astype("float32")


def graph() -> Any:
    """A residual block, a nested model, a depthwise and a separable convolution, tensors joined and flattened."""
    x = inputs = cornu.Input((8, 8, 3))
    body = cornu.Sequential([layers.Conv2D(8, 3, padding="same", name="a"), layers.ReLU()])
    x = layers.BatchNormalization(name="norm")(body(x))
    x = layers.Add()([x, layers.Conv2D(8, 1, name="b")(x)])
    x = layers.DepthwiseConv2D(3, depth_multiplier=2, name="depthwise")(ops.relu(x))
    y = layers.SeparableConv2D(6, 3, depth_multiplier=2, padding="same", name="separable")(x)
    x = layers.Concatenate()([x, y])
    x = layers.Conv2DTranspose(4, 3, name="transposed")(layers.MaxPooling2D()(x))
    x = layers.Dense(6, "relu", name="hidden")(layers.Flatten()(x))
    return cornu.Model(inputs, layers.Dense(5, name="last")(x) + 1.0)


def drawn(model: Any) -> Any:
    rng = np.random.default_rng(1)
    model.set_weights([np.abs(rng.normal(size=w.shape)) + 0.1 for w in model.get_weights()])
    return model


def hidden(model: Any, names: dict[str, list[int]]) -> None:
    """Zero the filters of layers, and what is added to them."""
    for layer in model._flatten_layers():
        for weight in layer._own_weights() if layer.name in names else ():
            axis = -2 if layer.name == "transposed" and weight.name == "kernel" else -1
            if weight.name not in ("depthwise_kernel", "moving_mean", "moving_variance"):
                value = weight.numpy()
                np.moveaxis(value, axis, -1)[..., names[layer.name]] = 0
                weight.assign(value)
            elif weight.name == "moving_mean":
                value = weight.numpy()
                value[names[layer.name]] = 0
                weight.assign(value)


@pytest.mark.parametrize("engine", ["numpy"])
def test_a_model_without_its_zero_filters_gives_the_same(engine: str) -> None:
    with cornu.backend.use(engine):
        model = drawn(graph())
        model.compile("sgd", "mse")
        hidden(
            model,
            {
                **dict.fromkeys(("a", "b", "norm"), [1, 4, 5]),
                "depthwise": [],
                "separable": [0, 3],
                "transposed": [2],
                "hidden": [1, 2],
            },
        )
        for bias in (layer for layer in model.layers if layer.name == "depthwise"):
            bias.bias.assign(np.zeros(16))
        smaller = optimization.prune_filters(model, None)
        want, got = model.predict(X, verbose=0), smaller.predict(X, verbose=0)
        np.testing.assert_allclose(got, want, rtol=1e-4)
        found = optimization.savings(model, smaller)
        assert sorted(found.filters.values()) == [(4, 3), (6, 4), (6, 4), (8, 5), (8, 5)]
        assert smaller.count_params() == found.parameters[1] < found.parameters[0]
        assert (found.multiply_adds[1] or 0) < 0.7 * (found.multiply_adds[0] or 0)
        smaller.fit(X, want, epochs=1, verbose=0)  # compiled as the model is


def test_filters_that_are_added_go_together() -> None:
    model = drawn(graph())
    smaller = optimization.prune_filters(model, 0.5, ["*a", "b"])
    assert {
        k.split("/")[-1]: n for k, n in optimization.savings(model, smaller).filters.items()
    } == {
        "a": (8, 4),
        "b": (8, 4),
    }
    one = optimization.prune_filters(model, 0.5, "a")  # what it is added to stays whole
    assert one.count_params() == model.count_params()


def test_masks_of_whole_filters_lead_to_fewer() -> None:
    model = cornu.Sequential([cornu.Input((6,)), layers.Dense(8, "relu"), layers.Dense(2)])
    schedule = optimization.ConstantSparsity(0.75, 0)
    optimization.prune_low_magnitude(model, schedule, (None, 1), pruning_policy="dense*")
    with pytest.raises(ValueError, match="`strip_pruning"):
        optimization.prune_filters(model, None)
    want = model.predict(X[0, :, :2, 0].repeat(3, 1), verbose=0)
    smaller = optimization.prune_filters(optimization.strip_pruning(model), None)
    assert [w.shape for w in smaller.weights] == [(6, 2), (2,), (2, 2), (2,)]
    np.testing.assert_allclose(
        smaller.predict(X[0, :, :2, 0].repeat(3, 1), verbose=0), want, rtol=1e-5
    )


def test_what_mixes_channels_keeps_them() -> None:
    inputs = cornu.Input((8, 8, 3))
    x = layers.LayerNormalization()(layers.Conv2D(4, 3)(inputs))
    x = layers.Reshape((6, 24))(layers.Conv2D(4, 1)(x))
    x = layers.LSTM(3)(x)
    model = cornu.Model(inputs, layers.Dense(2)(x))
    assert optimization.prune_filters(model, 0.5).count_params() == model.count_params()


@pytest.mark.parametrize(
    ("sparsity", "made", "received"),
    [(1.0, graph, "sparsity=1.0"), (0.5, cornu.Sequential, "Received: <Sequential")],
)
def test_refused(sparsity: float, made: Any, received: str) -> None:
    with pytest.raises(ValueError, match=received):
        optimization.prune_filters(made(), sparsity)
