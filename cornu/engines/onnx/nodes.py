"""How the ONNX engine writes nodes: the dtypes that kernels know, and what moves elements.

Kernels of ONNX Runtime's CPU know few dtypes: operations in others run in a wider one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

from ..contract import Axes, Pads, Tensor
from ..graphs.composing import Composing
from ..graphs.graph import Value, pairs
from ..graphs.writing import NUMPY
from ..spec import Spec
from .graph import TYPES, OnnxGraph

OPSET = 17
#: The dtype in which operations run that have no kernel for a dtype.
WIDE = pairs(
    "int8:int32 int16:int32 uint8:int32 uint16:int32 bool:int32 uint32:int64 uint64:int64 "
    "float16:float32 bfloat16:float32 float8_e4m3fn:float32 float8_e5m2:float32"
)
#: Operations that only move elements, which have kernels for every dtype.
_MOVES = frozenset(
    "Cast Concat Reshape Transpose Expand Slice Squeeze Unsqueeze Gather GatherElements GatherND Shape "
    "Identity ScatterND If Loop Scan Not And Or Xor NonZero QuantizeLinear DequantizeLinear".split()
)
#: Operations whose kernels know float32 alone.
_SINGLE = frozenset(
    "Erf Tan Asin Acos Atan Sinh Cosh Asinh Acosh Atanh Conv ConvTranspose AveragePool Softplus "
    "Softsign Elu Selu Celu LeakyRelu HardSigmoid HardSwish LSTM GRU RNN".split()
)
_GIVES_BOOLEANS = frozenset("Equal Less LessOrEqual Greater GreaterOrEqual IsNaN IsInf".split())
#: The end of an axis, whatever its size.
_FAR = (1 << 63) - 1


class OnnxNodes(Composing):
    """What ONNX calls the nodes that all primitives need.

    Args:
        opset: The version of ONNX's operations.
        half: Whether float32 weights are stored in 16 bits, where they fit.
    """

    keeps_sizes: ClassVar[bool] = True
    graph: OnnxGraph

    def __init__(self, opset: int = OPSET, half: bool = False) -> None:
        super().__init__(OnnxGraph(half=half))
        self.opset = opset

    @classmethod
    def for_file(cls, opset: int = OPSET, half: bool = False) -> Self:
        """The engine of a new graph."""
        return cls(opset, half)

    def _operand_dtype(self, kind: str, dtype: str) -> str:
        if _moves(kind, dtype) or (dtype == "bool" and kind in ("Where", "Equal")):
            return dtype
        wide = WIDE.get(dtype, dtype)
        single = kind in _SINGLE and (wide != "int64" or kind.startswith("Conv"))
        return "float32" if single else wide

    def _result_dtype(self, kind: str, dtype: str) -> str:
        if _moves(kind, dtype) or (dtype == "bool" and kind in _GIVES_BOOLEANS):
            return dtype
        return "float32" if kind in _SINGLE else WIDE.get(dtype, dtype)

    def _converted(self, x: Value, dtype: str) -> Value:
        if dtype.startswith("float8") and self.opset < 19:
            raise ValueError(
                "Floats of 8 bits came with version 19 of ONNX's operations. Received: "
                f"opset_version={self.opset}. Export with opset_version=19."
            )
        return self._elementwise("Cast", [x], Spec(x.dims, dtype), to=TYPES[dtype])

    def view(self, x: Tensor, dtype: str) -> Tensor:
        integers = {"int32", "uint32"}
        if x.array is not None:
            return self.graph.constant(NUMPY.view(x.array, dtype))
        if x.dtype == dtype or {x.dtype, dtype} == integers:
            return self.cast(x, dtype)
        raise NotImplementedError(
            f"The onnx engine can't do `view` of other dtypes: ONNX has no operation on bits. "
            f"Received: x.dtype={x.dtype}, dtype={dtype!r}. Use `ops.cast`, or another engine."
        )

    def _length(self, x: Value, axis: int) -> Value:
        return self._node("Shape", [x], Spec((1,), "int64"), start=axis, end=axis + 1)

    def _reduced(self, kind: str, x: Value, axes: Axes, keepdims: bool, spec: Spec) -> Value:
        options: dict[str, Any] = {"keepdims": int(keepdims)}
        if kind == "ReduceSum" or self.opset >= 18:
            return self._node(kind, [x, self._vector(axes)], spec, **options)
        return self._node(kind, [x], spec, axes=list(axes), **options)

    def _reshaped(self, x: Value, sizes: Sequence[Any], spec: Spec) -> Value:
        more = {"allowzero": 1} if 0 in spec.dims else {}
        return self._node("Reshape", [x, self._vector(sizes)], spec, **more)

    def _transposed(self, x: Value, order: Axes, spec: Spec) -> Value:
        return self._node("Transpose", [x], spec, perm=list(order))

    def _spread(self, x: Value, sizes: Sequence[Any], spec: Spec) -> Value:
        # 1 keeps the size of an axis, which need not be computed.
        own = (1,) * (len(spec.dims) - len(x.dims)) + x.dims
        given = [
            1 if have == wanted else size
            for have, wanted, size in zip(own, spec.dims, sizes, strict=True)
        ]
        return self._node("Expand", [x, self._vector(given)], spec)

    def _joined(self, xs: Sequence[Value], axis: int, spec: Spec) -> Value:
        return self._node("Concat", xs, spec, axis=axis)

    def _filled(self, x: Value, pads: Pads, fill: Value, spec: Spec) -> Value:
        if x.dtype == "bool":
            whole = self.pad(self.cast(x, "int32"), pads, self.cast(fill, "int32"))
            return self.cast(whole, "bool")
        sizes = [*(low for low, _ in pads), *(high for _, high in pads)]
        return self._node("Pad", [x, self._vector(sizes), fill], spec)

    def _strided(self, x: Value, parts: Mapping[int, slice], spec: Spec) -> Value:
        steps = [part.step or 1 for part in parts.values()]
        bounds = zip(parts.values(), steps, strict=True)
        ends = [
            (p.start, p.stop, *((0, _FAR) if step > 0 else (_FAR, -_FAR))) for p, step in bounds
        ]
        starts = [first if start is None else start for start, _, first, _ in ends]
        stops = [last if stop is None else stop for _, stop, _, last in ends]
        return self._node(
            "Slice", [x, *map(self._vector, (starts, stops, list(parts), steps))], spec
        )

    def _block(self, x: Value, begins: Value, shape: Sequence[Any], spec: Spec) -> Value:
        return self._node("Slice", [x, begins, self.add(begins, self._vector(shape))], spec)


def _moves(kind: str, dtype: str) -> bool:
    return kind in _MOVES and (kind, dtype) != (
        "Expand",
        "bfloat16",
    )  # for which there is no kernel
