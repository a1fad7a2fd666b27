"""Several steps in one call: the same results, what callbacks see, and when it is done."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import cornu
from cornu import layers, ops, tuning
from cornu.core.state import RepeatedStep
from cornu.data import make_source
from cornu.engines import get, use
from cornu.training import _steps
from cornu.training._batches import Batches
from tests.engines_tested import ENGINES

REPEATING = [name for name in ENGINES if get(name).repeats_steps]

X = np.random.default_rng(0).normal(size=(150, 5)).astype("float32")
Y = np.random.default_rng(1).integers(0, 3, 150).astype("int32")


class Averaging(cornu.Model):
    """A model with a training step of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = layers.Dense(3)
        self.seen = self.add_weight(shape=(), initializer="zeros", trainable=False, name="seen")

    def call(self, x: Any) -> Any:
        return self.dense(x)

    def train_step(self, data: Any) -> Any:
        self.seen.assign(self.seen + ops.sum(data[1]))
        return {**super().train_step(data), "seen": self.seen + 0.0}


def drawing() -> Any:
    """A model that draws: from a seed of its own, and without one."""
    return cornu.Sequential(
        [
            layers.Dense(8, activation="relu"),
            layers.BatchNormalization(),
            layers.Dropout(0.3, seed=4),
            layers.GaussianNoise(0.1),
            layers.Dense(3),
        ]
    )


def trained(build: Any, **compiled: Any) -> tuple[list[Any], dict[str, list[float]]]:
    """Weights and history of a short training, whose last batch is smaller."""
    cornu.utils.set_random_seed(3)
    model = build()
    decay = cornu.optimizers.schedules.ExponentialDecay(0.01, 10, 0.9)
    loss = cornu.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(cornu.optimizers.Adam(decay), loss, metrics=["accuracy"], **compiled)
    history = model.fit(
        *(X, Y),
        batch_size=8,
        epochs=3,
        verbose=0,
        validation_data=(X[:40], Y[:40]),
        sample_weight=np.linspace(0.5, 1.5, 150),
    )
    return model.get_weights(), history.history


@pytest.fixture
def in_fours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_steps.Pace, "count", lambda self, left: min(4, left))


