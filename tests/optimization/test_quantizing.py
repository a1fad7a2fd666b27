"""Quantization-aware training: ranges, where numbers are quantized, and what is trained by it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import cornu
from cornu import layers, ops, optimization
from cornu.core.scopes import here, within
from cornu.optimization._choice import kernels
from cornu.optimization._weights import channel_axes
from tests.engines_tested import ENGINES
from tests.optimization.test_clustering import LAYERS, values_of

#: Those whose programs are cheap to make.
QUICK = [name for name in ENGINES if name in ("torch", "numpy")]


def quantized(x: np.ndarray, low: Any, high: Any, bits: int = 8, narrow: bool = False) -> Any:
    """The nearest of the numbers between two ends, 0 among them."""
    steps = 2**bits - 1 - narrow
    scale = (high - low) / steps
    zero = np.clip(np.round(-low / scale), 0, steps)
    return (np.clip(np.floor(x / scale + zero + 0.5), 0, steps) - zero) * scale


def per_channel(kernel: np.ndarray, axes: tuple[int, ...], bits: int = 8) -> Any:
    over = tuple(axis for axis in range(kernel.ndim) if axis not in axes)
    most = np.abs(kernel).max(over, keepdims=True)
    return quantized(kernel, -most, most, bits, narrow=True)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("make", "shape", "axes"), LAYERS)
def test_weights(engine: str, make: Any, shape: tuple[int, ...], axes: Any) -> None:
    """They read as the nearest numbers of their channel's range as they are, wherever the channels lie."""
    with cornu.backend.use(engine):
        layer = make()
        layer.build((None, *shape))
        for part in layer._flatten_layers():
            for kernel in kernels(part):
                quantizer = optimization.LastValueQuantizer(3, True, True, True)
                part.add_transform(kernel, quantizer)
                for factor in (1.0, 4.0):
                    kernel.assign(kernel.numpy() * factor)
                    want = per_channel(kernel.numpy(), axes[kernel.name], 3)
                    got = ops.convert_to_numpy(kernel.effective())
                    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)
                assert not quantizer.parts


BATCHES = np.random.default_rng(0).normal(size=(4, 5, 3)).astype("float32") + 1


def ranges(name: str, symmetric: bool = False) -> list[Any]:
    """The range after each of the batches, as NumPy finds it."""
    found: list[Any] = []
    for count, batch in enumerate(BATCHES):
        low, high = min(batch.min(), 0), max(batch.max(), 0)
        if symmetric:
            high = np.abs(batch).max()
            low = -high * 128 / 127
        if found and name == "AllValuesQuantizer":
            low, high = min(low, found[-1][0]), max(high, found[-1][1])
        if found and name == "MovingAverageQuantizer":
            low, high = (
                a + (b - a) / (count + 1) for a, b in zip(found[-1], (low, high), strict=True)
            )
        found.append((low, high))
    return found


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", ["LastValue", "MovingAverage", "AllValues"])
@pytest.mark.parametrize("symmetric", [False, True])
def test_activations(engine: str, name: str, symmetric: bool) -> None:
    """Their range follows from those of the steps of training, and holds after it."""
    name += "Quantizer"
    with cornu.backend.use(engine):
        layer = layers.Activation("linear")
        layer.build((None, 3))
        quantizer = getattr(optimization, name)(symmetric=symmetric)
        layer.add_transform("outputs", quantizer)
        before = ops.convert_to_numpy(layer(BATCHES[0]))
        np.testing.assert_allclose(before, quantized(BATCHES[0], -6, 6), atol=1e-5)
        for batch, (low, high) in zip(BATCHES, ranges(name, symmetric), strict=True):
            for training in (True, False):
                with within(here.training, training):
                    got = ops.convert_to_numpy(layer(batch))
                np.testing.assert_allclose(got, quantized(batch, low, high), rtol=1e-4, atol=1e-5)
        found = [float(quantizer.parts[end]) for end in ("min", "max")]
        np.testing.assert_allclose(found, (low, high), rtol=1e-5)


def test_a_moving_average_forgets() -> None:
    from cornu.optimization._ranges import moving_average

    found = 0.0
    for count in range(4000):
        found = moving_average(found, 1.0 if count < 2000 else 3.0, float(count), 0.999)
    want = 3 - 2 * 0.999**2000
    assert float(found) == pytest.approx(want, rel=1e-3)


