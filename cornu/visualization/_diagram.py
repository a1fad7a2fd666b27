"""A model as boxes and lines: a box for each layer, with as much text as is asked for."""

from __future__ import annotations

from typing import Any, NamedTuple

from ..models import Sequential
from ._graph import graph_of

DIRECTIONS = ("TB", "BT", "LR", "RL")


class Shown(NamedTuple):
    """What boxes tell beside the class of their layer."""

    shapes: bool = False
    dtype: bool = False
    names: bool = False
    activations: bool = False
    trainable: bool = False


class Box(NamedTuple):
    """A layer or op, however often it is called.

    Attributes:
        key: A number of its own; boxes stand in the order of their first calls.
        title: Its class, after its name where that is shown.
        lines: What else is told.
        look: `"input"`, `"op"` or `""`.
        within: The key of the model around it, if that is opened.
        is_open: Whether it is a model whose layers have boxes.
    """

    key: int
    title: str
    lines: list[str]
    look: str
    within: int | None
    is_open: bool


class Diagram(NamedTuple):
    """Boxes, and pairs of keys of closed ones between which tensors flow."""

    boxes: list[Box]
    edges: list[tuple[int, int]]

    def inside(self, key: int | None) -> list[Box]:
        """The boxes of an opened model, or those of the whole."""
        return [box for box in self.boxes if box.within == key]


def diagram(model: Any, shown: Shown, expand_nested: bool = False) -> Diagram:
    """The boxes of a model. Blocks that are no models stay closed.

    Raises:
        ValueError: If the model was never built.
    """
    graph = graph_of(model)
    nodes = {node["id"]: node for node in graph["nodes"]}
    if isinstance(model, Sequential):  # it has one input, of course
        nodes = {key: node for key, node in nodes.items() if node["look"] != "input"}
    first: dict[Any, int] = {}
    boxes: list[Box] = []
    closed: dict[int, int] = {}
    for key, node in nodes.items():
        parent = node["parent"]
        within = None if parent is None else closed[parent]
        if within is not None and not nodes[within]["is_open"]:
            closed[key] = within  # what happens in a closed box is no box
            continue
        # A layer that is called again has its box. What a model does by itself has no name to know it by.
        closed[key] = first.setdefault((node["kind"], node["path"]) if node["name"] else key, key)
        node["is_open"] = expand_nested and node["group"] and node["model"]
        if closed[key] == key:
            title = (
                f"{node['name']} ({node['kind']})" if shown.names and node["name"] else node["kind"]
            )
            lines = [] if node["is_open"] else _lines(node, shown)
            boxes.append(Box(key, title, lines, node["look"], within, node["is_open"]))
    edges = {(closed[a], closed[b]): None for a, b in graph["edges"] if {a, b} <= set(closed)}
    return Diagram(boxes, [(a, b) for a, b in edges if a != b])


def _lines(node: dict[str, Any], shown: Shown) -> list[str]:
    told = {**dict(node["config"]), **dict(node["told"])}
    rows = [
        ("Input shape", "Input", shown.shapes),
        ("Output shape", "Output", shown.shapes),
        ("Output dtype", "Dtype", shown.dtype),
        ("Activation", "activation", shown.activations),
        ("Trainable", "Trainable", shown.trainable),
    ]
    return [f"{title}: {told[key]}" for title, key, wanted in rows if wanted and key in told]
