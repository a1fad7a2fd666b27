"""Generators, and other libraries' loaders: batches are read as they come.

A pass over them goes on by their own position, where they say it; else what came before is read again.
"""

from __future__ import annotations

import functools
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from .. import tuning
from ..core import seeding, tree
from ..core.positions import go_on, has_position, position
from ._batch import as_arrays, outline, weighted
from ._source import Pass, Source

#: The seconds in which a batch that is there is read, and the bytes of those that are read together.
_AT_ONCE, _SMALL = 5e-4, 2**22


class ReadPass(Pass):
    """A pass over an iterable of another library.

    Args:
        source: The source.
        iterable: What is iterated over.
        checked: Makes arrays of a batch.
    """

    def __init__(
        self, source: Source, iterable: Iterable[Any], checked: Callable[[Any], Any]
    ) -> None:
        super().__init__(source)
        self.iterable = iterable
        self.checked = checked
        #: Whether each pass has an order by its number, as those of tf.data have.
        self.counts = hasattr(iterable, "element_spec")
        #: What says its position: the iterator, or the iterable.
        self._says: Any = None
        #: Random states when it was opened, on which an order may depend.
        self._random: dict[str, Any] | None = None
        #: Its own position before the batch that is peeked at.
        self._before: Any = None

    def _open(self) -> Iterator[Any]:
        self._random = _random_state(self.iterable)
        source, iterator = self.source, iter(self.iterable)
        source.begun += 1
        while self.counts and source.begun <= source.due:
            iterator = iter(self.iterable)
            source.begun += 1
        self.number = source.begun
        self._says = next((x for x in (iterator, self.iterable) if has_position(x)), None)
        return _in_arrays(self.iterable, iterator) if self.counts else iterator

    def peek(self) -> Any:
        """The next batch, which stays the next one."""
        if not self._peeked:
            if self._batches is None:
                self._batches = self._open()
            self._before = position(self._says)
            self._peeked.append(self.checked(next(self._batches)))
        return self._peeked[0]

    def state(self) -> dict[str, Any]:
        """How many batches were given, where the iterable says that it is, and how it began."""
        own = self._before if self._peeked else position(self._says)
        number = self.number or self.source.begun + 1
        return {"batch": self.given, "own": own, "random": self._random, "number": number}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from where another pass was; what has no position of its own is read up to there."""
        number = int(state.get("number", 1))
        self.close()
        if self._batches is None or self.number != number:
            _set_random_state(self.iterable, state["random"])
            self._peeked.clear()
            self.source.due = number - 1
            self._batches = self._open()
        if not self._goes_on(state["own"]):
            left = int(state["batch"]) - self.given
            if left > 0:
                kind = type(self.iterable).__name__
                tuning.say("To go on with a %s, %d batches before it are read.", kind, left)
            for _ in range(left):
                next(self, None)
        self.given = int(state["batch"])

    def _goes_on(self, own: Any) -> bool:
        """Whether the iterable goes on from its own position."""
        if own is None or self._says is None:
            return False
        try:
            go_on(self._says, own)
        except Exception as error:  # grain's loader compares how a source is printed
            if self._batches is self.iterable:
                raise
            kind = type(self.iterable).__name__
            tuning.say("A %s refuses its position: %s", kind, error, level="warning")
            self._batches = self._open()
            return False
        self._peeked.clear()
        return True

    def close(self) -> None:
        """Let the iterator go; a stream stays where it is, and what can't be begun a second time."""
        stays = self.counts and not self.given
        if self._batches is not self.iterable and not stays:
            self._batches, self.given = None, 0
            self._peeked.clear()


