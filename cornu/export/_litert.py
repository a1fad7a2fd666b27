"""The format `litert`: a model traced by the LiteRT engine, written, and checked in its interpreter."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._version import __version__
from ..core.checks import one_of
from ..core.files import replacing
from ._checking import TOLERANCE, check
from ._report import report
from ._tracing import Traced, told, trace

if TYPE_CHECKING:
    from ..engines.litert import LiteRTEngine


def write_litert(
    model: Any,
    path: Path,
    verbose: bool,
    input_signature: Any = None,
    examples: Any = None,
    quantize: str | None = None,
) -> None:
    """A file of LiteRT, which was TensorFlow Lite.

    Args:
        examples: Inputs to check the file with, in the structure of the model's inputs.
        quantize: `"float16"`: weights are stored in 16 bits; the model computes in 32.
    """
    one_of((None, "float16"), quantize=quantize)
    content, traced, checked = litert_bytes(model, input_signature, quantize, examples)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as draft:
        Path(draft).write_bytes(content)
    if verbose:
        operations = [("operations", f"{len(traced.engine.graph.nodes)}")]
        report(path, [path], [*operations, *told(traced), *checked])


def litert_bytes(
    model: Any,
    input_signature: Any = None,
    quantize: str | None = None,
    examples: Any = None,
) -> tuple[bytes, Traced, list[tuple[str, str]]]:
    """A model's file, what was traced, and what its check says."""
    traced = trace(model, input_signature, _engine(quantize == "float16"))
    from ..engines.litert.flatbuffer import serialized

    content = serialized(traced.engine.graph, traced.names, f"{traced.title}, Cornu {__version__}")
    from ..engines.litert.running import Running

    # Weights are rounded after factors have been multiplied into them.
    limit = TOLERANCE if quantize is None else 1e-2
    return content, traced, check(model, traced, Running(content, traced.names[1]), examples, limit)


def _engine(half: bool) -> LiteRTEngine:
    if importlib.util.find_spec("ai_edge_litert") is None:
        raise ModuleNotFoundError(
            "Export to LiteRT needs the package `ai-edge-litert`, which has the format's schema and the "
            "runtime that checks the file. Received: none installed. Install it: pip install 'cornu[litert]'"
        )
    from ..engines.litert import LiteRTEngine

    return LiteRTEngine.for_file(half)
