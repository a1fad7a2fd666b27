"""How nodes that compute number by number are read: a line of a table, or a function over public ops.

https://onnx.ai/onnx/operators has what each computes. Parameters have the names of the operation's
attributes and operands; where a later version made an operand of an attribute, one parameter takes both.
"""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from ... import ops
from ...core.dtypes import numpy_dtype
from ...engines.spec import Dimension
from ._file import Weight
from ._reader import HANDLERS, Handler, Reader, Unreadable, dtype_of, known_op, reads

# -------------------------------------------------------------- element by element


def pairs(table: str) -> dict[str, str]:
    """A table written as `name:value name:value ...`."""
    return dict(pair.split(":") for pair in table.split())


_ELEMENTWISE = pairs(
    "Abs:abs Neg:negative Sqrt:sqrt Exp:exp Log:log Sin:sin Cos:cos Tan:tan Asin:arcsin Acos:arccos "
    "Atan:arctan Sinh:sinh Cosh:cosh Tanh:tanh Asinh:arcsinh Acosh:arccosh Atanh:arctanh Sign:sign "
    "Reciprocal:reciprocal Floor:floor Ceil:ceil Round:round Relu:relu Sigmoid:sigmoid Erf:erf "
    "Not:logical_not IsNaN:isnan Softplus:softplus Softsign:softsign BitwiseNot:bitwise_invert "
    "HardSwish:hard_silu Det:linalg.det Add:add Sub:subtract Mul:multiply Equal:equal Less:less "
    "LessOrEqual:less_equal Greater:greater GreaterOrEqual:greater_equal And:logical_and Or:logical_or "
    "Xor:logical_xor BitwiseAnd:bitwise_and BitwiseOr:bitwise_or BitwiseXor:bitwise_xor "
    "Where:where"
)
_VARIADIC = pairs("Max:maximum Min:minimum Sum:add")


def _quotients(x: Any, y: Any) -> Any:
    """Quotients without what follows the point; of open sizes, which are positive, as they are."""
    whole = np.asarray(x) // y
    if whole.dtype == object:
        return whole
    return whole + ((whole < 0) & (whole * y != x))


#: What operations are on 64-bit integers, which ops have as 32, and on open sizes.
_ON_SIZES: dict[str, Callable[..., Any]] = {
    "Add": operator.add,
    "Sub": operator.sub,
    "Mul": operator.mul,
    "Neg": operator.neg,
    "Equal": lambda x, y: np.asarray(np.equal(x, y), object),
    "Where": np.where,
    "Max": lambda x, y: np.maximum(x, y) if x.dtype == y.dtype != object else _maximum(x, y),
}


def _maximum(x: Any, y: Any) -> Any:
    """The larger one of sizes that are broadcast: one is 1, or they are the same."""
    pairs = zip(np.ravel(x), np.ravel(y), strict=True)
    if any(a != b and 1 not in (a, b) for a, b in pairs if isinstance(a + b, Dimension)):
        raise Unreadable("the larger one of open sizes")
    return np.where(np.equal(x, 1), y, x)


def _op(name: str) -> Any:
    """A public op by its name."""
    return functools.reduce(getattr, name.split("."), ops)


def _elementwise(name: str) -> Callable[..., Any]:
    """An op, of two operands at a time where there are more of a sum or a maximum."""
    many = name in _VARIADIC.values()

    def read(at: Reader, *operands: Any) -> Any:
        known = [x.shape for x in operands if isinstance(x, np.ndarray)]
        at.bounded(math.prod(np.broadcast_shapes(*known)))
        return functools.reduce(_op(name), operands) if many else _op(name)(*operands)

    return read


for _kind, _name in (_ELEMENTWISE | _VARIADIC).items():
    HANDLERS[_kind] = Handler(_elementwise(_name), on_sizes=_ON_SIZES.get(_kind))


