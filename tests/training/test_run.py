"""The run: its state, and what goes on from there."""

from __future__ import annotations

import itertools
import json
from contextlib import closing
from typing import Any

import numpy as np
import pytest

import cornu
from cornu import layers
from cornu.data import make_source
from cornu.engines import use
from cornu.training import Run
from cornu.training._batches import Batches
from cornu.training._loop import loop

X = np.random.default_rng(0).normal(size=(10, 3)).astype("float32")
Y = np.arange(10, dtype="float32")


class Dataset(cornu.utils.PyDataset):
    """Ten batches of one."""

    def __len__(self) -> int:
        return 10

    def __getitem__(self, index: int) -> Any:
        return X[index : index + 1], Y[index : index + 1]


class Iterable:
    """Ten batches of one, as a loader gives them."""

    def __iter__(self) -> Any:
        return zip(X[:, None], Y[:, None], strict=True)


SOURCES: dict[str, Any] = {
    "arrays": lambda: make_source(X, Y, batch_size=1),
    "shuffled": lambda: make_source(X, Y, batch_size=1, shuffle=True),
    "dataset": lambda: make_source(Dataset()),
    "shuffled dataset": lambda: make_source(Dataset(), shuffle=True),
    "iterable": lambda: make_source(Iterable()),
    "generator": lambda: make_source((X[i % 10, None], Y[i % 10, None]) for i in itertools.count()),
}


def executions(batches: Batches, count: int) -> list[Any]:
    """The numbers and targets of so many executions, each with the state after it."""
    found: list[Any] = []
    while len(found) < count:
        for first, last, group in batches:
            found.append((first, last, [int(y[0]) for _, y in group], batches.state()))
    return found[:count]


@pytest.mark.parametrize(("steps", "together"), [(None, 1), (None, 3), (4, 1), (4, 3), (12, 1)])
@pytest.mark.parametrize("kind", SOURCES)
@pytest.mark.filterwarnings("ignore:The data ended")
def test_reading_goes_on_where_it_was(kind: str, steps: int | None, together: int) -> None:
    if kind == "generator" and steps is None:
        steps = 7
    expected = executions(Batches(SOURCES[kind](), steps, together), 12)
    for done in range(1, 12):
        batches = Batches(SOURCES[kind](), steps, together)
        batches.first()
        batches.restore(expected[done - 1][-1])
        found = executions(batches, 12 - done)
        assert [seen for *seen, _ in found] == [seen for *seen, _ in expected[done:]]


class Watching(cornu.callbacks.Callback):
    """Where the run is at each event."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Any] = []

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.keep()

    def on_test_end(self, logs: Any = None) -> None:
        self.keep()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.keep()

    def keep(self) -> None:
        run = self.current_run
        self.seen.append((run.epoch, run.step, run.total))


def test_callbacks_reach_the_run() -> None:
    model, watching = compiled(), Watching()
    with use("numpy"):
        model.fit(
            X, Y, batch_size=5, epochs=2, callbacks=[watching], validation_data=(X, Y), verbose=0
        )
    epochs = [[(e, 1, 2 * e + 1), *[(e, 2, 2 * e + 2)] * 3] for e in range(2)]
    assert watching.seen == sum(epochs, [])
    assert watching.current_run is None


def compiled() -> Any:
    cornu.utils.set_random_seed(1)
    model = cornu.Sequential(
        [cornu.Input((3,)), layers.Dense(4, "relu"), layers.Dropout(0.5), layers.Dense(1)]
    )
    model.compile(cornu.optimizers.Adam(0.1), "mse", metrics=["mae"])
    return model


@pytest.mark.parametrize("name", ["numpy", "jax"])
def test_a_run_goes_on_where_its_state_was_taken(name: str) -> None:
    """Losses and weights of a run that begins in the middle are those of one that was never left."""

    def run(state: Any = None) -> Any:
        model = compiled()
        made = Run(model, "train", make_source(X, Y, batch_size=3, shuffle=True), epochs=2)
        variables = [v for group in model._state_groups().values() for v in group]
        if state is not None:
            made.restore(json.loads(state[0]))
            for variable, value in zip(variables, state[1], strict=True):
                variable.assign(value)
        found = []
        with closing(loop(made)) as turns:
            for _ in turns:
                values = [variable.numpy() for variable in variables]
                found.append((json.dumps(made.state()), values))
        return found, model.history.history

    with use(name):
        expected, history = run()
        assert len(expected) == 2 * (4 + 1)
        for done in (1, 4, 5, 7):
            found, after = run(expected[done - 1])
            assert [state for state, _ in found] == [state for state, _ in expected[done:]]
            for ours, theirs in zip(found, expected[done:], strict=True):
                for one, other in zip(ours[1], theirs[1], strict=True):
                    np.testing.assert_array_equal(one, other)
            for key, values in after.items():
                assert values == history[key][-len(values) :]
