"""Correlations of predictions with targets."""

from __future__ import annotations

from typing import Any

from .. import ops
from ..core.config import epsilon
from ..losses.shared import operands
from ._reduction import NamedMetric


def _centred(y_true: Any, y_pred: Any, axis: int) -> tuple[Any, Any, Any]:
    """Targets and predictions less their means, and the distance of the means."""
    y_true, y_pred = operands(y_true, y_pred)
    means = [ops.mean(y, axis=axis, keepdims=True) for y in (y_true, y_pred)]
    return y_true - means[0], y_pred - means[1], ops.squeeze(means[0] - means[1], axis=axis)


def pearson_correlation(y_true: Any, y_pred: Any, axis: int = -1) -> Any:
    """The covariance over the product of the standard deviations, along an axis.

    Args:
        y_true: Targets.
        y_pred: Predictions of the same shape.
        axis: The axis of the samples that are correlated.

    Returns:
        The shape without that axis; NaN where either is constant.

    >>> pearson_correlation([[0.0, 1.0]], [[1.0, 3.0]]).tolist()
    [1.0]
    """
    y_true, y_pred, _ = _centred(y_true, y_pred, axis)
    scale = ops.sqrt(
        ops.sum(ops.square(y_true), axis=axis) * ops.sum(ops.square(y_pred), axis=axis)
    )
    return ops.sum(y_true * y_pred, axis=axis) / scale


class PearsonCorrelation(NamedMetric, function=pearson_correlation):
    """The correlation of predictions with targets: 1 on a rising line.

    Args:
        name, dtype: As in `Metric`.
        axis: The axis of the samples that are correlated.

    >>> float(PearsonCorrelation()([[0.0, 1.0]], [[1.0, 3.0]]))
    1.0
    """

    def __init__(
        self, name: str | None = "pearson_correlation", dtype: Any = None, axis: int = -1
    ) -> None:
        super().__init__(name, dtype)


def concordance_correlation(y_true: Any, y_pred: Any, axis: int = -1) -> Any:
    """2 covariance / (variance + variance + (distance of the means) ** 2) (Lin, 1989).

    Args:
        y_true: Targets.
        y_pred: Predictions of the same shape.
        axis: The axis of the samples that are correlated.

    Returns:
        The shape without that axis: 1 where predictions equal the targets.

    >>> round(float(concordance_correlation([[0.0, 1.0]], [[1.0, 0.0]])[0]), 4)
    -1.0
    """
    y_true, y_pred, distance = _centred(y_true, y_pred, axis)
    covariance = ops.mean(y_true * y_pred, axis=axis)
    variances = ops.mean(ops.square(y_true) + ops.square(y_pred), axis=axis)
    return 2 * covariance / (variances + ops.square(distance) + epsilon())


class ConcordanceCorrelation(NamedMetric, function=concordance_correlation):
    """How closely predictions follow targets, in value as well: 1 where they are equal.

    Args:
        name, dtype: As in `Metric`.
        axis: The axis of the samples that are correlated.

    >>> round(float(ConcordanceCorrelation()([[0.0, 1.0]], [[0.0, 1.0]])), 4)
    1.0
    """

    def __init__(
        self, name: str | None = "concordance_correlation", dtype: Any = None, axis: int = -1
    ) -> None:
        super().__init__(name, dtype)
