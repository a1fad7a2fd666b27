"""Data as batches: what is trained on, adapted to and predicted from, read in one way."""

from ._arrays import DEFAULT_BATCH_SIZE as DEFAULT_BATCH_SIZE
from ._arrays import ArrayPass as ArrayPass
from ._arrays import ArraySource as ArraySource
from ._arrays import Share as Share
from ._arrays import train_validation_split as train_validation_split
from ._batch import check_dtype as check_dtype
from ._batch import outline as outline
from ._batch import pack_x_y_sample_weight as pack_x_y_sample_weight
from ._batch import unpack_x_y_sample_weight as unpack_x_y_sample_weight
from ._buckets import bucket_by_length as bucket_by_length
from ._datasets import is_dataset as is_dataset
from ._iterables import KeptSource as KeptSource
from ._mapped import MappedSource as MappedSource
from ._sequences import pad_sequences as pad_sequences
from ._source import Pass as Pass
from ._source import Source as Source
from ._sources import inputs_of as inputs_of
from ._sources import make_source as make_source
from ._strings import Packed as Packed
from ._strings import encoded as encoded
from ._strings import joined as joined
from ._strings import on_host as on_host
from ._strings import packed as packed
from ._strings import texts as texts
