"""Strings on the host: what counts as an array of them, and their bytes one after the other.

No engine has tensors of strings. Wherever data comes in they are NumPy arrays, of `str`, `bytes` or objects that are
such: of the standard library's lists, columns of pandas and pyarrow, and TensorFlow's string tensors.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np

from ..core import tree
from ..engines.host import holds_text
from ._batch import as_read

Array = np.ndarray[Any, Any]

#: Bytes before and behind the strings: words of 8 bytes may be read from any place within.
_MARGIN = 8


class Packed(NamedTuple):
    """The bytes of strings, in one buffer.

    Attributes:
        buffer: The bytes, `uint8`, with eight more before and behind the strings.
        starts: Where each string begins, int64.
        lengths: How many bytes it has, int64.
    """

    buffer: Array
    starts: Array
    lengths: Array


def on_host(x: Any) -> Any:
    """Strings, numbers, lists of them, columns and tensors as an array; structures of such part by part.

    >>> on_host([["a"], ["b"]]).shape, on_host("a").shape
    ((2, 1), ())
    """
    if isinstance(x, np.ndarray) or x is None:
        return x
    if isinstance(x, (str, bytes)):
        return np.array(x, object)
    if isinstance(x, (list, tuple)):
        kinds = {type(leaf) for leaf in tree.flatten(x)}
        return np.array(x, object) if kinds <= {str, bytes} else np.asarray(x)
    return as_read(x)


def texts(array: Array) -> list[Any]:
    """The strings of an array as a flat list of `str` or `bytes`, as they are in it."""
    flat: list[Any] = array.ravel().tolist()
    return flat


def encoded(array: Array) -> list[bytes]:
    """The strings of an array in UTF-8; of numbers the digits."""
    if not holds_text(array):
        array = array.astype("S")
    return [x if type(x) is bytes else str(x).encode() for x in texts(array)]


def packed(array: Array) -> Packed:
    """The bytes of an array's strings in UTF-8, of its integers the digits, in one buffer."""
    if array.dtype.kind in "biu":
        array = array.astype("S")
    elif array.dtype.kind == "U":
        with suppress(UnicodeEncodeError):  # not ASCII alone
            array = array.astype("S")
    if array.dtype.kind == "S":
        flat = np.ascontiguousarray(array).ravel()
        starts = np.arange(flat.size, dtype="int64") * array.dtype.itemsize
        return _framed(flat.tobytes(), starts, np.char.str_len(flat))
    return joined(encoded(array))


def joined(strings: Sequence[bytes]) -> Packed:
    """Strings, in one buffer.

    >>> joined([b"ab", b"c"]).starts.tolist()
    [8, 10]
    """
    lengths = np.fromiter(map(len, strings), "int64", len(strings))
    return _framed(b"".join(strings), np.cumsum(lengths) - lengths, lengths)


def _framed(content: bytes, starts: Array, lengths: Array) -> Packed:
    margin = bytes(_MARGIN)
    buffer = np.frombuffer(b"".join((margin, content, margin)), "uint8")
    return Packed(buffer, starts + _MARGIN, lengths.astype("int64"))
