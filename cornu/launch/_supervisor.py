"""One supervisor for all ways to start: lines with prefixes, the first failure stops all, and all start again."""

from __future__ import annotations

import dataclasses
import queue
import shutil
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO

from ._job import Ended, Event, Job, LaunchError, Line, Started, Starter, Told

#: Seconds from SIGTERM to SIGKILL.
GRACE = 10.0
#: Seconds without a sign of life after which a process that gave some counts as hung.
HUNG = 20.0
#: Seconds between two lines of progress where there is no terminal.
STATUS = 60.0
#: Seconds from the first failure that is heard of to stopping all: a process that talks to one that is killed fails
#: within 20 ms, and may be heard of before it.
SETTLING = 0.5
#: Codes of processes that others killed, or the system did: SIGKILL, SIGBUS, SIGSEGV.
_KILLED = {137, 135, 139}
#: How many of the last lines of the process that failed are shown again at the end.
TAIL = 40
#: Seconds before processes start again.
PAUSE = 1.0


def supervise(
    starter: Starter,
    job: Job,
    hung: float = HUNG,
    grace: float = GRACE,
    restarts: int | None = None,
    output: TextIO | None = None,
    told: Callable[[Told], Any] | None = None,
) -> int:
    """Start the processes of a job and see them to their end.

    Their lines are shown, each with the number and the machine of its process. The first that fails, or gives no sign
    of life any more, stops all: SIGTERM, then SIGKILL to all that they have started; its last lines are shown again,
    last. After that all start again, up to `restarts` times. Ctrl-C stops all. A SIGTERM, as a machine gets that is
    about to be taken away, is handed on, so that a checkpoint is written (`callbacks.Checkpoint`), for which there is
    all the time that there is.

    Args:
        starter: Starts them.
        job: What is started.
        hung: Seconds without a sign of life; 0 for any number.
        grace: Seconds from SIGTERM to SIGKILL.
        restarts: How often all start again; None for `job.restarts`.
        output: Where lines are shown; standard output where it is None.
        told: Is told what processes tell beside signs of life.

    Returns:
        The exit code: 0 where all ended well, else that of the first that failed, 128 + n where signal n ended it;
        130 after Ctrl-C, 143 after SIGTERM.

    Raises:
        LaunchError: If they could not be started.
    """
    screen = Screen(sys.stdout if output is None else output)
    restarts = job.restarts if restarts is None else restarts
    for restart in range(restarts + 1):
        attempt = _Attempt(screen, hung, grace, told)
        code = attempt.run(starter, dataclasses.replace(job, restart=restart))
        if code == 0 or attempt.asked is not None:
            return code
        attempt.explain()
        if restart < restarts:
            screen.say(f"All start again: restart {restart + 1} of {restarts}.")
            time.sleep(PAUSE)
    return code


class Screen:
    """Where lines are shown: those of processes, and one line below them that changes in its place."""

    def __init__(self, output: TextIO) -> None:
        self._output, self._status = output, ""
        self._is_live = output.isatty()
        self._next_status = time.monotonic() + STATUS

    def show(self, prefix: str, text: str) -> None:
        """Show a line."""
        self._clear()
        self._output.write(f"{prefix}{text}\n")
        self._draw()

    def say(self, text: str) -> None:
        """Show a line of the supervisor's own."""
        self.show("[launch] ", text)

    def status(self, text: str) -> None:
        """Show another line below all, on a terminal; elsewhere as a line now and then."""
        if self._is_live:
            self._clear()
            self._status = text[: shutil.get_terminal_size().columns - 1]
            self._draw()
        elif text and time.monotonic() >= self._next_status:
            self._next_status = time.monotonic() + STATUS
            self.show("", text)

    def _clear(self) -> None:
        if self._status:
            self._output.write("\r\x1b[K")

    def _draw(self) -> None:
        self._output.write(self._status)
        self._output.flush()


