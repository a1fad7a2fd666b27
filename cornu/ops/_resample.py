"""Images read at other places: resizing, and geometric transformations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..core.checks import one_of
from ..core.config import standardize_data_format
from ..core.op import floating, namespace
from ..core.types import Raw, Tensor
from ..engines import current as engine
from ..random.words import normal as normal_numbers
from ._bodies import axes_from_front, constant, constants, differ, expand, rank_of
from ._image import as_float, filtered, gaussian_weights, on_batches, rounded

op = namespace("image")
Array = np.ndarray[Any, Any]

# ------------------------------------------------------- resizing: one axis at a time


def _triangle(x: Array) -> Array:
    return np.maximum(0, 1 - x)


def _cubic(x: Array) -> Array:
    """Keys's cubic kernel with a = -1/2 (Keys, 1981)."""
    inner = (1.5 * x - 2.5) * x * x + 1
    outer = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return np.where(x >= 2, 0, np.where(x >= 1, outer, inner))


def _lanczos(radius: int) -> Callable[[Array], Array]:
    def kernel(x: Array) -> Array:
        return np.where(x > radius, 0, np.sinc(x) * np.sinc(x / radius))

    return kernel


def _gaussian(x: Array) -> Array:
    return np.where(x >= 1.5, 0, np.exp(-2 * x * x))


def _mitchell(x: Array) -> Array:
    """Mitchell and Netravali's cubic kernel with B = C = 1/3 (1988)."""
    inner = (7 * x - 12) * x * x / 6 + 8 / 9
    outer = ((-7 * x / 18 + 2) * x - 10 / 3) * x + 16 / 9
    return np.where(x >= 2, 0, np.where(x >= 1, outer, inner))


_KERNELS: dict[str, Callable[[Array], Array]] = {
    "bilinear": _triangle,
    "bicubic": _cubic,
    "lanczos3": _lanczos(3),
    "lanczos5": _lanczos(5),
}
_METHODS = {
    **_KERNELS,
    **dict.fromkeys(("linear", "trilinear"), _triangle),
    **dict.fromkeys(("cubic", "tricubic"), _cubic),
}
#: Those that change an image of the same size, too.
_SMOOTHING = {"gaussian": _gaussian, "mitchellcubic": _mitchell}
INTERPOLATIONS = ("nearest", "area", *_KERNELS, *_SMOOTHING)


def _weights(
    size: int,
    target: int,
    scale: Array,
    translation: Array,
    kernel: Callable[[Array], Array],
    antialias: bool,
) -> Array:
    """(target, size): how much each element of an axis adds to each element of the result.

    Element k of the result lies at (k + 0.5 - translation) / scale - 0.5. An antialiasing kernel is
    as wide as the steps between those places.
    """
    places = (np.arange(target) + 0.5 - translation) / scale - 0.5
    width = np.maximum(1 / scale, 1) if antialias else 1
    weights = kernel(np.abs(places[:, None] - np.arange(size)) / width)
    total = weights.sum(1, keepdims=True)
    small = np.abs(total) <= 1000 * np.finfo(np.float32).eps
    weights = np.where(small, 0, weights / np.where(small, 1, total))
    inside = (places >= -0.5) & (places <= size - 0.5)
    return np.where(inside[:, None], weights, 0)


def _shares(size: int, target: int) -> Array:
    """(target, size): the share of each element in the span that becomes one of the result."""
    ends = np.arange(target + 1)[:, None] * size / target
    return np.diff(np.clip(ends - np.arange(size), 0, 1), axis=0) * target / size


def _resampled(x: Tensor, axis: int, weights: Tensor) -> Tensor:
    """x with an axis replaced by the products with weights (target, size)."""
    letters = "abcdefgh"[: rank_of(x)]
    result = letters.replace(letters[axis], "z")
    return engine().einsum(f"{letters},z{letters[axis]}->{result}", [x, weights])


def _resized(x: Tensor, axis: int, target: int, interpolation: str, antialias: bool) -> Tensor:
    size = engine().shape_of(x)[axis]
    if not isinstance(size, int):
        engine().shape_alone("image_resize")  # in which only the target shows
        return engine().take(x, engine().full((target,), 0, "int32"), axis)
    if size == target and interpolation not in _SMOOTHING:
        return x
    if interpolation == "nearest":
        places = ((np.arange(target) + 0.5) * size / target).astype("int32")
        return engine().take(x, engine().convert_to_tensor(places, "int32"), axis)
    if interpolation == "area":
        weights = _shares(size, target)
    else:
        scale, kernel = np.asarray(target / size), (_KERNELS | _SMOOTHING)[interpolation]
        weights = _weights(size, target, scale, np.zeros(()), kernel, antialias)
    return _resampled(x, axis, engine().convert_to_tensor(weights, engine().dtype_of(x)))


