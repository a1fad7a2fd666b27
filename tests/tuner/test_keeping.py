"""What stays on the disk."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from cornu.tuner import _keeping


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_the_best_stay(direction: str) -> None:
    """Whatever the order in which trials end, who is dropped was never among the best of the end."""
    draw = random.Random(1)
    scores: dict[str, list[float] | None] = {}
    dropped: set[str] = set()
    for i in range(50):
        scores[str(i)] = [draw.random()] if draw.random() < 0.8 else None
        dropped |= set(_keeping.losers(scores, [direction], keep=3))
        assert len(scores) - len(dropped) <= 3
    ended = {name: values[0] for name, values in scores.items() if values is not None}
    best = sorted(ended, key=ended.__getitem__, reverse=direction == "maximize")[:3]
    assert not dropped & set(best)
    assert len(dropped) == 47


def test_of_several_objectives_the_front_stays() -> None:
    scores = {"a": [1.0, 1.0], "b": [2.0, 3.0], "c": [2.0, 2.0], "d": [1.0, 1.0], "e": None}
    assert _keeping.losers(scores, ["minimize", "maximize"], keep=1) == ["c", "e"]


def test_dropping(tmp_path: Path) -> None:
    """Models and checkpoints go, records stay; what is gone already is no error."""
    trial = tmp_path / "trial_0"
    (trial / "backup" / "step-1").mkdir(parents=True)
    (trial / "backup" / "step-1" / "weights.safetensors").write_bytes(b"x" * 500)
    (trial / "checkpoint.weights.h5").write_bytes(b"x" * 1000)
    (trial / "trial.json").write_text("{}")
    assert _keeping.size(tmp_path) == 1502
    assert _keeping.drop([trial, tmp_path / "nowhere"]) == 1500
    assert [path.name for path in trial.iterdir()] == ["trial.json"]
    assert _keeping.drop([trial]) == 0
    assert _keeping.size(trial) == 2
