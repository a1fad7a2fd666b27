"""What the PyTensor engine adds to PyTensor's graphs: ops it lacks, gradients it has not, and the bodies
of the engine's longer primitives as functions of variables."""

from __future__ import annotations

import functools
import itertools
import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import optree
import pytensor.scalar as scalar
import pytensor.tensor as pt
from pytensor.gradient import DisconnectedType, disconnected_grad
from pytensor.graph.basic import Apply
from pytensor.graph.op import Op
from pytensor.graph.rewriting.basic import node_rewriter
from pytensor.tensor.elemwise import Elemwise
from pytensor.tensor.math import Max, Min
from pytensor.tensor.rewriting.basic import register_canonicalize

from .. import host
from ..contract import Axes, Pads
from .arrays import (
    Array,
    Function,
    Variable,
    applied,
    is_narrow,
    owned,
    primitive,
)

# ------------------------------------------------------------------ PyTensor ops


class Host(Op):  # type: ignore[misc]
    """A function that NumPy computes."""

    def __init__(self, function: Callable[..., Any], specs: Sequence[tuple[str, Any]]) -> None:
        self.function = function
        self.specs = specs

    def make_node(self, *inputs: Any) -> Apply:
        outputs = [pt.tensor(dtype=dtype, shape=shape) for dtype, shape in self.specs]
        return Apply(self, [pt.as_tensor_variable(x) for x in inputs], outputs)

    def perform(self, node: Apply, inputs: Any, output_storage: Any) -> None:
        with np.errstate(all="ignore"):
            results = self.function(*inputs)
        results = results if isinstance(results, tuple) else (results,)
        for cell, result, (dtype, _) in zip(output_storage, results, self.specs, strict=True):
            cell[0] = np.array(result, dtype, order="C")


def on_host(function: Callable[..., Any], specs: Sequence[tuple[str, Any]], *inputs: Any) -> Any:
    """Variables that NumPy computes, each with the dtype and shape that `specs` says."""
    return Host(function, specs)(*inputs)


class Pullback(Op):  # type: ignore[misc]
    """Its first inputs, as they are; cotangents go to those that follow, by a function of its own.

    Args:
        count: How many inputs are the outputs.
        targets: How many inputs after these get cotangents; the function reads the rest.
        pull: `pull(inputs, outputs, cotangents)` of variables: nothing else goes in, since graphs
            that hold this op are copied, with other variables in place of its inputs.
    """

    def __init__(self, count: int, targets: int, pull: Callable[..., Sequence[Any]]) -> None:
        self.count, self.end = count, count + targets
        self.pull = pull
        self.view_map = {i: [i] for i in range(count)}

    def make_node(self, *inputs: Variable) -> Apply:
        return Apply(self, list(inputs), [x.type() for x in inputs[: self.count]])

    def perform(self, node: Apply, inputs: Any, output_storage: Any) -> None:
        for cell, value in zip(output_storage, inputs[: self.count], strict=True):
            cell[0] = value

    def infer_shape(self, fgraph: Any, node: Apply, shapes: Any) -> Any:
        return shapes[: self.count]

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        return [[self.count <= i < self.end] * self.count for i in range(len(node.inputs))]

    def pullback(self, inputs: Any, outputs: Any, output_grads: Any) -> list[Variable]:
        cotangents = [
            pt.zeros_like(y) if isinstance(g.type, DisconnectedType) else g
            for y, g in zip(outputs, output_grads, strict=True)
        ]
        found: list[Any] = [DisconnectedType()() for _ in inputs]
        pulled = self.pull(inputs[self.count :], outputs, cotangents)
        for at, g in zip(range(self.count, self.end), pulled, strict=True):
            found[at] = pt.zeros_like(inputs[at], dtype="float32") if g is None else g
        return found


@register_canonicalize("fast_compile")  # type: ignore[untyped-decorator]
@node_rewriter([Pullback])  # type: ignore[untyped-decorator]
def cornu_pullbacks_are_done(fgraph: Any, node: Apply) -> Any:
    """Once gradients are taken, nothing is left to say how."""
    return node.inputs[: node.op.count]


