"""Arrays as requests have them: in JSON, as bytes, as pictures. Nothing takes more memory than a request may."""

from __future__ import annotations

import asyncio
import base64
import io
import math
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np

from ..core.checks import is_size
from ..core.dtypes import numpy_dtype
from ..data.images import COLOR_MODES, pillow
from ..engines.host import TEXT_KINDS
from ._failures import Failure
from ._running import Array, TensorSpec

_NAMES = (
    "bool BOOL string BYTES bfloat16 BF16 float16 FP16 float32 FP32 float64 FP64 int8 INT8 int16 INT16 "
    "int32 INT32 int64 INT64 uint8 UINT8 uint16 UINT16 uint32 UINT32 uint64 UINT64"
).split()
#: The Open Inference Protocol's names of dtypes, by NumPy's; `"string"` is text.
DATATYPES = dict(zip(_NAMES[::2], _NAMES[1::2], strict=True))
DTYPES = {datatype: dtype for dtype, datatype in DATATYPES.items()}
#: The header that says how many bytes of a body are JSON, before those of tensors.
LENGTH = "Inference-Header-Content-Length"
#: The header that says after how many milliseconds an answer is of no use.
TIMEOUT = "X-Request-Timeout-Ms"
#: The modes of Pillow's images by how many channels they have.
_MODES = {channels: mode for mode, channels in COLOR_MODES.values()}


def refused(rule: str, received: str) -> Failure:
    """A request that breaks a rule."""
    return Failure("INVALID_ARGUMENT", f"{rule} Received: {received}.")


def dtype_of(datatype: Any) -> str:
    """NumPy's name of one of the Open Inference Protocol's dtypes.

    Raises:
        Failure: If there is none.

    >>> dtype_of("FP32"), dtype_of("BYTES")
    ('float32', 'string')
    """
    if not isinstance(datatype, str) or datatype not in DTYPES:
        raise refused(f"A datatype is one of {', '.join(DTYPES)}.", f"{datatype!r}")
    return DTYPES[datatype]


@cache
def dtype_name(dtype: Any) -> str:
    """NumPy's name of a dtype, which it puts together at each call; `"string"` for text."""
    return "string" if dtype.kind in TEXT_KINDS else str(dtype.name)


def datatype_of(x: Array) -> str:
    """The Open Inference Protocol's name of an array's dtype.

    Raises:
        Failure: If it has none.
    """
    name = dtype_name(x.dtype)
    if name not in DATATYPES:
        raise refused(f"An array has one of the dtypes {', '.join(DATATYPES)}.", name)
    return DATATYPES[name]


def sized(name: str, dtype: str, shape: Any, limit: int) -> tuple[int, ...]:
    """A shape of an input, of no more bytes than a request may have.

    Raises:
        Failure: If it has more, or it is none.

    >>> sized("x", "float32", [2, 3], 24)
    (2, 3)
    """
    if not isinstance(shape, Sequence) or not all(is_size(size, 0) for size in shape):
        raise refused("A shape is a list of sizes from 0 on.", f"{shape!r} of the input {name!r}")
    size = math.prod(shape) * (8 if dtype == "string" else numpy_dtype(dtype).itemsize)
    if size > limit or len(shape) > 32:
        raise refused(
            f"An input has at most {limit:,} bytes (max_body) and 32 axes.",
            f"{name!r}, {dtype} of shape {tuple(shape)}",
        )
    return tuple(shape)


def raw(name: str, dtype: str, shape: tuple[int, ...], data: Any) -> Array:
    """An array of little-endian bytes, row-major; text is each string's length in 4 bytes, and the string.

    Nothing is copied where the bytes lie as the machine wants them, and the array is read-only then.

    Raises:
        Failure: If there are more bytes or fewer.

    >>> raw("x", "int16", (2,), bytes([1, 0, 2, 0])), raw("x", "string", (1,), bytes([2, 0, 0, 0]) + b"ab")
    (array([1, 2], dtype=int16), array([b'ab'], dtype=object))
    """
    if dtype == "string":
        return _objects(_strings(name, math.prod(shape), bytes(data)), shape)
    kind = numpy_dtype(dtype)
    if len(data) != math.prod(shape) * kind.itemsize:
        raise refused(
            f"An input's bytes are those of its shape: {math.prod(shape) * kind.itemsize} for {dtype} {shape}.",
            f"{len(data)} of {name!r}",
        )
    if dtype == "bool":  # any bit but 0 is true
        return np.frombuffer(data, np.uint8).reshape(shape) != 0
    x = np.frombuffer(data, kind).reshape(shape)
    return x if x.flags.aligned else x.copy()


