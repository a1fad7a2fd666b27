"""Ops that move elements: reshaping, transposing, joining, splitting, repeating, padding."""

from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ..core.dtypes import standardize_dtype
from ..core.keras_tensor import KerasTensor
from ..core.op import namespace
from ..core.types import Axis, DType, Raw, Shape, Tensor, Tensors
from ..engines import current as engine
from ..engines.spec import Spec
from ._bodies import axes_from_front, axis_from_front, rank_of

op = namespace("numpy")


def static_shape(shape: Any) -> tuple[Any, ...]:
    """A shape given as a sequence or as one number."""
    return tuple(shape) if isinstance(shape, Iterable) else (shape,)


def slice_axis(x: Tensor, axis: int, start: Any, stop: Any) -> Tensor:
    """x[start:stop] along one axis, which may count dimensions that are unknown."""
    return engine().get_item(x, (slice(None),) * axis + (slice(start, stop),))


def ndim(x: Any) -> int:
    """The number of axes.

    >>> ndim([[1, 2]])
    2
    """
    return len(_shape_of(x))


def size(x: Any) -> Any:
    """The number of elements; a symbolic scalar where a model's input leaves it open.

    >>> size([[1, 2]])
    2
    """
    shape = _shape_of(x)
    if isinstance(x, KerasTensor) and None in x.shape and engine().computes:
        return _size(x)
    return math.prod(shape)


@op(named="size")
def _size(x: Raw) -> Tensor:
    return engine().full((), math.prod(engine().shape_of(x)), "int32")


def _shape_of(x: Any) -> tuple[Any, ...]:
    if isinstance(x, Spec):
        return x.dims
    return tuple(x.shape) if hasattr(x, "shape") else tuple(engine().shape_of(x))


# ---------------------------------------------------------------------- one tensor


@op
def reshape(x: Raw, newshape: Shape) -> Tensor:
    """The elements of x, in order, in another shape.

    Args:
        newshape: The shape, of as many elements; a dimension of -1 follows from the others.

    >>> reshape([1, 2, 3, 4], (2, -1)).tolist()
    [[1, 2], [3, 4]]
    """
    return engine().reshape(x, static_shape(newshape))


@op
def ravel(x: Raw) -> Tensor:
    """The elements of x as a vector.

    >>> ravel([[1, 2], [3, 4]]).tolist()
    [1, 2, 3, 4]
    """
    return engine().reshape(x, (math.prod(engine().shape_of(x)),))


@op
def transpose(x: Raw, axes: Axis = None) -> Tensor:
    """x with its axes in another order.

    Args:
        axes: Where axis k of the result comes from; the reverse order by default.

    >>> transpose([[1, 2], [3, 4]]).tolist()
    [[1, 3], [2, 4]]
    """
    rank = rank_of(x)
    if axes is None:
        return engine().transpose(x, tuple(reversed(range(rank))))
    order = tuple(axis_from_front(axis, rank) for axis in static_shape(axes))
    if sorted(order) != list(range(rank)):
        raise ValueError(
            f"`transpose` takes each axis once. Received: axes={axes} for a tensor of rank {rank}."
        )
    return engine().transpose(x, order)


@op
def swapaxes(x: Raw, axis1: int, axis2: int) -> Tensor:
    """x with two axes swapped.

    >>> swapaxes([[1, 2]], 0, 1).tolist()
    [[1], [2]]
    """
    rank = rank_of(x)
    first, second = axis_from_front(axis1, rank), axis_from_front(axis2, rank)
    order = list(range(rank))
    order[first], order[second] = second, first
    return engine().transpose(x, tuple(order))


@op
def moveaxis(x: Raw, source: Axis, destination: Axis) -> Tensor:
    """x with some axes at other places, the others in their order.

    >>> moveaxis([[[1, 2, 3]]], 2, 0).shape
    (3, 1, 1)
    """
    rank = rank_of(x)
    sources = [axis_from_front(axis, rank) for axis in static_shape(source)]
    targets = [axis_from_front(axis, rank) for axis in static_shape(destination)]
    if not len(sources) == len(targets) == len({*sources}) == len({*targets}):
        raise ValueError(
            "`moveaxis` takes as many places as axes, each once. "
            f"Received: source={source}, destination={destination}."
        )
    order = [axis for axis in range(rank) if axis not in sources]
    for target, axis in sorted(zip(targets, sources, strict=True)):
        order.insert(target, axis)
    return engine().transpose(x, tuple(order))


