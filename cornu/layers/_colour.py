"""Layers that change the colours of images: brightness, contrast, hue, histograms, sharpness.

Values lie in a range, `value_range`; results are cut off at its ends.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from .. import ops
from ..core.checks import is_number, is_size, listed, per_axis, positive_integer
from ._augmentation import BaseImagePreprocessingLayer, Draws, interval, over


def value_range(value: Any) -> tuple[float, float]:
    """The least and the largest value of images, from an argument of a constructor.

    >>> value_range([0, 1])
    (0, 1)
    """
    ends = listed(value) or ()
    if len(ends) != 2 or not all(map(is_number, ends)) or ends[0] >= ends[1]:
        raise ValueError(
            f"`value_range` must be two numbers, the smaller one first. Received: value_range={value!r}. "
            "Give that of the images, such as (0, 255) or (0, 1)."
        )
    return ends[0], ends[1]


def _factor(
    low: float, high: float, symmetric: bool = False
) -> Callable[[Any], tuple[float, float]]:
    """What a factor goes through: two numbers, or the end alone, which begins at 0 or at its negative."""
    return functools.partial(interval, "factor", low=low, high=high, symmetric=symmetric)


class Coloured(BaseImagePreprocessingLayer):
    """A layer whose images have values in a range."""

    _converters: ClassVar[Any] = {"value_range": value_range, "factor": _factor(0, 1)}

    @property
    def _spread(self) -> float:
        return self.value_range[1] - self.value_range[0]

    def _clipped(self, images: Any) -> Any:
        return ops.clip(images, *self.value_range)

    def _to_unit(self, images: Any, top: float = 1.0) -> Any:
        """Values of the range as values from 0 to `top`."""
        return (images - self.value_range[0]) * (top / self._spread)

    def _from_unit(self, images: Any, top: float = 1.0) -> Any:
        """Values from 0 to `top` as values of the range."""
        return images * (self._spread / top) + self.value_range[0]

    def _channels(self, images: Any) -> list[Any]:
        """Each channel of a batch, with its axis."""
        axis = self._axes[2]
        return ops.split(images, images.shape[axis], axis)

    def _grey(self, images: Any) -> Any:
        """The brightness of images, as one channel."""
        return ops.image.rgb_to_grayscale(images, self.data_format)

    def _in_hsv(self, images: Any, change: Callable[..., Any]) -> Any:
        """Images whose hue, saturation and value are those that `change` makes of theirs."""
        axis = self._axes[2]
        hsv = ops.image.rgb_to_hsv(self._to_unit(images), self.data_format)
        hsv = ops.concatenate(change(*ops.split(hsv, 3, axis)), axis)
        return self._from_unit(ops.image.hsv_to_rgb(hsv, self.data_format))


# ------------------------------------------------------------------ pixel by pixel


class _ByFactor(Coloured):
    """A layer of one factor in either layout."""

    def __init__(
        self,
        factor: Any,
        value_range: Any = (0, 255),
        data_format: str | None = None,
        seed: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format=data_format, **kwargs)


class RandomBrightness(Coloured):
    """Each image made brighter or darker by a number of its own.

    Args:
        factor: Ends of what is added, in spreads of the range, from -1 to 1; one number means from its
            negative.
        value_range: The range of the images' values.
        seed: An integer for the same pictures each time.

    >>> import numpy as np
    >>> RandomBrightness((0.5, 0.5))(np.zeros((1, 2, 2, 3)))[0, 0, 0].tolist()
    [127.5, 127.5, 127.5]
    """

    _keeps_dtype = True
    _converters: ClassVar[Any] = {"factor": _factor(-1, 1, True)}

    def __init__(
        self, factor: Any, value_range: Any = (0, 255), seed: Any = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)

    def _draw(self, draws: Draws, images: Any) -> Any:
        low, high = self.factor
        return {"rgb_delta": draws.uniform(low * self._spread, high * self._spread)}

    def _change_images(self, images: Any, drawn: Any) -> Any:
        return self._clipped(images + self._per_image(drawn["rgb_delta"], images))


class RandomContrast(Coloured):
    """Each image's distances from the mean of a channel, scaled: (x - mean) * factor + mean.

    Args:
        factor: Two numbers (lower, upper) from 0 to 1: images are scaled by something between 1 - lower
            and 1 + upper; one number means (0, upper).
        value_range: The range of the images' values.
        seed: An integer for the same pictures each time.

    >>> import numpy as np
    >>> RandomContrast((1.0, 0.0), seed=1)(np.ones((1, 2, 2, 3))).shape
    (1, 2, 2, 3)
    """

    def __init__(
        self, factor: Any, value_range: Any = (0, 255), seed: Any = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)

    def _draw(self, draws: Draws, images: Any) -> Any:
        lower, upper = self.factor
        return {"contrast_factor": draws.uniform(1 - lower, 1 + upper)}

    def _change_images(self, images: Any, drawn: Any) -> Any:
        mean = ops.mean(images, axis=self._axes[:2], keepdims=True)
        factor = self._per_image(drawn["contrast_factor"], images)
        return self._clipped(images * factor + mean * (1 - factor))  # one pass less over the images


class RandomInvert(Coloured):
    """Images as their negatives, by chance.

    Args:
        factor: Ends of the probability; one number means from 0.
        value_range: The range of the images' values.
        seed: An integer for the same pictures each time.

    >>> import numpy as np
    >>> RandomInvert((1.0, 1.0))(np.zeros((1, 2, 2, 3)))[0, 0, 0].tolist()
    [255.0, 255.0, 255.0]
    """

    def __init__(
        self,
        factor: Any = 1.0,
        value_range: Any = (0, 255),
        seed: Any = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format=data_format, **kwargs)

    def _draw(self, draws: Draws, images: Any) -> Any:
        return {"apply_inversion": draws.chance(*self.factor)}

    def _change_images(self, images: Any, drawn: Any) -> Any:
        inverted = sum(self.value_range) - images
        return ops.where(over(drawn["apply_inversion"]), inverted, images)


class Solarization(Coloured):
    """Images whose bright pixels are inverted, after something was added to all.

    Args:
        addition_factor: Ends of what is added, in spreads of the range; one number means from 0.
        threshold_factor: Ends of where bright begins, likewise.
        value_range: The range of the images' values.
        seed: An integer for the same pictures each time.

    >>> import numpy as np
    >>> Solarization()(np.array([[[[10.0]]]])).tolist()
    [[[[245.0]]]]
    """

    def __init__(
        self,
        addition_factor: Any = 0.0,
        threshold_factor: Any = 0.0,
        value_range: Any = (0, 255),
        seed: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)

    def _draw(self, draws: Draws, images: Any) -> Any:
        ends = {"additions": self.addition_factor, "thresholds": self.threshold_factor}
        return {name: draws.uniform(255 * low, 255 * high) for name, (low, high) in ends.items()}

    def _change_images(self, images: Any, drawn: Any) -> Any:
        added = self._to_unit(images, 255) + self._per_image(drawn["additions"], images)
        added = ops.clip(added, 0, 255)
        bright = added >= self._per_image(drawn["thresholds"], images)
        return self._from_unit(ops.where(bright, 255 - added, added), 255)


class RandomPosterization(_ByFactor):
    """Images of few colours: of each channel's 8 bits only the first ones are kept.

    Args:
        factor: Ends of the number of bits, from 1 to 8, the upper one itself left out; one number
            means from 1.
        value_range: The range of the images' values.
        data_format: `channels_last` or `channels_first`.
        seed: An integer for the same pictures each time.

    >>> import numpy as np
    >>> RandomPosterization((1, 1))(np.array([[[[100.0, 200.0]]]])).tolist()
    [[[[0.0, 128.0]]]]
    """

    _converters: ClassVar[Any] = {"factor": lambda value: _bits(value)}

    def _draw(self, draws: Draws, images: Any) -> Any:
        low, high = map(int, self.factor)
        return {"shift_factor": 8 - draws.integers(low, max(high, low + 1))}

    def _change_images(self, images: Any, drawn: Any) -> Any:
        step = self._per_image(2.0 ** ops.cast(drawn["shift_factor"], "float32"), images)
        levels = ops.floor(ops.clip(self._to_unit(images, 255), 0, 255))
        return self._from_unit(ops.floor(levels / step) * step, 255)


def _bits(value: Any) -> tuple[float, float]:
    return interval("factor", (1, value) if is_number(value) else value, 1, 8)


# ------------------------------------------------------------------------- colours


class RandomGrayscale(Coloured):
    """Images without colours, by chance; the number of channels stays.

    Args:
        factor: The probability.
        data_format: `channels_last` or `channels_first`.
        seed: An integer for the same pictures each time.

    >>> import numpy as np
    >>> RandomGrayscale(1.0)(np.array([[[[0.0, 100.0, 0.0]]]])).round().tolist()
    [[[[59.0, 59.0, 59.0]]]]
    """

    _keeps_dtype = True
    _converters: ClassVar[Any] = {"factor": None}
    _optional_arguments = frozenset({"seed"})

    def __init__(
        self, factor: float = 0.5, data_format: str | None = None, seed: Any = None, **kwargs: Any
    ) -> None:
        super().__init__(data_format=data_format, **kwargs)
        interval("factor", (factor, factor), 0, 1)

    def _draw(self, draws: Draws, images: Any) -> Any:
        return over(draws.uniform() < self.factor)

    def _change_images(self, images: Any, drawn: Any) -> Any:
        return ops.where(drawn, self._grey(images), images)


class RandomColorDegeneration(_ByFactor):
    """Each image between itself and its grey picture: x + (grey - x) * factor.

    Args:
        factor: Ends of what is drawn, from -1 to 1; one number means from its negative. 1 is grey, below
            0 colours are stronger.
        value_range: The range of the images' values.
        data_format: `channels_last` or `channels_first`.
        seed: An integer for the same pictures each time.

    >>> import numpy as np
    >>> RandomColorDegeneration((1.0, 1.0))(np.array([[[[0.0, 100.0, 0.0]]]])).round().tolist()
    [[[[59.0, 59.0, 59.0]]]]
    """

    _converters: ClassVar[Any] = {"factor": _factor(-1, 1, True)}

    def _draw(self, draws: Draws, images: Any) -> Any:
        return {"factor": draws.uniform(*self.factor)}

    def _change_images(self, images: Any, drawn: Any) -> Any:
        factor = self._per_image(drawn["factor"], images)
        return self._clipped(images + (self._grey(images) - images) * factor)


class RandomHue(_ByFactor):
    """Each image's hues turned around the circle of colours.

    Args:
        factor: Ends of the turn, in half turns, from -1 to 1, to one side or the other; one number means
            from 0.
        value_range: The range of the images' values.
        data_format: `channels_last` or `channels_first`.
        seed: An integer for the same pictures each time.

    >>> import numpy as np
    >>> RandomHue((1.0, 1.0))(np.array([[[[255.0, 0.0, 0.0]]]])).round().tolist()
    [[[[0.0, 255.0, 255.0]]]]
    """

    _converters: ClassVar[Any] = {"factor": _factor(-1, 1)}

    def _draw(self, draws: Draws, images: Any) -> Any:
        side = ops.where(draws.uniform() < 0.5, -0.5, 0.5)
        return {"factor": draws.uniform(*self.factor) * side}

    def _change_images(self, images: Any, drawn: Any) -> Any:
        turn = self._per_image(drawn["factor"], images)
        return self._in_hsv(images, lambda h, s, v: [h + turn, s, v])


class RandomSaturation(_ByFactor):
    """Each image's colours made paler or stronger: saturation * f / (1 - f).

    Args:
        factor: Ends of f, from -1 to 1; one number means from its negative. 0 is grey, 0.5 leaves an
            image as it is, 1 saturates its colours.
        value_range: The range of the images' values.
        data_format: `channels_last` or `channels_first`.
        seed: An integer for the same pictures each time.

    >>> import numpy as np
    >>> RandomSaturation((0.0, 0.0))(np.array([[[[200.0, 0.0, 0.0]]]])).round().tolist()
    [[[[200.0, 200.0, 200.0]]]]
    """

    _converters: ClassVar[Any] = {"factor": _factor(-1, 1, True)}

    def _draw(self, draws: Draws, images: Any) -> Any:
        factor = draws.uniform(*self.factor)
        return {"factor": factor / (1 - factor + 1e-7)}

    def _change_images(self, images: Any, drawn: Any) -> Any:
        factor = self._per_image(drawn["factor"], images)
        return self._in_hsv(images, lambda h, s, v: [h, ops.clip(s * factor, 0, 1), v])


class RandomColorJitter(Coloured):
    """Brightness, contrast, saturation and hue changed by chance, one after the other.

    Args:
        value_range: The range of the images' values.
        brightness_factor, contrast_factor, saturation_factor, hue_factor: The factors of
            `RandomBrightness`, `RandomContrast`, `RandomSaturation`, `RandomHue`; None leaves it out.
        seed: An integer for the same pictures each time.
        data_format: `channels_last` or `channels_first`.

    >>> import numpy as np
    >>> RandomColorJitter(brightness_factor=0.2, seed=1)(np.ones((2, 3, 4, 3))).shape
    (2, 3, 4, 3)
    """

    _converters: ClassVar[Any] = {"factor": None}

    def __init__(
        self,
        value_range: Any = (0, 255),
        brightness_factor: Any = None,
        contrast_factor: Any = None,
        saturation_factor: Any = None,
        hue_factor: Any = None,
        seed: Any = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format=data_format, **kwargs)
        factors = {
            RandomBrightness: brightness_factor,
            RandomContrast: contrast_factor,
            RandomSaturation: saturation_factor,
            RandomHue: hue_factor,
        }
        made = {"value_range": value_range, "seed": seed, "data_format": data_format}
        self._steps = {
            made_of.__name__: made_of(factor, **made, dtype=self.dtype_policy)
            for made_of, factor in factors.items()
            if factor is not None
        }

    def _draw(self, draws: Draws, images: Any) -> Any:
        return {name: step._draw(draws, images) for name, step in self._steps.items()}

    def _change_images(self, images: Any, drawn: Any) -> Any:
        for name, step in self._steps.items():
            images = step._change_images(images, drawn[name])
        return images


# ---------------------------------------------------------------------- histograms


class AutoContrast(Coloured):
    """Each channel of an image stretched over the whole range, in training and after it.

    Args:
        value_range: The range of the images' values.

    >>> import numpy as np
    >>> AutoContrast()(np.array([[[[10.0], [20.0]]]])).tolist()
    [[[[0.0], [255.0]]]]
    """

    def __init__(self, value_range: Any = (0, 255), **kwargs: Any) -> None:
        super().__init__(**kwargs)

    def _change_images(self, images: Any, drawn: Any) -> Any:
        low, high = (
            end(images, axis=self._axes[:2], keepdims=True) for end in (ops.amin, ops.amax)
        )
        flat = low == high
        stretched = (images - low) / ops.where(flat, 1.0, high - low)
        return ops.where(flat, images, self._clipped(self._from_unit(stretched)))


def histograms(levels: Any, bins: int) -> Any:
    """How often each level from 0 to bins - 1 is in each row of (rows, n): float32 (rows, bins)."""
    rows = ops.shape(levels)[0]
    places = levels + ops.arange(rows, dtype="int32")[:, None] * bins
    ones = ops.ones_like(places, "float32")
    counts = ops.segment_sum(ops.ravel(ones), ops.ravel(places), rows * bins)
    return ops.reshape(counts, (-1, bins))


class Equalization(Coloured):
    """Each channel of an image with its values spread out evenly, in training and after it.

    A value becomes the share of pixels that are not brighter, from the darkest pixel's on.

    Args:
        value_range: The range of the images' values.
        bins: How many levels are told apart.
        data_format: `channels_last` or `channels_first`.

    >>> import numpy as np
    >>> Equalization()(np.array([[[[10.0], [20.0], [21.0], [22.0]]]])).ravel().tolist()
    [0.0, 85.0, 170.0, 255.0]
    """

    def __init__(
        self,
        value_range: Any = (0, 255),
        bins: int = 256,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format=data_format, **kwargs)
        positive_integer(bins=bins)

    def _change_images(self, images: Any, drawn: Any) -> Any:
        planes = images if self.data_format == "channels_first" else ops.moveaxis(images, 3, 1)
        shape = ops.shape(planes)
        rows = ops.reshape(planes, (-1, shape[2] * shape[3]))
        levels = ops.clip(self._to_unit(rows, self.bins - 1), 0, self.bins - 1)
        levels = ops.cast(levels, "int32")
        counts = ops.cumsum(histograms(levels, self.bins), axis=1)
        # What is as dark as the darkest pixel becomes 0.
        least = ops.take_along_axis(counts, ops.min(levels, axis=1, keepdims=True), axis=1)
        spread = counts[:, -1:] - least
        table = ops.round(255 * (counts - least) / ops.maximum(spread, 1.0))
        equal = self._from_unit(ops.take_along_axis(table, levels, axis=1), 255)
        equal = ops.where(spread == 0, rows, ops.cast(equal, images.dtype))
        planes = ops.reshape(equal, shape)
        return planes if self.data_format == "channels_first" else ops.moveaxis(planes, 1, 3)


class ContrastLimitedAdaptiveHistogramEqualization(Coloured):
    """Each tile of an image equalized on its own, with a limit to how much noise it may show.

    Source: K. Zuiderveld, Contrast limited adaptive histogram equalization (1994). A pixel is what the
    tables of the four tiles around it say, interpolated.

    Args:
        value_range: The range of the images' values.
        clip_limit: How often a level may be in a tile, in means over the 256 levels; what is beyond is
            shared out among all. 0 for no limit.
        tile_grid_size: Rows and columns of tiles.
        data_format: `channels_last` or `channels_first`.

    >>> import numpy as np
    >>> ContrastLimitedAdaptiveHistogramEqualization()(np.ones((1, 16, 16, 3))).shape
    (1, 16, 16, 3)
    """

    _keeps_dtype = True

    def __init__(
        self,
        value_range: Any = (0, 255),
        clip_limit: float = 4.0,
        tile_grid_size: Any = (8, 8),
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format=data_format, **kwargs)
        self._grid = per_axis(tile_grid_size, 2, "tile_grid_size")

    def _change_images(self, images: Any, drawn: Any) -> Any:
        planes = images if self.data_format == "channels_first" else ops.moveaxis(images, 3, 1)
        shape = ops.shape(planes)
        levels = ops.cast(ops.clip(self._to_unit(planes, 255), 0, 255), "int32")
        levels = ops.reshape(levels, (-1, shape[2], shape[3]))
        tables, tile = self._tables(levels)
        equal = self._from_unit(self._interpolated(levels, tables, tile))
        equal = ops.cast(ops.reshape(equal, shape), images.dtype)
        return equal if self.data_format == "channels_first" else ops.moveaxis(equal, 1, 3)

    def _tables(self, levels: Any) -> tuple[Any, tuple[Any, Any]]:
        """What each level of planes (n, height, width) becomes in each tile: (n, tiles * 256), from 0 to
        1; and the height and width of a tile."""
        (rows, columns), (_, height, width) = self._grid, ops.shape(levels)
        missing = (-height % rows, -width % columns)
        padded = ops.pad(levels, ((0, 0), (0, missing[0]), (0, missing[1])), "symmetric")
        tile = (height + missing[0]) // rows, (width + missing[1]) // columns
        tiles = ops.reshape(padded, (-1, rows, tile[0], columns, tile[1]))
        tiles = ops.transpose(tiles, (0, 1, 3, 2, 4))
        counts = histograms(ops.reshape(tiles, (-1, tile[0] * tile[1])), 256)
        if self.clip_limit > 0:
            kept = ops.minimum(counts, self.clip_limit * (tile[0] * tile[1]) / 256)
            counts = kept + ops.mean(counts - kept, axis=1, keepdims=True)
        counts = ops.cumsum(counts, axis=1)
        table = (counts - counts[:, :1]) / ops.maximum(counts[:, -1:] - counts[:, :1], 1e-7)
        return ops.reshape(table, (-1, rows * columns * 256)), tile

    def _interpolated(self, levels: Any, tables: Any, tile: tuple[Any, Any]) -> Any:
        """What the tables of the tiles around each pixel make of it: (n, height * width)."""
        (rows, columns), (_, height, width) = self._grid, ops.shape(levels)
        top, bottom, down = _between(height, tile[0], rows)
        left, right, across = _between(width, tile[1], columns)
        flat = ops.reshape(levels, (-1, height * width))

        def seen(row: Any, column: Any) -> Any:
            place = ops.reshape((row[:, None] * columns + column) * 256, (-1,))
            return ops.take_along_axis(tables, flat + place, axis=1)

        weights = [
            ops.reshape(y[:, None] * x, (-1,))
            for y in (1 - down, down)
            for x in (1 - across, across)
        ]
        corners = [seen(row, column) for row in (top, bottom) for column in (left, right)]
        return sum(weight * corner for weight, corner in zip(weights, corners, strict=True))


def _between(size: Any, tile: Any, count: int) -> tuple[Any, Any, Any]:
    """For each pixel along an axis the tiles before and after it, and its place between their centres."""
    place = ops.arange(size, dtype="float32") / ops.cast(tile, "float32") - 0.5
    place = ops.clip(place, 0, count - 1)
    before = ops.floor(place)
    after = ops.minimum(before + 1, count - 1)
    return ops.cast(before, "int32"), ops.cast(after, "int32"), place - before


# ------------------------------------------------------------------------- filters


class RandomSharpness(_ByFactor):
    """Each image between its smoothed picture and one that is sharper than itself.

    It is smooth + (x - smooth) * 2 * factor, smoothed by [[1, 1, 1], [1, 5, 1], [1, 1, 1]] / 13 with zeros
    around the image.

    Args:
        factor: Ends of what is drawn, from 0, which is smooth, to 1; 0.5 leaves an image as it is. One
            number means from 0.
        value_range: The range of the images' values.
        data_format: `channels_last` or `channels_first`.
        seed: An integer for the same pictures each time.

    >>> import numpy as np
    >>> RandomSharpness((0.5, 0.5))(np.full((1, 3, 3, 1), 7.0)).ravel()[:2].tolist()
    [7.0, 7.0]
    """

    def _draw(self, draws: Draws, images: Any) -> Any:
        return {"factor": draws.uniform(*self.factor)}

    def _change_images(self, images: Any, drawn: Any) -> Any:
        ones = [1.0, 1.0, 1.0]
        around = shifted_sum(shifted_sum(images, ones, self._axes[0]), ones, self._axes[1])
        smooth = (around + 4 * images) / 13
        factor = self._per_image(drawn["factor"], images)
        return self._clipped(smooth + (images - smooth) * (2 * factor))


def shifted_sum(images: Any, weights: list[Any], axis: int) -> Any:
    """Images correlated along an axis with weights, an odd number of them, with zeros around the images.

    A few shifted copies are added up: compilers make one pass of it, and weights may differ by image.
    """
    size, half = ops.shape(images)[axis], len(weights) // 2
    pads = [(half, half) if at == axis else (0, 0) for at in range(4)]
    padded = ops.pad(images, pads)
    parts = [padded[(slice(None),) * axis + (slice(i, i + size),)] for i in range(len(weights))]
    return sum(part * weight for part, weight in zip(parts, weights, strict=True))


class RandomGaussianBlur(Coloured):
    """Images smoothed by a Gaussian of random width, by chance, with zeros around them.

    Args:
        factor: Ends of the probability; one number means from 0.
        kernel_size: Extents of the window along width and height, odd numbers.
        sigma: Ends of the standard deviations in pixels, from 0; one number means from 0.
        value_range: The range of the images' values.
        data_format: `channels_last` or `channels_first`.
        seed: An integer for the same pictures each time.

    >>> import numpy as np
    >>> RandomGaussianBlur(kernel_size=5)(np.ones((2, 8, 8, 3))).shape
    (2, 8, 8, 3)
    """

    _converters: ClassVar[Any] = {"kernel_size": lambda value: per_axis(value, 2, "kernel_size")}

    def __init__(
        self,
        factor: Any = 1.0,
        kernel_size: Any = 3,
        sigma: Any = 1.0,
        value_range: Any = (0, 255),
        data_format: str | None = None,
        seed: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format=data_format, **kwargs)
        self.sigma = interval("sigma", sigma, 0, np.inf, symmetric=False)
        if not all(is_size(size) and size % 2 for size in self.kernel_size):
            raise ValueError(
                f"`kernel_size` must be odd. Received: kernel_size={kernel_size!r}. Add 1."
            )

    def _draw(self, draws: Draws, images: Any) -> Any:
        return {
            "should_apply_blur": draws.chance(*self.factor),
            "blur_factor": draws.uniform(*self.sigma, 2),
        }

    def _change_images(self, images: Any, drawn: Any) -> Any:
        sigmas = ops.cast(ops.reshape(drawn["blur_factor"], (-1, 2)), images.dtype)
        height, width, _ = self._axes
        blurred = images
        for at, axis in enumerate((width, height)):
            size = self.kernel_size[at]
            distance = ops.arange(size, dtype=images.dtype) - size // 2
            sigma = ops.maximum(sigmas[:, at : at + 1], 1e-3)
            weights = ops.softmax(ops.square(distance / sigma) / -2)  # (batch, size)
            shaped = [self._per_image(weights[:, i], images) for i in range(size)]
            blurred = shifted_sum(blurred, shaped, axis)
        return ops.where(over(drawn["should_apply_blur"]), blurred, images)
