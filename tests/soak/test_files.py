"""Files that were changed at random: each loads, or is refused with a clear error, and does nothing else."""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import warnings
from collections import Counter
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any

import keras
import numpy as np
import pytest

import cornu
from cornu.saving import Checkpoints
from tests.soak.loading import compiled, model
from tests.soak.mutations import mutated

ROOT = Path(__file__).parents[2]
#: How many files of each kind; the first are tests like others. All kinds together have over 10,000.
COUNTS = [20, pytest.param(1300, marks=pytest.mark.soak)]
#: The seconds after which a file that is being loaded is taken for one without end.
PATIENCE = 30


class Loader:
    """A process that loads files, started again where one ended it."""

    def __init__(self, folder: Path, valid: Path) -> None:
        self.folder, self.valid = folder, valid
        self.process: Any = None

    def load(self, path: Path) -> str:
        """What becomes of a file."""
        if self.process is None:
            self._start()
        said = self._ask(str(path))
        if said is not None:
            return said
        code = self.process.wait()
        self.close()
        return f"ended the process: {signal.Signals(-code).name if code < 0 else code}"

    def close(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.communicate()
        self.process = None

    def _start(self) -> None:
        """A process that has loaded what it needs: what it opens from then on is for a file."""
        environment = {**os.environ, "CORNU_BACKEND": "numpy", "PYTHONPATH": str(ROOT)}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.soak.loading", str(self.folder)],
            cwd=self.folder,
            env=environment,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        for kind in KINDS:
            assert self._ask(str(first(self.valid / kind))) == "loaded", kind
        self.process.stdin.write("limit\n")

    def _ask(self, path: str) -> str | None:
        self.process.stdin.write(f"{path}\n")
        self.process.stdin.flush()
        if not select.select([self.process.stdout], [], [], PATIENCE)[0]:
            self.process.kill()
        line = self.process.stdout.readline()
        return json.loads(line) if line else None


def first(folder: Path) -> Path:
    """What is loaded of a folder: the list, where there is one; the folder, if it is of checkpoints."""
    if folder.name == "checkpoints":
        return folder
    return min(folder.iterdir(), key=lambda path: path.suffix != ".json")


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def sign(folder: Path) -> None:
    """Let a checkpoint tell the sizes and sums that its files have now."""
    record, sums = folder / "checkpoint.json", folder / "SHA256SUMS"
    others = [path for path in files(folder) if path not in (record, sums)]
    with contextlib.suppress(ValueError, TypeError, RecursionError):
        content = json.loads(record.read_text())
        if isinstance(content, dict) and "files" in content:
            content["files"] = {path.name: path.stat().st_size for path in others}
            record.write_text(json.dumps(content))
    lines = [
        f"{sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in [*others, record]
    ]
    sums.write_text("".join(lines))


@pytest.fixture(scope="module")
def loader(valid: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loader]:
    found = Loader(tmp_path_factory.mktemp("changed"), valid)
    yield found
    found.close()


@pytest.fixture(scope="module")
def valid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a folder for each kind, of files that load."""
    folder = tmp_path_factory.mktemp("valid")
    for kind in KINDS:
        (folder / kind).mkdir()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            KINDS[kind](folder / kind)
    return folder


def trained(package: Any) -> Any:
    """A model with what configs have: layers in layers, a graph, an optimizer with state, a metric."""
    la = package.layers
    x = package.Input((6,), dtype="int32")
    inner = package.Sequential(
        [la.Dense(3, activation="relu"), la.Dropout(0.5, seed=1)], name="inner"
    )
    y = la.Bidirectional(la.LSTM(2, kernel_regularizer="l2"))(la.Embedding(5, 4)(x))
    built = package.Model(x, la.Concatenate()([inner(y), y]))
    built.compile("adam", "mse", metrics=["mae"])
    built.fit(np.ones((2, 6), "int32"), np.ones((2, 7)), verbose=0)
    return built


def whole_h5(folder: Path) -> None:
    trained(keras).save(folder / "whole.h5")


def write_checkpoint(folder: Path) -> None:
    kept, made = Checkpoints(folder), compiled()
    made.train_on_batch(np.ones((2, 6), "int32"), np.ones((2, 2)))
    kept.write(made, {"a": [1, np.zeros(3), b"x", [0.5] * 300], "logs": {"loss": 0.5}}, 1, None)
    kept.close()


KINDS: dict[str, Any] = {
    "keras": lambda folder: trained(cornu).save(folder / "a.keras"),
    "keras's": lambda folder: trained(keras).save(folder / "a.keras"),
    "weights": lambda folder: model().save_weights(folder / "a.weights.h5"),
    "whole": whole_h5,
    "safetensors": lambda folder: model().save_weights(folder / "a.safetensors"),
    "onnx": lambda folder: model().export(folder / "a.onnx", verbose=False),
    "list": lambda folder: model().save_weights(folder / "a.weights.json", max_shard_size=2e-7),
    "checkpoints": write_checkpoint,
    "safetensors' list": lambda folder: model().save_weights(
        folder / "a.safetensors.index.json", max_shard_size=2e-7
    ),
}


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("kind", KINDS)
def test_mutated(kind: str, count: int, valid: Path, loader: Loader, tmp_path: Path) -> None:
    draw = Random(f"{kind} {os.environ.get('CORNU_SOAK_SEED', '')}")
    place = loader.folder / kind
    shutil.copytree(valid / kind, place, dirs_exist_ok=True)
    found: dict[str, Path] = {}
    said: Counter[str] = Counter()
    for number in range(count):
        changed = draw.choice(files(valid / kind))
        path = place / changed.relative_to(valid / kind)
        path.write_bytes(mutated(changed.name, changed.read_bytes(), draw))
        if kind == "checkpoints" and draw.random() < 0.8:
            sign(path.parent)
        outcome = loader.load(first(place))
        said[outcome.partition(":")[0]] += 1
        if outcome not in ("loaded", "refused") and outcome not in found:
            found[outcome] = Path(shutil.copy(path, tmp_path / f"{number}-{changed.name}"))
        shutil.copytree(valid / kind, place, dirs_exist_ok=True)
    assert not found, "\n".join(f"{path}: {outcome}" for outcome, path in found.items())
    assert said["refused"] > count // 10, said
    assert [p.name for p in files(place)] == [p.name for p in files(valid / kind)]
    assert {p.name for p in loader.folder.iterdir()} <= KINDS.keys()
