"""Ops that make tensors: constants, ranges, grids, windows."""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np

from ..core.checks import one_of
from ..core.config import floatx
from ..core.dtypes import is_complex, result_type, standardize_dtype
from ..core.op import floating, namespace
from ..core.types import DType, Nest, Raw, Shape, Tensor
from ..engines import current as engine
from ._bodies import axis_from_front, constant, expand, move_axis, rank_of
from ._indexing import on_diagonal, triangle
from ._shapes import static_shape

op = namespace("numpy")

# These are not compiled as a whole: each is one primitive or a few, and there would be a
# compilation for every shape.


@op(compose=False)
def array(x: Raw, dtype: DType = None) -> Tensor:
    """A tensor from numbers, nested lists, arrays or tensors.

    >>> array([1, 2], "float32").tolist()
    [1.0, 2.0]
    """
    return x if dtype is None else engine().cast(x, standardize_dtype(dtype))


@op(compose=False)
def full(shape: Shape, fill_value: Nest, dtype: DType = None) -> Tensor:
    """A tensor filled with one value, or with a tensor that broadcasts to the shape.

    Args:
        dtype: floatx by default.

    >>> full((2,), 3).tolist()
    [3.0, 3.0]
    """
    dtype = standardize_dtype(dtype)
    return _filled(static_shape(shape), fill_value, dtype)


def _filled(shape: tuple[Any, ...], value: Any, dtype: str) -> Tensor:
    if isinstance(value, (bool, int, float)):
        return engine().full(shape, value, dtype)
    value = engine().cast(engine().convert_to_tensor(value), dtype)
    return engine().broadcast_to(value, shape)


@op(compose=False)
def zeros(shape: Shape, dtype: DType = None) -> Tensor:
    """A tensor of zeros, of dtype floatx by default.

    >>> zeros((2,)).tolist()
    [0.0, 0.0]
    """
    return engine().full(static_shape(shape), 0, standardize_dtype(dtype))


@op(compose=False)
def ones(shape: Shape, dtype: DType = None) -> Tensor:
    """A tensor of ones, of dtype floatx by default.

    >>> ones((2,)).tolist()
    [1.0, 1.0]
    """
    return engine().full(static_shape(shape), 1, standardize_dtype(dtype))


@op(compose=False)
def empty(shape: Shape, dtype: DType = None) -> Tensor:
    """A tensor whose values nobody should count on; zeros, here.

    >>> empty((2,)).shape
    (2,)
    """
    return engine().full(static_shape(shape), 0, standardize_dtype(dtype))


def _dtype_like(x: Tensor, dtype: DType) -> str:
    return engine().dtype_of(x) if dtype is None else standardize_dtype(dtype)


@op(compose=False)
def full_like(x: Raw, fill_value: Nest, dtype: DType = None) -> Tensor:
    """As `full`, in the shape and dtype of x.

    >>> full_like([1, 2], 3).tolist()
    [3, 3]
    """
    return _filled(tuple(engine().shape_of(x)), fill_value, _dtype_like(x, dtype))


@op(compose=False)
def zeros_like(x: Raw, dtype: DType = None) -> Tensor:
    """As `zeros`, in the shape and dtype of x.

    >>> zeros_like([1, 2]).tolist()
    [0, 0]
    """
    return engine().full(tuple(engine().shape_of(x)), 0, _dtype_like(x, dtype))


@op(compose=False)
def ones_like(x: Raw, dtype: DType = None) -> Tensor:
    """As `ones`, in the shape and dtype of x.

    >>> ones_like([1, 2]).tolist()
    [1, 1]
    """
    return engine().full(tuple(engine().shape_of(x)), 1, _dtype_like(x, dtype))


@op(compose=False)
def empty_like(x: Raw, dtype: DType = None) -> Tensor:
    """As `empty`, in the shape and dtype of x.

    >>> empty_like([1, 2]).shape
    (2,)
    """
    return engine().full(tuple(engine().shape_of(x)), 0, _dtype_like(x, dtype))


# -------------------------------------------------------------------------- matrices


def _size(name: str, value: Any) -> int:
    try:
        # Of any dtype, as long as the number is whole.
        return int(value) if value % 1 == 0 else operator.index(value)
    except TypeError:
        raise TypeError(f"`{name}` must be an integer. Received: {name}={value!r}.") from None


