"""Trainings that were stopped, and go on from a checkpoint: they end with the bits of one that was not."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import cornu
from cornu import callbacks, layers
from cornu.engines import use
from cornu.saving import checkpoints
from tests.training.test_positions import Dataset, Stream, loader, tf_shuffled
from tests.training.trainings import ADAM, DECAY, ROWS, Interrupted, Row, X, Y, terminate, trained


def shuffling() -> Iterator[Any]:
    while True:
        for i in np.random.permutation(8):
            yield X[i][None], Y[i][None]


def shuffled_loader() -> Any:
    torch.manual_seed(1)
    return loader(shuffle=True)


DATA: dict[str, Row] = {
    "dataset": {"data": lambda: (Dataset(workers=2),), "width": 2},
    "stream": {"data": lambda: (Stream(),), "fit": {"steps_per_epoch": 2}, "width": 2},
    "generator": {"data": lambda: (shuffling(),), "fit": {"steps_per_epoch": 5}},
    "loader": {"data": shuffled_loader, "width": 2},
    "tf.data": {"data": lambda: (tf_shuffled(),), "width": 2},
}
CASES = [("numpy", row) for row in [*ROWS.values(), *({**ADAM, **row} for row in DATA.values())]]
CASES += [(engine, ROWS["early stopping"]) for engine in ("jax", "torch")]
NAMES = [f"numpy-{name}" for name in [*ROWS, *DATA]] + ["jax", "torch"]


def same(ours: tuple[Any, ...], theirs: tuple[Any, ...]) -> None:
    assert ours[::2] == theirs[::2]
    for one, other in zip(ours[1], theirs[1], strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("engine, row", CASES, ids=NAMES)
def test_training_goes_on(engine: str, row: Row, tmp_path: Path) -> None:
    """Stopped in the middle of an epoch, at the end of one and in the next; and run once more when it is done."""
    with use(engine):
        expected = trained(row, tmp_path / "whole")
        for stop in (3, 5, 7) if engine == "numpy" else (7,):
            with suppress(Interrupted):
                trained(row, tmp_path / "cut", stop)
        for _ in range(2):
            same(trained(row, tmp_path / "cut"), expected)


def test_it_goes_on_after_a_limit(tmp_path: Path) -> None:
    """An epoch that a limit cut short goes on, as if it had not ended."""
    row = ROWS["early stopping"]
    with use("numpy"):
        expected = trained(row, tmp_path / "whole")
        for limit in (3, 10):
            cut = trained(row, tmp_path / "cut", max_steps=limit)
            same(trained(row, tmp_path / "cut", max_steps=limit), cut)
        same(trained(row, tmp_path / "cut"), expected)


def test_a_callback_goes_on_as_what_it_was(tmp_path: Path) -> None:
    """Of two of a class, where one is left out."""
    with use("numpy"):
        two = [callbacks.EarlyStopping(name, patience=9) for name in ("loss", "mae")]
        trained(ADAM, tmp_path, callbacks=two)
        one = callbacks.EarlyStopping("mae", patience=9)
        trained(ADAM, tmp_path, callbacks=[one])
    assert one.best == two[1].best != two[0].best


def test_a_directory_is_for_one(tmp_path: Path) -> None:
    two = [callbacks.Checkpoint(tmp_path / "run"), callbacks.Checkpoint(f"{tmp_path}/./run")]
    with use("numpy"):
        with pytest.raises(ValueError, match="A directory is for one callback"):
            trained(ADAM, tmp_path, resume=None, callbacks=two)
        (file := tmp_path / "file").touch()
        with pytest.raises(NotADirectoryError, match=r"Received: .*file', a file"):
            trained(ADAM, tmp_path, resume=file)


def test_it_goes_on_on_another_engine(tmp_path: Path) -> None:
    with use("jax"):
        expected = trained(ROWS["early stopping"], tmp_path / "whole", resume=None)
        with pytest.raises(Interrupted):
            trained(ROWS["early stopping"], tmp_path / "cut", 7)
    with use("torch"):
        found = trained(ROWS["early stopping"], tmp_path / "cut")
    for key, values in expected[0]["history"].items():
        np.testing.assert_allclose(found[0]["history"][key], values, rtol=1e-4)


# ------------------------------------------------------------------------------ the process ends


@pytest.mark.parametrize("engine", ["numpy", "jax"])
def test_a_killed_process_leaves_whole_checkpoints(engine: str, tmp_path: Path) -> None:
    """Killed while a checkpoint is half written."""
    code = f"import tests.training.trainings as t; t.killed({engine!r}, {str(tmp_path)!r})"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.returncode == -signal.SIGKILL, run.stderr
    found = checkpoints(tmp_path / "cut" / "run", thorough=True)
    assert [(one.step, one.fault) for one in found] == [(5, None), (6, None)]
    assert len(list((tmp_path / "cut" / "run").iterdir())) == 3
    with use(engine):
        expected = trained(ROWS["early stopping"], tmp_path / "whole")
        same(trained(ROWS["early stopping"], tmp_path / "cut"), expected)


def test_a_preempted_process(tmp_path: Path) -> None:
    """SIGTERM ends `fit` after the step, with a checkpoint; what handled it before does so again."""
    before = signal.getsignal(signal.SIGTERM)
    with use("numpy"):
        expected = trained(ROWS["csv"], tmp_path / "whole")
        with pytest.raises(SystemExit) as left:
            trained(ROWS["csv"], tmp_path / "cut", 7, terminate)
        assert left.value.code == 143 and signal.getsignal(signal.SIGTERM) is before
        assert checkpoints(tmp_path / "cut" / "run")[-1].step == 7
        called: list[int] = []
        signal.signal(signal.SIGTERM, lambda number, frame: called.append(number))
        try:  # with a handler of its own, that decides what comes
            same(trained(ROWS["csv"], tmp_path / "cut", 9, terminate), expected)
            assert called == [signal.SIGTERM]
            thread = threading.Thread(target=trained, args=(ROWS["csv"], tmp_path / "whole"))
            thread.start()
            thread.join()
        finally:
            signal.signal(signal.SIGTERM, before)


class Ending(callbacks.Callback):
    """Asks the process to end, in the middle of a validation."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[int] = []

    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
        self.seen.append(batch)
        if len(self.seen) == 8:
            terminate()


