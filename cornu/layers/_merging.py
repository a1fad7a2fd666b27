"""Layers that take several inputs and give one."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ClassVar

from .. import ops
from ..core.masks import get_keras_mask
from ._layer import Layer


class Merge(Layer):
    """Inputs of one shape, up to broadcasting, made into one, element by element."""

    _supports_masking = True

    #: How many inputs there are, at least, and at the most where there is a limit.
    _least = 2
    _most: int | None = None
    #: What makes two inputs one.
    _pairwise: ClassVar[Callable[..., Any]]

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)

    def build(self, input_shape: Any) -> None:
        """Check that there are several inputs that go together."""
        self._check_count(input_shape)
        batches = {shape[0] for shape in input_shape if shape and shape[0] is not None}
        if len(batches) > 1:
            raise ValueError(
                "Inputs that are merged must have one batch size. Received: "
                f"shapes {[tuple(shape) for shape in input_shape]} in the layer {self.path!r}."
            )

    def _check_count(self, input_shape: Any) -> None:
        several = isinstance(input_shape, (list, tuple)) and all(
            isinstance(shape, (list, tuple)) for shape in input_shape
        )
        if not several or not self._least <= len(input_shape) <= (self._most or len(input_shape)):
            wanted = self._most or f"at least {self._least}"
            raise ValueError(
                f"{type(self).__name__} takes a list of {wanted} tensors. Received: "
                f"input_shape={input_shape} in the layer {self.path!r}."
            )

    def call(self, inputs: Any) -> Any:
        """The inputs as one."""
        if not isinstance(inputs, (list, tuple)):
            raise ValueError(
                f"{type(self).__name__} takes a list of tensors. Received: inputs={inputs!r}."
            )
        return self._merged(_same_rank(list(inputs)))

    def _merged(self, inputs: list[Any]) -> Any:
        return functools.reduce(type(self)._pairwise, inputs)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """Kept where some input keeps; nothing is masked where an input has no mask."""
        if not isinstance(mask, (list, tuple)) or any(m is None for m in mask):
            return None
        return functools.reduce(ops.logical_or, mask)


def _same_rank(inputs: list[Any]) -> list[Any]:
    """Inputs with axes of size 1 put in after the batch where the rank is lower."""
    rank = max(len(x.shape) for x in inputs)
    raised = []
    for x in inputs:
        for _ in range(rank - len(x.shape)):
            x = ops.expand_dims(x, 1)
        raised.append(x)
    return raised


def _like(mask: Any, x: Any) -> Any:
    """A mask (batch, time) with the rank of x."""
    while len(mask.shape) < len(x.shape):
        mask = ops.expand_dims(mask, -1)
    return mask


class Add(Merge):
    """The sum of the inputs.

    >>> import numpy as np
    >>> Add()([np.ones(2), np.ones(2)]).tolist()
    [2.0, 2.0]
    """

    _pairwise = staticmethod(ops.add)


class Subtract(Merge):
    """The first input less the second."""

    _most = 2
    _pairwise = staticmethod(ops.subtract)


class Multiply(Merge):
    """The product of the inputs: a masked step counts as 1, one masked in all of them as 0."""

    def call(self, inputs: Any) -> Any:
        """The inputs as one."""
        if not isinstance(inputs, (list, tuple)):
            return super().call(inputs)
        masks = [get_keras_mask(x) for x in inputs]
        factors = [
            x if mask is None else ops.where(_like(mask, x), x, ops.ones_like(x))
            for x, mask in zip(inputs, masks, strict=True)
        ]
        product = super().call(factors)
        if any(mask is None for mask in masks):
            return product
        kept = functools.reduce(ops.logical_or, masks)
        return ops.where(_like(kept, product), product, ops.zeros_like(product))

    _pairwise = staticmethod(ops.multiply)


class Average(Merge):
    """The mean of the inputs."""

    _pairwise = staticmethod(ops.add)

    def _merged(self, inputs: list[Any]) -> Any:
        return ops.divide(super()._merged(inputs), len(inputs))


class Maximum(Merge):
    """The largest of the inputs."""

    _pairwise = staticmethod(ops.maximum)


class Minimum(Merge):
    """The smallest of the inputs."""

    _pairwise = staticmethod(ops.minimum)


class Concatenate(Merge):
    """The inputs, joined along an axis.

    Args:
        axis: The axis.

    >>> import numpy as np
    >>> Concatenate()([np.ones((2, 3)), np.ones((2, 1))]).shape
    (2, 4)
    """

    _least = 1

    def __init__(self, axis: int = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)

    def build(self, input_shape: Any) -> None:
        """Check that the inputs go together."""
        self._check_count(input_shape)
        ranks = {len(shape) for shape in input_shape}
        axis = self.axis
        others = [
            [size for i, size in enumerate(shape) if i != axis % len(shape)]
            for shape in input_shape
        ]
        fits = len(ranks) == 1 and all(
            len({size for size in sizes if size is not None}) <= 1
            for sizes in zip(*others, strict=False)
        )
        if not fits:
            raise ValueError(
                "Tensors that are concatenated must have equal shapes apart from the axis. Received: "
                f"shapes {[tuple(shape) for shape in input_shape]}, axis={axis} in {self.path!r}."
            )

    def _merged(self, inputs: list[Any]) -> Any:
        return ops.concatenate(inputs, axis=self.axis)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """The masks, joined as the inputs are."""
        if not isinstance(mask, (list, tuple)) or all(m is None for m in mask):
            return None
        kept = [ops.ones_like(x, dtype="bool") for x in inputs]
        masks = [
            all_kept if own is None else ops.logical_and(all_kept, _like(own, x))
            for x, own, all_kept in zip(inputs, mask, kept, strict=True)
        ]
        return ops.any(ops.concatenate(masks, axis=self.axis), axis=-1)


class Dot(Merge):
    """Products of two inputs, summed over an axis of each, sample by sample.

    Args:
        axes: The axis, or one for each input; the batch is axis 0.
        normalize: Whether inputs are scaled to length 1 first, for the cosine.

    >>> import numpy as np
    >>> Dot(axes=2)([np.ones((1, 2, 3)), np.ones((1, 4, 3))]).shape
    (1, 2, 4)
    """

    _most = 2

    def __init__(self, axes: Any, normalize: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not isinstance(axes, int) and (
            not isinstance(axes, (list, tuple))
            or len(axes) != 2
            or not all(isinstance(axis, int) for axis in axes)
        ):
            raise ValueError(f"`axes` must be an integer or two. Received: axes={axes!r}.")

    def build(self, input_shape: Any) -> None:
        """Check that the two axes have one size."""
        self._check_count(input_shape)
        sizes = [shape[axis] for shape, axis in zip(input_shape, self._pair(), strict=True)]
        if None not in sizes and sizes[0] != sizes[1]:
            raise ValueError(
                "The axes of a dot product must have one size. Received: "
                f"shapes {[tuple(shape) for shape in input_shape]}, axes={self.axes} in {self.path!r}."
            )

    def _pair(self) -> tuple[int, int]:
        return (self.axes, self.axes) if isinstance(self.axes, int) else tuple(self.axes)

    def call(self, inputs: Any) -> Any:
        """The products, summed."""
        x, y = inputs
        first, second = (axis % len(t.shape) for axis, t in zip(self._pair(), (x, y), strict=True))
        if self.normalize:
            x, y = ops.normalize(x, axis=first), ops.normalize(y, axis=second)
        letters = iter("bcdefghijklm")
        left = [
            "a" if i == 0 else "z" if i == first else next(letters) for i in range(len(x.shape))
        ]
        right = [
            "a" if i == 0 else "z" if i == second else next(letters) for i in range(len(y.shape))
        ]
        result = [c for c in left if c != "z"] + [c for c in right if c not in "az"]
        product = ops.einsum(f"{''.join(left)},{''.join(right)}->{''.join(result)}", x, y)
        return product if len(result) > 1 else ops.expand_dims(product, 1)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """What is summed has no mask."""
        return None


def _function(layer: type[Merge]) -> Any:
    def merge(inputs: Any, **kwargs: Any) -> Any:
        return layer(**kwargs)(inputs)

    merge.__name__ = merge.__qualname__ = layer.__name__.lower()
    merge.__doc__ = f"`{layer.__name__}` as a function of the inputs."
    return merge


add, subtract, multiply, average = (_function(c) for c in (Add, Subtract, Multiply, Average))
maximum, minimum = (_function(c) for c in (Maximum, Minimum))


def concatenate(inputs: Any, axis: int = -1, **kwargs: Any) -> Any:
    """`Concatenate` as a function of the inputs."""
    return Concatenate(axis=axis, **kwargs)(inputs)


def dot(inputs: Any, axes: Any = -1, **kwargs: Any) -> Any:
    """`Dot` as a function of the inputs."""
    return Dot(axes=axes, **kwargs)(inputs)
