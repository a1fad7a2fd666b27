"""Losses and metrics matched with outputs: Keras's values, names and errors."""

from __future__ import annotations

from typing import Any

import jax
import keras
import numpy as np
import pytest
from keras.src.trainers.compile_utils import CompileLoss, CompileMetrics

from cornu import losses, metrics
from cornu.core.keras_tensor import KerasTensor
from cornu.core.scopes import SymbolicScope
from cornu.core.state import CompiledStep
from cornu.training._compiled import CompiledLoss, CompiledMetrics

_random = np.random.default_rng(0)
A = _random.uniform(size=(8, 1)).astype("float32")
B = _random.uniform(size=(8, 3)).astype("float32")
YA = (A > 0.4).astype("float32")
CLASSES = np.array([0, 2, 1, 1, 0, 2, 2, 0], "int32")
YB = np.eye(3, dtype="float32")[CLASSES]
WA = np.arange(8, dtype="float32")
WB = np.full(8, 2.0, "float32")
LIST, DICT = ([YA, YB], [A, B]), ({"a": YA, "b": YB}, {"a": A, "b": B})
NESTED = ({"u": [YA], "v": {"z": YB}}, {"u": [A], "v": {"z": B}})
NAMES = ["a", "b"]


def squared(y_true: Any, y_pred: Any) -> Any:
    return (y_true - y_pred) ** 2


def of(library: Any, name: str, **arguments: Any) -> Any:
    return getattr(library, name)(**arguments)


#: Loss, loss weights, (targets, outputs), names of the outputs, sample weights.
LOSSES: dict[str, tuple[Any, Any, Any, Any, Any]] = {
    "one": ("mse", None, (YA, A), ["a"], None),
    "one, weighted samples": ("mse", None, (YA, A), ["a"], WA),
    "one in a list": (["mse"], None, (YA, A), ["a"], None),
    "one in a dict": ({"a": "bce"}, None, (YA, A), ["a"], None),
    "one, a function": (squared, None, (YA, A), ["a"], None),
    "one output in a list": (["mse"], None, ([YA], [A]), ["a"], None),
    "one output in a dict": ({"a": "mse"}, None, ({"a": YA}, {"a": A}), ["a"], None),
    "one target for a list of one": ("mse", None, (YA, [A]), ["a"], None),
    "a list": (["mse", "mae"], None, LIST, NAMES, None),
    "one for all": ("mse", None, LIST, NAMES, None),
    "weights": (["mse", "mse"], [2.0, 0.5], LIST, NAMES, None),
    "sample weights": (["mse", "mse"], [2.0, 1.0], LIST, NAMES, [WA, WB]),
    "by name": ({"a": "bce", "b": "categorical_crossentropy"}, None, LIST, NAMES, None),
    "targets by name": ("mse", None, ({"a": YA, "b": YB}, [A, B]), NAMES, None),
    "dicts": ({"a": "bce", "b": "mse"}, {"a": 3.0, "b": 1.0}, DICT, NAMES, {"a": WA, "b": WB}),
    "a list for dicts": (["bce", "mse"], None, DICT, NAMES, None),
    "an output without a loss": ({"a": "bce", "b": None}, None, DICT, NAMES, None),
    "an output left out": ({"a": "bce"}, None, DICT, NAMES, None),
    "keys that are no names": ({"a": "mse", "b": "mse"}, None, DICT, ["l1", "l2"], None),
    "nested": ({"u": ["mse"], "v": {"z": "mae"}}, None, NESTED, None, None),
    "nested, one for all": ("mse", None, NESTED, None, None),
}


@pytest.mark.parametrize("case", LOSSES)
def test_losses(case: str) -> None:
    loss, weights, (y, y_pred), names, sample_weight = LOSSES[case]
    ours = CompiledLoss(loss, weights)
    theirs = CompileLoss(loss, weights, output_names=names)
    ours.build(y, y_pred, names)
    value, expected = ours(y, y_pred, sample_weight), theirs(y, y_pred, sample_weight)
    np.testing.assert_allclose(value, expected, rtol=1e-6)
    assert [m.name for m in ours.metrics] == [m.name for m in theirs.metrics]
    for tracker, other in zip(ours.metrics, theirs.metrics, strict=True):
        np.testing.assert_allclose(tracker.result(), other.result(), rtol=1e-6)


