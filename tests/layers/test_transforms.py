"""Transforms: what a layer computes with, where that is not what its variable stores."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

import cornu
from cornu import layers, ops
from cornu.core.transforms import Transform
from tests.engines_tested import ENGINES


class Halved(Transform):
    """Half of what is stored: what a mask is to a test, with nothing to it."""

    def value(self, stored: Any) -> Any:
        return stored / 2


class Shifted(Transform):
    """What is stored and a number that is trained."""

    order = 40

    def build(self, owner: Any, variable: Any) -> None:
        self.shift = self.part("shift", (), "ones", trainable=True)

    def value(self, stored: Any) -> Any:
        return stored + self.shift

    def product(self, use: Any) -> Any:
        x = use.arguments[0]
        return use.on(use.inner) + ops.sum(x, axis=-1, keepdims=True) * self.shift


class Coded(Transform):
    """Integers with a scale of one half."""

    order = 0

    def build(self, owner: Any, variable: Any) -> None:
        variable.store_as(np.round(variable.numpy() * 2).astype("int8"))
        variable.trainable = False

    def spec(self, shape: Any, dtype: str) -> Any:
        return shape, "float32"

    def value(self, stored: Any) -> Any:
        return ops.cast(stored, "float32") / 2


X = np.random.default_rng(0).normal(size=(4, 5)).astype("float32")


def _dense(*transforms: Transform, **options: Any) -> layers.Dense:
    layer = layers.Dense(3, **options)
    layer.build((None, 5))
    for transform in transforms:
        layer.add_transform(layer.kernel, transform)
    return layer


def _expected(kernel: np.ndarray, *transforms: Transform) -> np.ndarray:
    for transform in sorted(transforms, key=lambda x: x.order):
        kind = type(transform)
        kernel = {Halved: kernel / 2, Shifted: kernel + 1, Coded: np.round(kernel * 2) / 2}[kind]
    return X @ kernel


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("chain", [[Halved], [Shifted], [Coded], [Shifted, Halved, Coded]])
def test_a_layer_computes_with_what_its_chain_gives(engine: str, chain: list[Any]) -> None:
    with cornu.backend.use(engine):
        layer = _dense()
        kernel = layer.kernel.numpy()
        transforms = [kind() for kind in chain]
        for transform in transforms:
            layer.add_transform(layer.kernel, transform)
        want = _expected(kernel, *transforms)
        np.testing.assert_allclose(ops.convert_to_numpy(layer(X)), want, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(
            X @ ops.convert_to_numpy(layer.kernel.effective()), want, rtol=1e-5, atol=1e-6
        )
        model = cornu.Sequential([cornu.Input((5,)), layer])  # through a graph
        np.testing.assert_allclose(model.predict(X, verbose=0), want, rtol=1e-5, atol=1e-6)
        again = copy.deepcopy(model)
        np.testing.assert_allclose(again.predict(X, verbose=0), want, rtol=1e-5, atol=1e-6)
        assert again.layers[0].kernel is not layer.kernel


@pytest.mark.parametrize("engine", [name for name in ENGINES if name != "pytensor"])
def test_training_changes_what_is_stored_through_the_chain(engine: str) -> None:
    with cornu.backend.use(engine):
        plain, halved = _dense(), _dense()
        halved.set_weights([2 * w for w in plain.get_weights()])
        halved.add_transform(halved.kernel, Halved())
        halved.add_transform(halved.bias, Halved())
        for layer, rate in ((plain, 0.1), (halved, 0.4)):
            model = cornu.Sequential([cornu.Input((5,)), layer])
            model.compile(cornu.optimizers.SGD(rate), "mse")
            model.fit(X, X[:, :3], epochs=2, batch_size=2, shuffle=False, verbose=0)
        for a, b in zip(plain.get_weights(), halved.get_weights(), strict=True):
            np.testing.assert_allclose(2 * a, b, rtol=1e-4, atol=1e-5)


def test_a_transform_that_comes_or_goes_drops_what_was_compiled() -> None:
    model = cornu.Sequential([cornu.Input((5,)), layers.Dense(3), layers.Dense(2)])
    plain = model.predict(X, verbose=0)
    half = model.layers[1].add_transform("outputs", Halved())
    np.testing.assert_allclose(model.predict(X, verbose=0), plain / 2, rtol=1e-5)
    shift = model.layers[0].add_transform(model.layers[0].kernel, Shifted())
    assert [w.name for w in model.layers[0].weights] == ["kernel", "bias", "kernel_shift"]
    model.layers[1].remove_transform("outputs", half)
    model.layers[0].remove_transform(model.layers[0].kernel, shift)
    np.testing.assert_allclose(model.predict(X, verbose=0), plain, rtol=1e-6)
    assert len(model.weights) == 4 and type(model.layers[0].kernel) is cornu.Variable
    model.layers[0].add_transform("inputs", Halved())
    model.layers[1].add_transform("inputs", Halved())
    np.testing.assert_allclose(model.predict(X, verbose=0), plain / 4, rtol=1e-5)


def test_in_mixed_precision_the_chain_runs_before_the_cast() -> None:
    layer = _dense(Halved(), Shifted(), dtype="mixed_bfloat16")
    out = layer(X)
    assert out.dtype == "bfloat16"
    want = X @ (layer.kernel.numpy() / 2 + 1)
    np.testing.assert_allclose(np.asarray(out, "float32"), want, rtol=0.1, atol=0.1)


class Told(layers.Layer):
    """A user's layer that looks at its weight in every way there is."""

    def build(self, shape: Any) -> None:
        self.scale = self.add_weight((shape[-1],), "ones", name="scale")

    def call(self, x: Any) -> Any:
        self.told = (self.scale.shape, self.scale.dtype, np.asarray(self.scale).tolist())
        return x * self.scale.value * self.scale + ops.sum(self.scale)


