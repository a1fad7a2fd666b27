"""Metrics: Keras's values, state, configs, names and errors."""

from __future__ import annotations

import functools
import inspect
import json
import warnings
from typing import Any

import jax
import keras
import numpy as np
import pytest

from cornu import metrics, ops
from cornu.core.keras_tensor import KerasTensor
from cornu.core.masks import set_keras_mask
from cornu.core.scopes import StatelessScope, SymbolicScope
from cornu.core.state import CompiledStep
from tests.comparing import case_name, same_signature

_random = np.random.default_rng(0)
SIZE = 8


def _softmax(x: np.ndarray) -> np.ndarray:
    return (np.exp(x) / np.exp(x).sum(-1, keepdims=True)).astype("float32")


REAL = _random.normal(size=(2, SIZE, 3)).astype("float32")
SCORES = _random.uniform(size=(SIZE, 3)).astype("float32")
CLASSES = np.array([0, 2, 1, 1, 0, 2, 2, 0], "int32")
ONE_HOT = np.eye(3, dtype="float32")[CLASSES]
BINARY = (REAL[0] > 0).astype("float32")
#: Inputs by kind: y_true and y_pred of two batches of SIZE and SIZE / 2 samples.
INPUTS: dict[str, tuple[np.ndarray, np.ndarray]] = {
    "real": (REAL[0], REAL[1]),
    "real column": (REAL[0, :, :1], REAL[1, :, :1]),
    "positive": (np.abs(REAL[0]), np.abs(REAL[1])),
    "signs": (np.sign(REAL[0]), REAL[1]),
    "binary": (BINARY, SCORES),
    "binary column": (BINARY[:, :1], SCORES[:, :1]),
    "binary vector": (BINARY[:, 0], SCORES[:, :1]),
    "binary logits": (BINARY, REAL[1] * 3),
    "one-hot": (ONE_HOT, _softmax(REAL[1])),
    "one-hot logits": (ONE_HOT, REAL[1]),
    "one-hot3": (np.stack([ONE_HOT, ONE_HOT[::-1]], 1), _softmax(REAL.transpose(1, 0, 2))),
    "classes": (CLASSES, _softmax(REAL[1])),
    "classes column": (CLASSES[:, None], _softmax(REAL[1])),
    "classes logits": (CLASSES, REAL[1]),
    "classes3": (np.stack([CLASSES, CLASSES[::-1]], 1), _softmax(REAL.transpose(1, 0, 2))),
    "integers": (CLASSES, CLASSES[::-1].copy()),
    "integers3": (np.stack([CLASSES, CLASSES[::-1]], 1), np.stack([CLASSES, CLASSES], 1)),
    "ranked": (CLASSES, np.argsort(-SCORES, -1).astype("int32")),
    "rounded": (np.round(REAL[0]), np.round(REAL[1])),
}
#: Class, arguments, kinds of inputs.
ROWS: list[tuple[str, dict[str, Any], tuple[str, ...]]] = [
    ("Accuracy", {}, ("rounded", "integers", "integers3")),
    ("BinaryAccuracy", {}, ("binary", "binary column", "binary vector")),
    ("BinaryAccuracy", {"threshold": 0.8}, ("binary",)),
    ("CategoricalAccuracy", {}, ("one-hot", "one-hot3")),
    ("SparseCategoricalAccuracy", {}, ("classes", "classes column", "classes3")),
    ("TopKCategoricalAccuracy", {"k": 2}, ("one-hot", "one-hot3")),
    ("SparseTopKCategoricalAccuracy", {"k": 2}, ("classes", "classes column", "classes3")),
    ("SparseTopKCategoricalAccuracy", {"k": 2, "from_sorted_ids": True}, ("ranked",)),
    ("BinaryCrossentropy", {}, ("binary",)),
    ("BinaryCrossentropy", {"from_logits": True, "label_smoothing": 0.1}, ("binary logits",)),
    ("CategoricalCrossentropy", {}, ("one-hot", "one-hot3")),
    ("CategoricalCrossentropy", {"from_logits": True, "label_smoothing": 0.1}, ("one-hot logits",)),
    ("SparseCategoricalCrossentropy", {}, ("classes", "classes3")),
    ("SparseCategoricalCrossentropy", {"from_logits": True}, ("classes logits",)),
    ("SparseCategoricalCrossentropy", {"ignore_class": 9}, ("classes",)),
    ("KLDivergence", {}, ("positive", "one-hot")),
    ("Poisson", {}, ("positive",)),
    ("Hinge", {}, ("signs", "binary")),
    ("SquaredHinge", {}, ("signs", "binary")),
    ("CategoricalHinge", {}, ("one-hot",)),
    ("MeanSquaredError", {}, ("real", "real column")),
    ("MeanAbsoluteError", {}, ("real",)),
    ("MeanAbsolutePercentageError", {}, ("positive",)),
    ("MeanSquaredLogarithmicError", {}, ("positive",)),
    ("LogCoshError", {}, ("real",)),
    ("RootMeanSquaredError", {}, ("real", "real column", "binary vector")),
    ("CosineSimilarity", {}, ("real", "one-hot3")),
    ("CosineSimilarity", {"axis": 1}, ("one-hot3",)),
    ("R2Score", {}, ("real", "real column")),
    ("R2Score", {"class_aggregation": None}, ("real",)),
    ("R2Score", {"class_aggregation": "variance_weighted_average"}, ("real",)),
    ("R2Score", {"num_regressors": 2}, ("real column",)),
    ("PearsonCorrelation", {}, ("real",)),
    ("PearsonCorrelation", {"axis": 0}, ("real",)),
    ("ConcordanceCorrelation", {}, ("real", "positive")),
    ("TruePositives", {}, ("binary", "binary column", "binary vector")),
    ("FalsePositives", {"thresholds": [0.7, 0.2, 0.5]}, ("binary",)),
    ("TrueNegatives", {"thresholds": 0.3}, ("binary",)),
    ("FalseNegatives", {}, ("binary",)),
    ("Precision", {}, ("binary", "binary column")),
    ("Precision", {"thresholds": [0.2, 0.9]}, ("binary",)),
    ("Precision", {"top_k": 2}, ("binary", "one-hot")),
    ("Precision", {"class_id": 1}, ("binary", "one-hot")),
    ("Recall", {}, ("binary", "binary vector")),
    ("Recall", {"top_k": 1, "class_id": 2, "thresholds": 0.3}, ("one-hot",)),
    ("PrecisionAtRecall", {"recall": 0.6}, ("binary",)),
    ("RecallAtPrecision", {"precision": 0.6, "num_thresholds": 20}, ("binary",)),
    ("SensitivityAtSpecificity", {"specificity": 0.6}, ("binary",)),
    ("SpecificityAtSensitivity", {"sensitivity": 0.6, "class_id": 1}, ("binary",)),
    ("SpecificityAtSensitivity", {"sensitivity": 1.0, "num_thresholds": 1}, ("binary",)),
    ("AUC", {}, ("binary", "binary vector")),
    ("AUC", {"summation_method": "minoring", "num_thresholds": 7}, ("binary",)),
    ("AUC", {"curve": "PR"}, ("binary",)),
    ("AUC", {"curve": "PR", "summation_method": "majoring"}, ("binary",)),
    ("AUC", {"curve": "PRGAIN"}, ("binary",)),
    ("AUC", {"curve": "PRGAIN", "summation_method": "minoring"}, ("binary",)),
    ("AUC", {"thresholds": [0.7, 0.2, 0.5]}, ("binary",)),
    ("AUC", {"multi_label": True}, ("binary",)),
    (
        "AUC",
        {"multi_label": True, "num_labels": 3, "label_weights": [1.0, 0.5, 2.0], "curve": "PR"},
        ("binary",),
    ),
    ("AUC", {"label_weights": [1.0, 0.5, 2.0]}, ("binary",)),
    ("AUC", {"from_logits": True}, ("binary logits",)),
    ("FBetaScore", {"beta": 2.0}, ("one-hot",)),
    ("FBetaScore", {"beta": 0.5, "average": "macro", "threshold": 0.4}, ("binary",)),
    ("F1Score", {}, ("one-hot", "binary")),
    ("F1Score", {"average": "micro"}, ("one-hot",)),
    ("F1Score", {"average": "weighted", "threshold": 0.5}, ("binary",)),
    ("IoU", {"num_classes": 3, "target_class_ids": [0, 2]}, ("integers", "integers3")),
    ("IoU", {"num_classes": 3, "target_class_ids": [1], "sparse_y_pred": False}, ("classes",)),
    ("BinaryIoU", {"threshold": 0.4}, ("binary", "binary column")),
    ("BinaryIoU", {"target_class_ids": [1], "name": "mine"}, ("binary",)),
    ("MeanIoU", {"num_classes": 4}, ("integers",)),
    ("MeanIoU", {"num_classes": 3, "ignore_class": 1, "dtype": "float32"}, ("integers",)),
    ("OneHotIoU", {"num_classes": 3, "target_class_ids": [0, 1]}, ("one-hot", "one-hot3")),
    ("OneHotMeanIoU", {"num_classes": 3}, ("one-hot",)),
    ("OneHotMeanIoU", {"num_classes": 3, "sparse_y_pred": True}, ("one-hot",)),
]
CASES = [(name, arguments, kind) for name, arguments, kinds in ROWS for kind in kinds]
WEIGHTS: dict[str, Any] = {
    "none": None,
    "number": 2.0,
    "samples": np.arange(1, SIZE + 1, dtype="float32"),
    "zeros": np.zeros(SIZE, "float32"),
    "column": np.arange(1, SIZE + 1, dtype="float32")[:, None],
}


