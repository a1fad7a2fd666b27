"""Operations on windows of images, and ops that LiteRT has whole."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..contract import Axes, Pads, Tensor
from ..graphs.channels_last import is_same
from ..graphs.graph import Value
from ..graphs.steps import Steps
from ..spec import Spec
from .nodes import LiteRTNodes

#: The numbers of the paddings: what keeps a size but for the strides, and none.
_SAME, _VALID = 0, 1


class Windows(LiteRTNodes):
    """Convolutions and pools; overrides of ops, which say `NotImplemented` to what LiteRT's can't do."""

    def _windows(
        self, x: Value, window: Axes, strides: Axes, pads: Pads, dilation: Axes, fill: float
    ) -> tuple[Value, dict[str, Any]]:
        """Images or volumes, padded by what kernels can't, and how windows move, as options."""
        same = is_same(x.dims[1:-1], window, strides, pads, dilation)
        options = {"padding": _SAME if same else _VALID}
        for axis, stride, rate in zip("DHW"[-len(window) :], strides, dilation, strict=True):
            options |= {f"stride{axis}": stride}
            options |= {f"dilation{axis}Factor": rate} if rate > 1 else {}
        return x if same else self._padded(x, pads, fill), options

    def _padded(self, x: Value, pads: Pads, fill: float) -> Value:
        return self.pad(x, ((0, 0), *pads, (0, 0)), fill)

    def _flat(self, x: Value) -> Value:
        """A series (n, time, channels) as images of one row."""
        return self.reshape(x, (x.dims[0], 1, *x.dims[1:]))

    def conv(
        self, x: Tensor, kernel: Tensor, strides: Axes, pads: Pads, dilation: Axes, groups: int
    ) -> Tensor:
        spec = self.spec.conv(x, kernel, strides, pads, dilation, groups)
        rank = len(strides)
        if rank == 1:
            made = self.conv(
                self._flat(x),
                self._expanded(kernel),
                (1, *strides),
                ((0, 0), *pads),
                (1, *dilation),
                groups,
            )
            return self.reshape(made, spec.dims)
        if rank > 3:
            return super().conv(x, kernel, strides, pads, dilation, groups)
        x, options = self._windows(x, kernel.dims[:-2], strides, pads, dilation, 0)
        if rank == 3:
            return self._volumes(x, kernel, groups, spec, options)
        if groups > 1 and groups == x.dims[-1]:
            weights = self.reshape(kernel, (1, *kernel.dims[:2], kernel.dims[-1]))
            options["depthMultiplier"] = kernel.dims[-1] // groups
            return self._node("DEPTHWISE_CONV_2D", [x, weights], spec, **options)
        return self._node("CONV_2D", [x, self.transpose(kernel, (3, 0, 1, 2))], spec, **options)

    def _volumes(
        self, x: Value, kernel: Value, groups: int, spec: Spec, options: dict[str, Any]
    ) -> Value:
        """A convolution of volumes, group by group: the kernel knows one."""
        depth, filters = x.dims[-1] // groups, kernel.dims[-1] // groups
        results = []
        for group in range(groups):
            images = self.slice_axis(x, 4, group * depth, (group + 1) * depth)
            weights = self.slice_axis(kernel, 4, group * filters, (group + 1) * filters)
            given = Spec((*spec.dims[:-1], filters), spec.dtype)
            results.append(self._node("CONV_3D", [images, weights], given, **options))
        return self.concatenate(results, 4)

    def conv_transpose(
        self, x: Tensor, kernel: Tensor, strides: Axes, pads: Pads, dilation: Axes
    ) -> Tensor:
        spec = self.spec.conv_transpose(x, kernel, strides, pads, dilation)
        rank = len(strides)
        if rank == 1:
            made = self.conv_transpose(
                self._flat(x),
                self._expanded(kernel),
                (1, *strides),
                ((0, 0), *pads),
                (1, *dilation),
            )
            return self.reshape(made, spec.dims)
        if rank > 2 or any(rate > 1 for rate in dilation):
            return super().conv_transpose(x, kernel, strides, pads, dilation)
        window = kernel.dims[:-2]
        full = tuple(
            (size - 1) * stride + extent
            for size, stride, extent in zip(x.dims[1:-1], strides, window, strict=True)
        )
        dims = (x.dims[0], *full, kernel.dims[-2])
        weights = self.transpose(kernel, (2, 0, 1, 3))
        options = {"padding": _VALID, "strideH": strides[0], "strideW": strides[1]}
        operands = [self._vector(dims), weights, x]
        made = self._node("TRANSPOSE_CONV", operands, Spec(dims, spec.dtype), **options)
        cut = tuple(
            (low - extent + 1, high - extent + 1)
            for (low, high), extent in zip(pads, window, strict=True)
        )
        return self._padded(made, cut, 0)

    def spread(self, x: Tensor, strides: Axes) -> Tensor:
        if all(stride == 1 for stride in strides):
            return x
        sizes = [
            (size - 1) * stride + 1 for size, stride in zip(x.dims[1:-1], strides, strict=True)
        ]
        spec = Spec((x.dims[0], *sizes, x.dims[-1]), x.dtype)
        rates = self._constant([1, *strides, 1])
        return self._node("DILATE", [x, rates, self._like(0, x)], spec)

    def max_pool(self, x: Tensor, window: Axes, strides: Axes, pads: Pads) -> Tensor:
        if "float" not in x.dtype:
            return super().max_pool(x, window, strides, pads)
        return self._pooled("MAX_POOL_2D", x, window, strides, pads, -math.inf)

    def average_pool(self, x: Tensor, window: Axes, strides: Axes, pads: Pads) -> Tensor:
        mean = self._pooled("AVERAGE_POOL_2D", x, window, strides, pads, 0)
        none = all(pad == (0, 0) for pad in pads)
        if none or is_same(x.dims[1:-1], window, strides, pads, (1,) * len(window)):
            return mean
        ones = self.full((1, *x.dims[1:-1], 1), 1, x.dtype)
        return self.divide(mean, self._pooled("AVERAGE_POOL_2D", ones, window, strides, pads, 0))

    def _pooled(
        self, kind: str, x: Value, window: Axes, strides: Axes, pads: Pads, fill: float
    ) -> Value:
        """A pool of images; of series as images of one row, of volumes along two axes, then the third."""
        spec = self.spec.max_pool(x, window, strides, pads)
        if len(window) == 1:
            made = self._pooled(
                kind, self._flat(x), (1, *window), (1, *strides), ((0, 0), *pads), fill
            )
            return self.reshape(made, spec.dims)
        if len(window) == 3:
            n, depth, *rest, channels = x.dims
            planes = self.reshape(x, (n * depth, *rest, channels))
            planes = self._pooled(kind, planes, window[1:], strides[1:], pads[1:], fill)
            _, height, width, _ = planes.dims
            lines = self.reshape(planes, (n, depth, height * width, channels))
            sides = ((strides[0], 1), (pads[0], (0, 0)))
            return self.reshape(self._pooled(kind, lines, (window[0], 1), *sides, fill), spec.dims)
        x, options = self._windows(x, window, strides, pads, (1, 1), fill)
        options |= {"filterHeight": window[0], "filterWidth": window[1]}
        return self._node(kind, [x], spec, **options)

    # ------------------------------------------------- ops that LiteRT has whole

    def relu(self, x: Tensor) -> Tensor:
        return (
            self._elementwise("RELU", [x], x)
            if "float" in x.dtype
            else self.maximum(x, self._like(0, x))
        )

    def relu6(self, x: Tensor) -> Tensor:
        if "float" in x.dtype:
            return self._elementwise("RELU6", [x], x)
        return self.minimum(self.maximum(x, self._like(0, x)), self._like(6, x))

    def leaky_relu(self, x: Tensor, negative_slope: float = 0.2) -> Tensor:
        return self._elementwise("LEAKY_RELU", [x], x, alpha=float(negative_slope))

    def elu(self, x: Tensor, alpha: float = 1.0) -> Tensor:
        return self._elementwise("ELU", [x], x) if alpha == 1 else NotImplemented

    def gelu(self, x: Tensor, approximate: bool = True) -> Tensor:
        return self._elementwise("GELU", [x], x, approximate=approximate)

    def hard_silu(self, x: Tensor) -> Tensor:
        return self._elementwise("HARD_SWISH", [x], x)

    def fake_quant_with_min_max_vars(
        self, inputs: Tensor, min_vals: Tensor, max_vals: Tensor, num_bits: int = 8,
        narrow_range: bool = False, axis: int | None = None,
    ) -> Tensor:  # fmt: skip
        """Codes for weights, else codes that the runtime finds: what stands between such is in integers."""
        x = inputs
        known, low, high = (value.known() for value in (x, min_vals, max_vals))
        if low is None or high is None or np.any(low == high) or num_bits not in range(2, 9):
            return NotImplemented
        steps = Steps.of(low, high, int(narrow_range), 2**num_bits - 1)
        if known is not None:
            found = steps.codes(known.astype(np.float32), axis, 2 ** (num_bits - 1), "int8")
            if np.any(found.zero):  # kernels know no weights whose 0 is another number
                return NotImplemented
            return self.cast(self.graph.constant(found.value(), x.label, found), x.dtype)
        if steps.scale.size > 1:
            return NotImplemented
        values = self.cast(x, "float32")
        if narrow_range or num_bits < 8:
            bottom, top = (self._like(end, values) for end in steps.ends())
            values = self.minimum(self.maximum(values, bottom), top)
        scale, zero = float(steps.scale.reshape(())), int(steps.zero.reshape(())) - 128
        return self.cast(self.graph.rounded(values, scale, zero), x.dtype)

    def softmax(self, x: Tensor, axis: Any = -1) -> Tensor:
        return self._along("SOFTMAX", x, axis, beta=1.0)

    def log_softmax(self, x: Tensor, axis: Any = -1) -> Tensor:
        return self._along("LOG_SOFTMAX", x, axis)

    def _along(self, kind: str, x: Value, axis: Any, **options: float) -> Tensor:
        rank = len(x.dims)
        if not isinstance(axis, int) or not -rank <= axis < rank or x.dims[axis] == 1:
            return NotImplemented
        moved = self._shifted(x, axis % rank, 1, rank - 1)
        return self._shifted(self._node(kind, [moved], moved, **options), rank - 1, 1, axis % rank)
