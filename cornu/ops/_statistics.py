"""Ops of statistics: quantiles, medians, counts, correlation."""

from __future__ import annotations

import math
from typing import Any

from ..core.checks import one_of
from ..core.dtypes import is_complex, is_float
from ..core.op import floating, namespace
from ..core.types import Axis, Raw, Tensor
from ..engines import current as engine
from ._bodies import (
    axes_from_front,
    constant,
    expand,
    numeric,
    rank_of,
    size_along,
)
from ._elementwise import clip, conj, isnan
from ._indexing import diagonal
from ._shapes import ravel

op = namespace("numpy")

_METHODS = ("linear", "lower", "higher", "midpoint", "nearest")


# ----------------------------------------------------------------------- quantiles


@op
def quantile(
    x: Raw, q: Raw, axis: Axis = None, method: str = "linear", keepdims: bool = False
) -> Tensor:
    """The values below which a share `q` of the elements lies, over axes; NaN if one is NaN.

    Args:
        q: Shares in [0, 1]: a number, or a vector, whose axis then comes first in the result.
        axis: One axis or several; all of them by default.
        method: What to take between two elements: `linear`, `lower`, `higher`, `midpoint` or
            `nearest`.

    >>> float(quantile([1.0, 2.0, 4.0], 0.75))
    3.0
    """
    return _quantile(x, q, axis, method, keepdims, ignoring_nan=False)


@op
def nanquantile(
    x: Raw, q: Raw, axis: Axis = None, method: str = "linear", keepdims: bool = False
) -> Tensor:
    """As `quantile`, without NaN; NaN where there is nothing else.

    >>> float(nanquantile([1.0, float("nan"), 2.0], 0.5))
    1.5
    """
    return _quantile(x, q, axis, method, keepdims, ignoring_nan=True)


@op
def percentile(
    x: Raw, q: Raw, axis: Axis = None, method: str = "linear", keepdims: bool = False
) -> Tensor:
    """As `quantile`, with `q` in [0, 100].

    >>> float(percentile([1.0, 2.0, 4.0], 75))
    3.0
    """
    return _quantile(x, _share(q), axis, method, keepdims, ignoring_nan=False)


@op
def nanpercentile(
    x: Raw, q: Raw, axis: Axis = None, method: str = "linear", keepdims: bool = False
) -> Tensor:
    """As `percentile`, without NaN; NaN where there is nothing else.

    >>> float(nanpercentile([1.0, float("nan"), 2.0], 50))
    1.5
    """
    return _quantile(x, _share(q), axis, method, keepdims, ignoring_nan=True)


