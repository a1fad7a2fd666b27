"""Small things that several families of networks are made of."""

from __future__ import annotations

import warnings
from typing import Any

from ..core.checks import listed
from ._network import channel_axis


def rounded(filters: float, least: float = 0.9) -> int:
    """A number of filters as the nearest multiple of 8 that is at least this share of it.

    >>> rounded(32 * 1.1), rounded(11), rounded(11, least=0)
    (32, 16, 8)
    """
    nearest = max(8, int(filters + 4) // 8 * 8)
    return nearest + 8 if nearest < least * filters else nearest


def published_side(shape: Any, sides: tuple[int, ...], warn: bool = False) -> int:
    """The side of images that weights are published for: that of the shape, or the largest one.

    Where there are none for the shape, `warn` says so.
    """
    images = listed(shape) or ()
    given = images[:2] if channel_axis() == 3 else images[1:]
    if len(set(given)) == 1 and given[0] in sides:
        return int(given[0])
    if warn and given not in ((), (None, None)):
        warnings.warn(
            f"Weights are published for images of the sides {sides}. Received: input_shape={shape}. Those "
            f"for {sides[-1]} are loaded.",
            stacklevel=5,
        )
    return sides[-1]


def halving_pad(x: Any, size: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """The padding under which a window of `size` and strides of 2 sees the last pixel in its middle."""
    axis = 2 if channel_axis() == 1 else 1
    half = size // 2
    rows, columns = (
        (half - (1 if n is None or n % 2 == 0 else 0), half) for n in x.shape[axis : axis + 2]
    )
    return rows, columns
