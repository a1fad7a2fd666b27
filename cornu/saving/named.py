"""The state of a model by name, as files of weights have it, for floors above."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..core.variable import Variable
from ..optimizers import Optimizer
from ._names import join, labels, own_variables
from ._safetensors import written
from ._walk import walk

#: What an optimizer has for all weights.
_SETTINGS = frozenset({"iteration", "learning_rate"})


def named_variables(model: Any) -> dict[str, Variable]:
    """The variables of a model and of its optimizer by the names that `.safetensors` files have.

    What is kept for weights is numbered: its own names change with those of the model's layers.

    >>> from cornu import Input, Sequential, layers
    >>> model = Sequential([Input((2,)), layers.Dense(3, name="first")])
    >>> list(named_variables(model))
    ['layers/dense/kernel', 'layers/dense/bias']
    """
    names: dict[Variable, str] = {}
    for path, part in walk(model, getattr(model, "metrics", ())):
        own = {part.KEY: part.state} if hasattr(part, "KEY") else own_variables(part)
        known = labels(part)
        if isinstance(part, Optimizer):
            known = {key: name for key, name in known.items() if name in _SETTINGS}
        names.update({v: join(path, known.get(key, key)) for key, v in own.items()})
    optimizer = getattr(model, "optimizer", None)
    found = [*model.variables, *(optimizer.variables if optimizer else ())]
    return {names.get(variable, variable.path): variable for variable in found}


def safetensors(arrays: Mapping[str, Any]) -> bytes:
    """A safetensors file with variables, or arrays, by name.

    >>> import numpy as np
    >>> len(safetensors({"x": np.zeros(2, "float32")})) % 8
    0
    """
    return b"".join(written(arrays.items()))
