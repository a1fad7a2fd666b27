"""Tuners: a search's way of choosing, with models of this library."""

from __future__ import annotations

from typing import Any

from ._oracle import Oracle
from ._oracles import (
    BayesianOptimizationOracle,
    GridSearchOracle,
    HyperbandOracle,
    ParetoOracle,
    RandomSearchOracle,
    SamplingOracle,
)
from ._space import HyperParameters
from ._trial import Trial
from ._tuner import Tuner


class RandomSearch(Tuner):
    """Models by chance, each another one.

    Args:
        hypermodel: A `HyperModel`, or a function of hyperparameters that gives a compiled model.
        objective: A metric's name, an `Objective`, or a list of them, whose signed sum it is then.
        max_trials: How many models at most.
        seed: What the draws follow from.
        hyperparameters, tune_new_entries, allow_new_entries: A space that is known beforehand, as for `Oracle`.
        max_retries_per_trial, max_consecutive_failed_trials: What happens to trials that fail, as for `Oracle`.
        pruner: What ends hopeless trials by the epochs' metrics: "median", "asha" (successive halving), "hyperband",
            "percentile", "wilcoxon" (for cross-validation), or a pruner of Optuna's.
        **kwargs: Arguments of `Tuner`.

    >>> RandomSearch(None, "val_loss")
    Traceback (most recent call last):
    ValueError: A tuner needs a `hypermodel`, or a `run_trial` of its own. Received: hypermodel=None.
    """

    def __init__(
        self,
        hypermodel: Any = None,
        objective: Any = None,
        max_trials: int | None = 10,
        seed: int | None = None,
        hyperparameters: HyperParameters | None = None,
        tune_new_entries: bool = True,
        allow_new_entries: bool = True,
        max_retries_per_trial: int = 0,
        max_consecutive_failed_trials: int = 3,
        *,
        pruner: Any = None,
        **kwargs: Any,
    ) -> None:
        oracle = RandomSearchOracle(
            objective,
            max_trials,
            seed,
            hyperparameters,
            allow_new_entries,
            tune_new_entries,
            max_retries_per_trial,
            max_consecutive_failed_trials,
            pruner=pruner,
        )
        super().__init__(oracle, hypermodel, **kwargs)


class GridSearch(Tuner):
    """All models of a space, the last hyperparameter changing first.

    Its arguments are those of `RandomSearch`.

    >>> GridSearch(None)
    Traceback (most recent call last):
    ValueError: A tuner needs a `hypermodel`, or a `run_trial` of its own. Received: hypermodel=None.
    """

    def __init__(
        self,
        hypermodel: Any = None,
        objective: Any = None,
        max_trials: int | None = None,
        seed: int | None = None,
        hyperparameters: HyperParameters | None = None,
        tune_new_entries: bool = True,
        allow_new_entries: bool = True,
        max_retries_per_trial: int = 0,
        max_consecutive_failed_trials: int = 3,
        *,
        pruner: Any = None,
        **kwargs: Any,
    ) -> None:
        oracle = GridSearchOracle(
            objective,
            max_trials,
            seed,
            hyperparameters,
            allow_new_entries,
            tune_new_entries,
            max_retries_per_trial,
            max_consecutive_failed_trials,
            pruner=pruner,
        )
        super().__init__(oracle, hypermodel, **kwargs)


class BayesianOptimization(Tuner):
    """Models where a Gaussian process of those that were tried expects the best.

    Args:
        num_initial_points, alpha, beta: Those of `BayesianOptimizationOracle`.

    The other arguments are those of `RandomSearch`.

    >>> BayesianOptimization(None)
    Traceback (most recent call last):
    ValueError: A tuner needs a `hypermodel`, or a `run_trial` of its own. Received: hypermodel=None.
    """

    def __init__(
        self,
        hypermodel: Any = None,
        objective: Any = None,
        max_trials: int | None = 10,
        num_initial_points: int | None = None,
        alpha: float = 1e-4,
        beta: float = 2.6,
        seed: int | None = None,
        hyperparameters: HyperParameters | None = None,
        tune_new_entries: bool = True,
        allow_new_entries: bool = True,
        max_retries_per_trial: int = 0,
        max_consecutive_failed_trials: int = 3,
        *,
        pruner: Any = None,
        **kwargs: Any,
    ) -> None:
        oracle = BayesianOptimizationOracle(
            objective,
            max_trials,
            num_initial_points,
            alpha,
            beta,
            seed,
            hyperparameters,
            allow_new_entries,
            tune_new_entries,
            max_retries_per_trial,
            max_consecutive_failed_trials,
            pruner=pruner,
        )
        super().__init__(oracle, hypermodel, **kwargs)


