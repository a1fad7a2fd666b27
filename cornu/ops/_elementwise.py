"""Elementwise ops: arithmetic, exponentials, trigonometry, comparisons, logic, bits."""

from __future__ import annotations

import math
from typing import Any

from ..core.dtypes import is_complex, is_float, numpy_dtype
from ..core.op import common, floating, namespace
from ..core.types import Bool, Index, Tensor
from ..engines import current as engine
from ._bodies import constant, in_float32, numeric

op = namespace("numpy")


# ------------------------------------------------------------- promotion rules


def numbers(types: tuple[Any, ...]) -> str:
    """As `common`, for ops that booleans have no meaning for."""
    dtype = common(types)
    if dtype == "bool":
        raise TypeError("This op takes numbers. Received: only booleans. Cast one to a number.")
    return dtype


def real_floating(types: tuple[Any, ...]) -> str:
    """As `floating`, for ops that complex numbers have no meaning for."""
    dtype = floating(types)
    if is_complex(dtype):
        raise TypeError(
            f"This op takes real numbers. Received: dtype={dtype}. Use `real` or `abs` first."
        )
    return dtype


def real_numeric(types: tuple[Any, ...]) -> str:
    """As `numeric`, for ops that complex numbers have no meaning for."""
    dtype = numeric(types)
    if is_complex(dtype):
        raise TypeError(
            f"This op takes real numbers. Received: dtype={dtype}. Use `real` or `abs` first."
        )
    return dtype


def bits(types: tuple[Any, ...]) -> str:
    """As `common`, of integers and booleans."""
    dtype = common(types)
    if is_float(dtype) or is_complex(dtype):
        raise TypeError(
            f"This op takes integers or booleans. Received: dtype={dtype}. Cast to int32."
        )
    return dtype


def shifted_bits(types: tuple[Any, ...]) -> str:
    """As `bits`, and booleans become int32."""
    dtype = bits(types)
    return "int32" if dtype == "bool" else dtype


def integers(types: tuple[Any, ...]) -> str:
    """As `common`, of integers."""
    dtype = common(types)
    if "int" not in dtype:
        raise ValueError(
            f"This op takes integers. Received: dtype={dtype}. Cast to an integer dtype."
        )
    return dtype


def _is_exact(x: Tensor) -> bool:
    """Whether x holds integers or booleans: it can't be NaN or infinite."""
    dtype = engine().dtype_of(x)
    return not (is_float(dtype) or is_complex(dtype))


def _refuse_complex(x: Tensor, name: str) -> None:
    if is_complex(engine().dtype_of(x)):
        raise ValueError(
            f"`{name}` takes real numbers. Received: x.dtype={engine().dtype_of(x)}. "
            "Use `real`, `imag` or `abs` first."
        )


def _false(x: Tensor) -> Tensor:
    return engine().full(engine().shape_of(x), False, "bool")


# ----------------------------------------------------------------- arithmetic


@op
def add(x1: Tensor, x2: Tensor) -> Tensor:
    """x1 + x2, elementwise, with broadcasting. Booleans: or.

    >>> add([1, 2], 0.5).tolist()
    [1.5, 2.5]
    """
    return engine().add(x1, x2)


@op(promote=numbers)
def subtract(x1: Tensor, x2: Tensor) -> Tensor:
    """x1 - x2, elementwise, with broadcasting.

    >>> subtract([3, 2], 1).tolist()
    [2, 1]
    """
    return engine().subtract(x1, x2)


@op
def multiply(x1: Tensor, x2: Tensor) -> Tensor:
    """x1 * x2, elementwise, with broadcasting. Booleans: and.

    >>> multiply([1, 2], 3).tolist()
    [3, 6]
    """
    return engine().multiply(x1, x2)


@op(promote=floating)
def divide(x1: Tensor, x2: Tensor) -> Tensor:
    """x1 / x2, elementwise, with broadcasting; integers give floats.

    >>> divide([1, 2], 4).tolist()
    [0.25, 0.5]
    """
    return engine().divide(x1, x2)


@op(promote=floating)
def true_divide(x1: Tensor, x2: Tensor) -> Tensor:
    """As `divide`.

    >>> true_divide([1, 2], 4).tolist()
    [0.25, 0.5]
    """
    return engine().divide(x1, x2)


