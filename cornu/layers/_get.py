"""Layers as what a file can hold."""

from __future__ import annotations

from typing import Any

from ..core.serialization import deserialize_keras_object, serialize_keras_object


def serialize(layer: Any) -> Any:
    """A layer as what a file can hold.

    >>> from cornu import layers
    >>> serialize(layers.Flatten())["class_name"]
    'Flatten'
    """
    return serialize_keras_object(layer)


def deserialize(config: Any, custom_objects: Any = None) -> Any:
    """The layer that `serialize` described."""
    return deserialize_keras_object(config, custom_objects=custom_objects)
