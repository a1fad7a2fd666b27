"""An engine from outside of Cornu: its primitives on tinygrad.

What tinygrad has, it computes; what it lacks (decompositions, Fourier transforms, sorting, ...) runs on
Cornu's NumPy engine, on the host. A tensor whose dtype tinygrad lacks (complex numbers, bfloat16, float8)
is a NumPy array, and what is done with it runs there too. Gradients are the rules of `Differentiable`,
which go through the host's functions as well.

tinygrad is lazy: a step is one graph, which is computed when the step has been built. It compiles with
clang where that is installed; `DEV=PYTHON` interprets, slowly, and needs nothing.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import optree
from tinygrad.dtype import dtypes
from tinygrad.tensor import Tensor

from cornu import engines
from cornu.engines.contract import Axes, Layout, Pads, State
from cornu.engines.differentiation.engine import Differentiable
from cornu.engines.differentiation.traced import Traced

#: tinygrad's dtypes by their standard names. Its bfloat16 is not for every compiler (clang 14 refuses it).
DTYPES = {
    name: getattr(dtypes, name)
    for name in (
        "bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64"
    ).split()
}
NAMES = {dtype: name for name, dtype in DTYPES.items()}

#: Primitives that are methods of a tensor with the same arguments, and what the method is called.
METHODS = {
    **{
        name: name
        for name in (
            "abs ceil floor round trunc sqrt rsqrt exp log log2 sin cos tan sinh cosh tanh "
            "isnan isinf isfinite logical_not bitwise_not add mod "
            "bitwise_and bitwise_or bitwise_xor where"
        ).split()
    },
    "negative": "neg",
    "subtract": "sub",
    "multiply": "mul",
    "divide": "div",
    "floor_divide": "__floordiv__",
    "arcsin": "asin",
    "arccos": "acos",
    "arccosh": "acosh",
    "arctanh": "atanh",
    "equal": "eq",
    "not_equal": "ne",
    "less": "__lt__",
    "greater": "__gt__",
    "logical_and": "bitwise_and",
    "logical_or": "bitwise_or",
    "left_shift": "lshift",
    "right_shift": "rshift",
    "stop_gradient": "detach",
    "broadcast_to": "expand",
    "transpose": "permute",
    "reshape": "reshape",
    "flip": "flip",
}

#: Primitives that run on the host.
HOSTED = (
    # What tinygrad hasn't.
    "expm1 log1p erfc erfinv lgamma i0 fmod arctan2 nextafter real imag conj complex searchsorted "
    "cholesky solve solve_triangular eigh eig lu_factor fft ifft rfft irfft random_gamma "
    "random_binomial unique nonzero "
    # What it has in another meaning or precision: infinities, NaN, ties, full matrices.
    "erf log10 power arctan arcsinh argmax argmin sort argsort top_k qr svd "
    # What it computes by comparing every index with every place.
    "scatter slice_update put"
).split()


def host(x: Any) -> Any:
    """A tensor, or a list or tuple with tensors in it, as NumPy's; computed together."""
    leaves, structure = optree.tree_flatten(x, none_is_leaf=True)
    leaves = [stored(leaf) if isinstance(leaf, Tensor) else leaf for leaf in leaves]
    if tensors := [leaf for leaf in leaves if isinstance(leaf, Tensor)]:
        Tensor.realize(*tensors)  # one by one, what they share would be computed for each
    arrays = [leaf.numpy() if isinstance(leaf, Tensor) else leaf for leaf in leaves]
    return optree.tree_unflatten(structure, arrays)


def stored(x: Tensor) -> Tensor:
    """A tensor that has memory once it is computed; a constant hasn't."""
    return x.clone() if x.device is None else x.contiguous()


def received(x: Any) -> Any:
    """The host's results as tensors, where tinygrad has their dtype."""
    if isinstance(x, tuple):
        return tuple(map(received, x))
    x = np.array(x, order="C")  # a copy: tinygrad reads it later
    if x.dtype.name not in DTYPES:
        return x
    # In memory even where it is one number: of constants, each value would make a new program.
    return Tensor(x.reshape(-1)).reshape(x.shape)


def on_host(name: str) -> Callable[..., Any]:
    """A primitive of the NumPy engine as one of this."""

    def primitive(self: Any, *args: Any) -> Any:
        return received(getattr(engines.get("numpy"), name)(*host(args)))

    return primitive


