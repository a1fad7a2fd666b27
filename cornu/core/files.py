"""Files that take the place of others whole, or not at all."""

from __future__ import annotations

import ctypes
import errno
import itertools
import os
import re
import shutil
import signal
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import gettempdir
from typing import Any, NoReturn

from . import processes

#: What a system says where a disk, a quota or the largest size of a file is used up.
FULL = frozenset({errno.ENOSPC, errno.EFBIG, errno.EDQUOT})
#: How the names of what is being written end.
_ENDING = ".tmp"
#: Seconds of writing from which a disk is better kept busy beside it.
_A_WHILE = 0.05


@contextmanager
def replacing(path: str | os.PathLike[str], alone: bool = False) -> Iterator[str]:
    """A path to write a file or a folder to, which takes the place of `path` once the block is done.

    What is there stays as it is until then, and for good where the block fails. What is new is
    written next to it, so that taking its place is a single step. Of several processes number 0's takes it, and is
    there for all at the end; the others run the block too, for what is written may lie on all. With `alone` this
    one writes by itself.

    Raises:
        OSError: If there is no such folder, it can't be written to, or the disk is full.
    """
    if not (alone or processes.is_first()):
        with processes.discarded(path) as draft:
            yield draft
        processes.wait()
        return
    target = os.path.realpath(path)
    with _draft(target, path) as draft:
        os.rmdir(draft)
        with _flushed_beside(draft):
            yield draft
        _put(draft, target)
    if not alone:
        processes.wait()


@contextmanager
def replacing_jointly(path: str | os.PathLike[str], key: str) -> Iterator[str]:
    """A folder that several processes write files into; it takes the place of `path` when number 0 is done.

    Args:
        path: The path.
        key: 8 hexadecimal digits, the same in each process and new each time.

    Raises:
        OSError: As of `replacing`.
    """
    target = os.path.realpath(path)
    draft = draft_name(target, key)
    try:
        with told_where_full(path):
            os.makedirs(draft, exist_ok=True)
            yield draft
            if processes.is_first():
                _put(draft, target)
    except BaseException:
        _remove(draft)
        raise


@contextmanager
def replacing_together(path: str | os.PathLike[str]) -> Iterator[str]:
    """A folder for a file and those that it refers to, which come to the folder of `path` at the end.

    The file comes last, when what it refers to is there. Where the block fails, nothing stays.

    Raises:
        OSError: As of `replacing`.
    """
    if not processes.is_first():
        with processes.discarded(path) as draft:
            yield os.path.dirname(draft)
        processes.wait()
        return
    folder, main = os.path.split(os.path.abspath(path))
    with _draft(os.path.join(folder, main), path) as draft:
        yield draft
        places = [(os.path.join(draft, x), os.path.join(folder, x)) for x in os.listdir(draft)]
        for place in places:
            _check_kind(*place)
        for place in sorted(places, key=lambda place: os.path.basename(place[0]) == main):
            _put(*place)
    processes.wait()


def check_replaceable(path: str | os.PathLike[str], names: str, main: str | None = None) -> None:
    r"""See that a path is free, or a folder with nothing in it but what may be replaced.

    Args:
        path: The path.
        names: A pattern of the names that the folder may hold.
        main: The name that it has among them where it isn't empty: others alone, such as `assets`, are somebody's.

    Raises:
        FileExistsError: If something else is there.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     check_replaceable(folder, r"model\.json|.*\.bin", "model.json")
    """
    if not os.path.lexists(path):
        return
    found = sorted(os.listdir(path)) if os.path.isdir(path) else None
    lacks = main is not None and main not in (found or ())
    other = next((name for name in found or () if lacks or not re.fullmatch(names, name)), None)
    here = main is not None and os.path.realpath(path) == os.path.realpath(os.curdir)
    if found is None or other is not None or here:
        what = (
            "a file"
            if found is None
            else f"a folder with {other!r}"
            if other
            else "the current one"
        )
        raise FileExistsError(
            errno.EEXIST,
            "A folder that is written takes the place of one of its kind alone. Received: "
            f"filepath={os.fspath(path)!r}, {what}. Choose another name, or remove what is there.",
        )