@op
def expand_dims(x: Raw, axis: Axis) -> Tensor:
    """x with new axes of size 1 at the given places of the result.

    >>> expand_dims([1, 2], -1).tolist()
    [[1], [2]]
    """
    places = static_shape(axis)
    rank = rank_of(x) + len(places)
    new = axes_from_front(places, rank)
    sizes = iter(engine().shape_of(x))
    return engine().reshape(x, tuple(1 if at in new else next(sizes) for at in range(rank)))


@op
def squeeze(x: Raw, axis: Axis = None) -> Tensor:
    """x without axes of size 1.

    Args:
        axis: The axes to leave out; by default all of size 1.

    >>> squeeze([[[1, 2]]]).tolist()
    [1, 2]
    """
    shape = engine().shape_of(x)
    if axis is None:
        dropped = tuple(at for at, size in enumerate(shape) if isinstance(size, int) and size == 1)
    else:
        dropped = axes_from_front(axis, len(shape))
        for at in dropped:
            if isinstance(shape[at], int) and shape[at] != 1:
                raise ValueError(
                    "`squeeze` takes axes of size 1. "
                    f"Received: axis={axis} for a tensor of shape {tuple(shape)}."
                )
    return engine().reshape(x, tuple(size for at, size in enumerate(shape) if at not in dropped))


@op
def broadcast_to(x: Raw, shape: Shape) -> Tensor:
    """x repeated along new leading axes and axes of size 1.

    >>> broadcast_to([1, 2], (2, 2)).tolist()
    [[1, 2], [1, 2]]
    """
    return engine().broadcast_to(x, static_shape(shape))


@op
def flip(x: Raw, axis: Axis = None) -> Tensor:
    """The order along axes reversed; along all of them by default.

    >>> flip([1, 2, 3]).tolist()
    [3, 2, 1]
    """
    return engine().flip(x, axes_from_front(axis, rank_of(x)))


@op
def fliplr(x: Raw) -> Tensor:
    """The order along axis 1 reversed.

    >>> fliplr([[1, 2], [3, 4]]).tolist()
    [[2, 1], [4, 3]]
    """
    return flip(x, 1)


@op
def flipud(x: Raw) -> Tensor:
    """The order along axis 0 reversed.

    >>> flipud([[1, 2], [3, 4]]).tolist()
    [[3, 4], [1, 2]]
    """
    return flip(x, 0)


@op
def rot90(array: Raw, k: int = 1, axes: Axis = (0, 1)) -> Tensor:
    """The array turned by 90 degrees, k times, from the first of two axes towards the second.

    >>> rot90([[1, 2], [3, 4]]).tolist()
    [[2, 4], [1, 3]]
    """
    rank = rank_of(array)
    places = static_shape(axes)
    if rank < 2 or len(places) != 2 or len(axes_from_front(places, rank)) != 2:
        raise ValueError(
            "`rot90` takes an array of at least two axes, and two different axes of it. "
            f"Received: axes={axes} for a tensor of rank {rank}."
        )
    first, second = (axis_from_front(axis, rank) for axis in places)
    turns = k % 4
    if turns in (1, 2):
        array = engine().flip(array, (second,))
    if turns == 2:
        array = engine().flip(array, (first,))
    if turns % 2 == 0:
        return array
    order = list(range(rank))
    order[first], order[second] = second, first
    array = engine().transpose(array, tuple(order))
    return engine().flip(array, (second,)) if turns == 3 else array


@op
def roll(x: Raw, shift: Axis, axis: Axis = None) -> Tensor:
    """Elements moved along axes by `shift` places; those that leave come in at the other end.

    Args:
        shift: How far, one number or one for each axis.
        axis: Along which axes; by default over the elements as a vector.

    >>> roll([1, 2, 3, 4], 1).tolist()
    [4, 1, 2, 3]
    """
    shape = engine().shape_of(x)
    if axis is None:
        return engine().reshape(roll(ravel(x), shift, 0), shape)
    axes = [axis_from_front(one, len(shape)) for one in static_shape(axis)]
    shifts = static_shape(shift)
    if len(shifts) == 1:
        shifts *= len(axes)
    elif len(axes) == 1:
        axes *= len(shifts)
    if len(shifts) != len(axes):
        raise ValueError(
            f"`roll` takes one shift for each axis. Received: shift={shift}, axis={axis}."
        )
    for distance, along in zip(shifts, axes, strict=True):
        x = _rolled(x, distance, along)
    return x


