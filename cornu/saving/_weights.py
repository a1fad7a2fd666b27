"""Weights in HDF5 files: each object's arrays in the group `<path>/vars`, as Keras has them.

A dtype that HDF5 does not know, such as bfloat16, is stored as raw bytes with its name beside it.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from ..core.dtypes import numpy_dtype
from ..core.files import replacing_together
from ..core.variable import host_array
from ..optimizers import Optimizer
from ._files import (
    HARMLESS_BYTES,
    LARGEST_EXPANSION,
    BrokenFileError,
    is_file_object,
    require,
    warn,
)
from ._names import Names, own_variables, renaming
from ._reports import WeightsReport
from ._walk import is_seed, walk

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
            with h5py.File(guarded, "w") as file:
                yield file
        finally:
            if guarded.error is not None:
                raise guarded.error


class WeightsWriter:
    """Arrays into one HDF5 file, or into several of limited size.

    Args:
        open_file: Gives the new HDF5 file of a number, as a context.
        largest: The largest number of bytes of arrays in a file; no limit where it is left out.
    """

    def __init__(self, open_file: Callable[[int], Any], largest: float | None = None) -> None:
        self._open = open_file
        self._largest = math.inf if largest is None else largest
        self._opened = ExitStack()
        self._file = self._opened.enter_context(open_file(0))
        self._filled = 0
        self.files = 1
        self.total = 0
        #: The numbers of the files that have arrays of each group.
        self.places: dict[str, list[int]] = {}

    def write(self, model: Any, leave_out: Collection[Any] = ()) -> None:
        """Write the state of every object of a model."""
        for path, part in walk(model, leave_out):
            if hasattr(part, "save_own_variables"):
                values: dict[str, Any] = {}
                part.save_own_variables(values)
                self._write_group(f"{path}/vars" if path else "vars", part, values)

    def _write_group(self, path: str, part: Any, values: Mapping[str, Any]) -> None:
        self._group(path, part)
        for key, value in values.items():
            array = host_array(value)
            if array.dtype.kind in "OSU":
                raise ValueError(
                    "`save_own_variables` must store numbers. Received: "
                    f"store[{key!r}]={value!r} from {part!r}. Texts belong in `get_config` or "
                    "`save_assets`."
                )
            self._make_room(path, part, key, array.nbytes)
            put_array(self._group(path, part), key, array)

    def _make_room(self, path: str, part: Any, key: str, size: int) -> None:
        if size > self._largest:
            raise ValueError(
                "Each array must fit in a file. Received: max_shard_size="
                f"{self._largest / 2**30:.3g} (GB), while {key!r} of {part!r} has "
                f"{size / 2**30:.3g} GB. Raise `max_shard_size`."
            )
        if self._filled and self._filled + size > self._largest:
            self.close()
            self._file = self._opened.enter_context(self._open(self.files))
            self.files += 1
            self._filled = 0
        self._filled += size
        self.total += size
        numbers = self.places.setdefault(path, [])
        if self.files - 1 not in numbers:
            numbers.append(self.files - 1)

    def _group(self, path: str, part: Any) -> Any:
        group = self._file.require_group(path)
        if "name" not in group.attrs:
            group.attrs["name"] = getattr(part, "name", "")
        return group

    def close(self) -> None:
        """Finish the last file."""
        self._opened.close()


def put_array(group: Any, key: str, array: np.ndarray[Any, Any]) -> None:
    """Write an array into a group."""
    if array.dtype.isbuiltin == 1:
        group[key] = array
    else:
        group[key] = array.view(np.dtype(f"V{array.dtype.itemsize}"))
        group[key].attrs["dtype"] = array.dtype.name


def write_weights(model: Any, target: Any, leave_out: Collection[Any] = ()) -> None:
    """Write a model's weights as HDF5 into a path or an open file."""
    with closing(WeightsWriter(lambda number: new_file(target))) as writer:
        writer.write(model, leave_out)


