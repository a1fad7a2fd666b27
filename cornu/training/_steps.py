"""A step as native calls: one at a time, or several in one call where nobody looks between them.

A call costs more than a small step computes: for an MLP 13-32-1 and batches of 32, 72 us on JAX and 300
us on TensorFlow, of which 6 and 14 us are left where 32 steps run in one call. It takes another
compilation, so it is made once the time that it may save is worth that.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from .. import tuning
from ..core import tree
from ..core.state import CompiledStep, RepeatedStep
from ..core.variable import Variable
from ..engines import Engine, current
from ._batches import Stack


class Steps:
    """A step over variables, run on one batch after the other.

    Args:
        step: Takes a batch; what it gives for the last one is the result.
        changing, constant, jit: As `core.state.CompiledStep` takes them.
    """

    def __init__(
        self,
        step: Callable[[Any], Any],
        changing: Sequence[Variable],
        constant: Sequence[Variable],
        jit: bool | None,
    ) -> None:
        def in_turn(batches: Sequence[Any]) -> Any:
            return [step(data) for data in batches][-1]

        self.one = CompiledStep(in_turn, changing, constant, jit)
        self.several = RepeatedStep(step, changing, constant, jit)
        self.paces: dict[Engine, Pace] = {}

    @property
    def pace(self) -> Pace:
        """How fast steps are on the current engine."""
        engine = current()
        if engine not in self.paces:
            self.paces[engine] = Pace(engine)
        return self.paces[engine]

    def __call__(self, execution: Sequence[Any] | Stack) -> Any:
        """The result of the last step of an execution: a list of batches, or batches stacked."""
        pace = self.pace
        if not isinstance(execution, Stack):
            return pace.timed(self.one, execution) if pace.is_measuring else self.one(execution)
        if not pace.fails:
            try:
                return pace.queued(self.several, execution.data)
            except Exception as error:
                if self.several.is_traced:  # steps may have run: again they would count twice
                    raise
                # Nothing has run. What is wrong with the step itself, it says again below.
                tuning.say(
                    "Steps run one by one, for several can't be traced in one call: %r.", error
                )
                pace.fails = True
        return [self.one([data]) for data in execution][-1]


class AccumulatingSteps:
    """A step whose optimizer accumulates gradients, as two programs: one adds to them, one applies them too.

    Which one is next is counted here, from the optimizer's own count at the beginning of an epoch.

    Args:
        step: Takes a batch; it applies gradients once.
        optimizer: The optimizer.
        compiled: Makes a program of a step.
    """

    def __init__(
        self, step: Callable[[Any], Any], optimizer: Any, compiled: Callable[[Any], Any]
    ) -> None:
        self.optimizer = optimizer
        self.programs = [compiled(self._when(due, step)) for due in (False, True)]
        self.count = 0

    def _when(self, due: bool, step: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def run(data: Any) -> Any:
            self.optimizer._due = due
            try:
                return step(data)
            finally:
                self.optimizer._due = None

        return run

    def begin(self) -> None:
        """Count from where the optimizer is."""
        self.count = int(self.optimizer._iterations.numpy())

    def __call__(self, execution: Sequence[Any]) -> Any:
        """The result of the last step of an execution, a list of batches."""
        result = None
        for data in execution:
            self.count += 1
            result = self.programs[self.count % self.optimizer.gradient_accumulation_steps == 0](
                data
            )
        return result


class Pace:
    """How many steps to run in one call on an engine, from what the first ones took."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        #: Whether several steps in one call have failed here.
        self.fails = False
        #: Whether the time of a step is not known yet.
        self.is_measuring = engine.repeats_steps
        self._calls = 0
        self._compiling = self._started = self._each = 0.0
        self._single = self._ahead = self._epoch = self._bytes = 0
        self._size = 1
        self._waiting: deque[Any] = deque([None, None], maxlen=2)

    def timed(self, call: Callable[[Any], Any], execution: Sequence[Any]) -> Any:
        """The result of a call, from whose time is learned: the first one compiles."""
        self._calls += 1
        if self._calls == 2:
            self._started = time.perf_counter()
        start = time.perf_counter()
        result = call(execution)
        if self._calls == 1:
            self._compiling = time.perf_counter() - start
        elif self._calls == 1 + tuning.MEASURED_STEPS:
            self._wait(result)
            self._each = (time.perf_counter() - self._started) / tuning.MEASURED_STEPS
            self.is_measuring = False
        return result

    def queued(self, call: Callable[[Any], Any], data: Any) -> Any:
        """The result of a call, made while the one before it may still run, but none before that: the data of
        those that wait takes memory."""
        self._wait(self._waiting[0])
        self._waiting.append(call(data))
        return self._waiting[1]

    def _wait(self, result: Any) -> None:
        for x in tree.flatten(result or ())[:1]:
            self.engine.synchronize(x)

    def begin(self, steps: int, epoch: int, size: int) -> None:
        """Begin a run of steps, so many in all and in an epoch, on batches of so many bytes: what lies before
        is not its time."""
        self._calls = min(self._calls, 1)
        self._ahead, self._epoch, self._bytes = steps, epoch, size

    def count(self, left: int) -> int:
        """How many of the next steps to run in one call, where whole batches are left in the epoch."""
        if self._size == 1 and left > 1 and self._is_worth_it():
            calls, fits = tuning.LONG_CALL / self._each, tuning.MOST_BYTES // max(self._bytes, 1)
            most = min(tuning.MOST_STEPS, int(calls), fits)
            self._size = self._epoch // math.ceil(self._epoch / max(most, 1))
            tuning.say("%d steps of %.2g s run in one call from now on.", self._size, self._each)
        count = self._size if left >= self._size else 1
        self._ahead -= count
        return count

    def _is_worth_it(self) -> bool:
        """Whether the steps done one by one and those ahead took longer than compiling once more."""
        is_short = 0 < self._each < tuning.SHORT_STEP
        if self.is_measuring or self.fails or not is_short or not tuning.several_steps():
            return False
        self._single += 1
        return (self._single + self._ahead) * self._each > self._compiling
