"""Whether Python code does nothing but compute, for it is all this library's."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..core import tree
from ..core.naming import is_ours
from ..core.op import OpOperation
from ._core import Lambda
from ._layer import Layer


def runs_alone(target: Any, beside: Iterable[str] = ()) -> bool:
    """Whether all code that an object runs is this library's: its classes, and callables among its attributes.

    Args:
        target: The object.
        beside: The names of attributes that it doesn't run.
    """
    kept = tree.flatten([x for name, x in vars(target).items() if name not in beside])
    callables = [x for x in kept if callable(x) and not isinstance(x, OpOperation)]
    return all(map(is_ours, [*type(target).__mro__[:-1], *callables]))


def is_plain(layer: Layer) -> bool:
    """Whether a layer's code is this library's, and gives nothing beside its outputs."""
    return (
        runs_alone(layer, layer._beside)
        and not isinstance(layer, Lambda)
        and layer.activity_regularizer is None
        and all(is_ours(type(transform)) for _, transform in layer.transforms)
    )
