"""The configs of models: written, and read in the dialect of whichever Keras wrote them."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from ..core import naming
from ..core.operation import Operation
from ..core.scopes import here, within
from ..core.serialization import (
    ObjectSharingScope,
    custom_object_scope,
    deserialize_keras_object,
    serialize_keras_object,
)
from ._files import BrokenFileError, from_json, warn
from ._keras2 import translated

# -------------------------------------------------------------------- writing


def model_config(model: Any) -> dict[str, Any]:
    """The architecture as JSON has it, and how the model is trained where that can be written."""
    with ObjectSharingScope(), warnings.catch_warnings():
        # The warnings of lambdas: what holds one is told below.
        warnings.filterwarnings("ignore", message="What is written includes a lambda")
        config: dict[str, Any] = serialize_keras_object(model)
    found = _lambdas(config.get("compile_config"), "")
    if found:
        del config["compile_config"]
        warn(
            f"How {model.name!r} is trained is not saved: it includes a lambda, which a file can't "
            f"hold ({found[0][1]}). After loading, call `compile` again; or write the lambda as a "
            "named function under `@keras.saving.register_keras_serializable()`."
        )
    found = _lambdas(config, model.name)
    if found:
        owner, where = found[0]
        raise ValueError(
            "A model that is saved must not hold a lambda, because a file never holds code. "
            f"Received: the layer {owner!r} with the lambda of {where}. Write it as a named "
            "function under `@keras.saving.register_keras_serializable()`, or use `save_weights`."
        )
    return config


def _lambdas(config: Any, owner: str) -> list[tuple[str, str]]:
    """The lambdas in a config: the name of the object that has each, and where its source is."""
    if isinstance(config, dict):
        if config.get("class_name") == "__lambda__":
            return [(owner, str(config["config"]["value"][0]))]
        inner = config.get("config")
        if isinstance(inner, dict) and isinstance(inner.get("name"), str):
            owner = inner["name"]
        return [found for value in config.values() for found in _lambdas(value, owner)]
    if isinstance(config, (list, tuple)):
        return [found for value in config for found in _lambdas(value, owner)]
    return []


# -------------------------------------------------------------------- reading


def version_of(text: Any) -> int:
    """The number of the Keras that wrote a file: 1 where the file has none, as Keras 1 did.

    >>> version_of("2.15.0"), version_of(b"3.15.1"), version_of(None)
    (2, 3, 1)
    """
    number = plain_text(text or "1").partition(".")[0]
    return int(number) if number.isdigit() else 3


def plain_text(text: Any) -> str:
    """A text that a file may have as bytes."""
    return text.decode("utf-8") if isinstance(text, bytes) else str(text)


def described(
    config: Any,
    called: str,
    version: int | None = None,
    custom_objects: Mapping[str, Any] | None = None,
) -> Any:
    """The model that a config describes.

    Args:
        config: The config, read from JSON.
        called: What errors call the file.
        version: The Keras that wrote it, where it is in the dialect of an earlier one, or lacks
            where classes are.
        custom_objects: Classes and functions by the names that the config has for them.

    Raises:
        BrokenFileError: If it is no config of a model.
        ValueError: If it asks for what there is not.
        TypeError: If a class or function that it names is not known.
    """
    with describing(called), ObjectSharingScope(), custom_object_scope(custom_objects):
        known = config if version is None else translated(config, version)
        model = deserialize_keras_object(known)
    if not isinstance(model, Operation):
        raise BrokenFileError(
            f"The config of a saved model must describe it. Received: {called!r} with a "
            f"{type(model).__name__}. Save the model again with `model.save`."
        )
    return model


@contextmanager
def describing(called: str) -> Iterator[None]:
    """Within it, what Python says of a config that is none becomes an error that tells the file.

    What is made meanwhile opens no path that the config has (`here.file`).

    Raises:
        BrokenFileError: If something is missing, or in the place of something else.
    """
    try:
        with within(here.file, called):
            yield
    except (
        TypeError,
        ValueError,
        LookupError,
        AttributeError,
        ArithmeticError,
        RecursionError,
    ) as error:
        if "Received" in str(error) or not naming.raised_in(error):
            error.add_note(f"Raised while loading {called!r}.")
            raise
        raise BrokenFileError(
            f"The config of a saved model must describe it. Received: {called!r}, in which something "
            f"is missing or in the place of something else ({error!r:.300}). Save the model again with "
            "`model.save`."
        ) from error


def model_from_json(json_string: str, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """The model that `model.to_json()` described, here or in any Keras, with new weights.

    Raises:
        ValueError: If it describes none.
        TypeError: If a class or function that it names is not known.
    """
    config = from_json(json_string)
    version = config.get("keras_version") if isinstance(config, dict) else None
    return described(config, "the JSON", version and version_of(version), custom_objects)
