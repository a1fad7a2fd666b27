"""Short batches of evaluation and prediction are filled up: nothing is compiled, and the values stay."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from cornu import layers, losses, metrics, ops
from cornu.core import tree
from cornu.core.keras_tensor import KerasTensor
from cornu.core.scopes import here, within
from cornu.engines import get, use
from cornu.engines.samples import SAMPLES, keeps_apart
from cornu.models import Model, Sequential
from cornu.training._padding import Padding, with_mask

NUMBERS = np.random.default_rng(0)
X = NUMBERS.random((10, 6), "float32")
IMAGES = NUMBERS.random((10, 8, 8, 3), "float32")
TOKENS = NUMBERS.integers(0, 5, (10, 7))
CLASSES = NUMBERS.integers(0, 6, 10)
ONE_HOT = np.eye(6, dtype="float32")[CLASSES]
WEIGHTS = NUMBERS.random(10, "float32")


@pytest.fixture
def padded(monkeypatch: Any) -> Iterator[list[bool]]:
    """Whether batches may be filled up, as found; on NumPy too, where that is of no use."""
    found: list[bool] = []
    allows = Padding.allows

    def told(self: Padding, data: Any) -> bool:
        found.append(allows(self, data))
        return found[-1]

    monkeypatch.setattr(Padding, "allows", told)
    monkeypatch.setattr(type(get("numpy")), "compiles", True)
    with use("numpy"):
        yield found


def plain(monkeypatch: Any, call: Callable[[], Any]) -> Any:
    """What a call gives without filling up."""
    with monkeypatch.context() as patched:
        patched.setattr(Padding, "allows", lambda self, data: False)
        return call()


def functional(shape: tuple[int, ...], f: Callable[[Any], Any], **kwargs: Any) -> Any:
    inputs = layers.Input(shape, **kwargs)
    return Model(inputs, f(inputs))


#: The model and its data.
APART: dict[str, tuple[Callable[[], Any], Any]] = {
    "dense": (lambda: Sequential([layers.Dense(3, "softmax"), layers.Dropout(0.5)]), X),
    "images": (
        lambda: Sequential(
            [
                layers.Conv2D(4, 3, padding="same"),
                layers.BatchNormalization(),
                layers.MaxPooling2D(),
                layers.DepthwiseConv2D(3),
                layers.GroupNormalization(2),
                layers.Conv2DTranspose(2, 2),
                layers.AveragePooling2D(2),
                layers.Flatten(),
            ]
        ),
        IMAGES,
    ),
    "sequences": (
        lambda: Sequential(
            [
                layers.Embedding(5, 4, mask_zero=True),
                layers.LSTM(3, return_sequences=True),
                layers.Bidirectional(layers.GRU(3, return_sequences=True)),
                layers.TimeDistributed(layers.Dense(2)),
                layers.LayerNormalization(),
                layers.GlobalAveragePooling1D(),
            ]
        ),
        TOKENS,
    ),
    "attention": (
        lambda: functional((8, 6), lambda x: layers.MultiHeadAttention(2, 3)(x, x) + x * 2),
        NUMBERS.random((10, 8, 6), "float32"),
    ),
    "ops": (
        lambda: functional(
            (6,),
            lambda x: ops.concatenate([ops.cumsum(x, 1), ops.reshape(x, (-1, 2, 3))[:, :, 0]], -1),
        ),
        X,
    ),
    "two inputs and outputs": (
        lambda: Model(
            inputs := {"a": layers.Input((6,)), "b": layers.Input((6,))},
            [inputs["a"] @ ops.ones((6, 2)), ops.max(inputs["b"], axis=-1, keepdims=True)],
        ),
        {"a": X, "b": X},
    ),
}


@pytest.mark.parametrize("name", APART)
def test_predictions(name: str, padded: list[bool], monkeypatch: Any) -> None:
    make, x = APART[name]
    model = make()
    found = model.predict(x, batch_size=4, verbose=0)
    assert padded == [True]
    expected = plain(monkeypatch, lambda: model.predict(x, batch_size=4, verbose=0))
    for a, b in zip(tree.flatten(found), tree.flatten(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(
    "f", [lambda x: ops.reshape(x, (-1, 2)), lambda x: [x, ops.repeat(x, 2, 0)]]
)
def test_several_rows_for_a_sample(f: Any, padded: list[bool]) -> None:
    model = functional((6,), f)
    found = [len(y) for y in tree.flatten(model.predict(X, batch_size=4, verbose=0))]
    assert (padded, found) in (([False], [30]), ([False], [10, 20]))


def test_what_is_on_its_device_counts_as_a_whole(monkeypatch: Any) -> None:
    with use("jax"):
        model = functional((6,), layers.Dense(1))
        model.compile("sgd", "mse")
        expected = model.evaluate(X, X[:, :1], batch_size=4, verbose=0)
        monkeypatch.setattr(type(get("jax")), "is_far", True)
        found = model.evaluate(X, X[:, :1], batch_size=4, verbose=0)
    assert found == pytest.approx(expected) != 0


class Own(layers.Layer):
    def call(self, x: Any) -> Any:
        return x


class OwnModel(Model):
    def call(self, x: Any) -> Any:
        return x


def squared(y_true: Any, y_pred: Any) -> Any:
    return ops.mean(ops.square(y_true - y_pred), axis=-1)


MIXING: dict[str, Callable[[], Any]] = {
    "batch statistics": lambda: functional(
        (6,), lambda x: layers.BatchNormalization()(x, training=True)
    ),
    "noise": lambda: functional((6,), lambda x: layers.Dropout(0.5)(x, training=True)),
    "a mean": lambda: functional((6,), lambda x: x - ops.mean(x, axis=0)),
    "the size": lambda: functional((6,), lambda x: x * ops.sum(ops.ones_like(x))),
    "a softmax": lambda: functional((6,), layers.Softmax(axis=0)),
    "another order": lambda: functional((6,), lambda x: ops.flip(x, axis=0)),
    "backwards": lambda: functional((6,), lambda x: x[::-1]),
    "sums": lambda: functional((6,), lambda x: ops.cumsum(x, axis=0)),
    "sorted": lambda: functional((6,), lambda x: ops.sort(x, axis=0)),
    "a row": lambda: functional((6,), lambda x: x + x[:1]),
    "products": lambda: functional((6,), lambda x: x @ ops.transpose(x) @ x),
    "twice": lambda: functional((6,), lambda x: ops.concatenate([x, x], axis=0)),
    "picked": lambda: functional((6,), lambda x: ops.take(x, ops.cast(x[:, 0], "int32"), axis=0)),
    "einsum": lambda: functional((6,), lambda x: ops.einsum("bi,cj->bj", x, x)),
    "reshaped": lambda: functional((6,), lambda x: ops.reshape(ops.transpose(x), (-1, 6))),
    "state": lambda: Sequential(
        [layers.Input(batch_shape=(2, 3, 2)), layers.LSTM(2, stateful=True)]
    ),
    "a layer of the user's": lambda: Sequential([Own()]),
    "a function of the user's": lambda: Sequential([layers.Lambda(lambda x: x)]),
    "an activation of the user's": lambda: Sequential([layers.Dense(2, lambda x: x)]),
    "a model of the user's": OwnModel,
    "a regularizer": lambda: Sequential([layers.ActivityRegularization(0.1)]),
}


@pytest.mark.parametrize("name", MIXING)
def test_what_mixes_samples_stays_as_it_is(name: str, padded: list[bool], monkeypatch: Any) -> None:
    x = X.reshape(10, 3, 2) if name == "state" else X
    MIXING[name]().predict(x, batch_size=2 if name == "state" else 4, verbose=0)
    assert padded in ([False], [])


def test_why_it_can_not_be_told(caplog: Any) -> None:
    with caplog.at_level("INFO", "cornu"):
        assert keeps_apart(lambda: ops.mean([1.0]) / [][0]) is None
        assert "list index out of range" in caplog.text
        caplog.clear()
        assert keeps_apart(lambda x: ops.flip(x, axis=0), KerasTensor((SAMPLES, 2))) is None
        assert not caplog.text


def made(module: Any, base: type) -> list[str]:
    found = [name for name, kind in vars(module).items() if inspect.isclass(kind)]
    return [n for n in found if issubclass(getattr(module, n), base) and not n.startswith("_")]


def of_classes(name: str) -> bool:
    return name.startswith("Sparse") or name == "CategoricalGeneralizedCrossEntropy"


LOSSES = [
    name
    for name in made(losses, losses.Loss)
    if name not in ("Loss", "LossFunctionWrapper", "CTC", "Circle")
]


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("weighted", [False, True])
def test_losses(name: str, weighted: bool, padded: list[bool], monkeypatch: Any) -> None:
    y = CLASSES if of_classes(name) else ONE_HOT
    model = Sequential([layers.Input((6,)), layers.Softmax()])
    model.compile(loss=getattr(losses, name)(), weighted_metrics=["mse" if y is ONE_HOT else "acc"])
    given = {"sample_weight": WEIGHTS} if weighted else {}

    def evaluated() -> Any:
        return model.evaluate(X, y, batch_size=4, verbose=0, **given)

    found = evaluated()
    np.testing.assert_allclose(found, plain(monkeypatch, evaluated), rtol=2e-6)
    assert padded[0] == (name not in ("Dice", "Tversky"))


METRICS = [
    name
    for name in made(metrics, metrics.Metric)
    if name not in ("Metric", "MeanMetricWrapper", "Mean", "Sum")
]
ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "SensitivityAtSpecificity": (0.5,),
    "SpecificityAtSensitivity": (0.5,),
    "PrecisionAtRecall": (0.5,),
    "RecallAtPrecision": (0.5,),
    "IoU": (6, [0, 2]),
    "MeanIoU": (6,),
    "OneHotIoU": (6, [0, 2]),
    "OneHotMeanIoU": (6,),
    "BinaryIoU": ([0, 1],),
}


def filled(x: Any, count: int) -> Any:
    return np.concatenate([x[:count], np.repeat(x[count - 1 : count], 10 - count, axis=0)])


@pytest.mark.parametrize("weight", [None, np.arange(10) % 3])
@pytest.mark.parametrize("name", METRICS)
def test_metrics(name: str, weight: Any, padded: list[bool]) -> None:
    labels, count = of_classes(name) or name in ("IoU", "MeanIoU"), 7
    y: Any = CLASSES if labels else X if name == "R2Score" else ONE_HOT
    y_pred = CLASSES[::-1] if name in ("IoU", "MeanIoU") else ONE_HOT[::-1] * 0.5 + X / 2
    results = []
    for pad in (False, True):
        metric = getattr(metrics, name)(*ARGUMENTS.get(name, ()))
        values = [filled(v, count) if pad else v[:count] for v in (y, y_pred)]
        weights = None if weight is None else filled(weight, count)[: None if pad else count]
        with within(here.counted, count if pad else None):
            values[1] = with_mask(ops.convert_to_tensor(values[1]))
            metric.update_state(*values, sample_weight=weights)
        results.append(metric.result())
    np.testing.assert_allclose(results[1], results[0], rtol=2e-6)


@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "sum", "mean_with_sample_weight"])
@pytest.mark.parametrize("shape", [(10, 1), (10, 6), (10, 3, 6), (10, 2, 2, 6)])
@pytest.mark.parametrize("weighted", [False, True])
def test_masks_of_samples(shape: Any, weighted: bool, reduction: str, padded: list[bool]) -> None:
    """Of losses of any rank, whose weights are matched from the last axis."""
    y, y_pred = NUMBERS.random((2, *shape), "float32")
    loss = losses.MeanSquaredError(reduction=reduction)
    weight = NUMBERS.random((10, *[1] * (len(shape) - 2)), "float32") if weighted else None
    parts = [None if v is None else v[:7] for v in (y, y_pred, weight)]
    expected = loss(*parts)
    parts = [None if v is None else filled(v, 7) for v in (y, y_pred, weight)]
    with within(here.counted, 7):
        found = loss(parts[0], with_mask(ops.convert_to_tensor(parts[1])), parts[2])
    np.testing.assert_allclose(found, expected, rtol=2e-6)


def test_what_is_compiled(caplog: Any) -> None:
    """Two steps for training, one for evaluation, one for prediction."""
    y = ONE_HOT
    with use("jax"), caplog.at_level("INFO", "cornu"):
        model = Sequential([layers.Input((6,)), layers.Dense(6, "softmax")])
        model.compile("sgd", "categorical_crossentropy", metrics=["acc", "auc"])

        def compiled(call: Callable[[], Any]) -> list[str]:
            caplog.clear()
            call()
            return [text for text in caplog.messages if " compiled in " in text]

        fit = {"batch_size": 4, "verbose": 0, "epochs": 3}
        made = compiled(lambda: model.fit(X, y, validation_data=(X, y), **fit))
        assert len(made) == 3 and sum("again, for argument 0" in text for text in made) == 1
        batches = [(X[i : i + 4], y[i : i + 4]) for i in (0, 4, 8)]
        assert not compiled(lambda: model.evaluate(iter(batches), verbose=0))
        assert not compiled(lambda: model.evaluate(X, y, batch_size=4, verbose=0))
        assert len(compiled(lambda: model.predict(X, batch_size=4, verbose=0))) == 1
        assert not compiled(lambda: model.predict(X[:7], batch_size=4, verbose=0))


def test_several_steps_in_a_call(monkeypatch: Any) -> None:
    with use("jax"):
        model = Sequential([layers.Input((6,)), layers.Dense(6, "softmax")])
        model.compile(loss="categorical_crossentropy", metrics=["acc"], steps_per_execution=2)

        def results() -> list[float]:
            return model.evaluate(X, ONE_HOT, batch_size=3, verbose=0)

        np.testing.assert_allclose(results(), plain(monkeypatch, results), rtol=1e-6)
