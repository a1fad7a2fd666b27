"""How nodes with weights are read: as layers, which train, quantize and adapt as any do."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ... import layers, ops
from ._file import Node, Weight
from ._nodes import HANDLERS as HANDLERS
from ._nodes import _is_integer, _number, reads
from ._reader import Array, Filled, Reader, Unreadable

_FIRST = "channels_first"


# -------------------------------------------------------------------- products


@reads("MatMul", tensors=0)
def matmul(at: Reader, x: Any, y: Any) -> Any:
    """A dense layer, with the bias that is added next."""
    kernel = y.array if isinstance(y, Weight) else y
    if isinstance(kernel, np.ndarray) and kernel.ndim == 2 and _has_features(at, x) and at.owns(y):
        bias, after = _bias_after(at, kernel.shape[1])
        made = _dense(at, x, [y] if bias is None else [y, bias], kernel, _array(bias))
        if after is not None:
            at.values[after.outputs[0]] = made
        return made
    return ops.matmul(at.tensor(x), at.tensor(y))


def _has_features(at: Reader, x: Any) -> bool:
    """Whether an operand is one of a dense layer."""
    dims = at.dims(x)
    return not isinstance(x, (np.ndarray, Weight)) and len(dims) > 1 and isinstance(dims[-1], int)


def _array(x: Any) -> Any:
    return x.array if isinstance(x, Weight) else x


def _bias_after(at: Reader, units: int) -> tuple[Any, Node | None]:
    """What is added to the result, a number for each unit, and the node that does it."""
    name = at.node.outputs[0]
    node = at.graph.only_consumer(name)
    if node is None or node.kind != "Add":
        return None, None
    (other,) = [x for x in node.inputs if x != name] or [""]
    bias = at.values.get(other)
    if np.shape(_array(bias)) != (units,) or at.graph.is_shared(other):
        return None, None
    return bias, node


def _dense(at: Reader, x: Any, weights: Sequence[Any], kernel: Array, bias: Any) -> Any:
    arrays = [kernel] if bias is None else [kernel, bias]
    options = {"units": kernel.shape[1], "use_bias": bias is not None}
    return at.layer(layers.Dense, at.tensor(x), weights, arrays, **options)


@reads("Gemm", tensors=0)
def gemm(
    at: Reader, x: Any, y: Any, z: Any = None, alpha: float = 1.0, beta: float = 1.0, transA: int = 0,
    transB: int = 0,
) -> Any:  # fmt: skip
    """A dense layer, where the second operand is known."""
    kernel, bias = _array(y), _array(z)
    fits = z is None or (
        isinstance(bias, np.ndarray) and bias.size == at.dims(y)[0 if transB else 1]
    )
    if (
        isinstance(kernel, np.ndarray)
        and fits
        and not transA
        and _has_features(at, x)
        and at.owns(y, z)
    ):
        kernel = (kernel.T if transB else kernel) * kernel.dtype.type(alpha)
        bias = None if bias is None else bias.reshape(-1) * bias.dtype.type(beta)
        return _dense(at, x, [y, z], kernel, bias)
    first, second = at.tensor(x), at.tensor(y)
    first = ops.transpose(first) if transA else first
    made = ops.matmul(first, ops.transpose(second) if transB else second)
    if alpha != 1:
        made = ops.multiply(made, _number(alpha, made))
    if z is None:
        return made
    offset = at.tensor(z)
    return ops.add(made, offset if beta == 1 else ops.multiply(offset, _number(beta, made)))


@reads("Einsum")
def einsum(at: Reader, *operands: Any, equation: str) -> Any:
    return ops.einsum(equation.replace(" ", ""), *operands)


@reads(
    "Gather", tensors=0, on_sizes=lambda x, indices, axis=0: np.asarray(np.take(x, indices, axis))
)
def gather(at: Reader, x: Any, indices: Any, axis: int = 0) -> Any:
    """An embedding, where rows of a matrix are taken."""
    known = isinstance(indices, (np.ndarray, Weight, Filled))
    if isinstance(x, Weight) and x.array.ndim == 2 and axis == 0 and not known and at.owns(x):
        rows, size = x.array.shape
        options = {"input_dim": rows, "output_dim": size}
        return at.layer(layers.Embedding, indices, [x], [x.array], **options)
    if all(isinstance(part, np.ndarray) for part in (x, indices)):
        return np.asarray(np.take(x, indices, axis))
    return ops.take(at.tensor(x), at.tensor(indices), axis)


# ----------------------------------------------------------------- normalization


@reads("BatchNormalization", tensors=1)
def batch_normalization(
    at: Reader, x: Any, scale: Any, bias: Any, mean: Any, variance: Any, epsilon: float = 1e-5,
    momentum: float = 0.9, spatial: int = 1, training_mode: int = 0,
) -> Any:  # fmt: skip
    if training_mode or not spatial:
        raise Unreadable("it in training, or for each place")
    weights = [scale, bias, mean, variance]
    if not at.owns(*weights):
        offset, factor, middle, spread = map(at.tensor, (bias, scale, mean, variance))
        return ops.batch_normalization(x, middle, spread, 1, offset, factor, epsilon)
    arrays = [at.array(weight, "weights") for weight in weights]
    options = {"axis": 1, "epsilon": epsilon, "momentum": momentum}
    return at.layer(layers.BatchNormalization, x, weights, arrays, **options)


@reads("LayerNormalization", tensors=1)
def layer_normalization(
    at: Reader, x: Any, scale: Any, bias: Any = None, axis: int = -1, epsilon: float = 1e-5,
    stash_type: int = 1,
) -> Any:  # fmt: skip
    rank = len(x.shape)
    axes = list(range(axis % rank, rank))
    sizes = tuple(x.shape[k] for k in axes)
    weights = [scale] if bias is None else [scale, bias]
    if at.owns(*weights) and all(at.dims(weight) == sizes for weight in weights):
        arrays = [_array(weight) for weight in weights]
        options = {"axis": axes, "epsilon": epsilon, "center": bias is not None}
        return at.layer(layers.LayerNormalization, x, weights, arrays, **options)
    normal = ops.layer_normalization(x, axis=axes, epsilon=epsilon)
    scaled = ops.multiply(normal, at.tensor(scale))
    return scaled if bias is None else ops.add(scaled, at.tensor(bias))


@reads("RMSNormalization")
def rms_normalization(
    at: Reader, x: Any, scale: Any, axis: int = -1, epsilon: float = 1e-5, stash_type: int = 1
) -> Any:
    rank = len(x.shape)
    normal = ops.rms_normalization(x, axis=tuple(range(axis % rank, rank)), epsilon=epsilon)
    return ops.multiply(normal, scale)


@reads("InstanceNormalization", tensors=1)
def instance_normalization(at: Reader, x: Any, scale: Any, bias: Any, epsilon: float = 1e-5) -> Any:
    return _groups(at, x, scale, bias, len(at.array(scale, "weights")), epsilon)


@reads("GroupNormalization", tensors=1)
def group_normalization(
    at: Reader, x: Any, scale: Any, bias: Any, num_groups: int, epsilon: float = 1e-5,
    stash_type: int = 1,
) -> Any:  # fmt: skip
    if at.opset < 21 and at.dims(scale) != (x.shape[1],):
        raise Unreadable("it with a scale for each group, as versions 18 to 20 have it")
    return _groups(at, x, scale, bias, num_groups, epsilon)


def _groups(at: Reader, x: Any, scale: Any, bias: Any, groups: int, epsilon: float) -> Any:
    arrays = [at.array(weight, "weights") for weight in (scale, bias)]
    options = {"groups": groups, "axis": 1, "epsilon": epsilon}
    return at.layer(layers.GroupNormalization, x, [scale, bias], arrays, **options)


@reads("LRN")
def local_response(
    at: Reader, x: Any, size: int, alpha: float = 1e-4, beta: float = 0.75, bias: float = 1.0
) -> Any:
    rank = len(x.shape)
    widths = [((size - 1) // 2, size // 2) if axis == 1 else (0, 0) for axis in range(rank)]
    squares = ops.moveaxis(ops.pad(ops.square(x), widths), 1, -1)
    pooled = ops.average_pool(ops.reshape(squares, (-1, squares.shape[-1], 1)), size, 1)
    shape = [-1, *squares.shape[1:-1], x.shape[1]]
    total = ops.moveaxis(ops.reshape(pooled, shape), -1, 1)
    return ops.divide(x, ops.power(ops.add(ops.multiply(total, alpha), bias), beta))


@reads("Dropout", tensors=1)
def dropout(
    at: Reader, x: Any, ratio: Any = 0.5, training: Any = None, seed: int | None = None
) -> Any:
    """A layer that drops in training, whatever the file was written for."""
    rate = float(at.array(0.5 if ratio is None else ratio, "rates").reshape(()))
    return layers.Dropout(rate)(x) if rate else x


# ------------------------------------------------------------------ convolutions


def _windows(
    at: Reader, x: Any, kernel: Sequence[int], strides: Any, dilations: Any, pads: Any, auto_pad: str,
) -> tuple[list[int], list[int], list[tuple[int, int]], str]:  # fmt: skip
    """Steps, rates, what is padded before, and the word for the padding of what follows."""
    rank = len(kernel)
    steps, rates = list(strides or [1] * rank), list(dilations or [1] * rank)
    none = [(0, 0)] * rank
    if auto_pad == "SAME_UPPER":
        return steps, rates, none, "same"
    if auto_pad == "SAME_LOWER":
        same = [_same(x.shape[2 + k], kernel[k], steps[k], rates[k]) for k in range(rank)]
        if None in same:
            raise Unreadable("it with auto_pad=SAME_LOWER at open sizes")
        return steps, rates, [pad[::-1] for pad in same if pad], "valid"
    given = list(pads or [0] * (2 * rank)) if auto_pad != "VALID" else [0] * (2 * rank)
    around = [(given[k], given[k + rank]) for k in range(rank)]
    if around != none and all(
        _same(x.shape[2 + k], kernel[k], steps[k], rates[k]) == around[k] for k in range(rank)
    ):
        return steps, rates, none, "same"
    return steps, rates, around, "valid"


def _same(size: int | None, kernel: int, step: int, rate: int) -> tuple[int, int] | None:
    """What the padding `same` adds before and after; None where that depends on an open size."""
    reach = (kernel - 1) * rate + 1
    if size is None and step > 1:
        return None
    total = max(
        0, reach - 1 if size is None else (math.ceil(size / step) - 1) * step + reach - size
    )
    return total // 2, total - total // 2


def _padded(x: Any, around: list[tuple[int, int]], value: float = 0.0) -> Any:
    if not any(map(any, around)):
        return x
    return ops.pad(x, [(0, 0), (0, 0), *around], constant_values=value)


@reads("Conv", tensors=1)
def conv(
    at: Reader, x: Any, w: Any, b: Any = None, auto_pad: str = "NOTSET", dilations: Any = None,
    group: int = 1, kernel_shape: Any = None, pads: Any = None, strides: Any = None,
) -> Any:  # fmt: skip
    filters, inputs, *kernel = at.dims(w)
    rank = len(kernel)
    steps, rates, around, padding = _windows(at, x, kernel, strides, dilations, pads, auto_pad)
    x = _padded(x, around)
    options: dict[str, Any] = {
        "strides": steps, "padding": padding, "dilation_rate": rates, "data_format": _FIRST
    }  # fmt: skip
    order = (*range(2, rank + 2), 1, 0)
    if not at.owns(w, b) or x.shape[1] is None or rank > 3:
        made = ops.conv(x, ops.transpose(at.tensor(w), order), **options)
        bias = None if b is None else ops.reshape(at.tensor(b), (1, filters, *[1] * rank))
        return made if bias is None else ops.add(made, bias)
    array = _array(w).transpose(order)
    if 1 < group == x.shape[1] and rank < 3:
        kind = getattr(layers, f"DepthwiseConv{rank}D")
        array = array.reshape(*kernel, group, filters // group)
        options["depth_multiplier"] = filters // group
    else:
        kind = getattr(layers, f"Conv{rank}D")
        options |= {"filters": filters, "groups": group}
    arrays = [array] if b is None else [array, _array(b)]
    options |= {"kernel_size": kernel, "use_bias": b is not None}
    return at.layer(kind, x, [w, b], arrays, **options)


@reads("ConvTranspose", tensors=1)
def conv_transpose(
    at: Reader, x: Any, w: Any, b: Any = None, auto_pad: str = "NOTSET", dilations: Any = None,
    group: int = 1, kernel_shape: Any = None, output_padding: Any = None, output_shape: Any = None,
    pads: Any = None, strides: Any = None,
) -> Any:  # fmt: skip
    """All that the windows reach, of which the edges are cut off."""
    _, filters, *kernel = at.dims(w)
    rank = len(kernel)
    steps, rates = list(strides or [1] * rank), list(dilations or [1] * rank)
    if group > 1 or output_shape is not None or auto_pad not in ("NOTSET", "VALID"):
        raise Unreadable("it in groups, or with a padding that is not in numbers")
    pads, more = list(pads or [0] * (2 * rank)), list(output_padding or [0] * rank)
    order = (*range(2, rank + 2), 1, 0)
    options: dict[str, Any] = {
        "strides": steps, "padding": "valid", "dilation_rate": rates, "data_format": _FIRST
    }  # fmt: skip
    if at.owns(w, b) and x.shape[1] is not None:
        kind = getattr(layers, f"Conv{rank}DTranspose")
        options |= {"filters": filters, "kernel_size": kernel, "use_bias": False}
        made = at.layer(kind, x, [w], [_array(w).transpose(order)], **options)
    else:
        made = ops.conv_transpose(x, ops.transpose(at.tensor(w), order), **options)
    key, widths = [slice(None), slice(None)], [(0, 0), (0, 0)]
    for k in range(rank):
        reach = (kernel[k] - 1) * rates[k] + 1
        # What is there beyond the last window, and what is wanted beyond it.
        end = max(steps[k] - reach, 0) + pads[k + rank] - more[k]
        key.append(slice(pads[k] or None, -end if end > 0 else None))
        widths.append((0, max(0, -end)))
    made = made[tuple(key)] if any(part != slice(None) for part in key) else made
    made = ops.pad(made, widths) if any(map(any, widths)) else made
    return (
        made if b is None else ops.add(made, ops.reshape(at.tensor(b), (1, filters, *[1] * rank)))
    )


# ----------------------------------------------------------------------- pools


def _pool_windows(
    at: Reader, x: Any, kernel: Sequence[int], ceil: int, strides: Any, dilations: Any, pads: Any,
    auto_pad: str,
) -> Any:  # fmt: skip
    if any(rate != 1 for rate in dilations or ()):
        raise Unreadable("it with dilations")
    steps, rates, around, padding = _windows(at, x, kernel, strides, None, pads, auto_pad)
    if ceil and padding == "valid":
        for k, (low, high) in enumerate(around):
            size = x.shape[2 + k]
            if size is None:
                raise Unreadable("it with ceil_mode at open sizes")
            rest = -(size + low + high - kernel[k]) % steps[k]
            # A window that begins in the padding after the end is left out.
            starts = (size + low + high + rest - kernel[k]) < size + low
            around[k] = (low, high + rest if starts else high)
    return steps, around, padding


@reads("MaxPool", tensors=1)
def max_pool(
    at: Reader, x: Any, kernel_shape: Any, auto_pad: str = "NOTSET", ceil_mode: int = 0,
    dilations: Any = None, pads: Any = None, storage_order: int = 0, strides: Any = None,
) -> Any:  # fmt: skip
    if len(at.node.outputs) > 1 and at.node.outputs[1]:
        raise Unreadable("the places of the largest numbers")
    steps, around, padding = _pool_windows(
        at, x, kernel_shape, ceil_mode, strides, dilations, pads, auto_pad
    )
    lowest = np.iinfo(x.dtype).min if _is_integer(x) else -math.inf
    return ops.max_pool(_padded(x, around, lowest), kernel_shape, steps, padding, _FIRST)


@reads("AveragePool", tensors=1)
def average_pool(
    at: Reader, x: Any, kernel_shape: Any, auto_pad: str = "NOTSET", ceil_mode: int = 0,
    count_include_pad: int = 0, dilations: Any = None, pads: Any = None, strides: Any = None,
) -> Any:  # fmt: skip
    steps, around, padding = _pool_windows(
        at, x, kernel_shape, ceil_mode, strides, dilations, pads, auto_pad
    )
    if count_include_pad and padding == "same":
        padding, around = "valid", [(pads[k], pads[k + len(steps)]) for k in range(len(steps))]
    made = ops.average_pool(_padded(x, around), kernel_shape, steps, padding, _FIRST)
    if not any(map(any, around)):
        return made
    if count_include_pad and not ceil_mode:
        return made
    if count_include_pad:
        raise Unreadable("it with count_include_pad and ceil_mode")
    share = ops.average_pool(
        _padded(ops.ones_like(x[:1, :1]), around), kernel_shape, steps, padding, _FIRST
    )
    return ops.divide(made, share)


@reads("GlobalAveragePool", "GlobalMaxPool")
def global_pool(at: Reader, x: Any) -> Any:
    pool = ops.max if at.node.kind == "GlobalMaxPool" else ops.mean
    return pool(x, tuple(range(2, len(x.shape))), True)


@reads("Resize", "Upsample", tensors=1)
def resize(
    at: Reader, x: Any, *operands: Any, scales: Any = None, mode: str = "nearest", axes: Any = None,
    coordinate_transformation_mode: str = "half_pixel", cubic_coeff_a: float = -0.75,
    exclude_outside: int = 0, extrapolation_value: float = 0.0, nearest_mode: str = "round_prefer_floor",
    antialias: int = 0, keep_aspect_ratio_policy: str = "stretch",
) -> Any:  # fmt: skip
    """Nearest by whole factors, or by half pixels; linear by half pixels."""
    last = operands[-1] if operands else scales
    by_size = len(operands) == 3
    along = range(len(x.shape)) if axes is None else [k % len(x.shape) for k in axes]
    given = dict(zip(along, at.array(last, "sizes").reshape(-1).tolist(), strict=True))
    factors = {k: n / x.shape[k] if by_size and x.shape[k] else n for k, n in given.items()}
    if by_size and any(x.shape[k] is None and n != x.shape[k] for k, n in given.items() if k > 1):
        raise Unreadable("a size that it computes when it runs")
    changed = {k: n for k, n in factors.items() if n != 1 and k > 1}
    old = at.opset < 11 or at.node.kind == "Upsample"
    where = "asymmetric" if old else coordinate_transformation_mode
    whole = all(float(n).is_integer() for n in changed.values())
    if mode == "nearest" and whole and (where == "asymmetric" or where.endswith("half_pixel")):
        for k, n in changed.items():
            x = ops.repeat(x, int(n), k)
        return x
    size = [x.shape[k] for k in range(2, len(x.shape))]
    half = where.endswith("half_pixel") and mode in ("nearest", "linear") and not exclude_outside
    if (
        len(size) != 2
        or None in size
        or not half
        or (mode == "nearest" and nearest_mode != "floor")
    ):
        raise Unreadable(f"it with mode={mode}, {where}, at {size}")
    wanted = [int(math.floor(size[k] * factors.get(k + 2, 1) + 1e-6)) for k in range(2)]
    words = {"nearest": "nearest", "linear": "bilinear"}
    return ops.image.resize(x, wanted, words[mode], bool(antialias), data_format=_FIRST)


# ------------------------------------------------------------------- recurrences

#: The layer's activations by ONNX's names.
_ACTIVATIONS = {"tanh": "tanh", "sigmoid": "sigmoid", "relu": "relu", "softsign": "softsign",
    "softplus": "softplus", "elu": "elu", "hardsigmoid": "hard_sigmoid", "affine": "linear"}  # fmt: skip


@reads("LSTM", tensors=1)
def lstm(
    at: Reader, x: Any, w: Any, r: Any, b: Any = None, lengths: Any = None, h: Any = None,
    c: Any = None, p: Any = None, activations: Any = ("Sigmoid", "Tanh", "Tanh"),
    activation_alpha: Any = None, activation_beta: Any = None, clip: float | None = None,
    direction: str = "forward", hidden_size: int = 0, input_forget: int = 0, layout: int = 0,
) -> Any:  # fmt: skip
    if p is not None or input_forget or clip:
        raise Unreadable("it with peepholes, clipping or coupled gates")
    return _recurrence(at, x, (w, r, b), lengths, (h, c), activations, 3, direction, layout)


@reads("GRU", tensors=1)
def gru(
    at: Reader, x: Any, w: Any, r: Any, b: Any = None, lengths: Any = None, h: Any = None,
    activations: Any = ("Sigmoid", "Tanh"), activation_alpha: Any = None, activation_beta: Any = None,
    clip: float | None = None, direction: str = "forward", hidden_size: int = 0,
    linear_before_reset: int = 0, layout: int = 0,
) -> Any:  # fmt: skip
    if clip:
        raise Unreadable("it with clipping")
    options = {"reset_after": bool(linear_before_reset)}
    return _recurrence(
        at, x, (w, r, b), lengths, (h,), activations, 2, direction, layout, **options
    )


@reads("RNN", tensors=1)
def rnn(
    at: Reader, x: Any, w: Any, r: Any, b: Any = None, lengths: Any = None, h: Any = None,
    activations: Any = ("Tanh",), activation_alpha: Any = None, activation_beta: Any = None,
    clip: float | None = None, direction: str = "forward", hidden_size: int = 0, layout: int = 0,
) -> Any:  # fmt: skip
    if clip:
        raise Unreadable("it with clipping")
    return _recurrence(at, x, (w, r, b), lengths, (h,), activations, 1, direction, layout)


#: The gates of each kind in the layer's order, by their places in ONNX's.
_GATES = {"LSTM": (0, 2, 3, 1), "GRU": (0, 1, 2), "RNN": (0,)}
_KINDS = {"LSTM": layers.LSTM, "GRU": layers.GRU, "RNN": layers.SimpleRNN}


def _recurrence(
    at: Reader, x: Any, weights: tuple[Any, ...], lengths: Any, states: tuple[Any, ...],
    activations: Sequence[str], each: int, direction: str, layout: int, **options: Any,
) -> Any:  # fmt: skip
    """One layer for each direction, from and to ONNX's order: (time, directions, batch, units)."""
    if layout:
        raise Unreadable("it with layout=1")
    x = ops.transpose(x, (1, 0, 2))
    mask = _mask(at, x, lengths)
    backwards = {"forward": [False], "reverse": [True], "bidirectional": [False, True]}[direction]
    found = []
    for k, back in enumerate(backwards):
        names = [
            name.lower() for name in activations[k * each : (k + 1) * each] or activations[:each]
        ]
        if not set(names) <= _ACTIVATIONS.keys() or len(set(names[1:])) > 1:
            raise Unreadable(f"it with the activations {names}")
        gates = {"recurrent_activation": _ACTIVATIONS[names[0]]} if each > 1 else {}
        more = {"activation": _ACTIVATIONS[names[-1]], **gates, **options}
        initial = [_state(at, state, k) for state in states]
        found.append(_direction(at, x, weights, k, back, initial, mask, more))
    sequences, *last = ([part[n] for part in found] for n in range(1 + len(states)))
    time_first = [ops.transpose(y, (1, 0, 2)) for y in sequences]
    return [ops.stack(time_first, 1), *(ops.stack(parts, 0) for parts in last)]


