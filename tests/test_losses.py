"""Losses: Keras's values, dtypes, configs, names and errors."""

from __future__ import annotations

import inspect
import json
import warnings
from typing import Any

import jax
import keras
import numpy as np
import pytest
from keras.src.losses.losses import LossFunctionWrapper as KerasWrapper

from cornu import losses
from cornu.core.keras_tensor import KerasTensor
from cornu.core.masks import get_keras_mask, set_keras_mask
from cornu.core.scopes import SymbolicScope
from tests.comparing import case_name, same_signature

_random = np.random.default_rng(0)


def _softmax(x: np.ndarray) -> np.ndarray:
    return (np.exp(x) / np.exp(x).sum(-1, keepdims=True)).astype("float32")


REAL = _random.normal(size=(2, 4, 3)).astype("float32")
CLASSES = np.array([0, 2, 1, 1], "int32")
MANY = np.array([[0, 2, 1, 1], [2, 2, 0, 1]], "int32")
#: Inputs by kind, as (y_true, y_pred).
INPUTS: dict[str, tuple[np.ndarray, np.ndarray]] = {
    "real": (REAL[0], REAL[1]),
    "real3": (REAL, REAL[::-1] * 2),
    "positive": (np.abs(REAL[0]), np.abs(REAL[1])),
    "integer": ((REAL[0] > 0).astype("int64"), REAL[1]),
    "row": (REAL[0, :, 0], REAL[1, :, :1]),
    "column": (REAL[0, :, :1], REAL[1, :, 0]),
    "broadcast": (REAL[0, :, :1], REAL[1]),
    "signs": (np.sign(REAL[0]), REAL[1]),
    "binary": ((REAL[0] > 0).astype("float32"), _softmax(REAL[1])),
    "binary3": ((REAL > 0).astype("float32"), _softmax(REAL[::-1])),
    "binary logits": ((REAL[0] > 0).astype("float32"), REAL[1] * 4),
    "certain": (np.eye(3, dtype="float32"), np.eye(3, dtype="float32")[::-1].copy()),
    "one-hot": (np.eye(3, dtype="float32")[CLASSES], _softmax(REAL[1])),
    "one-hot logits": (np.eye(3, dtype="float32")[CLASSES], REAL[1] * 4),
    "one-hot axis 1": (
        np.eye(3, dtype="float32")[MANY].transpose(0, 2, 1),
        _softmax(REAL).transpose(0, 2, 1),
    ),
    "classes": (CLASSES, _softmax(REAL[1])),
    "classes column": (CLASSES[:, None], _softmax(REAL[1])),
    "classes logits": (CLASSES, REAL[1] * 4),
    "classes3": (MANY, _softmax(REAL)),
    "classes axis 1": (MANY, _softmax(REAL).transpose(0, 2, 1)),
    "embeddings": (CLASSES, REAL[1] / np.linalg.norm(REAL[1], axis=-1, keepdims=True)),
    "labels": (
        np.array([[1, 2, 0], [1, 1, 2]], "int32"),
        _random.normal(size=(2, 7, 4)).astype("float32"),
    ),
}
REGRESSION = ("real", "real3", "integer", "row", "column", "broadcast", "positive")
#: Class, arguments, kinds of inputs.
ROWS: list[tuple[str, dict[str, Any], tuple[str, ...]]] = [
    ("MeanSquaredError", {}, REGRESSION),
    ("MeanAbsoluteError", {}, REGRESSION),
    ("MeanAbsolutePercentageError", {}, REGRESSION),
    ("MeanSquaredLogarithmicError", {}, REGRESSION),
    ("CosineSimilarity", {}, REGRESSION),
    ("CosineSimilarity", {"axis": 1}, ("real", "real3")),
    ("Huber", {}, REGRESSION),
    ("Huber", {"delta": 0.3}, ("real",)),
    ("LogCosh", {}, REGRESSION),
    ("KLDivergence", {}, ("positive", "one-hot", "certain")),
    ("Poisson", {}, ("positive", "one-hot", "certain")),
    ("Hinge", {}, ("signs", "binary", "real", "integer", "row")),
    ("SquaredHinge", {}, ("signs", "binary", "real", "integer", "row")),
    ("CategoricalHinge", {}, ("one-hot", "signs", "certain")),
    ("Circle", {}, ("embeddings",)),
    ("Circle", {"gamma": 2.0, "margin": 0.1, "remove_diagonal": False}, ("embeddings",)),
    ("BinaryCrossentropy", {}, ("binary", "binary3", "certain")),
    ("BinaryCrossentropy", {"from_logits": True}, ("binary logits",)),
    ("BinaryCrossentropy", {"label_smoothing": 0.3, "axis": 1}, ("binary", "binary3")),
    ("BinaryFocalCrossentropy", {}, ("binary", "binary3", "certain")),
    (
        "BinaryFocalCrossentropy",
        {"apply_class_balancing": True, "alpha": 0.4, "gamma": 1.5, "label_smoothing": 0.1},
        ("binary",),
    ),
    ("BinaryFocalCrossentropy", {"from_logits": True, "axis": 0}, ("binary logits",)),
    ("CategoricalCrossentropy", {}, ("one-hot", "certain")),
    ("CategoricalCrossentropy", {"from_logits": True}, ("one-hot logits",)),
    ("CategoricalCrossentropy", {"label_smoothing": 0.2}, ("one-hot",)),
    ("CategoricalCrossentropy", {"axis": 1}, ("one-hot axis 1",)),
    ("CategoricalFocalCrossentropy", {}, ("one-hot", "certain")),
    (
        "CategoricalFocalCrossentropy",
        {"alpha": [0.1, 0.5, 2.0], "gamma": 1.0, "from_logits": True, "label_smoothing": 0.1},
        ("one-hot logits",),
    ),
    ("CategoricalFocalCrossentropy", {"axis": 1}, ("one-hot axis 1",)),
    ("SparseCategoricalCrossentropy", {}, ("classes", "classes column", "classes3")),
    ("SparseCategoricalCrossentropy", {"from_logits": True}, ("classes logits",)),
    (
        "SparseCategoricalCrossentropy",
        {"ignore_class": 1},
        ("classes", "classes column", "classes3"),
    ),
    ("SparseCategoricalCrossentropy", {"ignore_class": -1}, ("classes",)),
    ("CategoricalGeneralizedCrossEntropy", {}, ("classes", "classes3")),
    ("CategoricalGeneralizedCrossEntropy", {"q": 0.9}, ("classes",)),
    ("CTC", {}, ("labels",)),
    ("Dice", {}, ("binary", "binary3", "row")),
    ("Dice", {"axis": (1, 2)}, ("binary3",)),
    ("Tversky", {}, ("binary", "binary3", "row")),
    ("Tversky", {"axis": -1}, ("binary3",)),
]
CASES = [(name, arguments, kind) for name, arguments, kinds in ROWS for kind in kinds]
CLASSES_OF_LOSSES = sorted({name for name, _, _ in ROWS})