@op(promote=floating)
def divide_no_nan(x1: Tensor, x2: Tensor) -> Tensor:
    """x1 / x2, and 0 where x2 is 0.

    >>> divide_no_nan([1.0, 2.0], [0.0, 4.0]).tolist()
    [0.0, 0.5]
    """
    zero = constant(0, x2)
    undefined = engine().equal(x2, zero)
    safe = engine().where(undefined, constant(1, x2), x2)
    return engine().where(undefined, zero, engine().divide(x1, safe))


@op(promote=real_numeric)
def floor_divide(x1: Tensor, x2: Tensor) -> Tensor:
    """x1 / x2 rounded down, elementwise.

    >>> floor_divide([7, -7], 2).tolist()
    [3, -4]
    """
    return engine().floor_divide(x1, x2)


@op(promote=real_numeric)
def mod(x1: Tensor, x2: Tensor) -> Tensor:
    """The remainder of x1 / x2 with the sign of x2, elementwise.

    >>> mod([7, -7], 4).tolist()
    [3, 1]
    """
    return engine().mod(x1, x2)


@op(promote=real_numeric)
def fmod(x1: Tensor, x2: Tensor) -> Tensor:
    """The remainder of x1 / x2 with the sign of x1, elementwise.

    >>> fmod([7, -7], 4).tolist()
    [3, -3]
    """
    return engine().fmod(x1, x2)


@op(promote=numeric)
def power(x1: Tensor, x2: Tensor) -> Tensor:
    """x1 to the power of x2, elementwise.

    >>> power([1, 2, 3], 2).tolist()
    [1, 4, 9]
    """
    return engine().power(x1, x2)


@op
def maximum(x1: Tensor, x2: Tensor) -> Tensor:
    """The larger of x1 and x2, elementwise; NaN where either is NaN.

    >>> maximum([1, 5], 3).tolist()
    [3, 5]
    """
    return engine().maximum(x1, x2)


@op
def minimum(x1: Tensor, x2: Tensor) -> Tensor:
    """The smaller of x1 and x2, elementwise; NaN where either is NaN.

    >>> minimum([1, 5], 3).tolist()
    [1, 3]
    """
    return engine().minimum(x1, x2)


@op
def fmax(x1: Tensor, x2: Tensor) -> Tensor:
    """The larger of x1 and x2, elementwise; the other one where one is NaN.

    >>> fmax([1.0, float("nan")], 2.0).tolist()
    [2.0, 2.0]
    """
    return _ignoring_nan(x1, x2, engine().maximum(x1, x2))


@op
def fmin(x1: Tensor, x2: Tensor) -> Tensor:
    """The smaller of x1 and x2, elementwise; the other one where one is NaN.

    >>> fmin([1.0, float("nan")], 2.0).tolist()
    [1.0, 2.0]
    """
    return _ignoring_nan(x1, x2, engine().minimum(x1, x2))


def _ignoring_nan(x1: Tensor, x2: Tensor, chosen: Tensor) -> Tensor:
    if _is_exact(x1):
        return chosen
    return engine().where(isnan(x1), x2, engine().where(isnan(x2), x1, chosen))


@op(constructed=("x_min", "x_max"))
def clip(x: Tensor, x_min: Tensor | None, x_max: Tensor | None) -> Tensor:
    """x limited to [x_min, x_max], elementwise; a limit of None is none.

    >>> clip([1.0, 5.0, 9.0], 2.0, 8.0).tolist()
    [2.0, 5.0, 8.0]
    """
    if x_min is not None:
        x = engine().maximum(x, x_min)
    return x if x_max is None else engine().minimum(x, x_max)


@op(promote=numbers)
def negative(x: Tensor) -> Tensor:
    """-x, elementwise.

    >>> negative([1, -2]).tolist()
    [-1, 2]
    """
    return engine().negative(x)


@op
def absolute(x: Tensor) -> Tensor:
    """|x|, elementwise; the modulus of complex numbers.

    >>> absolute([1, -2]).tolist()
    [1, 2]
    """
    return x if engine().dtype_of(x) == "bool" else engine().abs(x)


abs = absolute


@op(promote=real_floating)
def fabs(x: Tensor) -> Tensor:
    """|x|, elementwise, as floats.

    >>> fabs([1, -2]).tolist()
    [1.0, 2.0]
    """
    return engine().abs(x)


