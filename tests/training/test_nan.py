"""A NaN names the operation and the layer that made it, and leaves the model as it was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cornu
from cornu import layers, ops
from cornu.utils import find_nan
from tests.engines_tested import ENGINES
from tests.training import models_for_fit as m

X, Y = m.draw(8, 4), m.draw(8, 1, seed=1)


class Log(layers.Layer):
    """NaN forward."""

    def call(self, x: Any) -> Any:
        return ops.log(x - 9)


class Root(layers.Layer):
    """NaN backward: infinity times 0."""

    def call(self, x: Any) -> Any:
        return ops.add(ops.sqrt(x * 0), x)


class Native(layers.Layer):
    """NaN forward, by the library's own functions."""

    def call(self, x: Any) -> Any:
        return (x - 9) ** 0.5


class Nested(cornu.Model):
    """A model in which a block has the layer in question."""

    def __init__(self, inner: Any) -> None:
        super().__init__(name="net")
        self.block = cornu.Sequential([layers.Dense(3), inner, layers.Dense(2)], name="block")
        self.head = layers.Dense(1)

    def call(self, x: Any) -> Any:
        return self.head(self.block(x))


def functional(inner: Any) -> Any:
    x = cornu.Input((4,))
    return cornu.Model(x, layers.Dense(1)(inner(layers.Dense(3)(x))))


#: What makes a NaN, and the way, the operation and the layer that are told.
MAKERS: dict[str, tuple[Any, tuple[str, str | None, str]]] = {
    "forward": (lambda: Log(name="odd"), ("forward", "log", "odd")),
    "backward": (lambda: Root(name="odd"), ("backward", "sqrt", "odd")),
    "native": (lambda: Native(name="odd"), ("forward", None, "odd")),
}


@pytest.mark.filterwarnings("ignore:(invalid value|divide by zero):RuntimeWarning")
@pytest.mark.parametrize("make", [functional, Nested])
@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("engine", ENGINES)
def test_training_says_where_a_nan_is_made(
    engine: str, name: str, make: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    if (engine, name) == ("pytensor", "backward"):
        pytest.skip("PyTensor's gradients are graphs, which have no values on their way")
    inner, expected = MAKERS[name]
    with cornu.backend.use(engine):
        model = make(inner())
        model(X)
        before = model.get_weights()
        model.compile(cornu.optimizers.Adam(), "mse", metrics=["mae"])
        stopper = cornu.callbacks.TerminateOnNaN(locate=True)
        model.fit(X, Y, batch_size=4, epochs=2, verbose=0, callbacks=[stopper])
        found = stopper.origin
        assert (found.way, found.operation) == expected[:2] and found.layer.endswith(expected[2])
        assert str(found) in capsys.readouterr().out
        for a, b in zip(before, model.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)
        assert int(model.optimizer.iterations) == 0


def test_what_was_wrong_before_the_step() -> None:
    bad = np.array(X)
    bad[5, 2] = np.nan
    for data, weight, way in ((bad, 1.0, "data"), (X, np.nan, "weights")):
        model = cornu.Sequential([cornu.Input((4,)), layers.Dense(1, name="one")])
        model.compile("sgd", "mse", steps_per_execution=2)
        model.set_weights([w * weight for w in model.get_weights()])
        stopper = cornu.callbacks.TerminateOnNaN(raise_error=True, locate=True)
        with pytest.raises(RuntimeError, match=f"The {way} had NaN before the step"):
            model.fit(data, Y, batch_size=4, shuffle=False, verbose=0, callbacks=[stopper])


def test_a_step_of_ones_own() -> None:
    """Nothing changes, and what is no layer has the name of the loss, and the line of the user."""

    class Ratio(cornu.Loss):
        def call(self, y_true: Any, y_pred: Any) -> Any:
            return ops.divide(ops.sum(y_true) * 0, ops.sum(y_pred) * 0)

    weight = cornu.Variable(np.ones(2))
    optimizer = cornu.optimizers.SGD()

    def step() -> None:
        loss = cornu.value_and_grad(lambda: Ratio(name="ratio")(weight, weight), [weight])
        optimizer.apply(loss()[1], [weight])

    found = find_nan(step)
    assert found is not None and found.within == "Ratio 'ratio'" and found.operation == "divide"
    assert "test_nan.py" in str(found.line) and weight.numpy().tolist() == [1, 1]
    assert find_nan(lambda: ops.sqrt(weight)) is None
    infinite = find_nan(lambda: ops.exp(weight * 1000))
    assert infinite is not None and infinite.value == "infinity"


def test_what_optimizers_tell_is_in_the_logs() -> None:
    """As in a custom loop; the list that `train_on_batch` gives stays Keras's."""
    model = m.sequential(cornu)
    model.compile(cornu.optimizers.Adam(log_gradient_norm=True), "sparse_categorical_crossentropy")
    x, y = m.draw(8, 6), m.labels(8)
    history = model.fit(x, y, batch_size=4, epochs=2, verbose=0).history
    assert set(history) == {"loss", "gradient_norm"} and all(history["gradient_norm"])
    assert set(model.train_on_batch(x, y, return_dict=True)) == {"loss", "gradient_norm"}
    assert isinstance(model.train_on_batch(x, y), float)


@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning")  # NumPy says so of infinite losses
@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize("engine", ENGINES)
def test_mixed_precision(engine: str, policy: str) -> None:
    """Both train; a scale that is too large at first is halved, and its overflows are counted."""
    with cornu.backend.use(engine):
        x = cornu.Input((6,))
        y = layers.Dense(3, "softmax", dtype=policy)(layers.Dense(8, "tanh", dtype=policy)(x))
        model = cornu.Model(x, layers.Activation("linear", dtype="float32")(y))
        optimizer = cornu.optimizers.SGD(0.5)
        if policy == "mixed_float16":
            optimizer = cornu.optimizers.LossScaleOptimizer(optimizer, initial_scale=2.0**127)
        model.compile(optimizer, "sparse_categorical_crossentropy")
        logs = model.fit(m.draw(32, 6), m.labels(32), 2, epochs=16, verbose=0).history
        assert logs["loss"][-1] < 0.9 * logs["loss"][0]
        assert {w.dtype for w in model.get_weights()} == {np.dtype("float32")}
        assert ("overflows" in logs) == ("loss_scale" in logs) == (policy == "mixed_float16")
        if policy == "mixed_float16":
            assert logs["overflows"][-1] > 0
            assert logs["loss_scale"][-1] == 2.0 ** (127 - logs["overflows"][-1])


def test_what_optimizers_tell_goes_on_with_a_training(tmp_path: Path) -> None:
    def fit(epochs: int, **more: Any) -> dict[str, Any]:
        cornu.utils.set_random_seed(0)
        model = m.sequential(cornu)
        scaled = cornu.optimizers.LossScaleOptimizer(cornu.optimizers.SGD(), 2.0**127, 2)
        model.compile(scaled, "sparse_categorical_crossentropy")
        x, y = m.draw(8, 6) * 9, m.labels(8)
        model.fit(x, y, batch_size=2, epochs=epochs, shuffle=False, verbose=0, **more)
        history: dict[str, Any] = model.history.history
        return history

    whole = fit(3)
    fit(2, callbacks=[cornu.callbacks.Checkpoint(tmp_path)])
    assert fit(3, resume=tmp_path) == whole and whole["overflows"][-1] > whole["overflows"][0] > 0
