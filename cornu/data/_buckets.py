"""Sequences of many lengths in batches of few: each padded to the length of its bucket."""

from __future__ import annotations

import itertools
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ..core import dtypes, tree
from ..core.config import floatx
from ._arrays import DEFAULT_BATCH_SIZE
from ._batch import (
    as_arrays,
    as_read,
    check_count,
    is_array,
    pack_x_y_sample_weight,
    refuse_targets,
    unpack_x_y_sample_weight,
    weighted,
)
from ._datasets import DatasetSource, is_dataset
from ._iterables import ReadPass, drawn_from
from ._sequences import pad_sequences
from ._source import Orders, Pass, Readable, Source

#: A sample: an array of each column.
Sample = list[Any]


def bucket_by_length(
    x: Any,
    y: Any = None,
    sample_weight: Any = None,
    *,
    boundaries: int | Sequence[int] = 8,
    batch_size: int | Sequence[int] = DEFAULT_BATCH_SIZE,
    value: float = 0,
    padding: str = "post",
    drop_remainder: bool = False,
) -> Buckets:
    """Sequences of many lengths as data for `fit`, `evaluate` and `predict`, in batches of few lengths.

    Each sample goes to the bucket whose boundary is the first that its sequences don't exceed, and is
    padded to it; a batch is given when its bucket is full. So a step is compiled once for each bucket. What is
    left at the end of a pass moves up from bucket to bucket: one batch at most, the last, is short.
    `fit` shuffles samples before they are put in buckets. Batches come as their buckets fill; what `predict` gives
    is in the order of x, or in that of the batches where x itself gives batches.

    Args:
        x: Sequences: a list of lists or arrays `(time, ...)`, an array of objects, a ragged tensor, a column
            of lists. Or what gives batches of them, `x`, `(x, y)` or `(x, y, sample_weight)`: a
            `PyDataset`, a generator, a data loader. Several inputs are a dictionary or a tuple.
        y, sample_weight: Targets and weights, where x is sequences; sequences or one value each.
        boundaries: The length of each bucket, ascending; or how many buckets there are, whose lengths are
            then such that each has as many samples.
        batch_size: Samples in a batch, of all buckets or of each.
        value: What sequences are padded with, those of y and of the weights too.
        padding: Whether they are padded at their end (`"post"`) or their beginning (`"pre"`).
        drop_remainder: Whether the short batch at the end is left out.

    Where nothing in x is a list of sequences, its arrays `(samples, time, ...)` are, and arrays of y and
    sample_weight of the same time are padded along.

    Raises:
        ValueError: If a sequence is longer than the last boundary, or an argument is none.

    >>> x, y = [[1], [1, 2], [3], [1, 2, 3]], [0, 1, 0, 1]
    >>> for tokens, labels in bucket_by_length(x, y, boundaries=[2, 4], batch_size=2):
    ...     print(tokens.tolist(), labels)
    [[1, 0], [1, 2]] [0 1]
    [[3, 0, 0, 0], [1, 2, 3, 0]] [0 1]
    """
    return Buckets(x, y, sample_weight, boundaries, batch_size, value, padding, drop_remainder)