@op(promote=numbers)
def sign(x: Tensor) -> Tensor:
    """-1, 0 or 1, elementwise, in the dtype of x.

    >>> sign([-3.0, 0.0, 2.0]).tolist()
    [-1.0, 0.0, 1.0]
    """
    return engine().sign(x)


@op
def signbit(x: Tensor) -> Tensor:
    """Whether the sign bit is set: x < 0, and true of -0.0.

    >>> signbit([-0.0, 0.0, -2.0]).tolist()
    [True, False, True]
    """
    _refuse_complex(x, "signbit")
    dtype = engine().dtype_of(x)
    if dtype == "bool" or dtype.startswith("uint"):
        return _false(x)
    if is_float(dtype):
        dtype = f"int{numpy_dtype(dtype).itemsize * 8}"
        x = engine().view(x, dtype)
    return engine().less(x, constant(0, x))


@op(promote=numeric)
def square(x: Tensor) -> Tensor:
    """x * x, elementwise.

    >>> square([1, -2]).tolist()
    [1, 4]
    """
    return engine().multiply(x, x)


@op(promote=floating)
def reciprocal(x: Tensor) -> Tensor:
    """1 / x, elementwise.

    >>> reciprocal([2.0, 4.0]).tolist()
    [0.5, 0.25]
    """
    return engine().divide(constant(1, x), x)


@op(promote=real_floating)
def heaviside(x1: Tensor, x2: Tensor) -> Tensor:
    """0 where x1 < 0, 1 where x1 > 0, x2 where x1 is 0.

    >>> heaviside([-1.0, 0.0, 2.0], 0.5).tolist()
    [0.0, 0.5, 1.0]
    """
    zero = constant(0, x1)
    step = engine().where(engine().less(x1, zero), zero, constant(1, x1))
    result = engine().where(engine().equal(x1, zero), x2, step)
    return engine().where(isnan(x1), x1, result)


@op(promote=floating)
def hypot(x1: Tensor, x2: Tensor) -> Tensor:
    """sqrt(x1 ** 2 + x2 ** 2), elementwise, without overflow between.

    >>> float(hypot(3.0, 4.0))
    5.0
    """
    _refuse_complex(x1, "hypot")
    one, zero = constant(1, x1), constant(0, x1)
    x1, x2 = engine().abs(x1), engine().abs(x2)
    larger, smaller = engine().maximum(x1, x2), engine().minimum(x1, x2)
    at_zero = engine().equal(larger, zero)
    ratio = engine().divide(smaller, engine().where(at_zero, one, larger))
    length = engine().multiply(larger, engine().sqrt(engine().add(one, square(ratio))))
    # An infinite side makes an infinite length, whatever the other is.
    infinity = constant(math.inf, x1)
    endless = engine().logical_or(engine().equal(x1, infinity), engine().equal(x2, infinity))
    return engine().where(endless, infinity, engine().where(at_zero, zero, length))


@op(promote=integers)
def gcd(x1: Tensor, x2: Tensor) -> Tensor:
    """The greatest common divisor, elementwise, by Euclid's algorithm.

    >>> gcd([12, 18], 8).tolist()
    [4, 2]
    """
    zero, one = constant(0, x1), constant(1, x1)
    x1, x2 = (
        engine().add(x1, engine().multiply(x2, zero)),
        engine().add(x2, engine().multiply(x1, zero)),
    )

    def going(larger: Tensor, smaller: Tensor) -> Tensor:
        axes = tuple(range(len(engine().shape_of(smaller))))
        return engine().any(engine().not_equal(smaller, zero), axes, False)

    def step(larger: Tensor, smaller: Tensor) -> tuple[Tensor, Tensor]:
        done = engine().equal(smaller, zero)
        rest = engine().mod(larger, engine().where(done, one, smaller))
        return engine().where(done, larger, smaller), engine().where(done, zero, rest)

    return engine().while_loop(going, step, (absolute(x1), absolute(x2)))[0]


@op(promote=integers)
def lcm(x1: Tensor, x2: Tensor) -> Tensor:
    """The least common multiple, elementwise; 0 where either is 0.

    >>> lcm([4, 6], 10).tolist()
    [20, 30]
    """
    divisor = engine().maximum(gcd(x1, x2), constant(1, x1))
    return absolute(engine().multiply(engine().floor_divide(x1, divisor), x2))


