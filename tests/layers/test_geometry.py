"""Layers that move pixels: beside Keras with the same drawn numbers, and on every engine."""

from __future__ import annotations

import inspect
from typing import Any

import keras
import numpy as np
import pytest

import cornu
from cornu import engines, layers, ops
from cornu.core import tree
from tests.engines_tested import ENGINES

GENERATOR = np.random.default_rng(0)
IMAGES = GENERATOR.uniform(0, 255, (3, 9, 12, 3)).astype("float32")
MASKS = GENERATOR.integers(0, 5, (3, 9, 12, 1)).astype("int32")
BOXES = np.array([[[1, 2, 6, 7], [4, 0, 12, 8], [10, 8, 12, 9]]] * 3, "float32")
DATA = {
    "images": IMAGES,
    "labels": np.arange(3),
    "segmentation_masks": MASKS,
    "bounding_boxes": {"boxes": BOXES, "labels": np.array([[5, 6, 7]] * 3)},
}
for array in tree.flatten(DATA):
    array.setflags(write=False)

#: The others have the same bodies.
PARITY = [name for name in ENGINES if name != "pytensor"]
CONSTANT = {"fill_mode": "constant", "fill_value": 9.0}
SHEAR = "Keras's boxes do not go where the pixels do"
#: Layers that draw: the class, its arguments, and what Keras's boxes are not compared for.
ROWS: list[tuple[str, dict[str, Any], str]] = [
    *(("RandomFlip", {"mode": f"{mode}"}, "") for mode in ("horizontal", "vertical")),
    ("RandomFlip", {}, ""),
    ("RandomRotation", {"factor": 0.4}, ""),
    ("RandomRotation", {"factor": (0.1, 0.2), "interpolation": "nearest", **CONSTANT}, ""),
    ("RandomZoom", {"height_factor": 0.5}, ""),
    ("RandomZoom", {"height_factor": (-0.4, -0.1), "width_factor": 0.3, "fill_mode": "wrap"}, ""),
    ("RandomTranslation", {"height_factor": 0.4, "width_factor": (-0.3, -0.1)}, ""),
    ("RandomTranslation", {"height_factor": 1, "width_factor": 0.0, "fill_mode": "nearest"}, ""),
    ("RandomShear", {"x_factor": 0.5, "y_factor": 0.2}, SHEAR),
    ("RandomShear", {"y_factor": (0.2, 0.4), **CONSTANT}, SHEAR),
    ("RandomPerspective", {"scale": 0.4}, ""),
    ("RandomPerspective", {"scale": 0.2, "interpolation": "nearest", "fill_value": 9.0}, ""),
]
SIZES: list[tuple[str, dict[str, Any], str]] = [
    ("CenterCrop", {"height": 4, "width": 5}, ""),
    ("CenterCrop", {"height": 10, "width": 5}, ""),
    ("Resizing", {"height": 4, "width": 7}, ""),
    ("Resizing", {"height": 5, "width": 5, "pad_to_aspect_ratio": True}, "whole margins"),
    ("Resizing", {"height": 5, "width": 9, "crop_to_aspect_ratio": True}, "whole margins"),
]


def made(library: Any, name: str, arguments: dict[str, Any]) -> Any:
    return getattr(library.layers, name)(**arguments, seed=3, bounding_box_format="xyxy")


def host(structure: Any) -> Any:
    return tree.map_structure(lambda x: np.asarray(ops.convert_to_numpy(x)), structure)


def close(actual: Any, expected: Any, tolerance: float) -> None:
    for a, b in zip(tree.flatten(host(actual)), tree.flatten(expected), strict=True):
        np.testing.assert_allclose(a, np.asarray(b), rtol=0, atol=tolerance)


def names(rows: list[Any]) -> list[str]:
    return [f"{i}-{row[0]}" for i, row in enumerate(rows)]


@pytest.mark.parametrize("name, arguments, boxes", ROWS, ids=names(ROWS))
def test_with_what_keras_drew(name: str, arguments: dict[str, Any], boxes: str) -> None:
    """The same pixels within 1e-3 of the range, and masks and boxes, for a batch and for one image."""
    ours, theirs = (made(library, name, arguments) for library in (cornu, keras))
    drawn = theirs.get_random_transformation(IMAGES, seed=7)
    drawn = {
        **drawn,
        "input_shape": IMAGES.shape,
        "apply_perspective": np.array([True, False, True]),
    }
    drawn = tree.map_structure(lambda x: np.asarray(x) if hasattr(x, "shape") else x, drawn)
    parts = ["images", "segmentation_masks", "labels", *(() if boxes else ("bounding_boxes",))]
    copies = tree.map_structure(np.copy, DATA)  # Keras writes into dictionaries
    wanted = {p: getattr(theirs, f"transform_{p}")(copies[p], drawn) for p in parts}
    for engine in PARITY:
        with engines.use(engine):
            native = tree.map_structure(
                lambda x: ops.convert_to_tensor(x) if isinstance(x, np.ndarray) else x, drawn
            )
            for part in parts:
                data = tree.map_structure(ops.convert_to_tensor, DATA[part])
                found = getattr(ours, f"transform_{part}")(data, native)
                close(found, wanted[part], 0.255 if part == "images" else 1e-3)


@pytest.mark.parametrize("name, arguments, boxes", SIZES, ids=names(SIZES))
def test_sizes(name: str, arguments: dict[str, Any], boxes: str) -> None:
    ours, theirs = (
        getattr(library.layers, name)(**arguments, bounding_box_format="xyxy")
        for library in (cornu, keras)
    )
    wanted = theirs(tree.map_structure(np.copy, DATA))
    for engine in PARITY:
        with engines.use(engine):
            found = ours(DATA)
            close(found["images"], wanted["images"], 0.255)
            if name == "Resizing":  # Keras's CenterCrop mixes the classes of masks
                close(found["segmentation_masks"], wanted["segmentation_masks"], 0)
            if not boxes:
                close(found["bounding_boxes"], wanted["bounding_boxes"], 1e-3)


@pytest.mark.parametrize("name, arguments, boxes", ROWS, ids=names(ROWS))
def test_boxes_go_where_pixels_go(name: str, arguments: dict[str, Any], boxes: str) -> None:
    """A bright rectangle lies in its box, nearly: Keras's boxes, as ours, are half a pixel off."""
    images = np.zeros((20, 48, 64, 1), "float32")
    images[:, 20:30, 24:40] = 255
    given = {"boxes": np.array([[[24, 20, 40, 30]]] * 20, "float32"), "labels": np.zeros((20, 1))}
    arguments = {**arguments, "fill_value": 0.0, "fill_mode": "constant"}
    known = inspect.signature(getattr(layers, name)).parameters
    layer = made(cornu, name, {k: v for k, v in arguments.items() if k in known})
    found = host(layer({"images": images, "bounding_boxes": given}))
    for image, box in zip(found["images"], found["bounding_boxes"]["boxes"], strict=True):
        rows, columns, _ = np.nonzero(image > 128)
        if len(rows) > 20:
            edges = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
            np.testing.assert_allclose(edges, box[0], atol=2.2)
