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

from ..contract import Axes, Tensor
from ..graphs.channels_last import ChannelsLast
from ..graphs.graph import Value, pairs
from ..spec import Spec
from .graph import TYPES
from .math import Mathematics
from .windows import Windows

_REDUCTIONS = {"sum": "SUM", "prod": "REDUCE_PROD", "max": "REDUCE_MAX", "min": "REDUCE_MIN"}
_SEGMENTS = {"add": "SUM", "max": "MAX", "min": "MIN", "mul": "PROD"}
_JOINS = {"add": "add", "max": "maximum", "min": "minimum", "mul": "multiply"}
#: What the kernels give for a segment that nothing is in.
_EMPTY = {"max": np.finfo(np.float32).min, "min": np.finfo(np.float32).max}
_DECOMPOSITIONS = (
    "cholesky solve solve_triangular qr svd eigh eig lu_factor cholesky_inverse inv lstsq pinv "
    "matrix_rank det slogdet logdet"
)


def _reduction(kind: str) -> Callable[..., Tensor]:
    def method(self: LiteRTEngine, x: Tensor, axes: Axes, keepdims: bool) -> Tensor:
        return self._reduce(kind, x, axes, keepdims)

    return method


class LiteRTEngine(Mathematics, Windows):
    """The primitives as operations of one graph: an engine for each file."""

    name = "litert"
    branches = ("IF", "then", "else")
    loop, counting, unrolled = "WHILE", "RANGE", 32
    called = pairs(
        "argmax:ARG_MAX argmin:ARG_MIN cumsum:CUMSUM divide:DIV floor_divide:FLOOR_DIV gather:GATHER_ND "
        "mod:FLOOR_MOD nonzero:WHERE where:SELECT_V2"
    )
    refused: ClassVar[Mapping[str, str]] = {
        **dict.fromkeys(_DECOMPOSITIONS.split(), "LiteRT has no decompositions of matrices"),
        **ChannelsLast.refused,
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

    # ---------------------------------------------------------------- loops

    def _with_row(self, x: Value, index: Value, row: Value) -> Value:
        place = self._vector([index, *[0] * len(row.dims)])
        return self._node("DYNAMIC_UPDATE_SLICE", [x, self._expanded(row), place], x)

    # ------------------------------------------------- select, reduce, scan

    def mean(self, x: Tensor, axes: Axes, keepdims: bool) -> Tensor:
        return self._reduce("MEAN", x, axes, keepdims)

    def all(self, x: Tensor, axes: Axes, keepdims: bool) -> Tensor:
        return self._reduce("REDUCE_ALL", x, axes, keepdims)

    def any(self, x: Tensor, axes: Axes, keepdims: bool) -> Tensor:
        return self._reduce("REDUCE_ANY", x, axes, keepdims)

    def _first_of(self, name: str, x: Value, axis: int) -> Value:
        operands, spec = [x, self._constant(axis)], self.spec.argmax(x, axis)
        number = {"outputType": TYPES["int32"]}
        return self._node(self.called[name], operands, spec, gives="int32", **number)

    # ---------------------------------------------------------------- index

    def _gathered(self, x: Value, places: Value, axis: int, batch: int, spec: Spec) -> Value:
        return self._node("GATHER", [x, places], spec, axis=axis, batchDims=batch)

    def scatter(self, x: Tensor, indices: Tensor, updates: Tensor, reduction: str) -> Tensor:
        """By sums and the like over segments: each place of the first axes is one."""
        spec = self.spec.scatter(x, indices, updates, reduction)
        depth = indices.dims[-1]
        sizes, rest = x.dims[:depth], x.dims[depth:]
        updates = self.broadcast_to(updates, (*indices.dims[:-1], *rest))
        places = self._places(x, indices)
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
