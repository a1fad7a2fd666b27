"""Paths and files: what is accepted, what is missing, and writing that never spoils a good file."""

from __future__ import annotations

import os
import shutil
import sys
import uuid
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

#: What is this many times as large as its part of a file, and not small, is taken for an attack.
LARGEST_EXPANSION = 1000
HARMLESS_BYTES = 2**26


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


@contextmanager
def replacing(path: str) -> Iterator[str]:
    """A path to write to, which takes the place of `path` once the block is done.

    What is there stays as it is until then, and for good where the block fails. The new file, or
    folder, is written next to it, so that taking its place is a single step.
    """
    target = os.path.realpath(path)
    folder, name = os.path.split(target)
    # h5py and zipfile leave a file behind where they fail, so it is removed by its name.
    draft = os.path.join(folder, f".{name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        _try_folder(draft, path)
        yield draft
        if os.path.isdir(draft):
            _put_folder(draft, target)
        else:
            if os.path.exists(target):
                shutil.copymode(target, draft)
            _flush(draft)
            os.replace(draft, target)
    finally:
        _remove(draft)


def _try_folder(draft: str, path: str) -> None:
    """See that a file can be made where it should be."""
    try:
        with open(draft, "xb"):
            pass
    except OSError as error:
        _refuse(error, path)
    os.remove(draft)


def _refuse(error: OSError, path: str) -> NoReturn:
    folder = os.path.dirname(os.path.abspath(path))
    if not os.path.exists(folder):
        raise FileNotFoundError(
            f"A file is saved in a folder that exists. Received: filepath={path!r}, whose folder "
            f"{folder!r} does not. Make it with `os.makedirs({folder!r})`."
        ) from error
    raise type(error)(
        f"A file is saved in a folder that can be written to. Received: filepath={path!r}: "
        f"{error.strerror or error} ({folder!r}). Choose another folder, or change its permissions."
    ) from error


def _put_folder(draft: str, target: str) -> None:
    """Let a folder take the place of another, which is kept until it is there."""
    if not os.path.exists(target):
        os.rename(draft, target)
        return
    before = f"{draft}.before"
    os.rename(target, before)
    try:
        os.rename(draft, target)
    except OSError:
        os.rename(before, target)
        raise
    _remove(before)


def _flush(path: str) -> None:
    """Have the content on the disk before its name is: else a crash could leave an empty file."""
    with open(path, "rb+") as file:
        os.fsync(file.fileno())


def _remove(path: str) -> None:
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path, ignore_errors=True)
    elif os.path.lexists(path):
        os.remove(path)


def warn(message: str) -> None:
    """Warn at the line outside of this package that led here."""
    level = 2
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("cornu."):
        frame = frame.f_back
        level += 1
    warnings.warn(message, stacklevel=level)