@op(promote=floating)
def ldexp(x1: Tensor, x2: Index) -> Tensor:
    """x1 * 2 ** x2, elementwise, for integers x2, or floats that are whole.

    >>> ldexp([0.5, 3.0], [1, 2]).tolist()
    [1.0, 12.0]
    """
    # In two steps, since 2 ** x2 may overflow where the result does not.
    half = engine().floor_divide(x2, constant(2, x2))
    for part in (half, engine().subtract(x2, half)):
        exponent = engine().cast(part, engine().dtype_of(x1))
        x1 = engine().multiply(x1, engine().power(constant(2, x1), exponent))
    return x1


@op(promote=real_floating)
def nextafter(x1: Tensor, x2: Tensor) -> Tensor:
    """The next float after x1 towards x2, elementwise.

    >>> float(nextafter(1.0, 2.0)) > 1.0
    True
    """
    return engine().nextafter(x1, x2)


# ------------------------------------------------------------------- rounding


@op(promote=real_floating)
def ceil(x: Tensor) -> Tensor:
    """x rounded up, elementwise; integers give floats.

    >>> ceil([1.2, -1.2]).tolist()
    [2.0, -1.0]
    """
    return engine().ceil(x)


@op(promote=real_floating)
def floor(x: Tensor) -> Tensor:
    """x rounded down, elementwise; integers give floats.

    >>> floor([1.2, -1.2]).tolist()
    [1.0, -2.0]
    """
    return engine().floor(x)


@op
def trunc(x: Tensor) -> Tensor:
    """x rounded towards zero, elementwise, in the dtype of x.

    >>> trunc([1.7, -1.7]).tolist()
    [1.0, -1.0]
    """
    dtype = engine().dtype_of(x)
    if is_complex(dtype):
        raise TypeError(f"`trunc` takes real numbers. Received: x.dtype={dtype}. Use `real` first.")
    return x if _is_exact(x) else engine().trunc(x)


@op
def round(x: Tensor, decimals: int = 0) -> Tensor:
    """x rounded to a number of decimals, halves to even, in the dtype of x.

    Args:
        decimals: Digits after the point; negative ones round to tens, hundreds, ...

    >>> round([1.25, 2.5], 1).tolist(), round([15, 24], -1).tolist()
    ([1.2000000476837158, 2.5], [20, 20])
    """
    dtype = engine().dtype_of(x)
    if dtype == "bool":
        raise ValueError("`round` takes numbers. Received: x.dtype=bool. Cast x to a number.")
    if _is_exact(x):
        if decimals >= 0:
            return x
        return engine().cast(_rounded(engine().cast(x, "float32"), decimals), dtype)
    if is_complex(dtype):
        parts = [_rounded(part, decimals) for part in (engine().real(x), engine().imag(x))]
        return engine().complex(*parts)
    return in_float32(_rounded)(x, decimals) if decimals else engine().round(x)


def _rounded(x: Tensor, decimals: int) -> Tensor:
    if decimals == 0:
        return engine().round(x)
    factor = constant(10.0 ** (decimals if decimals > 0 else -decimals), x)
    there, back = engine().multiply, engine().divide
    if decimals < 0:
        there, back = back, there
    return back(engine().round(there(x, factor)), factor)


# --------------------------------------------------- exponentials, logarithms


@op(promote=floating)
def exp(x: Tensor) -> Tensor:
    """e to the power of x, elementwise.

    >>> float(exp(0))
    1.0
    """
    return engine().exp(x)


@op(promote=floating)
def expm1(x: Tensor) -> Tensor:
    """exp(x) - 1, elementwise, exact near zero.

    >>> float(expm1(0))
    0.0
    """
    return engine().expm1(x)


@op(promote=floating)
def log(x: Tensor) -> Tensor:
    """The natural logarithm, elementwise.

    >>> float(log(1))
    0.0
    """
    return engine().log(x)


@op(promote=floating)
def log1p(x: Tensor) -> Tensor:
    """log(1 + x), elementwise, exact near zero.

    >>> float(log1p(0))
    0.0
    """
    return engine().log1p(x)


