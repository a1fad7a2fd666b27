"""Images: colours, padding and cropping, patches, filters, similarity.

An image is (height, width, channels), or has its channels first; images can come in batches.
Bodies work on batches with channels last.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..core.checks import per_axis
from ..core.config import standardize_data_format
from ..core.dtypes import is_float
from ..core.op import floating, namespace
from ..core.types import Tensor
from ..engines import current as engine
from ._bodies import constants, expand, rank_of, same_shape
from ._convolution import check_fits, window_pads

op = namespace("image")
Sizes = int | Sequence[int]
Array = np.ndarray[Any, Any]


def on_batches(
    images: Tensor, data_format: str | None, body: Callable[[Tensor], Tensor], rank: int = 2
) -> Tensor:
    """The result of a body on a batch with channels last, in the form the images came in."""
    axes = rank_of(images)
    if axes not in (rank + 1, rank + 2):
        raise ValueError(
            f"Images must have rank {rank + 1}, or {rank + 2} for a batch. "
            f"Received: images.shape={engine().shape_of(images)}."
        )
    first = standardize_data_format(data_format) == "channels_first"
    batch = images if axes == rank + 2 else expand(images, 0)
    spatial = tuple(range(2, rank + 2))
    if first:
        batch = engine().transpose(batch, (0, *spatial, 1))
    result = body(batch)
    if first:
        others = range(rank + 2, rank_of(result))
        spatial = tuple(range(1, rank + 1))
        result = engine().transpose(result, (0, rank + 1, *spatial, *others))
    return result if axes == rank + 2 else engine().get_item(result, (0,))


def rounded(x: Tensor, dtype: str) -> Tensor:
    """Floats as an image's dtype: rounded and kept in range where it is one of integers."""
    if engine().dtype_of(x) == dtype:
        return x
    if not is_float(dtype):
        limits = np.iinfo("uint8" if dtype == "bool" else dtype)
        low, high = constants(x, float(limits.min), float(limits.max))
        x = engine().minimum(engine().maximum(engine().round(x), low), high)
    return engine().cast(x, dtype)


def as_float(x: Tensor) -> Tensor:
    """Integers as float32."""
    return x if is_float(engine().dtype_of(x)) else engine().cast(x, "float32")


# ---------------------------------------------------------------------- colours

#: The weights of red, green and blue in luma (ITU-R BT.601).
LUMA = (0.2989, 0.587, 0.114)


@op
def rgb_to_grayscale(images: Tensor, data_format: str | None = None) -> Tensor:
    """Colours as brightness, with one channel.

    Args:
        images: Images with 3 channels; with 1 channel they stay as they are.
        data_format: `channels_last` or `channels_first`; the configured one where it is left out.

    >>> import numpy as np
    >>> rgb_to_grayscale(np.ones((4, 5, 3))).shape
    (4, 5, 1)
    """

    def body(x: Tensor) -> Tensor:
        channels = engine().shape_of(x)[3]
        if isinstance(channels, int) and channels not in (1, 3):
            raise ValueError(
                "Images must have 3 channels (or 1, of grey already). "
                f"Received: images.shape={engine().shape_of(images)}."
            )
        if isinstance(channels, int) and channels == 1:
            return x
        dtype = engine().dtype_of(x)
        x = as_float(x)
        weights = engine().convert_to_tensor(np.array(LUMA), engine().dtype_of(x))
        return engine().cast(engine().sum(x * weights, (3,), True), dtype)

    return on_batches(images, data_format, body)


def _colours(name: str, images: Tensor) -> None:
    dtype = engine().dtype_of(images)
    if not is_float(dtype):
        raise ValueError(
            f"`{name}` takes floats in [0, 1]. Received: images.dtype={dtype}. "
            "Cast the images and divide them by 255."
        )


def _channel(x: Tensor, index: int) -> Tensor:
    return engine().slice_axis(x, 3, index, index + 1)


