"""Hyperparameters, one by one and together."""

from .._parameters import Boolean as Boolean
from .._parameters import Choice as Choice
from .._parameters import Fixed as Fixed
from .._parameters import Float as Float
from .._parameters import HyperParameter as HyperParameter
from .._parameters import Int as Int
from .._parameters import deserialize as deserialize
from .._parameters import serialize as serialize
from .._space import HyperParameters as HyperParameters
