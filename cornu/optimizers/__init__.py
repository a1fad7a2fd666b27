"""Optimizers: how gradients change variables."""

from . import schedules as schedules
from ._get import deserialize as deserialize
from ._get import get as get
from ._get import serialize as serialize
from ._loss_scale import LossScaleOptimizer as LossScaleOptimizer
from ._multi import MultiOptimizer as MultiOptimizer
from ._multi import OptimizerMap as OptimizerMap
from ._optimizer import Optimizer as Optimizer
from ._rules import SGD as SGD
from ._rules import Adadelta as Adadelta
from ._rules import Adafactor as Adafactor
from ._rules import Adagrad as Adagrad
from ._rules import Adam as Adam
from ._rules import Adamax as Adamax
from ._rules import AdamW as AdamW
from ._rules import Ftrl as Ftrl
from ._rules import Lamb as Lamb
from ._rules import Lion as Lion
from ._rules import Muon as Muon
from ._rules import Nadam as Nadam
from ._rules import RMSprop as RMSprop
from ._rules import ScheduleFreeAdamW as ScheduleFreeAdamW
