"""Callbacks: driven with the same logs, they do what those of Keras do."""

from __future__ import annotations

import copy
import io
import json
import math
import os
import pathlib
import pickle
import re
import threading
import warnings
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest
import rich
from rich.console import Console

import cornu
from cornu import callbacks, layers
from cornu.callbacks import progress as progress_module
from cornu.callbacks.logs import LazyLogs
from cornu.callbacks.progress import Progbar, Progress, say
from cornu.core import config

NAN = float("nan")
LOSSES = [1.0, 0.8, 0.9, 0.85, 0.95, 0.7, 0.7, 0.71, 0.72, 0.5]


class FakeModel:
    """What callbacks need of a model; its weights say how many epochs have passed."""

    def __init__(self) -> None:
        self.optimizer = SimpleNamespace(learning_rate=0.5, built=True)
        self.stop_training = False
        self.built = True
        self.history: Any = None
        self.weights = [np.zeros(2)]
        self.saved: list[str] = []
        self.metrics = [SimpleNamespace(name="accuracy", _direction="up")]

    def get_weights(self) -> list[Any]:
        return [w.copy() for w in self.weights]

    def set_weights(self, weights: list[Any]) -> None:
        self.weights = [w.copy() for w in weights]

    def save(self, filepath: Any, overwrite: bool = True) -> None:
        self.saved.append(os.path.basename(filepath))
        np.savetxt(filepath, self.weights[0])

    def save_weights(self, filepath: Any, overwrite: bool = True) -> None:
        self.save(filepath)

    def load_weights(self, filepath: Any) -> None:
        self.weights = [np.loadtxt(filepath)]


def drive(callback: Any, logs: list[dict[str, Any]], batches: int = 3) -> dict[str, Any]:
    """Epochs with these logs at their ends; what came of it."""
    model = FakeModel()
    callback.set_model(model)
    callback.set_params({"verbose": 0, "epochs": len(logs), "steps": batches})
    rates, seen = [], []
    callback.on_train_begin({})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for epoch, values in enumerate(logs):
            callback.on_epoch_begin(epoch, {})
            for batch in range(batches):
                callback.on_train_batch_begin(batch, {})
                callback.on_train_batch_end(batch, {"loss": values.get("loss", 0.0)})
            model.weights[0] += 1
            values = dict(values)
            callback.on_epoch_end(epoch, values)
            rates.append(model.optimizer.learning_rate)
            seen.append(values)
            if model.stop_training:
                break
        callback.on_train_end({})
    return {
        "rates": rates,
        "logs": seen,
        "weights": model.weights[0].tolist(),
        "saved": model.saved,
    }


def losses(*values: Any, name: str = "loss") -> list[dict[str, Any]]:
    return [{name: value} for value in values]


FALLING = losses(*LOSSES)
RISING = losses(*(-loss for loss in LOSSES), name="foo")
SOMETIMES = [{"loss": 1.0, "val_loss": v} if v else {"loss": 1.0} for v in (3.0, None, 2.0, 2.5)]

