"""The format `web`: a page with the model inside (`_web.py` makes its content)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..core.files import making_folder, replacing
from ._onnx import onnx_bytes
from ._report import report
from ._signature import signature
from ._training import check_step, traced_learner


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
    learn: bool = False,
) -> None:
    """One HTML file that runs the model in a browser, from disk and without a network.

    Args:
        title: The page's title.
        examples: Inputs that the page starts from, and that the file is checked with.
        labels: The names of the classes.
        opset_version: The version of ONNX's operations; 17 where it is left out.
        float16: Whether weights are stored in 16 bits; the model computes in 32.
        learn: Whether the page takes the right answer where the model's is wrong, learns it, and offers
            the new weights, which `load_weights` takes. For compiled models of classes.
    """
    from ._web import Learning, page

    learning = None
    if learn:
        if float16:
            raise ValueError(
                "A page that learns has its weights in 32 bits. Received: learn=True, float16=True. "
                "Leave one of them out."
            )
        learner = traced_learner(model, input_signature, opset_version)
        step, content, state = files = learner.files()
        target = learner.step.engine.graph.inputs[len(learner.predict.names[0])]
        learning, names = Learning(step, state, target), learner.predict.names
        checked = check_step(model, learner, files)
    else:
        given = (model, input_signature, opset_version, float16, examples)
        content, names, checked = onnx_bytes(*given)
    size = len(content) + (len(learning.state) if learning else 0)
    specs = signature(model, input_signature)
    html = page(model, specs, content, names, title, examples, labels, learning)
    with making_folder(path.parent), replacing(path) as draft:
        Path(draft).write_bytes(html)
    if verbose:
        report(path, [path], [("model", f"{size:,} bytes of ONNX"), *checked])
