"""A run: what a training, evaluation or prediction is at a moment."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

from ..callbacks import CallbackList
from ..core import tree
from ..core.config import max_steps_per_epoch
from ..data import KeptSource, Source, unpack_x_y_sample_weight
from ..engines import current
from ._batches import Batches
from ._programs import prepare
from ._steps import Steps
from ._values import numbers

Kind = Literal["train", "test", "predict"]


class Run:
    """A training, evaluation or prediction: where it is, and what it goes on with.

    Callbacks find it as `self.current_run`. Its state changes between two steps only: whoever has it then, and
    that of the model and the callbacks, can go on from there (`training._loop`).

    Args:
        model: The model.
        kind: `"train"`, `"test"` or `"predict"`.
        source: The data.
        steps: The steps of an epoch, where they are counted.
        callbacks: Callbacks, or the `CallbackList` of the training that this is a part of.
        verbose: As `fit` takes it.
        epochs: The number of the last epoch.
        epoch: The number of the first one.
        validate: Evaluates the model on other data.
        validation_freq: After how many epochs to validate, or after which.

    Attributes:
        epoch: The number of the epoch, from 0.
        step: How many steps of the epoch are completed.
        total: How many steps are completed in all.
        logs: What the last step gave, by name: tensors, and numbers once an epoch has ended.
        batches: Where reading is.
        function: The program of a step, over the batches of one execution.
        events: Who is told.
    """

    def __init__(
        self,
        model: Any,
        kind: Kind,
        source: Source,
        steps: int | None = None,
        callbacks: Any = None,
        verbose: Any = 0,
        epochs: int = 1,
        epoch: int = 0,
        validate: Callable[[CallbackList], dict[str, Any]] | None = None,
        validation_freq: Any = 1,
    ) -> None:
        self.model, self.kind, self.epochs = model, kind, epochs
        self.validate, self.validation_freq = validate, validation_freq
        self.epoch = self.step = self.total = 0
        self.logs: dict[str, Any] = {}
        counted = isinstance(model.steps_per_execution, int)
        self.batches = Batches(
            source, _limited(steps, source), model.steps_per_execution if counted else 1
        )
        within = isinstance(callbacks, CallbackList) and kind != "train"
        self._owns_events = not within
        self.events = callbacks if within else self._told(callbacks, verbose)
        try:
            self.go_to(epoch)
            prepare(model, self.batches.first(), training=kind == "train")
            self.function: Callable[..., Any] = getattr(model, f"make_{kind}_function")()
            self._set_pace()
        except BaseException:
            self.batches.close()
            raise

    def _told(self, callbacks: Any, verbose: Any) -> CallbackList:
        shown = 1 if verbose == "auto" else int(verbose)
        events = CallbackList.wrap(
            callbacks,
            model=self.model,
            add_history=self.kind == "train",
            add_progbar=shown != 0,
            verbose=shown,
            epochs=self.epochs,
            steps=self.batches.steps,
        )
        events.set_run(self)
        return events

    def go_to(self, epoch: int) -> None:
        """Go on at the beginning of an epoch."""
        self.epoch, self.step = epoch, 0
        self.batches.begin(epoch)

    def state(self) -> dict[str, Any]:
        """Where the run is, as JSON can hold it: numbers, and lists of them where a metric is an array.

        The model's variables, those of its optimizer and metrics among them, and callbacks have their own.
        """
        logs = {name: _plain(value) for name, value in numbers(self.logs).items()}
        return {
            "epoch": self.epoch,
            "step": self.step,
            "total": self.total,
            "logs": logs,
            "batches": self.batches.state(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on where `state` was taken."""
        self.epoch, self.step, self.total = state["epoch"], state["step"], state["total"]
        self.logs = dict(state["logs"])
        self.batches.restore(state["batches"])

    @property
    def is_stopped(self) -> bool:
        """Whether no more steps come."""
        return self.kind == "train" and self.model.stop_training

    def count(self, steps: int) -> None:
        """Say that so many more steps are completed."""
        self.step += steps
        self.total += steps

    def close(self) -> None:
        """Let go of what the run holds: processes of the data, files and the terminal of callbacks."""
        self.batches.close()
        if self._owns_events:
            self.events.close()
            self.events.set_run(None)

    def _set_pace(self) -> None:
        """Let several steps run in one call where that was asked for, or where it is faster and the single
        steps are not seen."""
        batches, function, count = self.batches, self.function, self.model.steps_per_execution
        if not isinstance(function, Steps) or not current().repeats_steps:
            return
        if count not in (1, "auto"):
            batches.together = lambda left: count if left >= count else 1
        elif count == "auto" or not self.events.sees_each(self.kind):
            leaves = [x for x in tree.flatten(batches.first()) if x is not None]
            size = sum(getattr(x, "nbytes", 0) for x in leaves)
            steps = batches.steps or 1
            epoch = min(steps, batches.source.num_batches or steps)
            function.pace.begin(steps * (self.epochs - self.epoch), epoch, size)
            batches.together = function.pace.count


def _limited(steps: int | None, source: Source) -> int | None:
    """The steps of an epoch, as many as the process is allowed."""
    most, known = max_steps_per_epoch(), steps or source.num_batches
    return most if most and (known is None or most < known) else steps


def _plain(value: Any) -> Any:
    return value if isinstance(value, float) else value.tolist()


def validation(
    model: Any, data: Any, batch_size: int | None, steps: int | None
) -> Callable[[CallbackList], dict[str, Any]] | None:
    """What evaluates a model on `validation_data`, within a training that tells callbacks; None without data."""
    if data is None:
        return None
    x, y, sample_weight = (
        unpack_x_y_sample_weight(data) if isinstance(data, (tuple, list)) else (data, None, None)
    )
    if hasattr(x, "__next__"):
        x = KeptSource(x)

    def validate(events: CallbackList) -> dict[str, Any]:
        logs: dict[str, Any] = model.evaluate(
            x,
            y,
            sample_weight=sample_weight,
            batch_size=batch_size,
            steps=steps,
            callbacks=events,
            return_dict=True,
            verbose=0,
        )
        return {f"val_{name}": value for name, value in logs.items()}

    return validate
