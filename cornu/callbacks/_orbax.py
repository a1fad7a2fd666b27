"""OrbaxCheckpoint: the state of a training in checkpoints of Orbax's, written beside the next steps."""

from __future__ import annotations

import os
import warnings
from typing import Any

from ._callback import Logs
from ._monitor import Monitor, Watching
from ._saving import SaveFrequency
from .progress import say


class OrbaxCheckpoint(Watching):
    """Write weights, the optimizer and metrics as a tree of arrays, with Orbax, and the model's config.

    `orbax.checkpoint` gives the tree, which `Model.set_state_tree` takes, here as in Keras. What `fit(resume=)` goes on
    from are the checkpoints of `Checkpoint`, which have the place in the data as well.

    Args:
        directory: The directory, in which each checkpoint is a folder named by its epoch, from 0, or by its batch.
        monitor: The metric's name in the logs, for `save_best_only`.
        verbose: Whether 0 or 1: to say when a checkpoint is written.
        save_best_only: Whether to save only where the metric has improved.
        mode: `min` if smaller is better, `max` if larger is, `auto` to find it.
        save_freq: `"epoch"`, or after how many batches to save.
        initial_value_threshold: The value of the metric that is to be improved on at first.
        max_to_keep: How many of the last ones stay; None for all.
        save_on_background: Whether training goes on while files are written.
        save_weights_only: Whether the optimizer, metrics and the config are left out.

    Raises:
        ValueError: If `save_freq` is neither.
        ModuleNotFoundError: If `orbax-checkpoint` is not installed.
    """

    in_trials = False
    gathers = True
    _state = ("best", "frequency", "_seen")

    def __init__(
        self,
        directory: str | os.PathLike[str],
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        mode: str = "auto",
        save_freq: Any = "epoch",
        initial_value_threshold: float | None = None,
        max_to_keep: int | None = 1,
        save_on_background: bool = True,
        save_weights_only: bool = False,
    ) -> None:
        super().__init__()
        self.watched = Monitor("OrbaxCheckpoint", monitor, mode)
        self.frequency = SaveFrequency(save_freq)
        self.sees_each_batch = not self.frequency.by_epoch
        self.best = initial_value_threshold
        self._seen, self._last = 0, -1
        self._orbax = _orbax()
        self._writer: Any = None
        self._pending: Any = None

    def is_multihost_enabled(self) -> bool:
        """Whether several processes write one checkpoint: so far none do."""
        return False

    def is_primary_host(self) -> bool:
        """Whether this process writes."""
        return True

    def wait_until_finished(self) -> None:
        """Wait until the last checkpoint is written.

        Raises:
            OSError: If it could not be.
        """
        pending, self._pending = self._pending, None
        if pending is not None:
            pending.result()

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Save, if it is time to."""
        self._seen += batch + 1 if batch <= self._last else batch - self._last
        self._last = batch
        if self.frequency.is_due(batch):
            self._save(self._seen, logs)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Save, if it is time to."""
        self._last = -1
        if self.frequency.by_epoch:
            self._save(epoch, logs)

    def on_train_end(self, logs: Logs = None) -> None:
        """Wait for the last one."""
        self.wait_until_finished()

    def _close(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()

    def _save(self, step: int, logs: Logs) -> None:
        if self.save_best_only and not self._improves(dict(logs or {})):
            return
        self.wait_until_finished()
        if self.verbose > 0:
            say(f"OrbaxCheckpoint: saving step {step} to {os.fspath(self.directory)}")
        groups = self.model.get_state_tree("numpy_array")
        written: dict[str, Any] = {"pytree": groups}
        if self.save_weights_only:
            kinds = ("trainable_variables", "non_trainable_variables")
            written = {"pytree": {kind: groups[kind] for kind in kinds}}
        else:
            written["model_config"] = {"config": self.model.to_json()}
        arguments = {"force": True, "overwrite": True}
        if self.save_on_background:
            writer = self._checkpoints()
            self._pending = writer.save_checkpointables_async(step, written, **arguments)
        else:
            self._checkpoints().save_checkpointables(step, written, **arguments)

    def _checkpoints(self) -> Any:
        if self._writer is None:
            training = self._orbax.training
            keep = training.preservation_policies.LatestN(self.max_to_keep)
            self._writer = training.Checkpointer(
                os.path.abspath(self.directory), preservation_policy=keep
            )
        return self._writer

    def _improves(self, logs: dict[str, Any]) -> bool:
        self.watched.resolve(self.model)
        value = self.watched.value(logs)
        if value is None:
            warnings.warn(
                "OrbaxCheckpoint saves the best state by a number in the logs. Received: "
                f"monitor={self.monitor!r}; available: {sorted(logs)}. It saves all.",
                stacklevel=4,
            )
            return True
        if not self.watched.improves(value, self.best):
            return False
        self.best = value
        return True


def _orbax() -> Any:
    try:
        from orbax.checkpoint import v1
    except ImportError as error:
        raise ModuleNotFoundError(
            "OrbaxCheckpoint writes by Orbax. Received: no such package, or an older one. Install it with: "
            "pip install 'cornu[orbax]'",
            name=error.name,
        ) from error
    return v1