def both(name: str, arguments: dict[str, Any]) -> tuple[Any, Any]:
    return getattr(metrics, name)(**arguments), getattr(keras.metrics, name)(**arguments)


def update_keras(metric: Any, *args: Any, **kwargs: Any) -> None:
    """Update a metric of Keras, which warns of its own casts."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        metric.update_state(*args, **kwargs)


def inputs_of(name: str, arguments: dict[str, Any], kind: str) -> tuple[np.ndarray, np.ndarray]:
    y_true, y_pred = INPUTS[kind]
    if "IoU" in name and arguments.get("sparse_y_pred") and kind == "one-hot":
        return y_true, y_pred.argmax(-1)
    return (y_true.astype("int32"), y_pred) if name == "BinaryIoU" else (y_true, y_pred)


def assert_same(ours: Any, theirs: Any, tolerance: float = 2e-5) -> None:
    assert str(ours.dtype) == str(theirs.dtype)
    np.testing.assert_allclose(
        np.asarray(ours, "float32"), np.asarray(theirs, "float32"), rtol=tolerance, atol=tolerance
    )


# ---------------------------------------------------------------------- values


@pytest.mark.parametrize("name, arguments, kind", CASES, ids=case_name)
def test_values_and_state(name: str, arguments: dict[str, Any], kind: str) -> None:
    ours, theirs = both(name, arguments)
    y_true, y_pred = inputs_of(name, arguments, kind)
    for update in (ours.update_state, functools.partial(update_keras, theirs)):
        update(y_true, y_pred)
        update(y_true[: SIZE // 2], y_pred[SIZE // 2 :])
    assert_same(ours.result(), theirs.result())
    described = [
        [(v.path, v.shape, v.dtype, v.trainable, v.aggregation) for v in metric.variables]
        for metric in (ours, theirs)
    ]
    assert described[0] == described[1]
    assert [v.path for v in ours.variables] == [v.path for v in theirs.variables]
    for variable, other in zip(ours.variables, theirs.variables, strict=True):
        if variable.name != "num_samples":  # Keras counts the samples once for each output.
            np.testing.assert_allclose(variable.numpy(), other.numpy(), rtol=1e-4, atol=1e-4)
    ours.reset_state()
    assert all(not variable.numpy().any() for variable in ours.variables)


@pytest.mark.parametrize("weight", ["samples", "zeros", "column"])
@pytest.mark.parametrize("name, arguments, kinds", ROWS, ids=case_name)
def test_weights(name: str, arguments: dict[str, Any], kinds: tuple[str], weight: str) -> None:
    if (name, arguments.get("average"), weight) == ("F1Score", "micro", "column"):
        pytest.skip("Keras multiplies every sample with every weight")
    ours, theirs = both(name, {"dtype": "float32", **arguments})
    y_true, y_pred = inputs_of(name, arguments, kinds[0])
    try:
        update_keras(theirs, y_true, y_pred, sample_weight=WEIGHTS[weight])
    except (TypeError, ValueError):
        pytest.skip("Keras takes no such weights")
    ours.update_state(y_true, y_pred, sample_weight=WEIGHTS[weight])
    assert_same(ours.result(), theirs.result())


@pytest.mark.parametrize("name, arguments, kinds", ROWS, ids=case_name)
def test_in_a_compiled_step(name: str, arguments: dict[str, Any], kinds: tuple[str]) -> None:
    y_true, y_pred = inputs_of(name, arguments, kinds[0])
    eager, compiled = (getattr(metrics, name)(**arguments) for _ in range(2))
    if not compiled.variables:
        specs = [KerasTensor((None, *y.shape[1:]), str(y.dtype)) for y in (y_true, y_pred)]
        with SymbolicScope():
            assert compiled.update_state(*specs) is None
            assert len(compiled.result().shape) <= 1

    def step(y_true: Any, y_pred: Any) -> Any:
        compiled.update_state(y_true, y_pred)
        return compiled.result()

    call = CompiledStep(step, compiled.variables)
    for _ in range(2):
        np.testing.assert_allclose(
            call(y_true, y_pred), eager(y_true, y_pred), rtol=1e-5, atol=1e-6, equal_nan=True
        )


REDUCTION_WEIGHTS = {
    **WEIGHTS,
    "each": np.arange(SIZE * 3, dtype="float32").reshape(SIZE, 3),
    "each and an axis": np.arange(SIZE * 3, dtype="float32").reshape(SIZE, 3, 1),
}
MASKS: dict[str, Any] = {
    "none": None,
    "some": _random.uniform(size=(SIZE, 3)) > 0.5,
    "all": np.zeros((SIZE, 3), bool),
    "column": _random.uniform(size=(SIZE, 1)) > 0.5,
    "samples": _random.uniform(size=SIZE) > 0.5,
}


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("weight", REDUCTION_WEIGHTS)
@pytest.mark.parametrize("name", ["Sum", "Mean", "MeanSquaredError", "BinaryAccuracy"])
def test_masks(name: str, weight: str, mask: str) -> None:
    ours, theirs = both(name, {})
    y_true = [] if name in ("Sum", "Mean") else [BINARY]
    y_pred, other = jax.numpy.asarray(SCORES), jax.numpy.asarray(SCORES) + 0
    if mask != "none":
        set_keras_mask(y_pred, jax.numpy.asarray(MASKS[mask]))
        keras.src.backend.set_keras_mask(other, jax.numpy.asarray(MASKS[mask]))
    try:
        update_keras(theirs, *y_true, other, sample_weight=REDUCTION_WEIGHTS[weight])
    except (TypeError, ValueError):
        if name == "MeanSquaredError":
            with pytest.raises(ValueError, match="must broadcast with what it weighs"):
                ours.update_state(*y_true, y_pred, sample_weight=REDUCTION_WEIGHTS[weight])
            return
        # Keras matches weights and masks from the last axis on.
        first = (MASKS[mask].T * REDUCTION_WEIGHTS[weight].reshape(SIZE, -1).T).T
        theirs = both(name, {})[1]
        theirs.update_state(*y_true, other + 0, sample_weight=first)
    ours.update_state(*y_true, y_pred, sample_weight=REDUCTION_WEIGHTS[weight])
    assert_same(ours.result(), theirs.result())


@pytest.mark.parametrize("name, arguments, kinds", ROWS, ids=case_name)
def test_samples_that_a_mask_leaves_out_do_not_count(
    name: str, arguments: dict[str, Any], kinds: tuple[str]
) -> None:
    if arguments == {"axis": 0}:
        pytest.skip("a figure over the samples")
    keep = np.array([1, 0, 1, 1, 0, 1, 1, 0], bool)
    y_true, y_pred = inputs_of(name, arguments, kinds[0])
    left = getattr(metrics, name)(**arguments)(y_true[keep], y_pred[keep])
    y_pred = jax.numpy.asarray(y_pred)
    set_keras_mask(y_pred, jax.numpy.asarray(keep))
    metric = getattr(metrics, name)(**arguments)
    np.testing.assert_allclose(metric(y_true, y_pred), left, rtol=1e-5, atol=1e-6, equal_nan=True)


@pytest.mark.parametrize("shape", [(), (1,), (1, 1), (1, 3), (SIZE, 1)], ids=str)
@pytest.mark.parametrize("name", ["BinaryAccuracy", "RootMeanSquaredError", "Precision", "R2Score"])
def test_a_weight_of_several_values_counts_for_each(name: str, shape: tuple[int, ...]) -> None:
    each, once = (getattr(metrics, name)() for _ in range(2))
    for batch in range(2):
        weight = np.arange(1, np.prod(shape) + 1, dtype="float32").reshape(shape) + batch
        once.update_state(BINARY, SCORES, sample_weight=weight)
        each.update_state(BINARY, SCORES, sample_weight=np.broadcast_to(weight, BINARY.shape))
    np.testing.assert_allclose(once.result(), each.result(), rtol=1e-6)


def test_ids_that_are_no_class_are_hits_of_none() -> None:
    metric = metrics.MeanIoU(3)
    assert float(metric([0, 1, 2, 255, 1], [4, 2, 3, 0, -1])) == 0
    assert metric.total_confusion_matrix.numpy().sum() == 1
    metric = metrics.MeanIoU(4, ignore_class=255)
    np.testing.assert_allclose(metric([0, 1, 2, 255], [0, 2, 2, 1]), (1 + 0 + 0.5) / 3)


def test_an_ignored_class_does_not_count() -> None:
    y_true, y_pred = np.array([0, -1]), np.full((2, 2), 0.5, "float32")
    metric = metrics.SparseCategoricalCrossentropy(ignore_class=-1)
    np.testing.assert_allclose(metric(y_true, y_pred), np.log(2), rtol=1e-6)
    np.testing.assert_allclose(metric(y_true, y_pred, sample_weight=[3, 4]), np.log(2), rtol=1e-6)


def test_the_adjusted_score_of_several_outputs_counts_a_sample_once() -> None:
    y_true, y_pred = INPUTS["real"]
    plain = metrics.R2Score()(y_true, y_pred)
    adjusted = metrics.R2Score(num_regressors=2)(y_true, y_pred)
    np.testing.assert_allclose(adjusted, 1 - (1 - plain) * (SIZE - 1) / (SIZE - 3), rtol=1e-6)


def test_a_function_compares_a_column_with_a_vector_one_by_one() -> None:
    metric = metrics.MeanMetricWrapper(lambda y_true, y_pred: ops.square(y_true - y_pred))
    y_true, y_pred = INPUTS["real column"]
    expected = np.square(y_true - y_pred).mean()
    np.testing.assert_allclose(metric(y_true[:, 0], y_pred), expected, rtol=1e-6)


def test_fractions_of_weights_are_warned_of() -> None:
    metric = metrics.MeanIoU(3)
    with pytest.warns(UserWarning, match="weights of float32 for 'mean_io_u', of dtype int32"):
        metric.update_state(*INPUTS["integers"], sample_weight=np.ones(SIZE, "float32"))


@pytest.mark.parametrize("name", ["Sum", "Mean"])
def test_reductions_of_other_ranks(name: str) -> None:
    for values, weight in [
        (3.0, None),
        (3.0, 4.0),
        ([1, 2, 3], [0, 1, 0]),
        (np.zeros((0, 3)), None),
        (np.ones((2, 3, 4)) * 2, np.array([1.0, 3.0])),
        (np.ones((2, 3, 4)) * 2, np.arange(6.0).reshape(2, 3)),
    ]:
        ours, theirs = both(name, {})
        assert_same(ours(values, sample_weight=weight), theirs(values, sample_weight=weight))


def test_mean_of_a_function() -> None:
    ours = metrics.MeanMetricWrapper(metrics.huber, delta=0.5)
    theirs = keras.metrics.MeanMetricWrapper(keras.metrics.huber, delta=0.5)
    assert_same(ours(*INPUTS["real"]), theirs(*INPUTS["real"]))
    assert ours.get_config() == theirs.get_config()
    assert metrics.serialize(ours) == keras.metrics.serialize(theirs)
    again = metrics.deserialize(metrics.serialize(ours))
    assert_same(again(*INPUTS["real"]), theirs.result())
    assert ours._direction == theirs._direction == "down"


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "mixed_float16"])
def test_dtypes(dtype: str) -> None:
    for name in ("MeanSquaredError", "Precision", "RootMeanSquaredError", "R2Score", "F1Score"):
        ours, theirs = both(name, {"dtype": dtype})
        assert ours.dtype == theirs.dtype
        expected = np.asarray(theirs(BINARY, SCORES), "float32")
        np.testing.assert_allclose(ours(BINARY, SCORES), expected, rtol=2e-2, atol=2e-2)
        assert {v.dtype for v in ours.variables} == {"float32"}


def test_sums_of_half_precision_values_are_taken_in_float32() -> None:
    y_pred = np.full((1, 8), 300, "float16")
    for metric in (metrics.MeanSquaredError(), metrics.MeanSquaredError(dtype="float16")):
        assert float(metric(np.zeros((1, 8)), y_pred)) == 300**2
    mean = metrics.Mean(dtype="float16")
    mean.update_state(np.ones(3000))
    assert float(mean.count) == 3000


# --------------------------------------------------------------------- the base


class Spread(metrics.Metric):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.parts = [metrics.Mean(name="low"), metrics.Mean(name="high")]
        self.seen = self.add_weight(shape=(2,), initializer="ones", name="seen")

    def update_state(self, values: Any) -> None:
        self.parts[0].update_state(ops.min(values))
        self.parts[1].update_state(ops.max(values))
        self.seen.assign_add(ops.ones((2,)))

    def result(self) -> Any:
        low, high = (part.result() for part in self.parts)
        return {"spread": high - low, "high": high}


def test_a_metric_of_metrics() -> None:
    metric = Spread(name="mine")
    paths = ["mine/seen", "low/total", "low/count", "high/total", "high/count"]
    assert [v.path for v in metric.variables] == paths
    result = metric(np.array([1.0, 4.0]))
    assert {key: float(value) for key, value in result.items()} == {"spread": 3.0, "high": 4.0}
    assert metric.get_config() == {"name": "mine", "dtype": "float32"}
    assert repr(metric) == "<Spread name=mine>"
    metric.reset_state()
    assert all(not variable.numpy().any() for variable in metric.variables)


def test_stateless_methods_leave_the_state_alone() -> None:
    metric = Spread()
    before = [variable.numpy() for variable in metric.variables]
    values = metric.stateless_update_state(metric.variables, np.array([1.0, 4.0]))
    assert float(metric.stateless_result(values)["spread"]) == 3.0
    assert all(not np.asarray(value).any() for value in metric.stateless_reset_state())
    for variable, value in zip(metric.variables, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)
    fresh = metrics.F1Score()
    values = fresh.stateless_update_state([], *INPUTS["one-hot"])
    np.testing.assert_allclose(
        fresh.stateless_result(values), metrics.F1Score()(*INPUTS["one-hot"]), rtol=1e-6
    )


def test_state_is_made_the_same_within_scopes() -> None:
    with SymbolicScope(), StatelessScope():
        metric = metrics.Mean()
    assert float(metric([1.0, 3.0])) == 2.0


# ------------------------------------------------------------- configs and names


def test_every_public_name_is_there() -> None:
    public = {name for name in dir(keras.metrics) if not name.startswith("_")}
    assert public <= set(dir(metrics))
    for name in public:
        same_signature(getattr(metrics, name), getattr(keras.metrics, name))


@pytest.mark.parametrize("name, arguments, kinds", ROWS, ids=case_name)
def test_configs(name: str, arguments: dict[str, Any], kinds: tuple[str, ...]) -> None:
    ours, theirs = both(name, arguments)
    config, expected = (
        json.loads(json.dumps(m.get_config(), default=lambda x: np.asarray(x).tolist()))
        for m in (ours, theirs)
    )
    left_out = set(config) - set(expected)
    assert {key: config[key] for key in expected} == expected
    assert all(arguments[key] == config[key] for key in left_out)
    assert getattr(ours, "_direction", None) == getattr(theirs, "_direction", None)
    if not left_out and "label_weights" not in arguments:
        assert metrics.serialize(ours) == keras.metrics.serialize(theirs)
    written = json.loads(json.dumps(metrics.serialize(ours)))
    inputs = inputs_of(name, arguments, kinds[0])
    for library in (metrics, keras.metrics):
        read = library.deserialize(written)
        assert (type(read).__name__, read.name) == (name, ours.name)
        if library is metrics:
            assert read.get_config() == ours.get_config()
            np.testing.assert_allclose(read(*inputs), ours(*inputs), rtol=1e-6, equal_nan=True)


@pytest.mark.parametrize(
    "name",
    ["mse", "MSE", "mae", "MAE", "mape", "MAPE", "msle", "MSLE", "bce", "BCE", "accuracy", "auc"]
    + ["precision", "top_k_categorical_accuracy", "log_cosh_error", "r2_score", "f1_score", "sum"]
    + ["root_mean_squared_error", "Accuracy", "SquaredHinge", "kl_divergence"],
)
def test_names(name: str) -> None:
    ours, theirs = metrics.get(name), keras.metrics.get(name)
    assert type(ours).__name__ == type(theirs).__name__
    assert ours.name == theirs.name


def test_get_takes_what_is_a_metric_already() -> None:
    metric = metrics.Mean()
    assert metrics.get(metric) is metric
    assert metrics.get(None) is None
    assert isinstance(metrics.get(metrics.Mean), metrics.Mean)
    assert metrics.get(metrics.huber) is metrics.huber


# ----------------------------------------------------------------------- errors

ERRORS: list[tuple[Any, type[Exception], str]] = [
    (
        lambda: metrics.get("acuracy"),
        ValueError,
        "A metric must be a known name, a config or a callable. Received: 'acuracy'. "
        "Names near to it: ['accuracy', ",
    ),
    (lambda: metrics.AUC(curve="x"), ValueError, "['ROC', 'PR', 'PRGAIN']. Received: curve='X'."),
    (lambda: metrics.AUC(summation_method="x"), ValueError, "Received: summation_method='x'."),
    (lambda: metrics.AUC(num_thresholds=1), ValueError, "Received: num_thresholds=1."),
    (
        lambda: metrics.AUC(multi_label=True)(np.ones(3), np.ones(3)),
        ValueError,
        "(batch, labels). Received: y_pred.shape=(3,).",
    ),
    (lambda: metrics.AUC(multi_label=True).result(), ValueError, "Received: 'auc', never updated."),
    (
        lambda: metrics.Precision(thresholds=[0.5, 1.5]),
        ValueError,
        "Received: thresholds=[0.5, 1.5], in which [1.5] don't.",
    ),
    (lambda: metrics.PrecisionAtRecall(1.5), ValueError, "Received: recall=1.5."),
    (
        lambda: metrics.SensitivityAtSpecificity(0.5, num_thresholds=0),
        ValueError,
        "Received: num_thresholds=0.",
    ),
    (lambda: metrics.FBetaScore(average="x"), ValueError, "Received: average='x'."),
    (lambda: metrics.FBetaScore(beta=1), ValueError, "`beta` must be a float above 0."),
    (lambda: metrics.FBetaScore(threshold=2.0), ValueError, "Received: threshold=2.0."),
    (
        lambda: metrics.F1Score()(np.ones(3), np.ones(3)),
        ValueError,
        "F1Score must be given targets and predictions of shape (batch, outputs). Received: "
        "y_true.shape=(3,), y_pred.shape=(3,).",
    ),
    (lambda: metrics.F1Score().result(), ValueError, "Received: 'f1_score', never updated."),
    (lambda: metrics.R2Score(class_aggregation="x"), ValueError, "class_aggregation='x'."),
    (lambda: metrics.R2Score(num_regressors=-1), ValueError, "num_regressors=-1."),
    (
        lambda: metrics.IoU(2, [3]),
        ValueError,
        "must lie in [0, 2). Received: target_class_ids=[3].",
    ),
    (
        lambda: metrics.Mean().update_state(np.ones((2, 3)), sample_weight=np.ones(4)),
        ValueError,
        "Received: sample_weight.shape=(4,) for values of shape (2,).",
    ),
    (
        lambda: metrics.Mean().stateless_result([1.0]),
        ValueError,
        "for each of the 2 variables of 'mean'. Received: 1 values.",
    ),
    (lambda: metrics.Metric()(1.0), NotImplementedError, "Define `update_state(self, ...)`."),
    (lambda: metrics.Metric().result(), NotImplementedError, "Define `result(self, ...)`."),
]


@pytest.mark.parametrize("call, kind, text", ERRORS, ids=[text[-40:] for _, _, text in ERRORS])
def test_errors(call: Any, kind: type[Exception], text: str) -> None:
    with pytest.raises(kind) as error:
        call()
    assert text in str(error.value)


def test_a_metric_that_does_not_call_its_base_is_told_so() -> None:
    class Broken(metrics.Metric):
        def __init__(self) -> None:
            self.total = self.add_weight()

    with pytest.raises(RuntimeError, match="Received: Broken, whose `__init__` has not called"):
        Broken()


def test_signatures_show_the_names() -> None:
    assert inspect.signature(metrics.LogCoshError).parameters["name"].default == "logcosh"
