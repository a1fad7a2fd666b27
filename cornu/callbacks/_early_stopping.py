"""EarlyStopping: training ends when a metric has stopped to improve."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

from ._callback import Logs
from ._monitor import Monitor, Watching
from .progress import say


class EarlyStopping(Watching):
    """Stop training when a metric has not improved for some epochs.

    Args:
        monitor: The metric's name in the logs.
        min_delta: The smallest change that counts as an improvement.
        patience: How many epochs without improvement end training.
        verbose: Whether 0 or 1: to say so.
        mode: `min` if smaller is better, `max` if larger is, `auto` to find it.
        baseline: A value that must be beaten before an improvement starts the patience again.
        restore_best_weights: Whether the model gets the weights of its best epoch at the end.
        start_from_epoch: How many epochs pass before the metric is watched.

    >>> callback = EarlyStopping(monitor="loss", patience=3)
    """

    _state = ("wait", "stopped_epoch", "best", "best_epoch", "best_weights")

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0,
        patience: int = 0,
        verbose: int = 0,
        mode: str = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = False,
        start_from_epoch: int = 0,
    ) -> None:
        super().__init__()
        self.watched = Monitor("EarlyStopping", monitor, mode, min_delta)
        self.min_delta = self.watched.min_delta
        self._reset()

    def _reset(self) -> None:
        self.wait = 0
        self.stopped_epoch = 0
        self.best: float | None = None
        self.best_epoch = 0
        self.best_weights: list[Any] | None = None

    def on_train_begin(self, logs: Logs = None) -> None:
        """Forget an earlier training."""
        super().on_train_begin(logs)
        self._reset()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on watching; training that was stopped stays so."""
        super().load_state_dict(state)
        if self.stopped_epoch:
            self.model.stop_training = True

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Compare the metric with its best value."""
        self.watched.resolve(self.model)
        current = self.get_monitor_value(logs)
        if current is None or epoch < self.start_from_epoch:
            return
        if self.restore_best_weights and self.best_weights is None:
            self._remember(epoch)
        self.wait += 1
        if self.watched.improves(current, self.best):
            self.best = current
            self._remember(epoch)
            if self.baseline is None or self.watched.improves(current, self.baseline):
                self.wait = 0
        elif self.wait >= self.patience and epoch > 0:
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def _remember(self, epoch: int) -> None:
        self.best_epoch = epoch
        if self.restore_best_weights:
            self.best_weights = self.model.get_weights()

    def on_train_end(self, logs: Logs = None) -> None:
        """Put the best weights back."""
        if self.stopped_epoch > 0 and self.verbose > 0:
            say(f"Epoch {self.stopped_epoch + 1}: early stopping")
        if self.restore_best_weights and self.best_weights is not None:
            if self.verbose > 0:
                say(f"Restoring the weights of the best epoch: {self.best_epoch + 1}")
            self.model.set_weights(self.best_weights)

    def get_monitor_value(self, logs: Any) -> Any:
        """The metric's value; `None`, with a warning, where the logs have none."""
        logs = logs or {}
        value = self.watched.value(logs)
        if value is None:
            warnings.warn(
                f"EarlyStopping watches a metric that is not in the logs. Received: monitor="
                f"{self.monitor!r}; available: {sorted(logs)}.",
                stacklevel=2,
            )
        return value
