"""`fit`, `evaluate` and `predict` against Keras: same weights, same data, same curves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import cornu
from tests.training import models_for_fit as m

X, Y = m.draw(40, 6), m.labels(40)
ONE_HOT = m.frozen(np.eye(3, dtype="float32")[Y])
WEIGHTS = m.frozen(np.linspace(0.1, 2, 40).astype("float32"))
SPARSE = "sparse_categorical_crossentropy"
BOTH = {"score": "mse", "kind": SPARSE}


def nothing(k: Any) -> dict[str, Any]:
    return {}


def schedule(k: Any) -> Any:
    return k.optimizers.SGD(k.optimizers.schedules.ExponentialDecay(0.1, 4, 0.5), momentum=0.9)


@dataclass
class Case:
    """A model, its data, and the arguments of `compile` and `fit`, some of them made by `k`."""

    name: str
    build: Callable[[Any], Any] = m.sequential
    x: Any = field(default_factory=lambda: X)
    y: Any = field(default_factory=lambda: Y)
    loss: Any = SPARSE
    compile: Callable[[Any], dict[str, Any]] = nothing
    fit: Callable[[Any], dict[str, Any]] = nothing
    tolerance: float = 1e-4


def two(as_dict: bool, **more: Any) -> dict[str, Any]:
    x, y = m.two_by_two_data(as_dict)
    return {"build": lambda k: m.two_by_two(k, as_dict=as_dict), "x": x, "y": y, **more}


class Batches:
    """Batches by index, for a `PyDataset` of either module."""

    def __new__(cls, k: Any, size: int = 10, first: int = 0, **more: Any) -> Any:
        class Dataset(k.utils.PyDataset):  # type: ignore[misc, name-defined]
            def __len__(self) -> int:
                return 40 // size

            def __getitem__(self, index: int) -> Any:
                index = (index + first) % len(self)
                rows = slice(index * size, (index + 1) * size)
                return X[rows], Y[rows]

        return Dataset(**more)


def forever(size: int = 10) -> Any:
    while True:
        for start in range(0, 40, size):
            yield X[start : start + size], Y[start : start + size]


TOKENS, TOKEN_CLASSES = m.token_data()

CASES = [
    Case("sequential", compile=lambda k: {"metrics": ["accuracy"]}),
    Case("deferred", m.deferred, compile=lambda k: {"metrics": ["acc"], "optimizer": "adam"}),
    Case("functional", m.functional, compile=lambda k: {"metrics": ["accuracy"], "optimizer": "adam"}),
    Case("subclassed", m.subclassed, compile=lambda k: {"metrics": ["accuracy"], "optimizer": "sgd"}),
    Case(
        "convolutional",
        m.convolutional,
        x=m.draw(40, 8, 8, 1),
        compile=lambda k: {"metrics": ["accuracy"], "optimizer": k.optimizers.Adam(0.01)},
    ),
    Case(
        "recurrent with masks",
        m.recurrent,
        x=TOKENS,
        y=TOKEN_CLASSES,
        compile=lambda k: {"metrics": ["accuracy"], "optimizer": "adam"},
    ),
    Case(
        "two by two by name",
        **two(True, loss=BOTH),
        compile=lambda k: {
            "loss_weights": {"score": 0.5, "kind": 2.0},
            "metrics": {"score": ["mae", "mse"], "kind": "accuracy"},
            "weighted_metrics": {"score": ["mae"], "kind": [k.metrics.SparseCategoricalCrossentropy()]},
        },
    ),
    Case(
        "two by two in lists",
        **two(False, loss=["mse", SPARSE]),
        compile=lambda k: {"loss_weights": [1.0, 0.3], "metrics": [["mae"], ["accuracy"]]},
    ),
    Case("one loss for two", **{**two(False, loss="mse"), "y": [m.draw(40, 1), m.draw(40, 3)]}),
    Case("no loss for one", **two(True, loss={"score": "mse", "kind": None})),
    Case(
        "sample weights by output",
        **two(True, loss=BOTH),
        compile=lambda k: {"weighted_metrics": {"score": ["mae"], "kind": ["accuracy"]}},
        fit=lambda k: {"sample_weight": {"score": WEIGHTS, "kind": WEIGHTS[::-1]}},
    ),
    Case("one-hot", y=ONE_HOT, loss="categorical_crossentropy",
         compile=lambda k: {"metrics": ["accuracy", k.metrics.TopKCategoricalAccuracy(2), k.metrics.AUC()]}),
    Case("binary", lambda k: m.sequential(k, 1, "sigmoid"), y=m.labels(40, classes=2),
         loss="binary_crossentropy",
         compile=lambda k: {"metrics": ["accuracy", k.metrics.Precision(), k.metrics.Recall(name="r")]}),
    Case("regression", lambda k: m.sequential(k, 2, "linear"), y=m.draw(40, 2), loss="huber",
         compile=lambda k: {"metrics": ["mae", k.metrics.RootMeanSquaredError()]}),
    Case("function as loss and metric", lambda k: m.sequential(k, 2, "linear"), y=m.draw(40, 2),
         loss=lambda y, p: (y - p) ** 2,
         compile=lambda k: {"metrics": [_largest(k)]}),
    Case("loss from logits", lambda k: m.sequential(k, 3, "linear"), loss=None,
         compile=lambda k: {"loss": k.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="sum")}),
    Case("class weights", compile=lambda k: {"metrics": ["accuracy"], "weighted_metrics": ["accuracy"]},
         fit=lambda k: {"class_weight": {0: 0.2, 1: 3.0}}),
    Case("sample weights", compile=lambda k: {"weighted_metrics": ["accuracy", "mse"][:1]},
         fit=lambda k: {"sample_weight": WEIGHTS}),
    Case("validation split", compile=lambda k: {"metrics": ["accuracy"]}, fit=lambda k: {"validation_split": 0.25}),
    Case("validation data", compile=lambda k: {"metrics": ["accuracy"], "weighted_metrics": ["accuracy"]},
         fit=lambda k: {"validation_data": (X[:9], Y[:9], WEIGHTS[:9]), "validation_batch_size": 4}),
    Case("validation now and then", fit=lambda k: {"validation_data": (X[:9], Y[:9]), "validation_freq": 2}),
    Case("validation at epochs", fit=lambda k: {"validation_data": (X[:9], Y[:9]), "validation_freq": [1, 3]}),
    Case("validation steps",
         fit=lambda k: {"validation_data": (X, Y), "validation_steps": 2, "validation_batch_size": 8}),
    Case("later epochs", fit=lambda k: {"initial_epoch": 1}),
    Case("fewer steps", fit=lambda k: {"steps_per_epoch": 2, "batch_size": 20}),
    Case("steps without a batch size", fit=lambda k: {"steps_per_epoch": 3, "batch_size": None,
                                                       "validation_data": (X, Y), "validation_steps": 7}),
    Case("a part of the data each epoch", fit=lambda k: {"steps_per_epoch": 3, "batch_size": 7}),
    Case("dataset", fit=lambda k: {"x": Batches(k), "y": None, "batch_size": None,
                                   "validation_data": Batches(k, 20)}),
    Case("generator", fit=lambda k: {"x": forever(), "y": None, "batch_size": None, "steps_per_epoch": 3,
                                     "validation_data": forever(20), "validation_steps": 1}),
    Case("several steps in one", fit=lambda k: {"batch_size": 7}, compile=lambda k: {
        "steps_per_execution": 4, "metrics": ["accuracy"]}),
    Case("eager", compile=lambda k: {"run_eagerly": True, "optimizer": "sgd"}, fit=lambda k: {"epochs": 1}),
    Case("penalties", m.penalized, compile=lambda k: {"metrics": ["accuracy"]}),
    Case("penalties only", m.penalized, y=None, loss=None, fit=lambda k: {"y": None}),
    Case("constraints", m.constrained, compile=lambda k: {"optimizer": k.optimizers.SGD(0.5)}),
    Case("schedule", compile=lambda k: {"optimizer": schedule(k)}),
    Case("clipping and averages", compile=lambda k: {
        "optimizer": k.optimizers.Adam(0.1, global_clipnorm=0.1, use_ema=True, ema_momentum=0.5)}),
    Case("accumulated gradients", compile=lambda k: {
        "optimizer": k.optimizers.SGD(0.5, gradient_accumulation_steps=2)}),
    Case("mixed_bfloat16", lambda k: m.sequential(k, dtype="mixed_bfloat16"), tolerance=3e-2),
    Case("mixed_float16", lambda k: m.sequential(k, dtype="mixed_float16"), tolerance=1e-2),
]  # fmt: skip


def _largest(k: Any) -> Any:
    def largest(y: Any, p: Any) -> Any:
        return k.ops.max(k.ops.abs(y - p), axis=-1)

    return largest


def fitted(case: Case, k: Any, model: Any) -> Any:
    compiled = {"optimizer": "rmsprop", "loss": case.loss, **case.compile(k)}
    model.compile(**compiled)
    arguments = {
        "x": case.x, "y": case.y, "batch_size": 16, "epochs": 3, "shuffle": False, "verbose": 0,
        **case.fit(k),
    }  # fmt: skip
    return model.fit(**arguments)


def assert_close(actual: Any, expected: Any, tolerance: float = 1e-4) -> None:
    np.testing.assert_allclose(
        np.asarray(actual, "float64"),
        np.asarray(expected, "float64"),
        rtol=tolerance,
        atol=tolerance,
    )


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_equals_keras(case: Case) -> None:
    ours, theirs = m.twins(case.build, (cornu, keras), case.x)
    history, expected = fitted(case, cornu, ours), fitted(case, keras, theirs)
    assert list(history.history) == list(expected.history)
    assert history.epoch == expected.epoch
    for name, values in expected.history.items():
        assert_close(history.history[name], values, case.tolerance)
    for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        assert_close(a, b, max(case.tolerance, 3e-4))
    evaluated = [k.evaluate(case.x, case.y, batch_size=16, verbose=0) for k in (ours, theirs)]
    assert type(evaluated[0]) is type(evaluated[1])
    if "weighted_accuracy" not in expected.history:  # Keras gives one of the accuracies twice
        assert_close(*evaluated, case.tolerance)
    by_name = [
        k.evaluate(case.x, case.y, batch_size=16, verbose=0, return_dict=True)
        for k in (ours, theirs)
    ]
    assert list(by_name[0]) == list(by_name[1])
    assert_close(list(by_name[0].values()), list(by_name[1].values()), case.tolerance)
    predictions = [k.predict(case.x, batch_size=16, verbose=0) for k in (ours, theirs)]
    assert (
        cornu.tree.flatten_with_path(predictions[0])[-1][0]
        == (keras.tree.flatten_with_path(predictions[1])[-1][0])
    )
    for a, b in zip(*(cornu.tree.flatten(p) for p in predictions), strict=True):
        assert isinstance(a, np.ndarray)
        assert a.dtype == b.dtype
        assert_close(a, b, max(case.tolerance, 3e-4))


def test_batch_methods() -> None:
    ours, theirs = m.twins(m.sequential, (cornu, keras), X)
    for k in (ours, theirs):
        k.compile("adam", SPARSE, metrics=["accuracy"], weighted_metrics=[])
    for start in (0, 10, 20):
        x, y, w = X[start : start + 10], Y[start : start + 10], WEIGHTS[start : start + 10]
        for more in ({}, {"sample_weight": w}, {"class_weight": {0: 2.0, 2: 0.1}}):
            values = [k.train_on_batch(x, y, **more) for k in (ours, theirs)]
            assert_close(*values)
        by_name = [k.train_on_batch(x, y, return_dict=True) for k in (ours, theirs)]
        assert list(by_name[0]) == list(by_name[1])
        assert_close(*(list(logs.values()) for logs in by_name))
        assert_close(*(k.test_on_batch(x, y) for k in (ours, theirs)))
        assert_close(*(k.test_on_batch(x, y, w) for k in (ours, theirs)))
        predictions = [k.predict_on_batch(x) for k in (ours, theirs)]
        assert isinstance(predictions[0], np.ndarray)
        assert_close(*predictions)
    for k in (ours, theirs):
        k.reset_metrics()
    results = [k.test_on_batch(X, Y, return_dict=True) for k in (ours, theirs)]
    assert [type(v) for v in results[0].values()] == [type(v) for v in results[1].values()]
    assert_close(*(list(logs.values()) for logs in results))


def test_loss_alone_is_a_number() -> None:
    ours, theirs = m.twins(m.sequential, (cornu, keras), X)
    for k in (ours, theirs):
        k.compile("sgd", SPARSE)
    for method in ("evaluate", "train_on_batch", "test_on_batch"):
        more = {"verbose": 0} if method == "evaluate" else {}
        values = [getattr(k, method)(X, Y, **more) for k in (ours, theirs)]
        assert type(values[0]) is type(values[1]), method
        assert np.shape(values[0]) == ()
        assert_close(*values)


def test_workers_change_nothing() -> None:
    """With several of them Keras spends the first batch on building, and trains from the second on."""
    ours, theirs = m.twins(m.sequential, (cornu, keras), X)
    start = ours.get_weights()
    fits = {
        "one": (ours, Batches(cornu)),
        "three": (ours, Batches(cornu, workers=3, max_queue_size=2)),
        "from the second on": (ours, Batches(cornu, first=1)),
        "Keras": (theirs, Batches(keras, workers=2)),
    }
    losses = {}
    for name, (model, data) in fits.items():
        model.set_weights(start)
        model.compile("sgd", SPARSE)
        history = model.fit(data, epochs=3, shuffle=False, verbose=0).history
        losses[name] = history["loss"]
    assert losses["one"] == losses["three"]
    assert_close(losses["from the second on"], losses["Keras"], 1e-6)


def test_validation_by_a_generator_sees_the_same_batches() -> None:
    def three() -> Any:
        yield from (batch for _, batch in zip(range(3), forever(), strict=False))

    models = m.twins(m.sequential, (cornu, cornu), X)
    histories = []
    for model, data in zip(models, (three(), (X[:30], Y[:30])), strict=True):
        model.compile("sgd", SPARSE)
        history = model.fit(X, Y, epochs=3, shuffle=False, verbose=0, validation_data=data)
        histories.append(history.history["val_loss"])
    assert_close(*histories, 1e-6)


def test_data_that_ends_too_soon() -> None:
    histories = []
    for k in m.twins(m.sequential, (cornu, keras), X):
        k.compile("sgd", SPARSE)
        with pytest.warns(UserWarning, match="ran out of data|The data ended after 1 of 3 steps"):
            history = k.fit(
                X, Y, batch_size=10, steps_per_epoch=3, epochs=2, shuffle=False, verbose=0
            )
        histories.append(history.history["loss"])
    assert_close(*histories)


def test_callbacks_in_a_fit(tmp_path: Path) -> None:
    """Callbacks that change a training, log it and save the model, all at once."""
    found = []
    for k in m.twins(m.sequential, (cornu, keras), X):
        module = cornu if not found else keras
        folder = tmp_path / module.__name__
        folder.mkdir()
        k.compile(module.optimizers.SGD(2.0, momentum=0.9), SPARSE, metrics=["accuracy"])
        made = module.callbacks
        heard = [
            made.LearningRateScheduler(lambda epoch, rate: rate * 1.1),
            made.ReduceLROnPlateau(patience=1, factor=0.3, min_delta=1e-2),
            made.EarlyStopping(patience=4, restore_best_weights=True, start_from_epoch=1),
            made.CSVLogger(str(folder / "log.csv")),
            made.ModelCheckpoint(str(folder / "best.keras"), save_best_only=True),
            made.ModelCheckpoint(str(folder / "{epoch:02d}.weights.h5"), save_weights_only=True),
            made.TerminateOnNaN(),
        ]
        history = k.fit(
            X, Y, epochs=9, batch_size=8, shuffle=False, verbose=0, validation_split=0.2,
            callbacks=heard,
        )  # fmt: skip
        best = module.models.load_model(folder / "best.keras").get_weights()
        log = np.genfromtxt(folder / "log.csv", delimiter=",", skip_header=1)
        header = (folder / "log.csv").read_text().splitlines()[0]
        files = sorted(path.name for path in folder.iterdir())
        found.append((history.history, history.epoch, k.get_weights(), best, log, header, files))
    (ours, epochs, weights, best, log, *rest), (theirs, epochs_, weights_, best_, log_, *rest_) = (
        found
    )
    assert epochs == epochs_
    assert len(epochs) < 9
    assert list(ours) == list(theirs)
    assert rest == rest_
    for a, b in zip([*ours.values(), *weights, *best, log], [*theirs.values(), *weights_, *best_, log_],
                    strict=True):  # fmt: skip
        assert_close(a, b, 1e-3)
