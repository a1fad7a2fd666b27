"""What the metrics of a trial were, step by step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ._objective import infer_metric_direction


class MetricObservation:
    """The values of a metric at a step, one an execution.

    >>> MetricObservation([0.5, 0.7], step=3).mean()
    0.6
    """

    def __init__(self, value: float | Sequence[float], step: int) -> None:
        self.value = [float(part) for part in np.ravel(value)]
        self.step = int(step)

    def append(self, value: float | Sequence[float]) -> None:
        """Add the value of another execution."""
        self.value += [float(part) for part in np.ravel(value)]

    def mean(self) -> float:
        """The mean over executions."""
        return float(np.mean(self.value))

    def get_config(self) -> dict[str, Any]:
        """What a file holds of it."""
        return {"value": self.value, "step": self.step}


class MetricHistory:
    """One metric, step by step.

    >>> history = MetricHistory("max")
    >>> history.update(0.5, step=0), history.update(0.75, step=1)
    (None, None)
    >>> history.get_best_value(), history.get_best_step(), history.get_last_value()
    (0.75, 1, 0.75)
    """

    def __init__(self, direction: str = "min") -> None:
        self.direction = direction
        self._observations: dict[int, MetricObservation] = {}

    def update(self, value: float, step: int) -> None:
        """Note a value."""
        if step in self._observations:
            self._observations[step].append(value)
        else:
            self._observations[step] = MetricObservation(value, step)

    def get_history(self) -> list[MetricObservation]:
        """What was noted, by step."""
        return [self._observations[step] for step in sorted(self._observations)]

    def get_best_value(self) -> float | None:
        """The best mean over executions; NaN where nothing else was noted, None where nothing was."""
        best = self.get_best_step()
        return None if best is None else self._observations[best].mean()

    def get_best_step(self) -> int | None:
        """The first step of the best value."""
        history = self.get_history()
        means = {noted.step: noted.mean() for noted in history if not np.isnan(noted.mean())}
        if not means:
            return history[0].step if history else None
        return (min if self.direction == "min" else max)(means, key=means.__getitem__)

    def get_last_value(self) -> float | None:
        """The mean over executions at the last step."""
        history = self.get_history()
        return history[-1].mean() if history else None

    def get_statistics(self) -> dict[str, float]:
        """`min`, `max`, `mean`, `median`, `var` and `std` of all values."""
        values = [value for noted in self.get_history() for value in noted.value]
        if not values:
            return {}
        kinds = ("min", "max", "mean", "median", "var", "std")
        return {kind: float(getattr(np, kind)(values)) for kind in kinds}

    def get_config(self) -> dict[str, Any]:
        """What a file holds of it."""
        noted = [observation.get_config() for observation in self.get_history()]
        return {"direction": self.direction, "observations": noted}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> MetricHistory:
        """What `get_config` described."""
        made = cls(config["direction"])
        for noted in config["observations"]:
            for value in noted["value"]:
                made.update(value, noted["step"])
        return made


class MetricsTracker:
    """The metrics of a trial by name.

    >>> tracker = MetricsTracker()
    >>> tracker.update("val_accuracy", 0.5, step=0)
    >>> tracker.exists("val_accuracy"), tracker.get_direction("val_accuracy")
    (True, 'max')
    """

    def __init__(self) -> None:
        self.metrics: dict[str, MetricHistory] = {}

    def exists(self, name: str) -> bool:
        """Whether a metric was noted."""
        return name in self.metrics

    def register(self, name: str, direction: str | None = None) -> None:
        """Begin a metric; which way is better is found from its name, or small is."""
        if self.exists(name):
            raise ValueError(f"A metric is registered once. Received: name={name!r}, again.")
        self.metrics[name] = MetricHistory(direction or infer_metric_direction(name) or "min")

    def update(self, name: str, value: float, step: int = 0) -> float | None:
        """Note a value, and give the best so far."""
        if not self.exists(name):
            self.register(name)
        self.metrics[name].update(value, step)
        return None

    def get_history(self, name: str) -> list[MetricObservation]:
        """What was noted of a metric, by step."""
        return self._of(name).get_history()

    def set_history(self, name: str, observations: Sequence[MetricObservation]) -> None:
        """Replace what was noted of a metric."""
        if not self.exists(name):
            self.register(name)
        made = MetricHistory(self.metrics[name].direction)
        made._observations = {noted.step: noted for noted in observations}
        self.metrics[name] = made

    def get_best_value(self, name: str) -> float | None:
        """The best value of a metric."""
        return self._of(name).get_best_value()

    def get_best_step(self, name: str) -> int | None:
        """The first step of a metric's best value."""
        return self._of(name).get_best_step()

    def get_last_value(self, name: str) -> float | None:
        """A metric's value at the last step."""
        return self._of(name).get_last_value()

    def get_statistics(self, name: str) -> dict[str, float]:
        """`min`, `max`, `mean`, `median`, `var` and `std` of a metric."""
        return self._of(name).get_statistics()

    def get_direction(self, name: str) -> str:
        """Which way a metric is better."""
        return self._of(name).direction

    def get_config(self) -> dict[str, Any]:
        """What a file holds of it."""
        return {"metrics": {name: it.get_config() for name, it in self.metrics.items()}}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> MetricsTracker:
        """What `get_config` described."""
        made = cls()
        made.metrics = {
            name: MetricHistory.from_config(it) for name, it in config["metrics"].items()
        }
        return made

    def _of(self, name: str) -> MetricHistory:
        if not self.exists(name):
            raise ValueError(
                f"No such metric was noted. Received: name={name!r} of {[*self.metrics]}."
            )
        return self.metrics[name]
