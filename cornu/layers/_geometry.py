"""Layers that change where the pixels of images are, and boxes and masks with them."""

from __future__ import annotations

import math
from typing import Any

from .. import ops
from ..core.checks import is_number, one_of, positive_integer
from ..ops.shared import FILL_MODES, READINGS, homography, sample_images, warp_images
from ._augmentation import BaseImagePreprocessingLayer, Draws, interval, over
from ._preprocessing import _Preparing
from .boxes import box_around, clip_to_image_size, convert_format, corners_of

_FILL_MODES = ("reflect", "wrap", "constant", "nearest")


class _Geometric(BaseImagePreprocessingLayer):
    """A layer that moves pixels: masks as images, without mixing their values, and boxes."""

    def _change_images(self, images: Any, drawn: Any) -> Any:
        return self._moved(images, drawn, getattr(self, "interpolation", "bilinear"))

    def _change_masks(self, masks: Any, drawn: Any) -> Any:
        return ops.cast(self._moved(masks, drawn, "nearest"), masks.dtype)

    def _change_boxes(self, boxes: Any, drawn: Any) -> Any:
        layout = self.bounding_box_format
        if layout is None:
            raise ValueError(
                "Boxes that are moved need a format. Received: bounding_box_format=None in the layer "
                f"{self.path!r}. Pass it one, such as `bounding_box_format='xyxy'`."
            )
        shape = drawn["input_shape"][-3:]
        height, width = shape[1:] if self.data_format == "channels_first" else shape[:2]
        boxes = convert_format(boxes, layout, "xyxy", height, width)
        boxes = {**boxes, "boxes": self._moved_boxes(boxes["boxes"], drawn, height, width)}
        height, width = self._size_of_result(height, width)
        boxes = clip_to_image_size(boxes, height, width, "xyxy")
        return convert_format(boxes, "xyxy", layout, height, width)

    def _size_of_result(self, height: Any, width: Any) -> tuple[Any, Any]:
        return height, width

    def _moved(self, images: Any, drawn: Any, interpolation: str) -> Any:
        """Images or masks, moved."""
        raise NotImplementedError

    def _moved_boxes(self, boxes: Any, drawn: Any, height: Any, width: Any) -> Any:
        """Boxes (batch, boxes, 4) as left, top, right, bottom in pixels, moved."""
        raise NotImplementedError


class RandomFlip(_Geometric):
    """In training, half of the images mirrored.

    Args:
        mode: `horizontal` for left and right, `vertical` for top and bottom, or
            `horizontal_and_vertical` for both at once.
        seed: What is drawn from.
        data_format: `channels_last` or `channels_first`.
        bounding_box_format: The format of boxes.

    >>> import numpy as np
    >>> RandomFlip("horizontal", seed=1)(np.ones((2, 4, 5, 3))).shape
    (2, 4, 5, 3)
    """

    def __init__(
        self,
        mode: str = "horizontal_and_vertical",
        seed: Any = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format=data_format, **kwargs)
        one_of(("horizontal", "vertical", "horizontal_and_vertical"), mode=mode)

    def _draw(self, draws: Draws, images: Any) -> Any:
        return {"flips": draws.uniform(0, 1, 1, 1, 1) < 0.5}

    def _moved(self, images: Any, drawn: Any, interpolation: str) -> Any:
        rows, columns, _ = self._axes
        axes = [a for a, name in ((rows, "vertical"), (columns, "horizontal")) if name in self.mode]
        return ops.where(over(drawn["flips"]), ops.flip(images, axes), images)

    def _moved_boxes(self, boxes: Any, drawn: Any, height: Any, width: Any) -> Any:
        x1, y1, x2, y2 = (boxes[..., i] for i in range(4))
        if "horizontal" in self.mode:
            x1, x2 = width - x2, width - x1
        if "vertical" in self.mode:
            y1, y2 = height - y2, height - y1
        flipped = ops.stack([x1, y1, x2, y2], axis=-1)
        return ops.where(over(drawn["flips"], 3), flipped, boxes)


# ------------------------------------------------------------------- affine layers


