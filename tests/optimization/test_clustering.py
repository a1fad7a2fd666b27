"""Clustering: where centroids start, what weights read as, how both are trained."""

from __future__ import annotations

import json
import math
import pickle
from typing import Any

import numpy as np
import pytest

import cornu
from cornu import layers, ops, optimization
from cornu.optimization import _centroids
from cornu.optimization._choice import kernels
from cornu.optimization._weights import channel_axes
from tests.engines_tested import ENGINES

WEIGHTS = np.random.default_rng(0).normal(size=400).astype("float32")


def error(centroids: Any) -> float:
    """The mean square of how far weights are from the nearest centroid."""
    return float(np.mean(np.min((WEIGHTS[:, None] - centroids) ** 2, axis=1)))


def centroids(initialization: str, number: int = 16, weights: Any = WEIGHTS) -> Any:
    draws = np.random.default_rng(1)
    return _centroids.initial_centroids(weights, number, initialization, draws)


def test_where_centroids_start() -> None:
    found = {str(kind): centroids(kind) for kind in optimization.CentroidInitialization}
    np.testing.assert_allclose(found["linear"], np.linspace(WEIGHTS.min(), WEIGHTS.max(), 16), 1e-5)
    shares = np.searchsorted(found["density_based"], np.sort(WEIGHTS))
    assert set(np.bincount(shares)[1:-1]) <= {
        24,
        25,
        26,
    }  # of 400, between the middles of 16 shares
    for start in found.values():
        assert start.shape == (16,) and (np.diff(start) > 0).all()
        assert WEIGHTS.min() <= start[0] and start[-1] <= WEIGHTS.max()
    best = error(found["kmeans++"])
    assert best < 0.6 * min(error(found[name]) for name in ("linear", "random", "density_based"))
    owner = np.abs(WEIGHTS[:, None] - found["kmeans++"]).argmin(1)
    means = [WEIGHTS[owner == i].mean() for i in range(16)]
    np.testing.assert_allclose(found["kmeans++"], means, atol=1e-5)
    for few in ([], [2.0, 1.0, 2.0]):
        assert set(centroids("kmeans++", 5, np.array(few))) == set(few or [0.0])


@pytest.mark.parametrize(("engine", "groups"), [*((name, 3) for name in ENGINES), ("numpy", 1)])
def test_what_weights_read_as_and_their_gradients(engine: str, groups: int) -> None:
    draws = np.random.default_rng(0)
    weights, given = draws.normal(size=(2, groups, 40)).astype("float32")
    values = draws.normal(size=(groups, 5)).astype("float32")
    owner = np.abs(weights[:, :, None] - values[:, None]).argmin(-1)
    means = [
        [row[own == i].mean() if (own == i).any() else 0.0 for i in range(5)]
        for row, own in zip(given, owner, strict=True)
    ]
    with cornu.backend.use(engine):
        x, c = cornu.Variable(weights), cornu.Variable(values)

        def loss() -> Any:
            return ops.sum(_centroids.clustered(c.value, x.value) * ops.convert_to_tensor(given))

        read = ops.convert_to_numpy(_centroids.clustered(c.value, x.value))
        np.testing.assert_array_equal(read, np.take_along_axis(values, owner, 1))
        if engine == "pytensor":
            return
        _, gradients = cornu.value_and_grad(loss, [x, c])()
        np.testing.assert_allclose(ops.convert_to_numpy(gradients[0]), given)
        np.testing.assert_allclose(ops.convert_to_numpy(gradients[1]), means, atol=1e-6)


#: Layers, the shapes they are built for, and the axes of their channels by weight.
LAYERS: list[tuple[Any, tuple[int, ...], dict[str, tuple[int, ...]]]] = [
    (lambda: layers.Dense(4), (6,), {"kernel": (1,)}),
    (lambda: layers.Conv2D(3, 2), (4, 4, 2), {"kernel": (3,)}),
    (lambda: layers.Conv2DTranspose(3, 2), (4, 4, 2), {"kernel": (2,)}),
    (lambda: layers.DepthwiseConv1D(3, depth_multiplier=2), (4, 2), {"kernel": (1, 2)}),
    (
        lambda: layers.SeparableConv1D(3, 3),
        (4, 2),
        {"depthwise_kernel": (1, 2), "pointwise_kernel": (2,)},
    ),
    (lambda: layers.EinsumDense("ab,cbd->adc", (3, 4), bias_axes="dc"), (6,), {"kernel": (0, 2)}),
    (lambda: layers.Embedding(7, 4), (3,), {"embeddings": (0,)}),
    (lambda: layers.GRU(3), (4, 2), {"kernel": (1,), "recurrent_kernel": (1,)}),
]