class Buckets(Readable):
    """What `bucket_by_length` gives: it says how to make batches of what data."""

    def __init__(
        self,
        x: Any,
        y: Any,
        sample_weight: Any,
        boundaries: int | Sequence[int],
        batch_size: int | Sequence[int],
        value: float,
        padding: str,
        drop_remainder: bool,
    ) -> None:
        self.value, self.padding, self.drop_remainder = value, padding, drop_remainder
        self.stream: Any = None
        self.columns: Columns | None = None
        if is_dataset(x) or _gives_batches(x):
            refuse_targets("what gives batches", y, sample_weight)
            self.stream = x
        else:
            self.columns = Columns(pack_x_y_sample_weight(x, y, sample_weight))
        self.boundaries = self._boundaries(boundaries)
        one = isinstance(batch_size, (int, np.integer))
        sizes: Any = [batch_size] * len(self.boundaries) if one else batch_size
        for size in sizes:
            check_count("batch_size", size)
        if len(sizes) != len(self.boundaries) or 0 in sizes:
            raise ValueError(
                "`batch_size` must be positive, one for all buckets or one for each. Received: "
                f"batch_size={batch_size} for the boundaries {self.boundaries}."
            )
        self.sizes: list[int] = list(sizes)

    def _boundaries(self, given: Any) -> list[int]:
        found = given
        if isinstance(given, (int, np.integer)):
            if self.columns is None or given < 1:
                raise ValueError(
                    "How many buckets there are is enough for sequences that are known. Received: "
                    f"boundaries={given} for {_name(self.stream)}. Give their lengths: `[32, 64, 128]`."
                )
            shares = np.arange(1, given + 1) / given
            found = np.unique(np.quantile(self.columns.lengths, shares, method="inverted_cdf"))
        found = [int(length) for length in found]
        if not found or found != sorted(set(found)) or found[0] < 1:
            raise ValueError(
                "`boundaries` must be lengths, each larger than the one before. Received: "
                f"boundaries={given}."
            )
        return found

    def source(
        self, shuffle: bool = False, class_weight: Mapping[Any, float] | None = None
    ) -> Source:
        """The batches as a source."""
        return BucketSource(self, shuffle, class_weight)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.source())

    def counts(self) -> tuple[int, int] | None:
        """The batches of a pass, and the samples of the one that is short; None where they are unknown."""
        if self.columns is None:
            return None
        filled = [0] * len(self.sizes)
        for length, count in zip(*np.unique(self.columns.lengths, return_counts=True), strict=True):
            filled[self.bucket(int(length))] += int(count)
        batches = left = 0
        for count, size in zip(filled, self.sizes, strict=True):
            more, left = divmod(left + count, size)
            batches += more
        return (batches, 0) if self.drop_remainder else (batches + (left > 0), left)

    def bucket(self, length: int) -> int:
        """The bucket of samples of a length."""
        found = bisect_left(self.boundaries, length)
        if found == len(self.boundaries):
            raise ValueError(
                "Each sequence must fit in a bucket. Received: one of length "
                f"{length}, and boundaries={self.boundaries}. Add a boundary, or cut sequences: "
                "`pad_sequences(x, maxlen=...)`."
            )
        return found

    def grouped(self, samples: Iterable[tuple[int, Any]]) -> Iterator[tuple[int, list[Any]]]:
        """Pairs of length and sample as pairs of a boundary and the samples of a batch."""
        waiting: list[list[Any]] = [[] for _ in self.boundaries]
        for length, sample in samples:
            bucket = self.bucket(length)
            waiting[bucket].append(sample)
            if len(waiting[bucket]) == self.sizes[bucket]:
                yield self.boundaries[bucket], waiting[bucket]
                waiting[bucket] = []
        left: list[Any] = []
        longest = 0
        for bucket, others in enumerate(waiting):
            longest, left = bucket if others else longest, left + others
            while len(left) >= self.sizes[bucket]:
                yield self.boundaries[bucket], left[: self.sizes[bucket]]
                left = left[self.sizes[bucket] :]
        if left and not self.drop_remainder:
            yield self.boundaries[longest], left


