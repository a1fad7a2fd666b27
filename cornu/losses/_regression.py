"""Losses of real-valued predictions, and of distributions."""

from __future__ import annotations

import math
from typing import Any

from .. import ops
from ..core.config import epsilon
from ._loss import DEFAULT_REDUCTION, NamedLoss
from ._operands import operands


def mean_squared_error(y_true: Any, y_pred: Any) -> Any:
    """mean((y_true - y_pred) ** 2) along the last axis.

    Args:
        y_true: Targets `(..., d)`.
        y_pred: Predictions `(..., d)`.

    Returns:
        `(...)`.

    >>> mean_squared_error([[0.0, 1.0]], [[1.0, 3.0]]).tolist()
    [2.5]
    """
    y_true, y_pred = operands(y_true, y_pred)
    return ops.mean(ops.square(y_true - y_pred), axis=-1)


class MeanSquaredError(NamedLoss, function=mean_squared_error):
    """The mean of (y_true - y_pred) ** 2.

    Args:
        reduction, name, dtype: As in `Loss`.

    >>> float(MeanSquaredError()([[0.0, 1.0]], [[1.0, 3.0]]))
    2.5
    """


def mean_absolute_error(y_true: Any, y_pred: Any) -> Any:
    """mean(|y_true - y_pred|) along the last axis.

    Args:
        y_true: Targets `(..., d)`.
        y_pred: Predictions `(..., d)`.

    Returns:
        `(...)`.

    >>> mean_absolute_error([[0.0, 1.0]], [[1.0, 3.0]]).tolist()
    [1.5]
    """
    y_true, y_pred = operands(y_true, y_pred)
    return ops.mean(ops.absolute(y_true - y_pred), axis=-1)


class MeanAbsoluteError(NamedLoss, function=mean_absolute_error):
    """The mean of |y_true - y_pred|.

    Args:
        reduction, name, dtype: As in `Loss`.

    >>> float(MeanAbsoluteError()([[0.0, 1.0]], [[1.0, 3.0]]))
    1.5
    """


def mean_absolute_percentage_error(y_true: Any, y_pred: Any) -> Any:
    """100 mean(|y_true - y_pred| / max(|y_true|, epsilon)) along the last axis.

    Args:
        y_true: Targets `(..., d)`.
        y_pred: Predictions `(..., d)`.

    Returns:
        `(...)`, in percent.

    >>> mean_absolute_percentage_error([[2.0, 4.0]], [[1.0, 4.0]]).tolist()
    [25.0]
    """
    y_true, y_pred = operands(y_true, y_pred)
    scale = ops.maximum(ops.absolute(y_true), epsilon())
    return 100.0 * ops.mean(ops.absolute((y_true - y_pred) / scale), axis=-1)


class MeanAbsolutePercentageError(NamedLoss, function=mean_absolute_percentage_error):
    """100 times the mean of |y_true - y_pred| / |y_true|.

    Args:
        reduction, name, dtype: As in `Loss`.

    >>> float(MeanAbsolutePercentageError()([[2.0, 4.0]], [[1.0, 4.0]]))
    25.0
    """


def mean_squared_logarithmic_error(y_true: Any, y_pred: Any) -> Any:
    """mean((log(1 + y_true) - log(1 + y_pred)) ** 2) along the last axis, of values >= 0.

    Args:
        y_true: Targets `(..., d)`.
        y_pred: Predictions `(..., d)`.

    Returns:
        `(...)`.

    >>> mean_squared_logarithmic_error([[0.0]], [[0.0]]).tolist()
    [0.0]
    """
    logarithms = [ops.log(ops.maximum(y, epsilon()) + 1.0) for y in operands(y_true, y_pred)]
    return ops.mean(ops.square(logarithms[0] - logarithms[1]), axis=-1)


class MeanSquaredLogarithmicError(NamedLoss, function=mean_squared_logarithmic_error):
    """The mean of (log(1 + y_true) - log(1 + y_pred)) ** 2.

    Args:
        reduction, name, dtype: As in `Loss`.

    >>> float(MeanSquaredLogarithmicError()([[0.0]], [[0.0]]))
    0.0
    """


def cosine_similarity(y_true: Any, y_pred: Any, axis: int = -1) -> Any:
    """Minus the cosine of the angle between targets and predictions, along an axis.

    -1 means the same direction, 0 a right angle or a vector of zeros, 1 opposite directions.

    Args:
        y_true: Targets `(..., d)`.
        y_pred: Predictions `(..., d)`.
        axis: The axis of the vectors.

    Returns:
        `(...)`.

    >>> cosine_similarity([[0.0, 2.0]], [[0.0, 1.0]]).tolist()
    [-1.0]
    """
    y_true, y_pred = (ops.normalize(y, axis=axis) for y in operands(y_true, y_pred))
    return -ops.sum(y_true * y_pred, axis=axis)


