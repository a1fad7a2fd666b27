"""A saved model as a package of files: a `.keras` zip file, or a folder with the same contents."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from ._files import (
    HARMLESS_BYTES,
    LARGEST_EXPANSION,
    BrokenFileError,
    is_file_object,
    require,
)
from ._stores import Arrays
from ._weights import opened_weights

if TYPE_CHECKING:
    import zipfile

METADATA = "metadata.json"
CONFIG = "config.json"
WEIGHTS = "model.weights.h5"
ASSETS = "assets"

#: Weights of up to this size go through memory on their way into and out of a zip file.
_IN_MEMORY = 2**30


class Package(Protocol):
    """The contents of a saved model."""

    called: str

    def names(self) -> list[str]:
        """The names of the files."""

    def open(self, name: str) -> Any:
        """A file, open for reading."""


class ZipPackage:
    """The contents of a `.keras` file."""

    def __init__(self, archive: zipfile.ZipFile, called: str) -> None:
        self._archive = archive
        self.called = called

    def names(self) -> list[str]:
        """The names of the files."""
        return self._archive.namelist()

    def open(self, name: str) -> Any:
        """A file, open for reading, with a check of its sum at the end.

        Raises:
            BrokenFileError: If it unpacks to far more than it takes, as only an attack does.
        """
        info = self._archive.getinfo(name)
        if info.file_size > max(HARMLESS_BYTES, info.compress_size * LARGEST_EXPANSION):
            raise BrokenFileError(
                "A saved model must not unpack to far more than its size. Received: "
                f"{self.called!r} with {name!r}, {info.file_size:,} bytes from "
                f"{info.compress_size:,}. Do not use this file unless you know where it is from."
            )
        return self._archive.open(name)


class FolderPackage:
    """The contents of a folder."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self.called = folder

    def names(self) -> list[str]:
        """The names of the files."""
        found = []
        for parent, _, files in os.walk(self._folder):
            inner = os.path.relpath(parent, self._folder).replace(os.sep, "/")
            found += [name if inner == "." else f"{inner}/{name}" for name in files]
        return found

    def open(self, name: str) -> Any:
        """A file, open for reading."""
        return open(os.path.join(self._folder, *name.split("/")), "rb")


@contextmanager
def opened_package(source: Any) -> Iterator[Package]:
    """A saved model, by the path of its file or folder, or as an open file.

    Raises:
        MissingFileError: If there is none.
        BrokenFileError: If it is not complete.
    """
    import zipfile

    if isinstance(source, str) and os.path.isdir(source):
        yield FolderPackage(source)
        return
    if isinstance(source, str):
        require(source)
    called = str(getattr(source, "name", source) if is_file_object(source) else source)
    try:
        archive = zipfile.ZipFile(source)
    except zipfile.BadZipFile as error:
        raise _broken(source, called) from error
    with archive:
        yield ZipPackage(archive, called)


def _broken(source: Any, called: str) -> BrokenFileError:
    with open(source, "rb") if isinstance(source, str) else _kept_open(source) as file:
        file.seek(0)
        start = file.read(8)
    what = {
        b"PK\x03\x04": "the start of one, cut off",
        b"\x89HDF": "an HDF5 file, such as `.weights.h5`",
        b"": "an empty file",
    }.get(start[:4], "none")
    return BrokenFileError(
        f"A `.keras` file must be a complete zip file. Received: {called!r}, which is {what}. Copy "
        "or save it again; weights alone are read by `model.load_weights`."
    )


@contextmanager
def _kept_open(file: Any) -> Iterator[Any]:
    yield file


def read_json(package: Package, name: str) -> Any:
    """A JSON file of a saved model."""
    if name not in package.names():
        raise BrokenFileError(
            f"A saved model must have {CONFIG!r} and {WEIGHTS!r}. Received: {package.called!r} "
            f"without {name!r}; it has {sorted(package.names())[:8]}. Save the model again with "
            "`model.save`."
        )
    with _checked(package, name), package.open(name) as file:
        return json.loads(file.read().decode("utf-8"))


