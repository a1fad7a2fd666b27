"""Weights as TensorFlow.js reads them: in files of 4 MB, and a manifest that says what lies where."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..core.checks import one_of

#: What a file of weights holds: browsers keep those that are no larger.
SHARD = 4 << 20
#: How weights may be stored, and how far numbers may be apart then.
KINDS = {None: 1e-4, "float16": 1e-2, "uint8": 0.5}
#: A pattern of the files' names.
NAMES = r"group1-shard\d+of\d+\.bin"
#: The dtypes that TensorFlow.js has, and those that become one of them.
_STORED = {"float16": "float32", "bfloat16": "float32", "float64": "float32"}
_STORED |= dict.fromkeys(("int8", "int16", "int64", "uint8", "uint16", "uint32"), "int32")

Array = np.ndarray[Any, Any]


def write_shards(
    folder: Path,
    arrays: Mapping[str, Array],
    quantize: str | None = None,
    exact: Collection[str] = (),
) -> list[dict[str, Any]]:
    """Write arrays one after the other into `group1-shard1of3.bin` and so on.

    Args:
        folder: Where they are written.
        arrays: The arrays, by the names of the weights.
        quantize: `"float16"` stores floats in 16 bits; `"uint8"` those of two axes and more in 8, between the
            least and the largest number of each. TensorFlow.js computes in 32 with what they stand for.
        exact: The names of those that are stored as they are.

    Returns:
        The manifest, which stands in `model.json` as `weightsManifest`.

    Raises:
        ValueError: If `quantize` is something else, or a dtype is none that TensorFlow.js has.
        NotImplementedError: If an integer has more than 32 bits.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as name:
    ...     [group] = write_shards(Path(name), {"dense/kernel": np.eye(2, dtype="float32")})
    ...     (group["paths"], group["weights"][0], Path(name, group["paths"][0]).stat().st_size)
    (['group1-shard1of1.bin'], {'name': 'dense/kernel', 'shape': [2, 2], 'dtype': 'float32'}, 16)
    """
    one_of(tuple(KINDS), quantize=quantize)
    entries = [
        _entry(name, array, None if name in exact else quantize) for name, array in arrays.items()
    ]
    size = sum(stored.nbytes for _, stored in entries)
    count = max(1, -(-size // SHARD))
    paths = [f"group1-shard{i + 1}of{count}.bin" for i in range(count)]
    pieces = _pieces(stored for _, stored in entries)
    for path in paths:
        with (folder / path).open("wb") as file:
            file.writelines(iter(lambda: next(pieces), None))
    return [{"paths": paths, "weights": [entry for entry, _ in entries]}]


def _pieces(arrays: Iterable[Array]) -> Iterator[bytes | None]:
    """The bytes of arrays, with a None where a file is full and at the end."""
    room = SHARD
    for array in arrays:
        content = array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
        while len(content) > room:
            yield content[:room]
            yield None
            content, room = content[room:], SHARD
        yield content
        room -= len(content)
    yield None


def read_shards(folder: Path, manifest: list[dict[str, Any]]) -> dict[str, Array]:
    """The arrays that were written, as TensorFlow.js computes with them, by name."""
    arrays = {}
    for group in manifest:
        content, place = b"".join((folder / path).read_bytes() for path in group["paths"]), 0
        for entry in group["weights"]:
            how = entry.get("quantization", {})
            dtype = np.dtype(how.get("dtype", entry["dtype"])).newbyteorder("<")
            stored = np.frombuffer(content, dtype, np.prod(entry["shape"], dtype=int), place)
            place += stored.nbytes
            array = stored.reshape(entry["shape"]).astype(entry["dtype"])
            if "scale" in how:
                array = (array * how["scale"] + how["min"]).astype(entry["dtype"])
            arrays[entry["name"]] = array
    return arrays


def _entry(name: str, array: Array, quantize: str | None) -> tuple[dict[str, Any], Array]:
    """What the manifest says of a weight, and what is stored of it."""
    if array.dtype.kind == "O":  # of strings, each after its length
        content = b"".join(len(x).to_bytes(4, "little") + x for x in array.ravel())
        entry = {"name": name, "shape": list(array.shape), "dtype": "string"}
        return entry, np.frombuffer(content, "uint8")
    dtype = _STORED.get(array.dtype.name, array.dtype.name)
    if dtype not in ("float32", "int32", "bool"):
        raise ValueError(
            "TensorFlow.js has weights of float32, int32 and bool. Received: "
            f"{name!r} of {array.dtype.name}. Cast it in the model."
        )
    if dtype == "int32" and array.size and (array.min() < -(1 << 31) or array.max() >= 1 << 31):
        raise NotImplementedError(
            "TensorFlow.js has integers of 32 bits. Received: "
            f"{name!r}, of numbers from {array.min()} to {array.max()}. Use smaller ones, or floats."
        )
    entry = {"name": name, "shape": list(array.shape), "dtype": dtype}
    array = array.astype(dtype)
    if quantize is None or dtype != "float32" or not np.isfinite(array).all():
        return entry, array
    if quantize == "float16":
        if np.abs(array).max(initial=0) > np.finfo("float16").max:
            return entry, array
        return {**entry, "quantization": {"dtype": "float16"}}, array.astype("float16")
    if array.ndim < 2 or not array.size:
        return entry, array
    low, high = (float(x) for x in (min(array.min(), 0), max(array.max(), 0)))
    scale = (high - low) / 255 or 1.0
    low = round(low / scale) * scale  # so that 0 stays 0
    codes = np.clip(np.round((array.astype("float64") - low) / scale), 0, 255).astype("uint8")
    return {**entry, "quantization": {"dtype": "uint8", "min": low, "scale": scale}}, codes
