"""Finders of learning rates and batch sizes: what they say, and that the model is as before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cornu
from cornu import layers, optimizers
from cornu.engines import get, use
from tests.training.test_loop import state, unchanged

X = np.random.default_rng(0).normal(size=(64, 3)).astype("float32")
Y = X @ np.array([1.0, -2.0, 3.0], "float32")

OPTIMIZERS: dict[str, Any] = {
    "number": lambda: optimizers.Adam(0.1),
    "schedule": lambda: optimizers.SGD(optimizers.schedules.ExponentialDecay(0.1, 10, 0.5)),
    "scaled": lambda: optimizers.LossScaleOptimizer(optimizers.SGD(0.1)),
}


def linear(optimizer: Any = "sgd") -> Any:
    cornu.utils.set_random_seed(1)
    model = cornu.Sequential([cornu.Input((3,)), layers.Dropout(0.1), layers.Dense(1)])
    model.compile(optimizer, "mse")
    return model


@pytest.mark.parametrize(
    ("name", "kind"), [*(("jax", kind) for kind in OPTIMIZERS), ("torch", "number")]
)
def test_a_learning_rate_is_found_and_nothing_is_left(name: str, kind: str, tmp_path: Path) -> None:
    """Training before and after it is what it would be without."""
    results = []
    for finds in (True, False):
        model = linear(OPTIMIZERS[kind]())
        with use(name):
            history = model.fit(X, Y, verbose=0)
            before = state(model)
            if finds:
                found = model.find_learning_rate(X, Y, batch_size=32, steps=40, lowest=1e-5)
                unchanged(model, before)
                assert model.history is history
            results.append((model.fit(X, Y, epochs=2, verbose=0).history, state(model)))
    assert results[0][0] == results[1][0]
    for one, other in zip(results[0][1], results[1][1], strict=True):
        np.testing.assert_array_equal(one, other)
    assert found.rates[0] == pytest.approx(1e-5)
    assert found.rates == sorted(found.rates) and len(found.rates) == len(found.losses)
    assert 1e-3 < found.suggestion < 1
    assert repr(found) == f"<LearningRates suggestion={found.suggestion}>"
    if kind != "number":  # which diverges before the end
        assert len(found.rates) < 40
    found.plot(tmp_path / "rates.png")
    assert (tmp_path / "rates.png").read_bytes().startswith(b"\x89PNG")


def test_noise_of_tiny_batches_ends_no_sweep() -> None:
    """Losses of one sample differ by thousands of times, while the rates are too low to change anything."""
    with use("numpy"):
        found = linear().find_learning_rate(X, Y, batch_size=1, steps=60, highest=1e-6)
    assert max(found.losses) > 100 * min(found.losses) and len(found.rates) == 60


def test_batch_sizes(tmp_path: Path) -> None:
    model = linear()
    with use("numpy"):
        before = state(model)
        found = model.find_batch_size(X[:41], Y[:41], smallest=4, steps=3)  # no step is a short one
        unchanged(model, before)
    assert (found.sizes, found.largest, found.error) == ([4, 8, 16, 32], 32, None)
    assert found.suggestion in found.sizes and min(found.throughput) > 0
    found.plot(tmp_path / "sizes.png")
    assert (tmp_path / "sizes.png").exists()


class Limited(layers.Layer):
    """A layer that takes batches of a size at most."""

    def call(self, x: Any) -> Any:
        if x.shape[0] is not None and x.shape[0] > 20:
            raise MemoryError("of the test")
        return x


@pytest.mark.parametrize("name", ["jax", "torch", "numpy"])
def test_memory_ends_the_search(name: str) -> None:
    model = cornu.Sequential([cornu.Input((3,)), layers.Dense(4), Limited(), layers.Dense(1)])
    model.compile("adam", "mse")
    with use(name):
        model.fit(X[:8], Y[:8], verbose=0)
        before = state(model)
        found = model.find_batch_size(X, Y, smallest=8, steps=2)
        assert (found.sizes, type(found.error)) == ([8, 16], MemoryError)
        with pytest.raises(ValueError, match="smallest batch must fit"):
            model.find_batch_size(X, Y, smallest=32)
        unchanged(model, before)


def test_an_error_in_the_middle_leaves_the_model_as_it_was() -> None:
    class Breaking(layers.Layer):
        calls = 0

        def call(self, x: Any) -> Any:
            Breaking.calls += 1
            if Breaking.calls > 9:
                raise RuntimeError("of the user")
            return x

    model = cornu.Sequential([cornu.Input((3,)), Breaking(), layers.Dense(1)])
    model.compile(optimizers.Adam(0.1), "mse", run_eagerly=True)
    with use("numpy"):
        model.fit(X[:8], Y[:8], verbose=0)
        before, rate = state(model), model.optimizer._learning_rate
        with pytest.raises(RuntimeError, match="of the user"):
            model.find_learning_rate(X, Y, batch_size=8)
        unchanged(model, before)
    assert model.optimizer._learning_rate is rate


@pytest.mark.parametrize(
    ("call", "kind", "match"),
    [
        (lambda m: m.find_learning_rate(X, Y, lowest=1, highest=1), ValueError, "rates rise"),
        (lambda m: m.find_learning_rate(X, Y, steps=0), ValueError, "`steps` must be"),
        (lambda m: m.find_batch_size(iter([])), TypeError, "cut from arrays"),
        (lambda m: m.find_batch_size(X, Y, smallest=65), ValueError, "smallest batch must fit"),
    ],
)
def test_refused(call: Any, kind: Any, match: str) -> None:
    with use("numpy"), pytest.raises(kind, match=match):
        call(linear())


@pytest.mark.parametrize("name", ["jax", "torch", "numpy"])
def test_engines_know_when_memory_was_not_enough(name: str) -> None:
    engine = get(name)
    with pytest.raises(Exception) as caught:
        engine.full((2**58,), 0.0, "float32")
    assert engine.is_out_of_memory(caught.value)
    assert not engine.is_out_of_memory(ValueError("memory"))


def test_each_step_is_looked_at_as_far_as_there_are_some() -> None:
    model = linear()
    model.compile("sgd", "mse", steps_per_execution=4)
    with use("numpy"):
        assert len(model.find_learning_rate(X, Y, batch_size=8, steps=6, highest=0.1).rates) == 6
        assert model.find_batch_size(X, Y, smallest=32, steps=2).sizes == [32, 64]
        found = model.find_learning_rate(X * np.nan, Y, steps=3)
        assert (found.rates, found.suggestion) == ([], None)
        with pytest.warns(UserWarning, match="The data ended after 2 steps, before `max_steps`"):
            found = model.find_learning_rate(((X, Y) for _ in range(2)), steps=6)
        assert len(found.rates) == 2
