"""A model as it was: for what trains it only to find something out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from ..random import set_process_state
from ._programs import logged

#: What training sets beside variables.
_ATTRIBUTES = ("history", "stop_training")


@contextmanager
def as_it_was(model: Any, before: Any) -> Iterator[None]:
    """Whatever happens within, the model comes out as it went in: weights, optimizer, metrics, random numbers.

    Those of the process go on from `before`.
    """
    variables = [variable for group in model._state_groups().values() for variable in group]
    variables += logged(model).values()
    values = [np.array(variable.numpy()) for variable in variables]
    attributes = {name: vars(model)[name] for name in _ATTRIBUTES}
    try:
        yield
    finally:
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)
        vars(model).update(attributes)
        set_process_state(before)
