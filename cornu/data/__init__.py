"""Data as batches: what is trained on, adapted to and predicted from, read in one way."""

from ._sources import ArrayPass as ArrayPass
from ._sources import Source as Source
from ._sources import inputs_of as inputs_of
from ._sources import make_source as make_source
from ._sources import pack_x_y_sample_weight as pack_x_y_sample_weight
from ._sources import train_validation_split as train_validation_split
from ._sources import unpack_x_y_sample_weight as unpack_x_y_sample_weight