class _Affine(_Geometric):
    """A layer whose pixel (x, y) is read at (a x + b y + c, d x + e y + f)."""

    def __init__(
        self,
        fill_mode: str = "reflect",
        interpolation: str = "bilinear",
        seed: Any = None,
        fill_value: float = 0.0,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format=data_format, **kwargs)
        one_of(_FILL_MODES, fill_mode=fill_mode)
        one_of(READINGS, interpolation=interpolation)

    def _matrix(self, drawn: Any, height: Any, width: Any) -> list[Any]:
        """a, b, c, d, e, f, each (batch,), for images whose centre is at (0, 0)."""
        raise NotImplementedError

    def _moved(self, images: Any, drawn: Any, interpolation: str) -> Any:
        height, width = (ops.cast(size, "float32") for size in self._sizes(images))
        a, b, c, d, e, f = self._matrix(drawn, height, width)
        x, y = (width - 1) / 2, (height - 1) / 2
        zero = ops.zeros_like(a)
        matrix = [a, b, c + x - a * x - b * y, d, e, f + y - d * x - e * y, zero, zero]
        return warp_images(
            images,
            ops.stack(matrix, axis=1),
            interpolation,
            self.fill_mode,
            self.fill_value,
            self.data_format,
        )

    def _moved_boxes(self, boxes: Any, drawn: Any, height: Any, width: Any) -> Any:
        """The boxes around their corners, which go where the inverse says."""
        height, width = (ops.cast(size, "float32") for size in (height, width))
        a, b, c, d, e, f = (over(x, 3) for x in self._matrix(drawn, height, width))
        x0, y0 = (width - 1) / 2, (height - 1) / 2
        x, y = corners_of(boxes)
        x, y = x - x0 - c, y - y0 - f
        scale = a * e - b * d
        return box_around(x0 + (e * x - b * y) / scale, y0 + (a * y - d * x) / scale)


