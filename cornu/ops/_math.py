"""Ops of mathematics: special functions, segments, the largest elements, Fourier transforms."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..core.dtypes import is_float, result_type
from ..core.op import floating, namespace
from ..core.types import Axis, Index, Nest, Raw, Tensor, Tensors
from ..engines import current as engine
from ..engines.indexing import indexed
from ._bodies import axes_from_front, constant, expand, root

op = namespace("math")


def single(types: tuple[Any, ...]) -> str:
    """Promotion rule: float32, or float64 where an operand has it (complex numbers likewise)."""
    return result_type(*types, "float32")


# ------------------------------------------------------------- special functions


@op(promote=floating)
def erf(x: Tensor) -> Tensor:
    """The error function, 2 / sqrt(pi) times the integral of exp(-t ** 2) from 0 to x.

    >>> erf([0.0, 100.0]).tolist()
    [0.0, 1.0]
    """
    return engine().erf(x)


@op(promote=floating)
def erfc(x: Tensor) -> Tensor:
    """1 - erf(x), exact where erf is close to 1.

    >>> erfc([0.0, 100.0]).tolist()
    [1.0, 0.0]
    """
    return engine().erfc(x)


@op(promote=floating)
def erfinv(x: Tensor) -> Tensor:
    """The inverse of `erf`, of numbers in [-1, 1].

    >>> erfinv([0.0, 1.0]).tolist()
    [0.0, inf]
    """
    return engine().erfinv(x)


@op(promote=floating)
def rsqrt(x: Tensor) -> Tensor:
    """1 / sqrt(x).

    >>> rsqrt([4.0, 16.0]).tolist()
    [0.5, 0.25]
    """
    return engine().rsqrt(x)


@op(promote=floating)
def logsumexp(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """log(sum(exp(x))) without overflow; -infinity where there are no elements.

    Args:
        x: A tensor.
        axis: The axis or axes; all of them by default.
        keepdims: Whether they stay, with size 1.

    >>> logsumexp([1000.0, -1000.0]).tolist()
    1000.0
    """
    shape = engine().shape_of(x)
    axes = axes_from_front(axis, len(shape))
    if any(shape[at] == 0 for at in axes):
        return engine().log(engine().sum(x, axes, keepdims))
    largest = engine().stop_gradient(engine().max(x, axes, True))
    # -inf - -inf is NaN: where nothing is finite, nothing is subtracted.
    largest = engine().where(engine().isfinite(largest), largest, constant(0, x))
    total = engine().sum(engine().exp(engine().subtract(x, largest)), axes, True)
    result = engine().add(engine().log(total), largest)
    if keepdims:
        return result
    dims = engine().shape_of(result)
    return engine().reshape(result, tuple(d for i, d in enumerate(dims) if i not in axes))


@op(promote=single)
def logdet(x: Tensor) -> Tensor:
    """The logarithm of the determinant's absolute value, of square matrices `(..., n, n)`.

    >>> round(float(logdet([[2.0, 0.0], [0.0, 3.0]])), 4)
    1.7918
    """
    check_square("logdet", x)
    factors, _ = engine().lu_factor(x)
    logs = engine().log(engine().abs(diagonal_of(factors)))
    return engine().sum(logs, (len(engine().shape_of(logs)) - 1,), False)


@op(promote=floating)
def cdist(x: Tensor, y: Tensor) -> Tensor:
    """Euclidean distances `(..., n, m)` between the rows of x `(..., n, d)` and of y `(..., m, d)`.

    >>> cdist([[0.0, 0.0]], [[3.0, 4.0], [0.0, 0.0]]).tolist()
    [[5.0, 0.0]]
    """
    x_dims, y_dims = engine().shape_of(x), engine().shape_of(y)
    sizes = (*x_dims[-1:], *y_dims[-1:])
    if min(len(x_dims), len(y_dims)) < 2 or (_integers(*sizes) and sizes[0] != sizes[1]):
        raise ValueError(
            "`cdist` takes tensors (..., n, d) and (..., m, d). "
            f"Received: x.shape={x_dims}, y.shape={y_dims}."
        )
    rows, columns = expand(x, len(x_dims) - 1), expand(y, len(y_dims) - 2)
    offsets = engine().subtract(rows, columns)
    last = len(engine().shape_of(offsets)) - 1
    squares = engine().sum(engine().multiply(offsets, offsets), (last,), False)
    return root(squares, engine().sqrt)


# -------------------------------------------------------------------- segments


@op(compose=False)
def segment_sum(
    data: Raw, segment_ids: Index, num_segments: int | None = None, sorted: bool = False
) -> Tensor:
    """Sums of the slices of each segment.

    Args:
        data: `(n, ...)`.
        segment_ids: `(n,)` integers: which segment each slice belongs to. A slice with an id that
            is out of range belongs to none.
        num_segments: How many segments there are; by default the largest id plus 1, which must be
            known then.
        sorted: Whether the ids ascend; kept for compatibility.

    >>> segment_sum([1.0, 2.0, 3.0], [0, 1, 0], num_segments=2).tolist()
    [4.0, 2.0]
    """
    return _segments(data, segment_ids, _count(data, segment_ids, num_segments), "add")


@op(compose=False)
def segment_max(
    data: Raw, segment_ids: Index, num_segments: int | None = None, sorted: bool = False
) -> Tensor:
    """The largest elements of each segment; of an empty one, the least number of the dtype.

    The arguments are those of `segment_sum`.

    >>> segment_max([1.0, 2.0, 3.0], [0, 1, 0], num_segments=2).tolist()
    [3.0, 2.0]
    """
    return _segments(data, segment_ids, _count(data, segment_ids, num_segments), "max")


@op(compose=False)
def segment_min(
    data: Raw, segment_ids: Index, num_segments: int | None = None, sorted: bool = False
) -> Tensor:
    """The smallest elements of each segment; of an empty one, the largest number of the dtype.

    The arguments are those of `segment_sum`.

    >>> segment_min([1.0, 2.0, 3.0], [0, 1, 0], num_segments=2).tolist()
    [1.0, 2.0]
    """
    return _segments(data, segment_ids, _count(data, segment_ids, num_segments), "min")


@op(compose=False)
def segment_prod(
    data: Raw, segment_ids: Index, num_segments: int | None = None, sorted: bool = False
) -> Tensor:
    """Products of the slices of each segment; 1 of an empty one.

    The arguments are those of `segment_sum`.

    >>> segment_prod([1.0, 2.0, 3.0], [0, 1, 0], num_segments=2).tolist()
    [3.0, 2.0]
    """
    return _segments(data, segment_ids, _count(data, segment_ids, num_segments), "mul")


def _count(data: Tensor, segment_ids: Tensor, num_segments: int | None) -> Any:
    """The number of segments: an integer, or an unknown dimension."""
    dims, ids = engine().shape_of(data), engine().shape_of(segment_ids)
    pair = (*dims[:1], *ids)
    if len(ids) != 1 or len(pair) != 2 or (_integers(*pair) and pair[0] != pair[1]):
        raise ValueError(
            "`segment_ids` must be a vector as long as the leading axis of `data`. "
            f"Received: data.shape={dims}, segment_ids.shape={ids}."
        )
    if num_segments is not None:
        return num_segments
    largest = engine().max(segment_ids, (0,), False)
    if not engine().computes:
        end = engine().add(largest, constant(1, largest))
        return engine().shape_of(engine().arange(0, end, 1, "int32"))[0]
    try:
        return int(largest) + 1
    except TypeError as error:
        raise ValueError(
            "`num_segments` must be given where values are not known yet, as in a compiled "
            "function. Received: num_segments=None."
        ) from error


@op
def _segments(data: Raw, segment_ids: Raw, count: Any, reduction: str) -> Tensor:
    """Slices joined by segment. Those of no segment go to an additional one, which is cut off."""
    dtype, dims = engine().dtype_of(data), engine().shape_of(data)
    low, high = (
        constant(0, segment_ids),
        engine().cast(engine().full((), count, "int32"), engine().dtype_of(segment_ids)),
    )
    inside = engine().logical_and(
        engine().greater_equal(segment_ids, low), engine().less(segment_ids, high)
    )
    places = expand(engine().where(inside, segment_ids, high), 1)
    empty = engine().full((count + 1, *dims[1:]), _neutral(dtype, reduction), dtype)
    joined = engine().scatter(empty, places, data, reduction)
    return engine().slice_axis(joined, 0, 0, count)


def _neutral(dtype: str, reduction: str) -> Any:
    """What joins with any number to give that number."""
    if reduction in ("add", "mul"):
        return int(reduction == "mul")
    if is_float(dtype):
        return -math.inf if reduction == "max" else math.inf
    if dtype == "bool":
        return reduction == "min"
    limits = np.iinfo(dtype)
    return int(limits.min if reduction == "max" else limits.max)


# ------------------------------------------------------------ largest elements


def top_k(x: Any, k: int, sorted: bool = True, *, is_stable: bool = False) -> tuple[Tensor, Tensor]:
    """The k largest elements of the last axis, in descending order, and their indices.

    Args:
        x: A tensor.
        k: How many; at most the size of the axis.
        sorted, is_stable: Kept for compatibility: the elements are sorted in any case, and equal ones
            stay in their order.

    Returns:
        Values and int32 indices, both of shape `(..., k)`.

    >>> values, indices = top_k([1.0, 3.0, 2.0], 2)
    >>> values.tolist(), indices.tolist()
    ([3.0, 2.0], [1, 2])
    """
    return _top_k(x, k, sorted)  # `is_stable` is no argument of the operation in Keras's files


@op(named="top_k")
def _top_k(x: Raw, k: int, sorted: bool = True) -> tuple[Tensor, Tensor]:
    dims = engine().shape_of(x)
    if not dims or (isinstance(dims[-1], int) and k > dims[-1]):
        raise ValueError(
            f"`k` must be at most the size of the last axis. Received: k={k}, x.shape={dims}."
        )
    return engine().top_k(x, k)


@op
def in_top_k(targets: Index, predictions: Raw, k: int) -> Tensor:
    """Whether the target's prediction is among the k largest.

    Args:
        targets: Class indices, `(...)`. One that is out of range gives False.
        predictions: Scores `(..., classes)`. Ties at the k-th place are all in; NaN never is.
        k: How many.

    >>> in_top_k([1, 0], [[0.1, 0.9, 0.5], [0.1, 0.9, 0.5]], 2).tolist()
    [True, False]
    """
    dims = engine().shape_of(predictions)
    if len(dims) != len(engine().shape_of(targets)) + 1:
        raise ValueError(
            "`predictions` must have one axis more than `targets`. "
            f"Received: targets.shape={engine().shape_of(targets)}, predictions.shape={dims}."
        )
    last = len(dims) - 1
    k = min(k, dims[-1]) if isinstance(dims[-1], int) else k
    zero = constant(0, targets)
    size = engine().full((), dims[-1], engine().dtype_of(targets))
    inside = engine().logical_and(
        engine().greater_equal(targets, zero), engine().less(targets, size)
    )
    places = expand(engine().where(inside, targets, zero), last)
    scores = engine().take_along_axis(predictions, places, last)
    values, _ = engine().top_k(predictions, k)
    least = engine().slice_axis(values, last, k - 1, k)
    among = engine().greater_equal(scores, least)
    return engine().logical_and(inside, engine().reshape(among, dims[:-1]))


# ---------------------------------------------------------- Fourier transforms


@op
def extract_sequences(x: Raw, sequence_length: int, sequence_stride: int) -> Tensor:
    """Windows along the last axis.

    Args:
        x: `(..., time)`.
        sequence_length: The windows' length.
        sequence_stride: From the start of one to that of the next.

    Returns:
        `(..., windows, sequence_length)`; an end that fills no window is left out.

    >>> extract_sequences([1, 2, 3, 4], 2, 1).tolist()
    [[1, 2], [2, 3], [3, 4]]
    """
    return _windows(x, sequence_length, sequence_stride)


@op(promote=single)
def fft(x: Tensors) -> tuple[Tensor, Tensor]:
    """The Fourier transform along the last axis, of complex numbers as `(real, imaginary)`.

    >>> real, imaginary = fft(([1.0, 1.0], [0.0, 0.0]))
    >>> real.tolist(), imaginary.tolist()
    ([2.0, 0.0], [0.0, 0.0])
    """
    return _parts(engine().fft(_complex("fft", x, 1)))


@op(promote=single)
def fft2(x: Tensors) -> tuple[Tensor, Tensor]:
    """The Fourier transform along the last two axes, of complex numbers as `(real, imaginary)`.

    >>> real, _ = fft2(([[1.0, 1.0]], [[0.0, 0.0]]))
    >>> real.tolist()
    [[2.0, 0.0]]
    """
    return _parts(_along_two_axes(engine().fft, _complex("fft2", x, 2)))


@op(promote=single)
def ifft2(x: Tensors) -> tuple[Tensor, Tensor]:
    """The inverse of `fft2`.

    >>> real, _ = ifft2(([[2.0, 0.0]], [[0.0, 0.0]]))
    >>> real.tolist()
    [[1.0, 1.0]]
    """
    return _parts(_along_two_axes(engine().ifft, _complex("ifft2", x, 2)))


@op(promote=single)
def rfft(x: Tensor, fft_length: int | None = None) -> tuple[Tensor, Tensor]:
    """The Fourier transform of real numbers along the last axis: its first half.

    Args:
        x: `(..., time)`.
        fft_length: The axis is cut or filled with zeros to this length.

    Returns:
        Real and imaginary parts, `(..., fft_length // 2 + 1)`.

    >>> real, imaginary = rfft([1.0, 1.0])
    >>> real.tolist(), imaginary.tolist()
    ([2.0, 0.0], [0.0, 0.0])
    """
    return _parts(engine().rfft(x if fft_length is None else _fitted(x, fft_length)))


@op(promote=single)
def irfft(x: Tensors, fft_length: int | None = None) -> Tensor:
    """The inverse of `rfft`.

    Args:
        x: Real and imaginary parts, `(..., n)`.
        fft_length: The result's length; `2 * (n - 1)` by default.

    >>> irfft(([2.0, 0.0], [0.0, 0.0])).tolist()
    [1.0, 1.0]
    """
    numbers = _complex("irfft", x, 1)
    if fft_length is None:
        return engine().irfft(numbers, 2 * (engine().shape_of(numbers)[-1] - 1))
    return engine().irfft(_fitted(numbers, fft_length // 2 + 1), fft_length)


@op(promote=single, compose=False, constructed=("window",))
def stft(
    x: Tensor,
    sequence_length: int,
    sequence_stride: int,
    fft_length: int,
    window: Nest = "hann",
    center: bool = True,
) -> tuple[Tensor, Tensor]:
    """The short-time Fourier transform along the last axis.

    Args:
        x: `(..., time)`.
        sequence_length: The window's length.
        sequence_stride: From the start of one window to that of the next.
        fft_length: The length of each transform; the window is centred in it, with zeros around.
        window: `"hann"`, `"hamming"`, a tensor `(sequence_length,)`, or None for `fft_length` ones.
        center: Whether the signal is reflected at its ends, so that window i is centred at
            `i * sequence_stride`.

    Returns:
        Real and imaginary parts, `(..., windows, fft_length // 2 + 1)`.

    >>> real, _ = stft([1.0] * 8, 4, 2, 4, window=None)
    >>> real.shape, real[0].tolist()
    ((5, 3), [4.0, 0.0, 0.0])
    """
    weights = _weights(window, sequence_length, fft_length)
    return _stft(x, weights, sequence_stride, fft_length, center)


@op(promote=single, compose=False, constructed=("window",))
def istft(
    x: Tensors,
    sequence_length: int,
    sequence_stride: int,
    fft_length: int,
    length: int | None = None,
    window: Nest = "hann",
    center: bool = True,
) -> Tensor:
    """The inverse of `stft`: the signal whose transform is closest in least squares.

    Source: Griffin and Lim, Signal estimation from modified short-time Fourier transform (1984).

    Args:
        x: Real and imaginary parts, `(..., windows, fft_length // 2 + 1)`.
        sequence_length, sequence_stride, fft_length, window, center: Those of `stft`.
        length: The result is cut to this length.

    >>> signal = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]
    >>> [round(float(y), 3) for y in istft(stft(signal, 4, 2, 4), 4, 2, 4)]
    [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]
    """
    weights = _weights(window, sequence_length, fft_length)
    numbers = _complex("istft", x, 2)
    return _istft(*_parts(numbers), weights, sequence_stride, fft_length, length, center)


@op(promote=single)
def _stft(
    x: Tensor, weights: Tensor, stride: int, fft_length: int, center: bool
) -> tuple[Tensor, Tensor]:
    x = _reflected(x, fft_length // 2) if center else x
    frames = engine().multiply(_windows(x, fft_length, stride), weights)
    return _parts(engine().rfft(frames))


@op(promote=single)
def _istft(
    real: Tensor,
    imaginary: Tensor,
    weights: Tensor,
    stride: int,
    fft_length: int,
    length: int | None,
    center: bool,
) -> Tensor:
    frames = engine().irfft(engine().complex(real, imaginary), fft_length)
    *leading, count, _ = engine().shape_of(frames)
    signal = _overlapped(engine().multiply(frames, weights), stride)
    squares = engine().broadcast_to(engine().multiply(weights, weights), (count, fft_length))
    scale = _overlapped(squares, stride)
    # Where all windows are zero, so is the signal.
    least = constant(1e-8, scale)
    scale = engine().where(engine().greater(scale, least), scale, constant(1, scale))
    signal = engine().divide(signal, scale)
    axis = len(leading)
    start = fft_length // 2 if center else 0
    total = engine().shape_of(signal)[axis]
    if length is None:
        return engine().slice_axis(signal, axis, start, total - start)
    length = min(length, total - start) if isinstance(total, int) else length
    return engine().slice(signal, (0,) * axis + (start,), (*leading, length))


def _windows(x: Tensor, length: int, stride: int) -> Tensor:
    """The windows of `(..., time)`, as `(..., windows, length)`."""
    dims = engine().shape_of(x)
    count = (dims[-1] - length) // stride + 1
    count = max(count, 0) if isinstance(count, int) else count
    starts = engine().arange(0, count, 1, "int32")
    starts = engine().multiply(expand(starts, 1), engine().full((), stride, "int32"))
    places = engine().add(starts, engine().arange(0, length, 1, "int32"))
    return engine().take(x, places, len(dims) - 1)


def _overlapped(frames: Tensor, stride: int) -> Tensor:
    """Windows `(..., windows, length)` added up where they came from: `(..., time)`."""
    *leading, count, length = engine().shape_of(frames)
    total = (count - 1) * stride + length
    starts = engine().multiply(
        expand(engine().arange(0, count, 1, "int32"), 1), engine().full((), stride, "int32")
    )
    places = engine().add(starts, engine().arange(0, length, 1, "int32"))
    batch = math.prod(leading)
    columns = engine().transpose(engine().reshape(frames, (batch, count * length)), (1, 0))
    empty = engine().full((total, batch), 0, engine().dtype_of(frames))
    added = engine().scatter(empty, engine().reshape(places, (count * length, 1)), columns, "add")
    return engine().reshape(engine().transpose(added, (1, 0)), (*leading, total))


def _weights(window: Any, sequence_length: int, fft_length: int) -> Any:
    """The window, with zeros on both sides up to the transform's length."""
    if fft_length < sequence_length:
        raise ValueError(
            "`fft_length` must be at least `sequence_length`. "
            f"Received: fft_length={fft_length}, sequence_length={sequence_length}."
        )
    low = (fft_length - sequence_length) // 2
    pads = ((low, fft_length - sequence_length - low),)
    if window is None:
        return np.ones(fft_length, "float32")
    if isinstance(window, str):
        return np.pad(_named_window(window, sequence_length), pads).astype("float32")
    window = engine().convert_to_tensor(window)
    dims = engine().shape_of(window)
    if len(dims) != 1 or (_integers(*dims) and dims[0] != sequence_length):
        raise ValueError(
            "`window` must have the shape (sequence_length,). "
            f"Received: window.shape={dims}, sequence_length={sequence_length}."
        )
    return engine().pad(window, pads, 0)


