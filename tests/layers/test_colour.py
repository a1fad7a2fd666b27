"""Layers that change colours or mix images: the pixels of Keras under the same draws, on every engine."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import jax
import keras
import numpy as np
import pytest
import tensorflow as tf

import cornu
from cornu import engines, layers, ops
from tests.engines_tested import ENGINES

IMAGES = np.random.default_rng(0).uniform(20, 200, (2, 12, 14, 3)).astype("float32")
UNIT, SIGNED = {"value_range": (0, 1)}, {"value_range": (-1, 1)}


def numbers(*values: float) -> np.ndarray:
    return np.array(values, "float32")


def each(*values: float) -> np.ndarray:
    return numbers(*values).reshape(-1, 1, 1, 1)


class Row(NamedTuple):
    """A layer, its arguments, and what was drawn for two images."""

    layer: str
    arguments: dict[str, Any] = {}
    drawn: Any = None


BOX = np.zeros((2, 12, 14, 3), bool)
BOX[0, 2:7, 3:9] = BOX[1, 5:, :4] = True
CLAHE = "ContrastLimitedAdaptiveHistogramEqualization"
ROWS = [
    Row("AutoContrast"),
    Row("AutoContrast", SIGNED),
    Row("Solarization", {}, {"additions": each(10, 50), "thresholds": each(100, 120)}),
    Row("Solarization", SIGNED, {"additions": each(10, 50), "thresholds": each(100, 120)}),
    Row("RandomBrightness", {"factor": 0.4}, {"rgb_delta": each(-50, 90)}),
    Row("RandomContrast", {"factor": (0.1, 0.4)}, {"contrast_factor": each(0.3, 1.8)}),
    Row("RandomInvert", {"factor": 0.5}, {"apply_inversion": np.array([True, False])}),
    Row("RandomColorDegeneration", {"factor": 0.5}, {"factor": each(-0.4, 0.8)}),
    Row("RandomGrayscale", {}, np.array([True, False]).reshape(2, 1, 1, 1)),
    Row("RandomPosterization", {"factor": 3}, {"shift_factor": np.array([7, 4], "uint8")}),
    Row("RandomPosterization", {"factor": 3, **UNIT}, {"shift_factor": np.array([7, 4], "uint8")}),
    Row("RandomHue", {"factor": 0.4}, {"factor": numbers(-0.1, 0.3)}),
    Row("RandomSaturation", {"factor": 0.4}, {"factor": numbers(-0.1, 0.9)}),
    Row("RandomSharpness", {"factor": 0.4}, {"factor": numbers(0.3, 0.9)}),
    Row(
        "RandomGaussianBlur",
        {"kernel_size": (3, 5), "sigma": (0.5, 1.0)},
        {"should_apply_blur": np.array([True, False]), "blur_factor": numbers(0.7, 0.9)},
    ),
    Row("Equalization"),
    Row("Equalization", {"bins": 10, **UNIT}),
    Row(CLAHE),
    Row(CLAHE, {"tile_grid_size": (2, 3), "clip_limit": 2.0, **UNIT}),
    Row(
        "RandomErasing",
        {"factor": 0.3},
        {
            "apply_erasing": np.array([True, False]),
            "batch_masks": BOX,
            "fill_value": np.float32(9),
        },
    ),
    Row(
        "CutMix",
        {},
        {
            "permutation_order": np.array([1, 0]),
            "batch_masks": BOX,
            "mix_weight": each(0.8, 0.6),
        },
    ),
    Row("MixUp", {}, {"permutation_order": np.array([1, 0]), "mix_weight": numbers(0.8, 0.6)}),
]
IDS = [f"{i}-{row.layer}" for i, row in enumerate(ROWS)]
#: Those that draw, each with arguments of its own.
DRAWING = {row.layer: row.arguments for row in ROWS if row.drawn is not None} | {
    "RandomColorJitter": {
        f"{name}_factor": 0.3 for name in ("brightness", "contrast", "saturation", "hue")
    }
}


def few(layer: str) -> list[str]:
    """The engines that a layer is tested on: all of them one layer, whose operations are those of the others."""
    seen = ENGINES if layer == "RandomGaussianBlur" else ("jax", "torch", "numpy")
    return [engine for engine in ENGINES if engine in seen]


def made(row: Row, library: Any = cornu, **more: Any) -> Any:
    return getattr(library.layers, row.layer)(**row.arguments, **more)


def in_range(row: Row, images: np.ndarray = IMAGES) -> np.ndarray:
    low, high = row.arguments.get("value_range", (0, 255))
    return (images / 255 * (high - low) + low).astype("float32")


def plain(config: dict[str, Any]) -> Any:
    return json.loads(json.dumps({k: v for k, v in config.items() if k not in ("name", "dtype")}))


@pytest.mark.parametrize("row", ROWS, ids=IDS)
def test_pixels(row: Row) -> None:
    images, theirs = in_range(row), made(row, keras)
    # Keras joins the histograms of a batch in one: there an image is compared alone.
    parts = [images[:1], images[1:]] if row.layer == "Equalization" else [images]
    found = [theirs.transform_images(x, row.drawn, training=True) for x in parts]
    expected = np.concatenate([np.asarray(x) for x in found])
    # What an equalized channel is rounded to may differ by a level.
    levels = 1.01 if row.layer == "Equalization" else 0.25
    scale = levels * (1 if images.max() > 1 else 1 / 127)
    for engine in few(row.layer):
        with engines.use(engine):
            for first in (False, True) if engine == "numpy" else (False,):
                layer = made(row, data_format="channels_first" if first else "channels_last")
                x, drawn = images, row.drawn
                if first:
                    x = np.moveaxis(x, 3, 1)
                    if isinstance(drawn, dict) and "batch_masks" in drawn:
                        drawn = {**drawn, "batch_masks": np.moveaxis(BOX, 3, 1)}
                got = ops.convert_to_numpy(layer.transform_images(x, drawn, training=True))
                got = np.moveaxis(got, 1, 3) if first else got
                np.testing.assert_allclose(got, expected, 0, scale, err_msg=f"{engine} {first}")


@pytest.mark.parametrize("row", ROWS, ids=IDS)
def test_configs(row: Row) -> None:
    ours, theirs = made(row), made(row, keras)
    assert plain(ours.get_config()) == plain(theirs.get_config())
    again = layers.deserialize(keras.layers.serialize(theirs))
    assert plain(again.get_config()) == plain(ours.get_config())
    images = in_range(row).astype("uint8")
    with engines.use("numpy"):
        kept = row.layer in ("RandomBrightness", "RandomGrayscale", CLAHE)
        assert ours(images).dtype.name == ("uint8" if kept else "float32")  # as in Keras
        assert ours(images[0]).shape == images[0].shape
    assert ours.compute_output_shape((None, 8, 9, 3)) == (None, 8, 9, 3)


@pytest.mark.parametrize("layer", DRAWING)
def test_a_seed_on_every_engine(layer: str) -> None:
    row, found = Row(layer, DRAWING[layer]), {}
    for engine in few(layer):
        with engines.use(engine):
            made_here = made(row, seed=7)
            found[engine] = [ops.convert_to_numpy(made_here(in_range(row))) for _ in range(2)]
    first, second = found["numpy"]
    assert np.abs(first - in_range(row)).max() > 0 or np.abs(second - in_range(row)).max() > 0
    for engine, (a, b) in found.items():
        np.testing.assert_allclose(a, first, 0, 0.02, err_msg=engine)
        np.testing.assert_allclose(b, second, 0, 0.02, err_msg=engine)
    with engines.use("numpy"):
        np.testing.assert_array_equal(made(row)(IMAGES, training=False), IMAGES)
    mapped = tf.data.Dataset.from_tensor_slices(in_range(row)).batch(2).map(made(row, seed=7))
    np.testing.assert_allclose(next(iter(mapped)), first, 0, 0.02)


#: The ends, and the mean, of what is drawn.
RANGES = [
    ("RandomBrightness", {"factor": 0.4}, "rgb_delta", -102, 102, 0),
    ("RandomContrast", {"factor": 0.4}, "contrast_factor", 1, 1.4, 1.2),
    ("RandomHue", {"factor": 0.4}, "factor", -0.2, 0.2, 0),
    ("RandomSaturation", {"factor": 0.4}, "factor", -0.286, 0.667, 0.059),
    ("RandomColorDegeneration", {"factor": 0.4}, "factor", -0.4, 0.4, 0),
    ("RandomSharpness", {"factor": 0.4}, "factor", 0, 0.4, 0.2),
    ("RandomPosterization", {"factor": 3}, "shift_factor", 6, 7, 6.5),
    ("RandomInvert", {"factor": 0.5}, "apply_inversion", 0, 1, 0.25),
    ("RandomErasing", {"factor": 0.5}, "apply_erasing", 0, 1, 0.25),
    ("RandomErasing", {}, "batch_masks", 0, 1, 0.1125),
    ("RandomGaussianBlur", {"sigma": (0.5, 2.0)}, "blur_factor", 0.5, 2, 1.25),
    ("Solarization", {"addition_factor": (0.2, 0.4)}, "additions", 51, 102, 76.5),
    ("MixUp", {"alpha": 0.5}, "mix_weight", 0, 1, 0.5),
    ("CutMix", {}, "mix_weight", 0, 1, 0.5),
]


@pytest.mark.parametrize("layer, arguments, name, low, high, mean", RANGES)
def test_draws(
    layer: str, arguments: dict[str, Any], name: str, low: float, high: float, mean: float
) -> None:
    """The ends and means that Keras has, where it draws for each image and heeds both ends."""
    with engines.use("numpy"):
        made_here = getattr(layers, layer)(**arguments, seed=1)
        drawn = made_here.get_random_transformation(np.zeros((4000, 6, 7, 3), "float32"))
        drawn = np.asarray(drawn[name], "float64")
    assert low - 1e-3 <= drawn.min()
    assert drawn.max() <= high + 1e-3
    assert drawn.max() - drawn.min() > 0.97 * (high - low)
    assert drawn.mean() == pytest.approx(mean, abs=0.04 * (high - low))


def test_what_belongs_to_images() -> None:
    """Labels, masks and boxes are mixed with the images, of any engine."""
    labels, masks = np.eye(2, dtype="int32"), (IMAGES[..., :1] > 100).astype("int32")
    boxes = {"boxes": np.arange(16.0).reshape(2, 2, 4), "labels": np.arange(4).reshape(2, 2)}
    data = {"images": IMAGES, "labels": labels, "segmentation_masks": masks}
    for row in ROWS[-2:]:
        ours, theirs = made(row), made(row, keras)
        for part in ("labels", "segmentation_masks"):
            if (row.layer, part) == ("MixUp", "segmentation_masks"):
                continue  # Keras's are no mixture
            x = data[part].astype("float32")
            drawn = {**row.drawn, "batch_masks": BOX[..., :1]}
            expected = getattr(theirs, f"transform_{part}")(x, drawn, training=True)
            got = getattr(ours, f"transform_{part}")(data[part], drawn)
            np.testing.assert_allclose(np.asarray(got), np.asarray(expected), 1e-5, 1e-5)
        flat = ours.transform_segmentation_masks(
            masks[..., 0], row.drawn
        )  # with no axis of channels
        whole = ours.transform_segmentation_masks(masks, row.drawn)
        np.testing.assert_array_equal(flat, np.asarray(whole)[..., 0])
        assert ours(data)["labels"].shape == (2, 2)
        with pytest.raises(ValueError, match="one_hot"):
            ours({"images": IMAGES, "labels": np.array([0, 1])})
        single = {"images": IMAGES[0], "labels": numbers(1, 0)}
        np.testing.assert_allclose(ours(single)["labels"], [1, 0], atol=1e-6)
    mixed = made(ROWS[-1]).transform_bounding_boxes(boxes, ROWS[-1].drawn)
    assert np.asarray(mixed["labels"]).tolist() == [[0, 1, 2, 3], [2, 3, 0, 1]]
    assert np.asarray(mixed["boxes"])[0, 2].tolist() == [8.0, 9.0, 10.0, 11.0]
    with pytest.raises(NotImplementedError, match="Use MixUp"):
        made(ROWS[-2]).transform_bounding_boxes(boxes, ROWS[-2].drawn)


def test_where_keras_is_wrong() -> None:
    """An image does not depend on the others, and its values stay in their range."""
    layer = layers.Equalization()
    np.testing.assert_array_equal(layer(IMAGES)[:1], layer(IMAGES[:1]))
    inverted = layers.RandomInvert((1.0, 1.0), (-1, 1))(np.full((1, 2, 2, 3), 0.25))
    assert np.unique(inverted).tolist() == [-0.25]
    strong = layers.RandomSaturation((0.9, 0.9))(IMAGES)
    assert strong.min() >= 0
    assert strong.max() <= 255


@pytest.mark.parametrize(
    "layer, arguments, message",
    [
        ("RandomBrightness", {"factor": 2.0}, "from -1 to 1. Received: factor=2.0"),
        (
            "RandomBrightness",
            {"factor": 0.1, "value_range": (1, 0)},
            "Received: value_range=.1, 0.",
        ),
        ("RandomContrast", {"factor": (0.1, "a")}, "Received: factor=.0.1, 'a'."),
        ("RandomPosterization", {"factor": 9}, "from 1 to 8. Received: factor="),
        ("RandomGaussianBlur", {"kernel_size": 4}, "must be odd. Received: kernel_size=4"),
        ("RandomGrayscale", {"factor": 2.0}, "from 0 to 1. Received: factor="),
        ("RandomErasing", {"scale": 2.0}, "Received: scale=2.0"),
        ("Equalization", {"bins": 0}, "Received: bins=0"),
        (CLAHE, {"tile_grid_size": (0, 1)}, "Received: tile_grid_size=.0, 1."),
        ("MixUp", {"alpha": 0}, "Received: alpha=0"),
    ],
)
def test_what_is_refused(layer: str, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        getattr(layers, layer)(**arguments)


@pytest.mark.parametrize("layer", ["RandAugment", "AugMix"])
def test_policies(layer: str) -> None:
    """Each image has operations of its own; alone it is changed as in its batch, on every engine."""
    found = {}
    for engine in ("numpy", "torch"):
        with engines.use(engine):
            made_here = getattr(layers, layer)(seed=3)
            drawn = made_here.get_random_transformation(IMAGES)
            found[engine] = ops.convert_to_numpy(made_here.transform_images(IMAGES, drawn))
    np.testing.assert_allclose(found["torch"], found["numpy"], 0, 1.01)
    assert found["numpy"].shape == IMAGES.shape
    assert made_here(IMAGES[:0]).shape == (0, *IMAGES.shape[1:])
    assert np.abs(found["numpy"] - IMAGES).max() > 1
    theirs = getattr(keras.layers, layer)().get_config()
    assert plain(getattr(layers, layer)().get_config()) == plain(theirs)


@pytest.mark.parametrize("is_far", [False, True])
def test_policies_in_a_trace(is_far: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Image by image on a CPU, all at once on a GPU: the same as where values are known."""
    with engines.use("jax") as engine:
        monkeypatch.setattr(type(engine), "is_far", is_far)
        layer = layers.RandAugment(num_ops=1, seed=3)
        drawn = layer.get_random_transformation(IMAGES)
        found = jax.jit(layer.transform_images)(IMAGES, drawn)
        np.testing.assert_allclose(found, layer.transform_images(IMAGES, drawn), 0, 1.01)