def _rolled(x: Tensor, distance: int, axis: int) -> Tensor:
    shape = engine().shape_of(x)
    if isinstance(shape[axis], int) and (shape[axis] == 0 or distance % shape[axis] == 0):
        return x
    distance %= shape[axis]
    parts = [slice_axis(x, axis, -distance, None), slice_axis(x, axis, None, -distance)]
    return engine().reshape(engine().concatenate(parts, axis), shape)


@op
def repeat(x: Raw, repeats: int | Shape, axis: int | None = None) -> Tensor:
    """Each element repeated.

    Args:
        repeats: How often: one number, or one for each element along the axis.
        axis: Along which axis; by default the elements as a vector.

    >>> repeat([1, 2], 2).tolist(), repeat([1, 2], [1, 2]).tolist()
    ([1, 1, 2, 2], [1, 2, 2])
    """
    if axis is None:
        return repeat(ravel(x), repeats, 0)
    shape = engine().shape_of(x)
    axis = axis_from_front(axis, len(shape))
    counts = static_shape(repeats)
    if len(counts) > 1:
        if isinstance(shape[axis], int) and shape[axis] != len(counts):
            raise ValueError(
                "`repeats` must be one number, or one for each element. "
                f"Received: repeats={repeats} for {shape[axis]} elements along axis {axis}."
            )
        places = np.repeat(np.arange(len(counts), dtype="int32"), counts)
        return engine().take(x, engine().convert_to_tensor(places, "int32"), axis)
    (count,) = counts
    before, size, after = shape[:axis], shape[axis], shape[axis + 1 :]
    x = engine().reshape(x, (*before, size, 1, *after))
    x = engine().broadcast_to(x, (*before, size, count, *after))
    return engine().reshape(x, (*before, size * count, *after))


@op
def tile(x: Raw, repeats: Shape) -> Tensor:
    """x repeated as a whole along each axis.

    Args:
        repeats: How often along each axis, counted from the last; missing ones are 1.

    >>> tile([1, 2], 2).tolist(), tile([1, 2], (2, 1)).tolist()
    ([1, 2, 1, 2], [[1, 2], [1, 2]])
    """
    shape, counts = tuple(engine().shape_of(x)), static_shape(repeats)
    rank = max(len(shape), len(counts))
    shape = (1,) * (rank - len(shape)) + shape
    counts = (1,) * (rank - len(counts)) + counts
    pairs = list(zip(counts, shape, strict=True))
    x = engine().reshape(x, tuple(itertools.chain(*[(1, size) for size in shape])))
    x = engine().broadcast_to(x, tuple(itertools.chain(*pairs)))
    return engine().reshape(x, tuple(count * size for count, size in pairs))


@op
def pad(
    x: Raw, pad_width: Shape, mode: str = "constant", constant_values: Raw | None = None
) -> Tensor:
    """x with elements added at the ends of its axes.

    Args:
        pad_width: How many: one number, one pair (before, after), or a pair for each axis.
        mode: `constant`, `reflect` (mirrored, without the edge), `symmetric` (mirrored, with the
            edge), or one of the other modes of `numpy.pad` that only repeat elements.
        constant_values: What to add in the mode `constant`; 0 by default.

    >>> pad([1, 2, 3], 1).tolist(), pad([1, 2, 3], 1, "reflect").tolist()
    ([0, 1, 2, 3, 0], [2, 1, 2, 3, 2])
    """
    pads = _pad_pairs(pad_width, rank_of(x))
    if mode == "constant":
        value = 0 if constant_values is None else constant_values
        if constant_values is not None:
            value = engine().cast(constant_values, engine().dtype_of(x))
        return engine().pad(x, pads, value)
    if constant_values is not None:
        raise ValueError(
            "`constant_values` belong to the mode 'constant'. "
            f"Received: mode={mode!r} and constant_values."
        )
    if mode not in ("reflect", "symmetric", "edge", "wrap"):
        raise ValueError(
            "`mode` must be 'constant', 'reflect', 'symmetric', 'edge' or 'wrap'. "
            f"Received: mode={mode!r}."
        )
    for axis, (low, high) in enumerate(pads):
        if low or high:
            x = _padded(x, axis, low, high, mode)
    return x


