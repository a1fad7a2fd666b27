"""The best of many models: Keras Tuner's names over Optuna's samplers, with trials in child processes."""

from . import applications as applications
from . import engine as engine
from . import errors as errors
from . import oracles as oracles
from . import tuners as tuners
from ._hypermodel import HyperModel as HyperModel
from ._objective import Objective as Objective
from ._oracle import Oracle as Oracle
from ._oracle import synchronized as synchronized
from ._parameters import HyperParameter as HyperParameter
from ._sklearn import SklearnTuner as SklearnTuner
from ._space import HyperParameters as HyperParameters
from ._tuner import Tuner as Tuner
from ._tuners import GP as GP
from ._tuners import TPE as TPE
from ._tuners import BayesianOptimization as BayesianOptimization
from ._tuners import CmaEs as CmaEs
from ._tuners import Evolution as Evolution
from ._tuners import GridSearch as GridSearch
from ._tuners import Hyperband as Hyperband
from ._tuners import RandomSearch as RandomSearch
