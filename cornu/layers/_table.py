"""A table of strings that is looked up for all strings of an array at once, and counting of such.

Both go by 64-bit hashes, and compare the bytes of what has the same one, so they are exact. Python's objects for a
million strings would take longer than all of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ..data import Packed, joined

Array = np.ndarray[Any, Any]

#: How many strings are worked on at once: what they take stays in the processor's cache.
_MANY = 1 << 15
_FACTOR, _SHIFT = np.uint64(0x9E3779B97F4A7C15), np.uint64(29)
#: What is kept of a word of which so many bytes count.
_KEPT = np.array([(1 << 8 * n) - 1 for n in range(9)], "uint64")


def words_of(strings: Packed) -> Array:
    """The 64-bit words that begin at each byte of a buffer, as a view."""
    return np.ndarray((strings.buffer.size - 7,), "<u8", strings.buffer, strides=(1,))


def _words(strings: Packed, i: int) -> Array:
    """The word at byte `i` of each string, which has more bytes, with zeros behind its end."""
    left = np.minimum(strings.lengths - i, 8)
    return words_of(strings)[strings.starts + i] & _KEPT[left]


def hashes(strings: Packed) -> Array:
    """A hash of each string, uint64: of this process alone, for speed. Strings of one length up to 8 differ in it."""
    found = strings.lengths.astype("uint64") * _FACTOR
    found = _mixed(found, _words(strings, 0))
    rows = np.flatnonzero(strings.lengths > 8)
    for i in range(8, int(strings.lengths.max(initial=0)), 8):
        found[rows] = _mixed(found[rows], _words(strings.at(rows), i))
        rows = rows[strings.lengths[rows] > i + 8]
    return found


def _mixed(found: Array, words: Array) -> Array:
    mixed = (found ^ words) * _FACTOR
    return mixed ^ (mixed >> _SHIFT)


def equal(strings: Packed, others: Packed, places: Array) -> Array:
    """Whether each string is the one of `others` at its place, which has the same hash."""
    same = np.asarray(strings.lengths == others.lengths[places])
    rows = np.flatnonzero(same & (strings.lengths > 8))
    for i in range(0, int(strings.lengths[rows].max(initial=0)), 8):
        same[rows] = _words(strings.at(rows), i) == _words(others.at(places[rows]), i)
        rows = rows[same[rows] & (strings.lengths[rows] > i + 8)]
    return same


def pieces(strings: Packed) -> Iterator[Packed]:
    """Strings, so many at a time."""
    for start in range(0, strings.lengths.size, _MANY):
        yield strings.at(slice(start, start + _MANY))


class Table:
    """The places of strings among others, by open addressing.

    Args:
        strings: The others, in UTF-8, each once.

    >>> Table([b"a", b"b"]).find(joined([b"b", b"c", b"a"])).tolist()
    [1, -1, 0]
    """

    def __init__(self, strings: Sequence[bytes]) -> None:
        self._strings = joined(strings)
        self._hashes = hashes(self._strings)
        self._mask = (1 << (4 * len(strings)).bit_length()) - 1
        self._slots = np.full(self._mask + 1, -1, "int32")
        waiting, slots = np.arange(len(strings)), self._first_slots(self._hashes)
        while waiting.size:
            free = self._slots[slots] < 0
            self._slots[slots[free]] = waiting[free]  # of several the last one stays
            left = self._slots[slots] != waiting
            waiting, slots = waiting[left], slots[left] + 1 & self._mask

    def _first_slots(self, found: Array) -> Array:
        return ((found >> np.uint64(20)) & np.uint64(self._mask)).astype("int64")

    def find(self, strings: Packed) -> Array:
        """The place of each string, int64; -1 for those that are not there."""
        parts = [self._find(part) for part in pieces(strings)]
        return np.concatenate(parts) if parts else np.empty(0, "int64")

    def _find(self, strings: Packed) -> Array:
        wanted = hashes(strings)
        slots = self._first_slots(wanted)
        found = self._slots[slots].astype("int64")
        rows = np.flatnonzero((self._hashes[found] != wanted) & (found >= 0))
        while rows.size:  # those whose slot has another string
            slots[rows] = slots[rows] + 1 & self._mask
            found[rows] = self._slots[slots[rows]]
            rows = rows[(self._hashes[found[rows]] != wanted[rows]) & (found[rows] >= 0)]
        there = np.flatnonzero(found >= 0)
        found[there[~equal(strings.at(there), self._strings, found[there])]] = -1
        return found


def counted(strings: Packed, documents: Array | None = None) -> tuple[Any, Any]:
    """How often each string is there, and in how many documents, where the document of each is given.

    >>> counted(joined([b"a", b"b", b"a"]), np.array([0, 0, 0]))[1][b"a"]
    1
    """
    tokens, which = numbered(strings)
    counts = np.bincount(which, minlength=len(tokens))
    many = dict(zip(tokens, counts.tolist(), strict=True))
    return many, {} if documents is None else in_documents(tokens, which, documents)


def in_documents(tokens: Sequence[Any], which: Array, documents: Array) -> dict[Any, int]:
    """In how many documents each token is, by its number and its document at each place."""
    pairs = np.unique(documents * len(tokens) + which) % max(1, len(tokens))
    return dict(zip(tokens, np.bincount(pairs, minlength=len(tokens)).tolist(), strict=True))


def numbered(strings: Packed) -> tuple[list[bytes], Array]:
    """The strings, each once, and of each place the number of its string among them.

    Of many, those in every 16th place are found by a table: of a million words in 40 ms, by sorting in 130.
    """
    if strings.lengths.size <= _MANY:
        return _by_sorting(strings)
    tokens, _ = _by_sorting(strings.at(slice(None, None, 16)))
    which = Table(tokens).find(strings)
    rest = np.flatnonzero(which < 0)
    others, numbers = _by_sorting(strings.at(rest))
    which[rest] = numbers + len(tokens)
    return tokens + others, which


def _by_sorting(strings: Packed) -> tuple[list[bytes], Array]:
    parts = [np.empty(0, "uint64"), *map(hashes, pieces(strings))]
    _, first, which = np.unique(np.concatenate(parts), return_index=True, return_inverse=True)
    if equal(strings, strings.at(first), which).all():
        return [*map(strings.bytes_at, first.tolist())], which
    listed = [*map(strings.bytes_at, range(which.size))]  # two strings have one hash
    numbers = {token: i for i, token in enumerate(dict.fromkeys(listed))}
    return list(numbers), np.array([numbers[token] for token in listed])
