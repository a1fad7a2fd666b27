"""A model traced by an engine that writes a file, whatever the format."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from ..core import tree
from ..core.scopes import StatelessScope, here, within
from ..engines import use
from ..engines.graphs.graph import Graph, Value
from ..engines.graphs.writing import Writing
from ..engines.spec import Dimension
from ..layers import Layer
from ._signature import input_names, output_names, signature


class Traced(NamedTuple):
    """A model as a graph: the engine that holds it, the specs of its inputs, the names of inputs and outputs."""

    engine: Any  # of the format; None of one that has no graph
    specs: Any
    names: tuple[list[str], list[str]]
    axes: dict[int, str]
    title: str


def trace(model: Any, input_signature: Any, engine: Writing) -> Traced:
    """Read a model off its own graph, on the engine of a new file.

    Raises:
        ValueError: If what the model takes is unknown.
        NotImplementedError: If the format can't express something in it, or it has a state.
    """
    specs = signature(model, input_signature)
    flat = tree.flatten(specs)
    names = input_names(flat)
    inputs, axes = inputs_of(engine.graph, dict(zip(names, flat, strict=True)))
    with StatelessScope() as scope, use(engine):
        results = run(model, tree.pack_sequence_as(specs, inputs))
        outputs = [plain(engine, x) for x in tree.flatten(results) if x is not None]
        _refuse_state(model, scope)
        given = output_names(model, results)
        given = [f"{name}_output" if name in names else name for name in given]
        engine.graph.finish(outputs, given)
    given = [x.name for x in engine.graph.outputs]
    return Traced(engine, specs, (names, given), axes, model.name)


def inputs_of(graph: Graph, specs: Mapping[str, Any]) -> tuple[list[Value], dict[int, str]]:
    """The inputs of a new graph by their names, and the names of their open sizes; batches are all of one size."""
    inputs, batch = [], Dimension()
    axes = {batch.symbols[0]: "batch"}
    for name, spec in specs.items():
        dims = [size if isinstance(size, int) else Dimension() for size in spec.shape]
        dims[:1] = [batch] if spec.shape[:1] == (None,) else dims[:1]
        for axis, size in enumerate(dims):
            if isinstance(size, Dimension):
                axes.setdefault(size.symbols[0], f"{name}_{axis}")
        inputs.append(graph.input(dims, spec.dtype, name))
    return inputs, axes


def plain(engine: Any, x: Any) -> Any:
    """A result as runtimes give it: they have no arrays of bfloat16."""
    x = engine.convert_to_tensor(x)
    return engine.cast(x, "float32") if x.dtype == "bfloat16" else x


def run(model: Any, inputs: Any) -> Any:
    """A model's outputs on the current engine, wherever the model is at home."""
    with within(here.training, False):
        return Layer.__call__(model, inputs)


def _refuse_state(model: Any, scope: StatelessScope) -> None:
    written = [variable.path for variable, _ in scope.updates()]
    if written:
        raise NotImplementedError(
            "A model that is exported must not change its variables when it predicts: a file has no "
            f"state. Received: the model {model.name!r}, which writes {written}. Use layers without "
            "`stateful=True`, and give states as inputs and outputs."
        )


def told(traced: Traced) -> list[tuple[str, str]]:
    """The inputs and outputs of what was traced, in words."""

    def listed(values: Any) -> str:
        return ", ".join(f"{x.name} {_shown(x, traced.axes)} {x.dtype}" for x in values)

    graph, (takes, gives) = traced.engine.graph, traced.names
    # A step's state stands behind what it takes, and behind what it gives.
    inputs, outputs = graph.inputs[: len(takes)], graph.outputs[: len(gives)]
    return [("inputs", listed(inputs)), ("outputs", listed(outputs))]


def _shown(x: Any, axes: dict[int, str]) -> str:
    def size(dim: Any) -> str:
        return axes.get(dim.symbols[0], "?") if isinstance(dim, Dimension) else str(dim)

    return f"({', '.join(map(size, x.dims))})"
