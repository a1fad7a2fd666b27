"""The format `litert`: a model traced by the LiteRT engine, written, checked, and put into fewer bits."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._version import __version__
from ..core import tree
from ..core.checks import installed
from ..core.files import making_folder, replacing
from ._checking import TOLERANCE, check, drawn
from ._quantized import Quantizing, Tools, quantized
from ._report import report
from ._tracing import Traced, told, trace
from .measuring import Runs

if TYPE_CHECKING:
    from ..engines.litert import LiteRTEngine


def write_litert(
    model: Any,
    path: Path,
    verbose: bool,
    input_signature: Any = None,
    examples: Any = None,
    quantize: str | None = None,
    representative_data: Any = None,
    validation: Any = None,
    max_drop: float | None = None,
) -> None:
    """A file of LiteRT, which was TensorFlow Lite.

    Args:
        examples: Inputs to check the file with, in the structure of the model's inputs.
        quantize: `"int8"`, `"dynamic"` or `"float16"`: the file has fewer bits.
        representative_data: What `fit` takes as `x`, on which the ranges of `"int8"` are found.
        validation: `(x, y)` on which the model's metrics are computed before and after.
        max_drop: By how much the first metric may get worse; may change, where it is a user's function.
    """
    how = Quantizing(quantize, representative_data, validation, max_drop)
    how.check(("int8", "dynamic", "float16"))
    half = quantize == "float16"
    if quantize in ("int8", "dynamic"):
        installed("ai_edge_quantizer", "Export to LiteRT in fewer bits", "litert")
    content, traced, rows = litert_bytes(model, input_signature, half, examples)
    with making_folder(path.parent), replacing(path) as draft:
        Path(draft).write_bytes(content)
        if quantize is not None:
            plain = _written(model, input_signature, False)[0] if half else content
            batch = next((x.shape[0] for x in tree.flatten(traced.specs) if x.shape), None)
            one = drawn(model, traced, batch or 1, examples=examples)
            tools = _tools(quantize, traced.names[1])
            rows += quantized(model, traced, plain, Path(draft), how, one, verbose, tools)
    if verbose:
        operations = ("operations", str(len(traced.engine.graph.nodes)))
        report(path, [path], [operations, *told(traced), *rows])


def litert_bytes(
    model: Any, input_signature: Any = None, half: bool = False, examples: Any = None
) -> tuple[bytes, Traced, list[tuple[str, str]]]:
    """A model's file, what was traced, and what its check says."""
    content, traced = _written(model, input_signature, half)
    from ..engines.litert.running import Running

    # Weights are rounded after factors have been multiplied into them; integer kernels round sums.
    rounds = any(node.kind == "QUANTIZE" for node in traced.engine.graph.nodes)
    limit = 5e-2 if rounds else 1e-2 if half else TOLERANCE
    run = Running(content, traced.names[1], resized=not rounds)
    return content, traced, check(model, traced, run, examples, limit)


def _written(model: Any, input_signature: Any, half: bool) -> tuple[bytes, Traced]:
    traced = trace(model, input_signature, _engine(half))
    from ..engines.litert.flatbuffer import serialized

    description = f"{traced.title}, written by Cornu {__version__}"
    return serialized(traced.engine.graph, traced.names, description), traced


def _engine(half: bool) -> LiteRTEngine:
    installed("ai_edge_litert", "Export to LiteRT", "litert")
    from ..engines.litert import LiteRTEngine

    return LiteRTEngine.for_file(half)


def _tools(kind: str, outputs: list[str]) -> Tools:
    from ..engines.litert.running import Running, left_float

    quantizers: Any = {}
    if kind != "float16":
        from ..engines.litert.quantizing import QUANTIZERS as quantizers

    def opened(file: Path) -> Runs:
        return Running(file.read_bytes(), outputs, resized=False)

    return Tools(quantizers, opened, left_float, lambda *_: {})
