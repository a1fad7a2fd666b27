"""What the default bodies of ops share: constants of a tensor's dtype, axes from the front."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

from ..core.dtypes import result_type
from ..core.types import Axis, Tensor
from ..engines import current as engine


def numeric(types: tuple[Any, ...]) -> str:
    """Promotion rule: the least dtype above the operands', and int32 for booleans."""
    dtype = result_type(*types)
    return "int32" if dtype == "bool" else dtype


def constant(value: Any, like: Tensor) -> Tensor:
    """A scalar tensor of another tensor's dtype."""
    return engine().full((), value, engine().dtype_of(like))


def constants(like: Tensor, *values: float) -> list[Tensor]:
    """Scalar tensors of another tensor's dtype."""
    return [constant(value, like) for value in values]


def root(x: Tensor, take: Callable[[Tensor], Tensor]) -> Tensor:
    """A root of x, with the gradient 0 at 0, where its own is infinite and makes NaN of what follows."""
    zero, one = constants(x, 0, 1)
    at_zero = engine().equal(x, zero)
    return engine().where(at_zero, zero, take(engine().where(at_zero, one, x)))


def rank_of(x: Tensor) -> int:
    """The number of axes."""
    return len(engine().shape_of(x))


def axis_from_front(axis: int, rank: int) -> int:
    """An axis counted from the front, of a tensor of that rank."""
    try:
        axis = operator.index(axis)
    except TypeError:
        raise TypeError(f"An axis must be an integer. Received: axis={axis!r}.") from None
    if not -rank <= axis < rank:
        raise ValueError(
            f"An axis must lie in [-{rank}, {rank}). "
            f"Received: axis={axis} for a tensor of rank {rank}."
        )
    return axis % rank


def axes_from_front(axis: Axis, rank: int) -> tuple[int, ...]:
    """One axis, several, or all of them (None), counted from the front."""
    if axis is None:
        return tuple(range(rank))
    if isinstance(axis, Sequence):
        axes = {axis_from_front(one, rank) for one in axis}
        if len(axes) < len(axis):
            raise ValueError(
                f"Axes must be different. Received: axis={axis} for a tensor of rank {rank}."
            )
        return tuple(sorted(axes))
    return (axis_from_front(axis, rank),)


def size_along(x: Tensor, axes: Sequence[int]) -> Any:
    """How many elements there are along the axes."""
    size: Any = 1
    for axis in axes:
        size = size * engine().shape_of(x)[axis]
    return size


def expand(x: Tensor, axis: int) -> Tensor:
    """x with a new axis of size 1."""
    shape = engine().shape_of(x)
    return engine().reshape(x, (*shape[:axis], 1, *shape[axis:]))


def move_axis(x: Tensor, source: int, target: int) -> Tensor:
    """x with one axis, counted from the front, at another place."""
    order = [axis for axis in range(rank_of(x)) if axis != source]
    order.insert(target, source)
    return engine().transpose(x, tuple(order))


def channels_last(x: Tensor) -> Tensor:
    """(n, channels, *spatial) as (n, *spatial, channels)."""
    return move_axis(x, 1, rank_of(x) - 1)


def channels_first(x: Tensor) -> Tensor:
    """(n, *spatial, channels) as (n, channels, *spatial)."""
    return move_axis(x, rank_of(x) - 1, 1)


def in_float32(body: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """A body in 32 bits where its first operand has 16; the result is cast back."""

    def wide(x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        dtype = engine().dtype_of(x)
        if dtype not in ("float16", "bfloat16"):
            return body(x, *args, **kwargs)
        return engine().cast(body(engine().cast(x, "float32"), *args, **kwargs), dtype)

    return wide


def same_shape(name: str, **tensors: Tensor) -> None:
    """Raise where the shapes of two tensors are known to differ."""
    left, right = (engine().shape_of(x) for x in tensors.values())
    if len(left) != len(right) or any(map(differ, left, right)):
        listed = ", ".join(f"{key}.shape={engine().shape_of(x)}" for key, x in tensors.items())
        raise ValueError(f"`{name}` takes tensors of one shape. Received: {listed}.")


def differ(left: Any, right: Any) -> bool:
    """Whether two dimensions are known to be different."""
    return isinstance(left, int) and isinstance(right, int) and left != right
