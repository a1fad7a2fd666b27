"""`BaseTuner`: the search over any kind of model; subclasses define `run_trial`."""

from __future__ import annotations

import os
import shutil
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, ClassVar

from .. import tuning
from ..callbacks.progress import format_bytes
from ..core.naming import is_ours
from . import _hypermodel, _keeping, _report, _results
from ._children import Children, Outcome
from ._oracle import Oracle
from ._space import HyperParameters
from ._table import Table
from ._trial import Trial, TrialStatus
from .errors import FailedTrialError, FatalError

#: Seconds between two looks whether a trial may begin.
_LOOK = 0.2


class BaseTuner:
    """A search: an oracle chooses, `run_trial` tries.

    Args:
        oracle: What chooses hyperparameters.
        hypermodel: A `HyperModel`, or a function of hyperparameters that builds a model.
        directory: The folder of projects; the current one by default.
        project_name: The search's folder there; a search of that name goes on.
        overwrite: Whether it begins anew.
        tuner_id: This process's name among those of the search.
        storage: Where trials are kept: a path, or the URL of a database, for processes on several machines; a
            journal in the project's folder by default. `KERASTUNER_TUNER_ID` names a process of several that share it.

    >>> import tempfile
    >>> class Squares(BaseTuner):
    ...     def run_trial(self, trial, **kwargs):
    ...         return trial.hyperparameters.Int("x", -3, 3) ** 2
    >>> from cornu.tuner.oracles import GridSearchOracle
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     tuner = Squares(GridSearchOracle(), directory=folder)
    ...     tuner.search(verbose=0, in_process=True)
    ...     print(tuner.get_best_hyperparameters()[0].values)
    {'x': 0}
    """

    #: Arguments of `search` that the command line has chosen, and the tuners that were asked to search meanwhile.
    told: ClassVar[dict[str, Any]] = {}
    searched: ClassVar[list[BaseTuner] | None] = None

    def __init__(
        self,
        oracle: Oracle,
        hypermodel: Any = None,
        directory: str | os.PathLike[str] | None = None,
        project_name: str | None = None,
        overwrite: bool = False,
        tuner_id: str | None = None,
        storage: Any = None,
        logger: Any = None,
    ) -> None:
        if not isinstance(oracle, Oracle):
            raise ValueError(f"`oracle` must be an `Oracle`. Received: oracle={oracle!r}.")
        self.oracle, self.logger = oracle, logger
        self.hypermodel = _hypermodel.of(hypermodel)
        self.directory = Path(directory or ".")
        self.project_name = project_name or "untitled_project"
        self._table = Table("score", "min", None, verbose=0)
        self._kept: int | None = None
        self._epochs: int | None = None
        self._dropped = set[str]()
        self.tuner_id = tuner_id or os.environ.get("KERASTUNER_TUNER_ID") or "tuner0"
        if overwrite and self.project_dir.exists():
            shutil.rmtree(self.project_dir)
        self.project_dir.mkdir(parents=True, exist_ok=True)
        self.oracle.open(storage or self.project_dir / "search.journal", self.project_name)
        if hypermodel is not None:
            self._explore()

    @property
    def project_dir(self) -> Path:
        """The folder of the search."""
        return self.directory / self.project_name

    @property
    def remaining_trials(self) -> int | None:
        """How many trials may still begin; None where nothing limits them."""
        return self.oracle.remaining_trials()

    def get_trial_dir(self, trial_id: str) -> Path:
        """The folder of a trial."""
        return self.project_dir / f"trial_{trial_id}"

    def search(
        self,
        *fit_args: Any,
        n_jobs: int = 1,
        in_process: bool | None = None,
        timeout_per_trial: float | None = None,
        memory_per_trial: int | None = None,
        keep_models: int | None = 3,
        **fit_kwargs: Any,
    ) -> None:
        """Try one set of hyperparameters after the other.

        Args:
            *fit_args, **fit_kwargs: What `run_trial` is given, and with it `fit`; `verbose=0` prints nothing.
            n_jobs: How many trials run at a time, each in a process with its share of the machine.
            in_process: Whether trials run in this process, as for debugging, or each in one of its own, which gives its
                memory back and may crash. By default in their own, but for a tuner with a `run_trial` of its own, whose
                side effects may be wanted here.
            timeout_per_trial: After how many seconds a trial in a process of its own is stopped, and has failed.
            memory_per_trial: The same of bytes of memory.
            keep_models: Of how many of the best trials models stay on the disk; those of others go once they can't be
                among them any more. `None` for all.

        Raises:
            RuntimeError: If so many trials have failed in a row that the search ends.
            FatalError: If a trial raised one.
        """
        self.oracle.verbose = verbose = fit_kwargs.get("verbose", 1)
        n_jobs = self.told.get("n_jobs", n_jobs)
        in_process = self.told.get("in_process", in_process)
        timeout_per_trial = self.told.get("timeout_per_trial", timeout_per_trial)
        memory_per_trial = self.told.get("memory_per_trial", memory_per_trial)
        if self.searched is not None:
            self.searched.append(self)
        self.on_search_begin()
        objective = self.oracle.objective
        here = n_jobs == 1 and (self._stays() if in_process is None else in_process)
        self._kept, self._epochs = keep_models, fit_kwargs.get("epochs")
        self._table = Table(objective.name, objective.direction, self.oracle.max_trials, verbose)
        self._table.shows_live = not here
        with self._table, self.oracle.watched(self._see):
            if here:
                self._search_here(fit_args, fit_kwargs)
            else:
                limits = {"seconds": timeout_per_trial, "memory": memory_per_trial}
                fallback = in_process is None and n_jobs == 1
                self._search_in_children(fit_args, fit_kwargs, n_jobs, limits, fallback)
        self.on_search_end()

    def run_trial(self, trial: Trial, *fit_args: Any, **fit_kwargs: Any) -> Any:
        """Build and evaluate what the trial's hyperparameters say.

        Returns:
            A number that is to be small, a dictionary of metrics, a `History`, or a list of them.
        """
        raise NotImplementedError

    def save_model(self, trial_id: str, model: Any, step: int = 0) -> None:
        """Keep the model of a trial, for `load_model`."""
        raise NotImplementedError

    def load_model(self, trial: Trial) -> Any:
        """The model that `save_model` kept."""
        raise NotImplementedError

    def pre_create_trial(self) -> None:
        """What happens before a trial is chosen."""

    def on_trial_begin(self, trial: Trial) -> None:
        """What happens before a trial runs."""

    def on_trial_end(self, trial: Trial) -> None:
        """What happens after a trial: the oracle learns how it went."""
        self.oracle.end_trial(trial)
        self.save()

    def on_search_begin(self) -> None:
        """What happens before the first trial."""

    def on_search_end(self) -> None:
        """What happens after the last trial."""

    def get_best_models(self, num_models: int = 1) -> list[Any]:
        """The models of the best trials, the best first."""
        return [self.load_model(trial) for trial in self.oracle.get_best_trials(num_models)]

    def get_best_hyperparameters(self, num_trials: int = 1) -> list[HyperParameters]:
        """The hyperparameters of the best trials, the best first."""
        return [it.hyperparameters.copy() for it in self.oracle.get_best_trials(num_trials)]

    def search_space_summary(self, extended: bool = False) -> None:
        """Print the hyperparameters that are known.

        Args:
            extended: Whether those whose conditions don't hold by default are printed too.
        """
        space = self.oracle.get_space()
        shown = [p for p in space.space if extended or space.is_active(p)]
        print("Search space summary")
        print(f"Default search space size: {len(shown)}")
        for parameter in shown:
            config = parameter.get_config()
            print(f"{config.pop('name')} ({type(parameter).__name__})")
            print(config)

    def results_summary(self, num_trials: int = 10) -> None:
        """Print the best trials: what their builders asked for, and their scores."""
        print("Results summary")
        print(f"Results in {self.project_dir}")
        print(f"Showing {num_trials} best trials")
        print(self.oracle.objective)
        for trial in self.oracle.get_best_trials(num_trials):
            print()
            trial.summary()

    def report(self, path: str | os.PathLike[str] | None = None) -> Path:
        """Write the search as a page: scores, importance of parameters, epochs, parameters, trials.

        Args:
            path: The file; `report.html` in the project's folder by default.

        Returns:
            The file.
        """
        place = self.project_dir / "report.html" if path is None else Path(path)
        _report.write(self.oracle.study, place, self.project_name)
        return place

    def get_state(self) -> dict[str, Any]:
        """What a subclass keeps beside the oracle's trials."""
        return {}

    def set_state(self, state: dict[str, Any]) -> None:
        """Become what `get_state` described."""

    def save(self) -> None:
        """Write what the tuner and its oracle keep; trials are written as they come."""
        self.oracle.save()

    def reload(self) -> None:
        """Read what other processes, and earlier ones, have written."""
        self.oracle.reload()

    def __getstate__(self) -> dict[str, Any]:
        """What a child gets: not what is shown here."""
        return {**vars(self), "_table": None}

    def _explore(self) -> None:
        """Ask the builder what there is, with defaults, and once more for each condition that did not hold."""
        hp = self.oracle.get_space()
        self.hypermodel.declare_hyperparameters(hp)
        seen: set[Any] = set()
        while True:
            with suppress(FailedTrialError):  # such as a model that is too large
                self._ask_builder(hp)
            self.oracle.update_space(hp)
            inactive = (p for p in hp.space if not hp.is_active(p))
            found = next((p for p in inactive if tuple(p.conditions) not in seen), None)
            if found is None:
                return
            seen.add(tuple(found.conditions))
            hp = self.oracle.get_space()
            hp.values.update({parent.name: parent.values[0] for parent in found.conditions})

    def _ask_builder(self, hp: HyperParameters) -> None:
        self.hypermodel.build(hp)

    def _stays(self) -> bool:
        """Whether trials run in this process where nobody has said."""
        return not hasattr(os, "fork") or not is_ours(type(self).run_trial)

    def _begun(self, tuner_id: str) -> Trial:
        self.pre_create_trial()
        trial = self.oracle.create_trial(tuner_id)
        if trial.status == TrialStatus.RUNNING:
            self._table.begin(trial.trial_id)
            self.on_trial_begin(trial)
        return trial

    def _search_here(self, args: Any, kwargs: Any) -> None:
        while (trial := self._begun(self.tuner_id)).status != TrialStatus.STOPPED:
            if trial.status == TrialStatus.IDLE:
                time.sleep(_LOOK)
                continue
            with self._released([trial]):
                self._ended(trial, attempt(self, trial, args, kwargs))

    def _search_in_children(
        self, args: Any, kwargs: Any, jobs: int, limits: dict[str, Any], fallback: bool
    ) -> None:
        running: dict[str, Trial] = {}
        behind = {"oracle": self.oracle.desk}
        names = [f"{self.tuner_id}-{i}" for i in range(jobs)]
        with (
            Children(jobs, self.project_dir, behind, **limits) as children,
            self._released(running.values()),
        ):
            while True:
                free = [it for it in names if it not in self.oracle.ongoing_trials]
                trial = self._begun(free[0]) if free else None
                if trial is not None and trial.status == TrialStatus.RUNNING:
                    running[trial.trial_id] = trial
                    try:
                        key, output = trial.trial_id, self._output(trial)
                        children.start(key, run, self, trial, args, kwargs, output=output)
                    except TypeError as error:
                        if not fallback:
                            raise
                        tuning.say("A trial runs in this process: %s", error, level="warning")
                        del running[trial.trial_id]
                        self._ended(trial, attempt(self, trial, args, kwargs))
                    continue
                if not running and trial is not None and trial.status == TrialStatus.STOPPED:
                    return
                done = children.wait(_LOOK if trial is None or running else 0)
                if done is not None:
                    self._ended(running.pop(done[0]), done[1])
                elif not running:
                    time.sleep(_LOOK)

    def _ended(self, trial: Trial, outcome: Outcome) -> None:
        """Tell the oracle how a trial went."""
        if outcome.reason is None:
            (metrics, step), space = outcome.value
            trial.hyperparameters.merge(HyperParameters.from_config(space))
            self.oracle.update_trial(trial.trial_id, metrics, step)
            if trial.status == TrialStatus.RUNNING:
                trial.status = TrialStatus.COMPLETED
        else:
            final = isinstance(outcome.error, FailedTrialError | FatalError)
            trial.status = TrialStatus.FAILED if final else TrialStatus.INVALID
            trial.message = "\n".join(it for it in (outcome.reason, outcome.trace) if it)
            tuning.say("Trial %s failed: %s", trial.trial_id, trial.message, level="warning")
        self.on_trial_end(trial)
        self._tidy()
        self._table.values(trial.trial_id, trial.hyperparameters.values)
        self._table.end(trial.trial_id, trial.status, trial.score)
        if isinstance(outcome.error, FatalError):
            raise outcome.error

    def _output(self, trial: Trial) -> str:
        """The file of what a trial prints in its own process."""
        folder = self.get_trial_dir(trial.trial_id)
        folder.mkdir(parents=True, exist_ok=True)
        return str(folder / "output.txt")

    def _see(self, trial_id: str, step: int, value: float) -> None:
        """Show an epoch of a trial."""
        self._table.values(trial_id, self.oracle.trials[trial_id].hyperparameters.values)
        self._table.epoch(trial_id, step - 1, self._epochs, value)

    def _tidy(self) -> None:
        """Remove the models of trials that can't be among the best any more."""
        if self._kept is not None:
            scores, directions = self.oracle.scores(), self.oracle.study.directions
            lost = set(_keeping.losers(scores, directions, self._kept)) - self._dropped
            _keeping.drop(self.get_trial_dir(trial_id) for trial_id in lost)
            self._dropped |= lost
        self._table.note = format_bytes(_keeping.size(self.project_dir))

    @contextmanager
    def _released(self, trials: Any) -> Iterator[None]:
        """Trials that run when the search is interrupted wait for the next."""
        try:
            yield
        except BaseException:
            for trial in list(trials):
                self.oracle.release(trial)
            raise


def run(tuner: BaseTuner, trial: Trial, args: Any, kwargs: Any) -> Any:
    """Run a trial: its metrics with their step, and the hyperparameters that were asked for."""
    tuner.oracle.asks(trial)
    results = tuner.run_trial(trial, *args, **kwargs)
    source = f"{type(tuner).__name__}.run_trial"
    metrics = _results.read(results, tuner.oracle.objective, source)
    return metrics, trial.hyperparameters.get_config()


def attempt(tuner: BaseTuner, trial: Trial, args: Any, kwargs: Any) -> Outcome:
    """Run a trial in this process."""
    began = time.monotonic()
    try:
        value = run(tuner, trial, args, kwargs)
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        trace = traceback.format_exc()
        return Outcome(None, reason, trace, error, time.monotonic() - began)
    return Outcome(value, seconds=time.monotonic() - began)