ROWS: list[tuple[str, dict[str, Any], list[dict[str, Any]]]] = [
    ("EarlyStopping", {"monitor": "loss"}, FALLING),
    ("EarlyStopping", {"monitor": "loss", "patience": 2}, FALLING),
    ("EarlyStopping", {"monitor": "loss", "patience": 3, "restore_best_weights": True}, FALLING),
    ("EarlyStopping", {"monitor": "loss", "patience": 20, "restore_best_weights": True}, FALLING),
    ("EarlyStopping", {"monitor": "loss", "patience": 2, "min_delta": 0.15}, FALLING),
    ("EarlyStopping", {"monitor": "loss", "patience": 2, "min_delta": -0.15}, FALLING),
    ("EarlyStopping", {"monitor": "loss", "patience": 2, "baseline": 0.75}, FALLING),
    ("EarlyStopping", {"monitor": "loss", "patience": 4, "baseline": 0.1}, FALLING),
    ("EarlyStopping", {"monitor": "loss", "start_from_epoch": 3}, FALLING),
    ("EarlyStopping", {"monitor": "foo", "mode": "max", "patience": 1}, RISING),
    ("EarlyStopping", {"monitor": "foo", "mode": "min", "patience": 1}, RISING),
    ("EarlyStopping", {"monitor": "loss", "patience": 1}, losses(1.0, NAN, 0.5)),
    ("EarlyStopping", {"monitor": "loss", "patience": 1}, losses(math.inf, 1.0, 2.0)),
    ("EarlyStopping", {"monitor": "loss"}, losses(np.float32(1.0), np.array(0.5), 0.6)),
    ("EarlyStopping", {"monitor": "foo", "mode": "min"}, FALLING),
    ("EarlyStopping", {}, SOMETIMES),
    ("ReduceLROnPlateau", {"monitor": "loss"}, FALLING),
    ("ReduceLROnPlateau", {"monitor": "loss", "patience": 1}, FALLING),
    ("ReduceLROnPlateau", {"monitor": "loss", "patience": 1, "cooldown": 2}, FALLING),
    ("ReduceLROnPlateau", {"monitor": "loss", "patience": 0, "min_lr": 0.01}, FALLING),
    ("ReduceLROnPlateau", {"monitor": "loss", "factor": 0.5, "min_delta": 10.0}, FALLING * 3),
    ("ReduceLROnPlateau", {"monitor": "foo", "mode": "max", "patience": 1}, RISING),
    ("ReduceLROnPlateau", {"monitor": "foo", "mode": "max"}, FALLING),
    ("ReduceLROnPlateau", {"patience": 1}, SOMETIMES),
    ("LearningRateScheduler", {"schedule": lambda epoch: 0.1 * epoch}, FALLING),
    ("LearningRateScheduler", {"schedule": lambda epoch, rate: rate * 0.5}, FALLING),
    ("LearningRateScheduler", {"schedule": lambda epoch, rate: np.float32(0.25)}, FALLING),
    ("ModelCheckpoint", {"filepath": "m-{epoch:02d}-{loss:.2f}.keras"}, FALLING),
    ("ModelCheckpoint", {"filepath": "sub/m.keras"}, FALLING),
    ("ModelCheckpoint", {"filepath": "m-{epoch}.weights.h5", "save_weights_only": True}, FALLING),
    ("ModelCheckpoint", {"filepath": "{epoch}.keras", "save_best_only": True}, SOMETIMES),
    (
        "ModelCheckpoint",
        {"filepath": "{epoch}.keras", "save_best_only": True, "monitor": "loss"},
        FALLING,
    ),
    (
        "ModelCheckpoint",
        {"filepath": "{epoch}.keras", "save_best_only": True, "monitor": "foo", "mode": "max"},
        RISING,
    ),
    (
        "ModelCheckpoint",
        {
            "filepath": "{epoch}.keras",
            "save_best_only": True,
            "monitor": "loss",
            "initial_value_threshold": 0.75,
        },
        FALLING,
    ),
    (
        "ModelCheckpoint",
        {"filepath": "{epoch}.keras", "save_best_only": True, "monitor": "foo", "mode": "min"},
        losses(np.ones(2), np.zeros(2), name="foo"),
    ),
    ("ModelCheckpoint", {"filepath": "{epoch}-{batch}.keras", "save_freq": 2}, FALLING),
    ("ModelCheckpoint", {"filepath": "{epoch}-{batch}.keras", "save_freq": 7}, FALLING),
    (
        "ModelCheckpoint",
        {"filepath": "{epoch}-{batch}.keras", "save_freq": 4, "save_best_only": True}
        | {"monitor": "loss"},
        FALLING,
    ),
    ("TerminateOnNaN", {}, losses(1.0, NAN, 0.5)),
    ("TerminateOnNaN", {}, losses(1.0, -math.inf, 0.5)),
]


@pytest.mark.parametrize("name, kwargs, logs", ROWS)
def test_as_in_keras(
    name: str, kwargs: Any, logs: Any, tmp_path: Any, monkeypatch: Any, capsys: Any
) -> None:
    results = []
    for module in (callbacks, keras.callbacks):
        monkeypatch.chdir(tmp_path)
        results.append(drive(getattr(module, name)(**kwargs), logs))
    ours, theirs = results
    np.testing.assert_allclose(ours.pop("rates"), theirs.pop("rates"), rtol=1e-6)
    for a, b in zip(ours.pop("logs"), theirs.pop("logs"), strict=True):
        assert a.keys() == b.keys()
        np.testing.assert_allclose(
            np.hstack([*a.values(), 0]), np.hstack([*b.values(), 0]), rtol=1e-6
        )
    assert ours == theirs


CSV_LOGS: dict[str, list[dict[str, Any]]] = {
    "plain": [{"loss": 0.25, "acc": 0.5}, {"loss": 1e-5, "acc": 1.0}],
    "validation later": [{"loss": 1.0}, {"loss": 0.5, "val_loss": 0.75}],
    "validation": [{"loss": 1.0, "val_loss": 2.0}, {"loss": 0.5}],
    "other values": [{"a": np.arange(3), "b": "text", "c": np.float64(3.0)}, {"a": 1, "new": 2}],
}


@pytest.mark.parametrize("name", CSV_LOGS)
@pytest.mark.parametrize("kwargs", [{}, {"separator": ";"}, {"append": True}])
def test_csv_logger(name: str, kwargs: Any, tmp_path: Any) -> None:
    files = []
    for module in (callbacks, keras.callbacks):
        path = tmp_path / module.__name__
        for _ in range(2):
            drive(module.CSVLogger(str(path), **kwargs), CSV_LOGS[name])
        files.append(path.read_text())
    assert files[0] == files[1]