@pytest.mark.parametrize("build", [drawing, Averaging])
@pytest.mark.parametrize("name", REPEATING)
def test_several_steps_in_a_call_train_the_same(
    name: str, build: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with use(name):
        single = trained(build)
        monkeypatch.setattr(_steps.Pace, "count", lambda self, left: min(4, left))
        for compiled in ({}, {"steps_per_execution": 4}, {"steps_per_execution": "auto"}):
            several = trained(build, **compiled)
            for ours, theirs in zip(several[0], single[0], strict=True):
                np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
            assert several[1].keys() == single[1].keys()
            for key, values in single[1].items():
                np.testing.assert_allclose(several[1][key], values, rtol=1e-5)


class Listener(cornu.callbacks.Callback):
    """What is told of batches."""

    def __init__(self, sees_each_batch: bool) -> None:
        super().__init__()
        self.sees_each_batch = sees_each_batch
        self.seen: list[int] = []

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.seen.append(batch)


@pytest.mark.usefixtures("in_fours")
@pytest.mark.parametrize(
    ("each", "per_execution", "seen"),
    [
        (True, 1, list(range(10))),
        (False, 1, [3, 7, 8, 9]),
        (True, "auto", [3, 7, 8, 9]),
        (True, 4, [3, 7, 11]),
    ],
)
def test_what_callbacks_see(each: bool, per_execution: Any, seen: list[int]) -> None:
    model = cornu.Sequential([layers.Dense(3)])
    model.compile("sgd", "mse", steps_per_execution=per_execution)
    listener = Listener(each)
    with use("jax"):
        model.fit(X[:75], X[:75, :3], batch_size=8, verbose=0, callbacks=[listener])
    assert listener.seen == seen


@pytest.mark.parametrize(
    ("callback", "each"),
    [
        (cornu.callbacks.History(), False),
        (cornu.callbacks.ProgbarLogger(), False),
        (cornu.callbacks.ModelCheckpoint("a.keras"), False),
        (cornu.callbacks.ModelCheckpoint("a.keras", save_freq=5), True),
        (cornu.callbacks.TerminateOnNaN(), True),
        (cornu.callbacks.LambdaCallback(on_train_batch_end=print), True),
        (cornu.callbacks.LambdaCallback(on_epoch_end=print), False),
    ],
    ids=lambda x: type(x).__name__,
)
def test_who_sees_each_batch(callback: Any, each: bool) -> None:
    assert cornu.callbacks.CallbackList([callback]).sees_each("train") is each


@pytest.mark.usefixtures("in_fours")
def test_steps_that_fail_together_run_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def fail(self: Any, *args: Any) -> Any:
        calls.append(args)
        raise RuntimeError("no loops here")

    with use("jax"):
        single = trained(drawing, steps_per_execution=1)
        monkeypatch.setattr(RepeatedStep, "__call__", fail)
        several = trained(drawing)
    assert len(calls) == 2  # of training and of validation, once each
    for ours, theirs in zip(several[0], single[0], strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.usefixtures("in_fours")
@pytest.mark.parametrize("name", REPEATING)
def test_an_error_after_tracing_is_raised(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps may have run by then: none runs again."""
    calls: list[Any] = []
    run = RepeatedStep.__call__

    def fails_late(self: Any, *args: Any) -> Any:
        calls.append(run(self, *args))
        if len(calls) == 3:
            raise RuntimeError("out of memory")
        return calls[-1]

    model = cornu.Sequential([layers.Dense(3)])
    model.compile("adam", "mse")
    monkeypatch.setattr(RepeatedStep, "__call__", fails_late)
    with use(name), pytest.raises(RuntimeError, match="out of memory"):
        model.fit(X[:128], X[:128, :3], batch_size=8, verbose=0)
    assert int(model.optimizer.iterations.numpy()) == 12


@pytest.mark.parametrize("jit", [None, True, False])
def test_engines_are_told_of_the_compiler(jit: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """And where it is refused, each step of JAX runs as it is, each of TensorFlow without XLA."""
    given = []
    engine = get("jax")
    compile_step = type(engine).compile

    def told(self: Any, step: Any, state: Any, jit: Any) -> Any:
        given.append(jit)
        return compile_step(self, step, state, jit)

    monkeypatch.setattr(type(engine), "compile", told)
    model = cornu.Sequential([layers.Dense(3)])
    model.compile("sgd", "mse", jit_compile="auto" if jit is None else jit)
    with use(engine):
        model.fit(X[:16], X[:16, :3], batch_size=8, verbose=0)
        model.predict(X[:16], batch_size=8, verbose=0)
    assert given == [jit, jit]


class Clock:
    """A clock that goes on by what is said of each call."""

    def __init__(self) -> None:
        self.now = 0.0

    def perf_counter(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("step", "compiling", "steps", "size", "expected"),
    [
        (100e-6, 0.5, 20_000, 100, 125),  # worth it from the start: 2 s of steps are ahead
        (100e-6, 0.5, 100, 100, 1),  # not yet
        (100e-6, 0.5, 20_000, 2**23, 4),  # of large batches only few
        (0.9e-3, 0.5, 20_000, 100, 52),
        (3e-3, 0.5, 20_000, 100, 1),  # too long for a gain
    ],
)
def test_how_many_steps_run_in_a_call(
    step: float, compiling: float, steps: int, size: int, expected: int, monkeypatch: Any
) -> None:
    clock = Clock()
    monkeypatch.setattr(_steps, "time", clock)

    def call(seconds: float) -> dict[str, Any]:
        clock.now += seconds
        return {"loss": np.zeros(())}

    pace = _steps.Pace(get("jax"))
    pace.begin(steps, 1000, size)
    for i in range(1 + tuning.MEASURED_STEPS):
        assert pace.is_measuring
        assert pace.count(1000) == 1
        pace.timed(call, compiling if i == 0 else step)
    assert not pace.is_measuring
    assert pace.count(1000) == expected
    assert pace.count(expected - 1) == 1


def test_time_is_saved_up_over_calls_of_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    pace = _steps.Pace(get("jax"))
    pace.is_measuring, pace._each, pace._compiling = False, 1e-4, 0.05
    counts = []
    for _ in range(10):
        pace.begin(100, 100, 1)
        counts += [pace.count(100) for _ in range(100)]
    assert counts[0] == 1
    assert counts[-1] == 100
    assert 300 < counts.index(100) < 500


@pytest.mark.parametrize("left", [0, 1, 3])
def test_the_end_of_an_epoch_says_nothing_about_the_next(left: int) -> None:
    pace = _steps.Pace(get("jax"))
    pace.is_measuring, pace._each, pace._compiling = False, 1e-4, 1e-3
    pace.begin(10_000, 100, 1)
    assert pace.count(left) == 1
    assert pace.count(100) == 100


def test_fewer_samples_than_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_steps.Pace, "_is_worth_it", lambda self: not self.is_measuring)
    model = cornu.Sequential([layers.Dense(3)])
    model.compile("sgd", "mse")
    with use("jax"):
        history = model.fit(X[:5], X[:5, :3], epochs=30, verbose=0).history
    assert len(history["loss"]) == 30


@pytest.mark.parametrize("shuffle", [False, True])
def test_stacked_batches_are_those_that_come_one_by_one(shuffle: bool) -> None:
    found = []
    for together in (1, 3):
        cornu.utils.set_random_seed(0)
        source = make_source(X, {"y": Y}, batch_size=16, shuffle=shuffle)
        batches = Batches(source, None, 1)
        batches.together = lambda left, together=together: min(together, left)
        assert batches.first()[0].shape == (16, 5)
        executions = [execution for *_, execution in [*batches, *batches]]
        found.append([batch for execution in executions for batch in execution])
        assert max(map(len, executions)) == together
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_array_equal(ours[0], theirs[0])
        np.testing.assert_array_equal(ours[1]["y"], theirs[1]["y"])


def test_explicit_numbers_of_steps_are_kept() -> None:
    model = cornu.Sequential([layers.Dense(3)])
    model.compile("sgd", "mse", steps_per_execution="auto")
    assert model.get_compile_config()["steps_per_execution"] == "auto"
    for bad in (0, 1.5, "all"):
        with pytest.raises(ValueError, match="steps_per_execution"):
            model.compile("sgd", "mse", steps_per_execution=bad)