def both(name: str, arguments: dict[str, Any]) -> tuple[Any, Any]:
    return getattr(losses, name)(**arguments), getattr(keras.losses, name)(**arguments)


def assert_same(ours: Any, theirs: Any, tolerance: float = 2e-5) -> None:
    assert str(ours.dtype) == str(theirs.dtype)
    np.testing.assert_allclose(
        np.asarray(ours, "float32"), np.asarray(theirs, "float32"), rtol=tolerance, atol=tolerance
    )


# ---------------------------------------------------------------------- values


@pytest.mark.parametrize("name, arguments, kind", CASES, ids=case_name)
def test_values(name: str, arguments: dict[str, Any], kind: str) -> None:
    ours, theirs = both(name, {**arguments, "reduction": None})
    y_true, y_pred = INPUTS[kind]
    values = ours(y_true, y_pred)
    assert_same(values, theirs(y_true, y_pred))
    ours, theirs = both(name, arguments)
    assert_same(ours(y_true, y_pred), theirs(y_true, y_pred))


@pytest.mark.parametrize("name", ["CategoricalCrossentropy", "CategoricalFocalCrossentropy"])
def test_labels_are_smoothed_over_the_classes_of_any_axis(name: str) -> None:
    last, first = (getattr(losses, name)(axis=axis, label_smoothing=0.3) for axis in (-1, 1))
    y_true, y_pred = INPUTS["one-hot axis 1"]
    moved = (np.moveaxis(y, 1, -1) for y in (y_true, y_pred))
    np.testing.assert_allclose(first(y_true, y_pred), last(*moved), rtol=1e-6)