@op(promote=floating)
def log2(x: Tensor) -> Tensor:
    """The logarithm to base 2, elementwise.

    >>> float(log2(8.0))
    3.0
    """
    return engine().log2(x)


@op(promote=floating)
def log10(x: Tensor) -> Tensor:
    """The logarithm to base 10, elementwise.

    >>> float(log10(1))
    0.0
    """
    return engine().log10(x)


@op(promote=floating)
def sqrt(x: Tensor) -> Tensor:
    """The square root, elementwise.

    >>> sqrt([4, 9]).tolist()
    [2.0, 3.0]
    """
    return engine().sqrt(x)


@op(promote=floating)
def exp2(x: Tensor) -> Tensor:
    """2 to the power of x, elementwise.

    >>> exp2([1, 3]).tolist()
    [2.0, 8.0]
    """
    return engine().power(constant(2, x), x)


@op(promote=real_floating)
def cbrt(x: Tensor) -> Tensor:
    """The real cube root, elementwise.

    >>> [float(y.round(4)) for y in cbrt([8.0, -27.0])]
    [2.0, -3.0]
    """
    root = engine().power(engine().abs(x), constant(1 / 3, x))
    return engine().multiply(engine().sign(x), root)


@op(promote=floating)
def logaddexp(x1: Tensor, x2: Tensor) -> Tensor:
    """log(exp(x1) + exp(x2)), elementwise, without overflow between.

    >>> float(logaddexp(0.0, float("-inf")))
    0.0
    """
    if is_complex(engine().dtype_of(x1)):
        return engine().log(engine().add(engine().exp(x1), engine().exp(x2)))
    distance = engine().negative(engine().abs(engine().subtract(x1, x2)))
    result = engine().add(engine().maximum(x1, x2), engine().log1p(engine().exp(distance)))
    # Where both are infinite the distance is NaN.
    return engine().where(isnan(distance), engine().add(x1, x2), result)


@op(promote=floating)
def logaddexp2(x1: Tensor, x2: Tensor) -> Tensor:
    """log2(2 ** x1 + 2 ** x2), elementwise, without overflow between.

    >>> float(logaddexp2(1.0, 1.0))
    2.0
    """
    scale = constant(math.log(2), x1)
    result = logaddexp(engine().multiply(x1, scale), engine().multiply(x2, scale))
    return engine().divide(result, scale)


@op(promote=floating)
def i0(x: Tensor) -> Tensor:
    """The modified Bessel function of the first kind, order 0, elementwise.

    >>> float(i0(0.0).round(4))
    1.0
    """
    return engine().i0(x)


# --------------------------------------------------------------- trigonometry


@op(promote=floating)
def sin(x: Tensor) -> Tensor:
    """The sine of radians, elementwise.

    >>> float(sin(0))
    0.0
    """
    return engine().sin(x)


@op(promote=floating)
def cos(x: Tensor) -> Tensor:
    """The cosine of radians, elementwise.

    >>> float(cos(0))
    1.0
    """
    return engine().cos(x)


@op(promote=floating)
def tan(x: Tensor) -> Tensor:
    """The tangent of radians, elementwise.

    >>> float(tan(0))
    0.0
    """
    return engine().tan(x)


@op(promote=floating)
def arcsin(x: Tensor) -> Tensor:
    """The inverse sine, in [-pi/2, pi/2], elementwise.

    >>> float(arcsin(0))
    0.0
    """
    return engine().arcsin(x)


@op(promote=floating)
def arccos(x: Tensor) -> Tensor:
    """The inverse cosine, in [0, pi], elementwise.

    >>> float(arccos(1))
    0.0
    """
    return engine().arccos(x)


@op(promote=floating)
def arctan(x: Tensor) -> Tensor:
    """The inverse tangent, in [-pi/2, pi/2], elementwise.

    >>> float(arctan(0))
    0.0
    """
    return engine().arctan(x)


@op(promote=floating)
def sinh(x: Tensor) -> Tensor:
    """The hyperbolic sine, elementwise.

    >>> float(sinh(0))
    0.0
    """
    return engine().sinh(x)


@op(promote=floating)
def cosh(x: Tensor) -> Tensor:
    """The hyperbolic cosine, elementwise.

    >>> float(cosh(0))
    1.0
    """
    return engine().cosh(x)


