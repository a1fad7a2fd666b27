"""Searches: what `run_trial` may give and raise, order and end, resuming, pruning, children, models, summaries."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cornu
from cornu import tuner as kt
from cornu.callbacks import Callback, History
from cornu.tuner import errors
from cornu.tuner.engine.trial import Trial

X = np.random.default_rng(0).normal(size=(32, 4)).astype("float32")
Y = X[:, :1] * 2


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    with cornu.backend.use("numpy"):
        yield tmp_path


def tried(ask: Any, kind: type[Any] = kt.RandomSearch, **options: Any) -> Any:
    """A tuner whose trials are a function of hyperparameters."""

    class Asking(kind):  # type: ignore[misc]
        def run_trial(self, trial: Trial, *args: Any, **kwargs: Any) -> Any:
            return ask(trial.hyperparameters)

    Asking.__name__ = kind.__name__
    return Asking(**options)


def build(hp: Any) -> Any:
    model = cornu.Sequential([cornu.layers.Dense(hp.Int("units", 1, 3))])
    if hp.Boolean("deep"):
        with hp.name_scope("deep"):
            model.add(cornu.layers.Dense(hp.Choice("width", [2, 3])))
    model.add(cornu.layers.Dense(1))
    model.compile(
        cornu.optimizers.SGD(hp.Float("rate", 1e-3, 1e-1, sampling="log")), "mse", metrics=["mae"]
    )
    return model


def history(**metrics: list[float]) -> History:
    made = History()
    made.history, made.epoch = dict(metrics), list(range(len(next(iter(metrics.values())))))
    return made


#: What trials give, the objective, and the score.
GIVEN: list[tuple[Any, Any, float]] = [
    (1.0, None, 1.0),
    (3, None, 3.0),
    (np.float32(3), None, 3.0),
    (True, None, 1.0),
    ([1.0, 2.0], None, 1.5),
    (1.0, "val_loss", 1.0),
    ({"val_loss": 1.0}, "val_loss", 1.0),
    ([{"val_loss": 1.0}, {"val_loss": 3.0}], "val_loss", 2.0),
    ({"f": 0.5}, kt.Objective("f", "max"), 0.5),
    (history(val_loss=[3.0, 1.0, 2.0], loss=[1.0, 2.0, 3.0]), "val_loss", 1.0),
    ([history(val_loss=[3.0, 1.0]), history(val_loss=[2.0, 4.0])], "val_loss", 1.5),
    ({"a": 1.0, "b": 0.25}, [kt.Objective("a", "min"), kt.Objective("b", "max")], 0.75),
]


@pytest.mark.parametrize(("given", "objective", "score"), GIVEN)
def test_what_trials_give(home: Path, given: Any, objective: Any, score: float) -> None:
    tuner = tried(lambda hp: (hp.Int("x", 1, 9), given)[1], objective=objective, max_trials=2)
    tuner.search(verbose=0)
    trials = tuner.oracle.get_best_trials(5)
    assert [(it.status, it.score) for it in trials] == [("COMPLETED", score)] * 2


BAD: list[tuple[Any, Any, type[Exception], str]] = [
    (None, None, errors.FatalTypeError, "Did you forget to return them?"),
    ("x", "val_loss", errors.FatalTypeError, "Did you forget to return the metrics?"),
    (
        "x",
        None,
        errors.FatalTypeError,
        "must return a number where no `objective` is named. Received: 'x'",
    ),
    ({"a": 1.0}, None, errors.FatalTypeError, "must return a number where no `objective` is named"),
    (
        {"a": 1.0},
        "val_loss",
        errors.FatalValueError,
        "must have the objective, val_loss. Received: ['a']",
    ),
    ([], None, errors.FatalTypeError, "must return metrics. Received: []"),
]


@pytest.mark.parametrize(("given", "objective", "kind", "message"), BAD)
def test_what_trials_may_not_give(
    home: Path, given: Any, objective: Any, kind: type[Exception], message: str
) -> None:
    tuner = tried(lambda hp: given, objective=objective)
    with pytest.raises(kind) as raised:
        tuner.search(verbose=0)
    assert message in str(raised.value)
    assert [it.status for it in tuner.oracle.trials.values()] == ["FAILED"]


def failing(error: BaseException, **options: Any) -> tuple[Any, list[int]]:
    calls: list[int] = []

    def ask(hp: Any) -> float:
        calls.append(hp.Int("x", 1, 100))
        raise error

    return tried(ask, max_trials=2, **options), calls


def test_errors(home: Path) -> None:
    """Some are tried again, some fail at once, some end the search, as do three in a row."""
    tuner, calls = failing(ValueError("boo"), max_retries_per_trial=2, project_name="again")
    tuner.search(verbose=0)
    assert len(calls) == 6 and len(set(calls)) == 2
    assert [it.status for it in tuner.oracle.trials.values()] == ["FAILED"] * 2
    assert "ValueError: boo" in tuner.oracle.trials["0000"].message
    final = errors.FailedTrialError("boo")
    tuner, calls = failing(final, max_retries_per_trial=2, project_name="once")
    tuner.search(verbose=0)
    assert len(calls) == 2
    tuner, calls = failing(errors.FatalValueError("boo"), project_name="fatal")
    with pytest.raises(errors.FatalValueError, match="boo"):
        tuner.search(verbose=0)
    assert len(calls) == 1
    tuner, calls = failing(ValueError("boo"), max_consecutive_failed_trials=1, project_name="row")
    with pytest.raises(RuntimeError, match="1 trials have failed in a row"):
        tuner.search(verbose=0)


def test_nan_is_no_score(home: Path) -> None:
    tuner = tried(lambda hp: hp.Choice("x", [1.0, 2.0]) if hp.Boolean("b") else math.nan)
    tuner.search(verbose=0)
    trials = list(tuner.oracle.trials.values())
    assert sorted(it.status for it in trials) == ["COMPLETED", "COMPLETED", "FAILED"]
    assert "Its objective, 'default_objective', was NaN." in {it.message for it in trials}


def test_a_grid_is_walked_in_keras_tuner_s_order(home: Path) -> None:
    """Defaults first, the last hyperparameter fastest; conditional ones where they are asked for."""
    seen: list[Any] = []

    def ask(hp: Any) -> float:
        seen.append(
            (
                hp.Choice("a", [1, 2], default=2),
                hp.Choice("b", ["x", "y"]),
                hp.Float("f", 0, 1, 0.5),
            )
        )
        return 1.0

    tried(ask, kt.GridSearch).search(verbose=0)
    assert seen == [(a, b, f) for a in (2, 1) for b in "xy" for f in (0.0, 0.5, 1.0)]
    branches: list[Any] = []

    def branch(hp: Any) -> float:
        kind = hp.Choice("kind", ["p", "q"])
        for letter in "pq":
            with hp.conditional_scope("kind", letter):
                hp.Choice(f"{letter}i", [1, 2])
        branches.append((kind, dict(hp.values)))
        return 1.0

    tried(branch, kt.GridSearch, project_name="branches").search(verbose=0)
    assert [it[1] for it in branches] == [
        {"kind": kind, f"{kind}i": value} for kind in "pq" for value in (1, 2)
    ]


KINDS = [kt.RandomSearch, kt.GridSearch, kt.TPE, kt.Evolution]


@pytest.mark.parametrize("kind", KINDS)
def test_small_spaces_are_tried_whole_and_once(home: Path, kind: Any, caplog: Any) -> None:
    caplog.set_level("INFO", "cornu")
    tuner = tried(
        lambda hp: sum(hp.Int(f"n{i}", 1, 2) for i in range(hp.Int("n", 1, 3))),
        kind,
        max_trials=100,
    )
    tuner.search(verbose=0)
    values = {tuple(it.hyperparameters.values.items()) for it in tuner.oracle.trials.values()}
    assert len(values) == len(tuner.oracle.trials) == 2 + 4 + 8
    assert "all 14 points of its space were tried" in caplog.text
    assert tuner.get_best_hyperparameters()[0].values == {"n": 1, "n0": 1}


def test_given_spaces(home: Path) -> None:
    """What was given is searched as it was given; others have defaults, or are refused."""
    given = kt.HyperParameters()
    given.Fixed("rate", 0.5)
    given.Choice("units", [7, 8])

    def ask(hp: Any) -> float:
        found = (hp.Float("rate", 0, 1), hp.Int("units", 1, 3), hp.Int("more", 4, 9))
        assert found[0] == 0.5 and found[1] in (7, 8) and found[2] == 4
        return float(found[1])

    tuner = tried(ask, hyperparameters=given, tune_new_entries=False)
    tuner.search(verbose=0)
    assert sorted(it.score for it in tuner.oracle.trials.values()) == [7.0, 8.0]
    tuner = tried(ask, hyperparameters=given, allow_new_entries=False, project_name="strict")
    with pytest.raises(errors.FatalRuntimeError, match=r"asks for given .*Received: \['more'\]"):
        tuner.search(verbose=0)
    with pytest.raises(ValueError, match="A search of known hyperparameters alone needs them"):
        kt.RandomSearch(build, allow_new_entries=False)


def test_resuming(home: Path) -> None:
    """The same names go on; another kind of tuner is refused; `overwrite` begins anew."""
    first = tried(lambda hp: hp.Int("x", 1, 99) * 1.0, max_trials=3, seed=1)
    first.search(verbose=0)
    second = tried(lambda hp: hp.Int("x", 1, 99) * 1.0, max_trials=5)
    assert (len(second.oracle.trials), second.remaining_trials, second.oracle.seed) == (3, 2, 1)
    second.search(verbose=0)
    values = [it.hyperparameters["x"] for it in second.oracle.trials.values()]
    assert len(values) == len(set(values)) == 5
    assert values[:3] == [it.hyperparameters["x"] for it in first.oracle.trials.values()]
    with pytest.raises(RuntimeError, match="or pass `overwrite=True`"):
        tried(lambda hp: 1.0, kt.GridSearch)
    assert not tried(lambda hp: 1.0, kt.GridSearch, overwrite=True).oracle.trials


def test_an_interrupted_trial_is_run_again(home: Path) -> None:
    """With the same values, here and in another process."""
    seen: list[int] = []

    def ask(hp: Any) -> float:
        seen.append(hp.Int("x", 1, 10**6))
        if len(seen) == 2:
            raise KeyboardInterrupt
        return 1.0

    tuner = tried(ask, max_trials=3)
    with pytest.raises(KeyboardInterrupt):
        tuner.search(verbose=0)
    tried(ask, max_trials=3).search(verbose=0)
    assert len(seen) == 4 and seen[1] == seen[2] and len(set(seen)) == 3


def test_an_oracle_of_one_s_own(home: Path) -> None:
    class Descending(kt.Oracle):
        def populate_space(self, trial_id: str) -> dict[str, Any]:
            left = 5 - len(self.trials)
            return {"status": "RUNNING" if left else "STOPPED", "values": {"x": left}}

        @kt.synchronized
        def end_trial(self, trial: Trial) -> None:
            assert trial.status == "COMPLETED"
            super().end_trial(trial)

    tuner = tried(
        lambda hp: hp.Int("x", 1, 9) + hp.Int("other", 100, 200), kt.Tuner, oracle=Descending()
    )
    tuner.search(verbose=0)
    assert [it.score for it in tuner.oracle.trials.values()] == [105.0, 104.0, 103.0, 102.0, 101.0]


def test_models(home: Path, capsys: Any) -> None:
    """The best model scores as the search says, in another tuner too, and the summaries are of what was used."""
    options: dict[str, Any] = {"objective": "val_loss", "max_trials": 3, "seed": 3}
    tuner = kt.RandomSearch(build, **options, executions_per_trial=2)
    assert [p.name for p in tuner.oracle.get_space().space] == ["units", "deep", "rate"]
    tuner.search(X, Y, validation_data=(X, Y), epochs=2, verbose=0, in_process=True)
    best = tuner.oracle.get_best_trials()[0]
    for it in (tuner, kt.RandomSearch(build, **options)):
        loss, _ = it.get_best_models()[0].evaluate(X, Y, verbose=0)
        assert loss <= best.score + 1e-6
    capsys.readouterr()
    tuner.results_summary(1)
    shown = capsys.readouterr().out
    assert f"Score: {best.score}" in shown
    assert ("deep/width" in shown) == best.hyperparameters["deep"]
    tuner.search_space_summary()
    assert "units (Int)" in capsys.readouterr().out


def test_children(home: Path) -> None:
    """Trials in processes of their own report, score and keep their models here."""
    tuner = kt.TPE(build, "val_loss", max_trials=3, pruner="median")
    tuner.search(X, Y, validation_data=(X, Y), epochs=2, verbose=0, n_jobs=2)
    trials = tuner.oracle.trials.values()
    assert len(trials) == 3 and all(it.status in ("COMPLETED", "STOPPED") for it in trials)
    assert set(tuner.get_best_hyperparameters()[0].values) >= {"units", "deep", "rate"}
    loss, _ = tuner.get_best_models()[0].evaluate(X, Y, verbose=0)
    assert loss == pytest.approx(tuner.oracle.get_best_trials()[0].score, rel=1e-5)


def test_a_child_that_dies_is_a_failed_trial(home: Path) -> None:
    def dies(hp: Any) -> Any:
        import os

        if hp.Choice("x", [1, 2]) == 2 and hp.source is not None:
            os._exit(3)
        return build(hp)

    tuner = kt.GridSearch(dies, "loss", hyperparameters=None, max_trials=2)
    tuner.oracle._given = {"x": cornu.tuner.engine.hyperparameters.Choice("x", [2, 1])}
    tuner.search(X, Y, verbose=0, epochs=1)
    first, second = tuner.oracle.trials.values()
    assert first.status == "FAILED" and "exit code 3" in first.message
    assert second.status == "COMPLETED"


def test_pruning(home: Path) -> None:
    """A trial that is hopeless ends early, is told so, and is not among the best."""

    class Curves(kt.RandomSearch):
        def run_trial(self, trial: Trial, *args: Any, **kwargs: Any) -> Any:
            level = trial.hyperparameters.Int("level", 0, 9)
            model: Any = type("Model", (), {"stop_training": False})()
            for epoch in range(9):
                self.on_epoch_end(trial, model, epoch, {"val_loss": level / (epoch + 1)})
                if model.stop_training:
                    break
            epochs.append(epoch + 1)
            return {"val_loss": level / (epoch + 1)}

    epochs: list[int] = []
    Curves(objective="val_loss", pruner="asha", seed=1).search(verbose=0)
    assert sum(epochs) < 60 and max(epochs) == 9
    tuner = Curves(objective="val_loss", project_name="all")
    tuner.search(verbose=0)
    assert sum(epochs[-10:]) == 90


def test_hyperband(home: Path) -> None:
    tuner = kt.Hyperband(build, "val_loss", max_epochs=3, factor=2, seed=1)
    assert tuner.oracle.max_trials == 2 + 2
    tuner.search(X, Y, validation_data=(X, Y), verbose=0, in_process=True)
    states = [it.status for it in tuner.oracle.trials.values()]
    assert set(states) == {"COMPLETED", "STOPPED"} and len(states) == 4
    assert tuner.get_best_hyperparameters()[0]["tuner/epochs"] == 3
    assert tuner.get_best_models()[0].built


def test_several_objectives(home: Path) -> None:
    """Evolution keeps the front; others have the sum."""
    tuner = kt.Evolution(build, ["val_loss", "params"], max_trials=4, seed=2)
    tuner.search(X, Y, validation_data=(X, Y), verbose=0, in_process=True)
    best = tuner.oracle.get_best_trials(9)
    front = [
        (it.metrics.get_last_value("val_loss"), it.metrics.get_last_value("params")) for it in best
    ]
    assert len(front) == 4
    assert not any(a < front[0][0] and b < front[0][1] for a, b in front)


def test_cross_validation(home: Path) -> None:
    tuner = kt.RandomSearch(build, "val_loss", max_trials=2)
    tuner.search(X, Y, verbose=0, cross_validation=2, in_process=True)
    assert [it.status for it in tuner.oracle.trials.values()] == ["COMPLETED"] * 2
    for options, message in (
        (
            {"cross_validation": 99},
            "divides the rows of arrays of one length into at least 2 parts",
        ),
        ({"cross_validation": 2, "validation_split": 0.5}, "makes its own validation data"),
    ):
        tuner = kt.RandomSearch(build, "val_loss", overwrite=True)
        with pytest.raises(errors.FatalValueError, match=message):
            tuner.search(X, Y, in_process=True, verbose=0, **options)


def test_hypermodels_that_fit(home: Path) -> None:
    """Hyperparameters of training are searched too; what `fit` gives is the score."""

    class Mine(kt.HyperModel):
        def build(self, hp: Any) -> Any:
            return build(hp)

        def fit(self, hp: Any, model: Any, *args: Any, **kwargs: Any) -> Any:
            model.fit(*args, batch_size=hp.Choice("batch", [8, 16]), **kwargs)
            return float(hp["batch"])

    tuner = kt.RandomSearch(Mine(), max_trials=2)
    tuner.search(X, Y, verbose=0, in_process=True)
    assert {it.score for it in tuner.oracle.trials.values()} <= {8.0, 16.0}
    assert tuner.get_best_models()[0].built


class Uncopied(Callback):
    def __deepcopy__(self, memo: Any) -> Any:
        raise TypeError("no copies")


REFUSED: list[tuple[Any, dict[str, Any], type[Exception], str]] = [
    (
        lambda hp: None,
        {},
        errors.FatalTypeError,
        "must return one. Received: None of <class 'NoneType'>",
    ),
    (3, {}, ValueError, "`hypermodel` must be a `HyperModel` or a function"),
    (build, {"max_model_size": 1}, RuntimeError, "A model has `max_model_size` parameters at most"),
    (
        build,
        {"callbacks": [Uncopied()]},
        errors.FatalTypeError,
        "Each trial has copies of the callbacks",
    ),
]


@pytest.mark.parametrize(("hypermodel", "options", "kind", "message"), REFUSED)
def test_what_is_refused(
    home: Path, hypermodel: Any, options: dict[str, Any], kind: type[Exception], message: str
) -> None:
    def built(hp: Any) -> Any:
        model = hypermodel(hp)
        if model is not None:
            model.build((None, 4))
        return model

    given = {name: value for name, value in options.items() if name == "callbacks"}
    rest = {name: value for name, value in options.items() if name != "callbacks"}
    with pytest.raises(kind) as raised:
        tuner = kt.RandomSearch(built if callable(hypermodel) else hypermodel, "loss", **rest)
        tuner.search(X, Y, verbose=0, in_process=True, **given)
    assert message in str(raised.value)


@pytest.mark.parametrize("kind", ["RandomSearch", "GridSearch", "TPE", "Evolution"])
def test_a_tuner_takes_what_its_oracle_does(kind: str, tmp_path: Path) -> None:
    """In the order of Keras Tuner's tuners, which is not that of its oracles."""
    space = kt.HyperParameters()
    place = {"directory": tmp_path, "project_name": kind}
    tuner = getattr(kt, kind)(
        build, "val_loss", 4, 7, space, False, True, max_retries_per_trial=2, **place
    )
    oracle = tuner.oracle
    assert (oracle.max_trials, oracle.seed, oracle.max_retries_per_trial) == (4, 7, 2)
    assert (oracle.tune_new_entries, oracle.allow_new_entries) == (False, True)
    with pytest.raises(TypeError, match="multiple values for argument 'max_trials'"):
        getattr(kt, kind)(build, "val_loss", 4, max_trials=5, **place)


def test_a_search_follows_the_seed_of_the_process(home: Path) -> None:
    """As whatever draws and is given no seed."""
    drawn = []
    for name in "ab":
        cornu.utils.set_random_seed(5)
        tuner = tried(lambda hp: hp.Float("x", 0, 1), max_trials=3, project_name=name)
        tuner.search(in_process=True, verbose=0)
        drawn.append([it.score for it in tuner.oracle.trials.values()])
    assert drawn[0] == drawn[1] and len(set(drawn[0])) == 3
