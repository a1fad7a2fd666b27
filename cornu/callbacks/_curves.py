"""Curves of what was logged, drawn by matplotlib."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..core.figures import GREY, TRAINING, VALIDATION, drawing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: The epochs and the values of a metric.
Series = tuple[Sequence[int], Sequence[Any]]
#: Width and height of a panel, in inches, and how many stand side by side.
_PANEL, _COLUMNS = (4.6, 3.2), 3
#: What is drawn on a logarithmic scale where its values span more than this.
_SPAN = 50


def curves(
    epochs: Mapping[str, Sequence[int]], history: Mapping[str, Sequence[Any]], path: Any = None
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
    rows, columns = math.ceil(len(panels) / _COLUMNS), min(len(panels), _COLUMNS)
    with drawing(_PANEL[0] * columns, _PANEL[1] * rows, path) as figure:
        for place, (name, drawn) in enumerate(panels.items(), start=1):
            _draw(figure.add_subplot(rows, columns, place), name, drawn)
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
        color = GREY if alone else TRAINING if kind == "training" else VALIDATION
        marker = "o" if len(values) == 1 else ""
        axes.plot([epoch + 1 for epoch in epochs], values, color=color, label=kind, marker=marker)
    shown = [float(value) for _, values in series.values() for value in values]
    if min(shown) > 0 and max(shown) / min(shown) > _SPAN:
        axes.set_yscale("log")
    if not alone:
        axes.legend()
