"""Models and weights in files, and the registry of what files may name."""

from typing import TYPE_CHECKING

from ..core.later import later
from ..core.serialization import CustomObjectScope as CustomObjectScope
from ..core.serialization import custom_object_scope as custom_object_scope
from ..core.serialization import deserialize_keras_object as deserialize_keras_object
from ..core.serialization import get_custom_objects as get_custom_objects
from ..core.serialization import get_registered_name as get_registered_name
from ..core.serialization import get_registered_object as get_registered_object
from ..core.serialization import register_keras_serializable as register_keras_serializable
from ..core.serialization import serialize_keras_object as serialize_keras_object

if TYPE_CHECKING:
    from ._adapters import load_adapter as load_adapter
    from ._adapters import save_adapter as save_adapter
    from ._checkpoints import Checkpoint as Checkpoint
    from ._checkpoints import Checkpoints as Checkpoints
    from ._checkpoints import best_of as best_of
    from ._checkpoints import checkpoints as checkpoints
    from ._configs import model_from_json as model_from_json
    from ._editor import KerasFileEditor as KerasFileEditor
    from ._models import load_model as load_model
    from ._models import save_model as save_model
    from ._reports import WeightsReport as WeightsReport
    from ._weight_files import load_weights as load_weights
    from ._weight_files import save_weights as save_weights
else:
    __getattr__, __dir__ = later(
        globals(),
        {
            "_adapters": "load_adapter save_adapter",
            "_checkpoints": "Checkpoint Checkpoints best_of checkpoints",
            "_configs": "model_from_json",
            "_editor": "KerasFileEditor",
            "_models": "load_model save_model",
            "_reports": "WeightsReport",
            "_weight_files": "load_weights save_weights",
        },
    )