@contextmanager
def stored_weights(package: Package) -> Iterator[Arrays]:
    """The weights of a saved model."""
    if WEIGHTS not in package.names():
        read_json(package, WEIGHTS)
    with spooled() as copy:
        with _checked(package, WEIGHTS), package.open(WEIGHTS) as file:
            shutil.copyfileobj(file, copy, 2**20)
        copy.seek(0)
        with opened_weights(copy, package.called) as weights:
            yield weights


@contextmanager
def _checked(package: Package, name: str) -> Iterator[None]:
    import zipfile

    try:
        yield
    except BrokenFileError:
        raise
    except (zipfile.BadZipFile, EOFError, ValueError, RuntimeError) as error:  # also encrypted ones
        raise BrokenFileError(
            f"The files of a saved model must be whole. Received: {package.called!r} with a "
            f"damaged {name!r}: {error}. Copy or save it again."
        ) from error


def load_assets(package: Package, path: str, part: Any) -> None:
    """Give an object the files that it saved."""
    if not hasattr(part, "load_assets"):
        return
    from tempfile import TemporaryDirectory

    prefix = f"{ASSETS}/{path}/" if path else f"{ASSETS}/"
    names = [n for n in package.names() if n.startswith(prefix) and not n.endswith("/")]
    with TemporaryDirectory() as folder:
        for name in names:
            steps = name[len(prefix) :].split("/")
            if any(step in ("", ".", "..") or "\\" in step or ":" in step for step in steps):
                raise BrokenFileError(
                    f"The assets of a model lie within its folder. Received: {name!r} in "
                    f"{package.called!r}. Do not use this file unless you know where it is from."
                )
            target = os.path.join(folder, *steps)
            os.makedirs(os.path.dirname(target), exist_ok=True)
            with _checked(package, name), package.open(name) as file, open(target, "wb") as copy:
                shutil.copyfileobj(file, copy)
        part.load_assets(folder)


class PackageWriter(Protocol):
    """Where the contents of a saved model go."""

    def add(self, name: str, source: Any) -> None:
        """Add a file with the contents of an open one."""


class ZipWriter:
    """Contents into a zip file that is open for writing."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive

    def add(self, name: str, source: Any) -> None:
        """Add a file with the contents of an open one."""
        from zipfile import ZipInfo

        info = ZipInfo(name)
        info.file_size = source.seek(0, os.SEEK_END)
        info.external_attr = 0o644 << 16
        source.seek(0)
        with self._archive.open(info, "w") as file:
            shutil.copyfileobj(source, file, 2**20)


@contextmanager
def opened_zip_writer(target: Any) -> Iterator[ZipWriter]:
    """A new zip file at a path, or in a file that is open for writing."""
    import zipfile

    with zipfile.ZipFile(target, "w") as archive:
        yield ZipWriter(archive)


class FolderWriter:
    """Contents into a new folder."""

    def __init__(self, folder: str) -> None:
        os.mkdir(folder)
        self._folder = folder

    def add(self, name: str, source: Any) -> None:
        """Add a file with the contents of an open one."""
        target = os.path.join(self._folder, *name.split("/"))
        os.makedirs(os.path.dirname(target), exist_ok=True)
        source.seek(0)
        with open(target, "wb") as file:
            shutil.copyfileobj(source, file, 2**20)


def spooled() -> Any:
    """A file for what is on its way: in memory while it is small, else on disk."""
    from tempfile import SpooledTemporaryFile

    return SpooledTemporaryFile(max_size=_IN_MEMORY)


def save_assets(writer: PackageWriter, path: str, part: Any) -> None:
    """Add the files that an object saves."""
    if not hasattr(part, "save_assets"):
        return
    from tempfile import TemporaryDirectory

    prefix = f"{ASSETS}/{path}" if path else ASSETS
    with TemporaryDirectory() as folder:
        part.save_assets(folder)
        for parent, _, files in os.walk(folder):
            inner = os.path.relpath(parent, folder).replace(os.sep, "/")
            for name in files:
                below = name if inner == "." else f"{inner}/{name}"
                with open(os.path.join(parent, name), "rb") as file:
                    writer.add(f"{prefix}/{below}", file)
