"""Intersection over union of predicted and true classes, as in segmentation."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

from .. import ops
from ..core.dtypes import is_float
from ._confusion import weights_like
from ._metric import Metric, masked


class IoU(Metric):
    """Intersection over union of some classes: tp / (tp + fp + fn), their mean.

    Its state counts how often class i is predicted as class j. Targets and predictions that are no
    class, 255 say, are left out, each with what it belongs to.

    Args:
        num_classes: The number of classes.
        target_class_ids: The classes that count.
        name, dtype: As in `Metric`; the state is of int32 where no dtype is given.
        ignore_class: A target that doesn't count.
        sparse_y_true: Whether targets are integers; if not, one value for each class.
        sparse_y_pred: Whether predictions are integers; if not, one value for each class.
        axis: The axis of classes, where there is one.

    Raises:
        ValueError: If a target class is none of the classes.

    >>> round(float(IoU(2, target_class_ids=[0])([0, 0, 1, 1], [0, 1, 0, 1])), 3)
    0.333
    """

    _direction = "up"

    def __init__(
        self,
        num_classes: int,
        target_class_ids: Sequence[int],
        name: str | None = None,
        dtype: Any = None,
        ignore_class: int | None = None,
        sparse_y_true: bool = True,
        sparse_y_pred: bool = True,
        axis: int = -1,
    ) -> None:
        super().__init__(name=name, dtype=dtype or "int32")
        self.target_class_ids = list(target_class_ids)
        for class_id in target_class_ids:
            if not 0 <= class_id < num_classes:
                raise ValueError(
                    f"A target class must lie in [0, {num_classes}). "
                    f"Received: target_class_ids={self.target_class_ids}."
                )
        self.total_confusion_matrix = self.add_variable(
            (num_classes, num_classes), "zeros", name="total_confusion_matrix"
        )

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Count the classes of a batch."""
        sample_weight = masked(sample_weight, y_pred)
        y_true = self._classes(y_true, self.sparse_y_true)
        y_pred = self._classes(y_pred, self.sparse_y_pred)
        self._add(y_true, y_pred, sample_weight)

    def _classes(self, y: Any, sparse: bool) -> Any:
        y = ops.convert_to_tensor(y)
        return ops.cast(y if sparse else ops.argmax(y, axis=self.axis), "int32")

    def _add(self, y_true: Any, y_pred: Any, sample_weight: Any) -> None:
        if sample_weight is not None and not is_float(self._dtype):
            self._warn_of_fractions(sample_weight)
        weight = weights_like(y_true, sample_weight, self._dtype)
        y_true, y_pred, weight = (ops.reshape(x, (-1,)) for x in (y_true, y_pred, weight))
        # Pairs with an id that is no class, or is to be ignored, belong to no entry of the matrix.
        valid = y_true != (-1 if self.ignore_class is None else self.ignore_class)
        for y in (y_true, y_pred):
            valid = valid & (y >= 0) & (y < self.num_classes)
        weight = ops.where(valid, weight, 0)
        pairs = ops.where(valid, y_true * self.num_classes + y_pred, 0)
        counts = ops.segment_sum(weight, pairs, num_segments=self.num_classes**2)
        shape = (self.num_classes, self.num_classes)
        self.total_confusion_matrix.assign_add(ops.reshape(counts, shape))

    def _warn_of_fractions(self, sample_weight: Any) -> None:
        if is_float(ops.dtype(sample_weight)):
            warnings.warn(
                f"Weights lose their fractions in a state of integers. Received: weights of "
                f"{ops.dtype(sample_weight)} for {self.name!r}, of dtype {self._dtype}. Give the "
                "metric `dtype='float32'`.",
                stacklevel=4,
            )

    def result(self) -> Any:
        """The mean over the target classes that occur of intersection over union."""
        matrix = ops.cast(self.total_confusion_matrix, "float32")
        chosen = self.target_class_ids
        both = ops.take(ops.diagonal(matrix), chosen)
        either = ops.take(ops.sum(matrix, axis=0) + ops.sum(matrix, axis=1), chosen) - both
        found = ops.sum(ops.cast(either > 1e-9, "float32"))
        return ops.divide_no_nan(ops.sum(ops.divide_no_nan(both, either)), found)


class BinaryIoU(IoU):
    """Intersection over union of two classes, told apart by a threshold.

    Args:
        target_class_ids: Which of the classes 0 and 1 count.
        threshold: What predictions of class 1 are not below.
        name, dtype: As in `IoU`.

    >>> metric = BinaryIoU(target_class_ids=[0, 1], threshold=0.3)
    >>> round(float(metric([0, 1, 0, 1], [0.1, 0.2, 0.4, 0.7])), 3)
    0.333
    """

    def __init__(
        self,
        target_class_ids: Sequence[int] = (0, 1),
        threshold: float = 0.5,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(2, target_class_ids, name, dtype)

    def _classes(self, y: Any, sparse: bool) -> Any:
        return ops.cast(ops.convert_to_tensor(y), "int32")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Count the classes of a batch."""
        sample_weight = masked(sample_weight, y_pred)
        y_pred = ops.convert_to_tensor(y_pred)
        super().update_state(y_true, y_pred >= self.threshold, sample_weight)


class MeanIoU(IoU):
    """The mean of intersection over union over all classes.

    Args:
        num_classes: The number of classes.
        name, dtype, ignore_class, sparse_y_true, sparse_y_pred, axis: As in `IoU`.

    >>> round(float(MeanIoU(2)([0, 0, 1, 1], [0, 1, 0, 1])), 3)
    0.333
    """

    def __init__(
        self,
        num_classes: int,
        name: str | None = None,
        dtype: Any = None,
        ignore_class: int | None = None,
        sparse_y_true: bool = True,
        sparse_y_pred: bool = True,
        axis: int = -1,
    ) -> None:
        of_y = (ignore_class, sparse_y_true, sparse_y_pred, axis)
        super().__init__(num_classes, range(num_classes), name, dtype, *of_y)


class OneHotIoU(IoU):
    """Intersection over union of some classes, for one-hot targets.

    Args:
        num_classes: The number of classes.
        target_class_ids: The classes that count.
        name, dtype, ignore_class, sparse_y_pred, axis: As in `IoU`.

    >>> round(float(OneHotIoU(2, [0])([[1, 0], [0, 1]], [[0.9, 0.1], [0.6, 0.4]])), 3)
    0.5
    """

    def __init__(
        self,
        num_classes: int,
        target_class_ids: Sequence[int],
        name: str | None = None,
        dtype: Any = None,
        ignore_class: int | None = None,
        sparse_y_pred: bool = False,
        axis: int = -1,
    ) -> None:
        super().__init__(
            num_classes, target_class_ids, name, dtype, ignore_class, False, sparse_y_pred, axis
        )


class OneHotMeanIoU(MeanIoU):
    """The mean of intersection over union over all classes, for one-hot targets.

    Args:
        num_classes: The number of classes.
        name, dtype, ignore_class, sparse_y_pred, axis: As in `IoU`.

    >>> round(float(OneHotMeanIoU(2)([[1, 0], [0, 1]], [[0.9, 0.1], [0.6, 0.4]])), 3)
    0.25
    """

    def __init__(
        self,
        num_classes: int,
        name: str | None = None,
        dtype: Any = None,
        ignore_class: int | None = None,
        sparse_y_pred: bool = False,
        axis: int = -1,
    ) -> None:
        super().__init__(num_classes, name, dtype, ignore_class, False, sparse_y_pred, axis)
