"""The engine that differentiates: primitives on traced tensors, the way back, transforms."""

from __future__ import annotations

import functools
import heapq
import inspect
import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import optree

from .. import loops
from ..contract import Axes, Engine, Pads, Tensor
from ..generated import define
from ..indexing import indexed
from .rules import BODIES, RULES, Placed, body, is_inexact, put_back, window_keys
from .traced import Node, Traced

_levels = itertools.count(1)


# ------------------------------------------------------------------ primitives


def _holds(x: Any) -> bool:
    """Whether a list holds a traced tensor."""
    if x.__class__ is list or x.__class__ is tuple:
        return any(map(_holds, x))
    return x.__class__ is Traced


def _below(x: Any, level: int) -> Any:
    """A value without the trace of a level."""
    return x.value if x.__class__ is Traced and x.level == level else x


def _constant(x: Any) -> Any:
    """A value without any trace."""
    while x.__class__ is Traced:
        x = x.value
    return x


def _apply(engine: Differentiable, name: str, args: Sequence[Any]) -> Any:
    """A primitive on operands some of which are traced."""
    body = BODIES.get(name)
    result = NotImplemented if body is None else body(engine, *args)
    if result is not NotImplemented:
        return result
    rule = RULES.get(name)
    if rule is None:
        default = getattr(Engine, name)
        if not getattr(default, "__isabstractmethod__", False):
            return default(engine, *args)
        return getattr(engine, name)(*map(_constant, args))
    operands = args[rule.operands[0]] if rule.listed else [args[at] for at in rule.operands]
    level = max([x.level for x in operands if x.__class__ is Traced])
    given = [x.value if x.__class__ is Traced and x.level == level else x for x in args]
    if rule.listed:
        given[rule.operands[0]] = [_below(x, level) for x in operands]
    result = getattr(engine, name)(*given)
    pulls = rule.pulls(engine, result, *given)
    if pulls is None:
        return result
    node = Node(
        [
            (x.node, x.index, pull, engine.shape_of(x.value))
            for x, pull in zip(operands, pulls, strict=True)
            if x.__class__ is Traced and x.level == level
        ]
    )
    if result.__class__ is tuple:
        return tuple(_wrapped(engine, result, level, node))
    return Traced(engine, result, level, node)


def _wrapped(engine: Differentiable, results: Iterable[Any], level: int, node: Node) -> list[Any]:
    """Results as traced tensors of one node; integers stay as they are."""
    return [
        Traced(engine, x, level, node, index) if is_inexact(engine.dtype_of(x)) else x
        for index, x in enumerate(results)
    ]


def _fitted(engine: Differentiable, cotangent: Any, shape: tuple[int, ...]) -> Any:
    """A cotangent summed over the axes along which its operand was broadcast."""
    if cotangent.__class__ is Placed or cotangent is None:
        return cotangent
    found = engine.shape_of(cotangent)
    if found == shape:
        return cotangent
    new = len(found) - len(shape)
    kept = [at for at, size in enumerate(shape, new) if size == 1 and found[at] != 1]
    total = engine.sum(cotangent, (*range(new), *kept), False)
    return total if engine.shape_of(total) == shape else engine.reshape(total, shape)


def _total(engine: Differentiable, parts: list[Any]) -> Any:
    """The sum of what has come to a tensor; parts of it are put together in one go."""
    if len(parts) == 1 and parts[0].__class__ is not Placed:
        return parts[0]
    placed = [part for part in parts if part.__class__ is Placed]
    dense = [part for part in parts if part.__class__ is not Placed]
    if placed:
        first = placed[0]
        dense.append(engine.put([p.value for p in placed], [p.key for p in placed], first.shape))
    return functools.reduce(engine.add, dense)


def _backward(
    engine: Differentiable, seeds: Iterable[tuple[Node, int, Any]], inputs: Sequence[Any]
) -> list[Any]:
    """The cotangents of the inputs, None for those that nothing depends on.

    Nodes are visited from the last one made: when one is, all its results' cotangents are there."""
    found: dict[Node, dict[int, list[Any]]] = {}
    waiting: list[tuple[int, Node]] = []

    def give(node: Node, index: int, cotangent: Any) -> None:
        if cotangent is None:
            return
        if node not in found:
            found[node] = {}
            heapq.heappush(waiting, (-node.order, node))
        found[node].setdefault(index, []).append(cotangent)

    for seed in seeds:
        give(*seed)
    while waiting:
        node = heapq.heappop(waiting)[1]
        if not node.parents:
            continue
        parts = found.pop(node)
        given = [_total(engine, parts[at]) if at in parts else None for at in range(max(parts) + 1)]
        if node.back is not None:
            for entry in node.back(given):
                give(*entry)
        else:
            for parent, index, pull, shape in node.parents:
                give(parent, index, _fitted(engine, pull(*given), shape))
    return [
        _total(engine, found[x.node][0]) if x.__class__ is Traced and x.node in found else None
        for x in inputs
    ]


