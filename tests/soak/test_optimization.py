"""What clusters and few bits cost in accuracy, on scikit-learn's digits."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits

import cornu
from cornu import layers, optimization

pytestmark = pytest.mark.soak


@pytest.fixture(scope="module")
def data() -> Any:
    """1,280 digits to train on, 517 to test on."""
    digits = load_digits()
    order = np.random.default_rng(0).permutation(len(digits.target))
    x, y = (digits.images[order, ..., None] / 16).astype("float32"), digits.target[order]
    return (x[:1280], y[:1280]), (x[1280:], y[1280:])


@pytest.fixture(scope="module")
def trained(data: Any) -> Any:
    cornu.utils.set_random_seed(1)
    model = cornu.Sequential(
        [
            cornu.Input((8, 8, 1)),
            layers.Conv2D(16, 3, padding="same", use_bias=False),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.MaxPooling2D(),
            layers.Conv2D(32, 3, padding="same", activation="relu"),
            layers.Flatten(),
            layers.Dense(64, "relu"),
            layers.Dense(10, "softmax"),
        ]
    )
    return fitted(model, data, 20)


def fitted(model: Any, data: Any, epochs: int, rate: float = 1e-3) -> Any:
    optimizer = cornu.optimizers.Adam(rate)
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(*data[0], epochs=epochs, batch_size=32, verbose=0)
    return model


def accuracy(model: Any, data: Any) -> float:
    return float(model.evaluate(*data[1], verbose=0)[1])


@pytest.mark.parametrize(("clusters", "loss"), [(32, 0.01), (16, 0.01), (4, 0.02)])
def test_clusters(trained: Any, data: Any, clusters: int, loss: float) -> None:
    model = optimization.cluster_weights(copy.deepcopy(trained), clusters)
    at_once = accuracy(fitted(model, data, 0), data)
    found = accuracy(optimization.strip_clustering(fitted(model, data, 5, 1e-4)), data)
    print(
        f"{clusters} clusters: {at_once:.4f}, trained {found:.4f} of {accuracy(trained, data):.4f}"
    )
    assert found > accuracy(trained, data) - loss
    kernels = [w for w in model.get_weights() if w.ndim > 1]
    assert all(len(np.unique(kernel)) <= clusters for kernel in kernels)


@pytest.mark.parametrize(
    ("bits", "loss", "gain"), [(8, 0.005, -0.005), (4, 0.02, -0.02), (2, 0.1, 0.2)]
)
def test_bits(trained: Any, data: Any, bits: int, loss: float, gain: float) -> None:
    scheme = optimization.DefaultNBitQuantizeScheme(num_bits_weight=bits)
    model = copy.deepcopy(trained)
    optimization.quantize_model(model, scheme=scheme, calibration=data[0][0][:200])
    at_once = accuracy(fitted(model, data, 0), data)
    found = accuracy(fitted(model, data, 10), data)
    print(f"{bits} bits: {at_once:.4f}, trained {found:.4f} of {accuracy(trained, data):.4f}")
    assert found > accuracy(trained, data) - loss
    assert found >= at_once + gain
    assert accuracy(fitted(optimization.strip_quantization(model), data, 0), data) > found - 0.005
