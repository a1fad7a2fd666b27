"""Files of events, as TensorBoard reads them, written by its own package: TensorFlow takes no part.

A file is records of protocol buffers; an event has a step and a value of a tag, with the plugin that shows it.
"""

from __future__ import annotations

import os
import socket
import time
import zlib
from collections.abc import Sequence
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from struct import pack
from typing import Any

import numpy as np

from ..core.naming import numbered

#: After how many seconds what was written reaches the file.
_FLUSH = 10.0
_numbers = count()


class Events:
    """A run: what is written to a folder's file of events, which is made with the first one.

    Args:
        folder: The folder.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        self._file: Any = None
        self._flushed = 0.0

    @staticmethod
    def require() -> None:
        """See that the package is there.

        Raises:
            ModuleNotFoundError: If it is not.
        """
        if find_spec("tensorboard") is None:
            raise ModuleNotFoundError(
                "Files of events are written by the package `tensorboard`, without TensorFlow. "
                "Received: no such package. Install it with: pip install 'cornu[tensorboard]'",
                name="tensorboard",
            )

    def scalar(self, name: str, data: Any, step: int) -> None:
        """Write a number."""
        from tensorboard.plugins.scalar.summary_v2 import scalar_pb

        self._write(step, summary=scalar_pb(name, np.float32(data)))

    def histogram(self, name: str, data: Any, step: int) -> None:
        """Write the distribution of an array's values."""
        from tensorboard.plugins.histogram.summary_v2 import histogram_pb

        self._write(step, summary=histogram_pb(name, np.asarray(data, np.float64)))

    def image(self, name: str, data: Any, step: int) -> None:
        """Write pictures (n, height, width, 1, 3 or 4) of values from 0 to 1."""
        from tensorboard.plugins.image.metadata import create_summary_metadata

        pixels = np.round(255 * np.clip(np.asarray(data, np.float64), 0, 1)).astype(np.uint8)
        pictures = [str(pixels.shape[2]), str(pixels.shape[1]), *map(_png, pixels)]
        self._strings(name, pictures, create_summary_metadata("", ""), step)

    def text(self, name: str, data: str, step: int) -> None:
        """Write a text, which is read as Markdown."""
        from tensorboard.plugins.text.summary_v2 import text_pb

        self._write(step, summary=text_pb(name, data))

    def graph(self, graph: dict[str, Any]) -> None:
        """Write a graph of nodes and edges (`visualization.graph_of`)."""
        self._write(0, graph_def=_graph_def(graph).SerializeToString())

    def flush(self) -> None:
        """Bring what was written to the file."""
        if self._file is not None:
            self._file.flush()
            self._flushed = time.monotonic()

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _strings(self, tag: str, values: Sequence[Any], metadata: Any, step: int) -> None:
        from tensorboard.compat.proto.summary_pb2 import Summary
        from tensorboard.util.tensor_util import make_tensor_proto

        tensor = make_tensor_proto([x.encode() if isinstance(x, str) else x for x in values])
        summary = Summary()
        summary.value.add(tag=tag, metadata=metadata, tensor=tensor)
        self._write(step, summary=summary)

    def _write(self, step: int, **what: Any) -> None:
        from tensorboard.compat.proto.event_pb2 import Event

        if self._file is None:
            self._open()
            self._write(0, file_version="brain.Event:2")
        event = Event(wall_time=time.time(), step=int(step), **what)
        self._records.write(event.SerializeToString())
        if time.monotonic() - self._flushed > _FLUSH:
            self.flush()

    def _open(self) -> None:
        from tensorboard.summary.writer.record_writer import RecordWriter

        self.folder.mkdir(parents=True, exist_ok=True)
        # TensorBoard knows such files by their name, and reads them in its order.
        name = f"events.out.tfevents.{time.time():.6f}.{socket.gethostname()}.{os.getpid()}.{next(_numbers)}"
        self._file = (self.folder / name).open("wb")
        self._records = RecordWriter(self._file)


def _graph_def(graph: dict[str, Any]) -> Any:
    """Nodes and edges as TensorFlow's graphs have them: what is within what follows from names."""
    from tensorboard.compat.proto.graph_pb2 import GraphDef

    names: dict[int, str] = {}
    made = GraphDef()
    for node in graph["nodes"]:
        around = "" if node["parent"] is None else f"{names[node['parent']]}/"
        path = around + (node["name"] or node["kind"])
        taken = set(names.values())
        names[node["id"]] = next(name for name in numbered(path) if name not in taken)
    inputs: dict[int, list[str]] = {}
    for a, b in graph["edges"]:
        inputs.setdefault(b, []).append(names[a])
    for node in graph["nodes"]:
        if not node["group"]:
            one = made.node.add(
                name=names[node["id"]], op=node["kind"], input=inputs.get(node["id"], ())
            )
            for title, text in [*node["told"], *node["config"]]:
                one.attr[title].s = text.encode()
    return made


def _png(pixels: np.ndarray[Any, Any]) -> bytes:
    """A picture (height, width, channels) of bytes as a PNG: rows without a filter (RFC 2083)."""
    height, width, channels = pixels.shape
    rows = np.pad(pixels.reshape(height, -1), ((0, 0), (1, 0))).tobytes()
    kind = {1: 0, 3: 2, 4: 6}[channels]
    head = pack(">IIBBBBB", width, height, 8, kind, 0, 0, 0)
    chunks = [(b"IHDR", head), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        pack(">I", len(data)) + name + data + pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    )
