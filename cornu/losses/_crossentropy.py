"""Cross-entropies and what is built on them."""

from __future__ import annotations

import warnings
from typing import Any

from .. import ops
from ..core.config import epsilon
from ..core.masks import set_keras_mask
from ._loss import DEFAULT_REDUCTION, NamedLoss
from ._operands import tensors

# ---------------------------------------------------------------------- binary


def binary_crossentropy(
    y_true: Any,
    y_pred: Any,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Any:
    """mean(-y_true log(y_pred) - (1 - y_true) log(1 - y_pred)) along an axis.

    Args:
        y_true: Targets `(..., d)`, 0 or 1, or probabilities.
        y_pred: Probabilities, or logits, of the targets' shape.
        from_logits: Whether the predictions are logits.
        label_smoothing: How far targets are moved from 0 and 1 towards 0.5: 1 is all the way.
        axis: The axis of the mean.

    Returns:
        `(...)`.

    >>> round(float(binary_crossentropy([[1.0]], [[0.0]], from_logits=True)[0]), 4)
    0.6931
    """
    y_true, y_pred = tensors(y_true, y_pred)
    y_true = _smoothed(y_true, label_smoothing)
    return ops.mean(ops.binary_crossentropy(y_true, y_pred, from_logits=from_logits), axis=axis)


class BinaryCrossentropy(NamedLoss, function=binary_crossentropy):
    """The cross-entropy of targets that are 0 or 1.

    Args:
        from_logits: Whether the predictions are logits.
        label_smoothing: How far targets are moved from 0 and 1 towards 0.5: 1 is all the way.
        axis: The axis of the mean.
        reduction, name, dtype: As in `Loss`.

    >>> round(float(BinaryCrossentropy(from_logits=True)([[1.0]], [[0.0]])), 4)
    0.6931
    """

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = DEFAULT_REDUCTION,
        name: str | None = "binary_crossentropy",
        dtype: Any = None,
    ) -> None:
        super().__init__(reduction, name, dtype)


