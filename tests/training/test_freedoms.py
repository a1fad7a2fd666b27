"""What programs written for Keras do with a step, its results, a loss and the callbacks."""

from __future__ import annotations

from collections import namedtuple
from typing import Any

import keras
import numpy as np
import pytest

import cornu
from cornu import layers, ops
from cornu.engines import use
from tests.training import models_for_fit as m

X, Y = m.draw(12, 3), m.draw(12, 1)
TWO = namedtuple("TWO", "a b")  # type: ignore[name-match]
QUIET: dict[str, Any] = {"batch_size": 4, "shuffle": False, "verbose": 0}
ENGINES = pytest.mark.parametrize("engine", ["jax", "tensorflow", "torch"])


# -------------------------------------------------------------------- structures


def heads(k: Any, structure: Any) -> Any:
    x = k.Input((3,))
    outputs = [k.layers.Dense(1, name=name)(x) for name in "abc"]
    return k.Model(x, structure(*outputs))


#: The outputs, their losses, their targets and `metrics`.
STRUCTURES: dict[str, tuple[Any, Any, Any, Any]] = {
    "named tuples": (lambda a, b, c: TWO(a, b), TWO("mse", "mae"), TWO(Y, Y), None),
    "a named tuple, in lists": (lambda a, b, c: TWO(a, b), ["mse", "mae"], [Y, Y], [["mae"], None]),
    "a named tuple, by name": (lambda a, b, c: TWO(a, b), {"a": "mse", "b": "mae"}, {"a": Y, "b": Y}, None),
    "a list, in named tuples": (lambda a, b, c: [a, b], TWO("mse", "mae"), TWO(Y, Y), None),
    "deep": (
        lambda a, b, c: {"u": [a, {"v": b}]},
        {"u": ["mse", {"v": "mae"}]},
        {"u": [Y, {"v": Y}]},
        None,
    ),
    "deep, with a named tuple": (
        lambda a, b, c: {"u": [a, TWO(b, c)]},
        {"u": ["mse", TWO("mae", "mse")]},
        {"u": [Y, TWO(Y, Y)]},
        None,
    ),
    "one target of two": (lambda a, b, c: [a, b], ["mse", None], Y, [["mae"], None]),
    "one target of two, in a list": (lambda a, b, c: [a, b], ["mse", None], [Y], None),
    "the other target of two": (lambda a, b, c: [a, b], [None, "mse"], Y, None),
    "one target by name": (lambda a, b, c: {"a": a, "b": b}, {"a": "mse"}, Y, None),
}  # fmt: skip


@pytest.mark.parametrize("name", STRUCTURES)
def test_targets_and_losses_in_structures(name: str) -> None:
    outputs, loss, y, metrics = STRUCTURES[name]
    found = []
    for k, model in zip(
        (cornu, keras), m.twins(lambda k: heads(k, outputs), (cornu, keras), X), strict=True
    ):
        model.compile(k.optimizers.SGD(0.1), loss, metrics=metrics)
        history = model.fit(X, y, epochs=2, **QUIET).history
        found.append((history, np.ravel(model.evaluate(X, y, verbose=0))))
    (ours, evaluated), (theirs, expected) = found
    assert list(ours) == list(theirs)
    for key, values in theirs.items():
        np.testing.assert_allclose(ours[key], values, rtol=1e-4)
    np.testing.assert_allclose(evaluated, expected, rtol=1e-4)


# ----------------------------------------------------------- steps and what they give


class Handing(cornu.Sequential):
    def train_step(self, *args: Any, **kwargs: Any) -> Any:
        return super().train_step(*args, **kwargs)


