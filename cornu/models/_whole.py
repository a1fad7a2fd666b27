"""Calls of a model on tensors as one compiled step, where nobody can tell the difference."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .. import tuning
from ..core import seeding, tree
from ..core.masks import get_keras_mask
from ..core.operation import any_symbolic
from ..core.scopes import here
from ..core.state import CompiledStep
from ..engines import Engine
from ..layers import Layer
from ..layers.plain import is_plain

if TYPE_CHECKING:
    from ._model import Model


class WholeCalls:
    """A model's calls, from some call with tensors of a kind on as one compiled step.

    `tuning.whole_calls` says from which one: compiling pays for itself after some calls. It
    is done only where the layers' Python code does nothing but compute, unless the engine is one for
    whole models (`Engine.whole_models`).

    Args:
        model: The model.
    """

    def __init__(self, model: Model) -> None:
        self.model = model
        self._version: Any = None
        self._step: Any = None
        self._counts: dict[Any, int] = {}
        self._is_plain = False

    def __call__(self, engine: Engine, x: Any) -> Any:
        """The model's outputs."""
        model = self.model
        if (
            not model.built
            or here.calling.get() is not None
            or here.stateless.get()
            or any_symbolic(x)
        ):
            return Layer.__call__(model, x)
        x = model._prepared(x)
        if engine.whole_models:
            return model._programs.predicting()(
                [(tree.map_structure(engine.convert_to_tensor, x),)]
            )
        family = model._family()
        version = (family, seeding.generation())
        if version != self._version:
            self._version, self._counts = version, {}
            self._step = CompiledStep(lambda x: Layer.__call__(model, x), [], model.variables)
            self._is_plain = all(map(is_plain, family.members))
        is_array = engine.is_tensor(x) or type(x) is np.ndarray
        if not self._is_plain or here.training.get() or not is_array:
            return Layer.__call__(model, x)
        key = (engine, x.shape, x.dtype)
        count = self._counts.get(key, 0) + 1
        if 0 < tuning.whole_calls() <= count and get_keras_mask(x) is None:
            return self._step(x)
        outputs = Layer.__call__(model, x)
        masked = any(get_keras_mask(y) is not None for y in tree.flatten(outputs))
        self._counts[key] = 0 if masked else count
        return outputs
