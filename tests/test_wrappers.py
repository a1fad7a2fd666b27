"""Estimators of scikit-learn that are models."""

from __future__ import annotations

import inspect
import pickle
from typing import Any

import keras
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

import cornu
from cornu import layers, wrappers


def net(X: Any, y: Any, loss: str = "mse", activation: Any = None, units: int = 8) -> Any:
    cornu.utils.set_random_seed(0)
    stack = [layers.Dense(units, "relu"), layers.Dense(y.shape[1], activation)]
    model = cornu.Sequential([cornu.Input((X.shape[1],)), *stack])
    model.compile(cornu.optimizers.Adam(0.05), loss)
    return model


def estimator(name: str, **arguments: Any) -> Any:
    """One whose models are made by `net`."""
    fit_kwargs = {"verbose": 0, "epochs": 10 if name == "SKLearnClassifier" else 1}
    kwargs = {"model_kwargs": {"loss": "mse"}, "fit_kwargs": fit_kwargs}
    if name == "SKLearnClassifier":
        kwargs["model_kwargs"] = {"loss": "categorical_crossentropy", "activation": "softmax"}
    return getattr(wrappers, name)(net, **{**kwargs, **arguments})


NAMES = ("SKLearnClassifier", "SKLearnRegressor", "SKLearnTransformer")
X = np.random.default_rng(0).normal(size=(24, 3))
LABELS = np.where(X[:, 0] > 0, "up", "down")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", NAMES)
def test_checks_of_scikit_learn(name: str) -> None:
    """All that `check_estimator` asks, on NumPy, which compiles nothing for the 50 models."""
    with cornu.backend.use("numpy"):
        found = check_estimator(estimator(name), on_skip=None, on_fail=None)
    assert [one["check_name"] for one in found if one["status"] == "failed"] == []
    assert len(found) > 40


@pytest.mark.parametrize("name", NAMES)
def test_signatures(name: str) -> None:
    ours, theirs = getattr(wrappers, name), getattr(keras.wrappers, name)
    for member in ("__init__", "fit", "predict", "decision_function", "transform", "epoch_"):
        if hasattr(theirs, member):
            one, two = getattr(ours, member), getattr(theirs, member)
            assert callable(one) == callable(two)
            if callable(one):
                given = [
                    p.replace(annotation=p.empty)
                    for p in inspect.signature(one).parameters.values()
                ]
                assert given == list(inspect.signature(two).parameters.values()), member


def test_in_a_search() -> None:
    grid = {"sklearnclassifier__model_kwargs": [{"units": 2}, {"units": 4}]}
    pipeline = make_pipeline(StandardScaler(), estimator("SKLearnClassifier"))
    with cornu.backend.use("numpy"):
        found = GridSearchCV(pipeline, grid, cv=2).fit(X, LABELS)
    assert set(found.predict(X)) <= {"up", "down"}
    assert found.best_estimator_[-1].model_.layers[0].units in (2, 4)


def test_what_a_classifier_gives() -> None:
    found = estimator("SKLearnClassifier").fit(X, LABELS, epochs=40)
    assert list(found.classes_) == ["down", "up"] and found.epoch_ == 40
    assert np.mean(found.predict(X) == LABELS) > 0.9
    outputs = found.model_.predict(X, verbose=0)
    np.testing.assert_array_equal(found.decision_function(X), outputs[:, 1] - outputs[:, 0])
    again = pickle.loads(pickle.dumps(found))
    np.testing.assert_array_equal(again.predict(X), found.predict(X))
    three = estimator("SKLearnClassifier").fit(X, np.arange(24) % 3)
    assert three.decision_function(X).shape == (24, 3)


@pytest.mark.parametrize("warm", [False, True])
def test_a_model_that_is_given(warm: bool) -> None:
    """It stays as it is: a copy is trained, which a warm start goes on with."""
    given = net(X, X[:, :1])
    before = given.get_weights()
    one = wrappers.SKLearnRegressor(given, warm_start=warm, fit_kwargs={"verbose": 0})
    first = one.fit(X, X[:, 0]).model_
    assert one.predict(X).shape == (24,) and one.fit(X, X[:, 0]).model_ is first or not warm
    assert (one.model_ is first) == warm
    for old, new in zip(before, given.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    assert isinstance(clone(one).model, cornu.Sequential)


@pytest.mark.parametrize(
    ("model", "y", "error", "message"),
    [
        (net, np.zeros(24), ValueError, "Classifier can't train when only one class is present"),
        (net, X[:, :2], ValueError, "y should be a 1d array"),
        (3, LABELS, TypeError, "`model` must be a compiled model, or a function that gives one"),
        (cornu.Sequential([layers.Dense(2)]), LABELS, RuntimeError, "must be compiled"),
    ],
)
def test_what_is_refused(model: Any, y: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        wrappers.SKLearnClassifier(model, fit_kwargs={"verbose": 0}).fit(X, y)
    with pytest.raises(NotFittedError):
        wrappers.SKLearnClassifier(model).predict(X)
