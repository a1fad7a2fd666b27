"""What `tests/suite.py` adds to pytest, seen in a run of a folder of three tests."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import suite

ROOT = Path(__file__).parents[1]
#: A failure, then what no interrupt reaches but one that ends the process: as in a compiler, other threads
#: wait too. Nobody waits for a worker that doesn't end.
CONFTEST = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have had it ignored
import xdist.workermanage
xdist.workermanage.NodeManager.EXIT_TIMEOUT = 3600
"""
TESTS = """
import ctypes, os, pathlib
def test_fails():
    assert 1 + 1 == 3
def test_passes(): pass
def test_hangs():
    pathlib.Path("hangs").touch()
    for _ in range(10 if "HANG" in os.environ else 0):
        try:
            ctypes.PyDLL(None).sleep(60)
        except KeyboardInterrupt:
            pass
"""


def started(folder: Path, *options: str, **environment: str) -> subprocess.Popen[str]:
    (folder / "conftest.py").write_text(CONFTEST)
    (folder / "test_three.py").write_text(TESTS)
    variables = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
    return subprocess.Popen(
        [sys.executable, "-m", "pytest", "-p", "tests.suite", "-p", "no:cacheprovider", *options],
        cwd=folder,
        env={**variables, "PYTHONPATH": str(ROOT), **environment},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def test_an_interrupt_ends_a_worker_that_hangs_and_shows_the_failures(tmp_path: Path) -> None:
    process = started(tmp_path, "-n", "1", HANG="1")
    while not (tmp_path / "hangs").exists():
        assert process.poll() is None
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    said = process.communicate()[0]
    assert process.returncode == pytest.ExitCode.INTERRUPTED
    assert "assert (1 + 1) == 3" in said
    assert "\nInterrupted: 1 passed, 1 failed in 0 min " in said
    assert said.endswith("again: scripts/test -n 0 test_three.py::test_fails\n")


def test_the_order_reversed(tmp_path: Path) -> None:
    process = started(tmp_path, "-v", "--reversed")
    said = process.communicate()[0]
    names = "test_hangs", "test_passes", "test_fails"
    places = [said.index(f"::{name} ") for name in names]
    assert places == sorted(places)


def report(outcome: str, test: str) -> pytest.TestReport:
    return pytest.TestReport(test, ("", 0, ""), {}, outcome, None, "call", duration=50)


def test_the_last_line() -> None:
    stats = {
        kind: [report(kind, f"tests/test_x.py::test_{kind}[{i} {i}]") for i in range(count)]
        for kind, count in {"passed": 4, "skipped": 1, "failed": 2}.items()
    }
    assert suite.last_line(stats, 1, 821.0) == (
        "4 passed, 2 failed, 1 skipped in 13 min 41 s. To see the first failure again: "
        "scripts/test -n 0 'tests/test_x.py::test_failed[0 0]'; all of them: scripts/test --last-failed"
    )
    assert suite.last_line({}, 5, 0.2) == "No test ran in 0 min 0 s."


@pytest.mark.parametrize(
    ("test", "folder"),
    [
        ("tests/layers/test_x.py::test", "tests/layers"),
        ("tests/test_x.py::test", "tests"),
        ("cornu/layers/_x.py::cornu.layers._x.f", "cornu"),
    ],
)
def test_folders(test: str, folder: str) -> None:
    assert suite.folder(test) == folder


def test_what_was_compiled_is_freed(compilations: Callable[[], int]) -> None:
    import jax

    program = jax.jit(lambda x: x + 1)
    for free, expected in ((suite.free, 1), (lambda: None, 0), (suite.free, 1)):
        free()
        compilations()
        program(1.0)
        assert compilations() == expected


def test_memory_is_freed_when_it_has_grown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not again until there is something to free, even if much is left."""
    size, freed = [0], []
    monkeypatch.setattr(suite, "resident", lambda: size[0])
    monkeypatch.setattr(suite, "free", lambda: freed.append(size[0]))
    memory = suite.Memory()
    for more in (-100, 50, 100, 170, 190, 300):
        size[0] = suite.ENOUGH + more
        memory.pytest_runtest_logfinish("a test")
    assert freed == [suite.ENOUGH + more for more in (50, 190)]
