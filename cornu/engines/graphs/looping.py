"""Loops whose bodies are graphs of their own, or that are written out."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

import optree

from ..contract import Tensor
from ..spec import Spec
from .composing import Composing
from .graph import Value
from .writing import widened


class Looping(Composing):
    """Loops of a format that has one operation for them, with a condition and a body over a state."""

    #: What the format calls a loop.
    loop: ClassVar[str]
    #: Of up to how many turns a loop is written out.
    unrolled: ClassVar[int] = 0

    def while_loop(
        self, cond: Callable[..., Tensor], body: Callable[..., Any], state: tuple[Any, ...]
    ) -> Any:
        leaves, structure = optree.tree_flatten(self._tensors(tuple(state)))
        specs: list[Spec] = [Spec(x.dims, x.dtype) for x in leaves]
        while True:
            with self._body() as turn:
                given = [turn.input(x.dims, x.dtype, "state") for x in specs]
                result = body(*optree.tree_unflatten(structure, given))
                result = tuple(result) if isinstance(result, (list, tuple)) else (result,)
                new = optree.tree_leaves(self._tensors(result))
                turn.finish(new)
            wider = widened(specs, new)
            if all(a.dims == b.dims for a, b in zip(wider, specs, strict=True)):
                break
            specs = wider
        with self._body() as test:
            given = [test.input(x.dims, x.dtype, "state") for x in specs]
            again = self.convert_to_tensor(cond(*optree.tree_unflatten(structure, given)))
            test.finish([self.reshape(again, ())])
        made = self._nodes(self.loop, leaves, specs, bodies={"cond": test, "body": turn})
        return optree.tree_unflatten(structure, made)

    def scan(
        self,
        f: Callable[[Any, Any], tuple[Any, Any]],
        init: Any,
        xs: Any,
        length: int | None,
        reverse: bool,
    ) -> tuple[Any, Any]:
        init, xs = self._tensors(init), self._tensors(xs)
        steps = self.spec._steps("scan", xs, length)

        def at(index: Any) -> Any:
            return optree.tree_map(lambda x: self._row(x, index), xs)

        def turn(carry: Any, x: Any) -> tuple[Any, Any]:
            new, ys = f(carry, x)
            same = optree.tree_map(
                lambda old, one: self.cast(one, old.dtype), carry, self._like_tree(carry, new)
            )
            return same, self._tensors(ys)

        if isinstance(steps, int) and 0 < steps <= self.unrolled:
            rows: list[Any] = []
            for index in reversed(range(steps)) if reverse else range(steps):
                init, ys = turn(init, at(index))
                rows.append(ys)
            rows = rows[::-1] if reverse else rows
            stacked = optree.tree_map(
                lambda *parts: self.concatenate(list(map(self._expanded, parts)), 0), *rows
            )
            return init, stacked
        return self._looped(turn, init, at, steps, reverse)

    def _like_tree(self, carry: Any, new: Any) -> Any:
        leaves = optree.tree_leaves(self._tensors(new))
        return optree.tree_unflatten(optree.tree_structure(carry), leaves)

    def _looped(
        self, turn: Callable[..., Any], init: Any, at: Callable[..., Any], steps: Any, reverse: bool
    ) -> tuple[Any, Any]:
        """A scan as a loop over the number of turns, the carry, and what was found so far."""
        carried, structure = optree.tree_flatten(init)
        count = self.reshape(self._size(steps), ())
        one = self._constant(1)
        with self._body() as body:
            number = body.input((), "int32", "turn")
            states = [body.input(x.dims, x.dtype, "carry") for x in carried]
            place = self.subtract(self.subtract(count, one), number) if reverse else number
            carry, ys = turn(optree.tree_unflatten(structure, states), at(place))
            found, outer = optree.tree_flatten(ys)
            dims = [(steps, *y.dims) for y in found]
            stacks = [body.input(d, y.dtype, "stack") for d, y in zip(dims, found, strict=True)]
            pairs = zip(stacks, found, strict=True)
            filled = [self._with_row(stack, place, y) for stack, y in pairs]
            body.finish([self.add(number, one), *optree.tree_leaves(carry), *filled])
        with self._body() as test:
            given = [test.input(x.dims, x.dtype, "state") for x in body.inputs]
            test.finish([self.less(given[0], count)])
        empty = [self.full(d, 0, y.dtype) for d, y in zip(dims, found, strict=True)]
        first = [self._constant(0), *carried, *empty]
        specs = [Spec(x.dims, x.dtype) for x in body.inputs]
        _, *made = self._nodes(self.loop, first, specs, bodies={"cond": test, "body": body})
        carry = optree.tree_unflatten(structure, made[: len(carried)])
        return carry, optree.tree_unflatten(outer, made[len(carried) :])

    @abstractmethod
    def _row(self, x: Value, index: Any) -> Value:
        """A slice of the leading axis, at a known place or one that is computed."""

    @abstractmethod
    def _with_row(self, x: Value, index: Value, row: Value) -> Value:
        """x with a slice of the leading axis replaced."""
