"""What the demo shows: live on a terminal, plain lines anywhere else."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console, Group
from rich.panel import Panel
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

import cornu

Rows = Sequence[tuple[str, str]]
Logs = Mapping[str, Any] | None

#: How the figures of an epoch read, in this order.
FIGURES = {"loss": "loss {:.4f}", "val_accuracy": "validation {:.1%}"}
#: About how many of a training's epochs get a line where nothing is live.
LINES = 8
#: What a bar says before the first step.
COMPILING = "compiling"


class Screen:
    """Where the demo's text goes."""

    def __init__(self) -> None:
        self.live = sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
        self.console = Console(highlight=False)

    def heading(self, text: str) -> None:
        """Begin a part of the demo."""
        if self.live:
            self.console.print(f"\n[bold]{text}[/]")
        else:
            self.line(f"\n{text}")

    def line(self, text: str) -> None:
        """One line of text, as it is."""
        if self.live:
            self.console.print(Text(f"  {text}"))
        else:
            print(text, flush=True)

    @contextmanager
    def training(self) -> Iterator[cornu.callbacks.Callback]:
        """A callback that shows a training while the block runs."""
        if not self.live:
            yield _EpochLines()
            return
        columns = (
            BarColumn(bar_width=None),
            TextColumn("{task.description}"),
            TimeElapsedColumn(),
        )
        with Progress(TextColumn(" "), *columns, console=self.console, expand=True) as progress:
            yield _LiveBar(progress)

    def closing(self, title: str, blocks: Sequence[tuple[str, Rows]]) -> None:
        """The last screen: titled blocks of rows, each with a name and what there is to say."""
        if self.live:
            parts = [part for heading, rows in blocks for part in _block(heading, rows)]
            self.console.print()
            self.console.print(Panel(Group(*parts[:-1]), title=f"[bold]{title}[/]", padding=(1, 2)))
            return
        self.line(f"\n{title}")
        for heading, rows in blocks:
            self.line(f"\n{heading}")
            width = max(len(name) for name, _ in rows)
            for name, text in rows:
                self.line(f"  {name:{width}}  {text}")


def _block(heading: str, rows: Rows) -> list[Any]:
    table = Table.grid(padding=(0, 2), pad_edge=True)
    table.add_column(style="cyan", no_wrap=True)
    table.add_column(overflow="fold")
    for name, text in rows:
        table.add_row(Text(name), Text(text))
    return [Text(heading, style="bold"), table, Text()]


def _figures(logs: Logs) -> str:
    logs = logs or {}
    return "  ".join(
        text.format(float(logs[name])) for name, text in FIGURES.items() if name in logs
    )


def _epochs(callback: cornu.callbacks.Callback) -> int:
    return int((callback.params or {})["epochs"])


class _LiveBar(cornu.callbacks.Callback):
    """A bar that moves with every step; the figures change with the epoch."""

    def __init__(self, progress: Progress) -> None:
        super().__init__()
        self.epoch = 0
        self.figures = COMPILING

    def on_train_begin(self, logs: Logs = None) -> None:
        self.task = self.progress.add_task(self.figures, total=None)

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        self.epoch = epoch
        self._show()

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        if self.params and self.params["steps"]:
            steps = self.params["steps"]
            done = self.epoch * steps + batch + 1
            if self.figures == COMPILING:
                self.figures = ""
                self._show()
            self.progress.update(self.task, total=steps * _epochs(self), completed=done)

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        self.figures = _figures(logs)
        self._show()

    def _show(self) -> None:
        epoch = f"epoch {self.epoch + 1}/{_epochs(self)}"
        self.progress.update(self.task, description=f"{epoch}  {self.figures}".rstrip())


class _EpochLines(cornu.callbacks.Callback):
    """A line for an epoch, or for every few where there are many."""

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        epochs = _epochs(self)
        if (epoch + 1) % max(1, round(epochs / LINES)) == 0 or epoch + 1 == epochs:
            print(f"epoch {epoch + 1}/{epochs}  {_figures(logs)}", flush=True)
