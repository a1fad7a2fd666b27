"""The structure of an HDF5 file, checked before HDF5's library reads it.

That trusts the numbers in a file: a few wrong ones end the process, or keep it in a loop that nothing
interrupts. So a file must have what Keras and Cornu write, which is h5py's default: superblock 0, groups
as symbol tables, headers of version 1. Arrays lie in one piece, or in several that gzip or LZF has packed. Every
place lies within the file, every walk ends. The format:
https://support.hdfgroup.org/documentation/hdf5/latest/_f_m_t3.html
"""

from __future__ import annotations

import math
import os
import struct
import zlib
from collections.abc import Iterator
from typing import Any

from ._files import HARMLESS_BYTES, LARGEST_EXPANSION, BrokenFileError

_NOWHERE = 2**64 - 1
_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_NIL, _SPACE, _LINKS, _TYPE, _OLD_FILL, _FILL, _LINK, _LAYOUT = 0, 1, 2, 3, 4, 5, 6, 8
_GROUP, _FILTERS, _ATTRIBUTE, _CONTINUATION, _TABLE, _TIME = 10, 11, 12, 16, 17, 18
_KNOWN = {_NIL, _SPACE, _LINKS, _TYPE, _OLD_FILL, _FILL, _LINK, _LAYOUT}
_KNOWN |= {_GROUP, _FILTERS, _ATTRIBUTE, _CONTINUATION, _TABLE, _TIME}
#: Messages of headers that no file of weights has, and what they say.
_REFUSED = {
    7: "values in another file",
    21: "many attributes",
}
#: What packs values, in the order of writing.
_SHUFFLE, _GZIP, _LZF, _SUM = 2, 1, 32000, 3
#: The most pieces that a node of a tree has in files of superblock 0, and what is unpacked at once.
_PIECES, _UNPACKED = 64, 2**20
#: The classes of datatypes: how many bytes describe one, after the first eight.
_INTEGER, _FLOAT, _STRING, _OPAQUE, _COMPOUND, _ENUM, _LENGTHY = 0, 1, 3, 5, 6, 8, 9


def check_structure(file: Any, called: str) -> None:
    """See that an open file is an HDF5 file of which a library may trust the numbers.

    Raises:
        BrokenFileError: If it is none, or has what files of weights have not.
    """
    file.seek(0, os.SEEK_END)
    try:
        _Structure(file, file.tell()).check()
    except (_Wrong, struct.error, zlib.error, IndexError) as error:
        raise BrokenFileError(
            "A file with weights must hold them itself: a complete HDF5 file, as h5py writes it by "
            f"default. Received: {called!r}, with {error}. It was cut off or is of another kind: copy "
            "or save it again."
        ) from error
    finally:
        file.seek(0)


class _Wrong(Exception):
    """What is wrong with a file."""


def _require(holds: bool, what: str) -> None:
    if not holds:
        raise _Wrong(what)


