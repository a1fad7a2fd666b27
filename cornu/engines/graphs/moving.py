"""Primitives that make, move and cut tensors, whatever the format.

A transpose is remembered by its result: it goes behind what moves with it, so that those of
channels-first formats meet and vanish.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from ..contract import Axes, Pads, Tensor
from ..indexing import full_key
from ..spec import Dimension, Spec
from .graph import Codes, Value
from .writing import KNOWN, NUMPY, Writing


class Moving(Writing):
    """The primitives whose results have the elements of their operands."""

    #: Whether 0 in the shape of a reshape keeps the size of the same axis.
    keeps_sizes: ClassVar[bool] = False

    def full(self, shape: tuple[Any, ...], value: Any, dtype: str) -> Tensor:
        value = self.convert_to_tensor(value, dtype) if not _is_number(value) else value
        known = not any(isinstance(size, (Dimension, Value)) or size is None for size in shape)
        if _is_number(value):
            if known and math.prod(shape) <= KNOWN:
                return self.graph.constant(np.asarray(NUMPY.full(shape, value, dtype)))
            value = self.graph.constant(np.asarray(NUMPY.full((), value, dtype)))
        return self.broadcast_to(value, shape)

    def arange(self, start: Any, stop: Any, step: Any, dtype: str) -> Tensor:
        spec = self.spec.arange(start, stop, step, dtype)
        bounds = (start, stop, step)
        numbers = all(isinstance(bound, (int, float, np.number)) for bound in bounds)
        if numbers and spec.dims[0] <= KNOWN:
            return self.graph.constant(NUMPY.arange(start, stop, step, dtype))
        whole = all(not isinstance(bound, float) for bound in bounds)
        kind = self.sizes if whole and "int" in dtype else "float32"
        ends = [self.reshape(self.convert_to_tensor(bound, kind), ()) for bound in bounds]
        return self.cast(self._node(self.counting, ends, Spec(spec.dims, kind)), dtype)

    def reshape(self, x: Tensor, shape: tuple[Any, ...]) -> Tensor:
        spec = self.spec.reshape(x, shape)
        if spec.dims == x.dims:
            return x
        if x.array is not None and not any(isinstance(size, Dimension) for size in spec.dims):
            codes = x.codes and Codes(*(part.reshape(spec.dims) for part in x.codes))
            return self.graph.constant(x.array.reshape(spec.dims), x.label, codes)
        # What is kept or takes the rest, -1, needs no computing: most shapes need none.
        kept = x.dims if self.keeps_sizes else ()
        sizes: list[Any] = [
            0 if isinstance(size, Dimension) and k < len(kept) and kept[k] == size else size
            for k, size in enumerate(spec.dims)
        ]
        open_ = [k for k, size in enumerate(sizes) if isinstance(size, Dimension)]
        given = [k for k, size in enumerate(shape) if size is None or _is_rest(size)]
        if len(open_) == 1 or given:
            sizes[given[0] if given else open_[0]] = -1
        if 0 in spec.dims:
            sizes = list(spec.dims)
        made = self._reshaped(x, sizes, spec)
        made.follow([x], lambda: np.reshape(x.known(), spec.dims))
        return made

    def transpose(self, x: Tensor, axes: Axes) -> Tensor:
        spec = self.spec.transpose(x, axes)
        source, order = (
            (x, axes) if x.origin is None else (x.origin[0], tuple(x.origin[1][k] for k in axes))
        )
        if order == tuple(range(len(order))):
            return source
        made = self._transposed(source, order, spec)
        made.origin = (source, order)
        return made

    def broadcast_to(self, x: Tensor, shape: tuple[Any, ...]) -> Tensor:
        spec = self.spec.broadcast_to(x, shape)
        if spec.dims == x.dims:
            return x
        sizes = [shape[k] if size is None else size for k, size in enumerate(spec.dims)]
        return self._spread(x, sizes, spec)

    def concatenate(self, xs: Sequence[Tensor], axis: int) -> Tensor:
        spec = self.spec.concatenate(xs, axis)
        if len(xs) == 1:
            return xs[0]
        order = next((x.origin[1] for x in xs if x.origin), None)
        if order is not None and all(x.origin and x.origin[1] == order for x in xs):
            return self.transpose(self.concatenate([x.origin[0] for x in xs], order[axis]), order)
        return self._joined(xs, axis, spec)

    def pad(self, x: Tensor, pads: Pads, value: Any) -> Tensor:
        spec = self.spec.pad(x, pads, value)
        if all(isinstance(p, int) and p == 0 for pair in pads for p in pair):
            return x
        if x.origin is not None:
            source, order = x.origin
            moved = tuple(pads[order.index(k)] for k in range(len(order)))
            return self.transpose(self.pad(source, moved, value), order)
        return self._filled(x, pads, self.reshape(self.convert_to_tensor(value, x.dtype), ()), spec)

    def flip(self, x: Tensor, axes: Axes) -> Tensor:
        backwards, whole = slice(None, None, -1), slice(None)
        return self._sliced(x, [backwards if k in axes else whole for k in range(len(x.dims))])

    def get_item(self, x: Tensor, key: tuple[Any, ...]) -> Tensor:
        entries = full_key(len(x.dims), key)
        ends = [entry for entry in entries if entry is not None]
        taken = self._sliced(x, [_part(entry) for entry in ends])
        sizes = iter(zip(ends, taken.dims, strict=True))
        pairs = ((entry, 1) if entry is None else next(sizes) for entry in entries)
        return self.reshape(taken, tuple(n for entry, n in pairs if not isinstance(entry, int)))

    def _sliced(self, x: Value, parts: Sequence[slice]) -> Value:
        """What slices take of each axis."""
        taken = [k for k, part in enumerate(parts) if part != slice(None)]
        if not taken:
            return x
        if x.origin is not None:
            source, order = x.origin
            return self.transpose(
                self._sliced(source, [parts[order.index(k)] for k in range(len(order))]), order
            )
        spec = self.spec.get_item(x, tuple(parts))
        return self._strided(x, {axis: parts[axis] for axis in taken}, spec)

    def _shifted(self, x: Value, start: int, count: int, target: int) -> Value:
        """x with some neighbouring axes at another place."""
        order = [k for k in range(len(x.dims)) if not start <= k < start + count]
        order[target:target] = range(start, start + count)
        return self.transpose(x, tuple(order))

    def _begins(self, x: Value, start: Sequence[Any], shape: Sequence[Any]) -> list[Any]:
        """The start of a block on each axis, moved inside where it reaches over the edge."""
        begins: list[Any] = []
        for at, size, length in zip(start, x.dims, shape, strict=True):
            if isinstance(at, int) and isinstance(size, int) and isinstance(length, int):
                begins.append(min(max(at, 0), size - length))
                continue
            last, zero = self._size(size - length), self._constant([0])
            begins.append(self.maximum(self.minimum(self._size(at), last), zero))
        return begins

    def slice(self, x: Tensor, start: Sequence[Any], shape: tuple[int, ...]) -> Tensor:
        spec = self.spec.slice(x, start, shape)
        begins = self._vector(self._begins(x, start, shape))
        return self._block(x, begins, shape, spec)

    def slice_update(self, x: Tensor, start: Sequence[Any], updates: Tensor) -> Tensor:
        self.spec.slice_update(x, start, updates)
        begins = self._begins(x, start, updates.dims)
        rank, columns = len(x.dims), []
        for axis, (begin, size) in enumerate(zip(begins, updates.dims, strict=True)):
            line = self.add(self.arange(0, size, 1, self.sizes), self._size(begin))
            line = self.reshape(line, (*(1,) * axis, size, *(1,) * (rank - axis - 1)))
            columns.append(self._last(self.broadcast_to(line, updates.dims)))
        if not columns:
            return updates
        return self.scatter(x, self.concatenate(columns, rank), updates, "set")

    def _resized(self, x: Value, size: int, fill: Any) -> Value:
        """The first elements of a vector, padded where there are fewer."""
        longer = self.concatenate([x, self.full((size,), fill, x.dtype)], 0)
        return self.slice(longer, (0,), (size,))

    def _product(self, operands: Sequence[Value], shared: int, spec: Spec) -> Value:
        """The last axes of x with the first ones of a kernel, as a product of matrices."""
        x, kernel = operands
        inner = math.prod(kernel.dims[:shared])
        rows = self.reshape(x, (*x.dims[:-shared], inner))
        return self.reshape(self.matmul(rows, self.reshape(kernel, (inner, -1))), spec.dims)

    def cumprod(self, x: Tensor, axis: int) -> Tensor:
        order = (axis, *(k for k in range(len(x.dims)) if k != axis))
        moved = self.transpose(x, order)
        ones = self.full(moved.dims[1:], 1, x.dtype)

        def turn(carry: Value, row: Value) -> tuple[Value, Value]:
            return (product := self.multiply(carry, row)), product

        made = self.scan(turn, ones, moved, None, False)[1]
        return self.transpose(made, tuple(int(k) for k in np.argsort(order)))


def _is_number(x: Any) -> bool:
    return isinstance(x, (bool, int, float, complex, np.number, np.bool_))


def _is_rest(size: Any) -> bool:
    return isinstance(size, (int, np.integer)) and size == -1


def _part(entry: Any) -> slice:
    """What an integer or a slice takes of an axis, as a slice."""
    if isinstance(entry, int):
        return slice(entry, None if entry == -1 else entry + 1)
    return entry
