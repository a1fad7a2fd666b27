"""The format `web`: a page with the model inside (`_web.py` makes its content)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..core.files import replacing
from ._onnx import onnx_bytes
from ._report import report


def write_page(
    model: Any,
    path: Path,
    verbose: bool,
    input_signature: Any = None,
    title: str | None = None,
    examples: Any = None,
    labels: Any = None,
    opset_version: int | None = None,
    float16: bool = False,
) -> None:
    """One HTML file that runs the model in a browser, from disk and without a network."""
    from ._web import page

    content, names, checked = onnx_bytes(model, input_signature, opset_version, float16, examples)
    html = page(model, content, names, title=title, examples=examples, labels=labels)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as draft:
        Path(draft).write_bytes(html)
    if verbose:
        report(path, [path], [("model", f"{len(content):,} bytes of ONNX"), *checked])
