"""Data as batches: what `fit`, `evaluate`, `predict` and `adapt` accept, made into one thing, a `Source`.

A source gives the batches of one pass over the data, as structures of NumPy arrays in the form that
a step takes them: `x`, `(x, y)` or `(x, y, sample_weight)`. Arrays are cut into batches, as views
where their order is kept; a `PyDataset` is read ahead by its workers; a generator, or another
library's loader, is read as it comes.
"""

from __future__ import annotations

import itertools
import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import tuning
from ..core import dtypes, tree
from ..core.config import floatx
from ..core.keras_tensor import KerasTensor
from ..core.seeding import get_random_seed, make_default_seed
from ..engines import current, use
from ..engines.sparse import SparseRows, SparseTensor, of_library, on_host

if TYPE_CHECKING:
    from concurrent.futures import Executor

DEFAULT_BATCH_SIZE = 32
Reader = Callable[[Any], Any]


class Orders:
    """The orders of shuffled data: each follows from the seed and the number of the pass.

    In deterministic mode the seed is that of `set_random_seed`, so that a `fit` which goes on at
    `initial_epoch`, in another process too, shuffles as one that was never stopped.
    """

    def __init__(self) -> None:
        fixed = get_random_seed() if tuning.deterministic() else None
        self.seed = make_default_seed() if fixed is None else fixed
        #: The number of the next pass.
        self.number = 0

    def draw(self) -> np.random.Generator:
        """What draws the order of the next pass."""
        self.number += 1
        return np.random.default_rng((self.seed, self.number - 1))


class Source:
    """Batches of data. Iterating over it is one pass, or goes on where the data is a stream."""

    #: Samples in a batch, where it is known.
    batch_size: int | None = None
    #: Whether the last batch of a pass is smaller than the others.
    has_partial_batch: bool = False
    #: What shuffles it, if anything does.
    orders: Orders | None = None

    @property
    def num_batches(self) -> int | None:
        """The batches of one pass; `None` where it is unknown or has no end."""
        return None

    def __iter__(self) -> Iterator[Any]:
        """The batches of one pass, each `x`, `(x, y)` or `(x, y, sample_weight)`."""
        raise NotImplementedError

    def on_epoch_begin(self) -> None:
        """Called before an epoch."""

    def on_epoch_end(self) -> None:
        """Called after an epoch."""


def make_source(
    x: Any,
    y: Any = None,
    sample_weight: Any = None,
    batch_size: int | None = None,
    steps: int | None = None,
    shuffle: bool | str = False,
    class_weight: Mapping[Any, float] | None = None,
) -> Source:
    """A source of batches from whatever data a model is given.

    Args:
        x: Arrays `(samples, ...)` or a structure of them (of NumPy, pandas, any tensor library, or
            an HDF5 file), a `PyDataset`, a generator or iterator of tuples, or an iterable of
            batches such as a torch `DataLoader` or a `tf.data.Dataset`.
        y, sample_weight: Targets and weights, where `x` is arrays.
        batch_size: Samples in a batch of arrays, 32 where it is left out.
        steps: The batches of an epoch, where the caller counts them.
        shuffle: Whether arrays come in a new order each pass, and the batches of a `PyDataset`;
            `"batch"` shuffles arrays within each batch only.
        class_weight: The weight of each class, by its index, made into sample weights.

    Raises:
        ValueError: If the data can't be read as batches, or an argument doesn't go with it.
        TypeError: If `steps` or `batch_size` is no integer.

    >>> source = make_source(np.zeros((10, 3)), np.arange(10), batch_size=4)
    >>> source.num_batches, [x.shape for x, y in source]
    (3, [(4, 3), (4, 3), (2, 3)])
    """
    if isinstance(x, Source):
        return x
    _check_count("steps", steps)
    if _is_dataset(x):
        _refuse_targets("a PyDataset", y, sample_weight)
        return DatasetSource(x, bool(shuffle), class_weight, steps)
    if _is_arrays((x, y, sample_weight)):
        return ArraySource(x, y, sample_weight, batch_size, shuffle, class_weight)
    if hasattr(x, "__next__"):
        _refuse_targets("a generator", y, sample_weight)
        if class_weight is not None:
            raise ValueError(
                "`class_weight` doesn't go with a generator. Received: "
                f"class_weight={class_weight}. Yield `(x, y, sample_weight)` instead."
            )
        return GeneratorSource(x)
    if (
        hasattr(x, "__iter__")
        and not isinstance(x, (str, bytes, Sequence, Mapping))
        and not (_is_array(x))
    ):
        _refuse_targets(f"an iterable ({type(x).__name__})", y, sample_weight)
        return IterableSource(x, class_weight)
    raise _unrecognized(x, y, sample_weight)


