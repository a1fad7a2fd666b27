"""The weights that a method is for, and what it needs to know of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from .. import layers, ops
from ..core.dtypes import is_float
from ..core.transforms import Operand, Transform
from ..core.variable import Variable

_NORMALIZATIONS = (
    layers.BatchNormalization,
    layers.GroupNormalization,
    layers.LayerNormalization,
    layers.RMSNormalization,
)
_TRANSPOSED = (layers.Conv1DTranspose, layers.Conv2DTranspose, layers.Conv3DTranspose)


def kernels(target: layers.Layer) -> list[tuple[layers.Layer, Variable]]:
    """The weights of a built model or layer that are worth making smaller, each with the layer that owns it.

    They are the floats of two axes and more that were made to be trained, of whatever layer, also where they are
    frozen; biases, weights of normalizations and parts of transforms are not among them.

    >>> from cornu import Input, Sequential
    >>> model = Sequential([Input((4,)), layers.Dense(3), layers.LayerNormalization(), layers.Dense(2)])
    >>> [variable.path for _, variable in kernels(model)]
    ['sequential/dense/kernel', 'sequential/dense_1/kernel']
    """
    found: dict[int, tuple[layers.Layer, Variable]] = {}
    for layer in target._flatten_layers():
        if isinstance(layer, _NORMALIZATIONS):
            continue
        parts = {id(part) for _, chain in layer.transforms for part in chain.parts.values()}
        for variable in layer._owned("variables"):
            counts = variable.ndim > 1 and is_float(variable.stored_dtype)
            made_to_train = variable not in layer._tracker.untrained and id(variable) not in parts
            if counts and made_to_train and "bias" not in variable.name:
                found.setdefault(id(variable), (layer, variable))
    return list(found.values())


def channel_axes(layer: Any, variable: Variable) -> tuple[int, ...]:
    """The axes of a kernel that its layer's output channels lie along; of a table of vectors, that of its rows.

    >>> layer = layers.DepthwiseConv2D(3)
    >>> layer.build((None, 8, 8, 2))
    >>> channel_axes(layer, layer.kernel)
    (2, 3)
    """
    rank = variable.ndim
    if variable.name == "embeddings":
        return (0,)
    if isinstance(layer, _TRANSPOSED):
        return (rank - 2,)
    if isinstance(layer, layers.EinsumDense):
        kernel, output = layer.equation.split(",")[1].split("->")
        return tuple(axis for axis, letter in enumerate(kernel) if letter in output)
    depthwise = isinstance(layer, (layers.DepthwiseConv1D, layers.DepthwiseConv2D))
    if depthwise or variable.name == "depthwise_kernel":
        return (rank - 2, rank - 1)
    return (rank - 1,)


class Rows:
    """A tensor as rows, one for each place along some axes, and back.

    Args:
        shape: The tensor's shape.
        axes: The axes, ascending; one row has all of it where there are none.

    >>> import numpy as np
    >>> rows = Rows((2, 3), (1,))
    >>> rows.of(np.array([[1, 2, 3], [4, 5, 6]])).tolist()
    [[1, 4], [2, 5], [3, 6]]
    >>> rows.back(np.array([[1, 4], [2, 5], [3, 6]])).tolist()
    [[1, 2, 3], [4, 5, 6]]
    """

    def __init__(self, shape: tuple[int, ...], axes: tuple[int, ...]) -> None:
        rest = [axis for axis in range(len(shape)) if axis not in axes]
        self._order = [*axes, *rest]
        self._inner = [shape[axis] for axis in self._order]
        self.count = math.prod(shape[axis] for axis in axes)

    def of(self, x: Any) -> Any:
        """The rows `(count, size)`."""
        return ops.reshape(ops.transpose(x, self._order), (self.count, -1))

    def back(self, rows: Any) -> Any:
        """The tensor."""
        places = [self._order.index(axis) for axis in range(len(self._order))]
        return ops.transpose(ops.reshape(rows, self._inner), places)


def when_built(layer: layers.Layer, act: Callable[[Any], Any]) -> None:
    """Do something with a layer: now, or once it is built."""
    if layer.built:
        act(layer)
    else:
        object.__setattr__(layer, "_once_built", (*layer._once_built, act))


def read(variable: Variable, order: int) -> Any:
    """What a variable reads as behind its transforms of up to an order."""
    depth = sum(transform.order <= order for transform in variable.transforms)
    return Operand(variable, depth).value()


def strip(target: layers.Layer, kind: type[Transform]) -> None:
    """Store what layers read behind transforms of a kind, and take off these and those before them; those of what
    passes through a layer are taken off."""
    for layer in target._flatten_layers():
        for variable in list(layer._owned("variables")):
            last = max(
                (i for i, x in enumerate(variable.transforms) if isinstance(x, kind)), default=None
            )
            if last is not None:
                baked = variable.transforms[: last + 1]
                value = Operand(variable, last + 1).value()
                variable.assign(value)
                for transform in baked:
                    layer.remove_transform(variable, transform)
        for which, transform in layer.transforms:
            if which in ("inputs", "outputs") and isinstance(transform, kind):
                layer.remove_transform(which, transform)
