"""One HTML file with a model and what runs it: it opens from disk, and needs no network.

The page's input fits the model: an image is drawn or dropped, numbers are typed, a series is chosen;
the answer is drawn beside it. `page/` holds its structure, look and behaviour.
"""

from __future__ import annotations

import base64
import gzip
import html
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..core import tree
from ..core.pages import embedded, filled
from ._runtime import VERSION, runtime_files
from .describing import EXAMPLES, examples_of, input_of, output_of, zeros_of

_PAGE = Path(__file__).with_name("page")
#: The dtypes that have arrays in a browser.
_DTYPES = ("float32", "float64", "int8", "int32", "int64", "uint8", "bool", "string")
#: How many of the examples a page that learns practises beside its corrections.
_PRACTISED = 64


class Learning(NamedTuple):
    """What a page learns with: the file of a step, that of its state, and what the step takes as `y`."""

    step: bytes
    state: bytes
    target: Any


def page(
    model: Any,
    specs: Any,
    onnx: bytes,
    names: tuple[Sequence[str], Sequence[str]],
    title: str | None = None,
    examples: Any = None,
    labels: Sequence[str] | None = None,
    learning: Learning | None = None,
) -> bytes:
    """The page of a model.

    Args:
        model: The model, for what it gives.
        specs: The specs of its inputs.
        onnx: The model's ONNX file.
        names: The names of the inputs and of the outputs in that file.
        title: The page's title; the model's name where it is left out.
        examples: Inputs to start from, in the structure of the model's inputs, with a batch axis.
        labels: The names of the classes.
        learning: What the page learns with, if it does; the ONNX file takes weights then.
    """
    arrays = [] if examples is None else [np.asarray(x) for x in tree.flatten(examples)]
    missing: list[Any] = [None] * len(names[0])
    given = list(zip(names[0], tree.flatten(specs), arrays or missing, strict=True))
    for one in given:
        _check_input(*one)
    inputs = [input_of(*one) for one in given]
    firsts = [x[:EXAMPLES] for x in arrays or map(zeros_of, inputs)]
    found = model.predict(tree.pack_sequence_as(specs, firsts), verbose=0)
    results = [np.asarray(x) for x in tree.flatten(found) if x is not None]
    title = title or model.name
    content = {
        "inputs": inputs,
        "outputs": [
            output_of(name, result, labels) for name, result in zip(names[1], results, strict=True)
        ],
        "examples": examples_of(arrays),
        "size": len(onnx),
        "parameters": model.count_params(),
        "runtime": VERSION,
    }
    scripts = ["widgets.js", "page.js"]
    if learning is not None:
        scripts.insert(1, "learn.js")
        content["learn"] = _learned(model, learning, content["outputs"], results, arrays)
        content["size"] += len(learning.state)
    script, module = runtime_files()
    parts = {
        "title": html.escape(title),
        "subtitle": _subtitle(inputs),
        "style": (_PAGE / "page.css").read_text(),
        "script": "".join((_PAGE / name).read_text() for name in scripts),
        "page": embedded(content),
        "runtime": _packed(script),
        "wasm": _packed(module),
        "model": _packed(onnx),
        "step": "" if learning is None else _packed(learning.step),
        "state": "" if learning is None else _packed(learning.state),
    }
    return filled(_PAGE / "page.html", parts).encode()


def _check_input(name: str, spec: Any, examples: Any) -> None:
    if spec.dtype not in _DTYPES:
        raise NotImplementedError(
            f"A page has fields for numbers of {_DTYPES[:-1]}. Received: the input {name!r} of {spec.dtype}. Cast "
            "it in the model."
        )
    if spec.shape[:1] not in ((None,), (1,)):
        raise ValueError(
            f"A page gives a model one input at a time. Received: {name!r} of shape {spec.shape}. Make the model "
            "with `Input(shape=...)`, whose batch is free."
        )
    if examples is not None and examples.dtype.kind == "f" and not np.isfinite(examples).all():
        raise ValueError(
            f"A page starts from finite numbers. Received: examples with others for {name!r}. Leave those out."
        )


def _packed(content: bytes) -> str:
    """Compressed, as text. No time stands in it: the same model gives the same page."""
    return base64.b64encode(gzip.compress(content, mtime=0)).decode()


def _learned(
    model: Any, learning: Learning, outputs: list[Any], results: list[Any], arrays: list[Any]
) -> dict[str, Any]:
    """What a page that learns must know."""
    if [output["kind"] for output in outputs] != ["classes"]:
        raise ValueError(
            "A page learns classes, of a model that gives one probability for each. Received: learn=True for "
            f"{model.name!r}, which gives {[x.shape for x in results]}. Export a step to learn anything else: "
            "format='onnx_training'."
        )
    target, values = learning.target, examples_of(arrays, _PRACTISED)
    return {
        "target": {"name": target.name, "dtype": target.dtype, "shape": list(target.dims[1:])},
        "classes": results[0].shape[1],
        "examples": [example["values"] for example in values],
        "file": f"{model.name}.safetensors",
    }


def _subtitle(inputs: list[dict[str, Any]]) -> str:
    told = {
        "image": "Draw, or drop an image, and see what the model makes of it.",
        "numbers": "Type numbers and see what the model makes of them.",
        "series": "Choose a series, or type one, and see what the model makes of it.",
    }
    return told.get(inputs[0]["kind"], "Give it an input and see what the model makes of it.")