# ------------------------------------------------------------------------------------- errors


def _started(callback: Any, model: Any = None) -> Any:
    callback.set_model(model or FakeModel())
    callback.on_train_begin()
    return callback


ERRORS: list[tuple[Any, type[Exception], str]] = [
    (lambda c: c.ReduceLROnPlateau(factor=1.0), ValueError, "factor"),
    (lambda c: c.ModelCheckpoint("model"), ValueError, r"\.keras"),
    (lambda c: c.ModelCheckpoint("m.keras", save_weights_only=True), ValueError, r"\.weights\.h5"),
    (lambda c: c.ModelCheckpoint("m.keras", save_freq="day"), ValueError, "save_freq"),
    (lambda c: c.ModelCheckpoint("m.keras", save_freq=2.5), ValueError, "save_freq"),
    (lambda c: _started(c.ModelCheckpoint("{foo}.keras")).on_epoch_end(0, {}), KeyError, "foo"),
    (lambda c: _started(c.ModelCheckpoint("d.keras")).on_epoch_end(0, {}), OSError, "directory"),
    (lambda c: c.BackupAndRestore(""), ValueError, "backup_dir"),
    (lambda c: c.BackupAndRestore("b", save_freq="day"), ValueError, "save_freq"),
    (
        lambda c: _started(c.EarlyStopping("foo")).on_epoch_end(0, {"foo": 1.0}),
        ValueError,
        "monitor",
    ),
    (
        lambda c: _started(c.ReduceLROnPlateau("foo")).on_epoch_end(0, {"foo": 1.0}),
        ValueError,
        "monitor",
    ),
    (
        lambda c: _started(c.LearningRateScheduler(lambda epoch: 1)).on_epoch_begin(0),
        ValueError,
        "float",
    ),
    (
        lambda c: _started(
            c.LearningRateScheduler(lambda epoch: 1.0), SimpleNamespace(optimizer=None)
        ).on_epoch_begin(0),
        ValueError,
        "learning_rate",
    ),
    (
        lambda c: _started(c.TerminateOnNaN(raise_error=True)).on_batch_end(0, {"loss": NAN}),
        RuntimeError,
        "batch 0",
    ),
]


@pytest.mark.parametrize("make, error, match", ERRORS)
def test_errors(
    make: Any, error: type[Exception], match: str, tmp_path: Any, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    os.mkdir("d.keras")
    with pytest.raises(error):
        make(keras.callbacks)
    with pytest.raises(error, match=f"(?s)({match}.*Received|Received.*{match})"):
        make(callbacks)


@pytest.mark.parametrize(
    ("name", "weights"),
    [("m.keras", False), ("m.h5", False), ("m.weights.h5", True), ("m.safetensors", True)],
)
def test_each_format_is_saved(name: str, weights: bool, tmp_path: Path) -> None:
    """What `save` or `save_weights` takes; an ending of the other is refused in the constructor."""
    model, again = (cornu.Sequential([cornu.Input((2,)), layers.Dense(1)]) for _ in range(2))
    callback = callbacks.ModelCheckpoint(tmp_path / name, save_weights_only=weights)
    callback.set_model(model)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="A whole model as HDF5 is Keras's old format")
        callback.on_epoch_end(0)
    again.load_weights(tmp_path / name)
    np.testing.assert_array_equal(again.get_weights()[0], model.get_weights()[0])
    with pytest.raises(ValueError, match=f"must end in .*Received: filepath='{name}'"):
        callbacks.ModelCheckpoint(name, save_weights_only=not weights)


def test_unknown_mode_warns() -> None:
    for name in ("EarlyStopping", "ReduceLROnPlateau"):
        with pytest.warns(UserWarning, match="mode='upwards'"):
            getattr(callbacks, name)(mode="upwards")


@pytest.mark.parametrize(
    ("monitor", "mode"),
    [("loss", "min"), ("val_loss", "min"), ("accuracy", "max"), ("val_accuracy", "max")]
    + [("out_loss", "min"), ("val_head_accuracy", "max")],
)
def test_mode_is_found(monitor: str, mode: str) -> None:
    model = FakeModel()
    model.metrics.append(SimpleNamespace(name="head_accuracy", _direction="up"))
    callback = _started(callbacks.EarlyStopping(monitor), model)
    callback.on_epoch_end(0, {monitor: 1.0})
    assert callback.watched.mode == mode


def test_nan_is_never_the_best() -> None:
    callback = callbacks.EarlyStopping("loss", patience=2)
    result = drive(callback, losses(NAN, 1.0, 0.9, 0.8))
    assert (len(result["logs"]), callback.best) == (4, 0.8)


# -------------------------------------------------------------------------------- callback list


EVENTS = [
    name
    for name in sorted(vars(callbacks.Callback))
    if re.fullmatch(r"on_\w+_(begin|end)", name) and not name.startswith("on_batch_")
]


