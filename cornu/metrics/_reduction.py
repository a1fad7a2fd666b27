"""Sums and means over batches, and metrics that are the mean of a function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import ops
from ..core import naming
from ..core.serialization import serialize_keras_object
from ..losses.shared import Declared, check_broadcast, squeeze_or_expand_to_same_rank
from ._metric import Metric, accumulating, masked


def samplewise(
    values: Any, sample_weight: Any, reduce: Callable[..., Any], dtype: str
) -> tuple[Any, Any]:
    """Values and weights with one axis, that of samples, or none.

    Args:
        values: A tensor; its axes after those of the weights, then those after the first one, are
            reduced. Its mask counts where weights are given.
        sample_weight: A tensor that broadcasts with the values from the first axis on, or None.
        reduce: `ops.mean` or `ops.sum`.
        dtype: The dtype of both results.
    """
    if sample_weight is not None:
        sample_weight = ops.cast(masked(sample_weight, values), dtype)
    values = ops.cast(values, dtype)
    if sample_weight is not None:
        values, weight = squeeze_or_expand_to_same_rank(values, sample_weight)
        values = _reduced(values, reduce, max(len(weight.shape), 1))
        check_broadcast(tuple(values.shape), tuple(weight.shape), "sample_weight")
        # A weight of several values counts as often as it is used.
        weight = weight * ops.ones_like(values)
        values = values * weight
        sample_weight = _reduced(weight, reduce, 1)
    return _reduced(values, reduce, 1), sample_weight


def _reduced(x: Any, reduce: Callable[..., Any], start: int) -> Any:
    """x with the axes from `start` on reduced."""
    rank = len(x.shape)
    return reduce(x, axis=tuple(range(start, rank))) if rank > start else x


class Sum(Metric):
    """The sum of values, each times its weight.

    Args:
        name, dtype: As in `Metric`.

    >>> metric = Sum()
    >>> metric.update_state([1.0, 3.0])
    >>> float(metric([5.0], sample_weight=2.0))
    14.0
    """

    def __init__(self, name: str | None = "sum", dtype: Any = None) -> None:
        super().__init__(name=name, dtype=dtype)
        self.total = self.add_variable((), "zeros", name="total")

    def update_state(self, values: Any, sample_weight: Any = None) -> None:
        """Add the values of a batch."""
        values, _ = samplewise(values, sample_weight, ops.sum, self._dtype)
        self.total.assign_add(ops.sum(values))

    def result(self) -> Any:
        """The sum."""
        return ops.cast(self.total, self._dtype)


class Mean(Metric):
    """The mean of values, weighted where weights are given.

    Args:
        name, dtype: As in `Metric`.

    >>> metric = Mean()
    >>> metric.update_state([1.0, 3.0])
    >>> float(metric([5.0], sample_weight=2.0))
    3.5
    """

    def __init__(self, name: str | None = "mean", dtype: Any = None) -> None:
        super().__init__(name=name, dtype=dtype)
        self.total = self.add_variable((), "zeros", name="total")
        self.count = self.add_variable((), "zeros", name="count")

    def update_state(self, values: Any, sample_weight: Any = None) -> None:
        """Take the values of a batch into the mean."""
        values, weight = samplewise(values, sample_weight, ops.mean, self._dtype)
        self.total.assign_add(ops.sum(values))
        if weight is not None:
            count = ops.sum(weight)
        else:
            count = ops.cast(ops.shape(values)[0] if len(values.shape) else 1, self._dtype)
        self.count.assign_add(count)

    def result(self) -> Any:
        """The mean; 0 where there was no value."""
        return ops.divide_no_nan(self.total, ops.cast(self.count, self._dtype))


class MeanMetricWrapper(Mean):
    """The mean of what a function `fn(y_true, y_pred, **kwargs)` gives for each sample.

    Args:
        fn: The function.
        name, dtype: As in `Metric`.
        **kwargs: Further arguments of the function.

    >>> from cornu.losses import huber
    >>> float(MeanMetricWrapper(huber, delta=0.5)([[0.0]], [[1.0]]))
    0.375
    """

    _kept_as = {"fn": "_fn"}
    _fn: Callable[..., Any]

    def __init__(
        self, fn: Callable[..., Any], name: str | None = None, dtype: Any = None, **kwargs: Any
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        self._fn_kwargs = kwargs
        self._direction = "down" if _is_loss(fn) else self._direction

    def update_state(  # type: ignore[override]
        self, y_true: Any, y_pred: Any, sample_weight: Any = None
    ) -> None:
        """Take a batch into account, but for what the mask of the predictions, or of the values, excludes."""
        sample_weight = masked(sample_weight, y_pred)
        y_true, y_pred = _wide(y_true), _wide(y_pred)
        if not naming.is_ours(self._fn) and hasattr(y_true, "shape") and hasattr(y_pred, "shape"):
            # A function that subtracts (batch, 1) from (batch,) would compare all pairs.
            y_true, y_pred = squeeze_or_expand_to_same_rank(y_true, y_pred)
        values = self._fn(y_true, y_pred, **self._fn_kwargs)
        super().update_state(values, masked(sample_weight, values))

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor, as what a file can hold."""
        return {**super().get_config(), **serialize_keras_object(self._fn_kwargs)}


def _wide(y: Any) -> Any:
    """Floats of 16 bits as those in which they are summed; anything else as it is."""
    dtype = ops.dtype(y) if hasattr(y, "dtype") else None
    return y if dtype is None or accumulating(dtype) == dtype else ops.cast(y, accumulating(dtype))


def _is_loss(function: Callable[..., Any]) -> bool:
    return getattr(function, "__module__", "").startswith("cornu.losses.")


class NamedMetric(Declared, MeanMetricWrapper):
    """A metric of this package that is the mean of a function.

    `class Hinge(NamedMetric, function=hinge)`. A subclass whose function has parameters declares
    them in an `__init__` of its own.
    """

    _direction = "up"

    def __init__(self, name: str | None = None, dtype: Any = None) -> None:
        super().__init__(self._function, name or self._default_name, dtype, **self._options())
