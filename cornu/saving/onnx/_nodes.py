"""How nodes without weights are read: a line of a table, or a function over public ops.

https://onnx.ai/onnx/operators has what each computes. Parameters have the names of the operation's
attributes and operands; where a later version made an operand of an attribute, one parameter takes both.
"""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ... import ops
from ...core.dtypes import numpy_dtype
from ...core.keras_tensor import KerasTensor
from ...engines.spec import Dimension
from ._file import Graph, Weight
from ._reader import Filled, Handler, Reader, Unreadable

HANDLERS: dict[str, Handler] = {}
#: How often the body of a loop is written out.
_LONGEST = 1000
#: What stands for "to the end" in slices.
_END = 1 << 31


def pairs(table: str) -> dict[str, str]:
    """A table written as `name:value name:value ...`."""
    return dict(pair.split(":") for pair in table.split())


def reads(*kinds: str, **how: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Let a function read kinds of nodes; `how` as of `Handler`."""

    def mark(function: Callable[..., Any]) -> Callable[..., Any]:
        HANDLERS.update(dict.fromkeys(kinds, Handler(function, **how)))
        return function

    return mark


# -------------------------------------------------------------- element by element

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
}


def _op(name: str) -> Any:
    """A public op by its name."""
    return functools.reduce(getattr, name.split("."), ops)


def _elementwise(name: str) -> Callable[..., Any]:
    def read(at: Reader, *operands: Any) -> Any:
        at.bounded(math.prod(np.broadcast_shapes(*_shapes(operands))))
        return _op(name)(*operands)

    return read


def _variadic(name: str) -> Callable[..., Any]:
    def read(at: Reader, *operands: Any) -> Any:
        return functools.reduce(_op(name), operands)

    return read


def _shapes(operands: Sequence[Any]) -> list[tuple[int, ...]]:
    """The shapes of what is known."""
    return [x.shape for x in operands if isinstance(x, np.ndarray)]


for _kind, _name in _ELEMENTWISE.items():
    HANDLERS[_kind] = Handler(_elementwise(_name), on_sizes=_ON_SIZES.get(_kind))
for _kind, _name in _VARIADIC.items():
    HANDLERS[_kind] = Handler(_variadic(_name))


@reads("Identity", tensors=0)
def identity(at: Reader, x: Any) -> Any:
    """The operand; a weight that is the same as another one is one of its own."""
    return Weight(at.node.outputs[0], x.array) if isinstance(x, Weight) else x


@reads("Mean")
def mean(at: Reader, *operands: Any) -> Any:
    return ops.divide(
        functools.reduce(ops.add, operands), np.asarray(len(operands), _dtype(operands[0]))
    )


def _dtype(x: Any) -> str:
    return str(getattr(x.dtype, "name", x.dtype))


def _is_integer(x: Any) -> bool:
    return "int" in _dtype(x)


def _number(x: Any, like: Any) -> Any:
    """A number of a tensor's dtype."""
    return np.asarray(x, _dtype(like))


@reads("Div", on_sizes=_quotients)
def divide(at: Reader, x: Any, y: Any) -> Any:
    """A quotient; of integers without what follows the point."""
    if not _is_integer(x):
        return ops.divide(x, y)
    quotient = ops.floor_divide(ops.abs(x), ops.abs(y))
    return ops.cast(ops.multiply(quotient, ops.multiply(ops.sign(x), ops.sign(y))), _dtype(x))


@reads("Mod", on_sizes=lambda x, y, fmod=0: np.fmod(x, y) if fmod else x % y)
def mod(at: Reader, x: Any, y: Any, fmod: int = 0) -> Any:
    return ops.fmod(x, y) if fmod else ops.mod(x, y)


@reads("Pow")
def power(at: Reader, x: Any, y: Any) -> Any:
    return ops.power(x, ops.cast(y, _dtype(x)))


@reads("BitShift")
def bit_shift(at: Reader, x: Any, y: Any, direction: str) -> Any:
    return (ops.left_shift if direction == "LEFT" else ops.right_shift)(x, y)


@reads("IsInf")
def is_infinite(at: Reader, x: Any, detect_negative: int = 1, detect_positive: int = 1) -> Any:
    found = [ops.isneginf(x)] * detect_negative + [ops.isposinf(x)] * detect_positive
    return functools.reduce(ops.logical_or, found)


def _cast_sizes(x: Any, to: str, saturate: int = 1) -> Any:
    if x.dtype != object:
        return x.astype(numpy_dtype(to))
    if "int" not in to:
        raise Unreadable("numbers that it computes from an open size")
    return x


@reads("Cast", moves=True, on_sizes=_cast_sizes)
def cast(at: Reader, x: Any, to: str, saturate: int = 1) -> Any:
    if to == "string" or _dtype(x) == "string":
        raise Unreadable("numbers that become strings, or strings numbers")
    return ops.cast(x, to)


@reads("CastLike", moves=True)
def cast_like(at: Reader, x: Any, like: Any, saturate: int = 1) -> Any:
    return ops.cast(x, _dtype(like))


# --------------------------------------------------------------------- activations


@reads("LeakyRelu")
def leaky_relu(at: Reader, x: Any, alpha: float = 0.01) -> Any:
    return ops.leaky_relu(x, alpha)


@reads("Elu")
def elu(at: Reader, x: Any, alpha: float = 1.0) -> Any:
    return ops.elu(x, alpha)


@reads("Celu")
def celu(at: Reader, x: Any, alpha: float = 1.0) -> Any:
    return ops.celu(x, alpha)


@reads("Selu")
def selu(at: Reader, x: Any, alpha: float = 1.6732632, gamma: float = 1.0507010) -> Any:
    return ops.multiply(ops.elu(x, alpha), _number(gamma, x))


@reads("Gelu")
def gelu(at: Reader, x: Any, approximate: str = "none") -> Any:
    return ops.gelu(x, approximate=approximate == "tanh")


@reads("Mish")
def mish(at: Reader, x: Any) -> Any:
    return ops.multiply(x, ops.tanh(ops.softplus(x)))


@reads("HardSigmoid")
def hard_sigmoid(at: Reader, x: Any, alpha: float = 0.2, beta: float = 0.5) -> Any:
    return ops.clip(ops.add(ops.multiply(x, _number(alpha, x)), _number(beta, x)), 0.0, 1.0)


@reads("ThresholdedRelu")
def thresholded_relu(at: Reader, x: Any, alpha: float = 1.0) -> Any:
    return ops.where(ops.greater(x, alpha), x, _number(0, x))


@reads("PRelu")
def leaky_relu_of_slopes(at: Reader, x: Any, slope: Any) -> Any:
    return ops.where(ops.less(x, _number(0, x)), ops.multiply(x, slope), x)


@reads("Clip", tensors=1)
def clip(at: Reader, x: Any, min: Any = None, max: Any = None) -> Any:
    if min is not None:
        x = ops.maximum(x, _number(at.array(min, "bounds"), x).reshape(()))
    if max is not None:
        x = ops.minimum(x, _number(at.array(max, "bounds"), x).reshape(()))
    return x


def _softmax(name: str) -> Callable[..., Any]:
    def read(at: Reader, x: Any, axis: int | None = None) -> Any:
        rank = len(x.shape)
        if at.opset >= 13:
            return _op(name)(x, -1 if axis is None else axis)
        # Earlier it went over all axes from one on.
        first = (1 if axis is None else axis) % rank
        return _op(name)(x, -1 if first == rank - 1 else tuple(range(first, rank)))

    return read


HANDLERS["Softmax"] = Handler(_softmax("softmax"))
HANDLERS["LogSoftmax"] = Handler(_softmax("log_softmax"))


# ---------------------------------------------------------------------- reductions


def _reduction(compute: Callable[[Any, Any, bool], Any], on_sizes: Any = None) -> Handler:
    def read(
        at: Reader, x: Any, axes: Any = None, keepdims: int = 1, noop_with_empty_axes: int = 0
    ) -> Any:
        over = None if axes is None else tuple(at.integers(axes, "axes"))
        if not over and noop_with_empty_axes:
            return x
        return compute(x, over or None, bool(keepdims))

    def of_sizes(x: Any, axes: Any = None, keepdims: int = 1, noop_with_empty_axes: int = 0) -> Any:
        return np.asarray(on_sizes(x, axis=_along(axes) or None, keepdims=bool(keepdims)))

    return Handler(read, 1, of_sizes if on_sizes else None)


HANDLERS |= {
    "ReduceMax": _reduction(ops.max),
    "ReduceMin": _reduction(ops.min),
    "ReduceMean": _reduction(ops.mean),
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
    total = ops.cumsum(given, along, _dtype(x))
    if exclusive:
        total = ops.subtract(total, given)
    return ops.flip(total, along) if reverse else total


# --------------------------------------------------------------------- shapes


@reads("Shape", tensors=0)
def shape(at: Reader, x: Any, start: int = 0, end: int | None = None) -> Any:
    sizes = list(at.dims(x))[start:end]
    is_open = any(isinstance(size, Dimension) for size in sizes)
    array = np.empty(len(sizes), object)
    array[:] = sizes
    return array if is_open else array.astype("int64")


@reads("Size", tensors=0)
def size(at: Reader, x: Any) -> Any:
    total = np.asarray(math.prod(at.dims(x)))
    return total if total.dtype == object else total.astype("int64")


@reads(
    "Reshape", tensors=1, moves=True, on_sizes=lambda x, shape: np.reshape(x, shape.astype("int64"))
)
def reshape(at: Reader, x: Any, shape: Any, allowzero: int = 0) -> Any:
    dims = at.dims(x)
    sizes = list(shape if _is_list(shape) else at.array(shape, "shapes"))
    wanted = [
        dims[k] if not allowzero and _is_known(size, 0) else _plain(size)
        for k, size in enumerate(sizes)
    ]
    if any(_is_known(size, -1) for size in wanted):
        rest = _quotient(dims, [size for size in wanted if not _is_known(size, -1)])
        wanted = [rest if _is_known(size, -1) else size for size in wanted]
    return reshaped(x, dims, wanted)


def _is_list(x: Any) -> bool:
    return isinstance(x, list) or (isinstance(x, np.ndarray) and x.dtype == object)


def _is_known(size: Any, value: int) -> bool:
    return not isinstance(size, Dimension) and size == value


def _plain(size: Any) -> Any:
    return size if isinstance(size, Dimension) else int(size)


def _quotient(dims: Sequence[Any], sizes: Sequence[Any]) -> Any:
    """What is left of dimensions for the size -1: an exact quotient."""
    above, below = list(dims), list(sizes)
    for size in sizes:  # equal ones need no arithmetic
        if size in above:
            above.remove(size)
            below.remove(size)
    divisor = math.prod(below)
    return math.prod(above) // divisor if not _is_known(divisor, 0) else 0


def reshaped(x: Any, dims: Sequence[Any], wanted: Sequence[Any]) -> Any:
    """A tensor in another shape, of which any sizes may be open."""
    if list(dims) == list(wanted):
        return x
    if sum(isinstance(size, Dimension) for size in wanted) < 2:
        return ops.reshape(x, [-1 if isinstance(size, Dimension) else size for size in wanted])
    groups, names = _groups(dims, wanted), iter("abcdefghijklmnopqrstuvwxyz")
    before = [[next(names) for _ in old] for old, _ in groups]
    after = [
        old if sizes == wanted else [next(names) for _ in wanted]
        for old, (sizes, wanted) in zip(before, groups, strict=True)
    ]
    known = {
        name: size
        for kept, new, (_, sizes) in zip(before, after, groups, strict=True)
        for name, size in zip(new, sizes, strict=True)
        if new is not kept and not isinstance(size, Dimension)
    }
    # By way of one axis for each group.
    same = [new is old for old, new in zip(before, after, strict=True)]
    x = _rearranged(x, _apart(before), _joined(before, same))
    return _rearranged(x, _joined(after, same), _apart(after), **known)


def _rearranged(x: Any, before: str, after: str, **sizes: int) -> Any:
    return x if before == after else ops.rearrange(x, f"{before} -> {after}", **sizes)


def _apart(groups: Sequence[Sequence[str]]) -> str:
    return " ".join(name for group in groups for name in group)


def _joined(groups: Sequence[Sequence[str]], same: Sequence[bool]) -> str:
    """Each group as one axis, but for those that stay as they are."""
    texts = (
        " ".join(group) if kept or len(group) == 1 else f"({' '.join(group)})"
        for group, kept in zip(groups, same, strict=True)
    )
    return " ".join(texts)


def _groups(dims: Sequence[Any], wanted: Sequence[Any]) -> list[tuple[list[Any], list[Any]]]:
    """Axes before and after that have as many elements, as few in a group as can be."""
    groups, start, to = [], 0, 0
    while start < len(dims) or to < len(wanted):
        ends = sorted(
            ((i, j) for i in range(start, len(dims) + 1) for j in range(to, len(wanted) + 1)),
            key=sum,
        )
        for i, j in ends[1:]:
            before, after = list(dims[start:i]), list(wanted[to:j])
            if math.prod(before) == math.prod(after):
                break
        else:
            raise Unreadable(f"the shape {list(wanted)} for {list(dims)}")
        if sum(isinstance(size, Dimension) for size in after) > 1 and before != after:
            raise Unreadable(f"the shape {list(wanted)} for {list(dims)}")
        groups.append((before, after))
        start, to = i, j
    return groups


@reads("Flatten", moves=True)
def flatten(at: Reader, x: Any, axis: int = 1) -> Any:
    dims = at.dims(x)
    axis = axis % len(dims) if axis < 0 else axis
    return reshaped(x, dims, [math.prod(dims[:axis]), math.prod(dims[axis:])])


@reads("Transpose", moves=True)
def transpose(at: Reader, x: Any, perm: Any = None) -> Any:
    return ops.transpose(x, perm)


def _along(axes: Any) -> Any:
    return None if axes is None else tuple(int(k) for k in np.reshape(axes, -1))


@reads("Squeeze", tensors=1, moves=True, on_sizes=lambda x, axes=None: np.squeeze(x, _along(axes)))
def squeeze(at: Reader, x: Any, axes: Any = None) -> Any:
    return ops.squeeze(x, None if axes is None else tuple(at.integers(axes, "axes")))


@reads("Unsqueeze", tensors=1, moves=True, on_sizes=lambda x, axes: np.expand_dims(x, _along(axes)))
def unsqueeze(at: Reader, x: Any, axes: Any) -> Any:
    return ops.expand_dims(x, tuple(at.integers(axes, "axes")))


@reads("Concat", moves=True, on_sizes=lambda *xs, axis: np.concatenate(xs, axis))
def concatenate(at: Reader, *operands: Any, axis: int) -> Any:
    return ops.concatenate(list(operands), axis)


@reads("Split", tensors=1, moves=True)
def split(
    at: Reader, x: Any, split: Any = None, axis: int = 0, num_outputs: int | None = None
) -> Any:
    count = len(at.node.outputs)
    if split is not None:
        sizes = at.integers(split, "sizes")
    else:
        whole = -(-x.shape[axis] // count)
        sizes = [min(whole, x.shape[axis] - k * whole) for k in range(count)]
    ends = [int(end) for end in np.cumsum(sizes)[:-1]]
    return ops.split(x, ends, axis) if len(sizes) > 1 else [x]


@reads(
    "Slice",
    tensors=1,
    moves=True,
    on_sizes=lambda x, *where, **more: x[_key(x.ndim, *where, **more)],
)
def slice_(at: Reader, x: Any, starts: Any, ends: Any, axes: Any = None, steps: Any = None) -> Any:
    dims = at.dims(x)
    key = list(_key(len(dims), starts, ends, axes, steps))
    for axis, part in enumerate(key):
        if isinstance(part.stop, Dimension):
            if part.stop != dims[axis] and part.start in (0, None):
                x = ops.take(x, _range(at, part.stop), axis)
                key[axis] = slice(None, None, part.step)
            else:
                key[axis] = slice(part.start, None, part.step)
    if any(isinstance(part.start, Dimension) or isinstance(part.step, Dimension) for part in key):
        raise Unreadable("a slice from where it computes when it runs")
    return x if all(part == slice(None) for part in key) else x[tuple(key)]


def _key(
    rank: int, starts: Any, ends: Any, axes: Any = None, steps: Any = None
) -> tuple[slice, ...]:
    """A slice of each axis."""
    key = [slice(None)] * rank
    given = [_values(part) for part in (starts, ends)]
    count = len(given[0])
    along = list(range(count)) if axes is None else [int(k) for k in _values(axes)]
    strides = [1] * count if steps is None else _values(steps)
    for axis, start, end, step in zip(along, *given, strides, strict=True):
        first = None if _is_known(start, 0) and step > 0 else _bound(start)
        key[axis] = slice(first, _bound(end), None if step == 1 else step)
    return tuple(key)


def _values(x: Any) -> list[Any]:
    if isinstance(x, (KerasTensor, Weight, Filled)):
        raise Unreadable("a slice from where it computes when it runs")
    return [_plain(value) for value in np.reshape(x, -1)]


def _bound(end: Any) -> Any:
    """A bound of a slice; None where it lies at the end, or before the start."""
    return None if not isinstance(end, Dimension) and abs(end) >= _END - 1 else end


def _range(at: Reader, size: Any) -> Any:
    """The integers below an open size."""
    return ops.subtract(ops.cast(ops.cumsum(at.ones(size)), "int64"), np.asarray(1, "int64"))


@reads("Expand", tensors=0)
def expand(at: Reader, x: Any, shape: Any) -> Any:
    if isinstance(shape, (KerasTensor, Filled)):
        raise Unreadable("a shape that it computes when it runs")
    dims, sizes = list(at.dims(x)), [_plain(size) for size in np.reshape(at_shape(at, shape), -1)]
    rank = max(len(dims), len(sizes))
    dims, sizes = ([1] * (rank - len(part)) + part for part in (dims, sizes))
    wanted = [d if _is_known(s, 1) else s for d, s in zip(dims, sizes, strict=True)]
    is_open = any(isinstance(size, Dimension) for size in wanted)
    if isinstance(x, np.ndarray) and x.size == 1 and is_open:
        return Filled(x, tuple(wanted))
    if isinstance(x, Filled):
        return Filled(x.value, tuple(wanted))
    if not is_open:
        at.bounded(math.prod(wanted) if isinstance(x, np.ndarray) else 0)
        return _computed(at, ops.broadcast_to, x, wanted)
    repeats = [1 if d == s else s for d, s in zip(dims, wanted, strict=True)]
    if all(_is_known(size, 1) for size in repeats) and len(at.dims(x)) == rank:
        return x
    x = at.tensor(x)
    ones = at.filled(np.ones((), _dtype(x)), repeats)
    return ops.logical_and(x, ones) if _dtype(x) == "bool" else ops.multiply(x, ones)


def at_shape(at: Reader, shape: Any) -> Any:
    """A shape, whose sizes may be open."""
    return shape if _is_list(shape) else at.array(shape, "shapes")


def _computed(at: Reader, function: Any, x: Any, *more: Any) -> Any:
    """An op, by NumPy where its operand is known."""
    from ...engines import use

    if isinstance(x, np.ndarray):
        with use("numpy"):
            return np.asarray(function(x, *more))
    return function(at.tensor(x), *more)


@reads("ConstantOfShape", tensors=0)
def constant_of_shape(at: Reader, shape: Any, value: Any = None) -> Any:
    value = np.zeros((), "float32") if value is None else np.reshape(value, ())
    sizes = [_plain(size) for size in np.reshape(at_shape(at, shape), -1)]
    if any(isinstance(size, Dimension) for size in sizes):
        return Filled(value, tuple(sizes))
    at.bounded(math.prod(sizes))
    return np.full(sizes, value)


@reads("Constant", tensors=0)
def constant(
    at: Reader, value: Any = None, value_float: Any = None, value_floats: Any = None,
    value_int: Any = None, value_ints: Any = None, value_string: Any = None, value_strings: Any = None,
) -> Any:  # fmt: skip
    if value is not None:
        return value
    floats, integers = (value_floats, value_float), (value_ints, value_int)
    for dtype, given in (
        ("float32", floats),
        ("int64", integers),
        (str, (value_strings, value_string)),
    ):
        for x in given:
            if x is not None:
                return np.asarray(x, dtype)
    raise Unreadable("a sparse constant")


@reads("Range", tensors=0)
def range_(at: Reader, start: Any, limit: Any, delta: Any) -> Any:
    first, step = at.array(start, "ranges").reshape(()), at.array(delta, "ranges").reshape(())
    if _is_list(limit):
        (end,) = np.reshape(limit, -1)
        if step != 1 or first != 0:
            raise Unreadable("a range to an open size that does not count from 0")
        return _range(at, end)
    end = at.array(limit, "ranges").reshape(())
    at.bounded(int(max(0, math.ceil((end - first) / step))))
    ends: tuple[Any, ...] = (first.item(), end.item(), step.item())
    return np.arange(*ends, dtype=first.dtype)


@reads("Tile", tensors=1)
def tile(at: Reader, x: Any, repeats: Any) -> Any:
    times = at.integers(repeats, "repeats")
    at.bounded(math.prod(times) * x.size if isinstance(x, np.ndarray) else 0)
    return ops.tile(x, times)


@reads("Pad", tensors=1)
def pad(
    at: Reader, x: Any, pads: Any, value: Any = 0.0, axes: Any = None, mode: str = "constant"
) -> Any:
    rank, sizes = len(x.shape), at.integers(pads, "sizes")
    along = range(rank) if axes is None else [k % rank for k in at.integers(axes, "axes")]
    widths = [(0, 0)] * rank
    for k, axis in enumerate(along):
        widths[axis] = (sizes[k], sizes[len(sizes) // 2 + k])
    at.bounded(
        math.prod(n + sum(w) for n, w in zip(x.shape, widths, strict=True))
        if isinstance(x, np.ndarray)
        else 0
    )
    key = tuple(slice(max(0, -low), -max(0, -high) or None) for low, high in widths)
    cut, widths = x, [(max(0, low), max(0, high)) for low, high in widths]
    if any(part != slice(0, None) for part in key):
        cut = x[key]
    if mode != "constant":
        return ops.pad(cut, widths, {"edge": "edge", "reflect": "reflect", "wrap": "wrap"}[mode])
    number = at.array(0.0 if value is None else value, "values")
    return ops.pad(cut, widths, constant_values=_number(number, x).reshape(()).item())


@reads("Trilu", tensors=1)
def triangle(at: Reader, x: Any, k: Any = 0, upper: int = 1) -> Any:
    (offset,) = at.integers(0 if k is None else k, "diagonals")
    return (ops.triu if upper else ops.tril)(x, offset)


@reads("EyeLike", tensors=0)
def eye_like(at: Reader, x: Any, dtype: str = "float32", k: int = 0) -> Any:
    rows, columns = at.dims(x)
    at.bounded(rows * columns)
    return np.eye(rows, columns, k, dtype)


@reads("DepthToSpace")
def depth_to_space(at: Reader, x: Any, blocksize: int, mode: str = "DCR") -> Any:
    names = "p q c" if mode == "DCR" else "c p q"
    pattern = f"b ({names}) h w -> b c (h p) (w q)"
    return ops.rearrange(x, pattern, p=blocksize, q=blocksize)


@reads("SpaceToDepth")
def space_to_depth(at: Reader, x: Any, blocksize: int) -> Any:
    return ops.rearrange(x, "b c (h p) (w q) -> b (p q c) h w", p=blocksize, q=blocksize)


# -------------------------------------------------------------------- indices


@reads("GatherElements")
def gather_elements(at: Reader, x: Any, indices: Any, axis: int = 0) -> Any:
    for k, size in enumerate(indices.shape):
        if k != axis % len(x.shape) and size is not None and size != x.shape[k]:
            x = x[(slice(None),) * k + (slice(0, size),)]
    return ops.take_along_axis(x, indices, axis)


@reads("GatherND")
def gather_nd(at: Reader, x: Any, indices: Any, batch_dims: int = 0) -> Any:
    if batch_dims:
        raise Unreadable(f"it with batch_dims={batch_dims}")
    places = tuple(indices[..., k] for k in range(indices.shape[-1]))
    return x[places]


@reads("ScatterND")
def scatter_nd(at: Reader, x: Any, indices: Any, updates: Any, reduction: str = "none") -> Any:
    return ops.scatter_update(x, indices, updates, None if reduction == "none" else reduction)


@reads("OneHot", tensors=1)
def one_hot(at: Reader, indices: Any, depth: Any, values: Any, axis: int = -1) -> Any:
    (count,) = at.integers(depth, "depths")
    off, on = at.array(values, "values")
    at.bounded(indices.size * count if isinstance(indices, np.ndarray) else 0)
    found = ops.one_hot(ops.mod(indices, np.asarray(count, _dtype(indices))), count, axis, "bool")
    return ops.where(found, on, off)


@reads("NonZero", tensors=0)
def places(at: Reader, x: Any) -> Any:
    return np.stack(np.nonzero(at.array(x, "numbers, of whose signs the size depends,")))


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


@reads("ml Normalizer")
def normalizer(at: Reader, x: Any, norm: str = "MAX") -> Any:
    size = {"MAX": ops.max, "L1": ops.sum, "L2": ops.sum}[norm]
    total = size(ops.square(x) if norm == "L2" else ops.abs(x), -1, True)
    return ops.divide(x, ops.sqrt(total) if norm == "L2" else total)


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
    dtype = "uint8" if zero is None else _dtype(zero)
    low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
    codes = ops.round(ops.divide(x, _beside(scale, x, axis)))
    if zero is not None:
        codes = ops.add(codes, ops.cast(_beside(zero, x, axis), "float32"))
    return ops.cast(ops.clip(codes, low, high), dtype)


@reads("DequantizeLinear", tensors=1)
def dequantize(
    at: Reader, x: Any, scale: Any, zero: Any = None, axis: int = 1, block_size: int = 0
) -> Any:
    arrays = [None if y is None else at.array(y, "scales") for y in (scale, zero)]
    by, base = (None if y is None else _spread(y, x, axis, block_size) for y in arrays)
    codes = _computed(at, ops.cast, x, "float32")
    if base is not None and np.any(base):
        codes = _computed(at, ops.subtract, codes, base.astype("float32"))
    made = _computed(at, ops.multiply, codes, by)
    return (
        Weight(at.node.outputs[0], made) if isinstance(made, np.ndarray) and made.size > 1 else made
    )


def _beside(scale: Any, x: Any, axis: int) -> Any:
    """Scales along an axis of a tensor."""
    if len(scale.shape) != 1 or scale.shape[0] == 1:
        return scale if len(scale.shape) != 1 else ops.reshape(scale, ())
    return ops.reshape(scale, [-1 if k == axis % len(x.shape) else 1 for k in range(len(x.shape))])


def _spread(scale: Any, x: Any, axis: int, block: int) -> Any:
    if block:
        return np.repeat(scale, block, axis)[tuple(slice(0, n) for n in x.shape)]
    if scale.size == 1:
        return scale.reshape(())
    return scale.reshape([-1 if k == axis % len(x.shape) else 1 for k in range(len(x.shape))])


# ---------------------------------------------------------------- graphs within


@reads("If", tensors=0)
def if_(at: Reader, condition: Any, then_branch: Graph, else_branch: Graph) -> Any:
    """The branch that is known to be taken."""
    holds = bool(at.array(condition, "conditions").reshape(()))
    return at.run(then_branch if holds else else_branch, {})


@reads("Loop", tensors=0)
def loop(at: Reader, count: Any, condition: Any, *states: Any, body: Graph) -> Any:
    """The body written out, as often as is known."""
    times = _LONGEST + 1 if count is None else int(at.array(count, "lengths").reshape(()))
    goes_on = condition is None or bool(at.array(condition, "conditions").reshape(()))
    kept, rows = list(states), []
    names = [given.name for given in body.inputs]
    for step in range(times):
        if not goes_on:
            break
        if step >= _LONGEST:
            raise Unreadable(f"a loop of more than {_LONGEST:,} steps")
        given = dict(zip(names, [np.asarray(step, "int64"), np.asarray(True), *kept], strict=True))
        on, *made = at.run(body, given)
        goes_on = bool(at.array(on, "conditions").reshape(()))
        kept = made[: len(kept)]
        rows.append(made[len(kept) :])
    return [*kept, *(_stacked(at, column, 0) for column in zip(*rows, strict=True))]


@reads("Scan", tensors=0)
def scan(
    at: Reader, *operands: Any, body: Graph, num_scan_inputs: int, scan_input_axes: Any = None,
    scan_input_directions: Any = None, scan_output_axes: Any = None, scan_output_directions: Any = None,
) -> Any:  # fmt: skip
    """The body written out for each step of what it goes over."""
    count = len(operands) - num_scan_inputs
    kept, over = list(operands[:count]), [at.tensor(x) for x in operands[count:]]
    axes = scan_input_axes or [0] * len(over)
    backwards = scan_input_directions or [0] * len(over)
    length = over[0].shape[axes[0]]
    if length is None or length > _LONGEST:
        raise Unreadable(f"a loop over an open size, or over more than {_LONGEST:,} steps")
    names, rows = [given.name for given in body.inputs], []
    for step in range(length):
        parts = [
            x[(slice(None),) * axis + (length - 1 - step if back else step,)]
            for x, axis, back in zip(over, axes, backwards, strict=True)
        ]
        made = at.run(body, dict(zip(names, [*kept, *parts], strict=True)))
        kept = made[:count]
        rows.append(made[count:])
    columns = [list(column) for column in zip(*rows, strict=True)]
    turned = scan_output_directions or [0] * len(columns)
    along = scan_output_axes or [0] * len(columns)
    how = zip(columns, turned, along, strict=True)
    return [*kept, *(_stacked(at, c[::-1] if back else c, axis) for c, back, axis in how)]


def _stacked(at: Reader, parts: Sequence[Any], axis: int) -> Any:
    return ops.stack([at.tensor(part) for part in parts], axis)
