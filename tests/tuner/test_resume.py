"""Searches that are killed at any moment and go on; what stays on the disk; trials that end badly."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from cornu import engines
from tests.tuner import searches
from tests.tuner.searches import EPOCHS, UNITS

MOMENTS = [pytest.param(20, marks=pytest.mark.soak), 2]


def started(folder: Path, kind: str, jobs: int) -> subprocess.Popen[bytes]:
    code = [sys.executable, "-m", "tests.tuner.searches", str(folder), kind, "0.15", str(jobs)]
    return subprocess.Popen(code, env={**os.environ, "CORNU_BACKEND": "numpy"})


def children(pid: int) -> list[int]:
    """The processes of trials: the children of the server, which is the child of the search."""
    found = [pid]
    for _ in range(2):
        parents = ",".join(map(str, found))
        told = subprocess.run(["pgrep", "-P", parents], capture_output=True, text=True, check=False)
        found = [int(line) for line in told.stdout.split()] or [0]
    return [pid for pid in found if pid]


@pytest.mark.parametrize("kills", MOMENTS)
@pytest.mark.parametrize("kind", ["GridSearch", pytest.param("Hyperband", marks=pytest.mark.soak)])
def test_a_search_that_is_killed(kind: str, kills: int, tmp_path: Path) -> None:
    """No trial is lost, none runs twice; one that was half done goes on after its last epoch."""
    draw, killed, folder, turn = random.Random(1), 0, tmp_path, 0
    while killed < kills:
        folder = tmp_path / str(turn)
        folder.mkdir(exist_ok=True)
        process = started(folder, kind, jobs=1 + turn % 2)
        file = folder / "epochs.txt"
        before = file.read_text() if file.exists() else ""
        while process.poll() is None and (not file.exists() or file.read_text() == before):
            time.sleep(0.02)
        time.sleep(draw.uniform(0, 0.6))
        process.kill()
        killed += process.wait() == -signal.SIGKILL
        turn += process.returncode == 0
    assert started(folder, kind, jobs=2).wait() == 0
    with engines.use("numpy"):
        found = searches.search(folder, kind, 0.0, n_jobs=2)
    trials = found.oracle.trials.values()
    assert Counter(it.status for it in trials) == {"COMPLETED": len(trials)}
    units = sorted(it.hyperparameters["units"] for it in trials)
    assert units == UNITS
    ran = Counter((folder / "epochs.txt").read_text().splitlines())
    assert {line.split()[0] for line in ran} == {str(n) for n in UNITS}
    if kind == "GridSearch":
        assert len(ran) == len(UNITS) * EPOCHS
        # A trial that was stopped runs the epoch again that it was in, and no other.
        assert sum(ran.values()) - len(ran) <= 2 * kills
    models = list((folder / "it").glob("trial_*/*.weights.h5"))
    assert len(models) == 3
    assert not list((folder / "it").glob("trial_*/backup*"))
    assert not list((folder / "it").glob("children-*"))


def test_a_child_that_is_killed(tmp_path: Path) -> None:
    """Is a failed trial; the search goes on with the others."""
    process = started(tmp_path, "GridSearch", jobs=1)
    while not (tmp_path / "epochs.txt").exists():
        time.sleep(0.02)
    for pid in children(process.pid):
        os.kill(pid, signal.SIGKILL)
    assert process.wait() == 0
    with engines.use("numpy"):
        found = searches.search(tmp_path, "GridSearch", 0.0)
    states = Counter(it.status for it in found.oracle.trials.values())
    assert states == {"COMPLETED": 3, "FAILED": 1}
    failed = next(it for it in found.oracle.trials.values() if it.status == "FAILED")
    assert "exit code -9" in (failed.message or "")
