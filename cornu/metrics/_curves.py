"""Metrics over a range of thresholds: one rate where another is high enough, and areas."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from .. import ops
from ..core.checks import one_of
from ..core.config import epsilon, floatx
from ._confusion import COUNTS, Decisions, weights_like
from ._metric import masked

Rate = Callable[[Decisions], Any]


def _share(part: str, other: str) -> Rate:
    """One count over the sum of it and another, at each threshold."""

    def rate(metric: Decisions) -> Any:
        first, second = (ops.convert_to_tensor(getattr(metric, name)) for name in (part, other))
        return ops.divide_no_nan(first, first + second)

    return rate


_precision = _share("true_positives", "false_positives")
_recall = _share("true_positives", "false_negatives")
_specificity = _share("true_negatives", "false_positives")
_fall_out = _share("false_positives", "true_negatives")


def spread_thresholds(count: int) -> list[float]:
    """`count` thresholds from 0 to 1 at equal distances; 0.5 for a single one."""
    return [0.5] if count == 1 else [i / (count - 1) for i in range(count)]


# ------------------------------------------------- a rate where another is high


class SensitivitySpecificityBase(Decisions):
    """The largest value of one rate among the thresholds where another reaches a value."""

    _direction = "up"
    #: The name of the constructor's argument with that value.
    _argument: ClassVar[str]
    _constrained: ClassVar[Rate]
    _wanted: ClassVar[Rate]

    def __init__(self, name: str | None = None, dtype: Any = None) -> None:
        super().__init__(name=name, dtype=dtype)
        self.value: float = getattr(self, self._argument)
        if not 0 <= self.value <= 1:
            raise ValueError(
                f"`{self._argument}` must lie between 0 and 1. "
                f"Received: {self._argument}={self.value!r}."
            )
        if self.num_thresholds <= 0:
            raise ValueError(
                "`num_thresholds` must be a positive integer. "
                f"Received: num_thresholds={self.num_thresholds!r}."
            )
        self.thresholds = spread_thresholds(self.num_thresholds)
        self._make_counts((self.num_thresholds,))

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Count the decisions of a batch."""
        self._count(y_true, y_pred, sample_weight, class_id=self.class_id)

    def result(self) -> Any:
        """The largest value of the rate; 0 where no threshold reaches the other."""
        reached = type(self)._constrained(self) >= self.value
        return ops.max(ops.where(reached, type(self)._wanted(self), 0.0))


