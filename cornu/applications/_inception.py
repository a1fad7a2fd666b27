"""Branches side by side: what Inception networks are made of.

A branch is a tuple of what is done one after the other: a convolution `(filters, window)`, or
`(filters, window, strides)` without padding; `AVERAGE` or `MAXIMUM`, a pooling; `Beside`, branches again.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from ..layers import (
    Activation,
    AveragePooling2D,
    BatchNormalization,
    Concatenate,
    Conv2D,
    MaxPooling2D,
)
from ._network import channel_axis

AVERAGE = "average"
MAXIMUM = "maximum"
Branch = tuple[Any, ...]


class Beside(NamedTuple):
    """Branches within a branch, and the name of what joins them."""

    branches: list[Branch]
    name: str | None = None


def convolved(
    x: Any, filters: int, size: Any, strides: int | None = None, name: str | None = None
) -> Any:
    """A convolution, a norm without a scale, and a ReLU; padded unless it has strides."""
    padding = "same" if strides is None else "valid"
    x = Conv2D(filters, size, strides or 1, padding, use_bias=False, name=name)(x)
    names = (None, None) if name is None else (f"{name}_bn", f"{name}_ac")
    x = BatchNormalization(axis=channel_axis(), scale=False, name=names[0])(x)
    return Activation("relu", name=names[1])(x)


def branched(x: Any, branches: list[Branch], name: str | None = None) -> Any:
    """The channels of all branches."""
    return Concatenate(axis=channel_axis(), name=name)([along(x, branch) for branch in branches])


def along(x: Any, branch: Branch) -> Any:
    """What the end of a branch gives."""
    for part in branch:
        if part == AVERAGE:
            x = AveragePooling2D(3, strides=1, padding="same")(x)
        elif part == MAXIMUM:
            x = MaxPooling2D(3, strides=2)(x)
        elif isinstance(part, Beside):
            x = branched(x, *part)
        else:
            x = convolved(x, *part)
    return x


#: From images to maps of an eighth of their size.
STEM: Branch = ((32, 3, 2), (32, 3, 1), (64, 3), MAXIMUM, (80, 1, 1), (192, 3, 1), MAXIMUM)
