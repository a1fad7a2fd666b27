"""What a step does besides learning: custom steps, frozen layers, randomness, compilation, memory."""

from __future__ import annotations

import gc
import warnings
import weakref
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

import cornu
from cornu import ops
from tests.training import models_for_fit as m

X, Y = m.draw(40, 6), m.labels(40)
SPARSE = "sparse_categorical_crossentropy"
QUIET = {"shuffle": False, "verbose": 0}


def curve(model: Any, epochs: int = 3, **more: Any) -> list[float]:
    history = model.fit(X, Y, epochs=epochs, batch_size=10, **{**QUIET, **more})
    return [float(value) for value in history.history["loss"]]


def reference(loss: Any = SPARSE) -> tuple[Any, list[float]]:
    """A model before training, and its curve."""
    model = m.sequential(cornu)
    weights = model.get_weights()
    model.compile("sgd", loss)
    losses = curve(model)
    model.set_weights(weights)
    return model, losses


# ------------------------------------------------------------------- custom steps


class ObjectStyle(cornu.Model):
    """A `train_step` that is written with objects."""

    def train_step(self, data: Any) -> dict[str, Any]:
        x, y = data

        def loss() -> Any:
            return self.compute_loss(x, y, self(x, training=True))

        value, gradients = cornu.value_and_grad(loss, self.trainable_variables)()
        self.optimizer.apply(gradients, self.trainable_variables)
        self._loss_tracker.update_state(value, sample_weight=ops.shape(x)[0])
        return {"loss": self._loss_tracker.result()}


class StateStyle(cornu.Model):
    """Keras's form for JAX: a `train_step` that takes and gives all state."""

    def train_step(self, state: Any, data: Any) -> Any:
        import jax

        trainable, non_trainable, optimizer, metrics = state
        x, y = data

        def loss(trainable: Any, non_trainable: Any) -> Any:
            y_pred, non_trainable = self.stateless_call(trainable, non_trainable, x, training=True)
            return self.compute_loss(x, y, y_pred), non_trainable

        (value, non_trainable), gradients = jax.value_and_grad(loss, has_aux=True)(
            trainable, non_trainable
        )
        trainable, optimizer = self.optimizer.stateless_apply(optimizer, gradients, trainable)
        tracker = self.metrics[0]
        metrics = tracker.stateless_update_state(metrics, value, sample_weight=len(x))
        logs = {"loss": tracker.stateless_result(metrics)}
        return logs, (trainable, non_trainable, optimizer, metrics)

    def test_step(self, state: Any, data: Any) -> Any:
        trainable, non_trainable, metrics = state
        x, y = data
        y_pred, non_trainable = self.stateless_call(trainable, non_trainable, x, training=False)
        tracker = self.metrics[0]
        metrics = tracker.stateless_update_state(metrics, self.compute_loss(x, y, y_pred))
        return {"loss": tracker.stateless_result(metrics)}, (trainable, non_trainable, metrics)

    def predict_step(self, state: Any, data: Any) -> Any:
        trainable, non_trainable = state
        y_pred, non_trainable = self.stateless_call(trainable, non_trainable, data[0])
        return y_pred, non_trainable


class OwnLoss(cornu.Model):
    """A `compute_loss` of its own."""

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        return ops.mean(cornu.losses.sparse_categorical_crossentropy(y, y_pred))


