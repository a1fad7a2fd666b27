"""How a page asks for a model's inputs and shows its outputs, seen from their shapes and from examples."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

#: Up to how many numbers have a field of their own.
_FIELDS = 40
#: From which share of the range on a pixel counts as ink.
_INK = 0.15
EXAMPLES = 12


def input_of(name: str, spec: Any, examples: Any) -> dict[str, Any]:
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


def zeros_of(spec: dict[str, Any]) -> np.ndarray[Any, Any]:
    return np.zeros((1, *(16 if size is None else size for size in spec["shape"])), spec["dtype"])


def output_of(name: str, result: np.ndarray[Any, Any], labels: Any) -> dict[str, Any]:
    """How an output is drawn, seen from what the model gives."""
    result = np.atleast_1d(result)
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


def examples_of(arrays: list[np.ndarray[Any, Any]], count: int = EXAMPLES) -> list[dict[str, Any]]:
    """The first examples, with as many digits as show."""
    if not arrays:
        return []
    return [
        {
            "label": str(i + 1),
            "values": [list(map(_shown, array[i].flat)) for array in arrays],
        }
        for i in range(min(len(arrays[0]), count))
    ]


def _shown(value: Any) -> float:
    return float(f"{value:.5g}") if isinstance(value, np.floating) else int(value)