def numbered(event: str) -> bool:
    return "batch" in event or "epoch" in event


def recorder(base: Any) -> Any:
    """A callback of that base which keeps every event in `events`."""

    def keeping(event: str) -> Any:
        def keep_numbered(self: Any, number: int, logs: Any = None) -> None:
            self.events.append((event, number, sorted(logs or {})))

        def keep(self: Any, logs: Any = None) -> None:
            self.events.append((event, sorted(logs or {})))

        return keep_numbered if numbered(event) else keep

    made = type("Recorder", (base,), {event: keeping(event) for event in EVENTS})()
    made.events = []
    return made


def test_events_of_a_list() -> None:
    """Each event reaches each callback in order, with its logs."""
    listener = recorder(callbacks.Callback)
    events = callbacks.CallbackList([listener, callbacks.Callback()], model=FakeModel(), steps=3)
    told = []
    for event in EVENTS:
        if numbered(event):
            getattr(events, event)(3, {"loss": 1.0})
            told.append((event, 3, ["loss"]))
        else:
            getattr(events, event)()
            told.append((event, []))
    assert listener.events == told
    assert listener.params == {"steps": 3}


def test_lists_are_made_as_in_keras() -> None:
    for module in (callbacks, keras.callbacks):
        model, own = FakeModel(), module.Callback()
        params = {"verbose": 1, "epochs": 2, "steps": 3}
        made = module.CallbackList([own], add_history=True, add_progbar=True, model=model, **params)
        kinds = [type(callback).__name__ for callback in made.callbacks]
        assert kinds == ["Callback", "History", "ProgbarLogger"]
        assert model.history is made.callbacks[1] and own.model is model
        assert own.params == params
        assert module.CallbackList(None).callbacks == []
        assert module.CallbackList(own).callbacks == [own]
        history = module.History()
        assert len(module.CallbackList([history], add_history=True).callbacks) == 1
    assert callbacks.CallbackList.wrap(made_list := callbacks.CallbackList()) is made_list
    with pytest.raises(TypeError, match="Received: 3"):
        callbacks.CallbackList([3])


def test_old_names_of_methods() -> None:
    heard = []

    class Old(callbacks.Callback):
        def on_batch_end(self, batch: int, logs: Any = None) -> None:
            heard.append((batch, logs["loss"]))

    events = callbacks.CallbackList([Old()])
    events.on_train_batch_begin(1)
    events.on_train_batch_end(1, {"loss": np.float32(2.0)})
    assert heard == [(1, 2.0)]


def test_lambda_callback() -> None:
    heard: list[Any] = []
    callback = callbacks.LambdaCallback(
        on_epoch_begin=lambda epoch, logs: heard.append(epoch),
        on_train_batch_end=lambda batch, logs: heard.append(logs["loss"]),
        on_test_end=lambda logs: heard.append("test"),
        note="mine",
    )
    events = callbacks.CallbackList([callback])
    events.on_epoch_begin(4)
    events.on_train_batch_end(0, {"loss": 0.5})
    events.on_test_end()
    assert (heard, callback.note) == ([4, 0.5, "test"], "mine")


def test_history() -> None:
    results = []
    for module in (callbacks, keras.callbacks):
        history = module.History()
        drive(history, SOMETIMES)
        results.append((history.epoch, history.history, history.params))
    assert results[0] == results[1]


def test_history_is_drawn(tmp_path: pathlib.Path) -> None:
    """A panel a metric, the loss first and the learning rate last; validation where there was one."""
    history = callbacks.History()
    history.on_train_begin()
    for epoch in range(4):
        every = {"accuracy": 0.5 + epoch / 8, "loss": 10.0**-epoch, "learning_rate": 0.1}
        seen = {"val_loss": 0.5, "val_accuracy": 0.6} if epoch % 2 else {}
        history.on_epoch_end(epoch, {**every, **seen})
    panels = history.plot(tmp_path / "curves.png").axes
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert [axes.get_title("left") for axes in panels] == ["loss", "accuracy", "learning rate"]
    assert [axes.get_yscale() for axes in panels] == ["log", "linear", "linear"]
    drawn = {line.get_label(): line.get_xdata().tolist() for line in panels[0].get_lines()}
    assert drawn == {"training": [1, 2, 3, 4], "validation": [2, 4]}


def test_a_history_without_epochs_is_not_drawn() -> None:
    with pytest.raises(ValueError, match="Received: an empty history"):
        callbacks.History().plot()


# -------------------------------------------------------------------------------------- logs


class Tensor:
    """A value whose fetching is counted."""

    fetched = 0

    def __init__(self, value: float) -> None:
        self.value = value

    def numpy(self) -> Any:
        Tensor.fetched += 1
        return np.float32(self.value)


