"""What a process leaves to the next one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cornu.engines import cache
from tests.engines_tested import ENGINES

TRAIN = """
import numpy as np
import cornu
from cornu import layers
model = cornu.Sequential([layers.Conv2D(4, 3), layers.LayerNormalization(), layers.Flatten(), layers.Dense(2)])
model.compile("adam", "mse", metrics=["mae"])
model.fit(np.ones((4, 8, 8, 1)), np.ones((4, 2)), verbose=0)
"""


def test_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    place = cache.programs("xyz-1.2")
    assert place == tmp_path / "cornu" / f"xyz-1.2-{cache.processor()}"
    assert place.is_dir()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    (tmp_path / "file").write_text("in the way")
    assert cache.programs("xyz-1.2") is None
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache.folder("abc") == tmp_path / ".cache" / "cornu" / "abc"


def test_what_was_not_used_for_longest_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    place = cache.programs("xyz")
    assert place is not None
    for age, name in enumerate("abcd"):
        (place / name).write_bytes(bytes(100))
        os.utime(place / name, (1000 - age, 500))
    cache.programs("xyz", limit=250)
    assert sorted(path.name for path in place.iterdir()) == ["a", "b"]
    cache.programs("xyz", limit=250)
    assert sorted(path.name for path in place.iterdir()) == ["a", "b"]


@pytest.mark.skipif("jax" not in ENGINES, reason="another engine is tested")
@pytest.mark.parametrize(
    ("chosen", "kept"),
    [
        ({"CORNU_COMPILE_CACHE": "1"}, "xdg/cornu/*"),
        ({"CORNU_COMPILE_CACHE": "own"}, "own"),
        ({}, None),
    ],
)
def test_the_next_process_compiles_nothing_again(
    chosen: dict[str, str], kept: str | None, tmp_path: Path
) -> None:
    found = []
    variables = {name: text for name, text in os.environ.items() if "_CACHE" not in name}
    for _ in range(2):
        environment = {**variables, "XDG_CACHE_HOME": "xdg", "CORNU_BACKEND": "jax", **chosen}
        environment["PYTHONPATH"] = str(Path(cache.__file__).parents[2])
        subprocess.run(
            [sys.executable, "-c", TRAIN],
            env=environment,
            cwd=tmp_path,
            check=True,
        )
        programs = sorted(tmp_path.rglob("*-cache"))
        assert {path.parent for path in programs} == set(tmp_path.glob(kept or "none"))
        found.append((programs, [path.stat().st_mtime_ns for path in programs]))
    assert found[0] == found[1]
    assert bool(found[0][0]) is (kept is not None)