@op
def resize(
    images: Tensor,
    size: Sequence[int],
    interpolation: str = "bilinear",
    antialias: bool = False,
    crop_to_aspect_ratio: bool = False,
    pad_to_aspect_ratio: bool = False,
    fill_mode: str = "constant",
    fill_value: float = 0.0,
    data_format: str | None = None,
) -> Tensor:
    """Images of another size.

    Args:
        images: Images.
        size: Height and width of the result.
        interpolation: `nearest`, `bilinear`, `bicubic`, `lanczos3`, `lanczos5`, `area`, `gaussian` or `mitchellcubic`.
        antialias: Whether a smaller image averages over what lies between its pixels.
        crop_to_aspect_ratio: Whether margins are cut first, so that proportions stay.
        pad_to_aspect_ratio: Whether margins are added first, so that proportions stay.
        fill_mode: How margins are filled: `constant`.
        fill_value: What margins are filled with.
        data_format: `channels_last` or `channels_first`; the configured one where it is left out.

    >>> import numpy as np
    >>> resize(np.ones((4, 5, 3)), (8, 8)).shape
    (8, 8, 3)
    """
    height, width = _checked_size(size)
    one_of(INTERPOLATIONS, interpolation=interpolation)
    one_of(("constant",), fill_mode=fill_mode)
    if crop_to_aspect_ratio and pad_to_aspect_ratio:
        raise ValueError(
            "Only one of `crop_to_aspect_ratio` and `pad_to_aspect_ratio` can be True. "
            "Received: True for both."
        )

    def body(x: Tensor) -> Tensor:
        dtype = engine().dtype_of(x)
        if crop_to_aspect_ratio:
            x = _cropped(x, height, width)
        if pad_to_aspect_ratio:
            x = _padded(x, height, width, fill_value)
        if interpolation != "nearest":
            x = as_float(x)
        for axis, target in ((1, height), (2, width)):
            x = _resized(x, axis, target, interpolation, antialias)
        return rounded(x, dtype)

    return on_batches(images, data_format, body)


def _checked_size(size: Any) -> tuple[int, int]:
    if not isinstance(size, Sequence) or len(size) != 2 or min(size) <= 0:
        raise ValueError(f"`size` must be a positive height and width. Received: size={size!r}.")
    return size[0], size[1]


def _box(x: Tensor, height: int, width: int) -> tuple[int, int] | None:
    """The height to the image's width, and the width to its height, in the target's proportions."""
    _, rows, columns, _ = engine().shape_of(x)
    if not isinstance(rows, int) or not isinstance(columns, int):
        engine().shape_alone("image_resize")
        return None
    return int(columns * height / width), int(rows * width / height)


def _cropped(x: Tensor, height: int, width: int) -> Tensor:
    box = _box(x, height, width)
    if box is None:
        return x
    _, rows, columns, _ = engine().shape_of(x)
    kept = max(min(rows, box[0]), 1), max(min(columns, box[1]), 1)
    top, left = (rows - kept[0]) // 2, (columns - kept[1]) // 2
    rows, columns = slice(top, top + kept[0]), slice(left, left + kept[1])
    return engine().get_item(x, (slice(None), rows, columns))


def _padded(x: Tensor, height: int, width: int, fill_value: float) -> Tensor:
    box = _box(x, height, width)
    if box is None:
        return x
    _, rows, columns, _ = engine().shape_of(x)
    pads = [(0, 0)]
    for size, target in ((rows, box[0]), (columns, box[1])):
        # Equal margins: an odd rest is left out, as Keras does.
        margin = max(target - size, 0) // 2
        pads.append((margin, margin))
    return engine().pad(x, (*pads, (0, 0)), fill_value)