def values_of(kernel: np.ndarray, axes: tuple[int, ...]) -> list[int]:
    """How many values a kernel has at each place along some axes."""
    inner = np.moveaxis(kernel, axes, range(len(axes)))
    return [len(np.unique(row)) for row in inner.reshape(math.prod(inner.shape[: len(axes)]), -1)]


@pytest.mark.parametrize("per_channel", [False, True])
def test_layers(per_channel: bool) -> None:
    """Each kernel has so many values, a call is that of the stripped model, and both kinds are trained."""
    with cornu.backend.use("numpy"):  # which compiles nothing
        x = [cornu.Input(shape) for _, shape, _ in LAYERS]
        made = [make() for make, _, _ in LAYERS]
        flat = [layers.Flatten()(layer(x)) for layer, x in zip(made, x, strict=True)]
        model = cornu.Model(x, layers.Add()([layers.Dense(1)(y) for y in flat]))
        for layer, (_, _, axes) in zip(made, LAYERS, strict=True):
            assert {
                v.name: channel_axes(x, v) for x in layer._flatten_layers() for v in kernels(x)
            } == axes
        optimization.cluster_weights(model, 3, cluster_per_channel=per_channel)
        model.compile(cornu.optimizers.SGD(0.01), "mse")
        before = model.get_weights()
        data = [np.random.default_rng(0).integers(0, 7, (8, *shape)) for _, shape, _ in LAYERS]
        model.fit(data, np.ones((8, 1)), verbose=0)
        after = model.get_weights()
        assert not any(np.array_equal(a, b) for a, b in zip(before, after, strict=True))
        read = model.predict(data, verbose=0)
        optimization.strip_clustering(model)
        np.testing.assert_allclose(model.predict(data, verbose=0), read, rtol=1e-5, atol=1e-6)
        for layer, (_, _, axes) in zip(made, LAYERS, strict=True):
            for kernel in [v for x in layer._flatten_layers() for v in kernels(x)]:
                found = values_of(kernel.numpy(), axes[kernel.name] if per_channel else ())
                assert max(found) <= 3 and not kernel.transforms


@pytest.mark.parametrize("engine", [e for e in ENGINES if e in ("numpy", "torch")])
def test_zeros_stay(engine: str) -> None:
    """Under momentum and weight decay, and they are one of the values."""
    with cornu.backend.use(engine):
        model = cornu.Sequential([cornu.Input((6,)), layers.Dense(8)])
        kernel = model.layers[0].kernel
        zero = np.arange(48).reshape(6, 8) % 3 == 0
        kernel.assign(np.where(zero, 0, kernel.numpy()))
        optimization.cluster_weights(model, 4, "linear", preserve_sparsity=True)
        model.compile(cornu.optimizers.AdamW(0.05, weight_decay=0.1), "mse")
        model.fit(np.ones((8, 6)), np.ones((8, 8)), epochs=4, batch_size=2, verbose=0)
        optimization.strip_clustering(model)
        assert (kernel.numpy()[zero] == 0).all() and len(np.unique(kernel.numpy())) <= 4


def test_of_layers_that_are_not_built_yet_and_again() -> None:
    layer = optimization.cluster_weights(layers.Dense(5), number_of_clusters=2)
    layer = pickle.loads(pickle.dumps(layer))
    model = cornu.Sequential([cornu.Input((6,)), layer])
    (cluster,) = layer.kernel.transforms
    config = json.loads(json.dumps(cluster.get_config()))
    assert optimization.Cluster.from_config(config).get_config() == config
    optimization.cluster_weights(model, 3)
    assert len(layer.kernel.transforms) == 1
    assert [w.name for w in layer.weights] == ["kernel", "bias", "kernel_centroids"]
    assert len(np.unique(ops.convert_to_numpy(layer.kernel.effective()))) == 3
    for plain in optimization.strip_clustering(optimization.cluster_weights([layer], 2)):
        assert len(np.unique(plain.kernel)) == 2


def test_what_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 2. Received: number_of_clusters=1"):
        optimization.cluster_weights(layers.Dense(3), 1)
    with pytest.raises(ValueError, match="'nearest' is not a valid CentroidInitialization"):
        optimization.cluster_weights(layers.Dense(3), 2, "nearest")
    with pytest.raises(ValueError, match="to_cluster='dense'"):
        optimization.cluster_weights("dense", 2)
    with pytest.raises(ValueError, match="two axes or more. Received: .*, which has none"):
        optimization.cluster_weights(
            cornu.Sequential([cornu.Input((3,)), layers.Flatten()]).layers[0], 2
        )
