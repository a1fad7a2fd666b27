"""Python's operators on symbolic tensors and variables: each is an op."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..core.keras_tensor import KerasTensor
from ..core.variable import Variable
from . import numpy as ops

#: Operators of two operands, which have reflected forms (`__radd__`).
ARITHMETIC: dict[str, Callable[..., Any]] = {
    "add": ops.add,
    "sub": ops.subtract,
    "mul": ops.multiply,
    "truediv": ops.true_divide,
    "floordiv": ops.floor_divide,
    "mod": ops.mod,
    "pow": ops.power,
    "matmul": ops.matmul,
    "and": ops.logical_and,
    "or": ops.logical_or,
    "xor": ops.logical_xor,
}
COMPARISONS: dict[str, Callable[..., Any]] = {
    "ne": ops.not_equal,
    "lt": ops.less,
    "le": ops.less_equal,
    "gt": ops.greater,
    "ge": ops.greater_equal,
}
UNARY: dict[str, Callable[..., Any]] = {
    "neg": ops.negative,
    "abs": ops.absolute,
    "round": ops.round,
}


def _symbol(x: Any) -> Any:
    return x


def _value(x: Any) -> Any:
    return x.value


def _binary(op: Callable[..., Any], read: Callable[[Any], Any]) -> Callable[..., Any]:
    def method(self: Any, other: Any) -> Any:
        return NotImplemented if other is None else op(read(self), other)

    return method


def _reflected(op: Callable[..., Any], read: Callable[[Any], Any]) -> Callable[..., Any]:
    def method(self: Any, other: Any) -> Any:
        return NotImplemented if other is None else op(other, read(self))

    return method


def _unary(op: Callable[..., Any], read: Callable[[Any], Any]) -> Callable[..., Any]:
    def method(self: Any, *arguments: Any) -> Any:
        return op(read(self), *arguments)

    return method


def attach(target: type, read: Callable[[Any], Any], **others: Callable[..., Any]) -> None:
    """Give a class the operators.

    Args:
        read: What gives the operand that an instance stands for.
        others: Methods besides those of the tables, by name.
    """
    methods = {f"__{name}__": _binary(op, read) for name, op in (ARITHMETIC | COMPARISONS).items()}
    methods |= {f"__r{name}__": _reflected(op, read) for name, op in ARITHMETIC.items()}
    methods |= {f"__{name}__": _unary(op, read) for name, op in UNARY.items()}
    methods["__getitem__"] = _unary(ops.get_item, read)
    for name, method in (methods | others).items():
        method.__name__ = name
        method.__qualname__ = f"{target.__qualname__}.{name}"
        setattr(target, name, method)


def _reshape(self: KerasTensor, newshape: Any) -> Any:
    """The elements in another shape."""
    return ops.reshape(self, newshape)


def _squeeze(self: KerasTensor, axis: Any = None) -> Any:
    """The tensor without axes of size 1."""
    return ops.squeeze(self, axis)


# A symbolic tensor equals itself only: it is looked up in lists and dictionaries.
attach(
    KerasTensor,
    _symbol,
    __invert__=_unary(ops.logical_not, _symbol),
    reshape=_reshape,
    squeeze=_squeeze,
)
attach(
    Variable,
    _value,
    __eq__=_binary(ops.equal, _value),
    __invert__=_unary(ops.bitwise_not, _value),
    __pos__=_unary(_symbol, _value),
)