def on_device(function: Callable[..., Any]) -> Callable[..., Any]:
    """A primitive that goes to the host where an operand is there, for want of a dtype."""
    hosted = on_host(function.__name__)

    @functools.wraps(function)
    def primitive(self: Any, *args: Any) -> Any:
        parts = [x for arg in args for x in (arg if type(arg) is list else (arg,))]
        on = hosted if any(type(x) is np.ndarray for x in parts) else function
        return on(self, *args)

    return primitive


def method(name: str, of_tensor: str) -> Callable[..., Any]:
    """A primitive that is a tensor's method."""

    def primitive(self: Any, x: Tensor, *args: Any) -> Any:
        return getattr(x, of_tensor)(*args)

    primitive.__name__ = name
    return on_device(primitive)


def wide(x: Tensor) -> Tensor:
    """float16 as float32: tinygrad can't reduce it over several axes."""
    return x.float() if x.dtype == dtypes.float16 else x


def number(value: Any, dtype: str) -> Any:
    """A Python number as a dtype has it: 1e9 is infinite in float16."""
    with np.errstate(all="ignore"):
        return np.asarray(value).astype(dtype).item()


def yields(operator: Callable[..., Any]) -> Callable[..., Any]:
    """An operator of a tensor that leaves tensors which are being differentiated theirs.

    tinygrad's raises for an operand that it doesn't know, where Python would have asked the operand."""

    @functools.wraps(operator)
    def method(self: Tensor, other: Any) -> Any:
        return NotImplemented if type(other) is Traced else operator(self, other)

    return method


for _name in "add sub mul truediv floordiv mod pow matmul and or xor lt le gt ge eq ne".split():
    setattr(Tensor, f"__{_name}__", yields(getattr(Tensor, f"__{_name}__")))