def test_what_keras_leaves_out_of_weights_and_targets() -> None:
    shared = CompiledLoss(["mse", "mae"])
    np.testing.assert_allclose(
        shared(*LIST, WA), CompiledLoss(["mse", "mae"])(*LIST, [WA, WA]), rtol=1e-6
    )
    partly = CompiledLoss({"a": "mse", "b": "mae"})
    np.testing.assert_allclose(
        partly(*DICT, {"a": WA}),
        losses.MeanSquaredError()(YA, A, WA) + losses.MeanAbsoluteError()(YB, B),
        rtol=1e-6,
    )
    untold = CompiledLoss({"a": "mse"})
    np.testing.assert_allclose(untold({"a": YA}, DICT[1]), losses.MeanSquaredError()(YA, A))


def test_outputs_without_names_are_told_apart() -> None:
    loss = CompiledLoss("mse")
    loss(*LIST)
    assert [m.name for m in loss.metrics] == ["mse_loss", "mse_loss_1"]


#: Metrics and weighted metrics, each as a call on a library; (targets, outputs), names, weights.
METRICS: dict[str, tuple[Any, Any, Any, Any, Any]] = {
    "one": (["mse", "acc"], None, (YA, A), ["a"], WA),
    "weighted": (["mse", "mae"], ["mse"], (YA, A), ["a"], WA),
    "only weighted": (None, ["mse", "accuracy"], (YA, A), ["a"], WA),
    "the same again": (["mse", "mae", "mse"], ["mse", "mse", "acc"], (YA, A), ["a"], WA),
    "a list in a list": ([["mse"]], None, (YA, A), ["a"], None),
    "by the only name": ({"a": ["mse"]}, None, (YA, A), ["a"], None),
    "a function": ([squared], None, (YA, A), ["a"], None),
    "objects": (
        lambda library: [library.MeanSquaredError(name="x"), library.MeanSquaredError(name="x")],
        None,
        (YA, A),
        ["a"],
        None,
    ),
    "one-hot": (["accuracy"], None, (YB, B), ["b"], None),
    "classes": (["accuracy"], None, (CLASSES, B), ["b"], None),
    "classes in a column": (["accuracy"], ["accuracy"], (CLASSES[:, None], B), ["b"], WA),
    "a list": ([["mse", "acc"], "mae"], None, LIST, NAMES, None),
    "a list, weighted": ([["acc", "mse"], "mae"], [["acc"], ["mae"]], LIST, NAMES, [WA, WB]),
    "an output without": ([None, ["acc"]], None, LIST, NAMES, None),
    "by name": ({"a": "acc", "b": ["mse", "mae"]}, None, DICT, NAMES, None),
    "by name, some": ({"b": ["mse"]}, {"a": ["mse"]}, DICT, NAMES, {"a": WA, "b": WB}),
    "lists by name": ({"a": "mse", "b": "acc"}, None, LIST, NAMES, None),
    "objects of several outputs": (
        lambda library: [library.AUC(name="auc"), [library.MeanSquaredError(name="x")]],
        lambda library: [None, [library.MeanSquaredError(name="x")]],
        LIST,
        NAMES,
        [WA, WB],
    ),
    "made at the first update": (lambda library: [library.F1Score()], None, (YB, B), ["b"], None),
    "outputs without names": ([["mse"], ["mse"]], None, LIST, None, None),
}


def given(metrics: Any, library: Any) -> Any:
    return metrics(library) if callable(metrics) else metrics


@pytest.mark.parametrize("case", METRICS)
def test_metrics(case: str) -> None:
    plain, weighted, (y, y_pred), names, sample_weight = METRICS[case]
    ours = CompiledMetrics(given(plain, metrics), given(weighted, metrics))
    theirs = CompileMetrics(
        given(plain, keras.metrics), given(weighted, keras.metrics), output_names=names
    )
    theirs.build(y, y_pred)
    ours.build(y, y_pred, names)
    for _ in range(2):
        ours.update_state(y, y_pred, sample_weight)
        theirs.update_state(y, y_pred, sample_weight)
    expected = theirs.result()
    assert [m.name for m in ours.metrics] == list(expected)
    for name, value in ours.result().items():
        np.testing.assert_allclose(value, expected[name], rtol=1e-5)
    ours.reset_state()
    assert all(not v.numpy().any() for metric in ours.metrics for v in metric.variables)


def test_a_metric_keeps_its_own_name() -> None:
    metric = metrics.AUC(name="auc")
    for _ in range(2):
        compiled = CompiledMetrics([metric, None])
        compiled.build(*LIST, NAMES)
        assert [m.name for m in compiled.metrics] == ["a_auc"]
        assert metric.name == "auc"
    compiled.update_state(*LIST)
    np.testing.assert_allclose(metric.result(), compiled.metrics[0].result())
    assert compiled.metrics[0].variables == metric.variables


