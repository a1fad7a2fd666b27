"""Knowledge of a large model, given to a small one."""

from ._distiller import Distiller as Distiller
from ._losses import DistillationLoss as DistillationLoss
from ._losses import FeatureDistillation as FeatureDistillation
from ._losses import LogitsDistillation as LogitsDistillation