READS: dict[str, Any] = {
    "item": lambda logs: {"a": logs["a"], "b": logs["b"]},
    "get": lambda logs: {"a": logs.get("a"), "b": logs.get("b")},
    "dict": dict,
    "unpacking": lambda logs: {**logs},
    "items": lambda logs: dict(list(logs.items())),
    "values": lambda logs: dict(zip(logs, logs.values(), strict=True)),
    "copy": lambda logs: logs.copy(),
    "copy.copy": copy.copy,
    "copy.deepcopy": copy.deepcopy,
    "json": lambda logs: json.loads(json.dumps(logs)),
    "pickle": lambda logs: pickle.loads(pickle.dumps(logs)),
    "or": lambda logs: logs | {},
    "or, right": lambda logs: {} | logs,
    "update": lambda logs: (made := {}, made.update(logs))[0],
    "repr": lambda logs: eval(repr(logs)),
    "itself": lambda logs: logs,
    "pop": lambda logs: {"a": logs.pop("a"), "b": logs.pop("b", None)},
}


@pytest.mark.parametrize("name", READS)
def test_lazy_logs(name: str) -> None:
    """However they are read, values are numbers, and each tensor is fetched once."""
    Tensor.fetched = 0
    logs = LazyLogs({"a": Tensor(0.5), "b": 2})
    assert (len(logs), list(logs), "a" in logs, bool(logs), isinstance(logs, dict)) == (
        2,
        ["a", "b"],
        True,
        True,
        True,
    )
    assert (Tensor.fetched, logs.fetched) == (0, False)
    assert READS[name](logs) == {"a": 0.5, "b": 2}
    assert Tensor.fetched == 1


def test_nobody_who_looks_nothing_fetched() -> None:
    Tensor.fetched = 0
    events = callbacks.CallbackList(
        [recorder(callbacks.Callback)], add_progbar=True, verbose=2, steps=3
    )
    events.on_epoch_begin(0)
    for batch in range(3):
        events.on_train_batch_end(batch, {"loss": Tensor(1.0)})
    assert Tensor.fetched == 0


# ----------------------------------------------------------------------------------- progress


def terminal(monkeypatch: Any, width: int = 120) -> io.StringIO:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=width, legacy_windows=False)
    monkeypatch.setattr(rich, "get_console", lambda: console)
    return out


def log_epochs(verbose: int, epochs: int = 2, target: int | None = 3) -> None:
    logger = callbacks.ProgbarLogger()
    logger.set_params({"verbose": verbose, "epochs": epochs, "steps": target})
    logger.on_train_begin()
    for epoch in range(epochs):
        logger.on_epoch_begin(epoch)
        for batch in range(3):
            logger.on_train_batch_end(batch, {"accuracy": 0.5, "loss": 1.0})
        logger.on_test_begin()
        logger.on_test_batch_end(0, {})
        logger.on_test_end({})
        logger.on_epoch_end(epoch, {"accuracy": 0.91234, "loss": 1e-5, "val_loss": NAN})
    logger.on_train_end()


@pytest.mark.parametrize("verbose", [0, 1, 2])
@pytest.mark.parametrize("target", [3, None])
def test_plain_lines(verbose: int, target: int | None, capsys: Any) -> None:
    """Where there is no terminal: a line an epoch, and no control codes."""
    log_epochs(verbose, target=target)
    out = capsys.readouterr().out
    if verbose == 0:
        assert out == ""
        return
    metrics = "accuracy: 0.9123 - loss: 1.0000e-05 - val_loss: nan"
    for epoch, line in enumerate(out.splitlines(), start=1):
        assert re.fullmatch(rf"Epoch {epoch}/2 - 3/3 - 0s - \d+[mu]?s/step - {metrics}", line)
    assert len(out.splitlines()) == 2


def test_live_line(monkeypatch: Any) -> None:
    """On a terminal: one line, drawn again and again, and one finished line an epoch."""
    out = terminal(monkeypatch)
    log_epochs(1)
    text = out.getvalue()
    finished = [line for line in text.splitlines() if "val_loss" in line]
    assert len(finished) == 2 and "Epoch 2/2" in finished[1] and "━" * 20 in finished[1]
    assert "1/3" in text and "\x1b[1;31mnan" in text
    assert text.count("\x1b[?25l") == text.count("\x1b[?25h")  # the cursor is shown again


