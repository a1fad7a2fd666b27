"""The base of layers that change images: what is drawn for each image, and what it does to all that belongs to it."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from .. import ops, random
from ..core import tree
from ..core.checks import is_number, listed
from ..core.dtypes import is_float, standardize_dtype
from ._preprocessing import _Preparing

Transformation = dict[str, Any]


class Draws:
    """Random numbers for a batch of images: the same for a seed on every engine.

    Args:
        seed: A `SeedGenerator`, which gives one key; an integer; or a key itself.
        batch: The number of images.

    >>> Draws(1, 3).uniform(2.0, 4.0).shape
    (3,)
    """

    def __init__(self, seed: Any, batch: Any) -> None:
        self.batch = batch
        self._first = ops.convert_to_tensor(random.draw_seed(seed))
        self._taken = 0

    def key(self) -> Any:
        """A key for one draw of `cornu.random`, each time another one."""
        taken, self._taken = self._taken, self._taken + 1
        if not taken:
            return self._first
        # Generators count the second word up from 0: 256 high steps stay clear of their next keys.
        step = taken // 256 * 0x9E3779B9 % 2**32, taken % 256 << 24
        return ops.add(self._first, np.array(step, np.uint32))

    def of(self, batch: Any) -> Draws:
        """Draws for another number of images, which go on from here."""
        draws = copy.copy(self)
        draws.batch = batch
        return draws

    def uniform(self, low: Any = 0.0, high: Any = 1.0, *more: int) -> Any:
        """Float32 numbers in [low, high), of shape (batch, *more)."""
        return random.uniform((self.batch, *more), low, high, "float32", seed=self.key())

    def chance(self, low: float, high: float) -> Any:
        """Booleans, (batch,), each True with a probability that is drawn from [low, high)."""
        return self.uniform() < self.uniform(low, high)

    def integers(self, low: int, high: int, *more: int) -> Any:
        """Integers in [low, high), of shape (batch, *more)."""
        return random.randint((self.batch, *more), low, high, seed=self.key())

    def normal(self, *more: Any) -> Any:
        """Standard normal float32 numbers, of shape (batch, *more)."""
        return random.normal((self.batch, *more), dtype="float32", seed=self.key())


class BaseImagePreprocessingLayer(_Preparing):
    """A layer that changes images, and with them their labels, boxes and masks.

    Data are an image, a batch of images, or a dictionary with `images` and some of `labels` or `targets`,
    `segmentation_masks`, and `bounding_boxes`, itself `{"boxes": (batch, boxes, 4), "labels": (batch,
    boxes)}`. Of a single image nothing in the dictionary has a batch axis. Other entries stay as they are.

    A subclass is one to five methods without a case for single images, `training`, dictionaries or
    engines. All get and give batches: images (batch, height, width, channels), or with channels first
    where `self.data_format` says so, in the compute dtype, and what was drawn with an element an image.

        _draw(draws, images)            what an image draws, by name: {"angle": draws.uniform(low, high)}
        _change_images(images, drawn)   the images
        _change_labels(labels, drawn)   the labels, where they change (CutMix, MixUp)
        _change_masks(masks, drawn)     the segmentation masks, where they change
        _change_boxes(boxes, drawn)     the dictionary of boxes, where it changes

    They are written over `cornu.ops` on whole batches, without a loop over images: so a batch is one call
    of the engine, and runs in `fit`, in `tf.data.Dataset.map` and on worker processes alike. `_per_image`
    gives a number an image the shape that broadcasts to the images. Randomness comes from `draws` alone,
    in a fixed order, so that a seed gives the same pictures on every engine. The names of what is drawn
    are those in Keras's `get_random_transformation`. A layer that draws nothing leaves `_draw` out, and
    also works when not in training; one that draws has the argument `seed`.

    Args:
        bounding_box_format: That of the boxes, such as `xyxy` or `rel_xywh`; needed where they change.
        data_format: `channels_last` or `channels_first`; the configured one where it is left out.
    """

    _weightless = True
    seed: Any
    #: Whether integers stay integers, as floats that are rounded; else images become floats.
    _keeps_dtype: ClassVar[bool] = False
    _optional_arguments = frozenset({"bounding_box_format"})

    def __init__(
        self, bounding_box_format: Any = None, data_format: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if self._draws():
            self.generator = random.SeedGenerator(self.seed)

    @classmethod
    def _draws(cls) -> bool:
        """Whether anything is random."""
        return cls._draw is not BaseImagePreprocessingLayer._draw

    # ------------------------------------------------------- what a layer says

    def _draw(self, draws: Draws, images: Any) -> Transformation | None:
        """What is drawn for a batch; None where images stay as they are."""
        raise NotImplementedError

    def _change_images(self, images: Any, drawn: Any) -> Any:
        """A batch of images, changed."""
        return images

    def _change_labels(self, labels: Any, drawn: Any) -> Any:
        """Their labels."""
        return labels

    def _change_masks(self, masks: Any, drawn: Any) -> Any:
        """Their segmentation masks."""
        return masks

    def _change_boxes(self, boxes: Any, drawn: Any) -> Any:
        """Their boxes."""
        return boxes

    # -------------------------------------------------------------- the call

    def call(self, data: Any, training: bool = True) -> Any:
        """The data, changed; in training only where the layer draws something."""
        drawn = self.get_random_transformation(data, training=training)
        if not isinstance(data, dict):
            return self.transform_images(data, drawn, training)
        single = len(_images_of(data).shape) == 3
        if single:
            data = tree.map_structure(lambda x: ops.expand_dims(x, 0), data)
        data = {
            key: getattr(self, _PARTS[key])(value, drawn, training) if key in _PARTS else value
            for key, value in data.items()
        }
        return tree.map_structure(lambda x: ops.squeeze(x, 0), data) if single else data

    def get_random_transformation(self, data: Any, training: bool = True, seed: Any = None) -> Any:
        """What is drawn for an image, or for each of a batch.

        Args:
            data: Images, or a dictionary that has them.
            training: Nothing is drawn where it is False.
            seed: What is drawn from in place of the layer's own generator.

        Returns:
            A dictionary of tensors, (batch,) or (batch, ...), with a batch of one for a single image, and
            of the images' shape as `input_shape`; None where nothing is drawn.
        """
        images = _images_of(data)
        images = images if len(images.shape) == 4 else ops.expand_dims(images, 0)
        shape = ops.shape(images)
        if not self._draws():
            return {"input_shape": shape}
        if not training:
            return None
        drawn = self._draw(Draws(self.generator if seed is None else seed, shape[0]), images)
        return {**drawn, "input_shape": shape} if isinstance(drawn, dict) else drawn

    def transform_images(
        self, images: Any, transformation: Any = None, training: bool = True
    ) -> Any:
        """Images under what was drawn for them: a batch, or one image."""
        images = ops.convert_to_tensor(images)
        dtype = standardize_dtype(images.dtype)
        floats = ops.cast(images, self.compute_dtype)
        changed = self._changed(self._change_images, floats, transformation, training, rank=3)
        if is_float(dtype) or not self._keeps_dtype:
            return ops.cast(changed, self.compute_dtype)  # NumPy makes bfloat16 times 2.0 a float32
        return images if changed is floats else ops.cast(ops.round(changed), dtype)

    def transform_labels(
        self, labels: Any, transformation: Any = None, training: bool = True
    ) -> Any:
        """The labels of a batch under what was drawn for its images."""
        return self._changed(self._change_labels, labels, transformation, training)

    def transform_segmentation_masks(
        self, segmentation_masks: Any, transformation: Any = None, training: bool = True
    ) -> Any:
        """The masks of a batch, (batch, height, width, 1) or (batch, height, width), likewise."""
        return self._changed(self._changed_masks, segmentation_masks, transformation, training)

    def _changed_masks(self, masks: Any, drawn: Any) -> Any:
        if len(masks.shape) != 3:
            return self._change_masks(masks, drawn)
        axis = self._axes[2]
        return ops.squeeze(self._change_masks(ops.expand_dims(masks, axis), drawn), axis)

    def transform_bounding_boxes(
        self, bounding_boxes: Any, transformation: Any = None, training: bool = True
    ) -> Any:
        """The boxes of a batch under what was drawn for its images.

        Raises:
            ValueError: If they change and the layer does not know their format.
        """
        return self._changed(self._change_boxes, bounding_boxes, transformation, training)

    def transform_single_image(self, image: Any, transformation: Any, training: bool = True) -> Any:
        """One image under what was drawn for it."""
        return self._single(self.transform_images, image, transformation, training)

    def transform_single_label(self, label: Any, transformation: Any, training: bool = True) -> Any:
        """The label of one image under what was drawn for it."""
        return self._single(self.transform_labels, label, transformation, training)

    def transform_single_segmentation_mask(
        self, segmentation_mask: Any, transformation: Any, training: bool = True
    ) -> Any:
        """The mask of one image under what was drawn for it."""
        return self._single(
            self.transform_segmentation_masks, segmentation_mask, transformation, training
        )

    def transform_single_bounding_box(
        self, bounding_box: Any, transformation: Any, training: bool = True
    ) -> Any:
        """The boxes of one image under what was drawn for it."""
        return self._single(self.transform_bounding_boxes, bounding_box, transformation, training)

    def _changed(
        self, change: Callable[[Any, Any], Any], x: Any, drawn: Any, training: bool, rank: int = 0
    ) -> Any:
        """A part of the data, changed; `rank` is that of a single one, which may come without a batch."""
        if self._draws() and (drawn is None or not training):
            return x
        if rank and len(x.shape) == rank:
            return ops.squeeze(change(ops.expand_dims(x, 0), drawn), 0)
        return change(x, drawn)

    def _single(self, transform: Callable[..., Any], x: Any, drawn: Any, training: bool) -> Any:
        x = tree.map_structure(lambda part: ops.expand_dims(part, 0), x)
        return tree.map_structure(lambda part: ops.squeeze(part, 0), transform(x, drawn, training))

    # --------------------------------------------------------------- helpers

    @property
    def _axes(self) -> tuple[int, int, int]:
        """The axes of height, width and channels in a batch."""
        return (2, 3, 1) if self.data_format == "channels_first" else (1, 2, 3)

    def _sizes(self, images: Any) -> tuple[Any, Any]:
        """Height and width of a batch: integers, or tensors where the library is tracing unknown ones."""
        shape = ops.shape(images)
        return shape[self._axes[0]], shape[self._axes[1]]

    @staticmethod
    def _per_image(x: Any, images: Any) -> Any:
        """A number an image, (batch,), in the images' dtype and a shape that broadcasts to them."""
        return ops.cast(over(x, len(images.shape)), images.dtype)


