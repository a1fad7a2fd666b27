"""`Oracle`: which trials there are, what comes next, and how each went.

All that lasts is in the `Study`: the trials, each with the state that `Trial.get_state` gives, and what each builder
was answered. `trials`, `hyperparameters` and the orders are what this process has read of it.
"""

from __future__ import annotations

import functools
import math
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar, cast

from .. import tuning
from ..core import seeding
from ._objective import Objective, make
from ._parameters import HyperParameter
from ._space import HyperParameters
from ._study import Record, Study
from ._tree import Node
from ._trial import Trial, TrialStatus
from .errors import FatalRuntimeError

F = TypeVar("F", bound=Callable[..., Any])
_ENDED = (TrialStatus.COMPLETED, TrialStatus.FAILED, TrialStatus.STOPPED)


class Desk:
    """Where the children of a search reach its oracle: its methods run in the search's process."""

    def __init__(self, oracle: Oracle) -> None:
        self._oracle = oracle

    def call(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """Call a method of the oracle."""
        return getattr(self._oracle, method)(*args, **kwargs)


def synchronized(func: F) -> F:
    """Have a method of an oracle run one call at a time, and where the search is, also when a child calls it.

    >>> class Mine(Oracle):
    ...     @synchronized
    ...     def end_trial(self, trial):
    ...         super().end_trial(trial)
    """

    @functools.wraps(func)
    def wrapper(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        if not isinstance(self.desk, Desk):
            return self.desk.call(func.__name__, *args, **kwargs)
        with self._lock:
            return func(self, *args, **kwargs)

    return cast(F, wrapper)


class Oracle:
    """What chooses the hyperparameters of trials; subclasses define `populate_space`.

    Args:
        objective: A metric's name, an `Objective`, or a list of them, whose signed sum it is then; None for the number
            that `run_trial` gives, which is to be small.
        max_trials: How many trials there are at most.
        hyperparameters: A space that is known beforehand: what stands in it is searched as it stands there, whatever
            the builder says.
        allow_new_entries: Whether a builder may ask for others.
        tune_new_entries: Whether those are searched, or have their defaults.
        seed: What the draws follow from; by default the process's own (`set_random_seed`).
        max_retries_per_trial: How often a trial that raised an error is tried again.
        max_consecutive_failed_trials: How many failures in a row end the search.
        sampler: A sampler's name, of `SAMPLERS`, or one of Optuna's.
        pruner: What ends hopeless trials: a name, of `PRUNERS`, or one of Optuna's.

    Raises:
        ValueError: If which way the objective is better can't be told, or there is no space where nothing else is
            searched.

    >>> class Defaults(Oracle):
    ...     def populate_space(self, trial_id):
    ...         return {"status": "RUNNING", "values": {p.name: p.default for p in self.get_space().space}}
    >>> trial = Defaults("val_loss").create_trial("tuner0")
    >>> trial.trial_id, trial.status
    ('0000', 'RUNNING')
    """

    def __init__(
        self,
        objective: Any = None,
        max_trials: int | None = None,
        hyperparameters: HyperParameters | None = None,
        allow_new_entries: bool = True,
        tune_new_entries: bool = True,
        seed: int | None = None,
        max_retries_per_trial: int = 0,
        max_consecutive_failed_trials: int = 3,
        *,
        sampler: Any = "random",
        pruner: Any = None,
    ) -> None:
        self.objective = make(objective)
        self.max_trials = max_trials
        if hyperparameters is None and not (allow_new_entries and tune_new_entries):
            raise ValueError(
                "A search of known hyperparameters alone needs them. Received: hyperparameters=None, "
                f"{allow_new_entries=}, {tune_new_entries=}. Pass `hyperparameters`."
            )
        self.hyperparameters = hyperparameters or HyperParameters()
        self.allow_new_entries, self.tune_new_entries = allow_new_entries, tune_new_entries
        self.seed = seeding.make_default_seed() if seed is None else seed
        self.max_retries_per_trial = max_retries_per_trial
        self.max_consecutive_failed_trials = max_consecutive_failed_trials
        self.verbose = 1
        self.trials: dict[str, Trial] = {}
        self.start_order: list[str] = []
        self.end_order: list[str] = []
        self.ongoing_trials: dict[str, Trial] = {}
        self.tuner_ids: set[str] = set()
        self.desk: Any = Desk(self)
        self._given = {p.name: p for p in self.hyperparameters.space}
        self._sampler, self._pruner = sampler, pruner
        self._storage, self._name = ":memory:", "search"
        self._study: Study | None = None
        self._watch: Callable[[str, int, float], None] | None = None
        self._lock: Any = threading.RLock()
        self._tree, self._paths = Node(), dict[str, list[tuple[str, Any, int | None]]]()
        self._runs, self._retries = dict[str, int](), list[str]()

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """What the next trial is: `{"status": ..., "values": {name: value}}`.

        The status is RUNNING, or IDLE where others must end first, or STOPPED. What a builder asks for and has no value
        is chosen then.
        """
        raise NotImplementedError

    def score_trial(self, trial: Trial) -> None:
        """Set the score of a trial and its best step, from its metrics."""
        name = self.objective.name
        trial.score = trial.metrics.get_best_value(name)
        trial.best_step = trial.metrics.get_best_step(name)

    @synchronized
    def create_trial(self, tuner_id: str) -> Trial:
        """The next trial of a tuner, or that which it runs; STOPPED at the end, IDLE while others must end first."""
        self.tuner_ids.add(tuner_id)
        if tuner_id in self.ongoing_trials:
            return self.ongoing_trials[tuner_id]
        if self._retries:
            trial = self.trials[self._retries.pop(0)]
            trial.status, trial.message = TrialStatus.RUNNING, None
        else:
            trial = self._next()
        if trial.status == TrialStatus.RUNNING:
            self._attach(trial)
            self.ongoing_trials[tuner_id] = trial
        return trial

    @synchronized
    def choose(self, trial_id: str, parameter: HyperParameter) -> Any:
        """The value of a hyperparameter in a trial.

        Raises:
            FatalRuntimeError: If it is not among those that were given, and others are not allowed.
        """
        known = self._given.get(parameter.name)
        if known is None and not self.allow_new_entries:
            raise FatalRuntimeError(_not_allowed([parameter.name]))
        parameter = known or parameter
        trial, path = self.trials[trial_id], self._paths.setdefault(trial_id, [])
        node = self._tree.along((value, count) for _, value, count in path)
        is_tuned = known is not None or self.tune_new_entries
        review = self._review if is_tuned else self._default
        value = self.study.suggest(
            int(trial_id), parameter, functools.partial(review, trial, parameter, node)
        )
        count = self._count(parameter) if is_tuned else 1
        path.append((parameter.name, value, count))
        node.after(value, count)
        self.study.attributes(int(trial_id), path=path)
        trial.hyperparameters.take(parameter, value)
        return value

    @synchronized
    def report(self, trial_id: str, step: int, logs: Mapping[str, Any]) -> bool:
        """Note the metrics of a trial that goes on; whether it is to end here."""
        if not self.objective.has_value(logs):
            return False
        value = float(self.objective.get_value(logs))
        ends = self.study.report(int(trial_id), step, value)
        if self._watch is not None:
            self._watch(trial_id, step, value)
        if ends:
            self.trials[trial_id].status = TrialStatus.STOPPED
        return ends

    @contextmanager
    def watched(self, watch: Callable[[str, int, float], None]) -> Iterator[None]:
        """Within it, reports of trials are told too: `watch(trial_id, step, value)`."""
        self._watch = watch
        try:
            yield
        finally:
            self._watch = None

    def scores(self) -> dict[str, list[float] | None]:
        """The scores of trials that have ended; None for those that have none."""
        return {
            name: self._scores(it) if it.status == TrialStatus.COMPLETED else None
            for name, it in self.trials.items()
            if it.status in _ENDED
        }

    @synchronized
    def update_trial(self, trial_id: str, metrics: Mapping[str, Any], step: int = 0) -> Trial:
        """Note metrics of a trial, at a step.

        Raises:
            ValueError: If the objective is not among them.
        """
        if not self.objective.has_value(metrics):
            raise ValueError(
                f"The metrics of a trial must have the objective, {self.objective.name!r}. "
                f"Received: metrics of {[*metrics]}."
            )
        trial = self.trials[trial_id]
        noted = {**metrics, self.objective.name: self.objective.get_value(metrics)}
        for name, value in noted.items():
            if not trial.metrics.exists(name):
                own = name == self.objective.name
                trial.metrics.register(name, self.objective.direction if own else None)
            trial.metrics.update(name, float(value), step)
        return trial

    @synchronized
    def end_trial(self, trial: Trial) -> None:
        """End a trial: it gets its score, is tried again, or has failed.

        Raises:
            RuntimeError: If so many have failed in a row that the search ends.
        """
        mine = self.trials[trial.trial_id]
        mine.status, mine.message = trial.status, trial.message
        mine.hyperparameters.merge(trial.hyperparameters)
        self._runs[mine.trial_id] = self._runs.get(mine.trial_id, 0) + 1
        if mine.status in (TrialStatus.COMPLETED, TrialStatus.STOPPED):
            self._score(mine)
        tuner = next((key for key, it in self.ongoing_trials.items() if it is mine), None)
        self.ongoing_trials.pop(tuner or "", None)
        if mine.status == TrialStatus.INVALID:
            if self._runs[mine.trial_id] <= self.max_retries_per_trial:
                self._retries.append(mine.trial_id)
                return
            mine.status = TrialStatus.FAILED
        trial.status, trial.score, trial.best_step = mine.status, mine.score, mine.best_step
        self._tell(mine)
        self._check_failures()

    @synchronized
    def release(self, trial: Trial) -> None:
        """Have a trial that was interrupted wait to be run again."""
        tuner = next((key for key, it in self.ongoing_trials.items() if it is trial), None)
        if tuner is not None:
            del self.ongoing_trials[tuner]
            self.study.release(int(trial.trial_id))

    def get_trial(self, trial_id: str) -> Trial:
        """The trial of that name."""
        return self.trials[trial_id]

    def get_best_trials(self, num_trials: int = 1) -> list[Trial]:
        """The trials with the best scores, the best first."""
        ended = [it for it in self.trials.values() if it.status == TrialStatus.COMPLETED]
        ended = [it for it in ended if it.score is not None and not math.isnan(it.score)]
        sign = -1 if self.objective.direction == "max" else 1
        return sorted(ended, key=lambda it: sign * float(it.score or 0.0))[:num_trials]

    def get_space(self) -> HyperParameters:
        """A copy of the hyperparameters that are known."""
        return self.hyperparameters.copy()

    def update_space(self, hyperparameters: HyperParameters) -> None:
        """Take over hyperparameters that somebody has asked for.

        Raises:
            RuntimeError: If others than the given ones are not allowed.
        """
        new = [p for p in hyperparameters.space if p.name not in self._given]
        if new and not self.allow_new_entries:
            raise RuntimeError(_not_allowed([p.name for p in new]))
        if new and self.tune_new_entries:
            self.hyperparameters.merge(hyperparameters, overwrite=False)

    def remaining_trials(self) -> int | None:
        """How many trials may still begin; None where nothing limits them."""
        return None if self.max_trials is None else self.max_trials - len(self.trials)

    def get_state(self) -> dict[str, Any]:
        """What a subclass keeps beside the trials; `save` writes it where a subclass has its own."""
        return {
            "hyperparameters": self.hyperparameters.get_config(),
            "start_order": self.start_order,
            "end_order": self.end_order,
            "seed": self.seed,
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Become what `get_state` described."""
        self.seed = state["seed"]

    def save(self) -> None:
        """Write what a subclass keeps; trials are written as they come."""
        if type(self).get_state is not Oracle.get_state:
            self.study.notes(oracle=self.get_state())

    def reload(self) -> None:
        """Read what other processes, and earlier ones, have written."""
        state = self.study.notes().get("oracle")
        if state is not None:
            self.set_state(state)
        self._read()

    @property
    def study(self) -> Study:
        """Where the trials are."""
        if self._study is None:
            self._study = Study(
                self._storage,
                self._name,
                sampler=self._sampler,
                pruner=self._pruner,
                directions=[f"{it.direction}imize" for it in self._objectives()],
                seed=self.seed,
            )
        return self._study

    def open(self, storage: Any, name: str) -> None:
        """Go on with what a storage has under a name, or begin there.

        Raises:
            RuntimeError: If another kind of search is there.
        """
        self._storage, self._name, self._study = storage, name, None
        notes = self.study.notes()
        kind = type(self).__name__
        if notes.get("kind", kind) != kind:
            raise RuntimeError(
                f"A search goes on with the kind of tuner that it began with. Received: {kind}; {name!r} has "
                f"{notes['kind']}. Choose another `project_name`, or pass `overwrite=True`."
            )
        if "kind" not in notes:
            names = [it.name for it in self._objectives()]
            self.study.notes(kind=kind, seed=self.seed, objectives=names)
        self.seed = self.study.seed = self.study.notes()["seed"]
        self.study.reclaim()
        self.reload()

    def asks(self, trial: Trial) -> Trial:
        """Have a trial's hyperparameters be answered by this oracle."""
        trial.hyperparameters.source = _Source(self, trial.trial_id)
        return trial

    def _objectives(self) -> list[Objective]:
        """What Optuna sees as objectives."""
        return [self.objective]

    def _default(self, trial: Trial, parameter: HyperParameter, node: Node, drawn: Any) -> Any:
        return parameter.default

    #: Gives the value to have in place of one that was drawn: here the default, for who populates the space.
    _review = _default

    def _count(self, parameter: HyperParameter) -> int | None:
        """How many values a hyperparameter may have; None for any number."""
        return parameter.count

    def _next(self) -> Trial:
        records = self._read()
        if any(record.state == "WAITING" for record in records):
            return self._begin(self.study.ask())
        if self.max_trials is not None and len(records) >= self.max_trials:
            return self._stopped(f"all of its {self.max_trials} trials have begun")
        tried = any(it.status == TrialStatus.COMPLETED for it in self.trials.values())
        if self._tree.is_closed() and (self._tree.children or tried):
            if any(record.state == "RUNNING" for record in records):
                return Trial(HyperParameters(), "", TrialStatus.IDLE)
            return self._stopped(f"all {len(records)} points of its space were tried")
        found = self.populate_space(f"{len(records):04d}")
        if found["status"] != TrialStatus.RUNNING:
            return Trial(HyperParameters(), f"{len(records):04d}", found["status"])
        values = found.get("values") or {}
        trial = self._begin(self.study.ask(values))
        with_source = self.asks(trial).hyperparameters
        for parameter in self.get_space().space:
            if parameter.name in values and with_source._hold(parameter.conditions):
                with_source.answered(parameter)
        return trial

    def _stopped(self, why: str) -> Trial:
        tuning.say("The search ends: %s.", why)
        return Trial(HyperParameters(), "", TrialStatus.STOPPED, why)

    def _begin(self, number: int) -> Trial:
        trial = Trial(HyperParameters(), f"{number:04d}")
        self.trials[trial.trial_id] = trial
        if trial.trial_id not in self.start_order:
            self.start_order.append(trial.trial_id)
        self._paths[trial.trial_id] = []
        return trial

    def _attach(self, trial: Trial) -> None:
        self._runs.setdefault(trial.trial_id, 0)
        self.asks(trial)

    def _score(self, trial: Trial) -> None:
        if trial.metrics.exists(self.objective.name):
            self.score_trial(trial)
        elif trial.status == TrialStatus.COMPLETED:
            trial.status, trial.message = TrialStatus.INVALID, "It reported no objective."
        if trial.score is not None and math.isnan(trial.score):
            trial.status = TrialStatus.INVALID
            trial.message = trial.message or f"Its objective, {self.objective.name!r}, was NaN."

    def _scores(self, trial: Trial) -> list[float]:
        """A trial's scores, one for each of Optuna's objectives."""
        return [float(trial.score or 0.0)]

    def _tell(self, trial: Trial) -> None:
        self.end_order.append(trial.trial_id)
        if self.allow_new_entries:
            self.update_space(trial.hyperparameters)
        number = int(trial.trial_id)
        self.study.attributes(number, trial=trial.get_state())
        scores = self._scores(trial) if trial.status == TrialStatus.COMPLETED else None
        self.study.tell(number, trial.status, scores)

    def _check_failures(self) -> None:
        last = [self.trials[it] for it in self.end_order[-self.max_consecutive_failed_trials :]]
        failed = [it for it in last if it.status == TrialStatus.FAILED]
        if len(failed) == self.max_consecutive_failed_trials:
            raise RuntimeError(
                f"{len(failed)} trials have failed in a row, which ends the search "
                f"(`max_consecutive_failed_trials`). The last one:\n{failed[-1].message}"
            )

    def _read(self) -> list[Record]:
        """Read the trials of other processes, and of earlier ones."""
        records = self.study.trials()
        for record in records:
            trial_id = f"{record.number:04d}"
            known = self.trials.get(trial_id)
            if known is not None and (
                known.status in _ENDED or known in self.ongoing_trials.values()
            ):
                continue
            path = [tuple(it) for it in record.attributes.get("path", ())]
            self._tree.along((value, count) for _, value, count in path)
            if trial_id in self._retries:
                continue
            state = record.attributes.get("trial")
            self.trials[trial_id] = Trial.from_state(state) if state else _running(trial_id)
            if trial_id not in self.start_order:
                self.start_order.append(trial_id)
            if state:
                self.end_order.append(trial_id)
                if self.allow_new_entries:
                    self.update_space(self.trials[trial_id].hyperparameters)
        return records

    def __getstate__(self) -> dict[str, Any]:
        """What a child gets: all but what lasts, which it reaches through the desk."""
        left = {
            "_study": None,
            "_storage": None,
            "_lock": None,
            "_watch": None,
            "_tree": None,
            "_paths": None,
        }
        return {**vars(self), **left, "trials": {}, "ongoing_trials": {}}


class _Source:
    """What answers the builder of a trial: its oracle."""

    def __init__(self, oracle: Oracle, trial_id: str) -> None:
        self.oracle, self.trial_id = oracle, trial_id

    def choose(self, parameter: HyperParameter) -> Any:
        return self.oracle.choose(self.trial_id, parameter)

    def find(self, name: str) -> HyperParameter | None:
        space = self.oracle.hyperparameters.space
        return next((parameter for parameter in space if parameter.name == name), None)


def _running(trial_id: str) -> Trial:
    return Trial(HyperParameters(), trial_id)


def _not_allowed(names: list[str]) -> str:
    return (
        "With `allow_new_entries=False` a builder asks for given hyperparameters alone. "
        f"Received: {names}. Add them to `hyperparameters`."
    )
