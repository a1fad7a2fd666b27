"""Ops that select, order and look up elements."""

from __future__ import annotations

import math
from typing import Any

from ..core.checks import one_of
from ..core.op import namespace
from ..core.types import Bool, Index, Nest, Raw, Shape, Tensor, Tensors
from ..engines import current as engine
from ..engines.indexing import as_indices, indexed
from ._bodies import axis_from_front, constant, constants, expand, move_axis, rank_of
from ._shapes import ravel, static_shape

op = namespace("numpy")


# --------------------------------------------------------------------- selecting


@op
def take(x: Raw, indices: Index, axis: int | None = None) -> Tensor:
    """The slices of x at indices along an axis; of the elements as a vector by default.

    Args:
        indices: Integers; negative ones count from the end. Floats must be whole.

    Returns:
        A tensor of the shape of x, with the indices' shape in the place of the axis.

    >>> take([5, 6, 7], [0, -1]).tolist()
    [5, 7]
    """
    if axis is None:
        x, axis = ravel(x), 0
    axis = axis_from_front(axis, rank_of(x))
    return engine().take(x, as_indices(engine(), indices), axis)


@op
def take_along_axis(x: Raw, indices: Index, axis: int | None = None) -> Tensor:
    """The elements of x at indices along an axis, one index for each result.

    Args:
        indices: Integers, of the rank of x; the other axes broadcast.
        axis: The axis; by default x is a vector.

    >>> take_along_axis([[5, 6], [7, 8]], [[1], [0]], axis=1).tolist()
    [[6], [7]]
    """
    if axis is None:
        x, axis = ravel(x), 0
    if rank_of(x) != rank_of(indices):
        raise ValueError(
            "`take_along_axis` takes indices of the rank of x. Received: "
            f"x.shape={engine().shape_of(x)}, indices.shape={engine().shape_of(indices)}."
        )
    axis = axis_from_front(axis, rank_of(x))
    return engine().take_along_axis(x, as_indices(engine(), indices), axis)


@op(compose=False)
def get_item(x: Raw, key: Nest) -> Tensor:
    """x[key].

    Args:
        key: Integers, slices, None, Ellipsis, arrays of integers or booleans, or a tuple of them.

    >>> get_item([[1, 2], [3, 4]], (slice(None), 0)).tolist()
    [1, 3]
    """
    return indexed(engine(), x, key)


@op(compose=False)
def where(condition: Bool, x1: Tensor | None = None, x2: Tensor | None = None) -> Any:
    """x1 where the condition holds, else x2, elementwise, with broadcasting.

    Without x1 and x2: the indices where it holds, as `nonzero`.

    >>> where([True, False], 1, [2, 3]).tolist()
    [1, 3]
    """
    if x1 is None and x2 is None:
        return nonzero(condition)
    if x1 is None or x2 is None:
        raise ValueError(
            "`where` takes x1 and x2, or neither. "
            f"Received: x1={'None' if x1 is None else 'a tensor'}, "
            f"x2={'None' if x2 is None else 'a tensor'}."
        )
    return engine().where(condition, x1, x2)


@op
def select(condlist: Nest, choicelist: Tensors, default: Tensor = 0) -> Tensor:
    """For each element the choice of the first condition that holds, else the default.

    Args:
        condlist: A list of booleans.
        choicelist: A list of as many tensors.

    >>> select([[True, False], [True, True]], [[1, 2], [3, 4]]).tolist()
    [1, 4]
    """
    if len(condlist) != len(choicelist) or not condlist:
        raise ValueError(
            "`select` takes as many conditions as choices, at least one. Received: "
            f"{len(condlist)} conditions and {len(choicelist)} choices."
        )
    for condition, choice in reversed(list(zip(condlist, choicelist, strict=True))):
        default = where(condition, choice, default)
    return default


@op(compose=False)
def nonzero(x: Bool) -> tuple[Tensor, ...]:
    """The indices of the elements that are not 0, one int32 vector for each axis.

    >>> [index.tolist() for index in nonzero([[0, 1], [1, 0]])]
    [[0, 1], [1, 0]]
    """
    if rank_of(x) == 0:
        raise ValueError(
            "`nonzero` takes a tensor with axes. Received: a scalar. Reshape it to (1,)."
        )
    return tuple(engine().nonzero(x, None, 0))


