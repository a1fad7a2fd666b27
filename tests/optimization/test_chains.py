"""Several transforms of one weight, in any order of coming, and weights that several layers own."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cornu
from cornu import layers, ops, optimization
from cornu.transforms import Transform
from tests.engines_tested import ENGINES

X = np.random.default_rng(0).normal(size=(8, 6)).astype("float32")
WAYS: dict[str, Callable[[Any], Any]] = {
    "lora": lambda model: model.enable_lora(2),
    "prune": lambda model: optimization.prune_low_magnitude(model),
    "cluster": lambda model: optimization.cluster_weights(model, 3),
    "quantize": lambda model: optimization.quantize_model(model),
}


class Twice(layers.Layer):
    """Two weights of one name."""

    def build(self, shape: Any) -> None:
        self.first = self.add_weight(shape=(shape[-1], 6), name="w")
        self.second = self.add_weight(shape=(shape[-1], 6), name="w")

    def call(self, x: Any) -> Any:
        return ops.matmul(x, self.first) + ops.matmul(x, self.second) * 2


class Borrowing(layers.Layer):
    """A layer that multiplies by the weight of another."""

    def __init__(self, weight: Any) -> None:
        super().__init__()
        self.weight = weight

    def call(self, x: Any) -> Any:
        return ops.matmul(x, self.weight)


def made() -> Any:
    model = cornu.Sequential(
        [cornu.Input((6,)), layers.Dense(6, "relu"), Twice(), layers.Reshape((6, 1))]
        + [layers.Conv1D(2, 3), layers.Flatten(), layers.Dense(3)]
    )
    model.compile(cornu.optimizers.Adam(0.01), "mse")
    return model


@pytest.mark.parametrize("order", list(itertools.permutations(WAYS))[::5] + [("cluster", "lora")])
def test_any_order_of_coming_comes_through_files(order: tuple[str, ...], tmp_path: Path) -> None:
    with cornu.backend.use("torch"):
        model = made()
        for way in order:
            WAYS[way](model)
            model.fit(X, X[:, :3], verbose=0, shuffle=False)
        assert len(model.layers[1].transforms) >= 2 * len(order)
        model.save(tmp_path / "model.keras")
        again = cornu.saving.load_model(tmp_path / "model.keras", {"Twice": Twice})
        for one, other in zip(model.weights, again.weights, strict=True):
            np.testing.assert_array_equal(one.numpy(), other.numpy(), one.path)
        losses = [m.fit(X, X[:, :3], verbose=0, shuffle=False).history for m in (model, again)]
        np.testing.assert_allclose(losses[0]["loss"], losses[1]["loss"], rtol=1e-6)


@pytest.mark.parametrize("way", ["prune", "cluster", "quantize"])
def test_codes_beneath_are_decoded_when_a_method_is_stripped(way: str) -> None:
    strip = {
        "prune": lambda model: model.strip_transforms(),
        "cluster": optimization.strip_clustering,
        "quantize": optimization.strip_quantization,
    }[way]
    with cornu.backend.use("torch"):
        model = cornu.Sequential([cornu.Input((6,)), layers.Dense(6), layers.Dense(3)])
        WAYS[way](model)
        model.quantize("int8")
        read = [ops.convert_to_numpy(layer.kernel.effective()) for layer in model.layers]
        strip(model)
        for layer, before in zip(model.layers, read, strict=True):
            assert layer.kernel.dtype == "float32"
            assert not layer.kernel.transforms
            np.testing.assert_allclose(layer.kernel.numpy(), before, rtol=1e-6)


@pytest.mark.parametrize("way", WAYS)
def test_a_weight_of_two_layers_is_transformed_once(way: str) -> None:
    with cornu.backend.use("torch"):
        dense = layers.Dense(6)
        dense.build((None, 6))
        model = cornu.Sequential([cornu.Input((6,)), dense, Borrowing(dense.kernel)])
        WAYS[way](model)
        assert len(dense.kernel.transforms) == 1


def test_an_adapted_model_goes_on_from_its_file_with_its_optimizer(tmp_path: Path) -> None:
    with cornu.backend.use("torch"):
        model = cornu.Sequential([cornu.Input((6,)), layers.Dense(6), layers.Dense(3)])
        model.compile(cornu.optimizers.Adam(0.01), "mse")
        model.enable_lora(2, alone=True)
        model.fit(X, X[:, :3], verbose=0)
        model.save(tmp_path / "model.keras")
        again = cornu.saving.load_model(tmp_path / "model.keras")
        pairs = zip(model.optimizer.variables, again.optimizer.variables, strict=True)
        for one, other in pairs:
            np.testing.assert_array_equal(one.numpy(), other.numpy())


def test_what_failed_has_changed_nothing() -> None:
    constrained = layers.Dense(3, kernel_constraint="max_norm")
    model = cornu.Sequential([cornu.Input((6,)), layers.Dense(6), constrained])
    with pytest.raises(ValueError, match="Leave the constraint out"):
        model.enable_lora(2)
    assert not any(layer.transforms for layer in model.layers)
    assert len(model.trainable_variables) == 4


REFUSED: list[tuple[Callable[[Any], Any], str]] = [
    (lambda m: m.enable_lora(2, lora_alpha=float("nan")), "alpha=nan"),
    (
        lambda m: m.layers[0].add_transform(m.layers[0].kernel, optimization.LowRank(1, rows=2)),
        "rows=2",
    ),
    (lambda m: m.layers[0].add_transform("outputs", optimization.Cluster(3)), "target='outputs'"),
    (lambda m: m.layers[0].add_transform(m.layers[0].kernel, optimization.Cluster), "transform="),
    (
        lambda m: optimization.quantize_model(m, optimization.Default8BitQuantizeScheme()),
        "by its name",
    ),
    (
        lambda m: optimization.quantize_model(m, scheme=optimization.Default8BitQuantizeScheme),
        "scheme=",
    ),
    (lambda m: optimization.PolynomialDecay(0.0, 0.5, 0, 10, power=-1), "power=-1"),
]


@pytest.mark.parametrize(("wrong", "received"), REFUSED)
def test_refused(wrong: Callable[[Any], Any], received: str) -> None:
    model = cornu.Sequential([cornu.Input((6,)), layers.Dense(6)])
    with pytest.raises(ValueError, match=received):
        wrong(model)
    assert not model.layers[0].transforms


@pytest.mark.parametrize("init", optimization.CentroidInitialization)
def test_clusters_are_of_finite_numbers(init: Any) -> None:
    layer = layers.Dense(6)
    layer.build((None, 6))
    layer.kernel.assign(np.where(np.eye(6), np.nan, 1.0).astype("float32"))
    with pytest.raises(ValueError, match="finite numbers"):
        optimization.cluster_weights(layer, 3, init)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("way", WAYS)
def test_weights_of_16_bits(way: str, engine: str) -> None:
    with cornu.backend.use(engine):
        layer = layers.Dense(4, dtype="float16")
        model = cornu.Sequential([cornu.Input((6,)), layer])
        plain = layer(X.astype("float16")).dtype
        WAYS[way](model)
        assert layer.kernel.effective().dtype == layer(X.astype("float16")).dtype == plain


class Failing(Transform):
    """A transform whose value raises an error of its own."""

    def value(self, stored: Any) -> Any:
        raise ValueError("It is what it is.")


def test_the_error_of_a_transform_is_the_one_that_is_shown() -> None:
    layer = layers.Dense(4)
    layer.build((None, 6))
    layer.add_transform(layer.kernel, Failing())
    with pytest.raises(ValueError, match=r"It is what it is"):
        layer(X)
