"""Stages of data: each gives the elements at places, in the order of the places.

What shuffles, takes or skips says other places, and nothing else: so a pass goes on in its middle without reading what
came before, and any stage may be computed ahead by several workers. What has no known length (what a filter lets
through, say) is a stream: it gives its elements from a place on, and reads those before.
"""

from __future__ import annotations

import itertools
import os
import sys
import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..core import tree
from ..engines import use
from ._threads import read_ahead
from ._workers import Workers

#: Where the places of what has no known length end.
END = sys.maxsize
Join = Callable[[Sequence[Any]], Any]
Places = Sequence[int]


class Turn(NamedTuple):
    """One pass over data."""

    seed: int
    number: int
    #: Whether stages compute ahead; those within a worker don't, as it is ahead already.
    ahead: bool = True


class Stage:
    """Elements at places, or a stream of them."""

    #: How many there are; None for a stream, which is read from a place on to `END`.
    length: int | None = None
    #: Samples in an element that is a batch.
    batch_size: int | None = None
    #: Whether `gather` gives batches, for less than their elements cost.
    gathers = False

    def read(self, turn: Turn, places: Places) -> Iterator[Any]:
        """The elements at places, in their order."""
        raise NotImplementedError

    def gather(self, turn: Turn, places: Places) -> Any:
        """The elements at places, as a batch."""
        raise NotImplementedError

    def all(self, turn: Turn, start: int = 0) -> Iterator[Any]:
        """The elements from a place on."""
        return self.read(turn, range(start, END if self.length is None else self.length))


class Elements(Stage):
    """A sequence, or arrays in a structure with the elements along their first axes."""

    def __init__(self, data: Any) -> None:
        self.data = data
        leaves = tree.flatten(data) if isinstance(data, (tuple, dict, np.ndarray)) else []
        self.gathers = bool(leaves) and all(isinstance(leaf, np.ndarray) for leaf in leaves)
        self.length = len(leaves[0]) if self.gathers else len(data)

    def read(self, turn: Turn, places: Places) -> Iterator[Any]:
        """The elements at places."""
        for place in places:
            yield self._at(int(place)) if self.gathers else self.data[int(place)]

    def gather(self, turn: Turn, places: Places) -> Any:
        """Rows of the arrays."""
        return self._at(np.asarray(places))

    def _at(self, place: Any) -> Any:
        return tree.map_structure(lambda array: array[place], self.data)


class After(Stage):
    """A stage after another one, whose elements it has unless it says otherwise."""

    def __init__(self, source: Stage) -> None:
        self.source = source

    @property
    def length(self) -> int | None:  # type: ignore[override]
        """How many there are."""
        return self.source.length

    @property
    def batch_size(self) -> int | None:  # type: ignore[override]
        """Samples in an element that is a batch."""
        return self.source.batch_size


class Mapped(After):
    """What a function makes of each element, given its parts one by one where it is a tuple."""

    def __init__(self, source: Stage, function: Callable[..., Any]) -> None:
        super().__init__(source)
        self.function = function

    def read(self, turn: Turn, places: Places) -> Iterator[Any]:
        """The function of the elements at places."""
        for element in self.source.read(turn, places):
            yield applied(self.function, element)


class Filtered(After):
    """The elements that a function is true of."""

    length = None

    def __init__(self, source: Stage, function: Callable[..., Any]) -> None:
        super().__init__(source)
        self.function = function

    def read(self, turn: Turn, places: Places) -> Iterator[Any]:
        """The elements from a place on."""
        kept = (x for x in self.source.all(turn) if np.all(applied(self.function, x)))
        return itertools.islice(kept, places[0], None)