@pytest.mark.parametrize(
    ("width", "rows"),
    [
        (120, ["Epoch 1/2 {20} 3/3 0s Xs/step - accuracy: 0.9123 - loss: 0.5000 - val_loss: nan"]),
        (
            72,
            ["Epoch 1/2 {5,20} 3/3 0s Xs/step - accuracy: 0.9123 - loss: 0.5000", "val_loss: nan"],
        ),
        (
            48,
            ["Epoch 1/2 {5,20} 3/3 0s Xs/step", "accuracy: 0.9123 - loss: 0.5000", "val_loss: nan"],
        ),
    ],
)
def test_a_narrow_terminal_breaks_a_line_between_metrics(
    width: int, rows: list[str], monkeypatch: Any
) -> None:
    terminal(monkeypatch, width)
    progress = Progress(3, "Epoch 1/2")
    progress.update(1)
    line = progress.line(3, {"accuracy": 0.91234, "loss": 0.5, "val_loss": NAN}, finished=True)
    progress.finish(3)
    found = line.plain.split("\n")
    assert all(len(row) <= width for row in found)
    patterns = [re.sub(r"{(\d+(,\d+)?)}", r"━{\1}", row).replace("X", r"\d+[mu]?") for row in rows]
    for pattern, row in zip(patterns, found, strict=True):
        assert re.fullmatch(pattern, row.strip()), (pattern, row)
    assert all(row.startswith(" " * 10) for row in found[1:])  # below the bar


def test_live_line_is_drawn_ten_times_a_second(monkeypatch: Any) -> None:
    terminal(monkeypatch)
    drawn: list[int] = []
    now = [0.0]
    monkeypatch.setattr(progress_module, "perf_counter", lambda: now[0])
    progress = Progress(100)
    monkeypatch.setattr(progress, "line", lambda step, *args, **kwargs: drawn.append(step) or "")
    for step in range(100):
        progress.update(step, {})
        now[0] += 0.01
    progress.pause()
    assert 9 <= len(drawn) <= 11


def test_a_file_gets_a_line_a_minute(monkeypatch: Any, capsys: Any) -> None:
    """What is read in a log of a long epoch: how far it is, time left, throughput; no control codes."""
    now = [0.0]
    monkeypatch.setattr(progress_module, "perf_counter", lambda: now[0])
    progress = Progress(100, "Epoch 1/2")
    progress.batch_size = 32
    for step in range(1, 101):
        now[0] += 2.0
        progress.update(step, {"loss": 0.5})
    progress.finish(100, {"loss": 0.25})
    assert capsys.readouterr().out.split("\n") == [
        "Epoch 1/2 - 30/100 - 2:20 left - 2s/step - 16 samples/s - loss: 0.5000",
        "Epoch 1/2 - 60/100 - 1:20 left - 2s/step - 16 samples/s - loss: 0.5000",
        "Epoch 1/2 - 90/100 - 20s left - 2s/step - 16 samples/s - loss: 0.5000",
        "Epoch 1/2 - 100/100 - 3:20 - 2s/step - 16 samples/s - loss: 0.2500",
        "",
    ]


def test_an_error_gives_the_terminal_back(monkeypatch: Any) -> None:
    out = terminal(monkeypatch)
    events = callbacks.CallbackList(add_progbar=True, verbose=1, epochs=1, steps=3)
    events.on_train_begin()
    events.on_epoch_begin(0)
    events.on_train_batch_end(0, {"loss": 1.0})
    assert progress_module._shown is not None
    events.close()
    assert progress_module._shown is None
    assert out.getvalue().count("\x1b[?25l") == out.getvalue().count("\x1b[?25h") == 1


def test_one_line_at_a_time(monkeypatch: Any) -> None:
    """An evaluation within an epoch takes the line, and gives it back."""
    terminal(monkeypatch)
    outer, inner = Progress(3, interval=0), Progress(3, interval=0)
    for progress in (outer, inner, outer):
        progress.update(1)
        assert progress_module._shown is progress
    inner.finish(3)
    outer.finish(3)
    assert progress_module._shown is None


def test_log_lines(caplog: Any, capsys: Any) -> None:
    config.disable_interactive_logging()
    try:
        with caplog.at_level("INFO", logger="cornu"):
            log_epochs(2)
            say("a message")
    finally:
        config.enable_interactive_logging()
    assert [r.getMessage()[:9] for r in caplog.records] == ["Epoch 1/2", "Epoch 2/2", "a message"]
    assert capsys.readouterr().out == ""


PROGBAR_ROWS: list[tuple[dict[str, Any], list[tuple[str, Any]]]] = [
    ({}, [("loss", 3.0), ("a", 4.0)]),
    ({"stateful_metrics": ["a"]}, [("loss", 3.0), ("a", 4.0)]),
    ({}, [("loss", 1e-4), ("zero", 0.0), ("b", -2.5e-5), ("c", 12345.678), ("f", 1e-3)]),
    ({}, [("inf", math.inf), ("i", 3), ("array", np.ones(3)), ("np", np.float32(0.5))]),
    ({"unit_name": "sample"}, []),
]


@pytest.mark.parametrize("kwargs, values", PROGBAR_ROWS)
def test_progbar(kwargs: Any, values: Any, capsys: Any) -> None:
    """The finished line has the numbers of Keras's."""
    lines = []
    for kind in (Progbar, keras.utils.Progbar):
        bar = kind(3, verbose=2, **kwargs)
        bar.update(1, [(name, 100.0) for name, _ in values])
        bar.add(2, values)
        lines.append(re.sub(r"\d+(us|ms|s)/", "T/", capsys.readouterr().out))
    assert lines[0] == lines[1]


