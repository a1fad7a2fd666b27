"""The loop: training, evaluation and prediction as one generator over a run.

Between two of its turns all callbacks know of the steps before, none of the next one, and `Run.state` says where
it goes on. Who takes the turns may save the run there, look at it, or leave.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Generator
from contextlib import nullcontext
from typing import Any

from ..data import unpack_x_y_sample_weight
from ..engines.memory import while_fitting
from ._run import Run
from ._steps import AccumulatingSteps
from ._values import numbers


def loop(run: Run) -> Generator[None, None, None]:
    """Run what is left: a turn for each execution and, in training, one for the end of each epoch."""
    events, training = run.events, run.kind == "train"
    try:
        if run.kind == "test":
            run.model.reset_metrics()
        getattr(events, f"on_{run.kind}_begin")()
        with while_fitting() if training else nullcontext():
            yield from _epochs(run) if training else _steps(run)
        if run.kind == "test":
            run.logs = numbers(run.logs)
        getattr(events, f"on_{run.kind}_end")({} if run.kind == "predict" else run.logs)
    finally:
        run.close()


def _epochs(run: Run) -> Generator[None, None, None]:
    model, events = run.model, run.events
    while run.epoch < run.epochs:
        if not run.step:
            model.reset_metrics()
            run.logs = {}
        events.on_epoch_begin(run.epoch)
        yield from _steps(run)
        logs = numbers(run.logs)
        if run.validate is not None and _is_due(run.epoch, run.validation_freq):
            logs.update(run.validate(events))
        run.logs = dict(sorted(logs.items()))
        events.on_epoch_end(run.epoch, run.logs)
        _warn_of_nan(run)
        run.epoch, run.step = run.epoch + 1, 0
        yield
        if run.is_stopped:
            break
    if run.epochs > 0 and hasattr(model.optimizer, "finalize_variable_values"):
        model.optimizer.finalize_variable_values(model.trainable_weights)


def _steps(run: Run) -> Generator[None, None, None]:
    """The steps of one epoch, a turn for each execution."""
    begin = getattr(run.events, f"on_{run.kind}_batch_begin")
    end = getattr(run.events, f"on_{run.kind}_batch_end")
    if isinstance(run.function, AccumulatingSteps):
        run.function.begin()
    for first, last, execution in run.batches:
        begin(first)
        run.logs = _result(run, execution)
        run.count(len(execution))
        end(last, run.logs)
        yield
        if run.is_stopped:
            break


def _result(run: Run, execution: Any) -> dict[str, Any]:
    """What the steps of an execution give. Batches are made ready for their program here."""
    if run.kind != "predict":
        results: dict[str, Any] = run.function(execution)
        return results
    return {"outputs": run.function([(unpack_x_y_sample_weight(data)[0],) for data in execution])}


def _is_due(epoch: int, frequency: Any) -> bool:
    if isinstance(frequency, int):
        return (epoch + 1) % frequency == 0
    return epoch + 1 in frequency


def _warn_of_nan(run: Run) -> None:
    loss = run.logs.get("loss")
    if isinstance(loss, float) and math.isnan(loss) and not run.model.stop_training:
        warnings.warn(
            f"The loss is NaN after epoch {run.epoch + 1}. Received: loss=nan of the model "
            f"{run.model.name!r}. Look for NaN in the data, lower the learning rate, set `clipnorm`, or "
            "stop early with `cornu.callbacks.TerminateOnNaN()`.",
            stacklevel=3,
        )