@contextmanager
def making_folder(path: str | os.PathLike[str]) -> Iterator[None]:
    """Within it a folder is there, and those that it is in; where the block fails, those that are new go again.

    Raises:
        OSError: If they can't be made.
    """
    new = [x for x in (Path(path), *Path(path).parents) if not os.path.exists(x)]
    try:
        try:
            os.makedirs(path, exist_ok=True)
        except OSError as error:
            raise type(error)(
                error.errno,
                "A file is written to a folder that is there, or can be made. Received: "
                f"{os.fspath(path)!r}: {error.strerror} ({error.filename!r}). Choose another.",
            ) from error
        yield
    except BaseException:
        for folder in new:
            with suppress(OSError):  # it was never made, or somebody else's files are in it
                folder.rmdir()
        raise


def names_like(stem: str) -> Iterator[str]:
    """A name for files that others refer to, and what takes its place while files of it are there: whoever is
    replaced keeps its own until it is."""
    yield stem
    yield from (f"{stem}.again{number}" for number in itertools.count(1))


def like(stem: str, rest: str) -> re.Pattern[str]:
    """What fits the names of `names_like`, each with a pattern for the rest."""
    return re.compile(rf"{re.escape(stem)}(\.again\d+)?{rest}")


def remove_drafts(folder: str | os.PathLike[str], names: str) -> None:
    """Remove what processes that were killed while they wrote files of such names, a pattern, left in a folder."""
    for path in Path(folder).glob(f".{names}.{'[0-9a-f]' * 8}{_ENDING}"):
        _remove(str(path))


def remove(path: str | os.PathLike[str]) -> None:
    """Remove a file or a folder: it is gone whole, or there."""
    draft = draft_name(os.path.abspath(path))
    os.rename(path, draft)
    _remove(draft)


@contextmanager
def alone(path: str | os.PathLike[str]) -> Iterator[None]:
    """Within it no other process or thread is within it for the same path, where the system has locks of files."""
    folder, name = os.path.split(os.path.abspath(path))
    lock = os.path.join(folder, f".{name}.lock")
    while True:
        file = open(lock, "ab")  # noqa: SIM115  (closed below)
        _lock(file)
        with suppress(FileNotFoundError):  # who had it before has removed it
            if os.path.samestat(os.fstat(file.fileno()), os.stat(lock)):
                break
        file.close()
    try:
        yield
    finally:
        with suppress(OSError):  # who waits opens a new one
            os.remove(lock)
        file.close()


def _lock(file: Any) -> None:
    """Wait until nobody else has an open file."""
    with suppress(ImportError, OSError):  # Windows, and disks of a network, may have none
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX)


def draft_name(target: str, key: str | None = None) -> str:
    """A path beside a target to write it to: a new one, or that of a key, 8 hexadecimal digits."""
    folder, name = os.path.split(target)
    return os.path.join(folder, f".{name}.{key or uuid.uuid4().hex[:8]}{_ENDING}")


@contextmanager
def _draft(target: str, path: str | os.PathLike[str]) -> Iterator[str]:
    """A new folder beside a target, which is gone at the end, with errors that say what to do."""
    draft = draft_name(target)
    try:
        os.mkdir(draft)
    except OSError as error:
        _refuse(error, os.fspath(path))
    try:
        with _ended_by_an_exception(), told_where_full(path):
            yield draft
    finally:
        _remove(draft)  # h5py and zipfile leave a file behind where they fail


@contextmanager
def _ended_by_an_exception() -> Iterator[None]:
    """Within it a SIGTERM that nobody handles is an exception, so that drafts go before the process ends."""
    ours = threading.current_thread() is threading.main_thread()
    if not ours or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, _end)
    try:
        yield
    finally:
        if signal.getsignal(signal.SIGTERM) is _end:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _end(number: int, frame: Any) -> NoReturn:
    raise SystemExit(128 + number)


