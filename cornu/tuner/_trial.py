"""One trial: its hyperparameters, how it went, and its score."""

from __future__ import annotations

import json
import uuid
from typing import Any

from ..core.files import replacing
from ._history import MetricsTracker
from ._space import HyperParameters


class TrialStatus:
    """What a trial can be.

    It runs, waits for others (IDLE), went wrong and may be tried again (INVALID), was stopped or is not needed any more
    (STOPPED), has a score (COMPLETED), or has none (FAILED).

    >>> TrialStatus.COMPLETED
    'COMPLETED'
    """

    RUNNING = "RUNNING"
    IDLE = "IDLE"
    INVALID = "INVALID"
    STOPPED = "STOPPED"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"


class Trial:
    """One set of hyperparameters, and what became of it.

    Args:
        hyperparameters: The space and the values.
        trial_id: Its name; one by chance by default.
        status: One of `TrialStatus`.
        message: What went wrong.

    Attributes:
        metrics: What was reported, by metric and step.
        score: The best value of the objective, the mean over executions.
        best_step: The epoch of the best value.

    >>> trial = Trial(HyperParameters(), trial_id="7")
    >>> trial.score = 0.5
    >>> trial.summary()
    Trial 7 summary
    Hyperparameters:
    default configuration
    Score: 0.5
    """

    def __init__(
        self,
        hyperparameters: HyperParameters,
        trial_id: str | None = None,
        status: str = TrialStatus.RUNNING,
        message: str | None = None,
    ) -> None:
        self.hyperparameters = hyperparameters
        self.trial_id = uuid.uuid4().hex[:16] if trial_id is None else trial_id
        self.metrics = MetricsTracker()
        self.score: float | None = None
        self.best_step: int | None = 0
        self.status, self.message = status, message

    def summary(self) -> None:
        """Print the trial: values, score, what went wrong."""
        print(f"Trial {self.trial_id} summary")
        print("Hyperparameters:")
        self.display_hyperparameters()
        if self.score is not None:
            print(f"Score: {self.score}")
        if self.message:
            print(self.message)

    def display_hyperparameters(self) -> None:
        """Print the values."""
        for name, value in self.hyperparameters.values.items():
            print(f"{name}: {value}")
        if not self.hyperparameters.values:
            print("default configuration")

    def get_state(self) -> dict[str, Any]:
        """What a file holds of it."""
        return {
            "trial_id": self.trial_id,
            "hyperparameters": self.hyperparameters.get_config(),
            "metrics": self.metrics.get_config(),
            "score": self.score,
            "best_step": self.best_step,
            "status": self.status,
            "message": self.message,
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Become what `get_state` described."""
        self.trial_id = state["trial_id"]
        self.hyperparameters = HyperParameters.from_config(state["hyperparameters"])
        self.metrics = MetricsTracker.from_config(state["metrics"])
        self.score, self.best_step = state["score"], state["best_step"]
        self.status, self.message = state["status"], state["message"]

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Trial:
        """The trial that `get_state` described."""
        made = cls(HyperParameters())
        made.set_state(state)
        return made

    def save(self, fname: str) -> None:
        """Write the trial to a file of JSON."""
        with replacing(fname) as draft, open(draft, "w", encoding="utf-8") as file:
            json.dump(self.get_state(), file)

    @classmethod
    def load(cls, fname: str) -> Trial:
        """The trial that a file holds."""
        with open(fname, encoding="utf-8") as file:
            return cls.from_state(json.load(file))
