"""The base of metrics: state that batches update, and a result read off it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from .. import dtype_policies, initializers, ops
from ..core import naming
from ..core.config import floatx
from ..core.described import Described
from ..core.dtypes import numpy_dtype
from ..core.masks import get_keras_mask
from ..core.scopes import StatelessScope, concrete_scope, given_values
from ..core.tracking import PLAIN, Tracker
from ..core.variable import Variable


class Metric(Described):
    """A figure over many batches.

    A subclass of your own makes its variables with `add_variable` in `__init__`, changes them in
    `update_state` and computes from them in `result`. Metrics among its attributes are parts of it.

    Args:
        dtype: The dtype, or policy, of the computation and the state; floatx where it is left out.
            Float32 stands in for floats of 16 bits, in which 2048 ones are as many as can be added.
        name: The name; made from the class name where it is left out.

    >>> class Largest(Metric):
    ...     def __init__(self, **kwargs):
    ...         super().__init__(**kwargs)
    ...         self.largest = self.add_variable((), "zeros", name="largest")
    ...     def update_state(self, values):
    ...         self.largest.assign(max(float(self.largest), *values))
    ...     def result(self):
    ...         return self.largest.value
    >>> metric = Largest()
    >>> metric.update_state([1.0, 5.0])
    >>> float(metric([2.0, 3.0]))
    5.0
    """

    _tracked_as: ClassVar[str] = "metrics"
    #: Whether a larger result is better ("up") or a smaller one ("down"), where that is known.
    _direction: str | None = None

    _dtype: str

    def __init__(self, dtype: Any = None, name: str | None = None) -> None:
        super().__init__()
        self.name = name or naming.auto_name(type(self).__name__)
        self._dtype_policy = dtype_policies.get(dtype or floatx())
        self._dtype = accumulating(self._dtype_policy.compute_dtype)

    @property
    def _tracker(self) -> Tracker:
        """What knows the parts; made at its first use, so before `__init__` has run too."""
        tracker: Tracker = self.__dict__.setdefault("_parts", Tracker())
        return tracker

    def __setattr__(self, name: str, value: Any) -> None:
        old = self.__dict__.get(name)
        if type(value) not in PLAIN:
            value = self._tracker.track(value)
        if old is not value and type(old) not in PLAIN:
            self._tracker.drop(old)
        super().__setattr__(name, value)

    @property
    def dtype(self) -> str:
        """The dtype that the metric was given."""
        dtype: str = self._dtype_policy.compute_dtype
        return dtype

    # ------------------------------------------------------------------ state

    def add_variable(
        self,
        shape: Any,
        initializer: Any,
        dtype: Any = None,
        aggregation: str | None = "sum",
        name: str | None = None,
    ) -> Variable:
        """Make a part of the state.

        Args:
            shape: The shape.
            initializer: What gives the value that it has at first; `reset_state` makes it 0.
            dtype: The dtype; the metric's where it is left out.
            aggregation: How replicas are joined.
            name: The variable's name.

        Returns:
            The variable.
        """
        if "_dtype" not in self.__dict__:
            raise RuntimeError(
                f"A metric is set up by its base before it makes variables. Received: "
                f"{type(self).__name__}, whose `__init__` has not called `super().__init__()`. "
                "Call it first."
            )
        initializer = "zeros" if initializer is None else initializer
        with concrete_scope(), naming.NameScope(self.name, caller=self):
            variable = Variable(
                initializers.get(initializer),
                shape=tuple(shape),
                dtype=self._dtype if dtype is None else dtype,
                trainable=False,
                aggregation=aggregation,
                name=name,
            )
        self._tracker.keep("variables", variable)
        return variable

    def add_weight(
        self, shape: Any = (), initializer: Any = None, dtype: Any = None, name: str | None = None
    ) -> Variable:
        """`add_variable` under the name that layers have for it."""
        return self.add_variable(shape, initializer, dtype=dtype, name=name)

    @property
    def variables(self) -> list[Variable]:
        """The state: the metric's own variables, then those of the metrics that it consists of."""
        own, metrics = (self._tracker.parts(k, self.__dict__) for k in ("variables", "metrics"))
        return [*own, *(v for metric in metrics for v in metric.variables)]

    def reset_state(self) -> None:
        """Start again: every variable becomes 0."""
        for variable in self.variables:
            variable.assign(np.zeros(variable.shape, numpy_dtype(variable.dtype)))

    def update_state(self, *args: Any, **kwargs: Any) -> None:
        """Take a batch into account; a subclass defines it."""
        raise self._lacks("update_state")

    def result(self) -> Any:
        """The value of the metric: a scalar, or a dictionary of scalars; a subclass defines it."""
        raise self._lacks("result")

    def _lacks(self, method: str) -> NotImplementedError:
        return NotImplementedError(
            f"A metric must have a method `{method}`. Received: {type(self).__name__}, which has "
            f"none. Define `{method}(self, ...)`."
        )

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Take a batch into account; the value of the metric after it."""
        self.update_state(*args, **kwargs)
        return self.result()

    # -------------------------------------------------------------- stateless

    def stateless_update_state(
        self, metric_variables: Sequence[Any], *args: Any, **kwargs: Any
    ) -> list[Any]:
        """`update_state` as a pure function of the variables' values; the new values."""
        if not self.variables:
            # A metric that makes its state for the shapes of the first batch.
            with StatelessScope():
                self.update_state(*args, **kwargs)
            metric_variables = [v.value for v in self.variables]
        with self._bound(metric_variables) as scope:
            self.update_state(*args, **kwargs)
        return self._values_in(scope)

    def stateless_result(self, metric_variables: Sequence[Any]) -> Any:
        """`result` as a pure function of the variables' values."""
        with self._bound(metric_variables):
            return self.result()

    def stateless_reset_state(self) -> list[Any]:
        """The variables' values after `reset_state`, which this leaves alone."""
        with StatelessScope() as scope:
            self.reset_state()
        return self._values_in(scope)

    def _bound(self, values: Sequence[Any]) -> StatelessScope:
        return given_values(self.name, metric_variables=(self.variables, values))

    def _values_in(self, scope: StatelessScope) -> list[Any]:
        return [
            variable.value if (value := scope.get_current_value(variable)) is None else value
            for variable in self.variables
        ]

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}>"


def accumulating(dtype: str) -> str:
    """The dtype in which values of a dtype are summed: of at least 32 bits."""
    return "float32" if dtype in ("float16", "bfloat16") else dtype


def masked(sample_weight: Any, y_pred: Any) -> Any:
    """The weights of a batch, 0 where the predictions have a mask that is false.

    Args:
        sample_weight: Weights of samples, or of what samples consist of; None for 1.
        y_pred: The predictions. Their mask is matched with the weights from the first axis on.
    """
    mask = get_keras_mask(y_pred)
    if mask is None or sample_weight is None:
        return sample_weight if mask is None else mask
    mask, weight = ops.convert_to_tensor(mask), ops.convert_to_tensor(sample_weight)
    rank = max(len(mask.shape), len(weight.shape))
    return ops.where(with_rank(mask, rank), with_rank(weight, rank), 0)


def with_rank(x: Any, rank: int) -> Any:
    """x with axes of size 1 after its own."""
    return ops.reshape(x, (*ops.shape(x), *(1,) * (rank - len(x.shape))))