@op
def unravel_index(indices: Index, shape: Shape) -> tuple[Tensor, ...]:
    """Positions in the flattened elements as one index for each axis of a shape.

    >>> [index.tolist() for index in unravel_index([1, 5], (2, 3))]
    [[0, 1], [1, 2]]
    """
    sizes = static_shape(shape)
    dtype = engine().dtype_of(indices)
    indices = as_indices(engine(), indices)
    zero, size, last = constants(indices, 0, math.prod(sizes), math.prod(sizes) - 1)
    negative = engine().less(indices, zero)
    rest = engine().where(negative, engine().add(indices, size), indices)
    rest = engine().minimum(engine().maximum(rest, zero), last)
    found = []
    for size in reversed(sizes):
        found.append(engine().cast(engine().mod(rest, constant(size, rest)), dtype))
        rest = engine().floor_divide(rest, constant(size, rest))
    return tuple(reversed(found))


# ---------------------------------------------------------------------- diagonals


def _distance(rows: Any, columns: Any) -> Tensor:
    """(rows, columns): how far each place is right of the main diagonal, int32."""
    row = expand(engine().arange(0, rows, 1, "int32"), 1)
    return engine().subtract(engine().arange(0, columns, 1, "int32"), row)


def triangle(rows: Any, columns: Any, k: int) -> Tensor:
    """(rows, columns): True on and below the k-th diagonal."""
    distance = _distance(rows, columns)
    return engine().less_equal(distance, constant(k, distance))


def on_diagonal(rows: Any, columns: Any, k: int) -> Tensor:
    """(rows, columns): True on the k-th diagonal."""
    distance = _distance(rows, columns)
    return engine().equal(distance, constant(k, distance))


def _matrix_shape(name: str, x: Tensor) -> tuple[Any, Any]:
    if rank_of(x) < 2:
        raise ValueError(
            f"`{name}` takes at least two axes. Received: x.shape={engine().shape_of(x)}."
        )
    rows, columns = engine().shape_of(x)[-2:]
    return rows, columns


@op
def tril(x: Raw, k: int = 0) -> Tensor:
    """x (..., m, n) with zeros above the k-th diagonal.

    >>> tril([[1, 2], [3, 4]]).tolist()
    [[1, 0], [3, 4]]
    """
    return engine().where(triangle(*_matrix_shape("tril", x), k), x, constant(0, x))


@op
def triu(x: Raw, k: int = 0) -> Tensor:
    """x (..., m, n) with zeros below the k-th diagonal.

    >>> triu([[1, 2], [3, 4]]).tolist()
    [[1, 2], [0, 4]]
    """
    return engine().where(triangle(*_matrix_shape("triu", x), k - 1), constant(0, x), x)


