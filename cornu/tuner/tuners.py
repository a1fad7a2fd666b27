"""Searches."""

from ._sklearn import SklearnTuner as SklearnTuner
from ._tuner import Tuner as Tuner
from ._tuners import GP as GP
from ._tuners import TPE as TPE
from ._tuners import BayesianOptimization as BayesianOptimization
from ._tuners import CmaEs as CmaEs
from ._tuners import Evolution as Evolution
from ._tuners import GridSearch as GridSearch
from ._tuners import Hyperband as Hyperband
from ._tuners import RandomSearch as RandomSearch
