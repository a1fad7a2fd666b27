"""Trainings that tests stop, kill and let go on, in processes that import little."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import cornu
from cornu import callbacks, layers, optimizers, random, tuning
from cornu.engines import use

X = np.random.default_rng(0).normal(size=(23, 3)).astype("float32")
Y = X[:, :1] * 2 + 0.1


class Interrupted(Exception):
    pass


class Stop(callbacks.Callback):
    """Ends everything after a step."""

    def __init__(self, total: int | None, how: Callable[[], None]) -> None:
        super().__init__()
        self.total, self.how = total, how

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if self.current_run.total == self.total:
            self.how()


def interrupt() -> None:
    raise Interrupted


def terminate() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


class Counting(callbacks.Callback):
    """A user's: what it sees at the end of an epoch depends on all steps."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = {"losses": 0.0}

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.seen["losses"] += logs["loss"]

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        logs["sum"] = self.seen["losses"]

    def state(self) -> Any:
        return self.seen

    def restore(self, state: Any) -> None:
        self.seen = dict(state)


class Noisy(layers.Layer):
    """Draws without a seed."""

    def call(self, x: Any) -> Any:
        return x + random.normal((4,)) * 0.1


ADAM: dict[str, Any] = {"optimizer": lambda: optimizers.Adam(0.05)}
DECAY: dict[str, Any] = {
    "optimizer": lambda: optimizers.Adam(optimizers.schedules.CosineDecay(0.05, 12))
}
Row = dict[str, Any]
ROWS: dict[str, Row] = {
    "early stopping": DECAY
    | {"heard": lambda f: [callbacks.EarlyStopping("loss", patience=1, restore_best_weights=True)]},
    "it stops": DECAY
    | {"heard": lambda f: [callbacks.EarlyStopping("loss", patience=1, min_delta=9.0)]},
    "plateau": ADAM
    | {"heard": lambda f: [callbacks.ReduceLROnPlateau("loss", patience=1, min_delta=9.0)]},
    "rate": ADAM
    | {"heard": lambda f: [callbacks.LearningRateScheduler(lambda epoch, rate: rate * 0.7)]},
    "average": {
        "optimizer": lambda: optimizers.Adam(0.05, use_ema=True),
        "heard": lambda f: [callbacks.SwapEMAWeights(swap_on_epoch=True)],
    },
    "csv": ADAM | {"heard": lambda f: [callbacks.CSVLogger(f / "log.csv")]},
    "two of a kind": ADAM | {"heard": lambda f: [Counting(), Counting()]},
    "accumulation": {"optimizer": lambda: optimizers.Adam(0.05, gradient_accumulation_steps=3)},
    "loss scale": {
        "optimizer": lambda: optimizers.LossScaleOptimizer(
            optimizers.Adam(0.05), initial_scale=8.0, dynamic_growth_steps=2
        )
    },
    "several steps": ADAM | {"compile": {"steps_per_execution": 2}},
    "passes over epochs": ADAM | {"fit": {"steps_per_epoch": 3, "batch_size": 4}},
}


def trained(
    row: Row, folder: Path, stop: int | None = None, how: Any = interrupt, **fit: Any
) -> tuple[Any, ...]:
    """What a training ends with: the history, the weights, the file of logs."""
    cornu.utils.set_random_seed(1)
    width = int(row.get("width", 3))
    stack = [layers.Dense(4, "relu"), Noisy(), layers.Dropout(0.3), layers.Dense(1)]
    model = cornu.Sequential([cornu.Input((width,)), *stack])
    model.compile(row["optimizer"](), "mse", metrics=["mae"], **row.get("compile", {}))
    folder.mkdir(exist_ok=True)
    heard = [*row.get("heard", lambda folder: [])(folder), Stop(stop, how)]
    data = row["data"]() if "data" in row else (X, Y)
    fit = {
        "batch_size": 5,
        "epochs": 3,
        "resume": folder / "run",
        "callbacks": [],
        **row.get("fit", {}),
        **fit,
    }
    if fit["resume"] is not None:
        heard.append(callbacks.Checkpoint(folder / "run", steps=2))
    fit["callbacks"] = [*fit["callbacks"], *heard]
    with tuning.deterministic(True):
        history = model.fit(*data, verbose=0, **fit)
    found = {"history": history.history, "epoch": history.epoch}
    file = folder / "log.csv"
    return found, model.get_weights(), file.read_text() if file.exists() else ""


def killed(engine: str, folder: str) -> None:
    """Train until the process is killed: while the checkpoint of step 8 is written."""
    from cornu.saving import _checkpoints

    def half(*args: Any) -> None:
        write(*args)
        if "step-00000008" in args[1]:
            os.kill(os.getpid(), signal.SIGKILL)

    write = _checkpoints.write_sharded
    _checkpoints.write_sharded = half
    with use(engine):
        trained(ROWS["early stopping"], Path(folder) / "cut")


def told(engine: str, folder: str) -> None:
    """Train for some seconds, with whatever a kill may disturb; a line after the first step, and what it ends with."""

    def begun(*_: Any) -> None:
        if not told_so:
            told_so.append(print("a step is done", flush=True))
        time.sleep(0.005)

    def heard(_: Path) -> list[Any]:
        stopping = callbacks.EarlyStopping("val_loss", patience=15, restore_best_weights=True)
        return [stopping, callbacks.LambdaCallback(on_train_batch_end=begun)]

    told_so: list[None] = []
    decay = optimizers.schedules.CosineDecay(0.05, 1000)
    row = {"optimizer": lambda: optimizers.Adam(decay), "heard": heard}
    fit = {"epochs": 120, "validation_split": 0.2, "batch_size": 2}
    with use(engine):
        found, weights, _ = trained(row, Path(folder), **fit)
    print(json.dumps([found, [weight.tolist() for weight in weights]]))
