"""Functions on tensors of the current engine, and on symbolic tensors: `cornu.ops`.

It has every name of its parts.
"""

from __future__ import annotations

from . import _sparse as _sparse
from . import image as image
from . import linalg as linalg
from . import nn as nn
from . import numpy as numpy
from .core import *
from .linalg import *
from .math import *
from .nn import *
from .numpy import *