@contextmanager
def told_where_full(path: str | os.PathLike[str]) -> Iterator[None]:
    """Within it, the error of a full disk says what is there, and what to do."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            _refuse(error, os.fspath(path))
        raise


def _refuse(error: OSError, path: str) -> NoReturn:
    folder = os.path.dirname(os.path.abspath(path))
    if not os.path.exists(folder):
        raise FileNotFoundError(
            f"A file is saved in a folder that exists. Received: filepath={path!r}, whose folder "
            f"{folder!r} does not. Make it with `os.makedirs({folder!r})`."
        ) from error
    if error.errno in FULL:
        free = [f"{shutil.disk_usage(x).free:,} bytes in {x!r}" for x in (folder, gettempdir())]
        raise OSError(
            error.errno,
            f"A file is saved where there is room for it. Received: filepath={path!r}: "
            f"{os.strerror(error.errno)}; free are {' and '.join(free)}. What was there is as it was. "
            "Free some space, or choose another folder.",
        ) from error
    raise type(error)(
        f"A file is saved in a folder that can be written to. Received: filepath={path!r}: "
        f"{error.strerror or error} ({folder!r}). Choose another folder, or change its permissions."
    ) from error


def _put(draft: str, target: str) -> None:
    """Let a file or a folder take the place of another."""
    if os.path.isdir(draft):
        for parent, _, names in os.walk(draft):
            for name in names:
                _flush(os.path.join(parent, name))
            _flush_names(parent)
        _put_folder(draft, target)
    else:
        _check_kind(draft, target)
        if os.path.exists(target):
            shutil.copymode(target, draft)
        _flush(draft)
        os.replace(draft, target)
    _flush_names(os.path.dirname(target))


def _check_kind(draft: str, target: str) -> None:
    if os.path.isfile(draft) and os.path.isdir(target):
        raise IsADirectoryError(
            errno.EISDIR,
            "A file takes the place of no folder. Received: "
            f"filepath={target!r}, a folder. Choose another name, or remove it.",
        )


def _put_folder(draft: str, target: str) -> None:
    """Let a folder take the place of another, which is kept until it is there."""
    if not os.path.exists(target):
        os.rename(draft, target)
        return
    if _exchange(draft, target):
        return  # the draft is the old one now, which goes
    before = f"{draft}.before"
    os.rename(target, before)
    try:
        os.rename(draft, target)
    except OSError:
        os.rename(before, target)
        raise
    _remove(before)


@contextmanager
def _flushed_beside(path: str) -> Iterator[None]:
    """Within it, what is written into a file goes to the disk while more is written, if that takes a while."""
    from concurrent.futures import ThreadPoolExecutor

    done = threading.Event()

    def flush() -> None:
        while not done.wait(_A_WHILE):
            if os.path.isfile(path):
                _flush(path)

    with ThreadPoolExecutor(1) as beside:
        flushed = beside.submit(flush)
        try:
            yield
        finally:
            done.set()
        flushed.result()  # what a disk refuses it says once


def _exchange(one: str, other: str) -> bool:
    """Let two names change places in a single step, and tell whether the system can."""
    rename = getattr(ctypes.CDLL(None), "renameat2", None)
    here, exchange = -100, 2  # AT_FDCWD, RENAME_EXCHANGE: Linux's
    return rename is not None and not rename(
        here, os.fsencode(one), here, os.fsencode(other), exchange
    )


def _flush(path: str) -> None:
    """Have the content on the disk before its name is: else a crash could leave an empty file."""
    with open(path, "rb+") as file:
        os.fsync(file.fileno())


def _flush_names(folder: str) -> None:
    """Have the names of a folder's files on the disk, where the system can."""
    with suppress(OSError):
        opened = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)


def _remove(path: str) -> None:
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path, ignore_errors=True)
    elif os.path.lexists(path):
        os.remove(path)
