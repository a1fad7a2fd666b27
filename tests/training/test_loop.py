"""Ends, validation between steps, trials, and the loop that the caller holds."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cornu
from cornu import layers
from cornu.engines import get, use
from tests.engines_tested import ENGINES

X = np.random.default_rng(0).normal(size=(10, 3)).astype("float32")
Y = np.arange(10, dtype="float32")
REPEATING = [name for name in ENGINES if get(name).repeats_steps]


def compiled(**kwargs: Any) -> Any:
    cornu.utils.set_random_seed(1)
    model = cornu.Sequential(
        [cornu.Input((3,)), layers.Dense(4, "relu"), layers.Dropout(0.5), layers.Dense(1)]
    )
    model.compile(cornu.optimizers.Adam(0.1), "mse", metrics=["mae"], **kwargs)
    return model


class Listener(cornu.callbacks.Callback):
    """What is told, by number."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[Any] = []

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.heard.append((batch, "val_loss" in logs))

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.heard.append(("epoch", "val_loss" in logs))

    def on_train_end(self, logs: Any = None) -> None:
        self.heard.append(("end", "val_loss" in logs))


# Five steps an epoch. By arguments: what the callback hears, and what ends training.
LOOPS: list[tuple[dict[str, Any], list[Any], str | None]] = [
    (
        {"max_steps": 7, "epochs": None},
        [*range(5), "epoch", 0, 1, "epoch", "end"],
        "max_steps",
    ),
    ({"max_steps": 5}, [*range(5), "epoch", "end"], "max_steps"),
    ({"max_steps": 9}, [*range(5), "epoch", "end"], None),
    ({"max_time": 1e-9, "epochs": None}, ["end"], "max_time"),
    ({"max_time": timedelta(hours=1)}, [*range(5), "epoch", "end"], None),
    (
        {"epochs": 2, "val_check_interval": 4, "validation_data": (X, Y)},
        [0, 1, 2, (3,), 4, ("epoch",), 0, 1, (2,), 3, 4, ("epoch",), ("end",)],
        None,
    ),
    (
        {"epochs": 2, "val_check_interval": 7, "validation_data": (X, Y)},
        [*range(5), "epoch", 0, (1,), 2, 3, 4, ("epoch",), ("end",)],
        None,
    ),
    (
        {"epochs": 3, "fast_dev_run": True, "validation_data": (X, Y)},
        [0, ("epoch",), ("end",)],
        None,
    ),
    ({"initial_epoch": 2, "epochs": 9, "fast_dev_run": 3}, [0, 1, 2, "epoch", "end"], None),
]


@pytest.mark.parametrize(("arguments", "heard", "ended_by"), LOOPS)
def test_loops(arguments: dict[str, Any], heard: list[Any], ended_by: str | None) -> None:
    model, listener = compiled(), Listener()
    with use("numpy"):
        history = model.fit(X, Y, batch_size=2, verbose=0, callbacks=[listener], **arguments)
    expected = [(*x, True) if isinstance(x, tuple) else (x, False) for x in heard]
    assert listener.heard == expected
    assert history.ended_by == ended_by


@pytest.mark.parametrize(("more", "steps", "validated"), [({}, 10, 3), ({"max_steps": 7}, 7, 2)])
@pytest.mark.parametrize("name", REPEATING)
def test_nothing_happens_within_an_execution(
    name: str, more: dict[str, Any], steps: int, validated: int
) -> None:
    """Several steps in one call end where a validation or the end is due."""
    model, listener = compiled(steps_per_execution=4), Listener()
    more = {"epochs": 2, "val_check_interval": 3, "validation_data": (X, Y), **more}
    with use(name):
        model.fit(X, Y, batch_size=2, verbose=0, callbacks=[listener], **more)
        assert int(model.optimizer.iterations.numpy()) == steps
    assert sum(seen for batch, seen in listener.heard if isinstance(batch, int)) == validated