class BucketSource(Source):
    """Batches of samples of like lengths."""

    def __init__(
        self, buckets: Buckets, shuffle: bool, class_weight: Mapping[Any, float] | None
    ) -> None:
        self.buckets = buckets
        self.class_weight = class_weight
        self._counts = buckets.counts()
        self._known = buckets.columns
        #: What the parts of a sample are.
        self._columns: Any = self._known
        self._inner: DatasetSource | None = None
        if is_dataset(buckets.stream):
            self._inner = DatasetSource(buckets.stream, shuffle, steps=0)
            self.orders = self._inner.orders
        elif self._known is not None and shuffle:
            self.orders = Orders()
        if self._counts is not None:
            self.has_partial_batch = self._counts[1] > 0

    @property
    def num_batches(self) -> int | None:
        """The batches of a pass, where the sequences are known."""
        return None if self._counts is None else self._counts[0]

    def __iter__(self) -> Pass:
        if self._inner is None and self._known is None:
            return ReadPass(self, Rebatched(self), lambda batch: batch)
        return Pass(self)

    def batches(self, number: int = 0, start: int = 0) -> Iterator[Any]:
        """The batches of a pass from one of them on; samples of those before are not read where they are known."""
        grouped = self.buckets.grouped(self._samples(number))
        for boundary, samples in itertools.islice(grouped, start, None):
            batch = self._columns.batch(samples, boundary, self.buckets)
            yield weighted(batch, self.class_weight)

    def _samples(self, number: int) -> Iterator[tuple[int, Any]]:
        """Each sample with its length: its place where all are known, else what it is."""
        if self._known is not None:
            lengths = self._known.lengths
            order = np.arange(len(lengths))
            if self.orders is not None:
                order = self.orders.draw(number).permutation(len(order))
            yield from zip(lengths[order].tolist(), order.tolist(), strict=True)
            return
        first: Columns | None = None
        for batch in self.buckets.stream if self._inner is None else self._inner.items(number):
            columns = Columns(batch)
            if first is None:
                self._columns = first = columns
            columns.check_like(first)
            for row, length in enumerate(columns.lengths.tolist()):
                yield length, columns.sample(row)

    def in_order(self, outputs: Any) -> Any:
        """Outputs in the order of the sequences, where those are known and each has one row."""
        if self._known is None:
            return outputs
        batches = [places for _, places in self.buckets.grouped(self._samples(0))]
        places = list(itertools.chain(*batches))
        counts = set(itertools.accumulate(map(len, batches)))  # as `steps` may end the pass

        def ordered(y: Any) -> Any:
            return y[np.argsort(places[: len(y)])] if y is not None and len(y) in counts else y

        return tree.map_structure(ordered, outputs)

    def state(self) -> dict[str, Any]:
        """What the passes to come depend on."""
        return super().state() if self._inner is None else self._inner.state()

    def restore(self, state: Mapping[str, Any]) -> None:
        """Let the passes to come be those of another source of this data."""
        restore = super().restore if self._inner is None else self._inner.restore
        restore(state)

    def on_epoch_begin(self) -> None:
        """Tell the dataset."""
        if self._inner is not None:
            self._inner.on_epoch_begin()

    def on_epoch_end(self) -> None:
        """Tell the dataset."""
        if self._inner is not None:
            self._inner.on_epoch_end()

    def close(self) -> None:
        """End the dataset's processes."""
        if self._inner is not None:
            self._inner.close()


class Rebatched:
    """Batches as an iterable, which draws from what the one draws from that gives the samples."""

    def __init__(self, source: BucketSource) -> None:
        self.source = source
        self.generator = drawn_from(source.buckets.stream)

    def __iter__(self) -> Iterator[Any]:
        return self.source.batches()


