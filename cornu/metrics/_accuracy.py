"""Accuracies: how often predictions are right."""

from __future__ import annotations

from typing import Any

from .. import ops
from ..core.checks import positive_integer
from ..core.config import floatx
from ..losses.shared import operands
from ._reduction import NamedMetric


def accuracy(y_true: Any, y_pred: Any) -> Any:
    """1 where predictions equal the targets, else 0, elementwise.

    Args:
        y_true: Targets.
        y_pred: Predictions of the same shape.

    Returns:
        Floats of that shape.

    >>> accuracy([1.0, 2.0], [1.0, 3.0]).tolist()
    [1.0, 0.0]
    """
    y_true, y_pred = operands(y_true, y_pred)
    return ops.cast(y_true == y_pred, floatx())


class Accuracy(NamedMetric, function=accuracy):
    """How often predictions equal the targets.

    Args:
        name, dtype: As in `Metric`.

    >>> float(Accuracy()([[1], [2], [3], [4]], [[0], [2], [3], [4]]))
    0.75
    """


def binary_accuracy(y_true: Any, y_pred: Any, threshold: float = 0.5) -> Any:
    """1 where predictions lie on the targets' side of a threshold, else 0, elementwise.

    Args:
        y_true: Targets, 0 or 1.
        y_pred: Predictions of the same shape.
        threshold: What a prediction of 1 lies above.

    Returns:
        Floats of that shape.

    >>> binary_accuracy([1.0, 0.0], [0.7, 0.6]).tolist()
    [1.0, 0.0]
    """
    y_true, y_pred = operands(y_true, y_pred)
    return ops.cast(y_true == ops.cast(y_pred > threshold, y_true.dtype), floatx())


class BinaryAccuracy(NamedMetric, function=binary_accuracy):
    """How often predictions lie on the targets' side of a threshold.

    Args:
        name, dtype: As in `Metric`.
        threshold: What a prediction of 1 lies above; between 0 and 1.

    Raises:
        ValueError: If the threshold lies elsewhere.

    >>> float(BinaryAccuracy()([[1], [0]], [[0.7], [0.6]]))
    0.5
    """

    def __init__(
        self, name: str | None = "binary_accuracy", dtype: Any = None, threshold: float = 0.5
    ) -> None:
        if threshold is not None and not 0 < threshold < 1:
            raise ValueError(
                f"`threshold` must lie above 0 and below 1. Received: threshold={threshold!r}."
            )
        super().__init__(name, dtype)


def categorical_accuracy(y_true: Any, y_pred: Any) -> Any:
    """1 where the class with the largest prediction is that of the target, else 0.

    Args:
        y_true: One-hot classes `(..., classes)`.
        y_pred: Predictions `(..., classes)`.

    Returns:
        `(...)`.

    >>> categorical_accuracy([[0, 1], [1, 0]], [[0.1, 0.9], [0.4, 0.6]]).tolist()
    [1.0, 0.0]
    """
    return sparse_categorical_accuracy(ops.argmax(ops.convert_to_tensor(y_true), axis=-1), y_pred)


class CategoricalAccuracy(NamedMetric, function=categorical_accuracy):
    """How often the class with the largest prediction is that of the one-hot target.

    Args:
        name, dtype: As in `Metric`.

    >>> float(CategoricalAccuracy()([[0, 1], [1, 0]], [[0.1, 0.9], [0.4, 0.6]]))
    0.5
    """


def sparse_categorical_accuracy(y_true: Any, y_pred: Any) -> Any:
    """1 where the class with the largest prediction is the target, else 0.

    Args:
        y_true: Classes as integers `(...)`, or `(..., 1)`.
        y_pred: Predictions `(..., classes)`.

    Returns:
        Floats of the targets' shape, without a last axis of size 1.

    >>> sparse_categorical_accuracy([1, 0], [[0.1, 0.9], [0.4, 0.6]]).tolist()
    [1.0, 0.0]
    """
    y_pred = ops.convert_to_tensor(y_pred)
    y_true = _without_class_axis(y_true, y_pred)
    found = ops.argmax(y_pred, axis=-1)
    return ops.cast(y_true == ops.cast(found, y_true.dtype), floatx())