class GeneratorSource(Source):
    """A generator or iterator of tuples: every pass goes on where the last one stopped.

    It is read in the caller's thread: a generator's frame can't be closed while another thread runs
    it, and steps are dispatched without waiting, so reading overlaps with them already.
    """

    def __init__(self, generator: Iterator[Any]) -> None:
        self._pass = ReadPass(self, generator, self._checked)
        try:
            self._pass.peek()
        except StopIteration:
            raise ValueError(
                "A generator must yield at least one batch. Received: one that has ended. Make a "
                "new generator for each call."
            ) from None

    def __iter__(self) -> Pass:
        return self._pass

    def state(self) -> dict[str, Any]:
        """Where its only pass is."""
        return self._pass.state()

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from where another generator was."""
        self._pass.restore(state)

    @staticmethod
    def _checked(batch: Any) -> Any:
        if not isinstance(batch, tuple):
            raise ValueError(
                "A generator must yield tuples: `(x,)`, `(x, y)` or `(x, y, sample_weight)`. "
                f"Received: {outline(batch)}. Write `yield x, y`."
            )
        return as_arrays(batch)


class KeptSource(Source):
    """A generator whose batches are kept as they are read, so that each pass gives the same."""

    def __init__(self, generator: Iterator[Any]) -> None:
        self._rest = iter(GeneratorSource(generator))
        self._kept: list[Any] = []

    def batches(self, number: int = 0, start: int = 0) -> Iterator[Any]:
        """The batches from one of them on."""
        yield from self._kept[start:]
        for batch in self._rest:
            self._kept.append(batch)
            yield batch


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

    def __iter__(self) -> Pass:
        return ReadPass(self, self.iterable, self._checked)

    def state(self) -> dict[str, Any]:
        """Where the generator is that a loader of PyTorch draws from, and how many passes were begun."""
        return {"loader": _loader_state(self.iterable), "begun": self.begun}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Let the passes to come be those of another source of this data."""
        _set_loader_state(self.iterable, state.get("loader"))
        self.due = int(state.get("begun", 0))

    def _checked(self, batch: Any) -> Any:
        whole = tuple(batch) if isinstance(batch, list) else batch
        return weighted(as_arrays(whole), self.class_weight)


def _in_arrays(dataset: Any, iterator: Any) -> Iterator[Any]:
    """What an iterator of tf.data gives, as arrays: in 35 us a batch, of which TensorFlow takes 130, to make
    structures of tensors. Batches with sparse or ragged tensors, or structures of its own, come as it makes them.
    """
    tensorflow, spec = sys.modules["tensorflow"], dataset.element_spec
    leaves, resource = tree.flatten(spec), getattr(iterator, "_iterator_resource", None)
    dense = all(type(leaf) is tensorflow.TensorSpec for leaf in leaves)
    if (
        resource is None
        or not dense
        or [*map(id, leaves)] != [*map(id, tensorflow.nest.flatten(spec))]
    ):
        yield from iterator
        return
    wanted = {"output_types": [x.dtype for x in leaves], "output_shapes": [x.shape for x in leaves]}
    get = functools.partial(tensorflow.raw_ops.IteratorGetNext, iterator=resource, **wanted)
    try:
        for arrays in _several(lambda: [np.asarray(x) for x in get()]):
            yield tree.pack_sequence_as(spec, arrays)
    except tensorflow.errors.OutOfRangeError:
        return


def _several(get: Callable[[], list[Any]]) -> Iterator[list[Any]]:
    """What a call gives until it raises: two, four, up to eight together while they are small and were there at once.

    Between two steps TensorFlow's code is in no cache, and reading one takes 10 % of a step of an MLP; together, 4 %.
    """
    error: Exception | None = None
    most = 1
    while error is None:
        read: list[list[Any]] = []
        size, seconds = 0, 0.0
        while error is None and len(read) < most and size < _SMALL and seconds < _AT_ONCE:
            start = time.perf_counter()
            try:
                read.append(get())
                size += sum(array.nbytes for array in read[-1])
            except Exception as raised:  # after what was read before it
                error = raised
            seconds = time.perf_counter() - start
        most = min(2 * most, 8) if seconds < _AT_ONCE else 1  # what is late delays no others
        yield from read
    raise error


# What orders of loaders depend on that say no position.


def _random_state(iterable: Any) -> dict[str, Any]:
    return {"process": seeding.random_state(), "loader": _loader_state(iterable)}


def _set_random_state(iterable: Any, state: Mapping[str, Any] | None) -> None:
    if state is not None:
        seeding.set_random_state(state["process"])
        _set_loader_state(iterable, state["loader"])


def _loader_state(iterable: Any) -> Any:
    generator = drawn_from(iterable)
    return None if generator is None else generator.get_state().numpy()


def _set_loader_state(iterable: Any, state: Any) -> None:
    generator = drawn_from(iterable)
    if generator is not None and state is not None:
        generator.set_state(generator.get_state().new_tensor(state))


def drawn_from(iterable: Any) -> Any:
    """What a loader of PyTorch draws from: its generator, or that of the process."""
    own = getattr(iterable, "generator", None)
    if own is None and hasattr(iterable, "worker_init_fn"):
        own = sys.modules["torch"].default_generator
    return own if hasattr(own, "set_state") else None
