"""What chooses the hyperparameters of trials."""

from ._oracles import BayesianOptimizationOracle as BayesianOptimizationOracle
from ._oracles import GridSearchOracle as GridSearchOracle
from ._oracles import HyperbandOracle as HyperbandOracle
from ._oracles import ParetoOracle as ParetoOracle
from ._oracles import RandomSearchOracle as RandomSearchOracle
from ._oracles import SamplingOracle as SamplingOracle
