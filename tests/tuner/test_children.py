"""Children: what becomes of them, what they have of the process that started them, what they leave behind."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cornu
from cornu import engines, tuning
from cornu.core import seeding
from cornu.tuner import _children, _owners
from cornu.tuner._children import Children, Outcome

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="children are forked")


class Counter:
    """What stays here."""

    def __init__(self) -> None:
        self.count = 0

    def add(self, number: int, times: int = 1) -> int:
        if number < 0:
            raise ValueError("no negative numbers")
        self.count += number * times
        return self.count


COUNTER = Counter()


@pytest.fixture(scope="module")
def children() -> Iterator[Children]:
    with engines.use("numpy"), Children(jobs=2, behind={"counter": COUNTER}) as made:
        yield made


def outcome(children: Children, function: Callable[..., Any], *args: Any) -> Outcome:
    children.start("it", function, *args)
    ended = children.wait(60)
    assert ended is not None and ended[0] == "it"
    return ended[1]


def crash() -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def fill() -> None:
    kept = []
    while True:
        kept.append(np.ones(500_000))
        time.sleep(0.002)


def returns_a_lock() -> Any:
    return threading.Lock()


class OfTwo(Exception):
    """It can't be read back from its message alone."""

    def __init__(self, one: int, other: int) -> None:
        super().__init__(f"{one} and {other}")


def raises_of_two() -> None:
    raise OfTwo(1, 2)


#: What a child runs; what its reason, and its trace, say.
ENDS = [
    (crash, r"It crashed by SIGSEGV \(exit code -11\)", r"in crash"),
    (lambda: os.kill(os.getpid(), 9), r"It was killed \(exit code -9\).* at most", ""),
    (lambda: os._exit(3), r"It ended by itself before it returned \(exit code 3\)", ""),
    (lambda: sys.exit(3), r"SystemExit: 3", "Traceback"),
    (lambda: {}["a"], r"KeyError: 'a'", "Traceback"),
    (returns_a_lock, r"TypeError: cannot pickle", "Traceback"),
    (raises_of_two, r"OfTwo: 1 and 2", "in raises_of_two"),
]


@pytest.mark.parametrize(("function", "reason", "trace"), ENDS)
def test_ends(children: Children, function: Callable[..., Any], reason: str, trace: str) -> None:
    found = outcome(children, function)
    assert found.reason is not None
    assert re.search(reason, found.reason), found
    assert re.search(trace, found.trace), found
    assert outcome(children, lambda: 42).value == 42  # and the next one runs


LIMITS = [
    (lambda: time.sleep(60), r"stopped after the 1.5 s", "in <lambda>"),
    (fill, r"more memory than the 100 MB .* at most", "in fill"),
]


def test_limits() -> None:
    """Who takes more than it may is ended, and says where it was."""
    with engines.use("numpy"), Children(seconds=1.5, memory=100_000_000) as children:
        for function, reason, trace in LIMITS:
            found = outcome(children, function)
            assert found.reason is not None
            assert re.search(reason, found.reason), found
            assert trace in found.trace
            assert found.memory > 0


def test_errors_come_here(children: Children) -> None:
    """As they are, where they can be read here."""
    assert isinstance(outcome(children, lambda: 1 / 0).error, ZeroDivisionError)
    assert outcome(children, raises_of_two).error is None


def test_arrays_go_once(children: Children) -> None:
    """A child that writes to one writes to its own."""
    data = np.arange(100_000)

    def change(data: Any) -> Any:
        data[0] += 7
        return data[0], type(data) is np.ndarray

    assert outcome(children, change, data).value == (7, True)
    assert outcome(children, change, data).value == (7, True)
    assert data[0] == 0
    assert len(list(children.folder.glob("*.npy"))) == 1


def test_who_stays_behind_answers(children: Children) -> None:
    def count(counter: Counter, number: int) -> int:
        counter.add(number)
        return counter.add(number, times=2)

    for number in (1, 10):
        children.start(str(number), count, COUNTER, number)
    ended = [children.wait(60) for _ in range(2)]
    assert COUNTER.count == 33
    assert {it[0] for it in ended if it is not None} == {"1", "10"}
    found = outcome(children, count, COUNTER, -1)
    assert found.reason == "ValueError: no negative numbers"


def settings() -> Any:
    return (
        cornu.config.floatx(),
        cornu.dtype_policies.dtype_policy().name,
        tuning.deterministic(),
        engines.current_name(),
        random.random(),
        float(np.random.random()),
        seeding.get_random_seed(),
    )


def test_settings(children: Children, monkeypatch: pytest.MonkeyPatch) -> None:
    """A child is set as this process is; its random numbers are its own, and follow from a seed where there is one."""
    monkeypatch.setattr(seeding, "get_random_seed", lambda: None)
    cornu.config.set_floatx("float64")
    cornu.dtype_policies.set_dtype_policy("mixed_bfloat16")
    try:
        with tuning.deterministic(True):
            found = [outcome(children, settings).value for _ in range(2)]
    finally:
        cornu.config.set_floatx("float32")
        cornu.dtype_policies.set_dtype_policy("float32")
    assert found[0][:4] == ("float64", "mixed_bfloat16", True, "numpy")
    assert found[0][4] != found[1][4] and found[0][5] != found[1][5]
    monkeypatch.setattr(seeding, "get_random_seed", lambda: 5)
    found = [outcome(children, settings).value for _ in range(2)]
    children.start("other", settings)
    other = children.wait(60)
    assert found[0] == found[1]
    assert other is not None and other[1].value[-1] != found[0][-1]