class Columns:
    """Samples, as what they consist of.

    Args:
        data: `x`, `(x, y)` or `(x, y, sample_weight)`, in dictionaries and tuples.
    """

    def __init__(self, data: Any) -> None:
        data = tuple(data) if isinstance(data, list) and len(data) in (2, 3) else data
        parts = tuple(map(_columns, unpack_x_y_sample_weight(data)))
        self.structure = pack_x_y_sample_weight(*parts)
        self.columns = [column for column in tree.flatten(self.structure) if column is not None]
        inputs = [column for column in tree.flatten(parts[0]) if column is not None]
        time = None
        if not any(column.is_sequences for column in inputs):
            time = next((c.rows.shape[1] for c in inputs if c.rows.ndim > 1), None)
        self.padded = [column.is_sequences or column.has_time(time) for column in self.columns]
        if not any(self.padded):
            raise ValueError(
                "Buckets are of sequences: lists of lists or arrays `(time, ...)`, or arrays "
                f"`(samples, time, ...)`. Received: x={parts[0]}."
            )
        counts = {len(column.rows) for column in self.columns}
        if len(counts) > 1:
            raise ValueError(
                "All data must have the same number of samples. Received: "
                f"{sorted(counts)}. Each sample has one entry in each part of x, y and sample_weight."
            )
        sequences = [c for c, padded in zip(self.columns, self.padded, strict=True) if padded]
        #: The length of each sample, that of its longest sequence.
        self.lengths = np.max([column.lengths() for column in sequences], axis=0)

    def check_like(self, first: Columns) -> None:
        """Check that the parts which a first batch had as sequences are some here too.

        Others may happen to have the time of x: a batch of sequences of one step beside labels `(samples, 1)`.
        """
        pairs = list(zip(first.padded, self.padded, strict=False))
        if len(self.padded) != len(first.padded) or any(was and not now for was, now in pairs):
            raise ValueError(
                "The same parts of all batches must be sequences. Received: arrays of which the time was "
                "that of x before, and is not now. Give sequences as lists, so that they are known from arrays."
            )

    def sample(self, row: int) -> Sample:
        """A sample, apart from the others."""
        return [column.rows[row] for column in self.columns]

    def batch(self, samples: list[Any], boundary: int, buckets: Buckets) -> Any:
        """A batch of samples, or of the places of some, padded to a length."""
        parts = iter(range(len(self.columns)))

        def part(column: Any) -> Any:
            if column is None:
                return None
            index = next(parts)
            places = isinstance(samples[0], int)
            rows = [column.rows[s] if places else s[index] for s in samples]
            if not self.padded[index]:
                return np.stack(rows)
            return _padded(rows, boundary, buckets)

        return as_arrays(tree.map_structure(part, self.structure))


class Column:
    """One array of each sample, or one sequence."""

    def __init__(self, data: Any) -> None:
        rows = as_read(data) if is_array(data) else list(data)
        if isinstance(rows, list) or rows.dtype == object:
            rows = [np.asarray(row) for row in rows]
            if all(row.ndim == 0 for row in rows):
                rows = np.asarray(rows)
        self.rows: list[Any] | np.ndarray[Any, Any] = rows
        self.is_sequences = isinstance(rows, list)

    def has_time(self, time: int | None) -> bool:
        """Whether it is an array of so many steps."""
        return (
            isinstance(self.rows, np.ndarray)
            and self.rows.ndim > 1
            and time is not None
            and self.rows.shape[1] == time
        )

    def lengths(self) -> np.ndarray[Any, Any]:
        """The length of each sequence."""
        return np.array([len(row) for row in self.rows], "int64")

    def __repr__(self) -> str:
        kind = "sequences" if self.is_sequences else f"array of shape {np.shape(self.rows)}"
        return f"<{kind}>"


def _columns(structure: Any) -> Any:
    """A structure of columns: dictionaries and tuples are seen through, lists are data."""
    if isinstance(structure, Mapping):
        return {key: _columns(part) for key, part in structure.items()}
    if isinstance(structure, tuple):
        return tuple(map(_columns, structure))
    return None if structure is None else Column(structure)


def _padded(rows: list[Any], length: int, buckets: Buckets) -> np.ndarray[Any, Any]:
    """Sequences as one array (samples, length, ...), floats as `floatx`."""
    dtype = np.result_type(*{row.dtype for row in rows if len(row)} or {np.dtype(floatx())})
    if dtypes.is_float(dtypes.standardize_dtype(dtype)):
        dtype = dtypes.numpy_dtype(floatx())
    return pad_sequences(rows, length, dtype, buckets.padding, buckets.padding, buckets.value)


def _gives_batches(x: Any) -> bool:
    is_data = isinstance(x, (str, bytes, Sequence, Mapping)) or is_array(x)
    return hasattr(x, "__iter__") and not is_data


def _name(stream: Any) -> str:
    return "no samples" if stream is None else f"a {type(stream).__name__}"
