"""A search in its storage: what parameters become, what trials keep, what happens to those of the dead."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from cornu.tuner import _owners, _study
from cornu.tuner._parameters import Boolean, Choice, Fixed, Float, Int, Parent
from cornu.tuner._study import PRUNERS, SAMPLERS, Study

#: Parameters, and what their values must be.
PARAMETERS: list[tuple[Any, set[Any] | tuple[float, float]]] = [
    (Int("i", 3, 6), {3, 4, 5, 6}),
    (Int("i", 2, 11, step=4), {2, 6, 10}),
    (Int("i", 1, 100, sampling="log"), (1, 100)),
    (Int("i", 8, 64, step=2, sampling="log"), {8, 16, 32, 64}),
    (Int("i", 1, 100, sampling="reverse_log"), (1, 100)),
    (Int("i", 5, 5), {5}),
    (Float("f", 0.5, 1.5), (0.5, 1.5)),
    (Float("f", 0.0, 0.3, step=0.1), {0.0, 0.1, 0.2, 0.3}),
    (Float("f", 1e-4, 1e-1, sampling="log"), (1e-4, 1e-1)),
    (Float("f", 1.0, 1000.0, step=10, sampling="log"), {1.0, 10.0, 100.0, 1000.0}),
    (Float("f", 1e-4, 1.0, sampling="reverse_log"), (1e-4, 1.0)),
    (Choice("c", [16, 32, 64]), {16, 32, 64}),
    (Choice("c", [16, 32, 64], ordered=False), {16, 32, 64}),
    (Choice("c", ["relu", "tanh"]), {"relu", "tanh"}),
    (Choice("c", [0.1, 0.5]), {0.1, 0.5}),
    (Boolean("b"), {True, False}),
    (Fixed("x", 3), {3}),
]


@pytest.mark.parametrize(("parameter", "allowed"), PARAMETERS, ids=repr)
def test_parameters(parameter: Any, allowed: Any) -> None:
    """All values come, none other, of the right type; and values that are given come as they are."""
    study = Study(":memory:", "it", sampler="random", seed=1)
    found = []
    for _ in range(40):
        number = study.ask()
        found.append(study.suggest(number, parameter))
        assert study.suggest(number, parameter) == found[-1]
        study.tell(number, "COMPLETED", [0.0])
    if isinstance(allowed, set):
        assert {round(x, 9) if type(x) is float else x for x in found} == allowed
    else:
        assert allowed[0] <= min(found) < max(found) <= allowed[1]
    assert {type(x) for x in found} == {type(x) for x in (*allowed,)} or isinstance(allowed, tuple)
    if not isinstance(parameter, Fixed):
        for value in parameter.values:
            number = study.ask({parameter.name: value, "of nobody": 1})
            assert study.suggest(number, parameter) == pytest.approx(value)


def values_of(study: Study) -> list[float]:
    number = study.ask()
    return [study.suggest(number, Float(name, 0, 1)) for name in "ab"]


@pytest.mark.parametrize("sampler", ["random", "tpe", "cmaes"])
def test_draws_follow_from_the_number(sampler: str) -> None:
    """Of the trial, with the seed: not from the process, nor from what it drew before."""
    one, other = (Study(":memory:", "it", sampler=sampler, seed=3) for _ in range(2))
    first = [values_of(one) for _ in range(3)]
    number = other.ask()
    second = other.ask()
    later = [other.suggest(second, Float(name, 0, 1)) for name in "ab"]
    assert [other.suggest(number, Float(name, 0, 1)) for name in "ab"] == first[0]
    assert later == first[1]
    assert len({str(x) for x in first}) == 3


@pytest.mark.parametrize("sampler", [name for name in SAMPLERS if name != "gp"])
@pytest.mark.parametrize("pruner", PRUNERS)
def test_samplers_and_pruners(sampler: str, pruner: str | None) -> None:
    study = Study(":memory:", "it", sampler=sampler, pruner=pruner, seed=1)
    for _ in range(3):
        number = study.ask()
        x = study.suggest(number, Int("x", 0, 5))
        stops = [study.report(number, step, float(x)) for step in range(2)]
        study.tell(number, "STOPPED" if any(stops) else "COMPLETED", [x])
    assert {trial.state for trial in study.trials()} <= {"COMPLETE", "PRUNED"}


def test_pruning() -> None:
    study = Study(":memory:", "it", sampler="random", pruner="median", seed=1)
    for number in range(6):
        assert study.ask() == number
        stops = [study.report(number, step, 1.0 if number < 5 else 9.0) for step in range(3)]
        assert any(stops) == (number == 5)
        study.tell(number, "STOPPED" if any(stops) else "COMPLETED", [1.0])
    assert study.trials()[5].values == [9.0]
    assert study.trials()[0].reports == {0: 1.0, 1: 1.0, 2: 1.0}


def test_one_name_under_two_conditions() -> None:
    """May mean two kinds of values."""
    study = Study(":memory:", "it", sampler="tpe", seed=1)
    kinds = [
        Int("size", 1, 3, conditions=[Parent("kind", ("a",))]),
        Choice("size", ["small", "large"], conditions=[Parent("kind", ("b",))]),
    ]
    for i in range(12):
        number = study.ask()
        assert study.suggest(number, kinds[i % 2]) in kinds[i % 2].values
        study.tell(number, "COMPLETED", [float(i)])
    assert {name for trial in study.trials() for name in trial.params} == {"size", "size (2)"}


STORAGES = [
    "search.journal",
    pytest.param(
        "sqlite:///{}/search.db", marks=pytest.mark.soak
    ),  # its libraries take seconds to load
]
WORKER = """
import json, sys, time
from cornu.tuner._parameters import Float
from cornu.tuner._study import Study
study = Study(sys.argv[1], "it", sampler="random", seed=1)
number = study.ask()
study.suggest(number, Float("x", 0, 1))
study.report(number, 0, 0.5)
study.attributes(number, note="kept")
print(number, flush=True)
time.sleep(600)
"""


def worker(storage: str) -> subprocess.Popen[str]:
    code = [sys.executable, "-c", WORKER, storage]
    return subprocess.Popen(code, stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize("storage", STORAGES)
def test_trials_of_the_dead_go_on(storage: str, tmp_path: Path) -> None:
    """With what they had; those of the living stay theirs."""
    place = storage.format(tmp_path) if "://" in storage else str(tmp_path / storage)
    dead, living = worker(place), worker(place)
    for process in (dead, living):
        assert process.stdout is not None
        process.number = int(process.stdout.readline())  # type: ignore[attr-defined]
    dead.kill()
    dead.communicate()
    study = Study(place, "it", sampler="random", seed=1)
    before = study.trials()[dead.number]  # type: ignore[attr-defined]
    assert before.state == "RUNNING"
    assert study.reclaim() == [before.number]
    assert study.reclaim() == []
    assert study.ask() == before.number
    assert study.suggest(before.number, Float("x", 0, 1)) == before.params["x"]
    after = study.trials()[before.number]
    assert (after.reports, after.attributes["note"]) == ({0: 0.5}, "kept")
    assert study.ask() == 2
    study.tell(before.number, "COMPLETED", [0.1])
    states = Counter(trial.state for trial in study.trials())
    assert states == {"RUNNING": 2, "COMPLETE": 1}
    living.kill()
    living.communicate()


def test_trials_of_other_hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Are taken once nobody was heard of for long."""
    study = Study(":memory:", "it")
    with monkeypatch.context() as patched:
        patched.setattr(_owners, "me", lambda: "elsewhere:1:2")
        number = study.ask()
    assert study.reclaim() == []
    assert study.reclaim(stale=-1) == [number]