def _named_window(name: str, length: int) -> np.ndarray[Any, Any]:
    share = {"hann": 0.5, "hamming": 0.54}.get(name)
    if share is None:
        raise ValueError(
            f"`window` must be 'hann', 'hamming', a tensor or None. Received: window={name!r}."
        )
    return share - (1 - share) * np.cos(2 * np.pi * np.arange(length) / length)


def _reflected(x: Tensor, width: int) -> Tensor:
    """x with its ends mirrored along the last axis, the end itself not repeated."""
    dims = engine().shape_of(x)
    axis, size = len(dims) - 1, dims[-1]
    low = engine().flip(engine().slice_axis(x, axis, 1, width + 1), (axis,))
    high = engine().flip(engine().slice_axis(x, axis, size - width - 1, size - 1), (axis,))
    return engine().concatenate([low, x, high], axis)


def _fitted(x: Tensor, length: int) -> Tensor:
    """x cut or filled with zeros along the last axis."""
    dims = engine().shape_of(x)
    axis = len(dims) - 1
    pads = ((0, 0),) * axis + ((0, length),)
    return engine().slice_axis(engine().pad(x, pads, 0), axis, 0, length)


def _along_two_axes(transform: Any, x: Tensor) -> Tensor:
    last = len(engine().shape_of(x)) - 1
    swapped = (*range(last - 1), last, last - 1)
    return engine().transpose(transform(engine().transpose(transform(x), swapped)), swapped)


