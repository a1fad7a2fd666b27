"""The user's cache: files that a process leaves to the next one, such as compiled programs."""

from __future__ import annotations

import functools
import hashlib
import os
import platform
from pathlib import Path

from .. import tuning


def folder(name: str) -> Path:
    """Where files of a kind are kept: `~/.cache/cornu/name`, or in `XDG_CACHE_HOME`."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "cornu" / name


def programs(compiler: str, limit: int = tuning.CACHE_BYTES) -> Path | None:
    """Where programs of a compiler for this machine's processor are kept; None where none can be.

    The ones that were not used for longest are removed until there are fewer than `limit` bytes.
    """
    try:
        place = folder(f"{compiler}-{processor()}")
        place.mkdir(parents=True, exist_ok=True)
        if not os.access(place, os.W_OK):
            return None
        _shrink(place, limit)
    except (OSError, RuntimeError):  # no such place, or no home
        return None
    return place


@functools.cache
def processor() -> str:
    """A name for what the processor can do: a program may use all of it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        flags = next(line for line in lines if line.startswith(("flags", "Features")))
    except (OSError, StopIteration):
        flags = platform.processor()
    return hashlib.sha256(f"{platform.machine()} {flags}".encode()).hexdigest()[:12]


def _shrink(place: Path, limit: int) -> None:
    found = [(entry.stat(), entry.path) for entry in os.scandir(place) if entry.is_file()]
    size = sum(stat.st_size for stat, _ in found)
    for stat, path in sorted(found, key=lambda entry: max(entry[0].st_atime, entry[0].st_mtime)):
        if size < limit:
            return
        Path(path).unlink(missing_ok=True)
        size -= stat.st_size
