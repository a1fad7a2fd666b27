"""Progress: one live line while an epoch runs, one finished line once it is done.

On a terminal and in a notebook the line is drawn again in its place. Where the output is neither (a file, a pipe)
finished lines are written, and one a minute before, without control codes. With interactive logging disabled
they go to the logger `cornu`.
"""

from __future__ import annotations

import atexit
import math
import sys
from collections.abc import Callable, Iterable, Mapping
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core import supervision
from ..core.config import is_interactive_logging_enabled
from ..core.described import Keeping

if TYPE_CHECKING:
    from rich.live import Live
    from rich.text import Text

#: Seconds between two drawings of a live line: a drawing costs about a millisecond.
INTERVAL = 0.1
#: And between two lines of a file.
LOG_INTERVAL = 60.0
#: And between two that the supervisor of several processes is told.
TOLD_INTERVAL = 1.0
WIDTH = 20
#: From which share of the time that goes into waiting for data the line says so: it is the bottleneck.
SLOW_DATA = 0.2
#: How narrow the bar becomes before metrics go to a row below.
MIN_WIDTH = 5


class Progress(Keeping):
    """The line of one epoch, or of one evaluation or prediction.

    Args:
        target: The number of steps; `None` if it is not known.
        title: What stands before the bar, such as `Epoch 1/10`.
        verbose: 0 shows nothing, 1 a live line where there is a terminal or notebook and a line a minute
            elsewhere, 2 only the finished line.
        unit: What a step is called.
        interval: Seconds between two drawings.
        width: The bar's width in characters.
    """

    target: int | None

    def __init__(
        self,
        target: int | None,
        title: str = "",
        verbose: int = 1,
        unit: str = "step",
        interval: float = INTERVAL,
        width: int = WIDTH,
    ) -> None:
        #: Tells the share of the time that went into waiting for data.
        self.waiting: Callable[[], float] = lambda: 0.0
        #: The samples of a step, where they are known.
        self.batch_size: int | None = None
        self._live: Live | NotebookLine | None = None
        if not supervision.is_first():  # all that compute together would show the same
            self.verbose = verbose = 0
        self._shows_live = verbose == 1 and _has_terminal()
        self._is_told = not self._shows_live and supervision.is_supervised()
        self._done = False
        self._started = perf_counter()
        #: How many steps were done at the first update, and when that was: training may go on in the middle.
        self._first: tuple[int, float] | None = None
        if not self._shows_live:
            self.interval = TOLD_INTERVAL if self._is_told else LOG_INTERVAL
        first = self._started + (0 if self._shows_live else self.interval)
        self._next_drawing = first if verbose == 1 else math.inf

    def update(self, step: int, values: Mapping[str, Any] | None = None) -> None:
        """Say that `step` steps are done. The values are looked at only if the line is drawn."""
        now = perf_counter()
        if self._first is None:
            self._first = (step, now)
        if now >= self._next_drawing:
            self.draw(step, values)

    def draw(self, step: int, values: Mapping[str, Any] | None = None) -> None:
        """Draw the live line."""
        line = self.line(step, dict(values or {}), finished=False)
        if self._is_told:
            supervision.tell("progress", line.plain[:1000])
        else:
            self._show(line)
        self._next_drawing = perf_counter() + self.interval

    def _show(self, line: Text) -> None:
        if not self._shows_live:
            say(line.plain)
            return
        if self._live is None:
            self._live = NotebookLine() if _console().is_jupyter else _open_live(self)
        self._live.update(line, refresh=True)

    def finish(self, step: int, values: Mapping[str, Any] | None = None) -> None:
        """Leave the finished line."""
        if self._done:
            return
        self._done = True
        self._next_drawing = math.inf
        if self.verbose == 0:
            return
        line = self.line(step, dict(values or {}), finished=True)
        if self._shows_live and not _console().is_jupyter:
            self.pause()
            _console().print(line, highlight=False)
        else:
            self._show(line)

    def pause(self) -> None:
        """Take the live line away, after an error, say; the next `update` draws it again."""
        if self._live is not None:
            self._live.stop()
            self._live = None
            _forget_shown(self)

    def line(self, step: int, values: Mapping[str, Any], finished: bool) -> Text:
        """The line: title, bar, steps, time, metrics; those that don't fit stand in rows below."""
        from rich.text import Text

        time, waiting = self._time(step, finished), self.waiting()
        waits = f"{waiting:.0%} waiting for data" if waiting >= SLOW_DATA else ""
        metrics = _metrics(values)
        if not self._shows_live:
            fields = [self.title, self._count(step), *time, waits]
            return Text(" - ".join([*filter(None, fields), *(text.plain for text in metrics)]))
        head = Text(self.title, style="bold")
        tail = Text(self._count(step), style="bold").append(f" {' '.join(time)}", style="not bold")
        indent = len(head) + 1 if head else 0
        room = _console().width - indent
        if waits:
            metrics = [Text(waits, style="yellow"), *metrics]
        first, *below = _in_rows([tail, *metrics], room, room - MIN_WIDTH - 1)
        bar = _bar(step, self.target, max(0, min(self.width, room - len(first) - 1)))
        line = Text(" ").join(part for part in (head, bar, first) if part.plain)
        return Text("\n" + " " * indent).join([line, *below])

    def _count(self, step: int) -> str:
        return f"{step}/{'Unknown' if self.target is None else self.target}"

    def _time(self, step: int, finished: bool) -> list[str]:
        """The time that it took, or that is left, the time of a step, and how many samples that is in a second."""
        now = perf_counter()
        per_step = self._per_step(step, now)
        if finished or self.target is None:
            spans = format_seconds(now - self._started)
        else:
            spans = f"{format_seconds(per_step * max(0, self.target - step))} left"
        parts = [spans, format_step_time(per_step, self.unit)]
        if self.batch_size is not None and per_step > 0:
            parts.append(f"{format_rate(self.batch_size / per_step)} samples/s")
        return parts

    def _per_step(self, step: int, now: float) -> float:
        """Seconds of a step, those of the first left out: it compiles."""
        first, since = self._first or (0, self._started)
        if step > first:
            return (now - since) / (step - first)
        return (now - self._started) / max(step, 1)