def _complex(name: str, x: Any, rank: int) -> Tensor:
    """The complex numbers of a pair `(real, imaginary)`."""
    shapes = [engine().shape_of(part) for part in x]
    if len(shapes) != 2 or len(shapes[0]) != len(shapes[1]) or len(shapes[0]) < rank:
        raise ValueError(
            f"`{name}` takes a pair (real, imaginary) of tensors of one shape, of rank {rank} or "
            f"more. Received: shapes {shapes}."
        )
    if any(_integers(*pair) and pair[0] != pair[1] for pair in zip(*shapes, strict=True)):
        raise ValueError(
            f"The real and imaginary parts of `{name}` must have one shape. "
            f"Received: shapes {shapes}."
        )
    return engine().complex(*x)


def _parts(x: Tensor) -> tuple[Tensor, Tensor]:
    return engine().real(x), engine().imag(x)


# ------------------------------------------------------------- complex numbers


@op(promote=single)
def view_as_complex(x: Tensor) -> Tensor:
    """Complex numbers `(...)` from pairs `(..., 2)` of real and imaginary parts.

    >>> view_as_complex([[1.0, 2.0]]).tolist()
    [(1+2j)]
    """
    dims = engine().shape_of(x)
    if not dims or (isinstance(dims[-1], int) and dims[-1] != 2):
        raise ValueError(
            "The last axis must have the size 2: real and imaginary part. "
            f"Received: x.shape={dims}."
        )
    parts = (engine().get_item(x, (Ellipsis, place)) for place in (0, 1))
    return engine().complex(*parts)


@op
def view_as_real(x: Raw) -> Tensor:
    """Pairs `(..., 2)` of real and imaginary parts from complex numbers `(...)`.

    >>> view_as_real(view_as_complex([[1.0, 2.0]])).tolist()
    [[1.0, 2.0]]
    """
    last = len(engine().shape_of(x))
    return engine().concatenate([expand(part, last) for part in _parts(x)], last)


# ----------------------------------------------------------------------- helpers


def diagonal_of(x: Tensor) -> Tensor:
    """The diagonals `(..., n)` of square matrices `(..., n, n)`."""
    places = engine().arange(0, engine().shape_of(x)[-1], 1, "int32")
    return indexed(engine(), x, (Ellipsis, places, places))


def check_square(name: str, x: Tensor) -> None:
    """Refuse what is not a stack of square matrices."""
    dims = engine().shape_of(x)
    if len(dims) < 2 or (_integers(*dims[-2:]) and dims[-1] != dims[-2]):
        raise ValueError(f"`{name}` takes square matrices (..., n, n). Received: shape {dims}.")


def _integers(*sizes: Any) -> bool:
    return all(isinstance(size, int) for size in sizes)