@reads("Identity", tensors=0)
def identity(at: Reader, x: Any) -> Any:
    """The operand. Exporters put it between equal weights, too: those that are all ones or zeros are no less
    weights of their own."""
    is_initial = isinstance(x, Weight) and np.all(x.array == x.array.flat[0])
    return Weight(at.node.outputs[0], x.array) if is_initial else x


@reads("Div", on_sizes=_quotients)
def divide(at: Reader, x: Any, y: Any) -> Any:
    """A quotient; of integers without what follows the point."""
    if "int" not in dtype_of(x):
        return ops.divide(x, y)
    quotient = ops.floor_divide(ops.abs(x), ops.abs(y))
    return ops.cast(ops.multiply(quotient, ops.multiply(ops.sign(x), ops.sign(y))), dtype_of(x))


@reads("Mod", on_sizes=lambda x, y, fmod=0: np.fmod(x, y) if fmod else x % y)
def mod(at: Reader, x: Any, y: Any, fmod: int = 0) -> Any:
    return ops.fmod(x, y) if fmod else ops.mod(x, y)


def _cast_sizes(x: Any, to: str, saturate: int = 1) -> Any:
    if x.dtype != object:
        return x.astype(numpy_dtype(to))
    if "int" not in to:
        raise Unreadable("numbers that it computes from an open size")
    return x


@reads("Cast", moves=True, on_sizes=_cast_sizes)
def cast(at: Reader, x: Any, to: str, saturate: int = 1) -> Any:
    if to == "string" or dtype_of(x) == "string":
        raise Unreadable("numbers that become strings, or strings numbers")
    return ops.cast(x, to)


# --------------------------------------------------------------------- activations

_SHIFTS = {"LEFT": ops.left_shift, "RIGHT": ops.right_shift}


def _over(at: Reader, x: Any, axis: int | None) -> Any:
    """The axes of a softmax: before version 13 all from one on."""
    rank = len(x.shape)
    if at.opset >= 13:
        return -1 if axis is None else axis
    return tuple(range((1 if axis is None else axis) % rank, rank))


HANDLERS |= {
    kind: Handler(read)
    for kind, read in dict[str, Callable[..., Any]](
        {
            "BitShift": lambda at, x, y, direction: _SHIFTS[direction](x, y),
            "IsInf": lambda at, x, detect_negative=1, detect_positive=1: ops.logical_or(
                detect_negative and ops.isneginf(x), detect_positive and ops.isposinf(x)
            ),
            "Softmax": lambda at, x, axis=None: ops.softmax(x, _over(at, x, axis)),
            "LogSoftmax": lambda at, x, axis=None: ops.log_softmax(x, _over(at, x, axis)),
            "LeakyRelu": lambda at, x, alpha=0.01: ops.leaky_relu(x, alpha),
            "Elu": lambda at, x, alpha=1.0: ops.elu(x, alpha),
            "Celu": lambda at, x, alpha=1.0: ops.celu(x, alpha),
            "Selu": lambda at, x, alpha=1.6732632, gamma=1.050701: gamma * ops.elu(x, alpha),
            "Gelu": lambda at, x, approximate="none": ops.gelu(x, approximate == "tanh"),
            "Mish": lambda at, x: x * ops.tanh(ops.softplus(x)),
            "HardSigmoid": lambda at, x, alpha=0.2, beta=0.5: ops.clip(x * alpha + beta, 0.0, 1.0),
            "ThresholdedRelu": lambda at, x, alpha=1.0: ops.threshold(x, alpha, 0.0),
            "PRelu": lambda at, x, slope: ops.where(ops.less(x, 0), x * slope, x),
            "Pow": lambda at, x, y: ops.power(x, ops.cast(y, dtype_of(x))),
            "Mean": lambda at, *parts: functools.reduce(ops.add, parts) / len(parts),
            "CastLike": lambda at, x, like, saturate=1: ops.cast(x, dtype_of(like)),
            "Einsum": lambda at, *parts, equation: ops.einsum(equation.replace(" ", ""), *parts),
        }
    ).items()
}


