"""Keras Tuner's modules of what tuners are made of."""

from . import base_tuner as base_tuner
from . import hypermodel as hypermodel
from . import hyperparameters as hyperparameters
from . import metrics_tracking as metrics_tracking
from . import oracle as oracle
from . import trial as trial
from . import tuner as tuner