class SparseCategoricalAccuracy(NamedMetric, function=sparse_categorical_accuracy):
    """How often the class with the largest prediction is the target, an integer.

    Args:
        name, dtype: As in `Metric`.

    >>> float(SparseCategoricalAccuracy()([[1], [0]], [[0.1, 0.9], [0.4, 0.6]]))
    0.5
    """


def top_k_categorical_accuracy(y_true: Any, y_pred: Any, k: int = 5) -> Any:
    """1 where the target's class is among those of the k largest predictions, else 0.

    Args:
        y_true: One-hot classes `(..., classes)`.
        y_pred: Predictions `(..., classes)`.
        k: How many predictions count.

    Returns:
        `(...)`.

    >>> top_k_categorical_accuracy([[0, 0, 1]], [[0.1, 0.6, 0.3]], k=2).tolist()
    [1.0]
    """
    classes = ops.argmax(ops.convert_to_tensor(y_true), axis=-1)
    return sparse_top_k_categorical_accuracy(classes, y_pred, k=k)


class TopKCategoricalAccuracy(NamedMetric, function=top_k_categorical_accuracy):
    """How often the class of the one-hot target is among those of the k largest predictions.

    Args:
        k: How many predictions count.
        name, dtype: As in `Metric`.

    >>> float(TopKCategoricalAccuracy(k=2)([[0, 0, 1]], [[0.1, 0.6, 0.3]]))
    1.0
    """

    def __init__(
        self, k: int = 5, name: str | None = "top_k_categorical_accuracy", dtype: Any = None
    ) -> None:
        super().__init__(name, dtype)
        positive_integer(k=k)


def sparse_top_k_categorical_accuracy(
    y_true: Any, y_pred: Any, k: int = 5, from_sorted_ids: bool = False
) -> Any:
    """1 where the target is among the classes of the k largest predictions, else 0.

    Args:
        y_true: Classes as integers `(...)`, or `(..., 1)`.
        y_pred: Predictions `(..., classes)`.
        k: How many predictions count.
        from_sorted_ids: Whether the predictions are classes, the best one first.

    Returns:
        `(...)`.

    >>> sparse_top_k_categorical_accuracy([2], [[0.1, 0.6, 0.3]], k=2).tolist()
    [1.0]
    """
    y_pred = ops.convert_to_tensor(y_pred)
    y_true = _without_class_axis(y_true, y_pred)
    if from_sorted_ids:
        best = y_pred[..., :k]
        matches = ops.any(ops.expand_dims(ops.cast(y_true, best.dtype), -1) == best, axis=-1)
        return ops.cast(matches, floatx())
    shape = ops.shape(y_true)
    flat = ops.reshape(y_pred, (-1, y_pred.shape[-1]))
    matches = ops.in_top_k(ops.reshape(ops.cast(y_true, "int32"), (-1,)), flat, k=k)
    return ops.reshape(ops.cast(matches, floatx()), shape)


class SparseTopKCategoricalAccuracy(
    NamedMetric, function=sparse_top_k_categorical_accuracy, unwritten=("from_sorted_ids",)
):
    """How often the target, an integer, is among the classes of the k largest predictions.

    Args:
        k: How many predictions count.
        name, dtype: As in `Metric`.
        from_sorted_ids: Whether the predictions are classes, the best one first.

    >>> float(SparseTopKCategoricalAccuracy(k=2)([2], [[0.1, 0.6, 0.3]]))
    1.0
    """

    def __init__(
        self,
        k: int = 5,
        name: str | None = "sparse_top_k_categorical_accuracy",
        dtype: Any = None,
        from_sorted_ids: bool = False,
    ) -> None:
        super().__init__(name, dtype)
        positive_integer(k=k)


def _without_class_axis(y_true: Any, y_pred: Any) -> Any:
    """Targets `(...)` for predictions `(..., classes)`."""
    y_true = ops.convert_to_tensor(y_true)
    if len(y_true.shape) == len(y_pred.shape) and y_true.shape[-1] == 1:
        return ops.squeeze(y_true, -1)
    return y_true
