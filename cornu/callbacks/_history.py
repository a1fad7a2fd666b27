"""History: what the metrics were, epoch by epoch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._callback import Callback, Logs

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class History(Callback):
    """The metrics of each epoch; `fit` adds one and returns it.

    Attributes:
        epoch: The numbers of the epochs.
        history: A list of values by metric.
        validations: The metrics of each validation, with the `step` after which it was: with
            `val_check_interval` an epoch may have several.
        ended_by: What ended training before its last epoch: `"max_steps"`, `"max_time"`,
            `"stop_training"`, or None.

    >>> history = History()
    >>> history.on_train_begin()
    >>> history.on_epoch_end(0, {"loss": 0.5})
    >>> history.epoch, history.history
    ([0], {'loss': [0.5]})
    """

    _state = ("epoch", "history", "validations", "_epochs_of")

    def __init__(self) -> None:
        super().__init__()
        self.epoch: list[int] = []
        self.history: dict[str, list[Any]] = {}
        self.validations: list[dict[str, Any]] = []
        self.ended_by: str | None = None
        #: The epochs of each metric's values: validation may come now and then.
        self._epochs_of: dict[str, list[int]] = {}

    def on_train_begin(self, logs: Logs = None) -> None:
        """Start the list of epochs."""
        self.epoch = []

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Keep the epoch's metrics."""
        self.epoch.append(epoch)
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(value)
            self._epochs_of.setdefault(name, []).append(epoch)
        if self.model is not None:
            self.model.history = self

    def on_test_end(self, logs: Logs = None) -> None:
        """Keep what a validation gave."""
        if self.current_run is not None:
            self.validations.append({"step": self.current_run.total, **(logs or {})})

    def on_train_end(self, logs: Logs = None) -> None:
        """Keep what ended it."""
        if self.current_run is not None:
            stopped = "stop_training" if self.model.stop_training else None
            self.ended_by = stopped or self.current_run.ended_by

    def plot(self, path: Any = None) -> Figure:
        """Draw the metrics by epoch, in training and validation, and the learning rate where it was logged.

        Args:
            path: Where to write the picture; the suffix says in which format.

        Returns:
            The figure of matplotlib's, which a notebook shows.

        Raises:
            ValueError: If nothing was logged.
            ModuleNotFoundError: If matplotlib is not installed.
        """
        from ._curves import curves

        return curves(self._epochs_of, self.history, path)
