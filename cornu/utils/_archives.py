"""Archives unpacked into a folder, whatever they say: files stay inside it, and no disk is filled."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import PurePosixPath, PureWindowsPath
from typing import IO, Any, NamedTuple

from ..core.checks import one_of
from ..core.files import replacing

#: How many times its own size an archive may unpack to; a small one to 1 GiB in any case.
MOST_TIMES, ALLOWED = 200, 1 << 30
#: What a file counts at least, so that many empty ones are no way around that.
BLOCK = 4096
CHUNK = 1 << 20


class Entry(NamedTuple):
    """A file or folder in an archive; what has neither content nor folder is a link or a device."""

    name: str
    is_folder: bool
    open: Callable[[], Any] | None


def unpack(archive: str, folder: str, formats: Any = "auto") -> None:
    """Unpack an archive into a folder, which takes the place of one of that name once all is there.

    Args:
        archive: The path of a file.
        folder: The path of a folder.
        formats: `"tar"`, `"zip"`, a list of them, or `"auto"` for both.

    Raises:
        ValueError: If it is no such archive or damaged, if something in it is no file or folder or leads out of it,
            or if its files are larger than those of an honest archive.
        OSError: If the disk is full.
    """
    read = _reader(archive, formats)
    budget = _Budget(archive)
    with replacing(folder) as draft, _told(archive):
        os.mkdir(draft)
        for entry in read(archive):
            path = os.path.join(draft, *_parts(entry.name, archive))
            if entry.is_folder:
                budget.take(BLOCK)
                os.makedirs(path, exist_ok=True)
            elif entry.open is None:
                raise _suspect(archive, f"{entry.name!r}, which is neither a file nor a folder")
            else:
                os.makedirs(os.path.dirname(path), exist_ok=True)
                with entry.open() as source, open(path, "wb") as target:
                    _copy(source, target, budget)


def _copy(source: IO[bytes], target: IO[bytes], budget: _Budget) -> None:
    budget.take(BLOCK)
    while content := source.read(CHUNK):
        budget.take(len(content))
        target.write(content)


class _Budget:
    """What an archive may still unpack to, in bytes."""

    def __init__(self, archive: str) -> None:
        self.archive = archive
        self.left = max(ALLOWED, MOST_TIMES * os.path.getsize(archive))

    def take(self, size: int) -> None:
        """Let it have so many more."""
        self.left -= size
        if self.left < 0:
            raise _suspect(self.archive, f"files of more than {MOST_TIMES} times its size")


def _parts(name: str, archive: str) -> tuple[str, ...]:
    """The parts of a name, which lead down only."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or PureWindowsPath(name).drive or "\0" in name:
        raise _suspect(archive, f"the name {name!r}, which leads out of its folder")
    return path.parts


def _suspect(archive: str, what: str) -> ValueError:
    return ValueError(
        "An archive has files and folders that stay within it, of an honest size. Received: "
        f"{archive!r} with {what}. Nothing of it was unpacked: take it from a source you trust, or unpack it yourself."
    )


# ------------------------------------------------------------------------------ formats


class _Format(NamedTuple):
    is_one: Callable[[str], bool]
    read: Callable[[str], Iterator[Entry]]


def _is_tar(path: str) -> bool:
    import tarfile

    return tarfile.is_tarfile(path)


def _tar(path: str) -> Iterator[Entry]:
    import tarfile

    with tarfile.open(path) as file:
        for info in file:
            content = partial(file.extractfile, info) if info.isreg() else None
            yield Entry(info.name, info.isdir(), content)
        while file.fileobj.read(CHUNK):  # at its end, gzip and its like check all that was read
            pass


def _is_zip(path: str) -> bool:
    import zipfile

    return zipfile.is_zipfile(path)


def _zip(path: str) -> Iterator[Entry]:
    import zipfile

    with zipfile.ZipFile(path) as file:
        for info in file.infolist():
            is_file = stat.S_IFMT(info.external_attr >> 16) in (0, stat.S_IFREG)
            content = partial(file.open, info) if is_file else None
            yield Entry(info.filename, info.is_dir(), content)


_FORMATS = {"tar": _Format(_is_tar, _tar), "zip": _Format(_is_zip, _zip)}


def _reader(archive: str, formats: Any) -> Callable[[str], Iterator[Entry]]:
    names = (
        list(_FORMATS)
        if formats == "auto"
        else [formats]
        if isinstance(formats, str)
        else list(formats)
    )
    for name in names:
        one_of(_FORMATS, archive_format=name)
        if _FORMATS[name].is_one(archive):
            return _FORMATS[name].read
    raise ValueError(
        f"What is unpacked is an archive, of {' or '.join(names)}. Received: {archive!r}, which is none. Leave out "
        "`extract`, or look at what the URL gives."
    )


@contextmanager
def _told(archive: str) -> Iterator[None]:
    """Errors of a damaged archive name it."""
    import gzip
    import lzma
    import tarfile
    import zipfile
    import zlib

    damaged = (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError)
    in_the_way = (FileExistsError, IsADirectoryError, NotADirectoryError)
    try:
        yield
    except (
        *damaged,
        *in_the_way,
        gzip.BadGzipFile,
        NotImplementedError,
        RuntimeError,
    ) as error:  # encrypted, or packed in a rare way
        raise ValueError(
            "An archive must be whole, and of a kind that Python unpacks. Received: "
            f"{archive!r}: {error}. Remove it, and fetch it again."
        ) from error
