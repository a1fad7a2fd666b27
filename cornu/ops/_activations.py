"""Activation functions: elementwise ones, gates, and the softmax family."""

from __future__ import annotations

import math
import warnings

from ..core.op import floating, namespace
from ..core.types import Axis, Tensor
from ..engines import current as engine
from ._bodies import axes_from_front, axis_from_front, constant, constants, numeric, rank_of

op = namespace("nn")

#: The constants for which SELU keeps mean 0 and variance 1 (Klambauer et al., 2017).
SELU_ALPHA = 1.6732632423543772
SELU_SCALE = 1.0507009873554805

# ----------------------------------------------------------------- rectifiers


@op(promote=numeric)
def relu(x: Tensor) -> Tensor:
    """max(x, 0). The gradient at 0 is 0.

    >>> relu([-1.0, 2.0]).tolist()
    [0.0, 2.0]
    """
    zero = constant(0, x)
    return engine().where(x <= zero, zero, x)


@op(promote=floating)
def relu6(x: Tensor) -> Tensor:
    """min(max(x, 0), 6).

    >>> relu6([-1.0, 2.0, 8.0]).tolist()
    [0.0, 2.0, 6.0]
    """
    zero, six = constants(x, 0, 6)
    return engine().where(x <= zero, zero, engine().where(x >= six, six, x))


@op(promote=floating)
def leaky_relu(x: Tensor, negative_slope: float = 0.2) -> Tensor:
    """x where it is positive, else `negative_slope` times x.

    >>> leaky_relu([-1.0, 2.0]).tolist()
    [-0.20000000298023224, 2.0]
    """
    zero, slope = constants(x, 0, negative_slope)
    return engine().where(x >= zero, x, x * slope)


@op(promote=floating)
def elu(x: Tensor, alpha: float = 1.0) -> Tensor:
    """x where it is positive, else alpha (exp(x) - 1).

    Clevert et al., 2015, https://arxiv.org/abs/1511.07289.

    >>> elu([0.0, 2.0]).tolist()
    [0.0, 2.0]
    """
    zero, factor = constants(x, 0, alpha)
    positive = x > zero
    # The branch not taken must stay finite: its gradient is multiplied by zero.
    return engine().where(positive, x, factor * engine().expm1(engine().where(positive, zero, x)))


@op(promote=floating)
def celu(x: Tensor, alpha: float = 1.0) -> Tensor:
    """max(x, 0) + min(alpha (exp(x / alpha) - 1), 0).

    Barron, 2017, https://arxiv.org/abs/1704.07483.

    >>> celu([0.0, 2.0]).tolist()
    [0.0, 2.0]
    """
    zero, factor = constants(x, 0, alpha)
    positive = x > zero
    scaled = engine().where(positive, zero, x) / factor
    return engine().where(positive, x, factor * engine().expm1(scaled))


@op(promote=floating)
def selu(x: Tensor) -> Tensor:
    """ELU scaled so that it keeps mean 0 and variance 1.

    Klambauer et al., 2017, https://arxiv.org/abs/1706.02515.

    >>> selu([0.0, 1.0]).tolist()
    [0.0, 1.0507010221481323]
    """
    return constant(SELU_SCALE, x) * elu(x, SELU_ALPHA)


@op(constructed=("threshold", "default_value"))
def threshold(x: Tensor, threshold: Tensor, default_value: Tensor) -> Tensor:
    """x where it is larger than `threshold`, else `default_value`.

    >>> threshold([-1.0, 2.0], 0.0, 9.0).tolist()
    [9.0, 2.0]
    """
    return engine().where(x > threshold, x, default_value)


# ------------------------------------------------------------- smooth functions


@op(promote=floating)
def sigmoid(x: Tensor) -> Tensor:
    """1 / (1 + exp(-x)).

    >>> sigmoid([0.0]).tolist()
    [0.5]
    """
    return engine().sigmoid(x)


@op(promote=floating)
def silu(x: Tensor) -> Tensor:
    """x sigmoid(x), also called swish.

    >>> silu([0.0]).tolist()
    [0.0]
    """
    return x * engine().sigmoid(x)


swish = silu


@op(promote=floating)
def log_sigmoid(x: Tensor) -> Tensor:
    """log(sigmoid(x)), finite for large negative x.

    >>> log_sigmoid([-1000.0]).tolist()
    [-1000.0]
    """
    return engine().negative(softplus(engine().negative(x)))