@op(compose=False)
def eye(N: int, M: int | None = None, k: int = 0, dtype: DType = None) -> Tensor:
    """A matrix (N, M) with ones on its k-th diagonal; M is N by default.

    >>> eye(2).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    rows = _size("N", N)
    columns = rows if M is None else _size("M", M)
    return engine().cast(on_diagonal(rows, columns, _size("k", k)), standardize_dtype(dtype))


@op(compose=False)
def identity(n: int, dtype: DType = None) -> Tensor:
    """The identity matrix (n, n).

    >>> identity(2).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    return eye(n, dtype=dtype)


@op(compose=False)
def tri(N: int, M: int | None = None, k: int = 0, dtype: DType = None) -> Tensor:
    """A matrix (N, M) with ones on and below its k-th diagonal; M is N by default.

    >>> tri(2).tolist()
    [[1.0, 0.0], [1.0, 1.0]]
    """
    rows = _size("N", N)
    columns = rows if M is None else _size("M", M)
    return engine().cast(triangle(rows, columns, _size("k", k)), standardize_dtype(dtype))


# ---------------------------------------------------------------------------- ranges


@op(compose=False)
def arange(start: Nest, stop: Nest = None, step: Nest = None, dtype: DType = None) -> Tensor:
    """start, start + step, ..., below stop; one argument is the stop.

    Args:
        step: 1 by default.
        dtype: That of the arguments together, by default.

    >>> arange(3).tolist(), arange(1, 2, 0.5).tolist()
    ([0, 1, 2], [1.0, 1.5])
    """
    if dtype is None:
        dtype = result_type(*(_kind(x) for x in (start, stop, step) if x is not None))
    if stop is None:
        start, stop = 0, start
    return engine().arange(start, stop, 1 if step is None else step, standardize_dtype(dtype))


def _kind(x: Any) -> Any:
    return x.dtype.name if isinstance(x, (np.generic, np.ndarray)) else engine().weak_type(x)


@op(promote=floating)
def linspace(
    start: Tensor,
    stop: Tensor,
    num: int = 50,
    endpoint: bool = True,
    retstep: bool = False,
    dtype: DType = None,
    axis: int = 0,
) -> Any:
    """Evenly spaced numbers from start to stop.

    Args:
        start, stop: Numbers or tensors.
        num: How many numbers.
        endpoint: Whether the last one is `stop`; else it would come next.
        retstep: Whether to return the distance, too.
        dtype: The result's dtype; a float by default.
        axis: The axis of the result along which they lie.

    >>> linspace(0, 1, 5).tolist()
    [0.0, 0.25, 0.5, 0.75, 1.0]
    """
    result, step = _spaced(start, stop, num, endpoint, axis)
    dtype = engine().dtype_of(result) if dtype is None else standardize_dtype(dtype)
    if "int" in dtype:
        result = engine().floor(result)
    result = engine().cast(result, dtype)
    return (result, step) if retstep else result


def _spaced(
    start: Tensor, stop: Tensor, num: int, endpoint: bool, axis: int
) -> tuple[Tensor, Tensor]:
    """Evenly spaced numbers along an axis, and their distance."""
    if num < 0:
        raise ValueError(f"`num` must not be negative. Received: num={num}.")
    distance = engine().subtract(stop, start)
    intervals = num - 1 if endpoint else num
    step = engine().divide(distance, constant(intervals if intervals > 0 else math.nan, distance))
    rank = rank_of(distance)
    axis = axis_from_front(axis, rank + 1)
    # Weights of both ends, so that the last number is exactly `stop`.
    counted = engine().cast(engine().arange(0, num, 1, "int32"), engine().dtype_of(start))
    share = engine().divide(counted, constant(intervals if intervals > 0 else 1, start))
    share = engine().reshape(share, (num, *(1,) * rank))
    rest = engine().subtract(constant(1, share), share)
    result = engine().add(engine().multiply(start, rest), engine().multiply(stop, share))
    return move_axis(result, 0, axis), step


@op(promote=floating)
def logspace(
    start: Tensor,
    stop: Tensor,
    num: int = 50,
    endpoint: bool = True,
    base: float = 10,
    dtype: DType = None,
    axis: int = 0,
) -> Tensor:
    """Powers of a base, their exponents evenly spaced from start to stop.

    Args:
        start, stop: Exponents.
        num, endpoint, dtype, axis: As in `linspace`.

    >>> logspace(0, 2, 3, base=2).tolist()
    [1.0, 2.0, 4.0]
    """
    exponents, _ = _spaced(start, stop, num, endpoint, axis)
    result = engine().power(constant(base, exponents), exponents)
    return result if dtype is None else engine().cast(result, standardize_dtype(dtype))


