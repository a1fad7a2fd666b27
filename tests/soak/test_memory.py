"""Models that come and go leave nothing behind."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.engines_tested import ENGINES

ROUNDS = [pytest.param(500, marks=pytest.mark.soak)]


@pytest.mark.parametrize("rounds", ROUNDS)
@pytest.mark.parametrize("engine", ENGINES)
def test_models_that_come_and_go(engine: str, rounds: int) -> None:
    command = [sys.executable, "-m", "tests.soak.growing", engine, str(rounds)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[-1]) < 20