def pulled(
    outputs: Any,
    inputs: Sequence[Variable],
    pull: Callable[..., Any],
    read: Sequence[Variable] = (),
) -> Any:
    """Outputs whose cotangents `pull([*inputs, *read], outputs, cotangents)` takes to the inputs."""
    several = isinstance(outputs, (tuple, list))
    constant = [disconnected_grad(y) for y in (outputs if several else [outputs])]
    pullback = Pullback(len(constant), len(inputs), pull)
    found = pullback(*constant, *inputs, *read, return_list=True)
    return tuple(found) if several else found[0]


class While(Op):  # type: ignore[misc]
    """`state = body(state)` while the condition holds; both are a graph's outputs, of its inputs."""

    def __init__(self, inputs: list[Variable], outputs: list[Variable]) -> None:
        self.inner = inputs, outputs

    def make_node(self, *inputs: Variable) -> Apply:
        return Apply(self, list(inputs), [x.type() for x in self.inner[1][1:]])

    @functools.cached_property
    def function(self) -> Function:
        """The condition and the next state."""
        return Function(*self.inner)

    def perform(self, node: Apply, inputs: Any, output_storage: Any) -> None:
        count = len(node.outputs)
        state, rest = list(inputs[:count]), inputs[count:]
        while True:
            going_on, *following = self.function(*state, *rest)
            if not going_on:
                break
            state = following
        for cell, value in zip(output_storage, state, strict=True):
            cell[0] = value


class _Larger(type(scalar.basic.maximum)):  # type: ignore[misc]
    """The larger one, whose gradient equal ones share."""

    def pullback(self, inputs: Any, outputs: Any, output_grads: Any) -> list[Variable]:
        (x, y), (z,), (g,) = inputs, outputs, output_grads
        if z.type.dtype[0] not in "fc":
            return [x.zeros_like(dtype="float32"), y.zeros_like(dtype="float32")]
        zero, half = (scalar.constant(v, dtype=g.type.dtype) for v in (0, 0.5))
        parts = [scalar.switch(scalar.eq(z, part), g, zero) for part in (x, y)]
        return [scalar.switch(scalar.eq(x, y), g * half, part) for part in parts]


class _Smaller(type(scalar.basic.minimum)):  # type: ignore[misc]
    """The smaller one, whose gradient equal ones share."""

    pullback = _Larger.pullback


class Largest(Max):  # type: ignore[misc]
    """The largest element, whose gradient equal ones share."""

    def pullback(self, inputs: Any, outputs: Any, output_grads: Any) -> list[Variable]:
        (x,), (y,), (g,) = inputs, outputs, output_grads
        axes = tuple(range(x.ndim)) if self.axis is None else self.axis
        hits = pt.eq(x, pt.expand_dims(y, axes)).astype(g.type.dtype)
        return [pt.expand_dims(g, axes) * hits / hits.sum(axes, keepdims=True)]


class Smallest(Min):  # type: ignore[misc]
    """The smallest element, whose gradient equal ones share."""

    pullback = Largest.pullback


def binary_op(numpy_name: str, pullback: Any = None) -> Callable[..., Any]:
    """An elementwise op that PyTensor lacks and NumPy has."""
    function = getattr(np, numpy_name)
    members: dict[str, Any] = {
        "nfunc_spec": (numpy_name, 2, 1),
        "impl": lambda self, x, y: function(x, y),
        "pullback": pullback or (lambda self, xs, ys, gs: [x.zeros_like() for x in xs]),
    }
    op_class = type(f"Cornu_{numpy_name}", (scalar.basic.BinaryScalarOp,), members)
    return Elemwise(op_class(scalar.basic.upcast_out, name=numpy_name))


def _fmod_pullback(self: Any, inputs: Any, outputs: Any, output_grads: Any) -> list[Variable]:
    (x, y), (g,) = inputs, output_grads
    return [g, -g * scalar.trunc(x / y)]


