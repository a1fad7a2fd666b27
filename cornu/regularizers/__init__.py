"""Regularizers: penalties on weights or outputs, added to the loss."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..core.serialization import Catalog as _Catalog
from ..core.serialization import serialize_keras_object as _serialize
from ._regularizers import L1 as L1
from ._regularizers import L1L2 as L1L2
from ._regularizers import L2 as L2
from ._regularizers import OrthogonalRegularizer as OrthogonalRegularizer
from ._regularizers import Regularizer as Regularizer

l1 = L1
l2 = L2
l1_l2 = L1L2
orthogonal_regularizer = OrthogonalRegularizer

_CATALOG = _Catalog(
    "regularizer", (Regularizer, L1, L2, L1L2, OrthogonalRegularizer), {"l1_l2": L1L2}
)


def get(identifier: Any) -> Any:
    """The regularizer that a name, a config, a class or a callable means.

    Raises:
        ValueError: If it means none.

    >>> get("l2").l2
    0.01
    """
    return _CATALOG.get(identifier)


def serialize(regularizer: Any) -> Any:
    """What a file can hold of a regularizer.

    >>> serialize(L2(0.5))["config"]
    {'l2': 0.5}
    """
    return _serialize(regularizer)


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """The regularizer that `serialize` described.

    >>> deserialize({"class_name": "L2", "config": {"l2": 0.5}}).l2
    0.5
    """
    return _CATALOG.deserialize(config, custom_objects)
