"""Loading an engine changes nothing in the process; freed memory stays with it while a `fit` runs."""

from __future__ import annotations

import ctypes
import json
import os
import random
import resource
import subprocess
import sys
from typing import Any

import pytest

from cornu.engines import memory
from tests.engines_tested import ENGINES

PAGES = 64 * 2**20 // resource.getpagesize()
#: Page faults of a block of 64 MiB taken for the third time: as it comes, in a `fit`, and after it.
FAULTS = """
import resource
import numpy as np
from cornu import tuning
from cornu.engines import get
from cornu.engines.memory import while_fitting
get("numpy")
def faults():
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        block = np.full(64 * 2**20, 1, "uint8")
        del block
        found = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
    return found
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize()
before, start = faults(), resident()
with while_fitting():
    with while_fitting():
        pass
    within, held = faults(), resident() - start
print([before, within, faults(), held, resident() - start])
"""
#: What a process has before it loads an engine, and after; beside it, what the library alone changes.
LOADED = """
import json, os, sys, threading
import numpy as np
name = sys.argv[1]
def seen():
    return [dict(os.environ), len(os.listdir("/proc/self/fd")), [k for k, m in sys.modules.items() if m is None]]
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096
before = seen()
if name in ("jax", "torch", "tensorflow", "pytensor"):
    __import__(name)
alone = seen()
import cornu
from cornu.engines import get
get(name)
after = seen()
start = resident()
blocks = [np.ones(2**20, "uint8") for _ in range(400)]
held = resident() - start
del blocks
kept = resident() - start
print(json.dumps([before, alone, after, held, kept]))
"""

glibc = pytest.mark.skipif(
    not hasattr(ctypes.CDLL(None), "mallopt") or sys.platform != "linux",
    reason="this C library can't be told",
)


def answer(code: str, *arguments: str, **chosen: str) -> Any:
    """What a process prints that chooses nothing else about memory and engines."""
    left_out = ("CORNU_", "TF_", "TF2_", "KMP_")
    kept = {
        name: text
        for name, text in os.environ.items()
        if not memory.is_chosen({name: text}) and not name.startswith(left_out)
    }
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env={**kept, "NUMPY_MADVISE_HUGEPAGE": "0", **chosen},
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


@glibc
@pytest.mark.parametrize(
    ("chosen", "without_faults"),
    [
        ({}, [False, True, False]),
        ({"CORNU_MEMORY": "keep"}, [True, True, True]),
        ({"CORNU_MEMORY": "system"}, [False, False, False]),
        ({"MALLOC_MMAP_THRESHOLD_": "1000000"}, [False, False, False]),
    ],
    ids=["fit", "keep", "system", "the user's own"],
)
def test_freed_memory_stays(chosen: dict[str, str], without_faults: list[bool]) -> None:
    *faults, held, after = answer(FAULTS, **chosen)
    assert [found < PAGES / 10 for found in faults] == without_faults
    if not chosen:  # given back when the `fit` ends
        assert held > 60e6
        assert after < 10e6


@glibc
@pytest.mark.parametrize("name", ENGINES)
def test_loading_an_engine_changes_nothing(name: str) -> None:
    """No environment, file descriptor or module beyond what its library changes by itself."""
    before, alone, after, held, kept = answer(LOADED, name)
    changed = {k for k, text in after[0].items() if alone[0].get(k) != text}
    assert not changed | (before[0].keys() - after[0].keys())
    assert after[1] <= alone[1] + 1
    assert after[2] == alone[2]
    assert held > 350e6
    assert kept < 50e6


def test_a_library_that_is_loaded_draws_nobodys_numbers() -> None:
    """TensorFlow draws some of Python's: what follows a seed was another the first time in a process."""
    code = (
        "import json, random, sys; from cornu.engines import get; random.seed(1); get(sys.argv[1]); "
        "print(json.dumps(random.random()))"
    )
    assert answer(code, "tensorflow") == random.Random(1).random()


@pytest.mark.parametrize(
    ("environment", "chosen"),
    [({}, False), ({"MALLOC_ARENA_MAX": "2"}, True), ({"LD_PRELOAD": "libjemalloc.so"}, True)],
)
def test_variables_that_choose(environment: dict[str, str], chosen: bool) -> None:
    assert memory.is_chosen({"PATH": "/bin", **environment}) is chosen
