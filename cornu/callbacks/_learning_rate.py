"""Callbacks that set the learning rate: by a schedule, or when a metric has stopped to improve."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from ._callback import Callback, Logs
from ._monitor import Monitor, Watching
from .logs import as_number
from .progress import say


def _optimizers(model: Any) -> dict[str, Any]:
    """The optimizers whose rate is set, by its name in the logs: several of a `MultiOptimizer`."""
    scaled = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    found = getattr(scaled, "optimizers", None)
    if found is not None:
        return {f"learning_rate_{one.name}": one for one in found}
    if not hasattr(model.optimizer, "learning_rate"):
        raise ValueError(
            "The optimizer must have a `learning_rate` that can be set. "
            f"Received: {type(model.optimizer).__name__}."
        )
    return {"learning_rate": model.optimizer}


def _rates(model: Any) -> dict[str, float]:
    return {name: _rate(one) for name, one in _optimizers(model).items()}


def _rate(optimizer: Any) -> float:
    return float(as_number(optimizer.learning_rate))


class LearningRateScheduler(Callback):
    """Set the learning rate at the beginning of each epoch.

    Args:
        schedule: `schedule(epoch, learning_rate)`, or `schedule(epoch)`, that gives the epoch's
            learning rate, a float.
        verbose: Whether 0 or 1: to say so.

    Raises:
        ValueError: If the schedule gives no float.

    >>> callback = LearningRateScheduler(lambda epoch, rate: rate * 0.9 if epoch > 10 else rate)
    """

    def __init__(self, schedule: Callable[..., float], verbose: int = 0) -> None:
        super().__init__()
        self._takes_rate = _takes_two(schedule)

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Set the learning rate."""
        for name, optimizer in _optimizers(self.model).items():
            optimizer.learning_rate = rate = self._scheduled(epoch, _rate(optimizer))
            if self.verbose > 0:
                say(f"Epoch {epoch + 1}: {name.replace('_', ' ', 1)} set to {rate:.6g}")

    def _scheduled(self, epoch: int, rate: float) -> float:
        """The epoch's rate, in place of that of now."""
        rate = self.schedule(epoch, rate) if self._takes_rate else self.schedule(epoch)
        if not isinstance(rate, (float, np.floating)):
            raise ValueError(
                f"A schedule must give a float. Received: {rate!r} for epoch {epoch}. Return "
                "`float(...)` of it."
            )
        return float(rate)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Add `learning_rate` to the logs."""
        if logs is not None:
            logs.update(_rates(self.model))


def _takes_two(schedule: Callable[..., Any]) -> bool:
    try:
        inspect.signature(schedule).bind(0, 0.0)
    except TypeError:
        return False
    except ValueError:  # no signature to look at
        return True
    return True


class ReduceLROnPlateau(Watching):
    """Reduce the learning rate when a metric has not improved for some epochs.

    Args:
        monitor: The metric's name in the logs.
        factor: What the learning rate is multiplied by, below 1.
        patience: How many epochs without improvement reduce it.
        verbose: Whether 0 or 1: to say so.
        mode: `min` if smaller is better, `max` if larger is, `auto` to find it.
        min_delta: The smallest change that counts as an improvement.
        cooldown: How many epochs pass after a reduction before the metric is watched again.
        min_lr: The learning rate below which there is no reduction.

    >>> callback = ReduceLROnPlateau(monitor="loss", factor=0.5, patience=2)
    """

    _state = ("wait", "cooldown_counter", "best")

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        verbose: int = 0,
        mode: str = "auto",
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__()
        if factor >= 1.0:
            raise ValueError(
                f"`factor` must be below 1, so that the learning rate shrinks. Received: {factor=}."
            )
        self.watched = Monitor("ReduceLROnPlateau", monitor, mode, min_delta)
        self._reset()

    def _reset(self) -> None:
        self.wait = 0
        self.cooldown_counter = 0
        self.best: float | None = None

    def on_train_begin(self, logs: Logs = None) -> None:
        """Forget an earlier training."""
        super().on_train_begin(logs)
        self._reset()

    def in_cooldown(self) -> bool:
        """Whether a reduction was so recent that the metric is not watched."""
        return self.cooldown_counter > 0

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Compare the metric with its best value, and add `learning_rate` to the logs."""
        self.watched.resolve(self.model)
        logs = {} if logs is None else logs
        logs.update(_rates(self.model))
        current = self.watched.value(logs)
        if current is None:
            warnings.warn(
                "ReduceLROnPlateau watches a metric that is not in the logs. Received: monitor="
                f"{self.monitor!r}; available: {sorted(logs)}.",
                stacklevel=2,
            )
            return
        if self.in_cooldown():
            self.cooldown_counter -= 1
            self.wait = 0
        if self.watched.improves(current, self.best):
            self.best = current
            self.wait = 0
        elif not self.in_cooldown():
            self.wait += 1
            if self.wait >= self.patience:
                for name, optimizer in _optimizers(self.model).items():
                    self._reduce(epoch, name, optimizer)

    def _reduce(self, epoch: int, name: str, optimizer: Any) -> None:
        rate = _rate(optimizer)
        if rate <= np.float32(self.min_lr):
            return
        optimizer.learning_rate = reduced = max(rate * self.factor, self.min_lr)
        self.cooldown_counter = self.cooldown
        self.wait = 0
        if self.verbose > 0:
            say(f"Epoch {epoch + 1}: {name.replace('_', ' ', 1)} reduced to {reduced:.6g}")
