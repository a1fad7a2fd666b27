"""Python's operators, once for every class of tensors that has them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from . import host
from .indexing import indexed

if TYPE_CHECKING:
    from .contract import Engine


class Operators:
    """Each operator is what `_operate` makes of the name of its primitive.

    A tensor is one object, whatever its values: it is hashed as such.
    """

    __slots__ = ()
    __hash__ = object.__hash__
    __array_ufunc__ = None  # NumPy's operators leave `array + tensor` to this class

    def _operate(self, name: str, *operands: Any) -> Any:
        """What a primitive gives for the operands, of which `self` is one; `NotImplemented` for strangers."""
        raise NotImplementedError

    def __add__(self, other: Any) -> Any:
        return self._operate("add", self, other)

    def __radd__(self, other: Any) -> Any:
        return self._operate("add", other, self)

    def __sub__(self, other: Any) -> Any:
        return self._operate("subtract", self, other)

    def __rsub__(self, other: Any) -> Any:
        return self._operate("subtract", other, self)

    def __mul__(self, other: Any) -> Any:
        return self._operate("multiply", self, other)

    def __rmul__(self, other: Any) -> Any:
        return self._operate("multiply", other, self)

    def __truediv__(self, other: Any) -> Any:
        return self._operate("divide", self, other)

    def __rtruediv__(self, other: Any) -> Any:
        return self._operate("divide", other, self)

    def __floordiv__(self, other: Any) -> Any:
        return self._operate("floor_divide", self, other)

    def __rfloordiv__(self, other: Any) -> Any:
        return self._operate("floor_divide", other, self)

    def __mod__(self, other: Any) -> Any:
        return self._operate("mod", self, other)

    def __rmod__(self, other: Any) -> Any:
        return self._operate("mod", other, self)

    def __pow__(self, other: Any) -> Any:
        return self._operate("power", self, other)

    def __rpow__(self, other: Any) -> Any:
        return self._operate("power", other, self)

    def __matmul__(self, other: Any) -> Any:
        return self._operate("matmul", self, other)

    def __rmatmul__(self, other: Any) -> Any:
        return self._operate("matmul", other, self)

    def __and__(self, other: Any) -> Any:
        return self._operate("logical_and", self, other)

    def __rand__(self, other: Any) -> Any:
        return self._operate("logical_and", other, self)

    def __or__(self, other: Any) -> Any:
        return self._operate("logical_or", self, other)

    def __ror__(self, other: Any) -> Any:
        return self._operate("logical_or", other, self)

    def __xor__(self, other: Any) -> Any:
        return self._operate("logical_xor", self, other)

    def __rxor__(self, other: Any) -> Any:
        return self._operate("logical_xor", other, self)

    def __eq__(self, other: Any) -> Any:
        return self._operate("equal", self, other)

    def __ne__(self, other: Any) -> Any:
        return self._operate("not_equal", self, other)

    def __lt__(self, other: Any) -> Any:
        return self._operate("less", self, other)

    def __le__(self, other: Any) -> Any:
        return self._operate("less_equal", self, other)

    def __gt__(self, other: Any) -> Any:
        return self._operate("greater", self, other)

    def __ge__(self, other: Any) -> Any:
        return self._operate("greater_equal", self, other)

    def __neg__(self) -> Any:
        return self._operate("negative", self)

    def __pos__(self) -> Any:
        return self

    def __abs__(self) -> Any:
        return self._operate("abs", self)

    def __invert__(self) -> Any:
        return self._operate("logical_not", self)


class PrimitiveOperators(Operators):
    """Operators that are an engine's primitives, of operands that are brought to one dtype."""

    __slots__ = ()

    def _engine(self) -> Engine:
        """The engine whose tensor this is."""
        raise NotImplementedError

    def _takes(self, x: Any) -> bool:
        """Whether `x` can be an operand; a variable or another library's tensor knows better itself."""
        raise NotImplementedError

    def _common(self, types: Sequence[Any]) -> str:
        """The dtype of operands of these types, each a dtype or a Python type."""
        return host.common_dtype(types)

    def __getitem__(self, key: Any) -> Any:
        return indexed(self._engine(), self, key)

    def _operate(self, name: str, *operands: Any) -> Any:
        if not all(map(self._takes, operands)):
            return NotImplemented
        engine = self._engine()
        dtype = self._common([engine.weak_type(x) for x in operands])
        if name == "divide" and host.numpy_dtype(dtype).kind in "biu":
            dtype = "float32"
        return getattr(engine, name)(*(engine.convert_to_tensor(x, dtype) for x in operands))
