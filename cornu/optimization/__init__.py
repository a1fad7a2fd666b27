"""Smaller models: weights that are zero, few values of weights, weights and activations of few bits."""

from ._schedules import ConstantSparsity as ConstantSparsity
from ._schedules import PolynomialDecay as PolynomialDecay
from ._schedules import PruningSchedule as PruningSchedule
