"""Layers that move, repeat, pad, crop or enlarge, and compute nothing."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np

from .. import ops
from ..core.checks import is_size, listed, one_of, per_axis
from ..core.keras_tensor import KerasTensor
from ._convolution import say_defaults_per_axis
from ._input_spec import InputSpec
from ._layer import Layer


class Flatten(Layer):
    """Each sample as one vector.

    Args:
        data_format: `channels_last`, or `channels_first`, whose channels are moved last first.

    >>> import numpy as np
    >>> Flatten()(np.ones((2, 3, 4))).shape
    (2, 12)
    """

    def __init__(self, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.input_spec = InputSpec(min_ndim=1)

    def call(self, inputs: Any) -> Any:
        """The inputs, of shape (batch, elements)."""
        rank = len(inputs.shape)
        if self.data_format == "channels_first" and rank > 2:
            inputs = ops.transpose(inputs, (0, *range(2, rank), 1))
        sizes = inputs.shape[1:]
        if None in sizes:
            return ops.reshape(inputs, (ops.shape(inputs)[0], -1))
        return ops.reshape(inputs, (-1, math.prod(sizes)))


class Reshape(Layer):
    """Each sample in another shape.

    Args:
        target_shape: The shape without the batch; one dimension may be -1.

    >>> import numpy as np
    >>> Reshape((2, -1))(np.ones((3, 8))).shape
    (3, 2, 4)
    """

    _weightless = True

    def __init__(self, target_shape: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        given = listed(target_shape)
        shape = (target_shape,) if given is None else given
        sizes = tuple(-1 if size is None else size for size in shape)
        if sizes.count(-1) > 1 or not all(size == -1 or is_size(size, 0) for size in sizes):
            raise ValueError(
                "`target_shape` must have a size for each axis, of which one may be -1. Received: "
                f"target_shape={target_shape!r}."
            )
        self.target_shape = tuple(map(int, sizes))

    def call(self, inputs: Any) -> Any:
        """The inputs, of shape (batch, *target_shape)."""
        return ops.reshape(inputs, (ops.shape(inputs)[0], *self._known_shape(inputs.shape[1:])))

    def _known_shape(self, sizes: Any) -> tuple[int, ...]:
        """The target with -1 worked out where the sample's size is known."""
        if None in sizes:
            return self.target_shape
        given, total = math.prod(s for s in self.target_shape if s != -1), math.prod(sizes)
        fits = given and total % given == 0 if -1 in self.target_shape else total == given
        if not fits:
            raise ValueError(
                "A reshape keeps the number of elements. Received: "
                f"target_shape={self.target_shape} for samples of shape {tuple(sizes)} in the layer "
                f"{self.path!r}."
            )
        return tuple(total // given if s == -1 else s for s in self.target_shape)


class Permute(Layer):
    """The axes of each sample in another order.

    Args:
        dims: The order, counted from 1 without the batch: `(2, 1)` swaps two axes.

    >>> import numpy as np
    >>> Permute((2, 1))(np.ones((5, 10, 64))).shape
    (5, 64, 10)
    """

    def __init__(self, dims: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dims = tuple(dims)
        if sorted(self.dims) != list(range(1, len(self.dims) + 1)):
            raise ValueError(
                f"`dims` must have each of 1 to {len(self.dims)} once. Received: dims={dims}."
            )
        self.input_spec = InputSpec(ndim=len(self.dims) + 1)

    def call(self, inputs: Any) -> Any:
        """The inputs with axes permuted."""
        return ops.transpose(inputs, (0, *self.dims))


class RepeatVector(Layer):
    """Each vector n times, as a sequence.

    Args:
        n: How often.

    >>> import numpy as np
    >>> RepeatVector(3)(np.ones((2, 4))).shape
    (2, 3, 4)
    """

    def __init__(self, n: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not isinstance(n, (int, np.integer)):
            raise TypeError(f"`n` must be an integer. Received: n={n!r} (of {type(n).__name__}).")
        self.n = per_axis(n, 1, "n")[0]
        self.input_spec = InputSpec(ndim=2)

    def call(self, inputs: Any) -> Any:
        """The inputs, of shape (batch, n, features)."""
        return ops.repeat(ops.expand_dims(inputs, 1), self.n, axis=1)


def pairs_per_axis(value: Any, rank: int, name: str) -> tuple[tuple[int, int], ...]:
    """A pair (before, after) for each spatial axis, from a number, numbers or pairs."""
    given = listed(value)
    values = (value,) * rank if given is None else given
    if rank == 1 and len(values) == 2:
        values = (values,)
    pairs = [listed(v) or (v, v) for v in values]
    fits = all(len(pair) == 2 and all(is_size(v, 0) for v in pair) for pair in pairs)
    if len(pairs) != rank or not fits:
        several = "or a pair" if rank == 1 else f"{rank} integers or {rank} pairs"
        raise ValueError(
            f"`{name}` must be an integer, {several}, none negative. Received: {name}={value!r}."
        )
    return tuple((int(low), int(high)) for low, high in pairs)


class _Spatial(Layer):
    """What the layers below share: the rank of the space and the layout."""

    rank: ClassVar[int]

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.input_spec = InputSpec(ndim=self.rank + 2)

    def _with_space(self, per_axis: Any, other: Any) -> tuple[Any, ...]:
        """Something for each axis: for the batch, the space and the channels."""
        if self.data_format == "channels_first":
            return (other, other, *per_axis)
        return (other, *per_axis, other)


class _ZeroPadding(_Spatial):
    """Zeros around the space.

    Args:
        padding: How many: a number, one for each axis, or a pair (before, after) for each.
        data_format: `channels_last` or `channels_first`.
    """

    def __init__(self, padding: Any = 1, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._pairs = pairs_per_axis(padding, self.rank, "padding")
        self.padding: Any = self._pairs[0] if self.rank == 1 else self._pairs

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        rank = vars(cls).get("rank", 1)
        say_defaults_per_axis(cls, padding=((1, 1),) * 3 if rank == 3 else (1, 1))

    def call(self, inputs: Any) -> Any:
        """The inputs with zeros around them."""
        return ops.pad(inputs, self._with_space(self._pairs, (0, 0)))


class ZeroPadding1D(_ZeroPadding):
    """Zeros before and after a sequence; arguments as in `ZeroPadding2D`."""

    rank = 1


class ZeroPadding2D(_ZeroPadding):
    """Zeros around an image.

    Args:
        padding: How many: a number, one for each axis, or a pair (before, after) for each.
        data_format: `channels_last` or `channels_first`.

    >>> import numpy as np
    >>> ZeroPadding2D(((1, 0), (0, 2)))(np.ones((1, 2, 2, 3))).shape
    (1, 3, 4, 3)
    """

    rank = 2


class ZeroPadding3D(_ZeroPadding):
    """Zeros around a volume; arguments as in `ZeroPadding2D`."""

    rank = 3


class _Cropping(_Spatial):
    """The edges of the space cut off."""

    data_format = "channels_last"
    cropping: Any

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._pairs = pairs_per_axis(self.cropping, self.rank, "cropping")
        self.cropping = self._pairs[0] if self.rank == 1 else self._pairs

    def call(self, inputs: Any) -> Any:
        """The inputs without their edges."""
        key = tuple(slice(low, -high if high else None) for low, high in self._pairs)
        for (low, high), size in zip(self._pairs, self._space(inputs.shape), strict=True):
            if size is not None and low + high >= size:
                raise ValueError(
                    "Cropping must leave something. Received: "
                    f"cropping={self.cropping} for inputs of shape {tuple(inputs.shape)} in the "
                    f"layer {self.path!r}."
                )
        return inputs[self._with_space(key, slice(None))]

    def _space(self, shape: Any) -> Any:
        return shape[2:] if self.data_format == "channels_first" else shape[1:-1]


class Cropping1D(_Cropping):
    """Steps cut off a sequence (batch, time, features).

    Args:
        cropping: How many: a number, or a pair (before, after).
    """

    rank = 1

    def __init__(self, cropping: Any = (1, 1), **kwargs: Any) -> None:
        super().__init__(**kwargs)


class Cropping2D(_Cropping):
    """The edges of an image cut off.

    Args:
        cropping: How many: a number, one for each axis, or a pair (before, after) for each.
        data_format: `channels_last` or `channels_first`.

    >>> import numpy as np
    >>> Cropping2D(1)(np.ones((1, 5, 6, 3))).shape
    (1, 3, 4, 3)
    """

    rank = 2

    def __init__(
        self, cropping: Any = ((0, 0), (0, 0)), data_format: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)


class Cropping3D(_Cropping):
    """The edges of a volume cut off; arguments as in `Cropping2D`."""

    rank = 3

    def __init__(
        self,
        cropping: Any = ((1, 1), (1, 1), (1, 1)),
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)


class UpSampling1D(Layer):
    """Each step of a sequence several times.

    Args:
        size: How often.
    """

    def __init__(self, size: int = 2, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.size = per_axis(size, 1, "size")[0]
        self.input_spec = InputSpec(ndim=3)

    def call(self, inputs: Any) -> Any:
        """The inputs with steps repeated."""
        return ops.repeat(inputs, self.size, axis=1)


class UpSampling2D(_Spatial):
    """An image enlarged.

    Args:
        size: The factors of height and width.
        data_format: `channels_last` or `channels_first`.
        interpolation: `nearest`, `bilinear`, `bicubic`, `lanczos3` or `lanczos5`.

    >>> import numpy as np
    >>> UpSampling2D((2, 3))(np.ones((1, 2, 2, 1))).shape
    (1, 4, 6, 1)
    """

    rank = 2

    def __init__(
        self,
        size: Any = (2, 2),
        data_format: str | None = None,
        interpolation: str = "nearest",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.size = per_axis(size, 2, "size")
        self.interpolation = interpolation.lower()
        known = ("nearest", "bilinear", "bicubic", "lanczos3", "lanczos5")
        one_of(known, interpolation=self.interpolation)

    def call(self, inputs: Any) -> Any:
        """The enlarged images."""
        rows, columns = (1, 2) if self.data_format == "channels_last" else (2, 3)
        if self.interpolation == "nearest":
            inputs = ops.repeat(inputs, self.size[0], axis=rows)
            return ops.repeat(inputs, self.size[1], axis=columns)
        shape = ops.shape(inputs)
        if isinstance(inputs, KerasTensor) and None in (inputs.shape[rows], inputs.shape[columns]):
            resized = list(inputs.dims)
            resized[rows] = resized[rows] * self.size[0]
            resized[columns] = resized[columns] * self.size[1]
            return KerasTensor(resized, inputs.dtype)
        size = (shape[rows] * self.size[0], shape[columns] * self.size[1])
        return ops.image.resize(
            inputs, size, interpolation=self.interpolation, data_format=self.data_format
        )


class UpSampling3D(_Spatial):
    """A volume enlarged by repetition.

    Args:
        size: The factors of the three axes.
        data_format: `channels_last` or `channels_first`.
    """

    rank = 3

    def __init__(
        self, size: Any = (2, 2, 2), data_format: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.size = per_axis(size, 3, "size")

    def call(self, inputs: Any) -> Any:
        """The enlarged volumes."""
        first = 1 if self.data_format == "channels_last" else 2
        for axis, factor in enumerate(self.size, start=first):
            inputs = ops.repeat(inputs, factor, axis=axis)
        return inputs
