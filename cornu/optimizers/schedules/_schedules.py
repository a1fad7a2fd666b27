"""Learning rates as functions of the step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ... import ops
from ...core.described import Described
from ...core.serialization import deserialize_keras_object, serialize_keras_object


class LearningRateSchedule(Described):
    """A learning rate for each step; subclasses define `__call__(step)` and `get_config`."""

    _describes_users = True

    def __init__(self) -> None:
        """Check the steps of a decay, which every schedule that has them must be given."""
        for name in ("decay_steps", "first_decay_steps"):
            if getattr(self, name, 1) <= 0:
                raise ValueError(
                    f"`{name}` must be positive. Received: {name}={getattr(self, name)}."
                )

    def __call__(self, step: Any) -> Any:
        """The learning rate at a step, counted from 0."""
        raise NotImplementedError(
            f"The schedule {type(self).__name__} must have `__call__(self, step)`."
        )


class ExponentialDecay(LearningRateSchedule):
    """`initial_learning_rate * decay_rate ** (step / decay_steps)`.

    Args:
        initial_learning_rate: The rate at step 0.
        decay_steps: The steps after which the rate has decayed once.
        decay_rate: The factor of one decay.
        staircase: Whether the rate falls once every `decay_steps`.

    >>> round(float(ExponentialDecay(0.1, 10, 0.5)(10)), 6)
    0.05
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        decay_rate: float,
        staircase: bool = False,
        name: str = "ExponentialDecay",
    ) -> None:
        super().__init__()

    def __call__(self, step: Any) -> Any:
        """The learning rate at a step."""
        share = _share(step, self.decay_steps, self.staircase)
        return self.initial_learning_rate * self.decay_rate**share


class PiecewiseConstantDecay(LearningRateSchedule):
    """One rate up to each boundary.

    Args:
        boundaries: The last steps of all rates but the last.
        values: The rates, one more than boundaries.

    >>> float(PiecewiseConstantDecay([2], [1.0, 0.5])(3))
    0.5
    """

    def __init__(
        self, boundaries: Sequence[int], values: Sequence[float], name: str = "PiecewiseConstant"
    ) -> None:
        if len(boundaries) + 1 != len(values):
            raise ValueError(
                "There is one value more than boundaries. Received: "
                f"boundaries={boundaries} (length {len(boundaries)}), values={values} "
                f"(length {len(values)})."
            )

    def __call__(self, step: Any) -> Any:
        """The learning rate at a step."""
        step = ops.cast(step, "float32")
        rate = ops.convert_to_tensor(self.values[-1], "float32")
        for boundary, value in reversed(list(zip(self.boundaries, self.values[:-1], strict=True))):
            rate = ops.where(step <= boundary, value, rate)
        return rate


class PolynomialDecay(LearningRateSchedule):
    """From one rate to another along a power of the step.

    Args:
        initial_learning_rate: The rate at step 0.
        decay_steps: The step at which the end is reached.
        end_learning_rate: The rate at the end.
        power: The power.
        cycle: Whether the end moves on by `decay_steps` each time it is passed.
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        end_learning_rate: float = 0.0001,
        power: float = 1.0,
        cycle: bool = False,
        name: str = "PolynomialDecay",
    ) -> None:
        super().__init__()

    def __call__(self, step: Any) -> Any:
        """The learning rate at a step."""
        step = ops.cast(step, "float32")
        end = float(self.decay_steps)
        if self.cycle:
            end = end * ops.maximum(ops.ceil(step / end), 1.0)
        else:
            step = ops.minimum(step, end)
        span = self.initial_learning_rate - self.end_learning_rate
        return span * (1 - step / end) ** self.power + self.end_learning_rate


class InverseTimeDecay(LearningRateSchedule):
    """`initial_learning_rate / (1 + decay_rate * step / decay_steps)`.

    Args:
        initial_learning_rate: The rate at step 0.
        decay_steps: The unit of steps.
        decay_rate: How fast the rate falls.
        staircase: Whether the rate falls once every `decay_steps`.
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        decay_rate: float,
        staircase: bool = False,
        name: str = "InverseTimeDecay",
    ) -> None:
        super().__init__()

    def __call__(self, step: Any) -> Any:
        """The learning rate at a step."""
        share = _share(step, self.decay_steps, self.staircase)
        return self.initial_learning_rate / (1 + self.decay_rate * share)


