"""Paths and files: what is accepted, and what is missing."""

from __future__ import annotations

import json
import os
import sys
import warnings
from typing import Any

from ..core import naming

#: The version of Keras whose formats are written.
FORMAT_VERSION = "3.15.1"
#: What is this many times as large as its part of a file, and not small, is taken for an attack.
LARGEST_EXPANSION = 1000
HARMLESS_BYTES = 2**26
#: JSON of more bytes is not read as the list of a file's arrays: as objects it takes 20 times that.
LARGEST_TEXT = 2**24
#: The most bytes of memory that other JSON may take as objects: 100 for each value, 250 for a dictionary, and the
#: text twice, of 4 bytes a letter unless all are of ASCII. (Measured: 8 to 72, 64 to 232, and once or twice.)
LARGEST_OBJECTS = 2**30


class MissingFileError(FileNotFoundError, ValueError):
    """There is no such file."""


class BrokenFileError(OSError, ValueError):
    """A file that is not what its name says, or only a part of it."""


def is_file_object(target: Any) -> bool:
    """Whether a target is an open file rather than a path."""
    return hasattr(target, "seek") and (hasattr(target, "read") or hasattr(target, "write"))


def as_path(filepath: Any, function: str) -> str:
    """A path as a string.

    Raises:
        TypeError: If it is none.
        ValueError: If it names a remote place.
    """
    if not isinstance(filepath, (str, os.PathLike)):
        raise TypeError(
            f"`{function}` takes a path, or an open binary file. Received: filepath={filepath!r} "
            f"(of {type(filepath).__name__}). Pass a str or a pathlib.Path."
        )
    path = os.fspath(filepath)
    if "://" in path:
        raise ValueError(
            f"`{function}` works on local files. Received: filepath={path!r}. Copy the file, and "
            "pass the path of the copy."
        )
    return os.path.expanduser(path)


def require(path: str) -> None:
    """See that a file exists.

    Raises:
        MissingFileError: If it does not; with the names of files that look alike.
    """
    if os.path.exists(path):
        return
    folder, name = os.path.split(path)
    if not os.path.isdir(folder or "."):
        raise MissingFileError(
            f"A file that is loaded must exist. Received: filepath={path!r}, in the folder "
            f"{folder!r}, which does not exist. Check the path; the current folder is "
            f"{os.getcwd()!r}."
        )
    alike = _alike(name, os.listdir(folder or "."))
    hint = f"Did you mean {' or '.join(alike)}?" if alike else "Check the path."
    raise MissingFileError(
        f"A file that is loaded must exist. Received: filepath={path!r}, while the folder "
        f"{os.path.abspath(folder)!r} has no {name!r}. {hint}"
    )


def _alike(name: str, names: list[str]) -> list[str]:
    import difflib

    stem = name.split(".")[0]
    same_stem = sorted(other for other in names if other.split(".")[0] == stem)
    close = difflib.get_close_matches(name, names, n=3)
    return [repr(other) for other in dict.fromkeys([*same_stem, *close])][:3]


def may_write(path: str, overwrite: bool) -> bool:
    """Whether a path is free, or is to be overwritten; asks where that was not said.

    Raises:
        FileExistsError: If there is nobody to ask.
    """
    if overwrite or not os.path.exists(path):
        return True
    question = f"[WARNING] {path} already exists - overwrite? [y/n]"
    try:
        answer = input(question).strip().lower()
        while answer not in ("y", "n"):
            answer = input("Enter 'y' (overwrite) or 'n' (cancel). ").strip().lower()
    except EOFError:
        raise FileExistsError(
            "With `overwrite=False` a file that exists is kept. Received: "
            f"filepath={path!r}, which exists, and nobody to ask. Choose another path, or pass "
            "`overwrite=True`."
        ) from None
    return answer == "y"


def from_json(text: str) -> Any:
    """What JSON describes.

    Raises:
        ValueError: If it is no JSON, or more objects than fit in memory that is harmless.
    """
    size = (2 if text.isascii() else 8) * len(text)
    size += 100 * (text.count(",") + text.count("[")) + 250 * text.count("{")
    if size > LARGEST_OBJECTS:
        raise ValueError(
            f"as objects it takes {size >> 20:,} MB, of {LARGEST_OBJECTS >> 20:,} at most"
        )
    return json.loads(text)


def warn(message: str) -> None:
    """Warn at the line outside of this package that led here."""
    level = 2
    frame = sys._getframe(1)
    while frame.f_back is not None and naming.runs_here(frame):
        frame = frame.f_back
        level += 1
    warnings.warn(message, stacklevel=level)