class _Attempt:
    """One start of all processes."""

    def __init__(
        self, screen: Screen, hung: float, grace: float, told: Callable[[Told], Any] | None
    ) -> None:
        self.screen, self.hung, self.grace, self.told = screen, hung, grace, told
        self.events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self.codes: dict[int, int] = {}
        #: When each gave the last sign of life, of those that give some.
        self.beats: dict[int, float] = {}
        #: Their machines, of those that tell.
        self.places: dict[int, str] = {}
        self.lines: dict[int | None, deque[str]] = {}
        #: Number, code and reason of the first that failed.
        self.failed: tuple[int | None, int, str] | None = None
        #: When it is known for sure which that was.
        self.settled = 0.0
        #: The signal that asked the supervisor to end.
        self.asked: int | None = None
        #: When what doesn't end by itself is killed.
        self.deadline: float | None = None
        self.is_over = False
        self.started: Started

    def run(self, starter: Starter, job: Job) -> int:
        """The exit code."""
        with self._asked():
            self.started = starter(job, self.events.put)
            while not self.is_over and len(self.codes) < len(self.started.places):
                with suppress(queue.Empty):
                    self._take(self.events.get(timeout=0.25))
                self._watch()
            self.started.close()
        self.screen.status("")
        if self.asked is not None:
            return 128 + self.asked
        return 0 if self.failed is None else self.failed[1]

    def explain(self) -> None:
        """Show what the first that failed wrote last, and how it ended."""
        assert self.failed is not None
        rank, code, reason = self.failed
        who = "It" if rank is None else f"Rank {rank} @ {self._place(rank)}"
        lines = self.lines.get(rank, ())
        if any(lines):
            whose = "" if rank is None else f" of rank {rank}"
            self.screen.say(f"The last lines{whose}:")
            for text in lines:
                self.screen.show("    ", text)
        self.screen.say(f"{who} {reason} (exit code {code}); all were stopped.")

    def _take(self, event: Event) -> None:
        if isinstance(event, Line):
            self.lines.setdefault(event.rank, deque(maxlen=TAIL)).append(event.text)
            self.screen.show(self._prefix(event.rank), event.text)
        elif isinstance(event, Told):
            self._hear(event)
        else:
            self._end(event)

    def _place(self, rank: int) -> str:
        """The machine of a process, as it says itself, or as whoever started it does."""
        return self.places.get(rank) or self.started.places[rank]

    def _prefix(self, rank: int | None) -> str:
        return "" if rank is None else f"[rank {rank} @ {self._place(rank)}] "

    def _hear(self, event: Told) -> None:
        if event.kind == "beat" and event.rank is not None:
            self.beats[event.rank] = time.monotonic()
        elif event.kind == "end" and event.rank is not None:
            self.beats.pop(event.rank, None)
        elif event.kind == "place" and event.rank is not None:
            self.places[event.rank] = event.text
        elif event.kind == "progress":
            self.screen.status(event.text)
        elif self.told is not None:
            self.told(event)

    def _end(self, event: Ended) -> None:
        if event.rank is None:
            self.is_over = True
            if event.code != 0:
                self._fail(None, event.code, "failed")
            return
        self.codes[event.rank] = event.code
        self.beats.pop(event.rank, None)
        if event.code > 128:
            self._fail(event.rank, event.code, f"was ended by {_name(event.code - 128)}")
        elif event.code:
            self._fail(event.rank, event.code, "failed")

    def _fail(self, rank: int | None, code: int, reason: str) -> None:
        """Note the first failure, and stop all, soon. One that was killed meanwhile is why others failed."""
        if self.asked is not None:
            return
        if self.failed is None:
            self.failed, self.settled = (rank, code, reason), time.monotonic() + SETTLING
        elif self.deadline is None and code in _KILLED and self.failed[1] not in _KILLED:
            self.failed = (rank, code, reason)

    def _stop(self, number: int) -> None:
        self.deadline = time.monotonic() + self.grace
        self.started.signal(number)

    def _watch(self) -> None:
        """Kill what was asked to end and doesn't; see who hangs."""
        now = time.monotonic()
        if self.failed is not None and self.deadline is None and now > self.settled:
            self._stop(signal.SIGTERM)
        if self.deadline is not None and now > self.deadline:
            self._stop(signal.SIGKILL)
        if self.hung and self.deadline is None and self.failed is None:
            for rank, last in list(self.beats.items()):
                if now - last > self.hung:
                    self._fail(
                        rank, 128 + signal.SIGKILL, f"gave no sign of life for {now - last:.0f} s"
                    )
                    self.started.signal(signal.SIGKILL, rank)
                    return

    @contextmanager
    def _asked(self) -> Iterator[None]:
        """Within it, a signal that asks the supervisor to end is handed on to all."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        numbers = (signal.SIGINT, signal.SIGTERM)
        former = {number: signal.signal(number, self._ask) for number in numbers}
        try:
            yield
        finally:
            for number, handler in former.items():
                signal.signal(number, handler)

    def _ask(self, number: int, frame: Any) -> None:
        again = self.asked is not None
        self.asked = number
        if not hasattr(self, "started"):
            raise LaunchError("It was asked to end before all had started.")
        if again:
            self._stop(signal.SIGKILL)
        elif number == signal.SIGINT:
            self._stop(signal.SIGTERM)
        else:
            self.started.signal(signal.SIGTERM)


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