def binary_focal_crossentropy(
    y_true: Any,
    y_pred: Any,
    apply_class_balancing: bool = False,
    alpha: float = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Any:
    """Binary cross-entropy times (1 - p) ** gamma, p the probability given to the target.

    Targets that are predicted well count less (Lin et al., 2017, arXiv 1708.02002).

    Args:
        y_true: Targets `(..., d)`, 0 or 1.
        y_pred: Probabilities, or logits, of the targets' shape.
        apply_class_balancing: Whether targets 1 weigh `alpha` and targets 0 `1 - alpha`.
        alpha: That weight.
        gamma: The exponent; 0 gives the cross-entropy.
        from_logits: Whether the predictions are logits.
        label_smoothing: How far targets are moved from 0 and 1 towards 0.5: 1 is all the way.
        axis: The axis of the mean.

    Returns:
        `(...)`.

    >>> round(float(binary_focal_crossentropy([[1.0]], [[0.5]])[0]), 4)
    0.1733
    """
    y_true, y_pred = tensors(y_true, y_pred)
    y_true = _smoothed(y_true, label_smoothing)
    if from_logits:
        y_pred = ops.sigmoid(y_pred)
    loss = ops.binary_crossentropy(y_true, y_pred)
    of_target = y_true * y_pred + (1 - y_true) * (1 - y_pred)
    loss = ops.power(1.0 - of_target, gamma) * loss
    if apply_class_balancing:
        loss = (y_true * alpha + (1 - y_true) * (1 - alpha)) * loss
    return ops.mean(loss, axis=axis)


class BinaryFocalCrossentropy(NamedLoss, function=binary_focal_crossentropy):
    """Binary cross-entropy in which targets that are predicted well count less.

    Args:
        apply_class_balancing: Whether targets 1 weigh `alpha` and targets 0 `1 - alpha`.
        alpha: That weight.
        gamma: The exponent of the probability that misses the target.
        from_logits: Whether the predictions are logits.
        label_smoothing: How far targets are moved from 0 and 1 towards 0.5: 1 is all the way.
        axis: The axis of the mean.
        reduction, name, dtype: As in `Loss`.

    >>> round(float(BinaryFocalCrossentropy()([[1.0]], [[0.5]])), 4)
    0.1733
    """

    def __init__(
        self,
        apply_class_balancing: bool = False,
        alpha: float = 0.25,
        gamma: float = 2.0,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = DEFAULT_REDUCTION,
        name: str | None = "binary_focal_crossentropy",
        dtype: Any = None,
    ) -> None:
        super().__init__(reduction, name, dtype)


# ----------------------------------------------------------------- categorical


def categorical_crossentropy(
    y_true: Any,
    y_pred: Any,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Any:
    """-sum(y_true log(y_pred)) along the axis of classes.

    Args:
        y_true: One-hot classes, or probabilities, `(..., classes)`.
        y_pred: Probabilities, which are scaled to a sum of 1, or logits, `(..., classes)`.
        from_logits: Whether the predictions are logits.
        label_smoothing: The share of each target that is spread over all classes.
        axis: The axis of classes.

    Returns:
        `(...)`.

    >>> round(float(categorical_crossentropy([[0.0, 1.0]], [[0.5, 0.5]])[0]), 4)
    0.6931
    """
    y_true, y_pred = _classes("categorical_crossentropy", y_true, y_pred, axis)
    y_true = _smoothed(y_true, label_smoothing, axis)
    return ops.categorical_crossentropy(y_true, y_pred, from_logits=from_logits, axis=axis)


class CategoricalCrossentropy(NamedLoss, function=categorical_crossentropy):
    """The cross-entropy of one-hot classes.

    Args:
        from_logits: Whether the predictions are logits.
        label_smoothing: The share of each target that is spread over all classes.
        axis: The axis of classes.
        reduction, name, dtype: As in `Loss`.

    >>> round(float(CategoricalCrossentropy()([[0.0, 1.0]], [[0.5, 0.5]])), 4)
    0.6931
    """

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = DEFAULT_REDUCTION,
        name: str | None = "categorical_crossentropy",
        dtype: Any = None,
    ) -> None:
        super().__init__(reduction, name, dtype)


def categorical_focal_crossentropy(
    y_true: Any,
    y_pred: Any,
    alpha: Any = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Any:
    """-sum(alpha (1 - y_pred) ** gamma y_true log(y_pred)) along the axis of classes.

    Args:
        y_true: One-hot classes `(..., classes)`.
        y_pred: Probabilities, which are scaled to a sum of 1, or logits, `(..., classes)`.
        alpha: The weight of all classes, or a list with that of each.
        gamma: The exponent; 0 gives alpha times the cross-entropy.
        from_logits: Whether the predictions are logits.
        label_smoothing: The share of each target that is spread over all classes.
        axis: The axis of classes.

    Returns:
        `(...)`.

    >>> round(float(categorical_focal_crossentropy([[0.0, 1.0]], [[0.5, 0.5]])[0]), 4)
    0.0433
    """
    y_true, y_pred = _classes("categorical_focal_crossentropy", y_true, y_pred, axis)
    y_true = _smoothed(y_true, label_smoothing, axis)
    if from_logits:
        y_pred = ops.softmax(y_pred, axis=axis)
    y_pred = ops.divide_no_nan(y_pred, ops.sum(y_pred, axis=axis, keepdims=True))
    y_pred = ops.clip(y_pred, epsilon(), 1.0 - epsilon())
    weight = ops.power(1.0 - y_pred, gamma) * ops.convert_to_tensor(alpha, y_pred.dtype)
    return ops.sum(-weight * y_true * ops.log(y_pred), axis=axis)


class CategoricalFocalCrossentropy(NamedLoss, function=categorical_focal_crossentropy):
    """Categorical cross-entropy in which classes that are predicted well count less.

    Args:
        alpha: The weight of all classes, or a list with that of each.
        gamma: The exponent of the probability that misses the class.
        from_logits: Whether the predictions are logits.
        label_smoothing: The share of each target that is spread over all classes.
        axis: The axis of classes.
        reduction, name, dtype: As in `Loss`.

    >>> round(float(CategoricalFocalCrossentropy()([[0.0, 1.0]], [[0.5, 0.5]])), 4)
    0.0433
    """

    def __init__(
        self,
        alpha: Any = 0.25,
        gamma: float = 2.0,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = DEFAULT_REDUCTION,
        name: str | None = "categorical_focal_crossentropy",
        dtype: Any = None,
    ) -> None:
        super().__init__(reduction, name, dtype)


def sparse_categorical_crossentropy(
    y_true: Any,
    y_pred: Any,
    from_logits: bool = False,
    ignore_class: int | None = None,
    axis: int = -1,
) -> Any:
    """-log(y_pred[y_true]) along the axis of classes.

    Args:
        y_true: Classes as integers `(...)`, or `(..., 1)`.
        y_pred: Probabilities, which are scaled to a sum of 1, or logits, `(..., classes)`.
        from_logits: Whether the predictions are logits.
        ignore_class: A target that doesn't count; the result has a mask where there is one.
        axis: The axis of classes.

    Returns:
        `(...)`.

    >>> round(float(sparse_categorical_crossentropy([1], [[0.5, 0.5]])[0]), 4)
    0.6931
    """
    y_pred = ops.convert_to_tensor(y_pred)
    y_true = ops.convert_to_tensor(y_true)
    if len(y_true.shape) == len(y_pred.shape) and y_true.shape[-1] == 1:
        y_true = ops.squeeze(y_true, -1)
    if ignore_class is None:
        return ops.sparse_categorical_crossentropy(
            y_true, y_pred, from_logits=from_logits, axis=axis
        )
    valid = y_true != ops.cast(ignore_class, y_true.dtype)
    y_true = y_true * ops.cast(valid, y_true.dtype)
    losses = ops.sparse_categorical_crossentropy(y_true, y_pred, from_logits=from_logits, axis=axis)
    valid = ops.reshape(valid, ops.shape(losses))
    losses = ops.where(valid, losses, 0.0)
    set_keras_mask(losses, valid)
    return losses


class SparseCategoricalCrossentropy(
    NamedLoss, function=sparse_categorical_crossentropy, unwritten=("axis",)
):
    """The cross-entropy of classes given as integers.

    Args:
        from_logits: Whether the predictions are logits.
        ignore_class: A target that doesn't count.
        reduction: As in `Loss`.
        axis: The axis of classes.
        name, dtype: As in `Loss`.

    >>> round(float(SparseCategoricalCrossentropy()([1], [[0.5, 0.5]])), 4)
    0.6931
    """

    def __init__(
        self,
        from_logits: bool = False,
        ignore_class: int | None = None,
        reduction: str | None = DEFAULT_REDUCTION,
        axis: int = -1,
        name: str | None = "sparse_categorical_crossentropy",
        dtype: Any = None,
    ) -> None:
        super().__init__(reduction, name, dtype)


def categorical_generalized_cross_entropy(y_true: Any, y_pred: Any, q: float) -> Any:
    """(1 - p ** q) / q, p the probability given to the class: robust to wrong labels.

    Between the cross-entropy (q near 0) and the absolute error (q near 1) (Zhang and Sabuncu, 2018,
    arXiv 1805.07836).

    Args:
        y_true: Classes as integers `(...)`, or `(..., 1)`.
        y_pred: Probabilities `(..., classes)`.
        q: The exponent, between 0 and 1.

    Returns:
        `(...)`.

    >>> categorical_generalized_cross_entropy([1], [[0.75, 0.25]], 0.5).tolist()
    [1.0]
    """
    y_pred = ops.convert_to_tensor(y_pred)
    y_true = ops.cast(y_true, "int32")
    if len(y_true.shape) == len(y_pred.shape) and y_true.shape[-1] == 1:
        y_true = ops.squeeze(y_true, -1)
    chosen = ops.one_hot(y_true, y_pred.shape[-1], dtype=y_pred.dtype)
    probability = ops.sum(y_pred * chosen, axis=-1)
    return (1.0 - ops.power(probability, q)) / q


class CategoricalGeneralizedCrossEntropy(NamedLoss, function=categorical_generalized_cross_entropy):
    """A loss of classes given as integers that is robust to wrong labels: (1 - p ** q) / q.

    Args:
        q: The exponent, above 0 and below 1.
        reduction, name, dtype: As in `Loss`.

    Raises:
        ValueError: If q lies elsewhere.

    >>> float(CategoricalGeneralizedCrossEntropy()([1], [[0.75, 0.25]]))
    1.0
    """

    def __init__(
        self,
        q: float = 0.5,
        reduction: str | None = DEFAULT_REDUCTION,
        name: str | None = "categorical_generalized_cross_entropy",
        dtype: Any = None,
    ) -> None:
        if not 0 < q < 1:
            raise ValueError(
                f"`q` must lie above 0 and below 1. Received: q={q!r}. Use "
                "`CategoricalCrossentropy` for q = 0 and `MeanAbsoluteError` for q = 1."
            )
        super().__init__(reduction, name, dtype)


def ctc(y_true: Any, y_pred: Any) -> Any:
    """Connectionist temporal classification (Graves et al., 2006): -log of labels' probability.

    Args:
        y_true: Labels as integers `(batch, length)`; 0 is the blank and pads them.
        y_pred: Logits `(batch, time, classes)`.

    Returns:
        `(batch,)`.

    Raises:
        ValueError: If the logits have another rank.

    >>> round(float(ctc([[1]], [[[0.0, 0.0]]])[0]), 4)
    0.6931
    """
    y_true, y_pred = ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)
    if len(y_pred.shape) != 3:
        raise ValueError(
            "The predictions of a CTC loss must be logits of shape (batch, time, classes). "
            f"Received: y_pred.shape={tuple(y_pred.shape)}."
        )
    batch, time = ops.shape(y_pred)[:2]
    lengths = ops.sum(ops.cast(y_true != 0, "int32"), axis=-1)
    return ops.ctc_loss(y_true, y_pred, lengths, ops.full((batch,), time, "int32"), mask_index=0)


class CTC(NamedLoss, function=ctc):
    """Connectionist temporal classification: see `ctc`.

    Args:
        reduction, name, dtype: As in `Loss`.

    >>> round(float(CTC()([[1]], [[[0.0, 0.0]]])), 4)
    0.6931
    """


# --------------------------------------------------------------------- helpers


def _smoothed(y_true: Any, smoothing: float, axis: int | None = None) -> Any:
    """Targets of which a share is spread over the classes along an axis; over two for None."""
    if not smoothing:
        return y_true
    classes = 2 if axis is None else ops.shape(y_true)[axis]
    return y_true * (1.0 - smoothing) + smoothing / classes


def _classes(name: str, y_true: Any, y_pred: Any, axis: Any) -> tuple[Any, Any]:
    if isinstance(axis, bool):
        raise ValueError(f"`axis` must be an integer. Received: axis={axis!r}.")
    y_true, y_pred = tensors(y_true, y_pred)
    if len(y_pred.shape) and y_pred.shape[-1] == 1:
        warnings.warn(
            f"`{name}` needs predictions of more than one class, (batch, classes). Received: "
            f"y_pred.shape={tuple(y_pred.shape)}. Use `binary_crossentropy` for two classes.",
            SyntaxWarning,
            stacklevel=3,
        )
    return y_true, y_pred
