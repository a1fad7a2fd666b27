"""Tensors of which few elements are not zero: their places and their values.

An engine knows a sparse tensor only as the dense tensors that it consists of, so that sparse data runs on
every one. Those of libraries (SciPy's matrices, `BCOO`, `tf.SparseTensor`, PyTorch's COO) are read by
`Engine.sparse_parts`, or, where they have a `tocoo`, by their coordinates.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import optree

from . import loaded
from .contract import Engine
from .operators import Operators

_DENSE = frozenset({bool, int, float, complex, list, tuple, np.ndarray, np.float32, np.float64})
#: Where `optree` sees through a sparse tensor; for the trees of the floors above it is a leaf.
NAMESPACE = "cornu.engines"


class SparseTensor(Operators):
    """A tensor as the places and values of those elements that may differ from zero.

    A place occurs once, except those of zeros that were added to keep a number of elements.

    Args:
        indices: Integers `(elements, axes)`.
        values: `(elements,)`.
        shape: The shape of the whole tensor, of integers.

    >>> x = SparseTensor(np.array([[0, 2], [1, 0]]), np.array([5.0, 7.0]), (2, 3))
    >>> x
    <SparseTensor shape=(2, 3), dtype=float64, elements=2>
    >>> np.asarray(x)
    array([[0., 0., 5.],
           [7., 0., 0.]])
    """

    __slots__ = ("indices", "values", "shape", "__weakref__")
    #: What an operator gives, by its primitive's name; the floor of ops puts it here.
    operator: ClassVar[Callable[..., Any]]

    def __init__(self, indices: Any, values: Any, shape: tuple[int, ...]) -> None:
        self.indices = indices
        self.values = values
        self.shape = shape

    @property
    def dtype(self) -> str:
        """The dtype's name."""
        dtype = self.values.dtype
        return str(getattr(dtype, "name", dtype)).removeprefix("torch.")

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def map(self, function: Callable[[Any], Any]) -> SparseTensor:
        """The same places with other values."""
        return SparseTensor(self.indices, function(self.values), self.shape)

    def _operate(self, name: str, *operands: Any) -> Any:
        return SparseTensor.operator(name, *operands)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
        values = np.asarray(self.values)
        dense = np.zeros(self.shape, dtype or values.dtype)
        np.add.at(dense, tuple(np.asarray(self.indices).T), values)
        return dense

    def __repr__(self) -> str:
        count = int(self.values.shape[0])
        return f"<SparseTensor shape={self.shape}, dtype={self.dtype}, elements={count}>"


class SparseRows:
    """Sparse data on the host, of which rows are read as sparse tensors.

    The number of elements that a read gives is a power of two, or that of the fullest rows: programs are
    compiled for few numbers.
    """

    def __init__(self, data: SparseTensor) -> None:
        order = np.argsort(data.indices[:, 0], kind="stable")
        self.indices, self.values = data.indices[order], data.values[order]
        self.shape, self.dtype = data.shape, data.values.dtype
        self.ndim = data.ndim
        counts = np.bincount(self.indices[:, 0], minlength=self.shape[0])
        self.starts = np.concatenate([[0], np.cumsum(counts)])
        self._fullest = np.concatenate([[0], np.cumsum(np.sort(counts)[::-1])])

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Any) -> SparseTensor:
        """Rows, a slice or an array of indices."""
        rows = np.arange(self.shape[0])[rows]
        counts = self.starts[rows + 1] - self.starts[rows]
        total = int(counts.sum())
        ends = np.cumsum(counts)
        at = np.repeat(self.starts[rows] - (ends - counts), counts) + np.arange(total)
        most = int(self._fullest[min(len(rows), len(self._fullest) - 1)])
        size = min(1 << max(total - 1, 0).bit_length(), max(most, total))
        indices = np.zeros((size, len(self.shape)), "int32")
        indices[:total, 0] = np.repeat(np.arange(len(rows)), counts)
        indices[:total, 1:] = self.indices[at, 1:]
        values = np.zeros(size, self.dtype)
        values[:total] = self.values[at]
        return SparseTensor(indices, values, (len(rows), *self.shape[1:]))


def from_coordinates(x: Any) -> SparseTensor | None:
    """A matrix or array of SciPy, or of what is like it, as a sparse tensor; None for anything else."""
    read = getattr(x, "tocoo", None)
    if read is None:
        return None
    coo = read(copy=True)
    coo.sum_duplicates()
    places = getattr(coo, "coords", None) or (coo.row, coo.col)
    return SparseTensor(np.stack(places, -1).astype("int32"), coo.data, tuple(map(int, x.shape)))


def of_library(x: Any) -> tuple[SparseTensor, Engine | None] | None:
    """A sparse tensor of any library, and the engine whose tensors it consists of, if not NumPy's arrays;
    None for anything else."""
    if isinstance(x, SparseTensor):
        return x, next((e for e in loaded() if e.is_tensor(x.values)), None)
    if x.__class__ in _DENSE:
        return None
    for engine in loaded():
        parts = engine.sparse_parts(x)
        if parts is not None:
            return SparseTensor(*parts), engine
    found = from_coordinates(x)
    return None if found is None else (found, None)


def on_engine(engine: Engine, x: Any) -> SparseTensor | None:
    """A sparse tensor of any library, over tensors of an engine; None for anything else."""
    found = of_library(x)
    if found is None:
        return None
    tensor, owner = found
    if owner is engine:
        return tensor
    indices, values = (
        engine.convert_to_tensor(part) if owner is None else engine.received(part, owner)
        for part in (tensor.indices, tensor.values)
    )
    return SparseTensor(indices, values, tensor.shape)


def on_host(x: Any) -> SparseTensor | None:
    """A sparse tensor of any library, over NumPy arrays; None for anything else."""
    found = of_library(x)
    if found is None:
        return None
    tensor, owner = found
    read = np.asarray if owner is None else owner.convert_to_numpy
    return SparseTensor(read(tensor.indices), read(tensor.values), tensor.shape)


def children(x: SparseTensor) -> tuple[tuple[Any, Any], tuple[int, ...]]:
    """What a sparse tensor consists of: the tensors, and the shape."""
    return (x.indices, x.values), x.shape


def of_children(shape: tuple[int, ...], parts: Any) -> SparseTensor:
    """The sparse tensor that consists of `parts`."""
    indices, values = parts
    return SparseTensor(indices, values, shape)


_register: Any = optree.register_pytree_node
_register(SparseTensor, children, of_children, namespace=NAMESPACE)
