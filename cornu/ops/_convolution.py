"""Convolution and pooling.

Everything here turns `same` and `valid` into explicit pads and channels-first images into
channels-last ones, and calls one primitive.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..core.checks import one_of, per_axis
from ..core.config import standardize_data_format
from ..core.op import floating, namespace
from ..core.types import Tensor
from ..engines import current as engine
from ._bodies import channels_first, channels_last, differ, numeric, rank_of

op = namespace("nn")
Sizes = int | Sequence[int]

# ------------------------------------------------------------------ conventions


def padding_name(padding: str) -> str:
    """`same` or `valid`."""
    name = str(padding).lower()
    one_of(("same", "valid"), padding=name)
    return name


def window_pads(
    x: Tensor,
    window: Sequence[int],
    strides: Sequence[int],
    dilation: Sequence[int],
    padding: str,
) -> tuple[tuple[int, int], ...]:
    """The pads of x (n, *spatial, i) for which `same` gives ceil(size / stride) positions."""
    if padding_name(padding) == "valid":
        return ((0, 0),) * len(window)
    spatial = engine().shape_of(x)[1:-1]
    return tuple(map(_same_pads, spatial, window, strides, dilation))


def _same_pads(size: Any, extent: Any, stride: int, rate: int) -> tuple[int, int]:
    if not isinstance(extent, int):
        return 0, 0
    reach = (extent - 1) * rate + 1
    total: Any  # of an unknown size it is a dimension, unless it is the same for every size
    if isinstance(size, int):
        total = max(reach - (size % stride or stride), 0)
    elif stride == 1 or reach == 1:
        total = reach - 1
    else:
        total = ((size + (stride - 1)) // stride - 1) * stride + reach - size
        if reach < stride:  # it may be negative, where no window sees the last elements
            if reach > 2:
                engine().shape_alone("conv")
            return 0, total
    return total // 2, total - total // 2


def _oriented(x: Tensor, data_format: str | None, body: Callable[[Tensor], Tensor]) -> Tensor:
    """The result of a body on channels-last images, in the layout asked for."""
    if standardize_data_format(data_format) == "channels_last":
        return body(x)
    return channels_first(body(channels_last(x)))


def _per_axis(
    name: str, x: Tensor, kernel: Tensor, strides: Sizes, dilation_rate: Sizes
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Strides and dilation for each spatial axis of the inputs, whose rank fits the kernel's."""
    rank = rank_of(x) - 2
    if rank < 1 or rank_of(kernel) != rank + 2:
        raise ValueError(
            f"`{name}` takes inputs (batch, *spatial, channels) and a kernel (*window, in, out) of "
            f"the same rank, at least 3. Received: inputs.shape={engine().shape_of(x)}, "
            f"kernel.shape={engine().shape_of(kernel)}."
        )
    steps = per_axis(strides, rank, "strides")
    return steps, per_axis(dilation_rate, rank, "dilation_rate")


def check_fits(
    name: str,
    x: Tensor,
    window: Sequence[int],
    pads: Sequence[tuple[int, int]],
    dilation: Sequence[int],
) -> None:
    spatial = engine().shape_of(x)[1:-1]
    for size, extent, (low, high), rate in zip(spatial, window, pads, dilation, strict=True):
        known = isinstance(size, int) and isinstance(extent, int)
        if known and size + low + high < (extent - 1) * rate + 1:
            raise ValueError(
                f"The output of `{name}` would be empty: the window is larger than the input. "
                f"Received: inputs.shape={engine().shape_of(x)} (channels last), "
                f"window={tuple(window)}, dilation_rate={tuple(dilation)}. "
                "Use a larger input, a smaller window, or padding='same'."
            )


# ------------------------------------------------------------------ convolution


@op(promote=numeric)
def conv(
    inputs: Tensor,
    kernel: Tensor,
    strides: Sizes = 1,
    padding: str = "valid",
    data_format: str | None = None,
    dilation_rate: Sizes = 1,
) -> Tensor:
    """Convolution (cross-correlation) in any number of spatial dimensions.

    Args:
        inputs: (batch, *spatial, channels), or channels first.
        kernel: (*window, channels / groups, filters); the groups follow from the channels.
        strides: Steps of the window, for all axes or each.
        padding: `valid`, or `same` for ceil(size / stride) positions.
        data_format: `channels_last` or `channels_first`; the configured one where it is left out.
        dilation_rate: Distance of the elements that a window takes, for all axes or each.

    Returns:
        (batch, *positions, filters), or channels first.

    >>> import numpy as np
    >>> conv(np.ones((1, 5, 1)), np.ones((3, 1, 2))).shape
    (1, 3, 2)
    """
    steps, rates = _per_axis("conv", inputs, kernel, strides, dilation_rate)

    def body(x: Tensor) -> Tensor:
        return _conv(x, kernel, steps, padding, rates, _groups(x, kernel))

    return _oriented(inputs, data_format, body)


