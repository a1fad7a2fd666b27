"""PyTensor's graphs as arrays: what the engine computes with, and how it runs graphs.

An `Array` is what an op gives: its value where that is known, its variable in PyTensor's graph, or
both. Outside of a compiled step every value is known: an op makes its nodes, which run at once
(`evaluated`), so nothing is compiled and nothing computed twice. While a function is differentiated
its arrays also keep their variables, and `pytensor.grad` makes the gradient's graph. Within a
compiled step arrays are variables alone.
"""

from __future__ import annotations

import functools
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np
import pytensor
import pytensor.scalar as scalar
import pytensor.tensor as pt
from pytensor.compile.builders import OpFromGraph
from pytensor.compile.mode import Mode, get_default_mode, optdb
from pytensor.gradient import DisconnectedType
from pytensor.graph.basic import Apply, Constant
from pytensor.graph.rewriting.basic import in2out, node_rewriter
from pytensor.graph.rewriting.db import RewriteDatabaseQuery
from pytensor.link.basic import PerformLinker
from pytensor.link.vm import VMLinker
from pytensor.scan.op import Scan
from pytensor.tensor.elemwise import Elemwise
from pytensor.tensor.rewriting.ofg import inline_ofg_node

from ... import tuning
from .. import get, host
from ..contract import Engine
from ..operators import PrimitiveOperators

Variable = Any

#: From how many elements on a constant is an input of its own: the linker would write it as a literal.
_LARGE = 1024


def is_narrow(name: str) -> bool:
    """Whether a dtype is one that PyTensor can't compute in."""
    return name == "float16" or name.startswith(("bfloat", "float8"))


def dtype_for(name: str) -> str:
    """The dtype that PyTensor computes in when asked for `name`."""
    return "float32" if is_narrow(name) else name


# ----------------------------------------------------------------------- arrays


class scope:
    """What goes on in this thread or asyncio task."""

    #: The transform, outermost; arrays made in it keep their variables.
    current: ContextVar[object | None] = ContextVar("current", default=None)
    #: Whether arrays without values may appear: within a compiled step.
    tracing: ContextVar[bool] = ContextVar("tracing", default=False)


@contextmanager
def within(tracing: bool = False) -> Iterator[None]:
    """A transform: within it, arrays keep the variables that they come from."""
    current, traced = scope.current.get(), scope.tracing.get()
    scope.current.set(current or object())
    scope.tracing.set(traced or tracing)
    try:
        yield
    finally:
        scope.current.set(current)
        scope.tracing.set(traced)


def _method(name: str) -> Any:
    """The method that PyTensor's variables have under this name, of arrays."""

    def method(self: Array, *args: Any, **kwargs: Any) -> Any:
        return applied(lambda x: getattr(x, name)(*args, **kwargs), self)

    return method


class Array(PrimitiveOperators):
    """What the engine computes with: a value, a variable of PyTensor's, or a variable with its value.

    It has the attributes, operators and conversions of a NumPy array that is only read; `variable`
    is what PyTensor's own functions take. Without a value, the sizes in its shape may be arrays.
    """

    def __init__(self, value: Any, variable: Variable = None) -> None:
        self.value = value
        self._variable = variable
        self._scope = scope.current.get()

    @property
    def tracked(self) -> bool:
        """Whether the variable says where the value came from, in a transform that goes on."""
        if self.value is None:
            return True
        return self._variable is not None and self._scope is scope.current.get() is not None

    @property
    def variable(self) -> Variable:
        """The variable in PyTensor's graph."""
        return self._variable if self.tracked else constant(self.value)

    @property
    def shape(self) -> tuple[Any, ...]:
        """The sizes: integers where they are known."""
        if self.value is not None:
            return tuple(self.value.shape)
        sizes = enumerate(self._variable.type.shape)
        return tuple(
            Array(None, self._variable.shape[i]) if size is None else size for i, size in sizes
        )

    @property
    def dtype(self) -> str:
        """The dtype's name."""
        return self._variable.type.dtype if self.value is None else self.value.dtype.name

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    def numpy(self) -> np.ndarray[Any, Any]:
        """The value, which can't be written to."""
        if self.value is None:
            raise TypeError(
                f"Within a compiled step an array has no value yet. Received: {self!r}. Use ops of "
                "`cornu.ops` on it, such as `cond` and `where`, or run the step eagerly."
            )
        view = self.value.view()
        view.flags.writeable = False
        return view

    def tolist(self) -> Any:
        """The value as nested lists of Python's numbers."""
        return self.numpy().tolist()

    item = tolist

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
        return np.array(self.numpy(), dtype) if copy else np.asarray(self.numpy(), dtype)

    def __dlpack__(self, **options: Any) -> Any:
        return self.numpy().copy().__dlpack__(**options)  # the receiver may write to it

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.numpy().__dlpack_device__()

    def __bool__(self) -> bool:
        return bool(self.numpy())

    def __int__(self) -> int:
        return int(self.numpy())

    def __float__(self) -> float:
        return float(self.numpy())

    def __complex__(self) -> complex:
        return complex(self.numpy())

    def __index__(self) -> int:
        return self.numpy().__index__()

    def __format__(self, spec: str) -> str:
        return format(self.numpy()[()], spec) if spec else str(self)

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("A scalar has no length.")
        return int(self.shape[0])

    def __iter__(self) -> Iterator[Array]:
        return (self[i] for i in range(len(self)))

    def _engine(self) -> Engine:
        return get("pytensor")

    def _takes(self, x: Any) -> bool:
        return isinstance(x, (Array, np.ndarray, np.generic, list, tuple, *host.PYTHON))

    all, any, argmax, argmin = map(_method, ("all", "any", "argmax", "argmin"))
    max, mean, min, prod, sum = map(_method, ("max", "mean", "min", "prod", "sum"))
    astype, flatten, reshape = map(_method, ("astype", "flatten", "reshape"))
    transpose = _method("transpose")

    def __repr__(self) -> str:
        known = "" if self.value is None else f", value={np.array2string(self.value)}"
        shape = tuple(self._variable.type.shape) if self.value is None else self.shape
        return f"<Array shape={shape}, dtype={self.dtype}{known}>"


