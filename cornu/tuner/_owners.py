"""Who works on a thing, and whether they still do: a process by its host, its number and when it started."""

from __future__ import annotations

import functools
import os
import socket
import subprocess
from pathlib import Path


@functools.cache
def _here(pid: int) -> str:
    return f"{socket.gethostname()}:{pid}:{_started(pid)}"


def me() -> str:
    """This process: `host:number:start`. Numbers are used again, starts are not.

    >>> is_dead(me())
    False
    """
    return _here(os.getpid())


def is_here(owner: str) -> bool:
    """Whether a process is one of this host's, so that `is_dead` can tell."""
    return owner.rpartition(":")[0].rpartition(":")[0] == socket.gethostname()


def is_dead(owner: str) -> bool:
    """Whether a process of this host has ended; those of other hosts are not known to have.

    >>> is_dead(me() + "0"), is_dead("elsewhere:1:0")
    (True, False)
    """
    if not is_here(owner):
        return False
    *_, number, started = owner.split(":")
    return _started(int(number)) != started


def _started(pid: int) -> str | None:
    """When a process was started, as the system tells it; None where it runs no more."""
    if not Path("/proc/self/stat").exists():
        told = subprocess.run(
            ["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
        )
        return told.stdout.strip().replace(":", ".").replace(" ", "-") or None
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    state, *fields = text.rpartition(")")[2].split()  # the name before it may have anything in it
    boot = Path("/proc/sys/kernel/random/boot_id").read_text()[:8]
    return None if state in "ZX" else f"{boot}-{fields[18]}"
