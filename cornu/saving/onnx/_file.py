"""An ONNX file as it stands on disk: nodes, names and arrays, checked before anybody uses them."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from ...core.checks import installed
from .._files import BrokenFileError

#: The versions of ONNX's operations that are read.
OPSETS = range(7, 24)
#: The domains of operations, by how files call them; others are a runtime's own.
_DOMAINS = {"": "", "ai.onnx": "", "ai.onnx.ml": "ml "}


class Input(NamedTuple):
    """What a graph takes; a dimension that the file leaves open is its name, or None."""

    name: str
    dtype: str
    shape: tuple[int | str | None, ...] | None


@dataclass(eq=False)
class Weight:
    """An array of a file that training may change."""

    name: str
    array: np.ndarray[Any, Any]


class Node(NamedTuple):
    """One operation: its kind (`ml ` before those of the machine-learning domain), and what it is given."""

    kind: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Any]


@dataclass(eq=False)
class Graph:
    """Nodes in the order in which they run, and what is known."""

    inputs: list[Input]
    outputs: list[str]
    nodes: list[Node]
    known: dict[str, Weight | np.ndarray[Any, Any]]
    consumers: dict[str, list[Node]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for node in self.nodes:
            for name in dict.fromkeys(_read_by(node)):
                self.consumers.setdefault(name, []).append(node)

    def is_shared(self, name: str) -> bool:
        """Whether a value is used in several ways, as an embedding that is the last product too."""
        uses = {
            (node.kind, node.inputs[1:], str(node.attributes))
            for node in self.consumers.get(name, ())
            if node.kind != "Identity"  # which exporters put between equal weights
        }
        return len(uses) > 1

    def only_consumer(self, name: str) -> Node | None:
        """The one node that a value goes to, where nothing else reads it."""
        nodes = self.consumers.get(name, [])
        return nodes[0] if len(nodes) == 1 and name not in self.outputs else None


class File(NamedTuple):
    """A model of a file."""

    graph: Graph
    opset: int


def read_file(path: str) -> File:
    """The model of an ONNX file.

    Raises:
        BrokenFileError: If it is none, or not complete.
        ModuleNotFoundError: If the package `onnx` is not installed.
    """
    installed("onnx", "Reading ONNX files", "onnx")
    return _Reading(path).file()


class _Reading:
    """The reading of one file.

    Args:
        path: The path.
    """

    def __init__(self, path: str) -> None:
        import onnx

        self.onnx, self.path = onnx, path

    @cached_property
    def dtypes(self) -> Mapping[int, str]:
        """NumPy's dtypes by their numbers in the format."""
        numbers = self.onnx.TensorProto.DataType.values()
        known = self.onnx.helper.get_all_tensor_dtypes()
        name = self.onnx.helper.tensor_dtype_to_np_dtype
        dtypes = {number: name(number).name for number in numbers if number in known}
        return dtypes | {self.onnx.TensorProto.STRING: "string"}

    def broken(self, what: str) -> BrokenFileError:
        return BrokenFileError(
            f"An ONNX file must be complete. Received: {self.path!r}, in which {what}. Copy or "
            "export it again; do not use it unless you know where it is from."
        )

    def file(self) -> File:
        with open(self.path, "rb") as file:
            data = file.read()
        try:
            message = self.onnx.load_model_from_string(data)
        except Exception as error:  # of the library's own kind
            raise self.broken(f"there is no model: {error}") from error
        versions = {opset.domain: opset.version for opset in message.opset_import}
        opset = versions.get("", versions.get("ai.onnx", 0))
        if not message.graph.node or not opset:
            raise self.broken("there are no nodes, or nothing says of which version they are")
        if opset not in OPSETS:
            raise NotImplementedError(
                f"Of ONNX's operations the versions {OPSETS[0]} to {OPSETS[-1]} are read. Received: "
                f"{self.path!r} of version {opset}. Convert it by "
                "`onnx.version_converter.convert_version(model, 17)`, or export it so."
            )
        try:
            return File(self.graph(message.graph), opset)
        except (TypeError, AttributeError, RecursionError) as error:  # bytes that are no text
            raise self.broken(f"a part is of another kind: {error}") from error

    def graph(self, message: Any) -> Graph:
        """A graph, those within its nodes included."""
        arrays = {_text(tensor.name): self.array(tensor) for tensor in message.initializer}
        known = {name: _weight(name, x) for name, x in arrays.items()}
        inputs = [self.input(value) for value in message.input if value.name not in known]
        nodes = [self.node(node) for node in message.node]
        return Graph(inputs, [_text(value.name) for value in message.output], nodes, known)

    def input(self, value: Any) -> Input:
        kind = value.type.tensor_type
        if not value.type.HasField("tensor_type"):
            raise NotImplementedError(
                "What an ONNX file takes must be tensors. Received: "
                f"{value.type.WhichOneof('value')} for {value.name!r} in {self.path!r}. Export the "
                "model with a tensor in its place."
            )
        if kind.elem_type not in self.dtypes:
            raise self.broken(f"{value.name!r} has the dtype {kind.elem_type}")
        known = kind.HasField("shape")
        shape = tuple(map(_dimension, kind.shape.dim)) if known else None
        return Input(_text(value.name), self.dtypes[kind.elem_type], shape)

    def node(self, node: Any) -> Node:
        domain = _DOMAINS.get(node.domain, f"{node.domain} ")
        attributes = {item.name: self.attribute(item) for item in node.attribute}
        inputs, outputs = tuple(map(_text, node.input)), tuple(map(_text, node.output))
        return Node(domain + _text(node.op_type), _text(node.name), inputs, outputs, attributes)

    def attribute(self, item: Any) -> Any:
        value = self.onnx.helper.get_attribute_value(item)
        if item.name in ("to", "dtype"):
            return self.dtypes.get(value, value)
        if isinstance(value, self.onnx.TensorProto):
            return self.array(value)
        if isinstance(value, self.onnx.GraphProto):
            return self.graph(value)
        if isinstance(value, bytes):
            return value.decode("utf-8", "replace")
        if isinstance(value, (int, float)):
            return value
        return [x.decode("utf-8", "replace") if isinstance(x, bytes) else x for x in value]

    # ---------------------------------------------------------------- arrays

    def array(self, tensor: Any) -> np.ndarray[Any, Any]:
        """The numbers of a tensor, which has all of them, in the file or in its folder."""
        if tensor.data_type not in self.dtypes:
            raise self.broken(f"{tensor.name!r} has the dtype {tensor.data_type}")
        if tensor.data_location == self.onnx.TensorProto.EXTERNAL:
            tensor.raw_data = self.outside(tensor)
            tensor.data_location = self.onnx.TensorProto.DEFAULT
        if any(size < 0 for size in tensor.dims):
            raise self.broken(f"{tensor.name!r} has the shape {list(tensor.dims)}")
        try:
            array = np.asarray(self.onnx.numpy_helper.to_array(tensor))
            return array.astype(str) if array.dtype == object else array
        except (ValueError, TypeError) as error:
            shape = list(tensor.dims)
            raise self.broken(f"{tensor.name!r} has not the numbers of {shape}: {error}") from error

    def outside(self, tensor: Any) -> bytes:
        """The bytes of a tensor that lies in a file beside: in the same folder, nowhere else."""
        entries = {entry.key: entry.value for entry in tensor.external_data}
        folder = os.path.realpath(os.path.dirname(os.path.abspath(self.path)))
        place = os.path.realpath(os.path.join(folder, entries.get("location", "")))
        if os.path.commonpath([folder, place]) != folder or not os.path.isfile(place):
            raise BrokenFileError(
                "The data of an ONNX file must lie in its folder. Received: "
                f"{self.path!r} with {tensor.name!r} in {entries.get('location')!r}. Put that file "
                "beside it; do not use it unless you know where it is from."
            )
        kind = self.onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type)
        size = math.prod(tensor.dims) * kind.itemsize
        text = entries.get("offset", "0"), entries.get("length", str(size))
        start, length = (int(x) if x.isdecimal() else -1 for x in text)
        if start < 0 or length < 0 or start + length > os.path.getsize(place):
            raise self.broken(f"{tensor.name!r} lies beyond the end of {place!r}")
        with open(place, "rb") as file:
            file.seek(start)
            return file.read(length)


def _weight(name: str, array: np.ndarray[Any, Any]) -> Weight | np.ndarray[Any, Any]:
    """An array that a node takes: a weight, where it has several numbers that may change."""
    is_float = array.dtype.kind == "f" or array.dtype.name == "bfloat16"
    return Weight(name, array) if is_float and array.size > 1 else array


def _dimension(dim: Any) -> int | str | None:
    if dim.HasField("dim_value") and dim.dim_value > 0:
        return int(dim.dim_value)
    return _text(dim.dim_param) or None


def _text(name: str | bytes) -> str:
    """A name, which the library gives as bytes where it is no text."""
    if isinstance(name, bytes):
        raise TypeError(f"{name!r:.50} is no text")
    return name


def _read_by(node: Node) -> Iterator[str]:
    """The names that a node reads, those that graphs within it read included."""
    yield from node.inputs
    for graph in node.attributes.values():
        if isinstance(graph, Graph):
            yield from graph.consumers
            yield from graph.outputs