def inputs_of(data: Any) -> Iterator[Any]:
    """The inputs of each batch of data that a layer adapts to, without targets and weights.

    Args:
        data: One array, or a list of numbers or strings: it is one batch. Or what gives batches, each
            `x`, `(x, y)` or `(x, y, sample_weight)`: a list or tuple of arrays, a generator, a `PyDataset`
            or another iterable, such as a torch `DataLoader` or a `tf.data.Dataset`.

    Raises:
        TypeError: If it is neither.

    >>> [x.shape for x in inputs_of([(np.ones((2, 3)), np.ones(2)), (np.ones((1, 3)), np.ones(1))])]
    [(2, 3), (1, 3)]
    """
    if _is_array(data) or _is_plain(data):
        yield _on_host(data)
    elif isinstance(data, (str, bytes, Mapping)) or not hasattr(data, "__iter__"):
        raise TypeError(
            "`adapt` takes an array, or batches of arrays: a list, a generator, a PyDataset or another "
            f"iterable. Received: {_outline(data)}. Make a structure of numbers an array."
        )
    else:
        if _is_dataset(data):
            data = DatasetSource(data).batches()
        for batch in data:
            whole = _is_array(batch) or _is_plain(batch)
            yield _on_host(batch if whole else unpack_x_y_sample_weight(batch)[0])


def _is_plain(data: Any) -> bool:
    """Whether data is a list of Python's numbers or strings, nested or not."""
    leaves = tree.flatten(data) if isinstance(data, list) else []
    return bool(leaves) and all(isinstance(x, (int, float, str, bytes, np.generic)) for x in leaves)


def _on_host(x: Any) -> Any:
    if isinstance(x, np.ndarray) or not _is_array(x):
        return x
    sparse = on_host(x)
    return _to_numpy(x) if sparse is None else np.asarray(sparse)


# -------------------------------------------------------------------- x, y, sample_weight


def unpack_x_y_sample_weight(data: Any) -> tuple[Any, Any, Any]:
    """The inputs, targets and weights of a batch; `None` for what it has not.

    Raises:
        ValueError: If it is a tuple or list of more than three parts.

    >>> unpack_x_y_sample_weight((1, 2))
    (1, 2, None)
    """
    if not isinstance(data, (tuple, list)):
        return data, None, None
    if not 1 <= len(data) <= 3:
        raise ValueError(
            "A batch must be `x`, `(x,)`, `(x, y)` or `(x, y, sample_weight)`. "
            f"Received: {type(data).__name__} of {len(data)} parts. Put several inputs in a list "
            "or a dictionary of their own."
        )
    x, y, sample_weight = (*data, None, None)[:3]
    return x, y, sample_weight


def pack_x_y_sample_weight(x: Any, y: Any = None, sample_weight: Any = None) -> Any:
    """Inputs, targets and weights as a batch, which `unpack_x_y_sample_weight` reads.

    >>> pack_x_y_sample_weight(1), pack_x_y_sample_weight(1, 2), pack_x_y_sample_weight([1])
    (1, (1, 2), ([1],))
    """
    if y is None:
        return (x,) if isinstance(x, (tuple, list)) else x
    return (x, y) if sample_weight is None else (x, y, sample_weight)


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
    leaves = tree.flatten(arrays)
    foreign = [type(leaf).__name__ for leaf in leaves if leaf is not None and not _is_array(leaf)]
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

    def part(rows: slice) -> tuple[Any, Any, Any]:
        x, y, w = tree.map_structure(lambda leaf: None if leaf is None else leaf[rows], held)
        return x, y, w

    return part(slice(0, split)), part(slice(split, count))


