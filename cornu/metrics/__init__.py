"""Metrics: figures that tell how well a model does, over many batches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..core.serialization import kinds as _kinds
from ..core.serialization import serialize_keras_object as _serialize
from ..losses import binary_crossentropy as binary_crossentropy
from ..losses import binary_focal_crossentropy as binary_focal_crossentropy
from ..losses import categorical_crossentropy as categorical_crossentropy
from ..losses import categorical_focal_crossentropy as categorical_focal_crossentropy
from ..losses import categorical_hinge as categorical_hinge
from ..losses import hinge as hinge
from ..losses import huber as huber
from ..losses import kl_divergence as kl_divergence
from ..losses import log_cosh as log_cosh
from ..losses import mean_absolute_error as mean_absolute_error
from ..losses import mean_absolute_percentage_error as mean_absolute_percentage_error
from ..losses import mean_squared_error as mean_squared_error
from ..losses import mean_squared_logarithmic_error as mean_squared_logarithmic_error
from ..losses import poisson as poisson
from ..losses import sparse_categorical_crossentropy as sparse_categorical_crossentropy
from ..losses import squared_hinge as squared_hinge
from ..losses.shared import NearCatalog as _Catalog
from ._accuracy import Accuracy as Accuracy
from ._accuracy import BinaryAccuracy as BinaryAccuracy
from ._accuracy import CategoricalAccuracy as CategoricalAccuracy
from ._accuracy import SparseCategoricalAccuracy as SparseCategoricalAccuracy
from ._accuracy import SparseTopKCategoricalAccuracy as SparseTopKCategoricalAccuracy
from ._accuracy import TopKCategoricalAccuracy as TopKCategoricalAccuracy
from ._accuracy import binary_accuracy as binary_accuracy
from ._accuracy import categorical_accuracy as categorical_accuracy
from ._accuracy import sparse_categorical_accuracy as sparse_categorical_accuracy
from ._accuracy import sparse_top_k_categorical_accuracy as sparse_top_k_categorical_accuracy
from ._accuracy import top_k_categorical_accuracy as top_k_categorical_accuracy
from ._confusion import FalseNegatives as FalseNegatives
from ._confusion import FalsePositives as FalsePositives
from ._confusion import Precision as Precision
from ._confusion import Recall as Recall
from ._confusion import TrueNegatives as TrueNegatives
from ._confusion import TruePositives as TruePositives
from ._correlation import ConcordanceCorrelation as ConcordanceCorrelation
from ._correlation import PearsonCorrelation as PearsonCorrelation
from ._correlation import concordance_correlation as concordance_correlation
from ._correlation import pearson_correlation as pearson_correlation
from ._curves import AUC as AUC
from ._curves import PrecisionAtRecall as PrecisionAtRecall
from ._curves import RecallAtPrecision as RecallAtPrecision
from ._curves import SensitivityAtSpecificity as SensitivityAtSpecificity
from ._curves import SpecificityAtSensitivity as SpecificityAtSensitivity
from ._fscore import F1Score as F1Score
from ._fscore import FBetaScore as FBetaScore
from ._iou import BinaryIoU as BinaryIoU
from ._iou import IoU as IoU
from ._iou import MeanIoU as MeanIoU
from ._iou import OneHotIoU as OneHotIoU
from ._iou import OneHotMeanIoU as OneHotMeanIoU
from ._metric import Metric as Metric
from ._of_losses import BinaryCrossentropy as BinaryCrossentropy
from ._of_losses import CategoricalCrossentropy as CategoricalCrossentropy
from ._of_losses import CategoricalHinge as CategoricalHinge
from ._of_losses import Hinge as Hinge
from ._of_losses import KLDivergence as KLDivergence
from ._of_losses import LogCoshError as LogCoshError
from ._of_losses import MeanAbsoluteError as MeanAbsoluteError
from ._of_losses import MeanAbsolutePercentageError as MeanAbsolutePercentageError
from ._of_losses import MeanSquaredError as MeanSquaredError
from ._of_losses import MeanSquaredLogarithmicError as MeanSquaredLogarithmicError
from ._of_losses import Poisson as Poisson
from ._of_losses import SparseCategoricalCrossentropy as SparseCategoricalCrossentropy
from ._of_losses import SquaredHinge as SquaredHinge
from ._reduction import Mean as Mean
from ._reduction import MeanMetricWrapper as MeanMetricWrapper
from ._reduction import Sum as Sum
from ._regression import CosineSimilarity as CosineSimilarity
from ._regression import R2Score as R2Score
from ._regression import RootMeanSquaredError as RootMeanSquaredError

#: Short names of metrics, in either case.
_SHORT = {
    "bce": BinaryCrossentropy,
    "mae": MeanAbsoluteError,
    "mape": MeanAbsolutePercentageError,
    "mse": MeanSquaredError,
    "msle": MeanSquaredLogarithmicError,
}
_CATALOG = _Catalog(
    "metric",
    _kinds(globals(), Metric),
    {**_SHORT, **{name.upper(): kind for name, kind in _SHORT.items()}},
)


def get(identifier: Any) -> Any:
    """The metric that a name, a config, a class or a callable means.

    Raises:
        ValueError: If it means none.

    >>> get("mse")
    <MeanSquaredError name=mean_squared_error>
    """
    return _CATALOG.get(identifier)


def serialize(metric: Any) -> Any:
    """What a file can hold of a metric.

    >>> serialize(BinaryAccuracy())["config"]
    {'name': 'binary_accuracy', 'dtype': 'float32', 'threshold': 0.5}
    """
    return _serialize(metric)


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """The metric that `serialize` described.

    >>> deserialize({"class_name": "Mean", "config": {"name": "average"}})
    <Mean name=average>
    """
    return _CATALOG.deserialize(config, custom_objects)
