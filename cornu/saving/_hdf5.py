"""Weights in HDF5 files: each object's arrays in the group `<path>/vars`, as Keras has them.

A dtype that HDF5 does not know, such as bfloat16, is stored as raw bytes with its name beside it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from functools import partial
from typing import Any

import numpy as np

from ..core import naming
from ..core.dtypes import numpy_dtype
from ._files import HARMLESS_BYTES, LARGEST_EXPANSION, BrokenFileError, is_file_object
from ._stores import Arrays, Item, StoredArray, array_of
from ._structure import check_structure


class HDF5:
    """Keras's files: a group for each object, lists that tell the files of each group."""

    ending = ".weights.h5"
    listing = ".weights.json"
    has_optimizers = True

    def write(self, target: Any, items: Sequence[Item]) -> None:
        """Write objects' arrays into a new file."""
        with new_file(target) as file:
            for item in items:
                group = group_in(file, _group(item))
                group.attrs["name"] = getattr(item.part, "name", "")
                for key, value in item.values().items():
                    put_array(group, key, array_of(value))

    @contextmanager
    def opened(self, source: Any, called: str) -> Iterator[Arrays]:
        """The arrays in a file, by name, while it is open."""
        with opened_file(source, called) as file:
            found: dict[str, StoredArray] = {}

            def visit(place: str, group: Any) -> None:
                path, _, last = f"/{place}".rpartition("/")
                for key in group if last == "vars" and hasattr(group, "keys") else ():
                    name = f"{path}/{key}"[1:]
                    found[name] = stored_array(group, key, name)

            file.visititems(visit)
            yield found

    def shard(self, stem: str, number: int, count: int) -> str:
        """The name of one of several files."""
        return f"{stem}_{number:05d}{self.ending}"

    def index(self, shards: Mapping[str, Sequence[Item]], total: int) -> dict[str, Any]:
        """The list of several files, by what is in each, and the bytes of all."""
        places: dict[str, list[str]] = {}
        for name, items in shards.items():
            for item in items:
                if item.keys:
                    places.setdefault(f"/{_group(item)}", []).append(name)
        return {"metadata": {"total_size": float(total)}, "weight_map": places}


def _group(item: Item) -> str:
    return f"{item.path}/vars" if item.path else "vars"


# -------------------------------------------------------------------- writing


class _Guarded:
    """A file that HDF5 writes to: what fails is kept in `error`, and HDF5 goes on into nothing.

    Its library would end the process: it writes again what failed as it closes the file.
    """

    def __init__(self, file: Any) -> None:
        self._file = file
        self.error: OSError | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def write(self, data: Any) -> int:
        written = 0
        while written < len(data) and self.error is None:
            written += self._done(self._file.write, data[written:]) or 0
        return len(data)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._done(self._file.seek, offset, whence) or 0

    def truncate(self, size: int) -> None:
        self._done(self._file.truncate, size)

    def flush(self) -> None:
        self._done(self._file.flush)

    def _done(self, call: Callable[..., Any], *args: Any) -> Any:
        if self.error is None:
            try:
                return call(*args)
            except OSError as error:
                self.error = error
        return None


@contextmanager
def new_file(target: Any) -> Iterator[Any]:
    """A new HDF5 file at a path, or in a file that is open for writing.

    Raises:
        OSError: If it can't be written, at the end.
    """
    import h5py

    with ExitStack() as stack:
        is_open = is_file_object(target)
        raw = target if is_open else stack.enter_context(open(target, "w+b", buffering=0))
        guarded = _Guarded(raw)
        try:
            with h5py.File(guarded, "w", libver="earliest", track_order=False) as file:
                yield file
        finally:
            if guarded.error is not None:
                raise guarded.error


def group_in(group: Any, path: str) -> Any:
    """The group at a path, made where it is missing: in the form that is read, whatever h5py's configuration is."""
    return group[path] if path in group else group.create_group(path, track_order=False)


def put_array(group: Any, key: str, array: np.ndarray[Any, Any]) -> None:
    """Write an array into a group."""
    path, _, key = key.rpartition("/")
    group = group_in(group, path) if path else group
    raw = array if array.dtype.isbuiltin == 1 else array.view(f"V{array.dtype.itemsize}")
    written = group.create_dataset(key, data=raw, track_order=False)
    if raw is not array:
        written.attrs["dtype"] = array.dtype.name


