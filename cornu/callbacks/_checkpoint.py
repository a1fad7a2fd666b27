"""Checkpoint: all that a training needs to go on, written as it goes."""

from __future__ import annotations

import os
import signal
import threading
import time
import warnings
from pathlib import Path
from typing import Any

from .. import tuning
from ..core import processes
from ..core.checks import one_of, positive_integer
from ._callback import Callback, Logs
from ._monitor import Monitor


class Checkpoint(Callback):
    """Write checkpoints, from which `fit(resume=directory)` goes on, in the middle of an epoch too.

    A checkpoint has the weights, the optimizer, metrics, random generators, the callbacks' state, and the
    place in the data. What they hold is copied between two steps, and written beside the next ones. A
    checkpoint appears whole, or not at all; one that was torn later is passed over.

    A SIGTERM, as a machine gets that is about to be taken away, writes one after the running step and ends the
    process with exit code 143 (128 + 15), or goes on to the handler that the process had. A validation is left for
    that; who goes on begins it anew.

    Args:
        directory: The directory, for one training alone.
        epochs, steps, seconds: After how many of them to write; `None` for never.
        keep: How many of the last checkpoints stay; `None` for all.
        best: The metric, such as `val_loss`, of which the best checkpoint stays too.
        mode: `min` if a smaller metric is better, `max` if a larger one is, `auto` to find it.
        max_shard_size: The largest size of a file with weights, in GB (2**30 bytes).

    Raises:
        ValueError: If an argument is none of these.
        OSError: In `fit`, if a checkpoint can't be written.

    >>> callback = Checkpoint("runs/first", steps=1000, keep=3, best="val_loss")
    """

    in_trials = False
    gathers = True

    def __init__(
        self,
        directory: str | os.PathLike[str],
        epochs: int | None = 1,
        steps: int | None = None,
        seconds: float | None = None,
        keep: int | None = 2,
        best: str | None = None,
        mode: str = "auto",
        max_shard_size: float | None = None,
    ) -> None:
        super().__init__()
        one_of(("auto", "min", "max"), mode=mode)
        counts = {"epochs": epochs, "steps": steps, "keep": keep}
        positive_integer(**{name: value for name, value in counts.items() if value is not None})
        self.watched = None if best is None else Monitor("Checkpoint", best, mode)
        #: What writes them, while a training runs.
        self._written: Any = None
        self._last = (0, 0, 0.0)
        self.is_asked_to_end = self._has_signal = self._knows_best = False
        self._former: Any = None

    def on_train_begin(self, logs: Logs = None) -> None:
        """Count from here, and listen to the system's request to end."""
        if self.watched is not None:
            self.watched.resolve(self.model)
        others = [c for c in self.current_run.events.callbacks if isinstance(c, Checkpoint)]
        if any(
            Path(c.directory).resolve() == Path(self.directory).resolve()
            for c in others
            if c is not self
        ):
            raise ValueError(
                "A directory is for one callback that writes checkpoints. Received: two for "
                f"{os.fspath(self.directory)!r}. Give one of them both `epochs` and `steps`, or another directory."
            )
        self._written = self.model._checkpoints(
            self.directory,
            self.keep,
            self.best,
            "min" if self.watched is None else self.watched.mode,
            self.max_shard_size,
        )
        self._last = (self.current_run.epoch, self.current_run.total, time.monotonic())
        self.is_asked_to_end = self._has_signal = self._knows_best = False
        if self.steps is not None:
            self.current_run.meet(self.steps)
        if threading.current_thread() is threading.main_thread():
            former = signal.getsignal(signal.SIGTERM)
            if former not in (signal.SIG_IGN, None):
                self._former = former
                signal.signal(signal.SIGTERM, self._preempt)

    def state_dict(self) -> dict[str, Any]:
        """After which epoch and step the last one is written."""
        return {"epoch": self._last[0], "step": self._last[1]}

    def load_state_dict(self, state: Any) -> None:
        """Go on counting from there."""
        self._last = (state["epoch"], state["step"], time.monotonic())

    def _turn(self, run: Any) -> None:
        """Write, if it is time to."""
        self._written.check()
        self._knows_best |= self.best in run.logs
        if processes.count() > 1:
            self.is_asked_to_end = processes.asked_by_any(self._has_signal)
        if self._is_due(run):
            self._last = (run.epoch, run.total, time.monotonic())
            ended = run.epoch if run.step == 0 else None
            self._written.write(self.model, run.whole_state(), run.total, ended)
        if self.is_asked_to_end:
            self._written.wait()
            processes.wait()
            tuning.say("SIGTERM: a checkpoint is in %s.", self.directory, level="warning")
            self._end()

    def _is_due(self, run: Any) -> bool:
        _, step, moment = self._last
        if (
            run.step == 0 and run.batches.step
        ):  # of an epoch that was cut short, the last step counts
            return bool(run.total != step)
        must = self.is_asked_to_end or (run.step > 0 and run.is_stopped)
        ends = run.step == run.batches.steps and run.validation is None
        if ends and not must and self._is_epoch_due(run.epoch + 1):  # which is the next turn
            return False
        due = must or self._is_epoch_due(run.epoch)
        due |= self.steps is not None and run.total // self.steps > step // self.steps
        if self.seconds is not None:
            due |= processes.decided(time.monotonic() - moment) >= self.seconds
        return bool(due)

    def _is_epoch_due(self, done: int) -> bool:
        """Whether one is to be written after so many epochs."""
        return self.epochs is not None and done // self.epochs > self._last[0] // self.epochs

    def on_train_end(self, logs: Logs = None) -> None:
        """Wait until the last one is written."""
        self._written.wait()
        processes.wait()
        if self.best is not None and not self._knows_best:
            warnings.warn(
                "Checkpoint keeps the best one by a metric in the logs. Received: "
                f"best={self.best!r}; available: {sorted(logs or {})}. It kept the last ones.",
                stacklevel=2,
            )

    def _close(self) -> None:
        if self._former is not None:
            signal.signal(signal.SIGTERM, self._former)
        written, self._written = self._written, None
        if written is not None:
            try:
                written.close()
            except Exception as error:  # another one ends training, or who took its steps has left
                tuning.say("A checkpoint could not be written: %s", error, level="warning")
        if self.is_asked_to_end:  # after the last turn
            self._end()
        self._former = None

    def _preempt(self, number: int, frame: Any) -> None:
        if self._has_signal:  # asked twice: at once, then
            signal.signal(number, self._former)
            os.kill(os.getpid(), number)
        self._has_signal = True
        if processes.count() == 1:  # several agree on it between two steps
            self.is_asked_to_end = True

    def _end(self) -> None:
        """Do what the process does at a SIGTERM."""
        self.is_asked_to_end = self._has_signal = False
        if callable(self._former):
            self._former(signal.SIGTERM, None)
        else:
            raise SystemExit(128 + signal.SIGTERM)
