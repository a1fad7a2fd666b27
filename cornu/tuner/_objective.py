"""What a search makes better: metrics by name, and which way is better."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from .. import losses, metrics
from ..core.checks import one_of
from ..core.naming import to_snake_case

#: What an objective is called that nobody has named, and the sum of several.
DEFAULT, SUM = "default_objective", "multi_objective"
#: What a model is measured by beside its metrics, and which way is better.
OF_MODELS = {"params": "min"}


class Objective:
    """A metric that a search makes better.

    Args:
        name: The metric's name in the logs, such as `"val_loss"`.
        direction: `"min"` or `"max"`.

    >>> Objective("val_f1", direction="max").better_than(0.9, 0.8)
    True
    """

    def __init__(self, name: str, direction: str) -> None:
        one_of(("min", "max"), direction=direction)
        self.name, self.direction = name, direction

    def has_value(self, logs: Mapping[str, Any]) -> bool:
        """Whether logs have the metric."""
        return self.name in logs

    def get_value(self, logs: Mapping[str, Any]) -> Any:
        """The metric's value in logs."""
        return logs[self.name]

    def better_than(self, a: float, b: float) -> bool:
        """Whether the first value is better than the second."""
        return a > b if self.direction == "max" else a < b

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Objective) and vars(self) == vars(other)

    def __hash__(self) -> int:
        return hash((self.name, self.direction))

    def __repr__(self) -> str:
        return f'{type(self).__name__}(name="{self.name}", direction="{self.direction}")'


class MultiObjective(Objective):
    """Several objectives: their sum, what is to be large with a minus, is made small.

    >>> both = MultiObjective([Objective("val_loss", "min"), Objective("val_accuracy", "max")])
    >>> both.get_value({"val_loss": 0.5, "val_accuracy": 0.75})
    -0.25
    """

    def __init__(self, objectives: Sequence[Objective]) -> None:
        super().__init__(SUM, "min")
        self.objectives = list(objectives)

    def has_value(self, logs: Mapping[str, Any]) -> bool:
        """Whether logs have all of the metrics."""
        return self.name in logs or all(part.has_value(logs) for part in self.objectives)

    def get_value(self, logs: Mapping[str, Any]) -> Any:
        """The signed sum of the metrics in logs."""
        if self.name in logs:
            return logs[self.name]
        signs = {"min": 1, "max": -1}
        return sum(signs[part.direction] * part.get_value(logs) for part in self.objectives)

    def __repr__(self) -> str:
        return f"Multi{self.objectives!r}"


def make(objective: Any) -> Objective:
    """The objective that an argument means: a name, an `Objective`, a list of them, None.

    >>> make("val_accuracy")
    Objective(name="val_accuracy", direction="max")
    """
    if objective is None:
        return Objective(DEFAULT, "min")
    if isinstance(objective, Objective):
        return objective
    if isinstance(objective, list | tuple):
        return MultiObjective([make(part) for part in objective])
    if not isinstance(objective, str):
        raise TypeError(
            "`objective` must be a name, an `Objective` or a list of them. "
            f"Received: objective={objective!r}."
        )
    direction = OF_MODELS.get(objective) or infer_metric_direction(objective)
    if direction is None:
        raise ValueError(
            f"Which way a metric is better can't be told from this name. Received: objective={objective!r}. "
            f"Pass Objective({objective!r}, direction='min') or direction='max'."
        )
    return Objective(objective, direction)


def infer_metric_direction(metric: Any) -> str | None:
    """`"min"` or `"max"`: which way a metric, or one of that name, is better; None where nobody knows.

    >>> infer_metric_direction("val_loss"), infer_metric_direction("auc"), infer_metric_direction("mine")
    ('min', 'max', None)
    """
    if isinstance(metric, str):
        metric = metric.removeprefix("val_").removeprefix("weighted_")
        if metric == "loss" or metric.endswith("_loss"):
            return "min"
        metric = "accuracy" if metric == "acc" else metric
        return _direction(_named(metric)) or _direction(_KINDS.get(metric))
    if isinstance(metric, losses.Loss):
        return "min"
    if inspect.isfunction(metric):
        return "min" if getattr(losses, metric.__name__, None) is metric else None
    return _direction(metric)


def _named(name: str) -> Any:
    try:
        return metrics.get(name)
    except (TypeError, ValueError):
        return None


def _direction(metric: Any) -> str | None:
    direction = getattr(metric, "_direction", None)
    return {"up": "max", "down": "min"}.get(direction or "")


#: Classes of metrics by the names that their objects have: some can't be made without arguments.
_KINDS: dict[str, Any] = {
    to_snake_case(name): kind
    for name, kind in vars(metrics).items()
    if inspect.isclass(kind) and issubclass(kind, metrics.Metric)
}
