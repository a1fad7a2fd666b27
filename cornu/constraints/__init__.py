"""Constraints: what weights are made to obey after each update."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..core.serialization import Catalog as _Catalog
from ..core.serialization import serialize_keras_object as _serialize
from ._constraints import Constraint as Constraint
from ._constraints import MaxNorm as MaxNorm
from ._constraints import MinMaxNorm as MinMaxNorm
from ._constraints import NonNeg as NonNeg
from ._constraints import UnitNorm as UnitNorm

max_norm = MaxNorm
min_max_norm = MinMaxNorm
non_neg = NonNeg
unit_norm = UnitNorm

_CATALOG = _Catalog("constraint", (Constraint, MaxNorm, MinMaxNorm, NonNeg, UnitNorm), {})


def get(identifier: Any) -> Any:
    """The constraint that a name, a config, a class or a callable means.

    Raises:
        ValueError: If it means none.

    >>> get("max_norm").max_value
    2
    """
    return _CATALOG.get(identifier)


def serialize(constraint: Any) -> Any:
    """What a file can hold of a constraint.

    >>> serialize(UnitNorm())["config"]
    {'axis': 0}
    """
    return _serialize(constraint)


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """The constraint that `serialize` described.

    >>> deserialize({"class_name": "MaxNorm", "config": {"max_value": 3}}).max_value
    3
    """
    return _CATALOG.deserialize(config, custom_objects)
