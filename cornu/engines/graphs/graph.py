"""A graph under construction, whatever the format: its values, its nodes, and graphs within it."""

from __future__ import annotations

import functools
import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple, NoReturn, Self

import numpy as np

from .. import current
from ..contract import Engine
from ..operators import PrimitiveOperators
from ..spec import Dimension, Spec

Array = np.ndarray[Any, Any]
#: What an operator takes beside a value: a variable's own one reads it.
_OPERANDS = (Dimension, bool, int, float, complex, np.ndarray, np.generic)


def pairs(table: str) -> dict[str, str]:
    """A table written as `name:value name:value ...`."""
    return dict(pair.split(":") for pair in table.split())


class Codes(NamedTuple):
    """How a known value stands in the file: `(codes - zero) * scale`, with all three of its shape."""

    codes: Array
    scale: Array
    zero: Array

    def value(self) -> Array:
        """What they stand for."""
        return (self.codes.astype(np.float32) - self.zero.astype(np.float32)) * self.scale

    def along(self) -> tuple[int | None, Array, Array] | None:
        """The axis along which scales differ, None where there is one, with the scales and zeros along it.

        None for scales that differ along several axes, which the format doesn't have.
        """
        rank = self.codes.ndim
        for axis in (None, *range(rank)):
            first = tuple(slice(None) if k == axis else slice(1) for k in range(rank))
            scale, zero = self.scale[first], self.zero[first]
            if np.all(scale == self.scale) and np.all(zero == self.zero):
                shape = () if axis is None else (-1,)
                return axis, scale.reshape(shape), zero.reshape(shape)
        return None


class Value(PrimitiveOperators, Spec):
    """A value in a graph; one that is known has its array, and stands in the file once it is used.

    Its operators are primitives of the current engine, which made it.
    """

    #: The value that this one is a transpose of, and the transpose's axes.
    origin: tuple[Value, tuple[int, ...]] | None = None
    #: The name of a weight, which is rearranged while the graph is written, but computed with later.
    label: str | None = None
    #: Gives what it will be, where it follows from weights alone.
    later: Callable[[], Array] | None = None
    #: Of a known value, what it is stored as in fewer bits.
    codes: Codes | None = None
    #: Of a convolution by codes: its images, its weights, and its attributes.
    convolved: tuple[Value, Value, dict[str, Any]] | None = None
    #: The real and the imaginary part of a complex value, which is no value of the graph itself.
    parts: tuple[Value, ...] | None = None

    def __init__(
        self,
        dims: Iterable[Any],
        dtype: str,
        graph: Graph,
        name: str = "",
        array: Array | None = None,
    ) -> None:
        super().__init__(dims, dtype)
        self.graph = graph
        self.name = name
        self.array = array

    def known(self) -> Array | None:
        """What it is, of a known value, or of one that follows from weights alone."""
        return self.array if self.array is not None or self.later is None else self.later()

    def follow(self, operands: Sequence[Any], compute: Callable[[], Any]) -> None:
        """Be known as what `compute` gives, if the operands are known."""
        values = [x for x in operands if isinstance(x, Value)]
        if len(values) == len(operands) and all(
            x.array is not None or x.later is not None for x in values
        ):
            self.later = functools.cache(lambda: np.asarray(compute()))
            self.label = next((x.label for x in values if x.label), self.label)

    def _known(self, use: str) -> Array:
        if self.array is None:
            raise TypeError(
                f"A value of a graph is known when the graph runs, so it can't {use} while it "
                f"is written. Received: {self!r}. Use ops of `cornu.ops`, and `ops.cond` for choices."
            )
        return self.array

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return np.asarray(self._known("become a NumPy array"), dtype)

    def __bool__(self) -> bool:
        return bool(self._known("decide a condition"))

    def __int__(self) -> int:
        return int(self._known("become a number"))

    def __float__(self) -> float:
        return float(self._known("become a number"))

    __index__ = __int__

    def _engine(self) -> Engine:
        return current()

    def _takes(self, x: Any) -> bool:
        return isinstance(x, (Value, *_OPERANDS))

    def __len__(self) -> int:
        return len(range(self.dims[0]))

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))


class Node(NamedTuple):
    """One operation of a graph."""

    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Any]
    bodies: dict[str, Graph]