@op(promote=floating)
def softplus(x: Tensor) -> Tensor:
    """log(1 + exp(x)), as max(x, 0) + log1p(exp(-|x|)), which can't overflow.

    >>> softplus([1000.0]).tolist()
    [1000.0]
    """
    decay = engine().exp(engine().negative(engine().abs(x)))
    return engine().maximum(x, constant(0, x)) + engine().log1p(decay)


@op(promote=floating)
def softsign(x: Tensor) -> Tensor:
    """x / (|x| + 1).

    >>> softsign([-1.0, 1.0]).tolist()
    [-0.5, 0.5]
    """
    return x / (engine().abs(x) + constant(1, x))


@op(promote=floating)
def squareplus(x: Tensor, b: int = 4) -> Tensor:
    """(x + sqrt(x² + b)) / 2.

    >>> squareplus([0.0]).tolist()
    [1.0]
    """
    half, offset = constants(x, 0.5, b)
    return (x + engine().sqrt(x * x + offset)) * half


@op(promote=floating)
def gelu(x: Tensor, approximate: bool = True) -> Tensor:
    """x times the normal distribution function of x.

    Hendrycks and Gimpel, 2016, https://arxiv.org/abs/1606.08415.

    Args:
        x: A tensor.
        approximate: Whether to use the paper's approximation by tanh.

    >>> gelu([0.0]).tolist()
    [0.0]
    """
    half, one = constants(x, 0.5, 1)
    if not approximate:
        scaled = x * constant(-math.sqrt(0.5), x)
        return x * half * engine().erfc(scaled)
    cubic, scale = constants(x, 0.044715, math.sqrt(2 / math.pi))
    return x * (half * (one + engine().tanh(scale * (x + cubic * (x * x * x)))))


@op(promote=floating)
def mish(x: Tensor) -> Tensor:
    """x tanh(softplus(x)).

    Misra, 2019, https://arxiv.org/abs/1908.08681.

    >>> mish([0.0]).tolist()
    [0.0]
    """
    return x * engine().tanh(softplus(x))


@op(promote=floating)
def tanh_shrink(x: Tensor) -> Tensor:
    """x - tanh(x).

    >>> tanh_shrink([0.0]).tolist()
    [0.0]
    """
    return x - engine().tanh(x)


# ------------------------------------------------------------- piecewise linear


@op(promote=floating)
def hard_sigmoid(x: Tensor) -> Tensor:
    """relu6(x + 3) / 6.

    >>> hard_sigmoid([-3.0, 0.0, 3.0]).tolist()
    [0.0, 0.5, 1.0]
    """
    three, six = constants(x, 3, 6)
    return relu6(x + three) / six


@op(promote=floating)
def hard_silu(x: Tensor) -> Tensor:
    """x hard_sigmoid(x), also called hard swish.

    >>> hard_silu([-3.0, 0.0, 3.0]).tolist()
    [-0.0, 0.0, 3.0]
    """
    return x * hard_sigmoid(x)


hard_swish = hard_silu


@op(promote=numeric)
def hard_tanh(x: Tensor) -> Tensor:
    """x limited to [-1, 1].

    >>> hard_tanh([-3.0, 0.5, 3.0]).tolist()
    [-1.0, 0.5, 1.0]
    """
    one = constant(1, x)
    lowest = constant(0, x) if "uint" in engine().dtype_of(x) else constant(-1, x)
    return engine().where(x > one, one, engine().where(x < lowest, lowest, x))


@op(promote=floating)
def hard_shrink(x: Tensor, threshold: float = 0.5) -> Tensor:
    """x where |x| is larger than `threshold`, else 0.

    >>> hard_shrink([-0.25, 1.0]).tolist()
    [0.0, 1.0]
    """
    limit, zero = constants(x, threshold, 0)
    return engine().where(engine().abs(x) > limit, x, zero)


@op(promote=floating)
def soft_shrink(x: Tensor, threshold: float = 0.5) -> Tensor:
    """x moved towards 0 by `threshold`, and 0 where |x| is not larger than it.

    >>> soft_shrink([-0.25, 1.0]).tolist()
    [0.0, 0.5]
    """
    limit, zero = constants(x, threshold, 0)
    below = engine().where(x < engine().negative(limit), x + limit, zero)
    return engine().where(x > limit, x - limit, below)


@op(promote=floating)
def sparse_plus(x: Tensor) -> Tensor:
    """0 up to -1, x from 1 on, and (x + 1)² / 4 between.

    >>> sparse_plus([-2.0, 0.0, 2.0]).tolist()
    [0.0, 0.25, 2.0]
    """
    zero, one, quarter = constants(x, 0, 1, 0.25)
    raised = x + one
    inner = engine().where(x < one, quarter * raised * raised, x)
    return engine().where(raised <= zero, zero, inner)


