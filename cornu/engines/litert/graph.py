"""A graph of LiteRT's operations: how it holds weights, and what its kernels do in one go."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np

from ..graphs.graph import Array, Codes, Graph, Node, Value, pairs
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


#: Operations with kernels of 8-bit integers, and those that only move what is in such.
_INTEGER = frozenset("CONV_2D DEPTHWISE_CONV_2D FULLY_CONNECTED".split())
_MOVES = frozenset("RESHAPE TRANSPOSE MAX_POOL_2D".split())


class Scales(NamedTuple):
    """What integers stand for: `(code - zero) * scale`, with one scale, or one for each place on an axis."""

    scale: Array
    zero: Array
    axis: int


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
        #: What the integers of a value stand for, and of which codes a weight is made, by names.
        self.scales: dict[str, Scales] = {} if parent is None else parent.scales
        self.coded: dict[str, str] = {} if parent is None else parent.coded

    def value(self, dims: Iterable[Any], dtype: str, name: str) -> Value:
        self.specs[name] = made = super().value(dims, dtype, name)
        return made

    def halves(self, array: Array) -> bool:
        return array.ndim > 1 and super().halves(array)  # operations add biases of 32 bits

    def _stored(self, array: Array, label: str | None, codes: Codes | None) -> Value:
        known = None if codes is None else codes.along()
        if codes is None or known is None:
            return self.initializer(array, label)
        axis, scale, zero = known
        held = self.initializer(codes.codes, label)
        self.scales[held.name] = Scales(scale.reshape(-1), zero.reshape(-1), axis or 0)
        made = self.root.add("DEQUANTIZE", [held], [Spec(array.shape, "float32")])[0]
        self.coded[made.name] = held.name
        return made

    def rounded(self, x: Value, scale: float, zero: int) -> Value:
        """x by way of integers of 8 bits."""
        numbers = {"scale": scale, "zero": zero}
        codes = self.add("QUANTIZE", [x], [Spec(x.dims, "int8")], numbers)[0]
        self.scales[codes.name] = Scales(np.array([scale]), np.array([zero]), 0)
        return self.add("DEQUANTIZE", [codes], [Spec(x.dims, "float32")])[0]

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
        tables: tuple[dict[str, Any], ...] = (self.specs, self.scales)
        for table in tables:
            table.update({new: table[old] for old, new in names.items() if old in table})

    def _simplify(self) -> None:
        """Make factors, biases and activations parts of the operations that they follow."""
        for joined in (_with_numbers, _with_activation):
            self._join(joined)
        for i, node in enumerate(self.nodes):
            if node.kind in _NEEDS_BIAS and len(node.inputs) < 3:
                zeros = np.zeros(self.specs[node.outputs[0]].dims[-1:], np.float32)
                bias = self.name_of(self.constant(zeros))
                self.nodes[i] = node._replace(inputs=(*node.inputs, bias))
        self._move_codes()
        self._join(_in_integers)
        self._clear()

    def _move_codes(self) -> None:
        """Move integers in place of the floats that they stand for."""
        codes = {n.outputs[0]: n.inputs[0] for n in self.nodes if n.kind == "DEQUANTIZE"}
        kept: list[Node] = []
        for node in self.nodes:
            held = codes.get(node.inputs[0]) if node.kind in _MOVES else None
            if held is None or held not in self.scales or self.scales[held].scale.size > 1:
                kept.append(node)
                continue
            (result,) = node.outputs
            moved = self.value(self.specs[result].dims, "int8", self.new_name(f"{result}_codes"))
            self.scales[moved.name], codes[result] = self.scales[held], moved.name
            kept.append(node._replace(inputs=(held, *node.inputs[1:]), outputs=(moved.name,)))
            kept.append(Node("DEQUANTIZE", (moved.name,), (result,), {}, {}))
        self.nodes = kept

    def _join(self, joined: Joined) -> None:
        """Put one node in the place of two, where only the second reads what the first gives."""
        readers = Counter(name for node in self.nodes for name in node.inputs)
        readers.update(x.name for x in self.outputs)
        for body in (body for node in self.nodes for body in node.bodies.values()):
            readers.update(body.names())
        kept: dict[str, Node] = {}
        nodes, self.nodes = self.nodes, []  # where what gives new weights comes
        for node in nodes:
            first = kept.get(node.inputs[0]) if node.inputs else None
            both = None
            if first is not None and readers[node.inputs[0]] == 1:
                both = joined(self, node, first, kept)
            if both is not None:
                del kept[node.inputs[0]]
            kept[node.outputs[0]] = both or node
        self.nodes += kept.values()


#: What gives one node in the place of two, of a graph's nodes by what they give, or None.
Joined = Callable[[LiteRTGraph, Node, Node, Mapping[str, Node]], Node | None]


def _with_numbers(
    graph: LiteRTGraph, node: Node, first: Node, nodes: Mapping[str, Node]
) -> Node | None:
    """A convolution or product with a number for each channel, or one for all, that comes after it."""
    held = graph.root.initializers
    numbers = held.get(node.inputs[1]) if node.kind in ("ADD", "SUB", "MUL") else None
    if numbers is None or first.kind not in _CHANNELS:
        return None
    if first.inputs[1] not in held and first.inputs[1] not in graph.coded:
        return None
    channels = graph.specs[first.outputs[0]].dims[-1]
    if numbers.shape[-1:] not in ((), (1,), (channels,)) or math.prod(numbers.shape[:-1]) != 1:
        return None
    label = graph.root.labels[node.inputs[1]]
    numbers = np.broadcast_to(numbers.reshape(-1), channels)
    bias = held.get(first.inputs[2]) if len(first.inputs) > 2 else None
    operands = list(first.inputs[:2])
    if node.kind == "MUL":
        weights = _times(graph, operands[1], _CHANNELS[first.kind], numbers)
        if weights is None:
            return None
        operands[1] = weights
        bias = None if bias is None else bias * numbers
    else:
        added = -numbers if node.kind == "SUB" else numbers
        bias = added if bias is None else bias + added
    if bias is not None:
        operands.append(graph.name_of(graph.constant(bias, label)))
    return first._replace(inputs=tuple(operands), outputs=node.outputs)


def _times(graph: LiteRTGraph, name: str, axis: int, numbers: Array) -> str | None:
    """Weights with a factor for each channel; of codes the scales are multiplied."""
    held = graph.root.initializers
    rank = held[name if name in held else graph.coded[name]].ndim
    shape = tuple(-1 if k == axis else 1 for k in range(rank))
    factors = numbers.reshape(shape)
    if name in held:
        return graph.name_of(graph.constant(held[name] * factors, graph.root.labels[name]))
    codes, scales = held[graph.coded[name]], graph.scales[graph.coded[name]]
    if np.any(codes == -128) or (scales.scale.size > 1 and scales.axis != axis):
        return None
    scale = scales.scale.reshape(shape if scales.scale.size > 1 else (1,) * codes.ndim)
    signed = codes * np.where(factors < 0, -1, 1).astype(np.int8)
    scale = np.broadcast_to((scale * np.abs(factors)).astype(np.float32), codes.shape)
    made = Codes(signed, scale, np.zeros_like(codes))
    label = graph.root.labels[graph.coded[name]]
    return graph.name_of(graph.constant(made.value(), label, made))


def _in_integers(
    graph: LiteRTGraph, node: Node, first: Node, nodes: Mapping[str, Node]
) -> Node | None:
    """An operation on codes that gives codes, where a float one stands between such."""
    if node.kind != "QUANTIZE" or first.kind not in _INTEGER:
        return None
    given = nodes.get(first.inputs[0])
    weights = graph.coded.get(first.inputs[1])
    if given is None or given.kind != "DEQUANTIZE" or weights is None:
        return None
    if given.inputs[0] not in graph.scales:
        return None
    operands = [given.inputs[0], weights]
    if len(first.inputs) > 2:
        bias = graph.root.initializers.get(first.inputs[2])
        if bias is None:
            return None
        scale = graph.scales[given.inputs[0]].scale * graph.scales[weights].scale
        codes = np.clip(np.rint(bias / scale), -(2**31), 2**31 - 1).astype(np.int32)
        operands.append(graph.initializer(codes, graph.root.labels[first.inputs[2]]).name)
        graph.scales[operands[2]] = Scales(scale, np.zeros_like(scale, np.int64), 0)
    return first._replace(inputs=tuple(operands), outputs=node.outputs)


def _with_activation(
    graph: LiteRTGraph, node: Node, first: Node, nodes: Mapping[str, Node]
) -> Node | None:
    """An operation with the activation that comes after it."""
    if node.kind not in _ACTIVATIONS or first.kind not in _ACTIVATING:
        return None
    if "fusedActivationFunction" in first.attributes:
        return None
    attributes = {**first.attributes, "fusedActivationFunction": _ACTIVATIONS[node.kind]}
    return first._replace(attributes=attributes, outputs=node.outputs)
