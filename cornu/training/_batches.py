"""The batches of training: epoch by epoch, in groups of those that run in one execution."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from .. import tuning
from ..core import tree
from ..data import ArrayPass, make_source


@dataclass(frozen=True)
class Stack:
    """Batches of one shape, with an axis in front that counts them."""

    data: Any
    count: int

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[Any]:
        """The batches, one by one."""
        for i in range(self.count):
            yield tree.map_structure(lambda x, i=i: None if x is None else x[i], self.data)


class Batches:
    """The batches of a source.

    Args:
        source: A `Source`.
        steps: The batches of an epoch, where they are counted.
        per_execution: How many run in one execution.
    """

    def __init__(self, source: Any, steps: int | None, per_execution: int) -> None:
        self.source = source
        self.limit = steps
        self.per_execution = per_execution
        self.steps: int | None = steps if steps is not None else source.num_batches
        #: How many of the next batches to stack, given how many whole ones are left in the epoch.
        self.together: Callable[[int], int] = lambda left: 1
        self._peeked: list[Any] = []
        self._open: Any = None
        self._seen = 0

    def begin(self, epoch: int) -> None:
        """Let the next batch be that with which an epoch begins.

        Shuffled data has an order for each pass. A pass may last for several epochs: in deterministic mode
        it goes on where it would be by then.
        """
        orders, count = self.source.orders, self.source.num_batches
        epochs = 1 if not count or self.limit is None else -(-count // max(1, self.limit))
        read = epoch % epochs * (self.limit or 0) if tuning.deterministic() else 0
        if orders is None and not read:
            return
        self.close()
        self._peeked.clear()
        if orders is not None:
            orders.number = epoch // epochs
        self._open, self._seen = iter(self.source), read
        for _ in range(read):
            next(self._open, None)

    def first(self) -> Any:
        """The first batch, which the next epoch gives again."""
        if not self._peeked:
            if self._open is None:
                self._open = iter(self.source)
            try:
                if isinstance(self._open, ArrayPass):
                    return self._open.peek()
                self._peeked.append(next(self._open))
            except StopIteration:
                raise ValueError(
                    "Data must have at least one batch. Received: a source that gave none. Check "
                    "its length, or whether a generator was used up before."
                ) from None
        return self._peeked[0]

    def __iter__(self) -> Iterator[tuple[int, int, list[Any] | Stack]]:
        """The batches of each execution, a list or a `Stack`, and the numbers of its first and last step.

        The last execution of an epoch is numbered as if it were whole, as in Keras.
        """
        self.source.on_epoch_begin()
        step = 0
        group: list[Any] = []
        for data in self._epoch():
            if isinstance(data, Stack):
                yield step, step + len(data) - 1, data
                step += len(data)
                continue
            group.append(data)
            if len(group) == self.per_execution:
                yield step, step + len(group) - 1, group
                step, group = step + len(group), []
        if group:
            yield step, step + self.per_execution - 1, group
        self.source.on_epoch_end()

    def _epoch(self) -> Iterator[Any]:
        """The batches of one epoch: a pass, or so many steps on from where the last epoch ended."""
        given = 0
        while self.limit is None or given < self.limit:
            data = self._next(None if self.limit is None else self.limit - given)
            if data is None:
                if self.limit is not None:
                    self._warn_of_end(given)
                self._start_again()
                return
            count = len(data) if isinstance(data, Stack) else 1
            given += count
            self._seen += count
            yield data
        count = self.source.num_batches
        if self.limit is None or (count is not None and self._seen >= count):
            self._start_again()

    def _start_again(self) -> None:
        self._open = None
        self._seen = 0

    def _next(self, left: int | None) -> Any:
        """The next batch, or a `Stack` of the next ones; None at the end of a pass."""
        if self._peeked:
            return self._peeked.pop()
        if self._open is None:
            self._open = iter(self.source)
        if isinstance(self._open, ArrayPass):
            whole = self._open.whole if self._open.stacks else 0
            count = self.together(whole if left is None else min(whole, left))
            if count > 1:
                return Stack(self._open.stacked(count), count)
        return next(self._open, None)

    def _warn_of_end(self, given: int) -> None:
        warnings.warn(
            f"The data ended after {given} of {self.limit} steps. Make the source give "
            "`steps_per_epoch * epochs` batches, or repeat.",
            stacklevel=2,
        )

    def close(self) -> None:
        """Let the source's threads and processes end."""
        close = getattr(self._open, "close", None)
        if close is not None:
            close()
        self._open = None
        self.source.close()


class Kept:
    """The batches of a generator, kept as they are read, so that each validation sees the same."""

    def __init__(self, generator: Iterator[Any]) -> None:
        self._source = iter(make_source(generator))
        self._batches: list[Any] = []
        self._complete = False

    def __iter__(self) -> Iterator[Any]:
        yield from self._batches
        if not self._complete:
            self._complete = True
            for batch in self._source:
                self._batches.append(batch)
                yield batch
