"""`Tuner`: the search over models of this library."""

from __future__ import annotations

import copy
import json
import os
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from .. import models
from ..callbacks import BackupAndRestore, Callback, History, TensorBoard
from ..core import files
from ..core.naming import is_ours
from . import _results
from ._base import BaseTuner
from ._folds import folds
from ._oracle import Oracle
from ._space import HyperParameters
from ._trial import Trial
from .errors import FailedTrialError, FatalTypeError

#: Seconds between two backups of a trial.
_BACKUP = 1.0
_WEIGHTS, _BUILD = "checkpoint.weights.h5", "build_config.json"


def maybe_distribute(distribution_strategy: Any) -> AbstractContextManager[Any]:
    """The scope of a strategy, or a scope that does nothing.

    >>> with maybe_distribute(None):
    ...     pass
    """
    return nullcontext() if distribution_strategy is None else distribution_strategy.scope()


class Tuner(BaseTuner):
    """A search over models: each trial builds one and trains it, the weights of the best epoch are kept.

    Args:
        oracle: What chooses hyperparameters.
        hypermodel: A `HyperModel`, or a function of hyperparameters that gives a compiled model.
        max_model_size: The most parameters of a model; a larger one is a failed trial.
        optimizer, loss, metrics: What models are compiled with in place of what the builder chose.
        distribution_strategy: What has a `scope()` in which models are built and trained.
        directory, project_name, overwrite, tuner_id, storage: Those of `BaseTuner`.
        executions_per_trial: How often each set of hyperparameters is tried; the score is the mean.

    >>> import tempfile
    >>> import numpy as np
    >>> import cornu
    >>> def build(hp):
    ...     model = cornu.Sequential([cornu.layers.Dense(hp.Choice("units", [2, 4])), cornu.layers.Dense(1)])
    ...     model.compile("sgd", "mse")
    ...     return model
    >>> x, y = np.ones((8, 2), "float32"), np.ones((8, 1), "float32")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     tuner = cornu.tuner.RandomSearch(build, "val_loss", max_trials=5, directory=folder)
    ...     tuner.search(x, y, validation_data=(x, y), verbose=0, in_process=True)
    ...     print(len(tuner.oracle.trials), tuner.get_best_models()[0].count_params() > 4)
    2 True
    """

    def __init__(
        self,
        oracle: Oracle,
        hypermodel: Any = None,
        max_model_size: int | None = None,
        optimizer: Any = None,
        loss: Any = None,
        metrics: Any = None,
        distribution_strategy: Any = None,
        directory: str | os.PathLike[str] | None = None,
        project_name: str | None = None,
        logger: Any = None,
        tuner_id: str | None = None,
        overwrite: bool = False,
        executions_per_trial: int = 1,
        storage: Any = None,
    ) -> None:
        self.max_model_size, self.optimizer = max_model_size, optimizer
        self.loss, self.metrics = loss, metrics
        self.distribution_strategy = distribution_strategy
        self.executions_per_trial = executions_per_trial
        if hypermodel is None and is_ours(type(self).run_trial):
            raise ValueError(
                "A tuner needs a `hypermodel`, or a `run_trial` of its own. Received: hypermodel=None."
            )
        super().__init__(
            oracle, hypermodel, directory, project_name, overwrite, tuner_id, storage, logger
        )

    def run_trial(self, trial: Trial, *args: Any, **kwargs: Any) -> Any:
        """Build, train and keep a model, as often as `executions_per_trial` says: a list of what `fit` gave.

        Args:
            trial: What is tried.
            *args, **kwargs: What `fit` is given, but `cross_validation=k`: the data, of arrays, is split into k parts
                then, each of which once validates what was trained on the others; the score is the mean, and pruners
                see a step for each part.
        """
        best, results = _Best(self, trial), []
        parts = kwargs.pop("cross_validation", None)
        runs = (
            [(args, kwargs)] if parts is None else folds(parts, self.oracle.seed, *args, **kwargs)
        )
        runs = (run for run in runs for _ in range(self.executions_per_trial))
        for index, (given, named) in enumerate(runs):
            reports = index == 0 and parts is None
            results.append(self._run(trial, best, index, reports, given, named))
            if parts is not None and self._is_hopeless(trial, index, results[-1]):
                break
        return results

    def load_model(self, trial: Trial) -> Any:
        """The model of a trial, with the weights of its best epoch."""
        folder = self.get_trial_dir(trial.trial_id)
        model = self._build_hypermodel(trial.hyperparameters)
        if not model.built:
            model.build_from_config(json.loads((folder / _BUILD).read_text()))
        model.load_weights(folder / _WEIGHTS)
        return model

    def save_model(self, trial_id: str, model: Any, step: int = 0) -> None:
        """Keep the weights of a trial's model, and how it was built."""
        folder = self.get_trial_dir(trial_id)
        folder.mkdir(parents=True, exist_ok=True)
        model.save_weights(folder / _WEIGHTS)
        with files.replacing(folder / _BUILD) as draft:
            Path(draft).write_text(json.dumps(model.get_build_config()))

    def on_batch_begin(self, trial: Trial, model: Any, batch: int, logs: Any) -> None:
        """What happens before a batch of training."""

    def on_batch_end(self, trial: Trial, model: Any, batch: int, logs: Any = None) -> None:
        """What happens after a batch of training."""

    def on_epoch_begin(self, trial: Trial, model: Any, epoch: int, logs: Any = None) -> None:
        """What happens before an epoch."""

    def on_epoch_end(self, trial: Trial, model: Any, epoch: int, logs: Any = None) -> None:
        """What happens after an epoch: the oracle learns its metrics, and may end the trial."""
        if self.oracle.report(trial.trial_id, epoch + 1, logs or {}):
            model.stop_training = True

    def _ask_builder(self, hp: HyperParameters) -> None:
        self._build_hypermodel(hp)

    def _build_hypermodel(self, hp: HyperParameters) -> Any:
        """The model for hyperparameters, checked, and compiled as the tuner says."""
        asked = hp if self.hypermodel.tunable else HyperParameters()
        with maybe_distribute(self.distribution_strategy):
            model = self.hypermodel.build(asked)
        if not isinstance(model, models.Model):
            raise FatalTypeError(
                f"What builds a model must return one. Received: {model!r} of {type(model)}. "
                "Did you forget to return it?"
            )
        size = model.count_params() if self.max_model_size and model.built else 0
        if self.max_model_size and size > self.max_model_size:
            raise FailedTrialError(
                f"A model has `max_model_size` parameters at most. Received: {size:,}, "
                f"more than {self.max_model_size:,}."
            )
        given = {"optimizer": self.optimizer, "loss": self.loss, "metrics": self.metrics}
        given = {name: value for name, value in given.items() if value is not None}
        if given:
            model.compile(
                **{"optimizer": model.optimizer, "loss": model.loss, **copy.deepcopy(given)}
            )
        return model

    def measures(self, model: Any) -> dict[str, float]:
        """What the objective measures of a model itself."""
        objective = self.oracle.objective
        names = [it.name for it in getattr(objective, "objectives", [objective])]
        return {"params": model.count_params()} if "params" in names else {}

    def _run(
        self, trial: Trial, best: _Best, index: int, reports: bool, args: Any, kwargs: Any
    ) -> Any:
        """One execution: what `fit` gave."""
        hp = trial.hyperparameters
        model = self._build_hypermodel(hp)
        copies = self._callbacks(trial, index, kwargs.get("callbacks"))
        backup = _Backup(self.get_trial_dir(trial.trial_id) / f"backup-{index}")
        events = _Events(self, trial, best, reports)
        given = {**kwargs, "callbacks": [events, *copies, backup]}
        with maybe_distribute(self.distribution_strategy):
            results = self.hypermodel.fit(hp, model, *args, **given)
        for name, value in self.measures(model).items():
            if isinstance(results, History):
                results.history[name] = [value] * len(results.epoch)
            elif isinstance(results, dict):
                results.setdefault(name, value)
        return results

    def _is_hopeless(self, trial: Trial, index: int, result: Any) -> bool:
        """Whether the pruner ends a trial after a part of a cross-validation."""
        metrics, _ = _results.read(result, self.oracle.objective, "fit")
        return self.oracle.report(trial.trial_id, index + 1, metrics)

    def _callbacks(self, trial: Trial, execution: int, given: Any) -> list[Any]:
        """Copies of callbacks: each execution has its own, and TensorBoard a folder of its own."""
        try:
            copies = copy.deepcopy(list(given or ()))
        except Exception as error:
            raise FatalTypeError(
                f"Each trial has copies of the callbacks. Received: some that can't be copied: {error}. "
                "Give them a `__deepcopy__`, or make them in `HyperModel.fit`."
            ) from error
        for callback in copies:
            if isinstance(callback, TensorBoard):
                board: Any = callback
                board.log_dir = str(Path(board.log_dir, trial.trial_id, f"execution{execution}"))
        return copies


