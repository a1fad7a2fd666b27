"""Arrays that stay where they are stored, larger than memory maybe, until some rows are read.

Those of HDF5 and zarr are known by their chunks. A Hugging Face dataset is its columns by name.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core import tree
from ._batch import same_shape


class Stored:
    """Rows of something stored, as an array `(rows, ...)` that is read by slices and by indices."""

    chunks = None
    shape: tuple[int, ...]
    dtype: Any

    def __getitem__(self, rows: Any) -> Any:
        raise NotImplementedError


class Part(Stored):
    """The rows from `start` to `stop` of a stored array."""

    def __init__(self, whole: Any, start: int, stop: int) -> None:
        self.whole, self.start = whole, start
        self.shape, self.dtype = (stop - start, *whole.shape[1:]), whole.dtype

    def __getitem__(self, rows: Any) -> Any:
        if not isinstance(rows, slice):
            return self.whole[rows + self.start]
        start, stop, _ = rows.indices(self.shape[0])
        return self.whole[start + self.start : stop + self.start]


class Column(Stored):
    """A column of a Hugging Face dataset."""

    def __init__(self, dataset: Any, name: str) -> None:
        self.name = name
        self.dataset = dataset.with_format("numpy", columns=[name])
        first = self[:1]
        self.shape, self.dtype = (len(dataset), *first.shape[1:]), first.dtype

    def __getitem__(self, rows: Any) -> Any:
        return same_shape(np.asarray(self.dataset[rows][self.name]))


def is_stored(leaf: Any) -> bool:
    return hasattr(leaf, "chunks") and hasattr(leaf, "dtype")


def by_column(data: Any) -> Any:
    """Data with the columns of Hugging Face datasets in place of the datasets."""

    def columns(leaf: Any) -> Any:
        if (
            hasattr(leaf, "with_format")
            and hasattr(leaf, "column_names")
            and hasattr(leaf, "__len__")
        ):
            return {name: Column(leaf, name) for name in leaf.column_names}
        if hasattr(leaf, "column_name") and hasattr(leaf, "source"):
            return Column(leaf.source, leaf.column_name)
        return leaf

    return tree.map_structure(columns, data)
