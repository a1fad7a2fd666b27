"""How the LiteRT engine writes nodes: the dtypes that kernels know, and what moves elements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

from ..contract import Axes, Pads, Tensor
from ..graphs.channels_last import ChannelsLast
from ..graphs.graph import Value, pairs
from ..graphs.writing import NUMPY
from ..spec import Spec
from .graph import TYPES, LiteRTGraph

#: The dtype in which operations run that have no kernel for a dtype.
WIDE = pairs(
    "int8:int32 int16:int32 uint8:int32 uint16:int32 bool:int32 uint32:int64 float16:float32 "
    "bfloat16:float32"
)
#: Operations with kernels for every dtype.
_ANY = frozenset(
    "CAST RESHAPE TRANSPOSE TILE STRIDED_SLICE SLICE SELECT_V2 FILL DYNAMIC_UPDATE_SLICE BROADCAST_TO "
    "SHAPE BITCAST WHILE IF WHERE LOGICAL_AND LOGICAL_OR LOGICAL_NOT STABLEHLO_AND STABLEHLO_SHIFT_LEFT "
    "BITWISE_XOR RIGHT_SHIFT REDUCE_ANY REDUCE_ALL QUANTIZE DEQUANTIZE".split()
)
#: Operations that move elements, with kernels for all dtypes but unsigned ones of 16 and 32 bits.
_MOVES = frozenset("CONCATENATION PAD PADV2 REVERSE_V2 GATHER GATHER_ND DILATE".split())
_COMPARE_BOOLEANS = frozenset(("EQUAL", "NOT_EQUAL"))
_GIVES_BOOLEANS = _COMPARE_BOOLEANS | {"LESS", "LESS_EQUAL", "GREATER", "GREATER_EQUAL"}
#: Operations whose kernels know no integers of 64 bits, and those that know single floats alone.
_NARROW = frozenset(
    "DIV POW FLOOR_DIV UNSORTED_SEGMENT_SUM UNSORTED_SEGMENT_MAX UNSORTED_SEGMENT_MIN "
    "UNSORTED_SEGMENT_PROD ARG_MAX ARG_MIN BITWISE_XOR RIGHT_SHIFT STABLEHLO_SHIFT_LEFT".split()
)
_SINGLE = frozenset(
    "ABS SIGN SQRT RSQRT EXP LOG SIN COS TANH LOGISTIC CEIL FLOOR ROUND ATAN2 SOFTMAX LOG_SOFTMAX "
    "RELU RELU6 ELU GELU LEAKY_RELU HARD_SWISH CONV_2D DEPTHWISE_CONV_2D CONV_3D "
    "MAX_POOL_2D AVERAGE_POOL_2D FULLY_CONNECTED BATCH_MATMUL".split()
)


class LiteRTNodes(ChannelsLast):
    """What LiteRT calls the nodes that all primitives need.

    Args:
        half: Whether float32 weights are stored in 16 bits, where they fit.
    """

    folds_weights: ClassVar[bool] = True
    graph: LiteRTGraph

    def __init__(self, half: bool = False) -> None:
        super().__init__(LiteRTGraph(half=half))

    @classmethod
    def for_file(cls, half: bool = False) -> Self:
        """The engine of a new graph."""
        return cls(half)

    def _operand_dtype(self, kind: str, dtype: str) -> str:
        if dtype not in TYPES:
            return dtype  # which the graph refuses
        taken = kind in _ANY or (kind in _COMPARE_BOOLEANS and dtype == "bool")
        wide = dtype if taken else WIDE.get(dtype, dtype)
        if wide == "int64" and kind in _NARROW:
            self.graph.refuse_dtype(f"do `{kind}`", dtype)
        if taken:
            return dtype
        if kind in _MOVES:
            return WIDE[dtype] if dtype in ("uint16", "uint32") else dtype
        if kind in _SINGLE:
            return "float32"
        return wide

    def _result_dtype(self, kind: str, dtype: str) -> str:
        if kind in _GIVES_BOOLEANS:
            return "bool"
        return self._operand_dtype(kind, dtype)

    def _converted(self, x: Value, dtype: str) -> Value:
        for name in (x.dtype, dtype):
            if name not in TYPES:
                self.graph.refuse_dtype(f"cast from {x.dtype} to {dtype}, tensors", name)
        numbers = {"inDataType": TYPES[x.dtype], "outDataType": TYPES[dtype]}
        return self._elementwise("CAST", [x], Spec(x.dims, dtype), **numbers)

    def view(self, x: Tensor, dtype: str) -> Tensor:
        if x.array is not None:
            return self.graph.constant(NUMPY.view(x.array, dtype))
        if x.dtype == dtype:
            return x
        spec = self.spec.view(x, dtype)
        before, after = (NUMPY.full((), 0, name).itemsize for name in (x.dtype, dtype))
        if before < after:
            x = self.reshape(x, (*spec.dims, after // before))
        wide = (*x.dims, before // after) if before > after else spec.dims
        return self.reshape(self._node("BITCAST", [x], Spec(wide, dtype)), spec.dims)

    def _length(self, x: Value, axis: int) -> Value:
        sizes = self._node("SHAPE", [x], Spec((len(x.dims),), "int32"), outType=TYPES["int32"])
        return self._strided(sizes, {0: slice(axis, axis + 1)}, Spec((1,), "int32"))

    def _reduced(self, kind: str, x: Value, axes: Axes, keepdims: bool, spec: Spec) -> Value:
        return self._node(kind, [x, self._constant(list(axes))], spec, keepDims=keepdims)

    def _reshaped(self, x: Value, sizes: Sequence[Any], spec: Spec) -> Value:
        known = all(isinstance(size, int) for size in sizes)
        given = {"newShape": list(sizes)} if known else {}
        return self._node("RESHAPE", [x, self._vector(sizes)], spec, **given)

    def _transposed(self, x: Value, order: Axes, spec: Spec) -> Value:
        return self._node("TRANSPOSE", [x, self._constant(list(order))], spec)

    def _spread(self, x: Value, sizes: Sequence[Any], spec: Spec) -> Value:
        return self._node("BROADCAST_TO", [x, self._vector(sizes)], spec)

    def _joined(self, xs: Sequence[Value], axis: int, spec: Spec) -> Value:
        return self._node("CONCATENATION", xs, spec, axis=axis)

    def _filled(self, x: Value, pads: Pads, fill: Value, spec: Spec) -> Value:
        # Kernels cut nothing off.
        cuts = [slice(self._cut(low, None), self._cut(high, -1)) for low, high in pads]
        if any(cut != slice(None) for cut in cuts):
            x = self._sliced(x, cuts)
            pads = tuple((self._kept(low), self._kept(high)) for low, high in pads)
            return self.pad(x, pads, fill)
        rows = self.reshape(self._vector([size for pair in pads for size in pair]), (-1, 2))
        if fill.array is not None and fill.array == 0:  # which more delegates know
            return self._node("PAD", [x, rows], spec)
        return self._node("PADV2", [x, rows, fill], spec)

    def _cut(self, size: Any, sign: int | None) -> Any:
        return (sign or 1) * -size if isinstance(size, int) and size < 0 else None

    def _kept(self, size: Any) -> Any:
        return max(size, 0) if isinstance(size, int) else size

    def flip(self, x: Tensor, axes: Axes) -> Tensor:
        for axis in axes:  # the kernel reverses axes that are neighbours
            x = self._node("REVERSE_V2", [x, self._constant([axis])], x)
        return x

    def _strided(self, x: Value, parts: Mapping[int, slice], spec: Spec) -> Value:
        every = [parts.get(axis, slice(None)) for axis in range(len(x.dims))]
        masks = [
            sum(1 << axis for axis, part in enumerate(every) if getattr(part, end) is None)
            for end in ("start", "stop")
        ]
        bounds = [
            self._vector([0 if end is None else end for end in ends])
            for ends in ([p.start for p in every], [p.stop for p in every])
        ]
        steps = self._constant([part.step or 1 for part in every])
        return self._node(
            "STRIDED_SLICE", [x, *bounds, steps], spec, beginMask=masks[0], endMask=masks[1]
        )

    def _block(self, x: Value, begins: Value, shape: Sequence[Any], spec: Spec) -> Value:
        return self._node("SLICE", [x, begins, self._vector(shape)], spec)

    def slice_update(self, x: Tensor, start: Sequence[Any], updates: Tensor) -> Tensor:
        spec = self.spec.slice_update(x, start, updates)
        if not spec.dims:
            return updates
        begins = self._vector(self._begins(x, start, updates.dims))
        return self._node("DYNAMIC_UPDATE_SLICE", [x, updates, begins], spec)
