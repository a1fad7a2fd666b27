"""Arrays of which several processes have written their parts, each under the name of the array and its place there.

layers/dense/kernel[0:8,0:4]
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np

from ..core import processes
from ..core.variable import Variable
from ._files import BrokenFileError
from ._stores import Arrays, Stored, StoredArray

_PART = re.compile(r"(.+)\[(\d{1,18}:\d{1,18}(?:,\d{1,18}:\d{1,18})*)\]").fullmatch
Place = tuple[slice, ...]


def own_parts(name: str, value: Stored) -> Iterator[tuple[str, np.ndarray[Any, Any]]]:
    """Copies of what this process is to write of an array, by name: all where it has all."""
    if not isinstance(value, Variable):
        if processes.is_first():
            yield name, value.copy()
        return
    for start, part in value.own_parts():
        place = ",".join(f"{i}:{i + n}" for i, n in zip(start, part.shape, strict=True))
        is_whole = part.shape == value.stored_shape
        yield (name if is_whole else f"{name}[{place}]"), np.array(part)


def joined_parts(arrays: Arrays, called: str) -> Arrays:
    """Arrays by name, in the place of their parts.

    Raises:
        BrokenFileError: If parts of one are missing.
    """
    found: dict[str, StoredArray] = {}
    parts: dict[str, list[tuple[Place, StoredArray]]] = {}
    for name, array in arrays.items():
        match = _PART(name)
        if match is None:
            found[name] = array
            continue
        ranges = [part.split(":") for part in match[2].split(",")]
        place = tuple(slice(int(start), int(stop)) for start, stop in ranges)
        parts.setdefault(match[1], []).append((place, array))
    for name, places in parts.items():
        shape = tuple(
            max(part.stop for part in axis) for axis in zip(*(p for p, _ in places), strict=False)
        )
        sizes = [tuple(part.stop - part.start for part in place) for place, _ in places]
        fits = all(array.shape() == size for (_, array), size in zip(places, sizes, strict=True))
        distinct = len({tuple(part.start for part in place) for place, _ in places}) == len(places)
        if not fits or not distinct or sum(map(math.prod, sizes)) != math.prod(shape):
            raise BrokenFileError(
                "An array in files must have all of its parts, each once. Received: "
                f"{name!r:.100} in {called!r}, of the parts {[array.name for _, array in places][:4]}. Copy or save it "
                "again."
            )
        found[name] = StoredArray(name, partial(_read, shape, places), partial(tuple, shape))
    return found


def _read(
    shape: tuple[int, ...], places: Sequence[tuple[Place, StoredArray]]
) -> np.ndarray[Any, Any]:
    first = places[0][1].read()
    whole = np.empty(shape, first.dtype)
    for number, (place, array) in enumerate(places):
        whole[place] = array.read() if number else first
    return whole