def _pad_pairs(pad_width: Any, rank: int) -> tuple[tuple[int, int], ...]:
    """Pairs (before, after), one for each axis."""
    try:
        pairs = np.broadcast_to(np.asarray(pad_width, dtype="int64"), (rank, 2)).tolist()
    except ValueError:
        pairs = [(-1, -1)]
    if any(width < 0 for pair in pairs for width in pair):
        raise ValueError(
            "`pad_width` must be a number, a pair, or a pair for each axis, none of them negative. "
            f"Received: pad_width={pad_width} for a tensor of rank {rank}."
        )
    return tuple((low, high) for low, high in pairs)


def _padded(x: Tensor, axis: int, low: int, high: int, mode: str) -> Tensor:
    """One axis padded by elements of its own."""
    size = engine().shape_of(x)[axis]
    if isinstance(size, int):
        places = np.pad(np.arange(size, dtype="int32"), (low, high), mode=mode)  # type: ignore[call-overload]
        return engine().take(x, engine().convert_to_tensor(places, "int32"), axis)
    begin, end = {
        "reflect": ((1, 1 + low), (-1 - high, -1)),
        "symmetric": ((0, low), (-high, None)),
        "edge": ((0, 1), (-1, None)),
        "wrap": ((-low, None), (0, high)),
    }[mode]
    first, last = slice_axis(x, axis, *begin), slice_axis(x, axis, *end)
    if mode == "edge":
        first, last = repeat(first, low, axis), repeat(last, high, axis)
    elif mode != "wrap":
        first, last = flip(first, axis), flip(last, axis)
    return engine().concatenate([first] * bool(low) + [x] + [last] * bool(high), axis)


@op
def view(x: Raw, dtype: DType = None) -> Tensor:
    """The bytes of x read as another dtype; the last axis grows or shrinks with the dtype's size.

    >>> view([1.0], "int32").tolist()
    [1065353216]
    """
    return x if dtype is None else engine().view(x, standardize_dtype(dtype))


@op
def copy(x: Raw) -> Tensor:
    """A tensor of the same values.

    >>> copy([1, 2]).tolist()
    [1, 2]
    """
    return x


# ------------------------------------------------------------------------- joining


@op
def concatenate(xs: Tensors, axis: int | None = 0) -> Tensor:
    """Tensors joined along an axis that they have; as vectors if the axis is None.

    >>> concatenate([[1, 2], [3]]).tolist()
    [1, 2, 3]
    """
    if not xs:
        raise ValueError("`concatenate` takes at least one tensor. Received: xs=[].")
    if axis is None:
        xs, axis = [ravel(x) for x in xs], 0
    return engine().concatenate(xs, axis_from_front(axis, rank_of(xs[0])))


@op
def stack(x: Tensors, axis: int = 0) -> Tensor:
    """Tensors of one shape joined along a new axis.

    >>> stack([[1, 2], [3, 4]], axis=1).tolist()
    [[1, 3], [2, 4]]
    """
    if not x:
        raise ValueError("`stack` takes at least one tensor. Received: x=[].")
    axis = axis_from_front(axis, rank_of(x[0]) + 1)
    return engine().concatenate([expand_dims(one, axis) for one in x], axis)


@op
def hstack(xs: Tensors) -> Tensor:
    """Tensors joined along axis 1; vectors along axis 0.

    >>> hstack([[1, 2], [3]]).tolist()
    [1, 2, 3]
    """
    columns = [x if rank_of(x) else ravel(x) for x in xs]
    return engine().concatenate(columns, int(rank_of(columns[0]) > 1))


@op
def vstack(xs: Tensors) -> Tensor:
    """Tensors joined along axis 0; vectors are rows.

    >>> vstack([[1, 2], [3, 4]]).tolist()
    [[1, 2], [3, 4]]
    """
    rows = [x if rank_of(x) > 1 else engine().reshape(ravel(x), (1, size_of(x))) for x in xs]
    return engine().concatenate(rows, 0)