@op(promote=floating)
def tanh(x: Tensor) -> Tensor:
    """The hyperbolic tangent, elementwise.

    >>> float(tanh(0))
    0.0
    """
    return engine().tanh(x)


@op(promote=floating)
def arcsinh(x: Tensor) -> Tensor:
    """The inverse hyperbolic sine, elementwise.

    >>> float(arcsinh(0))
    0.0
    """
    return engine().arcsinh(x)


@op(promote=floating)
def arccosh(x: Tensor) -> Tensor:
    """The inverse hyperbolic cosine, elementwise.

    >>> float(arccosh(1))
    0.0
    """
    return engine().arccosh(x)


@op(promote=floating)
def arctanh(x: Tensor) -> Tensor:
    """The inverse hyperbolic tangent, elementwise.

    >>> float(arctanh(0))
    0.0
    """
    return engine().arctanh(x)


@op(promote=floating)
def arctan2(x1: Tensor, x2: Tensor) -> Tensor:
    """The angle of the point (x2, x1), in [-pi, pi], elementwise.

    >>> float(arctan2(0.0, 1.0))
    0.0
    """
    return engine().arctan2(x1, x2)


@op(promote=floating)
def deg2rad(x: Tensor) -> Tensor:
    """Degrees as radians, elementwise.

    >>> float(deg2rad(0))
    0.0
    """
    return engine().multiply(x, constant(math.pi / 180, x))


@op(promote=floating)
def rad2deg(x: Tensor) -> Tensor:
    """Radians as degrees, elementwise.

    >>> float(rad2deg(0))
    0.0
    """
    return engine().multiply(x, constant(180 / math.pi, x))


@op(promote=floating)
def sinc(x: Tensor) -> Tensor:
    """sin(pi x) / (pi x), and 1 at 0, elementwise.

    >>> float(sinc(0.0))
    1.0
    """
    one = constant(1, x)
    at_zero = engine().equal(x, constant(0, x))
    angle = engine().multiply(x, constant(math.pi, x))
    ratio = engine().divide(engine().sin(angle), engine().where(at_zero, one, angle))
    return engine().where(at_zero, one, ratio)


# ------------------------------------------------------------ complex numbers


@op
def real(x: Tensor) -> Tensor:
    """The real part, elementwise; real numbers as they are.

    >>> float(real(2.0))
    2.0
    """
    return engine().real(x) if is_complex(engine().dtype_of(x)) else x


@op
def imag(x: Tensor) -> Tensor:
    """The imaginary part, elementwise; 0 for real numbers.

    >>> float(imag(2.0))
    0.0
    """
    if is_complex(engine().dtype_of(x)):
        return engine().imag(x)
    return engine().full(engine().shape_of(x), 0, engine().dtype_of(x))


@op
def conj(x: Tensor) -> Tensor:
    """The complex conjugate, elementwise.

    >>> float(conj(2.0))
    2.0
    """
    return engine().conj(x) if is_complex(engine().dtype_of(x)) else x


conjugate = conj


@op(promote=floating)
def angle(x: Tensor) -> Tensor:
    """The angle of complex numbers, in [-pi, pi], elementwise.

    >>> float(angle(2.0))
    0.0
    """
    return engine().arctan2(imag(x), real(x))


@op
def isreal(x: Tensor) -> Tensor:
    """Whether the imaginary part is 0, elementwise.

    >>> bool(isreal(2.0))
    True
    """
    part = imag(x)
    return engine().equal(part, constant(0, part))


# ---------------------------------------------------------------- comparisons


@op
def equal(x1: Tensor, x2: Tensor) -> Tensor:
    """x1 == x2, elementwise, with broadcasting.

    >>> equal([1, 2], 2).tolist()
    [False, True]
    """
    return engine().equal(x1, x2)


@op
def not_equal(x1: Tensor, x2: Tensor) -> Tensor:
    """x1 != x2, elementwise, with broadcasting.

    >>> not_equal([1, 2], 2).tolist()
    [True, False]
    """
    return engine().not_equal(x1, x2)


@op
def greater(x1: Tensor, x2: Tensor) -> Tensor:
    """x1 > x2, elementwise, with broadcasting.

    >>> greater([1, 2], 1).tolist()
    [False, True]
    """
    return engine().greater(x1, x2)


