"""What a file with weights is, whatever its format: arrays by name.

A name is an object's path, a slash, and the key of the array there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from ..core.dtypes import numpy_dtype
from ..core.variable import NewArrays, Variable, host_array
from ..layers import Layer
from ..optimizers import Optimizer
from ._names import stored_values
from ._walk import walk

Arrays = Mapping[str, "StoredArray"]
Stored = Variable | np.ndarray[Any, Any]
#: What puts arrays into a mapping where nobody has another way: their variables are known without it.
_PLAIN = (Layer.save_own_variables, Optimizer.save_own_variables)


class Numbered(dict[str, Any], NewArrays):
    """Arrays that were read, numbered: the weights of one layer, in order."""

    @classmethod
    def of(cls, arrays: Iterable[Any]) -> Numbered:
        """Arrays by their numbers."""
        return cls((str(index), np.asarray(x, order="C")) for index, x in enumerate(arrays))


class Format(Protocol):
    """A kind of files with weights."""

    #: How the name of a file ends, and that of a list of several.
    ending: str
    listing: str
    #: Whether the state of optimizers is in such files.
    has_optimizers: bool

    def write(self, target: Any, items: Sequence[Item]) -> None:
        """Write objects' arrays into a new file."""

    def opened(self, source: Any, called: str) -> AbstractContextManager[Arrays]:
        """The arrays in a file, by name, while it is open.

        Raises:
            BrokenFileError: If it is none of this format, or not complete.
        """

    def shard(self, stem: str, number: int, count: int) -> str:
        """The name of one of several files."""

    def index(self, shards: Mapping[str, Sequence[Item]], total: int) -> dict[str, Any]:
        """The list of several files, by what is in each, and the bytes of all."""


# -------------------------------------------------------------------- writing


@dataclass(frozen=True)
class Item:
    """An object with state, of which a file gets the arrays of some keys, or of all."""

    path: str
    part: Any
    keys: Collection[str] | None = None

    def values(self) -> dict[str, Stored]:
        """What is stored by key: variables, which stay where they are, or arrays.

        Raises:
            ValueError: If there are texts among them.
        """
        values: dict[str, Any] = {}
        if getattr(self.part.save_own_variables, "__func__", None) in _PLAIN:
            values = stored_values(self.part)
        else:
            self.part.save_own_variables(values)
        kept = values if self.keys is None else self.keys
        return {key: self._checked(key, values[key]) for key in kept}

    def _checked(self, key: str, value: Any) -> Stored:
        if isinstance(value, Variable):
            return value
        array = host_array(value)
        if array.dtype.kind in "OSU":
            raise ValueError(
                "`save_own_variables` must store numbers. Received: "
                f"store[{key!r}]={value!r} from {self.part!r}. Texts belong in `get_config` or "
                "`save_assets`."
            )
        return array


def dtype_of(value: Stored) -> np.dtype[Any]:
    """The dtype of what is stored."""
    return numpy_dtype(value.dtype) if isinstance(value, Variable) else value.dtype


def size_of(value: Stored) -> int:
    """The bytes of what is stored."""
    return math.prod(value.shape) * dtype_of(value).itemsize


def array_of(value: Stored) -> np.ndarray[Any, Any]:
    """What is stored as an array, to be written at once: it may be an engine's own memory."""
    return value.lent() if isinstance(value, Variable) else value


def items_of(model: Any, leave_out: Collection[Any] = ()) -> list[Item]:
    """The objects of a model that have state."""
    found = walk(model, leave_out)
    return [Item(path, part) for path, part in found if hasattr(part, "save_own_variables")]


def split(items: Sequence[Item], largest: float) -> tuple[list[list[Item]], int]:
    """Items for files of at most that many bytes of arrays each, in order; and the bytes of all.

    Raises:
        ValueError: If an array is larger.
    """
    shards: list[list[Item]] = [[]]
    filled = total = 0
    for item in items:
        keys: list[str] = []
        for key, value in item.values().items():
            size = size_of(value)
            if size > largest:
                raise ValueError(
                    "Each array must fit in a file. Received: max_shard_size="
                    f"{largest / 2**30:.3g} (GB), while {key!r} of {item.part!r} has "
                    f"{size / 2**30:.3g} GB. Raise `max_shard_size`."
                )
            if filled and filled + size > largest:
                shards[-1].append(replace(item, keys=keys))
                shards.append([])
                filled, keys = 0, []
            filled, total = filled + size, total + size
            keys.append(key)
        shards[-1].append(replace(item, keys=keys))
    return shards, total


# -------------------------------------------------------------------- reading


@dataclass(frozen=True)
class StoredArray:
    """An array in an open file: its name there, and what reads its values, or its shape alone.

    Reading raises a `BrokenFileError` where the file does not hold them.
    """

    name: str
    read: Callable[[], np.ndarray[Any, Any]]
    shape: Callable[[], tuple[int, ...]]


class StoredArrays(NewArrays):
    """The arrays of one object, read when they are asked for."""

    def __init__(self, stored: Arrays) -> None:
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
        arrays: The arrays by name.
        rename: What gives the name in the model for one in the file.

    Raises:
        ValueError: If two arrays get the same name.
    """

    def __init__(self, arrays: Arrays, rename: Callable[[str], str] = str) -> None:
        self._by_path: dict[str, dict[str, StoredArray]] = {}
        for name, array in arrays.items():
            path, _, key = rename(name).rpartition("/")
            kept = self._by_path.setdefault(path, {})
            if key in kept:
                raise ValueError(
                    "Each weight of a model comes from one array in a file. Received: the names "
                    f"{kept[key].name!r} and {name!r}, which both become {rename(name)!r}. See to "
                    "it in `names`."
                )
            kept[key] = array

    def arrays(self, path: str) -> StoredArrays:
        """The arrays of the object at a path; none where the file has nothing of it."""
        return StoredArrays(self._by_path.get(path, {}))

    def paths(self) -> list[str]:
        """The paths of the objects that have arrays in the file."""
        return list(self._by_path)
