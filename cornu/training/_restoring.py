"""A model as it was: for what trains it only to find something out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from ..core import seeding
from ..random import global_seed_state, set_global_seed_state

#: What training sets beside variables.
_ATTRIBUTES = ("history", "stop_training")


@contextmanager
def as_it_was(model: Any, before: Any) -> Iterator[None]:
    """Whatever happens within, the model comes out as it went in: weights, optimizer, metrics, random numbers.

    Those of the process go on from `before`.
    """
    variables = [variable for group in model._state_groups().values() for variable in group]
    values = [np.array(variable.numpy()) for variable in variables]
    attributes = {name: vars(model)[name] for name in _ATTRIBUTES}
    drawn = global_seed_state()
    try:
        yield
    finally:
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)
        vars(model).update(attributes)
        seeding.set_random_state(before)
        set_global_seed_state(drawn)
