"""Losses: what training minimizes. A loss is a function, and a class of the same parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..core.serialization import serialize_keras_object as _serialize
from ._catalog import NearCatalog as _Catalog
from ._crossentropy import CTC as CTC
from ._crossentropy import BinaryCrossentropy as BinaryCrossentropy
from ._crossentropy import BinaryFocalCrossentropy as BinaryFocalCrossentropy
from ._crossentropy import CategoricalCrossentropy as CategoricalCrossentropy
from ._crossentropy import CategoricalFocalCrossentropy as CategoricalFocalCrossentropy
from ._crossentropy import CategoricalGeneralizedCrossEntropy as CategoricalGeneralizedCrossEntropy
from ._crossentropy import SparseCategoricalCrossentropy as SparseCategoricalCrossentropy
from ._crossentropy import binary_crossentropy as binary_crossentropy
from ._crossentropy import binary_focal_crossentropy as binary_focal_crossentropy
from ._crossentropy import categorical_crossentropy as categorical_crossentropy
from ._crossentropy import categorical_focal_crossentropy as categorical_focal_crossentropy
from ._crossentropy import (
    categorical_generalized_cross_entropy as categorical_generalized_cross_entropy,
)
from ._crossentropy import ctc as ctc
from ._crossentropy import sparse_categorical_crossentropy as sparse_categorical_crossentropy
from ._loss import Loss as Loss
from ._loss import LossFunctionWrapper as LossFunctionWrapper
from ._loss import NamedLoss as _NamedLoss
from ._margins import CategoricalHinge as CategoricalHinge
from ._margins import Circle as Circle
from ._margins import Hinge as Hinge
from ._margins import SquaredHinge as SquaredHinge
from ._margins import categorical_hinge as categorical_hinge
from ._margins import circle as circle
from ._margins import hinge as hinge
from ._margins import squared_hinge as squared_hinge
from ._regions import Dice as Dice
from ._regions import Tversky as Tversky
from ._regions import dice as dice
from ._regions import tversky as tversky
from ._regression import CosineSimilarity as CosineSimilarity
from ._regression import Huber as Huber
from ._regression import KLDivergence as KLDivergence
from ._regression import LogCosh as LogCosh
from ._regression import MeanAbsoluteError as MeanAbsoluteError
from ._regression import MeanAbsolutePercentageError as MeanAbsolutePercentageError
from ._regression import MeanSquaredError as MeanSquaredError
from ._regression import MeanSquaredLogarithmicError as MeanSquaredLogarithmicError
from ._regression import Poisson as Poisson
from ._regression import cosine_similarity as cosine_similarity
from ._regression import huber as huber
from ._regression import kl_divergence as kl_divergence
from ._regression import log_cosh as log_cosh
from ._regression import mean_absolute_error as mean_absolute_error
from ._regression import mean_absolute_percentage_error as mean_absolute_percentage_error
from ._regression import mean_squared_error as mean_squared_error
from ._regression import mean_squared_logarithmic_error as mean_squared_logarithmic_error
from ._regression import poisson as poisson

#: Short names of losses, in either case.
_SHORT = {
    "bce": binary_crossentropy,
    "kld": kl_divergence,
    "mae": mean_absolute_error,
    "mape": mean_absolute_percentage_error,
    "mse": mean_squared_error,
    "msle": mean_squared_logarithmic_error,
}
_CLASSES = tuple(_NamedLoss.__subclasses__())
_CATALOG = _Catalog(
    "loss",
    (Loss, *_CLASSES, *(kind._function for kind in _CLASSES)),
    {**_SHORT, **{name.upper(): function for name, function in _SHORT.items()}},
)


def get(identifier: Any) -> Any:
    """The loss that a name, a config, a class or a callable means: a function or a `Loss`.

    Raises:
        ValueError: If it means none.

    >>> get("mse") is mean_squared_error
    True
    """
    return _CATALOG.get(identifier)


def serialize(loss: Any) -> Any:
    """What a file can hold of a loss.

    >>> serialize(Huber())["class_name"]
    'Huber'
    """
    return _serialize(loss)


def deserialize(name: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """The loss that a name or `serialize` described.

    >>> deserialize("mean_squared_error") is mean_squared_error
    True
    """
    return _CATALOG.deserialize(name, custom_objects)
