"""The LiteRT engine: tensors are values of a graph, and a primitive writes one of LiteRT's operations.

Images have their channels last there as here, sizes and indices are 32-bit integers. A loop whose
length is known and small is written out; a longer one is a WHILE, whose body is a graph of its own
that is given all it reads.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import optree

from ..contract import Axes, Tensor
from ..graphs.graph import Value
from ..graphs.writing import KNOWN, NUMPY, widened
from ..spec import Dimension, Spec
from .graph import TYPES
from .math import Mathematics
from .windows import Windows

_REDUCTIONS = {"sum": "SUM", "prod": "REDUCE_PROD", "max": "REDUCE_MAX", "min": "REDUCE_MIN"}
_SEGMENTS = {"add": "SUM", "max": "MAX", "min": "MIN", "mul": "PROD"}
_JOINS = {"add": "add", "max": "maximum", "min": "minimum", "mul": "multiply"}
#: What the kernels give for a segment that nothing is in.
_EMPTY = {"max": np.finfo(np.float32).min, "min": np.finfo(np.float32).max}
#: Of up to how many turns a loop is written out.
_WRITTEN_OUT = 32
#: Letters for the axes that `...` stands for in an equation, the last one for the last axis.
_AXES = "PQRSTUVW"
_DECOMPOSITIONS = (
    "cholesky solve solve_triangular qr svd eigh eig lu_factor cholesky_inverse inv lstsq pinv "
    "matrix_rank det slogdet logdet"
)
_DRAWS = (
    "random_beta random_binomial random_categorical random_dropout random_gamma random_normal "
    "random_randint random_shuffle random_truncated_normal random_uniform"
)


def _reduction(kind: str) -> Callable[..., Tensor]:
    def method(self: LiteRTEngine, x: Tensor, axes: Axes, keepdims: bool) -> Tensor:
        return self._reduce(kind, x, axes, keepdims)

    return method


class LiteRTEngine(Mathematics, Windows):
    """The primitives as operations of one graph: an engine for each file."""

    name = "litert"
    refused: ClassVar[Mapping[str, str]] = {
        **dict.fromkeys(_DECOMPOSITIONS.split(), "LiteRT has no decompositions of matrices"),
        **dict.fromkeys(_DRAWS.split(), "the numbers of a graph would be the same at each run"),
        **dict.fromkeys("value_and_grad vjp jvp".split(), "a graph computes no gradients"),
        "nextafter": "LiteRT has no operation on a float's neighbours",
    }

    vars().update({name: _reduction(kind) for name, kind in _REDUCTIONS.items()})

    def on_host(
        self, f: Callable[..., list[Any]], tensors: Sequence[Any], specs: Sequence[Any]
    ) -> list[Any]:
        raise NotImplementedError(
            "A file of LiteRT has no functions of NumPy's, as layers of strings and look-ups are. Received: "
            "one. Export what comes after it, `cornu.Model(layer.output, model.output)`, and call the layer "
            "before that."
        )

    # ------------------------------------------------------------ transforms

    def cond(self, pred: Tensor, true_fn: Callable[[], Any], false_fn: Callable[[], Any]) -> Any:
        if pred.array is not None:
            return self._tensors(true_fn() if pred.array else false_fn())
        bodies, results = {}, []
        for name, function in (("then", true_fn), ("else", false_fn)):
            with self._body(branch=True) as bodies[name]:
                results.append(self._tensors(function()))
                bodies[name].finish(optree.tree_leaves(results[-1]))
        merged = self.spec.cond(None, *[lambda tree=tree: tree for tree in results])
        leaves, structure = optree.tree_flatten(merged)
        made = self._nodes("IF", [self.reshape(pred, ())], leaves, bodies=bodies)
        return optree.tree_unflatten(structure, made)

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
        made = self._nodes("WHILE", leaves, specs, bodies={"cond": test, "body": turn})
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

        if isinstance(steps, int) and 0 < steps <= _WRITTEN_OUT:
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

    def _row(self, x: Value, index: Any) -> Value:
        """A slice of the leading axis, at a known place or one that is computed."""
        if isinstance(index, int):
            return self.get_item(x, (index,))
        return self._node("GATHER", [x, index], Spec(x.dims[1:], x.dtype), axis=0)

    def _looped(
        self, turn: Callable[..., Any], init: Any, at: Callable[..., Any], steps: Any, reverse: bool
    ) -> tuple[Any, Any]:
        """A scan as a WHILE over the number of turns, the carry, and what was found so far."""
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
            filled = [
                self._node(
                    "DYNAMIC_UPDATE_SLICE",
                    [stack, self._expanded(y), self._vector([place, *[0] * len(y.dims)])],
                    Spec(stack.dims, stack.dtype),
                )
                for stack, y in zip(stacks, found, strict=True)
            ]
            body.finish([self.add(number, one), *optree.tree_leaves(carry), *filled])
        with self._body() as test:
            given = [test.input(x.dims, x.dtype, "state") for x in body.inputs]
            test.finish([self.less(given[0], count)])
        empty = [self.full(d, 0, y.dtype) for d, y in zip(dims, found, strict=True)]
        first = [self._constant(0), *carried, *empty]
        specs = [Spec(x.dims, x.dtype) for x in body.inputs]
        _, *made = self._nodes("WHILE", first, specs, bodies={"cond": test, "body": body})
        carry = optree.tree_unflatten(structure, made[: len(carried)])
        return carry, optree.tree_unflatten(outer, made[len(carried) :])

    # ---------------------------------------------------------------- create

    def arange(self, start: Any, stop: Any, step: Any, dtype: str) -> Tensor:
        spec = self.spec.arange(start, stop, step, dtype)
        bounds = (start, stop, step)
        numbers = all(isinstance(bound, (int, float, np.number)) for bound in bounds)
        if numbers and spec.dims[0] <= KNOWN:
            return self.graph.constant(NUMPY.arange(start, stop, step, dtype))
        whole = all(not isinstance(bound, float) for bound in bounds)
        kind = "int32" if whole and "int" in dtype else "float32"
        ends = [self.reshape(self.convert_to_tensor(bound, kind), ()) for bound in bounds]
        return self.cast(self._node("RANGE", ends, Spec(spec.dims, kind)), dtype)

    # ------------------------------------------------- select, reduce, scan

    def where(self, condition: Tensor, x1: Tensor, x2: Tensor) -> Tensor:
        return self._elementwise(
            "SELECT_V2", [condition, x1, x2], self.spec.where(condition, x1, x2)
        )

    def mean(self, x: Tensor, axes: Axes, keepdims: bool) -> Tensor:
        return self._reduce("MEAN", x, axes, keepdims)

    def all(self, x: Tensor, axes: Axes, keepdims: bool) -> Tensor:
        return self._reduce("REDUCE_ALL", x, axes, keepdims)

    def any(self, x: Tensor, axes: Axes, keepdims: bool) -> Tensor:
        return self._reduce("REDUCE_ANY", x, axes, keepdims)

    def argmax(self, x: Tensor, axis: int) -> Tensor:
        return self._first_of("ARG_MAX", x, axis)

    def argmin(self, x: Tensor, axis: int) -> Tensor:
        return self._first_of("ARG_MIN", x, axis)

    def _first_of(self, kind: str, x: Value, axis: int) -> Value:
        spec = self.spec.argmax(x, axis)
        number = {"outputType": TYPES["int32"]}
        if "float" in x.dtype:  # NaN is an end here, and nothing to the kernel
            end = self._like(math.inf if kind == "ARG_MAX" else -math.inf, x)
            x = self.where(self.isnan(x), end, x)
        return self._node(kind, [x, self._constant(axis)], spec, gives="int32", **number)

    def cumsum(self, x: Tensor, axis: int) -> Tensor:
        return self._node("CUMSUM", [x, self._constant(axis)], x)

    # ---------------------------------------------------------------- index

    def _index(self, x: Value, size: Any) -> Value:
        """Indices that count from the front: kernels know no others."""
        x = self.cast(x, "int32")
        if x.array is not None and (x.array >= 0).all():
            return x
        return self.mod(x, size if isinstance(size, Value) else self.reshape(self._size(size), ()))

    def take(self, x: Tensor, indices: Tensor, axis: int) -> Tensor:
        spec = self.spec.take(x, indices, axis)
        return self._node("GATHER", [x, self._index(indices, x.dims[axis])], spec, axis=axis)

    def take_along_axis(self, x: Tensor, indices: Tensor, axis: int) -> Tensor:
        spec = self.spec.take_along_axis(x, indices, axis)
        last = len(x.dims) - 1
        sizes = (*spec.dims[:axis], x.dims[axis], *spec.dims[axis + 1 :])
        x, indices = self.broadcast_to(x, sizes), self.broadcast_to(indices, spec.dims)
        rows, places = (self._shifted(value, axis, 1, last) for value in (x, indices))
        taken = Spec(places.dims, x.dtype)
        places = self._index(places, x.dims[axis])
        made = self._node("GATHER", [rows, places], taken, axis=last, batchDims=last)
        return self._shifted(made, last, 1, axis)

    def gather(self, x: Tensor, indices: Tensor) -> Tensor:
        spec = self.spec.gather(x, indices)
        sizes = self._vector(x.dims[: indices.dims[-1]])
        return self._node("GATHER_ND", [x, self._index(indices, sizes)], spec)

    def scatter(self, x: Tensor, indices: Tensor, updates: Tensor, reduction: str) -> Tensor:
        """By sums and the like over segments: each place of the first axes is one."""
        spec = self.spec.scatter(x, indices, updates, reduction)
        depth = indices.dims[-1]
        sizes, rest = x.dims[:depth], x.dims[depth:]
        updates = self.broadcast_to(updates, (*indices.dims[:-1], *rest))
        places = self._index(indices, self._vector(sizes))
        strides = [math.prod(sizes[k + 1 :]) for k in range(depth)]
        place = self.sum(
            self.multiply(places, self._vector(strides)), (len(places.dims) - 1,), False
        )
        place = self.reshape(place, (-1,))
        rows = self.reshape(updates, (place.dims[0], *rest))
        flat = self.reshape(x, (math.prod(sizes), *rest))
        count = self.reshape(self._size(flat.dims[0]), ())
        if reduction == "set":  # of several updates of a place the last one
            order = self.arange(0, place.dims[0], 1, "int32")
            found = Spec((flat.dims[0],), "int32")
            last = self._node("UNSORTED_SEGMENT_MAX", [order, place, count], found)
            zero = self._constant(0)
            chosen = self.take(rows, self.maximum(last, zero), 0)
            there = self.reshape(self.less(last, zero), (-1, *(1,) * len(rest)))
            return self.reshape(self.where(there, flat, chosen), spec.dims)
        kind = f"UNSORTED_SEGMENT_{_SEGMENTS[reduction]}"
        made = self._node(kind, [rows, place, count], Spec(flat.dims, x.dtype))
        joined = getattr(self, _JOINS[reduction])(flat, made)
        if reduction in _EMPTY and x.dtype == "float32":  # a segment of nothing has no infinity
            nothing = self.equal(made, self._like(_EMPTY[reduction], made))
            joined = self.where(nothing, flat, joined)
        return self.reshape(joined, spec.dims)

    # ---------------------------------------------------------------- order

    def _ordered(self, x: Value, axis: int, count: Any, largest: bool) -> tuple[Value, Value]:
        """The first elements in order, and their indices; equal ones come as they are."""
        last = len(x.dims) - 1
        x = self._shifted(x, axis, 1, last)
        keys = (
            x
            if "float" in x.dtype
            else self.cast(x, "int64" if "32" in x.dtype or "64" in x.dtype else "int32")
        )
        keys = keys if largest else self.negative(keys)
        keys = self._runnable("TOPK_V2", keys)
        dims = (*x.dims[:last], count)
        specs = [Spec(dims, keys.dtype), Spec(dims, "int32")]
        values, order = self._nodes("TOPK_V2", [keys, self.reshape(self._size(count), ())], specs)
        values = self.cast(values if largest else self.negative(values), x.dtype)
        return self._shifted(values, last, 1, axis), self._shifted(order, last, 1, axis)

    def sort(self, x: Tensor, axis: int) -> Tensor:
        return self._ordered(x, axis, x.dims[axis], False)[0]

    def argsort(self, x: Tensor, axis: int) -> Tensor:
        return self._ordered(x, axis, x.dims[axis], False)[1]

    def top_k(self, x: Tensor, k: int) -> tuple[Tensor, Tensor]:
        self.spec.top_k(x, k)
        return self._ordered(x, len(x.dims) - 1, k, True)

    def unique(
        self, x: Tensor, size: int | None, fill: Any
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        order = self.argsort(x, 0)
        ordered = self.take(x, order, 0)
        before, after = self.slice_axis(ordered, 0, 0, -1), self.slice_axis(ordered, 0, 1, None)
        new = self.not_equal(before, after)
        new = self.concatenate([self.full((1,), True, "bool"), new], 0)
        starts = self.nonzero(new, None, 0)[0]
        values, index = self.take(ordered, starts, 0), self.take(order, starts, 0)
        group = self.subtract(self.cumsum(self.cast(new, "int32"), 0), self._constant(1))
        zeros = self.full(x.dims, 0, "int32")
        inverse = self.scatter(zeros, self._last(order), group, "set")
        ends = self.concatenate([self.slice_axis(starts, 0, 1, None), self._size(x.dims[0])], 0)
        counts = self.subtract(ends, starts)
        if size is not None:
            fill = self.get_item(values, (0,)) if fill is None else fill
            values = self._resized(values, size, fill)
            index = self._resized(index, size, self.get_item(index, (0,)))
            counts = self._resized(counts, size, 0)
        return values, index, inverse, counts

    def nonzero(self, x: Tensor, size: int | None, fill: int) -> tuple[Tensor, ...]:
        spec = Spec((Dimension(), len(x.dims)), "int64")
        found = self.cast(self._node("WHERE", [self.cast(x, "bool")], spec), "int32")
        rows = [self.get_item(found, (slice(None), axis)) for axis in range(len(x.dims))]
        return tuple(rows if size is None else [self._resized(row, size, fill) for row in rows])

    # ------------------------------------------------------------- contract

    def matmul(self, x1: Tensor, x2: Tensor) -> Tensor:
        spec = self.spec.matmul(x1, x2)
        if 0 in x1.dims:  # kernels know no sums of nothing
            return self.full(spec.dims, 0, spec.dtype)
        if "float" not in x1.dtype:
            return self._exact_product(x1, x2, spec)
        left = x1 if len(x1.dims) > 1 else self._expanded(x1)
        right = x2 if len(x2.dims) > 1 else self._last(x2)
        dims = self.spec.matmul(left, right).dims
        if len(right.dims) == 2 and right.known() is not None:
            weights = self.transpose(right, (1, 0))
            made = self._node(
                "FULLY_CONNECTED", [left, weights], Spec(dims, spec.dtype), keepNumDims=True
            )
        else:
            made = self._node("BATCH_MATMUL", [left, right], Spec(dims, spec.dtype))
        return self.reshape(made, spec.dims)

    def _exact_product(self, x1: Value, x2: Value, spec: Spec) -> Value:
        """A product of integers, for which kernels are float: the sum of products."""
        left = self._last(x1)  # (..., rows, inner, 1)
        right = (
            x2
            if len(x2.dims) == 1
            else self.get_item(x2, (Ellipsis, None, slice(None), slice(None)))
        )
        right = self._last(right) if len(x2.dims) == 1 else right
        total = self.multiply(left, right)
        summed = self.sum(total, (len(total.dims) - 2,), False)
        return self.reshape(self.cast(summed, spec.dtype), spec.dims)

    def einsum(self, subscripts: str, operands: Sequence[Tensor]) -> Tensor:
        """Operand by operand, each step a product of matrices."""
        spec = self.spec.einsum(subscripts, operands)
        terms, _, result = subscripts.replace(" ", "").partition("->")
        named = []
        for term, x in zip(terms.split(","), operands, strict=True):
            count = len(x.dims) - len(term.replace("...", ""))
            named.append((term.replace("...", _AXES[len(_AXES) - count :]), x))
        size = len(spec.dims) - len(result.replace("...", ""))
        result = result.replace("...", _AXES[len(_AXES) - size :])
        letters, x = named[0]
        for i, (term, y) in enumerate(named[1:], start=1):
            kept = set(result).union(*(later for later, _ in named[i + 1 :]))
            letters, x = self._contracted(
                *self._alone(letters, x, kept | set(term)),
                *self._alone(term, y, kept | set(letters)),
                kept,
            )
        letters, x = self._alone(letters, x, set(result))
        return self.reshape(self.transpose(x, tuple(map(letters.index, result))), spec.dims)

    def _alone(self, letters: str, x: Value, kept: set[str]) -> tuple[str, Value]:
        """An operand without the axes that nothing else has: diagonals taken, the rest summed."""
        for letter in dict.fromkeys(letters):
            while letters.count(letter) > 1:
                first = letters.index(letter)
                second = letters.index(letter, first + 1)
                x = self._diagonal(x, first, second)
                letters = letters[:second] + letters[second + 1 :]
        axes = tuple(i for i, letter in enumerate(letters) if letter not in kept)
        x = self.sum(x, axes, False) if axes else x
        return "".join(letter for letter in letters if letter in kept), x

    def _diagonal(self, x: Value, first: int, second: int) -> Value:
        """The elements with the same index on two axes, along the first of them."""
        size = x.dims[first]
        line = self.reshape(self.arange(0, size, 1, "int32"), (size, *(1,) * (len(x.dims) - 1)))
        taken = self.take_along_axis(self._shifted(x, first, 1, 0), line, second)
        dims = (*taken.dims[:second], *taken.dims[second + 1 :])
        return self._shifted(self.reshape(taken, dims), 0, 1, first)

    def _contracted(
        self, left: str, x: Value, right: str, y: Value, kept: set[str]
    ) -> tuple[str, Value]:
        """The product of two operands, summed over the axes that they share and that aren't kept."""
        shared = [letter for letter in left if letter in right]
        batch = [letter for letter in shared if letter in kept]
        inner = [letter for letter in shared if letter not in kept]
        rows = [letter for letter in left if letter not in right]
        columns = [letter for letter in right if letter not in left]
        sizes = dict(zip(left, x.dims, strict=True))
        for letter, size in zip(right, y.dims, strict=True):  # an axis of size 1 broadcasts
            sizes[letter] = size if sizes.get(letter, 1) == 1 else sizes[letter]

        def matrix(letters: str, z: Value, *groups: list[str]) -> Value:
            moved = self.transpose(z, tuple(letters.index(k) for group in groups for k in group))
            lead = moved.dims[: len(batch)]
            full = [sizes[k] for group in groups[1:] for k in group]
            if moved.dims[len(batch) :] != tuple(full):
                moved = self.broadcast_to(moved, (*lead, *full))
            return self.reshape(
                moved, (*lead, *(math.prod([sizes[k] for k in group]) for group in groups[1:]))
            )

        product = self.matmul(
            matrix(left, x, batch, rows, inner), matrix(right, y, batch, inner, columns)
        )
        found = [*batch, *rows, *columns]
        return "".join(found), self.reshape(product, tuple(sizes[letter] for letter in found))