def constant(value: np.ndarray[Any, Any]) -> Variable:
    """A variable that has this value."""
    if value.size > 1 and not any(value.strides):  # one number, repeated
        return pt.alloc(pt.constant(value.flat[0], dtype=value.dtype.name), *value.shape)
    if value.size >= _LARGE:
        return pytensor.shared(value, shape=value.shape, borrow=True)
    return pt.constant(value, dtype=value.dtype.name)


def canonical(x: Any) -> np.ndarray[Any, Any]:
    """A NumPy array in a dtype that PyTensor computes in."""
    array = np.asarray(x)
    return array.astype(dtype_for(array.dtype.name), copy=False)


def owned(x: Any) -> np.ndarray[Any, Any]:
    """A copy in a dtype that PyTensor computes in, which nobody else can write to."""
    return np.array(canonical(x), order="C")


# ------------------------------------------------------------------- evaluation

#: Scalar ops that PyTensor runs element by element in Python, as functions of arrays.
_ELEMENTWISE: dict[type, Callable[..., Any]] = {
    scalar.basic.Second: lambda _, x, y: np.broadcast_to(y, np.broadcast_shapes(x.shape, y.shape)),
    scalar.basic.Identity: lambda _, x: x,
    scalar.basic.Cast: lambda op, x: x.astype(op.o_type.dtype),
    scalar.basic.Complex: lambda _, x, y: x + 1j * y,
    scalar.basic.Add: lambda _, *xs: functools.reduce(np.add, xs),
    scalar.basic.Mul: lambda _, *xs: functools.reduce(np.multiply, xs),
}


class _Whole:
    """A scalar op of the table, in the place of the NumPy function that an `Elemwise` runs."""

    nout = 1

    def __init__(self, op: Any) -> None:
        self.op = op

    def __call__(self, *xs: Any) -> Any:
        return _ELEMENTWISE[type(self.op)](self.op, *xs)


def evaluated(wanted: Sequence[Variable], keep: bool, known: Any = ()) -> list[Any]:
    """The values of variables whose inputs have values.

    Args:
        keep: Whether what lies between keeps its value too, for a graph built on it later.
        known: Values of variables, besides those that have their own.
    """
    values: dict[Variable, Any] = dict(known)
    with np.errstate(all="ignore"):
        for node in _order(wanted, values):
            results = _performed(node, [values[x] for x in node.inputs])
            for variable, value in zip(node.outputs, results, strict=True):
                values[variable] = value
                if keep:
                    variable.tag.value = value
    return [values[variable] for variable in wanted]


def _order(wanted: Sequence[Variable], values: dict[Variable, Any]) -> Iterator[Apply]:
    """The nodes to run, inputs first; values that variables have already are added on the way."""
    done: set[Apply] = set()
    stack = list(wanted)
    while stack:
        node = stack[-1].owner
        if node in done or _has_value(stack[-1], values):
            stack.pop()
            continue
        missing = [x for x in node.inputs if x.owner not in done and not _has_value(x, values)]
        if missing:
            stack += missing
            continue
        done.add(node)
        yield node


def _has_value(variable: Variable, values: dict[Variable, Any]) -> bool:
    """Whether a variable has a value; that of a constant, or one it was given, is added."""
    if variable not in values:
        if isinstance(variable, Constant):
            values[variable] = variable.data
        elif isinstance(variable, pytensor.compile.SharedVariable):
            values[variable] = variable.get_value(borrow=True)
        elif hasattr(variable.tag, "value"):
            values[variable] = variable.tag.value
        else:
            return False
    return True