@op
def rgb_to_hsv(images: Tensor, data_format: str | None = None) -> Tensor:
    """Red, green and blue in [0, 1] as hue, saturation and value in [0, 1].

    >>> import numpy as np
    >>> rgb_to_hsv(np.array([[[0.0, 0.5, 0.0]]], "float32")).tolist()
    [[[0.3333333432674408, 1.0, 0.5]]]
    """
    _colours("rgb_to_hsv", images)

    def body(x: Tensor) -> Tensor:
        red, green, blue = (_channel(x, index) for index in range(3))
        value = engine().max(x, (3,), True)
        spread = value - engine().min(x, (3,), True)
        zero, one, two, four, six = constants(x, 0, 1, 2, 4, 6)
        is_grey, is_black = engine().equal(spread, zero), engine().less_equal(value, zero)
        saturation = engine().where(is_black, zero, spread / engine().where(is_black, one, value))
        scale = engine().where(is_grey, one, spread)
        of_red = (green - blue) / scale
        of_red = engine().where(of_red < zero, of_red + six, of_red)
        of_green, of_blue = two + (blue - red) / scale, four + (red - green) / scale
        hue = engine().where(engine().equal(value, green), of_green, of_blue)
        hue = engine().where(engine().equal(value, red), of_red, hue) / six
        return engine().concatenate([engine().where(is_grey, zero, hue), saturation, value], 3)

    return on_batches(images, data_format, body)


@op
def hsv_to_rgb(images: Tensor, data_format: str | None = None) -> Tensor:
    """Hue, saturation and value in [0, 1] as red, green and blue in [0, 1].

    >>> import numpy as np
    >>> hsv_to_rgb(np.array([[[0.0, 1.0, 0.5]]], "float32")).tolist()
    [[[0.5, 0.0, 0.0]]]
    """
    _colours("hsv_to_rgb", images)

    def body(x: Tensor) -> Tensor:
        hue, saturation, value = (_channel(x, index) for index in range(3))
        zero, one, two, three, four, six = constants(x, 0, 1, 2, 3, 4, 6)
        angle = engine().mod(hue, one) * six
        # Each channel is a trapezoid over the circle of hues.
        ramps = [
            engine().abs(angle - three) - one,
            two - engine().abs(angle - two),
            two - engine().abs(angle - four),
        ]
        channels = [
            ((engine().minimum(engine().maximum(ramp, zero), one) - one) * saturation + one) * value
            for ramp in ramps
        ]
        return engine().concatenate(channels, 3)

    return on_batches(images, data_format, body)


# ---------------------------------------------------------- padding and cropping


def _sides(
    size: Any, names: tuple[str, str, str], before: Any, after: Any, target: Any, sign: int
) -> tuple[Any, Any]:
    """How much is added (sign 1) or cut (sign -1) before and after, from two of three numbers."""
    given = dict(zip(names, (before, after, target), strict=True))
    if sum(value is not None for value in given.values()) != 2:
        received = ", ".join(f"{name}={value}" for name, value in given.items())
        raise ValueError(f"Exactly two of {', '.join(names)} must be given. Received: {received}.")
    change = None if target is None else sign * (target - size)
    before = change - after if before is None else before
    after = change - before if after is None else after
    rest = size + sign * (before + after)
    for name, value in zip(names, (before, after, rest), strict=True):
        if isinstance(value, int) and value < 0:
            raise ValueError(f"`{name}` must not be negative. Received: {name}={value}.")
    return before, after


@op
def pad_images(
    images: Tensor,
    top_padding: int | None = None,
    left_padding: int | None = None,
    bottom_padding: int | None = None,
    right_padding: int | None = None,
    target_height: int | None = None,
    target_width: int | None = None,
    data_format: str | None = None,
) -> Tensor:
    """Images with zeros around them.

    Of top, bottom and target height exactly two are given, and of left, right and target width.

    >>> import numpy as np
    >>> pad_images(np.ones((4, 5, 3)), 1, 2, target_height=8, target_width=8).shape
    (8, 8, 3)
    """

    rows = ("top_padding", "bottom_padding", "target_height")
    columns = ("left_padding", "right_padding", "target_width")

    def body(x: Tensor) -> Tensor:
        _, height, width, _ = engine().shape_of(x)
        vertical = _sides(height, rows, top_padding, bottom_padding, target_height, 1)
        horizontal = _sides(width, columns, left_padding, right_padding, target_width, 1)
        padded = engine().pad(x, ((0, 0), vertical, horizontal, (0, 0)), 0)
        return _of_size(_of_size(padded, 1, target_height), 2, target_width)

    return on_batches(images, data_format, body)


def _of_size(x: Tensor, axis: int, size: int | None) -> Tensor:
    """x, whose axis is known to have that size where its arithmetic did not tell."""
    if size is None or isinstance(engine().shape_of(x)[axis], int):
        return x
    return engine().take(x, engine().arange(0, size, 1, "int32"), axis)


