"""ModelCheckpoint: the model, or its weights, saved as training goes on."""

from __future__ import annotations

import os
import warnings
from typing import Any

import numpy as np

from ._callback import Logs
from ._monitor import Monitor, Watching
from ._saving import SaveFrequency
from .progress import say


class ModelCheckpoint(Watching):
    """Save the model, or its weights, after epochs or batches.

    Args:
        filepath: The file, ending as `model.save` takes it, such as `.keras`, or for weights
            `model.save_weights`, such as `.weights.h5`. `{epoch:02d}`, `{batch}` and metrics such
            as `{val_loss:.2f}` in it are filled in.
        monitor: The metric's name in the logs, for `save_best_only`.
        verbose: Whether 0 or 1: to say when a file is written.
        save_best_only: Whether to save only where the metric has improved.
        save_weights_only: Whether to save weights instead of the model.
        mode: `min` if smaller is better, `max` if larger is, `auto` to find it.
        save_freq: `"epoch"`, or after how many batches to save.
        initial_value_threshold: The value of the metric that is to be improved on at first.

    Raises:
        ValueError: If the file's ending, or `save_freq`, is not one of those.
        KeyError: When saving, if the path names a metric that is not in the logs.
        OSError: When saving, if the path is a directory or can't be written.

    >>> callback = ModelCheckpoint("model-{epoch:02d}.keras", save_best_only=True)
    """

    in_trials = False
    gathers = True

    _state = ("best", "frequency")

    def __init__(
        self,
        filepath: str | os.PathLike[str],
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        save_weights_only: bool = False,
        mode: str = "auto",
        save_freq: Any = "epoch",
        initial_value_threshold: float | None = None,
    ) -> None:
        from ..saving import endings

        super().__init__()
        self.watched = Monitor("ModelCheckpoint", monitor, mode)
        self.frequency = SaveFrequency(save_freq)
        self.sees_each_batch = not self.frequency.by_epoch
        self.filepath = os.fspath(filepath)
        self.best = initial_value_threshold
        self._epoch = 0
        fits, others = (
            (endings.is_weights, endings.WEIGHTS)
            if save_weights_only
            else (endings.is_model, endings.MODELS)
        )
        if not fits(self.filepath):
            raise ValueError(
                f"`filepath` must end in {' or '.join(others)} with {save_weights_only=}. "
                f"Received: filepath={self.filepath!r}."
            )

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Save, if it is time to."""
        if self.frequency.is_due(batch):
            self._save(self._epoch, batch, logs)

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Keep the epoch's number, for the path."""
        self._epoch = epoch

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Save, if it is time to."""
        if self.frequency.by_epoch:
            self._save(epoch, None, logs)

    def _save(self, epoch: int, batch: int | None, logs: Logs) -> None:
        logs = dict(logs or {})
        path = self._path(epoch, batch, logs)
        if self.save_best_only and not self._is_best(epoch, logs, path):
            return
        if not self.save_best_only and self.verbose > 0:
            say(f"Epoch {epoch + 1}: saving model to {path}")
        if os.path.isdir(path):
            raise OSError(
                f"ModelCheckpoint needs the path of a file. Received: {path!r}, a directory. "
                "Choose another `filepath`."
            )
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        if self.save_weights_only:
            self.model.save_weights(path, overwrite=True)
        else:
            self.model.save(path, overwrite=True)

    def _is_best(self, epoch: int, logs: dict[str, Any], path: str) -> bool:
        """Whether the metric has improved; also where it can't be compared, to be safe."""
        self.watched.resolve(self.model)
        current = self.watched.value(logs)
        if current is None or np.ndim(current):
            warnings.warn(
                "ModelCheckpoint saves the best model by a number in the logs. Received: "
                f"{self.monitor}={current}; it saves all. Available: {sorted(logs)}.",
                stacklevel=4,
            )
            return True
        improved = self.watched.improves(current, self.best)
        if self.verbose > 0:
            best = "none" if self.best is None else f"{self.best:.5f}"
            change = (
                f"improved from {best} to {current:.5f}, saving model to {path}"
                if improved
                else f"did not improve from {best}"
            )
            say(f"Epoch {epoch + 1}: {self.monitor} {change}")
        if improved:
            self.best = current
        return improved

    def _path(self, epoch: int, batch: int | None, logs: dict[str, Any]) -> str:
        fields = {"epoch": epoch + 1, **logs} | ({} if batch is None else {"batch": batch + 1})
        try:
            return self.filepath.format(**fields)
        except KeyError as error:
            raise KeyError(
                f"`filepath` may name {sorted(fields)}. "
                f"Received: filepath={self.filepath!r}, which names {error}."
            ) from error