# -------------------------------------------------------------------- reading

#: So many bytes at least are read past HDF5's library.
_STRAIGHT = 2**16


@contextmanager
def opened_file(source: Any, called: str) -> Iterator[Any]:
    import h5py

    with (
        nullcontext(source) if is_file_object(source) else open(source, "rb", 0) as raw,
        _complete(called),
    ):
        check_structure(raw, called)
        with h5py.File(source, "r") as file:
            yield file


@contextmanager
def _complete(called: str) -> Iterator[None]:
    """Within it, what HDF5's library does not understand is an error that says so."""
    try:
        yield
    except Exception as error:
        if isinstance(error, BrokenFileError) or not naming.raised_in(error, "h5py"):
            raise
        raise BrokenFileError(
            f"A file with weights must be a complete HDF5 file. Received: {called!r}, which can't "
            f"be read: {error!s:.300}. It was cut off or is of another kind: copy or save it again."
        ) from error


def stored_array(group: Any, key: str, name: str) -> StoredArray:
    """An array in a group, by the name that errors and reports have for it."""
    return StoredArray(name, partial(_read, group, key), partial(_shape, group, key))


def _read(group: Any, key: str) -> np.ndarray[Any, Any]:
    with _complete(group.file.filename):
        dataset = _dataset(group, key)
        value = _whole(dataset)
        name = dataset.attrs.get("dtype")
        return value if name is None else value.view(numpy_dtype(str(name)))


def _whole(dataset: Any) -> np.ndarray[Any, Any]:
    """The values of an array: straight from the file where they lie in it as they do in memory."""
    import h5py

    stored, kind = dataset.id, dataset.dtype
    offset = stored.get_offset()
    size = dataset.size * kind.itemsize
    plain = (
        kind.kind in "fiu"
        and offset is not None
        and stored.get_create_plist().get_layout() == h5py.h5d.CONTIGUOUS
        and stored.get_storage_size() == size >= _STRAIGHT
        and stored.get_type() == h5py.h5t.py_create(kind)
    )
    file = dataset.file
    if not plain or file.driver != "sec2" or not hasattr(os, "preadv"):
        return np.asarray(dataset[()])
    found = np.empty(dataset.shape, kind)
    rest = found.reshape(-1).view(np.uint8).data
    handle = file.id.get_vfd_handle()
    while rest and (read := os.preadv(handle, [rest], offset)):
        rest, offset = rest[read:], offset + read
    if rest:
        raise BrokenFileError(
            "A file with weights must be a complete HDF5 file. Received: "
            f"{file.filename!r}, which ends {len(rest)} bytes before {dataset.name} does. It was cut off: "
            "copy or save it again."
        )
    return found


def _shape(group: Any, key: str) -> tuple[int, ...]:
    with _complete(group.file.filename):
        return tuple(_dataset(group, key).shape)


def _dataset(group: Any, key: str) -> Any:
    """An array whose values are in the file."""
    import h5py

    dataset = own_item(group, key)
    if not isinstance(dataset, h5py.Dataset) or dataset.dtype.kind in "OSU":
        raise _suspicious(group, key, "which is no array of numbers")
    if dataset.is_virtual:
        raise _suspicious(group, key, "which is made of other arrays, maybe of other files")
    if dataset.external:
        raise _suspicious(group, key, "whose values are in another file")
    stored = max(HARMLESS_BYTES, dataset.id.get_storage_size() * LARGEST_EXPANSION)
    if dataset.size * dataset.dtype.itemsize > stored:
        raise _suspicious(group, key, f"of the shape {dataset.shape}, which the file does not hold")
    return dataset


def own_item(group: Any, path: str) -> Any:
    """What is at a path below a group, in the same file; None where nothing is.

    Raises:
        BrokenFileError: If a link on the way leads elsewhere, maybe to another file.
    """
    import h5py

    for step in path.split("/"):
        link = group.get(step, getlink=True) if isinstance(group, h5py.Group) else None
        if link is None:
            return None
        if not isinstance(link, h5py.HardLink):
            raise _suspicious(group, step, "which is a link to another place")
        group = group[step]
    return group


def _suspicious(group: Any, key: str, what: str) -> BrokenFileError:
    return BrokenFileError(
        "A file with weights must hold them itself. Received: "
        f"{group.file.filename!r} with {group.name}/{key}, {what}. Save the model again."
    )