def write_sharded(model: Any, path: str, largest: float, leave_out: Collection[Any] = ()) -> None:
    """Write a model's weights into several files next to `path`, which lists them as JSON.

    Args:
        model: The model.
        path: The path of the list, ending in `.weights.json`.
        largest: The largest number of bytes of arrays in a file.
        leave_out: Objects whose state is left out.
    """
    name = os.path.basename(path)
    stem = name.removesuffix(".weights.json")

    def shard(number: int) -> str:
        return f"{stem}_{number:05d}.weights.h5"

    with replacing_together(path) as drafts:
        writer = WeightsWriter(lambda n: new_file(os.path.join(drafts, shard(n))), largest)
        with closing(writer):
            writer.write(model, leave_out)
        places = {
            f"/{group}": [shard(n) for n in numbers] for group, numbers in writer.places.items()
        }
        content = {"metadata": {"total_size": float(writer.total)}, "weight_map": places}
        with open(os.path.join(drafts, name), "w", encoding="utf-8") as file:
            json.dump(content, file, indent=4)


# -------------------------------------------------------------------- reading


class StoredArray(Protocol):
    """An array in a file."""

    @property
    def name(self) -> str:
        """Its name in the file."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape; the values are not read for it."""

    def read(self) -> np.ndarray[Any, Any]:
        """Its values."""


class StoredArrays(Mapping[str, Any]):
    """The arrays of one object, read when they are asked for."""

    def __init__(self, stored: Mapping[str, StoredArray]) -> None:
        self.stored = stored

    def __getitem__(self, key: str) -> np.ndarray[Any, Any]:
        return self.stored[key].read()

    def __contains__(self, key: object) -> bool:
        return key in self.stored

    def __iter__(self) -> Iterator[str]:
        return iter(self.stored)

    def __len__(self) -> int:
        return len(self.stored)


class StoredWeights:
    """The weights in files, by the path of the object that each is of.

    Args:
        arrays: The arrays by name: an object's path, a slash, and the array's key there.
    """

    def __init__(self, arrays: Mapping[str, StoredArray]) -> None:
        self._by_name = arrays
        self._by_path: dict[str, dict[str, StoredArray]] = {}
        for name, array in arrays.items():
            path, _, key = name.rpartition("/")
            self._by_path.setdefault(path, {})[key] = array

    def arrays(self, path: str) -> StoredArrays:
        """The arrays of the object at a path; none where the file has nothing of it."""
        return StoredArrays(self._by_path.get(path, {}))

    def paths(self) -> list[str]:
        """The paths of the objects that have arrays in the file."""
        return list(self._by_path)

    def renamed(self, rename: Callable[[str], str]) -> StoredWeights:
        """The same weights by other names.

        Raises:
            ValueError: If two get the same name.
        """
        found: dict[str, StoredArray] = {}
        for name, array in self._by_name.items():
            new = rename(name)
            if new in found:
                raise ValueError(
                    "Each weight of a model comes from one array in a file. Received: the names "
                    f"{found[new].name!r} and {name!r}, which both become {new!r}. See to it in "
                    "`names`."
                )
            found[new] = array
        return StoredWeights(found)


