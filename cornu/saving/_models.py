"""Whole models: architecture, weights and training state in one `.keras` file."""

from __future__ import annotations

import json
import os
import time
import warnings
from collections.abc import Collection, Mapping
from typing import Any

from .._version import __version__
from ..core import naming
from ..core.files import replacing
from ..core.operation import Operation
from ..core.serialization import (
    ObjectSharingScope,
    deserialize_keras_object,
    serialize_keras_object,
)
from ._files import BrokenFileError, as_path, is_file_object, may_write, require, warn
from ._legacy import load_legacy_model
from ._names import Names
from ._package import (
    CONFIG,
    METADATA,
    WEIGHTS,
    FolderWriter,
    Package,
    PackageWriter,
    load_assets,
    opened_package,
    opened_zip_writer,
    read_json,
    save_assets,
    stored_weights,
)
from ._reports import WeightsReport
from ._stores import items_of
from ._walk import walk
from ._weights import FORMATS, load_state

#: The version of Keras whose format this is.
FORMAT_VERSION = "3.15.1"
OLD_ENDINGS = (".h5", ".hdf5")
_KEPT_ARGUMENTS = frozenset({"include_optimizer", "save_format"})


def save_model(
    model: Any, filepath: Any, overwrite: bool = True, zipped: bool | None = None, **kwargs: Any
) -> None:
    """Save a model: its architecture, weights, and how it is trained.

    Args:
        model: The model.
        filepath: A path that ends in `.keras`, or a binary file that is open for writing.
        overwrite: Whether a file that exists is replaced without asking.
        zipped: False for a folder of files, whose path does not end in `.keras`.
        kwargs: `include_optimizer` and `save_format` are accepted and change nothing.

    Raises:
        ValueError: If the path's ending is another one, or the model holds what a file can't.
        OSError: If the file can't be written; one that was there is kept as it was.
    """
    unknown = sorted(set(kwargs) - _KEPT_ARGUMENTS)
    if unknown:
        raise ValueError(f"`save` has no such arguments. Received: {unknown}.")
    if is_file_object(filepath):
        with opened_zip_writer(filepath) as writer:
            _write(model, writer)
        return
    path = as_path(filepath, "save")
    _check_ending(path, zipped)
    if not may_write(path, overwrite):
        return
    with replacing(path) as draft:
        if zipped is False:
            _write(model, FolderWriter(draft))
        else:
            with opened_zip_writer(draft) as writer:
                _write(model, writer)


def _check_ending(path: str, zipped: bool | None) -> None:
    if zipped is False:
        if path.endswith(".keras"):
            raise ValueError(
                "With `zipped=False` a folder is written, whose path does not end in `.keras`. "
                f"Received: filepath={path!r}. Leave the ending out, or pass `zipped=True`."
            )
        if os.path.isfile(path):
            raise ValueError(
                "With `zipped=False` a folder is written. Received: "
                f"filepath={path!r}, which is a file. Choose another path."
            )
        return
    if not path.endswith(".keras"):
        hints = {
            ".weights.h5": "For weights alone, use `model.save_weights`.",
            ".h5": "The old HDF5 format of whole models is not written: use `.keras`.",
            "": f"Use {os.path.splitext(path)[0] + '.keras'!r}.",
        }
        raise ValueError(
            "A model is saved in a file that ends in `.keras`, or, with `zipped=False`, in a "
            f"folder. Received: filepath={path!r}. "
            + next(text for ending, text in hints.items() if path.endswith(ending))
        )


def _write(model: Any, writer: PackageWriter) -> None:
    if not model.built:
        warn(
            f"The model {model.name!r} was never built, so that there may be no weights to save. "
            "Call it on data, or `build(input_shape)`, first."
        )
    config = _model_config(model)
    metadata = {
        "keras_version": FORMAT_VERSION,
        "cornu_version": __version__,
        "date_saved": time.strftime("%Y-%m-%d@%H:%M:%S"),
    }
    for name, content in ((METADATA, metadata), (CONFIG, config)):
        with writer.new(name) as file:
            file.write(json.dumps(content).encode("utf-8"))
    with writer.new(WEIGHTS) as file:
        FORMATS[0].write(file, items_of(model))
    for path, part in walk(model):
        save_assets(writer, path, part)


# -------------------------------------------------------------------- configs


def _model_config(model: Any) -> dict[str, Any]:
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


# -------------------------------------------------------------------- loading


def load_model(
    filepath: Any,
    custom_objects: Mapping[str, Any] | None = None,
    compile: bool = True,
    safe_mode: bool = True,
) -> Any:
    """Load a model that `save_model`, or Keras, saved.

    Args:
        filepath: The path of a `.keras` file or of a folder, or an open binary file. Files in the
            old `.h5` format are read if Keras 3 wrote them.
        custom_objects: Classes and functions by the names that the file has for them.
        compile: Whether the model is compiled as it was, with the optimizer's state.
        safe_mode: Kept for compatibility: code in a file is refused whatever it says.

    Returns:
        The model.

    Raises:
        ValueError: If there is no such file, it is of another kind, or not complete.
        TypeError: If a class or function that it names is not known.
    """
    source = filepath if is_file_object(filepath) else _checked_source(filepath)
    if isinstance(source, str) and source.endswith(OLD_ENDINGS):
        return load_legacy_model(source, custom_objects, compile)
    with opened_package(source) as package:
        config = read_json(package, CONFIG)
        if not compile and isinstance(config, dict):
            config.pop("compile_config", None)
        try:
            with ObjectSharingScope():
                model = deserialize_keras_object(config, custom_objects, safe_mode=safe_mode)
        except (TypeError, ValueError) as error:
            error.add_note(f"Raised while loading {package.called!r}.")
            raise
        except (KeyError, IndexError, AttributeError) as error:
            if not naming.raised_here(error):
                raise
            raise BrokenFileError(
                f"The {CONFIG!r} of a saved model must describe it. Received: {package.called!r}, in "
                f"which something is missing or in the place of something else ({error!r}). Save the "
                "model again with `model.save`."
            ) from error
        if not isinstance(model, Operation):
            raise BrokenFileError(
                f"The {CONFIG!r} of a saved model must describe it. Received: {package.called!r} with "
                f"a {type(model).__name__}. Save the model again with `model.save`."
            )
        load_package_state(model, package)
    return model


def load_package_state(
    model: Any,
    package: Package,
    skip_mismatch: bool = False,
    leave_out: Collection[Any] = (),
    names: Names | None = None,
) -> WeightsReport:
    """Set a model's weights and assets from a saved model; options as of `load_state`."""
    with stored_weights(package) as weights:
        return load_state(
            model,
            weights,
            package.called,
            skip_mismatch,
            leave_out,
            load_assets=lambda path, part: load_assets(package, path, part),
            names=names,
        )


def _checked_source(filepath: Any) -> str:
    path = as_path(filepath, "load_model")
    weights = path.endswith((".weights.h5", ".weights.json"))
    if not weights and (path.endswith((".keras", *OLD_ENDINGS)) or os.path.isdir(path)):
        require(path)
        return path
    hint = "It has weights alone: make the model, then `model.load_weights`." if weights else ""
    raise ValueError(
        "A model is loaded from a `.keras` file, or from a folder that `save` wrote with "
        f"`zipped=False`. Received: filepath={path!r}. {hint}".rstrip()
    )
