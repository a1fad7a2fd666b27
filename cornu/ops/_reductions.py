"""Ops that reduce axes, or run along them: sums, means, extremes, quantiles, counts."""

from __future__ import annotations

import math
from typing import Any

from ..core.dtypes import is_complex, is_float, result_type, standardize_dtype
from ..core.op import floating, namespace
from ..core.types import Axis, Bool, DType, Raw, Tensor
from ..engines import current as engine
from ._bodies import (
    axes_from_front,
    axis_from_front,
    constant,
    expand,
    in_float32,
    rank_of,
    root,
)
from ._elementwise import isnan, numbers
from ._shapes import ravel

op = namespace("numpy")


def _widened(dtype: str) -> str:
    """The dtype of a sum: 32 bits where integers have fewer."""
    narrow = {
        "bool": "int32",
        "int8": "int32",
        "int16": "int32",
        "uint8": "uint32",
        "uint16": "uint32",
    }
    return narrow.get(dtype, dtype)


def widened(types: tuple[Any, ...]) -> str:
    """Promotion rule: as `common`, and small integers become 32 bits wide."""
    return _widened(result_type(*types))


def _float_kind(x: Tensor) -> bool:
    dtype = engine().dtype_of(x)
    return is_float(dtype) or is_complex(dtype)


def _without_nan(x: Tensor, value: float) -> Tensor:
    """x with NaN replaced."""
    return engine().where(isnan(x), constant(value, x), x) if _float_kind(x) else x


# ----------------------------------------------------------------------------- sums


