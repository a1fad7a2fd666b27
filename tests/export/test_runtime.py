"""Models on the engine of ONNX Runtime."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import cornu
from cornu import engines, layers, ops
from cornu.core import tree
from cornu.engines import onnxruntime
from cornu.engines.onnxruntime import OnnxRuntimeEngine
from tests.export import models

ENGINE = OnnxRuntimeEngine()


@pytest.fixture
def traces(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """A list that has an entry for each step that is traced."""
    found: list[Any] = []
    trace = onnxruntime._traced

    def noted(*args: Any) -> Any:
        found.append(args)
        return trace(*args)

    monkeypatch.setattr(onnxruntime, "_traced", noted)
    return found


def assert_same(found: Any, wanted: Any) -> None:
    for one, two in zip(tree.flatten(found), tree.flatten(wanted), strict=True):
        assert type(one) is np.ndarray
        np.testing.assert_allclose(one, two, 1e-5, 1e-5)


@pytest.mark.parametrize("name", models.ALL)
def test_predict_and_call(name: str, traces: list[Any]) -> None:
    model = models.made(name)
    data = models.inputs(name, 5)
    wanted = model.predict(data, verbose=0)
    with engines.use(ENGINE):
        assert_same(model.predict(data, verbose=0), wanted)
        assert_same(model.predict(data, verbose=0, batch_size=2), wanted)
        assert len(traces) == 1  # for any batch size
        assert_same(model(data), wanted)
        assert len(traces) == 1


def test_new_weights(traces: list[Any]) -> None:
    model = models.made("cnn")
    data = models.inputs("cnn", 2)
    with engines.use(ENGINE):
        model.predict(data, verbose=0)
        model.set_weights([weight * 0.5 for weight in model.get_weights()])
        found = model.predict(data, verbose=0)
    assert len(traces) == 2
    np.testing.assert_allclose(found, model.predict(data, verbose=0), 1e-5, 1e-6)


def test_evaluate() -> None:
    model = models.made("cnn")
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    data, labels = models.inputs("cnn", 7), np.arange(7) % 3
    wanted = model.evaluate(data, labels, verbose=0, batch_size=3)
    with engines.use(ENGINE):
        found = model.evaluate(data, labels, verbose=0, batch_size=3)
    np.testing.assert_allclose(found, wanted, 1e-5)


def test_it_says_that_it_cannot_train() -> None:
    model = models.made("cnn")
    model.compile("sgd", "sparse_categorical_crossentropy")
    with engines.use(ENGINE), pytest.raises(NotImplementedError, match="can't train"):
        model.fit(models.inputs("cnn", 2), np.array([0, 1]), verbose=0)
    # Elsewhere it goes on.
    model.fit(models.inputs("cnn", 2), np.array([0, 1]), verbose=0)


def test_what_is_no_compiled_step_runs_on_numpy() -> None:
    with engines.use(ENGINE):
        assert_same(
            layers.Dense(2, kernel_initializer="ones")(np.ones((1, 3))), np.full((1, 2), 3.0)
        )
        assert_same(ops.linalg.inv(np.eye(2, dtype="float32")), np.eye(2))


def test_a_refusal_names_the_op() -> None:
    x = cornu.Input((3, 3))
    model = cornu.Model(x, ops.linalg.inv(x))
    with (
        engines.use(ENGINE),
        pytest.raises(NotImplementedError, match="onnxruntime engine can't do"),
    ):
        model.predict(np.ones((1, 3, 3), "float32"), verbose=0)