def bytes_of(x: Array) -> bytes:
    """The bytes of an array, as `raw` reads them."""
    if x.dtype.kind not in TEXT_KINDS:
        return x.tobytes()
    coded = strings_of(x)
    return b"".join(part for text in coded for part in (len(text).to_bytes(4, "little"), text))


def strings_of(x: Array) -> list[bytes]:
    """The strings of an array of text, in UTF-8."""
    return [v if isinstance(v, bytes) else str(v).encode() for v in x.ravel().tolist()]


def text_of(x: Array) -> Array:
    """An array of strings, of one of bytes in UTF-8; those that are none stay bytes."""

    def text(value: Any) -> Any:
        try:
            return value.decode() if isinstance(value, bytes) else value
        except UnicodeDecodeError:
            return value

    return _objects([text(value) for value in x.ravel().tolist()], x.shape)


def from_values(name: str, dtype: str, shape: tuple[int, ...], values: Any) -> Array:
    """An array of values in a row, such as a message or a list of JSON has them.

    Raises:
        Failure: If they don't fit its dtype, or there are more of them or fewer.

    >>> from_values("x", "uint8", (2, 1), [1, 255])
    array([[  1],
           [255]], dtype=uint8)
    """
    if dtype == "string":
        return _in_shape(name, _objects(list(values), (len(values),)), shape)
    x = _in_shape(name, np.array(values), shape)
    try:
        return x.astype(bool) if dtype == "bool" else _numbers(x, dtype)
    except ValueError as error:
        raise refused(f"The input {name!r} has values of {dtype}.", str(error)) from error


def from_json(
    name: str, value: Any, dtype: str | None = None, shape: tuple[int, ...] | None = None
) -> Array:
    """An array of what JSON has: numbers, booleans, text or `{"b64": ...}`, in lists of one length each.

    Args:
        name: The name of the input.
        value: What JSON has.
        dtype: The dtype that numbers get; the nearest where it is left out.
        shape: The shape that the values have, in lists or in a row; that of the lists where it is left out.

    Raises:
        Failure: If it is anything else, or integers don't fit the dtype.

    >>> from_json("x", [[1, 2.5]], "float32"), from_json("x", [{"b64": "YWI="}, "c"])
    (array([[1. , 2.5]], dtype=float32), array([b'ab', 'c'], dtype=object))
    """
    x = np.array(value, object)
    if shape is not None:
        x = _in_shape(name, x.ravel(), shape)
    flat = x.ravel().tolist()
    kinds = set(map(type, flat))
    try:
        if kinds <= {int, float}:
            return _numbers(_wide(x, kinds, dtype), dtype)
        if kinds == {bool}:
            return x.astype(bool)
        if kinds <= {str, bytes, dict}:
            return _objects([_decoded(v) if isinstance(v, dict) else v for v in flat], x.shape)
        what = f"values of the types {sorted(kind.__name__ for kind in kinds)}"
    except (TypeError, ValueError, OverflowError) as error:
        what = f"a value that can't be read: {error}"
    raise refused(
        "Values are numbers, or booleans, or strings and {'b64': ...}, in lists of one length each.",
        f"the input {name!r} with {what}",
    )


def _wide(x: Array, kinds: set[type], dtype: str | None) -> Array:
    """Numbers of JSON in 64 bits: integers for a dtype of integers, of all digits, also where some are written 1.0."""
    kind = "i" if kinds == {int} else "f"
    if dtype not in (None, "string", "bool"):
        kind = numpy_dtype(dtype).kind
    wide = x.astype({"i": np.int64, "u": np.uint64}.get(kind, np.float64))
    if kind in "iu" and float in kinds and not (wide == x).all():
        raise ValueError(f"numbers that are not {dtype}")
    return wide


def _numbers(x: Array, dtype: str | None) -> Array:
    """Numbers as a dtype, of which integers have the same values."""
    if dtype in (None, "string", "bool"):
        return x
    with np.errstate(invalid="ignore", over="ignore"):
        cast = x.astype(numpy_dtype(dtype))
    if cast.dtype.kind in "iu" and not (cast == x).all():
        raise ValueError(f"numbers that are not {dtype}")
    return cast


