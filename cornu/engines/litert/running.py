"""Files of LiteRT in its interpreter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ai_edge_litert.interpreter import Interpreter

from ..graphs.graph import Array


class Running:
    """A file that is called with arrays by the names of its inputs, and gives its outputs.

    Args:
        content: The file's bytes.
        outputs: The names of its outputs, in the order in which a call gives them.
        threads: On how many threads it runs.
    """

    def __init__(self, content: bytes, outputs: Sequence[str], threads: int = 1) -> None:
        self.outputs = outputs
        interpreter = Interpreter(model_content=content, num_threads=threads)
        self._run = interpreter.get_signature_runner()

    def __call__(self, inputs: dict[str, Array]) -> list[Array]:
        results: dict[str, Any] = self._run(**inputs)
        return [results[name] for name in self.outputs]
