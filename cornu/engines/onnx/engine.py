"""The ONNX engine: primitives as nodes of ONNX, with loops and branches, which see what is around them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import optree

from ..contract import Axes, Pads, Tensor
from ..graphs.graph import Value
from ..graphs.writing import tabled, widened
from ..spec import Dimension, Spec
from .graph import ML
from .math import Mathematics
from .nodes import WIDE
from .whole import WholeOps

_REDUCTIONS = {"sum": "ReduceSum", "prod": "ReduceProd", "max": "ReduceMax", "min": "ReduceMin"}
#: Letters for the axes that `...` stands for in an equation, the last one for the last axis.
_AXES = "PQRSTUVW"
_DECOMPOSITIONS = (
    "cholesky solve solve_triangular qr svd eigh eig lu_factor cholesky_inverse inv lstsq pinv "
    "matrix_rank"
)
_DRAWS = (
    "random_beta random_binomial random_categorical random_dropout random_gamma random_normal "
    "random_randint random_shuffle random_truncated_normal random_uniform"
)


def _reduction(name: str, kind: str) -> Callable[..., Tensor]:
    def method(self: OnnxEngine, x: Tensor, axes: Axes, keepdims: bool) -> Tensor:
        return self._reduce(kind, x, axes, keepdims)

    return method


class OnnxEngine(Mathematics, WholeOps):
    """The primitives as nodes of one graph: an engine for each file."""

    name = "onnx"
    branches = ("If", "then_branch", "else_branch")
    refused: ClassVar[Mapping[str, str]] = {
        **dict.fromkeys(_DECOMPOSITIONS.split(), "ONNX has no decompositions of matrices"),
        **dict.fromkeys(_DRAWS.split(), "the numbers of a graph would be the same at each run"),
        **dict.fromkeys("value_and_grad vjp jvp".split(), "a graph computes no gradients"),
        "nextafter": "ONNX has no operation on a float's bits",
    }

    vars().update({name: _reduction(name, kind) for name, kind in _REDUCTIONS.items()})

    def on_host(
        self, f: Callable[..., list[Any]], tensors: Sequence[Any], specs: Sequence[Any]
    ) -> list[Any]:
        (x,) = map(self.convert_to_tensor, tensors)
        kind = "string" if x.dtype == "string" else "int64"
        x = x if kind == "string" else self.cast(x, kind)
        keys, values, default = tabled(f)
        keys = [key.encode() for key in keys] if kind == "string" else keys
        table = {f"keys_{kind}s": keys, "values_int64s": values, "default_int64": default}
        return self.graph.add("LabelEncoder", [x], [Spec(x.dims, "int64")], {"domain": ML, **table})

    # ------------------------------------------------------------ transforms

    def while_loop(
        self, cond: Callable[..., Tensor], body: Callable[..., Any], state: tuple[Any, ...]
    ) -> Any:
        leaves, structure = optree.tree_flatten(self._tensors(tuple(state)))
        specs: list[Spec] = [Spec(x.dims, x.dtype) for x in leaves]
        while True:
            with self._body() as graph:
                graph.input((), "int64", "turn")
                graph.input((), "bool", "goes_on")
                given = [graph.input(x.dims, x.dtype, "state") for x in specs]
                result = body(*optree.tree_unflatten(structure, given))
                result = tuple(result) if isinstance(result, (list, tuple)) else (result,)
                new = optree.tree_leaves(self._tensors(result))
                again = cond(*optree.tree_unflatten(structure, new))
                graph.finish([self.reshape(self.convert_to_tensor(again), ()), *new])
            wider = widened(specs, new)
            if all(a.dims == b.dims for a, b in zip(wider, specs, strict=True)):
                break
            specs = wider
        first = self.reshape(
            self.convert_to_tensor(cond(*optree.tree_unflatten(structure, leaves))), ()
        )
        made = self._nodes("Loop", [None, first, *leaves], specs, bodies={"body": graph})
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
        carried, structure = optree.tree_flatten(init)
        moving, inner = optree.tree_flatten(xs)
        steps = self.spec._steps("scan", xs, length)
        paced = moving or [self.arange(0, length, 1, "int32")]
        with self._body() as graph:
            states = [graph.input(x.dims, x.dtype, "carry") for x in carried]
            slices = [graph.input(x.dims[1:], x.dtype, "slice") for x in paced]
            carry = optree.tree_unflatten(structure, states)
            carry, ys = f(carry, optree.tree_unflatten(inner, slices[: len(moving)]))
            new = [
                self.cast(x, old.dtype)
                for x, old in zip(optree.tree_leaves(self._tensors(carry)), carried, strict=True)
            ]
            given, outer = optree.tree_flatten(self._tensors(ys))
            graph.finish([*new, *given])
        made = self._nodes(
            "Scan",
            [*carried, *paced],
            [*carried, *(Spec((steps, *x.dims), x.dtype) for x in given)],
            bodies={"body": graph},
            num_scan_inputs=len(paced),
            scan_input_directions=[int(reverse)] * len(paced),
            scan_output_directions=[int(reverse)] * len(given) or None,
        )
        carry = optree.tree_unflatten(structure, made[: len(carried)])
        return carry, optree.tree_unflatten(outer, made[len(carried) :])

    # ------------------------------------------------- select, reduce, scan

    def where(self, condition: Tensor, x1: Tensor, x2: Tensor) -> Tensor:
        spec = self.spec.where(condition, x1, x2)
        if spec.dtype == "bool":
            chosen = self.logical_and(condition, x1)
            return self.logical_or(chosen, self.logical_and(self.logical_not(condition), x2))
        return self._elementwise("Where", [condition, x1, x2], spec)

    def mean(self, x: Tensor, axes: Axes, keepdims: bool) -> Tensor:
        return self._reduce("ReduceMean", x, axes, keepdims)

    def all(self, x: Tensor, axes: Axes, keepdims: bool) -> Tensor:
        return self.cast(self._reduce("ReduceMin", self.cast(x, "int32"), axes, keepdims), "bool")

    def any(self, x: Tensor, axes: Axes, keepdims: bool) -> Tensor:
        most = self._reduce("ReduceMax", self.cast(x, "int32"), axes, keepdims)
        return self.greater(most, self._like(0, most))  # of nothing it is the least number

    def argmax(self, x: Tensor, axis: int) -> Tensor:
        keys, spec = self._keys(x, math.inf), self.spec.argmax(x, axis)
        return self._node("ArgMax", [keys], spec, gives="int64", axis=axis, keepdims=0)

    def argmin(self, x: Tensor, axis: int) -> Tensor:
        keys, spec = self._keys(x, -math.inf), self.spec.argmin(x, axis)
        return self._node("ArgMin", [keys], spec, gives="int64", axis=axis, keepdims=0)

    def cumsum(self, x: Tensor, axis: int) -> Tensor:
        return self._node("CumSum", [x, self._constant(axis)], x)

    # ---------------------------------------------------------- move, index

    def take(self, x: Tensor, indices: Tensor, axis: int) -> Tensor:
        spec = self.spec.take(x, indices, axis)
        return self._node("Gather", [x, self._index(indices)], spec, axis=axis)

    def _index(self, x: Value) -> Value:
        return x if x.dtype in ("int32", "int64") else self.cast(x, "int64")

    def take_along_axis(self, x: Tensor, indices: Tensor, axis: int) -> Tensor:
        spec = self.spec.take_along_axis(x, indices, axis)
        sizes = (*spec.dims[:axis], x.dims[axis], *spec.dims[axis + 1 :])
        x, indices = self.broadcast_to(x, sizes), self.broadcast_to(indices, spec.dims)
        return self._node("GatherElements", [x, self._index(indices)], spec, axis=axis)

    def gather(self, x: Tensor, indices: Tensor) -> Tensor:
        spec = self.spec.gather(x, indices)
        return self._node("GatherND", [x, self.cast(indices, "int64")], spec)

    def scatter(self, x: Tensor, indices: Tensor, updates: Tensor, reduction: str) -> Tensor:
        spec = self.spec.scatter(x, indices, updates, reduction)
        depth = indices.dims[-1]
        updates = self.broadcast_to(updates, (*indices.dims[:-1], *x.dims[depth:]))
        indices = self.cast(indices, "int64")
        if reduction in ("max", "min") and self.opset < 18:
            return self._scattered_in_turn(x, indices, updates, reduction)
        wide = x if reduction == "set" else self.cast(x, WIDE.get(x.dtype, x.dtype))
        operands = [wide, indices, self.cast(updates, wide.dtype)]
        options = {} if reduction == "set" else {"reduction": reduction}
        return self.cast(
            self._node("ScatterND", operands, Spec(spec.dims, wide.dtype), **options), x.dtype
        )

    def _scattered_in_turn(self, x: Value, indices: Value, updates: Value, name: str) -> Value:
        """One update after the other: opset 17 puts the larger or smaller one nowhere."""
        flat = self.reshape(indices, (-1, indices.dims[-1]))
        rows = self.reshape(updates, (flat.dims[0], *x.dims[indices.dims[-1] :]))

        def turn(carry: Value, one: tuple[Value, Value]) -> tuple[Value, Any]:
            place, update = one
            spec = Spec(update.dims, x.dtype)
            joined = getattr(self, name + "imum")(
                self._node("GatherND", [carry, place], spec), update
            )
            place = self.reshape(place, (1, *place.dims))
            return self.scatter(carry, place, self.reshape(joined, (1, *update.dims)), "set"), ()

        return self.scan(turn, x, (flat, rows), None, False)[0]

    # ---------------------------------------------------------------- order

    def _ordered(self, x: Value, axis: int, count: Any, largest: int) -> tuple[Value, Value]:
        """The first elements in order, and their indices; equal ones come as they are."""
        dims = (*x.dims[:axis], count, *x.dims[axis + 1 :])
        wide = self.cast(x, WIDE.get(x.dtype, x.dtype))
        specs = [Spec(dims, wide.dtype), Spec(dims, "int64")]
        values, order = self.graph.add(
            "TopK", [wide, self._size(count)], specs, {"axis": axis, "largest": largest}
        )
        return self.cast(values, x.dtype), self.cast(order, "int32")

    def sort(self, x: Tensor, axis: int) -> Tensor:
        return self._ordered(x, axis, x.dims[axis], 0)[0]

    def argsort(self, x: Tensor, axis: int) -> Tensor:
        return self._ordered(x, axis, x.dims[axis], 0)[1]

    def top_k(self, x: Tensor, k: int) -> tuple[Tensor, Tensor]:
        self.spec.top_k(x, k)
        return self._ordered(x, len(x.dims) - 1, k, 1)

    def unique(
        self, x: Tensor, size: int | None, fill: Any
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        found = Dimension()
        wide = self.cast(x, x.dtype if "float" in x.dtype else "int64")
        specs = [
            Spec((found,), wide.dtype),
            *(Spec((n,), "int64") for n in (found, x.dims[0], found)),
        ]
        made = self.graph.add("Unique", [wide], specs, {"sorted": 1})
        values, index, inverse, counts = (self.cast(part, "int32") for part in made)
        values = self.cast(made[0], x.dtype)
        if size is not None:
            fill = self.get_item(values, (0,)) if fill is None else fill
            values = self._resized(values, size, fill)
            index = self._resized(index, size, self.get_item(index, (0,)))
            counts = self._resized(counts, size, 0)
        return values, index, inverse, counts

    def nonzero(self, x: Tensor, size: int | None, fill: int) -> tuple[Tensor, ...]:
        spec = Spec((len(x.dims), Dimension()), "int64")
        found = self.cast(self._node("NonZero", [x], spec, gives="int64"), "int32")
        rows = [self.get_item(found, (axis,)) for axis in range(len(x.dims))]
        return tuple(rows if size is None else [self._resized(row, size, fill) for row in rows])

    # ----------------------------------------------------- contract, window

    def matmul(self, x1: Tensor, x2: Tensor) -> Tensor:
        return self._node("MatMul", [x1, x2], self.spec.matmul(x1, x2))

    def einsum(self, subscripts: str, operands: Sequence[Tensor]) -> Tensor:
        spec = self.spec.einsum(subscripts, operands)
        terms, result = subscripts.replace(" ", "").split("->")
        left, _, right = terms.partition(",")
        shared = [k for k in right if k in left]
        plain = (left + right).isalpha() and len(left) > len(shared) > 0
        if (
            plain
            and left.endswith(right[: len(shared)])
            and result == left[: -len(shared)] + right[len(shared) :]
        ):
            return self._product(operands, len(shared), spec)
        named = [
            self._named(term, x, spec) for term, x in zip(terms.split(","), operands, strict=True)
        ]
        size = len(spec.dims) - len(result.replace("...", ""))
        equation = ",".join(term for term, _ in named)
        given = f"{equation}->{result.replace('...', _AXES[len(_AXES) - size :])}"
        return self._node("Einsum", [x for _, x in named], spec, equation=given)

    def _named(self, term: str, x: Value, spec: Spec) -> tuple[str, Value]:
        """A term with letters for the axes of `...`, and its operand without those that broadcast."""
        if "..." not in term:
            return term, x
        head, _, tail = term.partition("...")
        count = len(x.dims) - len(head) - len(tail)
        kept = [k for k in range(count) if x.dims[len(head) + k] != 1]
        letters = _AXES[len(_AXES) - count :]
        places = [
            *range(len(head)),
            *(len(head) + k for k in kept),
            *range(len(head) + count, len(x.dims)),
        ]
        named = head + "".join(letters[k] for k in kept) + tail
        return named, self.reshape(x, tuple(x.dims[k] for k in places))

    def _first(self, x: Value) -> Value:
        """Channels-first images of channels-last ones."""
        return self._shifted(x, len(x.dims) - 1, 1, 1)

    def _window(self, kind: str, inputs: list[Value], spec: Spec, **attributes: Any) -> Value:
        """An operation on windows of channels-first images, as one of channels-last images."""
        dims = (spec.dims[0], spec.dims[-1], *spec.dims[1:-1])
        images = self._first(inputs[0])
        made = self._node(kind, [images, *inputs[1:]], Spec(dims, spec.dtype), **attributes)
        if kind == "Conv" and inputs[1].codes is not None:
            made.convolved = images, inputs[1], attributes
        return self._shifted(made, 1, 1, len(dims) - 1)

    def _padded(self, x: Value, pads: Pads, fill: float) -> tuple[Value, list[int]]:
        """Images padded by what their operation can't, and the pads that are left for it."""
        known = all(isinstance(p, int) and p >= 0 for pair in pads for p in pair)
        if known:
            return x, [*(low for low, _ in pads), *(high for _, high in pads)]
        return self.pad(x, ((0, 0), *pads, (0, 0)), fill), [0] * (2 * len(pads))

    def conv(
        self, x: Tensor, kernel: Tensor, strides: Axes, pads: Pads, dilation: Axes, groups: int
    ) -> Tensor:
        spec = self.spec.conv(x, kernel, strides, pads, dilation, groups)
        rank = len(strides)
        weights = self.transpose(kernel, (rank + 1, rank, *range(rank)))
        x, sizes = self._padded(x, pads, 0)
        options = {"strides": list(strides), "dilations": list(dilation), "group": groups}
        return self._window("Conv", [x, weights], spec, pads=sizes, **options)

    def conv_transpose(
        self, x: Tensor, kernel: Tensor, strides: Axes, pads: Pads, dilation: Axes
    ) -> Tensor:
        spec = self.spec.conv_transpose(x, kernel, strides, pads, dilation)
        rank = len(strides)
        weights = self.transpose(kernel, (rank + 1, rank, *range(rank)))
        reach = [
            (extent - 1) * rate for extent, rate in zip(kernel.dims[:-2], dilation, strict=True)
        ]
        cropped = [(r - low, r - high) for r, (low, high) in zip(reach, pads, strict=True)]
        taken = [(max(low, 0), max(high, 0)) for low, high in cropped]
        added = [(max(-low, 0), max(-high, 0)) for low, high in cropped]
        sizes = [size - sum(more) for size, more in zip(spec.dims[1:-1], added, strict=True)]
        inner = Spec((spec.dims[0], *sizes, spec.dims[-1]), spec.dtype)
        options = {"strides": list(strides), "dilations": list(dilation)}
        flat = [*(low for low, _ in taken), *(high for _, high in taken)]
        made = self._window("ConvTranspose", [x, weights], inner, pads=flat, **options)
        return self.pad(made, ((0, 0), *added, (0, 0)), 0)

    def max_pool(self, x: Tensor, window: Axes, strides: Axes, pads: Pads) -> Tensor:
        spec = self.spec.max_pool(x, window, strides, pads)
        if "int" in x.dtype:
            return self.cast(self.max_pool(self.cast(x, "float64"), window, strides, pads), x.dtype)
        x, sizes = self._padded(x, pads, -math.inf)
        options = {"kernel_shape": list(window), "strides": list(strides), "pads": sizes}
        return self._window("MaxPool", [x], spec, **options)

    def average_pool(self, x: Tensor, window: Axes, strides: Axes, pads: Pads) -> Tensor:
        spec = self.spec.average_pool(x, window, strides, pads)
        options = {"kernel_shape": list(window), "strides": list(strides)}
        padded, sizes = self._padded(x, pads, 0)
        mean = self._window("AveragePool", [padded], spec, pads=sizes, **options)
        if padded is x:
            return mean
        ones = self._padded(self.full(x.dims, 1, x.dtype), pads, 0)[0]
        share = self._window("AveragePool", [ones], spec, pads=sizes, **options)
        return self.divide(mean, share)
