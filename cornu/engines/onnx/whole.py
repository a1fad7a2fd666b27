"""Ops that ONNX has whole: activations, normalizations, recurrences."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..contract import Tensor
from ..graphs.graph import Codes, Value, pairs
from ..graphs.steps import Steps
from ..spec import Dimension, Spec
from .nodes import OnnxNodes

_GATES = pairs(
    "tanh:Tanh sigmoid:Sigmoid relu:Relu softplus:Softplus softsign:Softsign linear:Affine "
    "hard_sigmoid:HardSigmoid"
)
_GATE_ALPHA = {"hard_sigmoid": 1 / 6}
_GATE_BETA = {"hard_sigmoid": 0.5}


class WholeOps(OnnxNodes):
    """Overrides of ops, which say `NotImplemented` to what ONNX's operation can't do."""

    # ------------------------------------------------- ops that ONNX has whole

    def relu(self, x: Tensor) -> Tensor:
        return (
            self._elementwise("Relu", [x], x)
            if "float" in x.dtype
            else self.maximum(x, self._like(0, x))
        )

    def relu6(self, x: Tensor) -> Tensor:
        return self._elementwise("Clip", [x, self._like(0, x), self._like(6, x)], x)

    def leaky_relu(self, x: Tensor, negative_slope: float = 0.2) -> Tensor:
        return self._elementwise("LeakyRelu", [x], x, alpha=float(negative_slope))

    def elu(self, x: Tensor, alpha: float = 1.0) -> Tensor:
        return self._elementwise("Elu", [x], x, alpha=float(alpha))

    def celu(self, x: Tensor, alpha: float = 1.0) -> Tensor:
        return self._elementwise("Celu", [x], x, alpha=float(alpha))

    def gelu(self, x: Tensor, approximate: bool = True) -> Tensor:
        if self.opset >= 20:
            return self._elementwise("Gelu", [x], x, approximate="tanh" if approximate else "none")
        if approximate:
            return NotImplemented
        # In the order in which runtimes know it again.
        inner = self.erf(self.divide(x, self._like(math.sqrt(2), x)))
        return self.multiply(
            self.multiply(x, self.add(inner, self._like(1, x))), self._like(0.5, x)
        )

    def softmax(self, x: Tensor, axis: Any = -1) -> Tensor:
        return self._along("Softmax", x, axis)

    def log_softmax(self, x: Tensor, axis: Any = -1) -> Tensor:
        return self._along("LogSoftmax", x, axis)

    def _along(self, kind: str, x: Value, axis: Any) -> Tensor:
        rank = len(x.dims)
        one = isinstance(axis, int) and -rank <= axis < rank and x.dims[axis] != 1
        return self._node(kind, [x], x, axis=axis % rank) if one else NotImplemented

    def batch_normalization(
        self, x: Tensor, mean: Tensor, variance: Tensor, axis: int, offset: Any = None,
        scale: Any = None, epsilon: float = 1e-3,
    ) -> Tensor:  # fmt: skip
        place = axis % len(x.dims)
        source, order = (x, tuple(range(len(x.dims)))) if x.origin is None else x.origin
        if order[place] != 1 or len(x.dims) < 2 or x.dtype != "float32":
            return NotImplemented
        scale = self.full(mean.dims, 1, x.dtype) if scale is None else scale
        offset = self.full(mean.dims, 0, x.dtype) if offset is None else offset
        folded = self._normalized_codes(source, mean, variance, offset, scale, epsilon)
        if folded is not None:
            return self.transpose(folded, order)
        operands = [source, scale, offset, mean, variance]
        made = self._node("BatchNormalization", operands, source, epsilon=float(epsilon))
        return self.transpose(made, order)

    def _normalized_codes(
        self, x: Value, mean: Value, variance: Value, offset: Value, scale: Value, epsilon: float
    ) -> Value | None:
        """A convolution by codes whose scales are those of the normalization behind it, too: runtimes do
        both in integers then."""
        arrays = [value.known() for value in (mean, variance, offset, scale)]
        changing = not self.writes_files or any(array is None for array in arrays)
        if x.convolved is None or changing:
            return None
        images, weights, attributes = x.convolved
        codes = weights.codes
        if codes is None or np.any(codes.zero != 0) or np.any(codes.codes.astype(int) == -128):
            return None
        means, variances, offsets, scales = (np.float32(array) for array in arrays)
        factor = scales / np.sqrt(variances + np.float32(epsilon))
        along = factor.reshape(-1, *(1,) * (codes.codes.ndim - 1))
        signed = (codes.codes.astype(np.int8) * np.where(along < 0, -1, 1)).astype(
            codes.codes.dtype
        )
        moved = Codes(signed, codes.scale * np.abs(along), codes.zero)
        kernel = self.graph.constant(moved.value(), weights.label, moved)
        bias = self.graph.constant(offsets - means * factor, offset.label)
        return self._node("Conv", [images, kernel, bias], x, **attributes)

    def layer_normalization(
        self, x: Tensor, gamma: Any = None, beta: Any = None, axis: Any = -1,
        epsilon: float | None = None, rms_scaling: bool = False,
    ) -> Tensor:  # fmt: skip
        rank = len(x.dims)
        axes = sorted(k % rank for k in (axis if isinstance(axis, Sequence) else [axis]))
        sizes = x.dims[axes[0] :]
        known = not any(isinstance(size, Dimension) for size in sizes) and x.dtype == "float32"
        if rms_scaling or not known or axes != list(range(axes[0], rank)) or epsilon is None:
            return NotImplemented
        weights = [
            self.full(sizes, 1, x.dtype)
            if gamma is None
            else self.reshape(self.cast(gamma, x.dtype), sizes)
        ]
        if beta is not None:
            weights.append(self.reshape(self.cast(beta, x.dtype), sizes))
        return self._node(
            "LayerNormalization", [x, *weights], x, axis=axes[0], epsilon=float(epsilon)
        )

    def fake_quant_with_min_max_vars(
        self, inputs: Tensor, min_vals: Tensor, max_vals: Tensor, num_bits: int = 8,
        narrow_range: bool = False, axis: int | None = None,
    ) -> Tensor:  # fmt: skip
        """Codes and a `DequantizeLinear` for weights, else a `QuantizeLinear` before it."""
        x, wide = inputs, self.opset >= 21
        known, low, high = (value.known() for value in (x, min_vals, max_vals))
        if low is None or high is None or x.dtype == "float64" or np.any(low == high):
            return NotImplemented
        if num_bits not in range(2, 17 if wide else 9):
            return NotImplemented
        steps = Steps.of(low, high, int(narrow_range), 2**num_bits - 1)
        if known is not None:
            kind = "int4" if wide and num_bits <= 4 else "int8" if num_bits <= 8 else "int16"
            found = steps.codes(known.astype(np.float32), axis, 2 ** (num_bits - 1), kind)
            return self.cast(self.graph.constant(found.value(), x.label, found), x.dtype)
        if steps.scale.size > 1:
            return NotImplemented
        kind = "uint8" if num_bits <= 8 else "uint16"
        scale = self.graph.constant(steps.scale.reshape(()), min_vals.label)
        zero = self.graph.constant(steps.zero.astype(kind).reshape(()), max_vals.label)
        values = self.cast(x, "float32")
        if narrow_range or num_bits not in (8, 16):
            ends = [self._like(end, values) for end in steps.ends()]
            values = self._elementwise("Clip", [values, *ends], values)
        codes = self._elementwise("QuantizeLinear", [values, scale, zero], Spec(x.dims, kind))
        values = self._elementwise("DequantizeLinear", [codes, scale, zero], values)
        return self.cast(values, x.dtype)

    def det(self, x: Tensor) -> Tensor:
        return self._node("Det", [x], Spec(x.dims[:-2], x.dtype))

    def slogdet(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.sign(self.det(x)), self.log(self.abs(self.det(x)))

    def logdet(self, x: Tensor) -> Tensor:
        return self.log(self.det(x))

    # ------------------------------------------------------------ recurrences

    def simple_rnn(
        self, x: Tensor, h: Tensor, kernel: Tensor, recurrent_kernel: Tensor, bias: Any = None,
        mask: Any = None, activation: str = "tanh", go_backwards: bool = False, unroll: bool = False,
        return_sequences: bool = True, zero_output_for_mask: bool = False,
    ) -> Any:  # fmt: skip
        functions = [activation]
        if mask is not None or not self._knows(functions):
            return NotImplemented
        weights = self._gates(kernel, recurrent_kernel, bias, None, [0])
        return self._recurrence("RNN", x, weights, [h], functions, go_backwards, return_sequences)

    def lstm(
        self, x: Tensor, h: Tensor, c: Tensor, kernel: Tensor, recurrent_kernel: Tensor,
        bias: Any = None, mask: Any = None, activation: str = "tanh",
        recurrent_activation: str = "sigmoid", go_backwards: bool = False, unroll: bool = False,
        return_sequences: bool = True, zero_output_for_mask: bool = False,
    ) -> Any:  # fmt: skip
        functions = [recurrent_activation, activation, activation]
        if mask is not None or not self._knows(functions):
            return NotImplemented
        weights = self._gates(kernel, recurrent_kernel, bias, None, [0, 3, 1, 2])
        return self._recurrence(
            "LSTM", x, weights, [h, c], functions, go_backwards, return_sequences
        )

    def gru(
        self, x: Tensor, h: Tensor, kernel: Tensor, recurrent_kernel: Tensor, bias: Any = None,
        mask: Any = None, activation: str = "tanh", recurrent_activation: str = "sigmoid",
        reset_after: bool = True, go_backwards: bool = False, unroll: bool = False,
        return_sequences: bool = True, zero_output_for_mask: bool = False,
    ) -> Any:  # fmt: skip
        functions = [recurrent_activation, activation]
        if mask is not None or not self._knows(functions):
            return NotImplemented
        recurrent_bias = None
        if bias is not None and reset_after:
            bias, recurrent_bias = (self.get_item(bias, (at,)) for at in range(2))
        weights = self._gates(kernel, recurrent_kernel, bias, recurrent_bias, [0, 1, 2])
        options = {"linear_before_reset": int(reset_after)}
        return self._recurrence(
            "GRU", x, weights, [h], functions, go_backwards, return_sequences, **options
        )

    def _knows(self, functions: Sequence[str]) -> bool:
        return set(functions) <= _GATES.keys()

    def _gates(
        self, kernel: Value, recurrent: Value, bias: Any, recurrent_bias: Any, order: Sequence[int]
    ) -> list[Value]:
        """The weights with a row for each gate's unit, the gates in ONNX's order."""

        def turned(x: Value) -> Value:
            axis = len(x.dims) - 1
            units = x.dims[axis] // len(order)
            gates = [self.slice_axis(x, axis, k * units, (k + 1) * units) for k in order]
            rows = self.concatenate(gates, axis)
            return self._expanded(self.transpose(rows, (1, 0)) if axis else rows)

        weights = [turned(kernel), turned(recurrent)]
        if bias is not None:
            second = (
                self.full(bias.dims, 0, bias.dtype) if recurrent_bias is None else recurrent_bias
            )
            weights.append(self.concatenate([turned(bias), turned(second)], 1))
        return weights

    def _recurrence(
        self, kind: str, x: Value, weights: list[Value], states: list[Value],
        functions: Sequence[str], backwards: bool, return_sequences: bool, **options: Any,
    ) -> tuple[Value, Value, list[Value]]:  # fmt: skip
        """One of ONNX's recurrences over (batch, time, features), from time-major sequences."""
        (batch, steps, _), units = x.dims, states[0].dims[-1]
        settings = dict(
            options, hidden_size=units, activations=[_GATES[name] for name in functions]
        )
        settings["direction"] = "reverse" if backwards else "forward"
        settings["activation_alpha"] = [_GATE_ALPHA.get(name, 1.0) for name in functions]
        settings["activation_beta"] = [_GATE_BETA.get(name, 0.0) for name in functions]
        given = [self.transpose(x, (1, 0, 2)), *weights, *[None] * (3 - len(weights)), None]
        given += [self._expanded(state) for state in states]
        last = Spec((1, batch, units), x.dtype)
        specs = [Spec((steps, 1, batch, units), x.dtype), *[last] * len(states)]
        outputs, *final = self._nodes(kind, given, specs, **settings)
        new = [self.reshape(state, (batch, units)) for state in final]
        if not return_sequences:
            return self.reshape(new[0], (batch, 1, units)), new[0], new
        sequence = self.transpose(self.reshape(outputs, (steps, batch, units)), (1, 0, 2))
        return self.flip(sequence, (1,)) if backwards else sequence, new[0], new
