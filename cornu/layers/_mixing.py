"""Layers that mix the images of a batch with each other, or take a part out of them."""

from __future__ import annotations

from typing import Any, ClassVar

from .. import ops
from ..core.checks import is_number
from ..core.dtypes import is_float, standardize_dtype
from ._augmentation import BaseImagePreprocessingLayer, Draws, interval, over
from ._colour import Coloured


def log_gamma(draws: Draws, alpha: Any, *more: int) -> Any:
    """Logarithms of gamma numbers of a shape `alpha` and scale 1, (batch, *more).

    Source: G. Marsaglia and W. Tsang, A simple method for generating gamma variables (2000), of 6 tries at
    once, all of which fail once in 60 million draws; for small shapes G(a) = G(a + 1) * u ** (1 / a). Written over
    uniform and normal numbers, so that a seed gives the same pictures on every engine.
    """
    d = alpha + 2 / 3
    z = draws.normal(*more, 6)
    wide = ops.expand_dims(d, -1) if hasattr(d, "shape") and d.shape else d
    v = (1 + z / ops.sqrt(9 * wide)) ** 3
    logs = ops.log(ops.maximum(v, 1e-12))
    accepted = ops.log(1 - draws.uniform(0.0, 1.0, *more, 6)) < z * z / 2 + wide * (1 - v + logs)
    accepted = ops.logical_and(accepted, v > 0)
    chosen = logs[..., 5]
    for i in reversed(range(5)):
        chosen = ops.where(accepted[..., i], logs[..., i], chosen)
    return ops.log(d) + chosen + ops.log(1 - draws.uniform(0.0, 1.0, *more)) / alpha


def beta(draws: Draws, alpha: Any) -> Any:
    """Numbers from the beta distribution of two equal parameters, (batch,)."""
    return ops.sigmoid(log_gamma(draws, alpha) - log_gamma(draws, alpha))


def patch(images: Any, axes: tuple[int, int, int], height: Any, width: Any, at: Any) -> Any:
    """Where in images a rectangle lies, of a height and width in pixels an image, (batch,).

    `at`, (batch, 2), is its place from 0, at the upper and left edges, to 1. The result is of booleans that
    broadcast to the images.
    """
    inside = True
    for axis, extent, share in zip(axes[:2], (height, width), (at[:, 0], at[:, 1]), strict=True):
        size = ops.shape(images)[axis]
        start = ops.floor(share * (ops.cast(size, "float32") - extent + 1))
        line = [1, 1, 1, 1]
        line[axis] = -1
        places = ops.reshape(ops.arange(size, dtype="float32"), line)
        start, extent = map(over, (start, extent))
        within = ops.logical_and(places >= start, places < start + extent)
        inside = ops.logical_and(inside, within)
    return inside


def _shares(labels: Any, weight: Any, dtype: Any) -> tuple[Any, Any]:
    """Labels as floats, and the weights, (batch,), in a shape that broadcasts to them."""
    if not is_float(standardize_dtype(labels.dtype)):
        if len(labels.shape) < 2:
            raise ValueError(
                "Labels that are mixed say a share of each class, (batch, classes). Received: "
                f"labels.shape={tuple(labels.shape)} of {labels.dtype}. Use `ops.one_hot` before."
            )
        labels = ops.cast(labels, dtype)
    return labels, ops.cast(over(weight, len(labels.shape)), labels.dtype)


class _Mixing(BaseImagePreprocessingLayer):
    """A layer that mixes each image with another one of its batch."""

    def _pairs(self, draws: Draws) -> Any:
        """Which image each one is mixed with, (batch,)."""
        return ops.argsort(draws.uniform())

    def _mixed(self, x: Any, drawn: Any) -> Any:
        """Something of each image, mixed with that of the other one."""
        x, weight = _shares(ops.convert_to_tensor(x), drawn["mix_weight"], self.compute_dtype)
        return x * weight + ops.take(x, drawn["permutation_order"], axis=0) * (1 - weight)

    def _change_labels(self, labels: Any, drawn: Any) -> Any:
        return self._mixed(labels, drawn)


class MixUp(_Mixing):
    """Each image, with its labels and masks, mixed with another one of the batch: w x + (1 - w) x'.

    Source: H. Zhang et al., mixup: beyond empirical risk minimization (2018). Labels are shares of classes,
    (batch, classes). Boxes of both images stay.

    Args:
        alpha: The weight is from the beta distribution of (alpha, alpha): the smaller, the less is mixed.
        data_format: `channels_last` or `channels_first`.
        seed: An integer for the same pictures each time.

    >>> import numpy as np
    >>> data = MixUp(seed=1)({"images": np.ones((4, 2, 2, 3)), "labels": np.eye(4)})
    >>> np.asarray(data["labels"]).sum(1).tolist()
    [1.0, 1.0, 1.0, 1.0]
    """

    def __init__(
        self, alpha: float = 0.2, data_format: str | None = None, seed: Any = None, **kwargs: Any
    ) -> None:
        super().__init__(data_format=data_format, **kwargs)
        if not is_number(alpha) or alpha <= 0:
            raise ValueError(f"`alpha` must be a positive number. Received: alpha={alpha!r}.")

    def _draw(self, draws: Draws, images: Any) -> Any:
        return {"mix_weight": beta(draws, self.alpha), "permutation_order": self._pairs(draws)}

    def _change_images(self, images: Any, drawn: Any) -> Any:
        return self._mixed(images, drawn)

    def _change_masks(self, masks: Any, drawn: Any) -> Any:
        return self._mixed(masks, drawn)

    def _change_boxes(self, boxes: Any, drawn: Any) -> Any:
        order = drawn["permutation_order"]
        return {
            key: ops.concatenate([value, ops.take(value, order, axis=0)], axis=1)
            for key, value in boxes.items()
        }