@op
def crop_images(
    images: Tensor,
    top_cropping: int | None = None,
    left_cropping: int | None = None,
    bottom_cropping: int | None = None,
    right_cropping: int | None = None,
    target_height: int | None = None,
    target_width: int | None = None,
    data_format: str | None = None,
) -> Tensor:
    """Images without their margins.

    Of top, bottom and target height exactly two are given, and of left, right and target width.

    >>> import numpy as np
    >>> crop_images(np.ones((4, 5, 3)), 1, 2, target_height=2, target_width=2).shape
    (2, 2, 3)
    """

    rows = ("top_cropping", "bottom_cropping", "target_height")
    columns = ("left_cropping", "right_cropping", "target_width")

    def body(x: Tensor) -> Tensor:
        _, height, width, _ = engine().shape_of(x)
        top, bottom = _sides(height, rows, top_cropping, bottom_cropping, target_height, -1)
        left, right = _sides(width, columns, left_cropping, right_cropping, target_width, -1)
        box = (slice(None), slice(top, height - bottom), slice(left, width - right))
        cropped = engine().get_item(x, box)
        return _of_size(_of_size(cropped, 1, target_height), 2, target_width)

    return on_batches(images, data_format, body)


# ---------------------------------------------------------------------- patches


@op
def extract_patches(
    images: Tensor,
    size: Sizes,
    strides: Sizes | None = None,
    dilation_rate: Sizes = 1,
    padding: str = "valid",
    data_format: str | None = None,
) -> Tensor:
    """The windows of images, each as one vector: row by row, its channels together.

    Args:
        images: Images; those of rank 5 (or with a `size` of three) are volumes.
        size: Height and width of a window.
        strides: Steps of the window; `size` where it is left out.
        dilation_rate: Distance of the elements that a window takes.
        padding: `valid`, or `same` for ceil(size / stride) positions.
        data_format: `channels_last` or `channels_first`; the configured one where it is left out.

    >>> import numpy as np
    >>> extract_patches(np.ones((4, 6, 3)), 2).shape
    (2, 3, 12)
    """
    rank = 3 if isinstance(size, Sequence) and len(size) == 3 else 2
    return _patches(images, size, strides, dilation_rate, padding, data_format, rank)


@op
def extract_patches_3d(
    volumes: Tensor,
    size: Sizes,
    strides: Sizes | None = None,
    dilation_rate: Sizes = 1,
    padding: str = "valid",
    data_format: str | None = None,
) -> Tensor:
    """The windows of volumes (batch, depth, height, width, channels), each as one vector.

    The arguments are those of `extract_patches`, with three sizes.

    >>> import numpy as np
    >>> extract_patches_3d(np.ones((4, 4, 6, 3)), 2).shape
    (2, 2, 3, 24)
    """
    return _patches(volumes, size, strides, dilation_rate, padding, data_format, 3)


def _patches(
    images: Tensor,
    size: Sizes,
    strides: Sizes | None,
    dilation_rate: Sizes,
    padding: str,
    data_format: str | None,
    rank: int,
) -> Tensor:
    window = per_axis(size, rank, "size")
    steps = window if strides is None else per_axis(strides, rank, "strides")
    rates = per_axis(dilation_rate, rank, "dilation_rate")

    def body(x: Tensor) -> Tensor:
        pads = window_pads(x, window, steps, rates, padding)
        check_fits("extract_patches", x, window, pads, rates)
        patches = engine().patches(x, window, steps, pads, rates, 0)
        *positions, elements, channels = engine().shape_of(patches)
        return engine().reshape(patches, (*positions, elements * channels))

    return on_batches(images, data_format, body, rank)


# ---------------------------------------------------------------------- filters


def gaussian_weights(size: int, sigma: float) -> Array:
    """A Gaussian at integer steps around 0 (or the halves between), with sum 1."""
    distance = (np.arange(size) - (size - 1) / 2) / sigma
    weights = np.exp(-(distance**2) / 2)
    return np.asarray(weights / weights.sum())


def filtered(x: Tensor, rows: Array, columns: Array, padding: str) -> Tensor:
    """Each channel of x (n, height, width, channels) correlated with the product of two vectors."""
    batch, height, width, channels = engine().shape_of(x)
    # Channels as images of their own: grouped convolutions are slow where there are many groups.
    planes = engine().reshape(
        engine().transpose(x, (0, 3, 1, 2)), (batch * channels, height, width, 1)
    )
    for weights, window in ((rows, (len(rows), 1)), (columns, (1, len(columns)))):
        pads = window_pads(planes, window, (1, 1), (1, 1), padding)
        check_fits("filter", planes, window, pads, (1, 1))
        kernel = engine().convert_to_tensor(weights.reshape(*window, 1, 1), engine().dtype_of(x))
        planes = engine().conv(planes, kernel, (1, 1), pads, (1, 1), 1)
    _, height, width, _ = engine().shape_of(planes)
    return engine().transpose(
        engine().reshape(planes, (batch, channels, height, width)), (0, 2, 3, 1)
    )


