"""One HTML file with a model and what runs it: it opens from disk, and needs no network.

The page's input fits the model: an image is drawn or dropped, numbers are typed, a series is chosen;
the answer is drawn beside it. `page/` holds its structure, look and behaviour.
"""

from __future__ import annotations

import base64
import gzip
import html
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..core import tree
from ..core.pages import embedded, filled
from ._runtime import VERSION, runtime_files

_PAGE = Path(__file__).with_name("page")
#: Up to how many numbers have a field of their own.
_FIELDS = 40
#: From which share of the range on a pixel counts as ink.
_INK = 0.15
_EXAMPLES = 12
#: How many of the examples a page that learns practises beside its corrections.
_PRACTISED = 64


class Learning(NamedTuple):
    """What a page learns with: the file of a step, that of its state, and what the step takes as `y`."""

    step: bytes
    state: bytes
    target: Any


def page(
    model: Any,
    onnx: bytes,
    names: tuple[Sequence[str], Sequence[str]],
    title: str | None = None,
    examples: Any = None,
    labels: Sequence[str] | None = None,
    learning: Learning | None = None,
) -> bytes:
    """The page of a model.

    Args:
        model: The model, for the specs of its inputs and what it gives.
        onnx: The model's ONNX file.
        names: The names of the inputs and of the outputs in that file.
        title: The page's title; the model's name where it is left out.
        examples: Inputs to start from, in the structure of the model's inputs, with a batch axis.
        labels: The names of the classes.
        learning: What the page learns with, if it does; the ONNX file takes weights then.
    """
    arrays = [] if examples is None else [np.asarray(x) for x in tree.flatten(examples)]
    missing: list[Any] = [None] * len(names[0])
    inputs = [
        _input(name, spec, array)
        for name, spec, array in zip(
            names[0],
            tree.flatten(model.inputs),
            arrays or missing,
            strict=True,
        )
    ]
    given = arrays or [_zeros(spec) for spec in inputs]
    results = tree.flatten(model.predict([x[:_EXAMPLES] for x in given], verbose=0))
    title = title or model.name
    content = {
        "inputs": inputs,
        "outputs": [
            _output(name, result, labels) for name, result in zip(names[1], results, strict=True)
        ],
        "examples": _examples(arrays),
        "size": len(onnx),
        "parameters": model.count_params(),
        "runtime": VERSION,
    }
    scripts = ["page.js"]
    if learning is not None:
        scripts.insert(0, "learn.js")
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


def _packed(content: bytes) -> str:
    """Compressed, as text. No time stands in it: the same model gives the same page."""
    return base64.b64encode(gzip.compress(content, mtime=0)).decode()


# ------------------------------------------------------------- what fits the model


def _input(name: str, spec: Any, examples: Any) -> dict[str, Any]:
    """What the page must know of an input: its kind, and how its values look."""
    shape = list(spec.shape[1:])
    if spec.dtype == "string":
        raise NotImplementedError(
            f"A page has no fields for strings. Received: the input {name!r} of strings. Export to a file that "
            "ends in .onnx, or what comes after the layers that take them."
        )
    described: dict[str, Any] = {"name": name, "shape": shape, "dtype": spec.dtype}
    if _is_image(shape):
        return {**described, "kind": "image", **_picture(shape, examples)}
    if any(size is None for size in shape[1:]):
        raise ValueError(
            "A page needs inputs whose sizes are known, but for the batch and the time. Received: "
            f"{name!r} of shape {spec.shape}. Make the model with `Input(shape=...)` in full."
        )
    if "int" in spec.dtype:
        return {**described, "kind": "tokens", "shape": shape or [1]}
    if len(shape) == 1 and shape[0] is not None and shape[0] <= _FIELDS:
        return {**described, "kind": "numbers"}
    return {**described, "kind": "series" if len(shape) <= 2 else "values", "shape": shape or [1]}


def _is_image(shape: list[Any]) -> bool:
    return len(shape) == 3 and None not in shape and shape[2] in (1, 3) and min(shape[:2]) >= 4


def _picture(shape: list[int], examples: Any) -> dict[str, Any]:
    """The range of an image's values, and for drawings where their ink lies."""
    if examples is None:
        return {"low": 0.0, "high": 1.0, "box": None, "stroke": 0.08}
    low, high = float(examples.min()), float(examples.max())
    ink = examples[..., 0] > low + _INK * (high - low)
    dark = shape[2] == 1 and ink.mean() < 0.6  # a light drawing on dark ground
    return {"low": low, "high": high, "box": _box(ink) if dark else None, "stroke": 0.09}


def _box(ink: np.ndarray[Any, Any]) -> dict[str, float] | None:
    """The box that drawings fill: its centre, and a size that nine in ten of them keep to."""
    boxes = []
    for drawing in ink:
        rows, columns = np.flatnonzero(drawing.any(1)), np.flatnonzero(drawing.any(0))
        if len(rows):
            boxes.append((columns[0], columns[-1] + 1, rows[0], rows[-1] + 1))
    if not boxes:
        return None
    left, right, top, bottom = np.array(boxes, float).T
    return {
        "x": float(((left + right) / 2).mean()),
        "y": float(((top + bottom) / 2).mean()),
        "width": float(np.quantile(right - left, 0.9)),
        "height": float(np.quantile(bottom - top, 0.9)),
    }


def _zeros(spec: dict[str, Any]) -> np.ndarray[Any, Any]:
    return np.zeros((1, *(16 if size is None else size for size in spec["shape"])), spec["dtype"])


def _output(name: str, result: np.ndarray[Any, Any], labels: Any) -> dict[str, Any]:
    """How an output is drawn, seen from what the model gives."""
    width = math.prod(result.shape[1:])
    total = result.reshape(len(result), -1).sum(1, dtype=float)
    likely = result.ndim == 2 and width > 1 and result.min() >= 0
    if likely and np.allclose(total, 1, atol=1e-2):
        _check_labels(labels, width)
        return {"name": name, "kind": "classes", "labels": labels and list(map(str, labels))}
    if width == 1:
        return {"name": name, "kind": "number"}
    if _is_image(list(result.shape[1:])):
        return {"name": name, "kind": "image"}
    return {"name": name, "kind": "series" if result.ndim <= 3 else "values"}


def _check_labels(labels: Any, count: int) -> None:
    if labels is not None and len(labels) != count:
        raise ValueError(
            f"`labels` must name every class. Received: {len(labels)} labels for {count} classes."
        )


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
    target, values = learning.target, _examples(arrays, _PRACTISED)
    return {
        "target": {"name": target.name, "dtype": target.dtype, "shape": list(target.dims[1:])},
        "classes": results[0].shape[1],
        "examples": [example["values"] for example in values],
        "file": f"{model.name}.safetensors",
    }


def _examples(arrays: list[np.ndarray[Any, Any]], count: int = _EXAMPLES) -> list[dict[str, Any]]:
    """The first examples, with as many digits as show."""
    if not arrays:
        return []
    return [
        {
            "label": str(i + 1),
            "values": [[float(f"{value:.5g}") for value in array[i].flat] for array in arrays],
        }
        for i in range(min(len(arrays[0]), count))
    ]


def _subtitle(inputs: list[dict[str, Any]]) -> str:
    told = {
        "image": "Draw, or drop an image, and see what the model makes of it.",
        "numbers": "Type numbers and see what the model makes of them.",
        "series": "Choose a series, or type one, and see what the model makes of it.",
    }
    return told.get(inputs[0]["kind"], "Give it an input and see what the model makes of it.")