def test_progbar_averages(monkeypatch: Any) -> None:
    """While it runs, values are averaged over steps unless they are stateful."""
    for kwargs, expected in (({}, 3.0), ({"stateful_metrics": ["a"]}, 4.0)):
        shown: list[Any] = []
        bar = Progbar(10, verbose=0, **kwargs)
        monkeypatch.setattr(bar._progress, "update", lambda step, values, s=shown: s.append(values))
        bar.update(1, [("a", 1.0)])
        bar.add(2, [("a", 4.0)])
        assert shown[-1] == {"a": expected}


# ------------------------------------------------------------------------------- remote monitor


@pytest.mark.parametrize("as_json", [False, True])
def test_remote_monitor(as_json: bool) -> None:
    received: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            size = int(self.headers["Content-Length"])
            received.append(self.path + " " + self.rfile.read(size).decode())
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        root = f"http://127.0.0.1:{server.server_port}"
        monitor = callbacks.RemoteMonitor(root, send_as_json=as_json)
        monitor.on_epoch_end(3, {"loss": np.float32(0.5)})
        thread.join()
    body = '{"epoch": 3, "loss": 0.5}' if as_json else "data=%7B%22epoch%22%3A+3%2C+%22loss%22"
    assert received[0].startswith(f"/publish/epoch/end/ {body}")
    with pytest.warns(UserWarning, match="can't reach"):
        monitor.on_epoch_end(4, {"loss": 0.5})


# ----------------------------------------------------------------- events of fit, evaluate, predict


FITS: list[dict[str, Any]] = [
    {"epochs": 2, "batch_size": 4},
    {"epochs": 2, "batch_size": 4, "validation": True},
    {"epochs": 4, "batch_size": 5, "validation": True, "validation_freq": 2, "initial_epoch": 1},
    {"epochs": 3, "batch_size": 2, "validation": True, "stops": True},
]
FIT_X = np.arange(20, dtype="float32").reshape(10, 2) / 10
FIT_Y = np.arange(10, dtype="float32") / 10


def _stopper(module: Any) -> Any:
    class Stopper(module.callbacks.Callback):  # type: ignore[misc, name-defined]
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            self.model.stop_training = batch == 1

    return Stopper()


def _events(module: Any, validation: bool = False, stops: bool = False, **kwargs: Any) -> Any:
    """The events of `fit`, `evaluate` and `predict`, and the params that came with them."""
    listener = recorder(module.callbacks.Callback)
    model = module.Sequential([module.layers.Input((2,)), module.layers.Dense(1)])
    model.compile("sgd", "mse", metrics=["mae"])
    if validation:
        kwargs["validation_data"] = (FIT_X, FIT_Y)
    heard = [listener, _stopper(module)] if stops else [listener]
    model.fit(FIT_X, FIT_Y, verbose=0, callbacks=heard, **kwargs)
    params = [listener.params]
    model.evaluate(FIT_X, FIT_Y, batch_size=4, verbose=0, callbacks=[listener])
    params.append(listener.params)
    model.predict(FIT_X, batch_size=4, verbose=0, callbacks=[listener])
    params.append(listener.params)
    return listener.events, params


@pytest.mark.parametrize("kwargs", FITS)
def test_events_of_fit(kwargs: Any) -> None:
    """The events come in the order of Keras, with the same numbers, names and params."""
    ours, theirs = _events(cornu, **kwargs), _events(keras, **kwargs)
    assert ours == theirs


# ------------------------------------------------------------------------- with a real model


def fitted(heard: list[Any], optimizer: Any = "sgd", **kwargs: Any) -> Any:
    """A model of one weight, trained for three epochs of two batches."""
    model = cornu.Sequential([cornu.Input((2,)), cornu.layers.Dense(1, "linear", use_bias=False)])
    model.compile(optimizer, "mse", metrics=["mae"])
    kwargs = {"epochs": 3, "batch_size": 5, "shuffle": False, "verbose": 0} | kwargs
    model.fit(FIT_X, FIT_Y, callbacks=heard, **kwargs)
    return model


@pytest.mark.parametrize("swap_on_epoch", [False, True])
def test_swap_ema_weights(swap_on_epoch: bool) -> None:
    """Evaluation sees the averages; with `swap_on_epoch` so do later callbacks."""
    optimizer = cornu.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.5)
    trained, evaluated, after = [], [], []
    listener = callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: trained.append(listener.model.get_weights()[0]),
        on_test_begin=lambda logs: evaluated.append(listener.model.get_weights()[0]),
        on_epoch_end=lambda epoch, logs: after.append(listener.model.get_weights()[0]),
    )
    swap = callbacks.SwapEMAWeights(swap_on_epoch)
    model = fitted([swap, listener], optimizer, validation_data=(FIT_X, FIT_Y))
    averages, average = [], trained[0]
    for step, weight in enumerate(trained):
        average = weight if step == 0 else 0.5 * average + 0.5 * weight
        averages.append(average)
    np.testing.assert_allclose(evaluated, averages[1::2], rtol=1e-5)
    np.testing.assert_allclose(after, averages[1::2] if swap_on_epoch else trained[1::2], rtol=1e-5)
    np.testing.assert_allclose(model.get_weights()[0], averages[-1], rtol=1e-5)
    with pytest.raises(ValueError, match="use_ema"):
        fitted([callbacks.SwapEMAWeights()], validation_data=(FIT_X, FIT_Y))


