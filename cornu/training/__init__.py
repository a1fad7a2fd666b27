"""The one trainer, what it reads data from, and how it shows its progress."""

from ._data import pack_x_y_sample_weight as pack_x_y_sample_weight
from ._data import unpack_x_y_sample_weight as unpack_x_y_sample_weight
from ._progress import Progbar as Progbar
