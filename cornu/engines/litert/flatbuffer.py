"""A graph as the bytes of a `.tflite` file: a flatbuffer by the classes of the format's schema."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, NamedTuple

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from ..graphs.graph import Array, Graph, Node, pairs
from ..spec import Dimension, Spec
from .graph import TYPES, LiteRTGraph

SIGNATURE = "serving_default"
#: The name of the graph that a call runs.
MAIN = "main"
#: What a file may hold: places in it are 32-bit numbers with a sign.
LIMIT = (1 << 31) - (1 << 24)
#: Where arrays begin: at multiples of so many bytes.
_ALIGNED = 16
_NUMBERS = {**TYPES, "complex64": schema.TensorType.COMPLEX64}
#: The first version of an operation's kernel, where that is not 1.
_VERSIONS = {"BROADCAST_TO": 2}
#: The classes of options, by their names in small letters, and those of operations that share one.
_OPTIONS = {name.lower(): name for name in vars(schema.BuiltinOptions) if name[0].isupper()}
_SHARED = {
    **dict.fromkeys(
        "sum mean reducemax reducemin reduceprod reduceany reduceall".split(), "reducer"
    ),
    **pairs(
        "maximum:maximumminimum minimum:maximumminimum maxpool2d:pool2d averagepool2d:pool2d "
        "conv3dtranspose:conv3d"
    ),
}


class _Buffer(NamedTuple):
    """An array of the file, where kernels want it."""

    data: Array | None = None

    def Pack(self, builder: Any) -> Any:
        """Its place, once it is written; the schema's classes call it by this name."""
        if self.data is not None:
            builder.Prep(_ALIGNED, self.data.size)
        return schema.BufferT(self.data).Pack(builder)


def serialized(graph: LiteRTGraph, names: tuple[list[str], list[str]], description: str) -> bytes:
    """The bytes of a file: the graph, and a signature with the names of its inputs and outputs.

    Raises:
        ValueError: If the weights are larger than a file may be.
    """
    size = sum(array.nbytes for array in graph.initializers.values())
    if size > LIMIT:
        raise ValueError(
            f"A file of LiteRT holds weights of less than 2 GiB. Received: {size:,} bytes of weights. "
            "Give quantize='float16' or 'dynamic', or export to ONNX with external_data=True."
        )
    return _File(graph, names, description).content(size)


