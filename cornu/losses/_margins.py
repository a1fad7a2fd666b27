"""Losses of margins: hinges, and the circle loss of embeddings."""

from __future__ import annotations

from typing import Any

from .. import ops
from ..core.masks import set_keras_mask
from ._loss import DEFAULT_REDUCTION, NamedLoss
from ._operands import operands, tensors


def signs(y_true: Any) -> Any:
    """Targets as -1 and 1 where all of them are 0 or 1; others stay as they are."""
    binary = ops.all(ops.logical_or(y_true == 0, y_true == 1))
    return ops.where(binary, 2 * y_true - 1, y_true)


def hinge(y_true: Any, y_pred: Any) -> Any:
    """mean(max(1 - y_true y_pred, 0)) along the last axis.

    Args:
        y_true: Targets `(..., d)`: -1 or 1, or all of them 0 or 1.
        y_pred: Predictions `(..., d)`.

    Returns:
        `(...)`.

    >>> hinge([[1.0, -1.0]], [[0.5, 1.0]]).tolist()
    [1.25]
    """
    y_true, y_pred = operands(y_true, y_pred)
    return ops.mean(ops.maximum(1.0 - signs(y_true) * y_pred, 0.0), axis=-1)


class Hinge(NamedLoss, function=hinge):
    """The mean of max(1 - y_true y_pred, 0).

    Args:
        reduction, name, dtype: As in `Loss`.

    >>> float(Hinge()([[1.0, -1.0]], [[0.5, 1.0]]))
    1.25
    """


def squared_hinge(y_true: Any, y_pred: Any) -> Any:
    """mean(max(1 - y_true y_pred, 0) ** 2) along the last axis.

    Args:
        y_true: Targets `(..., d)`: -1 or 1, or all of them 0 or 1.
        y_pred: Predictions `(..., d)`.

    Returns:
        `(...)`.

    >>> squared_hinge([[1.0, -1.0]], [[1.0, 1.0]]).tolist()
    [2.0]
    """
    y_true, y_pred = operands(y_true, y_pred)
    margins = ops.maximum(1.0 - signs(y_true) * y_pred, 0.0)
    return ops.mean(ops.square(margins), axis=-1)


class SquaredHinge(NamedLoss, function=squared_hinge):
    """The mean of max(1 - y_true y_pred, 0) ** 2.

    Args:
        reduction, name, dtype: As in `Loss`.

    >>> float(SquaredHinge()([[1.0, -1.0]], [[1.0, 1.0]]))
    2.0
    """


def categorical_hinge(y_true: Any, y_pred: Any) -> Any:
    """max(1 + max((1 - y_true) y_pred) - sum(y_true y_pred), 0) along the last axis.

    Args:
        y_true: One-hot classes `(..., classes)`.
        y_pred: Predictions `(..., classes)`.

    Returns:
        `(...)`.

    >>> categorical_hinge([[0.0, 1.0]], [[0.5, 0.75]]).tolist()
    [0.75]
    """
    y_true, y_pred = tensors(y_true, y_pred)
    of_class = ops.sum(y_true * y_pred, axis=-1)
    of_others = ops.max((1.0 - y_true) * y_pred, axis=-1)
    return ops.maximum(of_others - of_class + 1.0, 0.0)


class CategoricalHinge(NamedLoss, function=categorical_hinge):
    """How far the prediction of the class fails to exceed that of the best other one by 1.

    Args:
        reduction, name, dtype: As in `Loss`.

    >>> float(CategoricalHinge()([[0.0, 1.0]], [[0.5, 0.75]]))
    0.75
    """


def circle(
    y_true: Any,
    y_pred: Any,
    ref_labels: Any = None,
    ref_embeddings: Any = None,
    remove_diagonal: bool = True,
    gamma: float = 80,
    margin: float = 0.4,
) -> Any:
    """The circle loss of embeddings (Sun et al., 2020, arXiv 2002.10857).

    Pairs of one class are pushed to similarities above 1 - margin, other pairs below margin, each
    with a weight that grows with its distance from there.

    Args:
        y_true: Classes `(batch,)`.
        y_pred: Embeddings `(batch, d)`, of length 1.
        ref_labels: Classes of the embeddings to compare with; `y_true` where left out.
        ref_embeddings: The embeddings to compare with; `y_pred` where left out.
        remove_diagonal: Whether pairs on the diagonal, of an embedding with itself, don't count.
        gamma: The scale of similarities.
        margin: How far from 0 and 1 the similarities may stay.

    Returns:
        `(batch,)`; a mask takes out those without a loss, such as the only ones of their class.

    >>> circle([0, 1], [[1.0, 0.0], [0.0, 1.0]]).shape
    (2,)
    """
    y_pred = ops.convert_to_tensor(y_pred)
    y_true = ops.cast(y_true, "int32")
    others = (
        y_pred if ref_embeddings is None else ops.convert_to_tensor(ref_embeddings, y_pred.dtype)
    )
    labels = y_true if ref_labels is None else ops.cast(ref_labels, "int32")
    similarity = ops.matmul(y_pred, ops.transpose(others))
    same = ops.expand_dims(y_true, 1) == ops.expand_dims(labels, 0)
    different = ops.logical_not(same)
    if remove_diagonal:
        rows, columns = (ops.cumsum(ops.ones_like(y)) for y in (y_true, labels))
        same = ops.logical_and(same, ops.expand_dims(rows, 1) != ops.expand_dims(columns, 0))
    pull = ops.stop_gradient(ops.maximum(1 + margin - similarity, 0))
    push = ops.stop_gradient(ops.maximum(similarity + margin, 0))
    losses = ops.softplus(
        _log_sum(-gamma * pull * (similarity - (1 - margin)), same)
        + _log_sum(gamma * push * (similarity - margin), different)
    )
    set_keras_mask(losses, losses > 0)
    return losses


def _log_sum(logits: Any, chosen: Any) -> Any:
    """log(sum(exp(logits))) of the chosen ones in each row."""
    return ops.logsumexp(ops.where(chosen, logits, -1e9), axis=1)


class Circle(NamedLoss, function=circle):
    """The circle loss of embeddings `(batch, d)` with classes `(batch,)`: see `circle`.

    Args:
        gamma: The scale of similarities.
        margin: How far from 0 and 1 the similarities may stay.
        remove_diagonal: Whether pairs of an embedding with itself don't count.
        reduction, name, dtype: As in `Loss`.

    >>> Circle()([0, 1], [[1.0, 0.0], [0.0, 1.0]]).shape
    ()
    """

    def __init__(
        self,
        gamma: float = 80.0,
        margin: float = 0.4,
        remove_diagonal: bool = True,
        reduction: str | None = DEFAULT_REDUCTION,
        name: str | None = "circle",
        dtype: Any = None,
    ) -> None:
        super().__init__(reduction, name, dtype)