class TinygradEngine(Differentiable):
    """The primitives on `tinygrad.Tensor`."""

    name = "tinygrad"
    native = Differentiable.native | {Tensor, np.ndarray}

    vars().update({name: method(name, found) for name, found in METHODS.items()})
    vars().update({name: on_host(name) for name in HOSTED})

    # ---------------------------------------------------------------- tensor

    def convert_to_tensor(self, x: Any, dtype: str | None = None) -> Any:
        if not self.is_tensor(x):  # the NumPy engine knows literals, and says what is wrong
            return received(engines.get("numpy").convert_to_tensor(host(x), dtype))
        return x if dtype in (None, self.dtype_of(x)) else self.cast(x, dtype)

    def convert_to_numpy(self, x: Any) -> Any:
        return np.asarray(host(x))

    def is_tensor(self, x: Any) -> bool:
        return isinstance(x, Tensor) or (type(x) is np.ndarray and x.dtype.name not in DTYPES)

    def dtype_of(self, x: Any) -> str:
        return NAMES[x.dtype] if isinstance(x, Tensor) else engines.get("numpy").dtype_of(x)

    def dtype_name(self, dtype: Any) -> str | None:
        return NAMES.get(dtype)  # tinygrad calls float32 `float`, as C does

    def shape_of(self, x: Any) -> tuple[Any, ...]:
        return tuple(x.shape) if isinstance(x, Tensor) else np.shape(x)

    @on_device
    def cast(self, x: Tensor, dtype: str) -> Any:
        return x.cast(DTYPES[dtype]) if dtype in DTYPES else on_host("cast")(self, x, dtype)

    @on_device
    def view(self, x: Tensor, dtype: str) -> Any:
        return x.bitcast(DTYPES[dtype]) if dtype in DTYPES else on_host("view")(self, x, dtype)

    def synchronize(self, x: Any) -> None:
        host(x)

    # ----------------------------------------------------------------- state

    def container(self, value: Any, trainable: bool, layout: Layout | None = None) -> Any:
        return received(host(self.place(value, layout)))

    # ------------------------------------------------------------ transforms

    def cond(self, pred: Any, true_fn: Callable[[], Any], false_fn: Callable[[], Any]) -> Any:
        return super().cond(bool(self.convert_to_numpy(pred)), true_fn, false_fn)

    def while_loop(
        self, cond: Callable[..., Any], body: Callable[..., Any], state: tuple[Any, ...]
    ) -> Any:
        return super().while_loop(lambda *now: bool(self.convert_to_numpy(cond(*now))), body, state)

    def compile(
        self, step: Callable[..., Any], state: State, jit: bool | None = None
    ) -> Callable[..., Any]:
        """The step as one graph: nothing is computed until all of it is known."""

        def call(*args: Any) -> Any:
            given: Any = args
            with state.bound(*state.read()) as collect:
                result = step(*optree.tree_map(self.convert_to_tensor, given))
                after = collect()
            made: Any = (result, after)
            made = optree.tree_map(lambda x: stored(x) if isinstance(x, Tensor) else x, made)
            Tensor.realize(*(x for x in optree.tree_leaves(made) if isinstance(x, Tensor)))
            result, after = made
            state.write(after)
            return result

        return call

    def eval_shape(self, f: Callable[..., Any], *specs: Any) -> Any:
        result = f(*(self.full(shape, 0, dtype) for shape, dtype in specs))
        return optree.tree_map(lambda x: (self.shape_of(x), self.dtype_of(x)), result)

    # ---------------------------------------------------------------- create

    def full(self, shape: tuple[Any, ...], value: Any, dtype: str) -> Any:
        if dtype not in DTYPES:
            return on_host("full")(self, shape, value, dtype)
        if isinstance(value, Tensor):
            return value.cast(DTYPES[dtype]).reshape((1,) * len(shape)).expand(shape)
        return Tensor.full(shape, number(value, dtype), dtype=DTYPES[dtype], buffer=False)

    def arange(self, start: Any, stop: Any, step: Any, dtype: str) -> Any:
        return on_host("arange")(self, start, stop, step, dtype)

    # -------------------------------------------------------- unary, binary
    # tinygrad's own give 1 for the sign of NaN, and no NaN for the larger one of it and a number.

    @on_device
    def sign(self, x: Tensor) -> Any:
        return x.isnan().where(x, x.sign())

    @on_device
    def maximum(self, x1: Tensor, x2: Tensor) -> Any:
        return _nan_first(x1, x2, x1.maximum(x2))

    @on_device
    def minimum(self, x1: Tensor, x2: Tensor) -> Any:
        return _nan_first(x1, x2, x1.minimum(x2))

    @on_device
    def less_equal(self, x1: Tensor, x2: Tensor) -> Any:
        return (x1 < x2) | (x1 == x2)  # tinygrad's is `not x1 > x2`: true of NaN

    # ------------------------------------------------- select, reduce, scan

    @on_device
    def sum(self, x: Tensor, axes: Axes, keepdims: bool) -> Any:
        return x.sum(axes, keepdims).cast(x.dtype) if axes else x

    @on_device
    def prod(self, x: Tensor, axes: Axes, keepdims: bool) -> Any:
        return wide(x).prod(axes, keepdims).cast(x.dtype) if axes else x

    @on_device
    def max(self, x: Tensor, axes: Axes, keepdims: bool) -> Any:
        return _nan_kept(x, axes, keepdims, wide(x).max(axes, keepdims)) if axes else x

    @on_device
    def min(self, x: Tensor, axes: Axes, keepdims: bool) -> Any:
        return _nan_kept(x, axes, keepdims, wide(x).min(axes, keepdims)) if axes else x

    @on_device
    def all(self, x: Tensor, axes: Axes, keepdims: bool) -> Any:
        return x.all(axes, keepdims) if axes else x

    @on_device
    def any(self, x: Tensor, axes: Axes, keepdims: bool) -> Any:
        return x.any(axes, keepdims) if axes else x

    @on_device
    def cumsum(self, x: Tensor, axis: int) -> Any:
        return x.cumsum(axis).cast(x.dtype)

    @on_device
    def cumprod(self, x: Tensor, axis: int) -> Any:
        return x.cumprod(axis).cast(x.dtype)

    # ---------------------------------------------------------- move, index

    @on_device
    def concatenate(self, xs: Sequence[Tensor], axis: int) -> Any:
        return xs[0].cat(*xs[1:], dim=axis)

    @on_device
    def pad(self, x: Tensor, pads: Pads, value: Any) -> Any:
        sizes = zip(x.shape, pads, strict=True)  # a negative pad takes away
        kept = tuple((max(-low, 0), size - max(-high, 0)) for size, (low, high) in sizes)
        added = tuple((max(low, 0), max(high, 0)) for low, high in pads)
        return x.shrink(kept).pad(added, value=number(value, NAMES[x.dtype]))

    @on_device
    def take(self, x: Tensor, indices: Tensor, axis: int) -> Any:
        return x[(slice(None),) * axis + (indices,)]

    @on_device
    def take_along_axis(self, x: Tensor, indices: Tensor, axis: int) -> Any:
        shape = [*x.shape]
        shape[axis] = indices.shape[axis]
        indices = (indices < 0).where(indices + x.shape[axis], indices)
        return x.gather(axis, indices.expand(shape))

    @on_device
    def get_item(self, x: Tensor, key: tuple[Any, ...]) -> Any:
        return x[key]

    @on_device
    def slice(self, x: Tensor, start: Sequence[Any], shape: tuple[int, ...]) -> Any:
        blocks = zip(start, x.shape, shape, strict=True)
        begins = [min(max(int(host(at)), 0), size - length) for at, size, length in blocks]
        return x.shrink(tuple((at, at + length) for at, length in zip(begins, shape, strict=True)))

    # ----------------------------------------------------- contract, window

    @on_device
    def matmul(self, x1: Tensor, x2: Tensor) -> Any:
        return x1.matmul(x2).cast(x1.dtype)

    @on_device
    def einsum(self, subscripts: str, operands: Sequence[Tensor]) -> Any:
        terms = subscripts.partition("->")[0].replace(".", "").split(",")
        if any(len(set(term)) < len(term) for term in terms):
            return on_host("einsum")(self, subscripts, operands)  # tinygrad confuses its axes
        return Tensor.einsum(subscripts, *operands).cast(operands[0].dtype)

    @on_device
    def conv(
        self, x: Tensor, kernel: Tensor, strides: Axes, pads: Pads, dilation: Axes, groups: int
    ) -> Any:
        images = _channels_first(self.pad(x, ((0, 0), *pads, (0, 0)), 0))
        rank = len(strides)
        weights = kernel.permute(rank + 1, rank, *range(rank))
        result = images.conv2d(weights, groups=groups, stride=strides, dilation=dilation)
        return _channels_last(result).cast(x.dtype)

    @on_device
    def max_pool(self, x: Tensor, window: Axes, strides: Axes, pads: Pads) -> Any:
        lowest = x.dtype.min if dtypes.is_int(x.dtype) else -math.inf
        images = _channels_first(self.pad(x, ((0, 0), *pads, (0, 0)), lowest))
        largest: Any = wide(images).max_pool2d(window, strides)
        return _channels_last(largest).cast(x.dtype)

    @on_device
    def average_pool(self, x: Tensor, window: Axes, strides: Axes, pads: Pads) -> Any:
        ones = Tensor.full((1, *x.shape[1:-1], 1), 1.0, dtype=x.dtype, buffer=False)
        total, count = (
            _channels_first(self.pad(part, ((0, 0), *pads, (0, 0)), 0)).avg_pool2d(window, strides)
            for part in (x, ones)
        )
        return _channels_last(total / count).cast(x.dtype)


def _nan_first(x1: Tensor, x2: Tensor, chosen: Tensor) -> Tensor:
    """One of two, but what is NaN if either is."""
    if not dtypes.is_float(x1.dtype):
        return chosen
    return x1.isnan().where(x1, x2.isnan().where(x2, chosen))


def _nan_kept(x: Tensor, axes: Axes, keepdims: bool, chosen: Tensor) -> Tensor:
    """The largest or smallest element, but NaN where there is one."""
    if not dtypes.is_float(x.dtype):
        return chosen
    return x.isnan().any(axes, keepdims).where(float("nan"), chosen).cast(x.dtype)


def _channels_first(x: Tensor) -> Tensor:
    """(n, *spatial, i) as (n, i, *spatial)."""
    return x.permute(0, x.ndim - 1, *range(1, x.ndim - 1))


def _channels_last(x: Tensor) -> Tensor:
    """(n, i, *spatial) as (n, *spatial, i)."""
    return x.permute(0, *range(2, x.ndim), 1)