class _File:
    """A file under construction: its operations, its arrays, and its graphs, the main one first."""

    def __init__(
        self, graph: LiteRTGraph, names: tuple[list[str], list[str]], description: str
    ) -> None:
        self.root = graph
        self.codes: dict[str, int] = {}
        self.buffers = [_Buffer()]
        self.places: dict[str, int] = {}
        self.graphs: list[Any] = []
        #: What gives weights of fewer bits as floats: bodies have it themselves, so that loops carry no weights.
        self.widened = {
            node.outputs[0]: node
            for node in graph.nodes
            if node.kind == "DEQUANTIZE" and node.inputs[0] in graph.initializers
        }
        self.model = schema.ModelT()
        self.model.version = 3
        self.model.description = description
        places = self._graph(graph, MAIN, (), ())
        signature = schema.SignatureDefT()
        signature.signatureKey = SIGNATURE
        signature.subgraphIndex = 0
        signature.inputs = _named(names[0], [places[x.name] for x in graph.inputs])
        signature.outputs = _named(names[1], [places[x.name] for x in graph.outputs])
        self.model.signatureDefs = [signature]

    def content(self, size: int) -> bytes:
        """The bytes."""
        model = self.model
        model.operatorCodes = [_code(kind) for kind in self.codes]
        model.subgraphs, model.buffers = self.graphs, self.buffers
        builder = flatbuffers.Builder(size + 4096)
        builder.Finish(model.Pack(builder), b"TFL3")
        return bytes(builder.Output())

    def _graph(
        self, graph: Graph, name: str, taken: Iterable[str], passed: Iterable[str]
    ) -> dict[str, int]:
        """Write a graph; gives the places of its tensors.

        Args:
            taken: What it takes beside its inputs: values of the graphs around it.
            passed: What it gives beside its outputs.
        """
        made = schema.SubGraphT()
        self.graphs.append(made)
        made.name, made.tensors, made.operators = name, [], []
        places: dict[str, int] = {}

        def place(value: str) -> int:
            if value and value not in places:
                places[value] = len(made.tensors)
                made.tensors.append(self._tensor(value, name))
                if value in self.widened and graph is not self.root:
                    made.operators.append(self._operator(self.widened[value], place, name))
            return places[value] if value else -1

        made.inputs = [place(x) for x in (*(x.name for x in graph.inputs), *taken)]
        for node in graph.nodes:
            made.operators.append(self._operator(node, place, name))
        made.outputs = [place(x) for x in (*(x.name for x in graph.outputs), *passed)]
        return places

    def _tensor(self, name: str, graph: str) -> Any:
        made = schema.TensorT()
        # Tools want names that no tensor of another graph has.
        made.name, made.hasRank = name if graph == MAIN else f"{graph}/{name}", True
        array = self.root.initializers.get(name)
        spec = self.root.specs[name] if array is None else Spec(array.shape, array.dtype.name)
        made.type = _NUMBERS[spec.dtype]
        made.shape = [_shown(size) for size in spec.dims]
        if any(isinstance(size, Dimension) for size in spec.dims):
            made.shapeSignature = [-1 if isinstance(x, Dimension) else x for x in spec.dims]
        made.buffer = 0 if array is None else self._buffer(name, array)
        if name in self.root.scales:
            scales, given = self.root.scales[name], schema.QuantizationParametersT()
            given.scale, given.zeroPoint = scales.scale.astype("f4"), scales.zero.astype("i8")
            given.quantizedDimension, made.quantization = scales.axis, given
        return made

    def _buffer(self, name: str, array: Array) -> int:
        if name not in self.places:
            self.places[name] = len(self.buffers)
            data = np.frombuffer(np.ascontiguousarray(array).tobytes(), np.uint8)
            self.buffers.append(_Buffer(data))
        return self.places[name]

    def _operator(self, node: Node, place: Any, graph: str) -> Any:
        made = schema.OperatorT()
        made.opcodeIndex = self.codes.setdefault(node.kind, len(self.codes))
        # A body takes what it reads of the graphs around it as further operands.
        inner = set().union(*map(_captured, node.bodies.values()))
        taken = sorted(inner - self.root.initializers.keys() - self.widened.keys())
        made.inputs = [place(name) for name in (*node.inputs, *taken)]
        passed = taken if node.kind == "WHILE" else []
        # Of what a loop passes on nobody reads what it gives.
        given = [f"{node.outputs[0]}_{name}" for name in passed]
        self.root.specs.update(
            {new: self.root.specs[old] for new, old in zip(given, passed, strict=True)}
        )
        made.outputs = [place(name) for name in (*node.outputs, *given)]
        attributes = dict(node.attributes) if node.kind != "QUANTIZE" else {}  # its tensor has them
        for key, body in node.bodies.items():
            attributes[f"{key}SubgraphIndex"] = len(self.graphs)
            gives = passed if key == "body" else []
            self._graph(body, f"{graph}_{node.outputs[0]}_{key}", taken, gives)
        kind = node.kind.replace("_", "").lower()
        options = _OPTIONS.get(f"{_SHARED.get(kind, kind)}options")
        if options is not None:
            made.builtinOptionsType = getattr(schema.BuiltinOptions, options)
            made.builtinOptions = getattr(schema, f"{options}T")()
            vars(made.builtinOptions).update(attributes)
        return made


def _captured(body: Graph) -> set[str]:
    """What a graph reads of those around it."""
    read = {name for node in body.nodes for name in node.inputs} | {x.name for x in body.outputs}
    read = read.union(*(_captured(inner) for node in body.nodes for inner in node.bodies.values()))
    made = {x.name for x in body.inputs} | {name for node in body.nodes for name in node.outputs}
    return read - made - {""}


def _named(names: Iterable[str], places: Iterable[int]) -> list[Any]:
    made = []
    for name, place in zip(names, places, strict=True):
        tensor = schema.TensorMapT()
        tensor.name, tensor.tensorIndex = name, place
        made.append(tensor)
    return made


def _code(kind: str) -> Any:
    made = schema.OperatorCodeT()
    made.builtinCode = getattr(schema.BuiltinOperator, kind)
    made.deprecatedBuiltinCode = min(made.builtinCode, 127)
    made.version = _VERSIONS.get(kind, 1)
    return made


def _shown(size: Any) -> int:
    """A size as it stands in the file, where unknown ones are 1 until the file is told."""
    if not isinstance(size, Dimension):
        return int(size)
    symbols: Any = size.symbols
    origins = [symbol.origin for symbol in symbols]
    factors = [1 if origin is None else origin[0](*map(_shown, origin[1:])) for origin in origins]
    return max(0, size.coefficient * math.prod(factors))
