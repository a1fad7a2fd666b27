"""Counts of right and wrong decisions at thresholds, and what follows from them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from .. import ops
from ..core.config import floatx
from ..core.variable import Variable
from ..losses.shared import check_broadcast, squeeze_or_expand_to_same_rank
from ._metric import Metric, accumulating, masked, with_rank

COUNTS = ("true_positives", "false_positives", "true_negatives", "false_negatives")
#: The threshold that every prediction left among the best k lies above.
NO_THRESHOLD = -1e10


def count_decisions(
    y_true: Any,
    y_pred: Any,
    thresholds: Sequence[float],
    sample_weight: Any = None,
    *,
    top_k: int | None = None,
    class_id: int | None = None,
    by_label: bool = False,
) -> dict[str, Any]:
    """The weights of decisions by kind: a prediction above the threshold says yes.

    The predictions are sorted into the buckets between the thresholds, whose sums give the counts
    at every threshold, so that the cost hardly depends on how many there are.

    Args:
        y_true: Targets; those that are not 0 are positive.
        y_pred: Predictions of the same shape, or with a last axis of size 1. What their mask leaves
            out doesn't count.
        thresholds: The thresholds.
        sample_weight: The weight of each sample, or of each prediction.
        top_k: Only the k largest predictions along the last axis may say yes.
        class_id: Only this entry of the last axis counts.
        by_label: Whether the entries of the last axis are counted each for itself.

    Returns:
        By the names in `COUNTS`: `(thresholds,)`, or `(thresholds, labels)`.
    """
    dtype = accumulating(floatx())
    sample_weight = masked(sample_weight, y_pred)
    y_pred = ops.cast(ops.convert_to_tensor(y_pred), dtype)
    y_true = ops.cast(ops.convert_to_tensor(y_true), dtype)
    y_pred, y_true = squeeze_or_expand_to_same_rank(y_pred, y_true)
    if top_k is not None:
        y_pred = _among_best(y_pred, top_k)
    if class_id is not None:
        y_true, y_pred = y_true[..., class_id : class_id + 1], y_pred[..., class_id : class_id + 1]
    weight = weights_like(y_pred, sample_weight, dtype)
    positive = weight * ops.cast(y_true != 0, dtype)
    values = ops.stack([ops.reshape(x, (-1,)) for x in (positive, weight - positive)], axis=-1)
    order = np.argsort(thresholds, kind="stable")
    buckets = ops.searchsorted(
        ops.convert_to_tensor(np.asarray(thresholds)[order], dtype), ops.reshape(y_pred, (-1,))
    )
    sizes = [len(thresholds) + 1]
    if by_label:
        labels = int(y_pred.shape[-1])
        sizes.append(labels)
        label = ops.arange(labels, dtype="int32") + ops.zeros_like(y_pred, dtype="int32")
        buckets = ops.cast(buckets, "int32") * labels + ops.reshape(label, (-1,))
    sums = ops.segment_sum(values, buckets, num_segments=int(np.prod(sizes)))
    sums = ops.reshape(sums, (*sizes, 2))
    below = ops.cumsum(sums, axis=0)[:-1]
    above = ops.sum(sums, axis=0) - below
    if (np.diff(order) < 0).any():
        above, below = (ops.take(x, np.argsort(order), axis=0) for x in (above, below))
    return dict(
        zip(COUNTS, (above[..., 0], above[..., 1], below[..., 1], below[..., 0]), strict=True)
    )


def weights_like(y: Any, sample_weight: Any, dtype: str) -> Any:
    """Weights in the shape of y, from those of samples or of each element; 1 for None."""
    ones = ops.ones_like(y, dtype=dtype)
    if sample_weight is None:
        return ones
    weight = ops.cast(ops.convert_to_tensor(sample_weight), dtype)
    if len(weight.shape) > len(y.shape):
        weight = ops.squeeze(weight, -1)
    weight = with_rank(weight, len(y.shape))
    check_broadcast(tuple(y.shape), tuple(weight.shape), "sample_weight")
    return weight * ones


def _among_best(y_pred: Any, k: int) -> Any:
    """Predictions along the last axis, all but the k largest ones out of the question."""
    _, best = ops.top_k(y_pred, k, sorted=False)
    chosen = ops.sum(ops.one_hot(best, y_pred.shape[-1], dtype=y_pred.dtype), axis=-2)
    return y_pred * chosen + NO_THRESHOLD * (1 - chosen)


def checked_thresholds(thresholds: Any, default: float) -> list[float]:
    """Thresholds as a list.

    Raises:
        ValueError: If one of them lies outside [0, 1].
    """
    if thresholds is None:
        return [default]
    listed = list(thresholds) if isinstance(thresholds, (list, tuple)) else [thresholds]
    wrong = [t for t in listed if t is None or not 0 <= t <= 1]
    if wrong:
        raise ValueError(
            f"`thresholds` must lie between 0 and 1. Received: thresholds={thresholds!r}, in which "
            f"{wrong} don't."
        )
    return listed


class Decisions(Metric):
    """A metric whose state is counts of decisions at thresholds.

    They are of floatx whatever the metric's dtype is: 16 bits could not count beyond 2048.
    """

    #: Which counts are kept.
    kept: ClassVar[tuple[str, ...]] = COUNTS
    thresholds: Sequence[float]

    def _make_counts(self, shape: tuple[int, ...]) -> None:
        dtype = accumulating(floatx())
        for name in self.kept:
            setattr(self, name, self.add_variable(shape, "zeros", dtype=dtype, name=name))

    def _count(self, y_true: Any, y_pred: Any, sample_weight: Any, **options: Any) -> None:
        counts = count_decisions(y_true, y_pred, self.thresholds, sample_weight, **options)
        for name in self.kept:
            variable: Variable = getattr(self, name)
            variable.assign_add(counts[name])

    def _single(self, values: Any) -> Any:
        """A number instead of a vector where there is one threshold."""
        return values[0] if len(self.thresholds) == 1 else values


class _Count(Decisions):
    """The number of decisions of one kind, which is the one in `kept`."""

    _kept_as = {"thresholds": "init_thresholds"}

    def __init__(self, thresholds: Any = None, name: str | None = None, dtype: Any = None) -> None:
        super().__init__(name=name, dtype=dtype)
        self.thresholds = checked_thresholds(thresholds, default=0.5)
        self.accumulator = self.add_variable(
            (len(self.thresholds),), "zeros", dtype=accumulating(floatx()), name="accumulator"
        )

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Count the decisions of a batch."""
        counts = count_decisions(y_true, y_pred, self.thresholds, sample_weight)
        self.accumulator.assign_add(counts[self.kept[0]])

    def result(self) -> Any:
        """The number, or that at each threshold."""
        return self._single(ops.convert_to_tensor(self.accumulator))