class Hyperband(Tuner):
    """Many models that begin, few that go on; each trains on from where it is.

    Args:
        max_epochs, factor, hyperband_iterations: Those of `HyperbandOracle`. `fit` is given the epochs.

    The other arguments are those of `RandomSearch`.

    >>> Hyperband(None)
    Traceback (most recent call last):
    ValueError: A tuner needs a `hypermodel`, or a `run_trial` of its own. Received: hypermodel=None.
    """

    def __init__(
        self,
        hypermodel: Any = None,
        objective: Any = None,
        max_epochs: int = 100,
        factor: int = 3,
        hyperband_iterations: int = 1,
        seed: int | None = None,
        hyperparameters: HyperParameters | None = None,
        tune_new_entries: bool = True,
        allow_new_entries: bool = True,
        max_retries_per_trial: int = 0,
        max_consecutive_failed_trials: int = 3,
        **kwargs: Any,
    ) -> None:
        oracle = HyperbandOracle(
            objective,
            max_epochs,
            factor,
            hyperband_iterations,
            seed,
            hyperparameters,
            allow_new_entries,
            tune_new_entries,
            max_retries_per_trial,
            max_consecutive_failed_trials,
        )
        super().__init__(oracle, hypermodel, **kwargs)

    def run_trial(self, trial: Trial, *args: Any, **kwargs: Any) -> Any:
        """Train for the epochs of the plan, unless the trial is stopped; `tuner/epochs` is among its values."""
        assert isinstance(self.oracle, HyperbandOracle)
        epochs = trial.hyperparameters.Fixed("tuner/epochs", self.oracle.max_epochs)
        return super().run_trial(trial, *args, **{**kwargs, "epochs": epochs})


class _Sampled(Tuner):
    """A search by one of Optuna's samplers."""

    _sampler = ""
    _oracle: type[Oracle] = SamplingOracle

    def __init__(
        self,
        hypermodel: Any = None,
        objective: Any = None,
        max_trials: int | None = 10,
        seed: int | None = None,
        hyperparameters: HyperParameters | None = None,
        tune_new_entries: bool = True,
        allow_new_entries: bool = True,
        max_retries_per_trial: int = 0,
        max_consecutive_failed_trials: int = 3,
        *,
        sampler: dict[str, Any] | None = None,
        pruner: Any = None,
        **kwargs: Any,
    ) -> None:
        oracle = self._oracle(
            objective,
            max_trials,
            hyperparameters,
            allow_new_entries,
            tune_new_entries,
            seed,
            max_retries_per_trial,
            max_consecutive_failed_trials,
            sampler=(self._sampler, sampler or {}),
            pruner=pruner,
        )
        super().__init__(oracle, hypermodel, **kwargs)


class TPE(_Sampled):
    """Models where good ones are denser than bad ones: the tree-structured Parzen estimator (Bergstra et al., 2011).

    Args:
        sampler: Options of Optuna's `TPESampler`, such as `{"n_startup_trials": 20}`.

    The other arguments are those of `RandomSearch`.

    >>> TPE(None)
    Traceback (most recent call last):
    ValueError: A tuner needs a `hypermodel`, or a `run_trial` of its own. Received: hypermodel=None.
    """

    _sampler = "tpe"


class CmaEs(_Sampled):
    """A normal distribution that moves to better models and takes their shape: CMA-ES (Hansen, 2016,
    https://arxiv.org/abs/1604.00772), for spaces of numbers.

    Args:
        sampler: Options of Optuna's `CmaEsSampler`.

    The other arguments are those of `RandomSearch`.

    >>> CmaEs(None)
    Traceback (most recent call last):
    ValueError: A tuner needs a `hypermodel`, or a `run_trial` of its own. Received: hypermodel=None.
    """

    _sampler = "cmaes"


class GP(_Sampled):
    """A Gaussian process, as in `BayesianOptimization`, with the options of Optuna's.

    Args:
        sampler: Options of Optuna's `GPSampler`, such as `{"n_startup_trials": 20}`.

    The other arguments are those of `RandomSearch`.

    >>> GP(None)
    Traceback (most recent call last):
    ValueError: A tuner needs a `hypermodel`, or a `run_trial` of its own. Received: hypermodel=None.
    """

    _sampler = "gp"


class Evolution(_Sampled):
    """Generations of models, for several objectives (NSGA-II, Deb et al., 2002).

    The best models are those that no other beats in all objectives: the Pareto front.

    Args:
        objective: A list, such as `["val_loss", "params"]`; `"params"` is the number of a model's parameters.
        sampler: Options of Optuna's `NSGAIISampler`, such as `{"population_size": 20}`.

    The other arguments are those of `RandomSearch`.

    >>> Evolution(None)
    Traceback (most recent call last):
    ValueError: A tuner needs a `hypermodel`, or a `run_trial` of its own. Received: hypermodel=None.
    """

    _sampler = "evolution"
    _oracle = ParetoOracle
