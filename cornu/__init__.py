"""Cornu: the Keras API on a small core that runs on every array engine.

`import cornu as keras` is all that a script needs to change. No engine is imported before the first
tensor is made.
"""

from typing import TYPE_CHECKING as _TYPE_CHECKING

from . import activations as activations
from . import backend as backend
from . import callbacks as callbacks
from . import config as config
from . import constraints as constraints
from . import dtype_policies as dtype_policies
from . import initializers as initializers
from . import layers as layers
from . import losses as losses
from . import metrics as metrics
from . import mixed_precision as mixed_precision
from . import models as models
from . import ops as ops
from . import optimizers as optimizers
from . import preprocessing as preprocessing
from . import random as random
from . import regularizers as regularizers
from . import saving as saving
from . import tree as tree
from . import tuning as tuning
from . import utils as utils
from ._version import __version__ as __version__
from ._version import version as version
from .backend import device as device
from .core.keras_tensor import KerasTensor as KerasTensor
from .core.later import later as _later

# The names under which Keras's scripts look for what is public at the top.
from .core.naming import NameScope as name_scope
from .core.operation import Operation as Operation
from .core.remat import RematScope as RematScope
from .core.remat import remat as remat
from .core.scopes import StatelessScope as StatelessScope
from .core.scopes import SymbolicScope as SymbolicScope
from .core.state import value_and_grad as value_and_grad
from .core.variable import Variable as Variable
from .dtype_policies import DTypePolicy as DTypePolicy
from .dtype_policies import FloatDTypePolicy as FloatDTypePolicy
from .initializers import Initializer as Initializer
from .layers import Input as Input
from .layers import InputSpec as InputSpec
from .layers import Layer as Layer
from .losses import Loss as Loss
from .metrics import Metric as Metric
from .models import Function as Function
from .models import Model as Model
from .models import Sequential as Sequential
from .optimizers import Optimizer as Optimizer
from .regularizers import Regularizer as Regularizer

if _TYPE_CHECKING:
    from . import applications as applications
    from . import datasets as datasets
    from . import distillation as distillation
    from . import distribution as distribution
    from . import export as export
    from . import legacy as legacy
    from . import optimization as optimization
    from . import quantizers as quantizers
    from . import serving as serving
    from . import testing as testing
    from . import tuner as tuner
    from . import visualization as visualization
    from . import wrappers as wrappers
    from .quantizers import Quantizer as Quantizer
else:  # what few need is loaded when it is asked for
    _packages = (
        "applications",
        "datasets",
        "distillation",
        "distribution",
        "export",
        "legacy",
        "optimization",
        "quantizers",
        "serving",
        "testing",
        "tuner",
        "visualization",
        "wrappers",
    )
    __getattr__, __dir__ = _later(
        globals(), {**{name: name for name in _packages}, "quantizers": "quantizers Quantizer"}
    )