@op
def diagonal(x: Raw, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Tensor:
    """The diagonal of two axes, as the last axis of the result.

    Args:
        offset: How far right of the main diagonal.

    >>> diagonal([[1, 2], [3, 4]]).tolist()
    [1, 4]
    """
    rank = rank_of(x)
    first, second = axis_from_front(axis1, rank), axis_from_front(axis2, rank)
    if first == second:
        raise ValueError(
            f"`diagonal` takes two different axes. Received: axis1={axis1}, axis2={axis2}."
        )
    others = tuple(at for at in range(rank) if at not in (first, second))
    x = engine().transpose(x, (*others, first, second))
    *leading, rows, columns = engine().shape_of(x)
    flat = engine().reshape(x, (*leading, rows * columns))
    # In the flattened matrix, the diagonal's elements are columns + 1 apart, up to the last column.
    start = offset if offset >= 0 else -offset * columns
    stop = columns * (columns - offset)
    if isinstance(columns, int) and offset > columns:
        start = stop = 0
    return engine().get_item(flat, (Ellipsis, slice(start, stop, columns + 1)))


@op
def diag(x: Raw, k: int = 0) -> Tensor:
    """A matrix with a vector on its k-th diagonal; or the k-th diagonal of a matrix.

    >>> diag([1, 2]).tolist(), diag([[1, 2], [3, 4]]).tolist()
    ([[1, 0], [0, 2]], [1, 4])
    """
    if rank_of(x) == 2:
        return diagonal(x, k)
    if rank_of(x) != 1:
        raise ValueError(
            f"`diag` takes a vector or a matrix. Received: x.shape={engine().shape_of(x)}."
        )
    offset = k if k > 0 else -k
    x = engine().pad(x, ((0, offset),) if k > 0 else ((offset, 0),), 0)
    size = engine().shape_of(x)[0]
    return engine().where(on_diagonal(size, size, k), expand(x, 1), constant(0, x))


@op
def diagflat(x: Raw, k: int = 0) -> Tensor:
    """A matrix with the elements of x on its k-th diagonal.

    >>> diagflat([[1, 2]]).tolist()
    [[1, 0], [0, 2]]
    """
    return diag(ravel(x), k)


# ----------------------------------------------------------------------- ordering


@op
def sort(x: Raw, axis: int | None = -1) -> Tensor:
    """The elements in ascending order along an axis; as a vector if the axis is None.

    >>> sort([3, 1, 2]).tolist()
    [1, 2, 3]
    """
    if axis is None:
        x, axis = ravel(x), 0
    return engine().sort(x, axis_from_front(axis, rank_of(x)))


@op
def argsort(x: Raw, axis: int | None = -1) -> Tensor:
    """The indices that sort along an axis, int32, equal elements in their order.

    >>> argsort([3, 1, 2]).tolist()
    [1, 2, 0]
    """
    if axis is None or rank_of(x) == 0:
        x, axis = ravel(x), 0
    return engine().argsort(x, axis_from_front(axis, rank_of(x)))


@op
def argpartition(x: Raw, kth: int, axis: int = -1) -> Tensor:
    """Indices, int32, that put the k-th smallest element at its place along an axis, smaller ones
    before it.

    >>> argpartition([3, 1, 2], 1).tolist()
    [1, 2, 0]
    """
    return argsort(x, axis)


@op
def searchsorted(sorted_sequence: Tensor, values: Tensor, side: str = "left") -> Tensor:
    """Where values belong in a sorted vector, int32.

    Args:
        side: Whether the place is `left` or `right` of equal elements.

    >>> searchsorted([1, 2, 3], [2, 9]).tolist()
    [1, 3]
    """
    if rank_of(sorted_sequence) != 1:
        raise ValueError(
            "`searchsorted` takes a sorted vector. Received: sorted_sequence.shape="
            f"{engine().shape_of(sorted_sequence)}. Use `vectorized_map` for several."
        )
    one_of(("left", "right"), side=side)
    found = engine().searchsorted(sorted_sequence, ravel(values), side)
    return engine().reshape(found, tuple(engine().shape_of(values)))


@op(compose=False)
def isin(x1: Tensor, x2: Tensor, assume_unique: bool = False, invert: bool = False) -> Tensor:
    """Whether each element of x1 is among those of x2.

    Args:
        assume_unique: Whether the elements of each are different; it changes nothing.
        invert: Whether to tell which are not.

    >>> isin([1, 2, 3], [2, 5]).tolist()
    [False, True, False]
    """
    rank = rank_of(x1)
    found = engine().any(engine().equal(expand(x1, rank), ravel(x2)), (rank,), False)
    return engine().logical_not(found) if invert else found


@op(compose=False, constructed=("fill_value",))
def unique(
    x: Raw,
    sorted: bool = True,
    return_index: bool = False,
    return_inverse: bool = False,
    return_counts: bool = False,
    axis: int | None = None,
    size: int | None = None,
    fill_value: Raw | None = None,
) -> Any:
    """The different elements in ascending order, or the different slices along an axis.

    Args:
        sorted: They are sorted in any case.
        return_index: Whether to return where each occurs first.
        return_inverse: Whether to return which one each element of x is.
        return_counts: Whether to return how often each occurs.
        axis: The axis of the slices; by default elements are compared.
        size: How many to return: the last ones are left out, or `fill_value` is added. By default
            it depends on the values, so that it can't be compiled.
        fill_value: What to add; the least element by default.

    >>> [y.tolist() for y in unique([3, 1, 3], return_counts=True)]
    [[1, 3], [1, 2]]
    """
    if axis is None:
        values, *found = engine().unique(ravel(x), size, fill_value)
        index, inverse, counts = found
        inverse = engine().reshape(inverse, tuple(engine().shape_of(x)))
    else:
        axis = axis_from_front(axis, rank_of(x))
        _, index, inverse, counts = engine().unique(_ranks(move_axis(x, axis, 0)), size, None)
        values = engine().take(x, index, axis)
        if fill_value is not None:
            shape = [1] * rank_of(x)
            shape[axis] = engine().shape_of(counts)[0]
            real = engine().reshape(engine().greater(counts, constant(0, counts)), tuple(shape))
            values = engine().where(real, values, engine().cast(fill_value, engine().dtype_of(x)))
    wanted = ((return_index, index), (return_inverse, inverse), (return_counts, counts))
    extra = [found for asked, found in wanted if asked]
    return (values, *extra) if extra else values


def _ranks(x: Tensor) -> Tensor:
    """The place of each slice of the leading axis in the order of all; the same for equal ones."""
    count = engine().shape_of(x)[0]
    columns = engine().reshape(x, (count, -1))
    ranks = engine().full((count,), 0, "int32")
    if not isinstance(engine().shape_of(columns)[1], int):
        engine().shape_alone("unique")
        return ranks
    for at in range(engine().shape_of(columns)[1]):
        column = engine().unique(engine().get_item(columns, (slice(None), at)), None, None)[2]
        joined = engine().add(engine().multiply(ranks, engine().full((), count, "int32")), column)
        ranks = engine().unique(joined, None, None)[2]
    return ranks
