"""Checkpoints: what comes back, on another engine too; torn ones; which stay; the thread that writes."""

from __future__ import annotations

import hashlib
import json
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import cornu
from cornu import layers, optimizers
from cornu.cli import main
from cornu.engines import use
from cornu.saving import Checkpoints, _checkpoints, checkpoints
from cornu.saving._files import BrokenFileError
from tests.engines_tested import ENGINES

X = np.linspace(-1, 1, 24, dtype="float32").reshape(8, 3)
STATE = {
    "logs": {"loss": 0.5},
    "arrays": [np.arange(3), {"a": np.zeros((2, 0), ml_dtypes.bfloat16)}],
    "bytes": b"abc",
    "float": np.float32(0.1),
    "long": [0.1] * 300,
    "plain": [None, True, -1, 1e-300, "text"],
}


def made(metrics: Any = ("mae", "auc")) -> Any:
    stack = [layers.Dense(4), layers.Dropout(0.5), layers.BatchNormalization(), layers.Dense(1)]
    model = cornu.Sequential([cornu.Input((3,)), *stack])
    rate = optimizers.schedules.CosineDecay(0.1, 100)
    optimizer = optimizers.LossScaleOptimizer(optimizers.Adam(rate))
    model.compile(optimizer, "mse", metrics=list(metrics))
    return model


def trained(metrics: Any = ("mae", "auc")) -> Any:
    with use("numpy"):  # which compiles nothing
        model = made(metrics)
        model.train_on_batch(X, X[:, :1])
    return model


def variables(model: Any) -> list[Any]:
    return [*model.variables, *model.optimizer.variables, *model.metrics_variables]


def written(folder: Path, model: Any = None, steps: int = 3, **options: Any) -> Checkpoints:
    """Checkpoints after so many steps, at every second of which an epoch ends."""
    model, kept = model or made(), Checkpoints(folder, **options)
    for step in range(1, steps + 1):
        state = {**STATE, "epoch": step // 2, "logs": {"loss": 1 / step, "score": abs(step - 2)}}
        kept.write(model, state, step, None if step % 2 else step // 2)
    kept.close()
    return kept


@pytest.mark.parametrize("engine", ENGINES)
def test_all_comes_back(engine: str, tmp_path: Path) -> None:
    """Written on one engine, on another one."""
    model = trained()
    expected = [variable.numpy() for variable in variables(model)]
    with use(engine):
        for variable in variables(model):
            variable.assign(variable.value)
        kept = Checkpoints(tmp_path)
        kept.write(model, STATE, 2, None)
        for variable in variables(model):  # which changes nothing of what is being written
            variable.assign(variable.value * 0)
        kept.close()
    with use("jax" if engine == "torch" else "torch"):
        other, last = trained(), kept.last()
        assert last is not None
        last.restore(other)
        for variable, value in zip(variables(other), expected, strict=True):
            np.testing.assert_array_equal(variable.numpy(), value)
    state = last.state()
    assert str(state.pop("arrays")) == str(STATE["arrays"])
    assert state.pop("float") == float(STATE["float"])
    assert len(state.pop("metrics")) == len(other.metrics_variables)
    assert state.items() <= STATE.items()


@pytest.mark.parametrize("metrics", [[], ["mae", "auc"]])
def test_a_model_that_was_only_compiled_takes_one(metrics: list[str], tmp_path: Path) -> None:
    """Metrics, which have no variables before a first batch, begin anew."""
    last, model = written(tmp_path, trained(metrics)).last(), made(metrics)
    assert last is not None and not model.optimizer.built
    last.restore(model)
    assert len(model.optimizer.variables) > 2 and int(model.optimizer.iterations.numpy()) == 1


def test_shards_are_weights_too(tmp_path: Path) -> None:
    kept, model = written(tmp_path, trained(), max_shard_size=1e-7), trained()
    last = kept.last()
    assert last is not None and len(list(last.path.glob("*.safetensors"))) > 2
    last.restore(model)
    found = model.load_weights(last.path / "weights.safetensors.index.json")
    assert found.loaded and not (found.missing or found.mismatched)


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-3])


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


@pytest.mark.parametrize("damage", [cut, flip, Path.unlink])
@pytest.mark.parametrize("name", ["weights*.json", "weights-*", "state*", "check*", "SHA*"])
def test_the_one_before_a_torn_one(
    name: str, damage: Callable[[Path], None], tmp_path: Path, caplog: Any
) -> None:
    kept = written(tmp_path)
    damage(next((tmp_path / "step-00000003").glob(name)))
    last = kept.last()
    assert last is not None and last.step == 2
    assert "step-00000003 is torn" in caplog.text


def test_all_are_torn(tmp_path: Path) -> None:
    kept = written(tmp_path, keep=1)
    assert Checkpoints(tmp_path / "none").last() is None
    (tmp_path / "step-00000003" / "SHA256SUMS").write_text("0  ../step\n")
    with pytest.raises(BrokenFileError, match="no other"):
        kept.last()


#: Records with the right sums, whose parts are not what they should be.
RECORDS: list[Any] = [
    [],
    {"version": 2},
    {"version": 1},
    7,
    {"version": 1, "time": 0, "best": None},
]
RECORDS += [{"time": "now"}, {"files": []}, {"files": {"../a": 1}}, {"state": None}, {"best": 3}]


