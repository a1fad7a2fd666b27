"""Functions of numbers in ONNX, those it has and those that are made of others; complex numbers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..contract import Tensor
from ..graphs.graph import Value, pairs
from ..spec import Spec
from .nodes import WIDE, OnnxNodes

_UNARY = pairs(
    "negative:Neg sign:Sign sqrt:Sqrt exp:Exp log:Log sin:Sin cos:Cos tan:Tan arcsin:Asin "
    "arccos:Acos arctan:Atan sinh:Sinh cosh:Cosh tanh:Tanh arcsinh:Asinh arccosh:Acosh "
    "arctanh:Atanh erf:Erf isnan:IsNaN isinf:IsInf logical_not:Not sigmoid:Sigmoid"
)
_ROUNDINGS = {"ceil": "Ceil", "floor": "Floor", "round": "Round"}
_BINARY = pairs(
    "add:Add subtract:Sub maximum:Max minimum:Min equal:Equal less:Less "
    "less_equal:LessOrEqual greater:Greater greater_equal:GreaterOrEqual logical_and:And "
    "logical_or:Or logical_xor:Xor power:Pow"
)
_OF_BOOLEANS = {"Add": "Or", "Max": "Or", "Min": "And"}
_BITWISE = {"and": "BitwiseAnd", "or": "BitwiseOr", "xor": "BitwiseXor"}
#: Activations by their ONNX operation and what it takes; ONNX's own recurrences know them too.
_ACTIVATIONS: dict[str, tuple[str, dict[str, float]]] = {
    "softplus": ("Softplus", {}),
    "softsign": ("Softsign", {}),
    "hard_sigmoid": ("HardSigmoid", {"alpha": 1 / 6, "beta": 0.5}),
    "hard_silu": ("HardSwish", {}),
    "selu": ("Selu", {"alpha": 1.6732632423543772, "gamma": 1.0507009873554805}),
}


def _unary(kind: str) -> Callable[..., Tensor]:
    def method(self: Mathematics, x: Tensor) -> Tensor:
        spec = Spec(x.dims, "bool" if kind in ("IsNaN", "IsInf", "Not") else x.dtype)
        return self._elementwise(kind, [x], spec)

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


def _bitwise(name: str, kind: str) -> Callable[..., Tensor]:
    def method(self: Mathematics, x1: Tensor, x2: Tensor) -> Tensor:
        return self._bits(kind, name, x1, x2)

    return method


def _activation(kind: str, attributes: dict[str, float]) -> Callable[..., Tensor]:
    def method(self: Mathematics, x: Tensor) -> Tensor:
        return self._elementwise(kind, [x], x, **attributes)

    return method


class Mathematics(OnnxNodes):
    """The primitives that compute element by element, and Fourier transforms."""

    vars().update(
        **{name: _unary(kind) for name, kind in _UNARY.items()},
        **{name: _rounding(kind) for name, kind in _ROUNDINGS.items()},
        **{name: _binary(name, kind) for name, kind in _BINARY.items()},
        **{f"bitwise_{name}": _bitwise(name, kind) for name, kind in _BITWISE.items()},
        **{name: _activation(*what) for name, what in _ACTIVATIONS.items()},
    )

    # ---------------------------------------------------------------- unary

    def abs(self, x: Tensor) -> Tensor:
        return self._elementwise("Abs", [x], x)

    # ------------------------------------------------------- Fourier

    def _dft(self, x: Value, spec: Spec, **options: int) -> Value:
        """The Fourier transform of the last axis; ONNX has pairs, or single reals, along one more."""
        parts = [x] if x.parts is None else x.parts
        pairs = self.concatenate([self._last(part) for part in parts], len(x.dims))
        wanted = Spec((*spec.dims, 2), parts[0].dtype)
        made = self._node("DFT", [pairs], wanted, axis=len(x.dims) - 1, **options)
        return self.complex(*(self.get_item(made, (Ellipsis, at)) for at in range(2)))

    def fft(self, x: Tensor) -> Tensor:
        return self._dft(x, x)

    def ifft(self, x: Tensor) -> Tensor:
        return self._dft(x, x, inverse=1)

    def rfft(self, x: Tensor) -> Tensor:
        return self._dft(self.cast(x, WIDE.get(x.dtype, x.dtype)), self.spec.rfft(x), onesided=1)

    # --------------------------------------------------------------- binary

    def multiply(self, x1: Tensor, x2: Tensor) -> Tensor:
        kind = "And" if x1.dtype == "bool" else "Mul"
        return self._elementwise(kind, [x1, x2], self.spec.multiply(x1, x2))

    def divide(self, x1: Tensor, x2: Tensor) -> Tensor:
        spec = self.spec.divide(x1, x2)
        return self._elementwise("Div", [x1, self._nonzero(x2)], spec)

    def mod(self, x1: Tensor, x2: Tensor) -> Tensor:
        if "int" in x1.dtype:
            spec = self.spec.mod(x1, x2)
            return self._elementwise("Mod", [x1, self._nonzero(x2)], spec)
        return super().mod(x1, x2)

    def fmod(self, x1: Tensor, x2: Tensor) -> Tensor:
        spec = self.spec.fmod(x1, x2)
        return self._elementwise("Mod", [x1, self._nonzero(x2)], spec, fmod=1)

    def _bits(self, kind: str, name: str, x1: Value, x2: Value) -> Value:
        if x1.dtype == "bool":
            return self._elementwise(name.capitalize(), [x1, x2], self.spec.add(x1, x2))
        if self.opset >= 18:
            return self._elementwise(kind, [x1, x2], self.spec.add(x1, x2))
        # Bit by bit along a new axis: the operation came with opset 18.
        count = 8 * np.dtype(x1.dtype).itemsize
        powers = self._constant(np.left_shift(1, np.arange(count, dtype=np.int64)))
        one, two = (
            self.mod(
                self.floor_divide(self._last(self.cast(x, "int64")), powers), self._constant(2)
            )
            for x in (x1, x2)
        )
        bits = {"and": self.multiply, "or": self.maximum, "xor": self.not_equal}[name](one, two)
        places = np.left_shift(1, np.arange(count, dtype=np.int64))
        if x1.dtype.startswith("int"):
            places[-1] = -places[-1]  # the sign
        total = self.multiply(self.cast(bits, "int64"), self._constant(places))
        return self.cast(self.sum(total, (len(total.dims) - 1,), False), x1.dtype)
