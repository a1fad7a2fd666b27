"""The loop: training, evaluation and prediction as one generator over a run.

Between two of its turns all callbacks know of the steps before, none of the next one, and `Run.state` says where
it goes on. Who takes the turns may save the run there, look at it, or leave.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Generator, Iterator
from contextlib import nullcontext
from typing import Any, Literal

from .. import random, tuning
from ..callbacks.logs import LazyLogs
from ..callbacks.progress import SLOW_DATA
from ..engines.memory import while_fitting
from ._home import at_home
from ._padding import counted, predicted
from ._restoring import as_it_was
from ._run import Run
from ._steps import AccumulatingSteps
from ._values import numbers

Turn = Literal["steps", "epoch"]
Turns = Generator[Turn, None, None]


class LeftValidation(Exception):
    """A validation was left, for the process is asked to end."""


def loop(run: Run) -> Turns:
    """Run what is left: a turn for the steps of each execution and, in training, one for the end of each epoch."""
    events, training = run.events, run.kind == "train"
    try:
        with (
            as_it_was(run.model, run.before) if run.before is not None else nullcontext(),
            while_fitting() if training else nullcontext(),
        ):
            if run.kind == "test":
                run.model.reset_metrics()
            getattr(events, f"on_{run.kind}_begin")()
            yield from _epochs(run) if training else _steps(run)
            if run.kind == "test":
                run.logs = numbers(run.logs)
            getattr(events, f"on_{run.kind}_end")({} if run.kind == "predict" else run.logs)
    finally:
        run.close()


def _epochs(run: Run) -> Turns:
    model, events, validation = run.model, run.events, run.validation
    if not (run.step and run.has_epochs):
        run.settle()
    while run.has_epochs:
        if run.epochs is None and run.batches.has_ended:
            warnings.warn(
                f"The data ended after {run.total} steps, before `max_steps` or `max_time`. Make the source "
                "repeat.",
                stacklevel=2,
            )
            break
        if not run.step:
            model.reset_metrics()
            run.logs, run.validated = {}, {}
        events.on_epoch_begin(run.epoch)
        run.settle()
        if run.has_steps:
            yield from _steps(run)
        logs = numbers(run.logs)
        if validation is not None and validation.is_due_after(run.epoch):
            run.validated = _validated(run, "epoch")
        run.validating = None
        run.logs = dict(sorted({**logs, **run.validated}.items()))
        events.on_epoch_end(run.epoch, run.logs)
        _warn_of_nan(run)
        if run.waiting >= SLOW_DATA:
            tuning.say(
                "Data is the bottleneck of epoch %d: %.0f %% of its time went into waiting for batches. A "
                "PyDataset reads ahead by `workers`, a DataLoader by `num_workers`, tf.data by `prefetch`.",
                run.epoch + 1,
                100 * run.waiting,
            )
        run.epoch, run.step = run.epoch + 1, 0
        events.turn(run)
        yield "epoch"
        if run.is_stopped:
            break
    if run.epochs != 0 and hasattr(model.optimizer, "finalize_variable_values"):
        model.optimizer.finalize_variable_values(model.trainable_weights)


def _steps(run: Run) -> Turns:
    """The steps of one epoch, a turn for each execution."""
    begin = getattr(run.events, f"on_{run.kind}_batch_begin")
    end = getattr(run.events, f"on_{run.kind}_batch_end")
    if isinstance(run.function, AccumulatingSteps):
        run.function.begin()
    training = run.kind == "train"
    if run.validating:
        _after(run, end, run.step - 1)
        yield "steps"
    for first, last, execution in run.batches:
        begin(first)
        run.execution = execution
        run.logs = _result(run, execution)
        run.count(len(execution))
        _after(run, end, last)
        yield "steps"
        if training and run.is_stopped:
            break


def _after(run: Run, end: Callable[..., None], last: int) -> None:
    """What comes after the steps of an execution, of which the last has that number."""
    if run.intervals and run.validates:
        run.validated = _validated(run, "steps")
        run.logs = {**run.logs, **run.validated}
    run.validating = None
    end(last, run.logs)
    if run.kind == "train":
        run.events.turn(run)
    elif run.is_within and run.events.is_asked_to_end:
        raise LeftValidation


def _validated(run: Run, after: Literal["steps", "epoch"]) -> dict[str, Any]:
    """What a validation gives. If the process is asked to end meanwhile it is left; who goes on begins it anew."""
    validation: Any = run.validation
    while True:
        run.validating, before = after, random.process_state()
        try:
            return (
                validation.between_steps(run.events) if after == "steps" else validation(run.events)
            )
        except LeftValidation:
            random.set_process_state(before)
            run.events.turn(run)  # which comes back where the process stays


def _result(run: Run, execution: Any) -> dict[str, Any]:
    """What the steps of an execution give. Batches are made ready for their program here."""
    if run.kind == "predict":
        return {"outputs": predicted(run.function, run.padding, execution)}
    if run.counts:
        execution = counted(run.padding, execution)
    results: dict[str, Any] = run.function(execution)
    return results


def _warn_of_nan(run: Run) -> None:
    loss = run.logs.get("loss")
    if isinstance(loss, float) and math.isnan(loss) and not run.model.stop_training:
        warnings.warn(
            f"The loss is NaN after epoch {run.epoch + 1}. Received: loss=nan of the model "
            f"{run.model.name!r}. `cornu.callbacks.TerminateOnNaN(locate=True)` says where it is made. Look "
            "for NaN in the data, lower the learning rate, or set `clipnorm`.",
            stacklevel=3,
        )


class Step:
    """What `model.steps` gives after each step, or after several that ran in one call.

    Attributes:
        number: How many steps of the training are completed.
        epoch: The number of the epoch, from 0.
        logs: The metrics since the epoch began, by name; they wait for the device when they are read.
    """

    def __init__(self, run: Run) -> None:
        self.number, self.epoch = run.total, run.epoch
        self.logs: dict[str, Any] = LazyLogs(run.logs)
        self._model = run.model

    def stop(self) -> None:
        """End the training after this step, and its epoch, of which callbacks are told."""
        self._model.stop_training = True

    def __repr__(self) -> str:
        return f"<Step {self.number}, epoch={self.epoch}>"


class StepByStep(Iterator[Step]):
    """A training that goes on by a step whenever it is asked for the next one."""

    def __init__(self, run: Run) -> None:
        self.home = run.model.home
        self._run, self._turns = run, loop(run)

    @at_home
    def __next__(self) -> Step:
        for turn in self._turns:
            if turn == "steps":
                return Step(self._run)
        raise StopIteration

    @at_home
    def close(self) -> None:
        """Leave the training: files and processes are let go of, callbacks are not told."""
        self._turns.close()
