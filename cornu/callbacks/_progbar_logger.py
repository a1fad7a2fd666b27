"""ProgbarLogger: the progress of training, evaluation and prediction on the terminal."""

from __future__ import annotations

import math
from typing import Any

from ._callback import Callback, Logs
from .progress import Progress


class ProgbarLogger(Callback):
    """Show how far training, evaluation or prediction is; `fit` adds one unless `verbose=0`.

    Metrics are fetched from the device only when the line is drawn, ten times a second at most.
    """

    sees_each_batch = False

    def __init__(self) -> None:
        super().__init__()
        self.target: int | None = None
        self.verbose = 1
        self.epochs: int | None = 1
        self._progress: Progress | None = None
        self._seen = 0
        self._training = False

    def set_params(self, params: dict[str, Any]) -> None:
        """Read how much there is to do, and how to show it."""
        super().set_params(params)
        self.verbose = int(params.get("verbose", 1))
        self.epochs = params.get("epochs")
        self.target = params.get("steps")

    def on_train_begin(self, logs: Logs = None) -> None:
        """Show epochs from here on, not the evaluations within them."""
        self._training = True

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Start the epoch's line."""
        self._start(f"Epoch {epoch + 1}" + (f"/{self.epochs}" if self.epochs else ""))

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Show the batch."""
        self._update(batch, logs)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Leave the epoch's finished line."""
        self._finish(logs)

    def on_train_end(self, logs: Logs = None) -> None:
        """Training has ended."""
        self._training = False

    def on_test_begin(self, logs: Logs = None) -> None:
        """Start a line, outside of training."""
        if not self._training:
            self._start()

    def on_test_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Show the batch."""
        if not self._training:
            self._update(batch, logs)

    def on_test_end(self, logs: Logs = None) -> None:
        """Leave the finished line."""
        if not self._training:
            self._finish(logs)

    def on_predict_begin(self, logs: Logs = None) -> None:
        """Start a line."""
        self._start()

    def on_predict_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Show the batch."""
        self._update(batch, None)

    def on_predict_end(self, logs: Logs = None) -> None:
        """Leave the finished line."""
        self._finish(None)

    def _start(self, title: str = "") -> None:
        self._seen = 0
        self._progress = Progress(self.target, title, self.verbose)
        if (run := self.current_run) is not None:
            source = run.batches.source
            if source.batch_size is not None:  # of one array, there may be fewer
                self._progress.batch_size = min(
                    source.batch_size, getattr(source, "size", math.inf)
                )
            self._progress.waiting = lambda: run.waiting

    def _update(self, batch: int, logs: Logs) -> None:
        self._seen = batch + 1
        if self._progress is not None:
            self._progress.update(self._seen, logs)

    def _finish(self, logs: Logs) -> None:
        if self._progress is not None:
            if self.target is None:
                self.target = self._progress.target = self._seen
            self._progress.finish(self._seen, logs)
            self._progress = None

    def _close(self) -> None:
        self._training = False
        if self._progress is not None:
            self._progress.pause()