# ------------------------------------------------------------------- the engine


def _tracing(name: str, member: Any, home: Any) -> Any:
    """A primitive that also takes traced operands, with the parameters that it has in `home`.

    Its code is written for these, since every primitive on plain tensors goes through it: that costs
    0.1 us, and twice as much with `*args`."""
    function = member.__func__ if isinstance(member, staticmethod) else member
    _, *parameters = inspect.signature(getattr(home, name)).parameters.values()
    kinds = {parameter.name: str(parameter.annotation) for parameter in parameters}
    tests = [f"{x}.__class__ is Traced" for x, kind in kinds.items() if kind in ("Tensor", "Any")]
    tests += [f"holds({x})" for x, kind in kinds.items() if "[Tensor]" in kind]
    tests += ["holds(x)"] * (name == "convert_to_tensor")
    header = ", ".join(str(p.replace(annotation=inspect.Parameter.empty)) for p in parameters)
    given = ", ".join(kinds)
    code = (
        f"def primitive(self, {header}):\n"
        f"    if {' or '.join(tests)}:\n"
        f"        return apply(self, {name!r}, ({given},))\n"
        f"    return function({'' if isinstance(member, staticmethod) else 'self, '}{given})"
    )
    scope = {"Traced": Traced, "holds": _holds, "apply": _apply, "function": function}
    made = define("primitive", code, scope, f"traced {name}")
    traced: Callable[..., Any] = functools.wraps(function)(made)
    return traced


def _override(function: Callable[..., Any]) -> Callable[..., Any]:
    """An engine's own body of an op, which leaves traced operands to the default one."""

    @functools.wraps(function)
    def override(self: Differentiable, *args: Any, **named: Any) -> Any:
        return (
            NotImplemented if _holds((*args, *named.values())) else function(self, *args, **named)
        )

    return override


