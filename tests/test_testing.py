"""`cornu.testing`: what users write is checked, and each fault is told in words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from cornu import layers, losses, metrics, models, ops, optimizers, testing

X = np.random.default_rng(0).normal(size=(3, 4)).astype("float32")
S = np.random.default_rng(0).normal(size=(2, 5, 4)).astype("float32")


class Scale(layers.Layer):
    """What is right; each class below breaks one thing."""

    def __init__(self, power: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.power = power

    def build(self, input_shape: Any) -> None:
        self.scale = self.add_weight(shape=input_shape[-1:], initializer="ones", name="scale")

    def call(self, inputs: Any) -> Any:
        return inputs * self.scale

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "power": self.power}


class TakesNoName(Scale):
    def __init__(self, power: float = 1.0) -> None:
        super().__init__(power)


class GivesNoTensor(Scale):
    def call(self, inputs: Any) -> Any:
        return "text"


class MakesWeightsInCall(Scale):
    def call(self, inputs: Any) -> Any:
        self.add_weight(shape=(), name="again")
        return inputs * self.scale


class Draws(Scale):
    def call(self, inputs: Any) -> Any:
        return inputs * self.scale + np.random.default_rng().normal()


class SaysAnotherShape(Scale):
    def compute_output_shape(self, input_shape: Any) -> Any:
        return (input_shape[0], 7)


class FixesTheBatch(Scale):
    def call(self, inputs: Any) -> Any:
        return ops.reshape(inputs * self.scale, (3, 4))


class StaysInFloat32(Scale):
    def call(self, inputs: Any) -> Any:
        return ops.cast(inputs, "float32") * self.scale


class ForgetsAnArgument(Scale):
    def get_config(self) -> dict[str, Any]:
        return layers.Layer.get_config(self)


class KeepsStateBeside(Scale):
    def build(self, input_shape: Any) -> None:
        super().build(input_shape)
        self.offset = np.random.default_rng().normal()

    def call(self, inputs: Any) -> Any:
        return inputs * self.scale + self.offset


class StopsGradients(Scale):
    def call(self, inputs: Any) -> Any:
        return inputs * ops.stop_gradient(self.scale)


class BreaksItsMask(Scale):
    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        return None if mask is None else ops.concatenate([mask, mask], axis=1)


class LooksAtValues(Scale):
    def call(self, inputs: Any) -> Any:
        return inputs * self.scale if float(ops.sum(inputs)) > 1e9 else -inputs * self.scale


class UsesNumPy(Scale):
    def call(self, inputs: Any) -> Any:
        return ops.convert_to_tensor(np.tanh(inputs)) * self.scale


#: A class, its inputs, the check that fails, and what it says.
BROKEN: list[tuple[type, Any, str, str]] = [
    (TakesNoName, X, "constructor", r"TypeError: .*'name'.* Let `__init__` take `\*\*kwargs`"),
    (GivesNoTensor, X, "call", "A call gives 'text', which is no tensor"),
    (MakesWeightsInCall, X, "repeated|call", "are made before or while it is built"),
    (Draws, X, "repeated", "A second call gives something else: values differ by up to"),
    (
        SaysAnotherShape,
        X,
        "static shapes",
        r"outputs are \[\(\(3, 7\).*those of values \[\(\(3, 4\)",
    ),
    (FixesTheBatch, X, "unknown batch", r"ValueError|Error: .* A size may be None"),
    (StaysInFloat32, X, "dtype policies", r"'mixed_bfloat16' outputs are \['float32'\]"),
    (ForgetsAnArgument, X, "config", r"`get_config` lacks \['power'\]"),
    (KeepsStateBeside, X, "files", "saved and loaded gives something else"),
    (StopsGradients, X, "training", "No gradient reaches the weight '.*scale.*'"),
    (BreaksItsMask, S, "masks", r"An output \(2, 5, 4\) has a mask \(2, 10\)"),
    (LooksAtValues, X, "static shapes", "Leave `compute_output_shape` out, or let it say"),
]


class OfLowRank(Scale):
    """Of two factors one is 0 at first, so no gradient reaches the other."""

    def build(self, input_shape: Any) -> None:
        size = input_shape[-1]
        self.down = self.add_weight(shape=(size, 2), name="down")
        self.up = self.add_weight(shape=(2, size), initializer="zeros", name="up")

    def call(self, inputs: Any) -> Any:
        return inputs @ self.down @ self.up


#: Layers that are right, if unusual, with their arguments and inputs.
RIGHT: list[tuple[type, dict[str, Any], Any]] = [
    (OfLowRank, {}, X),
    (layers.Dense, {"units": 3, "kernel_initializer": "zeros"}, X),
    (layers.Softmax, {}, S),
    (layers.SpatialDropout1D, {"rate": 0.5}, S),
    (layers.SpectralNormalization, {"layer": layers.Dense(3)}, X),
    (layers.StringLookup, {"vocabulary": ["a", "b"]}, np.array([["a"], ["q"]])),
    (layers.TextVectorization, {"vocabulary": ["a"], "output_mode": "count"}, np.array([["a q"]])),
]


@pytest.mark.parametrize("kind, arguments, inputs", RIGHT, ids=[row[0].__name__ for row in RIGHT])
def test_unusual_layers(kind: type, arguments: dict[str, Any], inputs: Any) -> None:
    testing.check_layer(kind, arguments, inputs, engines=["jax"], skip="export")


def test_an_object_is_no_class() -> None:
    with pytest.raises(TypeError, match=r"Received: <Dense name=.*Pass Dense\."):
        testing.check_layer(layers.Dense(3), {}, X)  # type: ignore[arg-type]


def test_a_layer_that_is_right() -> None:
    testing.check_layer(Scale, {"power": 2.0}, S, engines=["jax", "torch"])
    testing.check_layer(layers.GRU, {"units": 2}, S, engines=["torch"], skip="export")


@pytest.mark.parametrize(
    "kind, inputs, check, text", BROKEN, ids=[row[0].__name__ for row in BROKEN]
)
def test_broken_layers(kind: type, inputs: Any, check: str, text: str) -> None:
    """The fault is told under its check, with what to change."""
    with pytest.raises(
        testing.CheckError, match=rf"(?s){kind.__name__} fails in .*- ({check}): [^\n]*({text})"
    ):
        testing.check_layer(kind, {"power": 2.0}, inputs, engines=["jax"], skip="export")


def test_a_layer_that_draws_has_one_fault() -> None:
    """What it gives can't be compared, and all else is right."""
    testing.check_layer(Draws, {"power": 2.0}, X, engines=["jax"], skip="repeated")


