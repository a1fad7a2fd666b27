"""Weights as they are read: along which axes their channels lie, and how transforms are stored for good."""

from __future__ import annotations

import math
from typing import Any

from .. import layers, ops
from ..core.transforms import Operand
from ..core.variable import Variable
from ..transforms.on_layers import bake
from ..transforms.quantizing import axes_of


def channel_axes(layer: Any, variable: Variable) -> tuple[int, ...]:
    """The axes of a kernel that its layer's output channels lie along; of a table of vectors, that of its rows.

    >>> layer = layers.DepthwiseConv2D(3)
    >>> layer.build((None, 8, 8, 2))
    >>> channel_axes(layer, layer.kernel)
    (2, 3)
    """
    axes = axes_of(layer, variable)
    return tuple(axis for axis, letter in enumerate(axes.weight) if letter in axes.own)


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


def require_weight(transform: Any, owner: Any, variable: Variable | None) -> None:
    """Raise an error if a transform of weights is given what passes through a layer."""
    if variable is None:
        raise ValueError(
            f"{type(transform).__name__} is for weights. Received: target={transform._of!r} of the layer "
            f"{owner.path!r}."
        )


def read(variable: Variable, order: int) -> Any:
    """What a variable reads as behind its transforms of up to an order."""
    depth = sum(transform.order <= order for transform in variable.transforms)
    return Operand(variable, depth).value()


def strip(target: layers.Layer, order: int) -> None:
    """Store what layers read behind their transforms of an order, and take off these and all before them."""
    for layer in target._flatten_layers():
        for variable in layer._own_weights():
            places = [i for i, x in enumerate(variable.transforms, 1) if x.order == order]
            bake(layer, variable, max(places, default=0))
        for which, transform in layer.transforms:
            if which in ("inputs", "outputs") and transform.order == order:
                layer.remove_transform(which, transform)
