"""A saved model as a package of files: a `.keras` zip file, or a folder with the same contents."""

from __future__ import annotations

import io
import os
import shutil
import struct
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from tempfile import SpooledTemporaryFile, TemporaryDirectory, TemporaryFile
from typing import TYPE_CHECKING, Any, Protocol

from ._files import (
    HARMLESS_BYTES,
    LARGEST_EXPANSION,
    LARGEST_OBJECTS,
    LARGEST_TEXT,
    BrokenFileError,
    from_json,
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
#: The transforms of weights, and what is stored where the weights of the file have what layers compute with.
TRANSFORMS = "transforms.json"
STORED = "transforms.weights.h5"

#: From how many bytes on a file must not unpack to more than so many times what it takes: texts become
#: objects of 20 times their size.
_OF_BYTES, _OF_TEXT = (HARMLESS_BYTES, LARGEST_EXPANSION), (LARGEST_TEXT, 10)
#: Bytes that are copied or added up at once, and of files that are worth a thread.
_PIECE, _LARGE = 2**20, 2**22
#: Bytes of a zip file before the name of each file in it; the last four are two lengths.
_HEADER = 30


class _Part(io.RawIOBase):
    """A part of an open file as a file of its own: one that is read, or one that grows at the end."""

    def __init__(self, file: Any, start: int, size: int = 0) -> None:
        self._file, self.start, self.size, self._place = file, start, size, 0

    def readable(self) -> bool:
        return True

    writable = seekable = readable

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._place = offset + {os.SEEK_CUR: self._place, os.SEEK_END: self.size}.get(whence, 0)
        return self._place

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer, as far as there is something."""
        view = memoryview(buffer).cast("B")[: max(0, self.size - self._place)]
        self._file.seek(self.start + self._place)
        filled = 0
        while filled < len(view) and (count := self._file.readinto(view[filled:])):
            filled += count
        self._place += filled
        return filled

    def write(self, data: Any) -> int:
        self._file.seek(self.start + self._place)
        self._place += (count := self._file.write(data))
        self.size = max(self.size, self._place)
        return count

    def truncate(self, size: int | None = None) -> int:
        self.size = self._place if size is None else size
        self._file.truncate(self.start + self.size)
        return self.size


class Package(Protocol):
    """The contents of a saved model."""

    called: str

    def names(self) -> list[str]:
        """The names of the files."""

    def open(self, name: str, bounds: tuple[int, int] = _OF_BYTES) -> Any:
        """A file, open for reading; above the first bound it must not be packed beyond the second."""

    def seekable(self, name: str) -> AbstractContextManager[Any]:
        """A file, open for reading from any place."""


class ZipPackage:
    """The contents of a `.keras` file, open once more for another thread where it has a path."""

    def __init__(self, archive: zipfile.ZipFile, file: Any, again: Any, called: str) -> None:
        self._archive, self._file, self._again = archive, file, again
        self.called = called

    def names(self) -> list[str]:
        """The names of the files."""
        return self._archive.namelist()

    def open(self, name: str, bounds: tuple[int, int] = _OF_BYTES) -> Any:
        """A file, open for reading, with a check of its sum at the end.

        Raises:
            BrokenFileError: If it unpacks to far more than it takes, as only an attack does.
        """
        info = self._archive.getinfo(name)
        if info.file_size > max(bounds[0], info.compress_size * bounds[1]):
            raise BrokenFileError(
                "A saved model must not unpack to far more than its size. Received: "
                f"{self.called!r} with {name!r}, {info.file_size:,} bytes from "
                f"{info.compress_size:,}. Do not use this file unless you know where it is from."
            )
        return self._archive.open(name)

    @contextmanager
    def seekable(self, name: str) -> Iterator[Any]:
        """A file, open for reading from any place: where it lies in the archive, unless it is packed.

        The sum of a large one is compared in a thread beside the reading, which takes half of its time.
        """
        import zipfile

        info = self._archive.getinfo(name)
        if info.compress_type != zipfile.ZIP_STORED or not hasattr(self._file, "readinto"):
            with SpooledTemporaryFile(max_size=HARMLESS_BYTES) as copy:
                self._copy(name, copy)
                yield copy
            return
        self._file.seek(info.header_offset)
        header = self._file.read(_HEADER)
        start = info.header_offset + len(header) + sum(struct.unpack("<2H", header[-4:]))
        part = _Part(self._file, start, info.file_size)
        with _checked(self, name):
            self.open(name).close()  # whose header is checked, and bounds
        if self._again is None or info.file_size < _LARGE:
            self._compare(self._file, start, info)
            yield part
            return
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(1) as beside:
            compared = beside.submit(self._compare, self._again, start, info)
            try:
                yield part
            finally:
                compared.result()

    def _compare(self, file: Any, start: int, info: zipfile.ZipInfo) -> None:
        """See that a file that is not packed has its sum."""
        import zipfile

        with _checked(self, info.filename):
            if _sum(file, start, info.file_size) != info.CRC:
                raise zipfile.BadZipFile(f"Bad CRC-32 for file {info.filename!r}")

    def _copy(self, name: str, target: Any) -> None:
        """Copy a file, whose sum is compared at its end."""
        with _checked(self, name), self.open(name) as packed:
            shutil.copyfileobj(packed, target, _PIECE)


def _sum(file: Any, start: int, size: int) -> int:
    """The sum of a part of an open file, as zip files have it.

    Raises:
        EOFError: If the file ends before.
    """
    try:
        from isal.isal_zlib import crc32  # 16 GB a second; zlib's, 3.5
    except ImportError:
        from zlib import crc32
    found, buffer = 0, memoryview(bytearray(min(size, _PIECE)))
    file.seek(start)
    while size:
        if not (count := file.readinto(buffer[:size])):
            raise EOFError(f"{size:,} bytes are missing")
        found, size = crc32(buffer[:count], found), size - count
    return found


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

    def open(self, name: str, bounds: tuple[int, int] = _OF_BYTES) -> Any:
        """A file, open for reading."""
        return open(os.path.join(self._folder, *name.split("/")), "rb")

    seekable = open


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
    with _opened(source) as file, _opened(source) as again:
        try:
            archive = zipfile.ZipFile(file)
        except zipfile.BadZipFile as error:
            raise _broken(file, called) from error
        with archive:
            yield ZipPackage(archive, file, None if again is file else again, called)


def _opened(source: Any) -> AbstractContextManager[Any]:
    return open(source, "rb", 0) if isinstance(source, str) else nullcontext(source)


def _broken(file: Any, called: str) -> BrokenFileError:
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


def read_json(package: Package, name: str) -> Any:
    """A JSON file of a saved model."""
    if name not in package.names():
        raise BrokenFileError(
            f"A saved model must have {CONFIG!r} and {WEIGHTS!r}. Received: {package.called!r} "
            f"without {name!r}; it has {sorted(package.names())[:8]}. Save the model again with "
            "`model.save`."
        )
    with _checked(package, name), package.open(name, _OF_TEXT) as file:
        return from_json(file.read(LARGEST_OBJECTS // 2).decode("utf-8"))


@contextmanager
def stored_weights(package: Package, name: str = WEIGHTS) -> Iterator[Arrays]:
    """The weights of a saved model."""
    if name not in package.names():
        read_json(package, name)
    with package.seekable(name) as file, opened_weights(file, package.called) as weights:
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

    def new(self, name: str) -> AbstractContextManager[Any]:
        """A new file, open for writing at any place."""


class _Draft(io.FileIO):
    """A file for an archive, which is written to as far as there is something."""

    def write(self, data: Any) -> int:
        view, written = memoryview(data).cast("B"), 0
        while written < len(view):  # the system takes 2 GB at once, or what a disk has left
            written += super().write(view[written:])
        return written


class ZipWriter:
    """Contents into a zip file that is open for writing."""

    def __init__(self, archive: zipfile.ZipFile, file: _Draft) -> None:
        self._archive, self._file = archive, file

    @contextmanager
    def new(self, name: str) -> Iterator[Any]:
        """A new file, open for writing at any place.

        It is written where it stays, and its sum found after that. The archive would take it in order, from its start
        to its end, and adds it up by zlib.
        """
        from zipfile import ZipInfo

        info, file = ZipInfo(name), self._file
        info.external_attr = 0o644 << 16
        info.CRC = info.file_size = info.compress_size = 0  # known at the end
        info.header_offset = self._archive.start_dir
        file.seek(info.header_offset)
        file.write(info.FileHeader(zip64=True))
        part = _Part(file, file.tell())
        yield part
        info.file_size = info.compress_size = part.size
        info.CRC = _sum(file, part.start, part.size)
        self._archive.start_dir = file.tell()
        file.seek(info.header_offset)
        file.write(info.FileHeader(zip64=True))
        self._archive.filelist.append(info)
        self._archive.NameToInfo[name] = info


@contextmanager
def opened_zip_writer(target: Any) -> Iterator[ZipWriter]:
    """A new zip file at a path, or in a file that is open for writing."""
    import zipfile

    with ExitStack() as stack:
        copied = is_file_object(target)
        place = stack.enter_context(TemporaryFile()).fileno() if copied else target
        file = stack.enter_context(_Draft(place, "w+", closefd=not copied))
        with zipfile.ZipFile(file, "w") as archive:
            yield ZipWriter(archive, file)
        if copied:
            file.seek(0)
            shutil.copyfileobj(file, target, _PIECE)


class FolderWriter:
    """Contents into a new folder."""

    def __init__(self, folder: str) -> None:
        os.mkdir(folder)
        self._folder = folder

    def new(self, name: str) -> Any:
        """A new file, open for writing at any place."""
        target = os.path.join(self._folder, *name.split("/"))
        os.makedirs(os.path.dirname(target), exist_ok=True)
        return open(target, "w+b")


def save_assets(writer: PackageWriter, path: str, part: Any) -> None:
    """Add the files that an object saves."""
    if not hasattr(part, "save_assets"):
        return
    prefix = f"{ASSETS}/{path}" if path else ASSETS
    with TemporaryDirectory() as folder:
        part.save_assets(folder)
        for parent, _, files in os.walk(folder):
            inner = os.path.relpath(parent, folder).replace(os.sep, "/")
            for name in files:
                below = name if inner == "." else f"{inner}/{name}"
                with (
                    open(os.path.join(parent, name), "rb") as file,
                    writer.new(f"{prefix}/{below}") as copy,
                ):
                    shutil.copyfileobj(file, copy, _PIECE)
