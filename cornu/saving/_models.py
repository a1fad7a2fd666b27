"""Whole models: architecture, weights and training state in one `.keras` file."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Collection, Mapping
from typing import Any

from .._version import __version__
from ..core.files import replacing
from ..core.scopes import here, within
from ._configs import described, model_config, version_of
from ._files import FORMAT_VERSION, as_path, is_file_object, may_write, require, warn
from ._keras2 import today
from ._legacy import load_legacy_model, load_optimizer, save_legacy_model
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
from ._transforms import load_stored, take_transforms, write_transforms
from ._walk import walk
from ._weights import FORMATS, format_of, load_state
from .endings import MODELS, OLD, ONNX, is_model

_KEPT_ARGUMENTS = frozenset({"include_optimizer", "save_format"})


def save_model(
    model: Any, filepath: Any, overwrite: bool = True, zipped: bool | None = None, **kwargs: Any
) -> None:
    """Save a model: its architecture, weights, and how it is trained.

    Args:
        model: The model.
        filepath: A path that ends in `.keras`, or a binary file that is open for writing. One that
            ends in `.h5` is for a file in the old format, which has no assets and no metrics.
        overwrite: Whether a file that exists is replaced without asking.
        zipped: False for a folder of files, whose path does not end in `.keras`.
        kwargs: `include_optimizer`, whether a file in the old format says how the model is trained.
            `save_format` is accepted and changes nothing.

    Raises:
        ValueError: If the path's ending is another one, or the model holds what a file can't.
        OSError: If the file can't be written; one that was there is kept as it was.
    """
    unknown = sorted(set(kwargs) - _KEPT_ARGUMENTS)
    if unknown:
        raise ValueError(f"`save` has no such arguments. Received: {unknown}.")
    if is_file_object(filepath):
        _warn_if_unbuilt(model)
        with opened_zip_writer(filepath) as writer:
            _write(model, writer)
        return
    path = as_path(filepath, "save")
    _check_ending(path, zipped)
    if not may_write(path, overwrite):
        return
    _warn_if_unbuilt(model)
    with replacing(path) as draft:
        if zipped is False:
            _write(model, FolderWriter(draft))
        elif path.endswith(OLD):
            with within(here.adapted, True):
                config = model_config(model)
            save_legacy_model(model, config, draft, kwargs.get("include_optimizer", True))
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
    if not is_model(path):
        hints = {
            ".weights.h5": "For weights alone, use `model.save_weights`.",
            "": f"Use {os.path.splitext(path)[0] + '.keras'!r}.",
        }
        raise ValueError(
            "A model is saved in a file that ends in `.keras`, or, with `zipped=False`, in a "
            f"folder. Received: filepath={path!r}. "
            + next(text for ending, text in hints.items() if path.endswith(ending))
        )


def _warn_if_unbuilt(model: Any) -> None:
    if not model.built:
        warn(
            f"The model {model.name!r} was never built, so that there may be no weights to save. "
            "Call it on data, or `build(input_shape)`, first."
        )


def _write(model: Any, writer: PackageWriter) -> None:
    if (optimizer := getattr(model, "optimizer", None)) is not None and optimizer.built:
        optimizer.follow(model)
    config = model_config(model)
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
    write_transforms(model, writer)
    for path, part in walk(model):
        save_assets(writer, path, part)


# -------------------------------------------------------------------- loading


def load_model(
    filepath: Any,
    custom_objects: Mapping[str, Any] | None = None,
    compile: bool = True,
    safe_mode: bool = True,
) -> Any:
    """Load a model that `save_model`, or Keras, saved.

    Args:
        filepath: The path of a `.keras` file or of a folder, an open binary file, or the path of an
            `.h5` file in the old format. Those of Keras 1 and 2 are read too; so is an `.onnx` file,
            from any exporter, as a model of public ops and layers.
        custom_objects: Classes and functions by the names that the file has for them.
        compile: Whether the model is compiled as it was, with the optimizer's state.
        safe_mode: Kept for compatibility: code in a file is refused whatever it says.

    Returns:
        The model.

    Raises:
        ValueError: If there is no such file, it is of another kind, or not complete.
        TypeError: If a class or function that it names is not known.
        NotImplementedError: If an ONNX file has an operation that is not known.
    """
    source = filepath if is_file_object(filepath) else _checked_source(filepath)
    if isinstance(source, str) and source.endswith(OLD):
        return load_legacy_model(source, custom_objects, compile)
    if isinstance(source, str) and source.endswith(ONNX):
        from .onnx import load_onnx

        return load_onnx(source)
    with opened_package(source) as package:
        config = read_json(package, CONFIG)
        version = _version(package)
        if not compile and isinstance(config, dict):
            config.pop("compile_config", None)
        model = described(config, package.called, version, custom_objects)
        take_transforms(model, package, custom_objects)
        load_package_state(model, package)
        load_stored(model, package)
    return model


def _version(package: Package) -> int | None:
    """The Keras that wrote a model, where that is an earlier one."""
    metadata = read_json(package, METADATA) if METADATA in package.names() else {}
    version = version_of(metadata.get("keras_version", "3")) if isinstance(metadata, dict) else 3
    return version if version < 3 else None


def load_package_state(
    model: Any,
    package: Package,
    skip_mismatch: bool = False,
    leave_out: Collection[Any] = (),
    names: Names | None = None,
) -> WeightsReport:
    """Set a model's weights and assets from a saved model; options as of `load_state`."""
    version, optimizer = _version(package), getattr(model, "optimizer", None)
    with stored_weights(package) as weights:
        if version is not None and optimizer is not None and optimizer not in leave_out:
            kept = [f"optimizer/{n}" for n in range(len(weights))]
            state = [weights[name] for name in kept if name in weights]
            load_optimizer(model, state, version, by_weight=True)
        return load_state(
            model,
            weights if version is None else today(weights),
            package.called,
            skip_mismatch,
            leave_out if version is None else [*leave_out, optimizer],
            load_assets=lambda path, part: load_assets(package, path, part),
            names=names,
        )


def _checked_source(filepath: Any) -> str:
    path = as_path(filepath, "load_model")
    weights = format_of(path) is not None
    if not weights and (path.endswith((*MODELS, ONNX)) or os.path.isdir(path)):
        require(path)
        return path
    hint = "It has weights alone: make the model, then `model.load_weights`." if weights else ""
    raise ValueError(
        "A model is loaded from a `.keras` file, or from a folder that `save` wrote with "
        f"`zipped=False`. Received: filepath={path!r}. {hint}".rstrip()
    )
