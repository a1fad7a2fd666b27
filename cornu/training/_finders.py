"""Finders: what training with many learning rates, or batch sizes, would be like; the model stays as it is."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..callbacks import Callback
from ..callbacks.logs import as_number
from ..core import tree
from ..core.checks import positive_integer
from ..core.figures import GREY, TRAINING, VALIDATION, drawing
from ..engines import current
from ..optimizers.schedules import LearningRateSchedule
from ._loop import loop
from ._run import training

#: The size of a curve's figure, in inches.
_SIZE = (6.4, 4.0)
#: A sweep ends where that many losses in a row are so many times the mean of those before: they only grow from
#: there on. Losses of tiny batches differ by more than that, but not all on one side.
DIVERGED, IN_A_ROW = 4.0, 3
#: The share of the best throughput at which a larger batch is no longer worth it.
ENOUGH = 0.95


class _Found:
    """What a finder gives; its numbers would fill the screen."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__} suggestion={self.suggestion!r}>"  # type: ignore[attr-defined]


@dataclass(frozen=True, repr=False)
class LearningRates(_Found):
    """The loss at each learning rate of a sweep, rates in ascending order.

    Attributes:
        rates: The learning rates.
        losses: The loss of the batch that was trained on with each.
    """

    rates: list[float]
    losses: list[float]

    @property
    def smoothed(self) -> list[float]:
        """The losses, each as the mean of those around it: what one batch does differs from another."""
        if not self.losses:
            return []
        half = max(3, len(self.losses) // 10)
        around = np.pad(self.losses, half, mode="edge")
        found: list[float] = np.convolve(around, np.full(2 * half + 1, 1.0), "valid").tolist()
        return [total / (2 * half + 1) for total in found]

    @property
    def suggestion(self) -> float | None:
        """A tenth of the rate at which the smoothed loss is least, which is about to diverge; None where it
        never falls."""
        least = int(np.argmin(self.smoothed or [0.0]))
        return self.rates[least] / 10 if least else None

    def plot(self, path: str | os.PathLike[str] | None = None) -> Any:
        """The curve as a figure of matplotlib, written to a file if there is a path."""
        with drawing(*_SIZE, path) as figure:
            axes = figure.subplots()
            axes.set(xlabel="learning rate", ylabel="loss", xscale="log")
            axes.plot(self.rates, self.losses, color=GREY, alpha=0.5)
            axes.plot(self.rates, self.smoothed, color=TRAINING)
            if self.suggestion is not None:
                axes.axvline(self.suggestion, color=VALIDATION, linestyle="dotted")
        return figure


@dataclass(frozen=True, repr=False)
class BatchSizes(_Found):
    """The time of a step at each batch size, in ascending order.

    Attributes:
        sizes: The batch sizes that fit into memory.
        seconds: The time of a step with each.
        error: What the next size ended with, where memory was too small for it.
    """

    sizes: list[int]
    seconds: list[float]
    error: BaseException | None = None

    @property
    def throughput(self) -> list[float]:
        """Samples in a second."""
        return [size / seconds for size, seconds in zip(self.sizes, self.seconds, strict=True)]

    @property
    def largest(self) -> int:
        """The largest batch that fits."""
        return self.sizes[-1]

    @property
    def suggestion(self) -> int:
        """The smallest batch with which training is nearly as fast as with any."""
        best = max(self.throughput)
        pairs = zip(self.sizes, self.throughput, strict=True)
        return next(size for size, rate in pairs if rate >= ENOUGH * best)

    def plot(self, path: str | os.PathLike[str] | None = None) -> Any:
        """The curve as a figure of matplotlib, written to a file if there is a path."""
        with drawing(*_SIZE, path) as figure:
            axes = figure.subplots()
            axes.set(xlabel="batch size", ylabel="samples in a second")
            axes.set_xscale("log", base=2)
            axes.plot(self.sizes, self.throughput, color=TRAINING, marker="o")
            axes.axvline(self.suggestion, color=VALIDATION, linestyle="dotted")
        return figure


class _Sweep(LearningRateSchedule):
    """Rates from the lowest to the highest, each so many times the one before."""

    def __init__(self, first: int, lowest: float, highest: float, steps: int) -> None:
        self.first, self.lowest = first, lowest
        self.growth = math.log(highest / lowest) / max(1, steps - 1)

    def __call__(self, step: Any) -> Any:
        from .. import ops

        return self.lowest * ops.exp(self.growth * ops.cast(step - self.first, "float32"))


class _Losses(Callback):
    """The loss of each batch, with the rate that it was trained with, until it diverges."""

    def __init__(self, optimizer: Any) -> None:
        super().__init__()
        self.optimizer = optimizer
        self.found = LearningRates([], [])

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Keep the rate, and let the loss be that of this batch alone."""
        self.model.reset_metrics()
        self.rate = float(as_number(self.optimizer.learning_rate))

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Keep the loss."""
        loss = float(logs["loss"])
        if math.isfinite(loss):
            self.found.rates.append(self.rate)
            self.found.losses.append(loss)
        before, last = self.found.losses[:-IN_A_ROW], self.found.losses[-IN_A_ROW:]
        if not math.isfinite(loss) or (before and min(last) > DIVERGED * np.mean(before)):
            self.model.stop_training = True


class _Clock(Callback):
    """The time of each step but the first, which compiles."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float] = []
        self._before: float | None = None

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Take the time, once the device is done."""
        dict(logs)
        now = time.perf_counter()
        if self._before is not None:
            self.seconds.append(now - self._before)
        self._before = now


def find_learning_rate(
    model: Any, lowest: float, highest: float, steps: int, given: dict[str, Any]
) -> LearningRates:
    """Train for some steps with rising rates, and undo it. `given` is for `fit`."""
    positive_integer(steps=steps)
    if not 0 < lowest < highest:
        raise ValueError(
            "Learning rates rise from a positive one. "
            f"Received: lowest={lowest}, highest={highest}. Pass 1e-7 and 10, say."
        )
    model._require_compiled("find_learning_rate")
    scaled = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    optimizers = list(getattr(scaled, "optimizers", [scaled]))
    watching = _Losses(optimizers[0])
    with _with_rates(model, optimizers, lowest, highest, steps):
        _tried(model, watching, steps, given)
    return watching.found


@contextmanager
def _with_rates(
    model: Any, optimizers: list[Any], lowest: float, highest: float, steps: int
) -> Iterator[None]:
    """Within it, optimizers have rising rates, and programs are made for them."""
    rates = [optimizer._learning_rate for optimizer in optimizers]
    programs = vars(model).pop("_programs", None)
    try:
        for optimizer in optimizers:
            first = int(as_number(optimizer.iterations))
            optimizer._learning_rate = _Sweep(first, lowest, highest, steps)
        yield
    finally:
        for optimizer, rate in zip(optimizers, rates, strict=True):
            optimizer._learning_rate = rate
        vars(model).pop("_programs", None)
        if programs is not None:
            vars(model)["_programs"] = programs


def find_batch_size(
    model: Any, smallest: int, largest: int | None, steps: int, given: dict[str, Any]
) -> BatchSizes:
    """Train for some steps with batches of doubling sizes, and undo it. `given` is for `fit`."""
    positive_integer(
        smallest=smallest, steps=steps, largest=smallest if largest is None else largest
    )
    leaves = [x for x in tree.flatten(given["x"]) if x is not None]
    if not all(hasattr(x, "shape") and len(x.shape) for x in leaves):
        raise TypeError(
            "Batches of many sizes are cut from arrays. "
            f"Received: x={type(given['x']).__name__}. Pass some samples as arrays."
        )
    samples = int(leaves[0].shape[0])
    sizes: list[int] = []
    seconds: list[float] = []
    error: Exception | None = None
    size = smallest
    while size <= min(samples, largest or samples):
        clock = _Clock()
        whole = {**given, "batch_size": size, "drop_remainder": True}
        try:
            _tried(model, clock, steps + 1, whole)
        except Exception as raised:
            if not current().is_out_of_memory(raised):
                raise
            error = raised
            break
        sizes.append(size)
        seconds.append(float(np.median(clock.seconds)))
        size *= 2
    if not sizes:
        raise ValueError(
            "The smallest batch must fit. "
            f"Received: smallest={smallest}, of {samples} samples. Pass a smaller one."
        ) from error
    return BatchSizes(sizes, seconds, error)


def _tried(model: Any, callback: Callback, steps: int, given: dict[str, Any]) -> None:
    """Train for some steps, told to a callback, and undo it."""
    run = training(**{**given, "callbacks": [callback], "max_steps": steps}, is_trial=True)
    run.meet(1)  # each step is looked at
    with closing(loop(run)) as turns:
        for _ in turns:
            pass
