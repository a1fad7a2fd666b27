"""What TensorFlow's graphs and LiteRT's have in common: operations of one descent, under different names.

Images have their channels last, sizes and indices 32 bits.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from ..contract import Axes, Tensor
from ..spec import Dimension, Spec
from .contracting import Contracting
from .graph import Value

_DRAWS = (
    "random_beta random_binomial random_categorical random_dropout random_gamma random_normal "
    "random_randint random_shuffle random_truncated_normal random_uniform"
)


class ChannelsLast(Contracting):
    """Primitives over operations whose names a format gives."""

    refused: ClassVar[Mapping[str, str]] = {
        **dict.fromkeys(_DRAWS.split(), "the numbers of a graph would be the same at each run"),
        **dict.fromkeys("value_and_grad vjp jvp".split(), "a graph computes no gradients"),
    }
    sizes = "int32"
    #: What the format calls operations: argmax, argmin, cumsum, divide, floor_divide, gather, mod, nonzero, where.
    called: ClassVar[Mapping[str, str]]

    # ------------------------------------------------------ element by element

    def divide(self, x1: Tensor, x2: Tensor) -> Tensor:
        return self._elementwise(self.called["divide"], [x1, x2], self.spec.divide(x1, x2))

    def floor_divide(self, x1: Tensor, x2: Tensor) -> Tensor:
        if "int" not in x1.dtype:
            return self.floor(self.divide(x1, x2))
        operands, spec = [x1, self._nonzero(x2)], self.spec.mod(x1, x2)
        return self._elementwise(self.called["floor_divide"], operands, spec)

    def mod(self, x1: Tensor, x2: Tensor) -> Tensor:
        operands, spec = [x1, self._nonzero(x2)], self.spec.mod(x1, x2)
        return self._elementwise(self.called["mod"], operands, spec)

    def fmod(self, x1: Tensor, x2: Tensor) -> Tensor:
        rest = self.mod(self.abs(x1), self.abs(x2))
        return self.multiply(rest, self.sign(x1))

    def where(self, condition: Tensor, x1: Tensor, x2: Tensor) -> Tensor:
        operands, spec = [condition, x1, x2], self.spec.where(condition, x1, x2)
        return self._elementwise(self.called["where"], operands, spec)

    # ------------------------------------------------------------------ reduce

    def argmax(self, x: Tensor, axis: int) -> Tensor:
        return self._first_of("argmax", self._keys(x, math.inf), axis)

    def argmin(self, x: Tensor, axis: int) -> Tensor:
        return self._first_of("argmin", self._keys(x, -math.inf), axis)

    def _first_of(self, name: str, x: Value, axis: int) -> Value:
        spec = self.spec.argmax(x, axis)
        return self._node(self.called[name], [x, self._constant(axis)], spec, gives="int32")

    def cumsum(self, x: Tensor, axis: int) -> Tensor:
        return self._node(self.called["cumsum"], [x, self._constant(axis)], x)

    # ---------------------------------------------------------- move, index

    def _row(self, x: Value, index: Any) -> Value:
        if isinstance(index, int):
            return self.get_item(x, (index,))
        return self._gathered(x, index, 0, 0, Spec(x.dims[1:], x.dtype))

    @abstractmethod
    def _gathered(self, x: Value, places: Value, axis: int, batch: int, spec: Spec) -> Value:
        """Slices of an axis at places, whose first `batch` axes are those of x."""

    def _index(self, indices: Value, size: Any) -> Value:
        """Indices that count from the front, as kernels want them; `size` along their last axis, or of all."""
        if indices.array is not None and (indices.array >= 0).all():
            return self.cast(indices, "int32")
        return self.mod(self.cast(indices, "int32"), size)

    def take(self, x: Tensor, indices: Tensor, axis: int) -> Tensor:
        spec = self.spec.take(x, indices, axis)
        places = self._index(indices, self.reshape(self._size(x.dims[axis]), ()))
        return self._gathered(x, places, axis, 0, spec)

    def take_along_axis(self, x: Tensor, indices: Tensor, axis: int) -> Tensor:
        spec = self.spec.take_along_axis(x, indices, axis)
        last = len(spec.dims) - 1
        x = self.broadcast_to(x, (*spec.dims[:axis], x.dims[axis], *spec.dims[axis + 1 :]))
        indices = self.broadcast_to(indices, spec.dims)
        rows, places = (self._shifted(part, axis, 1, last) for part in (x, indices))
        places = self._index(places, self.reshape(self._size(x.dims[axis]), ()))
        made = self._gathered(rows, places, last, last, Spec(places.dims, x.dtype))
        return self._shifted(made, last, 1, axis)

    def _places(self, x: Value, indices: Value) -> Value:
        return self._index(indices, self._vector(x.dims[: indices.dims[-1]]))

    def gather(self, x: Tensor, indices: Tensor) -> Tensor:
        spec, places = self.spec.gather(x, indices), self._places(x, indices)
        return self._node(self.called["gather"], [x, places], spec)

    def nonzero(self, x: Tensor, size: int | None, fill: int) -> tuple[Tensor, ...]:
        spec = Spec((Dimension(), len(x.dims)), "int64")
        truth = x if x.dtype == "bool" else self.not_equal(x, self._like(0, x))
        found = self.cast(self._node(self.called["nonzero"], [truth], spec), "int32")
        rows = [self.get_item(found, (slice(None), axis)) for axis in range(len(x.dims))]
        return tuple(rows if size is None else [self._resized(row, size, fill) for row in rows])


def is_same(sizes: Sequence[Any], window: Axes, strides: Axes, pads: Any, dilation: Axes) -> bool:
    """Whether pads are those that kernels know: half before, half and the odd one behind."""
    for size, extent, stride, pad, rate in zip(sizes, window, strides, pads, dilation, strict=True):
        reach = (extent - 1) * rate
        if isinstance(size, int):
            reach = max((math.ceil(size / stride) - 1) * stride + reach + 1 - size, 0)
        elif stride > 1:
            return False
        if pad != (reach // 2, reach - reach // 2):
            return False
    return True
