"""Metrics that are the mean of a loss function."""

from __future__ import annotations

from typing import Any

from .. import losses
from ._reduction import NamedMetric


class MeanSquaredError(NamedMetric, function=losses.mean_squared_error):
    """The mean of (y_true - y_pred) ** 2.

    Args:
        name, dtype: As in `Metric`.

    >>> float(MeanSquaredError()([[0.0, 1.0]], [[1.0, 3.0]]))
    2.5
    """


class MeanAbsoluteError(NamedMetric, function=losses.mean_absolute_error):
    """The mean of |y_true - y_pred|.

    Args:
        name, dtype: As in `Metric`.

    >>> float(MeanAbsoluteError()([[0.0, 1.0]], [[1.0, 3.0]]))
    1.5
    """


class MeanAbsolutePercentageError(NamedMetric, function=losses.mean_absolute_percentage_error):
    """100 times the mean of |y_true - y_pred| / |y_true|.

    Args:
        name, dtype: As in `Metric`.

    >>> float(MeanAbsolutePercentageError()([[2.0, 4.0]], [[1.0, 4.0]]))
    25.0
    """


class MeanSquaredLogarithmicError(NamedMetric, function=losses.mean_squared_logarithmic_error):
    """The mean of (log(1 + y_true) - log(1 + y_pred)) ** 2.

    Args:
        name, dtype: As in `Metric`.

    >>> float(MeanSquaredLogarithmicError()([[0.0]], [[0.0]]))
    0.0
    """


class LogCoshError(NamedMetric, function=losses.log_cosh, named="logcosh"):
    """The mean of log(cosh(y_pred - y_true)).

    Args:
        name, dtype: As in `Metric`.

    >>> float(LogCoshError()([[0.0]], [[0.0]]))
    0.0
    """


class Poisson(NamedMetric, function=losses.poisson):
    """The mean of y_pred - y_true log(y_pred).

    Args:
        name, dtype: As in `Metric`.

    >>> float(Poisson()([[0.0, 0.0]], [[1.0, 3.0]]))
    2.0
    """


class KLDivergence(NamedMetric, function=losses.kl_divergence):
    """The Kullback-Leibler divergence: sum(y_true log(y_true / y_pred)).

    Args:
        name, dtype: As in `Metric`.

    >>> float(KLDivergence()([[0.5, 0.5]], [[0.5, 0.5]]))
    0.0
    """


class Hinge(NamedMetric, function=losses.hinge):
    """The mean of max(1 - y_true y_pred, 0).

    Args:
        name, dtype: As in `Metric`.

    >>> float(Hinge()([[1.0, -1.0]], [[0.5, 1.0]]))
    1.25
    """


class SquaredHinge(NamedMetric, function=losses.squared_hinge):
    """The mean of max(1 - y_true y_pred, 0) ** 2.

    Args:
        name, dtype: As in `Metric`.

    >>> float(SquaredHinge()([[1.0, -1.0]], [[1.0, 1.0]]))
    2.0
    """


class CategoricalHinge(NamedMetric, function=losses.categorical_hinge):
    """How far the prediction of the class fails to exceed that of the best other one by 1.

    Args:
        name, dtype: As in `Metric`.

    >>> float(CategoricalHinge()([[0.0, 1.0]], [[0.5, 0.75]]))
    0.75
    """


class BinaryCrossentropy(NamedMetric, function=losses.binary_crossentropy):
    """The cross-entropy of targets that are 0 or 1.

    Args:
        name, dtype: As in `Metric`.
        from_logits: Whether the predictions are logits.
        label_smoothing: How far targets are moved from 0 and 1 towards 0.5: 1 is all the way.

    >>> round(float(BinaryCrossentropy(from_logits=True)([[1.0]], [[0.0]])), 4)
    0.6931
    """

    def __init__(
        self,
        name: str | None = "binary_crossentropy",
        dtype: Any = None,
        from_logits: bool = False,
        label_smoothing: float = 0,
    ) -> None:
        super().__init__(name, dtype)


class CategoricalCrossentropy(NamedMetric, function=losses.categorical_crossentropy):
    """The cross-entropy of one-hot classes.

    Args:
        name, dtype: As in `Metric`.
        from_logits: Whether the predictions are logits.
        label_smoothing: The share of each target that is spread over all classes.
        axis: The axis of classes.

    >>> round(float(CategoricalCrossentropy()([[0.0, 1.0]], [[0.5, 0.5]])), 4)
    0.6931
    """

    def __init__(
        self,
        name: str | None = "categorical_crossentropy",
        dtype: Any = None,
        from_logits: bool = False,
        label_smoothing: float = 0,
        axis: int = -1,
    ) -> None:
        super().__init__(name, dtype)


class SparseCategoricalCrossentropy(NamedMetric, function=losses.sparse_categorical_crossentropy):
    """The cross-entropy of classes given as integers.

    Args:
        name, dtype: As in `Metric`.
        from_logits: Whether the predictions are logits.
        ignore_class: A target whose loss is 0.
        axis: The axis of classes.

    >>> round(float(SparseCategoricalCrossentropy()([1], [[0.5, 0.5]])), 4)
    0.6931
    """

    def __init__(
        self,
        name: str | None = "sparse_categorical_crossentropy",
        dtype: Any = None,
        from_logits: bool = False,
        ignore_class: int | None = None,
        axis: int = -1,
    ) -> None:
        super().__init__(name, dtype)