class LossOfFour(cornu.Sequential):
    def compute_loss(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        return super().compute_loss(x, y, y_pred, sample_weight)


@pytest.mark.parametrize("kind", [Handing, LossOfFour])
def test_methods_of_other_signatures(kind: Any) -> None:
    curves = []
    for cls in (cornu.Sequential, kind):
        cornu.utils.set_random_seed(0)
        model = cls([layers.Dense(1)])
        model.compile("sgd", "mse")
        curves.append(model.fit(X, Y, epochs=2, **QUIET).history["loss"])
    assert curves[0] == curves[1]


#: What a step makes of a loss, and the logs that this means.
RESULTS: dict[str, tuple[Any, list[str]]] = {
    "bare": (lambda loss, model: loss, ["loss"]),
    "tuple": (lambda loss, model: (loss, loss + 1), ["loss", "value_1"]),
    "list of one": (lambda loss, model: [loss], ["loss"]),
    "nothing": (lambda loss, model: None, []),
    "dictionary": (lambda loss, model: {"mine": loss}, ["mine"]),
    "variable": (lambda loss, model: {"mine": model.layers[0].bias}, ["mine"]),
}


class OverData(cornu.Sequential):
    def train_step(self, data: Any) -> Any:
        return self.result(ops.mean(self(data[0])), self)


class OverState(cornu.Sequential):
    def train_step(self, state: Any, data: Any) -> Any:
        result = self.result(ops.sum(state[0][0]), self)
        return state if result is None else (result, state)


@ENGINES
@pytest.mark.parametrize("form", [OverData, OverState])
def test_what_steps_may_give(form: Any, engine: str) -> None:
    with use(engine):
        for result, names in RESULTS.values():
            model = form([cornu.Input((3,)), layers.Dense(1)])
            model.result = result
            model.compile("sgd", "mse")
            history = model.fit(X, Y, **QUIET).history
            assert list(history) == names
            assert all(np.isfinite(values).all() for values in history.values())


class Counted(cornu.metrics.Metric):
    """Its result is its variable."""

    def __init__(self) -> None:
        super().__init__(name="counted")
        self.count = self.add_variable((), "zeros", name="count")

    def update_state(self, y: Any, y_pred: Any, sample_weight: Any = None) -> None:
        self.count.assign_add(1.0)

    def result(self) -> Any:
        return self.count


@ENGINES
def test_a_metric_may_give_its_variable(engine: str) -> None:
    with use(engine):
        model = cornu.Sequential([layers.Dense(1)])
        model.compile("sgd", "mse", metrics=[Counted()])
        assert model.fit(X, Y, epochs=2, **QUIET).history["counted"] == [3.0, 3.0]


class Adversaries(cornu.Model):
    """Two models, each with a step of its own, and nothing to call."""

    def __init__(self) -> None:
        super().__init__()
        self.makes = cornu.Sequential([cornu.Input((3,)), layers.Dense(3)])
        self.judges = cornu.Sequential([cornu.Input((3,)), layers.Dense(1)])

    def train_step(self, data: Any) -> Any:
        def loss() -> Any:
            return ops.mean(ops.square(self.judges(self.makes(data))))

        weights = self.makes.trainable_variables
        value, gradients = cornu.value_and_grad(loss, weights)()
        self.optimizer.apply(gradients, weights)
        return {"g": value}


def test_a_model_of_models_without_a_call() -> None:
    model = Adversaries()
    model.compile("sgd", loss="mse")
    before = model.judges.get_weights()
    losses = model.fit(X, epochs=3, **QUIET).history["g"]
    assert losses[2] < losses[0]
    np.testing.assert_array_equal(before[0], model.judges.get_weights()[0])


# ------------------------------------------------------------------------- callbacks


@pytest.mark.parametrize("generated", [False, True])
@pytest.mark.parametrize("module", [cornu, keras], ids=["ours", "theirs"])
def test_numbers_of_several_steps_in_one(module: Any, generated: bool) -> None:
    """Ten steps by four, as Keras numbers them; logs are dictionaries everywhere."""
    heard: dict[str, list[int]] = {}

    def hear(name: str, number: int, logs: Any) -> None:
        assert isinstance(logs, dict)
        heard.setdefault(name, []).append(number)

    class Hears(module.callbacks.Callback):  # type: ignore[misc]
        def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
            hear("begin", batch, logs)

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            hear("end", batch, logs)

        def on_predict_batch_end(self, batch: int, logs: Any = None) -> None:
            hear("predict", batch, logs)

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            hear("epoch", epoch, logs)

        def on_train_begin(self, logs: Any = None) -> None:
            hear("train", 0, logs)

    model = module.Sequential([module.layers.Dense(1)])
    model.compile("sgd", "mse", steps_per_execution=4)
    x, y = m.draw(19, 3), m.draw(19, 1)
    if generated:
        data = ((x[i : i + 2], y[i : i + 2]) for i in range(0, 20, 2))
        if module is keras:
            pytest.skip("Keras tells of the beginning of a step that never comes")
        model.fit(data, verbose=0, callbacks=[Hears()])
    else:
        model.fit(x, y, batch_size=2, verbose=0, callbacks=[Hears()])
    assert len(model.predict(x, batch_size=2, verbose=0, callbacks=[Hears()])) == 19
    assert heard["begin"] == [0, 4, 8]
    assert heard["end"] == heard["predict"] == [3, 7, 11]
    assert heard["epoch"] == heard["train"] == [0]


UP = (
    "accuracy acc auc AUC precision Precision recall cosine_similarity r2_score "
    "binary_accuracy categorical_accuracy top_k_categorical_accuracy"
)
DOWN = "mse mae mape msle categorical_crossentropy hinge poisson ce kl_divergence"
DIRECTIONS = [(name, np.greater) for name in UP.split()] + [
    (name, np.less) for name in DOWN.split()
]


def test_which_way_is_better_is_known_of_every_metric_by_its_name() -> None:
    targets = np.eye(3, dtype="float32")[[0, 1, 2] * 4]
    for name, better in DIRECTIONS:
        model = cornu.Sequential([layers.Dense(3, "softmax")])
        model.compile("sgd", "mse", metrics=[name])
        stops = [
            cornu.callbacks.EarlyStopping(monitor=name),
            cornu.callbacks.ReduceLROnPlateau(monitor=f"val_{name}"),
        ]
        known = []

        class Looks(cornu.callbacks.Callback):
            def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
                known.extend(stop.monitor_op for stop in stops)  # noqa: B023

        model.fit(X, targets, validation_data=(X, targets), callbacks=[*stops, Looks()], **QUIET)
        assert known == [better, better], name


def test_rates_of_scaled_optimizers() -> None:
    first, rest = cornu.optimizers.SGD(0.1, name="first"), cornu.optimizers.SGD(0.01, name="rest")
    kinds = cornu.optimizers.OptimizerMap(rest, {".*one.*": first})
    model = cornu.Sequential(
        [cornu.Input((3,)), layers.Dense(2, name="one"), layers.Dense(1, name="two")]
    )
    several = cornu.optimizers.MultiOptimizer(kinds)
    model.compile(cornu.optimizers.LossScaleOptimizer(several), "mse")
    halves = cornu.callbacks.LearningRateScheduler(lambda epoch, rate: rate * 0.5)
    history = model.fit(X, Y, epochs=2, callbacks=[halves], **QUIET).history
    np.testing.assert_allclose(history["learning_rate_first"], [0.05, 0.025])
    np.testing.assert_allclose(history["learning_rate_rest"], [0.005, 0.0025])


def test_rates_of_several_optimizers() -> None:
    found = []
    for k in (cornu, keras):
        model = k.Sequential(
            [k.Input((3,)), k.layers.Dense(2, name="one"), k.layers.Dense(1, name="two")]
        )
        first, rest = k.optimizers.SGD(0.1, name="first"), k.optimizers.SGD(0.01, name="rest")
        kinds = (
            k.optimizers.OptimizerMap(rest, {".*one.*": first})
            if hasattr(k.optimizers, "OptimizerMap")
            else None
        )
        if kinds is None:
            pytest.skip("Keras has no map of optimizers here")
        model.compile(k.optimizers.MultiOptimizer(kinds), "mse")
        plateau = k.callbacks.ReduceLROnPlateau(
            monitor="loss", patience=1, factor=0.5, min_delta=9.0
        )
        halves = k.callbacks.LearningRateScheduler(lambda epoch, rate: rate * 0.9)
        history = model.fit(X, Y, epochs=3, callbacks=[halves, plateau], **QUIET).history
        found.append({name: values for name, values in history.items() if "rate" in name})
    assert sorted(found[0]) == sorted(found[1]) == ["learning_rate_first", "learning_rate_rest"]
    for name, values in found[1].items():
        np.testing.assert_allclose(found[0][name], values, rtol=1e-5)


def test_a_progress_bar_of_lists() -> None:
    bar = cornu.utils.Progbar(2, verbose=0)
    for step, value in enumerate(([1.0, 2.0], [3.0, 4.0])):
        bar.update(step + 1, values=[("loss", value)], finalize=False)
    np.testing.assert_array_equal(bar._means()["loss"], [2.0, 3.0])


# ------------------------------------------------------------------------ optimizers


@pytest.mark.parametrize("engine", ["jax", "tensorflow", "torch", "numpy", "pytensor"])
def test_accumulated_gradients_update_when_they_are_due(
    engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By two programs, of which one has no update; a second `fit` goes on from where the first stopped."""
    updates: list[int] = []
    update = cornu.optimizers.Adam._update

    def counted(self: Any, pairs: Any) -> None:
        updates.append(len(pairs))
        update(self, pairs)

    monkeypatch.setattr(cornu.optimizers.Adam, "_update", counted)
    ours, theirs = m.twins(lambda k: m.sequential(k, 1, "linear"), (cornu, keras), m.draw(12, 6))
    with use(engine):
        for k, model in ((cornu, ours), (keras, theirs)):
            model.compile(k.optimizers.Adam(0.1, gradient_accumulation_steps=2), "mse")
            for epochs in (1, 2):
                model.fit(m.draw(12, 6), Y, epochs=epochs, **QUIET)
            model.train_on_batch(m.draw(12, 6)[:4], Y[:4])
        for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)
    compiles = engine not in ("numpy",)
    assert len(updates) == (1 if compiles else 5)


@ENGINES
@pytest.mark.parametrize("scaled", [False, True])
def test_nothing_to_train_is_said_once(engine: str, scaled: bool) -> None:
    with use(engine):
        model = cornu.Sequential([layers.Dense(1, trainable=False)])
        optimizer = cornu.optimizers.SGD()
        if scaled:
            optimizer = cornu.optimizers.LossScaleOptimizer(optimizer)
        model.compile(optimizer, "mse")
        with pytest.warns(UserWarning, match="nothing to train") as said:
            losses = model.fit(X, Y, epochs=2, **QUIET).history["loss"]
    assert losses[0] == losses[1]
    assert len([one for one in said if "nothing to train" in str(one.message)]) == 1