class RandomRotation(_Affine):
    """In training, images turned about their centre.

    Args:
        factor: The ends of the angle as parts of a full turn, counterclockwise; a number stands for
            those from its negative.
        fill_mode: What lies outside: `reflect`, `wrap`, `constant` or `nearest`, as in
            `ops.image.map_coordinates`.
        interpolation: `nearest` or `bilinear`.
        seed: What is drawn from.
        fill_value: The constant.
        data_format: `channels_last` or `channels_first`.
        bounding_box_format: The format of boxes.

    >>> import numpy as np
    >>> RandomRotation(0.1, seed=1)(np.ones((2, 4, 5, 3))).shape
    (2, 4, 5, 3)
    """

    def __init__(
        self,
        factor: Any,
        fill_mode: str = "reflect",
        interpolation: str = "bilinear",
        seed: Any = None,
        fill_value: float = 0.0,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(fill_mode, interpolation, seed, fill_value, data_format, **kwargs)
        self.factor = interval("factor", factor, -1, 1)

    def _draw(self, draws: Draws, images: Any) -> Any:
        low, high = self.factor
        return {"angle": draws.uniform(low * 360, high * 360)}

    def _matrix(self, drawn: Any, height: Any, width: Any) -> list[Any]:
        angle = drawn["angle"] * (math.pi / 180)
        cosine, sine, zero = ops.cos(angle), ops.sin(angle), ops.zeros_like(angle)
        return [cosine, -sine, zero, sine, cosine, zero]


class RandomZoom(_Affine):
    """In training, images made larger or smaller about their centre.

    Args:
        height_factor: The ends of what is added to 1 for the part of the height that is seen: negative
            numbers zoom in, positive ones out. A number stands for those from its negative.
        width_factor: Likewise for the width; where it is None, proportions stay.
        fill_mode, interpolation, seed, fill_value, data_format, bounding_box_format: As in
            `RandomRotation`.

    >>> import numpy as np
    >>> RandomZoom(0.2, seed=1)(np.ones((2, 4, 5, 3))).shape
    (2, 4, 5, 3)
    """

    def __init__(
        self,
        height_factor: Any,
        width_factor: Any = None,
        fill_mode: str = "reflect",
        interpolation: str = "bilinear",
        seed: Any = None,
        fill_value: float = 0.0,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(fill_mode, interpolation, seed, fill_value, data_format, **kwargs)
        low = math.nextafter(-1, 0)  # at -1 nothing would be seen
        self._rows = interval("height_factor", height_factor, low, 1)
        self._columns = width_factor and interval("width_factor", width_factor, low, 1)

    def _draw(self, draws: Draws, images: Any) -> Any:
        height = 1 + draws.uniform(*self._rows, 1)
        width = height if self.width_factor is None else 1 + draws.uniform(*self._columns, 1)
        return {"height_zoom": height, "width_zoom": width}

    def _matrix(self, drawn: Any, height: Any, width: Any) -> list[Any]:
        rows, columns = drawn["height_zoom"][:, 0], drawn["width_zoom"][:, 0]
        zero = ops.zeros_like(rows)
        return [columns, zero, zero, zero, rows, zero]


class RandomTranslation(_Affine):
    """In training, images moved.

    Args:
        height_factor: The ends of the way down, as a part of the height. A number stands for those
            from its negative.
        width_factor: Likewise the way to the right, as a part of the width.
        fill_mode, interpolation, seed, fill_value, data_format, bounding_box_format: As in
            `RandomRotation`.

    >>> import numpy as np
    >>> RandomTranslation(0.2, 0.1, seed=1)(np.ones((2, 4, 5, 3))).shape
    (2, 4, 5, 3)
    """

    def __init__(
        self,
        height_factor: Any,
        width_factor: Any,
        fill_mode: str = "reflect",
        interpolation: str = "bilinear",
        seed: Any = None,
        fill_value: float = 0.0,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(fill_mode, interpolation, seed, fill_value, data_format, **kwargs)
        self._down = interval("height_factor", height_factor, -1, 1)
        self._right = interval("width_factor", width_factor, -1, 1)

    def _draw(self, draws: Draws, images: Any) -> Any:
        height, width = (ops.cast(size, "float32") for size in self._sizes(images))
        down, right = draws.uniform(*self._down) * height, draws.uniform(*self._right) * width
        return {"translations": ops.stack([right, down], axis=1)}

    def _matrix(self, drawn: Any, height: Any, width: Any) -> list[Any]:
        right, down = drawn["translations"][:, 0], drawn["translations"][:, 1]
        one, zero = ops.ones_like(right), ops.zeros_like(right)
        return [one, zero, -right, zero, one, -down]


class RandomShear(_Affine):
    """In training, images whose rows and columns are shifted, each by its distance from the first one.

    Args:
        x_factor: The ends of the shift of a row to the left, as a part of its distance from the top. A
            number stands for those from its negative.
        y_factor: Likewise of a column's shift up.
        interpolation, fill_mode, fill_value, data_format, seed, bounding_box_format: As in
            `RandomRotation`.

    >>> import numpy as np
    >>> RandomShear(0.2, 0.1, seed=1)(np.ones((2, 4, 5, 3))).shape
    (2, 4, 5, 3)
    """

    def __init__(
        self,
        x_factor: Any = 0.0,
        y_factor: Any = 0.0,
        interpolation: str = "bilinear",
        fill_mode: str = "reflect",
        fill_value: float = 0.0,
        data_format: str | None = None,
        seed: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(fill_mode, interpolation, seed, fill_value, data_format, **kwargs)
        self.x_factor = interval("x_factor", x_factor, -1, 1)
        self.y_factor = interval("y_factor", y_factor, -1, 1)

    def _draw(self, draws: Draws, images: Any) -> Any:
        factors = [draws.uniform(*ends) for ends in (self.x_factor, self.y_factor)]
        return {"shear_factor": ops.stack(factors, axis=1)}

    def _matrix(self, drawn: Any, height: Any, width: Any) -> list[Any]:
        x, y = drawn["shear_factor"][:, 0], drawn["shear_factor"][:, 1]
        one = ops.ones_like(x)
        return [one, x, x * (height - 1) / 2, y, one, y * (width - 1) / 2]


# ------------------------------------------------------------------- other warps


class RandomPerspective(_Geometric):
    """In training, images seen from a side: their corners moved.

    Args:
        factor: The ends of the chance that an image is changed, from 0 to 1; a number is the upper one.
        scale: How far corners move: up to half of it, as a part of their coordinates.
        interpolation: `nearest` or `bilinear`.
        fill_value: What lies outside.
        seed: What is drawn from.
        data_format: `channels_last` or `channels_first`.
        bounding_box_format: The format of boxes.

    >>> import numpy as np
    >>> RandomPerspective(scale=0.3, seed=1)(np.ones((2, 4, 5, 3))).shape
    (2, 4, 5, 3)
    """

    def __init__(
        self,
        factor: Any = 1.0,
        scale: float = 1.0,
        interpolation: str = "bilinear",
        fill_value: float = 0.0,
        seed: Any = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format=data_format, **kwargs)
        self.factor = interval("factor", factor, 0, 1, symmetric=False)
        one_of(READINGS, interpolation=interpolation)
        if not is_number(scale) or not 0 <= scale <= 1:
            raise ValueError(f"`scale` must be a number from 0 to 1. Received: scale={scale!r}.")

    def _draw(self, draws: Draws, images: Any) -> Any:
        height, width = (ops.cast(size, "float32") - 1 for size in self._sizes(images))
        zero = ops.zeros_like(width)
        corners = [zero, zero, width, zero, zero, height, width, height]
        start = ops.reshape(ops.stack(corners), (1, 4, 2))
        moved = start * (1 + draws.uniform(-self.scale / 2, self.scale / 2, 4, 2))
        return {
            "apply_perspective": draws.chance(*self.factor),
            "start_points": ops.broadcast_to(start, ops.shape(moved)),
            "end_points": moved,
        }

    def _moved(self, images: Any, drawn: Any, interpolation: str) -> Any:
        start, end = _points(drawn)
        how = (interpolation, "constant", self.fill_value, self.data_format)
        moved = warp_images(images, homography(end, start), *how)
        return ops.where(over(drawn["apply_perspective"]), moved, images)

    def _moved_boxes(self, boxes: Any, drawn: Any, height: Any, width: Any) -> Any:
        start, end = _points(drawn)
        a, b, c, d, e, f, g, h = (over(x, 3) for x in ops.unstack(homography(start, end), 8, 1))
        x, y = corners_of(boxes)
        depth = g * x + h * y + 1
        moved = box_around((a * x + b * y + c) / depth, (d * x + e * y + f) / depth)
        return ops.where(over(drawn["apply_perspective"], 3), moved, boxes)


def _points(drawn: Any) -> list[Any]:
    """Where points are, and where they come to lie."""
    return [ops.convert_to_tensor(drawn[f"{name}_points"]) for name in ("start", "end")]


class RandomElasticTransform(_Geometric):
    """In training, images bent by smooth random displacements.

    Simard et al., 2003, https://doi.org/10.1109/ICDAR.2003.1227801. Boxes become those around their
    displaced corners.

    Args:
        factor: The ends of the chance that an image is changed, from 0 to 1; a number is the upper one.
        scale: The ends of the strength, from 0 to 1; a number is the upper one.
        interpolation: `nearest` or `bilinear`.
        fill_mode: What lies outside, as in `ops.image.map_coordinates`.
        fill_value: The constant.
        value_range: The least and the greatest value of a pixel, between which images are kept.
        seed: What is drawn from.
        data_format: `channels_last` or `channels_first`.
        bounding_box_format: The format of boxes.

    >>> import numpy as np
    >>> RandomElasticTransform(seed=1)(np.ones((2, 4, 5, 3))).shape
    (2, 4, 5, 3)
    """

    def __init__(
        self,
        factor: Any = 1.0,
        scale: Any = 1.0,
        interpolation: str = "bilinear",
        fill_mode: str = "reflect",
        fill_value: float = 0.0,
        value_range: Any = (0, 255),
        seed: Any = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format=data_format, **kwargs)
        self.factor = interval("factor", factor, 0, 1, symmetric=False)
        self.scale = interval("scale", scale, 0, 1, symmetric=False)
        one_of(FILL_MODES, fill_mode=fill_mode)
        one_of(READINGS, interpolation=interpolation)

    def get_elastic_transform_params(self, height: Any, width: Any, factor: Any) -> tuple[Any, Any]:
        """The strength of displacements and the standard deviation that smooths them, in pixels.

        >>> RandomElasticTransform().get_elastic_transform_params(200, 100, 0.5)
        (10.0, 2.5)
        """
        least, most = (min, max) if isinstance(height, (int, float)) else (ops.minimum, ops.maximum)
        return most(height, width) * 0.1 * factor, least(height, width) * 0.05 * factor

    def _draw(self, draws: Draws, images: Any) -> Any:
        height, width = self._sizes(images)
        strength = draws.uniform(*self.scale)
        rows, columns = ops.cast(height, "float32"), ops.cast(width, "float32")
        alpha, sigma = self.get_elastic_transform_params(rows, columns, strength)
        smooth = draws.normal(2, height, width)
        smooth = ops.einsum("nkij,nil->nklj", smooth, _smoothing(height, sigma))
        smooth = ops.einsum("nkij,njl->nkil", smooth, _smoothing(width, sigma))
        return {
            "apply_transform": draws.chance(*self.factor),
            "distortion_factor": strength,
            # Noise of variance sigma² keeps its strength when it is smoothed by sigma.
            "displacements": smooth * over(alpha * sigma),
        }

    def _moved(self, images: Any, drawn: Any, interpolation: str) -> Any:
        height, width = self._sizes(images)
        down, right = (drawn["displacements"][:, i] for i in range(2))
        rows = down + ops.arange(height, dtype="float32")[:, None]
        columns = right + ops.arange(width, dtype="float32")
        how = (interpolation, self.fill_mode, self.fill_value, self.data_format)
        moved = ops.clip(sample_images(images, rows, columns, *how), *self.value_range)
        return ops.where(over(drawn["apply_transform"]), moved, images)

    def _moved_boxes(self, boxes: Any, drawn: Any, height: Any, width: Any) -> Any:
        x, y = corners_of(boxes)
        row, column = (
            ops.cast(ops.clip(place, 0, size - 1), "int32")
            for place, size in ((y, height), (x, width))
        )
        places = ops.reshape(row * width + column, (-1, 1, row.shape[1] * 4))
        moves = drawn["displacements"]
        moves = ops.reshape(moves, (-1, 2, height * width))
        moves = ops.take_along_axis(moves, ops.repeat(places, 2, axis=1), axis=2)
        down, right = (ops.reshape(moves[:, i], ops.shape(x)) for i in range(2))
        moved = box_around(x - right, y - down)  # what lies there was read here, nearly
        return ops.where(over(drawn["apply_transform"], 3), moved, boxes)


def _smoothing(size: Any, sigma: Any) -> Any:
    """(batch, size, size): how much each element adds to each other one, by a Gaussian for each image."""
    places = ops.arange(size, dtype="float32")
    distances = (places[:, None] - places) / over(ops.maximum(sigma, 0.1), 3)
    weights = ops.exp(distances**2 / -2)
    return weights / ops.max(ops.sum(weights, axis=1, keepdims=True), axis=2, keepdims=True)


# ------------------------------------------------------------------- other sizes


class _Sizing(_Geometric):
    """A layer that gives images a size: of a part of them, which may reach beyond them."""

    def __init__(self, height: int, width: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        positive_integer(height=height, width=width)

    def _part(self, drawn: Any, height: Any, width: Any) -> tuple[Any, Any, Any, Any]:
        """Where the part begins and its size, in pixels: top, left, rows, columns."""
        raise NotImplementedError

    def _size_of_result(self, height: Any, width: Any) -> tuple[Any, Any]:
        return self.height, self.width

    def _moved_boxes(self, boxes: Any, drawn: Any, height: Any, width: Any) -> Any:
        top, left, rows, columns = (
            over(ops.cast(x, "float32"), 2) for x in self._part(drawn, height, width)
        )
        across, down = self.width / columns, self.height / rows
        x1, y1, x2, y2 = (boxes[..., i] for i in range(4))
        edges = [(x1 - left) * across, (y1 - top) * down, (x2 - left) * across, (y2 - top) * down]
        return ops.stack(edges, axis=-1)

    def _resized(self, images: Any, size: tuple[Any, Any], **how: Any) -> Any:
        return ops.image.resize(images, size, data_format=self.data_format, **how)


class Resizing(_Sizing):
    """Images brought to one size.

    Args:
        height, width: The size.
        interpolation: `nearest`, `bilinear`, `bicubic`, `lanczos3` or `lanczos5`.
        crop_to_aspect_ratio: Whether the edges are cut off instead of the image being distorted.
        pad_to_aspect_ratio: Whether the image is padded instead of being distorted.
        fill_mode, fill_value: What padding is made of.
        antialias: Whether the image is smoothed where it is made smaller.
        data_format: `channels_last` or `channels_first`.
        bounding_box_format: The format of boxes.

    >>> import numpy as np
    >>> Resizing(4, 6)(np.ones((1, 8, 8, 3))).shape
    (1, 4, 6, 3)
    """

    _keeps_dtype = True

    def __init__(
        self,
        height: int,
        width: int,
        interpolation: str = "bilinear",
        crop_to_aspect_ratio: bool = False,
        pad_to_aspect_ratio: bool = False,
        fill_mode: str = "constant",
        fill_value: float = 0.0,
        antialias: bool = False,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(height, width, data_format=data_format, **kwargs)

    def _moved(self, images: Any, drawn: Any, interpolation: str) -> Any:
        return self._resized(
            images,
            (self.height, self.width),
            interpolation=interpolation,
            antialias=self.antialias and interpolation != "nearest",
            crop_to_aspect_ratio=self.crop_to_aspect_ratio,
            pad_to_aspect_ratio=self.pad_to_aspect_ratio,
            fill_mode=self.fill_mode,
            fill_value=self.fill_value,
        )

    def _part(self, drawn: Any, height: Any, width: Any) -> tuple[Any, Any, Any, Any]:
        if self.crop_to_aspect_ratio:
            return _cut(height, width, self.height, self.width)
        if self.pad_to_aspect_ratio:  # by margins that are equal
            above = max(int(width * self.height / self.width) - height, 0) // 2
            beside = max(int(height * self.width / self.height) - width, 0) // 2
            return -above, -beside, height + 2 * above, width + 2 * beside
        return 0, 0, height, width


def _cut(height: int, width: int, rows: int, columns: int) -> tuple[int, int, int, int]:
    """Top, left, height and width of the middle of an image in the proportions of another size."""
    cut = (
        max(min(height, int(width * rows / columns)), 1),
        max(min(width, int(height * columns / rows)), 1),
    )
    return (height - cut[0]) // 2, (width - cut[1]) // 2, *cut


class CenterCrop(_Sizing):
    """The middle of images; of those that are smaller, what has its proportions, made larger.

    Args:
        height, width: The size.
        data_format: `channels_last` or `channels_first`.
        bounding_box_format: The format of boxes.

    >>> import numpy as np
    >>> CenterCrop(2, 3)(np.ones((1, 8, 8, 3))).shape
    (1, 2, 3, 3)
    """

    def __init__(
        self, height: int, width: int, data_format: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(height, width, data_format=data_format, **kwargs)

    def _moved(self, images: Any, drawn: Any, interpolation: str) -> Any:
        height, width = self._sizes(images)
        top, left, rows, columns = self._part(drawn, height, width)
        if (rows, columns) != (self.height, self.width):
            size = (self.height, self.width)
            return self._resized(
                images, size, interpolation=interpolation, crop_to_aspect_ratio=True
            )
        across, down, _ = self._axes
        start = [0] * 4
        start[across], start[down] = top, left
        shape = [*ops.shape(images)]
        shape[across], shape[down] = rows, columns
        return ops.slice(images, start, shape)

    def _part(self, drawn: Any, height: Any, width: Any) -> tuple[Any, Any, Any, Any]:
        known = isinstance(height, int) and isinstance(width, int)
        if known and (height < self.height or width < self.width):
            return _cut(height, width, self.height, self.width)
        return (height - self.height) // 2, (width - self.width) // 2, self.height, self.width


class RandomCrop(_Sizing):
    """In training, a part of each image at a random place; one that is smaller is stretched before.

    Args:
        height, width: The size.
        seed: What is drawn from.
        data_format: `channels_last` or `channels_first`.
        bounding_box_format: The format of boxes.

    >>> import numpy as np
    >>> RandomCrop(2, 3, seed=1)(np.ones((1, 8, 8, 3))).shape
    (1, 2, 3, 3)
    """

    def __init__(
        self,
        height: int,
        width: int,
        seed: Any = None,
        data_format: str | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(height, width, data_format=data_format, name=name, **kwargs)

    def _draw(self, draws: Draws, images: Any) -> Any:
        rows, columns = self._stretched(*self._sizes(images))
        return {
            "top": draws.integers(0, rows - self.height + 1),
            "left": draws.integers(0, columns - self.width + 1),
        }

    def _stretched(self, height: Any, width: Any) -> tuple[Any, Any]:
        """The size before a part is taken."""
        pairs = (height, self.height), (width, self.width)
        rows, columns = (max(pair) if isinstance(pair[0], int) else pair[0] for pair in pairs)
        return rows, columns

    def _moved(self, images: Any, drawn: Any, interpolation: str) -> Any:
        sizes = self._sizes(images)
        stretched = self._stretched(*sizes)
        if stretched != sizes:
            images = self._resized(images, stretched, interpolation=interpolation)
        rows = over(drawn["top"], 3) + ops.arange(self.height)[:, None]
        columns = over(drawn["left"], 3) + ops.arange(self.width)
        rows, columns = (ops.cast(x, "float32") for x in (rows, columns))
        return sample_images(images, rows, columns, "nearest", "nearest", 0.0, self.data_format)

    def _part(self, drawn: Any, height: Any, width: Any) -> tuple[Any, Any, Any, Any]:
        stretched = self._stretched(height, width)
        down, across = (ops.cast(size, "float32") for size in stretched)
        down, across = ops.cast(height, "float32") / down, ops.cast(width, "float32") / across
        top, left = (ops.cast(drawn[name], "float32") for name in ("top", "left"))
        return top * down, left * across, self.height * down, self.width * across


# ---------------------------------------------------------------- boxes and pipelines


class MaxNumBoundingBoxes(BaseImagePreprocessingLayer):
    """As many boxes for every image: those over a number are left out, missing ones filled in.

    Args:
        max_number: The number.
        fill_value: What missing boxes and their labels are made of.

    >>> import numpy as np
    >>> boxes = {"boxes": np.ones((1, 2, 4)), "labels": np.ones((1, 2))}
    >>> data = {"images": np.ones((1, 8, 8, 3)), "bounding_boxes": boxes}
    >>> MaxNumBoundingBoxes(3)(data)["bounding_boxes"]["labels"].tolist()
    [[1.0, 1.0, -1.0]]
    """

    _keeps_dtype = True
    _optional_arguments = frozenset({"fill_value"})

    def __init__(self, max_number: int, fill_value: int = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        positive_integer(max_number=max_number)

    def _change_boxes(self, boxes: Any, drawn: Any) -> Any:
        def filled(x: Any) -> Any:
            pads = [(0, 0), (0, self.max_number), *[(0, 0)] * (len(x.shape) - 2)]
            x = ops.pad(x, pads, constant_values=self.fill_value)
            return x[:, : self.max_number]

        return {**boxes, **{key: filled(boxes[key]) for key in ("boxes", "labels")}}


class Pipeline(_Preparing):
    """Layers one after another, as one layer, also in a data pipeline of another library.

    Args:
        layers: The layers.
        name: The name.

    >>> import numpy as np
    >>> Pipeline([RandomFlip(), Resizing(4, 6)])(np.ones((1, 8, 8, 3))).shape
    (1, 4, 6, 3)
    """

    def __init__(self, layers: Any, name: str | None = None) -> None:
        super().__init__(name=name)

    def call(self, inputs: Any, training: bool = True, mask: Any = None) -> Any:
        """The inputs, through all layers; they are told whether it is training."""
        for layer in self.layers:
            inputs = layer(inputs)
        return inputs

    def get_config(self) -> dict[str, Any]:
        """The layers and the name."""
        config = super().get_config()
        return {key: config[key] for key in ("layers", "name")}