class Transfer(Progress):
    """The line of a file that is fetched: a step is a byte."""

    def _count(self, step: int) -> str:
        return "/".join(format_bytes(size) for size in (step, self.target) if size is not None)

    def _time(self, step: int, finished: bool) -> list[str]:
        per_second = 1 / self._per_step(step, perf_counter())
        return [super()._time(step, finished)[0], f"{format_bytes(per_second)}/s"]


class Progbar(Keeping):
    """A progress bar for loops of your own.

    Args:
        target: The number of steps; `None` if it is not known.
        width: The bar's width in characters.
        verbose: 0 shows nothing, 1 a live line, 2 a line at the end.
        interval: Seconds between two drawings, at least.
        stateful_metrics: Names of the values that are shown as they are; others are averaged over
            the steps.
        stateless_metrics: If given, names of the values that are averaged, all others being shown
            as they are.
        unit_name: What a step is called.

    >>> bar = Progbar(3, verbose=0)
    >>> for step in range(3):
    ...     bar.update(step + 1, values=[("loss", 1.0 / (step + 1))])
    """

    def __init__(
        self,
        target: int | None,
        width: int = WIDTH,
        verbose: int = 1,
        interval: float = 0.05,
        stateful_metrics: Iterable[str] | None = None,
        stateless_metrics: Iterable[str] | None = None,
        unit_name: str = "step",
    ) -> None:
        self.stateful_metrics = set(stateful_metrics or ())
        self.stateless_metrics = None if stateless_metrics is None else set(stateless_metrics)
        self._seen_so_far = 0
        self._sums: dict[str, tuple[Any, int]] = {}
        self._progress = Progress(
            target, verbose=verbose, unit=unit_name, interval=interval, width=width
        )

    def update(
        self,
        current: int,
        values: Iterable[tuple[str, Any]] | None = None,
        finalize: bool | None = None,
    ) -> None:
        """Show that `current` steps are done.

        Args:
            current: The number of steps.
            values: Pairs `(name, value)`; the last update shows them as they are.
            finalize: Whether this is the last update; by default, whether `current` reached
                `target`.
        """
        if finalize is None:
            finalize = self.target is not None and current >= self.target
        steps = max(current - self._seen_so_far, 1)
        for name, value in values or ():
            value = np.asarray(value) if isinstance(value, (list, tuple)) else value
            if finalize or not self._averages(name):
                self._sums[name] = (value, 1)
            else:
                total, count = self._sums.get(name, (0.0, 0))
                self._sums[name] = (total + value * steps, count + steps)
        self._seen_so_far = current
        if finalize:
            self._progress.finish(current, self._means())
        elif not self._progress._done:
            self._progress.update(current, self._means())

    def add(self, n: int, values: Iterable[tuple[str, Any]] | None = None) -> None:
        """Show that `n` more steps are done."""
        self.update(self._seen_so_far + n, values)

    def _averages(self, name: str) -> bool:
        if self.stateless_metrics is not None:
            return name in self.stateless_metrics
        return name not in self.stateful_metrics

    def _means(self) -> dict[str, Any]:
        return {name: total / count for name, (total, count) in self._sums.items()}


