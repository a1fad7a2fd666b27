"""Objects as they were written before Keras 3: `{"class_name": ..., "config": {...}}`, functions as their names."""

from __future__ import annotations

from typing import Any

from ..core import serialization


def serialize_keras_object(instance: Any) -> Any:
    """What a file of then can hold of an object; None of None.

    Raises:
        ValueError: If it is neither an object with a `get_config` nor a function.

    >>> from cornu import activations, regularizers
    >>> serialize_keras_object(regularizers.L2(0.5))
    {'class_name': 'L2', 'config': {'l2': 0.5}}
    >>> serialize_keras_object(activations.relu)
    'relu'
    """
    if instance is None:
        return None
    name = serialization.get_registered_name(getattr(instance, "__class__", None))
    if hasattr(instance, "get_config"):
        config = serialization.serialize_keras_object(instance.get_config())
        return {"class_name": name, "config": config}
    if hasattr(instance, "__name__"):
        return serialization.get_registered_name(instance)
    raise ValueError(
        "What is written must have a `get_config`, or be a function. Received: "
        f"{instance!r} (of {type(instance).__name__})."
    )


def deserialize_keras_object(
    identifier: Any,
    module_objects: Any = None,
    custom_objects: Any = None,
    printable_module_name: str = "object",
) -> Any:
    """The object that `serialize_keras_object` described.

    Args:
        identifier: What it returned.
        module_objects: Further objects, by name.
        custom_objects: Classes and functions by name.
        printable_module_name: Kept for compatibility.
    """
    if identifier is None:
        return None
    return serialization.deserialize_keras_object(
        identifier, custom_objects, module_objects=module_objects
    )
