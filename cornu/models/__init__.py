"""Models."""

from typing import TYPE_CHECKING

from ..core.later import later
from ._cloning import clone_model as clone_model
from ._function import Function as Function
from ._functional import Functional as Functional
from ._model import Model as Model
from ._sequential import Sequential as Sequential

if TYPE_CHECKING:
    from ..saving import load_model as load_model
    from ..saving import model_from_json as model_from_json
    from ..saving import save_model as save_model
else:
    __getattr__, __dir__ = later(globals(), {".saving": "load_model model_from_json save_model"})