def test_a_users_layer_reads_it_in_its_own_ways() -> None:
    layer = Told()
    layer.build((None, 2))
    layer.add_transform(layer.scale, Coded())
    layer.add_transform(layer.scale, Halved())
    assert layer(np.ones((1, 2), "float32")).tolist() == [[1.25, 1.25]]
    assert layer.told == ((2,), "float32", [0.5, 0.5])
    assert (layer.scale.dtype, layer.scale.numpy().tolist()) == ("int8", [2, 2])
    layer.scale.assign([4, 4])
    assert layer(np.ones((1, 2), "float32")).tolist() == [[3.0, 3.0]]


def test_spectral_normalization_scales_what_is_stored() -> None:
    """A transform of the kernel is not baked into it, again at each step."""
    layer, plain = (layers.SpectralNormalization(_dense()) for _ in range(2))
    for one in (layer, plain):
        one(X)
    plain.set_weights(layer.get_weights())
    layer.layer.add_transform(layer.kernel, Halved())
    for _ in range(2):
        halved, whole = layer(X, training=True), plain(X, training=True)
    np.testing.assert_allclose(layer.kernel.numpy(), plain.kernel.numpy(), rtol=1e-5)
    np.testing.assert_allclose(halved, whole / 2, rtol=1e-4, atol=1e-6)


def test_what_is_refused() -> None:
    layer, other = _dense(Halved()), _dense()
    (half,) = layer.kernel.transforms
    with pytest.raises(ValueError, match="belongs to one variable"):
        other.add_transform(other.kernel, half)
    with pytest.raises(ValueError, match="its own weights"):
        layer.add_transform(other.kernel, Halved())
    with pytest.raises(ValueError, match="taken off where it is"):
        other.remove_transform(other.kernel, half)
    with pytest.raises(ValueError, match="target"):
        layer.add_transform("kernel", Halved())
    with pytest.raises(ValueError, match="must be built"):
        layers.Dense(3).add_transform("outputs", Halved())
