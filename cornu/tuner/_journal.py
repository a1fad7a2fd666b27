"""The journal of a search: a file to which lines are added, which processes and machines share.

Optuna's own reader stops for good at a line that is no JSON, such as one that a process was killed at while it wrote;
and its lock keeps others waiting for half a minute where who had it was killed. So both are here.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from .. import tuning
from ..core import files
from . import _owners

#: Seconds between two tries to have the lock, at first and at most, and after which that of another host's
#: process is taken away.
_FIRST, _MOST, _STALE = 0.001, 0.1, 30.0


class Journal:
    """The lines of a file, each a change: what Optuna calls a backend (`BaseJournalBackend`).

    Args:
        path: The file. It need not be there; its folder must.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = path.with_name(f"{path.name}.lock")
        #: Where lines begin that somebody asked for, by their number among those that can be read.
        self._places = {0: 0}
        path.touch()

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:
        """The lines from one on; what can't be read is left out, and said."""
        number = max(n for n in self._places if n <= log_number_from)
        with open(self.path, "rb") as file:
            file.seek(self._places[number])
            for line in file:
                if not line.endswith(b"\n"):  # somebody is writing it, or was killed
                    break
                change = _read(line)
                if change is None:
                    self._say(f"skipped at byte {file.tell() - len(line)}", line)
                    continue
                number += 1
                if number > log_number_from:
                    yield change
            else:
                self._places = {0: 0, number: file.tell()}

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Add lines, whole, after those that are there."""
        text = "".join(json.dumps(log, separators=(",", ":")) + "\n" for log in logs)
        with self._alone(), open(self.path, "rb+") as file:
            self._mend(file)
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())

    def _mend(self, file: Any) -> None:
        """Go to the end, where no line begins that nobody will end."""
        end = file.seek(0, os.SEEK_END)
        if end == 0:
            return
        file.seek(end - 1)
        if file.read(1) == b"\n":
            return
        kept = file.seek(max(0, end - 2**20))
        tail = file.read()
        kept += tail.rfind(b"\n") + 1
        self._say(f"cut off at byte {kept}", tail[tail.rfind(b"\n") + 1 :])
        file.truncate(kept)
        file.seek(kept)

    def _say(self, what: str, line: bytes) -> None:
        message = "The journal %s had a line that is torn, which was %s: %r"
        tuning.say(message, str(self.path), what, line[:60], level="warning")

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Within it no other process writes. A link is the lock: it appears at once, on disks of a network too."""
        wait, since, seen = _FIRST, time.monotonic(), ""
        while True:
            try:
                os.symlink(_owners.me(), self._lock)
                break
            except FileExistsError:
                holder = self._holder()
                if holder != seen:
                    since, seen = time.monotonic(), holder
                self._free(holder, time.monotonic() - since)
            time.sleep(wait)
            wait = min(2 * wait, _MOST)
        try:
            yield
        finally:
            with suppress(FileNotFoundError):
                os.unlink(self._lock)

    def _holder(self) -> str:
        with suppress(FileNotFoundError):
            return f"{os.readlink(self._lock)} {os.lstat(self._lock).st_mtime_ns}"
        return ""

    def _free(self, holder: str, seconds: float) -> None:
        """Take the lock from somebody who is dead, or was not heard of for long."""
        if holder and (_owners.is_dead(holder.split()[0]) or seconds > _STALE):
            with files.alone(self._lock):
                if self._holder() == holder:
                    os.unlink(self._lock)


def _read(line: bytes) -> dict[str, Any] | None:
    try:
        change = json.loads(line)
    except ValueError:
        return None
    return change if isinstance(change, dict) and "op_code" in change else None
