"""An ONNX graph: how it holds weights, what its runtimes know again, and its messages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import onnx

from ..graphs.graph import Array, Codes, Graph, Node, Value, pairs
from ..spec import Dimension, Spec

#: The domain of the operation that looks strings up.
ML = "ai.onnx.ml"
#: The version of the format itself, which runtimes of four years and browsers read.
IR_VERSION = 8
#: Dtypes by their numbers in the format.
TYPES = {
    key: int(number)
    for key, number in pairs(
        "float32:1 uint8:2 int8:3 uint16:4 int16:5 int32:6 int64:7 bool:9 float16:10 float64:11 "
        "uint32:12 uint64:13 bfloat16:16 float8_e4m3fn:17 float8_e5m2:19 uint4:21 int4:22"
    ).items()
}


class OnnxGraph(Graph):
    """A graph of ONNX's operations."""

    format: ClassVar[str] = "ONNX"
    engine: ClassVar[str] = "onnx"
    dtypes: ClassVar[Mapping[str, int]] = TYPES
    of_any_dtype = frozenset({"LabelEncoder"})

    def _stored(self, array: Array, label: str | None, codes: Codes | None) -> Value:
        known = None if codes is None else codes.along()
        if codes is not None and known is not None:
            axis, scale, zero = known
            along = {} if axis is None else {"axis": axis}
            operands = [self.constant(codes.codes, label), *map(self.constant, (scale, zero))]
            return self.add("DequantizeLinear", operands, [Spec(array.shape, "float32")], along)[0]
        root = self.root
        halved = label is not None and root.halves(array)
        made = self.initializer(array.astype(np.float16) if halved else array, label)
        if not halved:
            return made
        return root.add("Cast", [made], [Spec(array.shape, "float32")], {"to": TYPES["float32"]})[0]

    def _simplify(self) -> None:
        """Have convolutions add the biases that are added to them, as runtimes in integers want it."""
        readers = Counter(name for node in self.nodes for name in node.inputs)
        readers.update(x.name for x in self.outputs)
        made = {node.outputs[0]: i for i, node in enumerate(self.nodes) if node.kind == "Conv"}
        gone: list[Node] = []
        for node in list(self.nodes):
            result, bias = node.inputs if node.kind == "Add" else ("", "")
            sizes = self.initializers[bias].shape if bias in self.initializers else ()
            alone = readers[result] == readers[bias] == 1 and len(sizes) > 2
            if result not in made or not alone or sizes[:1] + sizes[2:] != (1,) * (len(sizes) - 1):
                continue
            conv = self.nodes[made[result]]
            self.initializers[bias] = self.initializers[bias].reshape(-1)
            self.nodes[made[result]] = conv._replace(
                inputs=(*conv.inputs, bias), outputs=node.outputs
            )
            gone.append(node)
        self.nodes = [node for node in self.nodes if node not in gone]

    def domains(self) -> set[str]:
        """The domains of the operations, beside ONNX's own."""
        inner: Any = [body for node in self.nodes for body in node.bodies.values()]
        bodies = [body.domains() for body in inner]
        own = {node.attributes["domain"] for node in self.nodes if "domain" in node.attributes}
        return own.union(*bodies)

    def message(self, name: str, axes: Mapping[int, str] | None = None) -> Any:
        """The graph as the format has it; `axes` names the symbols of unknown dimensions."""
        return onnx.helper.make_graph(
            [_node(node, f"{name}_{i}") for i, node in enumerate(self.nodes)],
            name,
            [_value(x, axes or {}) for x in self.inputs],
            [_value(x, axes or {}) for x in self.outputs],
            [onnx.numpy_helper.from_array(x, key) for key, x in self.initializers.items()],
        )


def _node(node: Node, name: str) -> Any:
    inner: dict[str, Any] = {**node.bodies}
    bodies = {key: body.message(f"{name}_{key}") for key, body in inner.items()}
    return onnx.helper.make_node(node.kind, node.inputs, node.outputs, **node.attributes, **bodies)


def _value(x: Value, axes: Mapping[int, str]) -> Any:
    def size(dim: Any) -> Any:
        known = not isinstance(dim, Dimension)
        plain = not known and dim.coefficient == 1 and len(dim.symbols) == 1
        return dim if known else axes.get(dim.symbols[0]) if plain else None

    shape = [size(dim) for dim in x.dims]
    kind = TYPES.get(x.dtype, onnx.TensorProto.STRING)
    return onnx.helper.make_tensor_value_info(x.name, kind, shape)
