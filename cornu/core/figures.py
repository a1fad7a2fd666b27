"""Figures of matplotlib's in one look, which notebooks show and files take, without a window."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TRAINING, VALIDATION, GREY = "#e08a2e", "#2166ac", "#8a909c"
_STYLE: Any = {
    "axes.edgecolor": GREY,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "figure.facecolor": "white",
    "font.size": 10,
    "grid.color": "#e4e7ec",
    "legend.frameon": False,
    "lines.linewidth": 2,
    "xtick.color": GREY,
    "xtick.labelcolor": "black",
    "ytick.color": GREY,
    "ytick.labelcolor": "black",
}


@contextmanager
def drawing(width: float, height: float, path: Any = None) -> Iterator[Figure]:
    """A block that draws into a figure of this size in inches, which is then written where there is a path.

    Raises:
        ModuleNotFoundError: If matplotlib is not installed.
    """
    try:
        import matplotlib as mpl
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "Curves are drawn by matplotlib. Received: no such package. "
            "Install it with: pip install 'cornu[plot]'",
            name=error.name,
        ) from error

    class Picture(Figure):
        """A figure that shows itself in a notebook, once, whatever else is imported there."""

        def _repr_png_(self) -> bytes:
            content = BytesIO()
            self.savefig(content, format="png")
            return content.getvalue()

    with mpl.rc_context(_STYLE):
        figure = Picture(figsize=(width, height), dpi=110, layout="constrained")
        yield figure
        if path is not None:
            figure.savefig(path)
