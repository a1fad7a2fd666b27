"""Schedules of pruning: when masks are found anew, and how sparse they are then."""

from __future__ import annotations

from typing import Any

from .. import ops
from ..core.checks import is_number, is_size
from ..core.described import Described


class PruningSchedule(Described):
    """When to prune, and how much; subclasses define `__call__(step)`.

    >>> class AtOnce(PruningSchedule):
    ...     def __call__(self, step):
    ...         return step == 0, 0.5
    >>> AtOnce()(0)
    (True, 0.5)
    """

    _describes_users = True

    def __call__(self, step: Any) -> tuple[Any, Any]:
        """Whether masks are found anew at a step, counted from 0, and the share of zeros that they have then."""
        raise NotImplementedError(
            f"The schedule {type(self).__name__} must have `__call__(self, step)`."
        )

    def _is_due(self, step: Any) -> Any:
        """Whether a step is one of those from `begin_step` to `end_step`, `frequency` apart."""
        since = step - self.begin_step
        due = (since >= 0) & (since % self.frequency == 0)
        return due if self.end_step == -1 else due & (step <= self.end_step)


class ConstantSparsity(PruningSchedule):
    """The same share of zeros from one step on.

    Args:
        target_sparsity: The share of zeros, from 0 to below 1.
        begin_step: The first step at which masks are found.
        end_step: The last one; -1 for no end.
        frequency: How many steps lie between two of them.

    Raises:
        ValueError: If a number is out of its range.

    >>> schedule = ConstantSparsity(0.5, begin_step=10, frequency=5)
    >>> schedule(15), schedule(16)
    ((True, 0.5), (False, 0.5))
    """

    def __init__(
        self, target_sparsity: float, begin_step: int, end_step: int = -1, frequency: int = 100
    ) -> None:
        _check_shares(target_sparsity=target_sparsity)
        _check_steps(begin_step, end_step, frequency)

    def __call__(self, step: Any) -> tuple[Any, Any]:
        """Whether a step prunes, and the share of zeros."""
        return self._is_due(step), self.target_sparsity


class PolynomialDecay(PruningSchedule):
    """A share of zeros that rises quickly at first, while there is much to spare, then ever more slowly.

    At a step from `begin_step` to `end_step` it is `final + (initial - final) * (1 - t) ** power`, where `t` is the
    share of the steps that are done (Zhu and Gupta, "To prune, or not to prune", 2017, equation 1).

    Args:
        initial_sparsity: The share of zeros at the first step, from 0 to below 1.
        final_sparsity: That at the last one.
        begin_step: The first step at which masks are found.
        end_step: The last one. It should lie a multiple of `frequency` after the first: else the final share is
            not quite reached.
        power: The power.
        frequency: How many steps lie between two at which masks are found.

    Raises:
        ValueError: If a number is out of its range.

    >>> schedule = PolynomialDecay(0.0, 0.8, begin_step=0, end_step=200)
    >>> due, sparsity = schedule(100)
    >>> due, round(float(sparsity), 6)
    (True, 0.7)
    """

    def __init__(
        self,
        initial_sparsity: float,
        final_sparsity: float,
        begin_step: int,
        end_step: int,
        power: float = 3,
        frequency: int = 100,
    ) -> None:
        _check_shares(initial_sparsity=initial_sparsity, final_sparsity=final_sparsity)
        _check_steps(begin_step, end_step, frequency)
        if not is_number(power) or power <= 0:
            raise ValueError(f"`power` is a number above 0. Received: power={power!r}.")
        if end_step == -1 or end_step <= begin_step:
            raise ValueError(
                "A decay ends after it has begun. Received: "
                f"begin_step={begin_step}, end_step={end_step}. `ConstantSparsity` has no end."
            )

    def __call__(self, step: Any) -> tuple[Any, Any]:
        """Whether a step prunes, and the share of zeros at it."""
        span = self.end_step - self.begin_step
        done = ops.clip(ops.cast(step - self.begin_step, "float32") / span, 0.0, 1.0)
        missing = (self.initial_sparsity - self.final_sparsity) * (1 - done) ** self.power
        return self._is_due(step), self.final_sparsity + missing


def _check_shares(**given: Any) -> None:
    for name, value in given.items():
        if not is_number(value) or not 0 <= value < 1:
            raise ValueError(
                f"`{name}` is the share of zeros, from 0 to below 1. Received: {name}={value!r}."
            )


def _check_steps(begin_step: Any, end_step: Any, frequency: Any) -> None:
    if not is_size(begin_step, 0) or not (end_step == -1 or is_size(end_step, begin_step)):
        raise ValueError(
            "Steps are counted from 0, and the last one is not before the first; -1 stands for no end. Received: "
            f"begin_step={begin_step!r}, end_step={end_step!r}."
        )
    if not is_size(frequency):
        raise ValueError(
            "`frequency` is how many steps lie between two that prune, at least 1. Received: "
            f"frequency={frequency!r}."
        )
