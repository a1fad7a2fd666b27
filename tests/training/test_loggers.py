"""Loggers: what a training is told of, in a file of JSON lines and by the clients of MLflow and wandb."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import cornu
from cornu import callbacks
from cornu.engines import use
from tests.training import models_for_fit as m

X, Y = m.draw(8, 6), m.labels(8)


def fitted(loggers: Any, together: int = 1, **fit: Any) -> Any:
    model = m.sequential(cornu)
    model.compile("adam", "sparse_categorical_crossentropy", steps_per_execution=together)
    model.fit(X, Y, batch_size=2, verbose=0, loggers=loggers, **{"epochs": 2, **fit})
    return model


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_json_lines(tmp_path: Path) -> None:
    file = tmp_path / "run.jsonl"
    model = fitted(file, validation_data=(X, Y))
    first, *rest = lines(file)
    assert first["settings"]["optimizer"] == "Adam"
    assert first["settings"]["optimizer.beta_2"] == 0.999
    assert first["settings"]["parameters"] == model.count_params()
    assert [(one["epoch"], one["step"]) for one in rest] == [(0, 4), (1, 8)]
    assert [one["val_loss"] for one in rest] == model.history.history["val_loss"]
    for together in (1, 2):  # an execution ends at a step whose turn it is
        fitted(callbacks.JSONLinesLogger(file, every=3), together, epochs=1)
    assert [one.get("step") for one in lines(file)[3:]] == [None, 3, 4] * 2


class Killed(callbacks.Callback):
    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if self.current_run.total == 5:
            raise KeyboardInterrupt


def test_steps_that_come_again_stand_once(tmp_path: Path) -> None:
    """Of a training that went on from a checkpoint, twice from the same; another one between stays."""
    file = tmp_path / "run.jsonl"

    def run(*more: Any) -> None:
        written = callbacks.Checkpoint(tmp_path / "run", epochs=None, steps=3)
        logger = callbacks.JSONLinesLogger(file, every=1)
        with use("numpy"):
            fitted(logger, callbacks=[written, *more], resume=tmp_path / "run")

    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            run(Killed())
    with file.open("a") as opened:
        opened.write('{"epoch": 0, "ste')  # killed while it wrote
    with use("numpy"):
        fitted(file, epochs=1)
    run()
    found = [one.get("step") or one.get("resumed", "begun") for one in lines(file)]
    assert found == ["begun", 1, 2, 3, 3, "begun", 4, 3, 4, 4, 5, 6, 7, 8, 8]


@pytest.mark.filterwarnings("ignore:The loss is NaN")
def test_what_is_no_number_is_null(tmp_path: Path) -> None:
    file = tmp_path / "run.jsonl"
    model = m.sequential(cornu)
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(X * np.nan, Y, verbose=0, loggers=str(file))
    assert lines(file)[-1]["loss"] is None


class Client(ModuleType):
    """What is called of a client, written down."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.calls: list[Any] = []
        self.run: Any = None

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)

        def call(*args: Any, **kwargs: Any) -> Any:
            self.calls.append((name, args, kwargs))
            if name == "init":
                self.run = self

        return call


def test_clients(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs are started and ended, as failed where training fails; numbers and settings arrive."""
    mlflow, wandb = Client("mlflow"), Client("wandb")
    monkeypatch.setitem(sys.modules, "mlflow", mlflow)
    monkeypatch.setitem(sys.modules, "wandb", wandb)
    fitted(["mlflow:try", "wandb:try"])
    assert [name for name, *_ in mlflow.calls] == [
        *("active_run", "set_experiment", "start_run", "log_params", "log_metrics", "log_metrics"),
        "end_run",
    ]
    assert mlflow.calls[-1][1] == ("FINISHED",)
    assert [name for name, *_ in wandb.calls] == ["init", "log", "log", "finish"]
    assert wandb.calls[0][2]["config"]["epochs"] == 2
    assert [call[2]["step"] for call in wandb.calls[1:3]] == [4, 8]

    def fail(*_: Any) -> None:
        raise RuntimeError("stop")

    failing = callbacks.LambdaCallback(on_epoch_end=fail)
    with pytest.raises(RuntimeError, match="stop"):
        fitted(callbacks.MLflowLogger(), callbacks=[failing])
    assert mlflow.calls[-1][1] == ("FAILED",)


@pytest.mark.parametrize("name", ["mlflow", "wandb"])
def test_without_the_client(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(module: str) -> Any:
        raise ModuleNotFoundError(f"No module named {module!r}", name=module)

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(ModuleNotFoundError, match=rf"pip install 'cornu\[{name}\]'"):
        fitted(name)


def test_what_is_no_logger() -> None:
    with pytest.raises(ValueError, match="'run.jsonl', say"):
        fitted("tensorboard")
