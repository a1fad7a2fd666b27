"""A `PyDataset`: batches by index, read ahead by threads or processes."""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ..core.positions import go_on, position
from ..engines import current, use
from ._batch import as_arrays, is_array, outline, weighted
from ._source import Orders, Source
from ._threads import read_ahead

if TYPE_CHECKING:
    from ._workers import Workers


class DatasetSource(Source):
    """A `PyDataset`: batches by index, read ahead by threads or processes."""

    def __init__(
        self,
        dataset: Any,
        shuffle: bool = False,
        class_weight: Mapping[Any, float] | None = None,
        steps: int | None = None,
    ) -> None:
        self.dataset = dataset
        self.class_weight = class_weight
        self._begun = False
        #: Processes that wait for the next pass.
        self._pool: Workers | None = None
        self.orders = Orders() if shuffle else None
        if self.num_batches is None and steps is None:
            raise ValueError(
                "A PyDataset without an end needs a number of steps. Received: "
                "num_batches=None. Pass `steps_per_epoch`, `validation_steps` or `steps`, or give it an end."
            )

    @property
    def num_batches(self) -> int | None:
        """The batches of one pass, which may change from epoch to epoch."""
        count = self.dataset.num_batches
        return None if count is None else int(count)

    def on_epoch_begin(self) -> None:
        """Tell the dataset, unless a first batch was asked for already in this epoch."""
        if not self._begun:
            self._begun = True
            getattr(self.dataset, "on_epoch_begin", _nothing)()

    def on_epoch_end(self) -> None:
        """Tell the dataset, which may then shuffle, say."""
        self._begun = False
        getattr(self.dataset, "on_epoch_end", _nothing)()

    def state(self) -> dict[str, Any]:
        """What the passes to come depend on: the dataset's own position is of it, where it has one."""
        own = position(self.dataset)
        return super().state() | ({} if own is None else {"dataset": own})

    def restore(self, state: Mapping[str, Any]) -> None:
        """Let the passes to come be those of another source of this data."""
        super().restore(state)
        if "dataset" in state:
            go_on(self.dataset, state["dataset"])

    def batches(self, number: int = 0, start: int = 0) -> Iterator[Any]:
        """The batches of a pass from one of them on; those before are not asked for."""
        for batch in self.items(number, start):
            yield weighted(_checked_item(batch), self.class_weight)

    def items(self, number: int = 0, start: int = 0) -> Iterator[Any]:
        """What the dataset gives for the batches of a pass, as it is."""
        self.on_epoch_begin()
        indices = self._indices(number, start)
        workers = int(getattr(self.dataset, "workers", 1) or 0)
        processes = workers > 0 and getattr(self.dataset, "use_multiprocessing", False)
        if workers <= 1 and not processes:  # the caller's thread may hold a connection, say
            # A generator lets no StopIteration of `__getitem__` end the data early.
            return (self.dataset[index] for index in indices)
        ahead = max(workers, int(getattr(self.dataset, "max_queue_size", 10)))
        if processes:
            return self._from_processes(workers, ahead, indices)
        engine = current()

        def get(index: int) -> Any:
            with use(engine):
                return self.dataset[index]

        return read_ahead(get, indices, workers, ahead, self._timeout)

    def _from_processes(self, count: int, ahead: int, indices: Iterable[int]) -> Iterator[Any]:
        pool, self._pool = self._pool, None
        if pool is None:
            from ._workers import Workers

            pool = Workers(min(count, self.num_batches or count), self._timeout)
            weakref.finalize(self, pool.close)
        yield from pool.read(self.dataset, indices, ahead)
        self._pool = pool

    @property
    def _timeout(self) -> float | None:
        return getattr(self.dataset, "timeout", None)

    def close(self) -> None:
        """End the processes that wait for another pass."""
        if self._pool is not None:
            self._pool.close()
            self._pool = None

    def _indices(self, number: int, start: int) -> Iterable[int]:
        count = self.num_batches
        if count is None:
            return itertools.count(start)
        if self.orders is None:
            return range(start, count)
        return map(int, self.orders.draw(number).permutation(count)[start:])


def is_dataset(x: Any) -> bool:
    return (
        not is_array(x)
        and hasattr(type(x), "__getitem__")
        and hasattr(type(x), "num_batches")
        and hasattr(type(x), "on_epoch_end")
    )


def _checked_item(item: Any) -> Any:
    """What a `PyDataset` gave for an index, as a tuple or dictionary of arrays."""
    if isinstance(item, list):
        item = tuple(item)
    elif is_array(item):
        item = (item,)
    if isinstance(item, Mapping) or (isinstance(item, tuple) and 1 <= len(item) <= 3):
        return as_arrays(item)
    raise ValueError(
        "A PyDataset's `__getitem__` must return `(x,)`, `(x, y)`, `(x, y, sample_weight)` or a "
        f"dictionary of inputs. Received: {outline(item)}."
    )


def _nothing() -> None:
    pass