@op
def dstack(xs: Tensors) -> Tensor:
    """Tensors joined along axis 2; vectors are (1, n, 1) and matrices (m, n, 1).

    >>> dstack([[1, 2], [3, 4]]).tolist()
    [[[1, 3], [2, 4]]]
    """
    layers = []
    for x in xs:
        shape = engine().shape_of(x)
        deep = {0: (1, 1, 1), 1: (1, *shape, 1), 2: (*shape, 1)}.get(len(shape), shape)
        layers.append(engine().reshape(x, deep))
    return engine().concatenate(layers, 2)


@op
def append(x1: Tensor, x2: Tensor, axis: int | None = None) -> Tensor:
    """x2 after x1 along an axis; as vectors by default.

    >>> append([1, 2], [3]).tolist()
    [1, 2, 3]
    """
    return concatenate([x1, x2], axis)


def size_of(x: Tensor) -> Any:
    """How many elements a tensor has."""
    return math.prod(engine().shape_of(x))


# ----------------------------------------------------------------------- splitting


@op
def split(x: Raw, indices_or_sections: int | Shape, axis: int = 0) -> list[Tensor]:
    """x cut along an axis.

    Args:
        indices_or_sections: How many equal parts, or where the parts after the first begin.

    Raises:
        ValueError: If equal parts are asked for that don't come out even.

    >>> [part.tolist() for part in split([1, 2, 3, 4], 2)]
    [[1, 2], [3, 4]]
    """
    shape = engine().shape_of(x)
    axis = axis_from_front(axis, len(shape))
    if isinstance(indices_or_sections, tuple):
        return _cut(x, indices_or_sections, axis)
    count = operator.index(indices_or_sections)  # type: ignore[arg-type]
    size = shape[axis]
    if count < 1 or (isinstance(size, int) and size % count):
        raise ValueError(
            "`split` takes a number of parts that divides the size of the axis, or indices. "
            f"Received: indices_or_sections={count} for size {size}. "
            "Use `array_split` for uneven parts."
        )
    if isinstance(size, int):
        return _cut(x, [size // count * at for at in range(1, count)], axis)
    parts = engine().reshape(x, (*shape[:axis], count, size // count, *shape[axis + 1 :]))
    return [engine().get_item(parts, (slice(None),) * axis + (at,)) for at in range(count)]


def _cut(x: Tensor, places: Sequence[int], axis: int) -> list[Tensor]:
    bounds = [0, *places, None]
    return [slice_axis(x, axis, start, stop) for start, stop in itertools.pairwise(bounds)]


@op
def array_split(x: Raw, indices_or_sections: Shape, axis: int = 0) -> list[Tensor]:
    """As `split`, but the first parts are longer by one where the parts don't come out even.

    >>> [part.tolist() for part in array_split([1, 2, 3], 2)]
    [[1, 2], [3]]
    """
    axis = axis_from_front(axis, rank_of(x))
    if not isinstance(indices_or_sections, int):
        raise TypeError(
            "`array_split` takes a number of parts. "
            f"Received: indices_or_sections={indices_or_sections}. Use `split` for indices."
        )
    count = indices_or_sections
    if count < 1:
        raise ValueError(
            f"`array_split` makes at least one part. Received: indices_or_sections={count}."
        )
    size = engine().shape_of(x)[axis]
    lengths = [(size + count - 1 - at) // count for at in range(count)]
    return _cut(x, list(itertools.accumulate(lengths))[:-1], axis)


@op
def hsplit(x: Raw, indices_or_sections: Shape) -> list[Tensor]:
    """x cut along axis 1; a vector along axis 0.

    >>> [part.tolist() for part in hsplit([1, 2, 3, 4], 2)]
    [[1, 2], [3, 4]]
    """
    return split(x, indices_or_sections, int(rank_of(x) > 1))


@op
def vsplit(x: Raw, indices_or_sections: Shape) -> list[Tensor]:
    """x cut along axis 0.

    >>> [part.tolist() for part in vsplit([[1], [2]], 2)]
    [[[1]], [[2]]]
    """
    return split(x, indices_or_sections, 0)


@op
def dsplit(x: Raw, indices_or_sections: Shape) -> list[Tensor]:
    """x cut along axis 2.

    >>> [part.tolist() for part in dsplit([[[1, 2]]], 2)]
    [[[[1]]], [[[2]]]]
    """
    return split(x, indices_or_sections, 2)
