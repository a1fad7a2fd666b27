"""The names of `tfmot.sparsity.keras`."""

from .._callbacks import PruningSummaries as PruningSummaries
from .._callbacks import UpdatePruningStep as UpdatePruningStep
from .._choice import PrunableLayer as PrunableLayer
from .._choice import PruneForLatencyOnXNNPack as PruneForLatencyOnXNNPack
from .._choice import PruningPolicy as PruningPolicy
from .._pruning import prune_low_magnitude as prune_low_magnitude
from .._pruning import prune_scope as prune_scope
from .._pruning import strip_pruning as strip_pruning
from .._schedules import ConstantSparsity as ConstantSparsity
from .._schedules import PolynomialDecay as PolynomialDecay
from .._schedules import PruningSchedule as PruningSchedule