def test_tversky_weighs_false_positives_by_alpha() -> None:
    y_true = np.array([[1.0, 1.0, 1.0, 0.0]])
    y_pred = np.array([[1.0, 0.0, 0.0, 1.0]])
    loss = losses.Tversky(alpha=0.1, beta=0.9)(y_true, y_pred)
    np.testing.assert_allclose(loss, 1 - 1 / (1 + 0.1 * 1 + 0.9 * 2), rtol=1e-6)


@pytest.mark.parametrize("name, arguments, kinds", ROWS, ids=case_name)
def test_compiled_and_inferred(name: str, arguments: dict[str, Any], kinds: tuple[str]) -> None:
    y_true, y_pred = INPUTS[kinds[0]]
    loss = getattr(losses, name)(**arguments, reduction=None)
    values = loss(y_true, y_pred)
    np.testing.assert_allclose(jax.jit(loss)(y_true, y_pred), values, rtol=1e-5, atol=1e-6)
    specs = [KerasTensor((None, *y.shape[1:]), str(y.dtype)) for y in (y_true, y_pred)]
    with SymbolicScope():
        spec = loss(*specs)
    assert (len(spec.shape), spec.dtype) == (values.ndim, str(values.dtype))
    for inferred, size in zip(spec.shape, values.shape, strict=True):
        assert inferred in (None, size)
    gradient = jax.grad(lambda y: jax.numpy.sum(loss(y_true, y)))(y_pred)
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize("name, arguments, kinds", ROWS, ids=case_name)
def test_functions_in_float16(name: str, arguments: dict[str, Any], kinds: tuple[str, ...]) -> None:
    y_true, y_pred = INPUTS[kinds[0]]
    function = getattr(losses, name)._function.__name__
    if name == "CategoricalGeneralizedCrossEntropy":
        arguments = {"q": 0.5, **arguments}
    if isinstance(arguments.get("alpha"), list):
        arguments = {
            **arguments,
            "alpha": 0.3,
        }  # Keras makes a list float32, whatever the inputs are.
    y_true = y_true if y_true.dtype == "int32" else y_true.astype("float16")
    ours = getattr(losses, function)(y_true, y_pred.astype("float16"), **arguments)
    theirs = getattr(keras.losses, function)(y_true, y_pred.astype("float16"), **arguments)
    assert_same(ours, theirs, 2e-2)


WEIGHTS: dict[str, Any] = {
    "none": None,
    "number": 2.0,
    "samples": np.array([1.0, 0.0, 2.0, 0.5]),
    "zeros": np.zeros(4),
    "column": np.array([[1.0], [0.0], [2.0], [0.5]]),
    "each": np.arange(12.0).reshape(4, 3) / 10,
    "each and an axis": np.arange(12.0).reshape(4, 3, 1) / 10,
    "booleans": np.array([[True], [False], [True], [True]]),
    "along the last axis": np.array([1.0, 2.0, 3.0]),
}
MASKS: dict[str, Any] = {
    "none": None,
    "some": np.array([[1, 1, 0], [0, 0, 0], [1, 1, 1], [0, 1, 0]], bool),
    "all": np.zeros((4, 3), bool),
    "column": np.array([[1], [0], [1], [1]], bool),
}


