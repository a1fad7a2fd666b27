"""BackupAndRestore: training that goes on after it was interrupted."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from ..core import processes
from ._callback import Logs
from ._checkpoint import Checkpoint
from ._saving import SaveFrequency

#: What Keras writes.
_METADATA, _WEIGHTS = "training_metadata.json", "latest.weights.h5"


class BackupAndRestore(Checkpoint):
    """Back up the training's state, so that the same `fit`, run again, goes on where it stopped.

    It is a `Checkpoint` of which `fit` needs not be told. Backups of Keras are read too.

    Args:
        backup_dir: The directory, for one training alone.
        save_freq: `"epoch"`, or after how many batches to back up.
        double_checkpoint: Whether the backup before the last is kept too, and used if the last one
            can't be read.
        delete_checkpoint: Whether the backup is removed when training has ended.

    Raises:
        ValueError: If there is no `backup_dir`, or `save_freq` is not one of those.
    """

    def __init__(
        self,
        backup_dir: str | os.PathLike[str],
        save_freq: Any = "epoch",
        double_checkpoint: bool = False,
        delete_checkpoint: bool = True,
    ) -> None:
        if not backup_dir:
            raise ValueError(
                f"`backup_dir` must be the path of a directory. Received: {backup_dir=}."
            )
        frequency = SaveFrequency(save_freq)
        super().__init__(
            backup_dir,
            epochs=1 if frequency.by_epoch else None,
            steps=None if frequency.by_epoch else max(frequency.batches, 1),
            keep=2 if double_checkpoint else 1,
        )

    def on_train_begin(self, logs: Logs = None) -> None:
        """Go on from the last backup that can be read, if there is one."""
        super().on_train_begin(logs)
        last = self._written.last()
        if last is not None:
            self.current_run.resume(last)
        elif (metadata := Path(self.backup_dir, _METADATA)).exists():
            self.model.load_weights(metadata.with_name(_WEIGHTS))
            self.current_run.go_to(int(json.loads(metadata.read_text())["epoch"]))

    def on_train_end(self, logs: Logs = None) -> None:
        """Remove the backups, if they are to be removed."""
        super().on_train_end(logs)
        if self.delete_checkpoint and processes.is_first():
            for name in (_METADATA, _WEIGHTS):
                Path(self.backup_dir, name).unlink(missing_ok=True)
            self._written.remove()