@op
def greater_equal(x1: Tensor, x2: Tensor) -> Tensor:
    """x1 >= x2, elementwise, with broadcasting.

    >>> greater_equal([1, 2], 2).tolist()
    [False, True]
    """
    return engine().greater_equal(x1, x2)


@op
def less(x1: Tensor, x2: Tensor) -> Tensor:
    """x1 < x2, elementwise, with broadcasting.

    >>> less([1, 2], 2).tolist()
    [True, False]
    """
    return engine().less(x1, x2)


@op
def less_equal(x1: Tensor, x2: Tensor) -> Tensor:
    """x1 <= x2, elementwise, with broadcasting.

    >>> less_equal([1, 2], 1).tolist()
    [True, False]
    """
    return engine().less_equal(x1, x2)


@op(promote=floating)
def isclose(
    x1: Tensor, x2: Tensor, rtol: Tensor = 1e-5, atol: Tensor = 1e-8, equal_nan: bool = False
) -> Tensor:
    """Whether |x1 - x2| <= atol + rtol * |x2|, elementwise.

    Args:
        equal_nan: Whether NaN is close to NaN.

    >>> isclose([1.0, 2.0], [1.0, 2.1]).tolist()
    [True, False]
    """
    distance = engine().abs(engine().subtract(x1, x2))
    if is_complex(engine().dtype_of(x1)):
        rtol, atol = engine().real(rtol), engine().real(atol)
    limit = engine().add(atol, engine().multiply(rtol, engine().abs(x2)))
    finite = engine().logical_and(isfinite(x1), isfinite(x2))
    close = engine().logical_and(finite, engine().less_equal(distance, limit))
    close = engine().logical_or(close, engine().equal(x1, x2))
    if equal_nan:
        close = engine().logical_or(close, engine().logical_and(isnan(x1), isnan(x2)))
    return close


@op(promote=floating, constructed=("rtol", "atol"))
def allclose(
    x1: Tensor, x2: Tensor, rtol: Tensor = 1e-5, atol: Tensor = 1e-8, equal_nan: bool = False
) -> Tensor:
    """Whether `isclose` holds everywhere, a scalar.

    >>> bool(allclose([1.0, 2.0], [1.0, 2.1]))
    False
    """
    close = isclose(x1, x2, rtol, atol, equal_nan)
    return engine().all(close, tuple(range(len(engine().shape_of(close)))), False)


@op
def isnan(x: Tensor) -> Tensor:
    """Whether x is not a number, elementwise.

    >>> isnan([1.0, float("nan")]).tolist()
    [False, True]
    """
    if is_complex(engine().dtype_of(x)):
        return _either(engine().isnan, x)
    return _false(x) if _is_exact(x) else engine().isnan(x)


@op
def isinf(x: Tensor) -> Tensor:
    """Whether x is infinite, elementwise.

    >>> isinf([1.0, float("-inf")]).tolist()
    [False, True]
    """
    if is_complex(engine().dtype_of(x)):
        return _either(engine().isinf, x)
    return _false(x) if _is_exact(x) else engine().isinf(x)


@op
def isfinite(x: Tensor) -> Tensor:
    """Whether x is neither infinite nor NaN, elementwise.

    >>> isfinite([1.0, float("nan")]).tolist()
    [True, False]
    """
    if _is_exact(x):
        return engine().logical_not(_false(x))
    if is_complex(engine().dtype_of(x)):
        return engine().logical_not(engine().logical_or(isnan(x), isinf(x)))
    return engine().isfinite(x)


def _either(test: Any, x: Tensor) -> Tensor:
    return engine().logical_or(test(engine().real(x)), test(engine().imag(x)))


@op
def isposinf(x: Tensor) -> Tensor:
    """Whether x is plus infinity, elementwise.

    >>> isposinf([float("inf"), float("-inf")]).tolist()
    [True, False]
    """
    _refuse_complex(x, "isposinf")
    return _false(x) if _is_exact(x) else engine().equal(x, constant(math.inf, x))


@op
def isneginf(x: Tensor) -> Tensor:
    """Whether x is minus infinity, elementwise.

    >>> isneginf([float("inf"), float("-inf")]).tolist()
    [False, True]
    """
    _refuse_complex(x, "isneginf")
    return _false(x) if _is_exact(x) else engine().equal(x, constant(-math.inf, x))