def _direction(
    at: Reader, x: Any, weights: tuple[Any, ...], k: int, back: bool, initial: list[Any], mask: Any,
    options: dict[str, Any],
) -> list[Any]:  # fmt: skip
    kernel, recurrent, bias = (
        None if weight is None else at.array(weight, "weights")[k] for weight in weights
    )
    if kernel is None or recurrent is None:
        raise Unreadable("it without weights")
    units, kind = recurrent.shape[-1], at.node.kind
    gates = list(_GATES[kind])

    def turned(rows: Array) -> Array:
        parts = rows.reshape(len(gates), units, -1)[gates].reshape(len(gates) * units, -1)
        return np.ascontiguousarray(parts.T)

    arrays = [turned(kernel), turned(recurrent)]
    if bias is not None:
        both = turned(bias[: len(bias) // 2]), turned(bias[len(bias) // 2 :])
        apart = options.get("reset_after", False)
        arrays.append(np.concatenate(both) if apart else (both[0] + both[1]).reshape(-1))
    options |= {"units": units, "use_bias": bias is not None, "go_backwards": back}
    options |= {"return_sequences": True, "return_state": True}
    given = [state for state in initial if state is not None]
    if given and len(given) < len(initial):
        given = [ops.zeros_like(given[0]) if state is None else state for state in initial]
    if mask is not None:
        options["zero_output_for_mask"] = True
    inputs = [x, given or None, mask] if given or mask is not None else x
    outputs, *last = at.layer(_KINDS[kind], inputs, [*weights, k], arrays, **options)
    return [ops.flip(outputs, 1) if back else outputs, *last]


def _state(at: Reader, state: Any, k: int) -> Any:
    """The state that a direction begins with; None where that is zeros."""
    value = state.value if isinstance(state, Filled) else _array(state)
    if value is None or (isinstance(value, np.ndarray) and not np.any(value)):
        return None
    return at.tensor(state)[k]


def _mask(at: Reader, x: Any, lengths: Any) -> Any:
    """Which steps count (batch, time); None where all do."""
    steps = at.dims(x)[1]
    known = lengths.value if isinstance(lengths, Filled) else lengths
    sizes = (
        None
        if known is None
        else np.unique(np.asarray(known, object))
        if isinstance(known, np.ndarray)
        else [None]
    )
    if sizes is None or (len(sizes) == 1 and sizes[0] == steps):
        return None
    places = ops.cumsum(ops.ones_like(x[:, :, 0]), 1)
    return ops.less_equal(places, ops.expand_dims(ops.cast(at.tensor(lengths), "float32"), 1))