class CutMix(_Mixing):
    """Each image with a patch of another one of the batch, its labels mixed by the patch's area.

    Source: S. Yun et al., CutMix (2019). Labels are shares of classes, (batch, classes).

    Args:
        factor: Ends of the parameter, from 0 to 1, of the beta distribution that the image's share is from;
            one number means from 0.
        seed: An integer for the same pictures each time.
        data_format: `channels_last` or `channels_first`.

    >>> import numpy as np
    >>> data = CutMix(seed=1)({"images": np.ones((4, 8, 8, 3)), "labels": np.eye(4)})
    >>> np.asarray(data["labels"]).sum(1).tolist()
    [1.0, 1.0, 1.0, 1.0]
    """

    _converters: ClassVar[Any] = {"factor": lambda value: interval("factor", value, 0, 1, False)}

    def __init__(
        self, factor: Any = 1.0, seed: Any = None, data_format: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(data_format=data_format, **kwargs)

    def _draw(self, draws: Draws, images: Any) -> Any:
        kept = beta(draws, ops.maximum(draws.uniform(*self.factor), 1e-3))
        height, width = (ops.cast(size, "float32") for size in self._sizes(images))
        side = ops.sqrt(1 - kept)
        rows, columns = ops.round(height * side), ops.round(width * side)
        return {
            "permutation_order": self._pairs(draws),
            "batch_masks": patch(images, self._axes, rows, columns, draws.uniform(0.0, 1.0, 2)),
            "mix_weight": 1 - rows * columns / (height * width),
        }

    def _change_images(self, images: Any, drawn: Any) -> Any:
        return self._pasted(images, drawn["batch_masks"], drawn)

    def _change_masks(self, masks: Any, drawn: Any) -> Any:
        channels = self._axes[2]
        inside = ops.any(drawn["batch_masks"], axis=channels, keepdims=True)
        return self._pasted(masks, inside, drawn)

    @staticmethod
    def _pasted(x: Any, inside: Any, drawn: Any) -> Any:
        return ops.where(inside, ops.take(x, drawn["permutation_order"], axis=0), x)

    def _change_boxes(self, boxes: Any, drawn: Any) -> Any:
        raise NotImplementedError(
            "CutMix does not know which boxes a patch covers. Received: `bounding_boxes`. Use MixUp, or "
            "leave them out."
        )


class RandomErasing(Coloured):
    """A rectangle of each image erased, by chance.

    Source: Z. Zhong et al., Random erasing data augmentation (2017).

    Args:
        factor: Ends of the probability; one number means from 0.
        scale: Ends of the rectangle's height and width, squared, in shares of the image's; one number means
            from 0.
        fill_value: What stands in the rectangle; None for normal numbers, times the end of the range.
        value_range: The range of the images' values.
        seed: An integer for the same pictures each time.
        data_format: `channels_last` or `channels_first`.

    >>> import numpy as np
    >>> RandomErasing((1.0, 1.0), (1.0, 1.0), 7.0)(np.ones((1, 2, 2, 1))).ravel().tolist()
    [7.0, 7.0, 7.0, 7.0]
    """

    _converters: ClassVar[Any] = {"scale": lambda value: interval("scale", value, 0, 1, False)}

    def __init__(
        self,
        factor: Any = 1.0,
        scale: Any = (0.02, 0.33),
        fill_value: float | None = None,
        value_range: Any = (0, 255),
        seed: Any = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format=data_format, **kwargs)

    def _draw(self, draws: Draws, images: Any) -> Any:
        sides = ops.sqrt(draws.uniform(*self.scale, 2))
        height, width = (
            ops.floor(ops.cast(size, "float32") * sides[:, axis])
            for axis, size in enumerate(self._sizes(images))
        )
        fill = self.fill_value
        if fill is None:
            fill = draws.normal(*ops.shape(images)[1:]) * self.value_range[1]
        return {
            "apply_erasing": draws.chance(*self.factor),
            "batch_masks": patch(images, self._axes, height, width, draws.uniform(0.0, 1.0, 2)),
            "fill_value": self._clipped(fill),
        }

    def _change_images(self, images: Any, drawn: Any) -> Any:
        erased = ops.logical_and(over(drawn["apply_erasing"]), drawn["batch_masks"])
        return ops.where(erased, ops.cast(drawn["fill_value"], images.dtype), images)
