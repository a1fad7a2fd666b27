"""What a path means to a server: a file, a folder of versions, or a folder of models."""

from __future__ import annotations

import glob
import re
from pathlib import Path

_ENDINGS = (".onnx", ".keras")
#: What a folder holds that `save(zipped=False)` wrote.
_CONFIG = "config.json"

Versions = dict[int, Path]


def models_in(path: Path, name: str | None = None) -> dict[str, Versions]:
    """The models of a path, by name: the files of their versions.

    Args:
        path: A `.keras` or `.onnx` file (version 1); a folder of versions `1/`, `2/`, ..., each with
            such a file; or a folder of such files and folders, whose names are those of the models.
        name: The name of a model that stands alone.

    Raises:
        OSError: If there is no such path, or it can't be read.
    """
    if _is_model(path):
        return {name or path.stem: {1: path}}
    if not path.is_dir():
        raise FileNotFoundError(
            "What is served must be a `.keras` or `.onnx` file, a folder of versions, or a folder of "
            f"models. Received: {str(path)!r}, which is none."
        )
    children = [child for child in sorted(path.iterdir()) if not child.name.startswith(".")]
    alone = not children or any(map(_is_numbered, children))
    if alone or name is not None:
        return {name or path.resolve().name: versions_in(path)}
    found = {}
    for child in children:
        if _is_model(child):
            found[child.stem] = {1: child}
        elif child.is_dir():
            found[child.name] = versions_in(child)
    return found


def versions_in(folder: Path) -> Versions:
    """The versions of a model's folder: of `1/`, `2/`, ..., else of a file in the folder itself."""
    numbered = [child for child in folder.iterdir() if _is_numbered(child) and child.is_dir()]
    files = {int(child.name): _file_in(child) for child in numbered} or {1: _file_in(folder)}
    return {number: file for number, file in sorted(files.items()) if file is not None}


def stamp(file: Path) -> tuple[object, ...]:
    """What changes when a model's file is written anew, or one of its own beside it, such as weights that come last."""
    folder, pattern = (file, "*") if file.is_dir() else (file.parent, f"{glob.escape(file.name)}*")
    if _is_numbered(folder):
        pattern = "*"  # all in a version's folder is its model's
    found = [(x, x.stat()) for x in sorted(folder.glob(pattern)) if x.is_file()]
    return tuple((str(x), s.st_ino, s.st_mtime_ns, s.st_size) for x, s in found)


def _file_in(folder: Path) -> Path | None:
    """The model in a version's folder: the one called `model` where there are several; None while there is none."""
    if _is_model(folder):
        return folder
    files = [child for child in sorted(folder.iterdir()) if _is_model(child)]
    return min(files, key=lambda file: file.stem != "model", default=None)


def _is_numbered(path: Path) -> bool:
    """Whether it has a version's name: a number that protocols can say, of 64 bits."""
    return re.fullmatch("[0-9]{1,18}", path.name) is not None


def _is_model(path: Path) -> bool:
    whole = path.suffix in _ENDINGS and path.is_file()
    return whole or (path / _CONFIG).is_file() and (path / "model.weights.h5").is_file()