class Graph:
    """Nodes in the order in which they run; a body of a loop or a branch sees what is around it.

    The same operation on the same values is written once, and outside of the loops that it does not
    depend on. A format is a subclass: its name, its dtypes, and how it holds what is known.

    Args:
        parent: The graph that this one is a body in.
        branch: Whether what it needs is computed only when it runs.
        half: Whether float32 weights are stored in 16 bits, where they fit.
    """

    #: The format, as errors name it, and the engine that writes it.
    format: ClassVar[str]
    engine: ClassVar[str]
    #: The dtypes that the format has, with what it calls them.
    dtypes: ClassVar[Mapping[str, Any]]
    #: The operation that gives what it is given.
    same: ClassVar[str] = "Identity"
    #: Operations on dtypes that the others don't know, such as look-ups of strings.
    of_any_dtype: ClassVar[frozenset[str]] = frozenset()

    def __init__(
        self, parent: Self | None = None, branch: bool = False, half: bool = False
    ) -> None:
        self.parent = parent
        self.root: Graph = self if parent is None else parent.root
        self.depth: int = 0 if parent is None else parent.depth + 1
        self.floor: int = self.depth if branch or parent is None else parent.floor
        self.inputs: list[Value] = []
        self.outputs: list[Value] = []
        self.nodes: list[Node] = []
        #: Where a symbol of an unknown dimension is found: the axis of a value.
        self.places: dict[int, tuple[Value, int]] = {}
        self.half = half
        self.initializers: dict[str, Array] = {}
        #: The labels of the initializers that are weights.
        self.labels: dict[str, str | None] = {}
        self._taken: set[str] = set()
        self._counts: Counter[str] = Counter()
        self._done: dict[Any, list[Value]] = {}

    def _around(self) -> Iterator[Graph]:
        graph: Graph | None = self
        while graph is not None:
            yield graph
            graph = graph.parent

    def new_name(self, hint: str) -> str:
        """A name that no other value has."""
        root, name = self.root, hint
        while name in root._taken:
            root._counts[hint] += 1
            name = f"{hint}_{root._counts[hint]}"
        root._taken.add(name)
        return name

    def value(self, dims: Iterable[Any], dtype: str, name: str) -> Value:
        """A new value of this graph, at whose axes unknown dimensions may be read."""
        made = Value(dims, dtype, self, name)
        for axis, size in enumerate(made.dims):
            if isinstance(size, Dimension) and size.coefficient == 1 and len(size.symbols) == 1:
                symbol = size.symbols[0]
                if self.place_of(symbol) is None:
                    self.places[symbol] = (made, axis)
        return made

    def place_of(self, symbol: int) -> tuple[Value, int] | None:
        """The axis of a value that is as long as a symbol says."""
        return next((g.places[symbol] for g in self._around() if symbol in g.places), None)

    def input(self, dims: Iterable[Any], dtype: str, name: str = "input") -> Value:
        """A new input."""
        if dtype not in (*self.dtypes, "string"):
            self.refuse_dtype("take an input", dtype)
        self.inputs.append(self.value(dims, dtype, self.new_name(name)))
        return self.inputs[-1]

    def constant(self, array: Array, label: str | None = None, codes: Codes | None = None) -> Value:
        """A known value; with a label, a weight; with codes, one that is stored as these."""
        made = Value(array.shape, array.dtype.name, self.root, array=array)
        made.label, made.codes = label, codes
        return made

    def name_of(self, value: Value) -> str:
        """A value's name; a known one comes into the file here, once for equal ones."""
        if not value.name and value.array is not None:
            array = np.asarray(value.array, order="C")
            digest = hashlib.sha256(array.tobytes()).digest()
            key = (array.dtype.name, array.shape, value.codes is None, digest)
            known = self.root._done.get(key)
            if known is None:
                known = self.root._done[key] = [self._stored(array, value.label, value.codes)]
            value.name = known[0].name
        return value.name

    def _stored(self, array: Array, label: str | None, codes: Codes | None) -> Value:
        """A known value as it stands in the file."""
        return self.initializer(array, label)

    def initializer(self, array: Array, label: str | None) -> Value:
        """An array of the file, under a weight's name where it is one."""
        root, name = self.root, self.new_name(label or "constant")
        root.initializers[name] = array
        root.labels[name] = label
        return Value(array.shape, array.dtype.name, root, name)

    def halves(self, array: Array) -> bool:
        """Whether a weight is stored in 16 bits."""
        large = self.half and array.ndim > 0 and array.dtype == np.float32
        return large and bool((np.abs(array) <= 65504).all())

    def add(
        self,
        kind: str,
        inputs: Sequence[Value | None],
        specs: Sequence[Spec],
        attributes: Mapping[str, Any] | None = None,
        bodies: dict[str, Graph] | None = None,
    ) -> list[Value]:
        """The results of an operation, in the outermost graph where it can run."""
        for x in (*inputs, *specs):
            if x is not None and x.dtype not in self.dtypes and kind not in self.of_any_dtype:
                self.refuse_dtype(f"do `{kind}`", x.dtype)
        names = tuple("" if x is None else self.name_of(x) for x in inputs)
        key = (kind, names, repr(attributes))
        graph = self
        if not bodies:
            for around in self._around():
                if key in around._done:
                    return around._done[key]
            depth = max([self.floor, *(x.graph.depth for x in inputs if x is not None)])
            graph = next(g for g in self._around() if g.depth == depth)
        made = [graph.value(s.dims, s.dtype, self.new_name(kind.lower())) for s in specs]
        outputs = tuple(x.name for x in made)
        graph.nodes.append(Node(kind, names, outputs, dict(attributes or {}), bodies or {}))
        graph._done[key if not bodies else outputs] = made
        return made

    def finish(self, outputs: Sequence[Value], names: Sequence[str] | None = None) -> None:
        """Say what the graph gives; each output gets a node of its own where it needs one."""
        moved = self._give_up(names or ())
        made = {name for node in self.nodes for name in node.outputs}
        renamed: dict[str, str] = {}
        for i, x in enumerate(outputs):
            if x.dtype not in self.dtypes:
                self.refuse_dtype("give an output", x.dtype)
            name = self.name_of(x)
            name = moved.get(name, name)
            wanted = self.new_name(names[i]) if names else name
            if name not in made or name in renamed or x.graph is not self:
                wanted = self.new_name(wanted) if not names else wanted
                self.nodes.append(Node(self.same, (name,), (wanted,), {}, {}))
            else:
                renamed[name] = wanted
            self.outputs.append(Value(x.dims, x.dtype, self, wanted))
        self._rename(renamed)
        self._clear()
        self._simplify()

    def _give_up(self, names: Sequence[str]) -> dict[str, str]:
        """Take names from what nodes give, so that outputs have them; returns the new names."""
        held = [x for node in self.nodes for x in node.outputs if x in names]
        moved = {name: self.new_name(name) for name in held}
        self._rename(moved)
        self.root._taken.difference_update(held)
        return moved

    def _rename(self, names: dict[str, str]) -> None:
        def new(old: tuple[str, ...]) -> tuple[str, ...]:
            return tuple(names.get(name, name) for name in old)

        self.nodes = [n._replace(inputs=new(n.inputs), outputs=new(n.outputs)) for n in self.nodes]
        for node in self.nodes:
            for body in node.bodies.values():
                body._rename(names)

    def _clear(self) -> None:
        """Take out the nodes that no output needs."""
        needed = {x.name for x in self.outputs}
        kept = []
        for node in reversed(self.nodes):
            if needed & set(node.outputs):
                needed.update(node.inputs, *(body.names() for body in node.bodies.values()))
                kept.append(node)
        self.nodes = kept[::-1]
        self.initializers = {k: v for k, v in self.initializers.items() if k in needed}

    def _simplify(self) -> None:
        """What a format makes of a finished graph, so that its runtimes know operations again."""

    def names(self) -> set[str]:
        """Everything that the graph reads."""
        found = {x.name for x in self.outputs}
        for node in self.nodes:
            found.update(node.inputs, *(body.names() for body in node.bodies.values()))
        return found

    def captured(self) -> list[str]:
        """The values around a body that it reads."""
        own = {x.name for x in self.inputs} | {x for node in self.nodes for x in node.outputs}
        read = [x for node in self.nodes for x in node.inputs]
        read += [x for node in self.nodes for body in node.bodies.values() for x in body.captured()]
        return [x for x in dict.fromkeys([*read, *(x.name for x in self.outputs)]) if x not in own]

    @classmethod
    def refuse_dtype(cls, what: str, dtype: str) -> NoReturn:
        """Say that the format has nothing for a dtype."""
        if dtype == "string":
            raise NotImplementedError(
                f"The {cls.engine} engine can't {what} of strings: a file has no layers of strings. "
                "Received: a tensor of string. Export what comes after them, "
                "`cornu.Model(layer.output, model.output)`, and call them before it."
            )
        advice = (
            "Compute with `ops.real` and `ops.imag`, or on another engine"
            if dtype.startswith("complex")
            else 'Compute in float32 or int32, `ops.cast(x, "float32")`'
        )
        raise NotImplementedError(
            f"The {cls.engine} engine can't {what} of {dtype}: {cls.format} has no operations on such "
            f"numbers. Received: a tensor of {dtype}. {advice}."
        )