# ----------------------------------------------------------------------------------- arrays


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
    ) -> None:
        x, y, sample_weight = tree.map_structure(_held, (x, y, sample_weight))
        self.size = _cardinality(x, y, sample_weight)
        self.batch_size = _checked_batch_size(batch_size)
        self.shuffle = shuffle
        if class_weight is not None:
            sample_weight = _class_weights(class_weight, y, sample_weight)
        elif sample_weight is not None:
            sample_weight = _weights_by_output(sample_weight, y)
        #: The whole data, as one batch.
        self.arrays = pack_x_y_sample_weight(x, y, sample_weight)
        self._readers = [_reader(leaf) for leaf in tree.flatten(self.arrays)]
        self.orders = Orders() if shuffle else None

    @property
    def num_batches(self) -> int:
        """The batches of one pass."""
        return -(-self.size // self.batch_size)

    @property
    def has_partial_batch(self) -> bool:  # type: ignore[override]
        """Whether the last batch is smaller than the others."""
        return self.size % self.batch_size != 0

    def order(self) -> np.ndarray[Any, Any] | None:
        """The order of the samples in the next pass, int64; `None` as they lie."""
        if self.orders is None:
            return None
        draw = self.orders.draw()
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


class ArrayPass(Iterator[Any]):
    """One pass over arrays: batch by batch, or several at once."""

    def __init__(self, source: ArraySource) -> None:
        self.source = source
        self.order = source.order()
        self.start = 0

    def __next__(self) -> Any:
        batch = self.peek()
        self.start += self.source.batch_size
        return batch

    @property
    def whole(self) -> int:
        """How many whole batches are left."""
        return max(0, self.source.size - self.start) // self.source.batch_size

    @property
    def stacks(self) -> bool:
        """Whether several batches can be read as one array."""
        return not any(isinstance(leaf, SparseRows) for leaf in tree.flatten(self.source.arrays))

    def peek(self) -> Any:
        """The next batch, which stays the next one.

        Raises:
            StopIteration: If there is none left.
        """
        if self.start >= self.source.size:
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
        rows = slice(self.start, self.start + samples)
        return self.source.read(rows if self.order is None else self.order[rows])


def _reader(leaf: Any) -> Reader | None:
    """What reads rows, a slice or indices, of an array; floats as `floatx`."""
    if leaf is None:
        return None
    if isinstance(leaf, SparseRows):
        return leaf.__getitem__
    in_memory = isinstance(leaf, np.ndarray)
    wanted = dtypes.numpy_dtype(floatx())
    if not dtypes.is_float(dtypes.standardize_dtype(leaf.dtype)) or leaf.dtype == wanted:
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


def _is_array(leaf: Any) -> bool:
    if isinstance(leaf, (KerasTensor, str, bytes)):
        return False
    if hasattr(leaf, "__array__") or hasattr(leaf, "to_numpy") or of_library(leaf) is not None:
        return True
    return all(hasattr(leaf, name) for name in ("shape", "dtype", "__getitem__"))


def _is_arrays(structure: Any) -> bool:
    leaves = [leaf for leaf in tree.flatten(structure) if leaf is not None]
    return bool(leaves) and all(map(_is_array, leaves))


def _held(leaf: Any) -> Any:
    """An array as it is kept: in NumPy, or still in its file; a pandas column as `(samples, 1)`."""
    if leaf is None:
        return None
    sparse = _sparse(leaf)
    if sparse is not None:
        return SparseRows(sparse)
    array = _to_numpy(leaf) if not hasattr(leaf, "chunks") else leaf
    _check_dtype(array.dtype)
    return array


def _to_numpy(leaf: Any) -> np.ndarray[Any, Any]:
    if isinstance(leaf, np.ndarray):
        return np.asarray(leaf)
    if hasattr(leaf, "to_numpy"):
        array = leaf.to_numpy()
        return array[:, None] if array.ndim == 1 else array
    if hasattr(leaf, "detach"):  # a torch tensor: NumPy has no bfloat16 of its own
        leaf = leaf.detach().cpu()
        leaf = leaf.float() if str(leaf.dtype) == "torch.bfloat16" else leaf
    return np.asarray(leaf)


def _sparse(leaf: Any) -> SparseTensor | None:
    """A sparse tensor of any library, on the host, floats as `floatx`; None for anything else."""
    found = on_host(leaf)
    if found is None:
        return None
    _check_dtype(found.dtype)
    wanted = dtypes.numpy_dtype(floatx() if dtypes.is_float(found.dtype) else found.dtype)
    return found.map(lambda values: values.astype(wanted, copy=False))


def _check_dtype(dtype: Any) -> None:
    try:
        found = dtypes.standardize_dtype(dtype)
    except ValueError:
        found = "string"
    if found == "string":
        raise ValueError(
            "Invalid dtype: data must be numbers or booleans. "
            f"Received: dtype={dtype}. Encode strings as integers, and objects as arrays."
        )


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
        raise ValueError(
            "Data cardinality is ambiguous: all arrays must have the same number of samples. "
            f"Received: {listed}. Each sample has one entry in each array: look at how they were cut."
        )
    return counts.pop()


def _weights_by_output(sample_weight: Any, y: Any) -> Any:
    """Sample weights in the structure of the targets."""
    if not tree.is_nested(y):
        leaves = tree.flatten(sample_weight)
        if len(leaves) == 1:
            return leaves[0]
    elif not tree.is_nested(sample_weight):
        return tree.map_structure(lambda _: sample_weight, y)
    try:
        tree.assert_same_structure(y, sample_weight)
    except ValueError as error:
        raise ValueError(
            "`sample_weight` must have one array for each output in `y`, or one for all. Received: "
            f"y={_outline(y)}, sample_weight={_outline(sample_weight)}."
        ) from error
    return sample_weight


def _class_weights(class_weight: Mapping[Any, float], y: Any, sample_weight: Any) -> Any:
    """The weight of each sample's class, of labels or one-hot rows: `(samples,)`."""
    if sample_weight is not None:
        raise ValueError(
            "`class_weight` and `sample_weight` exclude each other. Received: both. Multiply the "
            "sample weights by the weights of their classes."
        )
    if y is None or tree.is_nested(y):
        raise ValueError(
            "`class_weight` needs targets of a single output. "
            f"Received: y={_outline(y)}. Pass `sample_weight` instead."
        )
    labels = np.asarray(y)
    if labels.ndim > 1:
        labels = labels[..., 0] if labels.shape[-1] == 1 else np.argmax(labels, axis=-1)
    classes, inverse = np.unique(np.rint(labels).astype("int64"), return_inverse=True)
    weights = [class_weight.get(int(label), 1.0) for label in classes]
    return np.asarray(weights, dtype=dtypes.numpy_dtype(floatx()))[inverse.reshape(labels.shape)]


# --------------------------------------------------------------------------- sources of batches


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

    def __iter__(self) -> Iterator[Any]:
        self.on_epoch_begin()
        for batch in self.batches():
            yield _weighted(_checked_item(batch), self.class_weight)

    def batches(self) -> Iterator[Any]:
        """The batches of one pass, as the dataset gives them."""
        workers = int(getattr(self.dataset, "workers", 1) or 0)
        processes = workers > 0 and getattr(self.dataset, "use_multiprocessing", False)
        if workers <= 1 and not processes:  # the caller's thread may hold a connection, say
            return map(self.dataset.__getitem__, self._indices())
        ahead = max(workers, int(getattr(self.dataset, "max_queue_size", 10)))
        if processes:
            return _read_ahead(
                _process_pool(workers, self.dataset), _get_in_process, self._indices(), ahead
            )
        engine = current()

        def get(index: int) -> Any:
            with use(engine):
                return self.dataset[index]

        return _read_ahead(_thread_pool(workers), get, self._indices(), ahead)

    def _indices(self) -> Iterable[int]:
        count = self.num_batches
        if count is None:
            return itertools.count()
        if self.orders is None:
            return range(count)
        return map(int, self.orders.draw().permutation(count))


def _read_ahead(
    pool: Executor, get: Callable[[int], Any], indices: Iterable[int], ahead: int
) -> Iterator[Any]:
    """`get(index)` in order, up to `ahead` of them computed before they are asked for.

    The pool's threads or processes have ended when the iterator has: at its end, at an error, or
    when it is closed.
    """
    pending: deque[Any] = deque()
    try:
        for index in indices:
            pending.append(pool.submit(get, index))
            if len(pending) >= ahead:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _thread_pool(workers: int) -> Executor:
    from concurrent.futures import ThreadPoolExecutor

    return ThreadPoolExecutor(workers, thread_name_prefix="cornu-data")


def _process_pool(workers: int, dataset: Any) -> Executor:
    """Processes that have the dataset, started in the way that `multiprocessing` is set to."""
    from concurrent.futures import ProcessPoolExecutor

    return ProcessPoolExecutor(workers, initializer=_set_process_dataset, initargs=(dataset,))


_process_dataset: Any = None


def _set_process_dataset(dataset: Any) -> None:
    global _process_dataset
    _process_dataset = dataset


def _get_in_process(index: int) -> Any:
    return _process_dataset[index]


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
                f"Received: {_outline(batch)}. Write `yield x, y`."
            )
        return _as_arrays(batch)


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
        """What its `len` says, where it has one."""
        try:
            return len(self.iterable)  # type: ignore[arg-type]
        except (TypeError, NotImplementedError):
            return None

    def __iter__(self) -> Iterator[Any]:
        for batch in self.iterable:
            whole = tuple(batch) if isinstance(batch, list) else batch
            yield _weighted(_as_arrays(whole), self.class_weight)


