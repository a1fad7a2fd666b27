"""A search as Optuna keeps it: trials in a storage that processes and machines share, samplers and pruners by name."""

from __future__ import annotations

import hashlib
import math
import os
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from .. import tuning
from ..core import files
from ..core.checks import installed, one_of
from . import _owners
from ._parameters import Boolean, Choice, Fixed, HyperParameter, Int
from ._server import seed_of

#: Names of Optuna's samplers and what they are given; each takes a seed too.
SAMPLERS: dict[str, tuple[str, dict[str, Any]]] = {
    "random": ("RandomSampler", {}),
    "tpe": ("TPESampler", {"multivariate": True, "group": True, "constant_liar": True}),
    "gp": ("GPSampler", {}),
    "cmaes": ("CmaEsSampler", {}),
    "evolution": ("NSGAIISampler", {}),
    "quasi": ("QMCSampler", {}),
    "brute": ("BruteForceSampler", {}),
}
#: The same of pruners.
PRUNERS: dict[str | None, tuple[str, dict[str, Any]]] = {
    None: ("NopPruner", {}),
    "median": ("MedianPruner", {}),
    "asha": ("SuccessiveHalvingPruner", {}),
    "hyperband": ("HyperbandPruner", {}),
    "percentile": ("PercentilePruner", {"percentile": 25.0}),
    "wilcoxon": ("WilcoxonPruner", {}),
}
#: What `Study.tell` takes, and what Optuna calls it.
STATES = {"COMPLETED": "COMPLETE", "STOPPED": "PRUNED", "FAILED": "FAIL", "INVALID": "FAIL"}
#: Seconds between two signs of life of a process, and after which one of another host is taken for dead.
BEAT, STALE = 60.0, 600.0
_OWNER, _VALUES, _SEEN = "owner", "given", "seen"


@dataclass(frozen=True)
class Record:
    """A trial as the storage has it.

    Args:
        number: Which it is, from 0.
        state: RUNNING, WAITING, or one of Optuna's for those that ended: COMPLETE, PRUNED, FAIL.
        values: Its scores, one for each objective.
        params: Its parameters as Optuna has them: an ordered choice as an index.
        reports: What it reported, by step.
        attributes: What was kept with it.
        started, ended: When, in the time of this machine.
    """

    number: int
    state: str
    values: list[float] | None
    params: dict[str, Any]
    reports: dict[int, float]
    attributes: dict[str, Any]
    started: datetime | None
    ended: datetime | None

    @property
    def chosen(self) -> dict[str, Any]:
        """The values of its parameters, as the builder got them, in the order in which it asked."""
        path = self.attributes.get("path")
        return self.params if path is None else {name: value for name, value, *_ in path}


