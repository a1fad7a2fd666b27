"""The one trainer."""

from ..data import pack_x_y_sample_weight as pack_x_y_sample_weight
from ..data import unpack_x_y_sample_weight as unpack_x_y_sample_weight
from ._trainer import Trainer as Trainer
from ._trainer import at_home as at_home