class TruePositives(_Count):
    """The number of targets 1 that are predicted above a threshold.

    Args:
        thresholds: A threshold, or a list of them; 0.5 for None.
        name, dtype: As in `Metric`.

    >>> float(TruePositives()([0, 1, 1, 1], [1, 0, 1, 1]))
    2.0
    """

    kept = ("true_positives",)


class FalsePositives(_Count):
    """The number of targets 0 that are predicted above a threshold.

    Args:
        thresholds: A threshold, or a list of them; 0.5 for None.
        name, dtype: As in `Metric`.

    >>> float(FalsePositives()([0, 1, 0, 0], [0, 0, 1, 1]))
    2.0
    """

    kept = ("false_positives",)


class TrueNegatives(_Count):
    """The number of targets 0 that are not predicted above a threshold.

    Args:
        thresholds: A threshold, or a list of them; 0.5 for None.
        name, dtype: As in `Metric`.

    >>> float(TrueNegatives()([0, 1, 0, 0], [1, 1, 0, 0]))
    2.0
    """

    kept = ("true_negatives",)


class FalseNegatives(_Count):
    """The number of targets 1 that are not predicted above a threshold.

    Args:
        thresholds: A threshold, or a list of them; 0.5 for None.
        name, dtype: As in `Metric`.

    >>> float(FalseNegatives()([0, 1, 1, 1], [0, 1, 0, 0]))
    2.0
    """

    kept = ("false_negatives",)


class _Share(Decisions):
    """The share of true positives among them and another kind of decisions."""

    _direction = "up"
    _kept_as = {"thresholds": "init_thresholds"}

    def __init__(
        self,
        thresholds: Any = None,
        top_k: int | None = None,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        default = 0.5 if top_k is None else NO_THRESHOLD
        self.thresholds = checked_thresholds(thresholds, default)
        self._make_counts((len(self.thresholds),))

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Count the decisions of a batch."""
        self._count(y_true, y_pred, sample_weight, top_k=self.top_k, class_id=self.class_id)

    def result(self) -> Any:
        """The share, or that at each threshold; 0 where there are no such decisions."""
        hits, misses = (ops.convert_to_tensor(getattr(self, name)) for name in self.kept)
        return self._single(ops.divide_no_nan(hits, hits + misses))


class Precision(_Share):
    """The share of predictions above a threshold that are right.

    Args:
        thresholds: A threshold, or a list of them; 0.5 for None, and with `top_k` none at all.
        top_k: Only the k largest predictions along the last axis may say yes.
        class_id: Only this class, an index of the last axis, counts.
        name, dtype: As in `Metric`.

    >>> float(Precision()([0, 1, 1, 1], [1, 0, 1, 0]))
    0.5
    """

    kept = ("true_positives", "false_positives")


class Recall(_Share):
    """The share of targets 1 that are predicted above a threshold.

    Args:
        thresholds: A threshold, or a list of them; 0.5 for None, and with `top_k` none at all.
        top_k: Only the k largest predictions along the last axis may say yes.
        class_id: Only this class, an index of the last axis, counts.
        name, dtype: As in `Metric`.

    >>> float(Recall()([0, 1, 1, 1, 1], [1, 0, 1, 0, 1]))
    0.5
    """

    kept = ("true_positives", "false_negatives")