def test_rates_of_real_optimizers() -> None:
    scheduler = callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2)
    reducer = callbacks.ReduceLROnPlateau("loss", patience=0, min_delta=1e3)
    model = fitted([scheduler, reducer], cornu.optimizers.Adam(0.5))
    rates = model.history.history["learning_rate"]
    np.testing.assert_allclose(rates, [0.25, 0.125, 0.00625], rtol=1e-6)
    decaying = cornu.optimizers.SGD(cornu.optimizers.schedules.ExponentialDecay(0.1, 1, 0.9))
    with pytest.raises(TypeError, match="Received"):
        fitted([callbacks.LearningRateScheduler(lambda epoch: 0.1)], decaying)


def test_the_direction_of_real_metrics() -> None:
    stopper = callbacks.EarlyStopping("val_mae", restore_best_weights=True)
    fitted([stopper], validation_split=0.2)
    assert stopper.watched.mode == "min"


def test_logs_of_batches_are_numbers() -> None:
    kinds = set()
    listener = callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: kinds.update(map(type, logs.values()))
    )
    fitted([listener])
    assert kinds == {float}


def test_training_that_fails_gives_the_terminal_back(monkeypatch: Any) -> None:
    def fail(batch: int, logs: Any) -> None:
        raise KeyboardInterrupt

    terminal(monkeypatch)
    logger = callbacks.ProgbarLogger()
    with pytest.raises(KeyboardInterrupt):
        fitted([logger, callbacks.LambdaCallback(on_train_batch_end=fail)], verbose=1)
    assert progress_module._shown is None


def test_lines_of_fit_evaluate_predict(capsys: Any) -> None:
    model = fitted([], verbose=2, validation_data=(FIT_X, FIT_Y))
    model.evaluate(FIT_X, FIT_Y, batch_size=5, verbose=1)
    model.predict(FIT_X, batch_size=5, verbose=1)
    lines = [
        re.sub(r" - \d+s - \d+[mu]?s/step - [\d.,]+ samples/s", "", x)
        for x in capsys.readouterr().out.split("\n")
    ]
    number = r"\d\.\d{4}(e-\d\d)?"
    fields = [rf"{name}: {number}" for name in ("loss", "mae", "val_loss", "val_mae")]
    for epoch, line in enumerate(lines[:3], start=1):
        assert sorted(line.split(" - ")[:2]) == ["2/2", f"Epoch {epoch}/3"]
        assert all(re.search(field, line) for field in fields)
    assert re.fullmatch(f"2/2 - {fields[0]} - {fields[1]}", lines[3])
    assert lines[4:] == ["2/2", ""]


def test_samples_in_a_second_are_those_that_there_are(capsys: Any, monkeypatch: Any) -> None:
    """An array may have fewer than a batch."""
    monkeypatch.setattr(progress_module, "format_step_time", lambda seconds, unit: repr(seconds))
    monkeypatch.setattr(progress_module, "format_rate", repr)
    fitted([], verbose=0).predict(FIT_X[:3], verbose=1)
    seconds, rate = capsys.readouterr().out.split(" - ")[-2:]
    assert round(float(seconds) * float(rate.split()[0])) == 3


class Mistaken(callbacks.Callback):
    """Callbacks in which something is wrong, by event."""

    def on_epoch_end(self, epoch: int) -> None:  # type: ignore[override]
        """It takes no logs."""

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        logs["accuracy"]


@pytest.mark.parametrize("event", ["on_epoch_end", "on_train_batch_end"])
def test_a_mistake_in_a_callback_points_at_its_line(event: str) -> None:
    method = getattr(Mistaken, event)
    listener = callbacks.LambdaCallback(**{event: method.__get__(Mistaken())})
    config.enable_traceback_filtering()
    try:
        with pytest.raises((TypeError, KeyError)) as caught:
            fitted([listener], epochs=1)
    finally:
        config.disable_traceback_filtering()
    line = method.__code__.co_firstlineno
    where = f"Raised in the callback Mistaken.{event} ({__file__}:{line})."
    assert caught.value.__notes__ == [where]
    last = caught.traceback[-1].name  # a call that doesn't fit has no frame of its own
    assert last == (event if event == "on_train_batch_end" else "fitted")
