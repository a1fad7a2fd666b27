"""Ops on tensors as such: conversion, slicing and scattering, control flow over functions."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from ..core import dtypes, tree
from ..core.checks import one_of
from ..core.dtypes import is_float, numpy_dtype, standardize_dtype
from ..core.keras_tensor import KerasTensor
from ..core.op import namespace
from ..core.types import DType, Index, Nest, Raw, Tensor
from ..core.variable import Variable
from ..engines import current as engine
from ._bodies import axis_from_front

op = namespace("core")

# ------------------------------------------------------------------ conversion


@op(compose=False)
def convert_to_tensor(
    x: Nest, dtype: DType = None, sparse: bool | None = None, ragged: bool | None = None
) -> Tensor:
    """A tensor of the current engine from numbers, nested lists, arrays or variables.

    Args:
        x: What to convert; a tensor stays as it is.
        dtype: The result's dtype; by default that of x, and int32 or floatx for Python's numbers.
        sparse: Whether a sparse tensor stays one; it does unless this is False.
        ragged: Kept for compatibility; the result is dense.

    >>> convert_to_tensor([1, 2]).tolist()
    [1, 2]
    """
    return engine().convert_to_tensor(x, None if dtype is None else standardize_dtype(dtype))


def convert_to_numpy(x: Any) -> np.ndarray[Any, Any]:
    """A tensor's value as a NumPy array, which may be written into and is nobody else's.

    Raises:
        ValueError: If the tensor is symbolic.

    >>> convert_to_numpy([1, 2])
    array([1, 2])
    """
    if isinstance(x, KerasTensor):
        raise ValueError(
            "A KerasTensor is part of a model under construction and has no value. "
            f"Received: x={x!r}. Use functions of `cornu.ops` on it instead of NumPy's."
        )
    if isinstance(x, Variable):
        return x.numpy()
    current = engine()
    return owned(current.convert_to_numpy(x) if current.is_tensor(x) else np.asarray(x), x)


def owned(host: np.ndarray[Any, Any], x: Any) -> np.ndarray[Any, Any]:
    """An array that was made of x, or a copy of it where others have it too."""
    flags = host.flags
    own = flags.owndata and flags.writeable and host is not x
    return host if own else host.copy()


def is_tensor(x: Any) -> bool:
    """Whether x is a tensor of the current engine.

    >>> is_tensor(convert_to_tensor(1.0)), is_tensor(1.0)
    (True, False)
    """
    return engine().is_tensor(x)


@op(compose=False)
def cast(x: Nest, dtype: DType) -> Tensor:
    """The values in another dtype; floats are truncated to integers.

    >>> cast([1.5, -1.5], "int32").tolist()
    [1, -1]
    """
    dtype = standardize_dtype(dtype)
    if not engine().is_tensor(x):
        return engine().convert_to_tensor(x, dtype)
    return x if engine().dtype_of(x) == dtype else engine().cast(x, dtype)


@op
def saturate_cast(x: Raw, dtype: DType) -> Tensor:
    """`cast` with values out of the dtype's range clipped to it.

    >>> saturate_cast([-1.0, 3.0, 300.0], "uint8").tolist()
    [0, 3, 255]
    """
    dtype, source = standardize_dtype(dtype), engine().dtype_of(x)
    if source == "bool" or dtypes.is_complex(source):
        return engine().cast(x, dtype)
    (low, high), (lowest, highest) = _limits(dtype, source), _limits(source, source)
    bounds = (engine().full((), bound, source) for bound in (max(low, lowest), min(high, highest)))
    x = engine().maximum(x, next(bounds))
    return engine().cast(engine().minimum(x, next(bounds)), dtype)


def _limits(dtype: str, source: str) -> tuple[Any, Any]:
    """The finite range of a dtype, in numbers that the source dtype holds."""
    if dtype == "bool":
        return 0, 1
    if is_float(dtype):
        largest = _largest_float(numpy_dtype(dtype))
        return -largest, largest
    low, high = int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)
    if not is_float(source):
        return low, high
    return low, float(_below(high, numpy_dtype(source)))


def _below(value: int, dtype: np.dtype[Any]) -> Any:
    """The largest float of a dtype that is not above an integer 2**k - 1."""
    with np.errstate(over="ignore"):
        held = np.float64(value).astype(dtype)
    if not np.isfinite(held):
        return _largest_float(dtype)
    return held if float(held) <= value else np.nextafter(held, dtype.type(0))


def _largest_float(dtype: np.dtype[Any]) -> float:
    import ml_dtypes

    return float(ml_dtypes.finfo(dtype).max)  # type: ignore[no-untyped-call]


def dtype(x: Any) -> str:
    """The dtype's name.

    >>> dtype(convert_to_tensor([1.0, 2.0]))
    'float32'
    """
    if not hasattr(x, "dtype"):
        x = engine().convert_to_tensor(x)
    return standardize_dtype(x.dtype)


def shape(x: Any) -> tuple[Any, ...]:
    """The shape as a tuple.

    Of a symbolic tensor, unknown dimensions are None. Within a layer or an op of which only the
    shape is being inferred, they are numbers that support arithmetic and `reshape`.

    >>> shape(convert_to_tensor([[1.0, 2.0]]))
    (1, 2)
    """
    if isinstance(x, Variable) or (isinstance(x, KerasTensor) and engine().computes):
        return x.shape
    if not engine().is_tensor(x):
        return np.shape(x)
    return engine().shape_of(x)


@op
def stop_gradient(variable: Raw) -> Tensor:
    """The same values, constant for differentiation.

    >>> stop_gradient([1.0, 2.0]).tolist()
    [1.0, 2.0]
    """
    return engine().stop_gradient(variable)


# ------------------------------------------------------------- slice and scatter


@op(compose=False)
def slice(inputs: Raw, start_indices: Nest, shape: Any) -> Tensor:
    """The block of a shape at a place.

    Args:
        inputs: A tensor.
        start_indices: One index for each axis; they may be tensors.
        shape: The block's shape; -1 takes the rest of an axis whose index is a Python integer.

    >>> slice([[1, 2, 3], [4, 5, 6]], [0, 1], [2, 2]).tolist()
    [[2, 3], [5, 6]]
    """
    start = _starts("slice", inputs, start_indices)
    dims = engine().shape_of(inputs)
    if len(shape) != len(dims):
        raise ValueError(
            f"`slice` takes one size for each axis. Received: shape={tuple(shape)}, inputs.shape={dims}."
        )
    sizes = zip(shape, dims, start, strict=True)
    # `None` stands for an unknown size, in a shape read off a symbolic tensor.
    shape = tuple(dim - at if _is_rest(size) else size for size, dim, at in sizes)
    return engine().slice(inputs, start, shape)


@op(compose=False)
def slice_update(inputs: Raw, start_indices: Nest, updates: Raw) -> Tensor:
    """A tensor with the block at a place replaced.

    Args:
        inputs: A tensor.
        start_indices: One index for each axis; they may be tensors.
        updates: The block, of the inputs' rank.

    >>> slice_update([1.0, 2.0, 3.0], [1], [5.0, 6.0]).tolist()
    [1.0, 5.0, 6.0]
    """
    start = _starts("slice_update", inputs, start_indices)
    updates = engine().cast(updates, engine().dtype_of(inputs))
    return engine().slice_update(inputs, start, updates)


def _is_rest(size: Any) -> bool:
    return isinstance(size, (int, np.integer)) and size == -1


def _starts(name: str, inputs: Tensor, start: Any) -> tuple[Any, ...]:
    rank = len(engine().shape_of(inputs))
    if engine().is_tensor(start):
        # A vector of indices; a single one stands for a vector's only axis.
        axes = len(engine().shape_of(start))
        start = [engine().get_item(start, (axis,)) for axis in range(rank)] if axes else [start]
    elif isinstance(start, (int, np.integer)):
        start = [start]
    if len(start) != rank:
        raise ValueError(
            f"`{name}` takes one start index for each axis. Received: "
            f"start_indices={tuple(start)}, inputs.shape={engine().shape_of(inputs)}."
        )
    return tuple(int(at) if isinstance(at, np.integer) else at for at in start)


@op
def scatter(indices: Index, values: Raw, shape: Any) -> Tensor:
    """Zeros with values added at indices.

    Args:
        indices: `(..., k)`: positions along the first k axes.
        values: `(..., *rest)`, where `rest` are the axes after the first k.
        shape: The result's shape.

    >>> scatter([[0], [2], [0]], [1.0, 2.0, 3.0], (3,)).tolist()
    [4.0, 0.0, 2.0]
    """
    zeros = engine().full(tuple(shape), 0, engine().dtype_of(values))
    return engine().scatter(zeros, indices, values, "add")


_REDUCTIONS = (None, "add", "max", "min", "mul")


@op
def scatter_update(
    inputs: Raw, indices: Index, updates: Raw, reduction: str | None = None
) -> Tensor:
    """A tensor with updates put at indices.

    Args:
        inputs: A tensor.
        indices: `(..., k)`: positions along the first k axes.
        updates: `(..., *rest)`, where `rest` are the axes after the first k.
        reduction: How an update joins what is there: `"add"`, `"max"`, `"min"` or `"mul"`; by
            default it takes its place.

    >>> scatter_update([1.0, 2.0, 3.0], [[0], [2]], [5.0, 6.0]).tolist()
    [5.0, 2.0, 6.0]
    """
    one_of(_REDUCTIONS, reduction=reduction)
    updates = engine().cast(updates, engine().dtype_of(inputs))
    return engine().scatter(inputs, indices, updates, reduction or "set")


@op
def unstack(x: Raw, num: int | None = None, axis: int = 0) -> list[Tensor]:
    """The slices along an axis, as a list.

    Args:
        x: A tensor.
        num: How many slices there are, where the size of the axis is unknown.
        axis: The axis, which the slices don't have.

    >>> [row.tolist() for row in unstack([[1, 2], [3, 4]])]
    [[1, 2], [3, 4]]
    """
    dims = engine().shape_of(x)
    axis = axis_from_front(axis, len(dims))
    count = dims[axis] if num is None else num
    if not isinstance(count, int):
        raise ValueError(
            "The number of slices must be known. "
            f"Received: x.shape={dims}, axis={axis}, num=None. Give `num`."
        )
    if isinstance(dims[axis], int) and count != dims[axis]:
        raise ValueError(
            "`num` must be the size of the axis. "
            f"Received: num={num}, x.shape={dims}, axis={axis}. Leave `num` out."
        )
    before = (np.s_[:],) * axis
    return [engine().get_item(x, (*before, place)) for place in range(count)]


# ------------------------------------------------------------------ control flow


@op(compose=False, called=("true_fn", "false_fn"))
def cond(pred: Nest, true_fn: Callable[[], Any], false_fn: Callable[[], Any]) -> Any:
    """The result of one of two calls.

    Args:
        pred: A scalar condition.
        true_fn, false_fn: Calls without arguments that give the same structure of tensors.

    >>> int(cond(convert_to_tensor(True), lambda: 1, lambda: 2))
    1
    """
    _check_callable(true_fn=true_fn, false_fn=false_fn)
    condition = engine().convert_to_tensor(pred)
    if len(engine().shape_of(condition)):
        raise ValueError(
            "`pred` must be a scalar. "
            f"Received: pred.shape={engine().shape_of(condition)}. Use `where` to choose elements."
        )
    dtype = engine().dtype_of(condition)
    if dtype != "bool":
        condition = engine().not_equal(condition, engine().full((), 0, dtype))
    return engine().cond(condition, lambda: _tensors(true_fn()), lambda: _tensors(false_fn()))


def switch(index: Any, branches: Any, *operands: Any) -> Any:
    """The result of one of several calls.

    Args:
        index: A scalar integer: which one. Beyond the ends, the first or the last is taken.
        branches: Functions of the operands, which give the same structure of tensors.
        *operands: Tensors.

    >>> int(switch(1, [lambda x: x + 1, lambda x: x * 10], convert_to_tensor(3)))
    30
    """
    return _switch(index, branches, operands)


@op(compose=False, named="switch", called=("branches",))
def _switch(index: Nest, branches: Any, operands: Nest = ()) -> Any:
    branches = tuple(branches)
    if not branches:
        raise ValueError("`switch` needs at least one branch. Received: branches=[].")
    _check_callable(**{f"branches[{i}]": branch for i, branch in enumerate(branches)})
    number = engine().convert_to_tensor(index)
    operands = _tensors(tuple(operands))

    def choose(first: int) -> Any:
        if first == len(branches) - 1:
            return _tensors(branches[first](*operands))
        last = engine().full((), first, engine().dtype_of(number))
        return engine().cond(
            engine().less_equal(number, last),
            lambda: _tensors(branches[first](*operands)),
            lambda: choose(first + 1),
        )

    return choose(0)


@op(compose=False)
def while_loop(
    cond: Callable[..., Any],
    body: Callable[..., Any],
    loop_vars: Nest,
    maximum_iterations: int | None = None,
) -> Any:
    """`loop_vars = body(*loop_vars)` while `cond(*loop_vars)`.

    Args:
        cond: Gives a scalar condition.
        body: Gives new loop variables, of the same structure, shapes and dtypes.
        loop_vars: A tuple or list of structures of tensors, or a single one.
        maximum_iterations: After how many turns the loop ends in any case.

    Returns:
        The last loop variables: a tuple, or a single structure where one was given.

    >>> int(while_loop(lambda i: i < 10, lambda i: i + 3, 0))
    12
    """
    _check_callable(cond=cond, body=body)
    several = isinstance(loop_vars, (tuple, list))
    state = _tensors(tuple(loop_vars) if several else (loop_vars,))

    def turn(*state: Any) -> tuple[Any, ...]:
        result = _tensors(body(*state))
        return tuple(result) if isinstance(result, (tuple, list)) else (result,)

    def holds(*state: Any) -> Tensor:
        return engine().cast(_tensor(cond(*state)), "bool")

    if maximum_iterations is None:
        state = engine().while_loop(holds, turn, state)
    else:
        limit, one = (engine().full((), size, "int32") for size in (maximum_iterations, 1))
        state = engine().while_loop(
            lambda count, *state: engine().logical_and(engine().less(count, limit), holds(*state)),
            lambda count, *state: (engine().add(count, one), *turn(*state)),
            (engine().full((), 0, "int32"), *state),
        )[1:]
    return tuple(state) if several else state[0]


@op(compose=False, constructed=("lower", "upper"))
def fori_loop(lower: Nest, upper: Nest, body_fun: Callable[..., Any], init_val: Nest) -> Any:
    """`val = body_fun(i, val)` for i from `lower` to `upper` - 1.

    Args:
        lower, upper: Integers. The loop can be differentiated on every engine where both are
            Python's.
        body_fun: Gives the new value, of the same structure, shapes and dtypes.
        init_val: A structure of tensors.

    >>> int(fori_loop(0, 4, lambda i, total: total + i, 0))
    6
    """
    _check_callable(body_fun=body_fun)
    init = _tensors(init_val)
    if isinstance(lower, int) and isinstance(upper, int):
        steps = engine().arange(lower, max(lower, upper), 1, "int32")

        def turn(val: Any, i: Tensor) -> tuple[Any, None]:
            return _tensors(body_fun(i, val)), None

        return engine().scan(turn, init, steps, None, False)[0]
    first, end = (engine().cast(_tensor(bound), "int32") for bound in (lower, upper))
    one = engine().full((), 1, "int32")
    return engine().while_loop(
        lambda i, val: engine().less(i, end),
        lambda i, val: (engine().add(i, one), _tensors(body_fun(i, val))),
        (first, init),
    )[1]


@op(compose=False, called=("f",))
def scan(
    f: Callable[..., Any],
    init: Nest,
    xs: Nest = None,
    length: int | None = None,
    reverse: bool = False,
    unroll: int | bool = 1,
) -> tuple[Any, Any]:
    """`carry, y = f(carry, x)` for each slice x of the leading axis.

    Args:
        f: Gives the new carry, of the same structure, shapes and dtypes, and a result.
        init: The first carry: a structure of tensors.
        xs: A structure of tensors with one leading axis size, or None.
        length: How many steps; needed where `xs` is None.
        reverse: Whether to go from the last slice to the first.
        unroll: Kept for compatibility: engines choose how they lower a loop.

    Returns:
        The last carry, and the results stacked along a new leading axis.

    >>> carry, sums = scan(lambda total, x: (total + x, total + x), 0, convert_to_tensor([1, 2, 3]))
    >>> int(carry), sums.tolist()
    (6, [1, 3, 6])
    """
    _check_callable(f=f)
    if not isinstance(unroll, bool) and (not isinstance(unroll, int) or unroll < 1):
        raise ValueError(
            f"`unroll` must be a positive integer or a boolean. Received: unroll={unroll!r}."
        )
    init, xs = _tensors(init), _tensors(xs)
    sizes = _leading_sizes("scan", xs)
    if not sizes and length is None:
        raise ValueError(
            "`scan` needs a number of steps. Received: xs=None, length=None. Give one of them."
        )
    if length is not None and any(size != length for size in sizes if isinstance(size, int)):
        raise ValueError(
            "`length` must be the size of the leading axis of `xs`. "
            f"Received: length={length}, leading axes {sizes}. Leave `length` out."
        )

    def step(carry: Any, x: Any) -> tuple[Any, Any]:
        carry, y = f(carry, x)
        return _tensors(carry), _tensors(y)

    return engine().scan(step, init, xs, length, reverse)


@op(compose=False, called=("f",))
def map(f: Callable[[Any], Any], xs: Nest) -> Any:
    """`f` of each slice of the leading axis, one after the other, stacked.

    `vectorized_map` does it for all slices at once.

    Args:
        f: A function of one slice of each tensor.
        xs: A structure of tensors with one leading axis size.

    >>> map(lambda x: x * 2, convert_to_tensor([1, 2, 3])).tolist()
    [2, 4, 6]
    """
    _check_callable(f=f)
    return engine().scan(lambda carry, x: (carry, _tensors(f(x))), (), _tensors(xs), None, False)[1]


@op(compose=False)
def vectorized_map(function: Callable[[Any], Any], elements: Nest) -> Any:
    """`function` of each slice of the leading axis, as one batched computation.

    Args:
        function: A function of one slice of each tensor.
        elements: A structure of tensors with one leading axis size.

    >>> vectorized_map(lambda x: x * 2, convert_to_tensor([1, 2, 3])).tolist()
    [2, 4, 6]
    """
    _check_callable(function=function)
    return engine().vectorized_map(lambda x: _tensors(function(x)), _tensors(elements))


@op(compose=False, called=("f",))
def associative_scan(
    f: Callable[..., Any], elems: Nest, reverse: bool = False, axis: int = 0
) -> Any:
    """Running results of an associative function along an axis, in logarithmically many steps.

    Element i of the result is `f(...f(f(x[0], x[1]), x[2])..., x[i])`.

    Args:
        f: `f(a, b)` of structures like `elems`, of any size along the axis, elementwise in it.
        elems: A structure of tensors of one size along the axis.
        reverse: Whether to start from the end.
        axis: The axis.

    >>> associative_scan(lambda a, b: a + b, convert_to_tensor([1, 2, 3])).tolist()
    [1, 3, 6]
    """
    _check_callable(f=f)
    leaves = [_tensor(leaf) for leaf in tree.flatten(elems)]
    axes = [axis_from_front(axis, len(engine().shape_of(leaf))) for leaf in leaves]
    sizes = [engine().shape_of(leaf)[at] for leaf, at in zip(leaves, axes, strict=True)]
    if len({size for size in sizes if isinstance(size, int)}) > 1:
        raise ValueError(
            "The tensors of `associative_scan` must have one size along the axis. "
            f"Received: axis={axis}, sizes {sizes}."
        )

    def combine(left: list[Tensor], right: list[Tensor]) -> list[Tensor]:
        packed = [tree.pack_sequence_as(elems, side) for side in (left, right)]
        return [_tensor(leaf) for leaf in tree.flatten(f(*packed))]

    def turned(xs: list[Tensor]) -> list[Tensor]:
        return [engine().flip(x, (at,)) for x, at in zip(xs, axes, strict=True)]

    known = next((size for size in sizes if isinstance(size, int)), None)
    if known is None:
        engine().shape_alone("associative_scan")  # which is its operand's
        return tree.pack_sequence_as(elems, combine(leaves, leaves))
    found = _running(combine, turned(leaves) if reverse else leaves, axes, known)
    return tree.pack_sequence_as(elems, turned(found) if reverse else found)


def _running(
    combine: Callable[..., list[Tensor]], xs: list[Tensor], axes: list[int], size: int
) -> list[Tensor]:
    """Running results: those of neighbours' pairs are the odd places; the even ones follow."""
    if size < 2:
        return xs

    def part(xs: list[Tensor], start: int, stop: int | None, step: int = 1) -> list[Tensor]:
        pairs = zip(xs, axes, strict=True)
        return [engine().slice_axis(x, axis, start, stop, step) for x, axis in pairs]

    pairs = combine(part(xs, 0, size - 1, 2), part(xs, 1, size, 2))
    odd = _running(combine, pairs, axes, size // 2)
    even = part(xs, 2, size, 2)
    rest = (size - 1) // 2
    if rest:
        even = combine(part(odd, 0, rest), even)
    first = part(xs, 0, 1)
    even = [
        engine().concatenate([one, more], axis) if rest else one
        for one, more, axis in zip(first, even, axes, strict=True)
    ]
    columns = zip(even, odd, axes, strict=True)
    return [_interleaved(left, right, axis) for left, right, axis in columns]


def _interleaved(even: Tensor, odd: Tensor, axis: int) -> Tensor:
    """even[0], odd[0], even[1], ..., where even may have one more."""
    dims = engine().shape_of(odd)
    paired = engine().slice_axis(even, axis, 0, dims[axis])
    columns = [
        engine().reshape(x, (*dims[: axis + 1], 1, *dims[axis + 1 :])) for x in (paired, odd)
    ]
    both = engine().concatenate(columns, axis + 1)
    both = engine().reshape(both, (*dims[:axis], dims[axis] * 2, *dims[axis + 1 :]))
    if engine().shape_of(even)[axis] == dims[axis]:
        return both
    return engine().concatenate([both, engine().slice_axis(even, axis, dims[axis], None)], axis)


def custom_gradient(f: Callable[..., Any]) -> Callable[..., Any]:
    """A function with a gradient of its own.

    Args:
        f: Gives a pair: the result, and a function from its upstream gradient to the gradients of
            the arguments. The upstream gradient comes as the keyword `upstream` or as the only
            argument, so that function has the form `grad(*args, upstream=None)`.

    >>> @custom_gradient
    ... def round_straight_through(x):
    ...     return engine().round(x), lambda *args, upstream=None: upstream or args[0]
    >>> float(round_straight_through(convert_to_tensor(1.4)))
    1.0
    """
    _check_callable(f=f)

    @functools.wraps(f)
    def call(*args: Any, **kwargs: Any) -> Any:
        return _call_with_gradient(f, args, kwargs)

    return call


@op(compose=False, named="custom_gradient")
def _call_with_gradient(f: Callable[..., Any], args: Nest, kwargs: Nest) -> Any:
    """`f(*args, **kwargs)` with the gradient that f gives."""
    return engine().custom_gradient(f)(*_tensors(args), **kwargs)


# ----------------------------------------------------------------------- helpers


def _tensor(x: Any) -> Tensor:
    """x as a tensor of the current engine."""
    if isinstance(x, Variable):
        return x.value
    return x if engine().is_tensor(x) else engine().convert_to_tensor(x)


def _tensors(structure: Any) -> Any:
    """A structure with its leaves as tensors; None stays."""
    return tree.map_structure(_tensor, structure, none_is_leaf=False)


def _leading_sizes(name: str, xs: Any) -> list[Any]:
    shapes = [engine().shape_of(x) for x in tree.flatten(xs) if x is not None]
    if () in shapes:
        raise ValueError(
            f"`{name}` goes along the leading axis. Received: a scalar among `xs`. "
            "Give tensors of at least one axis."
        )
    return [dims[0] for dims in shapes]


def _check_callable(**functions: Any) -> None:
    for name, function in functions.items():
        if not callable(function):
            raise TypeError(f"`{name}` must be callable. Received: {name}={function!r}.")
