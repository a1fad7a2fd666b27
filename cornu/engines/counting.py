"""The engine of shapes with a pencil: it writes down what it is asked for, and how many multiply-adds it takes.

What a model costs is read off that without computing anything (`models/costs.py`).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import optree

from .contract import Engine
from .spec import Dims, Rule, Spec, SpecEngine

Shape = Callable[[Any], Dims]


class Call(NamedTuple):
    """One call of a primitive.

    Attributes:
        primitive: Its name.
        operands: The tensors that it is given.
        results: Those that it gives.
        multiply_adds: How many it takes: of products and convolutions, else 0.
        times: How many turns of loops it is in.
        within: What was being called, from the outside in.
        again: Whether it runs again on the way back, so that nothing of it is kept for that.
    """

    primitive: str
    operands: tuple[Spec, ...]
    results: tuple[Spec, ...]
    multiply_adds: Any
    times: Any
    within: tuple[Any, ...]
    again: bool = False


#: Primitives that give each element of their result from one of each operand.
ELEMENTWISE = frozenset(
    """negative abs sign ceil floor round trunc sqrt rsqrt exp expm1 log log1p log2 log10 sin cos tan arcsin
    arccos arctan sinh cosh tanh arcsinh arccosh arctanh sigmoid erf erfc erfinv i0 lgamma isnan isinf isfinite
    logical_not bitwise_not real imag conj complex cast where add subtract multiply divide floor_divide mod fmod
    power maximum minimum arctan2 nextafter gammainc equal not_equal less less_equal greater greater_equal
    logical_and logical_or logical_xor bitwise_and bitwise_or bitwise_xor left_shift right_shift""".split()
)
#: What an engine has beside what tensors are computed by; loops are written down in their own way.
UNNOTED = frozenset(
    """convert_to_tensor convert_to_numpy is_tensor dtype_of shape_of cond while_loop scan vectorized_map
    custom_gradient value_and_grad vjp jvp compile""".split()
)
#: Primitives whose result is their operand, or a part of it, seen in another way.
VIEWS = frozenset("identity reshape transpose broadcast_to stop_gradient get_item view".split())


def _matmul(result: Spec, dims: Shape, x1: Any, x2: Any) -> Any:
    return math.prod(result.dims) * dims(x1)[-1]


def _einsum(result: Spec, dims: Shape, subscripts: str, operands: Any) -> Any:
    """The sizes of all letters of two operands; of more, from left to right."""
    terms, _, kept = subscripts.replace(" ", "").partition("->")
    sizes: dict[str, Any] = {}
    names = []
    for term, x in zip(terms.split(","), operands, strict=True):
        head, dots, tail = term.partition("...")
        rest = len(dims(x)) - len(head) - len(tail)
        # Axes that the dots stand for are matched from the last one.
        names.append([*head, *(f".{rest - i}" for i in range(rest)), *tail])
        sizes |= {n: s for n, s in zip(names[-1], dims(x), strict=True) if sizes.get(n, 1) == 1}
    total, joined = 0, set(names[0])
    for place, others in enumerate(names[1:], start=2):
        joined |= set(others)
        total += math.prod([sizes[name] for name in joined])
        needed = set(kept).union(*names[place:])
        joined = {name for name in joined if name in needed or name[0] == "."}
    return total


def _conv(result: Spec, dims: Shape, x: Any, kernel: Any, *_: Any) -> Any:
    return math.prod(result.dims) * math.prod(dims(kernel)[:-1])


def _conv_transpose(result: Spec, dims: Shape, x: Any, kernel: Any, *_: Any) -> Any:
    return math.prod(dims(x)) * math.prod(dims(kernel)[:-1])


#: How many multiply-adds the primitives take that are made of them.
MULTIPLY_ADDS: dict[str, Callable[..., Any]] = {
    "matmul": _matmul,
    "einsum": _einsum,
    "conv": _conv,
    "conv_transpose": _conv_transpose,
}


def _noted(name: str) -> Rule:
    """A primitive of the engine of shapes that is written down."""
    rule: Rule = getattr(SpecEngine, name)
    count = MULTIPLY_ADDS.get(name)

    @functools.wraps(rule)
    def method(self: CountingEngine, *args: Any, **kwargs: Any) -> Any:
        before = len(self.calls)
        results = rule(self, *args, **kwargs)
        del self.calls[before:]  # what a rule is made of is no call of its own
        adds = 0 if count is None else count(results, self.shape_of, *args, **kwargs)
        self.note(name, (args, kwargs), results, adds)
        return results

    return method


class CountingEngine(SpecEngine):
    """The engine that infers shapes, for one count: its `calls` are the primitives that ran, in order.

    Of two branches both are written down, of a `while_loop` one turn: nobody knows how many there are.
    """

    for _name, _member in vars(Engine).items():
        if _name not in UNNOTED and (
            getattr(_member, "__isabstractmethod__", False) or hasattr(_member, "is_default")
        ):
            vars()[_name] = _noted(_name)
    del _name, _member

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[Call] = []
        #: What is being called, from the outside in; whoever calls it says so.
        self.within: tuple[Any, ...] = ()
        #: What the variables that were read stand for: whether each is trained.
        self.weights: dict[int, bool] = {}
        self._read: list[Spec] = []  # kept, so that their ids are theirs
        self._times: Any = 1

    def note(self, primitive: str, operands: Any, results: Any, multiply_adds: Any = 0) -> None:
        """Write down a call."""
        given, made = _specs(operands), _specs(results)
        self.calls.append(Call(primitive, given, made, multiply_adds, self._times, self.within))

    def stand_in(self, variable: Any) -> Spec:
        spec = super().stand_in(variable)
        self.weights[id(spec)] = bool(variable.trainable)
        self._read.append(spec)
        return spec

    # ----------------------------------------------------------------- loops

    @contextmanager
    def _repeated(self, times: Any) -> Iterator[None]:
        before = self._times
        self._times = before * times
        try:
            yield
        finally:
            self._times = before

    def while_loop(self, cond: Rule, body: Rule, state: tuple[Any, ...]) -> Any:
        before = len(self.calls)

        def turn(*state: Any) -> Any:
            del self.calls[before:]  # shapes may take several turns to settle
            return body(*state)

        result = super().while_loop(cond, turn, state)
        self.note("while_loop", state, result)
        return result

    def scan(
        self, f: Rule, init: Any, xs: Any, length: int | None, reverse: bool
    ) -> tuple[Any, Any]:
        inner: list[Any] = []

        def turn(carry: Any, x: Any) -> tuple[Any, Any]:
            with self._repeated(self._steps("scan", xs, length)):
                fresh = self._specs(carry)
                self.note("carry", carry, fresh)
                self.note("get_item", xs, x)
                inner[:] = f(fresh, x)
                return inner[0], inner[1]

        result = super().scan(turn, init, xs, length, reverse)
        self.note("scan", (init, xs, inner), result)
        return result

    def vectorized_map(self, f: Rule, elements: Any) -> Any:
        inner: list[Any] = []

        def on_one(x: Any) -> Any:
            with self._repeated(self._steps("vectorized_map", elements, None)):
                self.note("get_item", elements, x)
                inner[:] = [f(x)]
                return inner[0]

        result = super().vectorized_map(on_one, elements)
        self.note("vectorized_map", (elements, inner), result)
        return result

    def remat(self, f: Rule) -> Rule:
        def run(*args: Any, **kwargs: Any) -> Any:
            before = len(self.calls)
            result = f(*args, **kwargs)
            self.forget(before, (args, kwargs))
            return result

        return run

    def forget(self, begin: int, inputs: Any) -> None:
        """Say that the calls from `begin` on run again on the way back, on the same inputs."""
        self.calls[begin:] = [call._replace(again=True) for call in self.calls[begin:]]
        self.note("remat", inputs, ())


def _specs(structure: Any) -> tuple[Spec, ...]:
    return tuple(x for x in optree.tree_leaves(structure) if isinstance(x, Spec))
