"""Lists of torch tensors that are computed with as one: a `_foreach_` kernel does all of a list.

An optimizer's rule is written for one weight. Run on groups, it updates all weights at once, with as
many kernel calls as for one. What has no such kernel is done tensor by tensor.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from ..operators import Operators

#: PyTorch's names of primitives that it calls otherwise.
_NAMES = {"power": "pow", "mod": "remainder", "equal": "eq"}
#: The kernels' names of functions.
_ALIASES = {"multiply": "mul", "subtract": "sub", "divide": "div", "negative": "neg"}
_UNARY = frozenset(
    "abs ceil floor round trunc sqrt exp expm1 log log1p sin cos tan sinh cosh tanh sigmoid erf erfc "
    "lgamma sign neg".split()
)
_BINARY = frozenset("add sub mul div maximum minimum".split())


class Group(Operators):
    """Tensors that are treated alike; PyTorch's functions take it for a tensor."""

    __slots__ = ("tensors",)

    def __init__(self, tensors: Sequence[torch.Tensor]) -> None:
        self.tensors = list(tensors)

    @property
    def shape(self) -> torch.Size:
        """The shape of the first one: what is done element by element asks for no more."""
        return self.tensors[0].shape

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of all."""
        return self.tensors[0].dtype

    def to(self, dtype: torch.dtype) -> Group:
        """All in another dtype."""
        return Group([x.to(dtype) for x in self.tensors])

    @classmethod
    def __torch_function__(
        cls, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        name = function.__name__.strip("_")
        name = _ALIASES.get(name, name)
        first, *others = args
        if name in ("mul", "add") and not isinstance(first, Group):
            first, others = others[0], [first]  # the kernels want the list first
        if not kwargs and isinstance(first, Group):
            kernel: Callable[..., Any] | None = getattr(torch, f"_foreach_{name}", None)
            if name in _UNARY and kernel is not None:
                return Group(kernel(first.tensors))
            if name in _BINARY and kernel is not None and _fits(name, others[0]):
                other = others[0]
                return Group(
                    kernel(first.tensors, other.tensors if isinstance(other, Group) else other)
                )
        count = next(len(x.tensors) for x in args if isinstance(x, Group))
        rows = zip(*(x.tensors if isinstance(x, Group) else [x] * count for x in args), strict=True)
        return Group([function(*row, **(kwargs or {})) for row in rows])

    def _operate(self, name: str, *operands: Any) -> Any:
        if not all(isinstance(x, (Group, torch.Tensor, int, float)) for x in operands):
            return NotImplemented
        return getattr(torch, _NAMES.get(name, name))(*operands)


def _fits(name: str, other: Any) -> bool:
    """Whether the kernel takes such a second operand."""
    if isinstance(other, torch.Tensor):
        return name in ("mul", "div") and other.ndim == 0
    return isinstance(other, (Group, int, float))


def together(f: Callable[..., Any], rows: Sequence[Sequence[Any]]) -> list[Any]:
    """`f(*row)` for each row, with the rows' columns as groups."""
    columns = zip(*rows, strict=True)
    found = f(*(None if column[0] is None else Group(column) for column in columns))
    made = [x.tensors if isinstance(x, Group) else [x] * len(rows) for x in found]
    return list(zip(*made, strict=True))