@pytest.mark.parametrize("when", [{}, {"val_check_interval": 3}], ids=["epoch", "steps"])
def test_a_request_to_end_within_a_validation(when: Any, tmp_path: Path) -> None:
    """It is left at once; who goes on, in another process or in this one, does it from its beginning."""
    row = ADAM | {"heard": lambda f: [callbacks.EarlyStopping("val_loss", patience=9)]}
    before = signal.getsignal(signal.SIGTERM)

    def run(name: str, *heard: Any) -> Any:
        data = iter([(X[:9], Y[:9])] * 5)
        return trained(row, tmp_path / name, callbacks=[*heard], validation_data=data, **when)

    with use("numpy"):
        expected = run("whole")
        ending = Ending()
        with pytest.raises(SystemExit):
            run("cut", ending)
        assert ending.seen == [0, 1, 2, 3, 4, 0, 1, 2]
        same(run("cut"), expected)
        signal.signal(signal.SIGTERM, lambda number, frame: None)
        try:
            same(run("on", Ending()), expected)
        finally:
            signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize("moment", ["on_epoch_end", "on_train_end"])
def test_a_request_to_end_after_the_last_step(moment: str, tmp_path: Path) -> None:
    """It is no less heard where nothing is left to write; all callbacks let go."""
    before, closed = signal.getsignal(signal.SIGTERM), callbacks.ProgbarLogger()
    closed._training = True
    ending = callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: setattr(ending.model, "stop_training", True),
        **{moment: lambda *args: terminate()},
    )
    with use("numpy"), pytest.raises(SystemExit) as left:
        written = [callbacks.Checkpoint(tmp_path / name) for name in "ab"]
        trained(ADAM, tmp_path, callbacks=[*written, ending, closed], resume=None)
    assert left.value.code == 143 and signal.getsignal(signal.SIGTERM) is before
    assert not closed._training


# ---------------------------------------------------------------------------------- the callback