@op(promote=widened)
def sum(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The sum over axes; over all of them by default.

    Args:
        axis: One axis or several.
        keepdims: Whether the reduced axes stay, with size 1.

    >>> sum([[1, 2], [3, 4]], axis=0).tolist()
    [4, 6]
    """
    return engine().sum(x, axes_from_front(axis, rank_of(x)), keepdims)


@op
def prod(x: Raw, axis: Axis = None, keepdims: bool = False, dtype: DType = None) -> Tensor:
    """The product over axes; over all of them by default.

    Args:
        dtype: The result's dtype; that of x, with at least 32 bits, by default.

    >>> int(prod([2, 3, 4]))
    24
    """
    dtype = standardize_dtype(dtype) if dtype is not None else _widened(engine().dtype_of(x))
    if dtype == "bool":
        return all(x, axis, keepdims)
    return engine().prod(engine().cast(x, dtype), axes_from_front(axis, rank_of(x)), keepdims)


@op(promote=floating)
def mean(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The mean over axes; over all of them by default.

    >>> mean([[1, 2], [3, 4]], axis=0).tolist()
    [2.0, 3.0]
    """
    return in_float32(engine().mean)(x, axes_from_front(axis, rank_of(x)), keepdims)


@op(promote=floating)
def var(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The variance over axes: the mean squared distance from the mean.

    >>> var([[1, 2], [3, 4]], axis=0).tolist()
    [1.0, 1.0]
    """
    axes = axes_from_front(axis, rank_of(x))
    if is_complex(engine().dtype_of(x)):
        distance = engine().abs(engine().subtract(x, engine().mean(x, axes, True)))
        return engine().mean(engine().multiply(distance, distance), axes, keepdims)
    return in_float32(engine().var)(x, axes, keepdims)


@op(promote=floating)
def std(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The standard deviation over axes: the root of the variance.

    >>> std([[1, 2], [3, 4]], axis=0).tolist()
    [1.0, 1.0]
    """
    return root(var(x, axis, keepdims), engine().sqrt)


@op(promote=floating)
def average(x: Tensor, axis: Axis = None, weights: Tensor | None = None) -> Tensor:
    """The weighted mean over axes.

    Args:
        weights: Of the shape of x, or a vector along the one axis; equal ones by default.

    >>> float(average([1.0, 2.0], weights=[1, 3]))
    1.75
    """
    axes = axes_from_front(axis, rank_of(x))
    if weights is None:
        return mean(x, axes)
    if rank_of(weights) == 1 and rank_of(x) > 1 and len(axes) == 1:
        shape = [1] * rank_of(x)
        shape[axes[0]] = engine().shape_of(weights)[0]
        weights = engine().reshape(weights, tuple(shape))
    elif rank_of(weights) != rank_of(x):
        raise ValueError(
            "`weights` must have the shape of x, or be a vector along one axis. "
            f"Received: weights.shape={engine().shape_of(weights)}, axis={axis}, "
            f"x.shape={engine().shape_of(x)}."
        )
    weights = engine().broadcast_to(weights, tuple(engine().shape_of(x)))
    total = engine().sum(engine().multiply(x, weights), axes, False)
    return engine().divide(total, engine().sum(weights, axes, False))


@op
def count_nonzero(x: Bool, axis: Axis = None) -> Tensor:
    """How many elements are not 0, over axes, int32.

    >>> int(count_nonzero([0, 3, 4]))
    2
    """
    return engine().sum(engine().cast(x, "int32"), axes_from_front(axis, rank_of(x)), False)


@op
def all(x: Bool, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Whether every element holds, over axes; numbers hold where they are not 0.

    >>> bool(all([True, False]))
    False
    """
    return engine().all(x, axes_from_front(axis, rank_of(x)), keepdims)


@op
def any(x: Bool, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Whether some element holds, over axes; numbers hold where they are not 0.

    >>> bool(any([True, False]))
    True
    """
    return engine().any(x, axes_from_front(axis, rank_of(x)), keepdims)


# ------------------------------------------------------------------------- extremes


@op(constructed=("initial",))
def max(x: Tensor, axis: Axis = None, keepdims: bool = False, initial: Raw | None = None) -> Tensor:
    """The largest element over axes; over all of them by default.

    Args:
        initial: A lower bound of the result; needed where there are no elements.

    >>> max([[1, 5], [3, 4]], axis=0).tolist()
    [3, 5]
    """
    axes = _axes_with_elements("max", x, axis, initial)
    return _with_initial(engine().max, x, axes, keepdims, initial)


@op(constructed=("initial",))
def min(x: Tensor, axis: Axis = None, keepdims: bool = False, initial: Raw | None = None) -> Tensor:
    """The smallest element over axes; over all of them by default.

    Args:
        initial: An upper bound of the result; needed where there are no elements.

    >>> min([[1, 5], [3, 4]], axis=0).tolist()
    [1, 4]
    """
    axes = _axes_with_elements("min", x, axis, initial)
    return _with_initial(engine().min, x, axes, keepdims, initial)


@op
def amax(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """As `max`.

    >>> int(amax([1, 5]))
    5
    """
    return max(x, axis, keepdims)


@op
def amin(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """As `min`.

    >>> int(amin([1, 5]))
    1
    """
    return min(x, axis, keepdims)


def _axes_with_elements(name: str, x: Tensor, axis: Axis, initial: Any = None) -> tuple[int, ...]:
    """The axes, none of them empty."""
    axes = axes_from_front(axis, rank_of(x))
    sizes = [engine().shape_of(x)[at] for at in axes]
    if initial is None and [size for size in sizes if isinstance(size, int) and size == 0]:
        raise ValueError(
            f"`{name}` of no elements is not defined. Received: x.shape={engine().shape_of(x)}, "
            f"axis={axis}. Check that x has elements, or give `initial` to `max` and `min`."
        )
    return axes


def _with_initial(
    reduce: Any, x: Tensor, axes: tuple[int, ...], keepdims: bool, initial: Any
) -> Tensor:
    if initial is None:
        return reduce(x, axes, keepdims)
    if not axes:
        x, axes = engine().reshape(x, (1,)), (0,)
    # Put before the elements, so that there is one to reduce.
    shape = [1 if at == axes[0] else size for at, size in enumerate(engine().shape_of(x))]
    first = engine().broadcast_to(engine().cast(initial, engine().dtype_of(x)), tuple(shape))
    return reduce(engine().concatenate([first, x], axes[0]), axes, keepdims)


@op(promote=numbers)
def ptp(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The range of the elements over axes: the largest minus the smallest.

    >>> int(ptp([1, 5, 3]))
    4
    """
    axes = _axes_with_elements("ptp", x, axis)
    return engine().subtract(engine().max(x, axes, keepdims), engine().min(x, axes, keepdims))


@op
def argmax(x: Tensor, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """The first index of the largest element along an axis, int32; among all elements by default.

    >>> int(argmax([1, 5, 3]))
    1
    """
    return _index_of_extreme(engine().argmax, "argmax", x, axis, keepdims)


@op
def argmin(x: Tensor, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """The first index of the smallest element along an axis, int32; among all elements by default.

    >>> int(argmin([1, 5, 3]))
    0
    """
    return _index_of_extreme(engine().argmin, "argmin", x, axis, keepdims)


def _index_of_extreme(find: Any, name: str, x: Tensor, axis: int | None, keepdims: bool) -> Tensor:
    if is_complex(engine().dtype_of(x)):
        raise TypeError(f"`{name}` takes real numbers. Received: x.dtype={engine().dtype_of(x)}.")
    if engine().dtype_of(x) == "bool":
        x = engine().cast(x, "int32")
    rank = rank_of(x)
    if axis is None:
        result = find(ravel(x), 0)
        return engine().reshape(result, (1,) * rank) if keepdims else result
    axis = axis_from_front(axis, rank)
    _axes_with_elements(name, x, axis)
    result = find(x, axis)
    return expand(result, axis) if keepdims else result


# ------------------------------------------------------------------ ignoring NaN


@op(promote=widened)
def nansum(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """As `sum`, without NaN.

    >>> float(nansum([1.0, float("nan")]))
    1.0
    """
    return sum(_without_nan(x, 0), axis, keepdims)


@op(promote=widened)
def nanprod(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """As `prod`, without NaN.

    >>> float(nanprod([2.0, float("nan")]))
    2.0
    """
    return prod(_without_nan(x, 1), axis, keepdims)


@op(promote=floating)
def nanmean(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """As `mean`, without NaN; NaN where there is nothing else.

    >>> float(nanmean([2.0, float("nan")]))
    2.0
    """
    return in_float32(_nanmean)(x, axes_from_front(axis, rank_of(x)), keepdims)


def _nanmean(x: Tensor, axes: tuple[int, ...], keepdims: bool) -> Tensor:
    counted = engine().cast(engine().logical_not(isnan(x)), engine().dtype_of(x))
    total = engine().sum(_without_nan(x, 0), axes, keepdims)
    return engine().divide(total, engine().sum(counted, axes, keepdims))


@op(promote=floating)
def nanvar(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """As `var`, without NaN; NaN where there is nothing else.

    >>> float(nanvar([2.0, 4.0, float("nan")]))
    1.0
    """
    return in_float32(_nanvar)(x, axes_from_front(axis, rank_of(x)), keepdims)


def _nanvar(x: Tensor, axes: tuple[int, ...], keepdims: bool) -> Tensor:
    distance = engine().subtract(x, _nanmean(x, axes, True))
    if is_complex(engine().dtype_of(x)):
        missing, distance = isnan(x), engine().abs(distance)
        distance = engine().where(missing, constant(math.nan, distance), distance)
    return _nanmean(engine().multiply(distance, distance), axes, keepdims)


@op(promote=floating)
def nanstd(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """As `std`, without NaN; NaN where there is nothing else.

    >>> float(nanstd([2.0, 4.0, float("nan")]))
    1.0
    """
    return root(nanvar(x, axis, keepdims), engine().sqrt)


@op
def nanmax(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """As `max`, without NaN; NaN where there is nothing else.

    >>> float(nanmax([2.0, float("nan")]))
    2.0
    """
    return _nan_extreme(engine().max, x, axis, keepdims, -math.inf)


@op
def nanmin(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """As `min`, without NaN; NaN where there is nothing else.

    >>> float(nanmin([2.0, float("nan")]))
    2.0
    """
    return _nan_extreme(engine().min, x, axis, keepdims, math.inf)


def _nan_extreme(reduce: Any, x: Tensor, axis: Axis, keepdims: bool, fill: float) -> Tensor:
    axes = _axes_with_elements("nanmax", x, axis)
    if not _float_kind(x):
        return reduce(x, axes, keepdims)
    result = reduce(_without_nan(x, fill), axes, keepdims)
    nothing = engine().all(isnan(x), axes, keepdims)
    return engine().where(nothing, constant(math.nan, x), result)


@op
def nanargmax(x: Tensor, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """As `argmax`, without NaN; -1 where there is nothing else.

    >>> int(nanargmax([2.0, float("nan"), 3.0]))
    2
    """
    return _nan_index(argmax, x, axis, keepdims, -math.inf)


@op
def nanargmin(x: Tensor, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """As `argmin`, without NaN; -1 where there is nothing else.

    >>> int(nanargmin([2.0, float("nan"), 3.0]))
    0
    """
    return _nan_index(argmin, x, axis, keepdims, math.inf)


def _nan_index(find: Any, x: Tensor, axis: int | None, keepdims: bool, fill: float) -> Tensor:
    index = find(_without_nan(x, fill), axis, keepdims)
    if not _float_kind(x):
        return index
    nothing = engine().all(isnan(x), axes_from_front(axis, rank_of(x)), keepdims)
    return engine().where(nothing, constant(-1, index), index)


# ------------------------------------------------------------------- running along


@op
def cumsum(x: Raw, axis: int | None = None, dtype: DType = None) -> Tensor:
    """The running sum along an axis; of the elements as a vector by default.

    >>> cumsum([1, 2, 3]).tolist()
    [1, 3, 6]
    """
    return _cumulative(engine().cumsum, x, axis, dtype)


@op
def cumprod(x: Raw, axis: int | None = None, dtype: DType = None) -> Tensor:
    """The running product along an axis; of the elements as a vector by default.

    >>> cumprod([1, 2, 3]).tolist()
    [1, 2, 6]
    """
    return _cumulative(engine().cumprod, x, axis, dtype)


@op
def nancumsum(x: Raw, axis: int | None = None, dtype: DType = None) -> Tensor:
    """As `cumsum`, with NaN as 0.

    >>> nancumsum([1.0, float("nan"), 3.0]).tolist()
    [1.0, 1.0, 4.0]
    """
    return cumsum(_without_nan(x, 0), axis, dtype)


@op
def nancumprod(x: Raw, axis: int | None = None, dtype: DType = None) -> Tensor:
    """As `cumprod`, with NaN as 1.

    >>> nancumprod([1.0, float("nan"), 3.0]).tolist()
    [1.0, 1.0, 3.0]
    """
    return cumprod(_without_nan(x, 1), axis, dtype)


def _cumulative(run: Any, x: Tensor, axis: int | None, dtype: DType) -> Tensor:
    if axis is None:
        x, axis = ravel(x), 0
    dtype = engine().dtype_of(x) if dtype is None else standardize_dtype(dtype)
    x = engine().cast(x, "int32" if dtype == "bool" else dtype)
    return run(x, axis_from_front(axis, rank_of(x)))