def test_boxes_and_masks_of_a_policy() -> None:
    """They go where the pixels go, of every image by the operations that it drew."""
    images = np.zeros((20, 48, 64, 3), "float32")
    images[:, 20:30, 24:40] = 255
    boxes = {"boxes": np.array([[[24, 20, 40, 30]]] * 20, "float32"), "labels": np.zeros((20, 1))}
    data = {"images": images, "segmentation_masks": images[..., :1] > 0, "bounding_boxes": boxes}
    with engines.use("numpy"):
        layer = layers.RandAugment(factor=0.2, seed=3, bounding_box_format="xyxy")
        found = layer(data)
    moved = 0
    for mask, box in zip(
        found["segmentation_masks"], found["bounding_boxes"]["boxes"], strict=True
    ):
        rows, columns, _ = np.nonzero(mask)
        edges = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        np.testing.assert_allclose(edges, box[0], atol=2.2)
        moved += edges != [24, 20, 40, 30]
    assert moved > 5
    with engines.use("numpy"), pytest.raises(ValueError, match="bounding_box_format=None"):
        layers.RandAugment(seed=3)(data)


def test_masks_without_channels() -> None:
    with engines.use("numpy"):
        drawn = {**ROWS[-2].drawn, "batch_masks": BOX[..., :1]}
        masks = (IMAGES[..., 0] > 100).astype("int32")
        found = layers.CutMix().transform_segmentation_masks(masks, drawn)
        np.testing.assert_array_equal(found, np.where(BOX[..., 0], masks[::-1], masks))


@pytest.mark.parametrize("layer", ["AutoContrast", "RandomHue", "RandAugment"])
def test_half_precision(layer: str) -> None:
    arguments = {"factor": 0.3} if layer == "RandomHue" else {}
    for dtype in ("float16", "bfloat16"):
        with engines.use("numpy"):
            found = getattr(layers, layer)(**arguments, dtype=dtype)(IMAGES.astype("uint8"))
            assert cornu.backend.standardize_dtype(found.dtype) == dtype
