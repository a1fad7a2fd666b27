"""Monitor: whether the metric that a callback watches has become better."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np

from ._callback import Callback, Logs


class Monitor:
    """The watched metric: its name, which way is better, and by how much it must change.

    Args:
        callback: The callback's name, for messages.
        monitor: The metric's name in the logs.
        mode: `min` if smaller is better, `max` if larger is; `auto` to find it from the name and
            the model's metrics.
        min_delta: The change that counts, a positive number.
    """

    def __init__(self, callback: str, monitor: str, mode: str, min_delta: float = 0.0) -> None:
        if mode not in ("auto", "min", "max"):
            warnings.warn(
                f"The mode of {callback} must be 'auto', 'min' or 'max'. Received: mode={mode!r}; "
                "'auto' is used.",
                stacklevel=3,
            )
            mode = "auto"
        self.callback = callback
        self.monitor = monitor
        self.mode = mode
        self.min_delta = abs(min_delta)

    def find(self, model: Any) -> None:
        """Find which way is better, if the mode is `auto` and the name and the metrics of the model tell."""
        if self.mode != "auto":
            return
        name = self.monitor.removeprefix("val_")
        direction = "down" if name == "loss" or name.endswith("_loss") else _direction(model, name)
        self.mode = {"up": "max", "down": "min"}.get(direction or "", self.mode)

    def resolve(self, model: Any) -> None:
        """Find which way is better.

        Raises:
            ValueError: If the mode is `auto`, and the name and the metrics of the model don't tell.
        """
        self.find(model)
        if self.mode == "auto":
            raise ValueError(
                f"{self.callback} must know whether a larger or a smaller value of its metric is "
                f"better. Received: monitor={self.monitor!r}, mode='auto', and no metric of that "
                "name that says so. Pass mode='max' or mode='min'."
            )

    def value(self, logs: dict[str, Any]) -> Any:
        """The metric's value, a number; `None` where the logs have none."""
        value = logs.get(self.monitor)
        return value if value is None or np.ndim(value) else float(value)

    def improves(self, value: float, reference: float | None) -> bool:
        """Whether `value` is better than the reference by more than `min_delta`.

        NaN never is; any number is better than no reference.
        """
        if np.ndim(value):
            raise ValueError(
                f"{self.callback} watches a number. Received: monitor={self.monitor!r}, whose value is "
                f"{value}. Give the metric an average, as in `F1Score(average='macro')`."
            )
        if math.isnan(value):
            return False
        if reference is None:
            return True
        if self.mode == "max":
            return bool(value - self.min_delta > reference)
        return bool(value + self.min_delta < reference)


class Watching(Callback):
    """A callback that watches a metric."""

    watched: Monitor

    @property
    def monitor_op(self) -> Any:
        """What tells whether a value is better than another: `np.less`, `np.greater`, None while that is unknown."""
        return {"min": np.less, "max": np.greater}.get(self.watched.mode)

    def on_train_begin(self, logs: Logs = None) -> None:
        """Find which way is better, if the model's metrics tell already."""
        self.watched.find(self.model)


def _direction(model: Any, name: str) -> str | None:
    """Which way the model's metric of that name, or of an output's metric, is better."""
    metrics = [
        part
        for metric in getattr(model, "metrics", ())
        for part in [metric, *(getattr(metric, "metrics", None) or ())]
    ]
    for matches in (str.__eq__, lambda whole, end: whole.endswith(f"_{end}")):
        for metric in metrics:
            direction: str | None = getattr(metric, "_direction", None)
            if direction and matches(name, metric.name):
                return direction
    return None