def test_records_of_somebody_else(tmp_path: Path, capsys: Any) -> None:
    kept = written(tmp_path, steps=1)
    kept.write(made(), STATE, 2, None)
    kept.close()
    record, sums = (tmp_path / "step-00000002" / name for name in ("checkpoint.json", "SHA256SUMS"))
    good = json.loads(record.read_text())
    for bad in RECORDS:
        wrong = bad if not isinstance(bad, dict) or "version" in bad else {**good, **bad}
        record.write_text(json.dumps(wrong))
        lines = [line for line in sums.read_text().splitlines() if "checkpoint" not in line]
        digest = hashlib.sha256(record.read_bytes()).hexdigest()
        sums.write_text("\n".join([*lines, f"{digest}  checkpoint.json"]))
        last = kept.last()
        assert last is not None and last.step == 1, bad
        assert main(["checkpoints", str(tmp_path)]) == 1
    record.unlink()
    record.symlink_to("/dev/zero")
    assert main(["checkpoints", str(tmp_path)]) == 1
    assert "checkpoint.json is no file" in capsys.readouterr().out


ROWS: list[tuple[dict[str, Any], list[int]]] = [
    ({}, [3, 4]),
    ({"keep": 1}, [4]),
    ({"keep": None}, [1, 2, 3, 4]),
    ({"keep": 1, "best": "score"}, [2, 4]),
    ({"keep": 1, "best": "score", "mode": "max"}, [4]),
    ({"keep": 1, "best": "val_loss"}, [4]),
]


@pytest.mark.parametrize("options, steps", ROWS)
def test_which_stay(options: Any, steps: list[int], tmp_path: Path, capsys: Any) -> None:
    (tmp_path / ".step-00000001.1234abcd.tmp").mkdir()  # of a process that was killed
    written(tmp_path, steps=4, **options)
    assert [one.step for one in checkpoints(tmp_path)] == steps
    assert len(list(tmp_path.iterdir())) == len(steps)
    assert main(["checkpoints", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert shown.count("whole") + shown.count("best") == len(steps)
    assert ("best" in shown) == (options.get("best") == "score")


def test_the_last_one_is_the_last_whatever_the_clock_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another machine goes on, whose clock is behind."""
    written(tmp_path, steps=4)
    monkeypatch.setattr("cornu.saving._checkpoints.time.time", lambda: 1.0)
    written(tmp_path, steps=6)
    assert [one.step for one in checkpoints(tmp_path)] == [5, 6]


def test_a_training_removes_one_that_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(tmp_path)

    def removed(path: Path) -> str:
        if path.parent.name == "step-00000002-epoch-0001":
            shutil.rmtree(path.parent)
        return digest(path)

    digest = _checkpoints._sum
    monkeypatch.setattr(_checkpoints, "_sum", removed)
    assert [(one.step, one.fault) for one in checkpoints(tmp_path)] == [(3, None)]


def test_the_command_names_torn_ones(tmp_path: Path, capsys: Any) -> None:
    assert main(["checkpoints", str(tmp_path)]) == 1
    assert "no checkpoints" in capsys.readouterr().err
    written(tmp_path)
    flip(tmp_path / "step-00000003" / "state.safetensors")
    assert main(["checkpoints", "--quick", str(tmp_path)]) == 0
    capsys.readouterr()
    assert main(["checkpoints", str(tmp_path)]) == 1
    assert "step-00000003: state.safetensors is not as it was" in capsys.readouterr().out


def test_it_is_written_beside(tmp_path: Path, monkeypatch: Any) -> None:
    """The next write waits for the one before, and its error comes out there."""
    go, real = threading.Event(), _checkpoints.write_sharded
    monkeypatch.setattr(_checkpoints, "write_sharded", lambda *a: (go.wait(), real(*a)))
    kept, model = Checkpoints(tmp_path / "a"), made()
    kept.write(model, STATE, 1, None)
    assert not list(tmp_path.rglob("step*"))
    go.set()
    kept.wait()
    assert [one.fault for one in checkpoints(tmp_path / "a")] == [None]
    kept.largest = 1
    kept.write(model, STATE, 2, None)
    with pytest.raises(ValueError, match="max_shard_size"):
        kept.write(model, STATE, 3, None)
    kept.close()
    assert [one.step for one in checkpoints(tmp_path / "a")] == [1]
    kept.remove()
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize("change", ["metrics", "layer", "optimizer"])
def test_another_model_stays_as_it_was(change: str, tmp_path: Path) -> None:
    last = written(tmp_path, trained()).last()
    other = trained(["mae"] if change == "metrics" else ("mae", "auc"))
    if change == "layer":
        other.add(cornu.layers.Dense(2))
        other.compile("adam", "mse", metrics=["mae", "auc"])
    elif change == "optimizer":
        other.compile(
            optimizers.LossScaleOptimizer(optimizers.SGD(0.1)), "mse", metrics=["mae", "auc"]
        )
    other.optimizer.build(other.trainable_variables)
    for variable in variables(other):
        variable.assign(variable.value * 0)
    with pytest.raises(ValueError, match="model, optimizer and metrics that it had|architecture"):
        last.restore(other)
    assert not any(variable.numpy().any() for variable in variables(other))


REFUSED: list[tuple[Callable[[Path], Any], type[Exception], str]] = [
    (lambda folder: written(folder, trained()).last().restore(trained([])), ValueError, "metrics"),
    (lambda folder: Checkpoints(folder).write(made(), {"a": [{1: 2}]}, 1, 0), TypeError, r"a\[0\]"),
    (lambda folder: Checkpoints(folder).write(made(), {"f": len}, 1, 0), TypeError, "state.f=<bu"),
    (lambda folder: Checkpoints(folder).write(made(), {"$a": 1}, 1, 0), TypeError, "state={"),
]


@pytest.mark.parametrize("call, kind, words", REFUSED)
def test_refused(call: Any, kind: type[Exception], words: str, tmp_path: Path) -> None:
    with pytest.raises(kind, match=words):
        call(tmp_path)