@pytest.mark.parametrize(
    "kwargs, steps",
    [
        ({}, [5, 10, 15]),
        ({"epochs": 2}, [10]),
        ({"epochs": 2, "initial_epoch": 1}, [5]),
        ({"epochs": None, "steps": 4}, [4, 8, 12]),
        ({"epochs": None, "seconds": 0.0}, [*range(1, 6), *range(5, 11), *range(10, 16), 15]),
        ({"best": "loss", "keep": 1}, [15]),
        ({"steps": 5}, [5, 10, 15]),
        ({"steps": 5, "keep": 2, "validation_data": (X, Y)}, [10, 15]),
    ],
)
def test_when_they_are_written(kwargs: Any, steps: list[int], tmp_path: Path) -> None:
    kwargs = {"keep": None, "initial_epoch": 0, **kwargs}
    fit = {
        name: kwargs.pop(name) for name in ("initial_epoch", "validation_data") if name in kwargs
    }
    heard = callbacks.Checkpoint(tmp_path / "run", **kwargs)
    with use("numpy"):
        trained(ADAM, tmp_path, callbacks=[heard], resume=None, **fit)
    assert [one.step for one in checkpoints(tmp_path / "run")] == steps


@pytest.mark.parametrize(
    "kwargs, word",
    [
        ({"steps": 0}, "steps"),
        ({"epochs": 1.5}, "epochs"),
        ({"keep": 0}, "keep"),
        ({"mode": "up"}, "mode"),
    ],
)
def test_refused(kwargs: Any, word: str) -> None:
    with pytest.raises(ValueError, match=f"`{word}` must be"):
        callbacks.Checkpoint("run", **kwargs)


def test_a_best_that_is_never_there(tmp_path: Path) -> None:
    heard = callbacks.Checkpoint(tmp_path / "run", best="val_los", mode="min")
    with use("numpy"), pytest.warns(UserWarning, match="val_los.*available.*loss"):
        trained(ADAM, tmp_path, callbacks=[heard], resume=None)


def test_what_can_not_be_written_ends_training(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("a file")
    heard = callbacks.Checkpoint(tmp_path / "run", steps=1)
    with use("numpy"), pytest.raises(OSError, match="run"):
        trained(ADAM, tmp_path, callbacks=[heard], resume=None)


# ---------------------------------------------------------------------------- BackupAndRestore


@pytest.mark.parametrize("kwargs", [{}, {"save_freq": 2}, {"double_checkpoint": True}])
@pytest.mark.parametrize("stop", [3, 7])
def test_backup(kwargs: Any, stop: int, tmp_path: Path) -> None:
    def heard(**more: Any) -> Any:
        backup = callbacks.BackupAndRestore(tmp_path / "backup", **kwargs, **more)
        return {"callbacks": [backup], "resume": None}

    with use("numpy"):
        expected = trained(DECAY, tmp_path, resume=None)
        with pytest.raises(Interrupted):
            trained(DECAY, tmp_path, stop, **heard())
        same(trained(DECAY, tmp_path, **heard()), expected)
        assert not (tmp_path / "backup").exists()
        trained(DECAY, tmp_path, **heard(delete_checkpoint=False))
        count = 2 if "double_checkpoint" in kwargs else 1
        assert len(list((tmp_path / "backup").iterdir())) == count
        same(trained(DECAY, tmp_path, **heard()), expected)


def test_backup_of_keras(tmp_path: Path) -> None:
    """Its files, of which the metadata says when they were written."""
    (tmp_path / "training_metadata.json").write_text('{"epoch": 2, "batch": 0}')
    model = cornu.Sequential([cornu.Input((3,)), layers.Dense(1)])
    model.compile("sgd", "mse")
    model.save_weights(tmp_path / "latest.weights.h5")
    expected = model.get_weights()[0]
    model.layers[0].kernel.assign(expected * 0)
    heard = [callbacks.BackupAndRestore(tmp_path)]
    with use("numpy"):
        history = model.fit(X, Y, epochs=2, callbacks=heard, verbose=0)
    assert history.epoch == [] and not tmp_path.exists()
    np.testing.assert_array_equal(model.get_weights()[0], expected)
