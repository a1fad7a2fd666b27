"""The PyTensor engine: the living successor of Theano. A step becomes one symbolic graph, made once.

What it computes with is in `arrays.py`: outside of steps an op runs at once. A step becomes a
function once for each structure, shape and dtype of its arguments, so that every shape is known where
PyTensor can find it. By itself the function is interpreted, by NumPy, and starts at once. Where
PyTensor was told a mode (`PYTENSOR_FLAGS=mode=NUMBA`), it is compiled in that after three calls, which
pays in long training. One CPU core, Adam, an MLP 784-512-256-10 on batches of 64, an LSTM of 64 units on
(32, 32, 32), and two convolutions of 32 and 64 filters on (32, 28, 28, 1):

|              | start  | step of the MLP, LSTM, CNN | compilation, once and from the cache |
|--------------|--------|----------------------------|--------------------------------------|
| by itself    | 0.5 s  | 10 ms, 52 ms, 39 ms        |                                      |
| `mode=NUMBA` | 0.5 s  | 3.5 ms, 10 ms              | 18 s and 1.4 s, 131 s and 2.7 s      |

Numba takes minutes to compile the CNN's, whose time goes into products of matrices anyway.

PyTensor has no bfloat16 and no float8, and neither Numba nor C computes in float16: asked for one of
them, this engine computes in float32 (`canonical_dtype`), which holds all their values.
"""

from __future__ import annotations

import math
import operator
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import optree
import pytensor
import pytensor.tensor as pt
from pytensor.gradient import disconnected_grad
from pytensor.graph.basic import Constant
from pytensor.graph.replace import graph_replace
from pytensor.graph.traversal import truncated_graph_inputs
from pytensor.ifelse import ifelse

from .. import host, loops, programs
from ..contract import Axes, Engine, Layout, Pads, State, Tensor
from . import graph
from .arrays import (
    Array,
    Function,
    Variable,
    applied,
    as_arrays,
    dtype_for,
    owned,
    primitive,
    scope,
    within,
)
from .graph import as_array

#: How many steps of a loop within a compiled step are written out.
_UNROLLED = 1


def _named(names: str, **renamed: str) -> dict[str, Any]:
    """PyTensor's functions of these names, or under others, as methods."""
    found = {name: name for name in names.split()} | renamed
    return {name: primitive(getattr(pt, theirs)) for name, theirs in found.items()}


# ----------------------------------------------------------------------- engine