def test_validation_between_steps_leaves_training_alone() -> None:
    """The metrics of an epoch go on from where they were, and weights are those without validation."""
    found = []
    for more in ({}, {"val_check_interval": 2, "validation_data": (X, Y)}):
        model = compiled()
        with use("jax"):
            history = model.fit(X, Y, batch_size=2, epochs=2, shuffle=False, verbose=0, **more)
        found.append((history.history, model.get_weights()))
    (plain, weights), (validated, others) = found
    assert {key: validated[key] for key in plain} == plain
    assert len(validated["val_mae"]) == 2
    assert [found["step"] for found in history.validations] == [2, 4, 6, 8, 10]
    assert history.validations[1]["mae"] == validated["val_mae"][0]
    for one, other in zip(weights, others, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"max_steps": 0}, "`max_steps` must be a positive integer"),
        ({"max_time": -1}, "`max_time` must be a positive number of seconds"),
        ({"epochs": None}, "Training must have an end"),
        ({"val_check_interval": 3}, "goes with data to validate on"),
        ({"val_check_interval": 0, "validation_data": (X, Y)}, "`val_check_interval` must be"),
        ({"fast_dev_run": -1}, "`fast_dev_run` must be a positive integer"),
    ],
)
def test_refused(arguments: dict[str, Any], match: str) -> None:
    with use("numpy"), pytest.raises(ValueError, match=match):
        compiled().fit(X, Y, verbose=0, **arguments)


def state(model: Any) -> list[Any]:
    """All that training changes."""
    groups = model._state_groups().values()
    return [np.array(variable.numpy()) for group in groups for variable in group]


def unchanged(model: Any, before: list[Any]) -> None:
    for one, other in zip(state(model), before, strict=True):
        np.testing.assert_array_equal(one, other)


class Failing(cornu.callbacks.Callback):
    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if batch == 3:
            raise MemoryError("of the test")


@pytest.mark.parametrize("name", ["jax", "torch", "numpy"])
def test_a_trial_leaves_no_trace(name: str, tmp_path: Path) -> None:
    model = compiled()
    writers = [
        cornu.callbacks.ModelCheckpoint(tmp_path / "a.keras"),
        cornu.callbacks.BackupAndRestore(tmp_path / "b"),
        cornu.callbacks.CSVLogger(tmp_path / "c.csv"),
    ]
    with use(name):
        own = model.fit(X, Y, verbose=0)
        before = state(model)
        more: dict[str, Any] = {"verbose": 0, "batch_size": 2}
        history = model.fit(X, Y, callbacks=writers, fast_dev_run=2, **more)
        unchanged(model, before)
        with pytest.raises(MemoryError):
            model.fit(X, Y, callbacks=[Failing()], fast_dev_run=5, **more)
        unchanged(model, before)
    assert list(tmp_path.iterdir()) == []
    assert len(history.history["loss"]) == 1
    assert model.history is own is not history


def test_nothing_is_saved_within_a_validation() -> None:
    class Saving(cornu.callbacks.Callback):
        kinds: list[str] = []

        def _turn(self, run: Any) -> None:
            self.kinds.append(run.kind)

    with use("numpy"):
        compiled().fit(X, Y, verbose=0, callbacks=[Saving()], validation_data=(X, Y))
    assert Saving.kinds == ["train", "train"]


def test_the_caller_holds_the_loop() -> None:
    """Losses, weights and events are those of `fit`."""
    arguments: dict[str, Any] = {"batch_size": 2, "epochs": 2, "shuffle": False, "verbose": 0}
    found = []
    for held in (True, False):
        model, listener = compiled(), Listener()
        with use("jax"):
            if held:
                steps = list(model.steps(X, Y, callbacks=[listener], **arguments))
                assert [(step.number, step.epoch) for step in steps] == [
                    (number, (number - 1) // 5) for number in range(1, 11)
                ]
                assert steps[-1].logs["loss"] == model.history.history["loss"][-1]
            else:
                model.fit(X, Y, callbacks=[listener], **arguments)
        found.append((listener.heard, model.history.history, state(model)))
    assert found[0][:2] == found[1][:2]
    for one, other in zip(found[0][2], found[1][2], strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_loop_that_is_left() -> None:
    class Closing(cornu.callbacks.Callback):
        closed = False

        def _close(self) -> None:
            self.closed = True

    model, closing = compiled(), Closing()
    with use("numpy"):
        steps = model.to("numpy").steps(X, Y, callbacks=[closing], verbose=0)
        next(steps)
        assert not closing.closed
        steps.close()
        assert closing.closed and list(steps) == []
        with pytest.raises(TypeError, match="unexpected keyword argument 'epoch'"):
            model.steps(X, Y, epoch=2)
