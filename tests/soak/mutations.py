"""Valid files changed at random: bytes, numbers in headers, parts of archives, values in JSON."""

from __future__ import annotations

import copy
import io
import json
import zipfile
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import h5py

NUMBERS = [0, 1, 2, 3, 7, 8, 255, 2**15, 2**16 - 1, 2**31 - 1, 2**32 - 1, 2**40, 2**63, 2**64 - 1]
#: What may come in place of a value in JSON.
VALUES: list[Any] = [None, True, False, -1, 0, 1, 2**16, 2**31, 2**63, 10**400, 0.5, 1e308]
VALUES += [
    float("nan"),
    float("inf"),
    "",
    "x" * 10**5,
    "\0",
    [],
    {},
    [[]],
    [None],
    [-1],
    [2**31] * 4,
]
VALUES += [
    "os.system",
    "builtins",
    "eval",
    "Lambda",
    "TFSMLayer",
    "Dense",
    "keras.src.models.model",
]
VALUES += ["/etc/passwd", "../../x", "file:///etc/passwd", "http://localhost:1/x", "adam", "relu"]
VALUES += [{"class_name": "__lambda__", "config": {"value": ["x", None, None]}}]
VALUES += [{"class_name": "__tuple__", "items": 3}, {"class_name": "__numpy__", "config": "x"}]
VALUES += [{"class_name": "__tensor__", "config": {"value": [1, [2]], "dtype": "x"}}]


def mutated(name: str, content: bytes, draw: Random) -> bytes:
    """A file's content with one or a few changes, by the kind that its name tells."""
    ways: list[Callable[[bytes, Random], bytes]] = [bytes_changed]
    if name.endswith(".keras"):
        ways += [archive_changed] * 3
    elif name.endswith(".h5"):
        ways += [numbers_changed, attributes_changed]
    elif name.endswith(".safetensors"):
        ways += [header_changed] * 2
    elif name.endswith(".json"):
        ways += [json_changed] * 3
    return draw.choice(ways)(content, draw)


def bytes_changed(content: bytes, draw: Random) -> bytes:
    """Bytes set, cut out, repeated or put in, anywhere."""
    found = bytearray(content)
    for _ in range(draw.choice([1, 1, 2, 4, 16])):
        place = draw.randrange(len(found) + 1)
        length = draw.choice([1, 1, 2, 4, 8, 64])
        piece = draw.choice([b"\0", b"\xff", draw.randbytes(1)]) * length
        way = draw.randrange(10)
        if way < 7:
            found[place : place + length] = piece[: len(found) - place]
        elif way == 7:
            found[place:place] = piece
        elif way == 8:
            del found[place : place + length]
        else:
            del found[place:]
    return bytes(found)


def numbers_changed(content: bytes, draw: Random) -> bytes:
    """Numbers in headers, which lie at even places and are small, made large or another place's."""
    found = bytearray(content)
    for _ in range(draw.choice([1, 1, 1, 2, 3])):
        width = draw.choice([1, 2, 4, 8])
        place = draw.randrange(0, max(1, len(found) - 8), draw.choice([1, 2, 8]))
        if draw.random() < 0.8:  # most of a file is zeros, and values
            place = next((n for n in range(place, len(found) - 8) if found[n]), place)
        before = int.from_bytes(found[place : place + width], "little")
        near = [before + 1, before - 1, before * 2, before ^ 1 << draw.randrange(8 * width)]
        number = draw.choice([*NUMBERS, *near, draw.randrange(len(found)), len(found)])
        found[place : place + width] = (number % 2 ** (8 * width)).to_bytes(width, "little")
    return bytes(found)


def archive_changed(content: bytes, draw: Random) -> bytes:
    """The parts of an archive changed, and packed again so that sums fit."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    name = draw.choice(list(parts))
    if name.endswith(".json"):
        parts[name] = json_changed(parts[name], draw)
    elif name.endswith(".h5"):
        parts[name] = draw.choice([numbers_changed, bytes_changed])(parts[name], draw)
    way = draw.randrange(12)
    packing = zipfile.ZIP_DEFLATED if way == 0 else zipfile.ZIP_STORED
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", packing) as archive:
        for part, data in parts.items():
            if way == 1 and part == name:
                continue
            other = draw.choice(["../x", "/tmp/x", "a\0b", "/", "assets/../../x"])
            archive.writestr(other if way == 2 and part == name else part, data)
    return buffer.getvalue()


def header_changed(content: bytes, draw: Random) -> bytes:
    """The JSON that a safetensors file begins with, its length, or what follows."""
    length = int.from_bytes(content[:8], "little")
    header = json_changed(content[8 : 8 + length], draw)
    told = len(header) if draw.random() < 0.8 else draw.choice(NUMBERS)
    return told.to_bytes(8, "little") + header + content[8 + length :]


def attributes_changed(content: bytes, draw: Random) -> bytes:
    """The JSON among the attributes of an HDF5 file."""
    buffer = io.BytesIO(content)
    with h5py.File(buffer, "r+") as file:
        texts = [key for key in ("model_config", "training_config") if key in file.attrs]
        if not texts:
            return numbers_changed(content, draw)
        key = draw.choice(texts)
        changed = json_changed(file.attrs[key].encode(), draw).replace(b"\0", b"?")
        file.attrs[key] = changed[: 2**15].decode("utf-8", "replace")
    return buffer.getvalue()


def json_changed(content: bytes, draw: Random) -> bytes:
    """Values replaced, exchanged, left out, repeated or nested; or its bytes."""
    way = draw.randrange(12)
    if way == 0:
        return bytes_changed(content, draw)
    if way == 1:
        place, nested = draw.randrange(len(content)), draw.choice([b"[", b'{"a":']) * 10**5
        return content[:place] + nested + content[place:]
    config = json.loads(content)
    for _ in range(draw.choice([1, 1, 2, 5])):
        places = list(_places(config))
        if not places:
            break
        owner, key = draw.choice(places)
        way = draw.randrange(8)
        if way < 4:
            owner[key] = copy.deepcopy(draw.choice(VALUES))
        elif way == 4:
            other, at = draw.choice(places)
            owner[key] = copy.deepcopy(other[at])
        elif way == 5:
            del owner[key]
        elif way == 6:
            owner[key] = [copy.deepcopy(owner[key]) for _ in range(draw.choice([1, 2, 300]))]
        elif isinstance(owner, dict):
            owner[draw.choice([*owner, "x", "module", "units", "dtype"])] = owner.pop(key)
    text = json.dumps(config)
    if draw.random() < 0.05:
        text = text[:-1] + ', "config": {}, "config": 3, "class_name": []}'
    return text.encode()


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    for key in list(value) if isinstance(value, dict) else range(len(value)):
        yield value, key
        if isinstance(value[key], (dict, list)):
            yield from _places(value[key])
