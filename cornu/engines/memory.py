"""Memory that a step frees stays with the process, for the next step to take (`tuning.memory`).

The C library gives large blocks back to the system at once, which then hands out zeroed pages one fault
at a time: the 130 MB of intermediate results of a small GPT's training step cost 33,000 page faults,
60 of its 230 ms on JAX on a CPU; a CNN's on PyTorch 11 of 54 ms.
"""

from __future__ import annotations

import ctypes
import functools
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from .. import tuning

_MOST = 2**31 - 1
#: `mallopt` of glibc (malloc.h): its names and values.
_MMAP_MAX, _TRIM, _MMAP, _ARENAS = -4, -1, -3, -8
#: For good: no block is mapped on its own, all threads share one heap, and what is free at its end is kept.
_KEEP = ((_MMAP_MAX, 0), (_ARENAS, 1), (_TRIM, _MOST))
#: For the time of a `fit`: the same, with heaps of the threads' own.
_WHILE_FITTING = ((_MMAP_MAX, 0), (_TRIM, _MOST))
#: After it. To set a threshold ends glibc's own adjustment, which moves both up with the largest block
#: that was freed: these are where it ends, after a block of 32 MiB.
_AFTER = ((_MMAP_MAX, 65536), (_TRIM, 2**26), (_MMAP, 2**25))

_lock = threading.Lock()
_fits = 0


def is_chosen(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether the user has chosen how memory is allocated, which then stays so."""
    own = ("LD_PRELOAD", "GLIBC_TUNABLES")
    return any(name.startswith("MALLOC_") or name in own for name in environment)


@contextmanager
def while_fitting() -> Iterator[None]:
    """Keep freed memory until the last of the `fit`s that run at the same time has ended."""
    library = _library() if tuning.memory() == "fit" else None
    if library is None:
        yield
        return
    global _fits
    with _lock:
        _fits += 1
        if _fits == 1:
            _set(library, _WHILE_FITTING)
    try:
        yield
    finally:
        with _lock:
            _fits -= 1
            if _fits == 0 and tuning.memory() != "keep":
                _set(library, _AFTER)
                library.malloc_trim(0)


def _keep() -> None:
    if (library := _library()) is not None:
        _set(library, _KEEP)


@functools.cache
def _library() -> Any:
    """The C library, where it can be told; other ones lack the functions, or ignore names that they
    don't know."""
    if os.name != "posix" or is_chosen():
        return None
    library = ctypes.CDLL(None)
    known = hasattr(library, "mallopt") and hasattr(library, "malloc_trim")
    return library if known else None


def _set(library: Any, settings: tuple[tuple[int, int], ...]) -> None:
    for setting in settings:
        library.mallopt(*setting)


# Threads have heaps of their own from their first block on: the earlier, the better.
tuning.memory.follow(lambda chosen: _keep() if chosen == "keep" else None)
