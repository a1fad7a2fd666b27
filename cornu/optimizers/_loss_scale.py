"""A loss scale that follows what float16 gradients can hold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np

from .. import ops
from ..core import naming
from ..core.described import Described
from ..core.serialization import deserialize_keras_object
from ..core.variable import Variable
from ._optimizer import Optimizer, Options, only_if


class LossScaleOptimizer(Optimizer):
    """Another optimizer, on a loss multiplied so that small float16 gradients don't vanish.

    A step with gradients that are not finite is skipped and halves the scale; after a number of
    good steps the scale doubles (Micikevicius et al., 2017, https://arxiv.org/abs/1710.03740). The logs
    have the scale and how many steps were skipped, `loss_scale` and `overflows`.

    Args:
        inner_optimizer: The optimizer that updates the variables.
        initial_scale: The first scale.
        dynamic_growth_steps: After how many good steps the scale doubles.
    """

    _unwritten_arguments = frozenset(Options.__annotations__) - {"name"}

    def __init__(
        self,
        inner_optimizer: Any,
        initial_scale: float = 2.0**15,
        dynamic_growth_steps: int = 2000,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        refused = {key for key, value in kwargs.items() if value}
        if refused:
            raise ValueError(
                "These belong to the inner optimizer. Received: "
                f"{sorted(refused)} for LossScaleOptimizer."
            )
        super().__init__(learning_rate=0.0, name=name)
        self._log("overflows", np.zeros((), "int32"))

    def build(self, variables: Sequence[Variable]) -> None:
        """Make the scale, and the inner optimizer's state."""
        with naming.NameScope(self.name, caller=self):
            self.step_counter = self._own(
                Variable(np.zeros((), "int32"), trainable=False, name="step_counter")
            )
            self.dynamic_scale = self._own(
                Variable(np.float32(self.initial_scale), trainable=False, name="dynamic_scale")
            )
        self.built = True
        self.rebuild(variables)

    def rebuild(self, variables: Sequence[Variable]) -> None:
        """Have the inner optimizer train these variables from now on; the scale stays."""
        if not self.built:
            self.build(variables)
            return
        self.inner_optimizer.rebuild(variables)
        self.logged_variables |= {
            "loss_scale": self.dynamic_scale,
            **getattr(self.inner_optimizer, "logged_variables", {}),
        }
        self._trainable_variables = list(variables)
        self._places = {v: i for i, v in enumerate(variables)}

    def trains(self, variable: Variable) -> bool:
        """Whether the inner optimizer does."""
        return self.inner_optimizer.trains(variable)

    @property
    def variables(self) -> list[Variable]:
        """The scale's state, then the inner optimizer's."""
        return [*self._variables, *self.inner_optimizer.variables]

    @property  # type: ignore[misc]  # a getter alone
    def iterations(self) -> Any:
        """The number of updates of the inner optimizer."""
        return self.inner_optimizer.iterations

    @property
    def learning_rate(self) -> Any:
        """The learning rate of the inner optimizer."""
        return self.inner_optimizer.learning_rate

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        self.inner_optimizer.learning_rate = value

    def scale_loss(self, loss: Any) -> Any:
        """The loss times the scale."""
        scale = self.dynamic_scale.value if self.built else self.initial_scale
        return ops.multiply(loss, ops.cast(scale, loss.dtype))

    def apply(
        self, grads: Sequence[Any], trainable_variables: Sequence[Variable] | None = None
    ) -> None:
        """Apply the gradients without their scale, if they are finite."""
        if not self.built:
            self.build(trainable_variables or [])
        scale = self.dynamic_scale.value
        present = [g for g in grads if g is not None]
        if not present:  # nothing to train, or an error: the inner optimizer says so
            return self.inner_optimizer.apply(grads, trainable_variables)
        checks = [ops.all(ops.isfinite(g)) for g in present]
        finite = ops.all(ops.stack(checks))
        grads = [None if g is None else ops.divide(g, ops.cast(scale, g.dtype)) for g in grads]
        skipped = self.logged_variables["overflows"]
        skipped.assign_add(ops.cast(ops.logical_not(finite), "int32"))
        only_if(finite, lambda: self.inner_optimizer.apply(grads, trainable_variables))
        count = self.step_counter.value + 1
        grows = ops.equal(count, self.dynamic_growth_steps)
        self.step_counter.assign(
            ops.where(ops.logical_and(finite, ops.logical_not(grows)), count, 0)
        )
        grown = ops.where(grows, scale * 2.0, scale)
        self.dynamic_scale.assign(ops.where(finite, grown, scale / 2.0))

    def finalize_variable_values(self, var_list: Sequence[Variable]) -> None:
        """What the inner optimizer does at the end of training."""
        self.inner_optimizer.finalize_variable_values(var_list)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, as what a file can hold."""
        return Described.get_config(self)

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Self:
        """The optimizer that `get_config` described."""
        config = {key: value for key, value in config.items() if value is not None}
        inner = deserialize_keras_object(
            config.pop("inner_optimizer"), custom_objects=custom_objects
        )
        known = {"initial_scale", "dynamic_growth_steps", "name"}
        return cls(inner, **{key: value for key, value in config.items() if key in known})
