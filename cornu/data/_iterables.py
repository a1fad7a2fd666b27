"""Generators, and other libraries' loaders: batches are read as they come."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ._batch import as_arrays, outline, weighted
from ._source import Source


class GeneratorSource(Source):
    """A generator or iterator of tuples: every pass goes on where the last one stopped.

    It is read in the caller's thread: a generator's frame can't be closed while another thread runs
    it, and steps are dispatched without waiting, so reading overlaps with them already.
    """

    def __init__(self, generator: Iterator[Any]) -> None:
        self._generator = generator
        self._peeked: list[Any] = []
        try:
            self._peeked.append(self._checked(next(generator)))
        except StopIteration:
            raise ValueError(
                "A generator must yield at least one batch. Received: one that has ended. Make a "
                "new generator for each call."
            ) from None

    def __iter__(self) -> Iterator[Any]:
        while self._peeked:
            yield self._peeked.pop()
        for batch in self._generator:
            yield self._checked(batch)

    @staticmethod
    def _checked(batch: Any) -> Any:
        if not isinstance(batch, tuple):
            raise ValueError(
                "A generator must yield tuples: `(x,)`, `(x, y)` or `(x, y, sample_weight)`. "
                f"Received: {outline(batch)}. Write `yield x, y`."
            )
        return as_arrays(batch)


class IterableSource(Source):
    """An object that gives its batches anew each time it is iterated over: a data loader, say."""

    def __init__(
        self, iterable: Iterable[Any], class_weight: Mapping[Any, float] | None = None
    ) -> None:
        self.iterable = iterable
        self.class_weight = class_weight
        size = getattr(iterable, "batch_size", None)
        self.batch_size = size if isinstance(size, int) else None

    @property
    def num_batches(self) -> int | None:
        """What its `len` says, where it has one; grain's repeats for ever by a length of `sys.maxsize`."""
        try:
            count = len(self.iterable)  # type: ignore[arg-type]
            return count if count < sys.maxsize else None
        except (TypeError, NotImplementedError):
            return None

    def __iter__(self) -> Iterator[Any]:
        for batch in self.iterable:
            whole = tuple(batch) if isinstance(batch, list) else batch
            yield weighted(as_arrays(whole), self.class_weight)