def _groups(x: Tensor, kernel: Tensor) -> int:
    channels, depth = engine().shape_of(x)[-1], engine().shape_of(kernel)[-2]
    if not isinstance(channels, int) or not isinstance(depth, int):
        return 1
    if channels % depth:
        raise ValueError(
            "The channels of the inputs must be a multiple of the kernel's. Received: "
            f"inputs.shape={engine().shape_of(x)} (channels last), "
            f"kernel.shape={engine().shape_of(kernel)}."
        )
    return channels // depth


def _conv(
    x: Tensor,
    kernel: Tensor,
    strides: tuple[int, ...],
    padding: str,
    dilation: tuple[int, ...],
    groups: int,
) -> Tensor:
    window = engine().shape_of(kernel)[:-2]
    pads = window_pads(x, window, strides, dilation, padding)
    check_fits("conv", x, window, pads, dilation)
    return engine().conv(x, kernel, strides, pads, dilation, groups)


@op(promote=numeric)
def depthwise_conv(
    inputs: Tensor,
    kernel: Tensor,
    strides: Sizes = 1,
    padding: str = "valid",
    data_format: str | None = None,
    dilation_rate: Sizes = 1,
) -> Tensor:
    """Convolution of each channel with kernels of its own.

    Args:
        inputs: (batch, *spatial, channels), or channels first.
        kernel: (*window, channels, multiplier).
        strides, padding, data_format, dilation_rate: As in `conv`.

    Returns:
        (batch, *positions, channels * multiplier), or channels first.

    >>> import numpy as np
    >>> depthwise_conv(np.ones((1, 5, 4)), np.ones((3, 4, 2))).shape
    (1, 3, 8)
    """
    steps, rates = _per_axis("depthwise_conv", inputs, kernel, strides, dilation_rate)

    def body(x: Tensor) -> Tensor:
        return _depthwise(x, kernel, steps, padding, rates)

    return _oriented(inputs, data_format, body)


def _depthwise(
    x: Tensor, kernel: Tensor, strides: tuple[int, ...], padding: str, dilation: tuple[int, ...]
) -> Tensor:
    *window, channels, multiplier = engine().shape_of(kernel)
    if differ(engine().shape_of(x)[-1], channels):
        raise ValueError(
            "A depthwise kernel must have as many channels as the inputs. Received: "
            f"inputs.shape={engine().shape_of(x)} (channels last), "
            f"kernel.shape={engine().shape_of(kernel)}."
        )
    grouped = engine().reshape(kernel, (*window, 1, channels * multiplier))
    return _conv(x, grouped, strides, padding, dilation, _groups(x, grouped))


@op(promote=numeric)
def separable_conv(
    inputs: Tensor,
    depthwise_kernel: Tensor,
    pointwise_kernel: Tensor,
    strides: Sizes = 1,
    padding: str = "valid",
    data_format: str | None = None,
    dilation_rate: Sizes = 1,
) -> Tensor:
    """A depthwise convolution, then one with windows of size 1 that mixes the channels.

    Args:
        inputs: (batch, *spatial, channels), or channels first.
        depthwise_kernel: (*window, channels, multiplier).
        pointwise_kernel: (1, ..., 1, channels * multiplier, filters).
        strides, padding, data_format, dilation_rate: As in `conv`.

    >>> import numpy as np
    >>> separable_conv(np.ones((1, 5, 4)), np.ones((3, 4, 2)), np.ones((1, 8, 6))).shape
    (1, 3, 6)
    """
    steps, rates = _per_axis("separable_conv", inputs, depthwise_kernel, strides, dilation_rate)
    ones = (1,) * len(steps)

    def body(x: Tensor) -> Tensor:
        mixed = _depthwise(x, depthwise_kernel, steps, padding, rates)
        groups = _groups(mixed, pointwise_kernel)
        return _conv(mixed, pointwise_kernel, ones, "valid", ones, groups)

    return _oriented(inputs, data_format, body)