@op
def gaussian_blur(
    images: Tensor,
    kernel_size: Sequence[int] = (3, 3),
    sigma: Sequence[float] = (1.0, 1.0),
    data_format: str | None = None,
) -> Tensor:
    """Images smoothed by a Gaussian, with zeros around them.

    Args:
        images: Images.
        kernel_size: Extents of the window along width and height.
        sigma: Standard deviations along width and height, in pixels.
        data_format: `channels_last` or `channels_first`; the configured one where it is left out.

    >>> import numpy as np
    >>> gaussian_blur(np.ones((4, 5, 3))).shape
    (4, 5, 3)
    """
    columns, rows = (gaussian_weights(*pair) for pair in zip(kernel_size, sigma, strict=True))

    def body(x: Tensor) -> Tensor:
        blurred = filtered(as_float(x), rows, columns, "same")
        return rounded(blurred, engine().dtype_of(x))

    return on_batches(images, data_format, body)


@op(promote=floating)
def sobel_edges(images: Tensor, data_format: str | None = None) -> Tensor:
    """Slopes of images along height and width, by Sobel's filters, with zeros around the images.

    Args:
        images: Images.
        data_format: `channels_last` or `channels_first`; the configured one where it is left out.

    Returns:
        The images' shape with a last axis of size 2: the slope along height, and along width.

    >>> import numpy as np
    >>> sobel_edges(np.ones((1, 4, 5, 3))).shape
    (1, 4, 5, 3, 2)
    """
    slope, smooth = np.array([-1.0, 0.0, 1.0]), np.array([1.0, 2.0, 1.0])

    def body(x: Tensor) -> Tensor:
        along_height = filtered(x, slope, smooth, "same")
        along_width = filtered(x, smooth, slope, "same")
        return engine().concatenate([expand(along_height, 4), expand(along_width, 4)], 4)

    return on_batches(images, data_format, body)


@op(promote=floating)
def ssim(
    image1: Tensor,
    image2: Tensor,
    max_val: float = 1.0,
    filter_size: int = 11,
    filter_sigma: float = 1.5,
    k1: float = 0.01,
    k2: float = 0.03,
    data_format: str | None = None,
) -> Tensor:
    """The structural similarity of images, 1 for equal ones.

    Wang et al., 2004, https://doi.org/10.1109/TIP.2003.819861: the mean over positions and channels
    of luminance times contrast-structure, from moments under a Gaussian window.

    Args:
        image1, image2: Images of one shape.
        max_val: The largest value that a pixel can have.
        filter_size, filter_sigma: The window's extent and standard deviation, in pixels.
        k1, k2: Keep the quotients stable.
        data_format: `channels_last` or `channels_first`; the configured one where it is left out.

    Returns:
        One number an image, (batch,).

    >>> import numpy as np
    >>> ssim(np.ones((2, 12, 12, 3)), np.ones((2, 12, 12, 3))).tolist()
    [1.0, 1.0]
    """
    same_shape("ssim", image1=image1, image2=image2)
    dtype = engine().dtype_of(image1)
    if dtype in ("float16", "bfloat16"):
        image1, image2 = engine().cast(image1, "float32"), engine().cast(image2, "float32")
    weights = gaussian_weights(filter_size, filter_sigma)
    two, c1, c2 = constants(image1, 2, (k1 * max_val) ** 2, (k2 * max_val) ** 2)

    def moment(x: Tensor) -> Tensor:
        def body(x: Tensor) -> Tensor:
            return filtered(x, weights, weights, "valid")

        return on_batches(x, data_format, body)

    mean1, mean2 = moment(image1), moment(image2)
    squares, product = mean1 * mean1 + mean2 * mean2, mean1 * mean2
    variances = moment(image1 * image1 + image2 * image2) - squares
    covariance = moment(image1 * image2) - product
    luminance = (two * product + c1) / (squares + c1)
    similarity = luminance * ((two * covariance + c2) / (variances + c2))
    axes = tuple(range(rank_of(similarity) - 3, rank_of(similarity)))
    return engine().cast(engine().mean(similarity, axes, False), dtype)