@op(promote=floating, called=("output_shape",))
def scale_and_translate(
    images: Tensor,
    output_shape: Sequence[int],
    scale: Raw,
    translation: Raw,
    spatial_dims: Sequence[int],
    method: str,
    antialias: bool = True,
) -> Tensor:
    """Images scaled and moved along some axes; zeros where there is nothing.

    Args:
        images: A tensor.
        output_shape: The shape of the result, equal to that of the images along other axes.
        scale: A factor for each of the axes.
        translation: A distance in pixels of the result for each of the axes.
        spatial_dims: The axes.
        method: `linear`, `bilinear`, `trilinear`, `cubic`, `bicubic`, `tricubic`, `lanczos3` or
            `lanczos5`.
        antialias: Whether a smaller image averages over what lies between its pixels.

    >>> import numpy as np
    >>> scale_and_translate(np.ones((4, 4)), (2, 2), [0.5, 0.5], [0.0, 0.0], (0, 1), "linear").shape
    (2, 2)
    """
    one_of(_METHODS, method=method)
    dtype = engine().dtype_of(images)
    axes = [axes_from_front(axis, rank_of(images))[0] for axis in spatial_dims]
    result = images
    for index, axis in enumerate(axes):
        factor = engine().cast(engine().get_item(scale, (index,)), dtype)
        shift = engine().cast(engine().get_item(translation, (index,)), dtype)
        size, target = engine().shape_of(images)[axis], output_shape[axis]
        weights = _traced_weights(size, target, factor, shift, method, antialias)
        result = _resampled(result, axis, weights)
    return result


def _traced_weights(
    size: Any, target: Any, scale: Tensor, translation: Tensor, method: str, antialias: bool
) -> Tensor:
    """As `_weights`, with a scale and a translation that are tensors."""
    dtype = engine().dtype_of(scale)
    half, one, zero = constants(scale, 0.5, 1, 0)
    places = (engine().arange(0, target, 1, dtype) + half - translation) / scale - half
    elements = engine().arange(0, size, 1, dtype)
    distance = engine().abs(expand(places, 1) - elements)
    if antialias:
        distance = distance / engine().maximum(one / scale, one)
    weights = _traced_kernel(method, distance)
    total = engine().sum(weights, (1,), True)
    small = engine().abs(total) <= constant(1000 * float(np.finfo(np.float32).eps), total)
    weights = engine().where(small, zero, weights / engine().where(small, one, total))
    last = constant(size, scale) - half
    inside = engine().logical_and(places >= engine().negative(half), places <= last)
    return engine().where(expand(inside, 1), weights, zero)


def _traced_kernel(method: str, x: Tensor) -> Tensor:
    zero, one, two = constants(x, 0, 1, 2)
    if _METHODS[method] is _triangle:
        return engine().maximum(zero, one - x)
    if _METHODS[method] is _cubic:
        half, four = constants(x, 0.5, 4)
        inner = (constant(1.5, x) * x - constant(2.5, x)) * x * x + one
        outer = ((constant(2.5, x) - half * x) * x - four) * x + two
        return engine().where(x >= two, zero, engine().where(x >= one, outer, inner))
    radius = constant(int(method[-1]), x)
    return engine().where(x > radius, zero, _sinc(x) * _sinc(x / radius))


def _sinc(x: Tensor) -> Tensor:
    zero, one, pi = constants(x, 0, 1, np.pi)
    at_zero = engine().equal(x, zero)
    angle = pi * engine().where(at_zero, one, x)
    return engine().where(at_zero, one, engine().sin(angle) / angle)


# ------------------------------------------------------ reading at given places

FILL_MODES = ("constant", "nearest", "wrap", "mirror", "reflect")


def _folded(index: Tensor, size: Any, fill_mode: str) -> Tensor:
    """Integer places, some outside, as places inside of an axis."""
    zero, one, two = constants(index, 0, 1, 2)
    count = constant(size, index)
    if fill_mode == "wrap":
        return engine().mod(index, count)
    if fill_mode == "mirror":
        turn = engine().maximum(count - one, one)
        period = turn * two
        return (
            turn - engine().abs(engine().mod(index, period) - turn) if _wide(size) else zero * index
        )
    if fill_mode == "reflect":
        folded = engine().mod(index, count * two)
        return engine().where(folded < count, folded, count * two - one - folded)
    return engine().minimum(engine().maximum(index, zero), count - one)


def _wide(size: Any) -> bool:
    return not isinstance(size, int) or size > 1


