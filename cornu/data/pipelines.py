"""A dataset: elements by stages, with the methods of a `tf.data.Dataset`, in NumPy."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ..core.checks import one_of, positive_integer
from ._batch import as_arrays, weighted
from ._source import Orders, Readable, Source
from ._stages import (
    Ahead,
    Batched,
    Cached,
    Filtered,
    Mapped,
    Placed,
    Repeated,
    Shuffled,
    Stage,
    Turn,
    Unbatched,
    cores,
    padded,
    stacked,
)
from ._stages import (
    Elements as Elements,
)

#: What `tf.data.AUTOTUNE` is: as many as there are processors.
AUTOTUNE = -1
UNKNOWN = -2


class Dataset(Readable):
    """Elements that are read when they are asked for: NumPy arrays and what else there is, in tuples and dictionaries.

    `fit`, `evaluate`, `predict` and `adapt` take it, once it is batched; a `for` loop is one pass. Its methods make
    other datasets of it. Functions that they are given get the parts of an element that is a tuple one by one; layers
    and ops in them compute with NumPy, whichever engine is current.

    A training on it goes on in the middle of a pass (`fit(resume=)`) without reading what came before, unless
    that is a stream: after `filter`, `unbatch` or `repeat()` elements have no known number.

    >>> numbers = Dataset(Elements(range(10)))
    >>> [batch.tolist() for batch in numbers.take(7).map(lambda x: x * x).batch(3)]
    [[0, 1, 4], [9, 16, 25], [36]]
    """

    #: The names of the classes, in the order of their labels.
    class_names: list[str] | None = None
    #: Where the elements were read from, in the order before `shuffle`.
    file_paths: list[str] | None = None

    def __init__(self, stage: Stage) -> None:
        self.stage = stage

    @functools.cached_property
    def orders(self) -> Orders:
        """The seed of the passes and the number of the next one."""
        return Orders()

    def __repr__(self) -> str:
        count = "a stream" if self.stage.length is None else f"{self.stage.length} elements"
        return f"<Dataset of {count}, by {type(self.stage).__name__}>"

    def _then(self, stage: Stage) -> Dataset:
        made = Dataset(stage)
        made.class_names, made.file_paths = self.class_names, self.file_paths
        return made

    def __iter__(self) -> Iterator[Any]:
        return iter(_Reading(self))

    def as_numpy_iterator(self) -> Iterator[Any]:
        """One pass: the elements are NumPy's in any case."""
        return iter(self)

    def source(
        self, shuffle: bool = False, class_weight: Mapping[Any, float] | None = None
    ) -> Source:
        """What a model reads; it is shuffled by `shuffle` alone."""
        return _Reading(self, lambda element: weighted(_batch(element), class_weight))

    def __len__(self) -> int:
        length = self.stage.length
        if length is None:
            raise TypeError(
                "A dataset has a length if its elements are counted. Received: a stream, as of `filter`, `unbatch` or "
                "`repeat()`. Tell how many are to be read: `take(count)`, `steps_per_epoch`."
            )
        return length

    def __bool__(self) -> bool:
        return True

    def cardinality(self) -> int:
        """How many elements there are; -2 where that is unknown."""
        return UNKNOWN if self.stage.length is None else self.stage.length

    def __getitem__(self, index: int) -> Any:
        """An element of the next pass, by its place.

        Raises:
            TypeError: If the place is no integer.
        """
        if not hasattr(index, "__index__"):
            raise TypeError(
                "A dataset gives one element by its place, an integer. Received: "
                f"dataset[{index!r}]. Several are `dataset.skip(start).take(count)`."
            )
        place = range(len(self))[index]
        turn = Turn(self.orders.seed, self.orders.number, ahead=False)
        return next(self.stage.read(turn, [place]))

    # ------------------------------------------------------------------- other datasets

    def map(
        self,
        function: Callable[..., Any],
        num_parallel_calls: int | None = None,
        *,
        processes: bool = False,
    ) -> Dataset:
        """What a function makes of each element.

        Args:
            function: A function of the parts of an element, or a layer.
            num_parallel_calls: How many threads compute it, ahead of their use; -1 for one a processor. By default the
                reading thread computes it.
            processes: Whether they are processes, for functions that hold Python's lock; they are pickled.
        """
        mapped = Mapped(self.stage, function)
        if num_parallel_calls is None and not processes:
            return self._then(mapped)
        workers = _workers(num_parallel_calls or AUTOTUNE)
        return self._then(Ahead(mapped, 2 * workers, workers, processes))

    def filter(self, function: Callable[..., Any]) -> Dataset:
        """The elements that a function is true of."""
        return self._then(Filtered(self.stage, function))

    def shuffle(
        self,
        buffer_size: int | None = None,
        seed: int | None = None,
        reshuffle_each_iteration: bool = True,
    ) -> Dataset:
        """The elements in a random order.

        Args:
            buffer_size: How many elements of a stream wait, of which the next is drawn; others are shuffled as a whole.
            seed: What the orders are drawn from.
            reshuffle_each_iteration: Whether each pass has an order of its own.
        """
        size = 1000 if buffer_size is None else buffer_size
        positive_integer(buffer_size=size)
        return self._then(Shuffled(self.stage, size, seed, reshuffle_each_iteration))

    def batch(self, batch_size: int, drop_remainder: bool = False, *, pad: bool = False) -> Dataset:
        """Elements in batches.

        Args:
            batch_size: How many.
            drop_remainder: Whether a short batch at the end is left out.
            pad: Whether elements that are shorter along some axis are filled up with zeros.
        """
        positive_integer(batch_size=batch_size)
        join = padded if pad else stacked
        return self._then(Batched(self.stage, batch_size, drop_remainder, join))

    def unbatch(self) -> Dataset:
        """The samples of batches, one by one."""
        return self._then(Unbatched(self.stage))

    def take(self, count: int) -> Dataset:
        """The first elements; all for -1."""
        return self if count < 0 else self._then(Placed(self.stage, 0, count))

    def skip(self, count: int) -> Dataset:
        """The elements after the first ones; none for -1."""
        return self._then(Placed(self.stage, 0, 0) if count < 0 else Placed(self.stage, count))

    def shard(self, num_shards: int, index: int) -> Dataset:
        """Every `num_shards`-th element, from `index` on: the part of one of several processes."""
        positive_integer(num_shards=num_shards)
        one_of(range(num_shards), index=index)
        return self._then(Placed(self.stage, index, step=num_shards))

    def repeat(self, count: int | None = None) -> Dataset:
        """Several passes as one, or passes without an end."""
        return self._then(Repeated(self.stage, None if count is None or count < 0 else count))

    def cache(self) -> Dataset:
        """The elements, kept in memory once they were read: in the order of the first pass, after a `shuffle`."""
        return self._then(Cached(self.stage))

    def prefetch(
        self, buffer_size: int = AUTOTUNE, *, workers: int = 1, processes: bool = False
    ) -> Dataset:
        """The elements, computed ahead of their use and given in order.

        Args:
            buffer_size: How many may wait; -1 for two of each worker.
            workers: How many threads compute them; -1 for one a processor.
            processes: Whether they are processes, for functions that hold Python's lock; they are pickled.
        """
        count = _workers(workers)
        size = 2 * count if buffer_size == AUTOTUNE else buffer_size
        positive_integer(buffer_size=size)
        return self._then(Ahead(self.stage, size, count, processes))


class _Reading(Source):
    """The passes over a dataset."""

    orders: Orders

    def __init__(self, dataset: Dataset, checked: Callable[[Any], Any] | None = None) -> None:
        self.dataset, self.checked = dataset, checked
        self.orders = dataset.orders
        self.batch_size = dataset.stage.batch_size

    @property
    def num_batches(self) -> int | None:
        """The elements of a pass, where they are counted."""
        return self.dataset.stage.length

    def batches(self, number: int = 0, start: int = 0) -> Iterator[Any]:
        """The elements of a pass from one of them on."""
        elements = self.dataset.stage.all(Turn(self.orders.seed, number), start)
        return elements if self.checked is None else map(self.checked, elements)


def _batch(element: Any) -> Any:
    return as_arrays(tuple(element) if isinstance(element, list) else element)


def _workers(count: int) -> int:
    count = cores() if count == AUTOTUNE else count
    positive_integer(workers=count)
    return count
