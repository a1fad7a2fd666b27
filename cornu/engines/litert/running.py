"""Files of LiteRT: in its interpreter, and what they hold."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

from ..graphs.graph import Array
from .graph import TYPES


class Running:
    """A file that is called with arrays by the names of its inputs, and gives its outputs.

    Args:
        content: The file's bytes.
        outputs: The names of its outputs, in the order in which a call gives them.
        resized: Whether one interpreter runs all shapes. Where a file computes in integers, ai-edge-litert
            2.3.0 gives wrong numbers after it was resized, so that each shape gets an interpreter.
    """

    def __init__(self, content: bytes, outputs: Sequence[str], resized: bool = True) -> None:
        self.content, self.outputs, self.resized = content, outputs, resized
        self._shapes: Any = None
        self._run = self._opened()

    def _opened(self) -> Any:
        interpreter = Interpreter(model_content=self.content, num_threads=1)
        return interpreter.get_signature_runner()

    def __call__(self, inputs: dict[str, Array]) -> list[Array]:
        shapes = {name: x.shape for name, x in inputs.items()}
        if not self.resized and self._shapes not in (None, shapes):
            self._run = self._opened()
        self._shapes = shapes
        results: dict[str, Any] = self._run(**inputs)
        return [results[name] for name in self.outputs]


def read(path: Path) -> Any:
    """A file as objects of the format's schema."""
    return schema.ModelT.InitFromPackedBuf(path.read_bytes())


def left_float(path: Path) -> list[str]:
    """The layers whose weights, of rank 2 and more, are floats in a file."""
    model = read(path)
    found = [
        tensor.name.decode().rpartition("/")[0]
        for graph in model.subgraphs
        for tensor in graph.tensors
        if tensor.type == TYPES["float32"] and np.size(tensor.shape) > 1
        if model.buffers[tensor.buffer].data is not None
    ]
    return sorted({name for name in found if name})