class Differentiable(Engine):
    """An engine that differentiates by the rules for its primitives (see the module's docstring)."""

    native = Engine.native | {Traced}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for name, member in traced_members(vars(cls)).items():
            setattr(cls, name, member)

    # ------------------------------------------------------- linear functions of rules

    def put(self, values: list[Tensor], keys: list[Any], shape: tuple[int, ...]) -> Tensor:
        """Zeros of a shape with each value added at its key, of slices and index tensors."""
        size = math.prod(shape)
        places = self.reshape(self.arange(0, size, 1, "int32"), shape)
        total = self.full((size,), 0, self.dtype_of(values[0]))
        for value, key in zip(values, keys, strict=True):
            index = self.reshape(indexed(self, places, key), (-1, 1))
            total = self.scatter(total, index, self.reshape(value, (-1,)), "add")
        return self.reshape(total, shape)

    def add_patches(
        self,
        columns: Tensor,
        shape: tuple[int, ...],
        window: Axes,
        strides: Axes,
        pads: Pads,
        dilation: Axes,
    ) -> Tensor:
        """The transpose of `patches`: (n, *positions, window elements, i) added up to the shape of x."""
        keys = window_keys(self.shape_of(columns)[1:-2], window, strides, dilation)
        values = [self.get_item(columns, (..., at, slice(None))) for at in range(len(keys))]
        return put_back(self, values, keys, shape, pads)

    # ------------------------------------------------------------ transforms

    def value_and_grad(
        self, f: Callable[[list[Tensor]], tuple[Tensor, Any]]
    ) -> Callable[[list[Tensor]], Any]:
        def call(values: list[Tensor]) -> Any:
            level = next(_levels)
            inputs = [self._input(value, level) for value in values]
            loss, aux = f(inputs)
            loss = self.convert_to_tensor(loss)
            if self.shape_of(loss) != ():
                raise TypeError(
                    "Gradients are those of a scalar. "
                    f"Received: a result of shape {self.shape_of(loss)}. Sum or average it."
                )
            one = self.full((), 1, self.dtype_of(loss))
            found = _backward(self, self._seeds([loss], [one], level), inputs)
            below = functools.partial(_below, level=level)
            result = below(loss), _mapped(below, aux)
            return result, self._complete(inputs, found)

        return call

    def vjp(self, f: Callable[..., Any], *primals: Any) -> tuple[Any, Callable[..., Any]]:
        level = next(_levels)
        leaves, structure = loops.flatten(primals)
        inputs = [self._input(self.convert_to_tensor(leaf), level) for leaf in leaves]
        result = _mapped(self.convert_to_tensor, f(*structure.unflatten(inputs)))
        outputs, shape = loops.flatten(result)

        def pull(cotangents: Any) -> Any:
            seeds = self._seeds(outputs, shape.flatten_up_to(cotangents), level)
            return structure.unflatten(self._complete(inputs, _backward(self, seeds, inputs)))

        return _mapped(functools.partial(_below, level=level), result), pull

    def jvp(self, f: Callable[..., Any], primals: Any, tangents: Any) -> tuple[Any, Any]:
        # A pullback is linear, so its own pullback pushes tangents forward.
        result, pull = self.vjp(f, *primals)
        _, push = self.vjp(pull, _mapped(self._zeros, result))
        return result, push(tuple(tangents))[0]

    def custom_gradient(
        self, f: Callable[..., tuple[Any, Callable[..., Any]]]
    ) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            leaves, structure = loops.flatten(args)
            level = max((x.level for x in leaves if x.__class__ is Traced), default=0)
            below = functools.partial(_below, level=level)
            result, pull = f(*_mapped(below, args), **_mapped(below, kwargs))
            if not level:
                return result
            outputs, shape = loops.flatten(_mapped(self.convert_to_tensor, result))
            outputs = [below(x) for x in outputs]

            def back(given: Sequence[Any]) -> Iterator[tuple[Node, int, Any]]:
                rest = itertools.chain(given, itertools.repeat(None))
                filled = [
                    self._zeros(x) if g is None else g for x, g in zip(outputs, rest, strict=False)
                ]
                found = pull(shape.unflatten(filled))
                found = found if isinstance(found, tuple) and len(args) > 1 else (found,)
                for x, cotangent in zip(leaves, structure.flatten_up_to(found), strict=True):
                    if x.__class__ is Traced and x.level == level and cotangent is not None:
                        yield x.node, x.index, self.convert_to_tensor(cotangent, self.dtype_of(x))

            node = Node(_origins(leaves, level), back)
            return shape.unflatten(_wrapped(self, outputs, level, node))

        return call

    def remat(self, f: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            start = Node()
            result = f(*args, **kwargs)
            leaves, _ = loops.flatten((args, kwargs))
            outputs, shape = loops.flatten(result)
            traced = [x for x in outputs if x.__class__ is Traced]
            if not traced or not _made_of(traced, leaves, start.order):
                return result  # it reads more than its arguments, such as variables
            level = max(x.level for x in traced)

            def back(given: Sequence[Any]) -> Iterator[tuple[Node, int, Any]]:
                again, _ = loops.flatten(f(*args, **kwargs))
                for x, g in zip(again, given, strict=False):
                    if x.__class__ is Traced and x.level == level and g is not None:
                        yield x.node, x.index, g

            node = Node(_origins(leaves, level), back)
            values = [_below(x, level) for x in outputs]
            return shape.unflatten(_wrapped(self, values, level, node))

        return call

    def _input(self, value: Any, level: int) -> Any:
        if value is None or not is_inexact(self.dtype_of(value)):
            return value
        return Traced(self, value, level, Node())

    def _zeros(self, x: Any) -> Tensor:
        return self.full(self.shape_of(x), 0, self.dtype_of(x))

    def _complete(self, inputs: list[Any], found: list[Any]) -> list[Any]:
        """Cotangents of inputs: zeros where nothing depends on one, None for integers."""
        return [
            self._zeros(x) if x.__class__ is Traced and g is None else g
            for x, g in zip(inputs, found, strict=True)
        ]

    def _seeds(
        self, outputs: Sequence[Any], cotangents: Sequence[Any], level: int
    ) -> Iterator[tuple[Node, int, Any]]:
        for x, g in zip(outputs, cotangents, strict=True):
            if x.__class__ is Traced and x.level == level and g is not None:
                yield x.node, x.index, self.convert_to_tensor(g, self.dtype_of(x))

    # ----------------------------------------------------------- control flow
    # Tensors have values while they are traced, so that Python's own will do.

    def cond(self, pred: Tensor, true_fn: Callable[[], Any], false_fn: Callable[[], Any]) -> Any:
        return _mapped(self.convert_to_tensor, true_fn() if pred else false_fn())

    def while_loop(
        self, cond: Callable[..., Tensor], body: Callable[..., Any], state: tuple[Any, ...]
    ) -> Any:
        tensors = functools.partial(_mapped, self.convert_to_tensor)
        return loops.while_loop(tensors, cond, body, state)

    def scan(
        self,
        f: Callable[[Any, Any], tuple[Any, Any]],
        init: Any,
        xs: Any,
        length: int | None,
        reverse: bool,
    ) -> tuple[Any, Any]:
        return loops.scan(self, f, init, xs, length, reverse)

    def vectorized_map(self, f: Callable[[Any], Any], elements: Any) -> Any:
        return self.scan(lambda carry, x: (carry, f(x)), (), elements, None, False)[1]


def _mapped(function: Callable[[Any], Any], tree: Any) -> Any:
    return optree.tree_map(function, tree)


def _made_of(outputs: list[Traced], leaves: list[Any], start: int) -> bool:
    """Whether outputs depend on nothing that was there before `start` but on leaves."""
    given = {x.node for x in leaves if x.__class__ is Traced}
    waiting, seen = [x.node for x in outputs], set(given)
    while waiting:
        node = waiting.pop()
        if node not in seen:
            if node.order < start:
                return False
            seen.add(node)
            waiting += [parent for parent, *_ in node.parents]
    return True


def _origins(leaves: list[Any], level: int) -> list[tuple[Node]]:
    return [(x.node,) for x in leaves if x.__class__ is Traced and x.level == level]


def traced_members(members: Mapping[str, Any]) -> dict[str, Any]:
    """Primitives and bodies of ops of an engine, as the engine has them that differentiates."""
    found = {}
    for name, member in members.items():
        if name in _TRACED:
            found[name] = _tracing(name, member, Differentiable)
        elif not name.startswith("_") and callable(member) and not hasattr(Differentiable, name):
            found[name] = _override(member)
    return found


# ------------------------------------------------------- what tells of traced tensors


@body
def stop_gradient(e: Any, x: Any) -> Tensor:
    return _constant(x)


@body
def is_tensor(e: Any, x: Any) -> bool:
    return x.__class__ is Traced


@body
def dtype_of(e: Any, x: Any) -> str:
    return str(e.dtype_of(_constant(x)))


@body
def shape_of(e: Any, x: Any) -> tuple[Any, ...]:
    return tuple(e.shape_of(_constant(x)))


@body
def convert_to_numpy(e: Any, x: Any) -> Any:
    return e.convert_to_numpy(_constant(x))


@body
def synchronize(e: Any, x: Any) -> None:
    e.synchronize(_constant(x))


@body
def is_ready(e: Any, x: Any) -> bool:
    return bool(e.is_ready(_constant(x)))


@body
def send(e: Any, x: Any) -> Any:
    return e.send(x)


@body
def container(e: Any, value: Any, trainable: bool, layout: Any = None) -> Any:
    return e.container(_constant(value), trainable, layout)


@body
def write(e: Any, container: Any, value: Any) -> Any:
    return e.write(container, _constant(value))


@body
def convert_to_tensor(e: Any, x: Any, dtype: str | None = None) -> Tensor:
    if isinstance(x, (list, tuple)):
        items = [e.convert_to_tensor(item, dtype) for item in x]
        found = dtype or next(kind for kind in map(e.dtype_of, items) if is_inexact(kind))
        return e.concatenate([e.get_item(e.cast(item, found), (None,)) for item in items], 0)
    return x if dtype is None or e.dtype_of(x) == dtype else e.cast(x, dtype)


#: Methods that may be given traced tensors; the others are given functions, or none.
_TRACED = {
    *RULES,
    *BODIES,
    *(
        name
        for name, member in vars(Engine).items()
        if "Tensor" in str(getattr(member, "__annotations__", {}))
    ),
    "arange",
} - set(
    "received cond while_loop scan vectorized_map custom_gradient value_and_grad vjp jvp compile "
    "each remat stand_in read weak_type from_dlpack".split()
)
for _name in _TRACED:
    _home: Any = Differentiable if _name in vars(Differentiable) else Engine
    _member = vars(_home)[_name]
    if not getattr(_member, "__isabstractmethod__", False):
        setattr(Differentiable, _name, _tracing(_name, _member, _home))