@op(promote=floating)
def geomspace(
    start: Tensor,
    stop: Tensor,
    num: int = 50,
    endpoint: bool = True,
    dtype: DType = None,
    axis: int = 0,
) -> Tensor:
    """Numbers from start to stop, each the same multiple of the one before.

    Args:
        start, stop: Numbers of one sign, not 0.
        num, endpoint, dtype, axis: As in `linspace`.

    >>> geomspace(1, 4, 3).round(4).tolist()
    [1.0, 2.0, 4.0]
    """
    if is_complex(engine().dtype_of(start)):
        first, last, sign = engine().log(start), engine().log(stop), constant(1, start)
    else:
        sign = engine().sign(start)
        first, last = engine().log(engine().abs(start)), engine().log(engine().abs(stop))
    logarithms, _ = _spaced(first, last, num, endpoint, axis)
    if rank_of(sign):
        sign = expand(sign, axis_from_front(axis, rank_of(logarithms)))
    result = engine().multiply(sign, engine().exp(logarithms))
    result = _with_ends(result, start, stop, endpoint, axis_from_front(axis, rank_of(result)))
    return result if dtype is None else engine().cast(result, standardize_dtype(dtype))


def _with_ends(result: Tensor, start: Tensor, stop: Tensor, endpoint: bool, axis: int) -> Tensor:
    """The numbers along an axis with the first one `start`, and the last one `stop`, exactly."""
    count = engine().shape_of(result)[axis]
    shape = tuple(count if at == axis else 1 for at in range(rank_of(result)))
    place = engine().reshape(engine().arange(0, count, 1, "int32"), shape)
    if endpoint and count > 1:
        stop = expand(stop, axis) if rank_of(stop) else stop
        result = engine().where(engine().equal(place, constant(count - 1, place)), stop, result)
    start = expand(start, axis) if rank_of(start) else start
    return engine().where(engine().equal(place, constant(0, place)), start, result)


@op
def meshgrid(*x: Nest, indexing: str = "xy") -> list[Tensor]:
    """Coordinate grids from coordinate vectors.

    Args:
        indexing: `xy`: the first vector runs along axis 1, the second along axis 0; `ij`: the k-th
            along axis k.

    >>> [grid.tolist() for grid in meshgrid([1, 2], [3])]
    [[[1, 2]], [[3, 3]]]
    """
    one_of(("xy", "ij"), indexing=indexing)
    vectors = [engine().convert_to_tensor(vector) for vector in x]
    for vector in vectors:
        if rank_of(vector) != 1:
            raise ValueError(
                "`meshgrid` takes vectors. "
                f"Received: a tensor of shape {engine().shape_of(vector)}."
            )
    places = list(range(len(vectors)))
    if indexing == "xy" and len(vectors) > 1:
        places[:2] = [1, 0]
    sizes = [engine().shape_of(vectors[place])[0] for place in places]
    grids = []
    for vector, place in zip(vectors, places, strict=True):
        shape = [1] * len(vectors)
        shape[place] = engine().shape_of(vector)[0]
        grids.append(engine().broadcast_to(engine().reshape(vector, tuple(shape)), tuple(sizes)))
    return grids


# --------------------------------------------------------------------------- windows


@op(compose=False)
def bartlett(x: int) -> Tensor:
    """The Bartlett window of x points: a triangle.

    >>> bartlett(3).tolist()
    [0.0, 1.0, 0.0]
    """
    return _window(np.bartlett(_size("x", x)))


@op(compose=False)
def blackman(x: int) -> Tensor:
    """The Blackman window of x points: a sum of three cosines.

    >>> blackman(3).round(4).tolist()
    [-0.0, 1.0, -0.0]
    """
    return _window(np.blackman(_size("x", x)))


@op(compose=False)
def hamming(x: int) -> Tensor:
    """The Hamming window of x points: a raised cosine.

    >>> hamming(3).shape
    (3,)
    """
    return _window(np.hamming(_size("x", x)))


@op(compose=False)
def hanning(x: int) -> Tensor:
    """The Hann window of x points: a raised cosine that ends at 0.

    >>> hanning(3).tolist()
    [0.0, 1.0, 0.0]
    """
    return _window(np.hanning(_size("x", x)))


@op(compose=False)
def kaiser(x: int, beta: float) -> Tensor:
    """The Kaiser window of x points, from a Bessel function.

    Args:
        beta: The shape: 0 is a rectangle, larger ones are narrower.

    >>> kaiser(3, 0.0).tolist()
    [1.0, 1.0, 1.0]
    """
    return _window(np.kaiser(_size("x", x), beta))


def _window(values: np.ndarray[Any, Any]) -> Tensor:
    return engine().convert_to_tensor(values, floatx())