class Difference(losses.Loss):
    def call(self, y_true: Any, y_pred: Any) -> Any:
        return y_pred - y_true


class KerasDifference(keras.losses.Loss):
    def call(self, y_true: Any, y_pred: Any) -> Any:
        return y_pred - y_true


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("weight", WEIGHTS)
@pytest.mark.parametrize(
    "reduction", ["sum_over_batch_size", "sum", "mean", "mean_with_sample_weight", "none", None]
)
def test_reductions(reduction: str | None, weight: str, mask: str) -> None:
    y_true, y_pred = np.zeros((4, 3), "float32"), jax.numpy.asarray(REAL[0])
    other = jax.numpy.array(y_pred)
    if mask != "none":
        set_keras_mask(y_pred, jax.numpy.asarray(MASKS[mask]))
        keras.src.backend.set_keras_mask(other, jax.numpy.asarray(MASKS[mask]))
    try:
        theirs = KerasDifference(reduction=reduction)(y_true, other, WEIGHTS[weight])
    except (TypeError, ValueError):
        with pytest.raises(ValueError, match="must broadcast with what it weighs"):
            Difference(reduction=reduction)(y_true, y_pred, WEIGHTS[weight])
        return
    assert_same(Difference(reduction=reduction)(y_true, y_pred, WEIGHTS[weight]), theirs)


def test_masks_of_the_loss_and_of_the_predictions_join() -> None:
    y_true, y_pred = INPUTS["classes"]
    loss = losses.SparseCategoricalCrossentropy(ignore_class=1)
    expected = losses.SparseCategoricalCrossentropy()(y_true[1:2], y_pred[1:2])
    prediction = jax.numpy.asarray(y_pred)
    set_keras_mask(prediction, jax.numpy.asarray([False, True, True, False]))
    np.testing.assert_allclose(loss(y_true, prediction), expected, rtol=1e-5)
    values = losses.sparse_categorical_crossentropy(y_true, y_pred, ignore_class=1)
    assert np.asarray(get_keras_mask(values)).tolist() == [True, True, False, False]


def test_classes_along_another_axis() -> None:
    y_true, y_pred = INPUTS["classes axis 1"]
    loss = losses.SparseCategoricalCrossentropy(axis=1, reduction=None)
    last = losses.SparseCategoricalCrossentropy(reduction=None)(y_true, y_pred.transpose(0, 2, 1))
    np.testing.assert_allclose(loss(y_true, y_pred), last, rtol=1e-6)
    assert loss.get_config()["axis"] == 1
    assert losses.deserialize(losses.serialize(loss))._fn_kwargs["axis"] == 1


def test_classes_may_be_a_column() -> None:
    y_true, y_pred = INPUTS["classes column"]
    loss = losses.CategoricalGeneralizedCrossEntropy()
    np.testing.assert_allclose(loss(y_true, y_pred), loss(y_true[:, 0], y_pred), rtol=1e-6)


def test_scalars_lists_and_no_samples() -> None:
    assert float(Difference()(1.0, 3.0)) == 2.0
    assert (
        float(losses.MeanSquaredError()([[0.0, 1.0], [2.0, 3.0]], [[1.0, 1.0], [2.0, 5.0]])) == 1.25
    )
    empty = np.zeros((0, 3), "float32")
    assert float(losses.MeanSquaredError()(empty, empty)) == 0.0


def test_structures_reach_call_as_tensors() -> None:
    class OfParts(losses.Loss):
        def call(self, y_true: Any, y_pred: Any) -> Any:
            return (y_pred["a"] - y_true["a"]) ** 2 + y_pred["b"][0]

    parts = {"a": np.array([1.0, 2.0]), "b": [np.array([1.0, 1.0])]}
    assert float(OfParts()(parts, {"a": np.array([2.0, 4.0]), "b": parts["b"]})) == 3.5