@op(promote=floating)
def sparse_sigmoid(x: Tensor) -> Tensor:
    """0 up to -1, 1 from 1 on, and (x + 1) / 2 between.

    >>> sparse_sigmoid([-2.0, 0.0, 2.0]).tolist()
    [0.0, 0.5, 1.0]
    """
    zero, one, half = constants(x, 0, 1, 0.5)
    inner = engine().where(x >= one, one, (x + one) * half)
    return engine().where(x + one <= zero, zero, inner)


# -------------------------------------------------------- gates and the softmax


@op(promote=floating)
def glu(x: Tensor, axis: int = -1) -> Tensor:
    """The first half along an axis times the sigmoid of the second half.

    Dauphin et al., 2017, https://arxiv.org/abs/1612.08083.

    >>> glu([1.0, 0.0]).tolist()
    [0.5]
    """
    axis = axis_from_front(axis, rank_of(x))
    size = engine().shape_of(x)[axis]
    if isinstance(size, int) and size % 2:
        raise ValueError(
            "`glu` halves an axis, so its size must be even. "
            f"Received: x.shape={engine().shape_of(x)}, axis={axis}."
        )
    half = size // 2
    values = engine().slice_axis(x, axis, 0, half)
    return values * engine().sigmoid(engine().slice_axis(x, axis, half, size))


def _shifted(x: Tensor, axes: tuple[int, ...]) -> Tensor:
    """x with its largest element at 0, so that exponentials can't overflow."""
    return x - engine().stop_gradient(engine().max(x, axes, True))


@op(promote=floating)
def softmax(x: Tensor, axis: Axis = -1) -> Tensor:
    """exp(x) / sum(exp(x)) along one axis, several, or all of them (None).

    >>> softmax([1.0, 1.0]).tolist()
    [0.5, 0.5]
    """
    axes = axes_from_front(axis, rank_of(x))
    sizes = [engine().shape_of(x)[place] for place in axes]
    if all(isinstance(size, int) and size == 1 for size in sizes):
        warnings.warn(
            "A softmax over a single element is always 1. Received: "
            f"x.shape={engine().shape_of(x)}, axis={axis}. Did you mean a sigmoid?",
            stacklevel=2,
        )
    return normalized_exponentials(x, axes)


def normalized_exponentials(x: Tensor, axes: tuple[int, ...]) -> Tensor:
    """The softmax of floats along axes counted from the front."""
    weights = engine().exp(_shifted(x, axes))
    return weights / engine().sum(weights, axes, True)


@op(promote=floating)
def log_softmax(x: Tensor, axis: Axis = -1) -> Tensor:
    """log(softmax(x)) along one axis, several, or all of them (None), computed stably.

    >>> log_softmax([0.0, -1000.0]).tolist()
    [0.0, -1000.0]
    """
    axes = axes_from_front(axis, rank_of(x))
    shifted = _shifted(x, axes)
    return shifted - engine().log(engine().sum(engine().exp(shifted), axes, True))


@op(promote=floating)
def sparsemax(x: Tensor, axis: int = -1) -> Tensor:
    """The point of the probability simplex that is nearest to x: a softmax with exact zeros.

    Martins and Astudillo, 2016, https://arxiv.org/abs/1602.02068.

    >>> sparsemax([1.0, 0.0]).tolist()
    [1.0, 0.0]
    """
    axis = axis_from_front(axis, rank_of(x))
    descending = engine().flip(engine().sort(x, axis), (axis,))
    total = engine().cumsum(descending, axis)
    ones = engine().broadcast_to(constant(1, x), engine().shape_of(x))
    count = engine().cumsum(ones, axis)
    inside = constant(1, x) + count * descending > total
    kept = engine().where(inside, descending, constant(0, x))
    size = engine().sum(engine().cast(inside, engine().dtype_of(x)), (axis,), True)
    limit = (engine().sum(kept, (axis,), True) - constant(1, x)) / size
    return engine().maximum(x - limit, constant(0, x))


@op(promote=floating)
def polar(abs_: Tensor, angle: Tensor) -> Tensor:
    """The complex numbers of given modulus and angle in radians.

    >>> polar([2.0], [0.0]).tolist()
    [(2+0j)]
    """
    return engine().complex(abs_ * engine().cos(angle), abs_ * engine().sin(angle))