def test_shares(children: Children) -> None:
    """Children that run together share the processors, and the GPUs."""

    def here() -> Any:
        time.sleep(0.3)
        return os.sched_getaffinity(0), os.environ["OMP_NUM_THREADS"]

    if not hasattr(os, "sched_getaffinity") or os.cpu_count() == 1:
        pytest.skip("processors can't be shared here")
    for key in ("a", "b"):
        children.start(key, here)
    found = [children.wait(60) for _ in range(2)]
    (one, threads), (other, _) = (it[1].value for it in found if it is not None)
    assert not one & other
    assert threads == str(len(one))


GPUS = [
    ("0,1", 2, [{"CUDA_VISIBLE_DEVICES": "0"}, {"CUDA_VISIBLE_DEVICES": "1"}]),
    ("0,1", 1, [{}]),
    ("", 2, [{}, {}]),
    ("3", 2, [{"CUDA_VISIBLE_DEVICES": "3", "XLA_PYTHON_CLIENT_MEM_FRACTION": "0.375"}] * 2),
]


@pytest.mark.parametrize(("visible", "jobs", "given"), GPUS)
def test_gpus(visible: str, jobs: int, given: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert [_children._devices(slot, jobs) for slot in range(jobs)] == given


def test_output_goes_to_a_file(children: Children, tmp_path: Path) -> None:
    children.start(
        "it",
        lambda: os.system("echo from below; echo and errors >&2"),
        output=str(tmp_path / "log"),
    )
    children.wait(60)
    assert (tmp_path / "log").read_text() == "from below\nand errors\n"


def test_what_can_t_be_sent(children: Children) -> None:
    lock = threading.Lock()
    with pytest.raises(TypeError, match="sent to it by pickling.*cannot pickle.*in_process=True"):
        children.start("it", lambda: lock)
    assert children.running == []


def test_its_own_processes_end_with_a_child(children: Children) -> None:
    def leave() -> int:
        return subprocess.Popen(["sleep", "600"]).pid

    left = outcome(children, leave).value
    assert ends(left)


def ends(pid: int, seconds: float = 10) -> bool:
    """Whether a process ends in time."""
    end = time.monotonic() + seconds
    while _owners._started(pid) is not None:
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def test_stopped(children: Children) -> None:
    children.start("it", time.sleep, 600)
    children.stop("it")
    ended = children.wait(60)
    assert ended is not None and ended[1].reason == "It was stopped."


def test_the_server_is_killed() -> None:
    """Children end with it; the next one has a new server."""
    with engines.use("numpy"), Children() as children:
        pid = outcome(children, os.getpid).value
        children.start("it", time.sleep, 600)
        assert children._server is not None
        children._server.kill()
        ended = children.wait(60)
        assert (
            ended is not None and ended[1].reason == "It ended with the process that it came from."
        )
        assert outcome(children, os.getpid).value != pid


SCRIPT = """
import os, sys, time
from cornu.tuner._children import Children
children = Children(folder=sys.argv[1])
children.start("it", lambda: (print(os.getpid(), os.getppid(), flush=True), time.sleep(600)))
children.wait()
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_nobody_outlives_a_search(number: int, tmp_path: Path) -> None:
    """A script without `if __name__ == "__main__"`, killed or interrupted: no process stays, and no file for long."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    process = subprocess.Popen(
        [sys.executable, str(script), str(tmp_path / "files")],
        env={**os.environ, "CORNU_BACKEND": "numpy"},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    pids = [int(pid) for pid in process.stdout.readline().split()]
    process.send_signal(number)
    process.wait()
    process.stdout.close()
    assert all(ends(pid) for pid in pids)
    with engines.use("numpy"), Children(folder=tmp_path / "files") as children:
        assert list((tmp_path / "files").iterdir()) == [children.folder]


def trained(rows: int) -> float:
    model = cornu.Sequential([cornu.Input((2,)), cornu.layers.Dense(1)])
    model.compile("sgd", "mse")
    x = np.ones((rows, 2), "float32")
    return float(model.fit(x, x[:, :1], verbose=0).history["loss"][0])


ENGINES = ["jax", *(pytest.param(name, marks=pytest.mark.soak) for name in ("torch", "tensorflow"))]


@pytest.mark.parametrize("engine", ENGINES)
def test_engines(engine: str) -> None:
    """A server that has loaded an engine has started none of its threads: its children train."""
    with engines.use(engine), Children(seconds=120) as children:
        for _ in range(2):
            found = outcome(children, trained, 8)
            assert found.reason is None and found.value >= 0, found


def test_owners() -> None:
    process = subprocess.Popen(["sleep", "600"])
    owner = f"{_owners.me().split(':')[0]}:{process.pid}:{_owners._started(process.pid)}"
    assert not _owners.is_dead(owner)
    process.kill()
    while not _owners.is_dead(owner):  # a zombie is dead: who started it may never ask for it
        time.sleep(0.01)
    process.wait()
    assert _owners.is_dead(owner)
    assert not _owners.is_dead("elsewhere:1:2")
