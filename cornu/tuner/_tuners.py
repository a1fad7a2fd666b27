"""Tuners: a search's way of choosing, with models of this library."""

from __future__ import annotations

import inspect
from typing import Any, ClassVar

from ._oracle import Oracle
from ._oracles import (
    BayesianOptimizationOracle,
    GridSearchOracle,
    HyperbandOracle,
    ParetoOracle,
    RandomSearchOracle,
)
from ._trial import Trial
from ._tuner import Tuner


class _Search(Tuner):
    """A tuner that makes its oracle: beside a model, and what `Tuner` takes, it takes what the oracle's class does."""

    _oracle: ClassVar[type[Oracle]] = Oracle
    _given: ClassVar[inspect.Signature]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "__init__" in vars(cls):  # a subclass with a constructor of its own
            return
        given = dict(inspect.signature(cls._oracle).parameters)
        names = [*given]
        at = names.index(
            "allow_new_entries"
        )  # Keras Tuner's tuners have the two the other way round
        names[at : at + 2] = reversed(names[at : at + 2])
        cls._given = inspect.Signature([given[name] for name in names])
        own = inspect.signature(_Search.__init__).parameters
        cls.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
            [own["hypermodel"], *cls._given.parameters.values(), own["kwargs"]]
        )

    def __init__(self, hypermodel: Any = None, *args: Any, **kwargs: Any) -> None:
        names = [name for name in kwargs if name in self._given.parameters]
        given = self._given.bind(*args, **{name: kwargs.pop(name) for name in names})
        super().__init__(self._new_oracle(**given.arguments), hypermodel, **kwargs)

    def _new_oracle(self, **given: Any) -> Oracle:
        return self._oracle(**given)


class RandomSearch(_Search):
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
        sampler: What draws the values: chance, or one of Optuna's samplers by its name.
        **kwargs: Arguments of `Tuner`.

    >>> RandomSearch(None, "val_loss")
    Traceback (most recent call last):
    ValueError: A tuner needs a `hypermodel`, or a `run_trial` of its own. Received: hypermodel=None.
    """

    _oracle = RandomSearchOracle


class GridSearch(_Search):
    """All models of a space, the last hyperparameter changing first.

    Its arguments are those of `RandomSearch`.

    >>> GridSearch(None)
    Traceback (most recent call last):
    ValueError: A tuner needs a `hypermodel`, or a `run_trial` of its own. Received: hypermodel=None.
    """

    _oracle = GridSearchOracle


class BayesianOptimization(_Search):
    """Models where a Gaussian process of those that were tried expects the best.

    Args:
        num_initial_points, alpha, beta: Those of `BayesianOptimizationOracle`.

    The other arguments are those of `RandomSearch`.

    >>> BayesianOptimization(None)
    Traceback (most recent call last):
    ValueError: A tuner needs a `hypermodel`, or a `run_trial` of its own. Received: hypermodel=None.
    """

    _oracle = BayesianOptimizationOracle


class Hyperband(_Search):
    """Many models that begin, few that go on; each trains on from where it is.

    Args:
        max_epochs, factor, hyperband_iterations: Those of `HyperbandOracle`. `fit` is given the epochs.

    The other arguments are those of `RandomSearch`.

    >>> Hyperband(None)
    Traceback (most recent call last):
    ValueError: A tuner needs a `hypermodel`, or a `run_trial` of its own. Received: hypermodel=None.
    """

    _oracle = HyperbandOracle

    def run_trial(self, trial: Trial, *args: Any, **kwargs: Any) -> Any:
        """Train for the epochs of the plan, unless the trial is stopped; `tuner/epochs` is among its values."""
        assert isinstance(self.oracle, HyperbandOracle)
        epochs = trial.hyperparameters.Fixed("tuner/epochs", self.oracle.max_epochs)
        return super().run_trial(trial, *args, **{**kwargs, "epochs": epochs})


class _Sampled(_Search):
    """A search by one of Optuna's samplers."""

    _oracle = RandomSearchOracle
    _sampler = ""

    def _new_oracle(self, sampler: dict[str, Any] | None = None, **given: Any) -> Oracle:
        return super()._new_oracle(sampler=(self._sampler, sampler or {}), **given)


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

    _oracle = ParetoOracle
    _sampler = "evolution"