def _read(
    x: Tensor,
    places: Sequence[Tensor],
    order: int,
    fill_mode: str,
    fill_value: Any,
    batch: Tensor | None = None,
) -> Tensor:
    """x at places, one tensor for each leading axis: the nearest element (order 0) or linear
    interpolation between the nearest two along each axis (order 1).

    Where `batch` is given, integers that say which element of the first axis is read, places are along
    the axes after it.
    """
    corners: list[tuple[list[Tensor], Any]] = [([], None)]
    for place in places:
        options = _neighbours(place, order)
        corners = [
            ([*indices, index], weight if so_far is None else so_far * weight)
            for indices, so_far in corners
            for index, weight in options
        ]
    total: Any = None
    for indices, weight in corners:
        value = _gather(x, indices, fill_mode, fill_value, batch)
        if order:
            extra = (1,) * (rank_of(value) - rank_of(weight))
            weight = engine().reshape(weight, (*engine().shape_of(weight), *extra))
            value = value * engine().cast(weight, engine().dtype_of(value))
        total = value if total is None else total + value
    return total


def _neighbours(place: Tensor, order: int) -> list[tuple[Tensor, Tensor]]:
    """The integer places around a place, and their weights."""
    if order == 0:
        return [(engine().cast(engine().round(place), "int32"), constant(1, place))]
    below = engine().floor(place)
    share = place - below
    one = constant(1, place)
    return [
        (engine().cast(below, "int32"), one - share),
        (engine().cast(below + one, "int32"), share),
    ]


def _gather(
    x: Tensor, indices: Sequence[Tensor], fill_mode: str, fill_value: Any, batch: Tensor | None
) -> Tensor:
    """Elements at integer places, which may lie outside; those of `batch` don't."""
    first = 0 if batch is None else 1
    sizes = engine().shape_of(x)[: first + len(indices)]
    flat: Any = batch
    inside: Any = None
    for index, size in zip(indices, sizes[first:], strict=True):
        folded = _folded(index, size, fill_mode)
        flat = folded if flat is None else flat * constant(size, index) + folded
        if fill_mode == "constant":
            within = engine().equal(folded, index)
            inside = within if inside is None else engine().logical_and(inside, within)
    rest = engine().shape_of(x)[len(sizes) :]
    total: Any = 1
    for size in sizes:
        total = total * size
    value = engine().take(engine().reshape(x, (total, *rest)), flat, 0)
    if inside is None:
        return value
    inside = engine().reshape(inside, (*engine().shape_of(inside), *(1,) * len(rest)))
    return engine().where(inside, value, constant(fill_value, value))


@op
def map_coordinates(
    inputs: Raw,
    coordinates: Raw,
    order: int,
    fill_mode: str = "constant",
    fill_value: float = 0,
) -> Tensor:
    """A tensor read at places between its elements.

    Args:
        inputs: A tensor of any rank.
        coordinates: (rank, ...): where to read along each axis.
        order: 0 for the nearest element, 1 for linear interpolation.
        fill_mode: What lies outside: `constant`, `nearest`, `wrap`, `mirror` (about the middle of
            the last element) or `reflect` (about its edge).
        fill_value: The constant.

    >>> import numpy as np
    >>> map_coordinates(np.array([0.0, 10.0]), np.array([[0.5]]), order=1).tolist()
    [5.0]
    """
    if order not in (0, 1):
        raise ValueError(f"`order` must be 0 or 1. Received: order={order!r}.")
    one_of(FILL_MODES, fill_mode=fill_mode)
    shape = engine().shape_of(coordinates)
    if not shape or differ(shape[0], rank_of(inputs)):
        raise ValueError(
            "`coordinates` must have a first axis as long as the inputs have axes. Received: "
            f"inputs.shape={engine().shape_of(inputs)}, coordinates.shape={shape}."
        )
    dtype = engine().dtype_of(inputs)
    coordinates = as_float(coordinates)
    places = [engine().get_item(coordinates, (axis,)) for axis in range(rank_of(inputs))]
    return rounded(_read(as_float(inputs), places, order, fill_mode, fill_value), dtype)


def _warped(
    x: Tensor, rows: Tensor, columns: Tensor, order: int, fill_mode: str, fill_value: Any
) -> Tensor:
    """A batch (n, height, width, channels) read at places (n, height, width)."""
    dtype = engine().dtype_of(x)
    batch = engine().reshape(engine().arange(0, engine().shape_of(x)[0], 1, "int32"), (-1, 1, 1))
    return rounded(_read(as_float(x), (rows, columns), order, fill_mode, fill_value, batch), dtype)