@reads("Clip", tensors=1)
def clip(at: Reader, x: Any, min: Any = None, max: Any = None) -> Any:
    for bound, op in ((min, ops.maximum), (max, ops.minimum)):
        if bound is not None:
            x = op(x, np.asarray(at.array(bound, "bounds"), dtype_of(x)).reshape(()))
    return x


# ---------------------------------------------------------------------- reductions


def _reduction(compute: Callable[[Any, Any, bool], Any], on_sizes: Any = None) -> Handler:
    def over(axes: Any, is_none: int) -> tuple[int, ...] | None:
        """The axes; all where none are named, unless the node says that this means none."""
        found = () if axes is None else tuple(int(axis) for axis in axes)
        return found if found or is_none else None

    def read(
        at: Reader, x: Any, axes: Any = None, keepdims: int = 1, noop_with_empty_axes: int = 0
    ) -> Any:
        given = None if axes is None else at.integers(axes, "axes")
        return compute(x, over(given, noop_with_empty_axes), bool(keepdims))

    def of_sizes(x: Any, axes: Any = None, keepdims: int = 1, noop_with_empty_axes: int = 0) -> Any:
        along = over(axes, noop_with_empty_axes)
        return np.asarray(on_sizes(x, axis=along, keepdims=bool(keepdims)))

    return Handler(read, 1, of_sizes if on_sizes else None)


HANDLERS |= {
    "ReduceMax": _reduction(ops.max),
    "ReduceMin": _reduction(ops.min),
    "ReduceMean": _reduction(lambda x, axes, keep: ops.cast(ops.mean(x, axes, keep), dtype_of(x))),
    "ReduceSum": _reduction(ops.sum, np.sum),
    "ReduceProd": _reduction(ops.prod, np.prod),
    "ReduceL1": _reduction(lambda x, axes, keep: ops.sum(ops.abs(x), axes, keep)),
    "ReduceL2": _reduction(lambda x, axes, keep: ops.sqrt(ops.sum(ops.square(x), axes, keep))),
    "ReduceSumSquare": _reduction(lambda x, axes, keep: ops.sum(ops.square(x), axes, keep)),
    "ReduceLogSum": _reduction(lambda x, axes, keep: ops.log(ops.sum(x, axes, keep))),
    "ReduceLogSumExp": _reduction(ops.logsumexp),
}


@reads("ArgMax", "ArgMin")
def argmax(at: Reader, x: Any, axis: int = 0, keepdims: int = 1, select_last_index: int = 0) -> Any:
    find = ops.argmax if at.node.kind == "ArgMax" else ops.argmin
    if not select_last_index:
        return ops.cast(find(x, axis, bool(keepdims)), "int64")
    if x.shape[axis] is None:
        raise Unreadable("the last of equal ones along an open size")
    last = np.asarray(x.shape[axis] - 1, "int64")
    return ops.subtract(last, ops.cast(find(ops.flip(x, axis), axis, bool(keepdims)), "int64"))


@reads("TopK", tensors=1)
def top_k(at: Reader, x: Any, k: Any, axis: int = -1, largest: int = 1, sorted: int = 1) -> Any:
    (count,) = at.integers(k, "counts")
    x = ops.moveaxis(x, axis, -1)
    if largest:
        values, places = ops.top_k(x, count)
    else:
        places = ops.argsort(x, -1)[..., :count]
        values = ops.take_along_axis(x, places, -1)
    return [ops.moveaxis(values, -1, axis), ops.cast(ops.moveaxis(places, -1, axis), "int64")]


@reads("CumSum", tensors=1)
def cumsum(at: Reader, x: Any, axis: Any, exclusive: int = 0, reverse: int = 0) -> Any:
    (along,) = at.integers(axis, "axes")
    given = ops.flip(x, along) if reverse else x
    total = ops.cumsum(given, along, dtype_of(x))
    if exclusive:
        total = ops.subtract(total, given)
    return ops.flip(total, along) if reverse else total