class Placed(After):
    """Elements of another stage at a range of places."""

    def __init__(self, source: Stage, start: int = 0, stop: int = END, step: int = 1) -> None:
        super().__init__(source)
        self.range = range(start, stop, step)

    @property
    def length(self) -> int | None:  # type: ignore[override]
        """How many there are."""
        known = self.source.length
        return None if known is None else len(self.range[: _count(self.range, known)])

    @property
    def gathers(self) -> bool:  # type: ignore[override]
        """Whether the other stage gives batches."""
        return self.source.gathers

    def read(self, turn: Turn, places: Places) -> Iterator[Any]:
        """The elements at places of the range."""
        if self.source.length is not None:
            return self.source.read(turn, _at(self.range, places))
        left = self.range[places[0] :]
        rest = self.source.read(turn, range(left.start, END))
        return itertools.islice(rest, 0, max(0, left.stop - left.start), left.step)

    def gather(self, turn: Turn, places: Places) -> Any:
        """The elements at places of the range, as a batch."""
        return self.source.gather(turn, _at(self.range, places))


class Shuffled(After):
    """The elements in an order of the pass.

    Args:
        source: What is shuffled, as a whole if it is no stream.
        size: How many elements of a stream wait, of which one is drawn after the other.
        seed: Where the orders come from; None for the seed of the pass.
        anew: Whether each pass has an order of its own.
    """

    def __init__(self, source: Stage, size: int, seed: int | None, anew: bool) -> None:
        super().__init__(source)
        self.size, self.seed, self.anew = size, seed, anew
        self._last: tuple[Any, np.ndarray[Any, Any]] | None = None

    @property
    def gathers(self) -> bool:  # type: ignore[override]
        """Whether the other stage gives batches."""
        return self.source.gathers

    def read(self, turn: Turn, places: Places) -> Iterator[Any]:
        """The elements at places of the order."""
        if self.source.length is not None:
            return self.source.read(turn, _at(self._order(turn), places))
        return itertools.islice(self._buffered(turn), places[0], None)

    def gather(self, turn: Turn, places: Places) -> Any:
        """The elements at places of the order, as a batch."""
        return self.source.gather(turn, _at(self._order(turn), places))

    def _draw(self, turn: Turn) -> np.random.Generator:
        seed = turn.seed if self.seed is None else self.seed
        return np.random.default_rng((seed, turn.number if self.anew else 0))

    def _order(self, turn: Turn) -> Any:
        key, last = (turn.seed, turn.number), self._last
        if last is None or last[0] != key:  # workers read one place after the other
            self._last = last = key, self._draw(turn).permutation(self.length or 0)
        return last[1]

    def _buffered(self, turn: Turn) -> Iterator[Any]:
        draw, waiting = self._draw(turn), []
        for element in self.source.all(turn):
            waiting.append(element)
            if len(waiting) > self.size:
                place = int(draw.integers(self.size))
                waiting[place], waiting[-1] = waiting[-1], waiting[place]
                yield waiting.pop()
        yield from (waiting[place] for place in draw.permutation(len(waiting)))

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_last": None}


class Batched(After):
    """Elements in batches, the last of which may be short."""

    def __init__(self, source: Stage, size: int, drop_remainder: bool, join: Join) -> None:
        super().__init__(source)
        self.size, self.drop_remainder, self.join = size, drop_remainder, join

    @property
    def batch_size(self) -> int:  # type: ignore[override]
        """Samples in a batch."""
        return self.size

    @property
    def length(self) -> int | None:  # type: ignore[override]
        """How many batches there are."""
        count = self.source.length
        if count is None:
            return None
        return count // self.size if self.drop_remainder else -(-count // self.size)

    def read(self, turn: Turn, places: Places) -> Iterator[Any]:
        """The batches at places."""
        count = self.source.length
        if count is None:
            yield from self._streamed(self.source.read(turn, range(places[0] * self.size, END)))
            return
        starts = [place * self.size for place in places]
        rows = [range(start, min(start + self.size, count)) for start in starts]
        if self.source.gathers:
            yield from (self.source.gather(turn, one) for one in rows)
            return
        elements = self.source.read(turn, list(itertools.chain.from_iterable(rows)))
        for one in rows:
            yield self.join(list(itertools.islice(elements, len(one))))

    def _streamed(self, elements: Iterator[Any]) -> Iterator[Any]:
        while batch := list(itertools.islice(elements, self.size)):
            if len(batch) == self.size or not self.drop_remainder:
                yield self.join(batch)


