"""Pictures with boxes and masks, and galleries of them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import cornu
from cornu import visualization as v

IMAGES = np.random.default_rng(0).integers(0, 256, (2, 12, 10, 3)).astype("float32")
MASKS = np.random.default_rng(1).integers(-1, 3, (2, 12, 10, 1))
COLORS = {0: (0, 0, 0), 1: (250, 0, 9), 2: (0, 90, 0)}
BOXES = {
    "boxes": np.array([[[2, 3, 7, 9], [0, 0, 1, 1]], [[0, 0, 9, 11], [4, 4, 6, 6]]], "float32"),
    "labels": np.array([[0, -1], [1, 2]]),
    "confidences": np.array([[0.5, 0.0], [1.0, 0.25]]),
}


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"alpha": 0.3, "ignore_index": 1},
        {"blend": False},
        {"data_format": "channels_first"},
    ],
)
def test_masks_are_those_of_keras(arguments: dict[str, Any]) -> None:
    images, masks = IMAGES, MASKS
    if arguments.get("data_format"):
        images, masks = (x.transpose(0, 3, 1, 2) for x in (images, masks))
    given = {"num_classes": 3, "color_mapping": COLORS, **arguments}
    found = v.draw_segmentation_masks(images, masks, **given)
    wanted = np.array(keras.visualization.draw_segmentation_masks(images, masks, **given))
    assert found.dtype == "uint8" and found.shape == images.shape
    if arguments.get("data_format"):  # in which Keras gives the channels last
        found = found.transpose(0, 2, 3, 1)
    np.testing.assert_allclose(found.astype(int), wanted.astype(int), atol=1)


def test_masks_of_tensors_without_colours() -> None:
    """A class has its colour whatever other classes there are."""
    tensor = cornu.ops.convert_to_tensor(MASKS[..., 0])
    found = v.draw_segmentation_masks(cornu.ops.convert_to_tensor(IMAGES), tensor, blend=False)
    for number in (0, 1, 2):
        assert len(np.unique(found[MASKS[..., 0] == number], axis=0)) == 1
    alone = v.draw_segmentation_masks(IMAGES, np.where(MASKS == 1, 1, -1), blend=False)
    at = MASKS[..., 0] == 1
    np.testing.assert_array_equal(alone[at], found[at])
    np.testing.assert_array_equal(alone[~at], IMAGES[~at].astype("uint8"))


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_boxes(channels: int) -> None:
    """Frames are where the boxes are; padding is not drawn, and nothing else changes."""
    images = np.zeros((2, 12, 10, channels))
    color = (200,) * channels
    found = v.draw_bounding_boxes(images, BOXES, "xyxy", color=color, line_thickness=1)
    frame = np.zeros((12, 10), bool)
    frame[3:10, 2:8] = True
    frame[4:9, 3:7] = False
    np.testing.assert_array_equal(found[0] == 200, np.repeat(frame[..., None], channels, -1))
    assert found.dtype == "uint8" and not images.any()
    other = {**BOXES, "boxes": BOXES["boxes"] / [10, 12, 10, 12]}
    moved = np.moveaxis(images, -1, 1)
    arguments: Any = {"color": color, "line_thickness": 1, "data_format": "channels_first"}
    again = v.draw_bounding_boxes(moved, other, "rel_xyxy", **arguments)
    np.testing.assert_array_equal(np.moveaxis(again, 1, -1), found)


def test_names_stand_above_boxes() -> None:
    images = np.zeros((1, 60, 90, 3))
    boxes = {"boxes": [[[20.0, 30.0, 80.0, 50.0]]], "labels": [[0]], "confidences": [[0.5]]}
    plain = v.draw_bounding_boxes(images, boxes, "xyxy", color=(255, 0, 0))
    named = v.draw_bounding_boxes(images, boxes, "xyxy", {0: "cat"}, color=(255, 0, 0))
    rows = np.nonzero((plain != named).any(axis=(0, 2, 3)))[0]
    assert rows.min() >= 15 and rows.max() < 31


def test_galleries(tmp_path: Path) -> None:
    gallery = v.plot_image_gallery
    figure = gallery(IMAGES, [0, 1], [0, 0], {0: "cat", 1: "dog"})
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == ["Label: cat  Pred: cat", "Label: dog  Pred: cat"]
    assert tuple(figure.get_size_inches()) == (2.0, 4.0)  # as Keras lays out two
    assert tuple(gallery(IMAGES, rows=1, cols=2, scale=3).get_size_inches()) == (6.0, 3.0)
    assert gallery(IMAGES / 255, value_range=(0, 1), path=tmp_path / "one.png") is None
    assert (tmp_path / "one.png").stat().st_size > 1000
    assert gallery(IMAGES[..., :1], show=False) is None
    boxes = v.plot_bounding_box_gallery(
        IMAGES / 127.5 - 1, "xyxy", BOXES, BOXES, (-1, 1), class_mapping={0: "a"}, legend=True
    )
    (legend,) = boxes.legends
    assert [text.get_text() for text in legend.get_texts()] == ["ground truth", "prediction"]
    masks = v.plot_segmentation_mask_gallery(IMAGES, 3, y_true=MASKS, y_pred=MASKS, cols=2)
    assert masks.axes[0].images[0].get_array().shape == (12, 30, 3)


def refused() -> list[tuple[Any, type[Exception], str]]:
    boxes, masks, gallery = v.draw_bounding_boxes, v.draw_segmentation_masks, v.plot_image_gallery
    return [
        (lambda: boxes(IMAGES[0], BOXES, "xyxy"), ValueError, r"must be a batch .*=\(12, 10, 3\)"),
        (lambda: boxes(IMAGES, [1], "xyxy"), TypeError, "must be a dictionary"),
        (lambda: boxes(IMAGES, {"boxes": [1]}, "xyxy"), ValueError, "have `boxes` and `labels`"),
        (lambda: boxes(IMAGES, BOXES, "corners"), ValueError, "corners"),
        (lambda: masks(IMAGES, MASKS / 2), TypeError, "of integers. Received: .*float64"),
        (lambda: gallery(IMAGES, [0, 1]), ValueError, "Classes are written by their names"),
        (lambda: gallery(IMAGES, path="x.png", show=True), ValueError, "to a file, or shown"),
        (lambda: gallery(IMAGES[:0]), ValueError, r"at least one image.*=\(0, 12, 10, 3\)"),
        (lambda: gallery(IMAGES, value_range=(1, 1)), ValueError, r"differ. .*=\(1, 1\)"),
        (
            lambda: v.plot_bounding_box_gallery(IMAGES, "xyxy", legend=True, legend_handles=[1]),
            ValueError,
            "A legend is that of the two colours",
        ),
    ]


@pytest.mark.parametrize("number", range(10))
def test_what_is_refused(number: int) -> None:
    draw, error, message = refused()[number]
    with pytest.raises(error, match=message):
        draw()


def test_without_pillow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'cornu\[plot\]'"):
        v.draw_bounding_boxes(IMAGES, BOXES, "xyxy")
