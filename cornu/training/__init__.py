"""The one trainer, and how it shows its progress."""

from ..data import pack_x_y_sample_weight as pack_x_y_sample_weight
from ..data import unpack_x_y_sample_weight as unpack_x_y_sample_weight
from ._progress import Progbar as Progbar