@dataclass(frozen=True)
class HDF5Array:
    """An array in a group of an HDF5 file."""

    group: Any
    key: str
    name: str

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape.

        Raises:
            BrokenFileError: If the file does not hold it itself.
        """
        return tuple(_dataset(self.group, self.key).shape)

    def read(self) -> np.ndarray[Any, Any]:
        """Its values; errors as of `shape`."""
        dataset = _dataset(self.group, self.key)
        value = dataset[()] if dataset.shape else np.asarray(dataset[()])
        name = dataset.attrs.get("dtype")
        return value if name is None else value.view(numpy_dtype(str(name)))


def _dataset(group: Any, key: str) -> Any:
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


def _hdf5_arrays(file: Any) -> dict[str, StoredArray]:
    found: dict[str, StoredArray] = {}

    def visit(place: str, group: Any) -> None:
        path, _, last = f"/{place}".rpartition("/")
        if last == "vars" and hasattr(group, "keys"):
            names = {key: f"{path}/{key}"[1:] for key in group}
            found.update({name: HDF5Array(group, key, name) for key, name in names.items()})

    file.visititems(visit)
    return found


@contextmanager
def opened_weights(source: Any, called: str) -> Iterator[StoredWeights]:
    """The weights in an HDF5 file, given by path or as an open file.

    Raises:
        BrokenFileError: If it is none, or not complete.
    """
    with opened_file(source, called) as file:
        yield StoredWeights(_hdf5_arrays(file))


@contextmanager
def opened_file(source: Any, called: str) -> Iterator[Any]:
    import h5py

    try:
        file = h5py.File(source, "r")
    except OSError as error:
        raise BrokenFileError(
            f"A file with weights must be a complete HDF5 file. Received: {called!r}, which can't "
            f"be read: {error}. It was cut off or is of another kind: copy or save it again."
        ) from error
    with file:
        yield file


@contextmanager
def opened_shards(path: str) -> Iterator[StoredWeights]:
    """The weights in the files that a `.weights.json` lists."""
    with open(path, encoding="utf-8") as file:
        try:
            places = json.load(file)["weight_map"].values()
            lists = [[names] if isinstance(names, str) else names for names in places]
            shards = sorted({os.fspath(name) for names in lists for name in names})
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise BrokenFileError(
                "A list of weight files must be JSON with `weight_map`. Received: "
                f"filepath={path!r}: {error}. Save the weights again."
            ) from error
    folder = os.path.dirname(path)
    with ExitStack() as stack:
        arrays: dict[str, StoredArray] = {}
        for name in shards:
            if os.path.basename(name) != name:
                raise BrokenFileError(
                    f"Weight files lie next to their list. Received: {name!r} in {path!r}. Save "
                    "the weights again."
                )
            shard = os.path.join(folder, name)
            require(shard)
            arrays.update(_hdf5_arrays(stack.enter_context(opened_file(shard, shard))))
        yield StoredWeights(arrays)


# ------------------------------------------------------------- into the model


def load_state(
    model: Any,
    weights: StoredWeights,
    called: str,
    skip_mismatch: bool = False,
    leave_out: Collection[Any] = (),
    load_assets: Callable[[str, Any], None] | None = None,
    names: Names | None = None,
) -> WeightsReport:
    """Set the state of every object of a model from a file.

    Args:
        model: The model.
        weights: The open file.
        called: What errors call the file.
        skip_mismatch: Whether what does not fit is left as it is, with a warning.
        leave_out: Objects whose state is left as it is.
        load_assets: Called with the path and the object, after each object's arrays are set.
        names: The names in the model by those in the file, where they differ.

    Raises:
        ValueError: If the file is of another architecture.
    """
    parts = dict(walk(model, leave_out))
    weights = weights.renamed(renaming(parts, names))
    report = WeightsReport()
    misfits: list[Exception] = []
    for path, part in parts.items():
        if hasattr(part, "load_own_variables"):
            arrays = weights.arrays(path)
            if isinstance(part, Optimizer) and path == "optimizer" and arrays and not part.built:
                part.build(model.trainable_variables)
            misfit = _load_own(part, arrays)
            own = own_variables(part)
            anew = isinstance(part, Optimizer) and len(arrays) != len(own)
            report.note(own, arrays.stored, misfit is None and not anew)
            if misfit is not None:
                misfits.append(misfit)
        if load_assets is not None:
            load_assets(path, part)
    if misfits:
        _report(model, called, misfits, skip_mismatch)
    others = [p for p in weights.paths() if p not in parts and not p.startswith("optimizer")]
    unknown = [path for path in others if not is_seed(weights.arrays(path))]
    if unknown and not (misfits or skip_mismatch or leave_out):
        warn(
            f"The model {model.name!r} took the weights that it has a place for. Received: "
            f"{called!r}, which also has weights of {_some(unknown)}. Is it the architecture that "
            "was saved?"
        )
    for path in unknown:
        report.unexpected.extend(array.name for array in weights.arrays(path).stored.values())
    return report


def _load_own(part: Any, arrays: StoredArrays) -> Exception | None:
    """Set an object's own state; what does not fit, or None."""
    if not arrays and not getattr(part, "weights", getattr(part, "variables", ())):
        return None
    try:
        part.load_own_variables(arrays)
    except BrokenFileError:
        raise
    except Exception as error:
        # A user's `load_own_variables` may raise anything.
        return error
    return None


def _report(model: Any, called: str, misfits: list[Exception], skip_mismatch: bool) -> None:
    first = str(misfits[0]) or repr(misfits[0])
    rest = f" The same goes for {len(misfits) - 1} more." if len(misfits) > 1 else ""
    if skip_mismatch:
        warn(
            f"Some weights of {model.name!r} are left as they are, because those of {called!r} do "
            f"not fit. {first}{rest}"
        )
        return
    raise ValueError(
        f"Weights must be of the model's architecture. Received: {called!r} for the model "
        f"{model.name!r}. {first}{rest} Load it into the model that was saved, or pass "
        "`skip_mismatch=True` to leave such layers as they are."
    ) from misfits[0]


def _some(names: list[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:3])
    return f"{shown} and {len(names) - 3} more" if len(names) > 3 else shown
