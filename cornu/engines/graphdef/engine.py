"""The engines of TensorFlow's graphs: tensors are values of a graph, and a primitive writes a node.

Images stay channels-last, sizes and indices have 32 bits. TensorFlow has a kernel for nearly every dtype; TensorFlow.js
has floats and integers of 32 bits, booleans, and fewer operations.
"""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np

from ..contract import Axes, Pads, Tensor
from ..graphs.channels_last import ChannelsLast, is_same
from ..graphs.graph import Value, pairs
from ..graphs.writing import tabled
from ..spec import Dimension, Spec
from .graph import TensorFlowGraph
from .operations import LACKS, Dtype, operand_dtype, result_dtype

_UNARY = pairs(
    "negative:Neg abs:Abs sign:Sign sqrt:Sqrt rsqrt:Rsqrt exp:Exp expm1:Expm1 log:Log log1p:Log1p sin:Sin cos:Cos "
    "tan:Tan arcsin:Asin arccos:Acos arctan:Atan sinh:Sinh cosh:Cosh tanh:Tanh arcsinh:Asinh arccosh:Acosh "
    "arctanh:Atanh erf:Erf sigmoid:Sigmoid"
)
_TESTS = pairs("isnan:IsNan isinf:IsInf isfinite:IsFinite logical_not:LogicalNot")
_ROUNDINGS = pairs("ceil:Ceil floor:Floor round:Round")
_BINARY = pairs(
    "add:AddV2 subtract:Sub maximum:Maximum minimum:Minimum power:Pow arctan2:Atan2 equal:Equal not_equal:NotEqual "
    "less:Less less_equal:LessEqual greater:Greater greater_equal:GreaterEqual logical_and:LogicalAnd "
    "logical_or:LogicalOr multiply:Mul"
)
_OF_BOOLEANS = pairs("AddV2:LogicalOr Maximum:LogicalOr Minimum:LogicalAnd Mul:LogicalAnd")
_REDUCTIONS = pairs("sum:Sum prod:Prod max:Max min:Min mean:Mean all:All any:Any")
_ACTIVATIONS = pairs("relu6:Relu6 selu:Selu softplus:Softplus")


def _neutral(reduction: str, dtype: str) -> Any:
    """What changes nothing of what it is reduced with."""
    if reduction == "mul":
        return 1
    if "float" in dtype:
        return -math.inf if reduction == "max" else math.inf
    ends = np.iinfo(dtype)
    return ends.min if reduction == "max" else ends.max


def _unary(kind: str, dtype: str | None = None) -> Callable[..., Tensor]:
    def method(self: TensorFlowEngine, x: Tensor) -> Tensor:
        return self._elementwise(kind, [x], Spec(x.dims, dtype or x.dtype))

    return method


def _rounding(kind: str) -> Callable[..., Tensor]:
    def method(self: TensorFlowEngine, x: Tensor) -> Tensor:
        return self._elementwise(kind, [x], x) if "float" in x.dtype else x

    return method


def _binary(name: str, kind: str) -> Callable[..., Tensor]:
    def method(self: TensorFlowEngine, x1: Tensor, x2: Tensor) -> Tensor:
        chosen = _OF_BOOLEANS.get(kind, kind) if x1.dtype == "bool" else kind
        return self._elementwise(chosen, [x1, x2], getattr(self.spec, name)(x1, x2))

    return method


def _reduction(kind: str) -> Callable[..., Tensor]:
    def method(self: TensorFlowEngine, x: Tensor, axes: Axes, keepdims: bool) -> Tensor:
        return self._reduce(kind, x, axes, keepdims)

    return method


