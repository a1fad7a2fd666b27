"""The engine of TensorFlow.js: floats and integers of 32 bits, booleans, and fewer operations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np

from ..contract import Axes, Engine, Pads, Tensor
from ..graphs.composing import Composing
from ..graphs.graph import Value
from .engine import TensorFlowEngine
from .graph import TensorFlowGraph
from .operations import LACKS, lacks

_DECOMPOSITIONS = (
    "cholesky solve solve_triangular qr svd eigh eig lu_factor cholesky_inverse inv lstsq pinv "
    "matrix_rank det slogdet logdet"
)
#: Lines of `dtypes: operations`: integers of fewer bits are computed in 32, and wrapped around.
_LACKS = """
bool int8 int16 uint8 uint16: AddV2 Sub Mul FloorDiv FloorMod Maximum Minimum Sum Prod Max Min Cumsum Cumprod Abs Sign
    Neg Pow TopKV2 Less LessEqual Greater GreaterEqual ScatterNd Relu Relu6
bool int8 int16 uint8 uint16 int32 int64: MatMul BatchMatMulV2 Conv2D Conv2DBackpropInput Conv3D AvgPool MaxPool
    DepthwiseConv2dNative
"""


class TensorFlowJsGraph(TensorFlowGraph):
    """A graph of the operations of TensorFlow.js, in which dtypes have 32 bits."""

    format, engine = "TensorFlow.js", "tfjs"
    dtypes: ClassVar[Mapping[str, str]] = {
        **dict.fromkeys("float32 float64 float16 bfloat16".split(), "DT_FLOAT"),
        **dict.fromkeys("int8 int16 int32 int64 uint8 uint16".split(), "DT_INT32"),
        "bool": "DT_BOOL",
    }
    others: ClassVar[Mapping[str, str]] = {
        "complex64": "DT_COMPLEX64", "complex128": "DT_COMPLEX64", "string": "DT_STRING",
    }  # fmt: skip

    def initializer_definition(self) -> dict[str, Any]:
        """The graph that fills the tables, which stand in it too."""
        return {"node": [*(self._table(name) for name in self.tables), *self.filling()[0]]}


class TensorFlowJsEngine(TensorFlowEngine):
    """The primitives as nodes of one graph that TensorFlow.js runs: an engine for each file."""

    name = "tfjs"
    graphs = TensorFlowJsGraph
    widest = "float32"
    unrolled = 256
    lacks = {**LACKS, **lacks(_LACKS)}
    refused: ClassVar[Mapping[str, str]] = {
        **TensorFlowEngine.refused,
        **dict.fromkeys(_DECOMPOSITIONS.split(), "TensorFlow.js has no decompositions of matrices"),
        "nextafter": "TensorFlow.js has no operation on a float's bits",
        "view": "TensorFlow.js has no operation on a float's bits",
    }

    def _converted(self, x: Value, dtype: str) -> Value:
        if "int" not in dtype or x.dtype == "bool" or np.can_cast(x.dtype, dtype):
            return super()._converted(x, dtype)
        bits = np.iinfo(dtype).bits
        made = super()._converted(x, "int32") if "int" not in x.dtype else x
        if bits < 32:
            low, size = self._like(np.iinfo(dtype).min, made), self._like(1 << bits, made)
            made = self.add(self.mod(self.subtract(made, low), size), low)
        return super()._converted(made, dtype)

    def sign(self, x: Tensor) -> Tensor:
        made = self._elementwise("Sign", [x], x)
        return self.where(self.isnan(x), x, made) if "float" in x.dtype else made

    def _bits(self, x1: Value, x2: Value, join: Callable[..., Value]) -> Value:
        """An operation on each of 31 bits along a new axis, and on the signs, in two's complement."""
        last = len(self.spec.add(x1, x2).dims)
        powers = np.left_shift(1, np.arange(31, dtype=np.int64)).astype(np.int32)
        parts = []
        for x in (x1, x2):
            wide = self._last(self.cast(x, "int32"))
            bits = self.mod(self.floor_divide(wide, self._constant(powers)), self._constant(2))
            sign = self.cast(self.less(wide, self._constant(0)), "int32")
            parts.append(self.concatenate([bits, sign], last if x.dims == x1.dims else len(x.dims)))
        joined = self.cast(
            join(*(self.not_equal(part, self._constant(0)) for part in parts)), "int32"
        )
        weights = self._constant(np.append(powers, np.int32(-(1 << 31))))
        return self.cast(self.sum(self.multiply(joined, weights), (last,), False), x1.dtype)

    def bitwise_and(self, x1: Tensor, x2: Tensor) -> Tensor:
        join = self.logical_and
        return join(x1, x2) if x1.dtype == "bool" else self._bits(x1, x2, join)

    def bitwise_or(self, x1: Tensor, x2: Tensor) -> Tensor:
        join = self.logical_or
        return join(x1, x2) if x1.dtype == "bool" else self._bits(x1, x2, join)

    def bitwise_xor(self, x1: Tensor, x2: Tensor) -> Tensor:
        join = self.not_equal
        return join(x1, x2) if x1.dtype == "bool" else self._bits(x1, x2, join)

    def _put(self, x: Value, places: Value, updates: Value) -> Value:
        # On CPUs the operation writes into its operand: it gets a copy, which no other operation shares.
        always, mark = self._constant(True, "bool"), self.graph.new_name("copy")
        own = self._node("SelectV2", [always, x, x], x, _copy=mark)
        return super()._put(own, places, updates)

    def irfft(self, x: Tensor, length: int) -> Tensor:
        # The operation has no length of its own: it gives twice the numbers less two.
        native = isinstance(length, int) and x.dims[-1] == length // 2 + 1 and length % 2 == 0
        return super().irfft(x, length) if native else Composing.irfft(self, x, length)

    def matmul(self, x1: Tensor, x2: Tensor) -> Tensor:
        if len(x2.dims) > 2 and len(x1.dims) > 1 and x1.dims[:-2] != x2.dims[:-2]:
            batch = self.spec.matmul(x1, x2).dims[:-2]
            x1, x2 = (self.broadcast_to(x, (*batch, *x.dims[-2:])) for x in (x1, x2))
        return super().matmul(x1, x2)

    def conv(
        self, x: Tensor, kernel: Tensor, strides: Axes, pads: Pads, dilation: Axes, groups: int
    ) -> Tensor:
        if set(strides) != {1} and set(dilation) != {1}:
            return Engine.conv(self, x, kernel, strides, pads, dilation, groups)
        return super().conv(x, kernel, strides, pads, dilation, groups)
