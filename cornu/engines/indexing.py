"""`x[key]` by NumPy's rules, for every engine: what a key says is worked out here, over primitives.

`get_item` takes integers and slices, `take` the indices of one axis, `gather` those of several. A mask is
the indices of its elements; a slice that goes backwards goes forward over a flipped axis.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from .contract import Engine, Tensor

_ALL = slice(None)


class _Index(NamedTuple):
    """An array or tensor of integers, and the size of the axis of the mask that it comes from."""

    places: Any
    size: Any = None


def indexed(engine: Engine, x: Tensor, key: Any) -> Tensor:
    """x[key].

    Args:
        key: Integers, slices, None, Ellipsis, arrays and tensors of integers or booleans, or a tuple of them.
    """
    sizes = engine.shape_of(x)
    if type(key) is int and sizes and isinstance(sizes[0], int) and -sizes[0] <= key < sizes[0]:
        return engine.get_item(x, (key,))  # of all keys the most frequent
    entries = _each_axis(engine, sizes, key if isinstance(key, tuple) else (key,))
    return _selected(engine, _sliced(engine, x, entries), entries)


def full_key(rank: int, key: tuple[Any, ...]) -> list[Any]:
    """A key of integers, slices, None and Ellipsis with an entry for each axis, and for each new one."""
    at = next((i for i, entry in enumerate(key) if entry is Ellipsis), len(key))
    rest = rank - sum(entry is not None and entry is not Ellipsis for entry in key)
    return [*key[:at], *[_ALL] * rest, *key[at + 1 :]]


def as_indices(engine: Engine, x: Tensor) -> Tensor:
    """Integers of a dtype that indices have."""
    return x if engine.dtype_of(x) in ("int32", "int64") else engine.cast(x, "int32")


# -------------------------------------------------------------- what a key says


def _each_axis(engine: Engine, sizes: tuple[Any, ...], key: tuple[Any, ...]) -> list[Any]:
    """A key with an entry for each axis: an integer, a slice or an `_Index`. Ellipsis stays
    before the slices it stands for: even where there are none, it keeps index arrays apart."""
    entries = [part for entry in key for part in _read(engine, entry)]
    taken = sum(entry is not None and entry is not Ellipsis for entry in entries)
    found = [at for at, entry in enumerate(entries) if entry is Ellipsis] or [len(entries)]
    if taken > len(sizes) or len(found) > 1:
        raise IndexError(
            "A key has at most one index for each axis, and one Ellipsis. "
            f"Received: {taken} indices and {sum(e is Ellipsis for e in entries)} Ellipsis for x.shape={sizes}."
        )
    entries[found[0] : found[0] + 1] = [Ellipsis, *[_ALL] * (len(sizes) - taken)]
    axes = iter(range(len(sizes)))
    return [
        entry if entry is None or entry is Ellipsis else _placed(engine, entry, sizes, next(axes))
        for entry in entries
    ]


def _read(engine: Engine, entry: Any) -> Iterator[Any]:
    """What one entry of a key says: a mask an index for each of its axes."""
    if entry is None or entry is Ellipsis or type(entry) is int:
        yield entry
        return
    if isinstance(entry, slice):
        yield slice(*map(_bound, (entry.start, entry.stop, entry.step)))
        return
    on_host = isinstance(entry, (bool, np.generic, np.ndarray, list, tuple, int))
    if on_host:
        entry = np.asarray(entry)
        entry = entry if entry.size else entry.astype("int32")
    elif not engine.is_tensor(entry):
        entry = engine.convert_to_tensor(entry)
    dtype, sizes = engine.dtype_of(entry), engine.shape_of(entry)
    if "int" in dtype:
        yield int(entry) if on_host and not sizes else _Index(entry)
    elif dtype == "bool" and sizes:
        found = np.nonzero(entry) if on_host else engine.nonzero(entry, None, 0)
        yield from map(_Index, found, sizes)
    else:
        raise IndexError(
            "An index is an integer, a slice, None, Ellipsis, or an array of integers or booleans. "
            f"Received: an array of shape {sizes} and dtype {dtype}. Cast it to int32."
        )


def _bound(bound: Any) -> Any:
    """An end or a step of a slice: NumPy's integers are Python's, whose sign says the direction."""
    return int(bound) if isinstance(bound, (np.integer, np.ndarray)) else bound


def _placed(engine: Engine, entry: Any, sizes: tuple[Any, ...], axis: int) -> Any:
    """An index of an axis, which is in range as far as is known, and an integer counted from the front."""
    size = sizes[axis]
    if isinstance(entry, slice):
        return entry
    known = isinstance(size, int)
    if type(entry) is int:
        if not known:
            return entry
        if not -size <= entry < size:
            _refuse(f"index {entry}", sizes, axis)
        return entry % size
    places, mask = entry
    if known and isinstance(mask, int) and mask != size:
        _refuse(f"a mask of {mask}", sizes, axis)
    if isinstance(places, np.ndarray):
        least, most = (places.min(), places.max()) if places.size else (0, -1)
        if known and not -size <= least <= most + 1 <= size:
            _refuse(f"indices from {least} to {most}", sizes, axis)
        places = engine.convert_to_tensor(places.astype("int32"))
    return _Index(as_indices(engine, places))


def _refuse(what: str, sizes: tuple[Any, ...], axis: int) -> None:
    raise IndexError(
        f"An index must be within its axis, a mask as long. Received: {what} for axis {axis} of a tensor of "
        f"shape {sizes}. Give one from {-sizes[axis]} to {sizes[axis] - 1}, a mask of {sizes[axis]}."
    )


# ------------------------------------------------------------ what is done about it


def _sliced(engine: Engine, x: Tensor, entries: list[Any]) -> Tensor:
    """What integers and slices take, with new axes; all of the axes that are indexed by arrays."""
    sizes, axis = engine.shape_of(x), 0
    key: list[Any] = []
    flipped: list[int] = []
    for entry in entries:
        if entry is Ellipsis:
            continue
        if isinstance(entry, slice) and isinstance(entry.step, int) and entry.step < 0:
            flipped.append(axis)
            entry = _forward(entry, sizes[axis])
        key.append(_ALL if isinstance(entry, _Index) else entry)
        axis += entry is not None
    if flipped:
        x = engine.flip(x, tuple(flipped))
    return x if all(entry is _ALL for entry in key) else engine.get_item(x, tuple(key))


def _forward(entry: slice, size: Any) -> slice:
    """What a slice that goes backwards takes of an axis, as a slice of the flipped axis."""
    start, stop = entry.start, entry.stop
    if isinstance(size, int):
        start, stop, _ = entry.indices(size)
        return slice(size - 1 - start, size - 1 - stop, -entry.step)
    start, stop = (
        None if end is None else (-1 if end < 0 else size - 1) - end for end in (start, stop)
    )
    return slice(start, stop, -entry.step)


def _selected(engine: Engine, x: Tensor, entries: list[Any]) -> Tensor:
    """What index arrays take of x, whose other axes are cut already. The axes of the arrays come in the place
    of the indexed ones where these stand together, integers among them; else first."""
    arrays: list[tuple[int, Tensor]] = []
    places: list[int] = []
    axis = slot = 0
    for place, entry in enumerate(entries):
        if type(entry) is int or isinstance(entry, _Index):
            slot = slot if places else axis
            places.append(place)
        if isinstance(entry, _Index):
            arrays.append((axis, entry.places))
        axis += entry is not Ellipsis and type(entry) is not int
    if not arrays:
        return x
    slot = slot if places[-1] - places[0] < len(places) else 0
    if len(arrays) == 1:
        begin, indices = arrays[0]
        count = len(engine.shape_of(indices))
        x = engine.take(x, indices, begin)
    else:
        begin, (axes, tensors) = 0, zip(*arrays, strict=True)
        indices = _joined(engine, tensors)
        count = len(engine.shape_of(indices)) - 1
        x = engine.gather(_moved(engine, x, axes, 0), indices)
    return _moved(engine, x, range(begin, begin + count), slot)


def _moved(engine: Engine, x: Tensor, axes: Sequence[int], target: int) -> Tensor:
    """x with some of its axes, in their order, at another place among the others."""
    every = range(len(engine.shape_of(x)))
    order = [axis for axis in every if axis not in axes]
    order[target:target] = axes
    return x if order == list(every) else engine.transpose(x, tuple(order))


def _joined(engine: Engine, tensors: Sequence[Tensor]) -> Tensor:
    """Indices of several axes as (..., k), broadcast to one shape."""
    dtypes, shapes = (list(map(of, tensors)) for of in (engine.dtype_of, engine.shape_of))
    if len(set(dtypes)) > 1:
        tensors = [engine.cast(x, "int64") for x in tensors]
    if any(shape != shapes[0] for shape in shapes):
        shape = engine.shape_of(functools.reduce(engine.add, tensors))
        tensors = [engine.broadcast_to(x, shape) for x in tensors]
    shape = (*engine.shape_of(tensors[0]), 1)
    return engine.concatenate([engine.reshape(x, shape) for x in tensors], len(shape) - 1)
