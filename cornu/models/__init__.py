"""Models."""

from ._function import Function as Function
from ._functional import Functional as Functional
from ._model import Model as Model
from ._model import model_from_json as model_from_json
from ._sequential import Sequential as Sequential
