"""Data as batches: what `fit`, `evaluate`, `predict` and `adapt` accept, made into one thing, a `Source`.

A source gives the batches of one pass over the data, as structures of NumPy arrays in the form that
a step takes them: `x`, `(x, y)` or `(x, y, sample_weight)`. Arrays are cut into batches, as views
where their order is kept; a `PyDataset` is read ahead by its workers; a generator, or another
library's loader, is read as it comes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ._arrays import ArraySource
from ._batch import (
    check_count,
    host_array,
    is_array,
    is_arrays,
    is_plain,
    outline,
    ragged,
    refuse_targets,
    unpack_x_y_sample_weight,
)
from ._datasets import DatasetSource, is_dataset
from ._iterables import GeneratorSource, IterableSource
from ._source import Readable, Source
from ._stored import by_column


def make_source(
    x: Any,
    y: Any = None,
    sample_weight: Any = None,
    batch_size: int | None = None,
    steps: int | None = None,
    shuffle: bool | str = False,
    class_weight: Mapping[Any, float] | None = None,
    drop_remainder: bool = False,
) -> Source:
    """A source of batches from whatever data a model is given.

    Args:
        x: Arrays `(samples, ...)` or a structure of them: of NumPy or any tensor library, frames and
            columns of pandas, polars and pyarrow, arrays of HDF5 and zarr files, which are read by
            batch, Hugging Face datasets (`{name: column}`) and their columns. Or a `PyDataset`, a generator or
            iterator of tuples, or an iterable of batches such as a torch `DataLoader`, a
            `tf.data.Dataset`, or grain's.
        y, sample_weight: Targets and weights, where `x` is arrays.
        batch_size: Samples in a batch of arrays. Where it is left out they are 32, or all divided by `steps`.
        steps: The batches of an epoch, where the caller counts them.
        shuffle: Whether arrays come in a new order each pass, and the batches of a `PyDataset`;
            `"batch"` shuffles arrays within each batch only.
        class_weight: The weight of each class, by its index, made into sample weights.
        drop_remainder: Whether the samples of arrays that fill no batch at the end of a pass are left out.

    Raises:
        ValueError: If the data can't be read as batches, or an argument doesn't go with it.
        TypeError: If `steps` or `batch_size` is no integer.

    >>> import numpy as np
    >>> source = make_source(np.zeros((10, 3)), np.arange(10), batch_size=4)
    >>> source.num_batches, [x.shape for x, y in source]
    (3, [(4, 3), (4, 3), (2, 3)])
    """
    if isinstance(x, Source):
        return x
    check_count("steps", steps)
    x, y, sample_weight = by_column((x, y, sample_weight))
    if is_arrays((x, y, sample_weight)):
        return ArraySource(
            x, y, sample_weight, batch_size, shuffle, class_weight, drop_remainder, steps
        )
    if drop_remainder:
        raise ValueError(
            "`drop_remainder` goes with arrays. Received: drop_remainder=True for "
            f"{outline(x)}. Let the data leave it out: `DataLoader(..., drop_last=True)`, "
            "`dataset.batch(32, drop_remainder=True)`, `bucket_by_length(..., drop_remainder=True)`."
        )
    if isinstance(x, Readable):
        refuse_targets("a dataset", y, sample_weight)
        return x.source(bool(shuffle), class_weight)
    if is_dataset(x):
        refuse_targets("a PyDataset", y, sample_weight)
        return DatasetSource(x, bool(shuffle), class_weight, steps)
    if hasattr(x, "__next__"):
        refuse_targets("a generator", y, sample_weight)
        if class_weight is not None:
            raise ValueError(
                "`class_weight` doesn't go with a generator. Received: "
                f"class_weight={class_weight}. Yield `(x, y, sample_weight)` instead."
            )
        return GeneratorSource(x)
    if (
        hasattr(x, "__iter__")
        and not isinstance(x, (str, bytes, Sequence, Mapping))
        and not (is_array(x))
    ):
        refuse_targets(f"an iterable ({type(x).__name__})", y, sample_weight)
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

    >>> import numpy as np
    >>> [x.shape for x in inputs_of([(np.ones((2, 3)), np.ones(2)), (np.ones((1, 3)), np.ones(1))])]
    [(2, 3), (1, 3)]
    """
    if is_array(data) or is_plain(data):
        yield host_array(data)
    elif isinstance(data, (str, bytes, Mapping)) or not hasattr(data, "__iter__"):
        raise TypeError(
            "`adapt` takes an array, or batches of arrays: a list, a generator, a PyDataset or another "
            f"iterable. Received: {outline(data)}. Make a structure of numbers an array."
        )
    else:
        if is_dataset(data):
            data = DatasetSource(data).items()
        for batch in data:
            whole = is_array(batch) or is_plain(batch)
            yield host_array(batch if whole else unpack_x_y_sample_weight(batch)[0])


def _unrecognized(x: Any, y: Any, sample_weight: Any) -> ValueError:
    lengths = {len(row) if isinstance(row, list) else 1 for row in x} if is_plain(x) else ()
    if len(lengths) > 1:
        return ragged(sorted(lengths))
    parts = (("x", x), ("y", y), ("sample_weight", sample_weight))
    listed = ", ".join(f"{name}={outline(part)}" for name, part in parts if part is not None)
    return ValueError(
        "Unrecognized data type: data must be arrays with the samples along their first axis, a "
        f"generator, a PyDataset or an iterable of batches. Received: {listed or 'x=None'}. Make "
        "lists of numbers arrays: `np.asarray(x)`."
    )
