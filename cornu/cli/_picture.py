"""The demo's picture: what two models learned, and where they are wrong."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ._trained import Digits, Sunspots, plural

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import FigureBase, SubFigure

#: 1400 x 950 pixels.
SIZE, DPI = (14.0, 9.5), 100
INK, GREY, PALE = "#1f2430", "#8a909c", "#e4e7ec"
MODEL, WRONG, SECOND = "#2166ac", "#c8442d", "#e59a3c"
STYLE: Any = {
    "font.size": 11,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": GREY,
    "axes.titlesize": 13,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
}
ROWS, COLUMNS = 3, 4


def draw(digits: Digits, sunspots: Sunspots, path: Path) -> None:
    """Write the picture as a PNG file."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(STYLE):
        figure = Figure(figsize=SIZE, dpi=DPI, facecolor="white")
        figure.set_layout_engine("constrained", w_pad=0.12, h_pad=0.12)
        top, bottom = _split(figure, 2, 1, height_ratios=[1.15, 1], hspace=0.06)
        curves, confusion, hardest = _split(top, 1, 3, width_ratios=[1, 1.05, 1.25])
        _digits_curves(curves.subplots(), digits)
        _confusion(confusion.subplots(), digits)
        _hardest(hardest, digits)
        curves, forecast = _split(bottom, 1, 2, width_ratios=[1, 2.35])
        _sunspots_curve(curves.subplots(), sunspots)
        _forecast(forecast.subplots(), sunspots)
        figure.savefig(path)


def _split(figure: FigureBase, rows: int, columns: int, **shares: Any) -> list[SubFigure]:
    return list(figure.subfigures(rows, columns, squeeze=False, **shares).flat)


def _digits_curves(axes: Axes, digits: Digits) -> None:
    accuracy = digits.history["val_accuracy"][-1]
    axes.set_title(f"Digits: {accuracy:.1%} on validation\nimages after {_epochs(digits)}")
    _curve(axes, digits.history["loss"], SECOND, "training")
    _curve(axes, digits.history["val_loss"], MODEL, "validation")
    _loss_axes(axes)


def _sunspots_curve(axes: Axes, sunspots: Sunspots) -> None:
    axes.set_title(f"Sunspots: {_epochs(sunspots)}\non the years to {sunspots.years[0] - 1}")
    _curve(axes, sunspots.history["loss"], SECOND, "training")
    _loss_axes(axes)


def _epochs(result: Digits | Sunspots) -> str:
    return plural(len(result.history["loss"]), "epoch")


def _curve(axes: Axes, losses: list[float], color: str, name: str) -> None:
    epochs = np.arange(1, len(losses) + 1)
    axes.plot(epochs, losses, color=color, linewidth=2.2, label=name)


def _loss_axes(axes: Axes) -> None:
    axes.set_yscale("log")
    axes.set_xlabel("epoch")
    axes.set_ylabel("loss")
    axes.grid(axis="y", color=PALE)
    axes.legend(frameon=False)


def _confusion(axes: Axes, digits: Digits) -> None:
    from matplotlib.colors import ListedColormap

    counts = np.zeros((10, 10), int)
    np.add.at(counts, (digits.truth, digits.labels), 1)
    right = np.eye(10, dtype=bool)
    axes.set_title(f"{digits.accuracy:.1%} of {len(digits.truth)} held-out\ndigits read correctly")
    for cells, color, alpha in ((right, MODEL, 0.3), (~right & (counts > 0), WRONG, 1.0)):
        shown = np.ma.masked_where(~cells, counts)
        axes.imshow(shown, cmap=ListedColormap([color]), alpha=alpha)
    for (true, read), count in np.ndenumerate(counts):
        if count:
            color, weight = (INK, "normal") if true == read else ("white", "bold")
            axes.text(
                read, true, count, ha="center", va="center_baseline", color=color, weight=weight
            )
    axes.set(xticks=range(10), yticks=range(10), xlabel="read as", ylabel="true digit")
    axes.set_xticks(np.arange(9) + 0.5, minor=True)
    axes.set_yticks(np.arange(9) + 0.5, minor=True)
    axes.grid(which="minor", color=PALE)
    axes.tick_params(which="both", length=0)
    axes.spines[:].set_visible(False)


def _hardest(figure: SubFigure, digits: Digits) -> None:
    """The images whose true digit got the least probability: mistakes, then close calls."""
    count = ROWS * COLUMNS
    of_truth = digits.outputs[np.arange(len(digits.truth)), digits.truth]
    order = np.argsort(of_truth)[:count]
    wrong = digits.labels != digits.truth
    shown = int(wrong[order].sum())
    every = "the" if shown == digits.mistakes else f"{shown} of the"
    mistakes = f"{every} {plural(digits.mistakes, 'mistake')} in red"
    title = f"The {count} hardest held-out images:\n{mistakes if shown else 'no mistake at all'}"
    figure.suptitle(title, x=0.012, ha="left", size=13, weight="bold")
    for axes, image in zip(figure.subplots(ROWS, COLUMNS).flat, order, strict=True):
        color = WRONG if wrong[image] else GREY
        read, certainty = digits.labels[image], digits.outputs[image].max()
        axes.imshow(digits.inputs[image, ..., 0], cmap="gray_r", vmin=0, vmax=1)
        axes.set_title(
            f"{digits.truth[image]} read as {read}: {certainty:.0%}",
            size=10,
            weight="normal",
            loc="center",
            pad=5,
            color=color if wrong[image] else INK,
        )
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set(visible=True, color=color, linewidth=2.5 if wrong[image] else 1)


def _forecast(axes: Axes, sunspots: Sunspots) -> None:
    first, last = sunspots.years[0], sunspots.years[-1]
    axes.set_title(
        f"Forecast a year ahead, {first}-{last}: off by {sunspots.error:.1f} on average\n"
        f'("as last year" is off by {sunspots.baseline:.1f})'
    )
    axes.fill_between(sunspots.years, sunspots.truth, color=PALE, linewidth=0)
    axes.plot(sunspots.years, sunspots.truth, color=INK, linewidth=1.4, label="observed")
    axes.plot(sunspots.years, sunspots.forecast, color=MODEL, linewidth=2.2, label="forecast")
    axes.set_ylabel("sunspots")
    axes.set_xlim(first, last)
    axes.legend(frameon=False, ncols=2, loc="upper right", borderaxespad=0)