def hypot_pullback(self: Any, inputs: Any, outputs: Any, output_grads: Any) -> list[Variable]:
    (size,), (g,) = outputs, output_grads
    zero = scalar.constant(0, dtype=g.type.dtype)
    return [scalar.switch(scalar.eq(size, zero), zero, g * x / size) for x in inputs]


fmod = binary_op("fmod", _fmod_pullback)
hypot = binary_op("hypot", hypot_pullback)
nextafter = binary_op("nextafter")
maximum = Elemwise(_Larger(scalar.basic.upcast_out, name="maximum"))
minimum = Elemwise(_Smaller(scalar.basic.upcast_out, name="minimum"))


def part_of(x: Any, which: int) -> Any:
    """The real or the imaginary part of each complex variable, also within a tuple or list."""
    if isinstance(x, (tuple, list)):
        return type(x)(part_of(entry, which) for entry in x)
    if getattr(getattr(x, "type", None), "dtype", "").startswith("complex"):
        made = x.owner is not None and x.owner.op == _COMPLEX
        if made and all(part.type.shape == x.type.shape for part in x.owner.inputs):
            return x.owner.inputs[which]
        return (pt.real, pt.imag)[which](x)
    return x


def by_parts(function: Callable[..., Any]) -> Any:
    """A function that does the same to the real and to the imaginary parts of complex variables.

    PyTensor has no gradients by complex variables. What is done to the parts has one.
    """

    @functools.wraps(function)
    def apply(*args: Any) -> Any:
        parts = [part_of(list(args), which) for which in (0, 1)]
        if all(map(operator.is_, optree.tree_leaves(parts[0]), optree.tree_leaves(parts[1]))):
            return function(*args)
        return pt.complex(*(function(*part) for part in parts))

    return primitive(apply)


_COMPLEX = pt.complex(*[pt.scalar(dtype="float32")] * 2).owner.op


# --------------------------------------------------------------- bodies of ops


def cast(x: Variable, dtype: str) -> Variable:
    if x.type.dtype[0] == "c" and dtype[0] not in "cb":
        x = part_of(x, 0)
    if is_narrow(dtype):
        x = pt.cast(x, "float32")
        rounded = on_host(lambda x: host.cast(x, dtype), [("float32", x.type.shape)], x)
        return pulled(rounded, [x], lambda inputs, outputs, cotangents: cotangents)
    return pt.neq(x, pt.zeros((), x.type.dtype)) if dtype == "bool" else pt.cast(x, dtype)


def ordered(x: Variable) -> Variable:
    """Booleans as numbers."""
    return pt.cast(x, "int8") if x.type.dtype == "bool" else x


def widened(x: Variable) -> Variable:
    """Integers in 64 bits, in which NumPy adds them up."""
    return pt.cast(x, "int64") if x.type.dtype[0] in "iu" else x


def reduced(op_class: Any, x: Variable, axes: Axes, keepdims: bool) -> Variable:
    if not axes:
        return x
    result = op_class(axis=axes)(x)
    return pt.expand_dims(result, axes) if keepdims else result


def sizes_of(x: Variable) -> tuple[Any, ...]:
    """The shape: integers, and variables where they are unknown."""
    return tuple(x.shape[i] if size is None else size for i, size in enumerate(x.type.shape))


def block(x: Variable, start: Sequence[Any], shape: Sequence[Any]) -> tuple[Any, ...]:
    """The slices of a block, moved inside as XLA does where it reaches over the edge."""
    found = []
    for at, length, size in zip(start, shape, sizes_of(x), strict=True):
        if all(isinstance(number, int) for number in (at, length, size)):
            begin = min(max(at, 0), size - length)
        else:
            begin = pt.clip(pt.cast(at, "int64"), 0, size - length)
        found.append(slice(begin, begin + length))
    return tuple(found)