def test_an_own_trial_that_is_released(tmp_path: Path) -> None:
    """Waits for whoever asks: an interrupt in a notebook leaves it, and the same process goes on."""
    study = Study(tmp_path / "search.journal", "it")
    number = study.ask()
    assert study.reclaim() == []
    again = Study(tmp_path / "search.journal", "it")
    assert again.reclaim() == []
    study.release(number)
    assert again.ask() == number


def test_several_objectives(tmp_path: Path) -> None:
    place = tmp_path / "search.journal"
    study = Study(place, "it", sampler="evolution", directions=["minimize", "maximize"], seed=1)
    number = study.ask()
    assert not study.report(number, 0, 1.0)
    study.tell(number, "COMPLETED", [1.0, 2.0])
    assert study.trials()[0].values == [1.0, 2.0]
    with pytest.raises(ValueError, match="has the objectives that it began with.*'minimize', 'max"):
        Study(place, "it")


def test_what_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"`sampler` must be one of .*'tpe'.* Received: sampler='x'"
    ):
        Study(":memory:", "it", sampler="x")
    with pytest.raises(
        ValueError, match=r"`pruner` must be one of .*'asha'.* Received: pruner='x'"
    ):
        Study(":memory:", "it", pruner="x")
    with pytest.raises(ValueError, match="`directions` must be one of"):
        Study(":memory:", "it", directions=["up"])
    study = Study(":memory:", "it")
    with pytest.raises(ValueError, match="by who asked for it. Received: trial 0"):
        study.tell(0, "COMPLETED", [1.0])
    number = study.ask()
    with pytest.raises(ValueError, match="`state` must be one of"):
        study.tell(number, "DONE", [1.0])
    assert not study.report(number, 0, float("nan"))
    study.tell(number, "INVALID")
    assert study.trials()[0].state == "FAIL"


def test_notes(tmp_path: Path) -> None:
    study = Study(tmp_path / "deep" / "search.journal", "it")
    study.notes(limit=3)
    assert Study(tmp_path / "deep" / "search.journal", "it").notes()["limit"] == 3
    text = (tmp_path / "deep" / "search.journal").read_text()
    assert all(json.loads(line) for line in text.splitlines())
    assert os.listdir(tmp_path / "deep") == ["search.journal"]
    assert not list(Path(_study.tempfile.gettempdir()).glob(f"{study._place.name}*"))