def to_json(x: Array, coded: bool = False) -> Any:
    """An array as JSON has it: itself where it has numbers, else lists of strings.

    Args:
        x: The array.
        coded: Whether strings are bytes, and go as `{"b64": ...}`.
    """
    if x.dtype.kind in TEXT_KINDS:
        flat = [
            {"b64": base64.b64encode(v).decode()} if coded else v.decode(errors="replace")
            for v in strings_of(x)
        ]
        return _objects(flat, x.shape).tolist()
    return x.astype(np.float32) if x.dtype.name in ("float16", "bfloat16") else x


async def pictured(
    specs: Sequence[TensorSpec], arrays: Mapping[str, Array], limit: int
) -> Mapping[str, Array]:
    """Arrays for inputs, in which files of JPEG and PNG have become images where the model wants images.

    A channel goes from 0 to 255, in the input's dtype. An image of another size than the input's is resized.

    Args:
        specs: The model's inputs.
        arrays: An array for each, by its name; the only one may have any.
        limit: The most bytes of all images of an input.

    Raises:
        Failure: If a file can't be read, or images have too many pixels or not all the same.
    """
    files = {
        name: spec
        for name, x in arrays.items()
        for spec in specs
        if (name == spec.name or len(specs) == 1) and _is_image(spec) and x.dtype == object
    }
    if not files:
        return arrays
    images = {
        name: await asyncio.to_thread(_images, spec, arrays[name], limit)
        for name, spec in files.items()
    }
    return {**arrays, **images}


def _is_image(spec: TensorSpec) -> bool:
    return (
        len(spec.shape) == 4 and spec.shape[-1] in _MODES and spec.dtype[:5] in ("float", "uint8")
    )


def _images(spec: TensorSpec, files: Array, limit: int) -> Array:
    """Images of a model's input, of their files. All of them are in memory at once."""
    Image = pillow()
    height, width, channels = spec.shape[1:]
    assert channels is not None  # of `_is_image`
    flat, found = files.ravel().tolist(), list[Array]()
    for file in flat:
        try:
            image = Image.open(io.BytesIO(file), formats=("JPEG", "PNG"))
            shape = (len(flat), height or image.height, width or image.width, channels)
            for size in ((len(flat), image.height, image.width, channels), shape):
                sized(spec.name, spec.dtype, size, limit)
            image = image.convert(_MODES[channels])
            if image.size != (shape[2], shape[1]):
                image = image.resize((shape[2], shape[1]), Image.Resampling.BILINEAR)
            found.append(np.asarray(image, spec.dtype).reshape(*shape[1:3], -1))
        except Failure:
            raise
        except Exception as error:  # decoders raise whatever a broken file leads them to
            raise refused(
                f"{spec} takes numbers, or files of JPEG or PNG (in JSON as {{'b64': ...}}).",
                f"a file that can't be read: {error}",
            ) from error
    if len({x.shape for x in found}) > 1:
        raise refused("Images of a request have one size.", f"{sorted({x.shape for x in found})}")
    return (
        np.stack(found) if found else np.empty((0, height or 1, width or 1, channels), spec.dtype)
    )


def _in_shape(name: str, x: Array, shape: tuple[int, ...]) -> Array:
    if x.size != math.prod(shape):
        raise refused(
            f"An input has as many values as its shape: {math.prod(shape)} for {shape}.",
            f"{x.size} of {name!r}",
        )
    return x.reshape(shape)


def _objects(values: list[Any], shape: tuple[int, ...]) -> Array:
    x = np.empty(len(values), object)
    x[:] = values
    return x.reshape(shape)


def _decoded(value: dict[str, Any]) -> bytes:
    """The bytes of an object of JSON. What else it is, is a `ValueError`."""
    if value.keys() != {"b64"} or not isinstance(value["b64"], str):
        raise ValueError(f"an object with {sorted(value)[:8]}")
    return base64.b64decode(value["b64"], validate=True)


def _strings(name: str, count: int, data: bytes) -> list[bytes]:
    """Strings, each with its length before it."""
    found, place = list[bytes](), 0
    while len(found) < count and place + 4 <= len(data):
        start = place + 4
        place = start + int.from_bytes(data[place:start], "little")
        found.append(data[start:place])
    if len(found) != count or place != len(data):
        raise refused(
            f"The input {name!r} has {count} strings, each with its length in 4 bytes before it.",
            f"{len(data)} bytes that are not that",
        )
    return found