@op(promote=numeric)
def conv_transpose(
    inputs: Tensor,
    kernel: Tensor,
    strides: Sizes = 1,
    padding: str = "valid",
    output_padding: Sizes | None = None,
    data_format: str | None = None,
    dilation_rate: Sizes = 1,
) -> Tensor:
    """Transposed convolution: the gradient of `conv` with respect to its inputs.

    The spatial size of the result is, with window and stride of an axis and `reach` the dilated
    window:

    | padding | output_padding=None | output_padding=p |
    |---|---|---|
    | valid | size · stride + max(reach - stride, 0) | (size - 1) · stride + reach + p |
    | same | size · stride | (size - 1) · stride + reach - 2 · (reach // 2) + p |

    Args:
        inputs: (batch, *spatial, channels), or channels first.
        kernel: (*window, filters, channels).
        strides, padding, data_format, dilation_rate: As in `conv`.
        output_padding: How much larger the result is than needed, for all axes or each.

    >>> import numpy as np
    >>> conv_transpose(np.ones((1, 4, 3)), np.ones((3, 5, 3)), strides=2, padding="same").shape
    (1, 8, 5)
    """
    steps, rates = _per_axis("conv_transpose", inputs, kernel, strides, dilation_rate)
    extras = (
        output_padding if isinstance(output_padding, Sequence) else (output_padding,) * len(steps)
    )
    window = engine().shape_of(kernel)[:-2]
    name = padding_name(padding)
    pads = tuple(
        _transposed_pads((extent - 1) * rate + 1, stride, name, extra)
        for extent, stride, rate, extra in zip(window, steps, rates, extras, strict=True)
    )
    return _oriented(
        inputs, data_format, lambda x: engine().conv_transpose(x, kernel, steps, pads, rates)
    )


