"""Arrays, cut into batches along their first axis, as views where their order is kept."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core import dtypes, tree
from ..core.config import floatx
from ..engines.host import holds_text
from ..engines.sparse import SparseRows
from ._batch import (
    check_count,
    check_dtype,
    checked,
    class_weights,
    is_array,
    pack_x_y_sample_weight,
    sparse_array,
    to_numpy,
    weights_by_output,
)
from ._source import Orders, Pass, Source
from ._stored import Part, by_column, is_stored

DEFAULT_BATCH_SIZE = 32
Reader = Callable[[Any], Any]


@dataclass(frozen=True)
class Share:
    """The rows of a batch's array that this process has, of so many that all have."""

    rows: np.ndarray[Any, Any]
    size: int

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the whole."""
        return (self.size, *self.rows.shape[1:])

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype."""
        return self.rows.dtype


class ArraySource(Source):
    """Arrays, cut into batches along their first axis.

    Floats become `floatx`, batch by batch. What lies in an HDF5 file stays there until it is read.
    """

    batch_size: int

    def __init__(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        batch_size: int | None = None,
        shuffle: bool | str = False,
        class_weight: Mapping[Any, float] | None = None,
        drop_remainder: bool = False,
        steps: int | None = None,
    ) -> None:
        x, y, sample_weight = tree.map_structure(_held, (x, y, sample_weight))
        self.size = _cardinality(x, y, sample_weight)
        self.batch_size = _batch_size(batch_size, self.size, steps)
        #: The samples of a pass.
        self.given = self.size - (self.size % self.batch_size if drop_remainder else 0)
        self.shuffle = shuffle
        if class_weight is not None:
            sample_weight = class_weights(class_weight, y, sample_weight)
        elif sample_weight is not None:
            sample_weight = weights_by_output(sample_weight, y)
        #: The whole data, as one batch.
        self.arrays = pack_x_y_sample_weight(x, y, sample_weight)
        self._readers = [_reader(leaf) for leaf in tree.flatten(self.arrays)]
        self.orders = Orders() if shuffle else None
        #: Which rows of a batch of a size this process reads, where others read the rest: it gives a `Share` then.
        self.share: Callable[[int], slice] | None = None

    @property
    def can_share(self) -> bool:
        """Whether each process may read rows of its own."""
        return all(
            leaf is None or not (isinstance(leaf, SparseRows) or holds_text(leaf))
            for leaf in tree.flatten(self.arrays)
        )

    @property
    def num_batches(self) -> int:
        """The batches of one pass."""
        return -(-self.given // self.batch_size)

    @property
    def has_partial_batch(self) -> bool:  # type: ignore[override]
        """Whether the last batch is smaller than the others."""
        return self.given % self.batch_size != 0

    def order(self, number: int) -> np.ndarray[Any, Any] | None:
        """The order of the samples in a pass, int64; `None` as they lie."""
        if self.orders is None:
            return None
        draw = self.orders.draw(number)
        if self.shuffle != "batch":
            return draw.permutation(self.size)
        # Sorting random keys plus the batch's number keeps each sample in its batch.
        batch = np.arange(self.size) // self.batch_size
        return np.argsort(batch + draw.random(self.size))

    def read(self, rows: Any) -> list[Any]:
        """Rows, a slice or indices, of each array."""
        return [None if read is None else read(rows) for read in self._readers]

    def __iter__(self) -> ArrayPass:
        return ArrayPass(self)


class ArrayPass(Pass):
    """One pass over arrays: batch by batch, or several at once."""

    source: ArraySource

    def __init__(self, source: ArraySource) -> None:
        super().__init__(source)
        self.order = source.order(self.number)
        #: The number of the next sample in the order.
        self.start = 0

    def state(self) -> dict[str, Any]:
        """The number of the pass, and of its next sample: batches may be of another size from there."""
        return {"pass": self.number, "sample": self.start}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from where another pass was."""
        self._become(int(state["pass"]))
        self.start = int(state["sample"])
        self.order = self.source.order(self.number)

    def __next__(self) -> Any:
        batch = self.peek()
        self.start += self.source.batch_size
        return batch

    @property
    def whole(self) -> int:
        """How many whole batches are left."""
        return max(0, self.source.given - self.start) // self.source.batch_size

    @property
    def stacks(self) -> bool:
        """Whether several batches can be read as one array."""
        sparse = any(isinstance(leaf, SparseRows) for leaf in tree.flatten(self.source.arrays))
        return not sparse and self.source.share is None

    def peek(self) -> Any:
        """The next batch, which stays the next one.

        Raises:
            StopIteration: If there is none left.
        """
        if self.start >= self.source.given:
            raise StopIteration
        return tree.pack_sequence_as(self.source.arrays, self._read(self.source.batch_size))

    def stacked(self, count: int) -> Any:
        """The next whole batches, with an axis in front that counts them."""
        size = self.source.batch_size
        parts = [
            None if part is None else part.reshape(count, size, *part.shape[1:])
            for part in self._read(count * size)
        ]
        self.start += count * size
        return tree.pack_sequence_as(self.source.arrays, parts)

    def _read(self, samples: int) -> list[Any]:
        rows, share = slice(self.start, self.start + samples), self.source.share
        if share is not None:
            size = min(samples, self.source.given - self.start)
            own = share(size)
            rows = slice(self.start + own.start, self.start + own.stop)
        found = self.source.read(rows if self.order is None else self.order[rows])
        if share is None:
            return found
        return [None if part is None else Share(part, size) for part in found]


def train_validation_split(
    arrays: tuple[Any, Any, Any], validation_split: float
) -> tuple[tuple[Any, Any, Any], tuple[Any, Any, Any]]:
    """`(x, y, sample_weight)` cut in two: the part to train on, and the last part to validate on.

    Args:
        arrays: Structures of arrays with one number of samples.
        validation_split: The share of the samples in the second part, between 0 and 1.

    Raises:
        ValueError: If something else than arrays is given, or if a part would have no samples.
    """
    arrays = by_column(arrays)
    leaves = tree.flatten(arrays)
    foreign = [type(leaf).__name__ for leaf in leaves if leaf is not None and not is_array(leaf)]
    if foreign or all(leaf is None for leaf in leaves):
        raise ValueError(
            "`validation_split` goes with arrays only. "
            f"Received: {foreign or 'no data'}. Pass `validation_data` instead."
        )
    held = tree.map_structure(_held, arrays)
    count = _cardinality(*held)
    if not 0 <= validation_split <= 1:
        raise ValueError(
            "`validation_split` must be a fraction between 0 and 1. "
            f"Received: validation_split={validation_split}."
        )
    split = math.floor(count * (1 - validation_split))
    if split in (0, count):
        raise ValueError(
            f"`validation_split` must leave samples in both parts. Received: {count} samples and "
            f"validation_split={validation_split}. Give more data, or another fraction."
        )

    def part(start: int, stop: int) -> tuple[Any, Any, Any]:
        def cut(leaf: Any) -> Any:
            if leaf is None:
                return None
            return Part(leaf, start, stop) if is_stored(leaf) else leaf[start:stop]

        x, y, w = tree.map_structure(cut, held)
        return x, y, w

    return part(0, split), part(split, count)


def _reader(leaf: Any) -> Reader | None:
    """What reads rows, a slice or indices, of an array; floats as `floatx`."""
    if leaf is None:
        return None
    if isinstance(leaf, SparseRows):
        return leaf.__getitem__
    in_memory = isinstance(leaf, np.ndarray)
    wanted = dtypes.numpy_dtype(floatx())
    if (
        holds_text(leaf)
        or not dtypes.is_float(dtypes.standardize_dtype(leaf.dtype))
        or leaf.dtype == wanted
    ):
        return lambda rows: _rows(leaf, rows, in_memory)
    return lambda rows: _rows(leaf, rows, in_memory).astype(wanted, copy=False)


def _rows(leaf: Any, rows: Any, in_memory: bool) -> np.ndarray[Any, Any]:
    if isinstance(rows, slice):
        return leaf[rows] if in_memory else np.asarray(leaf[rows])
    if in_memory:
        return np.take(leaf, rows, axis=0)
    # Files are read in ascending order only.
    ascending = np.argsort(rows)
    found = np.asarray(leaf[rows[ascending]])
    result = np.empty_like(found)
    result[ascending] = found
    return result


def _held(leaf: Any) -> Any:
    """An array as it is kept: in NumPy, or still where it is stored; a pandas column as `(samples, 1)`."""
    if leaf is None:
        return None
    sparse = sparse_array(leaf)
    if sparse is not None:
        return SparseRows(sparse)
    if is_stored(leaf):
        check_dtype(leaf.dtype)
        return leaf
    return checked(to_numpy(leaf))


def _cardinality(x: Any, y: Any, sample_weight: Any) -> int:
    """The number of samples, which all arrays must have."""
    sizes: dict[str, list[int]] = {}
    for name, part in (("x", x), ("y", y), ("sample_weight", sample_weight)):
        for leaf in tree.flatten(part):
            if leaf is None:
                continue
            if not len(leaf.shape):
                raise ValueError(
                    f"Arrays must have a first axis, that of the samples. Received: in `{name}` a "
                    f"scalar, {leaf!r}. Add the axis: `array[None]`."
                )
            sizes.setdefault(name, []).append(int(leaf.shape[0]))
    counts = {size for found in sizes.values() for size in found}
    if len(counts) > 1:
        listed = "; ".join(f"{name}: {found}" for name, found in sizes.items())
        pad = " Sequences are padded into one: `cornu.utils.pad_sequences(x)`."
        ragged = pad if len(set(sizes.get("x", ()))) > 1 else ""
        raise ValueError(
            "Data cardinality is ambiguous: all arrays must have the same number of samples. "
            f"Received: {listed}. Each sample has one entry in each array: look at how they were cut."
            f"{ragged}"
        )
    return counts.pop()


def _batch_size(batch_size: Any, samples: int, steps: int | None) -> int:
    """The samples in a batch; where that is left out, as many as let the steps take all samples once."""
    check_count("batch_size", batch_size, least=1)
    return int(batch_size or (math.ceil(samples / steps) if steps else DEFAULT_BATCH_SIZE))