class Unbatched(After):
    """The samples of batches, one by one."""

    length, batch_size = None, None

    def read(self, turn: Turn, places: Places) -> Iterator[Any]:
        """The samples from a place on."""
        samples = itertools.chain.from_iterable(map(unstacked, self.source.all(turn)))
        return itertools.islice(samples, places[0], None)


class Repeated(After):
    """The passes of another stage one after the other: so many, or without an end."""

    def __init__(self, source: Stage, count: int | None) -> None:
        super().__init__(source)
        self.count = count

    @property
    def length(self) -> int | None:  # type: ignore[override]
        """How many elements all passes have."""
        known = self.source.length
        return None if known is None or self.count is None else known * self.count

    def read(self, turn: Turn, places: Places) -> Iterator[Any]:
        """The elements at places of all passes."""
        size = self.source.length
        if self.length is None or size is None:
            skipped = places[0] // size if size else 0
            whole = self._passes(turn, skipped)
            yield from itertools.islice(whole, places[0] - skipped * (size or 0), None)
            return
        for number, group in itertools.groupby(places, lambda place: place // size):
            inner = [place % size for place in group]
            yield from self.source.read(self._turn(turn, number), inner)

    def _passes(self, turn: Turn, start: int) -> Iterator[Any]:
        for number in itertools.count(start) if self.count is None else range(start, self.count):
            elements = self.source.all(self._turn(turn, number))
            first = list(itertools.islice(elements, 1))
            if self.count is None and not first:
                return  # the next ones would have none either
            yield from itertools.chain(first, elements)

    def _turn(self, turn: Turn, number: int) -> Turn:
        return turn._replace(number=turn.number * (self.count or 1) + number)


class Cached(After):
    """Elements that are kept once they were read: those of the first pass, whichever pass or process reads them."""

    def __init__(self, source: Stage) -> None:
        super().__init__(source)
        self._seed: int | None = None
        self._kept: dict[int, Any] = {}
        #: Of a stream that was read to its end. It stays a stream: passes go on in another process as they began.
        self._count: int | None = None

    def read(self, turn: Turn, places: Places) -> Iterator[Any]:
        """The elements at places, as they were when they were first read."""
        self._seed = turn.seed if self._seed is None else self._seed
        turn = turn._replace(seed=self._seed, number=0)
        if self.length is None:
            yield from self._streamed(turn, places[0])
            return
        left = [place for place in places if place not in self._kept]
        missing, own = self.source.read(turn, left) if left else iter(()), set(left)
        for place in places:
            # Another pass may have kept it in the meantime.
            yield self._kept.setdefault(place, next(missing)) if place in own else self._kept[place]

    def _streamed(self, turn: Turn, start: int) -> Iterator[Any]:
        if self._count is not None:
            yield from map(self._kept.__getitem__, range(start, self._count))
            return
        count = 0
        for place, element in enumerate(self.source.all(turn)):
            kept = self._kept.setdefault(place, element)
            count += 1
            if place >= start:
                yield kept
        self._count = count

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_kept": {}, "_count": None}


class Ahead(After):
    """Elements that are computed before they are asked for, and given in order.

    Args:
        source: What computes them.
        ahead: How many may wait.
        workers: How many threads or processes compute; of a stream, one thread does.
        processes: Whether they are processes, which need all functions pickled.
    """

    def __init__(
        self, source: Stage, ahead: int, workers: int = 1, processes: bool = False
    ) -> None:
        super().__init__(source)
        self.ahead, self.workers, self.processes = ahead, workers, processes
        self._pool: Workers | None = None

    def read(self, turn: Turn, places: Places) -> Iterator[Any]:
        """The elements at places."""
        if not turn.ahead:
            return self.source.read(turn, places)
        elements = _ByPlace(self.source, turn._replace(ahead=False))
        if self.source.length is not None and self.processes:
            return self._from_processes(elements, places)
        if self.source.length is not None and self.workers > 1:
            return read_ahead(elements.__getitem__, map(int, places), self.workers, self.ahead)
        return self._from_one(self.source.read(turn, places))

    def _from_one(self, elements: Iterator[Any]) -> Iterator[Any]:
        ended = object()

        def following(index: int) -> Any:
            return next(elements, ended)

        for element in read_ahead(following, itertools.count(), 1, self.ahead):
            if element is ended:
                return
            yield element

    def _from_processes(self, elements: _ByPlace, places: Places) -> Iterator[Any]:
        pool, self._pool = self._pool, None
        if pool is None:
            pool = Workers(self.workers)
            weakref.finalize(self, pool.close)
        yield from pool.read(elements, map(int, places), self.ahead)
        self._pool = pool

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_pool": None}


class _ByPlace:
    """What workers have of a stage: its elements by place."""

    def __init__(self, stage: Stage, turn: Turn) -> None:
        self.stage, self.turn = stage, turn

    def __getitem__(self, place: int) -> Any:
        return next(self.stage.read(self.turn, [place]))


# ------------------------------------------------------------------------------ elements


def applied(function: Callable[..., Any], element: Any) -> Any:
    """A function of an element, given its parts one by one where it is a tuple; ops in it compute with NumPy."""
    with use("numpy"):
        return function(*element) if isinstance(element, tuple) else function(element)


def stacked(elements: Sequence[Any]) -> Any:
    """Elements as a batch: their parts along a new first axis; strings as an array of objects.

    Raises:
        ValueError: If their parts have several shapes.

    >>> stacked([(np.zeros(2), 1), (np.ones(2), 0)])
    (array([[0., 0.], [1., 1.]]), array([1, 0]))
    """
    return tree.map_structure(lambda *parts: _stack(parts), *elements)


def _stack(parts: Sequence[Any]) -> Any:
    if parts[0] is None:
        return None
    if isinstance(parts[0], (str, bytes)):
        return objects(parts)
    arrays = [np.asarray(part) for part in parts]
    shapes = sorted({array.shape for array in arrays})
    if len(shapes) > 1:
        raise ValueError(
            f"The elements of a batch must have one shape. Received: {shapes}. Let `map` bring them to one before "
            "`batch`, or pass `pad=True`."
        )
    return np.stack(arrays)


def padded(elements: Sequence[Any]) -> Any:
    """Elements as a batch, with zeros after those that are shorter along some axis.

    >>> padded([np.array([1, 2]), np.array([3])]).tolist()
    [[1, 2], [3, 0]]
    """

    def pad(*parts: Any) -> Any:
        if parts[0] is None or isinstance(parts[0], (str, bytes)):
            return _stack(parts)
        arrays = [np.asarray(part) for part in parts]
        largest = np.max([array.shape for array in arrays], axis=0).astype(int)
        result = np.zeros((len(arrays), *largest), np.result_type(*arrays))
        for row, array in enumerate(arrays):
            result[row, ...][tuple(map(slice, array.shape))] = array  # a view, of a number too
        return result

    return tree.map_structure(pad, *elements)


def listed(elements: Sequence[Any]) -> Any:
    """Elements as a batch, those of several shapes as an array of arrays."""

    def join(*parts: Any) -> Any:
        alike = len({np.shape(part) for part in parts}) == 1
        return _stack(parts) if alike else objects([np.asarray(part) for part in parts])

    return tree.map_structure(join, *elements)


def objects(parts: Sequence[Any]) -> np.ndarray[Any, Any]:
    """An array (parts,) of objects."""
    result = np.empty(len(parts), object)
    result[:] = parts
    return result


def unstacked(batch: Any) -> Iterator[Any]:
    """The samples of a batch."""
    parts = [part for part in tree.flatten(batch) if part is not None]
    for place in range(len(parts[0])):
        yield tree.map_structure(lambda part: None if part is None else part[place], batch)  # noqa: B023


def cores() -> int:
    """The processors that this process may use."""
    available = getattr(os, "sched_getaffinity", None)
    return len(available(0)) if available else os.cpu_count() or 1


def _at(places: Any, chosen: Places) -> Places:
    """Those of some places, a range or an array, that are chosen."""
    if isinstance(chosen, range):
        chosen_places: Places = places[chosen.start : chosen.stop : chosen.step]
        return chosen_places
    return [int(places[place]) for place in chosen]


def _count(places: range, known: int) -> int:
    """How many of a range lie below a number."""
    return max(0, -(-(known - places.start) // places.step))