def _transposed_pads(reach: Any, stride: int, padding: str, extra: int | None) -> tuple[int, int]:
    """Pads of the spread input, from how much of the full result is cropped on either side."""
    if not isinstance(reach, int):
        return 0, 0
    if padding == "valid":
        low, high = 0, -(max(stride - reach, 0) if extra is None else extra)
    else:
        cropped = reach - stride if extra is None else 2 * (reach // 2) - extra
        low = max(cropped, 0) // 2
        high = cropped - low
    return reach - 1 - low, reach - 1 - high


# ---------------------------------------------------------------------- pooling


@op(promote=numeric)
def max_pool(
    inputs: Tensor,
    pool_size: Sizes,
    strides: Sizes | None = None,
    padding: str = "valid",
    data_format: str | None = None,
) -> Tensor:
    """The largest element of each window.

    Args:
        inputs: (batch, *spatial, channels), or channels first.
        pool_size: Extents of the window, for all axes or each.
        strides: Steps of the window; `pool_size` where it is left out.
        padding: `valid`, or `same` for ceil(size / stride) positions.
        data_format: `channels_last` or `channels_first`; the configured one where it is left out.

    >>> import numpy as np
    >>> max_pool(np.ones((1, 6, 4, 3)), 2).shape
    (1, 3, 2, 3)
    """
    return _pool("max_pool", inputs, pool_size, strides, padding, data_format)


@op(promote=floating)
def average_pool(
    inputs: Tensor,
    pool_size: Sizes,
    strides: Sizes | None = None,
    padding: str = "valid",
    data_format: str | None = None,
) -> Tensor:
    """The mean of each window, padding left out. The arguments are those of `max_pool`.

    >>> import numpy as np
    >>> average_pool(np.ones((1, 6, 4, 3)), 2, strides=1).shape
    (1, 5, 3, 3)
    """
    return _pool("average_pool", inputs, pool_size, strides, padding, data_format)


def _pool(
    name: str,
    inputs: Tensor,
    pool_size: Sizes,
    strides: Sizes | None,
    padding: str,
    data_format: str | None,
) -> Tensor:
    rank = rank_of(inputs) - 2
    window = per_axis(pool_size, rank, "pool_size")
    steps = window if strides is None else per_axis(strides, rank, "strides")

    def body(x: Tensor) -> Tensor:
        pads = window_pads(x, window, steps, (1,) * rank, padding)
        check_fits(name, x, window, pads, (1,) * rank)
        return getattr(engine(), name)(x, window, steps, pads)

    return _oriented(inputs, data_format, body)


@op(promote=numeric)
def adaptive_max_pool(inputs: Tensor, output_size: Sizes, data_format: str | None = None) -> Tensor:
    """The largest element of each of `output_size` bins that together cover an axis.

    Bin k of m over an axis of size n is [floor(k n / m), ceil((k + 1) n / m)).

    Args:
        inputs: (batch, *spatial, channels), or channels first.
        output_size: The number of bins, for all axes or each.
        data_format: `channels_last` or `channels_first`; the configured one where it is left out.

    >>> import numpy as np
    >>> adaptive_max_pool(np.ones((1, 7, 5, 3)), 2).shape
    (1, 2, 2, 3)
    """

    def reduce(columns: Tensor, axis: int, widths: np.ndarray[Any, Any]) -> Tensor:
        return engine().max(columns, (axis,), False)

    return _adaptive_pool(inputs, output_size, data_format, reduce)


@op(promote=floating)
def adaptive_average_pool(
    inputs: Tensor, output_size: Sizes, data_format: str | None = None
) -> Tensor:
    """The mean of each of `output_size` bins, which are those of `adaptive_max_pool`.

    >>> import numpy as np
    >>> adaptive_average_pool(np.ones((1, 7, 5, 3)), (7, 1)).shape
    (1, 7, 1, 3)
    """

    def reduce(columns: Tensor, axis: int, widths: np.ndarray[Any, Any]) -> Tensor:
        weights = (np.arange(widths.max()) < widths[:, None]) / widths[:, None]
        weights = weights.reshape(*weights.shape, *(1,) * (rank_of(columns) - axis - 1))
        dtype = engine().dtype_of(columns)
        return engine().sum(columns * engine().convert_to_tensor(weights, dtype), (axis,), False)

    return _adaptive_pool(inputs, output_size, data_format, reduce)


def _adaptive_pool(
    inputs: Tensor,
    output_size: Sizes,
    data_format: str | None,
    reduce: Callable[[Tensor, int, np.ndarray[Any, Any]], Tensor],
) -> Tensor:
    sizes = per_axis(output_size, rank_of(inputs) - 2, "output_size")

    def body(x: Tensor) -> Tensor:
        for axis, bins in enumerate(sizes, start=1):
            starts, widths = _bins(engine().shape_of(x)[axis], bins)
            table = starts[:, None] + np.minimum(np.arange(widths.max()), widths[:, None] - 1)
            indices = engine().convert_to_tensor(table, "int32")
            x = reduce(engine().take(x, indices, axis), axis + 1, widths)
        return x

    return _oriented(inputs, data_format, body)


def _bins(size: Any, bins: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """First element and width of each bin of an axis."""
    if not isinstance(size, int):
        engine().shape_alone("adaptive_pool")  # in which only the number of bins shows
        return np.zeros(bins, int), np.ones(bins, int)
    index = np.arange(bins)
    starts = index * size // bins
    return starts, -(-(index + 1) * size // bins) - starts


# -------------------------------------------------------- windows as an axis


def _pairs(value: Any, name: str) -> tuple[int, int]:
    values = tuple(value) if isinstance(value, Sequence) else (value, value)
    if len(values) != 2:
        raise ValueError(f"`{name}` must be one or two integers. Received: {name}={value!r}.")
    return values


@op
def unfold(
    x: Tensor,
    kernel_size: Sizes,
    dilation: Sizes = 1,
    padding: Sizes = 0,
    stride: Sizes = 1,
) -> Tensor:
    """The windows of images as columns.

    Args:
        x: (batch, channels, height, width).
        kernel_size: Height and width of a window.
        dilation: Distance of the elements that a window takes.
        padding: Zeros on either side.
        stride: Steps of the window.

    Returns:
        (batch, channels * window elements, windows).

    >>> import numpy as np
    >>> unfold(np.ones((1, 2, 4, 4)), 3).shape
    (1, 18, 4)
    """
    window, pads = _pairs(kernel_size, "kernel_size"), _pairs(padding, "padding")
    windows = engine().patches(
        channels_last(x),
        window,
        _pairs(stride, "stride"),
        tuple((pad, pad) for pad in pads),
        _pairs(dilation, "dilation"),
        0,
    )
    batch, height, width, elements, channels = engine().shape_of(windows)
    columns = engine().transpose(windows, (0, 4, 3, 1, 2))
    return engine().reshape(columns, (batch, channels * elements, height * width))


@op
def fold(
    x: Tensor,
    output_size: Sizes,
    kernel_size: Sizes,
    dilation: Sizes = 1,
    padding: Sizes = 0,
    stride: Sizes = 1,
) -> Tensor:
    """Images from columns of windows, overlapping elements added: the transpose of `unfold`.

    Args:
        x: (batch, channels * window elements, windows).
        output_size: Height and width of the images.
        kernel_size, dilation, padding, stride: As in `unfold`.

    Returns:
        (batch, channels, height, width).

    >>> import numpy as np
    >>> fold(np.ones((1, 18, 4)), 4, 3).shape
    (1, 2, 4, 4)
    """
    window, steps = _pairs(kernel_size, "kernel_size"), _pairs(stride, "stride")
    rates, pads = _pairs(dilation, "dilation"), _pairs(padding, "padding")
    padded = [
        size + 2 * pad for size, pad in zip(_pairs(output_size, "output_size"), pads, strict=True)
    ]
    counts = [
        (size - (extent - 1) * rate - 1) // step + 1
        for size, extent, rate, step in zip(padded, window, rates, steps, strict=True)
    ]
    batch, depth, _ = engine().shape_of(x)
    channels = depth // math.prod(window)
    columns = engine().reshape(x, (batch, channels, *window, *counts))
    result: Any = None
    for row in range(window[0]):
        for column in range(window[1]):
            piece = engine().get_item(columns, (slice(None), slice(None), row, column))
            placed = _placed(piece, (row * rates[0], column * rates[1]), steps, padded)
            result = placed if result is None else result + placed
    for axis, (pad, size) in enumerate(zip(pads, padded, strict=True), start=2):
        result = engine().slice_axis(result, axis, pad, size - pad)
    return result


def _placed(
    piece: Tensor, offsets: Sequence[int], steps: Sequence[int], sizes: Sequence[int]
) -> Tensor:
    """(batch, channels, rows, columns) with its elements spread out from `offsets`, else zeros."""
    pads = [(0, 0), (0, 0)]
    spread = channels_first(engine().spread(channels_last(piece), tuple(steps)))
    for offset, size, width in zip(offsets, sizes, engine().shape_of(spread)[2:], strict=True):
        pads.append((offset, size - offset - width))
    return engine().pad(spread, tuple(pads), 0)


@op
def depth_to_space(x: Tensor, block_size: int, data_format: str = "channels_last") -> Tensor:
    """Blocks of channels moved into space: `block_size`² fewer channels, images that much larger.

    A channel's number is (row, column, depth) with channels last, (depth, row, column) with
    channels first.

    Args:
        x: (batch, height, width, channels), or channels first.
        block_size: By how much height and width grow.
        data_format: `channels_last` or `channels_first`.

    >>> import numpy as np
    >>> depth_to_space(np.ones((1, 2, 3, 12)), 2).shape
    (1, 4, 6, 3)
    """
    block = _check_block(x, block_size)
    if standardize_data_format(data_format) == "channels_first":
        batch, channels, height, width = engine().shape_of(x)
        depth = _divided("channels", channels, block * block)
        split = engine().reshape(x, (batch, depth, block, block, height, width))
        moved = engine().transpose(split, (0, 1, 4, 2, 5, 3))
        return engine().reshape(moved, (batch, depth, height * block, width * block))
    batch, height, width, channels = engine().shape_of(x)
    depth = _divided("channels", channels, block * block)
    split = engine().reshape(x, (batch, height, width, block, block, depth))
    moved = engine().transpose(split, (0, 1, 3, 2, 4, 5))
    return engine().reshape(moved, (batch, height * block, width * block, depth))


@op
def space_to_depth(x: Tensor, block_size: int, data_format: str = "channels_last") -> Tensor:
    """Blocks of space moved into the channels: the inverse of `depth_to_space`.

    >>> import numpy as np
    >>> space_to_depth(np.ones((1, 4, 6, 3)), 2).shape
    (1, 2, 3, 12)
    """
    block = _check_block(x, block_size)
    first = standardize_data_format(data_format) == "channels_first"
    batch, *sizes = engine().shape_of(x)
    height, width, channels = (*sizes[1:], sizes[0]) if first else sizes
    rows, columns = _divided("height", height, block), _divided("width", width, block)
    depth = channels * block * block
    if first:
        split = engine().reshape(x, (batch, channels, rows, block, columns, block))
        moved = engine().transpose(split, (0, 1, 3, 5, 2, 4))
        return engine().reshape(moved, (batch, depth, rows, columns))
    split = engine().reshape(x, (batch, rows, block, columns, block, channels))
    moved = engine().transpose(split, (0, 1, 3, 2, 4, 5))
    return engine().reshape(moved, (batch, rows, columns, depth))


def _check_block(x: Tensor, block_size: int) -> int:
    if rank_of(x) != 4 or not isinstance(block_size, int) or block_size < 2:
        raise ValueError(
            "`x` must have rank 4 and `block_size` be an integer of at least 2. "
            f"Received: x.shape={engine().shape_of(x)}, block_size={block_size}."
        )
    return block_size


def _divided(what: str, size: Any, divisor: int) -> Any:
    if isinstance(size, int) and size % divisor:
        raise ValueError(f"The {what} must be divisible by {divisor}. Received: {what}={size}.")
    return size // divisor
