"""Ops that keep sparse tensors sparse, or read them as they are; every other op gets them dense.

A rule takes the arguments of its op, one of which is sparse, and gives the result, or `NotImplemented`
where the op needs dense ones. It is written over ops on the places and the values, so that it runs, and
is differentiated, on every engine.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ..core.op import OPS, SPARSE, SparseRule
from ..engines.sparse import SparseTensor
from . import _math, numpy
from ._core import cast, convert_to_tensor, scatter, shape

#: Ops of one tensor that give zero for zero: they work on the values.
_OF_ZERO = (
    "absolute arcsin arcsinh arctan arctanh cbrt ceil conj deg2rad expm1 floor imag leaky_relu log1p "
    "negative rad2deg real relu relu6 round sign silu sin sinh softsign sqrt square tan tanh trunc"
)


def dense(x: Any) -> Any:
    """The whole tensor, zeros included; a dense one as it is."""
    return scatter(x.indices, x.values, x.shape) if isinstance(x, SparseTensor) else x


def joined(parts: list[SparseTensor]) -> SparseTensor:
    """The sum of sparse tensors of one shape: each place once, in order."""
    indices = numpy.concatenate([part.indices for part in parts])
    values = numpy.concatenate([part.values for part in parts])
    order = numpy.arange(indices.shape[0])
    for axis in reversed(range(len(parts[0].shape))):
        order = numpy.take(order, numpy.argsort(numpy.take(indices[:, axis], order)))
    indices, values = numpy.take(indices, order, 0), numpy.take(values, order)
    new = numpy.any(indices[1:] != indices[:-1], axis=1)
    place = numpy.pad(numpy.cumsum(cast(new, "int32")), (1, 0))
    total = _math.segment_sum(values, place, int(values.shape[0]))
    first = numpy.pad(new, (1, 0), constant_values=True)
    return SparseTensor(indices, numpy.where(first, numpy.take(total, place), 0), parts[0].shape)


# ------------------------------------------------------------------------- rules


def _on_values(name: str) -> Callable[..., Any]:
    def rule(x: SparseTensor, *args: Any) -> SparseTensor:
        return x.map(lambda values: OPS[name].wrapper(values, *args))

    return rule


def _cast(x: SparseTensor, dtype: Any) -> SparseTensor:
    return x.map(lambda values: cast(values, dtype))


def _kept(x: SparseTensor, dtype: Any, sparse: bool | None, ragged: Any) -> Any:
    if sparse is False:
        return NotImplemented
    return x if dtype is None else _cast(x, dtype)


def _at(x: SparseTensor, other: Any) -> Any:
    """The elements of a dense tensor, or of one that broadcasts, at the places of a sparse one."""
    sizes, place = shape(other), numpy.zeros_like(x.indices[:, 0])
    if not sizes:
        return other
    for axis, size in enumerate(sizes, x.ndim - len(sizes)):
        place = place * size + (0 if size == 1 else x.indices[:, axis])
    return numpy.take(numpy.reshape(other, (-1,)), place)


def _scales(x: SparseTensor, other: Any) -> bool:
    """Whether the product with a dense tensor has the shape of the sparse one."""
    given = shape(other)
    sizes = zip(reversed(given), reversed(x.shape), strict=False)
    return len(given) <= x.ndim and all(one in (1, size) for one, size in sizes)


def _multiply(x1: Any, x2: Any) -> Any:
    x, other = (x1, x2) if isinstance(x1, SparseTensor) else (x2, x1)
    other = dense(other)
    if not _scales(x, other):
        return NotImplemented
    return x.map(lambda values: numpy.multiply(values, _at(x, other)))


def _divide(x1: Any, x2: Any) -> Any:
    if not isinstance(x1, SparseTensor) or len(shape(x2)):
        return NotImplemented  # zero divided by zero is no zero
    return x1.map(lambda values: numpy.divide(values, x2))


def _add(x1: Any, x2: Any) -> Any:
    both = isinstance(x1, SparseTensor) and isinstance(x2, SparseTensor)
    return joined([x1, x2]) if both and x1.shape == x2.shape else NotImplemented


def _subtract(x1: Any, x2: Any) -> Any:
    return _add(x1, x2.map(numpy.negative)) if isinstance(x2, SparseTensor) else NotImplemented


def _matmul(x1: Any, x2: Any) -> Any:
    if not isinstance(x1, SparseTensor):
        if len(shape(x1)) != 2 or x2.ndim != 2:
            return NotImplemented
        turned = _matmul(_transpose(x2), numpy.transpose(x1))
        return turned if turned is NotImplemented else numpy.transpose(turned)
    x2 = dense(x2)
    if x1.ndim < 2 or len(shape(x2)) != 2:
        return NotImplemented
    _check_sizes(x1.shape, tuple(x2.shape))
    x = _reshape(x1, (-1, x1.shape[-1]))
    terms = numpy.expand_dims(x.values, 1) * numpy.take(x2, x.indices[:, 1], 0)
    rows = _math.segment_sum(terms, x.indices[:, 0], x.shape[0])
    return numpy.reshape(rows, (*x1.shape[:-1], x2.shape[-1]))


def _affine(x: Any, kernel: Any, bias: Any) -> Any:
    product = _matmul(x, kernel)
    return product if product is NotImplemented else numpy.add(product, bias)


def _check_sizes(left: tuple[int, ...], right: tuple[Any, ...]) -> None:
    if left[-1] != right[0]:
        raise ValueError(
            "The columns of the first matrix must be as many as the rows of the second. Received: "
            f"x1.shape={left}, x2.shape={right}."
        )


def _sum(x: SparseTensor, axis: Any = None, keepdims: bool = False) -> Any:
    axes = range(x.ndim) if axis is None else [axis] if isinstance(axis, int) else axis
    gone = {a % x.ndim for a in axes}
    sizes = [1 if a in gone else size for a, size in enumerate(x.shape)]
    place = _flat(x, [a for a in range(x.ndim) if a not in gone])
    total = numpy.reshape(_math.segment_sum(x.values, place, math.prod(sizes)), sizes)
    return total if keepdims else numpy.squeeze(total, tuple(sorted(gone)))


def _mean(x: SparseTensor, axis: Any = None, keepdims: bool = False) -> Any:
    total = _sum(x, axis, keepdims)
    return total / (math.prod(x.shape) / math.prod(shape(total)))


def _flat(x: SparseTensor, axes: list[int]) -> Any:
    """The places along some axes as one number each."""
    place = numpy.zeros_like(x.indices[:, 0])
    for axis in axes:
        place = place * x.shape[axis] + x.indices[:, axis]
    return place


def _transpose(x: SparseTensor, axes: Any = None) -> SparseTensor:
    axes = tuple(reversed(range(x.ndim))) if axes is None else tuple(a % x.ndim for a in axes)
    sizes = tuple(x.shape[a] for a in axes)
    return SparseTensor(numpy.take(x.indices, list(axes), 1), x.values, sizes)


def _reshape(x: SparseTensor, newshape: Any) -> SparseTensor:
    sizes = (newshape,) if isinstance(newshape, int) else tuple(newshape)
    known = math.prod(size for size in sizes if size != -1)
    sizes = tuple(math.prod(x.shape) // known if size == -1 else int(size) for size in sizes)
    if sizes == x.shape:
        return x
    if math.prod(sizes) != math.prod(x.shape):
        raise ValueError(
            "A reshaped tensor must keep its elements. Received: "
            f"x.shape={x.shape}, newshape={newshape}."
        )
    place, columns = _flat(x, list(range(x.ndim))), []
    for size in reversed(sizes):
        columns.append(place % size)
        place = place // size
    return SparseTensor(numpy.stack(columns[::-1], -1), x.values, sizes)


def _expand_dims(x: SparseTensor, axis: Any) -> Any:
    axes = [axis] if isinstance(axis, int) else list(axis)
    rank = x.ndim + len(axes)
    places = {a % rank for a in axes}
    sizes = iter(x.shape)
    return _reshape(x, [1 if a in places else next(sizes) for a in range(rank)])


def _concatenate(xs: Any, axis: int = 0) -> Any:
    if not all(isinstance(x, SparseTensor) for x in xs):
        return NotImplemented
    axis, start, indices = axis % xs[0].ndim, 0, []
    for x in xs:
        ahead = [start if a == axis else 0 for a in range(x.ndim)]
        indices.append(x.indices + convert_to_tensor(ahead, x.indices.dtype))
        start += x.shape[axis]
    sizes = (*xs[0].shape[:axis], start, *xs[0].shape[axis + 1 :])
    values = numpy.concatenate([x.values for x in xs])
    return SparseTensor(numpy.concatenate(indices), values, sizes)


def _never(given: list[bool]) -> bool:
    return False


SPARSE.update((name, SparseRule(_on_values(name), all)) for name in _OF_ZERO.split())
_BY_DENSE = SparseRule(_divide, lambda given: given == [True, False])
SPARSE.update(
    add=SparseRule(_add, all),
    affine=SparseRule(_affine, _never),
    cast=SparseRule(_cast, all),
    convert_to_tensor=SparseRule(_kept, all),
    concatenate=SparseRule(_concatenate, all),
    divide=_BY_DENSE,
    expand_dims=SparseRule(_expand_dims, all),
    matmul=SparseRule(_matmul, _never),
    mean=SparseRule(_mean, _never),
    multiply=SparseRule(_multiply, any),
    reshape=SparseRule(_reshape, all),
    subtract=SparseRule(_subtract, all),
    sum=SparseRule(_sum, _never),
    transpose=SparseRule(_transpose, all),
    true_divide=_BY_DENSE,
)
