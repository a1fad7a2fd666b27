"""Waiting for data: its share of the time, who says so, and processes that wait for the next validation."""

from __future__ import annotations

import time
from typing import Any
from unittest.mock import Mock, patch

import numpy as np
import pytest
from dataset_for_processes import Slow, Squares

from cornu import layers
from cornu.callbacks import LambdaCallback
from cornu.data import _workers, make_source
from cornu.engines import get, use
from cornu.models import Sequential
from cornu.training._batches import Batches
from tests.engines_tested import ENGINES

X, Y = np.ones((60, 2), "float32"), np.ones((60, 1), "float32")


def model() -> Any:
    made = Sequential([layers.Input((2,)), layers.Dense(1)])
    made.compile("sgd", "mse")
    return made


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("seconds", [0.02, 0.0])
def test_slow_data_is_named(engine: str, seconds: float, capsys: Any, caplog: Any) -> None:
    """Reading that is slower than the steps, and reading that takes no time."""
    shares: list[float] = []
    see = LambdaCallback()
    see.on_epoch_end = lambda epoch, logs: shares.append(see.current_run.waiting)  # type: ignore[method-assign]
    with use(engine), caplog.at_level("INFO", "cornu"):
        model().fit(Slow(seconds), epochs=2, verbose=2, callbacks=[see])
    shown = "waiting for data" in capsys.readouterr().out.splitlines()[1]
    logged = "Data is the bottleneck of epoch 2" in caplog.text
    assert shown == logged == (shares[1] > 0.2) == (seconds > 0)


def shares(data: Any, epochs: int) -> list[float]:
    """The share of each epoch that a step of 20 ms waits for data."""
    found: list[float] = []
    step = LambdaCallback(on_train_batch_end=lambda batch, logs: time.sleep(0.02))
    step.on_epoch_end = lambda epoch, logs: found.append(step.current_run.waiting)  # type: ignore[method-assign]
    model().fit(data, epochs=epochs, verbose=0, callbacks=[step])
    return found


def test_workers_read_ahead_of_a_slow_step() -> None:
    """Eight threads, of which each takes four steps' time for a batch; the first one is waited for."""
    assert shares(Slow(0.08, workers=8), 2)[1] < 0.3


@pytest.mark.soak
@pytest.mark.parametrize("processes", [False, True])
def test_eight_workers_feed_a_step(processes: bool) -> None:
    data = Slow(0.08, steps=300, workers=8, use_multiprocessing=processes)
    found = sorted(shares(data, 3))
    print(found)
    assert found[1] < 0.05


def test_processes_wait_for_the_next_validation(monkeypatch: Any) -> None:
    made = []

    class Counted(_workers.Workers):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            made.append(self)

    monkeypatch.setattr(_workers, "Workers", Counted)
    validation = Squares(workers=1, use_multiprocessing=True)
    model().fit(X, Y, validation_data=validation, epochs=3, verbose=0)
    assert len(made) == 1 and not made[0]._workers


def test_fit_drops_the_remainder() -> None:
    steps: list[int] = []
    see = LambdaCallback(on_train_batch_end=lambda batch, logs: steps.append(batch))
    model().fit(X, Y, batch_size=16, drop_remainder=True, verbose=0, callbacks=[see])
    assert steps == [0, 1, 2]


@pytest.mark.parametrize("engine", ENGINES)
def test_arrays_of_the_host_stay_there(engine: str) -> None:
    """There is no device of its own here: sending costs nothing."""
    found = get(engine)
    x = np.ones(2, "float32")
    assert not found.is_far and found.is_ready(found.convert_to_tensor(x))
    sent = Mock()
    with use(engine), patch.object(type(found), "send", sent):
        assert isinstance(next(iter(Batches(make_source(x), None, 1)))[2][0], np.ndarray)
        with patch.object(type(found), "is_far", True):
            assert next(iter(Batches(make_source(x), None, 1)))[2] == [sent.return_value]