@pytest.mark.parametrize("name", ["crossentropy", "ce"])
def test_crossentropy_by_the_shapes(name: str) -> None:
    for y, y_pred, function in [
        (YA, A, losses.binary_crossentropy),
        (YA[:, 0], A[:, 0], losses.binary_crossentropy),
        (YB, B, losses.categorical_crossentropy),
        (CLASSES, B, losses.sparse_categorical_crossentropy),
    ]:
        compiled = CompiledMetrics([name])
        if y_pred.ndim == 1:
            y, y_pred = y[:, None], y_pred[:, None]
        compiled.update_state(y, y_pred)
        np.testing.assert_allclose(compiled.result()[name], np.mean(function(y, y_pred)), rtol=1e-5)


def test_predictions_without_a_last_axis_are_binary() -> None:
    compiled = CompiledMetrics(["accuracy"])
    compiled.update_state(YA[:, 0], A[:, 0])
    assert float(compiled.result()["accuracy"]) == float(metrics.BinaryAccuracy()(YA, A))


# --------------------------------------------------------- with shapes, in a step


def specs(structure: Any) -> Any:
    return keras.tree.map_structure(
        lambda x: KerasTensor((None, *x.shape[1:]), str(x.dtype)), structure
    )


def test_a_step_built_for_shapes_updates_all_state() -> None:
    loss = CompiledLoss({"a": "mse", "b": "categorical_crossentropy"})
    figures = CompiledMetrics({"a": ["acc"], "b": [metrics.F1Score(), metrics.R2Score()]}, None)
    for container in (loss, figures):
        container.build(specs(DICT[0]), specs(DICT[1]), NAMES)
        assert container.built
    names = ["a_loss", "b_loss", "a_acc", "b_f1_score", "b_r2_score"]
    parts = [*loss.metrics, *figures.metrics]
    assert [m.name for m in parts] == names
    assert all(m.variables for m in parts)

    def step(y: Any, y_pred: Any, sample_weight: Any) -> Any:
        value = loss(y, y_pred, sample_weight)
        assert figures.update_state(y, y_pred, sample_weight) is None
        return value, figures.result()

    compiled = CompiledStep(step, [v for m in parts for v in m.variables])
    value, result = compiled(*DICT, {"a": WA, "b": WB})
    np.testing.assert_allclose(value, CompileLoss(loss.loss)(*DICT, {"a": WA, "b": WB}), rtol=1e-5)
    np.testing.assert_allclose(result["b_f1_score"], metrics.F1Score()(YB, B), rtol=1e-6)
    np.testing.assert_allclose(figures.metrics[2].result(), metrics.R2Score()(YB, B), rtol=1e-6)
    np.testing.assert_allclose(
        loss.metrics[0].result(), losses.MeanSquaredError()(YA, A, WA), rtol=1e-6
    )


def test_native_functions_of_the_engine_are_left_to_the_real_run() -> None:
    def native(y_true: Any, y_pred: Any) -> Any:
        return jax.numpy.mean((y_true - y_pred) ** 2)

    class Native(metrics.Metric):
        def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
            self.value = jax.numpy.sum(y_pred)

        def result(self) -> Any:
            return self.value

    loss, figures = CompiledLoss(native), CompiledMetrics([native, Native(name="native_metric")])
    for container in (loss, figures):
        container.build(specs(YA), specs(A), ["a"])
    np.testing.assert_allclose(loss(YA, A), np.mean((YA - A) ** 2), rtol=1e-6)
    figures.update_state(YA, A)
    result = figures.result()
    np.testing.assert_allclose(result["native"], np.mean((YA - A) ** 2), rtol=1e-6)
    np.testing.assert_allclose(result["native_metric"], A.sum(), rtol=1e-6)


def test_building_leaves_the_state_alone() -> None:
    metric = metrics.Mean()
    wrapped = CompiledMetrics([metrics.MeanSquaredError()])
    with SymbolicScope():
        wrapped.build(specs(YA), specs(A), ["a"])
    assert all(not v.numpy().any() for m in (metric, *wrapped.metrics) for v in m.variables)


# ----------------------------------------------------------------------- errors