@reads("DFT", tensors=1)
def fourier_transform(
    at: Reader, x: Any, length: Any = None, axis: Any = None, inverse: int = 0, onesided: int = 0
) -> Any:
    """By `fft`: a transform back is one of the conjugate, conjugate again, over the length."""
    along = (
        1
        if axis is None and at.opset < 20
        else at.integers(-2 if axis is None else axis, "axes")[0]
    )
    parts = [ops.moveaxis(x[..., k], along % (len(x.shape)), -1) for k in range(x.shape[-1])]
    if length is not None and at.integers(length, "lengths") != [parts[0].shape[-1]]:
        raise Unreadable("it with another length than that of its axis")
    real, imaginary = parts if len(parts) == 2 else (parts[0], ops.zeros_like(parts[0]))
    real, imaginary = ops.fft((real, ops.negative(imaginary) if inverse else imaginary))
    if inverse:
        size = float(real.shape[-1])
        real, imaginary = ops.divide(real, size), ops.divide(imaginary, -size)
    if onesided:
        half = real.shape[-1] // 2 + 1
        real, imaginary = real[..., :half], imaginary[..., :half]
    return ops.stack([ops.moveaxis(part, -1, along) for part in (real, imaginary)], -1)


# ------------------------------------------------------------ machine learning


@reads("ml ArrayFeatureExtractor")
def features(at: Reader, x: Any, indices: Any) -> Any:
    taken = ops.take(x, indices, -1)
    return ops.reshape(taken, (1, -1)) if len(x.shape) == 1 else taken


@reads("ml ZipMap", tensors=1)
def probabilities(
    at: Reader, x: Any, classlabels_int64s: Any = None, classlabels_strings: Any = None
) -> Any:
    """The tensor, in place of a dictionary for each row."""
    at.note("%r is a tensor of all classes, no list of dictionaries", at.node.outputs[0])
    return x


@reads("ml Scaler")
def scaler(at: Reader, x: Any, offset: Any = (0.0,), scale: Any = (1.0,)) -> Any:
    x = ops.cast(x, "float32")
    return ops.multiply(
        ops.subtract(x, np.asarray(offset, "float32")), np.asarray(scale, "float32")
    )


# ------------------------------------------------------------------- quantized


@reads("QuantizeLinear", moves=True)
def quantize(
    at: Reader, x: Any, scale: Any, zero: Any = None, axis: int = 1, saturate: int = 1
) -> Any:
    dtype = "uint8" if zero is None else dtype_of(zero)
    low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
    codes = ops.round(ops.divide(x, _spread(scale, x, axis)))
    if zero is not None:
        codes = ops.add(codes, ops.cast(_spread(zero, x, axis), "float32"))
    return ops.cast(ops.clip(codes, low, high), dtype)


@reads("DequantizeLinear", tensors=0)
def dequantize(
    at: Reader, x: Any, scale: Any, zero: Any = None, axis: int = 1, block_size: int = 0
) -> Any:
    """Codes less their zero, times their scale; known ones are a weight."""
    codes = known_op(ops.cast, x, "float32")
    if zero is not None and np.any(base := at.array(zero, "zeros")):
        codes = known_op(ops.subtract, codes, _spread(base.astype("float32"), x, axis, block_size))
    made = known_op(ops.multiply, codes, _spread(at.array(scale, "scales"), x, axis, block_size))
    return Weight(at.node.outputs[0], made) if isinstance(made, np.ndarray) else made


def _spread(scale: Any, x: Any, axis: int, block: int = 0) -> Any:
    """Scales along an axis of a tensor, or for blocks of it."""
    if block:
        return np.repeat(scale, block, axis)[tuple(slice(0, n) for n in x.shape)]
    if math.prod(scale.shape) == 1:
        return ops.reshape(scale, ()) if not isinstance(scale, np.ndarray) else scale.reshape(())
    sizes = [-1 if k == axis % len(x.shape) else 1 for k in range(len(x.shape))]
    return scale.reshape(sizes) if isinstance(scale, np.ndarray) else ops.reshape(scale, sizes)