def padded(x: Variable, pads: Pads, value: Variable) -> Variable:
    sizes = sizes_of(x)
    pairs = list(zip(sizes, pads, strict=True))
    if any(number < 0 for pad in pads for number in pad):
        x = x[tuple(slice(max(-low, 0), size - max(-high, 0)) for size, (low, high) in pairs)]
    if not any(number > 0 for pad in pads for number in pad):
        return x
    shape = [size + low + high for size, (low, high) in pairs]
    around = [
        (size, max(low, 0), max(high, 0)) for size, (low, high) in zip(shape, pads, strict=True)
    ]
    inside = tuple(slice(low, size - high) for size, low, high in around)
    return pt.set_subtensor(pt.alloc(value, *shape)[inside], x)


def resized(x: Variable, size: int, fill: Any) -> Variable:
    """The first `size` elements of a vector, padded with `fill` where there are fewer."""
    rest = pt.alloc(pt.cast(fill, x.type.dtype), size)
    return pt.specify_shape(pt.concatenate([x, rest])[:size], (size,))


def scattered(x: Variable, indices: Variable, updates: Variable, reduction: str) -> Variable:
    """Updates joined with what is there by `max`, `min` or `mul`."""
    result = on_host(
        functools.partial(host.scatter, reduction=reduction),
        [(x.type.dtype, x.type.shape)],
        x,
        indices,
        updates,
    )

    def pull(inputs: Any, outputs: Any, cotangents: Any) -> list[Any]:
        (x, updates, indices), (y,), (g,) = inputs, outputs, cotangents
        places = tuple(indices[..., i] for i in range(indices.type.shape[-1]))
        if reduction == "mul":
            return [g * y / x, (g * y)[places] / updates]
        zero = pt.zeros((), g.type.dtype)
        mine, theirs = pt.eq(x, y), pt.eq(updates, y[places])
        count = pt.inc_subtensor(pt.cast(mine, g.type.dtype)[places], pt.cast(theirs, g.type.dtype))
        share = pt.switch(pt.eq(count, zero), zero, g / count)
        return [pt.switch(mine, share, zero), pt.switch(theirs, share[places], zero)]

    return pulled(result, [x, updates], pull, [indices]) if x.type.dtype[0] == "f" else result


def einsum(subscripts: str, operands: list[Variable]) -> Variable:
    """Einstein's summation as products of matrices, operand by operand.

    PyTensor's own loses the static shapes on its way.
    """
    left, _, result = subscripts.replace(" ", "").partition("->")
    terms = left.split(",")
    spare = "".join(sorted(set("ABCDEFGHIJKLMNOPQRSTUVWXYZ") - set(subscripts)))
    for i, (term, x) in enumerate(zip(terms, operands, strict=True)):
        extra = x.ndim - len(term.replace("...", ""))
        terms[i] = term.replace("...", spare[len(spare) - extra :])
    most = max(
        x.ndim - len(t.replace("...", "")) for t, x in zip(left.split(","), operands, strict=True)
    )
    result = result.replace("...", spare[len(spare) - most :])
    letters, x = terms[0], operands[0]
    for i, (term, y) in enumerate(zip(terms[1:], operands[1:], strict=True), start=1):
        kept = set(result).union(*terms[i + 1 :])
        letters, x = _contracted(
            *_alone(letters, x, kept | set(term)), *_alone(term, y, kept | set(letters)), kept
        )
    letters, x = _alone(letters, x, set(result))
    return x.dimshuffle(*(letters.index(letter) for letter in result))


def _alone(letters: str, x: Variable, kept: set[str]) -> tuple[str, Variable]:
    """An operand without the axes that nothing else has: diagonals taken, the rest summed."""
    for letter in dict.fromkeys(letters):
        while letters.count(letter) > 1:
            first, second = [i for i, other in enumerate(letters) if other == letter][:2]
            x = pt.diagonal(x, 0, first, second)
            letters = letters.replace(letter, "") + letter * (letters.count(letter) - 1)
    axes = tuple(i for i, letter in enumerate(letters) if letter not in kept)
    x = pt.sum(x, axes, x.type.dtype, acc_dtype=x.type.dtype) if axes else x
    return "".join(letter for letter in letters if letter in kept), x