@pytest.mark.parametrize("engine", QUICK)
def test_ranges_of_weights_that_remember(engine: str) -> None:
    """They are taken notice of after each update."""
    with cornu.backend.use(engine):
        model = cornu.Sequential([cornu.Input((2,)), layers.Dense(2, use_bias=False)])
        layer = model.layers[0]
        layer.kernel.assign([[-1.0, 0.5], [3.0, 1.0]])
        last = layer.add_transform(layer.kernel, optimization.AllValuesQuantizer(per_axis=True))
        assert last.parts["max"].numpy().tolist() == [[3.0, 1.0]]
        model.compile(cornu.optimizers.SGD(1.0), "mse")
        model.fit(np.ones((1, 2)), -np.ones((1, 2)), verbose=0)
        low = np.minimum(layer.kernel.numpy().min(0), [-1, 0])
        np.testing.assert_allclose(last.parts["min"].numpy(), [low], rtol=1e-6)
        np.testing.assert_allclose(last.parts["max"].numpy(), [[3.0, 1.0]], rtol=1e-6)


class Subclassed(cornu.Model):
    """Two convolutions with a normalization between, which no graph shows."""

    def __init__(self) -> None:
        super().__init__()
        self.first = layers.Conv2D(2, 3, padding="same", name="first")
        self.norm = layers.BatchNormalization(name="norm")
        self.last = layers.Conv2D(2, 3, padding="same", name="last")

    def call(self, x: Any) -> Any:
        return x + ops.relu(self.last(self.norm(self.first(x))))


def residual() -> Any:
    x = cornu.Input((4, 4, 2))
    y = layers.Conv2D(2, 3, padding="same", name="conv")(x)
    y = layers.ReLU(name="relu")(
        layers.Add(name="add")([layers.BatchNormalization(name="bn")(y), x])
    )
    y = layers.Dropout(0.5)(layers.MaxPooling2D()(y))
    y = layers.Flatten()(y)
    return cornu.Model(x, layers.Dense(3, "softmax", name="head")(y))


def recurrent() -> Any:
    x = cornu.Input((5,), dtype="int32")
    y = layers.Embedding(7, 4, name="table")(x)
    y = layers.Bidirectional(layers.LSTM(3), name="both")(y)
    return cornu.Model(x, layers.Dense(2, name="head")(ops.tanh(y)))


def nested() -> Any:
    inner = cornu.Sequential([cornu.Input((3,)), layers.Dense(3, "relu", name="inner")])
    x = cornu.Input((3,))
    return cornu.Model(x, layers.Dense(1, name="head")(inner(inner(x))))


def subclassed() -> Any:
    model = Subclassed()
    model.build((None, 4, 4, 2))
    return model


#: Models, the shapes of their samples, the layers that quantize what they read, and those that quantize what they give.
MODELS: list[tuple[Any, Any, str, str]] = [
    (residual, (4, 4, 2), "conv", "bn relu"),
    (recurrent, (5,), "head", "table forward_lstm backward_lstm"),
    (nested, (3,), "inner", "inner"),
    (subclassed, (4, 4, 2), "first", "norm last"),
]


@pytest.mark.parametrize(("make", "shape", "reads", "gives"), MODELS)
@pytest.mark.parametrize("engine", QUICK)
def test_models(engine: str, make: Any, shape: Any, reads: str, gives: str) -> None:
    """Each number is quantized once, on every kind of model; it trains, and strips to weights of few values."""
    with cornu.backend.use(engine):
        model = make()
        x = np.random.default_rng(0).integers(0, 7, (6, *shape))
        y = np.ones_like(model.predict(x, verbose=0))
        model.compile(cornu.optimizers.Adam(0.01), "mse")
        model.fit(x, y, verbose=0)
        assert optimization.quantize_model(model) is model
        found = {
            of: {x.name for x in model._flatten_layers() for f, _ in x.transforms if f == of}
            for of in ("inputs", "outputs")
        }
        assert found == {"inputs": set(reads.split()), "outputs": set(gives.split())}
        before = model.get_weights()
        model.fit(x, y, epochs=2, verbose=0)
        assert all(np.isfinite(w).all() for w in model.get_weights())
        owners = [(part, kernel) for part in model._flatten_layers() for kernel in kernels(part)]
        assert all(len(kernel.transforms) == 1 for _, kernel in owners)
        read = [ops.convert_to_numpy(kernel.effective()) for _, kernel in owners]
        assert len(before) > len(optimization.strip_quantization(model).get_weights())
        for (owner, kernel), value in zip(owners, read, strict=True):
            np.testing.assert_array_equal(kernel.numpy(), value)
            assert max(values_of(value, channel_axes(owner, kernel))) <= 255
        assert not any(layer.transforms for layer in model._flatten_layers())
        model.fit(x, y, verbose=0)
