"""Weights in safetensors files: a JSON header with names, dtypes, shapes and places, then the bytes.

https://github.com/huggingface/safetensors has the format. Names are objects' paths with the names of
variables, `layers/dense/kernel`. The library that goes by its name writes all tensors at once, gives
NumPy none of float8, and copies what it has mapped: 31 ms for 128 MB, of which reading takes 13. Here
one is in memory at a time, and a file that another process cuts off is an error, where a mapped one
ends this process.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np

from .._version import __version__
from ..core.dtypes import numpy_dtype
from ._files import LARGEST_TEXT, BrokenFileError
from ._names import join, labels
from ._stores import Arrays, Item, Stored, StoredArray, array_of, dtype_of, size_of

_KINDS = (
    "BOOL:bool I8:int8 I16:int16 I32:int32 I64:int64 U8:uint8 U16:uint16 U32:uint32 U64:uint64 "
    "F8_E4M3:float8_e4m3fn F8_E5M2:float8_e5m2 BF16:bfloat16 F16:float16 F32:float32 F64:float64 "
    "C64:complex64"
)
_DTYPES = dict(pair.split(":") for pair in _KINDS.split())
#: Of what library's kind the tensors are: `transformers` reads no file that names another one.
_METADATA = {"format": "pt", "cornu_version": __version__}
_NAMES = {name: code for code, name in _DTYPES.items()}


class Safetensors:
    """Hugging Face's files, and its lists of several."""

    ending = ".safetensors"
    listing = ".safetensors.index.json"
    has_optimizers = False

    def write(self, target: Any, items: Sequence[Item]) -> None:
        """Write objects' arrays into a new file."""
        with open(target, "wb") as file:
            for part in written(entry for item in items for entry in _named(item)):
                file.write(part)

    @contextmanager
    def opened(self, source: Any, called: str) -> Iterator[Arrays]:
        """The arrays in a file, by name, while it is open."""
        with open(source, "rb") as file:
            try:
                found = _arrays(file, called)
            except (ValueError, KeyError, TypeError, RecursionError) as error:
                raise BrokenFileError(
                    f"A safetensors file must be complete. Received: {called!r}, in which {error}. "
                    "Copy or save it again; do not use it unless you know where it is from."
                ) from error
            yield found

    def shard(self, stem: str, number: int, count: int) -> str:
        """The name of one of several files."""
        return f"{stem}-{number + 1:05d}-of-{count:05d}{self.ending}"

    def index(self, shards: Mapping[str, Sequence[Item]], total: int) -> dict[str, Any]:
        """The list of several files, by what is in each, and the bytes of all."""
        places = {}
        for shard, items in shards.items():
            for item in items:
                places.update(dict.fromkeys(_names(item, item.keys or ()).values(), shard))
        return {"metadata": {"total_size": total}, "weight_map": places}


def written(arrays: Iterable[tuple[str, Stored]]) -> Iterator[bytes | memoryview]:
    """A file with arrays by name, part by part."""
    # Wide ones first: then each lies at a multiple of its width, as PyTorch wants it.
    found = sorted(arrays, key=lambda entry: -dtype_of(entry[1]).itemsize)
    header: dict[str, Any] = {"__metadata__": _METADATA}
    end = 0
    for name, value in found:
        start, end = end, end + size_of(value)
        code = _code(name, dtype_of(value).name)
        header[name] = {"dtype": code, "shape": value.shape, "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    yield len(text).to_bytes(8, "little") + text
    for _, value in found:
        yield np.ascontiguousarray(array_of(value)).reshape(-1).view(np.uint8).data


def _names(item: Item, keys: Iterable[str]) -> dict[str, str]:
    """The names of an object's arrays by key."""
    known = labels(item.part)
    return {key: join(item.path, known.get(key, key)) for key in keys}


def _named(item: Item) -> Iterator[tuple[str, Stored]]:
    values = item.values()
    for key, name in _names(item, values).items():
        yield name, values[key]


def _code(name: str, dtype: str) -> str:
    if dtype in _NAMES:
        return _NAMES[dtype]
    raise ValueError(
        f"Safetensors files hold arrays of {sorted(_NAMES)}. Received: dtype={dtype} of {name!r}. "
        "Save the weights as `.weights.h5`."
    )


# -------------------------------------------------------------------- reading


def _read(file: Any, name: str, dtype: str, shape: list[int], start: int) -> Any:
    value = np.empty(shape, numpy_dtype(_DTYPES[dtype]))
    file.seek(start)
    if file.readinto(value.reshape(-1).view(np.uint8).data) == value.nbytes:
        return value
    raise BrokenFileError(
        f"A file must stay as it is while it is read. Received: {file.name!r}, cut off in {name!r}. "
        "Copy or save it again."
    )


def _arrays(file: Any, called: str) -> dict[str, StoredArray]:
    """The tensors that a header has, each of which has its own bytes, and all of them together all."""
    rest = os.fstat(file.fileno()).st_size - 8
    length = int.from_bytes(file.read(8), "little")
    if not 2 <= length <= min(rest, LARGEST_TEXT):
        raise ValueError(
            f"the header has {length:,} bytes, of {max(rest, 0):,} at most, or {LARGEST_TEXT:,}"
        )
    header = json.loads(file.read(length))
    if not isinstance(header, dict):
        raise ValueError("the header has no names")
    header.pop("__metadata__", None)
    found: dict[str, StoredArray] = {}
    end = 0
    for name, entry in sorted(header.items(), key=lambda pair: pair[1]["data_offsets"]):
        (start, stop), shape, dtype = entry["data_offsets"], entry["shape"], entry["dtype"]
        whole = all(type(n) is int and 0 <= n < 2**63 for n in (start, stop, *shape))
        # Arrays have 64 axes at most, and the product of many sizes would take long.
        fits = whole and len(shape) <= 64 and dtype in _DTYPES and start == end
        if not fits or stop - start != math.prod(shape) * numpy_dtype(_DTYPES[dtype]).itemsize:
            place = f"at {start!s:.30} to {stop!s:.30}, after {end}"
            raise ValueError(f"{name!r:.100} has the shape {shape!s:.100} of {dtype!s:.30} {place}")
        read = partial(_read, file, name, dtype, shape, 8 + length + start)
        found[name], end = StoredArray(name, read, partial(tuple, shape)), stop
    if end != rest - length:
        raise ValueError(f"there are {rest - length:,} bytes of tensors, of {end:,}")
    return found
