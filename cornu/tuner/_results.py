"""What `run_trial` may give, read as metrics and the step that they are of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..callbacks import History
from ..core.checks import is_number
from ._objective import DEFAULT, MultiObjective, Objective
from .errors import FatalTypeError, FatalValueError

#: Metrics, and the step (epoch) that they are of.
Result = tuple[dict[str, float], int]


def read(results: Any, objective: Objective, source: str = "run_trial") -> Result:
    """The metrics and the step of what a trial gave: of several, the means.

    Args:
        results: A number, a dictionary, a `History`, or a list of them, one an execution.
        objective: What must be in there; a number is its value.
        source: What has given them, for messages.

    Raises:
        FatalTypeError: If it is nothing of that.
        FatalValueError: If the objective is not among the metrics.

    >>> read([{"val_loss": 1.0}, {"val_loss": 3.0}], Objective("val_loss", "min"))
    ({'val_loss': 2.0}, 0)
    """
    if not isinstance(results, list):
        return _one(results, objective, source)
    if not results:
        raise FatalTypeError(f"`{source}` must return metrics. Received: [].")
    each = [_one(result, objective, source) for result in results]
    means = {
        name: float(np.mean([it[name] for it, _ in each if name in it])) for name in each[0][0]
    }
    return means, int(np.mean([step for _, step in each]))


def best_epoch(history: Mapping[str, list[float]], objective: Objective) -> int:
    """The first epoch of the best value, NaN being none.

    >>> best_epoch({"loss": [3.0, 1.0, 2.0]}, Objective("loss", "min"))
    1
    """
    epochs = [dict(zip(history, values, strict=False)) for values in zip(*history.values())]  # noqa: B905
    values = np.array([float(objective.get_value(logs)) for logs in epochs])
    if np.isnan(values).all():
        return 0
    return int(np.nanargmin(values) if objective.direction == "min" else np.nanargmax(values))


def _one(result: Any, objective: Objective, source: str) -> Result:
    if result is None:
        raise FatalTypeError(
            f"`{source}` must return metrics. Received: None. Did you forget to return them?"
        )
    if is_number(result) or isinstance(result, bool):
        return {objective.name: float(result)}, 0
    if objective.name == DEFAULT:
        raise FatalTypeError(
            f"`{source}` must return a number where no `objective` is named. Received: {result!r} of {type(result)}."
        )
    if isinstance(result, History):
        _check(result.history, objective, source)
        step = best_epoch(result.history, objective)
        logs = {name: values[step] for name, values in result.history.items() if step < len(values)}
        return _plain(logs, objective), step
    if isinstance(result, Mapping):
        _check(result, objective, source)
        return _plain(result, objective), 0
    raise FatalTypeError(
        f"`{source}` must return a number, a dictionary, a `History`, or a list of them. "
        f"Received: {result!r} of {type(result)}. Did you forget to return the metrics?"
    )


def _check(metrics: Mapping[str, Any], objective: Objective, source: str) -> None:
    if not objective.has_value(metrics):
        names = [it.name for it in getattr(objective, "objectives", [objective])]
        raise FatalValueError(
            f"What `{source}` returns must have the objective, {', '.join(names)}. Received: {[*metrics]}."
        )


def _plain(logs: Mapping[str, Any], objective: Objective) -> dict[str, float]:
    """Metrics that are numbers, with the objective where it is a sum."""
    found = {name: float(value) for name, value in logs.items() if np.ndim(value) == 0}
    several = isinstance(objective, MultiObjective)
    return {**found, objective.name: float(objective.get_value(logs))} if several else found
