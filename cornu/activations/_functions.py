"""Activations that differ from the op of their name, or have none."""

from __future__ import annotations

from typing import Any

from ..ops import nn, numpy


def linear(x: Any) -> Any:
    """x as it is.

    >>> linear(2.0)
    2.0
    """
    return x


def exponential(x: Any) -> Any:
    """e to the x.

    >>> exponential([0.0]).tolist()
    [1.0]
    """
    return numpy.exp(x)


def gelu(x: Any, approximate: bool = False) -> Any:
    """x times the normal distribution function of x.

    Hendrycks and Gimpel, 2016, https://arxiv.org/abs/1606.08415.

    Args:
        x: A tensor.
        approximate: Whether to use the paper's approximation by tanh.

    >>> gelu([0.0]).tolist()
    [0.0]
    """
    return nn.gelu(x, approximate)


def relu(
    x: Any,
    negative_slope: float = 0.0,
    max_value: float | None = None,
    threshold: float = 0.0,
) -> Any:
    """max(x, 0), or a variant of it.

    Args:
        x: A tensor.
        negative_slope: Slope below the threshold, where the result is negative_slope *
            (x - threshold).
        max_value: The largest result.
        threshold: Where x starts to pass as it is.

    >>> relu([-1.0, 2.0, 9.0], max_value=6).tolist()
    [0.0, 2.0, 6.0]
    """
    if negative_slope == 0 and threshold == 0:
        if max_value is None:
            return nn.relu(x)
        if max_value == 6:
            return nn.relu6(x)
    below = numpy.multiply(negative_slope, numpy.subtract(x, threshold))
    above = x if max_value is None else numpy.minimum(x, max_value)
    return numpy.where(numpy.greater(x, threshold), above, below)
