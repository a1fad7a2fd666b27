"""What a search shows: a row for each trial that has ended, and below them, on a terminal, those that run.

Rows have columns of one width, with the parameters that differ; where the output is a file they are all there is. A
line of names comes again when other parameters begin to differ.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..callbacks import progress
from ..callbacks.progress import format_seconds, format_value

#: Columns of a file's lines, and the least width of a column.
LOG_WIDTH, NARROW = 120, 8
#: Seconds between two lines of a file that say what runs.
_SILENCE = 300.0


@dataclass
class _Row:
    trial: str
    values: dict[str, Any] = field(default_factory=dict)
    epoch: str = ""
    score: float | None = None
    state: str = ""
    since: float = field(default_factory=time.monotonic)


class Table:
    """The rows of a search.

    Args:
        metric: What the score is called.
        direction: "min" or "max": which score is better.
        total: How many trials there are at most; `None` if nothing says so.
        verbose: Whether anything is shown.

    >>> table = Table("val_loss", "min", total=2)
    >>> table.begin("0", {"units": 8})
    >>> table.epoch("0", 4, 5, 0.25)
    >>> with table:
    ...     table.end("0", "COMPLETED", 0.25)  # doctest: +ELLIPSIS
    trial     units     epoch     val_loss  best      time      state
    0         8         5/5       0.2500    0.2500    0s        COMPLETED
    """

    def __init__(self, metric: str, direction: str, total: int | None, verbose: int = 1) -> None:
        self.metric, self.direction, self.total, self.verbose = metric, direction, total, verbose
        self.note = ""
        #: Whether what runs may be drawn again in its place; elsewhere another live line may be.
        self.shows_live = True
        self._running: dict[str, _Row] = {}
        self._seen: dict[str, list[str]] = {}
        self._named: list[str] = []
        self._best: tuple[float, str] | None = None
        self._ended = 0
        self._live: Any = None
        self._drawn = self._said = self._started = time.monotonic()

    def __enter__(self) -> Table:
        if self.shows_live and self.verbose and _has_lines():
            from rich.live import Live

            self._live = Live(console=progress._console(), auto_refresh=False, transient=True)
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def begin(self, trial: str, values: Mapping[str, Any] | None = None) -> None:
        """A trial runs."""
        self._running[trial] = _Row(trial)
        self.values(trial, values or {})
        self.draw()

    def values(self, trial: str, values: Mapping[str, Any]) -> None:
        """A trial's parameters are known."""
        self._row(trial).values = dict(values)
        for name, value in values.items():
            known = self._seen.setdefault(name, [])
            if (text := _short(value)) not in known:
                known.append(text)

    def epoch(
        self, trial: str, epoch: int, epochs: int | None = None, score: float | None = None
    ) -> None:
        """A trial has ended an epoch, counted from 0."""
        row = self._row(trial)
        row.epoch = f"{epoch + 1}/{epochs}" if epochs else f"{epoch + 1}"
        row.score = row.score if score is None else score
        self.draw()

    def end(self, trial: str, state: str, score: float | None = None) -> None:
        """A trial has ended: its row stays."""
        row = self._row(trial)
        row.state, row.score = state, score
        del self._running[trial]
        self._ended += 1
        if score is not None and state == "COMPLETED":
            sign = 1 if self.direction == "min" else -1
            if self._best is None or sign * score < sign * self._best[0]:
                self._best = (score, trial)
        if self.verbose:
            self._keep(row)
        self.draw(now=True)

    def draw(self, now: bool = False) -> None:
        """Draw what runs, where it is time to."""
        passed = time.monotonic() - self._drawn
        if not self.verbose or not (now or passed > progress.INTERVAL):
            return
        self._drawn = time.monotonic()
        if self._live is not None:
            rows = [self._text(row) for row in self._running.values()]
            self._live.update("\n".join([*rows, self.line()]), refresh=True)
        elif self._drawn - self._said > _SILENCE:
            self._say([*(self._text(row) for row in self._running.values()), self.line()])

    def line(self) -> str:
        """How far the search is, in a line."""
        count = f"{self._ended}/{self.total}" if self.total else f"{self._ended}"
        best = ""
        if self._best is not None:
            best = f"best {self.metric}: {format_value(self._best[0])} (trial {self._best[1]})"
        seconds = format_seconds(time.monotonic() - self._started)
        parts = [f"{count} trials", f"{len(self._running)} running", best, seconds, self.note]
        return " - ".join(part for part in parts if part)

    def _row(self, trial: str) -> _Row:
        return self._running.setdefault(trial, _Row(trial))

    def _keep(self, row: _Row) -> None:
        """Write the row of a trial that has ended, after the names of the columns where they are other ones."""
        names = self._columns()
        lines = []
        if names != self._named:
            self._named = names
            head = ("trial", *names, "epoch", self.metric, "best", "time", "state")
            lines.append(self._aligned(head))
        self._say([*lines, self._text(row)])

    def _columns(self) -> list[str]:
        """The parameters that have columns: those that differ, as many as there is room for; before any does, all."""
        differ = [name for name, known in self._seen.items() if len(known) > 1]
        names = differ if self._ended > 1 else list(self._seen)
        width = progress._console().width if self._live is not None else LOG_WIDTH
        room = width - sum(map(self._width, ("trial", "epoch", self.metric, "best", "time")))
        room -= NARROW + 2
        while names and sum(map(self._width, names)) > room:
            names = names[:-1]
        return names

    def _width(self, name: str) -> int:
        return 2 + max(NARROW, len(name), *map(len, self._seen.get(name, [""])))

    def _text(self, row: _Row) -> str:
        names = self._named or self._columns()
        values = [_short(row.values[name]) if name in row.values else "-" for name in names]
        score = "" if row.score is None else format_value(row.score)
        best = "" if self._best is None else format_value(self._best[0])
        seconds = format_seconds(time.monotonic() - row.since)
        fields = (row.trial, *values, row.epoch, score, best, seconds, row.state or "running")
        return self._aligned(fields, names)

    def _aligned(self, fields: tuple[str, ...], names: list[str] | None = None) -> str:
        names = self._named if names is None else names
        heads = ("trial", *names, "epoch", self.metric, "best", "time", "state")
        cells = (text.ljust(self._width(head)) for text, head in zip(fields, heads, strict=True))
        return "".join(cells).rstrip()

    def _say(self, lines: list[str]) -> None:
        self._said = time.monotonic()
        for line in lines:
            if self._live is not None:
                self._live.console.print(line, highlight=False, markup=False, soft_wrap=True)
            else:
                progress.say(line)


def _has_lines() -> bool:
    """Whether lines can be drawn again where they stand."""
    return bool(progress._has_terminal() and not progress._console().is_jupyter)


def _short(value: Any) -> str:
    """A parameter's value, to four places.

    >>> _short(0.000123456), _short(True), _short("relu")
    ('0.0001235', 'True', 'relu')
    """
    return f"{value:.4g}" if isinstance(value, float) else str(value)
