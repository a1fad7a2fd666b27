"""BackupAndRestore: training that goes on after it was interrupted."""

from __future__ import annotations

import json
import os
import warnings
from pathlib import Path
from typing import Any

from ..core.files import remove_drafts, replacing_together
from ._callback import Callback, Logs
from ._saving import SaveFrequency

_METADATA = "training_metadata.json"
_PREVIOUS = "training_metadata.json.bkp"
#: The weights of a backup whose metadata doesn't name them.
_WEIGHTS = "latest.weights.h5"


class BackupAndRestore(Callback):
    """Back up the training's state, so that the same `fit`, run again, goes on where it stopped.

    A backup is never half written: weights go to a file of their own, and only when they are there
    does the metadata name it.

    Args:
        backup_dir: The directory, for one training alone.
        save_freq: `"epoch"`, or after how many batches to back up; training goes on at the
            beginning of the epoch in which that was.
        double_checkpoint: Whether the backup before the last is kept too, and used if the last one
            can't be read.
        delete_checkpoint: Whether the backup is removed when training has ended.

    Raises:
        ValueError: If there is no `backup_dir`, or `save_freq` is not one of those.
    """

    in_trials = False

    def __init__(
        self,
        backup_dir: str | os.PathLike[str],
        save_freq: Any = "epoch",
        double_checkpoint: bool = False,
        delete_checkpoint: bool = True,
    ) -> None:
        super().__init__()
        if not backup_dir:
            raise ValueError(
                f"`backup_dir` must be the path of a directory. Received: {backup_dir=}."
            )
        self.frequency = SaveFrequency(save_freq)
        self.sees_each_batch = not self.frequency.by_epoch
        self.backup_dir = Path(backup_dir)
        self._epoch = 0
        self._last_batch = 0

    def on_train_begin(self, logs: Logs = None) -> None:
        """Restore the last backup that can be read, if there is one."""
        backups = [p for name in (_METADATA, _PREVIOUS) if (p := self.backup_dir / name).exists()]
        for position, metadata in enumerate(backups, start=1):
            try:
                content = json.loads(metadata.read_text())
                weights = self.backup_dir / content.get("weights", _WEIGHTS)
                self.model.load_weights(str(weights))
            except (OSError, ValueError, KeyError) as error:
                if position == len(backups):
                    raise
                warnings.warn(
                    f"The last backup can't be read; the one before it is used. Received: {error}.",
                    stacklevel=2,
                )
                continue
            self._epoch = int(content["epoch"])
            self.current_run.go_to(self._epoch)
            return

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Keep the epoch's number."""
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Back up, if it is time to."""
        if self.frequency.is_due(batch):
            self._save(self._epoch, batch)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Back up, if it is time to."""
        if self.frequency.by_epoch:
            self._save(epoch + 1, 0)

    def on_train_end(self, logs: Logs = None) -> None:
        """Remove the backup, if it is to be removed."""
        if not self.delete_checkpoint or not self.backup_dir.exists():
            return
        for name in (_METADATA, _PREVIOUS):
            (self.backup_dir / name).unlink(missing_ok=True)
        self._remove_weights(keep=set())
        if not any(self.backup_dir.iterdir()):
            self.backup_dir.rmdir()

    def _save(self, epoch: int, batch: int) -> None:
        self.backup_dir.mkdir(parents=True, exist_ok=True)
        weights = f"epoch-{epoch}-batch-{batch}.weights.h5"
        metadata, keep = self.backup_dir / _METADATA, {weights}
        with replacing_together(metadata) as draft:
            self.model.save_weights(os.path.join(draft, weights), overwrite=True)
            content = {"epoch": epoch, "batch": batch, "weights": weights}
            Path(draft, _METADATA).write_text(json.dumps(content))
            if self.double_checkpoint and metadata.exists():
                Path(draft, _PREVIOUS).write_text(before := metadata.read_text())
                keep.add(json.loads(before).get("weights", _WEIGHTS))
        self._remove_weights(keep)

    def _remove_weights(self, keep: set[str]) -> None:
        remove_drafts(self.backup_dir)
        for path in self.backup_dir.glob("*.weights.h5"):
            if path.name not in keep:
                path.unlink()
