"""Tensors that are being differentiated, and the nodes of the graph that makes them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from ..contract import Tensor

#: From the cotangents of a node's results (None: zero) to those of what it was made of.
Back = Callable[[Sequence[Any]], Iterable[tuple["Node", int, Any]]]

_orders = itertools.count()


class Node:
    """What made traced tensors, numbered in the order of making; the inputs of a function have no
    parents.

    A parent is a node, which of its results, the pull to it and its shape. Where `back` does all
    that, a parent is a node alone."""

    __slots__ = ("back", "order", "parents")

    def __init__(self, parents: Sequence[Any] = (), back: Back | None = None) -> None:
        self.order, self.parents, self.back = next(_orders), parents, back


class Traced:
    """A tensor that is being differentiated: its value, and result `index` of the node that made it.

    Its operators promote as the engine's own tensors do, and compute by the engine's primitives.
    """

    __slots__ = ("__weakref__", "engine", "index", "level", "node", "value")
    __hash__ = object.__hash__
    __array_ufunc__ = None  # NumPy's operators leave `array + traced` to this class

    def __init__(self, engine: Any, value: Tensor, level: int, node: Node, index: int = 0) -> None:
        self.engine, self.value, self.level = engine, value, level
        self.node, self.index = node, index

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape."""
        return tuple(self.engine.shape_of(self.value))

    @property
    def dtype(self) -> Any:
        """The dtype, as the engine's own tensors have it."""
        return self.value.dtype

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    @property
    def T(self) -> Any:
        """The axes in reverse."""
        return self.transpose()

    def astype(self, dtype: Any) -> Any:
        """The values in another dtype."""
        name = getattr(dtype, "name", None) or getattr(dtype, "__name__", None)
        return self.engine.cast(self, name or dtype)

    def reshape(self, *shape: Any) -> Any:
        """The elements in another shape, given size by size or as a tuple."""
        return self.engine.reshape(self, tuple(shape[0] if _is_one(shape) else shape))

    def transpose(self, *axes: Any) -> Any:
        """The axes in another order, given one by one or as a tuple; in reverse by default."""
        axes = tuple(axes[0] if _is_one(axes) else axes) or tuple(reversed(range(self.ndim)))
        return self.engine.transpose(self, tuple(axis % self.ndim for axis in axes))

    def squeeze(self) -> Any:
        """The tensor without axes of size 1."""
        return self.reshape([size for size in self.shape if size != 1])

    def std(self, axis: Any = None, keepdims: bool = False) -> Any:
        """The standard deviation."""
        return self.engine.sqrt(self.var(axis, keepdims))  # type: ignore[attr-defined]

    def item(self) -> Any:
        """The value of a scalar."""
        return self.engine.convert_to_numpy(self).item()

    def tolist(self) -> Any:
        """The values as nested lists."""
        return self.engine.convert_to_numpy(self).tolist()

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("A scalar tensor has no length.")
        return self.shape[0]

    def __getitem__(self, key: Any) -> Any:
        key = key if isinstance(key, tuple) else (key,)
        convert = self.engine.convert_to_tensor
        return self.engine.get_item(
            self, tuple(convert(entry) if isinstance(entry, list) else entry for entry in key)
        )

    def __iter__(self) -> Iterator[Any]:
        return (self.engine.get_item(self, (at,)) for at in range(len(self)))

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __complex__(self) -> complex:
        return complex(self.item())

    def __bool__(self) -> bool:
        return bool(self.item())

    def __neg__(self) -> Any:
        return self.engine.negative(self)

    def __pos__(self) -> Any:
        return self

    def __abs__(self) -> Any:
        return self.engine.abs(self)

    def __repr__(self) -> str:
        return f"<Traced {self.value!r}>"

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        raise TypeError(
            "NumPy's functions can't differentiate. Received: a traced tensor of shape "
            f"{self.shape}. Use functions of `cornu.ops`, or take the gradient away with "
            "`cornu.ops.convert_to_numpy(x)`."
        )


# -------------------------------------------------------------- operators and methods

_ARITHMETIC = {
    "add": "add",
    "sub": "subtract",
    "mul": "multiply",
    "truediv": "divide",
    "floordiv": "floor_divide",
    "mod": "mod",
    "pow": "power",
    "matmul": "matmul",
}
_COMPARISONS = {
    "eq": "equal",
    "ne": "not_equal",
    "lt": "less",
    "le": "less_equal",
    "gt": "greater",
    "ge": "greater_equal",
}


def _is_one(sizes: tuple[Any, ...]) -> bool:
    return len(sizes) == 1 and isinstance(sizes[0], (list, tuple))


def _joined(x: Traced, other: Any) -> tuple[Any, Any] | None:
    """Operands of one dtype, which Python's numbers take from the tensor; None for strangers."""
    engine = x.engine
    own = engine.dtype_of(x)
    if other.__class__ in (bool, int, float):
        return x, engine.convert_to_tensor(other, own)
    if not engine.is_tensor(other):
        if other.__class__ not in engine.native | {complex, list, tuple} or other is None:
            return None
        other = engine.convert_to_tensor(other)
    theirs = engine.dtype_of(other)
    if theirs != own:
        dtype = engine.dtype_of(engine.full((), 0, own) + engine.full((), 0, theirs))
        x, other = engine.cast(x, dtype), engine.cast(other, dtype)
    return x, other


def _operator(name: str, reflected: bool = False) -> Callable[..., Any]:
    def method(self: Traced, other: Any) -> Any:
        pair = _joined(self, other)
        if pair is None:
            return NotImplemented
        return getattr(self.engine, name)(*(reversed(pair) if reflected else pair))

    return method


def _reduction(name: str) -> Callable[..., Any]:
    def method(self: Traced, axis: Any = None, keepdims: bool = False) -> Any:
        axes = range(self.ndim) if axis is None else axis if isinstance(axis, tuple) else (axis,)
        axes = tuple(at % self.ndim for at in axes)
        return getattr(self.engine, name)(self, axes, keepdims)

    return method


for _name, _primitive in (_ARITHMETIC | _COMPARISONS).items():
    setattr(Traced, f"__{_name}__", _operator(_primitive))
for _name, _primitive in _ARITHMETIC.items():
    setattr(Traced, f"__r{_name}__", _operator(_primitive, reflected=True))
for _name in ("sum", "mean", "max", "min", "prod", "var"):
    setattr(Traced, _name, _reduction(_name))
