"""Functions that a format may lack, made of simpler primitives; complex numbers as two values each."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from ..contract import Tensor
from .graph import Value
from .moving import Moving
from .writing import NUMPY

_ERFINV_CENTRE = (
    2.81022636e-08, 3.43273939e-07, -3.5233877e-06, -4.39150654e-06, 0.00021858087, -0.00125372503,
    -0.00417768164, 0.246640727, 1.50140941,
)  # fmt: skip
_ERFINV_TAIL = (
    -0.000200214257, 0.000100950558, 0.00134934322, -0.00367342844, 0.00573950773, -0.0076224613,
    0.00943887047, 1.00167406, 2.83297682,
)  # fmt: skip
_LANCZOS = (
    676.5203681218851, -1259.1392167224028, 771.32342877765313, -176.61502916214059,
    12.507343278686905, -0.13857109526572012, 9.9843695780195716e-6, 1.5056327351493116e-7,
)  # fmt: skip
_I0_SMALL = (0.0045813, 0.0360768, 0.2659732, 1.2067492, 3.0899424, 3.5156229, 1.0)
_I0_LARGE = (
    0.00392377, -0.01647633, 0.02635537, -0.02057706, 0.00916281, -0.00157565, 0.00225319,
    0.01328592, 0.39894228,
)  # fmt: skip

#: The score of a key that is left out, as in the op's own body.
_LOWEST = -0.7 * float(np.finfo(np.float32).max)


class Composing(Moving):
    """Bodies over other primitives; a format that has an operation gives its own."""

    #: The widest floats that the format computes with.
    widest: ClassVar[str] = "float64"

    def trunc(self, x: Tensor) -> Tensor:
        return self.where(self.less(x, self._like(0, x)), self.ceil(x), self.floor(x))

    def expm1(self, x: Tensor) -> Tensor:
        # 2 sinh(x / 2) exp(x / 2) is exact near zero; below -80 it is -1 in float32.
        half = self.multiply(self.maximum(x, self._like(-80, x)), self._like(0.5, x))
        return self.multiply(self.multiply(self.sinh(half), self.exp(half)), self._like(2, x))

    def log1p(self, x: Tensor) -> Tensor:
        # 2 artanh(x / (x + 2)) is exact near zero, and overflows far from there.
        near = self.less(self.abs(x), self._like(0.5, x))
        small = self.where(near, x, self._like(0, x))
        exact = self.arctanh(self.divide(small, self.add(small, self._like(2, x))))
        plain = self.log(self.add(x, self._like(1, x)))
        return self.where(near, self.multiply(exact, self._like(2, x)), plain)

    def erfinv(self, x: Tensor) -> Tensor:
        """In single precision (Giles, Approximating the erfinv function, 2012)."""
        square = self.multiply(x, x)
        w = self.negative(
            self.log(self.multiply(*(f(self._like(1, x), x) for f in (self.subtract, self.add))))
        )
        centre = self._polynomial(self.subtract(w, self._like(2.5, x)), _ERFINV_CENTRE)
        root = self.sqrt(self.maximum(w, self._like(5, x)))
        tail = self._polynomial(self.subtract(root, self._like(3, x)), _ERFINV_TAIL)
        inner = self.multiply(x, self.where(self.less(w, self._like(5, x)), centre, tail))
        outer = self.multiply(x, self._like(math.inf, x))
        return self.where(self.equal(square, self._like(1, x)), outer, inner)

    def _polynomial(self, x: Value, coefficients: Sequence[float]) -> Value:
        """Horner's rule, the highest power first."""
        result = self._like(coefficients[0], x)
        for coefficient in coefficients[1:]:
            result = self.add(self.multiply(result, x), self._like(coefficient, x))
        return result

    def lgamma(self, x: Tensor) -> Tensor:
        """By Lanczos's series with g = 7, and Euler's reflection below 1/2."""
        if x.dtype != self.widest:
            return self.cast(self.lgamma(self.cast(x, self.widest)), x.dtype)
        one, half, pi = (self._like(value, x) for value in (1, 0.5, math.pi))
        low = self.less(x, half)
        z = self.subtract(self.where(low, self.subtract(one, x), x), one)
        series = self._like(0.99999999999980993, x)
        for i, coefficient in enumerate(_LANCZOS, start=1):
            series = self.add(
                series, self.divide(self._like(coefficient, x), self.add(z, self._like(i, x)))
            )
        t = self.add(z, self._like(7.5, x))
        upper = self.subtract(self.multiply(self.add(z, half), self.log(t)), t)
        upper = self.add(
            self.add(upper, self.log(series)), self._like(0.5 * math.log(2 * math.pi), x)
        )
        sine = self.abs(self.sin(self.multiply(pi, self.subtract(x, self.round(x)))))
        below = self.subtract(
            self.subtract(self._like(math.log(math.pi), x), self.log(sine)), upper
        )
        infinite = self._like(math.inf, x)
        return self.where(self.isinf(x), infinite, self.where(low, below, upper))

    def i0(self, x: Tensor) -> Tensor:
        """Abramowitz and Stegun, 9.8.1 and 9.8.2."""
        size = self.abs(x)
        t = self.divide(size, self._like(3.75, x))
        small = self._polynomial(self.multiply(t, t), _I0_SMALL)
        inverse = self.divide(self._like(1, x), self.maximum(t, self._like(1, x)))
        half = self.exp(self.multiply(size, self._like(0.5, x)))  # the whole one overflows earlier
        large = self.divide(half, self.sqrt(self.maximum(size, self._like(1, x))))
        large = self.multiply(self.multiply(large, self._polynomial(inverse, _I0_LARGE)), half)
        return self.where(self.less(t, self._like(1, x)), small, large)

    def bitwise_not(self, x: Tensor) -> Tensor:
        if x.dtype == "bool":
            return self.logical_not(x)
        return self.subtract(self._like(NUMPY.bitwise_not(np.zeros((), x.dtype)), x), x)

    # ------------------------------------------------------------ attention

    @abstractmethod
    def softmax(self, x: Tensor, axis: Any = -1) -> Tensor:
        """The op, in one operation: shares along an axis; `NotImplemented` for axes that a format can't do."""

    def dot_product_attention(
        self, query: Tensor, key: Tensor, value: Tensor, bias: Any = None, mask: Any = None,
        scale: float | None = None, is_causal: bool = False, flash_attention: bool | None = None,
        attn_logits_soft_cap: float | None = None,
    ) -> Tensor:  # fmt: skip
        ranks = {len(x.dims) for x in (query, key, value)}
        heads, size = query.dims[-2:]
        plain = not is_causal and attn_logits_soft_cap is None and query.dtype == "float32"
        if not plain or ranks != {4} or heads != key.dims[2] or not isinstance(size, int):
            return NotImplemented
        first, last = (0, 2, 1, 3), (0, 2, 3, 1)  # (batch, heads, time, size), and transposed
        scores = self.matmul(self.transpose(query, first), self.transpose(key, last))
        factor = size**-0.5 if scale is None else scale
        scores = self.multiply(scores, self._like(factor, scores))
        if bias is not None:
            scores = self.add(scores, self.cast(bias, scores.dtype))
        if mask is not None:
            scores = self.where(mask, scores, self._like(_LOWEST, scores))
        weights = self.softmax(scores, 3)
        return self.transpose(self.matmul(weights, self.transpose(value, first)), first)

    # ------------------------------------ complex numbers: two values each

    def complex(self, real: Tensor, imag: Tensor) -> Tensor:
        spec = self.spec.complex(real, imag)
        part = "float64" if spec.dtype == "complex128" else "float32"
        made = Value(spec.dims, spec.dtype, self.graph)
        made.parts = tuple(self.broadcast_to(self.cast(x, part), spec.dims) for x in (real, imag))
        return made

    def real(self, x: Tensor) -> Tensor:
        return x if x.parts is None else x.parts[0]

    def imag(self, x: Tensor) -> Tensor:
        return self.full(x.dims, 0, x.dtype) if x.parts is None else x.parts[1]

    def conj(self, x: Tensor) -> Tensor:
        return x if x.parts is None else self.complex(x.parts[0], self.negative(x.parts[1]))

    def irfft(self, x: Tensor, length: int) -> Tensor:
        """By a product with cosines and sines: ONNX's operation has no such inverse."""
        if not isinstance(length, int):
            self.shape_alone("irfft")
        count = length // 2 + 1
        angle = 2 * np.pi * np.outer(np.arange(count), np.arange(length)) / length
        scale = np.where(np.arange(count) * 2 % length == 0, 1, 2)[:, None] / length
        parts = [self.slice_axis(p, len(x.dims) - 1, 0, count) for p in x.parts]
        tables = [
            self._like(scale * np.cos(angle), parts[0]),
            self._like(-scale * np.sin(angle), parts[0]),
        ]
        return self.add(*map(self.matmul, parts, tables))

    # --------------------------------------------------------------- binary

    def _nonzero(self, x: Value) -> Value:
        """A divisor of integers without zeros, at which kernels stop the process."""
        if "int" not in x.dtype or (x.array is not None and x.array.all()):
            return x
        return self.where(self.equal(x, self._like(0, x)), self._like(1, x), x)

    def floor_divide(self, x1: Tensor, x2: Tensor) -> Tensor:
        if "int" not in x1.dtype:
            return self.floor(self.divide(x1, x2))
        # Kernels cut the quotient off; what is below zero then lies one too high.
        down = self.cast(self._is_turned(self.fmod(x1, x2), x2), x1.dtype)
        return self.subtract(self.divide(x1, x2), down)

    def mod(self, x1: Tensor, x2: Tensor) -> Tensor:
        rest = self.fmod(x1, x2)
        return self.where(self._is_turned(rest, x2), self.add(rest, x2), rest)

    def _is_turned(self, rest: Value, divisor: Value) -> Value:
        """Whether a remainder has the sign that the divisor has not."""
        zero = self._like(0, rest)
        differ = self.not_equal(self.less(rest, zero), self.less(divisor, zero))
        return self.logical_and(self.not_equal(rest, zero), differ)

    def signbit(self, x: Tensor) -> Tensor:
        # The sign of a zero shows in its inverse.
        zero = self._like(0, x)
        if "float" in x.dtype:
            x = self.where(self.equal(x, zero), self.divide(self._like(1, x), x), x)
        return self.less(x, zero)

    def arctan2(self, x1: Tensor, x2: Tensor) -> Tensor:
        zero, pi = self._like(0, x1), self._like(math.pi, x1)
        both = self.logical_and(self.isinf(x1), self.isinf(x2))  # as far as each other
        x1, x2 = (self.where(both, self.sign(x), x) for x in (x1, x2))
        upright = self.equal(x2, zero)
        angle = self.arctan(self.divide(x1, self.where(upright, self._like(1, x2), x2)))
        angle = self.where(
            upright, self.multiply(self.sign(x1), self._like(math.pi / 2, x1)), angle
        )
        turn = self.where(self.signbit(x1), self.negative(pi), pi)
        aside = self.logical_and(upright, self.not_equal(x1, zero))
        left = self.logical_and(self.signbit(x2), self.logical_not(aside))
        return self.where(left, self.add(angle, turn), angle)

    def _keys(self, x: Value, most: float) -> Value:
        """x with the most extreme number in place of NaN, which operations on order know nothing of."""
        return self.where(self.isnan(x), self._like(most, x), x) if "float" in x.dtype else x

    def searchsorted(self, sequence: Tensor, values: Tensor, side: str) -> Tensor:
        before = self.less if side == "left" else self.less_equal
        smaller = before(self._expanded(sequence), self._last(values))
        return self.sum(self.cast(smaller, "int32"), (1,), False)

    def left_shift(self, x1: Tensor, x2: Tensor) -> Tensor:
        two = self._constant(2)
        return self.cast(
            self.multiply(self.cast(x1, "int64"), self.power(two, self.cast(x2, "int64"))), x1.dtype
        )

    def right_shift(self, x1: Tensor, x2: Tensor) -> Tensor:
        two = self._constant(2)
        return self.cast(
            self.floor_divide(self.cast(x1, "int64"), self.power(two, self.cast(x2, "int64"))),
            x1.dtype,
        )