class Study:
    """A search: it gives numbers to trials and values to their parameters, and keeps what they report.

    Args:
        storage: The path of a journal, or the URL of a database (`sqlite:///search.db`, `postgresql://...`) or of a
            server of Optuna's (`grpc://host:port`), or a storage of Optuna's.
        name: Its name there; one that is there goes on.
        sampler, pruner: Names, of `SAMPLERS` and `PRUNERS`, or objects of Optuna's.
        directions: "minimize" or "maximize", for each objective; `None` for those of a study that is there.
        seed: What the draws of each trial follow from, with the trial's number: they are the same whichever process
            runs it.

    Raises:
        ModuleNotFoundError: If Optuna, or what a storage needs, is not installed.
        ValueError: If there is no such sampler or pruner, or a study of that name has other objectives.

    >>> study = Study(":memory:", "docs", sampler="random", seed=1)
    >>> number = study.ask()
    >>> 1 <= study.suggest(number, Int("units", 1, 8)) <= 8
    True
    >>> study.tell(number, "COMPLETED", [0.5])
    >>> [(trial.state, trial.values) for trial in study.trials()]
    [('COMPLETE', [0.5])]
    """

    def __init__(
        self,
        storage: Any,
        name: str,
        sampler: Any = "tpe",
        pruner: Any = None,
        directions: Sequence[str] | None = ("minimize",),
        seed: int | None = None,
    ) -> None:
        installed("optuna", "A search", "tuner")
        import optuna

        for one in directions or ():
            one_of(("minimize", "maximize"), directions=one)
        if optuna.logging.get_verbosity() == optuna.logging.INFO:  # which nobody has chosen
            optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.name, self.seed, self._sampler = name, seed, sampler
        self.pruner = make_pruner(pruner)
        make_sampler(sampler, seed)
        place = hashlib.sha256(f"{storage} {name}".encode()).hexdigest()[:16]
        self._place = Path(tempfile.gettempdir(), f"cornu-study-{place}")
        self._trials: dict[int, Any] = {}
        self._lock = threading.RLock()
        self._beaten = -math.inf
        with self._alone():  # tables of a database that two make at once fail
            self.storage = open_storage(storage)
            self._study = (
                optuna.load_study(study_name=name, storage=self.storage)
                if directions is None
                else optuna.create_study(
                    storage=self.storage,
                    study_name=name,
                    directions=list(directions),
                    load_if_exists=True,
                    pruner=self.pruner,
                )
            )
        if directions is not None and self.directions != list(directions):
            raise ValueError(
                f"A study that goes on has the objectives that it began with. Received: directions={list(directions)}; "
                f"{name!r} has {self.directions}. Choose another name, or `overwrite=True`."
            )

    def ask(self, values: Mapping[str, Any] | None = None) -> int:
        """The number of a trial to run: one that waits, or a new one.

        Args:
            values: What parameters shall be, by their names; others are drawn. A trial that waits has its own.
        """
        with self._alone():
            trial = self._study.ask()
            trial.set_user_attr(_OWNER, _owners.me())
            if values is not None and _VALUES not in trial.user_attrs:
                trial.set_user_attr(_VALUES, dict(values))
        self._trials[trial.number] = self._owned(trial._trial_id, trial.number)
        self.beat()
        return int(trial.number)

    def suggest(
        self,
        number: int,
        parameter: HyperParameter,
        review: Callable[[Any], Any] = lambda drawn: drawn,
    ) -> Any:
        """The value of a parameter in a trial, which stays what it was at first.

        Args:
            number: The trial's.
            parameter: What it is of.
            review: Gives the value to have in place of one that was drawn.
        """
        if isinstance(parameter, Fixed):
            return parameter.value
        distribution, read, write = _distribution(parameter)
        trial = self._trial(number)
        with self._lock:
            name = self._free_name(parameter.name, distribution)
            given = trial.user_attrs.get(_VALUES, {})
            if parameter.name in given and name not in trial.params:
                place = distribution.to_internal_repr(write(given[parameter.name]))
                self.storage.set_trial_param(trial._trial_id, name, place, distribution)
                trial = self._trials[number] = self._owned(trial._trial_id, number)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                is_new = name not in trial.params
                drawn = read(trial._suggest(name, distribution))
                value = review(drawn) if is_new else drawn
                if value != drawn:
                    place = distribution.to_internal_repr(write(value))
                    self.storage.set_trial_param(trial._trial_id, name, place, distribution)
                    self._trials[number] = self._owned(trial._trial_id, number)
                return value

    def report(self, number: int, step: int, value: float) -> bool:
        """Keep a score of a trial that goes on; whether the pruner would end it."""
        trial = self._trial(number)
        self.beat()
        with self._lock:
            if len(self._study.directions) > 1 or math.isnan(value):
                return False
            trial.report(float(value), int(step))
            return bool(trial.should_prune())

    def tell(self, number: int, state: str, values: Sequence[float] | None = None) -> None:
        """End a trial.

        Args:
            number: Which.
            state: COMPLETED, STOPPED (pruned), FAILED or INVALID.
            values: Its scores, where it is COMPLETED.

        Raises:
            ValueError: If the state is none of these, or a score is NaN.
        """
        from optuna.trial import TrialState

        one_of(STATES, state=state)
        trial = self._trial(number)
        given = [float(value) for value in values] if values and state == "COMPLETED" else None
        with self._lock:
            trial.study.tell(trial, given, state=getattr(TrialState, STATES[state]))
        del self._trials[number]

    def reclaim(self, stale: float = STALE) -> list[int]:
        """Have trials wait to be run again whose process is gone; their parameters, reports and attributes stay.

        Args:
            stale: After how many seconds without a sign of life a process of another host is taken for dead.

        Returns:
            Their numbers.
        """
        from optuna.trial import TrialState

        with self._alone():
            found = [
                trial
                for trial in self._study.get_trials(False, states=(TrialState.RUNNING,))
                if self._is_left(trial.user_attrs.get(_OWNER), trial.datetime_start, stale)
            ]
            for trial in found:
                self.storage.set_trial_state_values(trial._trial_id, TrialState.WAITING)
                owner = trial.user_attrs.get(_OWNER)
                tuning.say("Trial %d goes on: its process %s is gone.", trial.number, owner)
        return [trial.number for trial in found]

    def release(self, number: int) -> None:
        """Let a trial of this process wait, for this or another process to run it."""
        from optuna.trial import TrialState

        self.storage.set_trial_state_values(self._trial(number)._trial_id, TrialState.WAITING)
        del self._trials[number]

    def attributes(self, number: int, **changed: Any) -> dict[str, Any]:
        """What is kept with a trial, after changes; values of JSON."""
        trial_id = self._study.get_trials(deepcopy=False)[number]._trial_id
        for name, value in changed.items():
            self.storage.set_trial_user_attr(trial_id, name, value)
        return dict(self.storage.get_trial(trial_id).user_attrs)

    def notes(self, **changed: Any) -> dict[str, Any]:
        """What is kept with the search, after changes."""
        for name, value in changed.items():
            self._study.set_user_attr(name, value)
        found: dict[str, Any] = self._study.user_attrs
        return found

    @property
    def directions(self) -> list[str]:
        """ "minimize" or "maximize", for each objective."""
        return [direction.name.lower() for direction in self._study.directions]

    @property
    def objectives(self) -> list[str]:
        """What the objectives are called, where it was noted (`notes(objectives=[...])`)."""
        default = ["score", *(f"score {i}" for i in range(2, len(self.directions) + 1))]
        return list(self.notes().get("objectives", default))

    @property
    def optuna(self) -> Any:
        """The study as Optuna has it."""
        return self._study

    def trials(self) -> list[Record]:
        """All trials, in the order of their numbers."""
        return [
            Record(
                it.number,
                it.state.name,
                it.values,
                dict(it.params),
                dict(it.intermediate_values),
                dict(it.user_attrs),
                it.datetime_start,
                it.datetime_complete,
            )
            for it in self._study.get_trials(deepcopy=False)
        ]

    def beat(self) -> None:
        """Leave a sign of life where the last one is old."""
        if time.monotonic() - self._beaten > BEAT:
            self._beaten = time.monotonic()
            self._study.set_user_attr(f"{_SEEN} {_owners.me()}", time.time())

    def _is_left(self, owner: str | None, started: datetime | None, stale: float) -> bool:
        """Whether nobody runs a trial any more."""
        if owner is None:  # killed between two lines, or a trial of somebody else's
            return started is not None and time.time() - started.timestamp() > BEAT
        if _owners.is_here(owner):
            return _owners.is_dead(owner)
        seen = self._study.user_attrs.get(f"{_SEEN} {owner}", 0.0)
        return time.time() - float(seen) > stale

    def _trial(self, number: int) -> Any:
        if number not in self._trials:
            raise ValueError(
                f"A trial is run by who asked for it. Received: trial {number}; this process runs "
                f"{sorted(self._trials)}. Ask for one."
            )
        return self._trials[number]

    def _owned(self, trial_id: int, number: int) -> Any:
        """A trial with a sampler of its own, so that its draws follow from its number alone."""
        import optuna

        seed = None if self.seed is None else seed_of(self.seed, str(number))
        study = optuna.load_study(
            study_name=self.name,
            storage=self.storage,
            sampler=make_sampler(self._sampler, seed),
            pruner=self.pruner,
        )
        return optuna.trial.Trial(study, trial_id)

    def _free_name(self, name: str, distribution: Any) -> str:
        """The name of a parameter among Optuna's: one that stands under two conditions, with other values in each,
        has two."""
        from optuna.distributions import check_distribution_compatibility

        for free in (name, *(f"{name} ({i})" for i in range(2, 1000))):
            others = (it.distributions for it in self._study.get_trials(deepcopy=False))
            there = next((d[free] for d in others if free in d), distribution)
            try:
                check_distribution_compatibility(there, distribution)
            except ValueError:
                continue
            return free
        raise AssertionError("a thousand kinds of one parameter")

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Within it no other process of this host takes trials: none is taken twice."""
        with self._lock, files.alone(self._place):
            yield


def studies(storage: Any) -> list[Study]:
    """The studies of a storage, by their names.

    >>> studies(":memory:")
    []
    """
    installed("optuna", "A search", "tuner")
    opened = open_storage(storage)
    names = sorted(study.study_name for study in opened.get_all_studies())
    return [Study(opened, name, directions=None) for name in names]


def open_storage(storage: Any) -> Any:
    """Optuna's storage for a path or a URL.

    Raises:
        OSError: If the folder of a journal can't be made.
    """
    import optuna

    if isinstance(storage, optuna.storages.BaseStorage):
        return storage
    text = os.fspath(storage)
    if text == ":memory:":
        return optuna.storages.InMemoryStorage()
    if text.startswith("grpc://"):
        host, _, port = text.removeprefix("grpc://").partition(":")
        return optuna.storages.GrpcStorageProxy(host=host, port=int(port or 13000))
    if "://" in text:
        return optuna.storages.get_storage(text)
    from ._journal import Journal

    with files.making_folder(Path(text).parent):
        return optuna.storages.JournalStorage(Journal(Path(text)))


def make_sampler(sampler: Any, seed: int | None) -> Any:
    """A sampler of Optuna's by its name, or the one that is given."""
    sampler, options = sampler if isinstance(sampler, tuple) else (sampler, {})
    if not isinstance(sampler, str):
        return sampler
    one_of(SAMPLERS, sampler=sampler)
    if sampler == "gp" and not _has("torch"):
        tuning.say("Gaussian processes need PyTorch, which is not installed: TPE searches instead.")
        sampler = "tpe"
    if sampler == "cmaes":
        installed("cmaes", "The sampler CMA-ES", "tuner")
    return _made("samplers", SAMPLERS[sampler], seed=seed, **options)


