"""Models."""

from ._cloning import clone_model as clone_model
from ._function import Function as Function
from ._functional import Functional as Functional
from ._model import Model as Model
from ._sequential import Sequential as Sequential

# Saving stands on models, so its modules are loaded after theirs.
from ..saving import load_model as load_model  # isort: skip
from ..saving import model_from_json as model_from_json  # isort: skip
from ..saving import save_model as save_model  # isort: skip