def _grid(x: Tensor, dtype: str) -> tuple[Tensor, Tensor]:
    """Rows (height, 1) and columns (width,) of a batch of images."""
    _, height, width, _ = engine().shape_of(x)
    return expand(engine().arange(0, height, 1, dtype), 1), engine().arange(0, width, 1, dtype)


def _projected(x: Tensor, transform: Tensor) -> tuple[Tensor, Tensor]:
    """Where each pixel (row, column) of the result is read, by projective transforms (n, 8)."""
    rows, columns = _grid(x, engine().dtype_of(transform))
    a0, a1, a2, b0, b1, b2, c0, c1 = (
        engine().reshape(engine().slice_axis(transform, 1, i, i + 1), (-1, 1, 1)) for i in range(8)
    )
    depth = c0 * columns + c1 * rows + constant(1, rows)
    return (b0 * columns + b1 * rows + b2) / depth, (a0 * columns + a1 * rows + a2) / depth


#: How a place between pixels is read, and the order of the interpolation.
READINGS = {"nearest": 0, "bilinear": 1}


def _order(interpolation: str) -> int:
    one_of(READINGS, interpolation=interpolation)
    return READINGS[interpolation]


@op
def sample_images(
    images: Raw,
    rows: Raw,
    columns: Raw,
    interpolation: str,
    fill_mode: str,
    fill_value: float,
    data_format: str,
) -> Tensor:
    """A batch of images read at places: rows and columns (batch, height, width)."""

    def body(x: Tensor) -> Tensor:
        return _warped(x, rows, columns, _order(interpolation), fill_mode, fill_value)

    return on_batches(images, data_format, body)


@op
def warp_images(
    images: Raw,
    transform: Raw,
    interpolation: str,
    fill_mode: str,
    fill_value: float,
    data_format: str,
) -> Tensor:
    """A batch of images under projective transforms (batch, 8), of which no gradient is asked: so engines may
    have a kernel for it."""

    def body(x: Tensor) -> Tensor:
        rows, columns = _projected(x, transform)
        return _warped(x, rows, columns, _order(interpolation), fill_mode, fill_value)

    return on_batches(images, data_format, body)


@op
def affine_transform(
    images: Raw,
    transform: Raw,
    interpolation: str = "bilinear",
    fill_mode: str = "constant",
    fill_value: float = 0,
    data_format: str | None = None,
) -> Tensor:
    """Images under affine (or projective) transformations.

    Pixel (x, y) of the result is read at ((a0 x + a1 y + a2) / k, (b0 x + b1 y + b2) / k) with
    k = c0 x + c1 y + 1.

    Args:
        images: Images.
        transform: (batch, 8), or (8,) for one image: a0, a1, a2, b0, b1, b2, c0, c1.
        interpolation: `nearest` or `bilinear`.
        fill_mode: What lies outside, as in `map_coordinates`.
        fill_value: The constant.
        data_format: `channels_last` or `channels_first`; the configured one where it is left out.

    >>> import numpy as np
    >>> affine_transform(np.ones((4, 5, 3)), [1.0, 0, 0.5, 0, 1.0, 0, 0, 0]).shape
    (4, 5, 3)
    """
    order = _order(interpolation)
    one_of(FILL_MODES, fill_mode=fill_mode)
    transform = _batched("transform", as_float(transform), 1, images)

    def body(x: Tensor) -> Tensor:
        rows, columns = _projected(x, transform)
        return _warped(x, rows, columns, order, fill_mode, fill_value)

    return on_batches(images, data_format, body)


def _batched(name: str, x: Tensor, rank: int, images: Tensor) -> Tensor:
    """What belongs to each image, with a batch axis."""
    batched = rank_of(images) == 4
    if rank_of(x) == rank + 1 and not batched and engine().shape_of(x)[0] == 1:
        return x
    if rank_of(x) != rank + batched:
        raise ValueError(
            f"`{name}` must have rank {rank} for one image and {rank + 1} for a batch. Received: "
            f"{name}.shape={engine().shape_of(x)}, images.shape={engine().shape_of(images)}."
        )
    return x if batched else expand(x, 0)


