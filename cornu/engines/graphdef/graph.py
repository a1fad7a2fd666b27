"""A graph of TensorFlow's, and the definition of it that its formats have in common: a `GraphDef` in proto3's JSON."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Self

from ..graphs.graph import Array, Graph, Node, Value
from ..spec import Dimension
from .operations import OPERATIONS, Body, Dtype, typed

#: The version of the format, of TensorFlow 2.7; older ones than 2.0 may not read it.
_VERSION = {"producer": 1087, "minConsumer": 12}


class TensorFlowGraph(Graph):
    """A graph of TensorFlow's operations. A node is known by the name of its first result."""

    format = "TensorFlow"
    engine = "graphdef"
    #: The format's names of dtypes.
    dtypes: ClassVar[Mapping[str, str]] = {
        "float32": "DT_FLOAT", "float64": "DT_DOUBLE", "float16": "DT_HALF", "bfloat16": "DT_BFLOAT16",
        "int8": "DT_INT8", "int16": "DT_INT16", "int32": "DT_INT32", "int64": "DT_INT64",
        "uint8": "DT_UINT8", "uint16": "DT_UINT16", "uint32": "DT_UINT32", "uint64": "DT_UINT64",
        "bool": "DT_BOOL",
    }  # fmt: skip
    #: Those that few operations know.
    others: ClassVar[Mapping[str, str]] = {
        "complex64": "DT_COMPLEX64", "complex128": "DT_COMPLEX128", "string": "DT_STRING",
        "resource": "DT_RESOURCE",
    }  # fmt: skip
    of_any_dtype = frozenset("Complex Real Imag FFT IFFT RFFT IRFFT Eig LookupTableFindV2".split())

    def __init__(
        self, parent: Self | None = None, branch: bool = False, half: bool = False
    ) -> None:
        super().__init__(parent, branch, half)
        #: The dtype of each value, by its name.
        self.known: dict[str, str] = {} if parent is None else parent.known
        #: The keys and values of tables, by the names of their nodes.
        self.tables: dict[str, tuple[Array, Array]] = {} if parent is None else parent.tables

    def new_name(self, hint: str) -> str:
        plain = re.sub(r"^[^A-Za-z0-9.]|[^\w./>-]", "_", hint, flags=re.ASCII)
        return super().new_name(plain.lstrip("_") or "x")

    def value(self, dims: Iterable[Any], dtype: str, name: str) -> Value:
        self.known[name] = dtype
        return super().value(dims, dtype, name)

    def initializer(self, array: Array, label: str | None) -> Value:
        made = super().initializer(array, label)
        self.known[made.name] = made.dtype
        return made

    def table(self, keys: Array, values: Array) -> Value:
        """A table in which keys are looked up: filled before the graph runs."""
        name = self.new_name("table")
        self.tables[name] = keys, values
        self.known[name] = "resource"
        return Value((), "resource", self.root, name)

    def _rename(self, names: dict[str, str]) -> None:
        self.known.update({new: self.known[old] for old, new in names.items()})
        super()._rename(names)

    def finish(self, outputs: Sequence[Value], names: Sequence[str] | None = None) -> None:
        super().finish(outputs, names)
        self.known.update({x.name: x.dtype for x in self.outputs})

    def type_of(self, dtype: str) -> str:
        """The format's name of a dtype."""
        return self.dtypes.get(dtype) or self.others[dtype]

    # ---------------------------------------------------------- the definition

    def reference(self, name: str) -> str:
        """A value of the finished graph as a session knows it."""
        found = self._references({x.name: x.name for x in self.inputs})[name]
        return found if ":" in found else f"{found}:0"

    def definition(self) -> dict[str, Any]:
        """The graph as a `GraphDef` in JSON, but for the contents of its constants, the `initializers`."""
        functions: list[Any] = []
        inputs = [self._node(x.name, "Placeholder", [], self._placeholder(x)) for x in self.inputs]
        constants = [self._constant(name, x) for name, x in self.initializers.items()]
        constants += [self._table(name) for name in self.tables]
        nodes = self._written(self._references({x.name: x.name for x in self.inputs}), functions)
        library = {"function": functions}
        return {"node": [*inputs, *constants, *nodes], "library": library, "versions": _VERSION}

    def signature(self, names: tuple[Sequence[str], Sequence[str]]) -> dict[str, Any]:
        """The inputs and outputs as a `SignatureDef` in JSON, by the names that clients send and get."""

        def described(x: Value) -> dict[str, Any]:
            return {
                "name": self.reference(x.name),
                "dtype": self.type_of(x.dtype),
                "tensorShape": shape(x.dims),
            }

        pairs = zip(("inputs", "outputs"), names, (self.inputs, self.outputs), strict=True)
        return {
            key: {name: described(x) for name, x in zip(given, values, strict=True)}
            for key, given, values in pairs
        }

    def filling(self) -> tuple[list[Any], list[str]]:
        """The nodes that fill the tables, and the names of those that are to run."""
        nodes, last = [], []
        for name, arrays in self.tables.items():
            parts = [f"{name}/{part}" for part in ("keys", "values")]
            nodes += [self._constant(*pair) for pair in zip(parts, arrays, strict=True)]
            dtypes = typed("LookupTableImportV2", ["resource", *map(_dtype, arrays)], [])
            nodes.append(self._node(f"{name}/fill", "LookupTableImportV2", [name, *parts], dtypes))
            last.append(f"{name}/fill")
        return nodes, last

    def contents(self) -> dict[str, Array]:
        """The arrays of all constants, by the names of their nodes."""
        tables = {
            f"{name}/{part}": array
            for name, pair in self.tables.items()
            for part, array in zip(("keys", "values"), pair, strict=True)
        }
        return {**self.initializers, **tables}

    def _table(self, name: str) -> Any:
        keys, values = (Dtype(_dtype(x)) for x in self.tables[name])
        attributes = {"key_dtype": keys, "value_dtype": values, "shared_name": name}
        return self._node(name, "HashTableV2", [], attributes)

    def _placeholder(self, x: Value) -> dict[str, Any]:
        return {"dtype": Dtype(x.dtype), "shape": x.dims}

    def _constant(self, name: str, array: Array) -> Any:
        dtype = Dtype(_dtype(array))
        tensor = {"dtype": self.type_of(dtype), "tensorShape": shape(array.shape)}
        return self._node(name, "Const", [], {"dtype": dtype, "value": {"tensor": tensor}})

    def _references(self, given: Mapping[str, str], within: bool = False) -> dict[str, str]:
        """How operands are referred to, by the names of values; within a function by the results' names, too."""
        found = {} if within else {name: name for name in (*self.initializers, *self.tables)}
        found.update(given)
        for node in self.nodes:
            operation = OPERATIONS[node.kind]
            for at, name in enumerate(node.outputs):
                if within:
                    several = len(operation.results) > 1
                    result = operation.results[at if several else 0]
                    found[name] = f"{node.outputs[0]}:{result}:{0 if several else at}"
                else:
                    found[name] = f"{node.outputs[0]}:{at}" if at else name
        return found

    def _written(self, references: Mapping[str, str], functions: list[Any]) -> list[Any]:
        """The nodes; the functions that they call are put into the list."""
        return [self._definition(node, references, functions) for node in self.nodes]

    def _definition(self, node: Node, references: Mapping[str, str], functions: list[Any]) -> Any:
        given, name, more = list(node.inputs), node.outputs[0], {}
        bodies: dict[str, Any] = node.bodies
        if bodies:
            read = (name for body in bodies.values() for name in body.captured())
            captured = list(dict.fromkeys(read))
            given += captured
            for key, body in bodies.items():
                more[key] = Body(f"{name}_{key}".replace("/", "_").replace(".", "_"))
                functions.append(body.function(more[key], captured, key == "body", functions))
        results = [self.known[x] for x in node.outputs]
        if node.kind == "StatelessWhile":  # gives what it captures, too
            results = [self.known[x] for x in given]
        attributes = {
            **typed(node.kind, [self.known[x] for x in given], results), **node.attributes, **more,
        }  # fmt: skip
        return self._node(name, node.kind, [references[x] for x in given], attributes)

    def function(
        self, name: str, captured: Sequence[str], gives_captured: bool, functions: list[Any]
    ) -> dict[str, Any]:
        """A body as a `FunctionDef` that takes what it reads of what is around it, behind its own inputs."""
        taken = [*(x.name for x in self.inputs), *captured]
        given = [x.name for x in self.outputs] + (list(captured) if gives_captured else [])
        references = self._references({x: f"arg_{k}" for k, x in enumerate(taken)}, within=True)

        def arguments(kind: str, names: Sequence[str]) -> list[dict[str, str]]:
            return [
                {"name": f"{kind}_{k}", "type": self.type_of(self.known[x])}
                for k, x in enumerate(names)
            ]

        return {
            "signature": {
                "name": name,
                "inputArg": arguments("arg", taken),
                "outputArg": arguments("result", given),
            },
            "nodeDef": self._written(references, functions),
            "ret": {f"result_{k}": references[x] for k, x in enumerate(given)},
        }

    def _node(self, name: str, kind: str, inputs: Sequence[str], attributes: Any) -> Any:
        attr = {key: self._attribute(value) for key, value in sorted(attributes.items())}
        return {"name": name, "op": kind, "input": list(inputs), "attr": attr}

    def _attribute(self, value: Any) -> Any:
        """A value as an `AttrValue`."""
        if isinstance(value, dict):
            return value
        if isinstance(value, Dtype):
            return {"type": self.type_of(value)}
        if isinstance(value, Body):
            return {"func": {"name": str(value)}}
        if isinstance(value, tuple):
            return {"shape": shape(value)}
        if isinstance(value, list):
            kind = "type" if value and isinstance(value[0], Dtype) else "i"
            return {"list": {kind: [self._attribute(x)[kind] for x in value]}}
        if isinstance(value, str):
            return {"s": base64.b64encode(value.encode()).decode()}
        if isinstance(value, bool):
            return {"b": value}
        return {"i": str(value)} if isinstance(value, int) else {"f": value}


def _dtype(array: Array) -> str:
    return "string" if array.dtype.kind == "O" else array.dtype.name


def shape(dims: Iterable[Any]) -> dict[str, Any]:
    """A shape as a `TensorShapeProto`; what is unknown is -1."""
    sizes = [-1 if isinstance(size, Dimension) or size is None else size for size in dims]
    return {"dim": [{"size": str(size)} for size in sizes]}