class PyTensorEngine(Engine):
    """The primitives on PyTensor's variables."""

    name = "pytensor"

    vars().update(
        **_named("ceil floor sqrt exp expm1 log log1p log2 log10 sin cos tan sinh cosh tanh"),
        **_named("arcsin arccos arctan arcsinh arccosh arctanh erf erfc erfinv sigmoid i0"),
        **_named("isnan isinf complex arctan2 trunc"),
        **_named("", lgamma="gammaln", logical_not="invert", bitwise_not="invert"),
        **_named("", divide="true_div", floor_divide="int_div"),
        **_named("mod", power="pow", equal="eq", not_equal="neq", less="lt", less_equal="le"),
        **_named("", greater="gt", greater_equal="ge", where="switch"),
        **_named("", logical_and="and_", logical_or="or_", logical_xor="xor"),
        **_named("", bitwise_and="and_", bitwise_or="or_", bitwise_xor="xor"),
        maximum=primitive(graph.maximum),
        minimum=primitive(graph.minimum),
        fmod=primitive(graph.fmod),
        nextafter=primitive(graph.nextafter),
        left_shift=primitive(graph.binary_op("left_shift")),
        right_shift=primitive(graph.binary_op("right_shift")),
        **{name: graph.by_parts(getattr(pt, name[:3])) for name in ("add", "subtract", "negative")},
        get_item=graph.by_parts(operator.getitem),
    )

    def __init__(self) -> None:
        super().__init__()
        self.native = frozenset({*type(self).native, Array, np.ndarray})

    # ---------------------------------------------------------------- tensor

    def convert_to_tensor(self, x: Any, dtype: str | None = None) -> Tensor:
        return as_array(x, dtype)

    def convert_to_numpy(self, x: Tensor) -> Any:
        return np.asarray(x)

    def is_tensor(self, x: Any) -> bool:
        return x.__class__ is Array

    def is_traced(self, x: Any) -> bool:
        return isinstance(x, Array) and x.value is None

    def dtype_of(self, x: Tensor) -> str:
        return x.dtype if x.__class__ is Array else dtype_for(host.dtype_of(x))

    def shape_of(self, x: Tensor) -> tuple[Any, ...]:
        return x.shape if x.__class__ is Array else np.shape(x)

    def cast(self, x: Tensor, dtype: str) -> Tensor:
        return as_array(x, dtype)

    def stop_gradient(self, x: Tensor) -> Tensor:
        return applied(disconnected_grad, x) if isinstance(x, Array) and x.tracked else x

    @primitive
    def view(x: Variable, dtype: str) -> Variable:
        target = np.dtype(dtype_for(dtype))
        if {x.type.dtype, dtype} == {"int32", "uint32"}:
            return pt.cast(x, dtype)  # wraps around, as the bytes do
        *leading, last = x.type.shape
        last = None if last is None else last * x.type.numpy_dtype.itemsize // target.itemsize
        return graph.on_host(
            lambda value: host.view(value, dtype), [(target.name, (*leading, last))], x
        )

    def canonical_dtype(self, dtype: str) -> str:
        return dtype_for(dtype)

    def from_dlpack(self, x: Any) -> Tensor:
        return Array(owned(np.from_dlpack(x)))

    # ---------------------------------------------------------------- state
    # A value is never changed in place, so a container is an array. On a quiet core Numba's step of the
    # MLP above takes 1.9 ms with shared variables and updates that PyTensor writes in place, and 1.9 ms
    # with arrays that go in and come out.

    def container(self, value: Tensor, trainable: bool, layout: Layout | None = None) -> Any:
        value = self.place(value, layout)
        return Array(owned(self.convert_to_tensor(value).numpy()))

    def write(self, container: Any, value: Tensor) -> Any:
        return Array(self.convert_to_tensor(value).value)

    # ------------------------------------------------------------ transforms

    def cond(self, pred: Tensor, true_fn: Callable[[], Any], false_fn: Callable[[], Any]) -> Any:
        if not isinstance(pred, Array) or pred.value is not None:
            return self._tensors(true_fn() if pred else false_fn())
        yes, structure = self._flat(true_fn())
        no = self._flat(false_fn())[0]
        pairs = [(a.variable, b.variable) for a, b in zip(yes, no, strict=True)]
        found = [Array(None, ifelse(pred.variable, *pair)) for pair in pairs]
        return optree.tree_unflatten(structure, found)

    def while_loop(
        self, cond: Callable[..., Tensor], body: Callable[..., Any], state: tuple[Any, ...]
    ) -> Any:
        if not scope.tracing.get():
            return loops.while_loop(self._tensors, cond, body, state)
        leaves, structure = self._flat(tuple(state))
        inner = [Array(None, x.variable.type()) for x in leaves]
        inside = optree.tree_unflatten(structure, inner)
        outputs = self._flat((cond(*inside), body(*inside)))[0]
        inputs, found = [x.variable for x in inner], [x.variable for x in outputs]
        outer = _from_outside(found, inputs)
        stand_ins = [x.type() for x in outer]
        found = graph_replace(found, dict(zip(outer, stand_ins, strict=True)), strict=False)
        results = graph.While([*inputs, *stand_ins], found)(
            *(x.variable for x in leaves), *outer, return_list=True
        )
        return optree.tree_unflatten(structure, [Array(None, x) for x in results])

    def scan(
        self,
        f: Callable[[Any, Any], tuple[Any, Any]],
        init: Any,
        xs: Any,
        length: int | None,
        reverse: bool,
    ) -> tuple[Any, Any]:
        steps = self._flat(xs)[0][0].shape[0] if length is None else length
        if not scope.tracing.get() or (isinstance(steps, int) and steps <= _UNROLLED):
            return loops.scan(self, f, init, xs, length, reverse)
        return self._scanned(f, init, xs, steps, reverse)

    def _scanned(
        self, f: Callable[..., Any], init: Any, xs: Any, steps: Any, reverse: bool
    ) -> tuple[Any, Any]:
        """The loop as one node of the graph."""
        carry, carry_structure = self._flat(init)
        sequences, structure = self._flat(xs)
        state = [Array(None, x.variable.type()) for x in carry]
        slices = [Array(None, x.variable[0].type()) for x in sequences]
        following, y = f(
            optree.tree_unflatten(carry_structure, state),
            optree.tree_unflatten(structure, slices),
        )
        following = self._flat(following)[0]
        ys, y_structure = self._flat(y)
        inner = [x.variable for x in (*slices, *state)]
        outputs = [x.variable for x in (*following, *ys)]

        outer = _from_outside(outputs, inner)

        def turn(*given: Variable) -> list[Variable]:
            places = dict(zip((*inner, *outer), given, strict=True))
            return graph_replace(outputs, places, strict=False)

        found = pytensor.scan(
            turn,
            sequences=[x.variable for x in sequences],
            outputs_info=[*(x.variable for x in carry), *[None] * len(ys)],
            non_sequences=outer,
            strict=True,
            n_steps=steps.variable if isinstance(steps, Array) else steps,
            go_backwards=reverse,
            return_updates=False,
        )
        found = found if isinstance(found, list) else [found]
        last = [Array(None, x[-1]) for x in found[: len(carry)]]
        stacked = [x[::-1] if reverse else x for x in found[len(carry) :]]
        shapes = [(steps if isinstance(steps, int) else None, *x._variable.type.shape) for x in ys]
        pairs = zip(stacked, shapes, strict=True)
        stacked = [Array(None, pt.specify_shape(x, shape)) for x, shape in pairs]
        return (
            optree.tree_unflatten(carry_structure, last),
            optree.tree_unflatten(y_structure, stacked),
        )

    def vectorized_map(self, f: Callable[[Any], Any], elements: Any) -> Any:
        return self.scan(lambda carry, x: (carry, f(x)), (), elements, None, False)[1]

    def custom_gradient(
        self, f: Callable[..., tuple[Any, Callable[..., Any]]]
    ) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            result, backward = f(*args, **kwargs)
            if scope.current.get() is None:
                return result
            return self._with_gradient(result, args, backward)

        return call

    def _with_gradient(self, result: Any, args: Any, backward: Callable[..., Any]) -> Any:
        """A result whose cotangents a function takes to those of the arguments."""
        ys, structure = self._flat(result)
        given = [Array(None, y.variable.type()) for y in ys]
        pulled = backward(optree.tree_unflatten(structure, given))
        if len(args) == 1 and not isinstance(pulled, (tuple, list)):
            pulled = (pulled,)
        pairs = [
            (x, None if g is None else self.convert_to_tensor(g).variable)
            for arg, part in zip(args, pulled, strict=True)
            for x, g in zip(*_paired(arg, part), strict=True)
            if isinstance(x, Array)
        ]
        inner = [g.variable for g in given]
        gradients = [g for _, g in pairs if g is not None]
        read = _from_outside(gradients, inner)

        def pull(inputs: Any, outputs: Any, cotangents: Any) -> list[Any]:
            places = dict(zip((*inner, *read), (*cotangents, *inputs[len(pairs) :]), strict=True))
            found = iter(graph_replace(gradients, places, strict=False))
            return [None if g is None else next(found) for _, g in pairs]

        xs = [x for x, _ in pairs]
        found = graph.pulled([y.variable for y in ys], [x.variable for x in xs], pull, read)
        known = all(x.value is not None for x in (*ys, *xs))
        return optree.tree_unflatten(structure, list(as_arrays(found, known, True)))

    def value_and_grad(
        self, f: Callable[[list[Tensor]], tuple[Tensor, Any]]
    ) -> Callable[[list[Tensor]], Any]:
        def call(values: list[Tensor]) -> Any:
            with within():
                inputs, structure = self._inputs(values)
                given: Any = optree.tree_unflatten(structure, inputs)
                loss, aux = f(given)
                one = self.full((), 1, self.dtype_of(loss))
                gradients = self._gradients([self.convert_to_tensor(loss)], [one], inputs)
                found = optree.tree_unflatten(structure, gradients)
            return self._settled(((loss, aux), found))

        return call

    def vjp(self, f: Callable[..., Any], *primals: Any) -> tuple[Any, Callable[..., Any]]:
        with within():
            inputs, structure = self._inputs(primals)
            result = self._tensors(f(*optree.tree_unflatten(structure, inputs)))

        def pull(cotangents: Any) -> Any:
            with within():
                gradients = self._gradients(
                    self._flat(result)[0], self._flat(cotangents)[0], inputs
                )
            return self._settled(optree.tree_unflatten(structure, gradients))

        return result, pull

    def jvp(self, f: Callable[..., Any], primals: Any, tangents: Any) -> tuple[Any, Any]:
        with within():
            inputs, structure = self._inputs(tuple(primals))
            result = self._tensors(f(*optree.tree_unflatten(structure, inputs)))
            ys, y_structure = self._flat(result)
            # The gradient is linear in the cotangents: its own gradient by them, along the
            # tangents, is the derivative.
            cotangents, _ = self._inputs([self.full(y.shape, 0, y.dtype) for y in ys])
            pulled = self._gradients(ys, cotangents, inputs)
            along, _ = self._flat(tuple(tangents))
            derivatives = self._gradients(pulled, along, cotangents)
        return self._settled((result, optree.tree_unflatten(y_structure, derivatives)))

    def _inputs(self, tree: Any) -> tuple[list[Array], Any]:
        """The leaves of a tree, each as a variable of its own to differentiate by, and the structure."""
        arrays, structure = self._flat(tree)
        inputs = []
        for array in arrays:
            variable = pt.tensor_copy(array.variable)
            if array.value is not None:
                variable.tag.value = array.value
            inputs.append(Array(array.value, variable))
        return inputs, structure

    def _gradients(
        self, ys: Sequence[Any], cotangents: Sequence[Array], inputs: Sequence[Array]
    ) -> list[Array | None]:
        """The cotangents of the inputs; None for those that are not floats."""
        pairs = [
            (y._variable, self.cast(g, y.dtype))
            for y, g in zip(ys, cotangents, strict=True)
            if y is not None and y._variable is not None and y.dtype[0] in "fc"
        ]
        places = [i for i, x in enumerate(inputs) if x.dtype[0] in "fc"]
        wrt = [inputs[i] for i in places]
        found: list[Array | None] = [None] * len(inputs)
        if not pairs:
            for i, x in zip(places, wrt, strict=True):
                found[i] = self.full(x.shape, 0, x.dtype)
            return found
        # Of copies, since a variable whose gradient is known gets no part of another's.
        known = {pt.tensor_copy(variable): g.variable for variable, g in pairs}
        gradients = pytensor.grad(
            None, [x._variable for x in wrt], known_grads=known, disconnected_inputs="ignore"
        )
        gradients = [graph.cast(g, x.dtype) for g, x in zip(gradients, wrt, strict=True)]
        has_values = all(x.value is not None for x in (*ys, *wrt, *(g for _, g in pairs)))
        for i, array in zip(places, as_arrays(gradients, has_values, True), strict=True):
            found[i] = array
        return found

    def _settled(self, result: Any) -> Any:
        """A transform's result, without the graph it came from if nothing needs that any more."""
        if scope.current.get() is not None:
            return result
        return optree.tree_map(
            lambda x: Array(x.value) if isinstance(x, Array) and x.value is not None else x, result
        )

    def compile(
        self, step: Callable[..., Any], state: State, jit: bool | None = None
    ) -> Callable[..., Any]:
        found: dict[Any, Callable[..., Any]] = {}
        made: list[programs.Kind] = []

        def run(*args: Any) -> Any:
            if scope.current.get() is not None:
                return step(*args)
            given: Any = args
            leaves, structure = loops.flatten(given)
            leaves = [leaf if _is_static(leaf) else self.convert_to_tensor(leaf) for leaf in leaves]
            key = (structure, *(_signature(leaf) for leaf in leaves))
            if key not in found:
                start = time.perf_counter()
                found[key] = self._program(step, state, leaves, structure)
                seconds = time.perf_counter() - start
                programs.say_made("made a graph", step, leaves, seconds, made)
            return found[key]([leaf for leaf in leaves if isinstance(leaf, Array)])

        run.programs = found  # type: ignore[attr-defined]
        return run

    def _program(
        self, step: Callable[..., Any], state: State, leaves: list[Any], structure: Any
    ) -> Callable[..., Any]:
        """The step for arguments like these, as one function of arrays and of the state."""
        held = state.read()
        with within(tracing=True):
            changing, constant = ([_placeholder(x) for x in part] for part in held)
            given = [_placeholder(x) if isinstance(x, Array) else x for x in leaves]
            with state.bound(changing, constant) as collect:
                result = step(*optree.tree_unflatten(structure, given))
                after = collect()
        inputs = [x for x in given if isinstance(x, Array)] + changing + constant
        found, result_structure = loops.flatten(result)
        unchanged = {id(x): i for i, x in enumerate(changing)}
        wanted = {
            id(x): x.variable
            for x in (*found, *after)
            if isinstance(x, Array) and x.value is None and id(x) not in unchanged
        }
        function = Function([x.variable for x in inputs], list(wanted.values()))

        def run(arguments: list[Array]) -> Any:
            before, fixed = state.read()
            values = function(*(_plain(x) for x in (*arguments, *before, *fixed)))
            known = {key: before[i] for key, i in unchanged.items()}
            known |= {key: Array(np.asarray(x)) for key, x in zip(wanted, values, strict=True)}
            if after:
                state.write([known.get(id(x), x) for x in after])
            return optree.tree_unflatten(result_structure, [known.get(id(x), x) for x in found])

        return run

    def eval_shape(self, f: Callable[..., Any], *specs: Any) -> Any:
        with within(tracing=True):
            given = [pt.tensor(dtype=dtype_for(dtype), shape=shape) for shape, dtype in specs]
            result = self._tensors(f(*(Array(None, x) for x in given)))
        return optree.tree_map(lambda x: (x.shape, x.dtype), result)

    def _tensors(self, tree: Any) -> Any:
        return optree.tree_map(self.convert_to_tensor, tree)

    def _flat(self, tree: Any) -> tuple[list[Any], Any]:
        """The leaves of a tree, as arrays, and its structure."""
        leaves, structure = optree.tree_flatten(tree)
        return [self.convert_to_tensor(leaf) for leaf in leaves], structure

    # ---------------------------------------------------------------- create

    def full(self, shape: tuple[Any, ...], value: Any, dtype: str) -> Tensor:
        number = self.convert_to_tensor(value, dtype)
        if number.tracked or any(isinstance(size, Array) for size in shape):
            return applied(lambda number, shape: pt.alloc(number, *shape), number, tuple(shape))
        return Array(np.broadcast_to(number.value, shape))

    def arange(self, start: Any, stop: Any, step: Any, dtype: str) -> Tensor:
        bounds = (start, stop, step)
        if any(isinstance(bound, Array) for bound in bounds):
            return applied(lambda *bounds: pt.arange(*bounds, dtype=dtype_for(dtype)), *bounds)
        return Array(host.cast(np.arange(*bounds), dtype_for(dtype)))

    # ---------------------------------------------------------------- unary

    @primitive
    def sign(x: Variable) -> Variable:
        if x.type.dtype[0] != "c":
            return pt.sign(x)
        size = pt.abs(x)
        return pt.switch(pt.eq(size, 0), x, x / pt.cast(size, x.type.dtype))

    @primitive
    def real(x: Variable) -> Variable:
        return graph.part_of(x, 0)

    @primitive
    def imag(x: Variable) -> Variable:
        return graph.part_of(x, 1) if x.type.dtype[0] == "c" else pt.zeros_like(x)

    @primitive
    def conj(x: Variable) -> Variable:
        return graph.conjugate(x) if x.type.dtype[0] == "c" else x

    @primitive
    def abs(x: Variable) -> Variable:
        return (
            graph.hypot(graph.part_of(x, 0), graph.part_of(x, 1))
            if x.type.dtype[0] == "c"
            else pt.abs(x)
        )

    @primitive
    def multiply(x1: Variable, x2: Variable) -> Variable:
        if x1.type.dtype[0] != "c":
            return pt.mul(x1, x2)
        (a, b), (c, d) = ((graph.part_of(x, 0), graph.part_of(x, 1)) for x in (x1, x2))
        return pt.complex(a * c - b * d, a * d + b * c)

    @primitive
    def round(x: Variable) -> Variable:
        return pt.round(x, mode="half_to_even")

    # ------------------------------------------------- select, reduce, scan

    @graph.by_parts
    def sum(x: Variable, axes: Axes, keepdims: bool) -> Variable:
        return pt.sum(x, axes, x.type.dtype, keepdims=keepdims, acc_dtype=x.type.dtype)

    @primitive
    def prod(x: Variable, axes: Axes, keepdims: bool) -> Variable:
        return pt.prod(x, axes, x.type.dtype, keepdims=keepdims, acc_dtype=x.type.dtype)

    @primitive
    def max(x: Variable, axes: Axes, keepdims: bool) -> Variable:
        return graph.reduced(graph.Largest, x, axes, keepdims)

    @primitive
    def min(x: Variable, axes: Axes, keepdims: bool) -> Variable:
        return graph.reduced(graph.Smallest, x, axes, keepdims)

    @primitive
    def all(x: Variable, axes: Axes, keepdims: bool) -> Variable:
        return pt.all(x, axes, keepdims=keepdims)

    @primitive
    def any(x: Variable, axes: Axes, keepdims: bool) -> Variable:
        return pt.any(x, axes, keepdims=keepdims)

    @primitive
    def argmax(x: Variable, axis: int) -> Variable:
        return pt.cast(pt.argmax(graph.ordered(x), axis), "int32")

    @primitive
    def argmin(x: Variable, axis: int) -> Variable:
        return pt.cast(pt.argmin(graph.ordered(x), axis), "int32")

    @primitive
    def cumsum(x: Variable, axis: int) -> Variable:
        return pt.cast(pt.cumsum(graph.widened(x), axis), x.type.dtype)

    @primitive
    def cumprod(x: Variable, axis: int) -> Variable:
        return pt.cast(pt.cumprod(graph.widened(x), axis), x.type.dtype)

    # ---------------------------------------------------------- move, index

    @graph.by_parts
    def reshape(x: Variable, shape: tuple[Any, ...]) -> Variable:
        return pt.reshape(x, shape, ndim=len(shape))

    @graph.by_parts
    def transpose(x: Variable, axes: Axes) -> Variable:
        return x.dimshuffle(*axes)

    @graph.by_parts
    def broadcast_to(x: Variable, shape: tuple[Any, ...]) -> Variable:
        return pt.broadcast_to(x, shape)

    @graph.by_parts
    def concatenate(xs: Sequence[Variable], axis: int) -> Variable:
        return pt.concatenate(xs, axis)

    def pad(self, x: Tensor, pads: Pads, value: Any) -> Tensor:
        filled = self.full((), value, self.dtype_of(x))
        return graph.by_parts(graph.padded)(self, self.convert_to_tensor(x), pads, filled)

    @graph.by_parts
    def flip(x: Variable, axes: Axes) -> Variable:
        backwards, all_of_it = slice(None, None, -1), slice(None)
        return x[tuple(backwards if axis in axes else all_of_it for axis in range(x.ndim))]

    @graph.by_parts
    def take(x: Variable, indices: Variable, axis: int) -> Variable:
        return x[(*(slice(None),) * axis, indices)]

    @graph.by_parts
    def gather(x: Variable, indices: Variable) -> Variable:
        return x[tuple(indices[..., i] for i in range(indices.type.shape[-1]))]

    @graph.by_parts
    def take_along_axis(x: Variable, indices: Variable, axis: int) -> Variable:
        return pt.take_along_axis(x, indices, axis)

    @graph.by_parts
    def slice(x: Variable, start: Sequence[Any], shape: tuple[Any, ...]) -> Variable:
        return pt.specify_shape(x[graph.block(x, start, shape)], shape)

    @primitive
    def slice_update(x: Variable, start: Sequence[Any], updates: Variable) -> Variable:
        return pt.set_subtensor(x[graph.block(x, start, graph.sizes_of(updates))], updates)

    @primitive
    def scatter(x: Variable, indices: Variable, updates: Variable, reduction: str) -> Variable:
        places = tuple(indices[..., i] for i in range(indices.type.shape[-1]))
        if reduction == "set":
            return pt.set_subtensor(x[places], updates)
        if reduction == "add":
            return pt.inc_subtensor(x[places], updates)
        return graph.scattered(x, indices, updates, reduction)

    # ---------------------------------------------------------------- order

    @primitive
    def sort(x: Variable, axis: int) -> Variable:
        return pt.sort(x, axis)

    @primitive
    def argsort(x: Variable, axis: int) -> Variable:
        return pt.cast(pt.argsort(x, axis, kind="mergesort"), "int32")

    @primitive
    def searchsorted(sequence: Variable, values: Variable, side: str) -> Variable:
        return pt.cast(pt.searchsorted(sequence, values, side), "int32")

    @primitive
    def unique(x: Variable, size: int | None, fill: Any) -> tuple[Variable, ...]:
        values, *found = pt.unique(x, True, True, True)
        index, inverse, counts = (pt.cast(part, "int32") for part in found)
        if size is not None:
            values = graph.resized(values, size, values[0] if fill is None else fill)
            index, counts = graph.resized(index, size, index[0]), graph.resized(counts, size, 0)
        return values, index, pt.reshape(inverse, x.shape), counts

    @primitive
    def nonzero(x: Variable, size: int | None, fill: int) -> tuple[Variable, ...]:
        found = [pt.cast(part, "int32") for part in pt.nonzero(x)]
        return tuple(found if size is None else [graph.resized(part, size, fill) for part in found])

    # ----------------------------------------------------- contract, window

    @primitive
    def matmul(x1: Variable, x2: Variable) -> Variable:
        *leading, size = graph.sizes_of(x1)
        if (
            x1.ndim > 2 and x2.ndim == 2 and size != 0
        ):  # one product of matrices, instead of one for each
            flat = pt.dot(pt.reshape(x1, (-1, size)), x2)
            return pt.reshape(flat, (*leading, graph.sizes_of(x2)[1]))
        return pt.matmul(x1, x2)

    @primitive
    def einsum(subscripts: str, operands: Sequence[Variable]) -> Variable:
        return graph.einsum(subscripts, list(operands))

    def max_pool(self, x: Tensor, window: Axes, strides: Axes, pads: Pads) -> Tensor:
        is_float = "float" in self.dtype_of(x)
        lowest = -math.inf if is_float else np.iinfo(self.dtype_of(x)).min
        padded = self.pad(x, ((0, 0), *pads, (0, 0)), lowest)
        return applied(graph.max_pooled, padded, window, strides)

    # ---------------------------------------------------------- linalg, fft

    @primitive
    def cholesky(x: Variable) -> Variable:
        return pt.linalg.cholesky(x)

    @primitive
    def solve(a: Variable, b: Variable) -> Variable:
        return pt.linalg.solve(a, b, b_ndim=2)

    @primitive
    def solve_triangular(a: Variable, b: Variable, lower: bool) -> Variable:
        return pt.linalg.solve_triangular(a, b, lower=lower, b_ndim=2)

    @primitive
    def qr(x: Variable, mode: str) -> tuple[Variable, ...]:
        return tuple(pt.linalg.qr(x, "full" if mode == "complete" else "economic"))

    @primitive
    def svd(x: Variable, full_matrices: bool) -> tuple[Variable, ...]:
        *batch, rows, columns = x.type.shape
        least = min(rows, columns)
        left, right = (rows, columns) if full_matrices else (least, least)
        shapes = ((*batch, rows, left), (*batch, least), (*batch, right, columns))
        parts = zip(pt.linalg.svd(x, full_matrices=full_matrices), shapes, strict=True)
        return tuple(pt.specify_shape(part, shape) for part, shape in parts)

    @primitive
    def eigh(x: Variable) -> tuple[Variable, ...]:
        return tuple(pt.linalg.eigh(x, driver="evd"))

    @primitive
    def eig(x: Variable) -> tuple[Variable, ...]:
        return tuple(pt.linalg.eig(x))

    @primitive
    def lu_factor(x: Variable) -> tuple[Variable, ...]:
        return tuple(pt.linalg.lu_factor(x))

    @primitive
    def fft(x: Variable) -> Variable:
        return pt.complex(*graph.transformed(graph.part_of(x, 0), graph.part_of(x, 1)))

    @primitive
    def ifft(x: Variable) -> Variable:
        return pt.complex(
            *graph.transformed(graph.part_of(x, 0), graph.part_of(x, 1), inverse=True)
        )

    @primitive
    def rfft(x: Variable) -> Variable:
        half = slice(x.type.shape[-1] // 2 + 1)
        return pt.complex(*(part[..., half] for part in graph.transformed(x, pt.zeros_like(x))))

    @primitive
    def irfft(x: Variable, length: int) -> Variable:
        half, given = length // 2 + 1, x.type.shape[-1]
        pads = (*[(0, 0)] * (x.ndim - 1), (0, half - given))
        real, imag = (
            graph.padded(graph.part_of(x, i), pads, pt.zeros((), graph.part_of(x, i).type.dtype))
            for i in (0, 1)
        )
        mirrored = slice(length - half, 0, -1)
        return graph.transformed(
            pt.concatenate([real, real[..., mirrored]], -1),
            pt.concatenate([imag, -imag[..., mirrored]], -1),
            inverse=True,
        )[0]

    # --------------------------------------------------------------- random

    def random_gamma(
        self, key: Tensor, shape: tuple[Any, ...], alpha: Tensor, dtype: str
    ) -> Tensor:
        def draw(key: Any, alpha: Any) -> Any:
            return host.gamma(key, shape, alpha)

        return applied(
            lambda *given: graph.on_host(draw, [(dtype_for(dtype), shape)], *given), key, alpha
        )

    def random_binomial(
        self, key: Tensor, shape: tuple[Any, ...], counts: Tensor, p: Tensor, dtype: str
    ) -> Tensor:
        def draw(key: Any, counts: Any, p: Any) -> Any:
            return host.binomial(key, shape, counts, p)

        specs = [(dtype_for(dtype), shape)]
        return applied(lambda *given: graph.on_host(draw, specs, *given), key, counts, p)


# ------------------------------------------------------------------- conversion


def _is_static(x: Any) -> bool:
    """Whether an argument of a step is no tensor."""
    return isinstance(x, (str, bytes)) or callable(x)


def _signature(x: Any) -> Any:
    return (x.dtype, x.shape) if isinstance(x, Array) else x


def _placeholder(x: Any) -> Array:
    """An array without a value, of the shape and dtype of another one."""
    return Array(None, pt.tensor(dtype=x.dtype, shape=x.shape))


def _plain(x: Array) -> np.ndarray[Any, Any]:
    """The value as the one kind of array that functions are compiled for."""
    return np.require(x.value, requirements=("C", "W"))


def _from_outside(outputs: list[Variable], inputs: list[Variable]) -> list[Variable]:
    """The variables beside their inputs that a loop's outputs are made of."""
    found = truncated_graph_inputs(outputs, inputs)
    return [x for x in found if not isinstance(x, Constant) and x not in inputs]


def _paired(tree: Any, other: Any) -> tuple[list[Any], list[Any]]:
    """The leaves of two structures, of which the second may have None for some parts."""
    leaves, structure = optree.tree_flatten(tree)
    if other is None:
        return leaves, [None] * len(leaves)
    return leaves, structure.flatten_up_to(other)
