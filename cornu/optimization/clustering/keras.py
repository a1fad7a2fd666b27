"""The names of `tfmot.clustering.keras`."""

from .._centroids import CentroidInitialization as CentroidInitialization
from .._clustering import cluster_weights as cluster_weights
from .._clustering import strip_clustering as strip_clustering
from .._pruning import prune_scope

cluster_scope = prune_scope
