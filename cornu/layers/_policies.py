"""Policies: layers that put each image through a few operations, which it draws for itself."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from .. import ops
from ..core import tree
from ..core.checks import is_number, is_size, one_of, positive_integer
from ..core.dtypes import result_type
from ..engines import current
from ._augmentation import BaseImagePreprocessingLayer, Draws, over
from ._colour import (
    AutoContrast,
    Coloured,
    Equalization,
    RandomBrightness,
    RandomColorDegeneration,
    RandomContrast,
    RandomPosterization,
    RandomSharpness,
    Solarization,
)
from ._geometry import RandomRotation, RandomShear, RandomTranslation
from ._mixing import beta, log_gamma


class _Policy(Coloured):
    """A layer that chooses among operations for each image."""

    def _make(self, interpolation: str, seed: Any, lights: bool = True) -> None:
        """Make the operations, as strong as the factor says, with or without those of brightness and sharpness."""
        one_of(("nearest", "bilinear"), interpolation=interpolation)
        common = {"data_format": self.data_format, "dtype": self.dtype_policy}
        boxes = {"bounding_box_format": getattr(self, "bounding_box_format", None)}
        colours = {**common, "value_range": self.value_range}
        drawn = {"seed": seed, **colours}
        moved = {"seed": seed, "interpolation": interpolation, **common, **boxes}
        ends = self.factor
        operations: dict[str, BaseImagePreprocessingLayer] = {
            "random_shear": RandomShear(ends, ends, **moved),
            "random_translation": RandomTranslation(ends, ends, **moved),
            "random_rotation": RandomRotation(ends, **moved),
        }
        if lights:
            operations |= {
                "random_brightness": RandomBrightness(ends, **drawn),
                "random_color_degeneration": RandomColorDegeneration(ends, **drawn),
                "random_contrast": RandomContrast(ends, **drawn),
                "random_sharpness": RandomSharpness(ends, **drawn),
            }
        self._operations = operations | {
            "random_posterization": RandomPosterization((1, max(1, int(8 * ends[1]))), **drawn),
            "solarization": Solarization(ends, ends, **drawn),
            "auto_contrast": AutoContrast(**colours),
            "equalization": Equalization(**colours),
        }

    def _drawn_for_all(self, draws: Draws, images: Any) -> Any:
        """What each operation draws for each image, by its name."""
        made = self._operations.items()
        return {name: op._draw(draws, images) for name, op in made if op._draws()}

    def _changed_by(self, which: Any, images: Any, drawn: Any) -> Any:
        """Each image changed by the operation of its own; as it is where that is beyond the last one.

        Args:
            which: Indices of operations, (batch,).
            images: A batch.
            drawn: What each operation draws for each image.

        Where values are known, each image is changed once, in groups of one operation and of one size: an
        engine compiles for few shapes. In a function that is traced sizes must be known. There a CPU takes
        the images one by one (32 of 224 x 224 through `RandAugment`: in a fifth of the time on JAX, a tenth
        on TensorFlow); on a GPU, which is fast at much at once, all operations see all images.
        """
        engine = current()
        is_traced = engine.is_traced(which) or engine.is_traced(images)
        if not engine.computes or (is_traced and engine.is_far):
            return self._seen_by_all("images", which, images, drawn)
        if is_traced:
            return self._one_by_one(which, images, drawn)
        chosen, count = ops.convert_to_numpy(which), len(self._operations)
        # About as many as choose an operation, a power of two, so that batches of any size have few.
        size = 1 << max(0, (len(chosen) // count).bit_length() - 1)
        order, parts = np.arange(len(chosen)), [images]
        for at, (name, operation) in enumerate(self._operations.items()):
            own = drawn.get(name, {})
            for group in _groups(np.flatnonzero(chosen == at), size):
                x, numbers = _taken((images, own), group)
                order[group] = len(chosen) + size * (len(parts) - 1) + np.arange(size)
                parts.append(operation._change_images(x, numbers))
        # As many parts as there can be: joining them is compiled once, too.
        most = (len(chosen) + count * (size - 1)) // size
        parts += [parts[-1]] * (most + 1 - len(parts)) if len(parts) > 1 else []
        return _taken(ops.concatenate(parts), order)

    def _one_by_one(self, which: Any, images: Any, drawn: Any) -> Any:
        dtype = result_type(images.dtype, float)

        def branch(name: str, image: Any, numbers: Any) -> Any:
            batch, own = tree.map_structure(lambda x: x[None], (image, numbers.get(name, {})))
            return ops.cast(self._operations[name]._change_images(batch, own)[0], dtype)

        def changed(given: Any) -> Any:
            at, image, numbers = given
            changes = [functools.partial(branch, name) for name in self._operations]
            return ops.switch(at, [*changes, lambda x, _: ops.cast(x, dtype)], image, numbers)

        return ops.map(changed, (which, images, drawn))

    def _seen_by_all(self, part: str, which: Any, x: Any, drawn: Any) -> Any:
        """A part of the data, images, masks or boxes, changed by all operations, of which each image has its own."""
        result = x
        for at, (name, operation) in enumerate(self._operations.items()):
            changed = getattr(operation, f"_change_{part}")(x, drawn.get(name))
            if changed is not x:
                result = tree.map_structure(functools.partial(_where, which == at), changed, result)
        return result


def _where(chosen: Any, changed: Any, x: Any) -> Any:
    return ops.where(over(chosen, len(x.shape)), changed, x)


def _groups(places: Any, size: int) -> list[Any]:
    """Places in groups of one size, the last one filled up with its own."""
    return [np.resize(places[at : at + size], size) for at in range(0, len(places), size)]


def _taken(structure: Any, places: Any) -> Any:
    places = places.astype("int32")
    return tree.map_structure(lambda x: ops.take(x, places, axis=0), structure)


class RandAugment(_Policy):
    """Each image changed by a few operations, drawn for it: moved, turned, recoloured.

    Source: E. Cubuk et al., RandAugment (2020).

    Args:
        value_range: The range of the images' values.
        num_ops: How many operations, each another one.
        factor: How strong they are: two numbers from 0 to 1; one means from 0.
        interpolation: `nearest` or `bilinear`, where pixels move.
        seed: An integer for the same pictures each time.
        data_format: `channels_last` or `channels_first`.

    >>> import numpy as np
    >>> RandAugment(seed=1)(np.ones((2, 8, 8, 3))).shape
    (2, 8, 8, 3)
    """

    def __init__(
        self,
        value_range: Any = (0, 255),
        num_ops: int = 2,
        factor: Any = 0.5,
        interpolation: str = "bilinear",
        seed: Any = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format=data_format, **kwargs)
        self._make(interpolation, seed)
        if not is_size(num_ops, 0) or num_ops > len(self._operations):
            raise ValueError(
                f"`num_ops` must be from 0 to {len(self._operations)}. Received: num_ops={num_ops!r}."
            )

    def _draw(self, draws: Draws, images: Any) -> Any:
        order = ops.argsort(draws.uniform(0.0, 1.0, len(self._operations)), axis=1)
        return {
            "transforms": self._drawn_for_all(draws, images),
            "layer_idxes": order[:, : self.num_ops],
        }

    def _change_images(self, images: Any, drawn: Any) -> Any:
        for turn in range(self.num_ops):
            images = self._changed_by(drawn["layer_idxes"][:, turn], images, drawn["transforms"])
        return images

    def _change_masks(self, masks: Any, drawn: Any) -> Any:
        return self._moved("masks", ops.convert_to_tensor(masks), drawn)

    def _change_boxes(self, boxes: Any, drawn: Any) -> Any:
        return self._moved("boxes", tree.map_structure(ops.convert_to_tensor, boxes), drawn)

    def _moved(self, part: str, x: Any, drawn: Any) -> Any:
        """Masks or boxes, which go where the pixels do."""
        size = {"input_shape": drawn["input_shape"]}
        transforms = {name: {**own, **size} for name, own in drawn["transforms"].items()}
        for turn in range(self.num_ops):
            x = self._seen_by_all(part, drawn["layer_idxes"][:, turn], x, transforms)
        return x


class AugMix(_Policy):
    """Each image mixed with pictures of itself that went through chains of operations.

    Source: D. Hendrycks et al., AugMix (2020).

    Args:
        value_range: The range of the images' values.
        num_chains: How many pictures are mixed.
        chain_depth: The most operations of a chain; how many is drawn, from 1.
        factor: How strong they are: two numbers from 0 to 1; one means from 0.
        alpha: The parameter of the distributions, Dirichlet's and beta, that the weights are from.
        all_ops: Whether brightness, colours, contrast and sharpness change, too.
        interpolation: `nearest` or `bilinear`, where pixels move.
        seed: An integer for the same pictures each time.
        data_format: `channels_last` or `channels_first`.

    >>> import numpy as np
    >>> AugMix(seed=1)(np.ones((2, 8, 8, 3))).shape
    (2, 8, 8, 3)
    """

    def __init__(
        self,
        value_range: Any = (0, 255),
        num_chains: int = 3,
        chain_depth: int = 3,
        factor: Any = 0.3,
        alpha: float = 1.0,
        all_ops: bool = True,
        interpolation: str = "bilinear",
        seed: Any = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format=data_format, **kwargs)
        positive_integer(num_chains=num_chains, chain_depth=chain_depth)
        if not is_number(alpha) or alpha <= 0:
            raise ValueError(f"`alpha` must be a positive number. Received: alpha={alpha!r}.")
        self._make(interpolation, seed, lights=all_ops)

    def _draw(self, draws: Draws, images: Any) -> Any:
        chains, depth, count = self.num_chains, self.chain_depth, len(self._operations)
        which = draws.integers(0, count, chains, depth)
        length = draws.integers(1, depth + 1, chains, 1)
        weights = ops.softmax(log_gamma(draws, self.alpha, chains), axis=-1)
        sample = beta(draws, self.alpha)
        each = draws.of(draws.batch * chains)
        return {
            "chain_mixing_weights": weights,
            "weight_sample": sample,
            # Beyond a chain's length an image stays as it is.
            "chain_layers": ops.where(ops.arange(depth) < length, which, count),
            "chain_transforms": [self._drawn_for_all(each, images) for _ in range(depth)],
        }

    def _change_images(self, images: Any, drawn: Any) -> Any:
        # All chains of all images are one batch.
        chains, shape = self.num_chains, ops.shape(images)[1:]
        x = ops.repeat(images, chains, axis=0)
        for turn, transforms in enumerate(drawn["chain_transforms"]):
            which = ops.reshape(drawn["chain_layers"][:, :, turn], (-1,))
            x = self._changed_by(which, x, transforms)
        weights = ops.reshape(drawn["chain_mixing_weights"], (-1, chains, 1, 1, 1))
        x = ops.reshape(x, (-1, chains, *shape))
        mixed = ops.sum(x * ops.cast(weights, x.dtype), axis=1)
        weight = self._per_image(drawn["weight_sample"], images)
        return self._clipped(images * weight + mixed * (1 - weight))
