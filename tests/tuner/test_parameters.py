"""Spaces: ranges, grids and shares of probability, scopes, conditions, copies; the objective's direction."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest

from cornu import losses, metrics
from cornu.tuner import _parameters as p
from cornu.tuner._history import MetricsTracker
from cornu.tuner._objective import Objective, infer_metric_direction, make
from cornu.tuner._space import HyperParameters

#: Calls of hyperparameters, and their values.
VALUES: list[tuple[p.HyperParameter, tuple[Any, ...]]] = [
    (p.Int("a", 5, 5), (5,)),
    (p.Int("a", 1, 10, step=3), (1, 4, 7, 10)),
    (p.Int("a", -4, 4, step=3), (-4, -1, 2)),
    (p.Int("a", 1, 100, step=3, sampling="log"), (1, 3, 9, 27, 81)),
    (p.Int("a", 2, 16, step=2, sampling="reverse_log"), (2, 4, 8, 16)),
    (p.Float("a", 0, 1, step=0.25), (0.0, 0.25, 0.5, 0.75, 1.0)),
    (p.Float("a", 0, 0.3, step=0.1), (0.0, 0.1, 0.2, 0.3)),
    (p.Float("a", 1, 10, step=20), (1.0,)),
    (p.Float("a", 1e-3, 1, step=10, sampling="log"), (0.001, 0.01, 0.1, 1.0)),
    (p.Float("a", 0, 1), tuple(0.05 + 0.1 * i for i in range(10))),
    (p.Float("a", 2, 2), (2.0,)),
    (p.Choice("a", ["x", "y"]), ("x", "y")),
    (p.Boolean("a"), (True, False)),
    (p.Fixed("a", "x"), ("x",)),
]


@pytest.mark.parametrize(("parameter", "values"), VALUES, ids=[repr(v[0]) for v in VALUES])
def test_values(parameter: p.HyperParameter, values: tuple[Any, ...]) -> None:
    """A grid has those; each is at the middle of its share, and comes back from a config."""
    found = list(parameter.values)
    if isinstance(values[0], float):
        np.testing.assert_allclose(found, values)
    else:
        assert found == list(values)
    for value in found:
        back = parameter.prob_to_value(parameter.value_to_prob(value))
        assert back == pytest.approx(value) if isinstance(value, float) else back == value
    assert all(parameter.prob_to_value(prob) in found for prob in (0, 1)) or not isinstance(
        parameter, p.Choice
    )
    again = p.deserialize(p.serialize(parameter))
    assert (type(again), again.get_config()) == (type(parameter), parameter.get_config())
    assert again.default == parameter.default


#: As Keras Tuner 1.4.8 has them.
SHARES: list[tuple[p.HyperParameter, list[float], list[Any]]] = [
    (p.Int("a", 1, 10), [0, 0.05, 0.1, 0.5, 0.99, 1], [1, 1, 2, 6, 10, 10]),
    (p.Int("a", 1, 10, step=3), [0, 0.05, 0.1, 0.5, 0.99, 1], [1, 1, 1, 7, 10, 10]),
    (p.Int("a", 1, 100, sampling="log"), [0, 0.25, 0.5, 1], [1, 3, 10, 100]),
    (p.Int("a", 1, 100, sampling="reverse_log"), [0, 0.25, 0.5, 1], [1, 70, 91, 100]),
    (p.Float("a", 1e-4, 0.1, sampling="log"), [0, 0.5, 1], [1e-4, 0.0031622776, 0.1]),
    (p.Float("a", 1e-4, 0.1, sampling="reverse_log"), [0, 0.5, 1], [1e-4, 0.0969377223, 0.1]),
    (p.Float("a", 0, 1, step=0.25), [0, 0.1, 0.3, 0.5, 1], [0, 0, 0.25, 0.5, 1]),
    (p.Choice("a", [1, 2, 3]), [0, 0.33, 0.34, 0.5, 1], [1, 1, 2, 2, 3]),
    (p.Boolean("a"), [0, 0.4, 0.5, 1], [False, False, True, True]),
    (p.Fixed("a", 3), [0.3], [3]),
]


@pytest.mark.parametrize(
    ("parameter", "shares", "values"), SHARES, ids=[repr(s[0]) for s in SHARES]
)
def test_shares(parameter: p.HyperParameter, shares: list[float], values: list[Any]) -> None:
    found = [parameter.prob_to_value(share) for share in shares]
    np.testing.assert_allclose(np.array(found, float), np.array(values, float), rtol=1e-6)


REFUSED: list[tuple[str, type[Exception], str]] = [
    ("p.Int('a', 1.5, 3)", ValueError, "`min_value` must be an integer. Received: min_value=1.5"),
    ("p.Int('a', 1, 3, step=0.5)", ValueError, "`step` must be an integer. Received: step=0.5"),
    ("p.Int('a', 5, 3)", ValueError, "`min_value` must not be above `max_value`. Received: Int"),
    ("p.Int('a', 0, 3, sampling='log')", ValueError, "`min_value` must be above 0 with sampling"),
    ("p.Int('a', 1, 3, step=1, sampling='log')", ValueError, "`step` must be above 1, a factor"),
    ("p.Int('a', 1, 3, step=0)", ValueError, "`step` must be above 0 with sampling='linear'"),
    ("p.Int('a', 1, 3, sampling='x')", ValueError, "`sampling` must be one of ['linear', 'log'"),
    ("p.Choice('a', [])", ValueError, "A `Choice` must have at least one value. Received"),
    ("p.Choice('a', [1, 2.0])", TypeError, "must be of one type. Received: Choice('a', values=[1"),
    ("p.Choice('a', [None])", TypeError, "must be integers, floats, strings or booleans"),
    ("p.Choice('a', [1], default=2)", ValueError, "`default` must be one of the values"),
    ("p.Choice('a', ['x'], ordered=True)", ValueError, "Only numbers have an order"),
    ("p.Boolean('a', default='x')", ValueError, "`default` must be True or False. Received: de"),
    ("p.Fixed('a', None)", ValueError, "`value` must be an integer, a float, a string or a bool"),
    ("p.deserialize({'class_name': 'X', 'config': {}})", ValueError, "`class_name` must be one"),
    ("hp.get('zz')", KeyError, "No builder has asked for this hyperparameter. Received: 'zz'"),
    ("hp.get('child')", ValueError, "The conditions of this hyperparameter don't hold. Received"),
    ("hp.Int('q', 1, 2, parent_name='no', parent_values=1)", ValueError, "asked for before its"),
    ("hp.Int('q', 1, 2, parent_name='kind')", TypeError, "`parent_values` must be integers"),
    ("make(3)", TypeError, "`objective` must be a name, an `Objective` or a list of them. Rec"),
    ("make('zzz')", ValueError, "Which way a metric is better can't be told from this name. Rec"),
    ("Objective('a', 'up')", ValueError, "`direction` must be one of ['min', 'max']. Received"),
    ("MetricsTracker().get_best_value('a')", ValueError, "No such metric was noted. Received"),
]


@pytest.mark.parametrize(("code", "kind", "message"), REFUSED, ids=[r[0] for r in REFUSED])
def test_what_is_refused(code: str, kind: type[Exception], message: str) -> None:
    hp = HyperParameters()
    hp.Choice("kind", ["a", "b"])
    hp.Int("child", 1, 5, parent_name="kind", parent_values="b")
    with pytest.raises(kind) as raised:
        eval(code, {**globals(), "hp": hp})
    assert message in str(raised.value)


def test_a_name_has_one_value() -> None:
    """Who asks again, of another range too, gets what the first had; values that are set are kept."""
    hp = HyperParameters()
    hp.values["n"] = 4
    assert [hp.Int("n", 1, 5), hp.Int("n", 1, 7), hp["n"], hp.get("n")] == [4] * 4
    assert "n" in hp and "m" not in hp and len(hp.space) == 1


def test_scopes() -> None:
    hp = HyperParameters()
    with hp.name_scope("s"):
        hp.Choice("kind", ["a", "b"])
        with hp.name_scope("t"):
            assert hp.Int("n", 2, 3) == hp.get("n") == 2
        with hp.conditional_scope("kind", ["b"]):
            assert hp.Int("n", 1, 2) is None
            assert hp.Int("late", 1, 2, parent_name="kind", parent_values="a") is None
        with hp.conditional_scope("kind", "a"):
            assert hp.Int("n", 3, 4) == 3
            assert hp.Boolean("deep", parent_name="n", parent_values=[3, 4]) is False
        assert hp.is_active("n") and not hp.is_active("late") and "n" in hp
    assert hp.values == {"s/kind": "a", "s/t/n": 2, "s/n": 3, "s/deep": False}
    # one name under two conditions is two hyperparameters
    assert [x.name for x in hp.space].count("s/n") == 2
    again = HyperParameters.from_config(hp.get_config())
    assert again.get_config() == hp.copy().get_config() == hp.get_config()
    assert again.is_active("s/deep") and not again.is_active(again.space[2])
    hp.values["s/kind"] = "b"
    del hp.values["s/n"]
    hp.ensure_active_values()
    assert hp.values["s/n"] in (1, 2)


def test_merging() -> None:
    for overwrite, units in ((True, 7), (False, 2)):
        hp, other = HyperParameters(), HyperParameters()
        hp.Int("units", 1, 5, default=2)
        other.Int("units", 1, 9, default=7)
        other.Int("more", 1, 2)
        hp.merge(other, overwrite)
        assert hp.values == {"units": units, "more": 1}
        assert [x.get_config()["max_value"] for x in hp.space] == [9 if overwrite else 5, 2]


#: Better than Keras Tuner's: it takes scores of F1, R2 and IoU for losses.
DIRECTIONS = {
    "max": "accuracy acc val_acc weighted_accuracy auc AUC precision recall f1_score r2_score mean_io_u "
    "top_k_categorical_accuracy val_categorical_accuracy cosine_similarity sensitivity_at_specificity",
    "min": "loss val_loss out_loss mse kl_divergence mean_absolute_error hinge poisson root_mean_squared_error",
    None: "zzz logcosh sum",
}


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_directions(direction: str | None) -> None:
    found = {name: infer_metric_direction(name) for name in DIRECTIONS[direction].split()}
    assert set(found.values()) == {direction}, found


def test_directions_of_objects() -> None:
    found = map(
        infer_metric_direction,
        [
            losses.CosineSimilarity(),
            losses.mean_squared_error,
            metrics.CategoricalAccuracy(name="mine"),
            lambda a, b: 1,
        ],
    )
    assert list(found) == ["min", "min", "max", None]


def test_objectives() -> None:
    both = make(["val_loss", Objective("val_accuracy", "max")])
    assert both.get_value({"val_loss": 1.0, "val_accuracy": 0.25}) == 0.75
    assert both.has_value({"val_loss": 1.0}) is False and both.direction == "min"
    assert make(None) == Objective("default_objective", "min") != make("loss")
    assert make("params").direction == "min"


def test_histories() -> None:
    tracker = MetricsTracker()
    for step, values in enumerate([(0.5, 0.7), (0.9, 0.7), (float("nan"),)]):
        for value in values:
            tracker.update("val_accuracy", value, step)
    again = MetricsTracker.from_config(tracker.get_config())
    for it in (tracker, again):
        assert it.get_best_value("val_accuracy") == pytest.approx(0.8)
        assert it.get_best_step("val_accuracy") == 1
        assert [noted.step for noted in it.get_history("val_accuracy")] == [0, 1, 2]
    again.set_history("val_accuracy", again.get_history("val_accuracy")[:1])
    assert again.get_statistics("val_accuracy")["max"] == 0.7


def test_the_signatures_are_keras_tuner_s() -> None:
    """In the same order, so that arguments may be given by position."""
    range_of = "name min_value max_value step sampling default"
    parent = "parent_name parent_values"
    for name, expected in {
        "Int": f"{range_of} {parent}",
        "Float": f"{range_of} {parent}",
        "Choice": f"name values ordered default {parent}",
        "Boolean": f"name default {parent}",
        "Fixed": f"name value {parent}",
    }.items():
        found = inspect.signature(getattr(HyperParameters(), name)).parameters
        assert " ".join(found) == expected