def _contracted(
    left: str, x: Variable, right: str, y: Variable, kept: set[str]
) -> tuple[str, Variable]:
    """The product of two operands, summed over the axes that they share and that aren't kept."""
    batch = [letter for letter in left if letter in right and letter in kept]
    inner = [letter for letter in left if letter in right and letter not in kept]
    rows = [letter for letter in left if letter not in right]
    columns = [letter for letter in right if letter not in left]
    sizes = dict(zip(left, sizes_of(x), strict=True)) | dict(zip(right, sizes_of(y), strict=True))
    for letter in batch:  # an axis of size 1 broadcasts
        sizes[letter] = max(
            (sizes_of(x)[left.index(letter)], sizes_of(y)[right.index(letter)]), key=_not_one
        )

    def matrix(letters: str, z: Variable, *groups: list[str]) -> Variable:
        order = [letter for group in groups for letter in group]
        z = z.dimshuffle(*(letters.index(letter) for letter in order))
        lead = sizes_of(z)[: len(batch)]
        shape = [math.prod([sizes[letter] for letter in group]) for group in groups[1:]]
        return pt.reshape(z, (*lead, *shape), ndim=len(lead) + len(shape))

    product = pt.matmul(
        matrix(left, x, batch, rows, inner), matrix(right, y, batch, inner, columns)
    )
    found = [*batch, *rows, *columns]
    return "".join(found), pt.reshape(product, [sizes[letter] for letter in found], ndim=len(found))


def _not_one(size: Any) -> bool:
    return not isinstance(size, int) or size != 1


def max_pooled(x: Variable, window: Axes, strides: Axes) -> Variable:
    """The largest element of each window. Of equal ones the first has the gradient, as on JAX."""
    sizes = sizes_of(x)[1:-1]
    result = None
    for at in itertools.product(*map(range, window)):
        moves = zip(at, sizes, window, strides, strict=True)
        stops = [(i, i + (size - k) // step * step + 1, step) for i, size, k, step in moves]
        seen = x[(slice(None), *(slice(*stop) for stop in stops))]
        if result is not None:
            seen = pt.switch(pt.or_(pt.ge(result, seen), pt.isnan(result)), result, seen)
        result = seen
    return result


def conjugate(x: Variable) -> Variable:
    return pt.complex(part_of(x, 0), -part_of(x, 1))


def transformed(real: Variable, imag: Variable, inverse: bool = False) -> tuple[Variable, ...]:
    """The parts of the Fourier transform of the last axis, or of its inverse."""
    function = np.fft.ifft if inverse else np.fft.fft

    def transform(real: Any, imag: Any) -> Any:
        result = function(real + 1j * imag)
        return result.real, result.imag

    def pull(inputs: Any, outputs: Any, cotangents: Any) -> Any:
        size = pt.cast(inputs[0].shape[-1], inputs[0].type.dtype)
        real, imag = cotangents
        parts = transformed(real, imag, not inverse)
        return [part / size if inverse else part * size for part in parts]

    found = on_host(transform, [(real.type.dtype, real.type.shape)] * 2, real, imag)
    return pulled(found, [real, imag], pull)


# ------------------------------------------------------------------- conversion


def as_array(x: Any, dtype: str | None = None) -> Array:
    """Numbers, nested lists, NumPy arrays or tensors as an array."""
    if isinstance(x, Array):
        return x if dtype in (None, x.dtype) else applied(cast, x, dtype)
    given: Any = x
    leaves = optree.tree_leaves(given) if isinstance(x, (list, tuple)) else ()
    if any(isinstance(leaf, Array) and leaf.tracked for leaf in leaves):
        return as_array(applied(pt.stack, [as_array(item) for item in x]), dtype)
    return Array(owned(host.as_array(x, dtype)))
