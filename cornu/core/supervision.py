"""What a process tells who supervises it (`python -m cornu launch`): marked lines among its output.

So whatever carries the output of a process carries these: a pipe, ssh, a cluster's logs.
"""

from __future__ import annotations

import os
import re
import sys
import threading
from contextlib import suppress

#: The variable that says that somebody listens.
VARIABLE = "CORNU_SUPERVISED"
#: Seconds between two signs of life.
BEAT = 2.0
#: What a marked line looks like: a kind, and a text of one line. Others may have begun a line before it.
MARKED = re.compile("\x1ecornu ([a-z]+) ([^\n]*)\n")
#: The most bytes that a pipe takes whole, whoever else writes to it.
_WHOLE = 4096


_rank = 0
_ends = threading.Event()


def follow(rank: int) -> None:
    """Be process number `rank` of several: what all would show alike, number 0 shows."""
    global _rank
    _rank = rank


def is_first() -> bool:
    """Whether this process is alone, or number 0 of several."""
    return _rank == 0


def is_supervised() -> bool:
    """Whether somebody listens."""
    return VARIABLE in os.environ


def tell(kind: str, text: str = "") -> None:
    """Tell something, in no more than a pipe takes whole.

    Raises:
        OSError: If nobody listens any more.
        ValueError: If it is too long, or of several lines.
    """
    line = f"\x1ecornu {kind} {text}\n".encode()
    if len(line) > _WHOLE or b"\n" in line[:-1]:
        raise ValueError(
            f"What is told is one line of less than {_WHOLE} bytes. Received: {len(line)} bytes. Tell it in parts."
        )
    sys.stderr.flush()
    os.write(2, line)


def end() -> None:
    """Say that no more signs of life come, for the process ends."""
    _ends.set()
    if is_supervised():
        with suppress(OSError):
            tell("end")


def beat() -> None:
    """Give signs of life from now on. A process to which nobody listens any more ends: it was left behind."""

    def beating() -> None:
        with suppress(OSError):
            tell("place", socket.gethostname())
        while not _ends.is_set():
            try:
                tell("beat")
            except OSError:
                os._exit(1)
            _ends.wait(BEAT)

    import atexit
    import socket

    atexit.register(end)
    threading.Thread(target=beating, name="cornu-beat", daemon=True).start()
