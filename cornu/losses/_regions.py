"""Losses of regions in images: how far a predicted one fails to overlap the true one."""

from __future__ import annotations

from typing import Any

from .. import ops
from ..core.config import epsilon
from ._loss import DEFAULT_REDUCTION, NamedLoss
from ._operands import tensors


def dice(y_true: Any, y_pred: Any, axis: Any = None) -> Any:
    """1 - 2 sum(y_true y_pred) / (sum(y_true) + sum(y_pred)): how far two regions fail to overlap.

    Args:
        y_true: Targets, 0 or 1.
        y_pred: Probabilities.
        axis: The axes to sum over; all of them for None.

    Returns:
        A tensor with the axes that are left.

    >>> float(dice([[1.0, 0.0]], [[1.0, 0.0]]))
    0.0
    """
    y_true, y_pred = tensors(y_true, y_pred)
    shared = ops.sum(y_true * y_pred, axis=axis)
    total = ops.sum(y_true, axis=axis) + ops.sum(y_pred, axis=axis)
    return 1 - ops.divide(2.0 * shared + epsilon(), total + epsilon())


class Dice(NamedLoss, function=dice):
    """How far two regions fail to overlap: see `dice`.

    Args:
        reduction, name: As in `Loss`.
        axis: The axes to sum over; all of them for None.
        dtype: As in `Loss`.

    >>> float(Dice()([[1.0, 0.0]], [[1.0, 0.0]]))
    0.0
    """

    def __init__(
        self,
        reduction: str | None = DEFAULT_REDUCTION,
        name: str | None = "dice",
        axis: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(reduction, name, dtype)


def tversky(
    y_true: Any, y_pred: Any, alpha: float = 0.5, beta: float = 0.5, axis: Any = None
) -> Any:
    """1 - shared / (shared + alpha extra + beta missed), after arXiv 1706.05721.

    Args:
        y_true: Targets, 0 or 1.
        y_pred: Probabilities.
        alpha: The weight of what is extra (false positives), sum((1 - y_true) y_pred).
        beta: The weight of what is missed (false negatives), sum(y_true (1 - y_pred)).
        axis: The axes to sum over; all of them for None.

    Returns:
        A tensor with the axes that are left.

    >>> float(tversky([[1.0, 0.0]], [[1.0, 0.0]]))
    0.0
    """
    y_true, y_pred = tensors(y_true, y_pred)
    shared = ops.sum(y_true * y_pred, axis=axis)
    missed = ops.sum(y_true * (1 - y_pred), axis=axis)
    extra = ops.sum((1 - y_true) * y_pred, axis=axis)
    wrong = alpha * extra + beta * missed
    return 1 - ops.divide(shared + epsilon(), shared + wrong + epsilon())


class Tversky(NamedLoss, function=tversky):
    """How far two regions fail to overlap, with weights of the two kinds of errors: see `tversky`.

    Args:
        alpha: The weight of what is extra (false positives), sum((1 - y_true) y_pred).
        beta: The weight of what is missed (false negatives), sum(y_true (1 - y_pred)).
        reduction, name: As in `Loss`.
        axis: The axes to sum over; all of them for None.
        dtype: As in `Loss`.

    >>> float(Tversky()([[1.0, 0.0]], [[1.0, 0.0]]))
    0.0
    """

    def __init__(
        self,
        alpha: float = 0.5,
        beta: float = 0.5,
        reduction: str | None = DEFAULT_REDUCTION,
        name: str | None = "tversky",
        axis: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(reduction, name, dtype)
