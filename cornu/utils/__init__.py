"""Small helpers: labels, datasets, progress, random seeds, and the registry of file names."""

from typing import TYPE_CHECKING

from ..backend import clear_session as clear_session
from ..callbacks.progress import Progbar as Progbar
from ..config import disable_interactive_logging as disable_interactive_logging
from ..config import enable_interactive_logging as enable_interactive_logging
from ..config import is_interactive_logging_enabled as is_interactive_logging_enabled
from ..core.dtypes import standardize_dtype as standardize_dtype
from ..core.keras_tensor import is_keras_tensor as is_keras_tensor
from ..core.later import later
from ..core.operation import get_source_inputs as get_source_inputs
from ..core.seeding import set_random_seed as set_random_seed
from ..core.serialization import CustomObjectScope as CustomObjectScope
from ..core.serialization import custom_object_scope as custom_object_scope
from ..core.serialization import deserialize_keras_object as deserialize_keras_object
from ..core.serialization import get_custom_objects as get_custom_objects
from ..core.serialization import get_registered_name as get_registered_name
from ..core.serialization import get_registered_object as get_registered_object
from ..core.serialization import register_keras_serializable as register_keras_serializable
from ..core.serialization import serialize_keras_object as serialize_keras_object
from ..data import bucket_by_length as bucket_by_length
from ..data import pack_x_y_sample_weight as pack_x_y_sample_weight
from ..data import pad_sequences as pad_sequences
from ..data import unpack_x_y_sample_weight as unpack_x_y_sample_weight
from ._config import Config as Config
from ._feature_space import FeatureSpace as FeatureSpace
from ._labels import normalize as normalize
from ._labels import to_categorical as to_categorical
from ._pydataset import PyDataset as PyDataset

if TYPE_CHECKING:
    from ..data.folders import audio_dataset_from_directory as audio_dataset_from_directory
    from ..data.folders import image_dataset_from_directory as image_dataset_from_directory
    from ..data.folders import text_dataset_from_directory as text_dataset_from_directory
    from ..data.images import array_to_img as array_to_img
    from ..data.images import img_to_array as img_to_array
    from ..data.images import load_img as load_img
    from ..data.images import save_img as save_img
    from ..data.windows import timeseries_dataset_from_array as timeseries_dataset_from_array
    from ..training import find_nan as find_nan
    from ..visualization.plot import model_to_dot as model_to_dot
    from ..visualization.plot import plot_model as plot_model
    from . import bounding_boxes as bounding_boxes
    from ._download import get_file as get_file
    from ._splitting import split_dataset as split_dataset
else:
    _modules = {
        ".data.folders": """
            audio_dataset_from_directory image_dataset_from_directory text_dataset_from_directory
            """,
        ".data.images": "array_to_img img_to_array load_img save_img",
        ".data.windows": "timeseries_dataset_from_array",
        ".training": "find_nan",
        ".visualization.plot": "model_to_dot plot_model",
        "_download": "get_file",
        "_splitting": "split_dataset",
        "bounding_boxes": "bounding_boxes",
    }
    __getattr__, __dir__ = later(globals(), _modules)

Sequence = PyDataset
