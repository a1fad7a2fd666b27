"""Learning rates by patterns of variables' paths."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

from ..core.naming import matches
from ..core.serialization import deserialize_keras_object, serialize_keras_object
from ..core.variable import Variable


class Groups:
    """Variables in groups, each with a learning rate; one of 0 or None freezes its group.

    A pattern stands for paths as in a shell, from any of their names on: `backbone/*` is all of the
    layer `backbone`, wherever it is, `bias` all variables of that name. The first that matches holds.

    Args:
        rates: Numbers, schedules, calls or None, by pattern.
        base: The learning rate of variables in no group, where that is a number.
    """

    def __init__(self, rates: Mapping[str, Any], base: float | None) -> None:
        self.rates = {pattern: _read(rate) for pattern, rate in rates.items()}
        for pattern, rate in self.rates.items():
            if not (
                rate is None or callable(rate) or (isinstance(rate, (int, float)) and rate >= 0)
            ):
                raise ValueError(
                    "The learning rate of a group is a number, a schedule, or None, which freezes it. "
                    f"Received: learning_rates={{{pattern!r}: {rate!r}}}. Pass 1e-5, say."
                )
        self._base = base
        self._known: dict[str, str | None] = {}
        #: The paths of what is not trained beside: a pattern may stand for what was frozen.
        self.beside: list[str] = []

    def of(self, variable: Variable) -> str | None:
        """The pattern of a variable's group; None where it is in none."""
        path = variable.path
        if path not in self._known:
            self._known[path] = next((p for p in self.rates if matches(p, path)), None)
        return self._known[path]

    def freezes(self, variable: Variable) -> bool:
        """Whether a variable's group is frozen."""
        pattern = self.of(variable)
        return pattern is not None and not self.rates[pattern]

    def rate(self, pattern: str | None, current: Any, step: Any) -> Any:
        """The learning rate of a group at a step, where that of the rest is `current`.

        A number keeps its ratio to a learning rate that was given as a number: what changes that one
        in the course of training, such as `ReduceLROnPlateau`, changes the group's.
        """
        if pattern is None:
            return current
        rate = self.rates[pattern]
        if callable(rate):
            return rate(step) if hasattr(rate, "get_config") else rate()
        return current * (rate / self._base) if self._base else rate

    def check(self, variables: Sequence[Variable]) -> None:
        """Refuse a pattern that stands for none of the variables, and for none beside."""
        paths = [variable.path for variable in variables]
        for pattern in self.rates:
            if not any(matches(pattern, path) for path in (*paths, *self.beside)):
                near = difflib.get_close_matches(pattern, paths, n=3, cutoff=0.0)
                raise ValueError(
                    "A pattern of `learning_rates` must match the path of a variable. Received: "
                    f"{pattern!r}, which matches none of {len(paths)}. The nearest are {near}."
                )

    def get_config(self, current: float | None) -> dict[str, Any]:
        """The rates as what a file can hold, where that of the rest is `current`; nothing without groups."""
        if not self.rates:
            return {}
        given = {
            pattern: serialize_keras_object(rate)
            if callable(rate) or not rate
            else self.rate(pattern, current, None)
            for pattern, rate in self.rates.items()
        }
        return {"learning_rates": given}


def _read(rate: Any) -> Any:
    """A rate, also as a file has it."""
    return deserialize_keras_object(rate) if isinstance(rate, dict) else rate
