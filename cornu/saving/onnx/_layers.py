"""How nodes with weights are read: as layers, which train, quantize and adapt as any do."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ... import layers, ops
from ._file import Node, Weight
from ._reader import Array, Filled, Reader, Unreadable, dtype_of, reads

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
    if isinstance(x, (np.ndarray, Weight)) or len(dims) < 2 or not isinstance(dims[-1], int):
        return False
    return "int" not in dtype_of(x.value if isinstance(x, Filled) else x)


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
    first, second = (
        ops.transpose(first) if transA else first,
        ops.transpose(second) if transB else second,
    )
    made = ops.matmul(first, second) if alpha == 1 else ops.matmul(first, second) * alpha
    return made if z is None else made + (at.tensor(z) if beta == 1 else at.tensor(z) * beta)


@reads("Gather", tensors=0, on_sizes=lambda x, indices, axis=0: np.take(x, indices, axis))
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
    """Each number over a power of the mean square of the channels beside it (Krizhevsky et al., 2012)."""
    around = [((size - 1) // 2, size // 2) if axis == 1 else (0, 0) for axis in range(len(x.shape))]
    squares, channels = ops.pad(ops.square(x), around), x.shape[1]
    total = functools.reduce(ops.add, (squares[:, k : k + channels] for k in range(size)))
    return x / ops.power(total * (alpha / size) + bias, beta)


@reads("Dropout", tensors=1)
def dropout(
    at: Reader, x: Any, ratio: Any = 0.5, training: Any = None, seed: int | None = None
) -> Any:
    """A layer that drops in training, whatever the file was written for."""
    rate = float(at.array(0.5 if ratio is None else ratio, "rates").reshape(()))
    return layers.Dropout(rate)(x) if rate else x


# ---------------------------------------------------------------- windows on images


class _Windows(NamedTuple):
    """How windows go over an image: its steps and rates, what is padded before, and the word for the rest."""

    kernel: list[int]
    strides: list[int]
    rates: list[int]
    around: list[tuple[int, int]]
    padding: str

    def options(self) -> dict[str, Any]:
        """The arguments of convolutions."""
        if max(self.strides) > 1 and max(self.rates) > 1:
            raise Unreadable("it with strides and dilations at once")
        names = ("strides", "padding", "dilation_rate", "data_format")
        return dict(zip(names, (self.strides, self.padding, self.rates, _FIRST), strict=True))

    def padded(self, x: Any, value: float = 0.0) -> Any:
        """An image with what is padded before."""
        if not any(map(any, self.around)):
            return x
        return ops.pad(x, [(0, 0), (0, 0), *self.around], constant_values=value)


def _windows(
    x: Any, kernel_shape: Sequence[int], strides: Any = None, dilations: Any = None, pads: Any = None,
    auto_pad: str = "NOTSET", ceil_mode: int = 0,
) -> _Windows:  # fmt: skip
    """The windows that attributes say, padded by the word `same` where that is the same."""
    rank, kernel = len(kernel_shape), list(kernel_shape)
    steps, rates = list(strides or [1] * rank), list(dilations or [1] * rank)
    reach = [(n - 1) * rate + 1 for n, rate in zip(kernel, rates, strict=True)]
    sizes = x.shape[2:]
    same = [_same(*axis) for axis in zip(sizes, reach, steps, strict=True)]
    given = list(zip(pads[:rank], pads[rank:], strict=True)) if pads else [(0, 0)] * rank
    if auto_pad == "SAME_UPPER" or (
        auto_pad == "NOTSET" and given == same and any(map(any, given))
    ):
        return _Windows(kernel, steps, rates, [(0, 0)] * rank, "same")
    if auto_pad == "SAME_LOWER":
        given = [pad[::-1] for pad in same if pad]
    if (auto_pad == "SAME_LOWER" and None in same) or (ceil_mode and None in sizes):
        raise Unreadable("it with a padding that depends on open sizes")
    if ceil_mode:  # a window that would begin after the end is left out
        for k, (low, high) in enumerate(given):
            rest = -(sizes[k] + low + high - reach[k]) % steps[k]
            is_in = sizes[k] + low + high + rest - reach[k] < sizes[k] + low
            given[k] = (low, high + rest * is_in)
    return _Windows(kernel, steps, rates, given, "valid")


def _same(size: int | None, reach: int, step: int) -> tuple[int, int] | None:
    """What the padding `same` adds before and after; None where that depends on an open size."""
    if size is None:
        return ((reach - 1) // 2, reach // 2) if step == 1 else None
    total = max(0, (math.ceil(size / step) - 1) * step + reach - size)
    return total // 2, total - total // 2


def _biased(made: Any, bias: Any) -> Any:
    if bias is None:
        return made
    return made + ops.reshape(bias, (1, -1, *[1] * (len(made.shape) - 2)))


@reads("Conv", tensors=1, also=_windows)
def conv(at: Reader, x: Any, w: Any, b: Any = None, group: int = 1, **windows: Any) -> Any:
    filters, _, *kernel = at.dims(w)
    rank, over = len(kernel), _windows(x, **{**windows, "kernel_shape": kernel})
    options, order = over.options(), (*range(2, rank + 2), 1, 0)
    x = over.padded(x)
    if not at.owns(w, b) or x.shape[1] is None or rank > 3:
        made = ops.conv(x, ops.transpose(at.tensor(w), order), **options)
        return _biased(made, None if b is None else at.tensor(b))
    array = _array(w).transpose(order)
    if 1 < group == x.shape[1] and rank < 3:
        kind = getattr(layers, f"DepthwiseConv{rank}D")
        array = array.reshape(*kernel, group, filters // group)
        options["depth_multiplier"] = filters // group
    else:
        kind = getattr(layers, f"Conv{rank}D")
        options |= {"filters": filters, "groups": group}
    options |= {"kernel_size": kernel, "use_bias": b is not None}
    return at.layer(kind, x, [w, b], [array] if b is None else [array, _array(b)], **options)


@reads("ConvTranspose", tensors=1, also=_windows)
def conv_transpose(
    at: Reader,
    x: Any,
    w: Any,
    b: Any = None,
    group: int = 1,
    output_padding: Any = None,
    **windows: Any,
) -> Any:
    """All that the windows reach, of which the edges are cut off."""
    if group > 1 or windows.get("auto_pad", "NOTSET") not in ("NOTSET", "VALID"):
        raise Unreadable("it in groups, or with a padding that is not in numbers")
    _, filters, *kernel = at.dims(w)
    rank = len(kernel)
    over = _windows(x, **{**windows, "kernel_shape": kernel, "pads": None})
    options, order = over.options(), (*range(2, rank + 2), 1, 0)
    if at.owns(w) and x.shape[1] is not None:
        options |= {"filters": filters, "kernel_size": kernel, "use_bias": False}
        kind = getattr(layers, f"Conv{rank}DTranspose")
        made = at.layer(kind, x, [w], [_array(w).transpose(order)], **options)
    else:
        made = ops.conv_transpose(x, ops.transpose(at.tensor(w), order), **options)
    pads, more = windows.get("pads") or [0] * (2 * rank), output_padding or [0] * rank
    # What is there beyond the last window, and what is wanted beyond it.
    reach = [(n - 1) * rate + 1 for n, rate in zip(kernel, over.rates, strict=True)]
    ends = [max(over.strides[k] - reach[k], 0) + pads[k + rank] - more[k] for k in range(rank)]
    key = [slice(pads[k] or None, -ends[k] if ends[k] > 0 else None) for k in range(rank)]
    if any(part != slice(None) for part in key):
        made = made[(slice(None), slice(None), *key)]
    if min(ends) < 0:
        made = ops.pad(made, [(0, 0), (0, 0), *((0, max(0, -end)) for end in ends)])
    return _biased(made, None if b is None else at.tensor(b))


def _pool(at: Reader, x: Any, windows: dict[str, Any]) -> _Windows:
    over = _windows(x, **windows)
    if max(over.rates) > 1 or any(at.node.outputs[1:]):
        raise Unreadable("it with dilations, or the places of the largest numbers")
    return over


@reads("MaxPool", tensors=1, also=_windows)
def max_pool(at: Reader, x: Any, storage_order: int = 0, **windows: Any) -> Any:
    over = _pool(at, x, windows)
    lowest = np.iinfo(x.dtype).min if "int" in dtype_of(x) else -math.inf
    return ops.max_pool(over.padded(x, lowest), over.kernel, over.strides, over.padding, _FIRST)


@reads("AveragePool", tensors=1, also=_windows)
def average_pool(at: Reader, x: Any, count_include_pad: int = 0, **windows: Any) -> Any:
    over = _pool(at, x, windows)
    if count_include_pad and (
        windows.get("ceil_mode") or windows.get("auto_pad", "NOTSET") != "NOTSET"
    ):
        raise Unreadable("it with count_include_pad and what is not padded by numbers")
    if count_include_pad and over.padding == "same":
        pads, rank = windows["pads"], len(over.kernel)
        around = list(zip(pads[:rank], pads[rank:], strict=True))
        over = over._replace(around=around, padding="valid")

    def average(y: Any) -> Any:
        return ops.average_pool(over.padded(y), over.kernel, over.strides, over.padding, _FIRST)

    if count_include_pad or not any(map(any, over.around)):
        return average(x)
    return average(x) / average(ops.ones_like(x[:1, :1]))


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
    """Each changed axis by numbers at known places, or between two of them; half pixels by `image.resize`."""
    rank, by_size = len(x.shape), len(operands) == 3
    along = range(rank) if axes is None else [k % rank for k in axes]
    numbers = at.array(operands[-1] if operands else scales, "sizes").reshape(-1).tolist()
    factors = {}
    sizes = list(x.shape)
    for axis, n in zip(along, numbers, strict=True):
        if n != (sizes[axis] if by_size else 1):
            if sizes[axis] is None:
                raise Unreadable("another size in place of an open one")
            factors[axis] = n / sizes[axis] if by_size else n
            sizes[axis] = int(n) if by_size else math.floor(sizes[axis] * n + 1e-6)
    old = at.opset < 11 or at.node.kind == "Upsample"
    where, rounds = coordinate_transformation_mode, "floor" if old else nearest_mode
    where = "asymmetric" if old else where
    is_read = mode in ("nearest", "linear") and where in _PLACES and not exclude_outside
    is_plain = keep_aspect_ratio_policy == "stretch" or not by_size
    if not is_read or not is_plain or (antialias and min(factors.values(), default=1) < 1):
        raise Unreadable(f"it with mode={mode}, {where}, antialias={antialias}, to {sizes}")
    exact = all(math.isclose(sizes[k] / x.shape[k], n, rel_tol=1e-6) for k, n in factors.items())
    is_image = rank == 4 and min(factors, default=0) > 1 and None not in sizes[2:]
    if mode == "linear" and where == "half_pixel" and exact and is_image:
        return ops.image.resize(x, sizes[2:], "bilinear", data_format=_FIRST)
    for axis, factor in factors.items():
        last = x.shape[axis] - 1
        places = _PLACES[where](
            np.arange(sizes[axis], dtype="float32"), np.float32(factor), last, sizes[axis] - 1
        )
        if mode == "nearest":
            rounded = _ROUNDED[rounds](places).clip(0, last).astype("int32")
            x = _taken(x, rounded, axis)
            continue
        places = places.clip(0, last)
        low = np.floor(places).astype("int32")
        share = (places - low).astype(dtype_of(x)).reshape([-1] + [1] * (rank - 1 - axis))
        high = np.minimum(low + 1, last)
        x = ops.take(x, low, axis) * (1 - share) + ops.take(x, high, axis) * share
    return x


#: Where what a resized axis gives lies on the old one: of places, factor, and the last place of each.
_PLACES: dict[str, Any] = {
    "asymmetric": lambda to, factor, last, end: to / factor,
    "align_corners": lambda to, factor, last, end: to * (last / max(end, 1)),
    "half_pixel": lambda to, factor, last, end: (to + 0.5) / factor - 0.5,
    "pytorch_half_pixel": lambda to, factor, last, end: ((to + 0.5) / factor - 0.5) * (end > 0),
}
_ROUNDED: dict[str, Any] = {
    "floor": np.floor,
    "ceil": np.ceil,
    "round_prefer_floor": lambda x: np.ceil(x - 0.5),
    "round_prefer_ceil": lambda x: np.floor(x + 0.5),
}


def _taken(x: Any, places: Array, axis: int) -> Any:
    """Numbers at places of an axis: each several times, where that is all."""
    times, rest = divmod(len(places), x.shape[axis])
    if not rest and np.array_equal(places, np.repeat(np.arange(x.shape[axis]), times)):
        return ops.repeat(x, times, axis)
    return ops.take(x, places, axis)