def say(message: str) -> None:
    """Write a line of text, above the live line if there is one."""
    if is_interactive_logging_enabled():
        print(message, file=sys.stdout, flush=True)
    else:
        import logging

        logging.getLogger("cornu").info(message)


def format_value(value: Any) -> str:
    """A metric: four decimals, or an exponent where those say little.

    >>> format_value(0.28124), format_value(1e-5), format_value("x")
    ('0.2812', '1.0000e-05', 'x')
    """
    if isinstance(value, str):
        return value
    number = float(np.mean(np.asarray(value, dtype="float64")))
    return f"{number:.4e}" if abs(number) <= 1e-3 else f"{number:.4f}"


def format_seconds(seconds: float) -> str:
    """A span of time.

    >>> format_seconds(4.2), format_seconds(75), format_seconds(3675)
    ('4s', '1:15', '1:01:15')
    """
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}:{minutes:02d}:{rest:02d}"
    return f"{minutes}:{rest:02d}" if minutes else f"{rest}s"


def format_step_time(seconds: float, unit: str) -> str:
    """The time of one step.

    >>> format_step_time(0.0123, "step")
    '12ms/step'
    """
    if seconds >= 1 or seconds == 0:
        return f"{seconds:.0f}s/{unit}"
    if seconds >= 1e-3:
        return f"{seconds * 1e3:.0f}ms/{unit}"
    return f"{seconds * 1e6:.0f}us/{unit}"


def format_rate(per_second: float) -> str:
    """How many there are in a second, to three places.

    >>> format_rate(0.5), format_rate(2666.7), format_rate(1.5e6)
    ('0.5', '2,670', '1,500,000')
    """
    rounded = float(f"{per_second:.3g}")
    return f"{rounded:,.0f}" if rounded >= 100 else f"{rounded:g}"


def format_bytes(count: float) -> str:
    """A number of bytes, to three places.

    >>> format_bytes(7), format_bytes(170_498_071)
    ('7 B', '170 MB')
    """
    rounded = float(f"{count:.3g}")
    power = min(3, int(math.log10(max(rounded, 1))) // 3)
    return f"{rounded / 1000**power:g} {('B', 'kB', 'MB', 'GB')[power]}"


def _metrics(values: Mapping[str, Any]) -> list[Text]:
    from rich.text import Text

    shown = {name: format_value(value) for name, value in values.items()}
    return [
        Text(f"{name}: ", style="not bold").append(text, style="bold red" if "nan" in text else "")
        for name, text in shown.items()
    ]


def _in_rows(parts: list[Text], room: int, first_room: int) -> list[Text]:
    """The parts, joined by dashes, in rows no wider than there is room for."""
    from rich.text import Text

    rows = [parts[0]]
    for part in parts[1:]:
        joined = Text(" - ", style="not bold").join([rows[-1], part])
        if len(joined) <= (room if len(rows) > 1 else first_room):
            rows[-1] = joined
        else:
            rows.append(part)
    return rows


def _bar(step: int, target: int | None, width: int) -> Text:
    from rich.text import Text

    if not target:
        return Text("")
    filled = min(width, width * step // target)
    return Text("━" * filled, style="green").append("━" * (width - filled), style="bright_black")


class NotebookLine:
    """A line of a notebook's output, drawn again in its place."""

    def __init__(self) -> None:
        self._shown: Any = None

    def update(self, line: Text, refresh: bool = True) -> None:
        """Draw it."""
        from IPython.display import display

        html = line._repr_mimebundle_([], [])["text/html"]  # its plain text has control codes
        content = {"text/plain": line.plain, "text/html": html}
        if self._shown is None:
            self._shown = display(content, raw=True, display_id=True)
        else:
            self._shown.update(content, raw=True)

    def stop(self) -> None:
        """It stays as it is."""


# ------------------------------------------------------------------------ the terminal's one line

_shown: Progress | None = None


def _console() -> Any:
    import rich

    return rich.get_console()


def _has_terminal() -> bool:
    if not is_interactive_logging_enabled():
        return False
    console = _console()
    return (console.is_terminal and not console.is_dumb_terminal) or console.is_jupyter


def _open_live(progress: Progress) -> Live:
    """A live line for `progress`; another that was shown is taken away until it is drawn again."""
    global _shown
    from rich.live import Live

    if _shown is not None:
        _shown.pause()
    live = Live(console=_console(), auto_refresh=False, transient=True, vertical_overflow="visible")
    live.start()
    _shown = progress
    atexit.register(progress.pause)
    return live


def _forget_shown(progress: Progress) -> None:
    global _shown
    if _shown is progress:
        _shown = None
    atexit.unregister(progress.pause)