@op
def median(x: Raw, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The middle element over axes, or the mean of the two; NaN if one is NaN.

    >>> float(median([1, 5, 2]))
    2.0
    """
    return _quantile(x, constant(0.5, _floats(x)), axis, "midpoint", keepdims, ignoring_nan=False)


@op
def nanmedian(x: Raw, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """As `median`, without NaN; NaN where there is nothing else.

    >>> float(nanmedian([1.0, float("nan"), 2.0]))
    1.5
    """
    return _quantile(x, constant(0.5, _floats(x)), axis, "midpoint", keepdims, ignoring_nan=True)


def _floats(x: Tensor) -> Tensor:
    return engine().cast(x, floating((engine().dtype_of(x),)))


def _share(q: Tensor) -> Tensor:
    q = engine().cast(q, "float32")
    return engine().divide(q, constant(100, q))


def _quantile(
    x: Tensor, q: Tensor, axis: Axis, method: str, keepdims: bool, ignoring_nan: bool
) -> Tensor:
    one_of(_METHODS, method=method)
    if rank_of(q) > 1:
        raise ValueError(
            f"`q` must be a number or a vector. Received: q.shape={engine().shape_of(q)}."
        )
    if is_complex(engine().dtype_of(x)):
        raise ValueError(
            f"Complex numbers have no order. Received: x.dtype={engine().dtype_of(x)}."
        )
    x = _floats(x)
    dtype, shape = engine().dtype_of(x), tuple(engine().shape_of(x))
    axes = axes_from_front(axis, len(shape))
    rows = engine().cast(_rows(x, axes), "float64" if dtype == "float64" else "float32")
    result = _row_quantiles(
        rows, ravel(engine().cast(q, engine().dtype_of(rows))), method, ignoring_nan
    )
    kept = [
        1 if at in axes else size for at, size in enumerate(shape) if keepdims or at not in axes
    ]
    result = engine().reshape(result, (*engine().shape_of(q), *kept))
    return engine().cast(result, dtype)


def _rows(x: Tensor, axes: tuple[int, ...]) -> Tensor:
    """x as a matrix (kept, reduced)."""
    kept = tuple(at for at in range(rank_of(x)) if at not in axes)
    shape = (size_along(x, kept), size_along(x, axes))
    return engine().reshape(engine().transpose(x, (*kept, *axes)), shape)


def _row_quantiles(rows: Tensor, q: Tensor, method: str, ignoring_nan: bool) -> Tensor:
    """The quantiles q (k,) of each row of a matrix (n, m), as (k, n); NaN where m is 0."""
    if engine().shape_of(rows)[1] == 0:
        shape = (engine().shape_of(q)[0], engine().shape_of(rows)[0])
        return engine().full(shape, constant(math.nan, rows), engine().dtype_of(rows))
    missing = isnan(rows)
    # NaN sort to the end, as infinity, so that the others are in front on every engine.
    ordered = engine().sort(engine().where(missing, constant(math.inf, rows), rows), 1)
    absent = engine().sum(engine().cast(missing, engine().dtype_of(rows)), (1,), True)
    size = constant(engine().shape_of(rows)[1], rows)
    count = (
        engine().subtract(size, absent)
        if ignoring_nan
        else engine().full((1, 1), size, engine().dtype_of(rows))
    )
    zero, one = constant(0, rows), constant(1, rows)
    last = engine().maximum(engine().subtract(count, one), zero)
    place = engine().multiply(last, engine().reshape(q, (1, engine().shape_of(q)[0])))
    below, above = engine().floor(place), engine().ceil(place)
    weight = engine().subtract(place, below)
    if method == "lower":
        weight = engine().multiply(weight, zero)
    elif method == "higher":
        weight = engine().ceil(weight)
    elif method == "midpoint":
        weight = engine().multiply(engine().ceil(weight), constant(0.5, weight))
    elif method == "nearest":
        weight = engine().subtract(engine().round(place), below)
    low, high = (_at(ordered, index) for index in (below, above))
    result = engine().add(
        engine().multiply(low, engine().subtract(one, weight)), engine().multiply(high, weight)
    )
    # An infinity times a weight of zero is not wanted.
    result = engine().where(engine().equal(weight, zero), low, result)
    result = engine().where(engine().equal(weight, one), high, result)
    undefined = engine().equal(count, zero) if ignoring_nan else engine().greater(absent, zero)
    result = engine().where(undefined, constant(math.nan, rows), result)
    return engine().transpose(result, (1, 0))


def _at(rows: Tensor, index: Tensor) -> Tensor:
    """The elements of each row of (n, m) at the float indices (n or 1, k)."""
    shape = (engine().shape_of(rows)[0], engine().shape_of(index)[1])
    index = engine().broadcast_to(engine().cast(index, "int32"), shape)
    return engine().take_along_axis(rows, index, 1)


# -------------------------------------------------------------------------- counts


@op
def histogram(
    x: Raw,
    bins: Any = 10,
    range: Axis = None,
) -> tuple[Tensor, Tensor]:
    """How many elements of a vector lie in each of some bins of equal width, and the bins' edges.

    Args:
        bins: How many bins.
        range: The lowest and the highest edge; those of the elements by default.

    Returns:
        Counts, float32 (bins,), and edges (bins + 1,). The last bin includes its upper edge.

    >>> counts, edges = histogram([1.0, 2.0, 2.0, 3.0], bins=2)
    >>> counts.tolist(), edges.tolist()
    ([1.0, 3.0], [1.0, 2.0, 3.0])
    """
    if not isinstance(bins, int) or isinstance(bins, bool):
        raise TypeError(f"`bins` must be an integer. Received: bins={bins}.")
    if bins < 1:
        raise ValueError(f"`bins` must be positive. Received: bins={bins}.")
    if range and (len(range) != 2 or range[1] < range[0]):  # type: ignore[arg-type, index]
        raise ValueError(
            f"`range` must be a pair (low, high) with low below high. Received: range={range}."
        )
    if rank_of(x) != 1:
        raise ValueError(
            "`histogram` takes a vector. "
            f"Received: x.shape={engine().shape_of(x)}. Use `ravel` first."
        )
    x = _floats(x)
    low, high = _limits(x, range)
    steps = engine().cast(engine().arange(0, bins + 1, 1, "int32"), engine().dtype_of(x))
    width = engine().divide(engine().subtract(high, low), constant(bins, x))
    edges = engine().add(low, engine().multiply(steps, width))
    edges = engine().where(engine().equal(steps, constant(bins, x)), high, edges)
    column = expand(x, 1)
    inside = engine().logical_and(
        engine().greater_equal(column, engine().get_item(edges, (slice(None, -1),))),
        engine().less(column, engine().get_item(edges, (slice(1, None),))),
    )
    counts = engine().sum(engine().cast(inside, engine().dtype_of(x)), (0,), False)
    at_top = engine().cast(engine().equal(x, high), engine().dtype_of(x))
    at_top = engine().reshape(engine().sum(at_top, (0,), False), (1,))
    return engine().add(counts, engine().pad(at_top, ((bins - 1, 0),), 0)), edges


def _limits(x: Tensor, limits: Any) -> tuple[Tensor, Tensor]:
    """The lowest and the highest edge; half a unit around the elements where all are equal."""
    if limits:
        low, high = constant(limits[0], x), constant(limits[1], x)
    else:
        low, high = engine().min(x, (0,), False), engine().max(x, (0,), False)
    half = engine().where(engine().equal(low, high), constant(0.5, x), constant(0, x))
    return engine().subtract(low, half), engine().add(high, half)


@op(compose=False, constructed=("weights",))
def bincount(
    x: Raw, weights: Raw | None = None, minlength: int = 0, sparse: bool = False
) -> Tensor:
    """How often each of the integers 0, 1, 2, ... occurs, along the last axis.

    Args:
        x: Integers, (n,) or (batch, n); negative ones are left out.
        weights: What each occurrence adds, of the shape of x; 1 by default.
        minlength: At least so many integers are counted.
        sparse: Kept for compatibility: the result is dense.

    Returns:
        (length,) or (batch, length), int32 or of the weights' dtype.

    >>> bincount([1, 1, 3]).tolist()
    [0, 2, 0, 1]
    """
    if is_float(engine().dtype_of(x)):
        raise TypeError(f"`bincount` takes integers. Received: x.dtype={engine().dtype_of(x)}.")
    x = engine().cast(x, "int32")
    top = engine().max(ravel(x), (0,), False)
    length = engine().maximum(engine().add(top, constant(1, x)), constant(minlength, x))
    places = engine().arange(0, length, 1, "int32")
    hits = engine().equal(expand(x, rank_of(x)), places)
    if weights is None:
        return engine().sum(engine().cast(hits, "int32"), (rank_of(x) - 1,), False)
    weights = engine().cast(weights, numeric((engine().dtype_of(weights),)))
    counted = engine().multiply(
        expand(weights, rank_of(x)), engine().cast(hits, engine().dtype_of(weights))
    )
    return engine().sum(counted, (rank_of(x) - 1,), False)


@op
def digitize(x: Tensor, bins: Tensor) -> Tensor:
    """In which bin each element lies, int32: bin i is [bins[i - 1], bins[i]).

    Args:
        bins: Edges, a vector that increases or decreases.

    >>> digitize([0.2, 1.5], [0.0, 1.0]).tolist()
    [1, 2]
    """
    if rank_of(bins) != 1:
        raise ValueError(
            f"`bins` must be a vector. Received: bins.shape={engine().shape_of(bins)}."
        )
    size = constant(engine().shape_of(bins)[0], engine().full((), 0, "int32"))
    shape = tuple(engine().shape_of(x))
    x = ravel(x)
    rising = engine().searchsorted(bins, x, "right")
    falling = engine().subtract(size, engine().searchsorted(engine().flip(bins, (0,)), x, "right"))
    ends = [engine().get_item(bins, (at,)) for at in (0, -1)]
    result = engine().where(engine().greater(*ends), falling, rising)
    return engine().reshape(result, shape)


@op(promote=floating)
def corrcoef(x: Tensor) -> Tensor:
    """Pearson's correlation of the rows of a matrix with each other; of a vector, a scalar.

    >>> corrcoef([[1.0, 2.0], [2.0, 1.0]]).round(4).tolist()
    [[1.0, -1.0], [-1.0, 1.0]]
    """
    single = rank_of(x) < 2
    if single:
        x = expand(ravel(x), 0)
    centred = engine().subtract(x, engine().mean(x, (1,), True))
    products = engine().matmul(centred, engine().transpose(conj(centred), (1, 0)))
    lengths = engine().sqrt(diagonal(products))
    result = engine().divide(products, engine().multiply(expand(lengths, 1), expand(lengths, 0)))
    if not is_complex(engine().dtype_of(x)):
        result = clip(result, -1, 1)  # Rounding may lead out of the range.
    return engine().reshape(result, ()) if single else result
