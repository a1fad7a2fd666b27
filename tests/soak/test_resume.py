"""Trainings that are killed at fifty random moments, and go on each time."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cornu.saving import checkpoints

#: How often a training is killed.
KILLS = [pytest.param(50, marks=pytest.mark.soak)]


def started(engine: str, folder: Path) -> subprocess.Popen[str]:
    code = f"import tests.training.trainings as t; t.told({engine!r}, {str(folder)!r})"
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize("kills", KILLS)
@pytest.mark.parametrize("engine", ["numpy", "jax", "torch"])
def test_killed_at_any_moment(engine: str, kills: int, tmp_path: Path) -> None:
    """Losses and weights are those of a training that was never killed, and no checkpoint is unreadable."""
    expected = started(engine, tmp_path / "whole").communicate()[0].splitlines()[-1]
    draw, killed, trained = random.Random(1), 0, 0
    while killed < kills:
        folder = tmp_path / f"cut-{trained}"
        code = -signal.SIGKILL
        while code == -signal.SIGKILL:
            process = started(engine, folder)
            assert process.stdout is not None
            if killed < kills:
                if draw.random() < 0.8:
                    process.stdout.readline()  # a step is done
                time.sleep(draw.uniform(0.0, 0.5))
                process.kill()
            found, code = process.communicate()[0], process.returncode
            killed += code == -signal.SIGKILL
            for checkpoint in checkpoints(folder / "run", thorough=True):
                assert checkpoint.fault is None
                checkpoint.state()
        assert code == 0
        assert found.splitlines()[-1] == expected
        trained += 1
    print(f"{engine}: killed {killed} times in {trained} trainings")
