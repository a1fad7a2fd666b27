"""Oracles over Optuna's samplers and pruners, and a walk over a grid."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ._objective import MultiObjective, Objective
from ._oracle import Oracle
from ._parameters import HyperParameter
from ._space import HyperParameters
from ._tree import Node
from ._trial import Trial, TrialStatus


class SamplingOracle(Oracle):
    """What a sampler draws when the builder asks; no point is tried twice while there are others.

    Its arguments are those of `Oracle`.

    >>> SamplingOracle("val_loss", max_trials=20, sampler="quasi", pruner="median").remaining_trials()
    20
    """

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """A trial whose values are drawn when its builder asks for them."""
        return {"status": TrialStatus.RUNNING, "values": {}}

    def _review(self, trial: Trial, parameter: HyperParameter, node: Node, drawn: Any) -> Any:
        if drawn in node.open([drawn]):
            return drawn
        left = node.open(list(parameter.values))
        chance = np.random.default_rng([self.seed, int(trial.trial_id), len(node.children)])
        return left[int(chance.integers(len(left)))] if left else drawn


class RandomSearchOracle(SamplingOracle):
    """Points by chance, each another one; all of them where the space has no more than `max_trials`.

    Its arguments are those of `Oracle`.

    >>> RandomSearchOracle("val_loss").max_trials
    10
    """

    def __init__(
        self,
        objective: Any = None,
        max_trials: int | None = 10,
        seed: int | None = None,
        hyperparameters: HyperParameters | None = None,
        allow_new_entries: bool = True,
        tune_new_entries: bool = True,
        max_retries_per_trial: int = 0,
        max_consecutive_failed_trials: int = 3,
        *,
        sampler: Any = "random",
        pruner: Any = None,
    ) -> None:
        super().__init__(
            objective,
            max_trials,
            hyperparameters,
            allow_new_entries,
            tune_new_entries,
            seed,
            max_retries_per_trial,
            max_consecutive_failed_trials,
            sampler=sampler,
            pruner=pruner,
        )


class GridSearchOracle(RandomSearchOracle):
    """All points: defaults first, then the other values in their order, the last hyperparameter first.

    A range without a step has its default and ten values. Its arguments are those of `Oracle`.

    >>> GridSearchOracle("val_loss").max_trials is None
    True
    """

    def __init__(
        self,
        objective: Any = None,
        max_trials: int | None = None,
        seed: int | None = None,
        hyperparameters: HyperParameters | None = None,
        allow_new_entries: bool = True,
        tune_new_entries: bool = True,
        max_retries_per_trial: int = 0,
        max_consecutive_failed_trials: int = 3,
        *,
        pruner: Any = None,
    ) -> None:
        super().__init__(
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

    def _review(self, trial: Trial, parameter: HyperParameter, node: Node, drawn: Any) -> Any:
        self._read()  # other processes walk over the same grid
        values = _grid(parameter)
        return (node.open(values) or values)[0]

    def _count(self, parameter: HyperParameter) -> int | None:
        return len(_grid(parameter))


class BayesianOptimizationOracle(SamplingOracle):
    """A Gaussian process of what is known (Optuna's GPSampler; without PyTorch TPE takes its place).

    Args:
        num_initial_points: How many trials are drawn by chance before; 10 by default.
        alpha, beta: Of Keras Tuner's own process. Optuna's finds its noise, and weighs what is unknown, by itself.

    The other arguments are those of `Oracle`.

    >>> BayesianOptimizationOracle("val_loss", num_initial_points=5).max_trials
    10
    """

    def __init__(
        self,
        objective: Any = None,
        max_trials: int | None = 10,
        num_initial_points: int | None = None,
        alpha: float = 1e-4,
        beta: float = 2.6,
        seed: int | None = None,
        hyperparameters: HyperParameters | None = None,
        allow_new_entries: bool = True,
        tune_new_entries: bool = True,
        max_retries_per_trial: int = 0,
        max_consecutive_failed_trials: int = 3,
        *,
        pruner: Any = None,
    ) -> None:
        options = {} if num_initial_points is None else {"n_startup_trials": num_initial_points}
        super().__init__(
            objective,
            max_trials,
            hyperparameters,
            allow_new_entries,
            tune_new_entries,
            seed,
            max_retries_per_trial,
            max_consecutive_failed_trials,
            sampler=("gp", options),
            pruner=pruner,
        )
        self.num_initial_points, self.alpha, self.beta = num_initial_points, alpha, beta


class HyperbandOracle(SamplingOracle):
    """Many trials that begin, few that go on (Li et al., 2018, https://arxiv.org/abs/1603.06560).

    A trial tells its objective after each epoch, and is stopped where others of its bracket are better; one that goes
    on does so where it is: nothing is trained a second time. Trials are drawn by TPE.

    Args:
        max_epochs: The most epochs of a trial.
        factor: Among so many trials one goes on, for so many times the epochs.
        hyperband_iterations: How often the whole plan is gone through.

    The other arguments are those of `Oracle`.

    >>> HyperbandOracle("val_loss", max_epochs=9, factor=3).max_trials
    17
    """

    def __init__(
        self,
        objective: Any = None,
        max_epochs: int = 100,
        factor: int = 3,
        hyperband_iterations: int = 1,
        seed: int | None = None,
        hyperparameters: HyperParameters | None = None,
        allow_new_entries: bool = True,
        tune_new_entries: bool = True,
        max_retries_per_trial: int = 0,
        max_consecutive_failed_trials: int = 3,
    ) -> None:
        if factor < 2:
            raise ValueError(f"`factor` must be at least 2. Received: factor={factor!r}.")
        last = math.floor(math.log(max_epochs, factor) + 1e-8)
        sizes = [math.ceil((last + 1) / (i + 1) * factor**i) for i in range(last + 1)]
        resources = {
            "min_resource": 1,
            "max_resource": max_epochs,
            "reduction_factor": factor,
        }
        super().__init__(
            objective,
            hyperband_iterations * sum(sizes),
            hyperparameters,
            allow_new_entries,
            tune_new_entries,
            seed,
            max_retries_per_trial,
            max_consecutive_failed_trials,
            sampler="tpe",
            pruner=("hyperband", resources),
        )
        self.max_epochs, self.factor = max_epochs, factor
        self.hyperband_iterations = hyperband_iterations


class ParetoOracle(RandomSearchOracle):
    """Several objectives, none of which counts more: the best trials are those that no other beats in all of them.

    Its arguments are those of `Oracle`; `objective` may be a list.

    >>> ParetoOracle(["val_loss", "params"], sampler="evolution").objective.direction
    'min'
    """

    def get_best_trials(self, num_trials: int = 1) -> list[Trial]:
        """The trials that no other beats, then the others; among them by the sum of the objectives."""
        every = super().get_best_trials(len(self.trials))
        costs = {it.trial_id: np.array(self._costs(it)) for it in every}

        def beaten(trial: Trial) -> bool:
            mine = costs[trial.trial_id]
            return any((it <= mine).all() and (it < mine).any() for it in costs.values())

        return sorted(every, key=beaten)[:num_trials]

    def _objectives(self) -> list[Objective]:
        several = isinstance(self.objective, MultiObjective)
        return self.objective.objectives if several else [self.objective]  # type: ignore[attr-defined]

    def _scores(self, trial: Trial) -> list[float]:
        return [float(trial.metrics.get_last_value(it.name) or 0.0) for it in self._objectives()]

    def _costs(self, trial: Trial) -> list[float]:
        signs = [1 if it.direction == "min" else -1 for it in self._objectives()]
        return [sign * score for sign, score in zip(signs, self._scores(trial), strict=True)]


def _grid(parameter: HyperParameter) -> list[Any]:
    return list(dict.fromkeys([parameter.default, *parameter.values]))