def test_circle_with_references() -> None:
    y_true, y_pred = INPUTS["embeddings"]
    arguments = {
        "ref_labels": np.array([0, 1]),
        "ref_embeddings": y_pred[2:],
        "remove_diagonal": False,
    }
    assert_same(
        losses.circle(y_true, y_pred, **arguments), keras.losses.circle(y_true, y_pred, **arguments)
    )


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "mixed_float16"])
def test_dtypes(dtype: str) -> None:
    ours, theirs = both("MeanSquaredError", {"dtype": dtype})
    assert ours.dtype == theirs.dtype
    assert_same(ours(*INPUTS["real"]), theirs(*INPUTS["real"]), 2e-2)


# ------------------------------------------------------------ configs and names


def test_every_public_name_is_there() -> None:
    public = {name for name in dir(keras.losses) if not name.startswith("_")}
    assert public <= set(dir(losses))
    for name in public:
        same_signature(getattr(losses, name), getattr(keras.losses, name))


@pytest.mark.parametrize("name, arguments, kinds", ROWS, ids=case_name)
def test_configs(name: str, arguments: dict[str, Any], kinds: tuple[str, ...]) -> None:
    given = {**arguments, "reduction": "sum", "name": "mine"}
    for values in ({}, given):
        ours, theirs = both(name, values)
        expected = theirs.get_config()
        # What Keras leaves out of a config is in ours where it is not the default.
        config = ours.get_config()
        assert {key: config[key] for key in expected} == expected
        assert all(values.get(key) == config[key] for key in set(config) - set(expected))
        if not values:
            assert config == expected
            assert losses.serialize(ours) == keras.losses.serialize(theirs)
        written = json.loads(json.dumps(losses.serialize(ours)))
        for library in (losses, keras.saving):
            revive = getattr(library, "deserialize", None) or library.deserialize_keras_object
            read = revive(written)
            assert type(read).__name__ == name
            assert (read.name, read.reduction) == (ours.name, ours.reduction)
            inputs = INPUTS[kinds[0]]
            np.testing.assert_allclose(read(*inputs), ours(*inputs), rtol=1e-5, atol=1e-6)
        assert type(losses.deserialize(keras.losses.serialize(theirs))) is type(ours)


def test_a_dtype_is_written_where_it_is_given() -> None:
    loss = losses.Huber(dtype="float16")
    assert loss.get_config()["dtype"] == "float16"
    assert losses.deserialize(losses.serialize(loss)).dtype == "float16"


def scaled_difference(y_true: Any, y_pred: Any, scale: float) -> Any:
    return scale * (y_pred - y_true)


def test_the_loss_of_a_function() -> None:
    ours = losses.LossFunctionWrapper(scaled_difference, scale=3.0)
    theirs = KerasWrapper(scaled_difference, scale=3.0)
    assert_same(ours(*INPUTS["row"]), theirs(*INPUTS["row"]))
    assert {**ours.get_config(), "name": 0} == {**theirs.get_config(), "name": 0}
    written = losses.serialize(losses.LossFunctionWrapper(losses.huber, delta=0.5))
    expected = keras.losses.serialize(KerasWrapper(keras.losses.huber, delta=0.5))
    assert written["config"] == expected["config"]
    again = losses.LossFunctionWrapper.from_config(written["config"])
    np.testing.assert_allclose(
        again(*INPUTS["real"]), losses.Huber(delta=0.5)(*INPUTS["real"]), rtol=1e-6
    )


