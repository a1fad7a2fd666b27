"""What the bytes of a file are spent on."""

from __future__ import annotations

import gzip
import importlib.util
from pathlib import Path
from typing import Any, NamedTuple


class Part(NamedTuple):
    """One array of a file.

    Args:
        name: Its name.
        dtype: What its numbers are, in the format's words.
        shape: Its shape.
        bytes: How many it takes.
        zipped: How many it takes once gzip has compressed it alone.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    bytes: int
    zipped: int


class SizeReport(NamedTuple):
    """The arrays of a file; printed, a table.

    Args:
        parts: The arrays, the largest first.
        bytes: The file's bytes, with those of the files that hold its weights.
        zipped: Such bytes once gzip has compressed them.
    """

    parts: tuple[Part, ...]
    bytes: int
    zipped: int

    def __str__(self) -> str:
        rows = [
            (part.name, part.dtype, "x".join(map(str, part.shape)), part.bytes, part.zipped)
            for part in self.parts
        ]
        rows.append(("the file", "", "", self.bytes, self.zipped))
        width = max(len(row[0]) for row in rows)
        head = f"{'':{width}}  {'dtype':8}  {'shape':12}  {'bytes':>12}  {'zipped':>12}"
        lines = [f"{a:{width}}  {b:8}  {c:12}  {d:12,}  {e:12,}" for a, b, c, d, e in rows]
        return "\n".join([head, *lines])


def size_report(path: Any) -> SizeReport:
    """What an ONNX file's bytes are spent on; of a file of another kind, its bytes alone.

    >>> import tempfile
    >>> from cornu import Input, Sequential, layers
    >>> model = Sequential([Input((2,)), layers.Dense(4, kernel_initializer="ones", name="dense")], name="model")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     model.export(f"{folder}/model.onnx", verbose=False)
    ...     found = size_report(f"{folder}/model.onnx")
    >>> [part.name for part in found.parts], found.parts[0].bytes
    (['model/dense/kernel', 'model/dense/bias'], 32)
    """
    content = Path(path).read_bytes()
    parts: list[Part] = []
    outside: set[str] = set()
    if Path(path).suffix == ".onnx" and importlib.util.find_spec("onnx") is not None:
        import onnx

        for x in onnx.load_from_string(content).graph.initializer:
            kind = onnx.TensorProto.DataType.Name(x.data_type).lower()
            raw = x.raw_data or b"".join(x.string_data)
            raw = raw or onnx.numpy_helper.to_array(x, str(Path(path).parent)).tobytes()
            parts.append(Part(x.name, kind, tuple(x.dims), len(raw), len(gzip.compress(raw))))
            outside |= {entry.value for entry in x.external_data if entry.key == "location"}
    content += b"".join(Path(path).with_name(name).read_bytes() for name in sorted(outside))
    largest = sorted(parts, key=lambda part: -part.bytes)
    return SizeReport(tuple(largest), len(content), len(gzip.compress(content)))
