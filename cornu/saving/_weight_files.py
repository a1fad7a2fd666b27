"""Weights alone: files of each format, and lists of several."""

from __future__ import annotations

import os
from contextlib import nullcontext
from typing import Any

from ..core.files import replacing
from ._files import as_path, is_file_object, may_write, require, warn
from ._legacy import load_legacy_weights, opened_legacy
from ._models import load_package_state
from ._names import Names
from ._package import opened_package
from ._reports import WeightsReport
from ._stores import items_of
from ._weights import FORMATS, format_of, left_out, load_state, opened_weights, write_sharded
from .endings import OLD, WEIGHTS


def save_weights(
    model: Any,
    filepath: Any,
    overwrite: bool = True,
    max_shard_size: float | None = None,
    **kwargs: Any,
) -> None:
    """Save a model's weights.

    Args:
        model: The model.
        filepath: A path that ends in `.weights.h5`, or a binary file that is open for writing;
            with `max_shard_size`, one that ends in `.weights.json`. A path that ends in
            `.safetensors`, or `.safetensors.index.json`, for files that other libraries read;
            the optimizer's state is not in those.
        overwrite: Whether a file that exists is replaced without asking.
        max_shard_size: The largest size of a file, in GB (2**30 bytes); the path is that of a list
            of them.
        kwargs: `objects_to_skip`, layers whose weights are left out.

    Raises:
        ValueError: If the path's ending is another one, or the model was never built.
        OSError: If the file can't be written; one that was there is kept as it was.
    """
    leave_out = _options("save_weights", kwargs)
    _require_built(model, "saved")
    if is_file_object(filepath):
        FORMATS[0].write(filepath, items_of(model, leave_out))
        return
    path = as_path(filepath, "save_weights")
    format = format_of(path)
    several = max_shard_size is not None
    if format is not None and several and path.endswith(format.ending):
        path = path.removesuffix(format.ending) + format.listing
        if not path.startswith(os.fspath(filepath)):
            warn(
                f"Weights in several files are listed in one that ends in `{format.listing}`. "
                f"Received: filepath={os.fspath(filepath)!r}; it becomes {path!r}."
            )
    if format is None or not path.endswith(format.listing if several else format.ending):
        endings = [kind.listing if several else kind.ending for kind in FORMATS]
        raise ValueError(
            f"Weights are saved in a file that ends in `{'` or `'.join(endings)}`. Received: "
            f"filepath={path!r}. Use {_with_ending(path, endings[0])!r}; `model.save` saves the "
            "whole model as `.keras`."
        )
    if not may_write(path, overwrite):
        return
    items = items_of(model, [*leave_out, *left_out(model, format)])
    if max_shard_size is not None:
        write_sharded(items, path, max_shard_size * 2**30, format)
        return
    with replacing(path) as draft:
        format.write(draft, items)


def _with_ending(path: str, ending: str) -> str:
    folder, name = os.path.split(path)
    return os.path.join(folder, name.split(".")[0] + ending)


def load_weights(
    model: Any,
    filepath: Any,
    skip_mismatch: bool = False,
    *,
    names: Names | None = None,
    **kwargs: Any,
) -> WeightsReport:
    """Load weights into a model of the same architecture.

    Args:
        model: The model, built.
        filepath: The path of a `.weights.h5`, `.weights.json`, `.safetensors`,
            `.safetensors.index.json` or `.keras` file, or an open binary file of HDF5 or `.keras`.
        skip_mismatch: Whether layers that the file does not fit are left as they are, with a
            warning.
        names: For weights from elsewhere: what names in the file become, as a mapping or a function.
            The mapping's keys are names, or regular expressions for whole names, whose groups the
            values may use: `{r"encoder\\.(\\d+)\\.bias": r"block_\\1/bias"}`. They become paths of the
            model's variables, or the places of its objects with a variable's name, such as
            `layers/dense_1/bias`. Values are taken as they are: nothing is transposed.
        kwargs: `objects_to_skip`, layers that are left as they are; `by_name`, for files in the old
            `.h5` format, whether layers take the weights of the layer of their name.

    Returns:
        What was loaded, and what was missing, unexpected or of another shape.

    Raises:
        ValueError: If there is no such file, it is of another kind, not complete or of another
            architecture; or if the model was never built.
    """
    by_name = bool(kwargs.pop("by_name", False))
    leave_out = _options("load_weights", kwargs)
    source, path, packed = _source(filepath)
    _require_built(model, "loaded")
    with opened_legacy(path) if _may_be_old(source) else nullcontext() as old:
        if old is not None and names is None:
            return load_legacy_weights(model, old, by_name, skip_mismatch)
        if old is not None:
            return load_state(model, old.named(), path, skip_mismatch, leave_out, names=names)
    if by_name:
        raise ValueError(
            "`by_name` is for weights in the old `.h5` format. Received: by_name=True for "
            f"{path!r}. Leave it out; `skip_mismatch=True` leaves layers that do not fit as they are."
        )
    if packed:
        with opened_package(source) as package:
            return load_package_state(model, package, skip_mismatch, leave_out, names)
    format = (format_of(path) if isinstance(source, str) else None) or FORMATS[0]
    with opened_weights(source, path, format) as arrays:
        leave_out += left_out(model, format, arrays)
        return load_state(model, arrays, path, skip_mismatch, leave_out, names=names)


def _source(filepath: Any) -> tuple[Any, str, bool]:
    """What is read, what errors call it, and whether it is a whole model."""
    if is_file_object(filepath):
        filepath.seek(0)
        packed = filepath.read(4) == b"PK\x03\x04"
        filepath.seek(0)
        return filepath, str(getattr(filepath, "name", "an open file")), packed
    path = as_path(filepath, "load_weights")
    packed = path.endswith(".keras") or os.path.isdir(path)
    if not packed and format_of(path) is None and not path.endswith(OLD):
        endings = [ending for kind in FORMATS for ending in (kind.ending, kind.listing)]
        raise ValueError(
            f"Weights are loaded from a file that ends in `{'`, `'.join(endings)}` or `.keras`. "
            f"Received: filepath={path!r}."
        )
    require(path)
    return path, path, packed


def _may_be_old(source: Any) -> bool:
    return isinstance(source, str) and source.endswith(OLD) and not source.endswith(WEIGHTS)


def _options(function: str, kwargs: dict[str, Any]) -> list[Any]:
    leave_out = list(kwargs.pop("objects_to_skip", None) or ())
    if kwargs:
        raise ValueError(f"`{function}` has no such arguments. Received: {sorted(kwargs)}.")
    return leave_out


def _require_built(model: Any, what: str) -> None:
    if not getattr(model, "built", True):
        raise ValueError(
            f"A model must be built before its weights can be {what}: until then it has none. "
            f"Received: the model {model.name!r}, never built. Call it on data, start it with "
            "`Input(shape)`, or `build(input_shape)`."
        )
