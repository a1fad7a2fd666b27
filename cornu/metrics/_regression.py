"""Metrics of real-valued predictions."""

from __future__ import annotations

from typing import Any

from .. import losses, ops
from ..core.checks import one_of
from ..core.config import floatx
from ..losses.shared import operands
from ._confusion import weights_like
from ._metric import Metric, accumulating, masked
from ._reduction import Mean, NamedMetric


def cosine_similarity(y_true: Any, y_pred: Any, axis: int = -1) -> Any:
    """The cosine of the angle between targets and predictions, along an axis.

    >>> cosine_similarity([[0.0, 2.0]], [[0.0, 1.0]]).tolist()
    [1.0]
    """
    return -losses.cosine_similarity(y_true, y_pred, axis=axis)


class CosineSimilarity(NamedMetric, function=cosine_similarity, unwritten=("axis",)):
    """The cosine of the angle between targets and predictions: 1 for the same direction.

    Args:
        name, dtype: As in `Metric`.
        axis: The axis of the vectors.

    >>> float(CosineSimilarity()([[0.0, 2.0]], [[0.0, 1.0]]))
    1.0
    """

    def __init__(
        self, name: str | None = "cosine_similarity", dtype: Any = None, axis: int = -1
    ) -> None:
        super().__init__(name, dtype)


class RootMeanSquaredError(Mean):
    """The square root of the mean of (y_true - y_pred) ** 2.

    Args:
        name, dtype: As in `Metric`.

    >>> float(RootMeanSquaredError()([[0.0, 0.0]], [[2.0, 2.0]]))
    2.0
    """

    _direction = "down"

    def __init__(self, name: str | None = "root_mean_squared_error", dtype: Any = None) -> None:
        super().__init__(name=name, dtype=dtype)

    def update_state(  # type: ignore[override]
        self, y_true: Any, y_pred: Any, sample_weight: Any = None
    ) -> None:
        """Take the errors of a batch into account."""
        sample_weight = masked(sample_weight, y_pred)
        y_pred = ops.convert_to_tensor(y_pred, self._dtype)
        y_true, y_pred = operands(y_true, y_pred)
        super().update_state(ops.square(y_true - y_pred), sample_weight)

    def result(self) -> Any:
        """The root of the mean; 0 where there was no value."""
        return ops.sqrt(super().result())


_AGGREGATIONS = (None, "uniform_average", "variance_weighted_average")


class R2Score(Metric):
    """The coefficient of determination: 1 - squared errors / squared distances from the mean.

    1 is perfect, 0 as good as predicting the mean, and worse predictions are below 0.

    Args:
        class_aggregation: `"uniform_average"`: the mean over the outputs;
            `"variance_weighted_average"`: weighted by their variances; None: the score of each.
        num_regressors: The number of independent variables, for the adjusted score; 0 for none.
        name, dtype: As in `Metric`.

    Raises:
        ValueError: If there is no such aggregation, or `num_regressors` is negative.

    >>> float(R2Score()([[1.0], [2.0], [3.0]], [[1.0], [2.0], [4.0]]))
    0.5
    """

    _direction = "up"

    def __init__(
        self,
        class_aggregation: str | None = "uniform_average",
        num_regressors: int = 0,
        name: str | None = "r2_score",
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        one_of(_AGGREGATIONS, class_aggregation=class_aggregation)
        if num_regressors < 0:
            raise ValueError(
                "`num_regressors` must not be negative. "
                f"Received: num_regressors={num_regressors!r}."
            )
        state = accumulating(floatx())
        self.num_samples = self.add_variable((), "zeros", dtype=state, name="num_samples")
        self._built = False

    def _build(self, outputs: int) -> None:
        state = accumulating(floatx())
        self.squared_sum = self.add_variable((outputs,), "zeros", dtype=state, name="squared_sum")
        self.sum = self.add_variable((outputs,), "zeros", dtype=state, name="sum")
        self.total_mse = self.add_variable((outputs,), "zeros", dtype=state, name="residual")
        self.count = self.add_variable((outputs,), "zeros", dtype=state, name="count")
        self._built = True

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Take a batch `(batch, outputs)` into account."""
        sample_weight = masked(sample_weight, y_pred)
        y_pred = ops.convert_to_tensor(y_pred, self._dtype)
        y_true, y_pred = operands(y_true, y_pred)
        check_matrix(self, y_true, y_pred)
        if not self._built:
            self._build(y_pred.shape[-1])
        weight = weights_like(y_true, sample_weight, self._dtype)
        weighted = y_true * weight
        self.sum.assign_add(ops.sum(weighted, axis=0))
        self.squared_sum.assign_add(ops.sum(y_true * weighted, axis=0))
        self.total_mse.assign_add(ops.sum(ops.square(y_true - y_pred) * weight, axis=0))
        self.count.assign_add(ops.sum(weight, axis=0))
        self.num_samples.assign_add(ops.sum(ops.cast(ops.any(weight != 0, axis=-1), "float32")))

    def result(self) -> Any:
        """The score."""
        if not self._built:
            raise never_updated(self)
        total, count, residual = (
            ops.convert_to_tensor(v) for v in (self.sum, self.count, self.total_mse)
        )
        variation = self.squared_sum - total * (total / count)
        scores = 1 - residual / variation
        scores = ops.where(ops.isinf(scores), 0.0, scores)
        if self.class_aggregation == "uniform_average":
            score = ops.mean(scores)
        elif self.class_aggregation == "variance_weighted_average":
            score = ops.sum(scores * variation) / ops.sum(variation)
        else:
            score = scores
        return self._adjusted(score) if self.num_regressors else score

    def _adjusted(self, score: Any) -> Any:
        samples = ops.convert_to_tensor(self.num_samples)
        free = samples - self.num_regressors - 1
        adjusted = 1 - (1 - score) * (samples - 1) / ops.where(free > 0, free, 1.0)
        return ops.where(free > 0, adjusted, score)


def check_matrix(metric: Metric, y_true: Any, y_pred: Any) -> None:
    """Raise where targets and predictions are not of one shape `(batch, outputs)`."""
    shapes = tuple(y_true.shape), tuple(y_pred.shape)
    if len(shapes[0]) == len(shapes[1]) == 2 and None not in (shapes[0][-1], shapes[1][-1]):
        return
    raise ValueError(
        f"{type(metric).__name__} must be given targets and predictions of shape (batch, outputs). "
        f"Received: y_true.shape={shapes[0]}, y_pred.shape={shapes[1]}."
    )


def never_updated(metric: Metric) -> ValueError:
    """The error of a metric whose state is made by its first update."""
    return ValueError(
        "A metric that makes its state for the first batch has a result after it. Received: "
        f"{metric.name!r}, never updated. Call `update_state` first."
    )
