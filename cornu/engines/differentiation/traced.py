"""Tensors that are being differentiated, and the nodes of the graph that makes them."""

from __future__ import annotations

import functools
import itertools
import operator
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from ..contract import Engine, Tensor
from ..host import PYTHON
from ..operators import PrimitiveOperators

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


def _reduction(name: str) -> Any:
    """The method of that name, over one axis, several or all."""

    def method(self: Traced, axis: Any = None, keepdims: bool = False) -> Any:
        axes = range(self.ndim) if axis is None else axis if isinstance(axis, tuple) else (axis,)
        axes = tuple(at % self.ndim for at in axes)
        return getattr(self.engine, name)(self, axes, keepdims)

    return method


class Traced(PrimitiveOperators):
    """A tensor that is being differentiated: its value, and result `index` of the node that made it.

    Its operators promote as the engine's own tensors do, and compute by the engine's primitives.
    """

    __slots__ = ("__weakref__", "engine", "index", "level", "node", "value")

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

    sum, mean, var = map(_reduction, ("sum", "mean", "var"))
    max, min, prod = map(_reduction, ("max", "min", "prod"))

    def std(self, axis: Any = None, keepdims: bool = False) -> Any:
        """The standard deviation."""
        return self.engine.sqrt(self.var(axis, keepdims))

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

    def _engine(self) -> Engine:
        return self.engine

    def _takes(self, x: Any) -> bool:
        engine = self.engine
        return x is not None and (
            engine.is_tensor(x) or x.__class__ in engine.native | {complex, list, tuple}
        )

    def _common(self, types: Sequence[Any]) -> str:
        """What the engine's own tensors give; Python's numbers take the tensor's dtype."""
        engine = self.engine
        dtypes = {x for x in types if x not in PYTHON}
        if len(dtypes) == 1:
            return dtypes.pop()
        return engine.dtype_of(
            functools.reduce(operator.add, (engine.full((), 0, x) for x in dtypes))
        )

    def __repr__(self) -> str:
        return f"<Traced {self.value!r}>"

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        raise TypeError(
            "NumPy's functions can't differentiate. Received: a traced tensor of shape "
            f"{self.shape}. Use functions of `cornu.ops`, or take the gradient away with "
            "`cornu.ops.convert_to_numpy(x)`."
        )


def _is_one(sizes: tuple[Any, ...]) -> bool:
    return len(sizes) == 1 and isinstance(sizes[0], (list, tuple))
