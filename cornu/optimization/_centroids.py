"""The values that the weights of a cluster share: where they start, and which one a weight takes."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Any

import numpy as np

from .. import ops


class CentroidInitialization(StrEnum):
    """Where centroids start.

    `LINEAR`: evenly from the least weight to the largest. `RANDOM`: drawn evenly between these. `DENSITY_BASED`: one
    for each equal share of the weights, at its middle. `KMEANS_PLUS_PLUS`: where they are nearest to all weights by
    k-means from the seeds of k-means++ (Arthur and Vassilvitskii, 2007).

    >>> CentroidInitialization("linear") is CentroidInitialization.LINEAR
    True
    """

    LINEAR = "linear"
    RANDOM = "random"
    DENSITY_BASED = "density_based"
    KMEANS_PLUS_PLUS = "kmeans++"


def initial_centroids(
    weights: Any, number: int, initialization: Any, generator: np.random.Generator
) -> Any:
    """Where the centroids of some weights start.

    Args:
        weights: An array of shape `(size,)`.
        number: How many centroids there are.
        initialization: A `CentroidInitialization`, or its value.
        generator: Draws the random numbers.

    Returns:
        An array of shape `(number,)`, ascending: the weights themselves, the largest repeated, where they have no
        more values than that.

    >>> draws = np.random.default_rng(0)
    >>> initial_centroids(np.array([0.0, 1.0, 1.0, 8.0]), 3, "linear", draws).tolist()
    [0.0, 1.0, 8.0]
    >>> initial_centroids(np.arange(5.0), 2, "density_based", draws).tolist()
    [1.0, 3.0]
    """
    values = np.unique(np.asarray(weights, np.float64))
    if len(values) <= number:
        return np.pad(values, (0, number - len(values)), "edge" if len(values) else "constant")
    start = _STARTS[CentroidInitialization(initialization)]
    found: Any = np.sort(start(np.sort(np.asarray(weights, np.float64)), number, generator))
    return found


def _linear(weights: Any, number: int, generator: np.random.Generator) -> Any:
    return np.linspace(weights[0], weights[-1], number)


def _random(weights: Any, number: int, generator: np.random.Generator) -> Any:
    return generator.uniform(weights[0], weights[-1], number)


def _density_based(weights: Any, number: int, generator: np.random.Generator) -> Any:
    return np.quantile(weights, (np.arange(number) + 0.5) / number)


def _kmeans(weights: Any, number: int, generator: np.random.Generator) -> Any:
    """k-means of ascending numbers: a cluster is a stretch of them, whose sum is a difference of two running sums."""
    sums = np.concatenate([[0.0], np.cumsum(weights)])
    centroids = np.sort(_seeds(weights, number, generator))
    while True:
        middles = (centroids[1:] + centroids[:-1]) / 2
        ends = np.array([0, *np.searchsorted(weights, middles), len(weights)])
        counts = np.diff(ends)
        means = np.where(counts, np.diff(sums[ends]) / np.maximum(counts, 1), centroids)
        if np.allclose(means, centroids, rtol=1e-6, atol=0):
            return means
        centroids = means


def _seeds(weights: Any, number: int, generator: np.random.Generator) -> Any:
    """Weights drawn one by one, each the likelier the larger its squared distance from those before it is."""
    seeds = [generator.choice(weights)]
    distances = np.square(weights - seeds[0])
    for _ in range(number - 1):
        running = np.cumsum(distances)
        place = np.searchsorted(running, generator.uniform(0, running[-1]), side="right")
        seeds.append(weights[min(place, len(weights) - 1)])
        distances = np.minimum(distances, np.square(weights - seeds[-1]))
    return np.array(seeds)


_STARTS: dict[CentroidInitialization, Callable[..., Any]] = {
    CentroidInitialization.LINEAR: _linear,
    CentroidInitialization.RANDOM: _random,
    CentroidInitialization.DENSITY_BASED: _density_based,
    CentroidInitialization.KMEANS_PLUS_PLUS: _kmeans,
}


def nearest(centroids: Any, weights: Any) -> Any:
    """Which of ascending centroids each weight is nearest to.

    Args:
        centroids: `(groups, clusters)`.
        weights: `(groups, size)`.

    Returns:
        Integers `(groups, size)`.

    >>> nearest(np.array([[0.0, 1.0, 5.0]]), np.array([[0.4, 2.0, 4.0]])).tolist()
    [[0, 1, 2]]
    """
    middles = (centroids[:, 1:] + centroids[:, :-1]) / 2
    if weights.shape[0] == 1:
        return ops.searchsorted(middles[0], weights)
    return ops.vectorized_map(lambda pair: ops.searchsorted(*pair), (middles, weights))


def clustered(centroids: Any, weights: Any) -> Any:
    """The nearest centroid of each weight.

    A gradient goes to the weight as if it were read itself, and to the centroid as the mean of those of its weights:
    it moves as far as these would on average, by whatever optimizer.

    Args:
        centroids: `(groups, clusters)`, in any order.
        weights: `(groups, size)`.

    Returns:
        A tensor `(groups, size)` of the weights' dtype.

    >>> clustered(np.array([[1.0, 0.0]]), np.array([[0.4, 2.0, 0.9]])).tolist()
    [[0.0, 1.0, 1.0]]
    """
    order = ops.argsort(ops.stop_gradient(centroids), axis=1)
    centroids = ops.take_along_axis(centroids, order, axis=1)
    still = ops.stop_gradient(centroids)
    index = nearest(still, ops.stop_gradient(weights))
    moving = ops.add(still, ops.divide(centroids - still, _counts(index, centroids.shape[1])))
    found = ops.take_along_axis(ops.cast(moving, weights.dtype), index, axis=1)
    return found + (weights - ops.stop_gradient(weights))


def _counts(index: Any, clusters: int) -> Any:
    """How many weights each centroid has, 1 for none; floats `(groups, clusters)`."""
    groups = index.shape[0]
    places = index + ops.expand_dims(ops.arange(groups, dtype=index.dtype), 1) * clusters
    ones = ops.ones((groups * index.shape[1],), "float32")
    counts = ops.segment_sum(ones, ops.reshape(places, (-1,)), groups * clusters)
    return ops.maximum(ops.reshape(counts, (groups, clusters)), 1.0)
