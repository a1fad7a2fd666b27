"""How a model is made from hyperparameters."""

from .._hypermodel import HyperModel as HyperModel