@op
def nan_to_num(
    x: Tensor, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None
) -> Tensor:
    """x with NaN and infinities replaced, elementwise.

    Args:
        nan: What replaces NaN.
        posinf, neginf: What replaces infinities; the largest finite numbers by default.

    >>> nan_to_num([1.0, float("nan"), float("inf")], posinf=9.0).tolist()
    [1.0, 0.0, 9.0]
    """
    if _is_exact(x):
        return x
    dtype = engine().dtype_of(x)
    if is_complex(dtype):
        parts = (engine().real(x), engine().imag(x))
        return engine().complex(*[nan_to_num(part, nan, posinf, neginf) for part in parts])
    largest = largest_finite(dtype)
    x = engine().where(engine().isnan(x), constant(nan, x), x)
    x = engine().where(isposinf(x), constant(largest if posinf is None else posinf, x), x)
    return engine().where(isneginf(x), constant(-largest if neginf is None else neginf, x), x)


def largest_finite(dtype: str) -> float:
    """The largest finite number of a float dtype."""
    import ml_dtypes

    return float(ml_dtypes.finfo(numpy_dtype(dtype)).max)  # type: ignore[no-untyped-call]


# ---------------------------------------------------------------------- logic


@op
def logical_and(x1: Bool, x2: Bool) -> Tensor:
    """Whether both hold, elementwise, with broadcasting; numbers hold where they are not 0.

    >>> logical_and([True, False], True).tolist()
    [True, False]
    """
    return engine().logical_and(x1, x2)


@op
def logical_or(x1: Bool, x2: Bool) -> Tensor:
    """Whether either holds, elementwise, with broadcasting; numbers hold where they are not 0.

    >>> logical_or([True, False], False).tolist()
    [True, False]
    """
    return engine().logical_or(x1, x2)


@op
def logical_xor(x1: Bool, x2: Bool) -> Tensor:
    """Whether one of the two holds, elementwise; numbers hold where they are not 0.

    >>> logical_xor([True, False], True).tolist()
    [False, True]
    """
    return engine().logical_xor(x1, x2)


@op
def logical_not(x: Bool) -> Tensor:
    """Whether x does not hold, elementwise; numbers hold where they are not 0.

    >>> logical_not([True, False]).tolist()
    [False, True]
    """
    return engine().logical_not(x)


# ----------------------------------------------------------------------- bits


@op(promote=bits)
def bitwise_and(x: Tensor, y: Tensor) -> Tensor:
    """Bits that are set in both, elementwise, of integers or booleans.

    >>> bitwise_and([6, 5], 3).tolist()
    [2, 1]
    """
    return engine().bitwise_and(x, y)


@op(promote=bits)
def bitwise_or(x: Tensor, y: Tensor) -> Tensor:
    """Bits that are set in either, elementwise, of integers or booleans.

    >>> bitwise_or([6, 5], 3).tolist()
    [7, 7]
    """
    return engine().bitwise_or(x, y)


@op(promote=bits)
def bitwise_xor(x: Tensor, y: Tensor) -> Tensor:
    """Bits that are set in one of the two, elementwise, of integers or booleans.

    >>> bitwise_xor([6, 5], 3).tolist()
    [5, 6]
    """
    return engine().bitwise_xor(x, y)


@op(promote=bits)
def bitwise_not(x: Tensor) -> Tensor:
    """Every bit inverted, elementwise; booleans are negated.

    >>> bitwise_not([0, 5]).tolist()
    [-1, -6]
    """
    return engine().bitwise_not(x)


bitwise_invert = bitwise_not


@op(promote=shifted_bits)
def bitwise_left_shift(x: Tensor, y: Tensor) -> Tensor:
    """x * 2 ** y, elementwise, of integers.

    >>> bitwise_left_shift([1, 3], 2).tolist()
    [4, 12]
    """
    return engine().left_shift(x, y)


left_shift = bitwise_left_shift


@op(promote=shifted_bits)
def bitwise_right_shift(x: Tensor, y: Tensor) -> Tensor:
    """x shifted down by y bits, keeping the sign, elementwise, of integers.

    >>> bitwise_right_shift([4, -4], 1).tolist()
    [2, -2]
    """
    return engine().right_shift(x, y)


right_shift = bitwise_right_shift
