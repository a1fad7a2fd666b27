"""A graph of LiteRT's operations: how it holds weights, and what its kernels do in one go."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from ..graphs.graph import Array, Graph, Node, Value, pairs
from ..spec import Spec

#: Dtypes by their numbers in the format: those that tensors have here. The runtime has hardly a kernel
#: for 64-bit floats and unsigned integers.
TYPES = {
    key: int(number)
    for key, number in pairs(
        "float32:0 float16:1 int32:2 uint8:3 int64:4 bool:6 int16:7 int8:9 uint32:15 uint16:16 "
        "bfloat16:18"
    ).items()
}
#: Operations with weights, their second operand, by the axis of the weights' channels; the third is a
#: bias, which convolutions must have.
_CHANNELS = {"CONV_2D": 0, "FULLY_CONNECTED": 0, "DEPTHWISE_CONV_2D": 3, "CONV_3D": 4}
_NEEDS_BIAS = _CHANNELS.keys() - {"FULLY_CONNECTED"}
#: Operations that apply an activation to what they give, and the activations by their numbers.
_ACTIVATING = _CHANNELS.keys() | {"ADD", "SUB", "MUL", "DIV"}
_ACTIVATIONS = {"RELU": 1, "RELU6": 3}


class LiteRTGraph(Graph):
    """A graph of LiteRT's operations, whose attributes have the names of the format's options."""

    format: ClassVar[str] = "LiteRT"
    engine: ClassVar[str] = "litert"
    dtypes: ClassVar[Mapping[str, int]] = TYPES
    same: ClassVar[str] = "CAST"
    of_any_dtype = frozenset("RFFT2D REAL IMAG".split())

    def __init__(
        self, parent: LiteRTGraph | None = None, branch: bool = False, half: bool = False
    ) -> None:
        super().__init__(parent, branch, half)
        #: The shape and dtype of every value, by its name.
        self.specs: dict[str, Spec] = {} if parent is None else parent.specs

    def value(self, dims: Iterable[Any], dtype: str, name: str) -> Value:
        self.specs[name] = made = super().value(dims, dtype, name)
        return made

    def halves(self, array: Array) -> bool:
        return array.ndim > 1 and super().halves(array)  # operations add biases of 32 bits

    def finish(self, outputs: Sequence[Value], names: Sequence[str] | None = None) -> None:
        super().finish(outputs, names)
        self.specs.update({x.name: x for x in self.outputs})
        if self is self.root:
            self._halve()

    def _halve(self) -> None:
        """Have weights in 16 bits, which are given in 32 by an operation that runtimes know."""
        for name, array in list(self.initializers.items()):
            if self.labels[name] is None or not self.halves(array):
                continue
            del self.initializers[name]
            half = self.initializer(array.astype(np.float16), self.labels[name])
            self.value(array.shape, "float32", name)
            self.nodes.insert(0, Node("DEQUANTIZE", (half.name,), (name,), {}, {}))

    def _rename(self, names: dict[str, str]) -> None:
        super()._rename(names)
        self.specs.update({new: self.specs[old] for old, new in names.items()})

    def _simplify(self) -> None:
        """Make factors, biases and activations parts of the operations that they follow."""
        for joined in (_with_numbers, _with_activation):
            self._join(joined)
        for i, node in enumerate(self.nodes):
            if node.kind in _NEEDS_BIAS and len(node.inputs) < 3:
                zeros = np.zeros(self.specs[node.outputs[0]].dims[-1:], np.float32)
                bias = self.name_of(self.constant(zeros))
                self.nodes[i] = node._replace(inputs=(*node.inputs, bias))

    def _join(self, joined: Callable[[LiteRTGraph, Node, Node], Node | None]) -> None:
        """Put one node in the place of two, where only the second reads what the first gives."""
        readers = Counter(name for node in self.nodes for name in node.inputs)
        readers.update(x.name for x in self.outputs)
        for body in (body for node in self.nodes for body in node.bodies.values()):
            readers.update(body.names())
        kept: dict[str, Node] = {}
        for node in self.nodes:
            first = kept.get(node.inputs[0]) if node.inputs else None
            both = None
            if first is not None and readers[node.inputs[0]] == 1:
                both = joined(self, node, first)
            if both is not None:
                del kept[node.inputs[0]]
            kept[node.outputs[0]] = both or node
        self.nodes = list(kept.values())


def _with_numbers(graph: LiteRTGraph, node: Node, first: Node) -> Node | None:
    """A convolution or product with a number for each channel, or one for all, that comes after it."""
    held = graph.root.initializers
    numbers = held.get(node.inputs[1]) if node.kind in ("ADD", "SUB", "MUL") else None
    if numbers is None or first.kind not in _CHANNELS or first.inputs[1] not in held:
        return None
    channels = graph.specs[first.outputs[0]].dims[-1]
    if numbers.shape[-1:] not in ((), (1,), (channels,)) or math.prod(numbers.shape[:-1]) != 1:
        return None
    label = graph.root.labels[node.inputs[1]]
    numbers = np.broadcast_to(numbers.reshape(-1), channels)
    bias = held[first.inputs[2]] if len(first.inputs) > 2 else None
    operands = list(first.inputs[:2])
    if node.kind == "MUL":
        weights, name = held[operands[1]], graph.root.labels[operands[1]]
        along = np.moveaxis(weights * 1, _CHANNELS[first.kind], -1) * numbers
        weights = np.moveaxis(along, -1, _CHANNELS[first.kind])
        operands[1] = graph.name_of(graph.constant(weights, name))
        bias = None if bias is None else bias * numbers
    else:
        added = -numbers if node.kind == "SUB" else numbers
        bias = added if bias is None else bias + added
    if bias is not None:
        operands.append(graph.name_of(graph.constant(bias, label)))
    return first._replace(inputs=tuple(operands), outputs=node.outputs)


def _with_activation(graph: LiteRTGraph, node: Node, first: Node) -> Node | None:
    """An operation with the activation that comes after it."""
    if node.kind not in _ACTIVATIONS or first.kind not in _ACTIVATING:
        return None
    if "fusedActivationFunction" in first.attributes:
        return None
    attributes = {**first.attributes, "fusedActivationFunction": _ACTIVATIONS[node.kind]}
    return first._replace(attributes=attributes, outputs=node.outputs)
