"""Optimizers by name, and as what a file can hold."""

from __future__ import annotations

from typing import Any

from ..core.serialization import deserialize_keras_object, serialize_keras_object
from . import _rules
from ._loss_scale import LossScaleOptimizer
from ._optimizer import Optimizer

_BY_NAME: dict[str, Any] = {
    kind.__name__.lower(): kind
    for kind in vars(_rules).values()
    if isinstance(kind, type) and kind.__module__ == _rules.__name__ and kind.__name__[0] != "_"
} | {"lossscaleoptimizer": LossScaleOptimizer}


def serialize(optimizer: Optimizer) -> Any:
    """An optimizer as what a file can hold."""
    return serialize_keras_object(optimizer)


def deserialize(config: dict[str, Any], custom_objects: Any = None) -> Any:
    """The optimizer that `serialize` described."""
    name = str(config.get("class_name", "")).lower()
    if name in _BY_NAME and "module" not in config:
        return _BY_NAME[name].from_config(config.get("config", {}))
    return deserialize_keras_object(config, custom_objects=custom_objects)


def get(identifier: Any) -> Any:
    """An optimizer from its name, its config or itself; None from None.

    >>> get("adam").name
    'adam'
    """
    if identifier is None or isinstance(identifier, Optimizer):
        return identifier
    if isinstance(identifier, dict):
        return deserialize(identifier)
    if isinstance(identifier, str):
        if identifier.lower() in _BY_NAME:
            return _BY_NAME[identifier.lower()]()
        raise ValueError(
            f"An optimizer is named as one of {sorted(_BY_NAME)}. Received: {identifier!r}. Choose one "
            "of them, or pass an optimizer itself."
        )
    if hasattr(identifier, "apply") and hasattr(identifier, "build"):
        return identifier
    raise ValueError(
        "An optimizer is given by its name, its config or itself. Received: "
        f"{identifier!r} (of {type(identifier).__name__})."
    )