def _performed(node: Apply, inputs: list[Any]) -> list[Any]:
    """What a node gives for values of its inputs."""
    op = node.op
    if isinstance(op, Elemwise) and type(op.scalar_op) in _ELEMENTWISE:
        results = [_ELEMENTWISE[type(op.scalar_op)](op.scalar_op, *inputs)]
    elif isinstance(op, OpFromGraph):
        known = zip(op.inner_inputs, inputs, strict=True)
        absent = {y: None for y in op.inner_outputs if isinstance(y.type, DisconnectedType)}
        results = evaluated(op.inner_outputs, False, {**dict(known), **absent})
    else:
        storage: list[Any] = [[None] for _ in node.outputs]
        op.prepare_node(node, None, None, "py")
        op.perform(node, inputs, storage)
        results = [cell[0] for cell in storage]
    return [
        np.asarray(x, y.type.dtype) if hasattr(y.type, "dtype") else x
        for x, y in zip(results, node.outputs, strict=True)
    ]


# -------------------------------------------------------------------- functions


@node_rewriter(None)  # type: ignore[untyped-decorator]
def cornu_interpreted(fgraph: Any, node: Apply) -> Any:
    """A node as Python runs it best, loops and inner graphs included."""
    op = node.op
    if isinstance(op, Elemwise) and type(op.scalar_op) in _ELEMENTWISE:
        op.ufunc = _Whole(op.scalar_op)
    if isinstance(op, OpFromGraph):
        return inline_ofg_node(node)
    if isinstance(op, Scan) and op.mode is not _INTERPRETED:
        loop = op.clone()
        loop.mode, loop._fn = _INTERPRETED, None
        return loop(*node.inputs, return_list=True)
    return None


optdb.register("cornu_interpreted", in2out(cornu_interpreted), "interpreted", position=0)
#: The mode that compiles nothing.
_INTERPRETED = Mode(
    VMLinker(use_cloop=False, c_thunks=False),
    RewriteDatabaseQuery(include=["merge", "interpreted"]),
)


def _configured() -> Any:
    """The mode that PyTensor was told to compile in; None where it was told none, or Python's own."""
    told = pytensor.config.mode != "Mode" or pytensor.config.linker != "auto"
    mode = get_default_mode()
    # Numba's linker is a subclass of Python's.
    return mode if told and type(mode.linker) is not PerformLinker else None


class Function:
    """A graph as a function of NumPy arrays: interpreted, and compiled after some calls where PyTensor
    was told a mode.

    One thread at a time runs it: PyTensor's functions hold their arguments.
    """

    def __init__(self, inputs: list[Variable], outputs: list[Variable]) -> None:
        self.graph = inputs, outputs
        self.calls = 0
        self.lock = threading.Lock()
        self.function = self._made(_INTERPRETED)

    def _made(self, mode: Any) -> Callable[..., Any]:
        with quietly():
            function = pytensor.function(*self.graph, mode=mode, on_unused_input="ignore")
        function.trust_input = True
        return function

    def __call__(self, *values: Any) -> Any:
        with self.lock:
            self.calls += 1
            if self.calls == tuning.interpreted_calls() + 1 and (mode := _configured()) is not None:
                self.function = self._made(mode)
                with quietly():  # Numba compiles in the first call
                    return self.function(*values)
            with np.errstate(all="ignore"):
                return self.function(*values)


@contextmanager
def quietly() -> Iterator[None]:
    """Without warnings of arithmetic, nor of ops that Numba leaves to NumPy."""
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Numba will use object mode")
        warnings.filterwarnings("ignore", "Cannot cache compiled function")
        yield


# ------------------------------------------------------- from functions to ops


def applied(function: Callable[..., Any], *args: Any) -> Any:
    """A function of PyTensor's variables, of arrays: with values where all of the arrays have them."""
    arrays: list[Array] = []
    result = function(*(_as_variable(arg, arrays) for arg in args))
    return as_arrays(
        result, all(x.value is not None for x in arrays), any(x.tracked for x in arrays)
    )


def _as_variable(x: Any, seen: list[Array]) -> Any:
    """Arrays as variables, also within a tuple or list."""
    if isinstance(x, Array):
        seen.append(x)
        return x.variable
    if isinstance(x, (tuple, list)):
        return type(x)(_as_variable(entry, seen) for entry in x)
    if isinstance(x, slice):
        return slice(*(_as_variable(entry, seen) for entry in (x.start, x.stop, x.step)))
    return constant(canonical(x)) if isinstance(x, (np.ndarray, np.generic)) else x


def as_arrays(result: Any, known: bool, tracked: bool) -> Any:
    """Variables as arrays; `known` ones get their values, and only `tracked` ones stay variables."""
    variables = list(result) if isinstance(result, (tuple, list)) else [result]
    values = evaluated(variables, tracked) if known else [None] * len(variables)
    pairs = zip(values, variables, strict=True)
    arrays = [Array(value, variable if tracked else None) for value, variable in pairs]
    return tuple(arrays) if isinstance(result, (tuple, list)) else arrays[0]


def primitive(function: Callable[..., Any]) -> Any:
    """A function of variables as the engine's method, which takes and gives arrays."""

    @functools.wraps(function)
    def method(self: Engine, *args: Any) -> Any:
        return applied(function, *args)

    return method
