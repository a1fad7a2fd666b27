"""The graph of a model as the page draws it: calls of layers, what flows between them, what is within what."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from ..engines.counting import VIEWS, Call
from ..engines.spec import Dimension, Spec
from ..layers import Layer
from ..models import Model
from ..models.traces import Trace, Visit, inputs_of, trace

#: How much of a long argument or list of shapes is shown, in characters.
_LONGEST = 80


def graph_of(model: Any, flops: bool = False, input_shape: Any = None) -> dict[str, Any]:
    """Nodes, the edges between them, and facts of the whole.

    A node is a call of a layer or of an op; one of a model or block has others within it. Where a block
    combines tensors by itself, as in `x + self.attention(x)`, that is a node too.

    Args:
        model: A built model, or any layer.
        flops: Whether nodes tell their multiply-adds, for a batch of one.
        input_shape: The shapes of the inputs with the batch, in place of those that the model was built for.
    """
    specs = inputs_of(model, 1 if flops else None, input_shape)
    graph = _Graph(trace(model, specs, training=True), flops)
    facts = [type(model).__name__, f"{model.count_params():,} parameters"]
    if flops:
        facts.append(f"{_multiply_adds(graph.trace.calls)} multiply-adds")
    return {"nodes": graph.nodes, "edges": list(graph.edges), "facts": facts}


class _Graph:
    """Nodes and edges, as a trace is read from its beginning."""

    def __init__(self, found: Trace, flops: bool) -> None:
        self.trace = found
        self.nodes: list[dict[str, Any]] = []
        self.edges: dict[tuple[int, int], None] = {}
        self._flops = flops
        self._blocks = {visit.within for visit, _ in found.events} | {found.events[0][0]}
        self._times = Counter(visit.operation for visit, begins in found.events if begins)
        self._seen: Counter[Any] = Counter()
        #: Which node a tensor comes from.
        self._sources: dict[int, int] = {}
        #: The visits that go on, each with its node; the model has none.
        self._open: list[tuple[Visit, dict[str, Any] | None]] = []
        names = getattr(found.model, "input_names", None) or ["input"] * len(found.inputs)
        for name, x in zip(names, found.inputs, strict=False):
            node = self._put("InputLayer", name, [x], look="input")
            self._sources[id(x)] = node["id"]
        self._read()

    def _read(self) -> None:
        place = 0
        for visit, begins in self.trace.events:
            until = visit.begin if begins else visit.end
            if self._open and self._open[-1][0] in self._blocks:
                for call in self.trace.calls[place:until]:
                    self._follow(call)
            place = until
            if begins:
                self._open.append((visit, self._visited(visit) if self._open else None))
            else:
                _, node = self._open.pop()
                if node is not None and visit not in self._blocks:
                    self._connect(node, visit.inputs, visit.outputs)

    def _visited(self, visit: Visit) -> dict[str, Any]:
        """The node of a call of a layer or op."""
        operation = visit.operation
        node = self._put(type(operation).__name__, operation.name, visit.outputs)
        node |= {
            "group": visit in self._blocks,
            "model": isinstance(operation, Model),
            "look": "" if isinstance(operation, Layer) else "op",
            "config": _arguments(operation),
        }
        told = [["Input", _shapes(visit.inputs)], *node["told"]]
        if isinstance(operation, Layer):
            told += [["Parameters", f"{operation.count_params():,}" if operation.built else "?"]]
            told += [["Trainable", str(operation.trainable)]] if operation.weights else []
            told += [["Computes in", operation.compute_dtype]]
            node["weights"] = [[w.path, f"{w.shape} {w.dtype}"] for w in operation.weights]
        if self._times[operation] > 1:
            self._seen[operation] += 1
            told += [["Call", f"{self._seen[operation]} of {self._times[operation]}"]]
        node["told"] = told
        self._tell_cost(node, self.trace.calls[visit.begin : visit.end])
        return node

    def _follow(self, call: Call) -> None:
        """A primitive that a block runs by itself: a node where it combines tensors, else a way through."""
        sources = {self._sources[id(x)] for x in call.operands if id(x) in self._sources}
        if len(sources) > 1 or (sources and _counts(call) and call.primitive not in VIEWS):
            node = self._put(call.primitive, "", call.results, look="op")
            self._tell_cost(node, [call])
            self._connect(node, call.operands, call.results)
        elif sources:
            self._sources |= dict.fromkeys(map(id, call.results), sources.pop())

    def _connect(
        self, node: dict[str, Any], inputs: Sequence[Spec], outputs: Sequence[Spec]
    ) -> None:
        for x in inputs:
            if id(x) in self._sources:
                self.edges[self._sources[id(x)], node["id"]] = None
        self._sources |= dict.fromkeys(map(id, outputs), node["id"])

    def _put(self, kind: str, name: str, outputs: Sequence[Spec], look: str = "") -> dict[str, Any]:
        parent = self._open[-1][1] if self._open else None
        path = f"{parent['path']}/{name}" if parent is not None and name else name
        node = {
            "id": len(self.nodes),
            "parent": None if parent is None else parent["id"],
            "kind": kind,
            "name": name,
            "path": path,
            "shape": _shapes(outputs),
            "cost": "",
            "group": False,
            "model": False,
            "look": look,
            "told": [["Output", _shapes(outputs)], ["Dtype", _dtypes(outputs)]],
            "weights": [],
            "config": [],
        }
        self.nodes.append(node)
        return node

    def _tell_cost(self, node: dict[str, Any], calls: list[Call]) -> None:
        if self._flops:
            count = _multiply_adds(calls)
            node["told"].append(["Multiply-adds", count])
            node["cost"] = "" if count == "0" else f"{count} multiply-adds"


def _counts(call: Call) -> bool:
    return isinstance(call.multiply_adds, Dimension) or call.multiply_adds > 0


def _multiply_adds(calls: list[Call]) -> str:
    total: Any = sum(call.multiply_adds * call.times for call in calls)
    return "?" if isinstance(total, Dimension) else f"{total:,}"


def _shapes(tensors: Sequence[Spec]) -> str:
    return _cut(", ".join(str(x.shape) for x in tensors))


def _dtypes(tensors: Sequence[Spec]) -> str:
    return ", ".join(dict.fromkeys(x.dtype for x in tensors))


def _arguments(operation: Any) -> list[list[str]]:
    """The constructor's arguments, as far as an operation tells them."""
    try:
        config = operation.get_config()
    except Exception:
        # A user's class may refuse, or fail.
        return []
    skipped = {"name", "trainable", "dtype", "layers", "input_layers", "output_layers"}
    return [
        [key, _cut(_plain(value))]
        for key, value in config.items()
        if key not in skipped and value is not None
    ]


def _plain(value: Any) -> str:
    """An argument in short; an object in a config is its class."""
    if isinstance(value, dict) and "class_name" in value:
        return str(value["class_name"])
    return str(value)


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 2]} …"