def _checked_item(item: Any) -> Any:
    """What a `PyDataset` gave for an index, as a tuple or dictionary of arrays."""
    if isinstance(item, list):
        item = tuple(item)
    elif _is_array(item):
        item = (item,)
    if isinstance(item, Mapping) or (isinstance(item, tuple) and 1 <= len(item) <= 3):
        return _as_arrays(item)
    raise ValueError(
        "A PyDataset's `__getitem__` must return `(x,)`, `(x, y)`, `(x, y, sample_weight)` or a "
        f"dictionary of inputs. Received: {_outline(item)}."
    )


def _as_arrays(batch: Any) -> Any:
    return tree.map_structure(_batch_array, batch)


def _batch_array(leaf: Any) -> Any:
    if leaf is None or (type(leaf) is np.ndarray and leaf.dtype.kind in "fiub"):
        return leaf
    sparse = _sparse(leaf)
    if sparse is not None:
        return sparse
    array = _to_numpy(leaf)
    _check_dtype(array.dtype)
    return array


def _weighted(batch: Any, class_weight: Mapping[Any, float] | None) -> Any:
    """The batch with weights for its classes."""
    if class_weight is None:
        return batch
    x, y, sample_weight = unpack_x_y_sample_weight(batch)
    if y is None:
        return batch
    return x, y, _class_weights(class_weight, y, sample_weight)


