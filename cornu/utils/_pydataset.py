"""PyDataset: data that is computed batch by batch, in worker threads or processes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


class PyDataset:
    """Batches by index, for `fit`, `evaluate` and `predict`.

    A subclass defines `__getitem__(index)`, which returns a batch, `(x, y)` or
    `(x, y, sample_weight)`, and `__len__` or `num_batches`. Batches are computed ahead of the
    training, several at once; since each has an index, none is given twice.

    Args:
        workers: How many threads or processes compute batches; with 0, or 1 that is no process, the
            caller's thread does.
        use_multiprocessing: Whether they are processes. They are spawned, each with a copy of the
            dataset, which must be picklable, and is sent again before a pass if it has changed.
        max_queue_size: How many batches may wait to be used.

    Attributes:
        timeout: Seconds that training waits for a batch of a worker before that is an error; `None`, the
            default, for no end. The log names the index after half of them, or a minute.

    >>> import numpy as np
    >>> class Squares(PyDataset):
    ...     def __len__(self):
    ...         return 3
    ...     def __getitem__(self, index):
    ...         x = np.arange(4.0) + 4 * index
    ...         return x, x**2
    >>> dataset = Squares(workers=2)
    >>> dataset.num_batches, [y.tolist() for x, y in dataset][0]
    (3, [0.0, 1.0, 4.0, 9.0])
    """

    timeout: float | None = None

    # Class attributes, so that a subclass which never calls `super().__init__` works as well.
    _workers = 1
    _use_multiprocessing = False
    _max_queue_size = 10

    def __init__(
        self, workers: int = 1, use_multiprocessing: bool = False, max_queue_size: int = 10
    ) -> None:
        self._workers = workers
        self._use_multiprocessing = use_multiprocessing
        self._max_queue_size = max_queue_size

    @property
    def workers(self) -> int:
        """How many threads or processes compute batches."""
        return self._workers

    @workers.setter
    def workers(self, value: int) -> None:
        self._workers = value

    @property
    def use_multiprocessing(self) -> bool:
        """Whether batches are computed in processes."""
        return self._use_multiprocessing

    @use_multiprocessing.setter
    def use_multiprocessing(self, value: bool) -> None:
        self._use_multiprocessing = value

    @property
    def max_queue_size(self) -> int:
        """How many batches may wait to be used."""
        return self._max_queue_size

    @max_queue_size.setter
    def max_queue_size(self, value: int) -> None:
        self._max_queue_size = value

    def __getitem__(self, index: int) -> Any:
        """The batch of that index: `(x,)`, `(x, y)` or `(x, y, sample_weight)`."""
        raise NotImplementedError(
            f"A PyDataset must define `__getitem__(index)`. Received: {type(self).__name__}, which "
            "doesn't. Return `(x, y)` of the batch from it."
        )

    def __iter__(self) -> Iterator[Any]:
        """The batches in the order of their indices."""
        index, count = 0, self.num_batches
        while count is None or index < count:
            yield self[index]
            index += 1

    @property
    def num_batches(self) -> int | None:
        """The number of batches, `None` if there is no end; what `__len__` says by default."""
        if hasattr(type(self), "__len__"):
            return len(self)  # type: ignore[arg-type]
        raise NotImplementedError(
            "A PyDataset must define `__len__()` or the property `num_batches`. Received: "
            f"{type(self).__name__}, which defines neither. Return the number of batches, or None "
            "from `num_batches` if there is no end."
        )

    def on_epoch_begin(self) -> None:
        """Called before each epoch."""

    def on_epoch_end(self) -> None:
        """Called after each epoch."""