@op
def perspective_transform(
    images: Raw,
    start_points: Raw,
    end_points: Raw,
    interpolation: str = "bilinear",
    fill_value: float = 0,
    data_format: str | None = None,
) -> Tensor:
    """Images seen so that four points come to lie at four others.

    Args:
        images: Images.
        start_points: (batch, 4, 2), or (4, 2) for one image: points (x, y) of the images.
        end_points: Where they come to lie.
        interpolation: `nearest` or `bilinear`.
        fill_value: What lies outside.
        data_format: `channels_last` or `channels_first`; the configured one where it is left out.

    >>> import numpy as np
    >>> corners = np.array([[0, 0], [4, 0], [0, 3], [4, 3]])
    >>> perspective_transform(np.ones((4, 5, 3)), corners, corners).shape
    (4, 5, 3)
    """
    order = _order(interpolation)
    start = _batched("start_points", as_float(start_points), 2, images)
    end = _batched("end_points", as_float(end_points), 2, images)
    transform = homography(end, start)

    def body(x: Tensor) -> Tensor:
        rows, columns = _projected(x, transform)
        return _warped(x, rows, columns, order, "constant", fill_value)

    return on_batches(images, data_format, body)


def homography(source: Tensor, target: Tensor) -> Tensor:
    """(n, 8): the projective transform that takes four points (n, 4, 2) to four others."""
    x, y = engine().slice_axis(source, 2, 0, 1), engine().slice_axis(source, 2, 1, 2)
    u, v = engine().slice_axis(target, 2, 0, 1), engine().slice_axis(target, 2, 1, 2)
    one, zero = engine().full((), 1, engine().dtype_of(x)), constant(0, x)
    ones = engine().broadcast_to(one, engine().shape_of(x))
    zeros = engine().broadcast_to(zero, engine().shape_of(x))
    negative = engine().negative
    upper = [x, y, ones, zeros, zeros, zeros, negative(x * u), negative(y * u)]
    lower = [zeros, zeros, zeros, x, y, ones, negative(x * v), negative(y * v)]
    matrix = [engine().concatenate(rows, 2) for rows in (upper, lower)]
    solved = engine().solve(engine().concatenate(matrix, 1), engine().concatenate([u, v], 1))
    (batch, *_) = engine().shape_of(source)
    return engine().reshape(solved, (batch, 8))


def elastic_transform(
    images: Any,
    alpha: float = 20.0,
    sigma: float = 5.0,
    interpolation: str = "bilinear",
    fill_mode: str = "reflect",
    fill_value: float = 0.0,
    seed: Any = None,
    data_format: str | None = None,
) -> Tensor:
    """Images bent by smooth random displacements.

    Simard et al., 2003, https://doi.org/10.1109/ICDAR.2003.1227801.

    Args:
        images: Images.
        alpha: The strength of the displacements: about alpha / 3.5 pixels.
        sigma: How smooth they are: the standard deviation of a Gaussian, in pixels.
        interpolation: `nearest` or `bilinear`.
        fill_mode: What lies outside, as in `map_coordinates`.
        fill_value: The constant.
        seed: An integer for the same displacements each time, a `SeedGenerator` for new ones.
        data_format: `channels_last` or `channels_first`; the configured one where it is left out.

    >>> import numpy as np
    >>> elastic_transform(np.ones((4, 5, 3)), seed=1).shape
    (4, 5, 3)
    """
    from ..random import draw_seed

    layout = standardize_data_format(data_format)
    return _elastic_transform(
        images, draw_seed(seed), alpha, sigma, interpolation, fill_mode, fill_value, layout
    )


@op
def _elastic_transform(
    images: Raw,
    key: Raw,
    alpha: float,
    sigma: float,
    interpolation: str,
    fill_mode: str,
    fill_value: float,
    data_format: str,
) -> Tensor:
    """`elastic_transform` from a key: uint32 (2,)."""
    order = _order(interpolation)
    one_of(FILL_MODES, fill_mode=fill_mode)
    size = max(int(6 * sigma), 3) | 1

    def body(x: Tensor) -> Tensor:
        batch, height, width, _ = engine().shape_of(x)
        noise = normal_numbers(key, (batch, height, width, 2), "float32")
        weights = gaussian_weights(size, sigma)
        smooth = filtered(noise, weights, weights, "same")
        # Noise of variance sigma² keeps its strength when it is smoothed by sigma.
        shift = smooth * constant(alpha * sigma, smooth)
        rows, columns = _grid(x, "float32")
        down, right = (engine().get_item(shift, (..., part)) for part in (0, 1))
        return _warped(x, rows + down, columns + right, order, fill_mode, fill_value)

    return on_batches(images, data_format, body)