def test_what_is_checked_can_be_chosen() -> None:
    testing.check_layer(
        StaysInFloat32, {"power": 2.0}, X, engines=["jax"], skip=["dtype policies", "export"]
    )
    with pytest.raises(
        ValueError, match=r"Received: \['colour'\]. There are \['constructor', 'call'"
    ):
        testing.check_layer(Scale, {}, X, skip=["colour"])


class OneNumber(losses.Loss):
    def call(self, y_true: Any, y_pred: Any) -> Any:
        return ops.mean(ops.square(y_true - y_pred))


class Rounded(losses.Loss):
    def call(self, y_true: Any, y_pred: Any) -> Any:
        return ops.mean(ops.abs(ops.round(y_pred) - y_true), axis=-1)


class Count(metrics.Metric):
    def __init__(self, start: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.start = start
        self.total = self.add_variable((), "zeros", name="total")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        self.total.assign_add(ops.sum(ops.cast(y_pred, "float32")))

    def result(self) -> Any:
        return self.total + self.start

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "start": self.start}


class NeverForgets(Count):
    def reset_state(self) -> None:
        """Nothing."""


class OnTheHost(Count):
    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        self.total.assign(self.total + float(ops.sum(y_pred)))


class Uphill(optimizers.Optimizer):
    def __init__(self, learning_rate: float = 0.1, **kwargs: Any) -> None:
        super().__init__(learning_rate, **kwargs)

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        self.assign_add(variable, gradient * learning_rate)


class Counts(optimizers.Optimizer):
    """Its steps become smaller by a count that is no variable."""

    def __init__(self, learning_rate: float = 0.1, **kwargs: Any) -> None:
        super().__init__(learning_rate, **kwargs)
        self.count = 0

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        self.count += 1
        self.assign_sub(variable, gradient * learning_rate / self.count)


class Dead(layers.Layer):
    def call(self, inputs: Any) -> Any:
        return ops.stop_gradient(inputs) * 0


def dead() -> Any:
    inputs = layers.Input((4,))
    return models.Model(inputs, Dead()(layers.Dense(2)(inputs)))


def on_one(check: Callable[..., None], *args: Any) -> Callable[[], None]:
    return lambda: check(*args, engines=["jax"])


P = np.abs(X) + 0.1


@pytest.mark.parametrize(
    "run, text",
    [
        (
            on_one(testing.check_loss, OneNumber, {}, X, P),
            r"losses of 3 samples have the shape \(\)",
        ),
        (on_one(testing.check_loss, Rounded, {}, X, P), "No gradient reaches the predictions"),
        (
            on_one(testing.check_metric, NeverForgets, {}, X, P),
            "- reset: State that is reset is not",
        ),
        (on_one(testing.check_metric, OnTheHost, {}, X, P), "look at no value of a tensor"),
        (on_one(testing.check_optimizer, Uphill, {}), r"The loss is .* after twenty steps"),
        (on_one(testing.check_optimizer, Counts, {}), "- state: Loaded, it goes elsewhere"),
        (on_one(testing.check_model, dead, X), "A step of training changes no weight"),
    ],
)
def test_other_faults(run: Callable[[], None], text: str) -> None:
    with pytest.raises(testing.CheckError, match=text):
        run()


def test_what_the_library_has_is_right() -> None:
    engines = ["jax"]
    testing.check_loss(losses.CosineSimilarity, {"axis": -1}, X, P, engines=engines)
    testing.check_metric(Count, {"start": 1.0}, X, P, engines=engines)
    testing.check_metric(metrics.Precision, {}, (X > 0).astype("float32"), P / 3, engines=engines)
    for name in ("Adam", "Lion", "ScheduleFreeAdamW"):
        arguments = {"learning_rate": 0.05}
        testing.check_optimizer(getattr(optimizers, name), arguments, engines=["torch"])
