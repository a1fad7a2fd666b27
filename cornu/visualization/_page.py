"""A model as one HTML file: its graph, which opens from disk and needs no network.

`page/` holds the structure, look and behaviour, and dagre, which lays graphs out.
"""

from __future__ import annotations

import html
from pathlib import Path
from typing import Any

from ..core.files import replacing
from ..core.pages import embedded, filled
from ._graph import graph_of

_PAGE = Path(__file__).with_name("page")
#: The height of the graph in a notebook, in pixels.
_HEIGHT = 640


class Picture:
    """A page, which a notebook shows where it stands.

    Attributes:
        html: The page.
    """

    def __init__(self, content: str) -> None:
        self.html = content

    def save(self, path: Any) -> None:
        """Write the page to a file."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as draft:
            Path(draft).write_text(self.html, encoding="utf-8")

    def _repr_html_(self) -> str:
        page = html.escape(self.html)
        style = f"width: 100%; height: {_HEIGHT}px; border: 1px solid #8888; border-radius: 8px"
        return f'<iframe srcdoc="{page}" style="{style}" title="Graph of a model"></iframe>'

    def __repr__(self) -> str:
        return f"<Picture of {len(self.html):,} characters: `save(path)` writes it>"


def visualize(
    model: Any, path: Any = None, flops: bool = False, input_shape: Any = None
) -> Picture:
    """The graph of a model as a page: shapes, parameters, what is within what.

    The page pans, zooms and searches; models and blocks within the model open and close. A notebook shows
    what is returned where it stands.

    Args:
        model: A model that was built, or any layer.
        path: Where to write the page.
        flops: Whether nodes tell their multiply-adds, for a batch of one.
        input_shape: The shapes of the inputs with the batch, in place of those that the model was built for.

    Raises:
        ValueError: If the model was never built, so that the shapes of its inputs are not known.

    >>> from cornu import Input, Sequential, layers
    >>> picture = visualize(Sequential([Input((4,)), layers.Dense(2)]))
    >>> picture.html.count("<!DOCTYPE html>")
    1
    """
    parts = {
        "title": html.escape(model.name),
        "style": (_PAGE / "page.css").read_text(encoding="utf-8"),
        "layout": (_PAGE / "dagre.min.js").read_text(encoding="utf-8"),
        "script": (_PAGE / "page.js").read_text(encoding="utf-8"),
        "graph": embedded(graph_of(model, flops, input_shape)),
    }
    picture = Picture(filled(_PAGE / "page.html", parts))
    if path is not None:
        picture.save(path)
    return picture
