"""A run: what a training, evaluation or prediction is at a moment."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from .. import random, tuning
from ..callbacks import CallbackList, logger
from ..core import layouts, processes, tree
from ..core.checks import is_size, positive_integer
from ..core.config import max_epochs, max_steps_per_epoch
from ..data import DEFAULT_BATCH_SIZE, Source, make_source, train_validation_split
from ..engines import current
from ._batches import Batches, read_by
from ._padding import Padding
from ._placing import Placing
from ._programs import logged, prepare
from ._restoring import Before
from ._steps import Steps
from ._validation import Validation
from ._values import numbers

if TYPE_CHECKING:
    from ._nan import Origin

Kind = Literal["train", "test", "predict"]
#: More steps than any training takes.
_MANY = 10**12


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
        epochs: The number of the last epoch, if there is one.
        epoch: The number of the first one.
        validation: Evaluates the model on other data.
        max_steps, max_time: After how many steps in all, or how many seconds, it ends.
        before: What it was before, if it is a trial: then all comes out as it went in.
        resume: A checkpoint to go on from.

    Attributes:
        epoch: The number of the epoch, from 0.
        step: How many steps of the epoch are completed.
        total: How many steps are completed in all.
        logs: What the last step gave, by name: tensors, and numbers once an epoch has ended.
        validated: What the last validation of the epoch gave.
        validating: Whether a validation comes next, or runs: after `"steps"` of an epoch or the `"epoch"`. One that
            is left is for who goes on.
        batches: Where reading is.
        function: The program of a step, over the batches of one execution.
        execution: The batches of the last execution.
        events: Who is told.
        is_within: Whether it is a validation of a training.
        intervals: At multiples of which steps something is to happen: none of them is within an execution.
    """

    def __init__(
        self,
        model: Any,
        kind: Kind,
        source: Source,
        steps: int | None = None,
        callbacks: Any = None,
        verbose: Any = 0,
        epochs: int | None = 1,
        epoch: int = 0,
        validation: Validation | None = None,
        max_steps: int | None = None,
        max_time: float | None = None,
        before: Before | None = None,
        resume: Any = None,
    ) -> None:
        self.model, self.kind, self.before = model, kind, before
        self.epochs, self.max_steps, self.max_time = epochs, max_steps, max_time
        self.validation = validation
        self.intervals: list[int] = []
        self._resumed: Any = None
        self.epoch = self.step = self.total = 0
        self.logs: dict[str, Any] = {}
        self.validated: dict[str, Any] = {}
        self.validating: Literal["steps", "epoch"] | None = None
        self.execution: Any = []
        self._started, self._told_seconds = time.perf_counter(), 0.0
        self._told_at: tuple[int, int] | None = None
        self._several = processes.count() > 1
        if source.orders is not None and self._several:
            source.orders.seed = processes.decided(np.uint32(source.orders.seed))
        source = read_by(model, source)
        counted = isinstance(model.steps_per_execution, int)
        self.batches = Batches(
            source, _limited(steps, source), model.steps_per_execution if counted else 1
        )
        self.batches.is_computing = self._is_computing
        self.batches.placing = Placing.of(source)
        if max_steps is not None:
            self.batches.room = self._room
        if validation is not None and validation.interval is not None:
            self.meet(validation.interval)
        self.is_within = isinstance(callbacks, CallbackList) and kind != "train"
        self.events = callbacks if self.is_within else self._told(callbacks, verbose)
        try:
            self.go_to(epoch)
            prepare(model, self.batches.first(), training=kind == "train")
            if kind == "train":
                if (distribution := layouts.current()) is not None:
                    distribution.check(model)
                told = self.events.callbacks
                model._programs.guard_if(any(getattr(c, "locates_nan", False) for c in told))
            self.padding = Padding(model, kind)
            self.function: Callable[..., Any] = (
                model._programs.get("counted")
                if self._counts_samples()
                else getattr(model, f"make_{kind}_function")()
            )
            self._set_pace()
            if resume is not None:
                self.resume(resume)
        except BaseException:
            self.batches.close()
            if validation is not None:
                validation.close()
            if before is not None:
                before.restore(model)
            raise

    def _counts_samples(self) -> bool:
        """Whether the last batch of an evaluation may be short, and then is filled up."""
        source, steps = self.batches.source, self.batches.steps
        may_be_short = source.has_partial_batch is not False and (steps is None or steps > 1)
        self.counts = (
            self.kind == "test"
            and may_be_short
            and self.batches.placing is None
            and self.padding.allows(self.batches.first())
        )
        return self.counts

    def _told(self, callbacks: Any, verbose: Any) -> CallbackList:
        shown = 1 if verbose == "auto" else int(verbose)
        if not processes.is_first():  # number 0 tells, and writes, for all
            shown = 0
            callbacks = [
                c
                for c in tree.flatten(callbacks)
                if getattr(c, "in_trials", True) or getattr(c, "gathers", False)
            ]
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

    @property
    def waiting(self) -> float:
        """The share of the epoch's time that went into waiting for data, between 0 and 1."""
        return self.batches.waiting

    def _is_computing(self) -> bool:
        """Whether the steps before are still being computed."""
        found = tree.flatten(self.logs)[:1]
        engine = current()
        return bool(found) and engine.is_tensor(found[0]) and not engine.is_ready(found[0])

    def go_to(self, epoch: int) -> None:
        """Go on at the beginning of an epoch."""
        self.epoch, self.step = epoch, 0
        self.batches.begin(epoch)

    def state(self) -> dict[str, Any]:
        """Where the run is, as JSON can hold it: numbers, and lists of them where a metric is an array.

        The model's variables, those of its optimizer and metrics among them, and callbacks have their own.
        """
        return {
            "epoch": self.epoch,
            "step": self.step,
            "total": self.total,
            "logs": _plain(self.logs),
            "validated": _plain(self.validated),
            "validating": self.validating,
            "told": _plain({name: told.value for name, told in logged(self.model).items()}),
            "batches": self.batches.state(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on where `state` was taken."""
        self.epoch, self.step, self.total = state["epoch"], state["step"], state["total"]
        self.logs, self.validated = dict(state["logs"]), dict(state["validated"])
        self.validating = state.get("validating")
        for name, told in logged(self.model).items():
            told.assign(state["told"].get(name, 0))
        self.batches.restore(state["batches"])

    def whole_state(self) -> dict[str, Any]:
        """`state`, with what callbacks know and where the process's random numbers are."""
        own = {"callbacks": self.events.state(), "random": random.process_state()}
        return self.state() | own

    def resume(self, checkpoint: Any) -> None:
        """Go on from a checkpoint: from its place at once, with what the model and callbacks knew once they
        `settle`."""
        state = checkpoint.state()
        self._resumed = checkpoint, state
        self.restore(state)
        tuning.say("Training goes on after %d steps, from %s.", self.total, checkpoint.path)

    def settle(self) -> None:
        """Give the model and callbacks what a checkpoint has of them, once they have heard of the beginning: that of
        the training, and of the epoch where it is in the middle of one."""
        resumed, self._resumed = self._resumed, None
        if resumed is not None:
            checkpoint, state = resumed
            checkpoint.restore(self.model)
            self.events.restore(state["callbacks"])
            random.set_process_state(state["random"])

    @property
    def has_epochs(self) -> bool:
        """Whether another epoch comes, or goes on: one that a limit cut short, to its end."""
        is_left = self.epochs is None or self.epoch < self.epochs
        ended_by = None if self.step else self.ended_by
        return is_left and not self.model.stop_training and ended_by is None

    @property
    def has_steps(self) -> bool:
        """Whether steps of the epoch may be left: not in one that goes on after a limit, or at its validation."""
        return not (self.step and self.ended_by) and self.validating != "epoch"

    @property
    def is_stopped(self) -> bool:
        """Whether no more steps of training come, be the epoch at its end or not."""
        return self.model.stop_training or self.ended_by is not None

    @property
    def ended_by(self) -> str | None:
        """The limit that was reached, `"max_steps"` or `"max_time"`, if any."""
        if self.max_steps is not None and self.total >= self.max_steps:
            return "max_steps"
        if self.max_time is not None and self._elapsed() >= self.max_time:
            return "max_time"
        return None

    def _elapsed(self) -> float:
        """The seconds since it began; of several processes those of number 0, told once after each execution."""
        elapsed = time.perf_counter() - self._started
        if not self._several:
            return elapsed
        if self._told_at != (self.epoch, self.total):
            self._told_at = self.epoch, self.total
            self._told_seconds = float(processes.decided(elapsed))
        return self._told_seconds

    @property
    def validates(self) -> bool:
        """Whether a validation comes after the steps that are completed, within the epoch."""
        interval = None if self.validation is None else self.validation.interval
        return interval is not None and self.total % interval == 0

    def meet(self, interval: int) -> None:
        """Let executions end at the multiples of so many steps."""
        self.intervals.append(interval)
        self.batches.room = self._room

    def _room(self) -> int:
        """How many of the next steps may run in one execution, for something is to happen after them."""
        ahead = [interval - self.total % interval for interval in self.intervals]
        if self.max_steps is not None:
            ahead.append(self.max_steps - self.total)
        return max(1, min(ahead))

    def nan_origin(self) -> Origin | None:
        """Where the first NaN came from, once a step has given one and a callback has `locates_nan`."""
        return self.model._programs.guard.origin(self.model, self.execution)

    def count(self, steps: int) -> None:
        """Say that so many more steps are completed."""
        self.step += steps
        self.total += steps

    def close(self) -> None:
        """Let go of what the run holds, of each whatever others raise: processes of the data, files and the terminal
        of callbacks."""
        with ExitStack() as stack:
            if not self.is_within:
                stack.callback(self.events.set_run, None)
                stack.callback(self.events.close)
            if self.validation is not None:
                stack.callback(self.validation.close)
            stack.callback(self.batches.close)

    def _set_pace(self) -> None:
        """Let several steps run in one call where that was asked for, or where it is faster and the single
        steps are not seen."""
        batches, function, count = self.batches, self.function, self.model.steps_per_execution
        if not isinstance(function, Steps) or not current().repeats_steps or self._several:
            return  # several processes would choose by clocks of their own
        if count not in (1, "auto"):
            batches.together = lambda left: count if left >= count else 1
        elif count == "auto" or not self.events.sees_each(self.kind):
            leaves = [x for x in tree.flatten(batches.first()) if x is not None]
            size = sum(getattr(x, "nbytes", 0) for x in leaves)
            steps = batches.steps or 1
            epoch = min(steps, batches.source.num_batches or steps)
            function.pace.begin(self._ahead(steps), epoch, size)
            batches.together = function.pace.count

    def _ahead(self, steps: int) -> int:
        """How many steps may come, of epochs of so many."""
        most = math.inf if self.epochs is None else steps * (self.epochs - self.epoch)
        return int(min(most, self.max_steps or _MANY))


def _limited(steps: int | None, source: Source) -> int | None:
    """The steps of an epoch, as many as the process is allowed."""
    most, known = max_steps_per_epoch(), steps or source.num_batches
    return most if most and (known is None or most < known) else steps


def _plain(logs: Mapping[str, Any]) -> dict[str, Any]:
    found = numbers(logs)
    return {name: x if isinstance(x, float) else x.tolist() for name, x in found.items()}


def training(
    *,
    self: Any,
    x: Any,
    y: Any,
    batch_size: int | None,
    epochs: int | None,
    verbose: Any,
    callbacks: Any,
    validation_split: float,
    validation_data: Any,
    shuffle: bool,
    class_weight: Any,
    sample_weight: Any,
    initial_epoch: int,
    steps_per_epoch: int | None,
    validation_steps: int | None,
    validation_batch_size: int | None,
    validation_freq: Any,
    max_steps: int | None,
    max_time: Any,
    val_check_interval: int | None,
    fast_dev_run: bool | int,
    loggers: Any,
    drop_remainder: bool,
    resume: Any,
    is_trial: bool = False,
) -> Run:
    """The run of a model's `fit` that was called with these arguments."""
    before = Before.of(self) if is_trial or fast_dev_run else None
    self._require_compiled("fit")
    self.stop_training = False
    if validation_split and validation_data is None:
        (x, y, sample_weight), validation_data = train_validation_split(
            (x, y, sample_weight), validation_split=validation_split
        )
    if loggers is not None:
        callbacks = [*tree.flatten(callbacks), *map(logger, tree.flatten(loggers))]
    if not is_size(initial_epoch, 0):
        raise ValueError(
            "`initial_epoch` must be the number of epochs that are done. Received: "
            f"initial_epoch={initial_epoch!r}. Pass 0 to begin."
        )
    if val_check_interval is not None and validation_data is None:
        raise ValueError(
            "`val_check_interval` goes with data to validate on. Received: "
            f"val_check_interval={val_check_interval!r}, validation_data=None. Pass `validation_data`."
        )
    if fast_dev_run:
        positive_integer(fast_dev_run=int(fast_dev_run))
        steps_per_epoch = validation_steps = int(fast_dev_run)
        batch_size = batch_size or DEFAULT_BATCH_SIZE  # not the data divided by these steps
        epochs, validation_freq, val_check_interval = initial_epoch + 1, 1, None
        callbacks = [c for c in tree.flatten(callbacks) if getattr(c, "in_trials", True)]
    source = make_source(
        x,
        y,
        sample_weight,
        batch_size=batch_size,
        steps=steps_per_epoch,
        shuffle=shuffle,
        class_weight=class_weight,
        drop_remainder=drop_remainder,
    )
    validation = None
    if validation_data is not None:
        validation = Validation(
            self,
            validation_data,
            validation_batch_size or batch_size,
            validation_steps,
            validation_freq,
            val_check_interval,
        )
    return Run(
        self,
        "train",
        source,
        steps_per_epoch,
        callbacks,
        verbose,
        epochs=_last_epoch(epochs, max_steps, max_time),
        epoch=initial_epoch,
        validation=validation,
        max_steps=max_steps,
        max_time=_seconds(max_time),
        before=before,
        resume=None if resume is None or before is not None else self._checkpoints(resume).last(),
    )


def _last_epoch(epochs: int | None, max_steps: int | None, max_time: Any) -> int | None:
    if max_steps is not None:
        positive_integer(max_steps=max_steps)
    if epochs is None and max_steps is None and max_time is None:
        raise ValueError(
            "Training must have an end. Received: epochs=None, max_steps=None, max_time=None. Pass one of them."
        )
    allowed = max_epochs()
    return allowed if epochs is None else min(epochs, allowed or epochs)


def _seconds(max_time: Any) -> float | None:
    if max_time is None:
        return None
    seconds = max_time.total_seconds() if isinstance(max_time, timedelta) else max_time
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not seconds > 0:
        raise ValueError(
            "`max_time` must be a positive number of seconds, or a timedelta. Received: "
            f"max_time={max_time!r}. Pass 3600 for an hour, say."
        )
    return float(seconds)