class OwnMetrics(cornu.Model):
    """Metrics of its own, updated by its own steps."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.mean_loss = cornu.metrics.Mean(name="loss")
        self.largest = cornu.metrics.MeanMetricWrapper(_largest, name="largest")

    @property
    def metrics(self) -> list[Any]:
        return [self.mean_loss, self.largest]

    def train_step(self, data: Any) -> dict[str, Any]:
        x, y = data

        def loss() -> Any:
            y_pred = self(x, training=True)
            return ops.mean(cornu.losses.sparse_categorical_crossentropy(y, y_pred)), y_pred

        (value, y_pred), gradients = cornu.value_and_grad(
            loss, self.trainable_weights, has_aux=True
        )()
        self.optimizer.apply(gradients, self.trainable_weights)
        self.mean_loss.update_state(value)
        self.largest.update_state(y, y_pred)
        return {metric.name: metric.result() for metric in self.metrics}


def _largest(y: Any, y_pred: Any) -> Any:
    return ops.max(y_pred, axis=-1)


@pytest.mark.parametrize("style", [ObjectStyle, StateStyle, OwnLoss, OwnMetrics])
@pytest.mark.parametrize("eagerly", [False, True], ids=["compiled", "eager"])
def test_custom_steps(style: type, eagerly: bool) -> None:
    model, losses = reference()
    custom = style(model.inputs, model.outputs[0])
    loss = None if style in (OwnLoss, OwnMetrics) else SPARSE
    custom.compile("sgd", loss, run_eagerly=eagerly)
    epochs = 1 if eagerly else 3
    np.testing.assert_allclose(curve(custom, epochs), losses[:epochs], rtol=1e-5)
    if style is not OwnMetrics:
        value = custom.evaluate(X, Y, batch_size=10, verbose=0)
        model.compile("sgd", SPARSE)
        np.testing.assert_allclose(value, model.evaluate(X, Y, verbose=0), rtol=1e-5)
    np.testing.assert_allclose(
        custom.predict(X, verbose=0), model.predict(X, verbose=0), rtol=1e-5, atol=1e-6
    )


def test_a_step_of_both_sequences_and_counters() -> None:
    """Variables that a step writes itself are kept, and metrics a step makes up are logged."""

    class Counting(cornu.Model):
        def __init__(self) -> None:
            super().__init__()
            self.dense = cornu.layers.Dense(3, activation="softmax")
            self.seen = self.add_weight(shape=(), initializer="zeros", trainable=False, name="seen")

        def call(self, x: Any) -> Any:
            return self.dense(x)

        def train_step(self, data: Any) -> dict[str, Any]:
            logs = super().train_step(data)
            self.seen.assign_add(ops.cast(ops.shape(data[0])[0], "float32"))
            return {**logs, "seen": self.seen.value, "pair": {"a": self.seen + 1}}

    model = Counting()
    model.compile("sgd", SPARSE)
    history = model.fit(X, Y, epochs=2, batch_size=10, verbose=0)
    assert history.history["seen"] == [40.0, 80.0]
    assert history.history["a"] == [41.0, 81.0]
    assert float(model.seen.numpy()) == 80


# ----------------------------------------------------------------------- freezing


@pytest.mark.parametrize("when", ["before", "after", "between"])
def test_frozen_layers_do_not_change(when: str) -> None:
    frozen, rest = [], []
    for k in m.twins(m.convolutional, (cornu, keras), m.draw(40, 8, 8, 1)):
        data = (m.draw(40, 8, 8, 1), Y)
        k.layers[0].trainable = k.layers[1].trainable = when != "before"
        k.compile("sgd", SPARSE)
        if when == "between":
            k.fit(*data, **QUIET)
            before = [np.array(w) for w in k.layers[0].get_weights() + k.layers[1].get_weights()]
            k.layers[0].trainable = k.layers[1].trainable = False
            k.compile("sgd", SPARSE)
        elif when == "after":
            k.layers[0].trainable = k.layers[1].trainable = False
            k.compile("sgd", SPARSE)
        if when != "between":
            before = [np.array(w) for w in k.layers[0].get_weights() + k.layers[1].get_weights()]
        k.fit(*data, epochs=2, **QUIET)
        after = k.layers[0].get_weights() + k.layers[1].get_weights()
        for a, b in zip(before, after, strict=True):
            np.testing.assert_array_equal(a, b)
        frozen.append(after)
        rest.append(k.get_weights())
        assert len(k.trainable_variables) == 5
    for a, b in zip(*rest, strict=True):
        np.testing.assert_allclose(a, b, rtol=3e-4, atol=3e-4)


def test_an_output_that_was_frozen_learns_after_a_new_compile() -> None:
    model = m.sequential(cornu)
    model.trainable = False
    model.compile("sgd", SPARSE)
    assert model.evaluate(X, Y, verbose=0) > 0
    model.trainable = True
    model.compile("sgd", SPARSE)
    losses = curve(model)
    assert losses[-1] < losses[0]


@pytest.mark.filterwarnings("ignore:There is nothing to train")
def test_a_frozen_normalization_without_weights_keeps_its_averages() -> None:
    """`trainable` alone makes another step, also of a layer that has nothing to train."""
    models = [
        k.Sequential([k.Input((6,)), k.layers.BatchNormalization(scale=False, center=False)])
        for k in (cornu, keras)
    ]
    for model in models:
        model.compile("sgd", "mse")
        model.fit(X, X, **QUIET)
        before = [np.array(w) for w in model.get_weights()]
        model.layers[0].trainable = False
        model.compile("sgd", "mse")
        model.fit(X, X, **QUIET)
        for old, new in zip(before, model.get_weights(), strict=True):
            np.testing.assert_array_equal(old, new)
    ours = models[0]
    ours.layers[0].trainable = True  # without another `compile`
    ours.fit(X, X, **QUIET)
    assert all((a != b).all() for a, b in zip(before, ours.get_weights(), strict=True))


# --------------------------------------------------------------------- randomness


def dropping() -> Any:
    return cornu.Sequential(
        [cornu.Input((6,)), cornu.layers.Dropout(0.5), cornu.layers.Dense(3, activation="softmax")]
    )


def test_dropout_differs_from_step_to_step() -> None:
    class Recorder(cornu.Model):
        def train_step(self, data: Any) -> dict[str, Any]:
            return {"kept": ops.sum(self.layers[1](ops.ones((4, 50)), training=True) != 0, axis=1)}

    x = cornu.Input((50,))
    model = Recorder(x, cornu.layers.Dropout(0.5)(x))
    model.compile("sgd", "mse")
    kept = []
    log = cornu.callbacks.LambdaCallback(
        on_train_batch_end=lambda _, logs: kept.append(logs["kept"])
    )
    model.fit(m.draw(8, 50), m.draw(8, 50), batch_size=2, epochs=2, verbose=0, callbacks=[log])
    rows = {tuple(np.asarray(row).tolist()) for row in kept}
    assert len(rows) == 8
    assert 0.35 < np.mean(kept) / 50 < 0.65


def test_a_seed_repeats_a_fit() -> None:
    curves = []
    for seed in (5, 5, 6):
        cornu.utils.set_random_seed(seed)
        model = dropping()
        model.compile("adam", SPARSE)
        curves.append(curve(model, 2, shuffle=True))
    assert curves[0] == curves[1]
    assert curves[0] != curves[2]


def test_evaluation_and_prediction_drop_nothing() -> None:
    model = dropping()
    model.compile("sgd", SPARSE)
    first, second = (model.predict(X, verbose=0) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert model.evaluate(X, Y, verbose=0) == model.evaluate(X, Y, verbose=0)


class Noisy(cornu.layers.Layer):
    """A layer that draws in every call."""

    def __init__(self, own: bool) -> None:
        super().__init__()
        self.seed = cornu.random.SeedGenerator(3) if own else None

    def call(self, x: Any) -> Any:
        return x + cornu.random.normal(ops.shape(x), seed=self.seed)


@pytest.mark.parametrize("own", [True, False], ids=["its own seed", "no seed"])
def test_what_draws_in_prediction_draws_anew_each_time(own: bool) -> None:
    """Generators count as constant in `predict` and `evaluate` until a step draws from them."""
    model = cornu.Sequential([cornu.Input((6,)), Noisy(own), cornu.layers.Dropout(0.5)])
    model.compile("sgd", "mse")
    found = [model.predict(X[:4], verbose=0) for _ in range(3)]
    found += [model.predict(X[:4], batch_size=4) for _ in range(2)]
    assert len({array.tobytes() for array in found}) == 5
    assert len({model.evaluate(X, X, verbose=0) for _ in range(3)}) == 3


# -------------------------------------------------------------------- compilation


def test_a_step_compiles_once_a_shape(compilations: Callable[[], int]) -> None:
    model = m.sequential(cornu)
    model.compile("adam", SPARSE, metrics=["accuracy"])
    traced = []
    step = model.train_step
    vars(model)["train_step"] = lambda data: (traced.append(data[0].shape), step(data))[1]
    model.fit(X, Y, batch_size=16, epochs=3, verbose=0)
    assert traced == [(16, 6), (8, 6)]
    compilations()
    model.fit(X, Y, batch_size=16, epochs=2, verbose=0)
    assert traced == [(16, 6), (8, 6)]
    assert compilations() == 0
    model.evaluate(X, Y, batch_size=16, verbose=0)
    compilations()
    model.fit(X, Y, batch_size=16, verbose=0, validation_data=(X, Y), validation_batch_size=16)
    model.evaluate(X, Y, batch_size=16, verbose=0)
    assert compilations() == 0
    model.predict(X, batch_size=16, verbose=0)
    compilations()
    model.predict(X, batch_size=16, verbose=0)
    model.optimizer.learning_rate = 0.5
    model.set_weights([w * 0.5 for w in model.get_weights()])
    model.fit(X, Y, batch_size=16, verbose=0)
    assert compilations() == 0
    assert traced == [(16, 6), (8, 6)]


def test_the_first_fit_compiles_the_step_and_little_else(compilations: Callable[[], int]) -> None:
    model = m.sequential(cornu)
    model.compile("adam", SPARSE, metrics=["accuracy"])
    compilations()
    model.fit(X, Y, batch_size=10, epochs=2, verbose=0)
    assert compilations() <= 3


def test_several_steps_in_one_are_the_same_steps() -> None:
    histories = []
    for per_execution, model in zip((1, 3), m.twins(m.sequential, (cornu, cornu), X), strict=True):
        model.compile("adam", SPARSE, steps_per_execution=per_execution, metrics=["accuracy"])
        model.fit(X, Y, batch_size=6, epochs=2, **QUIET)
        histories.append([*model.get_weights(), model.predict(X, batch_size=6, verbose=0)])
    for a, b in zip(*histories, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


# ------------------------------------------------------------------------- memory


def test_nothing_leaks() -> None:
    import jax

    def train() -> Any:
        model = cornu.Sequential([cornu.Input((6,)), cornu.layers.Dense(3)])
        model.compile("sgd", "mse", run_eagerly=True)
        model.fit(X, m.draw(40, 3), batch_size=20, verbose=0)
        return weakref.ref(model), weakref.ref(model.layers[0].kernel)

    for _ in range(3):
        train()
    gc.collect()
    arrays, objects = len(jax.live_arrays()), len(gc.get_objects())
    references = [reference for _ in range(30) for reference in train()]
    gc.collect()
    assert [reference() for reference in references] == [None] * len(references)
    assert len(jax.live_arrays()) <= arrays + 2
    assert len(gc.get_objects()) <= objects + 1000


def test_a_compiled_model_is_let_go_of() -> None:
    model = m.sequential(cornu)
    model.compile("sgd", SPARSE)
    model.fit(X, Y, verbose=0)
    model.predict(X, verbose=0)
    reference = weakref.ref(model)
    del model
    gc.collect()
    assert reference() is None


# --------------------------------------------------------------------- bad numbers


def test_a_loss_that_is_nan_is_said() -> None:
    model = m.sequential(cornu)
    model.compile("sgd", SPARSE)
    x = np.array(X)
    x[3, 2] = np.nan
    with pytest.warns(UserWarning, match="The loss is NaN after epoch 1"):
        model.fit(x, Y, verbose=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = m.sequential(cornu)
        model.compile("sgd", SPARSE)
        model.fit(x, Y, verbose=0, callbacks=[cornu.callbacks.TerminateOnNaN()])