class _Structure:
    """A file, the places that were met in it, and the sizes of its nodes."""

    def __init__(self, file: Any, size: int) -> None:
        self.file, self.size = file, size
        self.headers: set[int] = set()
        self.heaps: dict[int, dict[int, int]] = {}
        self.leaf = self.inner = 0
        #: Bytes that may still be read: what many names refer to would take for ever.
        self.left = 8 * size + 2**20
        #: Bytes that they may still unpack to.
        self.unpacked = max(HARMLESS_BYTES, LARGEST_EXPANSION * size)

    def read(self, place: int, size: int) -> bytes:
        """Bytes of a place."""
        within = 0 <= place <= self.size - size
        _require(within, f"{size:,} bytes at {place:,} of {self.size:,}: it is a truncated file")
        self.left -= size
        _require(self.left > 0, "parts that are parts of many others")
        self.file.seek(place)
        data: bytes = self.file.read(size)
        _require(len(data) == size, "bytes that are missing")
        return data

    def check(self) -> None:
        start = self.read(0, 96)
        _require(start[:8] == _SIGNATURE, "the start of another kind of file")
        _require(
            start[8:15] == b"\0\0\0\0\0\x08\x08",
            "a superblock of another version, as of `libver='latest'`",
        )
        self.leaf, self.inner = struct.unpack("<HH", start[16:20])
        base, free, end, driver = struct.unpack("<4Q", start[24:56])
        told = base == 0 and free == driver == _NOWHERE and self.leaf and self.inner
        _require(bool(told), "a superblock of another kind")
        _require(end <= self.size, f"{self.size:,} bytes of {end:,}: it is a truncated file")
        self.size = end
        waiting = [self.entry(start[56:96])]
        while waiting:
            place, cached = waiting.pop()
            waiting += self.header(place, cached)

    def entry(self, data: bytes) -> tuple[int, Any]:
        """The place of a named object, and what the entry says of where its group lies."""
        _, place, cache, _, tree, heap = struct.unpack("<QQIIQQ", data)
        _require(cache != 2, "a link to another place")
        _require(cache in (0, 1), "a name of another kind")
        return place, (tree, heap) if cache else None

    # ----------------------------------------------------------------- headers

    def header(self, place: int, cached: Any) -> list[tuple[int, Any]]:
        """The objects in a group; nothing for an array, or where it was met before."""
        if place in self.headers and cached is None:
            return []
        again = place in self.headers
        self.headers.add(place)
        messages = list(self.messages(place))
        tables = [data[:16] for kind, data in messages if kind == _TABLE]
        found = [struct.unpack("<QQ", table) for table in tables]
        kept = dict(messages)
        stale = cached if _LINKS in kept else None  # a group that was made over is told as it was
        _require(len(found) < 2 and cached in (None, stale, *found), "a group in two places")
        if again:
            return []
        for data in (data for kind, data in messages if kind == _ATTRIBUTE):
            self.attribute(data)
        linked = [self.link(data) for kind, data in messages if kind == _LINK]
        if _LINKS in kept:
            links = kept[_LINKS]
            (heap,) = struct.unpack_from("<Q", links, 2 + 8 * (links[1] & 1))
            _require(heap == _NOWHERE, "more than eight names in a group, of letters beyond ASCII")
        if _LAYOUT in kept:
            _require(not found and {_SPACE, _TYPE} <= kept.keys(), "an array without a shape")
            self.array(kept)
        return [*linked, *(self.group(*found[0]) if found else ())]

    def messages(self, place: int) -> Iterator[tuple[int, bytes]]:
        """The parts of a header, each with its kind."""
        start = self.read(place, 16)
        version, _, count, _, size = struct.unpack("<BBHII", start[:12])
        _require(start[:4] != b"OHDR", "an order of names, as of `track_order=True`")
        _require(version == 1, "bad object header version number")
        chunks, met, seen = [(place + 16, size)], 0, {place + 16}
        while chunks:
            at, size = chunks.pop()
            data, position = self.read(at, size), 0
            while position < size:
                kind, length, flags = struct.unpack_from("<HHB", data, position)
                part = data[position + 8 : position + 8 + length]
                _require(len(part) == length and length % 8 == 0, "a part of a header cut off")
                _require(kind not in _REFUSED, _REFUSED.get(kind, ""))
                known = kind in _KNOWN and not flags & 2
                _require(known, f"a part of a header of the kind {kind}")
                if kind == _CONTINUATION:
                    chunk = struct.unpack_from("<QQ", part)
                    _require(chunk[0] not in seen and chunk[1] > 0, "a header without end")
                    seen.add(chunk[0])
                    chunks.append(chunk)
                yield kind, part
                position, met = position + 8 + length, met + 1
        _require(met == count, "parts of a header that are missing")

    def link(self, data: bytes) -> tuple[int, Any]:
        """The place of an object in a group of which a name has letters beyond ASCII."""
        version, flags = data[:2]
        at = 2 + (flags >> 3 & 1) + 8 * (flags >> 2 & 1) + (flags >> 4 & 1)
        _require(version == 1 and not (flags & 8 and data[2]), "a link to another place")
        width = 1 << (flags & 3)
        length = int.from_bytes(data[at : at + width], "little")
        (place,) = struct.unpack_from("<Q", data, at + width + length)
        return place, None

    def array(self, kept: dict[int, bytes]) -> None:
        """See that the values of an array are in the file, where any are."""
        layout = kept[_LAYOUT]
        count, _ = self.space(kept[_SPACE])
        rank = kept[_SPACE][1]
        size, _ = self.datatype(kept[_TYPE])[1:]
        _require(layout[0] == 3, "values that are made of other arrays, maybe of other files")
        _require(layout[1] == 2 or _FILTERS not in kept, "a filter of one piece")
        if layout[1] == 2:
            sides = struct.unpack_from(f"<{rank + 1}I", layout, 11)
            _require(layout[2] == rank + 1 and rank > 0, "pieces of another shape")
            _require(min(sides) > 0 and sides[-1] == size, "pieces of another size")
            (place,) = struct.unpack_from("<Q", layout, 3)
            self.pieces(place, sides, kept.get(_FILTERS))
        elif layout[1] == 1:
            place, length = struct.unpack_from("<QQ", layout, 2)
            nothing = place == _NOWHERE
            _require(nothing or length == count * size, "an array of another size")
            _require(nothing or place + length <= self.size, "values cut off: a truncated file")
        else:
            _require(layout[1] == 0, "an array of another kind")
            (length,) = struct.unpack_from("<H", layout, 2)
            _require(length == count * size <= len(layout) - 4, "an array of another size")
        for kind, at in ((_OLD_FILL, 0), (_FILL, 4)):
            if kind in kept:
                self.fill(kept[kind], at, size)

    def pieces(self, root: int, sides: tuple[int, ...], told: bytes | None) -> None:
        """See that the pieces of an array are in the file, and unpack to their size."""
        size = math.prod(sides)
        filters = [] if told is None else list(self.filters(told, sides[-1], size))
        known = [x for x in (_SHUFFLE, _GZIP, _LZF, _SUM) if x in filters]
        _require(filters == known and not {_GZIP, _LZF} <= {*filters}, "a filter of another kind")
        if root == _NOWHERE:
            return
        for key, place in self.tree(root, 1, 8 + 8 * len(sides), _PIECES):
            if place is None:
                continue
            length, skipped = struct.unpack_from("<II", key)
            used = [x for n, x in enumerate(filters) if not skipped >> n & 1]
            own = length - 4 * (_SUM in used)
            largest = max(HARMLESS_BYTES, own * LARGEST_EXPANSION)
            _require(own > 0 and size <= largest, "pieces that unpack to far more than their size")
            _require(place + length <= self.size, "values cut off: a truncated file")
            if _GZIP in used:
                self.unpack(self.read(place, own), size)
            _require(own == size or bool({_GZIP, _LZF} & {*used}), "a piece of another size")

    def unpack(self, data: bytes, size: int) -> None:
        """See that packed values have a size."""
        self.unpacked -= size
        _require(self.unpacked > 0, "pieces that are pieces of many others")
        packed, found = zlib.decompressobj(), 0
        while data and not packed.eof and found <= size:
            found += len(packed.decompress(data, _UNPACKED))
            data = packed.unconsumed_tail
        _require(packed.eof and found == size, "a piece of another size")

    def filters(self, data: bytes, element: int, piece: int) -> Iterator[int]:
        """What packs values whose elements and pieces have so many bytes."""
        _require(data[0] == 1 and data[1] <= 3, "a filter of another version")
        at = 8
        for _ in range(data[1]):
            kind, name, _, count = struct.unpack_from("<4H", data, at)
            text = data[at + 8 : at + 8 + name]
            _require(not name or b"\0" in text, "a filter without a name")
            numbers = struct.unpack_from(f"<{count}I", data, at + 8 + name)
            at += 8 + name + 4 * (count + count % 2)
            fits = {_SHUFFLE: numbers == (element,), _LZF: numbers[2:3] == (piece,)}
            _require(fits.get(kind, True) and at <= len(data), "a filter of other sizes")
            yield kind

    def fill(self, data: bytes, at: int, size: int) -> None:
        if at:
            _require(data[0] in (1, 2, 3), "a value of another version")
            defined = data[1] & 0x20 if data[0] == 3 else data[0] == 1 or data[3]
            at = 2 if data[0] == 3 else 4
            if not defined:
                return
        (length,) = struct.unpack_from("<i", data, at)
        _require(length <= 0 or length == size, "a value of another size")
        _require(at + 4 + max(0, length) <= len(data), "a value cut off")

    def space(self, data: bytes) -> tuple[int, int]:
        """The number of elements, and the bytes that say it."""
        version, rank, flags, kind = data[:4]
        start = {1: 8, 2: 4}.get(version, 0)
        _require(bool(start) and rank <= 32 and flags in (0, 1), "a shape of another version")
        _require(version == 1 or kind in (0, 1, 2), "a shape of another kind")
        sizes = struct.unpack_from(f"<{rank}Q", data, start)
        count = math.prod(sizes)
        _require(count < 2**60, "an array of another size")
        end = start + 8 * rank * (2 if flags else 1)
        _require(end <= len(data), "a shape cut off")
        return 0 if version == 2 and kind == 2 else count, end

    # --------------------------------------------------------------- datatypes

    def datatype(self, data: bytes, depth: int = 0) -> tuple[int, int, int]:
        """The class of a datatype, the bytes of an element, and those that say it."""
        kind, version = data[0] & 15, data[0] >> 4
        bits, size = int.from_bytes(data[1:4], "little"), int.from_bytes(data[4:8], "little")
        _require(version in (1, 2, 3) and len(data) >= 8 and depth < 3, "a datatype of its own")
        _require(0 < size < 2**31, "a datatype without a size")
        if kind == _INTEGER:
            offset, precision = struct.unpack_from("<HH", data, 8)
            _require(offset == 0 and precision == 8 * size <= 64, "integers of another size")
            return kind, size, 12
        if kind == _FLOAT:
            offset, precision, *places, _ = struct.unpack_from("<HHBBBBI", data, 8)
            exponent, mantissa = sum(places[:2]), sum(places[2:])
            fits = max(exponent, mantissa, bits >> 8 & 255) <= precision and min(places[1::2]) > 0
            _require(
                fits and offset == 0 and precision == 8 * size <= 128, "floats of a strange kind"
            )
            return kind, size, 20
        if kind == _STRING:
            return kind, size, 8
        if kind == _OPAQUE:
            tag = bits & 255
            _require(tag % 8 == 0 and b"\0" in data[8 : 8 + tag] + b"\0" * (not tag), "a bad tag")
            return kind, size, 8 + tag
        if kind == _LENGTHY:
            _require(bits & 15 == 1 and size == 16, "arrays of many lengths")
            inner, one, end = self.datatype(data[8:], depth + 1)
            _require(inner in (_STRING, _INTEGER) and one == 1, "texts of strange letters")
            return kind, size, 8 + end
        _require(kind in (_ENUM, _COMPOUND) and version < 3, "a datatype of another kind")
        return kind, size, self.members(kind, bits & 0xFFFF, size, data, depth)

    def members(self, kind: int, count: int, size: int, data: bytes, depth: int) -> int:
        """The bytes of a datatype with names: of booleans, or of complex numbers."""
        at = 8
        if kind == _ENUM:
            inner, one, end = self.datatype(data[8:], depth + 1)
            _require(
                inner == _INTEGER and one == size and count > 0, "an enumeration of no numbers"
            )
            at += end
        _require(0 < count < 256, "a datatype of many parts")
        for _ in range(count):
            stop = data.index(b"\0", at) if b"\0" in data[at:] else len(data)
            at += (stop - at) // 8 * 8 + 8
            if kind == _COMPOUND:
                (offset,) = struct.unpack_from("<I", data, at)
                at += 4 if data[0] >> 4 == 2 else 32
                inner, one, end = self.datatype(data[at:], depth + 1)
                _require(inner == _FLOAT and offset + one <= size, "a datatype of other parts")
                at += end
        at += count * size if kind == _ENUM else 0
        _require(at <= len(data), "a datatype cut off")
        return at

    # -------------------------------------------------------------- attributes

    def attribute(self, data: bytes) -> None:
        """See that the value of an attribute is there, its texts in their heap."""
        version, flags, name, of_type, of_space = struct.unpack_from("<BBHHH", data)
        _require(
            version in (1, 2, 3) and (version == 1 or not flags), "an attribute of another kind"
        )
        at = 9 if version == 3 else 8

        def part(length: int) -> bytes:
            nonlocal at
            found = data[at : at + length]
            _require(len(found) == length, "an attribute cut off")
            at += length if version > 1 else -(-length // 8) * 8
            return found

        _require(part(name)[-1:] == b"\0", "an attribute without a name")
        kind, size, end = self.datatype(part(of_type))
        _require(end <= of_type, "a datatype cut off")
        count, end = self.space(part(of_space))
        _require(end <= of_space and count * size <= len(data) - at, "an attribute cut off")
        for n in range(count if kind == _LENGTHY else 0):
            length, place, index = struct.unpack_from("<IQI", data, at + 16 * n)
            _require(length == 0 or length <= self.heap(place).get(index, -1), "a text cut off")

    def heap(self, place: int) -> dict[int, int]:
        """The sizes of the objects in a global heap, by their numbers."""
        if place not in self.heaps:
            start = self.read(place, 16)
            (size,) = struct.unpack("<Q", start[8:])
            _require(start[:5] == b"GCOL\1" and size >= 4096, "a heap of another kind")
            data, at, found = self.read(place, size), 16, {}
            while size - at >= 16:
                index, _, _, length = struct.unpack_from("<HHIQ", data, at)
                if index == 0:
                    _require(length == size - at, "a heap without end")
                    break
                at += 16 + -(-length // 8) * 8
                _require(at <= size and index not in found, "a heap that is cut off")
                found[index] = length
            self.heaps[place] = found
        return self.heaps[place]

    # ------------------------------------------------------------------ groups

    def group(self, tree: int, heap: int) -> Iterator[tuple[int, Any]]:
        """The objects in a group."""
        start = self.read(heap, 32)
        size, free, place = struct.unpack("<QQQ", start[8:])
        _require(start[:5] == b"HEAP\0", "bad local heap signature")
        names = self.read(place, size)
        for _ in range(size // 16 + 1):
            if free in (1, _NOWHERE):
                break
            _require(free % 8 == 0 and free + 16 <= size, "a heap of another kind")
            free, length = struct.unpack_from("<QQ", names, free)
            _require(16 <= length <= size, "a heap of another kind")
        _require(free in (1, _NOWHERE), "a heap without end")
        for key, leaf in self.tree(tree, 0, 8, 2 * self.inner):
            self.name(names, int.from_bytes(key, "little"))
            if leaf is not None:
                yield from self.symbols(leaf, names)

    def tree(
        self, root: int, kind: int, width: int, most: int
    ) -> Iterator[tuple[bytes, int | None]]:
        """The keys of a tree, of so many bytes, each with the leaf that follows it, if one does."""
        met: set[int] = set()
        beside = {_NOWHERE}
        waiting: list[tuple[int, int | None]] = [(root, None)]
        while waiting:
            place, level = waiting.pop()
            _require(place not in met, "a tree without end")
            met.add(place)
            node = self.read(place, 24 + most * (width + 8) + width)
            found, own, count = struct.unpack("<BBH", node[4:8])
            beside.update(struct.unpack("<QQ", node[8:24]))
            _require(node[:4] == b"TREE" and found == kind and count <= most, "a tree cut off")
            _require(level in (None, own) and own < 32, "a tree of another height")
            at = 24
            for _ in range(count):
                (child,) = struct.unpack_from("<Q", node, at + width)
                yield node[at : at + width], None if own else child
                if own:
                    waiting.append((child, own - 1))
                at += width + 8
            yield node[at : at + width], None
        _require(beside <= met | {_NOWHERE}, "nodes that no node has")

    def symbols(self, place: int, names: bytes) -> Iterator[tuple[int, Any]]:
        """The objects in a leaf."""
        node = self.read(place, 8 + 80 * self.leaf)
        (count,) = struct.unpack("<H", node[6:8])
        _require(
            node[:5] == b"SNOD\1" and count <= 2 * self.leaf, "bad symbol table node signature"
        )
        for at in range(8, 8 + 40 * count, 40):
            self.name(names, int.from_bytes(node[at : at + 8], "little"))
            yield self.entry(node[at : at + 40])

    def name(self, names: bytes, offset: int) -> None:
        _require(offset < len(names) and names.find(b"\0", offset) >= 0, "a name cut off")
