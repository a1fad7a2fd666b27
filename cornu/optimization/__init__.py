"""Smaller models: weights that are zero, few values of weights, weights and activations of few bits."""

from ..core.transforms import Transform as Transform
from ..transforms import LowRank as LowRank
from . import clustering as clustering
from . import experimental as experimental
from . import quantization as quantization
from . import sparsity as sparsity
from ._callbacks import PruningSummaries as PruningSummaries
from ._callbacks import UpdatePruningStep as UpdatePruningStep
from ._centroids import CentroidInitialization as CentroidInitialization
from ._choice import PrunableLayer as PrunableLayer
from ._choice import PruneForLatencyOnXNNPack as PruneForLatencyOnXNNPack
from ._choice import PruningPolicy as PruningPolicy
from ._clustering import Cluster as Cluster
from ._clustering import cluster_weights as cluster_weights
from ._clustering import strip_clustering as strip_clustering
from ._comparing import METHODS as METHODS
from ._comparing import Report as Report
from ._comparing import report as report
from ._filters import Savings as Savings
from ._filters import prune_filters as prune_filters
from ._filters import savings as savings
from ._pruning import Mask as Mask
from ._pruning import prune_low_magnitude as prune_low_magnitude
from ._pruning import prune_scope as prune_scope
from ._pruning import strip_pruning as strip_pruning
from ._quantizing import (
    Default8BitClusterPreserveQuantizeScheme as Default8BitClusterPreserveQuantizeScheme,
)
from ._quantizing import (
    Default8BitPrunePreserveQuantizeScheme as Default8BitPrunePreserveQuantizeScheme,
)
from ._quantizing import Default8BitQuantizeScheme as Default8BitQuantizeScheme
from ._quantizing import DefaultNBitQuantizeScheme as DefaultNBitQuantizeScheme
from ._quantizing import QuantizeConfig as QuantizeConfig
from ._quantizing import quantize_annotate_layer as quantize_annotate_layer
from ._quantizing import quantize_annotate_model as quantize_annotate_model
from ._quantizing import quantize_apply as quantize_apply
from ._quantizing import quantize_model as quantize_model
from ._quantizing import quantize_scope as quantize_scope
from ._quantizing import strip_quantization as strip_quantization
from ._ranges import AllValuesQuantizer as AllValuesQuantizer
from ._ranges import FixedQuantizer as FixedQuantizer
from ._ranges import LastValueQuantizer as LastValueQuantizer
from ._ranges import MovingAverageQuantizer as MovingAverageQuantizer
from ._ranges import RangeQuantizer as RangeQuantizer
from ._reports import SparsityReport as SparsityReport
from ._reports import sparsity_report as sparsity_report
from ._schedules import ConstantSparsity as ConstantSparsity
from ._schedules import PolynomialDecay as PolynomialDecay
from ._schedules import PruningSchedule as PruningSchedule
from ._sizes import SizeReport as SizeReport
from ._sizes import size_report as size_report
