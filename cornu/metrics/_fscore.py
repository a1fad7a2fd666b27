"""F-scores: precision and recall in one figure."""

from __future__ import annotations

from typing import Any

from .. import ops
from ..core.checks import one_of
from ..core.config import epsilon
from ._confusion import weights_like
from ._metric import Metric, masked
from ._regression import check_matrix, never_updated

_AVERAGES = (None, "micro", "macro", "weighted")


class FBetaScore(Metric):
    """(1 + beta ** 2) precision recall / (beta ** 2 precision + recall), of classes.

    Args:
        average: None: the score of each class; `"micro"`: that of all decisions together;
            `"macro"`: the mean over the classes; `"weighted"`: weighted by the targets of each.
        beta: The weight of recall against precision, a float above 0.
        threshold: What predictions of a class lie above; for None it is the largest one's class.
        name, dtype: As in `Metric`.

    Raises:
        ValueError: If an argument is not as said.

    >>> metric = FBetaScore(beta=2.0, threshold=0.5)
    >>> [round(x, 3) for x in metric([[1, 1], [1, 0]], [[0.2, 0.6], [0.6, 0.8]]).tolist()]
    [0.556, 0.833]
    """

    _direction = "up"

    def __init__(
        self,
        average: str | None = None,
        beta: float = 1.0,
        threshold: float | None = None,
        name: str | None = "fbeta_score",
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        one_of(_AVERAGES, average=average)
        if not isinstance(beta, float) or beta <= 0:
            raise ValueError(f"`beta` must be a float above 0. Received: beta={beta!r}.")
        if threshold is not None and (not isinstance(threshold, float) or not 0 < threshold <= 1):
            raise ValueError(
                "`threshold` must be a float above 0, at most 1, or None. "
                f"Received: threshold={threshold!r}."
            )
        self._built = False

    def _build(self, classes: int) -> None:
        shape = () if self.average == "micro" else (classes,)
        names = ("true_positives", "false_positives", "false_negatives", "intermediate_weights")
        for name in names:
            setattr(self, name, self.add_variable(shape, "zeros", name=name))
        self._built = True

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Count the decisions of a batch `(batch, classes)`."""
        sample_weight = masked(sample_weight, y_pred)
        y_true, y_pred = (ops.convert_to_tensor(y, self._dtype) for y in (y_true, y_pred))
        check_matrix(self, y_true, y_pred)
        if not self._built:
            self._build(y_pred.shape[-1])
        if self.threshold is None:
            # The largest prediction says yes, unless it is 0.
            largest = ops.max(y_pred, axis=-1, keepdims=True)
            decided = ops.logical_and(y_pred >= largest, ops.absolute(y_pred) > 1e-9)
        else:
            decided = y_pred > self.threshold
        decided = ops.cast(decided, self._dtype)
        weight = weights_like(y_true, sample_weight, self._dtype)
        axis = None if self.average == "micro" else 0
        counted = {
            "true_positives": decided * y_true,
            "false_positives": decided * (1 - y_true),
            "false_negatives": (1 - decided) * y_true,
            "intermediate_weights": y_true,
        }
        for name, values in counted.items():
            getattr(self, name).assign_add(ops.sum(values * weight, axis=axis))

    def result(self) -> Any:
        """The score, or that of each class."""
        if not self._built:
            raise never_updated(self)
        hits, extra, missed, targets = (ops.convert_to_tensor(v) for v in self.variables)
        precision = ops.divide_no_nan(hits, hits + extra)
        recall = ops.divide_no_nan(hits, hits + missed)
        square = self.beta**2
        scores = ops.divide_no_nan(
            (1 + square) * precision * recall, square * precision + recall + epsilon()
        )
        if self.average == "weighted":
            return ops.sum(scores * ops.divide_no_nan(targets, ops.sum(targets)))
        return scores if self.average is None else ops.mean(scores)


class F1Score(FBetaScore):
    """2 precision recall / (precision + recall), of classes.

    Args:
        average: None: the score of each class; `"micro"`: that of all decisions together;
            `"macro"`: the mean over the classes; `"weighted"`: weighted by the targets of each.
        threshold: What predictions of a class lie above; for None it is the largest one's class.
        name, dtype: As in `Metric`.

    >>> metric = F1Score(threshold=0.5)
    >>> [round(x, 3) for x in metric([[1, 1], [1, 0]], [[0.2, 0.6], [0.6, 0.8]]).tolist()]
    [0.667, 0.667]
    """

    def __init__(
        self,
        average: str | None = None,
        threshold: float | None = None,
        name: str | None = "f1_score",
        dtype: Any = None,
    ) -> None:
        super().__init__(average=average, beta=1.0, threshold=threshold, name=name, dtype=dtype)
