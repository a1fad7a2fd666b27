"""The search over models of this library."""

from .._tuner import Tuner as Tuner
from .._tuner import maybe_distribute as maybe_distribute