@pytest.mark.parametrize(
    "name",
    ["mse", "MSE", "mae", "MAE", "mape", "MAPE", "msle", "MSLE", "bce", "BCE", "kld", "KLD"]
    + [
        name
        for name in dir(keras.losses)
        if name[0] != "_"
        and name not in ("get", "serialize", "deserialize")
        and name.lower().replace("_", "") != "categoricalgeneralizedcrossentropy"
    ],
)
def test_names(name: str) -> None:
    ours, theirs = losses.get(name), keras.losses.get(name)
    if inspect.isfunction(theirs):
        assert ours is getattr(losses, theirs.__name__)
        assert losses.serialize(ours) == keras.losses.serialize(theirs)
        assert losses.deserialize(losses.serialize(ours)) is ours
    else:
        assert type(ours).__name__ == type(theirs).__name__
        assert ours.name == theirs.name


def test_get_takes_what_is_a_loss_already() -> None:
    assert losses.get(None) is None
    assert losses.get(scaled_difference) is scaled_difference
    assert isinstance(losses.get(losses.Huber), losses.Huber)
    loss = losses.Huber()
    assert losses.get(loss) is loss
    assert losses.get({"class_name": "Huber", "config": {"delta": 2.0}})._fn_kwargs == {
        "delta": 2.0
    }


# ---------------------------------------------------------------------- errors

ERRORS: list[tuple[Any, type[Exception], str]] = [
    (
        lambda: losses.get("mean_square_error"),
        ValueError,
        "A loss must be a known name, a config or a callable. Received: 'mean_square_error'. "
        "Names near to it: ['mean_squared_error', ",
    ),
    (lambda: losses.get("xyzzy"), ValueError, "Known names: ['BCE', 'BinaryCrossentropy', "),
    (lambda: losses.get(5), ValueError, "Received: 5."),
    (
        lambda: losses.Huber(reduction="auto"),
        ValueError,
        "`reduction` must be one of ['sum_over_batch_size', 'sum', 'mean', "
        "'mean_with_sample_weight', 'none', None]. Received: reduction='auto'.",
    ),
    (lambda: losses.CategoricalGeneralizedCrossEntropy(q=1), ValueError, "Received: q=1."),
    (
        lambda: losses.ctc(np.ones((2, 3), "int32"), np.ones((2, 3), "float32")),
        ValueError,
        "(batch, time, classes). Received: y_pred.shape=(2, 3).",
    ),
    (
        lambda: losses.categorical_crossentropy(*INPUTS["one-hot"], axis=True),
        ValueError,
        "`axis` must be an integer. Received: axis=True.",
    ),
    (
        lambda: losses.MeanSquaredError()(*INPUTS["real3"], sample_weight=np.ones((2,))),
        ValueError,
        "Received: sample_weight.shape=(2,) for values of shape (2, 4). Give it axes of size 1",
    ),
    (
        lambda: losses.Dice(axis=(0, 5))(*INPUTS["binary"]),
        ValueError,
        "An axis must lie in [-2, 2). Received: axis=5 for a tensor of rank 2.",
    ),
    (
        lambda: losses.Tversky(axis=1.5)(*INPUTS["binary"]),
        TypeError,
        "An axis must be an integer. Received: axis=1.5.",
    ),
    (lambda: losses.Loss()(1.0, 2.0), NotImplementedError, "Define `call(self, y_true, y_pred)`."),
]


@pytest.mark.parametrize("call, kind, text", ERRORS, ids=[text[:40] for _, _, text in ERRORS])
def test_errors(call: Any, kind: type[Exception], text: str) -> None:
    with pytest.raises(kind) as error:
        call()
    assert text in str(error.value)


@pytest.mark.parametrize("name", ["categorical_crossentropy", "categorical_focal_crossentropy"])
def test_one_class_is_warned_of(name: str) -> None:
    ones = np.ones((3, 1), "float32")
    with pytest.warns(SyntaxWarning, match="y_pred.shape=\\(3, 1\\). Use `binary_crossentropy`"):
        getattr(losses, name)(ones, ones)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        getattr(keras.losses, name)(ones, ones)
    assert caught[0].category is SyntaxWarning