class CosineSimilarity(NamedLoss, function=cosine_similarity, unwritten=("axis",)):
    """Minus the cosine of the angle between targets and predictions.

    Args:
        axis: The axis of the vectors.
        reduction, name, dtype: As in `Loss`.

    >>> float(CosineSimilarity()([[0.0, 2.0]], [[0.0, 1.0]]))
    -1.0
    """

    def __init__(
        self,
        axis: int = -1,
        reduction: str | None = DEFAULT_REDUCTION,
        name: str | None = "cosine_similarity",
        dtype: Any = None,
    ) -> None:
        super().__init__(reduction, name, dtype)


def huber(y_true: Any, y_pred: Any, delta: float = 1.0) -> Any:
    """Huber's loss: squared for small errors, linear for large ones; the mean along the last axis.

    It is e ** 2 / 2 where the error |e| <= delta, else delta |e| - delta ** 2 / 2 (P. Huber, 1964).

    Args:
        y_true: Targets `(..., d)`.
        y_pred: Predictions `(..., d)`.
        delta: The error from which on the loss is linear.

    Returns:
        `(...)`.

    >>> huber([[0.0, 0.0]], [[1.0, 3.0]]).tolist()
    [1.5]
    """
    y_true, y_pred = operands(y_true, y_pred)
    error = ops.absolute(y_true - y_pred)
    linear = delta * error - 0.5 * delta * delta
    return ops.mean(ops.where(error <= delta, 0.5 * ops.square(error), linear), axis=-1)


class Huber(NamedLoss, function=huber, unwritten=("delta",)):
    """Huber's loss: squared for errors up to delta, linear beyond.

    Args:
        delta: The error from which on the loss is linear.
        reduction, name, dtype: As in `Loss`.

    >>> float(Huber()([[0.0, 0.0]], [[1.0, 3.0]]))
    1.5
    """

    def __init__(
        self,
        delta: float = 1.0,
        reduction: str | None = DEFAULT_REDUCTION,
        name: str | None = "huber_loss",
        dtype: Any = None,
    ) -> None:
        super().__init__(reduction, name, dtype)


def log_cosh(y_true: Any, y_pred: Any) -> Any:
    """mean(log(cosh(y_pred - y_true))) along the last axis.

    About e ** 2 / 2 for small errors and |e| - log(2) for large ones; computed in the form
    e + softplus(-2 e) - log(2), which can't overflow.

    Args:
        y_true: Targets `(..., d)`.
        y_pred: Predictions `(..., d)`.

    Returns:
        `(...)`.

    >>> log_cosh([[0.0]], [[0.0]]).tolist()
    [0.0]
    """
    y_true, y_pred = operands(y_true, y_pred)
    error = y_pred - y_true
    return ops.mean(error + ops.softplus(error * -2.0) - math.log(2.0), axis=-1)


class LogCosh(NamedLoss, function=log_cosh):
    """The mean of log(cosh(y_pred - y_true)).

    Args:
        reduction, name, dtype: As in `Loss`.

    >>> float(LogCosh()([[0.0]], [[0.0]]))
    0.0
    """


def kl_divergence(y_true: Any, y_pred: Any) -> Any:
    """sum(y_true log(y_true / y_pred)) along the last axis.

    Args:
        y_true: Probabilities `(..., d)`; clipped to [epsilon, 1], as the predictions are.
        y_pred: Probabilities `(..., d)`.

    Returns:
        `(...)`.

    >>> kl_divergence([[0.5, 0.5]], [[0.5, 0.5]]).tolist()
    [0.0]
    """
    y_true, y_pred = (ops.clip(y, epsilon(), 1.0) for y in operands(y_true, y_pred))
    return ops.sum(y_true * ops.log(y_true / y_pred), axis=-1)


class KLDivergence(NamedLoss, function=kl_divergence):
    """The Kullback-Leibler divergence: sum(y_true log(y_true / y_pred)).

    Args:
        reduction, name, dtype: As in `Loss`.

    >>> float(KLDivergence()([[0.5, 0.5]], [[0.5, 0.5]]))
    0.0
    """


def poisson(y_true: Any, y_pred: Any) -> Any:
    """mean(y_pred - y_true log(y_pred)) along the last axis.

    It is the negative log-likelihood of counts, up to a constant.

    Args:
        y_true: Counts `(..., d)`.
        y_pred: Predicted rates `(..., d)`, not negative.

    Returns:
        `(...)`.

    >>> poisson([[0.0, 0.0]], [[1.0, 3.0]]).tolist()
    [2.0]
    """
    y_true, y_pred = operands(y_true, y_pred)
    return ops.mean(y_pred - y_true * ops.log(y_pred + epsilon()), axis=-1)


class Poisson(NamedLoss, function=poisson):
    """The mean of y_pred - y_true log(y_pred).

    Args:
        reduction, name, dtype: As in `Loss`.

    >>> float(Poisson()([[0.0, 0.0]], [[1.0, 3.0]]))
    2.0
    """