class _Best:
    """The best epoch of a trial's executions, whose weights are kept."""

    def __init__(self, tuner: Tuner, trial: Trial) -> None:
        self.tuner, self.trial = tuner, trial
        self.value: float | None = None

    def see(self, model: Any, epoch: int, logs: Mapping[str, Any]) -> None:
        """Keep the weights, where an epoch is the best so far, or nobody can tell."""
        objective = self.tuner.oracle.objective
        if objective.has_value(logs):
            value = float(objective.get_value(logs))
            if self.value is not None and not objective.better_than(value, self.value):
                return
            self.value = value
        self.tuner.save_model(self.trial.trial_id, model, epoch)


class _Backup(BackupAndRestore):
    """Backs up at the ends of epochs, though not of each short one: a trial whose process was killed goes on there."""

    def _is_due(self, run: Any) -> bool:
        is_time = time.monotonic() - self._last[2] >= _BACKUP or self.is_asked_to_end
        return is_time and super()._is_due(run)


class _Events(Callback):
    """Tells a tuner of the epochs of a trial."""

    def __init__(self, tuner: Tuner, trial: Trial, best: _Best, reports: bool) -> None:
        super().__init__()
        self.tuner, self.trial, self.best, self.reports = tuner, trial, best, reports
        kind = type(tuner)
        self.sees_each_batch = (kind.on_batch_begin, kind.on_batch_end) != (
            Tuner.on_batch_begin,
            Tuner.on_batch_end,
        )

    def state_dict(self) -> dict[str, Any]:
        """The best value so far, for a trial that goes on."""
        return {"best": self.best.value}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from there."""
        self.best.value = state["best"]

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Tell of a batch."""
        self.tuner.on_batch_begin(self.trial, self.model, batch, logs)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Tell of a batch."""
        self.tuner.on_batch_end(self.trial, self.model, batch, logs)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Tell of an epoch."""
        self.tuner.on_epoch_begin(self.trial, self.model, epoch, logs)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Tell of an epoch, whose metrics the search looks at."""
        logs = {**(logs or {}), **self.tuner.measures(self.model)}
        self.best.see(self.model, epoch, logs)
        if self.reports:
            self.tuner.on_epoch_end(self.trial, self.model, epoch, logs)
