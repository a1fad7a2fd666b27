"""`plot_model` and `model_to_dot`: a model as a picture, by graphviz or as an SVG of its own."""

from __future__ import annotations

import shutil
import sys
from html import escape
from pathlib import Path
from typing import Any

from ..core.checks import one_of
from ..core.files import replacing
from ._diagram import DIRECTIONS, Box, Diagram, Shown, diagram
from ._svg import svg


def model_to_dot(
    model: Any,
    show_shapes: bool = False,
    show_dtype: bool = False,
    show_layer_names: bool = True,
    rankdir: str = "TB",
    expand_nested: bool = False,
    dpi: int = 200,
    subgraph: bool = False,
    show_layer_activations: bool = False,
    show_trainable: bool = False,
    splines: str = "ortho",
    **kwargs: Any,
) -> Any:
    """A model as a graph of pydot's, which graphviz draws.

    Args:
        model, show_shapes, show_dtype, show_layer_names, rankdir, expand_nested, dpi: As of `plot_model`.
        subgraph: Whether a `pydot.Cluster` is made, for a graph of one's own.
        show_layer_activations, show_trainable, splines: As of `plot_model`.

    Returns:
        A `pydot.Dot`, or a `pydot.Cluster`.

    Raises:
        ImportError: If pydot is not installed.
        ValueError: If the model was never built, or there is no such argument.
    """
    _refuse(kwargs)
    one_of(DIRECTIONS, rankdir=rankdir)
    pydot = _pydot("model_to_dot")
    shown = Shown(show_shapes, show_dtype, show_layer_names, show_layer_activations, show_trainable)
    found = diagram(model, shown, expand_nested)
    if subgraph:
        dot = pydot.Cluster(model.name, label=model.name, labeljust="l", style="dashed")
    else:
        dot = pydot.Dot(rankdir=rankdir, concentrate=True, dpi=dpi, splines=splines)
    _fill(pydot, dot, found, None)
    for a, b in found.edges:
        dot.add_edge(pydot.Edge(str(a), str(b)))
    return dot


def plot_model(
    model: Any,
    to_file: Any = "model.png",
    show_shapes: bool = False,
    show_dtype: bool = False,
    show_layer_names: bool = False,
    rankdir: str = "TB",
    expand_nested: bool = False,
    dpi: int = 200,
    show_layer_activations: bool = False,
    show_trainable: bool = False,
    splines: str = "ortho",
    **kwargs: Any,
) -> Any:
    """Draw a model into a file: an SVG by itself, any other format by pydot and graphviz.

    Args:
        model: A model that was built.
        to_file: The file, whose suffix is the format.
        show_shapes: Whether boxes tell the shapes of inputs and outputs.
        show_dtype: Whether they tell the dtype of outputs.
        show_layer_names: Whether they tell the names of layers.
        rankdir: The direction of reading: `"TB"`, `"BT"`, `"LR"` or `"RL"`.
        expand_nested: Whether the layers of models within the model have boxes.
        dpi: Dots per inch; an SVG has none.
        show_layer_activations: Whether boxes tell the activations of layers.
        show_trainable: Whether they tell what is trainable.
        splines: How graphviz draws lines; those of an SVG are curves.

    Returns:
        In a notebook what shows the picture, else None.

    Raises:
        ImportError: If pydot or graphviz is not installed, for another format than SVG.
        ValueError: If the model was never built, or there is no such argument.

    >>> import tempfile
    >>> from cornu import Input, Sequential, layers
    >>> model = Sequential([Input((4,)), layers.Dense(2)])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     plot_model(model, f"{folder}/model.svg", show_shapes=True)
    """
    _refuse(kwargs)
    one_of(DIRECTIONS, rankdir=rankdir)
    path = Path(to_file)
    shown = Shown(show_shapes, show_dtype, show_layer_names, show_layer_activations, show_trainable)
    if path.suffix.lower() == ".svg":
        with replacing(path) as draft:
            Path(draft).write_text(svg(diagram(model, shown, expand_nested), rankdir), "utf-8")
    else:
        _draw(model, path, shown, rankdir, expand_nested, dpi, splines)
    return _displayed(path)


def _fill(pydot: Any, graph: Any, found: Diagram, around: int | None) -> None:
    """Add the boxes within one to its graph; those of an opened model are a cluster."""
    for box in found.inside(around):
        if box.is_open:
            cluster = pydot.Cluster(str(box.key), label=box.title, labeljust="l", style="dashed")
            _fill(pydot, cluster, found, box.key)
            graph.add_subgraph(cluster)
        else:
            graph.add_node(pydot.Node(str(box.key), label=_label(box), shape="plain"))


def _label(box: Box) -> str:
    """A table as graphviz draws one, of the title and a row for each line."""
    title = (
        '<tr><td bgcolor="black" cellpadding="8"><font color="white" face="Helvetica">'
        f"<b>{escape(box.title)}</b></font></td></tr>"
    )
    lines = [
        f'<tr><td cellpadding="6"><font face="Helvetica">{escape(line)}</font></td></tr>'
        for line in box.lines
    ]
    return f'<<table border="0" cellborder="1" cellspacing="0">{title}{"".join(lines)}</table>>'


def _draw(
    model: Any,
    path: Path,
    shown: Shown,
    rankdir: str,
    expand_nested: bool,
    dpi: int,
    splines: str,
) -> None:
    _pydot("plot_model")
    if shutil.which("dot") is None:
        raise ImportError(
            "`plot_model` draws this format by graphviz. Received: "
            f"to_file={str(path)!r}, and no program `dot`. Install graphviz (apt install graphviz), or "
            "write an .svg, which needs neither."
        )
    dot = model_to_dot(
        model, *shown[:3], rankdir, expand_nested, dpi, False, *shown[3:], splines=splines
    )
    with replacing(path) as draft:
        dot.write(draft, format=path.suffix[1:] or "png")


def _displayed(path: Path) -> Any:
    """What a notebook shows of the picture."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", None)
    if shell is None or shell() is None or path.suffix == ".pdf":
        return None
    from IPython.display import SVG, Image

    return SVG(filename=str(path)) if path.suffix == ".svg" else Image(filename=str(path))


def _pydot(function: str) -> Any:
    try:
        import pydot
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"`{function}` makes its graph by pydot. Received: no such package. Install it, and "
            "graphviz, with: pip install 'cornu[graphviz]' and apt install graphviz. An .svg of "
            "`plot_model` needs neither.",
            name=error.name,
        ) from error
    return pydot


def _refuse(kwargs: dict[str, Any]) -> None:
    if kwargs:
        raise ValueError(f"There are no such arguments. Received: {sorted(kwargs)}.")
