"""What a model consists of, as a table: layers, output shapes, numbers of parameters."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from io import StringIO
from typing import TYPE_CHECKING, Any, NamedTuple

from ..core import tree
from ..core.dtypes import numpy_dtype
from ..core.operation import Node, Operation
from ..core.variable import Variable
from ..layers import Layer
from ._functional import Functional, _node_keys
from .costs import Costs, costs

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

#: The width of text that goes anywhere but to a terminal, in characters.
_WIDTH_OF_TEXT = 100
_UNITS = ("B", "KB", "MB", "GB", "TB", "PB")
_FIGURES = ("Param #", "Mult-Adds", "Weights", "Activations")


class Row(NamedTuple):
    """One layer in the table."""

    depth: int
    name: str
    kind: str
    shape: str
    parameters: str
    connected: str
    trainable: str
    multiply_adds: str = "-"
    weights: str = "-"
    activations: str = "-"


def print_summary(
    model: Any,
    line_length: int | None = None,
    positions: Sequence[float] | None = None,
    print_fn: Callable[[str], Any] | None = None,
    expand_nested: bool = False,
    show_trainable: bool = False,
    layer_range: Sequence[str] | None = None,
    flops: bool = False,
    memory: bool = False,
    batch_size: int = 1,
    input_shape: Any = None,
) -> None:
    """Print the layers, their output shapes and numbers of parameters, and what a call of them takes.

    Args:
        model: The model.
        line_length: The width in characters; as wide as its contents where it is left out, and not
            wider than the terminal.
        positions: The right edge of each column, as a share of the width, rising to 1.
        print_fn: Called with the whole text, which otherwise is printed.
        expand_nested: Whether the layers of models inside the model are listed.
        show_trainable: Whether a column says what is trainable.
        layer_range: The names, or patterns of names, of the first and last layer to list.
        flops: Whether a column has the multiply-adds of a call, and lines below say in which primitives.
        memory: Whether columns have the bytes of weights and of what training keeps for the way back, and a
            line below what is alive at once in inference.
        batch_size: How many samples such a call has.
        input_shape: The shapes of its inputs with the batch, where the model leaves more open than that.

    Raises:
        ValueError: If `positions` do not fit the columns, no layer fits `layer_range`, or figures are asked
            for of a model that was never built.
    """
    from rich.console import Console

    found = costs(model, batch_size, input_shape) if flops or memory else None
    columns = _columns(model, show_trainable, flops, memory)
    table = _table(columns, line_length, positions)
    rows = list(_rows(model, expand_nested, 0, found))
    for row in rows if layer_range is None else _in_range(model, rows, layer_range):
        table.add_row(*(_cell(row, column) for column in columns))
    shapes = f"a batch of {batch_size}" if input_shape is None else f"inputs of {input_shape}"
    lines = [] if found is None else list(_cost_lines(found, flops, memory, shapes))
    width = max(line_length or _WIDTH_OF_TEXT, 20)
    if print_fn is None:
        console = Console()
        if not (console.is_terminal or console.is_jupyter or "COLUMNS" in os.environ):
            console = Console(width=width)
        _print(console, model, table, lines)
        return
    text = StringIO()
    _print(Console(file=text, width=width, force_terminal=False), model, table, lines)
    print_fn(text.getvalue())


def _print(console: Console, model: Any, table: Table, figures: list[tuple[str, str, str]]) -> None:
    from rich.text import Text

    console.print(Text.assemble((f'Model: "{model.name}"', "bold")), highlight=False)
    console.print(table, highlight=False)
    totals = [(f"{label} params", f"{count:,}", size) for label, count, size in _totals(model)]
    for label, figure, remark in (*totals, *figures):
        line = Text.assemble((f" {label}: ", "bold"), figure, (f" ({remark})", "dim"))
        console.print(line, highlight=False)
    if not model.built:
        hint = " Not built yet: call it on data, or `build(input_shape)`, to see what is missing."
        console.print(Text(hint, style="dim"), highlight=False)


# ---------------------------------------------------------------------- table


def _columns(model: Any, show_trainable: bool, flops: bool, memory: bool) -> list[str]:
    columns = ["Layer (type)", "Output Shape", "Param #"]
    columns += ["Mult-Adds"] if flops else []
    columns += ["Weights", "Activations"] if memory else []
    if isinstance(model, Functional) and not _is_chain(model):
        columns.append("Connected to")
    return [*columns, "Trainable"] if show_trainable else columns


def _table(columns: list[str], line_length: int | None, positions: Sequence[float] | None) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(
        box=box.HEAVY_HEAD,
        show_lines=True,
        width=line_length,
        expand=positions is not None,
        header_style="bold",
        border_style="dim",
    )
    widths = _ratios(columns, positions)
    justify = {**dict.fromkeys(_FIGURES, "right"), "Trainable": "center"}
    for column, width in zip(columns, widths, strict=True):
        ratio = None if positions is None and line_length is None else width
        table.add_column(
            column,
            justify=justify.get(column, "left"),  # type: ignore[arg-type]
            overflow="fold",
            ratio=ratio,
            min_width=7 if column in _FIGURES else max(map(len, column.split())),
        )
    return table


def _ratios(columns: list[str], positions: Sequence[float] | None) -> list[int]:
    """The width of each column, in thousandths."""
    if positions is None:
        usual = {"Layer (type)": 40, "Output Shape": 30, "Param #": 15, "Connected to": 30}
        return [usual.get(column, 12) for column in columns]
    edges = [0.0, *positions]
    widths = [round(1000 * (right - left)) for left, right in zip(edges, edges[1:], strict=False)]
    if len(positions) < len(columns) or any(width <= 0 for width in widths):
        raise ValueError(
            f"`positions` must be the right edges of the {len(columns)} columns {columns}, rising "
            f"to 1. Received: positions={list(positions)}. For example, "
            f"{[round((i + 1) / len(columns), 2) for i in range(len(columns))]}."
        )
    return widths[: len(columns)]


def _cell(row: Row, column: str) -> Text:
    from rich.text import Text

    if column == "Layer (type)":
        lead = f"{'   ' * row.depth}└ " if row.depth else ""
        return Text.assemble(lead, row.name, (f" ({row.kind})", "cyan"))
    values = {
        "Output Shape": row.shape,
        "Param #": row.parameters,
        "Mult-Adds": row.multiply_adds,
        "Weights": row.weights,
        "Activations": row.activations,
        "Connected to": row.connected,
        "Trainable": row.trainable,
    }
    value = values[column]
    return Text(value, style="dim" if value in ("-", "0", "?") or "unbuilt" in value else "")


# ----------------------------------------------------------------------- rows


def _rows(
    model: Any, expand_nested: bool, depth: int, found: Costs | None, path: tuple[Any, ...] = ()
) -> Iterator[Row]:
    graph = isinstance(model, Functional)
    keys = _node_keys(model) if graph else {}
    for operation in model._graph.operations if graph else model.layers:
        nodes = [node for node in operation._inbound_nodes if not keys or id(node) in keys]
        yield Row(
            depth=depth,
            name=operation.name,
            kind=type(operation).__name__,
            shape=_shape(operation, nodes),
            parameters=_parameters(operation),
            connected=_connections(nodes, keys),
            trainable=_trainable(operation),
            **({} if found is None else _costs_of(found, operation, (*path, operation))),
        )
        if expand_nested and hasattr(operation, "layers"):
            yield from _rows(operation, True, depth + 1, found, (*path, operation))
        elif isinstance(operation, Layer):
            yield from _transforms(operation, depth + 1)


def _transforms(layer: Layer, depth: int) -> Iterator[Row]:
    """The transforms of a layer and of those inside it, with what they have of their own."""
    for part in layer._flatten_layers():
        for of, transform in part.transforms:
            own = transform.parts.values()
            yield Row(
                depth=depth,
                name=of if part is layer else f"{part.name}/{of}",
                kind=type(transform).__name__,
                shape="-",
                parameters=f"{sum(math.prod(x.shape) for x in own):,}",
                connected="-",
                trainable="Y" if any(x.trainable for x in own) else "N",
            )


def _costs_of(found: Costs, operation: Operation, path: tuple[Any, ...]) -> dict[str, str]:
    """The figures of an operation, `?` where they depend on a size that is not known."""
    count = found.multiply_adds(path)
    return {
        "multiply_adds": "?" if count is None else f"{count:,}",
        "weights": _size(operation.weights)[1] if isinstance(operation, Layer) else "-",
        "activations": _bytes(found.kept(path)),
    }


def _shape(operation: Any, nodes: list[Node]) -> str:
    """The shapes of the outputs, `?` where they are not known yet."""
    if nodes:
        shapes: list[Any] = [x.shape for x in nodes[-1].outputs]
    elif isinstance(operation, Layer) and operation.built and operation._build_shapes:
        try:
            found = operation.compute_output_shape(*operation._build_shapes.values())
        except Exception:
            # A user's layer may not know its shapes.
            return "?"
        shapes = []
        tree.map_shape_structure(shapes.append, found)
    else:
        return "?"
    texts = [str(tuple(shape)) for shape in shapes]
    return texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"


def _parameters(operation: Operation) -> str:
    if not isinstance(operation, Layer):
        return "0"
    return f"{operation.count_params():,}" if operation.built else "0 (unbuilt)"


def _trainable(operation: Operation) -> str:
    if not isinstance(operation, Layer) or not operation.weights:
        return "-"
    return "Y" if operation.trainable else "N"


def _connections(nodes: list[Node], keys: dict[int, int]) -> str:
    """Which outputs of which calls are the inputs: `name[call][output]`."""
    places = []
    for node in nodes:
        for x in node.input_tensors:
            if (history := x._keras_history) is not None:
                source = history.operation
                index = keys.get(id(source._inbound_nodes[history.node_index]))
                if index is not None:
                    places.append(f"{source.name}[{index}][{history.tensor_index}]")
    return ", ".join(places) or "-"


def _is_chain(model: Functional) -> bool:
    """Whether each operation takes what the one before it gives, and nothing else."""
    if len(model.inputs) != 1:
        return False
    keys = _node_keys(model)
    previous: Operation | None = None
    for operation in model._graph.operations:
        nodes = [node for node in operation._inbound_nodes if id(node) in keys]
        sources = [x._keras_history for node in nodes for x in node.input_tensors]
        found = {source.operation for source in sources if source is not None}
        if len(nodes) != 1 or found != ({previous} if previous else set()):
            return False
        previous = operation
    return True


def _in_range(model: Any, rows: list[Row], layer_range: Sequence[str]) -> list[Row]:
    """The rows from the first that fits one pattern to the last that fits the other."""
    if len(layer_range) != 2 or not all(isinstance(pattern, str) for pattern in layer_range):
        raise ValueError(
            "`layer_range` must be two names, or patterns of names. "
            f"Received: layer_range={layer_range!r}."
        )
    places = []
    for pattern, choose in zip(layer_range, (min, max), strict=True):
        fitting = [i for i, row in enumerate(rows) if re.match(pattern, row.name)]
        if not fitting:
            raise ValueError(
                "`layer_range` must be names of layers. Received: "
                f"{pattern!r}, which no layer of {model.name!r} fits. Its layers: "
                f"{[row.name for row in rows]}."
            )
        places.append(choose(fitting))
    return rows[min(places) : max(places) + 1]


# --------------------------------------------------------------------- totals


def _totals(model: Any) -> Iterator[tuple[str, int, str]]:
    """What is counted, its number of parameters, and their size."""
    trainable, frozen = model.trainable_weights, model.non_trainable_weights
    optimizer = getattr(model, "optimizer", None)
    state = optimizer.variables if optimizer is not None and optimizer.built else []
    yield "Total", *_size([*trainable, *frozen, *state])
    yield "Trainable", *_size(trainable)
    yield "Non-trainable", *_size(frozen)
    if state:
        yield "Optimizer", *_size(state)


def _cost_lines(
    found: Costs, flops: bool, memory: bool, shapes: str
) -> Iterator[tuple[str, str, str]]:
    """What is counted, the figure, and a remark."""
    if flops:
        total = found.multiply_adds()
        parts = [f"{name} {count:,}" for name, count in found.by_primitive().most_common()]
        yield "Multiply-adds", _figure(total), "; ".join([*parts, shapes])
        yield "Element-wise operations", _figure(found.elementwise()), shapes
    if memory:
        yield "Activations in inference", _bytes(found.peak()), f"at most at once; {shapes}"
        yield "Activations in training", _bytes(found.kept()), f"kept for the way back; {shapes}"


def _figure(count: int | None) -> str:
    return "unknown, as a size is: give `input_shape`" if count is None else f"{count:,}"


def _bytes(size: int | None) -> str:
    return "?" if size is None else readable_size(size)


def _size(variables: Iterable[Variable]) -> tuple[int, str]:
    variables = list(variables)
    counts = [math.prod(variable.shape) for variable in variables]
    sizes = [
        count * numpy_dtype(variable._dtype).itemsize
        for count, variable in zip(counts, variables, strict=True)
    ]
    return sum(counts), readable_size(sum(sizes))


def readable_size(size: float) -> str:
    """A number of bytes in a unit that suits it.

    >>> readable_size(0), readable_size(2000), readable_size(3 * 2**20)
    ('0.00 B', '1.95 KB', '3.00 MB')
    """
    unit = 0
    while size >= 1024 and unit < len(_UNITS) - 1:
        size /= 1024
        unit += 1
    return f"{size:.2f} {_UNITS[unit]}"
