"""A model as it was: for what trains it only to find something out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from ..random import process_state, set_process_state
from ._programs import logged

#: What training sets beside variables.
_ATTRIBUTES = ("history", "stop_training")


class Before(NamedTuple):
    """What making a run changes already: the process's random numbers, and attributes of the model."""

    random: dict[str, Any]
    attributes: dict[str, Any]

    @classmethod
    def of(cls, model: Any) -> Before:
        return cls(process_state(), {name: vars(model)[name] for name in _ATTRIBUTES})

    def restore(self, model: Any) -> None:
        """Let all go on from there."""
        vars(model).update(self.attributes)
        set_process_state(self.random)


@contextmanager
def as_it_was(model: Any, before: Before) -> Iterator[None]:
    """Whatever happens within, the model comes out as it went in: weights, optimizer, metrics, random numbers.

    What `before` has is as it was then.
    """
    variables = [variable for group in model._state_groups().values() for variable in group]
    variables += logged(model).values()
    values = [np.array(variable.numpy()) for variable in variables]
    try:
        yield
    finally:
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)
        before.restore(model)