def make_pruner(pruner: Any) -> Any:
    """A pruner of Optuna's by its name, or the one that is given."""
    pruner, options = pruner if isinstance(pruner, tuple) else (pruner, {})
    if pruner is not None and not isinstance(pruner, str):
        return pruner
    one_of(PRUNERS, pruner=pruner)
    return _made("pruners", PRUNERS[pruner], **options)


def _made(package: str, what: tuple[str, dict[str, Any]], **more: Any) -> Any:
    import optuna

    kind, given = what
    with warnings.catch_warnings():  # some are called experimental, for years
        warnings.simplefilter("ignore")
        return getattr(getattr(optuna, package), kind)(**given, **more)


def _has(module: str) -> bool:
    from importlib.util import find_spec

    return find_spec(module) is not None


def _same(value: Any) -> Any:
    return value


def _distribution(
    parameter: Any,
) -> tuple[Any, Callable[[Any], Any], Callable[[Any], Any]]:
    """What Optuna draws from for a parameter, how its value is read from what is drawn, and the way back."""
    from optuna.distributions import (
        CategoricalDistribution,
        FloatDistribution,
        IntDistribution,
    )

    if isinstance(parameter, (Boolean, Choice)):
        values = list(parameter.values)
        if isinstance(parameter, Choice) and parameter.ordered:
            return IntDistribution(0, len(values) - 1), values.__getitem__, values.index
        return CategoricalDistribution(values), _same, _same
    low, high, sampling, steps = (
        parameter.min_value,
        parameter.max_value,
        parameter.sampling,
        parameter.steps,
    )
    whole = isinstance(parameter, Int)
    if steps is not None:
        if whole and sampling == "linear":
            return IntDistribution(low, parameter.at(steps), step=parameter.step), _same, _same
        return IntDistribution(0, steps), parameter.at, list(parameter.values).index
    if sampling == "reverse_log":
        return FloatDistribution(0.0, 1.0), parameter.prob_to_value, parameter.value_to_prob
    kind = IntDistribution if whole else FloatDistribution
    return kind(low, high, log=sampling == "log"), _same, _same
