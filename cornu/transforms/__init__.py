"""Transforms of layers' weights, inputs and outputs: what a layer computes with, where that is not what is stored."""

from ..core.transforms import CLUSTER as CLUSTER
from ..core.transforms import CODES as CODES
from ..core.transforms import FAKE as FAKE
from ..core.transforms import MASK as MASK
from ..core.transforms import UPDATE as UPDATE
from ..core.transforms import Transform as Transform
from ..core.transforms import Use as Use
from .low_rank import LowRank as LowRank
