"""Requests that share a run: what waits for a model, in sizes that it was warmed for.

All but the runs themselves happens in one event loop, so nothing here is locked. Requests that came in while the
loop was busy are one batch; a batch that takes less than `_AT_ONCE` runs in the loop itself, since handing it
to a thread and back costs about 100 us.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any, NamedTuple

import numpy as np

from ._failures import Failure
from ._model import Model
from ._options import Limits
from ._running import Array

Outputs = dict[str, Array]
#: The seconds up to which a run may stop the loop.
_AT_ONCE = 1e-3


class Execution(NamedTuple):
    """One run of a model.

    Args:
        rows: The rows of requests in it.
        size: The rows that it ran with: those that filled it up are among them.
        seconds: How long it took.
    """

    rows: int
    size: int
    seconds: float


@dataclass
class Counters:
    """What a version has done.

    Attributes:
        requests: Requests that were answered.
        failures: Those that were not, by the code.
        rows: Rows that were computed for requests.
        padding: Rows that filled batches up.
        sizes: How many runs there were of each size.
        queue_seconds: What requests have waited, in all.
        run_seconds: What runs took, in all.
        last: When the last request was answered, in seconds since 1970.
    """

    requests: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    rows: int = 0
    padding: int = 0
    sizes: Counter[int] = field(default_factory=Counter)
    queue_seconds: float = 0.0
    run_seconds: float = 0.0
    last: float = 0.0


#: Told of each batch: its runs, and the seconds that each of its requests has waited.
Watch = Callable[[Sequence[Execution], Sequence[float]], None]


class _Request:
    """A request that waits."""

    __slots__ = ("arrays", "arrived", "deadline", "future", "key", "outputs", "rows")

    def __init__(
        self, arrays: dict[str, Array], outputs: tuple[str, ...], rows: int, deadline: float | None
    ) -> None:
        self.arrays, self.outputs, self.rows, self.deadline = arrays, outputs, rows, deadline
        self.arrived = time.monotonic()
        self.key: Any = None
        self.future: asyncio.Future[Outputs] = asyncio.get_running_loop().create_future()


class Batcher:
    """The queues of a model. All calls come from one event loop.

    Args:
        model: The model.
        limits: How many rows a run has, and how many wait.
        watch: Told of each batch.

    Attributes:
        waiting: The rows that wait now.
        counters: What was done.
    """

    def __init__(
        self,
        model: Model,
        limits: Limits,
        watch: Watch | None = None,
    ) -> None:
        self.model, self.limits, self._watch = model, limits, watch
        self.waiting, self.counters = 0, Counters()
        self._sizes = limits.sizes
        self._queues: dict[Any, OrderedDict[_Request, None]] = {}
        self._working: asyncio.Task[None] | None = None
        self._arrival = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, "cornu-serving")

    async def run(
        self,
        inputs: Mapping[str, Any],
        outputs: Sequence[str] | None = None,
        deadline: float | None = None,
    ) -> Outputs:
        """The outputs for a request's inputs, as `Model.predict` gives them.

        Args:
            inputs: An array for each input, with any number of rows.
            outputs: Which outputs; all where they are left out.
            deadline: Until when the answer is of use, by `time.monotonic()`.

        Raises:
            Failure: If the inputs don't fit or can't be computed, too many rows wait, or the time is over.
        """
        try:
            request = self._enqueued(inputs, outputs, deadline)
            try:
                async with asyncio.timeout_at(deadline):
                    found = await request.future
            except TimeoutError:
                raise _late() from None
            finally:  # who asked may have left
                self._forget(request)
        except (Failure, asyncio.CancelledError) as failure:
            self.counters.failures[getattr(failure, "code", "CANCELLED")] += 1
            raise
        self.counters.requests += 1
        self.counters.last = time.time()
        return found

    # ------------------------------------------------------------------- queue

    def _enqueued(self, inputs: Any, outputs: Any, deadline: float | None) -> _Request:
        """A request in its queue: with those that may share a run with it."""
        arrays, wanted = self.model.fitted(inputs), self.model.wanted(outputs)
        shared = self.model.batched
        rows = len(next(iter(arrays.values()))) if shared else 1
        if self.waiting and self.waiting + rows > self.limits.max_queue:
            raise Failure(
                "RESOURCE_EXHAUSTED",
                f"{self.waiting} rows wait for the model {self.model.name!r}, whose queue holds "
                f"{self.limits.max_queue} (max_queue). Received: {rows} more. Try again later.",
            )
        request = _Request(arrays, wanted, rows, deadline)
        shapes = tuple(x.shape[1:] for x in arrays.values())
        request.key = (wanted, shapes) if shared else request
        self._queues.setdefault(request.key, OrderedDict())[request] = None
        self.waiting += rows
        self._arrival.set()
        if self._working is None:
            self._working = asyncio.get_running_loop().create_task(self._work())
        return request

    def _forget(self, request: _Request) -> None:
        """Take a request out of its queue, if it is still there."""
        queue = self._queues.get(request.key)
        if queue is not None and request in queue:
            del queue[request]
            self.waiting -= request.rows
            if not queue:
                del self._queues[request.key]

    def _oldest(self) -> _Request:
        """The request that has waited longest: the first of its queue."""
        return min((next(iter(queue)) for queue in self._queues.values()), key=lambda x: x.arrived)

    def _take(self) -> list[_Request]:
        """The requests of the next run, in the order in which they came."""
        now, rows = time.monotonic(), 0
        batch: list[_Request] = []
        queue = self._queues[self._oldest().key]
        while queue:
            request = next(iter(queue))
            is_late = request.deadline is not None and request.deadline <= now
            if request.future.done():  # who asked has left
                pass
            elif is_late:
                request.future.set_exception(_late())
            elif batch and rows + request.rows > self._sizes[-1]:
                break
            else:
                batch.append(request)
                rows += request.rows
            self._forget(request)
        return batch

    async def _filling(self) -> None:
        """Wait for more rows, as long as a batch may."""
        until = self._oldest().arrived + self.limits.max_delay_ms / 1e3
        while self._queues:
            rows = sum(request.rows for request in self._queues[self._oldest().key])
            left = until - time.monotonic()
            if left <= 0 or rows >= self._sizes[-1]:
                return
            self._arrival.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._arrival.wait()

    # -------------------------------------------------------------------- runs

    async def _work(self) -> None:
        """Run what waits until nothing does."""
        try:
            while self._queues:
                if self.limits.max_delay_ms:
                    await self._filling()
                if self._queues and (batch := self._take()):
                    await self._answer(batch)
        finally:
            self._working = None

    async def _answer(self, batch: list[_Request]) -> None:
        started = time.monotonic()
        if short := self._is_short(sum(request.rows for request in batch)):
            answers, executions = self._answers(batch)
        else:
            loop = asyncio.get_running_loop()
            answers, executions = await loop.run_in_executor(self._thread, self._answers, batch)
        for request, answer in zip(batch, answers, strict=True):
            if request.future.done():  # who asked has left
                continue
            if isinstance(answer, Failure):
                request.future.set_exception(answer)
            else:
                request.future.set_result(answer)
        self._count(executions, [started - request.arrived for request in batch])
        if short and self._queues:
            await asyncio.sleep(0)  # others may come in

    @property
    def takes_long(self) -> bool:
        """Whether requests wait for a run that is not short."""
        return self.waiting > 0 and not self._is_short(min(self.waiting, self._sizes[-1]))

    def _is_short(self, rows: int) -> bool:
        """Whether a run of so many rows may stop the loop."""
        short = self.model.seconds.get(self._size(rows), 1.0) < _AT_ONCE
        return short and self.model.in_memory

    def _size(self, rows: int) -> int:
        """The size of a run of so many rows; they are more than the largest in a batch of one request alone."""
        return next((size for size in self._sizes if size >= rows), rows)

    def _answers(self, batch: list[_Request]) -> tuple[list[Outputs | Failure], list[Execution]]:
        """What to tell each of the requests: after an error each by itself, so that one fails alone."""
        executions: list[Execution] = []
        try:
            return [*self._computed(batch, executions)], executions
        except Exception as error:
            if len(batch) == 1:
                return [self.model.failure(error)], executions
        answers: list[Outputs | Failure] = []
        for request in batch:
            found, more = self._answers([request])
            answers += found
            executions += more
        return answers, executions

    def _computed(self, batch: list[_Request], executions: list[Execution]) -> list[Outputs]:
        outputs = batch[0].outputs
        largest = self._sizes[-1]
        if not self.model.batched or (len(batch) == 1 and batch[0].rows <= largest):
            return [self._run(batch[0].arrays, outputs, executions)]
        arrays = _joined([request.arrays for request in batch])
        ends = [*accumulate(request.rows for request in batch)]
        parts = [
            self._run({n: x[i : i + largest] for n, x in arrays.items()}, outputs, executions)
            for i in range(0, ends[-1], largest)
        ]
        found = _joined(parts)
        begins = [0, *ends[:-1]]
        return [
            {name: x[begin:end] for name, x in found.items()}
            for begin, end in zip(begins, ends, strict=True)
        ]

    def _run(
        self, arrays: dict[str, Array], outputs: tuple[str, ...], executions: list[Execution]
    ) -> Outputs:
        """One run, filled up to a size with the last row again; only the rows that were asked for."""
        rows = len(next(iter(arrays.values()))) if self.model.batched else 1
        size = self._size(rows)
        if size > rows:
            arrays = {
                n: np.concatenate([x, np.repeat(x[-1:], size - rows, axis=0)])
                for n, x in arrays.items()
            }
        start = time.perf_counter()
        found = self.model.compute(arrays, outputs)
        seconds = time.perf_counter() - start
        executions.append(Execution(rows, size, seconds))
        self.model.seconds[size] = seconds
        return {n: x[:rows] for n, x in found.items()} if size > rows else found

    def _count(self, executions: list[Execution], waited: list[float]) -> None:
        counters = self.counters
        counters.queue_seconds += sum(waited)
        for execution in executions:
            counters.rows += execution.rows
            counters.padding += execution.size - execution.rows
            counters.sizes[execution.size] += 1
            counters.run_seconds += execution.seconds
        if self._watch is not None:
            self._watch(executions, waited)


def _joined(parts: list[dict[str, Array]]) -> dict[str, Array]:
    """Arrays of the same names, one behind the other."""
    if len(parts) == 1:
        return parts[0]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _late() -> Failure:
    return Failure("DEADLINE_EXCEEDED", "The time of the request was over before it was answered.")
