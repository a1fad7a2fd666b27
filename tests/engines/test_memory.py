"""Freed memory stays with the process."""

from __future__ import annotations

import ctypes
import os
import resource
import subprocess
import sys

import pytest

from cornu.engines import memory

PAGES = 64 * 2**20 // resource.getpagesize()
FAULTS = """
import resource, sys
import numpy as np
from cornu.engines import get
get("numpy")
for _ in range(3):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    block = np.full(64 * 2**20, 1, "uint8")
    del block
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
print(faults)
"""

glibc = pytest.mark.skipif(
    not hasattr(ctypes.CDLL(None), "mallopt") or sys.platform != "linux",
    reason="this C library can't be told",
)


def faults(**chosen: str) -> int:
    """Page faults of a process that takes 64 MiB for the third time."""
    kept = {name: text for name, text in os.environ.items() if not memory.is_chosen({name: text})}
    done = subprocess.run(
        [sys.executable, "-c", FAULTS],
        env={**kept, "NUMPY_MADVISE_HUGEPAGE": "0", **chosen},
        capture_output=True,
        text=True,
        check=True,
    )
    return int(done.stdout)


@glibc
def test_memory_is_taken_again_without_page_faults() -> None:
    assert faults() < PAGES / 10


@glibc
def test_what_the_user_has_chosen_stays() -> None:
    assert faults(MALLOC_MMAP_THRESHOLD_="1000000") > PAGES / 2


@pytest.mark.parametrize(
    ("environment", "chosen"),
    [({}, False), ({"MALLOC_ARENA_MAX": "2"}, True), ({"LD_PRELOAD": "libjemalloc.so"}, True)],
)
def test_variables_that_choose(environment: dict[str, str], chosen: bool) -> None:
    assert memory.is_chosen({"PATH": "/bin", **environment}) is chosen
