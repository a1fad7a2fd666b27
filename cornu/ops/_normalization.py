"""Normalization: moments, and the layers' batch, layer, RMS and unit-norm forms."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.config import epsilon as default_epsilon
from ..core.op import floating, namespace
from ..core.types import Axis, Raw, Tensor
from ..engines import current as engine
from ._bodies import axes_from_front, axis_from_front, constant, rank_of, root, same_shape

op = namespace("nn")

NARROW = ("float16", "bfloat16")


def _widened(x: Tensor) -> Tensor:
    """x in at least 32 bits: squares of 16-bit floats overflow or lose what is summed."""
    return engine().cast(x, "float32") if engine().dtype_of(x) in NARROW else x


def _squared(x: Tensor) -> Tensor:
    return x * x


@op(promote=floating)
def moments(
    x: Tensor, axes: Axis, keepdims: bool = False, synchronized: bool = False
) -> tuple[Tensor, Tensor]:
    """Mean and variance along axes, computed in at least 32 bits.

    Args:
        x: A tensor.
        axes: One axis, several, or all of them (None).
        keepdims: Whether the axes stay, with size 1.
        synchronized: Whether replicas share them; a compiled step sees whole batches already.

    >>> [float(moment) for moment in moments([1.0, 3.0], axes=0)]
    [2.0, 1.0]
    """
    dtype = engine().dtype_of(x)
    reduced = axes_from_front(axes, rank_of(x))
    wide = _widened(x)
    mean, variance = engine().mean(wide, reduced, keepdims), engine().var(wide, reduced, keepdims)
    return _narrowed(mean, dtype), _narrowed(variance, dtype)


def _narrowed(x: Tensor, dtype: str) -> Tensor:
    if dtype == "float16":
        limit = constant(float(np.finfo(np.float16).max), x)
        x = engine().maximum(engine().minimum(x, limit), engine().negative(limit))
    return x if engine().dtype_of(x) == dtype else engine().cast(x, dtype)


@op(promote=floating)
def batch_normalization(
    x: Tensor,
    mean: Tensor,
    variance: Tensor,
    axis: int,
    offset: Tensor | None = None,
    scale: Tensor | None = None,
    epsilon: float = 1e-3,
) -> Tensor:
    """(x - mean) / sqrt(variance + epsilon) * scale + offset, along one axis.

    Ioffe and Szegedy, 2015, https://arxiv.org/abs/1502.03167.

    Args:
        x: A tensor.
        mean, variance, offset, scale: Vectors, as long as the axis.
        axis: The axis of the features.
        epsilon: Keeps the quotient finite.

    >>> batch_normalization([[1.0, 2.0]], [1.0, 1.0], [1.0, 1.0], axis=-1, epsilon=0.0).tolist()
    [[0.0, 1.0]]
    """
    rank = rank_of(x)
    place = axis_from_front(axis, rank)
    size = engine().shape_of(x)[place]
    shape = (*(1,) * place, size, *(1,) * (rank - place - 1))
    factor = engine().rsqrt(variance + constant(epsilon, x))
    if scale is not None:
        factor = factor * scale
    shift = engine().negative(mean) * factor
    if offset is not None:
        shift = shift + offset
    return x * engine().reshape(factor, shape) + engine().reshape(shift, shape)


@op(promote=floating)
def batch_normalized(
    x: Tensor, axis: int, offset: Tensor | None, scale: Tensor | None, epsilon: float
) -> tuple[Tensor, Tensor, Tensor]:
    """`batch_normalization` by x's own mean and variance, and these: what a layer does in training.

    An op of its own as engines have kernels for it. Gradients take the way through the result alone.

    >>> [x.tolist() for x in batch_normalized([[1.0], [3.0]], -1, None, None, 0.0)]
    [[[-1.0], [1.0]], [2.0], [1.0]]
    """
    place = axis_from_front(axis, rank_of(x))
    axes = tuple(i for i in range(rank_of(x)) if i != place)
    mean, variance = moments(x, axes)
    result = batch_normalization(x, mean, variance, place, offset, scale, epsilon)
    return result, engine().stop_gradient(mean), engine().stop_gradient(variance)


@op(promote=floating)
def layer_normalization(
    x: Tensor,
    gamma: Raw | None = None,
    beta: Raw | None = None,
    axis: Axis = -1,
    epsilon: float | None = None,
    rms_scaling: bool = False,
) -> Tensor:
    """(x - mean) / sqrt(variance + epsilon) * gamma + beta, with the moments of x along axes.

    Ba et al., 2016, https://arxiv.org/abs/1607.06450. Computed in at least 32 bits.

    Args:
        x: A tensor.
        gamma, beta: Factor and offset, of the shape of the axes.
        axis: One axis or several.
        epsilon: Keeps the quotient finite; the configured one where it is left out.
        rms_scaling: Whether the mean is kept, and there is no offset.

    >>> layer_normalization([[1.0, 3.0]], epsilon=0.0).tolist()
    [[-1.0, 1.0]]
    """
    dtype = engine().dtype_of(x)
    axes = axes_from_front(axis, rank_of(x))
    wide = _widened(x)
    variance = engine().var(wide, axes, True)
    factor = engine().rsqrt(variance + constant(_or_default(epsilon), wide))
    if gamma is not None:
        factor = factor * _along(gamma, wide, axes)
    centred = wide if rms_scaling else wide - engine().mean(wide, axes, True)
    result = centred * factor
    if beta is not None and not rms_scaling:
        result = result + _along(beta, wide, axes)
    return result if engine().dtype_of(result) == dtype else engine().cast(result, dtype)


def _along(weights: Tensor, x: Tensor, axes: tuple[int, ...]) -> Tensor:
    """Weights of the shape of some axes of x, as they broadcast to x in the dtype of x."""
    sizes = engine().shape_of(x)
    shape = tuple(size if axis in axes else 1 for axis, size in enumerate(sizes))
    return engine().cast(engine().reshape(weights, shape), engine().dtype_of(x))


def _or_default(epsilon: float | None) -> float:
    return default_epsilon() if epsilon is None else epsilon


@op(promote=floating)
def rms_normalization(
    x: Tensor, scale: Raw | None = None, axis: Axis = -1, epsilon: float | None = None
) -> Tensor:
    """x / sqrt(mean(x²) + epsilon) * scale, with the mean along axes.

    Zhang and Sennrich, 2019, https://arxiv.org/abs/1910.07467. Computed in at least 32 bits.

    Args:
        x: A tensor.
        scale: A factor that broadcasts to x.
        axis: One axis or several.
        epsilon: Keeps the quotient finite; the configured one where it is left out.

    >>> rms_normalization([[2.0, 2.0]], epsilon=0.0).tolist()
    [[1.0, 1.0]]
    """
    dtype = engine().dtype_of(x)
    axes = axes_from_front(axis, rank_of(x))
    wide = _widened(x)
    power = engine().mean(_squared(wide), axes, True)
    result = wide * engine().rsqrt(power + constant(_or_default(epsilon), wide))
    if scale is not None:
        result = result * engine().cast(scale, engine().dtype_of(wide))
    return result if engine().dtype_of(result) == dtype else engine().cast(result, dtype)


@op(promote=floating)
def normalize(x: Tensor, axis: Axis = -1, order: int = 2, epsilon: float | None = None) -> Tensor:
    """x divided by its p-norm along axes.

    Args:
        x: A tensor.
        axis: One axis, several, or all of them (None).
        order: The p of the norm, at least 1.
        epsilon: The least norm; the configured one where it is left out.

    >>> normalize([[3.0, 4.0]], order=1).shape
    (1, 2)
    """
    if not isinstance(order, int) or order < 1:
        raise ValueError(f"`order` must be an integer of at least 1. Received: order={order!r}.")
    least = _or_default(epsilon)
    axes = axes_from_front(axis, rank_of(x))
    if order == 2:
        # The square keeps away from the root's infinite slope at zero.
        power = engine().sum(_squared(x), axes, True)
        return x * engine().rsqrt(engine().maximum(power, constant(least**2, x)))
    norm = engine().abs(x)
    if order == 1:
        norm = engine().sum(norm, axes, True)
    else:
        power = engine().sum(engine().power(norm, constant(order, x)), axes, True)
        exponent = constant(1 / order, x)
        norm = root(power, lambda power: engine().power(power, exponent))
    return x / engine().maximum(norm, constant(least, x))


@op(promote=floating)
def psnr(x1: Tensor, x2: Tensor, max_val: float) -> Tensor:
    """The peak signal-to-noise ratio in decibels: 10 log10(max_val² / mean((x1 - x2)²)).

    Args:
        x1, x2: Tensors of one shape.
        max_val: The largest value that a signal can have.

    >>> import numpy as np
    >>> float(psnr(np.zeros(4), np.ones(4), 1.0))
    0.0
    """
    same_shape("psnr", x1=x1, x2=x2)
    distance = x1 - x2
    error = engine().mean(distance * distance, tuple(range(rank_of(x1))), False)
    peak: Any = constant(20 * np.log10(max_val), x1)
    return peak - constant(10, x1) * engine().log10(error)
