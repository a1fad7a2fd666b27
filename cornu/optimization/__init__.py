"""Smaller models: weights that are zero, few values of weights, weights and activations of few bits."""

from ..core.transforms import Transform as Transform
from ..layers.low_rank import LowRank as LowRank
from ._centroids import CentroidInitialization as CentroidInitialization
from ._choice import PrunableLayer as PrunableLayer
from ._choice import PruneForLatencyOnXNNPack as PruneForLatencyOnXNNPack
from ._choice import PruningPolicy as PruningPolicy
from ._clustering import Cluster as Cluster
from ._clustering import cluster_weights as cluster_weights
from ._clustering import strip_clustering as strip_clustering
from ._filters import Savings as Savings
from ._filters import prune_filters as prune_filters
from ._filters import savings as savings
from ._pruning import Mask as Mask
from ._pruning import prune_low_magnitude as prune_low_magnitude
from ._pruning import prune_scope as prune_scope
from ._pruning import strip_pruning as strip_pruning
from ._reports import SparsityReport as SparsityReport
from ._reports import sparsity_report as sparsity_report
from ._schedules import ConstantSparsity as ConstantSparsity
from ._schedules import PolynomialDecay as PolynomialDecay
from ._schedules import PruningSchedule as PruningSchedule
