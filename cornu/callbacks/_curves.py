"""Curves of what was logged, drawn by matplotlib."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: The epochs and the values of a metric.
Series = tuple[Sequence[int], Sequence[Any]]
#: Width and height of a panel, in inches, and how many stand side by side.
_PANEL, _COLUMNS = (4.6, 3.2), 3
_TRAINING, _VALIDATION, _GREY, _PALE = "#e08a2e", "#2166ac", "#8a909c", "#e4e7ec"
_STYLE: dict[str, Any] = {
    "axes.edgecolor": _GREY,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "figure.facecolor": "white",
    "font.size": 10,
    "grid.color": _PALE,
    "legend.frameon": False,
    "lines.linewidth": 2,
    "xtick.color": _GREY,
    "xtick.labelcolor": "black",
    "ytick.color": _GREY,
    "ytick.labelcolor": "black",
}
#: What is drawn on a logarithmic scale where its values span more than this.
_SPAN = 50


def curves(
    epochs: Mapping[str, Sequence[int]], history: Mapping[str, Sequence[Any]], save: Any = None
) -> Figure:
    """A panel for each metric, with its curves in training and validation; the learning rate comes last.

    Raises:
        ValueError: If nothing was logged.
        ModuleNotFoundError: If matplotlib is not installed.
    """
    series = {name: (epochs[name], values) for name, values in history.items()}
    panels = _panels(series)
    if not panels:
        raise ValueError(
            "There must be an epoch before there are curves. Received: an empty history. "
            "Plot what `fit` returned."
        )
    mpl, picture = _matplotlib()
    rows, columns = math.ceil(len(panels) / _COLUMNS), min(len(panels), _COLUMNS)
    with mpl.rc_context(_STYLE):
        figure = picture(
            figsize=(_PANEL[0] * columns, _PANEL[1] * rows), dpi=110, layout="constrained"
        )
        for place, (name, drawn) in enumerate(panels.items(), start=1):
            _draw(figure.add_subplot(rows, columns, place), name, drawn)
        if save is not None:
            figure.savefig(save)
    return figure


def _panels(series: Mapping[str, Series]) -> dict[str, dict[str, Series]]:
    """What is drawn together: a metric in training and in validation. The loss comes first."""
    panels: dict[str, dict[str, Series]] = {"loss": {}}
    for key, values in series.items():
        name = key.removeprefix("val_")
        panels.setdefault(name, {})["training" if name == key else "validation"] = values
    last = {"learning_rate": panels.pop("learning_rate", {})}
    return {name: drawn for name, drawn in {**panels, **last}.items() if drawn}


def _draw(axes: Axes, name: str, series: Mapping[str, Series]) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.set_title(name.replace("_", " "))
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    alone = name == "learning_rate"
    for kind, (epochs, values) in series.items():
        color = _GREY if alone else _TRAINING if kind == "training" else _VALIDATION
        marker = "o" if len(values) == 1 else ""
        axes.plot([epoch + 1 for epoch in epochs], values, color=color, label=kind, marker=marker)
    shown = [float(value) for _, values in series.values() for value in values]
    if min(shown) > 0 and max(shown) / min(shown) > _SPAN:
        axes.set_yscale("log")
    if not alone:
        axes.legend()


def _matplotlib() -> tuple[Any, type[Figure]]:
    """The library, and a figure that shows itself in a notebook, once, whatever else is imported there."""
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
        """A figure without a window."""

        def _repr_png_(self) -> bytes:
            from io import BytesIO

            content = BytesIO()
            self.savefig(content, format="png")
            return content.getvalue()

    return mpl, Picture