class TensorFlowEngine(ChannelsLast):
    """What TensorFlow's graphs and those of TensorFlow.js share: an engine for each file."""

    branches = ("StatelessIf", "then_branch", "else_branch")
    loop = "StatelessWhile"
    called = pairs(
        "argmax:ArgMax argmin:ArgMin cumsum:Cumsum divide:RealDiv floor_divide:FloorDiv gather:GatherNd mod:FloorMod "
        "nonzero:Where where:SelectV2"
    )

    vars().update(
        **{name: _unary(kind) for name, kind in (_UNARY | _ACTIVATIONS).items()},
        **{name: _unary(kind, "bool") for name, kind in _TESTS.items()},
        **{name: _rounding(kind) for name, kind in _ROUNDINGS.items()},
        **{name: _binary(name, kind) for name, kind in _BINARY.items()},
        **{name: _reduction(kind) for name, kind in _REDUCTIONS.items()},
    )

    #: The dtypes that operations have no kernels for.
    lacks: ClassVar[Mapping[str, frozenset[str]]] = LACKS

    #: The class of its graphs.
    graphs: ClassVar[type[TensorFlowGraph]] = TensorFlowGraph

    graph: TensorFlowGraph

    def __init__(self) -> None:
        super().__init__(self.graphs())

    @classmethod
    def for_file(cls) -> Self:
        """The engine of a new graph."""
        return cls()

    def on_host(
        self, f: Callable[..., list[Any]], tensors: Sequence[Any], specs: Sequence[Any]
    ) -> list[Any]:
        (x,) = map(self.convert_to_tensor, tensors)
        keys, values, default = tabled(f)
        if x.dtype == "string":
            found = np.array([key.encode() for key in keys], object)
        else:
            x, found = self.cast(x, "int64"), np.array(keys, np.int64)
        table = self.graph.table(found, np.array(values, np.int64))
        operands = [table, x, self._constant(default, "int64")]
        flat = Spec((math.prod(x.dims),), "int64")  # as TensorFlow.js gives it
        (made,) = self.graph.add("LookupTableFindV2", operands, [flat])
        return [self.reshape(made, x.dims)]

    def _operand_dtype(self, kind: str, dtype: str) -> str:
        return operand_dtype(self.lacks.get(kind, frozenset()), dtype)

    def _result_dtype(self, kind: str, dtype: str) -> str:
        return result_dtype(kind, self.lacks.get(kind, frozenset()), dtype)

    # ---------------------------------------------------- what a format writes

    def _converted(self, x: Value, dtype: str) -> Value:
        return self._elementwise("Cast", [x], Spec(x.dims, dtype), DstT=Dtype(dtype))

    def _length(self, x: Value, axis: int) -> Value:
        shape = self._node("Shape", [x], Spec((len(x.dims),), "int32"))
        return self._block(shape, self._vector((axis,)), (1,), Spec((1,), "int32"))

    def _reduced(self, kind: str, x: Value, axes: Axes, keepdims: bool, spec: Spec) -> Value:
        return self._node(kind, [x, self._vector(axes)], spec, keep_dims=keepdims)

    def _reshaped(self, x: Value, sizes: Sequence[Any], spec: Spec) -> Value:
        return self._node("Reshape", [x, self._vector(sizes)], spec)

    def _transposed(self, x: Value, order: Axes, spec: Spec) -> Value:
        return self._node("Transpose", [x, self._vector(order)], spec)

    def _spread(self, x: Value, sizes: Sequence[Any], spec: Spec) -> Value:
        return self._node("BroadcastTo", [x, self._vector(sizes)], spec)

    def _joined(self, xs: Sequence[Value], axis: int, spec: Spec) -> Value:
        return self._node("ConcatV2", [*xs, self._constant(axis)], spec)

    def _filled(self, x: Value, pads: Pads, fill: Value, spec: Spec) -> Value:
        cut = [[max(-p, 0) if isinstance(p, int) else 0 for p in pair] for pair in pads]
        x = self.get_item(x, tuple(slice(low or None, -high or None) for low, high in cut))
        more = [p if isinstance(p, Dimension) else max(p, 0) for pair in pads for p in pair]
        sizes = self.reshape(self._vector(more), (len(pads), 2))
        return self._node("PadV2", [x, sizes, fill], spec)

    def _strided(self, x: Value, parts: Mapping[int, slice], spec: Spec) -> Value:
        every = [parts.get(axis, slice(None)) for axis in range(len(x.dims))]
        masks, bounds = {}, []
        for end, default in (("start", 0), ("stop", 0), ("step", 1)):
            found = [getattr(part, end) for part in every]
            bounds.append(self._vector([default if bound is None else bound for bound in found]))
            masks[end] = sum((bound is None) << axis for axis, bound in enumerate(found))
        options = {"begin_mask": masks["start"], "end_mask": masks["stop"]}
        return self._node("StridedSlice", [x, *bounds], spec, **options)

    def _block(self, x: Value, begins: Value, shape: Sequence[Any], spec: Spec) -> Value:
        return self._node("Slice", [x, begins, self._vector(shape)], spec)

    # ---------------------------------------------------------------- loops

    def _with_row(self, x: Value, index: Value, row: Value) -> Value:
        return self._put(x, self.reshape(index, (1, 1)), self._expanded(row))

    # ------------------------------------------------------------------- fft

    def _transformed(self, kind: str, x: Value, spec: Spec, *sizes: Value) -> Value:
        """A Fourier transform of the last axis, of a complex value that is one while it runs."""
        if x.parts is not None:
            (x,) = self.graph.add("Complex", x.parts, [Spec(x.dims, x.dtype)])
        (made,) = self.graph.add(kind, [x, *sizes], [Spec(spec.dims, spec.dtype)])
        return self._parted(made) if spec.dtype.startswith("complex") else made

    def _parted(self, x: Value) -> Value:
        """A complex value of the graph, as its parts."""
        part = Spec(x.dims, "float64" if x.dtype == "complex128" else "float32")
        return self.complex(*(self.graph.add(kind, [x], [part])[0] for kind in ("Real", "Imag")))

    def fft(self, x: Tensor) -> Tensor:
        return self._transformed("FFT", x, x)

    def ifft(self, x: Tensor) -> Tensor:
        return self._transformed("IFFT", x, x)

    def rfft(self, x: Tensor) -> Tensor:
        return self._transformed("RFFT", x, self.spec.rfft(x), self._size(x.dims[-1]))

    def irfft(self, x: Tensor, length: int) -> Tensor:
        return self._transformed("IRFFT", x, self.spec.irfft(x, length), self._size(length))

    def cumprod(self, x: Tensor, axis: int) -> Tensor:
        return self._node("Cumprod", [x, self._constant(axis)], x)

    # ---------------------------------------------------------- move, index

    def _gathered(self, x: Value, places: Value, axis: int, batch: int, spec: Spec) -> Value:
        return self._node("GatherV2", [x, places, self._constant(axis)], spec, batch_dims=batch)

    def _put(self, x: Value, places: Value, updates: Value) -> Value:
        return self._node("TensorScatterUpdate", [x, places, updates], x)

    def scatter(self, x: Tensor, indices: Tensor, updates: Tensor, reduction: str) -> Tensor:
        self.spec.scatter(x, indices, updates, reduction)
        depth = indices.dims[-1]
        updates = self.broadcast_to(updates, (*indices.dims[:-1], *x.dims[depth:]))
        places = self._places(x, indices)
        if reduction == "set":
            return self._put(x, places, updates)
        if reduction == "add":
            total = [places, updates, self._vector(x.dims)]
            return self.add(x, self._node("ScatterNd", total, x))
        return self._scattered(x, places, updates, reduction)

    def _scattered(self, x: Value, places: Value, updates: Value, reduction: str) -> Value:
        """Each update beside each row that it may meet, reduced: there is no such operation."""
        depth, rest = places.dims[-1], x.dims[places.dims[-1] :]
        sizes, count = x.dims[:depth], math.prod(x.dims[:depth])
        flat = self.reshape(places, (-1, depth))
        strides = [functools.reduce(operator.mul, sizes[k + 1 :], 1) for k in range(depth)]
        rows = self.sum(self.multiply(flat, self._vector(strides)), (1,), False)
        meet = self.equal(self._expanded(rows), self._last(self.arange(0, count, 1, "int32")))
        meet = self.reshape(meet, (*meet.dims, *(1,) * len(rest)))
        neutral = self._like(_neutral(reduction, x.dtype), x)
        each = self.where(meet, self.reshape(updates, (1, -1, *rest)), neutral)
        reduce, join = (
            (self.prod, self.multiply)
            if reduction == "mul"
            else (getattr(self, reduction), getattr(self, reduction + "imum"))
        )
        return join(x, self.reshape(reduce(each, (1,), False), x.dims))

    # ---------------------------------------------------------------- order

    def top_k(self, x: Tensor, k: int) -> tuple[Tensor, Tensor]:
        values, order = self.spec.top_k(x, k)
        found = self._nodes("TopKV2", [x, self._constant(k)], [values, order])
        return found[0], found[1]

    def argsort(self, x: Tensor, axis: int) -> Tensor:
        # Equal ones come as they are: backwards in what is turned around twice.
        order = (*(k for k in range(len(x.dims)) if k != axis), axis)
        last = len(order) - 1
        back = self.flip(self.transpose(self._keys(x, math.inf), order), (last,))
        size = self.reshape(self._size(x.dims[axis]), ())
        specs = [Spec(back.dims, x.dtype), Spec(back.dims, "int32")]
        found = self._nodes("TopKV2", [back, size], specs)[1]
        found = self.subtract(self.subtract(size, self._constant(1)), self.flip(found, (last,)))
        return self.transpose(found, tuple(int(k) for k in np.argsort(order)))

    def sort(self, x: Tensor, axis: int) -> Tensor:
        return self.take_along_axis(x, self.argsort(x, axis), axis)

    def unique(
        self, x: Tensor, size: int | None, fill: Any
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        found = Dimension()
        specs = [Spec((found,), x.dtype), Spec(x.dims, "int32")]
        values = self.sort(self._nodes("UniqueV2", [x, self._constant([0])], specs)[0], 0)
        same = self.equal(self._last(values), self._expanded(x))
        counts = self.sum(self.cast(same, "int32"), (1,), False)
        index, inverse = (self.argmax(self.cast(same, "int32"), axis) for axis in (1, 0))
        if size is not None:
            fill = self.get_item(values, (0,)) if fill is None else fill
            values = self._resized(values, size, fill)
            index = self._resized(index, size, self.get_item(index, (0,)))
            counts = self._resized(counts, size, 0)
        return values, index, inverse, counts

    # ----------------------------------------------------- contract, window

    def matmul(self, x1: Tensor, x2: Tensor) -> Tensor:
        spec = self.spec.matmul(x1, x2)
        rows = x1 if len(x1.dims) > 1 else self._expanded(x1)
        columns = x2 if len(x2.dims) > 1 else self._last(x2)
        inner, outer = columns.dims[-2:]
        if len(columns.dims) == 2:
            flat = self.reshape(rows, (math.prod(rows.dims[:-1]), inner))
            made = self._node("MatMul", [flat, columns], Spec((flat.dims[0], outer), spec.dtype))
        else:
            made = self._node("BatchMatMulV2", [rows, columns], self.spec.matmul(rows, columns))
        return self.reshape(made, spec.dims)

    def _flat(self, x: Value, spec: Spec, call: Callable[..., Value]) -> Value:
        """What a window of two axes makes of images of one."""
        wide = self.reshape(x, (x.dims[0], 1, *x.dims[1:]))
        return self.reshape(call(wide), spec.dims)

    def conv(
        self, x: Tensor, kernel: Tensor, strides: Axes, pads: Pads, dilation: Axes, groups: int
    ) -> Tensor:
        spec = self.spec.conv(x, kernel, strides, pads, dilation, groups)
        if len(strides) == 1:
            taller = self.reshape(kernel, (1, *kernel.dims))
            more = ((1, *strides), ((0, 0), *pads), (1, *dilation), groups)
            return self._flat(x, spec, lambda wide: self.conv(wide, taller, *more))
        if len(strides) > 3 or (len(strides) == 3 and (groups > 1 or set(dilation) != {1})):
            return super().conv(x, kernel, strides, pads, dilation, groups)
        depth, filters = kernel.dims[-2:]
        if groups > 1 and not self._is_depthwise(x, kernel, strides, dilation, groups):
            parts = [
                self.conv(
                    self.slice_axis(x, len(x.dims) - 1, g * depth, (g + 1) * depth),
                    self.slice_axis(kernel, len(kernel.dims) - 1, g * filters // groups, (g + 1) * filters // groups),
                    strides, pads, dilation, 1,
                )
                for g in range(groups)
            ]  # fmt: skip
            return self.concatenate(parts, len(x.dims) - 1)
        x, padding = self._padded(x, kernel.dims[:-2], strides, pads, dilation, 0)
        options = {"strides": [1, *strides, 1], "dilations": [1, *dilation, 1], "padding": padding}
        if groups > 1:
            weights = self.reshape(kernel, (*kernel.dims[:-2], groups, filters // groups))
            return self._node(
                "DepthwiseConv2dNative", [x, weights], spec, data_format="NHWC", **options
            )
        kind, layout = ("Conv2D", "NHWC") if len(strides) == 2 else ("Conv3D", "NDHWC")
        return self._node(kind, [x, kernel], spec, data_format=layout, **options)

    def _is_depthwise(
        self, x: Value, kernel: Value, strides: Axes, dilation: Axes, groups: int
    ) -> bool:
        """Whether there is an operation for a convolution of each channel alone."""
        square = len(set(strides)) == 1 and (set(strides) == {1} or set(dilation) == {1})
        return x.dims[-1] == groups and kernel.dims[-2] == 1 and square and len(set(dilation)) == 1

    def _padded(
        self,
        x: Value,
        window: Sequence[int],
        strides: Axes,
        pads: Pads,
        dilation: Axes,
        fill: float,
    ) -> tuple[Value, str]:
        """Images padded by what their operation can't, and how it pads itself."""
        same = is_same(x.dims[1:-1], tuple(window), strides, pads, dilation)
        if same and any(p != 0 for pair in pads for p in pair):
            return x, "SAME"
        return self.pad(x, ((0, 0), *pads, (0, 0)), fill), "VALID"

    def conv_transpose(
        self, x: Tensor, kernel: Tensor, strides: Axes, pads: Pads, dilation: Axes
    ) -> Tensor:
        spec = self.spec.conv_transpose(x, kernel, strides, pads, dilation)
        if len(strides) == 1:
            taller = self.reshape(kernel, (1, *kernel.dims))
            more = ((1, *strides), ((0, 0), *pads), (1, *dilation))
            return self._flat(x, spec, lambda wide: self.conv_transpose(wide, taller, *more))
        if len(strides) > 2 or set(dilation) != {1}:
            return super().conv_transpose(x, kernel, strides, pads, dilation)
        # What the operation gives without pads, of which these take away or to which they add.
        whole = [
            (n - 1) * s + k for n, s, k in zip(x.dims[1:-1], strides, kernel.dims, strict=False)
        ]
        inner = Spec((x.dims[0], *whole, spec.dims[-1]), spec.dtype)
        options = {"strides": [1, *strides, 1], "dilations": [1, 1, 1, 1], "padding": "VALID"}
        made = self._node(
            "Conv2DBackpropInput",
            [self._vector(inner.dims), kernel, x],
            inner,
            data_format="NHWC",
            **options,
        )
        cut = [
            (low - k + 1, high - k + 1) for (low, high), k in zip(pads, kernel.dims, strict=False)
        ]
        return self.pad(made, ((0, 0), *cut, (0, 0)), 0)

    def _pooled(
        self, kind: str, x: Value, window: Axes, strides: Axes, padding: str, spec: Spec
    ) -> Value:
        layout = "NHWC" if len(window) == 2 else "NDHWC"
        kind = kind if len(window) == 2 else f"{kind}3D"
        options = {"ksize": [1, *window, 1], "strides": [1, *strides, 1], "padding": padding}
        return self._node(kind, [x], spec, data_format=layout, **options)

    def max_pool(self, x: Tensor, window: Axes, strides: Axes, pads: Pads) -> Tensor:
        spec = self.spec.max_pool(x, window, strides, pads)
        if "int" in x.dtype:
            return self.cast(self.max_pool(self.cast(x, "float32"), window, strides, pads), x.dtype)
        if len(window) == 1:
            more = ((1, *window), (1, *strides), ((0, 0), *pads))
            return self._flat(x, spec, lambda wide: self.max_pool(wide, *more))
        x, padding = self._padded(x, window, strides, pads, (1,) * len(window), -math.inf)
        return self._pooled("MaxPool", x, window, strides, padding, spec)

    def average_pool(self, x: Tensor, window: Axes, strides: Axes, pads: Pads) -> Tensor:
        spec = self.spec.average_pool(x, window, strides, pads)
        if len(window) == 1:
            more = ((1, *window), (1, *strides), ((0, 0), *pads))
            return self._flat(x, spec, lambda wide: self.average_pool(wide, *more))
        padded, padding = self._padded(x, window, strides, pads, (1,) * len(window), 0)
        mean = self._pooled("AvgPool", padded, window, strides, padding, spec)
        if padded is x:
            return mean
        ones = self.full((1, *x.dims[1:-1], 1), 1, x.dtype)
        ones = self.pad(ones, ((0, 0), *pads, (0, 0)), 0)
        share = Spec((1, *spec.dims[1:-1], 1), x.dtype)
        return self.divide(mean, self._pooled("AvgPool", ones, window, strides, padding, share))

    # ------------------------------------------------------ ops that are whole

    def relu(self, x: Tensor) -> Tensor:
        return self._elementwise("Relu", [x], x)

    def leaky_relu(self, x: Tensor, negative_slope: float = 0.2) -> Tensor:
        return self._elementwise("LeakyRelu", [x], x, alpha=float(negative_slope))

    def elu(self, x: Tensor, alpha: float = 1.0) -> Tensor:
        return self._elementwise("Elu", [x], x) if alpha == 1 else NotImplemented

    def softmax(self, x: Tensor, axis: Any = -1) -> Tensor:
        return self._along("Softmax", x, axis)

    def log_softmax(self, x: Tensor, axis: Any = -1) -> Tensor:
        return self._along("LogSoftmax", x, axis)

    def _along(self, kind: str, x: Value, axis: Any) -> Tensor:
        last = len(x.dims) - 1
        one = isinstance(axis, int) and axis in (-1, last) and x.dims and x.dims[-1] != 1
        return self._node(kind, [x], x) if one else NotImplemented

    def batch_normalization(
        self, x: Tensor, mean: Tensor, variance: Tensor, axis: int, offset: Any = None,
        scale: Any = None, epsilon: float = 1e-3,
    ) -> Tensor:  # fmt: skip
        if len(x.dims) != 4 or axis not in (-1, 3) or x.dtype != "float32":
            return NotImplemented
        scale = self.full(mean.dims, 1, x.dtype) if scale is None else scale
        offset = self.full(mean.dims, 0, x.dtype) if offset is None else offset
        made = self._nodes(
            "FusedBatchNormV3",
            [x, scale, offset, mean, variance],
            [x, *[mean] * 5],
            epsilon=float(epsilon),
            is_training=False,
            data_format="NHWC",
        )
        return made[0]