class SensitivityAtSpecificity(SensitivitySpecificityBase):
    """The best sensitivity tp / (tp + fn) where the specificity tn / (tn + fp) reaches a value.

    Args:
        specificity: That value, between 0 and 1.
        num_thresholds: How many thresholds are tried.
        class_id: Only this class, an index of the last axis, counts.
        name, dtype: As in `Metric`.

    >>> float(SensitivityAtSpecificity(0.5)([0, 0, 0, 1, 1], [0, 0.3, 0.8, 0.3, 0.8]))
    0.5
    """

    _argument, _constrained, _wanted = "specificity", _specificity, _recall

    def __init__(
        self,
        specificity: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(name, dtype)


class SpecificityAtSensitivity(SensitivitySpecificityBase):
    """The best specificity tn / (tn + fp) where the sensitivity tp / (tp + fn) reaches a value.

    Args:
        sensitivity: That value, between 0 and 1.
        num_thresholds: How many thresholds are tried.
        class_id: Only this class, an index of the last axis, counts.
        name, dtype: As in `Metric`.

    >>> metric = SpecificityAtSensitivity(0.5)
    >>> round(float(metric([0, 0, 0, 1, 1], [0, 0.3, 0.8, 0.3, 0.8])), 3)
    0.667
    """

    _argument, _constrained, _wanted = "sensitivity", _recall, _specificity

    def __init__(
        self,
        sensitivity: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(name, dtype)


class PrecisionAtRecall(SensitivitySpecificityBase):
    """The best precision tp / (tp + fp) where the recall tp / (tp + fn) reaches a value.

    Args:
        recall: That value, between 0 and 1.
        num_thresholds: How many thresholds are tried.
        class_id: Only this class, an index of the last axis, counts.
        name, dtype: As in `Metric`.

    >>> float(PrecisionAtRecall(0.5)([0, 0, 0, 1, 1], [0, 0.3, 0.8, 0.3, 0.8]))
    0.5
    """

    _argument, _constrained, _wanted = "recall", _recall, _precision

    def __init__(
        self,
        recall: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(name, dtype)


class RecallAtPrecision(SensitivitySpecificityBase):
    """The best recall tp / (tp + fn) where the precision tp / (tp + fp) reaches a value.

    Args:
        precision: That value, between 0 and 1.
        num_thresholds: How many thresholds are tried.
        class_id: Only this class, an index of the last axis, counts.
        name, dtype: As in `Metric`.

    >>> float(RecallAtPrecision(0.8)([0, 0, 1, 1], [0, 0.5, 0.3, 0.9]))
    0.5
    """

    _argument, _constrained, _wanted = "precision", _precision, _recall

    def __init__(
        self,
        precision: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(name, dtype)


# ------------------------------------------------------------------------ areas

_CURVES = ("ROC", "PR", "PRGAIN")
#: How the height of a step of the curve follows from those at its ends.
_HEIGHTS: dict[str, Callable[[Any, Any], Any]] = {
    "interpolation": lambda left, right: (left + right) / 2.0,
    "minoring": lambda left, right: ops.minimum(left, right),
    "majoring": lambda left, right: ops.maximum(left, right),
}


class AUC(Decisions):
    """The area under a curve over thresholds.

    Args:
        num_thresholds: How many thresholds, at equal distances.
        curve: `"ROC"` (recall over fall-out), `"PR"` (precision over recall) or `"PRGAIN"`
            (precision gain over recall gain; Flach and Kull, 2015).
        summation_method: `"interpolation"`: trapezoids, and on a PR curve the interpolation of
            Davis and Goadrich (2006); `"minoring"` or `"majoring"`: the lower or the higher end
            of each step.
        name, dtype: As in `Metric`.
        thresholds: Thresholds between 0 and 1, instead of those at equal distances.
        multi_label: Whether each entry of the last axis has a curve; the result is their mean.
        num_labels: The number of those entries, where the state is to be made at once.
        label_weights: Their weights.
        from_logits: Whether the predictions are logits.

    Raises:
        ValueError: If there is no such curve or method, or there are fewer than two thresholds.

    >>> float(AUC(num_thresholds=3)([0, 0, 1, 1], [0, 0.5, 0.3, 0.9]))
    0.75
    """

    _kept_as = {"thresholds": "_given_thresholds", "from_logits": "_from_logits"}
    _from_logits: bool
    _optional_arguments = frozenset({"thresholds"})

    _direction = "up"

    def __init__(
        self,
        num_thresholds: int = 200,
        curve: str = "ROC",
        summation_method: str = "interpolation",
        name: str | None = None,
        dtype: Any = None,
        thresholds: Sequence[float] | None = None,
        multi_label: bool = False,
        num_labels: int | None = None,
        label_weights: Any = None,
        from_logits: bool = False,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        self.curve = str(curve).upper()
        self.summation_method = str(summation_method).lower()
        one_of(_CURVES, curve=self.curve)
        one_of(_HEIGHTS, summation_method=self.summation_method)
        if thresholds is None and num_thresholds <= 1:
            raise ValueError(
                "`num_thresholds` must be an integer above 1. "
                f"Received: num_thresholds={num_thresholds!r}."
            )
        given = None if thresholds is None else sorted(float(t) for t in thresholds)
        inner = spread_thresholds(num_thresholds)[1:-1] if given is None else given
        self._given_thresholds = given
        # The outermost ones are beyond what any prediction can be.
        self.thresholds = [0.0 - epsilon(), *inner, 1.0 + epsilon()]
        self.num_thresholds = len(self.thresholds)
        if not multi_label:
            self._make_counts((self.num_thresholds,))
        elif num_labels:
            self._make_counts((self.num_thresholds, num_labels))

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Count the decisions of a batch."""
        sample_weight = masked(sample_weight, y_pred)
        y_pred = ops.convert_to_tensor(y_pred)
        if self._from_logits:
            y_pred = ops.sigmoid(ops.cast(y_pred, floatx()))
        if not self.multi_label:
            if self.label_weights is not None:
                weights = ops.convert_to_tensor(self.label_weights, floatx())
                sample_weight = weights * weights_like(y_pred, sample_weight, floatx())
            self._count(y_true, y_pred, sample_weight)
            return
        if len(y_pred.shape) != 2:
            raise ValueError(
                "An AUC with `multi_label=True` must be given predictions of shape "
                f"(batch, labels). Received: y_pred.shape={tuple(y_pred.shape)}."
            )
        if not self.variables:
            self._make_counts((self.num_thresholds, y_pred.shape[-1]))
        self._count(y_true, y_pred, sample_weight, by_label=True)

    def result(self) -> Any:
        """The area; with several labels the mean of their areas."""
        if not self.variables:
            raise ValueError(
                "An AUC with `multi_label=True` has a result once its labels are known. Received: "
                f"{self.name!r}, never updated. Give it `num_labels`, or update it first."
            )
        if self.curve == "PR" and self.summation_method == "interpolation":
            return self._averaged(self._interpolated_pr_increments())
        x, y = self._axes()
        height = _HEIGHTS[self.summation_method](y[:-1], y[1:])
        return self._averaged((x[:-1] - x[1:]) * height)

    def _axes(self) -> tuple[Any, Any]:
        """The two coordinates of the curve, at each threshold."""
        if self.curve == "ROC":
            return _fall_out(self), _recall(self)
        if self.curve == "PR":
            return _recall(self), _precision(self)
        hits, false_positives, true_negatives, misses = (
            ops.convert_to_tensor(getattr(self, name)) for name in COUNTS
        )
        odds = ops.divide_no_nan(hits + misses, false_positives + true_negatives)
        recall_gain, precision_gain = (
            1.0 - odds * ops.divide_no_nan(wrong, hits) for wrong in (misses, false_positives)
        )
        return ops.where(hits > 0, ops.maximum(recall_gain, 0.0), 0.0), precision_gain

    def _interpolated_pr_increments(self) -> Any:
        """The area between neighbouring points, where the counts, not the rates, are interpolated.

        Between two thresholds the hits grow in proportion to the predictions that say yes; the
        integral of precision over recall has then a closed form (Davis and Goadrich, 2006).
        """
        hits, false_positives, _, misses = (
            ops.convert_to_tensor(getattr(self, name)) for name in COUNTS
        )
        said_yes = hits + false_positives
        gained = hits[:-1] - hits[1:]
        slope = ops.divide_no_nan(gained, ops.maximum(said_yes[:-1] - said_yes[1:], 0))
        intercept = hits[1:] - slope * said_yes[1:]
        both = ops.logical_and(said_yes[:-1] > 0, said_yes[1:] > 0)
        ratio = ops.where(both, ops.divide_no_nan(said_yes[:-1], said_yes[1:]), 1.0)
        area = slope * (gained + intercept * ops.log(ratio))
        return ops.divide_no_nan(area, ops.maximum(hits[1:] + misses[1:], 0))

    def _averaged(self, increments: Any) -> Any:
        areas = ops.sum(increments, axis=0)
        if not self.multi_label:
            return areas
        if self.label_weights is None:
            return ops.mean(areas)
        weights = ops.convert_to_tensor(self.label_weights, floatx())
        return ops.divide_no_nan(ops.sum(areas * weights), ops.sum(weights))

    def interpolate_pr_auc(self) -> Any:
        """The area under the precision-recall curve by interpolation of the counts."""
        return self._averaged(self._interpolated_pr_increments())