SPECS = KerasTensor((None, 3)), KerasTensor((None, 4))
ERRORS: dict[str, tuple[Any, str]] = {
    "unknown loss": (
        lambda: CompiledLoss(["mse", "meansquarederror"]),
        "A loss must be a known name, a config or a callable. Received: 'meansquarederror'. "
        "Names near to it: ['mean_squared_error', ",
    ),
    "unknown metric": (
        lambda: CompiledMetrics(["acuracy"]),
        "Received: 'acuracy'. Names near to it: ['accuracy', ",
    ),
    "shapes that don't fit, when built": (
        lambda: CompiledLoss("mse").build(
            KerasTensor((None, 3)), KerasTensor((None, 4)), ["scores"]
        ),
        "The loss 'mean_squared_error' must be given targets and predictions that fit. Received: y "
        "of shape (None, 3), y_pred of shape (None, 4), for the output 'scores'. ",
    ),
    "shapes that don't fit, when run": (
        lambda: CompiledLoss("binary_crossentropy")(YB, A),
        "Received: y of shape (None, 3), y_pred of shape (None, 1), for the output 'output'. ",
    ),
    "sample weights that don't fit": (
        lambda: CompiledLoss("mse")(YB, B, np.ones((8, 3))),
        "y_pred of shape (8, 3), sample_weight of shape (8, 3), for the output 'output'. ",
    ),
    "metrics in the place of weights": (
        lambda: CompiledLoss("mse", ["accuracy"]),
        "Received: loss_weights=['accuracy']. Names of metrics go to `metrics=`.",
    ),
    "too few losses": (
        lambda: CompiledLoss(["mse"]).build(*LIST, NAMES),
        "`loss` must have an entry for each output of the model. Received: loss=['mse'], while the "
        "model gives [(8, 1), (8, 3)]. Give it the structure of the outputs, or a dictionary by "
        "their names: ['a', 'b'].",
    ),
    "too many losses": (
        lambda: CompiledLoss(["mse"] * 3).build(*LIST, NAMES),
        "Received: loss=['mse', 'mse', 'mse'], while the model gives [(8, 1), (8, 3)].",
    ),
    "a loss for an unknown output": (
        lambda: CompiledLoss({"a": "mse", "c": "mse"}).build(*LIST, NAMES),
        "Received: loss={'a': 'mse', 'c': 'mse'}, while the model gives [(8, 1), (8, 3)].",
    ),
    "a loss for an unknown output of one": (
        lambda: CompiledLoss({"q": "mse"}).build(YA, A, ["a"]),
        "Received: loss={'q': 'mse'}, while the model gives (8, 1).",
    ),
    "loss weights of another number": (
        lambda: CompiledLoss(["mse", "mse"], [1.0]),
        "`loss_weights` must have one weight for each loss. Received: loss=['mse', 'mse'], "
        "loss_weights=[1.0]. Give both the same structure.",
    ),
    "no targets": (
        lambda: CompiledLoss("mse")(None, A),
        "An output with a loss must have a target. Received: y=None without one for the output "
        "'output'.",
    ),
    "too few targets": (
        lambda: CompiledLoss("mse")([YA], [A, B]),
        "`y` must have an entry for each output of the model. Received: y=[(8, 1)], while the "
        "model gives [(8, 1), (8, 3)].",
    ),
    "targets of unknown outputs": (
        lambda: CompiledLoss("mse")({**DICT[0], "zz": YA}, DICT[1]),
        "Received: y={'a': (8, 1), 'b': (8, 3), 'zz': (8, 1)}, while the model gives "
        "{'a': (8, 1), 'b': (8, 3)}.",
    ),
    "a metric outside a list": (
        lambda: CompiledMetrics("accuracy"),
        "`metrics` must be a list, a tuple or a dictionary. Received: metrics='accuracy'. Write "
        "`metrics=['accuracy']`.",
    ),
    "metrics for too few outputs": (
        lambda: CompiledMetrics(["mae"]).build(*LIST, NAMES),
        "`metrics` must have an entry for each output of the model. Received: metrics=['mae'], ",
    ),
    "metrics for an unknown output": (
        lambda: CompiledMetrics({"z": ["mae"]}).build(*DICT, NAMES),
        "Received: metrics={'z': ['mae']}, while the model gives {'a': (8, 1), 'b': (8, 3)}.",
    ),
}


@pytest.mark.parametrize("case", ERRORS)
def test_errors(case: str) -> None:
    call, text = ERRORS[case]
    with pytest.raises(ValueError) as error:
        call()
    assert text in str(error.value)


def test_errors_of_users_functions_are_located() -> None:
    def broken(y_true: Any, y_pred: Any) -> Any:
        raise TypeError("wrong")

    with pytest.raises(TypeError, match="wrong") as error:
        CompiledLoss({"a": "mse", "b": broken})(*DICT)
    assert error.value.__notes__ == [
        "Raised by the loss 'broken' of the output 'b': y of shape (8, 3), y_pred of shape (8, 3)."
    ]
    with pytest.raises(TypeError, match="wrong") as error:
        CompiledMetrics([broken]).update_state(YA, A)
    assert error.value.__notes__ == [
        "Raised by the metric 'broken' of the output 'output': y of shape (8, 1), y_pred of shape "
        "(8, 1)."
    ]
