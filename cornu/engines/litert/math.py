"""Functions of numbers in LiteRT, those it has and those that are made of others."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import ClassVar

import numpy as np

from ..contract import Tensor
from ..graphs.graph import Value, pairs
from ..spec import Spec
from .nodes import LiteRTNodes

_UNARY = pairs(
    "negative:NEG sqrt:SQRT rsqrt:RSQRT exp:EXP log:LOG sin:SIN cos:COS tanh:TANH sigmoid:LOGISTIC "
    "logical_not:LOGICAL_NOT"
)
_ROUNDINGS = pairs("ceil:CEIL floor:FLOOR round:ROUND")
_BINARY = pairs(
    "add:ADD subtract:SUB multiply:MUL maximum:MAXIMUM minimum:MINIMUM equal:EQUAL not_equal:NOT_EQUAL "
    "less:LESS less_equal:LESS_EQUAL greater:GREATER greater_equal:GREATER_EQUAL "
    "logical_and:LOGICAL_AND logical_or:LOGICAL_OR"
)
_OF_BOOLEANS = pairs("ADD:LOGICAL_OR MAXIMUM:LOGICAL_OR MUL:LOGICAL_AND MINIMUM:LOGICAL_AND")
#: Abramowitz and Stegun, 7.1.26: the error function to 1.5e-7.
_ERF = (1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592, 0.0)
_ERF_RATE = 0.3275911


def _unary(kind: str) -> Callable[..., Tensor]:
    def method(self: Mathematics, x: Tensor) -> Tensor:
        return self._elementwise(kind, [x], x)

    return method


def _rounding(kind: str) -> Callable[..., Tensor]:
    def method(self: Mathematics, x: Tensor) -> Tensor:
        return self._elementwise(kind, [x], x) if "float" in x.dtype else x

    return method


def _binary(name: str, kind: str) -> Callable[..., Tensor]:
    def method(self: Mathematics, x1: Tensor, x2: Tensor) -> Tensor:
        spec = getattr(self.spec, name)(x1, x2)
        chosen = _OF_BOOLEANS.get(kind, kind) if x1.dtype == "bool" else kind
        return self._elementwise(chosen, [x1, x2], spec)

    return method


class Mathematics(LiteRTNodes):
    """The primitives that compute element by element, and Fourier transforms."""

    widest: ClassVar[str] = "float32"

    vars().update(
        **{name: _unary(kind) for name, kind in _UNARY.items()},
        **{name: _rounding(kind) for name, kind in _ROUNDINGS.items()},
        **{name: _binary(name, kind) for name, kind in _BINARY.items()},
    )

    # ---------------------------------------------------------------- unary

    def abs(self, x: Tensor) -> Tensor:
        if "float" not in x.dtype:
            return x if x.dtype[0] in "ub" else self.maximum(x, self.negative(x))
        return self._elementwise("ABS", [x], x)

    def sign(self, x: Tensor) -> Tensor:
        if "float" in x.dtype:
            return self._elementwise("SIGN", [x], x)
        above, below = (f(x, self._like(0, x)) for f in (self.greater, self.less))
        return self.subtract(self.cast(above, x.dtype), self.cast(below, x.dtype))

    def tan(self, x: Tensor) -> Tensor:
        return self.divide(self.sin(x), self.cos(x))

    def arcsin(self, x: Tensor) -> Tensor:
        return self.arctan2(x, self._leg(x))

    def arccos(self, x: Tensor) -> Tensor:
        return self.arctan2(self._leg(x), x)

    def _leg(self, x: Value) -> Value:
        """sqrt(1 - x^2)"""
        one = self._like(1, x)
        return self.sqrt(self.multiply(self.subtract(one, x), self.add(one, x)))

    def arctan(self, x: Tensor) -> Tensor:
        return self.arctan2(x, self._like(1, x))

    def sinh(self, x: Tensor) -> Tensor:
        # By its series near zero, where the difference of exponentials loses digits.
        square = self.multiply(x, x)
        series = self._polynomial(square, [1 / math.factorial(n) for n in (9, 7, 5, 3, 1)])
        half = self._like(0.5, x)
        apart = self.subtract(self.exp(x), self.exp(self.negative(x)))
        near = self.less(square, self._like(1, x))
        return self.where(near, self.multiply(x, series), self.multiply(half, apart))

    def cosh(self, x: Tensor) -> Tensor:
        total = self.add(self.exp(x), self.exp(self.negative(x)))
        return self.multiply(self._like(0.5, x), total)

    def log1p(self, x: Tensor) -> Tensor:
        # Kahan's: what 1 + x rounds off is divided out again.
        one = self._like(1, x)
        u = self.add(x, one)
        whole = self.logical_or(self.equal(u, one), self.isinf(u))
        safe = self.where(whole, self._like(2, x), u)
        exact = self.divide(self.multiply(self.log(safe), x), self.subtract(safe, one))
        return self.where(whole, x, exact)

    def arcsinh(self, x: Tensor) -> Tensor:
        size, one = self.abs(x), self._like(1, x)
        root = self.sqrt(self.add(self.multiply(size, size), one))
        square = self.divide(size, self.divide(self.add(root, one), size))
        square = self.where(self.equal(size, self._like(0, x)), size, square)
        return self.multiply(self.sign(x), self.log1p(self.add(size, square)))

    def arccosh(self, x: Tensor) -> Tensor:
        t = self.subtract(x, self._like(1, x))
        root = self.sqrt(self.multiply(t, self.add(t, self._like(2, x))))
        return self.log1p(self.add(t, root))

    def arctanh(self, x: Tensor) -> Tensor:
        apart = self.subtract(self.log1p(x), self.log1p(self.negative(x)))
        return self.multiply(self._like(0.5, x), apart)

    def erf(self, x: Tensor) -> Tensor:
        one, size = self._like(1, x), self.abs(x)
        t = self.divide(one, self.add(one, self.multiply(self._like(_ERF_RATE, x), size)))
        bell = self.exp(self.negative(self.multiply(x, x)))
        return self.multiply(
            self.sign(x), self.subtract(one, self.multiply(self._polynomial(t, _ERF), bell))
        )

    def isnan(self, x: Tensor) -> Tensor:
        return self.not_equal(x, x)

    def bitwise_not(self, x: Tensor) -> Tensor:
        return self.logical_not(x) if x.dtype == "bool" else self.bitwise_xor(x, self._like(-1, x))

    # --------------------------------------------------------------- binary

    def power(self, x1: Tensor, x2: Tensor) -> Tensor:
        return self._elementwise("POW", [x1, x2], self.spec.power(x1, x2))

    def arctan2(self, x1: Tensor, x2: Tensor) -> Tensor:
        spec = self.spec.arctan2(x1, x2)
        operands = [self.broadcast_to(x, spec.dims) for x in (x1, x2)]
        return self._elementwise("ATAN2", operands, spec)

    def bitwise_and(self, x1: Tensor, x2: Tensor) -> Tensor:
        spec = self.spec.bitwise_and(x1, x2)
        if x1.dtype == "bool":
            return self.logical_and(x1, x2)
        operands = [self.broadcast_to(x, spec.dims) for x in (x1, x2)]
        return self._elementwise("STABLEHLO_AND", operands, spec)

    def bitwise_xor(self, x1: Tensor, x2: Tensor) -> Tensor:
        if x1.dtype == "bool":
            return self.not_equal(x1, x2)
        return self._elementwise("BITWISE_XOR", [x1, x2], self.spec.bitwise_xor(x1, x2))

    def bitwise_or(self, x1: Tensor, x2: Tensor) -> Tensor:
        if x1.dtype == "bool":
            return self.logical_or(x1, x2)
        return self.bitwise_xor(self.bitwise_xor(x1, x2), self.bitwise_and(x1, x2))

    def left_shift(self, x1: Tensor, x2: Tensor) -> Tensor:
        spec = self.spec.left_shift(x1, x2)
        signed = [self.view(self.broadcast_to(x, spec.dims), x.dtype.lstrip("u")) for x in (x1, x2)]
        made = self._node("STABLEHLO_SHIFT_LEFT", signed, Spec(spec.dims, signed[0].dtype))
        return self.view(made, spec.dtype)

    def right_shift(self, x1: Tensor, x2: Tensor) -> Tensor:
        return self._elementwise("RIGHT_SHIFT", [x1, x2], self.spec.right_shift(x1, x2))

    # ------------------------------------------------- transforms of Fourier

    def _turned(self, x: Value, length: int, count: int, sign: int) -> Value:
        """`count` sums of x (..., length), turned by exp(sign 2 pi i j k / length), by products."""
        angle = sign * 2 * np.pi * np.outer(np.arange(length), np.arange(count)) / length
        real, imag = self.real(x), self.imag(x)
        cosine, sine = (self._like(table, real) for table in (np.cos(angle), np.sin(angle)))
        if x.parts is None:
            return self.complex(self.matmul(real, cosine), self.matmul(real, sine))
        a, b = (self.matmul(part, cosine) for part in (real, imag))
        c, d = (self.matmul(part, sine) for part in (real, imag))
        return self.complex(self.subtract(a, d), self.add(c, b))

    def _length_of(self, x: Value, name: str) -> int:
        if not isinstance(x.dims[-1], int):
            self.shape_alone(name)
        return x.dims[-1]

    def fft(self, x: Tensor) -> Tensor:
        length = self._length_of(x, "fft")
        return self._turned(x, length, length, -1)

    def ifft(self, x: Tensor) -> Tensor:
        length = self._length_of(x, "ifft")
        made = self._turned(x, length, length, 1)
        return self.complex(
            *(self.divide(part, self._like(length, part)) for part in made.parts or ())
        )

    def rfft(self, x: Tensor) -> Tensor:
        length, x = self._length_of(x, "rfft"), self.cast(x, "float32")
        if length & (length - 1) or length < 2:
            return self._turned(x, length, length // 2 + 1, -1)
        # The runtime's own, of images, is for powers of two.
        rows = self.reshape(x, (*x.dims[:-1], 1, length))
        spec = Spec((*rows.dims[:-1], length // 2 + 1), "complex64")
        found = self.graph.add("RFFT2D", [rows, self._constant([1, length])], [spec])
        half = Spec(spec.dims, "float32")
        parts = [self.graph.add(kind, found, [half])[0] for kind in ("REAL", "IMAG")]
        return self.complex(*(self.reshape(p, (*x.dims[:-1], length // 2 + 1)) for p in parts))
