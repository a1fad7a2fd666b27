"""Strings on the host: what counts as an array of them, and their bytes one after the other.

No engine has tensors of strings. Wherever data comes in they are NumPy arrays, of `str`, `bytes` or objects that are
such: of the standard library's lists, columns of pandas and pyarrow, and TensorFlow's string tensors.
"""

from __future__ import annotations

from collections.abc import Sequence
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

    def at(self, places: Any) -> Packed:
        """Some of the strings."""
        return Packed(self.buffer, self.starts[places], self.lengths[places])

    def bytes_at(self, i: int) -> bytes:
        """One of the strings."""
        start = int(self.starts[i])
        return self.buffer[start : start + int(self.lengths[i])].tobytes()


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
        return np.array(x, object) if kinds & {str, bytes} or not kinds else np.asarray(x)
    return as_read(x)


def texts(array: Array) -> list[Any]:
    """The strings of an array as a flat list of `str` or `bytes`, as they are in it."""
    flat: list[Any] = array.ravel().tolist()
    return flat


def encoded(array: Array) -> list[bytes]:
    """The strings of an array in UTF-8; of numbers the digits.

    Raises:
        TypeError: If there is something else among them.
    """
    if not holds_text(array):
        array = array.astype("S")
    found = texts(array)
    kinds = set(map(type, found))
    if not any(all(issubclass(x, kind) for x in kinds) for kind in ((str, bytes), int)):
        wrong = next(x for x in found if not isinstance(x, (str, bytes)))
        raise TypeError(
            "Strings have no numbers among them, and none is missing. Received: "
            f"{wrong!r} (of {type(wrong).__name__}). Fill what is missing (`series.fillna('')`), make numbers "
            "strings (`astype(str)`)."
        )
    return [x if type(x) is bytes else str(x).encode() for x in found]


def packed(array: Array) -> Packed:
    """The bytes of an array's strings in UTF-8, of its integers the digits, in one buffer."""
    if array.dtype.kind in "biu":
        array = array.astype("S")
    if array.dtype.kind in "US" and array.size:
        flat = np.ascontiguousarray(array).ravel()
        size = 4 if array.dtype.kind == "U" else 1
        codes = flat.view(f"u{size}").reshape(flat.size, -1)
        if size == 1 or int(codes.max(initial=0)) < 128:
            return _of_codes(codes.astype("uint8", copy=False))
    found = texts(array)
    if set(map(type, found)) == {str}:
        together = _between("\0".join(found).encode(), len(found))
        if together is not None:
            return together
    return joined(encoded(array))


def _of_codes(codes: Array) -> Packed:
    """Strings as rows of bytes, with zeros behind their end."""
    count, width = codes.shape
    lengths = np.zeros(count, "int64")
    for column in range(width):  # in 10 ms for a million of 6 bytes, along the rows in 90
        np.putmask(lengths, codes[:, column] != 0, column + 1)
    return _framed(codes.tobytes(), np.arange(count, dtype="int64") * width, lengths)


def joined(strings: Sequence[bytes]) -> Packed:
    """Strings, in one buffer.

    >>> joined([b"ab", b"c"]).lengths.tolist()
    [2, 1]
    """
    found = _between(b"\0".join(strings), len(strings))
    if found is None:
        lengths = np.fromiter(map(len, strings), "int64", len(strings))
        found = _framed(b"".join(strings), np.cumsum(lengths) - lengths, lengths)
    return found


def _between(content: bytes, count: int) -> Packed | None:
    """Strings with a zero byte between each two; None if there are other ones."""
    whole = _framed(content, np.empty(0), np.empty(0))
    zeros = np.flatnonzero(np.frombuffer(content, "uint8") == 0)
    if zeros.size != max(0, count - 1):
        return None
    if not count:
        return whole
    ends = np.append(zeros, len(content))
    starts = np.insert(zeros + 1, 0, 0)
    return Packed(whole.buffer, starts + _MARGIN, ends - starts)


def _framed(content: bytes, starts: Array, lengths: Array) -> Packed:
    margin = bytes(_MARGIN)
    buffer = np.frombuffer(b"".join((margin, content, margin)), "uint8")
    return Packed(buffer, starts.astype("int64") + _MARGIN, lengths.astype("int64"))