# ----------------------------------------------------------------------------------- checks


def _is_dataset(x: Any) -> bool:
    return (
        not _is_array(x)
        and hasattr(type(x), "__getitem__")
        and hasattr(type(x), "num_batches")
        and hasattr(type(x), "on_epoch_end")
    )


def _refuse_targets(kind: str, y: Any, sample_weight: Any) -> None:
    for name, value in (("y", y), ("sample_weight", sample_weight)):
        if value is not None:
            raise ValueError(
                f"`{name}` doesn't go with {kind} as `x`. Received: {name}={_outline(value)}. "
                f"Let the data give tuples `(x, y)` or `(x, y, sample_weight)`."
            )


def _check_count(name: str, value: Any) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"`{name}` must be an integer. Received: {name}={value!r}.")
    if value < 0:
        raise ValueError(
            f"`{name}` must not be negative. Received: {name}={value}. Leave it out for the default."
        )


def _checked_batch_size(batch_size: Any) -> int:
    _check_count("batch_size", batch_size)
    return int(batch_size or DEFAULT_BATCH_SIZE)


def _unrecognized(x: Any, y: Any, sample_weight: Any) -> ValueError:
    parts = (("x", x), ("y", y), ("sample_weight", sample_weight))
    listed = ", ".join(f"{name}={_outline(part)}" for name, part in parts if part is not None)
    return ValueError(
        "Unrecognized data type: data must be arrays with the samples along their first axis, a "
        f"generator, a PyDataset or an iterable of batches. Received: {listed or 'x=None'}. Make "
        "lists of numbers arrays: `np.asarray(x)`."
    )


def _outline(structure: Any) -> str:
    """A structure with its arrays as dtype and shape, short enough for a message."""

    def leaf_outline(leaf: Any) -> Any:
        shape = getattr(leaf, "shape", None)
        if shape is None:
            return leaf if leaf is None else f"<{type(leaf).__name__}>"
        return f"<{getattr(leaf, 'dtype', type(leaf).__name__)} {tuple(shape)}>"

    text = str(tree.map_structure(leaf_outline, structure)).replace("'<", "<").replace(">'", ">")
    return text if len(text) <= 200 else f"{text[:200]}..."


def _nothing() -> None:
    pass
