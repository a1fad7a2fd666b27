"""Trees of tensors, and control flow for engines whose tensors have values: loops of Python."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import optree

from .contract import Engine, Tensor
from .sparse import NAMESPACE


def flatten(tree: Any) -> tuple[list[Any], Any]:
    """The leaves of a tree, and its structure."""
    leaves, structure = optree.tree_flatten(tree, namespace=NAMESPACE)
    return leaves, structure


def while_loop(
    tensors: Callable[[Any], Any],
    cond: Callable[..., Tensor],
    body: Callable[..., Any],
    state: tuple[Any, ...],
) -> Any:
    """`state = body(*state)` while `cond(*state)`; `tensors` makes a tree of them."""
    state = tensors(tuple(state))
    while cond(*state):
        result = body(*state)
        state = tuple(result) if isinstance(result, (list, tuple)) else (result,)
    return tensors(state)


def scan(
    engine: Engine,
    f: Callable[[Any, Any], tuple[Any, Any]],
    init: Any,
    xs: Any,
    length: int | None,
    reverse: bool,
) -> tuple[Any, Any]:
    """`carry, y = f(carry, x)` over the leading axis; the last carry and the stacked ys."""

    def tensors(tree: Any) -> Any:
        return optree.tree_map(engine.convert_to_tensor, tree)

    def stacked(*parts: Tensor) -> Tensor:
        return engine.concatenate([engine.get_item(part, (None,)) for part in parts], 0)

    xs, init = tensors(xs), tensors(init)
    steps = engine.shape_of(flatten(xs)[0][0])[0] if length is None else length
    carry, ys = init, []
    for step in reversed(range(steps)) if reverse else range(steps):
        carry, y = f(carry, optree.tree_map(lambda x, at=step: engine.get_item(x, (at,)), xs))
        ys.append(tensors(y))
    if not ys:  # nothing to stack: a step on zeros tells what there would be
        first = optree.tree_map(
            lambda x: engine.full(engine.shape_of(x)[1:], 0, engine.dtype_of(x)), xs
        )
        y = tensors(f(init, first)[1])
        return init, optree.tree_map(lambda x: engine.slice_axis(stacked(x), 0, 0, 0), y)
    if reverse:
        ys.reverse()
    return tensors(carry), optree.tree_map(stacked, *ys)
