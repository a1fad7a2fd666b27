"""Clustering: a weight reads as the nearest of a few values, which are trained."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from .. import ops
from ..core.checks import is_size
from ..core.seeding import make_default_seed
from ..core.transforms import CLUSTER, Transform
from ..layers import Layer
from ..transforms.on_layers import when_built
from ._centroids import CentroidInitialization, clustered, initial_centroids
from ._choice import all_kernels, listed_layers
from ._weights import Rows, channel_axes, read, require_weight, strip


class Cluster(Transform):
    """A weight as the nearest of a few centroids.

    Centroids are trained. The weights that are stored are too, and may so come nearer to another centroid.

    Args:
        number_of_clusters: How many values the weight has, at least 2.
        cluster_centroids_init: Where they start.
        cluster_per_channel: Whether each output channel has so many of its own.
        preserve_sparsity: Whether weights that are 0 stay 0, which is one of the values then.

    Raises:
        ValueError: If there are no so many clusters, or no such start.

    >>> from cornu import layers
    >>> layer = layers.Dense(8)
    >>> layer.build((None, 8))
    >>> cluster = layer.add_transform(layer.kernel, Cluster(4))
    >>> len(np.unique(layer.kernel.effective())), cluster.parts["centroids"].shape
    (4, (1, 4))
    """

    order = CLUSTER
    _converters = {"init": CentroidInitialization}

    def __init__(
        self,
        number_of_clusters: int,
        cluster_centroids_init: Any = CentroidInitialization.KMEANS_PLUS_PLUS,
        cluster_per_channel: bool = False,
        preserve_sparsity: bool = False,
    ) -> None:
        super().__init__()
        if not is_size(number_of_clusters, 2):
            raise ValueError(
                "`number_of_clusters` must be an integer, at least 2. Received: "
                f"number_of_clusters={number_of_clusters!r}."
            )

    def build(self, owner: Any, variable: Any) -> None:
        """Find where the centroids start, from the weights as they read."""
        require_weight(self, owner, variable)
        axes = channel_axes(owner, variable) if self.cluster_per_channel else ()
        self._rows = Rows(variable.stored_shape, axes)
        weights = np.asarray(ops.convert_to_numpy(self._rows.of(read(variable, self.order))))
        if not np.isfinite(weights).all():
            raise ValueError(
                "What is clustered are finite numbers. Received: "
                f"{variable.path!r} with {weights[~np.isfinite(weights)][:3]}."
            )
        number = self.number_of_clusters
        generator = np.random.default_rng(make_default_seed())
        found = np.zeros((len(weights), number - self.preserve_sparsity), "float32")
        for centroids, row in zip(found, weights, strict=True):
            if self.preserve_sparsity:
                row = row[row != 0]
            centroids[:] = initial_centroids(
                row, len(centroids), self.cluster_centroids_init, generator
            )
        self.part("centroids", found.shape, found, dtype=variable.stored_dtype, trainable=True)

    def value(self, stored: Any) -> Any:
        """The nearest centroid of each weight."""
        found = self._rows.back(clustered(self.parts["centroids"].value, self._rows.of(stored)))
        if not self.preserve_sparsity:
            return found
        # One that is 0 has no gradient either: it stays 0 in what is stored.
        return ops.where(ops.equal(stored, 0), ops.zeros_like(stored), found)


def cluster_weights(
    to_cluster: Any,
    number_of_clusters: int,
    cluster_centroids_init: Any = CentroidInitialization.KMEANS_PLUS_PLUS,
    cluster_per_channel: bool = False,
    preserve_sparsity: bool = False,
) -> Any:
    """Have the kernels of a model read as a few values each, and train these.

    The model is the same one, as it was compiled and trained. A layer or model that is not built yet is clustered
    once it is.

    Args:
        to_cluster: A model, a layer, or a list of layers.
        number_of_clusters: How many values a kernel has, at least 2.
        cluster_centroids_init: Where they start: a `CentroidInitialization`.
        cluster_per_channel: Whether each output channel of a kernel has so many of its own.
        preserve_sparsity: Whether weights that are 0 stay 0, which is one of the values then.

    Returns:
        `to_cluster`.

    Raises:
        ValueError: If there are no so many clusters, it is no layer, or nothing of it can be clustered.

    >>> from cornu import Input, Sequential, layers
    >>> model = Sequential([Input((4,)), layers.Dense(8), layers.Dense(2)])
    >>> strip_clustering(cluster_weights(model, 3)) is model
    True
    >>> [len(np.unique(layer.kernel)) for layer in model.layers]
    [3, 3]
    """
    make = partial(
        Cluster, number_of_clusters, cluster_centroids_init, cluster_per_channel, preserve_sparsity
    )
    make()  # which says what is wrong
    for layer in listed_layers(to_cluster=to_cluster):
        when_built(layer, partial(_cluster, make))
    return to_cluster


def _cluster(make: Any, target: Layer) -> None:
    found = all_kernels(target)
    if not found:
        raise ValueError(
            "What is clustered has weights of two axes or more. Received: "
            f"{target.path!r}, which has none."
        )
    for layer, variable in found:
        for known in variable.transforms:
            if isinstance(known, Cluster):
                layer.remove_transform(variable, known)
        layer.add_transform(variable, make())


def strip_clustering(model: Any) -> Any:
    """Store the few values in place of the weights that were trained towards them: a plain model, the same object.

    Args:
        model: A model, a layer, or a list of layers.

    Returns:
        It.
    """
    for layer in listed_layers(model=model):
        strip(layer, CLUSTER)
    return model