def over(x: Any, rank: int = 4) -> Any:
    """What was drawn once an image, (batch,), with axes of size 1 up to a rank, to broadcast to images."""
    return ops.reshape(x, (-1, *(1,) * (rank - 1)))


#: What each entry of a dictionary goes through.
_PARTS = {
    "images": "transform_images",
    "labels": "transform_labels",
    "targets": "transform_labels",
    "bounding_boxes": "transform_bounding_boxes",
    "segmentation_masks": "transform_segmentation_masks",
}


def _images_of(data: Any) -> Any:
    """The images in data."""
    if not isinstance(data, dict):
        return data
    if "images" not in data:
        raise ValueError(
            "A dictionary of data must have its images under `images`. Received: keys="
            f"{sorted(data)}. Name the others {sorted(set(_PARTS) - {'images'})}."
        )
    return data["images"]


def interval(
    name: str, value: Any, low: float, high: float, symmetric: bool = True
) -> tuple[float, float]:
    """The ends of what is drawn, from an argument of a constructor.

    Args:
        name: The argument's name.
        value: Two numbers, or one: the end, whose beginning is its negative, or 0 where that is no factor.
        low, high: Where both must lie.
        symmetric: Whether one number means from its negative.

    Raises:
        ValueError: If they don't, or it is something else.

    >>> interval("factor", 0.2, -1, 1), interval("factor", (0.5, 0.1), 0, 1)
    ((-0.2, 0.2), (0.1, 0.5))
    """
    ends = listed(value)
    if ends is None and is_number(value) and low <= value <= high:
        ends = (max(-abs(value), low) if symmetric else 0.0, abs(value))
    numbers = ends is not None and len(ends) == 2 and all(map(is_number, ends))
    if ends is None or not numbers or min(ends) < low or max(ends) > high:
        raise ValueError(
            f"`{name}` must be a number or two numbers, from {low} to {high}. "
            f"Received: {name}={value!r}."
        )
    return min(ends), max(ends)
