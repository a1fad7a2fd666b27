"""Weights in HDF5 files: each object's arrays in the group `<path>/vars`, as Keras has them.

A dtype that HDF5 does not know, such as bfloat16, is stored as raw bytes with its name beside it.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from typing import Any

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


class StoredArrays(Mapping[str, Any]):
    """The arrays of one object, read from its groups when they are asked for."""

    def __init__(self, groups: list[Any]) -> None:
        self._groups = {key: group for group in groups for key in group}

    def __getitem__(self, key: str) -> np.ndarray[Any, Any]:
        return _read_array(self._groups[key], key)

    def __iter__(self) -> Iterator[str]:
        return iter(self._groups)

    def __len__(self) -> int:
        return len(self._groups)


def _read_array(group: Any, key: str) -> np.ndarray[Any, Any]:
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
    value = dataset[()] if dataset.shape else np.asarray(dataset[()])
    name = dataset.attrs.get("dtype")
    return value if name is None else value.view(numpy_dtype(str(name)))


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


class StoredWeights:
    """The weights of a model, in one file or in several."""

    def __init__(self, files_of: Mapping[str, list[Any]] | None, files: list[Any]) -> None:
        self._files_of = files_of
        self._files = files

    def arrays(self, path: str) -> StoredArrays:
        """The arrays of the object at a path; none where the file has nothing of it."""
        group = f"{path}/vars" if path else "vars"
        files = self._files if self._files_of is None else self._files_of.get(f"/{group}", [])
        found = (own_item(file, group) for file in files)
        return StoredArrays([item for item in found if item is not None])

    def paths(self) -> list[str]:
        """The paths of the objects that have arrays in the file."""
        if self._files_of is not None:
            return [group[1:].removesuffix("vars").rstrip("/") for group in self._files_of]
        found: list[str] = []

        def visit(name: str, item: Any) -> None:
            if name.rpartition("/")[2] == "vars" and list(getattr(item, "keys", tuple)()):
                found.append(name.removesuffix("vars").rstrip("/"))

        self._files[0].visititems(visit)
        return found


@contextmanager
def opened_weights(source: Any, called: str) -> Iterator[StoredWeights]:
    """The weights in an HDF5 file, given by path or as an open file.

    Raises:
        BrokenFileError: If it is none, or not complete.
    """
    with ExitStack() as stack:
        yield StoredWeights(None, [stack.enter_context(opened_file(source, called))])


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
            places = json.load(file)["weight_map"]
        except (ValueError, KeyError, TypeError) as error:
            raise BrokenFileError(
                "A list of weight files must be JSON with `weight_map`. Received: "
                f"filepath={path!r}: {error}. Save the weights again."
            ) from error
    folder = os.path.dirname(path)
    names = {group: [names] if isinstance(names, str) else names for group, names in places.items()}
    with ExitStack() as stack:
        files = {}
        for name in sorted({name for group in names.values() for name in group}):
            if os.path.basename(name) != name:
                raise BrokenFileError(
                    f"Weight files lie next to their list. Received: {name!r} in {path!r}. Save "
                    "the weights again."
                )
            shard = os.path.join(folder, name)
            require(shard)
            files[name] = stack.enter_context(opened_file(shard, shard))
        yield StoredWeights({g: [files[n] for n in found] for g, found in names.items()}, [])


# ------------------------------------------------------------- into the model


def load_state(
    model: Any,
    weights: StoredWeights,
    called: str,
    skip_mismatch: bool = False,
    leave_out: Collection[Any] = (),
    load_assets: Callable[[str, Any], None] | None = None,
) -> None:
    """Set the state of every object of a model from a file.

    Args:
        model: The model.
        weights: The open file.
        called: What errors call the file.
        skip_mismatch: Whether what does not fit is left as it is, with a warning.
        leave_out: Objects whose state is left as it is.
        load_assets: Called with the path and the object, after each object's arrays are set.

    Raises:
        ValueError: If the file is of another architecture.
    """
    misfits: list[Exception] = []
    met: set[str] = set()
    for path, part in walk(model, leave_out):
        met.add(path)
        if hasattr(part, "load_own_variables"):
            arrays = weights.arrays(path)
            if isinstance(part, Optimizer) and path == "optimizer" and arrays and not part.built:
                part.build(model.trainable_variables)
            misfit = _load_own(part, arrays)
            if misfit is not None:
                misfits.append(misfit)
        if load_assets is not None:
            load_assets(path, part)
    if misfits:
        _report(model, called, misfits, skip_mismatch)
    others = [p for p in weights.paths() if p not in met and not p.startswith("optimizer")]
    unknown = [path for path in others if not is_seed(weights.arrays(path))]
    if unknown and not (misfits or skip_mismatch or leave_out):
        warn(
            f"The model {model.name!r} took the weights that it has a place for. Received: "
            f"{called!r}, which also has weights of {_some(unknown)}. Is it the architecture that "
            "was saved?"
        )


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