class CosineDecay(LearningRateSchedule):
    """A half cosine, after an optional linear warm-up (Loshchilov and Hutter, 2016).

    Args:
        initial_learning_rate: The rate at step 0.
        decay_steps: The length of the decay.
        alpha: The last rate, as a share of the highest.
        warmup_target: The rate that the warm-up ends with.
        warmup_steps: The length of the warm-up.
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        alpha: float = 0.0,
        name: str = "CosineDecay",
        warmup_target: float | None = None,
        warmup_steps: int = 0,
    ) -> None:
        super().__init__()

    def _decayed(self, step: Any, highest: float) -> Any:
        share = ops.minimum(step, float(self.decay_steps)) / self.decay_steps
        cosine = 0.5 * (1 + ops.cos(math.pi * share))
        return highest * ((1 - self.alpha) * cosine + self.alpha)

    def __call__(self, step: Any) -> Any:
        """The learning rate at a step."""
        step = ops.cast(step, "float32")
        if self.warmup_target is None:
            return self._decayed(step, self.initial_learning_rate)
        span = self.warmup_target - self.initial_learning_rate
        warm = self.initial_learning_rate + span * step / max(self.warmup_steps, 1)
        decayed = self._decayed(step - self.warmup_steps, self.warmup_target)
        return ops.where(step < self.warmup_steps, warm, decayed)


class CosineDecayRestarts(LearningRateSchedule):
    """Half cosines, each starting again from the top (Loshchilov and Hutter, 2016).

    Args:
        initial_learning_rate: The rate at step 0.
        first_decay_steps: The length of the first decay.
        t_mul: How much longer each decay is than the one before.
        m_mul: How much higher each decay starts than the one before.
        alpha: The last rate, as a share of the highest.
    """

    _kept_as = {"t_mul": "_t_mul", "m_mul": "_m_mul"}
    _t_mul: float
    _m_mul: float

    def __init__(
        self,
        initial_learning_rate: float,
        first_decay_steps: int,
        t_mul: float = 2.0,
        m_mul: float = 1.0,
        alpha: float = 0.0,
        name: str = "SGDRDecay",
    ) -> None:
        super().__init__()

    @property
    def t_mul(self) -> float:
        """How much longer each decay is than the one before."""
        return self._t_mul

    @property
    def m_mul(self) -> float:
        """How much higher each decay starts than the one before."""
        return self._m_mul

    def __call__(self, step: Any) -> Any:
        """The learning rate at a step."""
        share = ops.cast(step, "float32") / self.first_decay_steps
        if self.t_mul == 1.0:
            restart = ops.floor(share)
            share = share - restart
        else:
            restart = ops.floor(ops.log(1 - share * (1 - self.t_mul)) / math.log(self.t_mul))
            done = (1 - self.t_mul**restart) / (1 - self.t_mul)
            share = (share - done) / self.t_mul**restart
        height = self.m_mul**restart
        cosine = 0.5 * height * (1 + ops.cos(math.pi * share))
        return self.initial_learning_rate * ((1 - self.alpha) * cosine + self.alpha)


def serialize(learning_rate_schedule: LearningRateSchedule) -> Any:
    """A schedule as what a file can hold."""
    return serialize_keras_object(learning_rate_schedule)


def deserialize(config: Any, custom_objects: Any = None) -> Any:
    """The schedule that `serialize` described."""
    return deserialize_keras_object(config, custom_objects=custom_objects)


def _share(step: Any, steps: int, staircase: bool) -> Any:
    share = ops.cast(step, "float32") / steps
    return ops.floor(share) if staircase else share
