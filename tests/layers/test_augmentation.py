"""Layers that change images: what they share, and boxes."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import cornu
from cornu import engines, layers, ops, utils
from cornu.layers._augmentation import Draws
from tests.engines_tested import ENGINES
from tests.layers.test_geometry import BOXES, DATA, IMAGES, ROWS, SIZES, host, made, names

MORE: list[tuple[str, dict[str, Any], str]] = [
    ("RandomElasticTransform", {"factor": 0.5, "scale": (0.2, 0.4)}, ""),
    ("RandomCrop", {"height": 4, "width": 5}, ""),
]
ALL = [*ROWS, *MORE]


def plain(config: dict[str, Any]) -> Any:
    return json.loads(json.dumps({k: v for k, v in config.items() if k != "name"}))


@pytest.mark.parametrize("name, arguments, boxes", [*ALL, *SIZES], ids=names([*ALL, *SIZES]))
def test_configs(name: str, arguments: dict[str, Any], boxes: str) -> None:
    """Configs are Keras's, and build the layer again."""
    ours, theirs = (
        getattr(library.layers, name)(**arguments, bounding_box_format="xywh")
        for library in (cornu, keras)
    )
    left_out = {"seed"} if name == "RandomCrop" else set()  # Keras writes one that it has drawn
    configs = [plain(layer.get_config()) for layer in (ours, theirs)]
    assert [{k: v for k, v in c.items() if k not in left_out} for c in configs][0] == {
        k: v for k, v in configs[1].items() if k not in left_out
    }
    for layer in (ours, theirs):
        again = cornu.saving.deserialize_keras_object(keras.saving.serialize_keras_object(theirs))
        assert plain(again.get_config()) == configs[1]
        assert layer is not again


def test_draws_never_end() -> None:
    """Each has a key of its own, the same on every engine, however many there are."""
    found = []
    for engine in ENGINES:
        with engines.use(engine):
            draws = Draws(ops.convert_to_tensor(np.array([2**32 - 1, 7], "uint32")), 2)
            found.append(np.array([ops.convert_to_numpy(draws.key()) for _ in range(600)]))
            np.testing.assert_array_equal(found[-1], found[0])
    assert len(np.unique(found[0], axis=0)) == 600
    deep = layers.AugMix(num_chains=5, chain_depth=5, seed=1)(IMAGES)
    assert np.isfinite(host(deep)).all()


@pytest.mark.parametrize("name, arguments, boxes", ALL, ids=names(ALL))
def test_a_seed_gives_the_same_on_every_engine(
    name: str, arguments: dict[str, Any], boxes: str
) -> None:
    """A batch, and unknown sizes; each image has a draw of its own."""
    results = []
    for engine in ENGINES:
        with engines.use(engine):
            results.append(host(made(cornu, name, arguments)(DATA)))
    for result in results[1:]:
        np.testing.assert_allclose(result["images"], results[0]["images"], atol=0.05)
        np.testing.assert_allclose(
            result["bounding_boxes"]["boxes"], results[0]["bounding_boxes"]["boxes"], atol=1e-3
        )
    layer = made(cornu, name, arguments)
    one = host(layer({k: (v if isinstance(v, dict) else v[0]) for k, v in single().items()}))
    assert one["images"].shape == results[0]["images"].shape[1:]
    unknown = cornu.KerasTensor((None, None, None, 3), "uint8")
    assert layer(unknown).dtype == "float32"
    assert layer(unknown).shape == (None, *layer(unknown).shape[1:])
    np.testing.assert_array_equal(host(layer(IMAGES, training=False)), IMAGES)


def single() -> dict[str, Any]:
    """DATA with a first axis to take away."""
    boxes = {k: v[0] for k, v in DATA["bounding_boxes"].items()}
    return {**DATA, "bounding_boxes": boxes}


def drawn(layer: Any, name: str) -> np.ndarray:
    images = np.zeros((4000, 4, 4, 1), "float32")
    return np.asarray(ops.convert_to_numpy(layer.get_random_transformation(images)[name]))


@pytest.mark.parametrize(
    "name, arguments, key",
    [
        ("RandomFlip", {}, "flips"),
        ("RandomRotation", {"factor": (0.1, 0.3)}, "angle"),
        ("RandomZoom", {"height_factor": 0.3}, "height_zoom"),
        ("RandomTranslation", {"height_factor": 0.2, "width_factor": (0, 0.3)}, "translations"),
        ("RandomPerspective", {"scale": 0.4}, "end_points"),
        ("RandomPerspective", {"factor": (0.5, 0.7)}, "apply_perspective"),
    ],
)
def test_what_is_drawn_is_distributed_as_in_keras(
    name: str, arguments: dict[str, Any], key: str
) -> None:
    ours, theirs = (
        np.sort(np.asarray(sample, "float64").reshape(4000, -1), axis=0)
        for sample in (
            drawn(made(cornu, name, arguments), key),
            drawn(made(keras, name, arguments), key),
        )
    )
    spread = max(theirs.std(), 1e-6)
    if key == "apply_perspective":  # Keras draws one chance for the batch
        assert abs(ours.mean() - 0.6) < 0.04
        return
    np.testing.assert_allclose(ours[200::400], theirs[200::400], atol=0.1 * spread)


@pytest.mark.parametrize("engine", [name for name in ENGINES if name != "pytensor"])
def test_within_a_training_step(engine: str, tmp_path: Any) -> None:
    """`fit` draws in its compiled steps, `predict` does not; a file has the layers."""
    with engines.use(engine):
        model = cornu.Sequential(
            [
                cornu.Input((9, 12, 3)),
                layers.Pipeline([layers.RandomFlip(seed=1), layers.RandomZoom(0.2, seed=2)]),
                layers.RandomCrop(9, 12, seed=3),
                layers.Flatten(),
                layers.Dense(1),
            ]
        )
        model.compile("sgd", "mse")
        before = host(model.predict(IMAGES, verbose=0))
        np.testing.assert_array_equal(before, host(model.predict(IMAGES, verbose=0)))
        model.fit(IMAGES / 255, np.ones((3, 1)), epochs=1, verbose=0, batch_size=2)
        model.save(tmp_path / "m.keras")
        again = cornu.saving.load_model(tmp_path / "m.keras")
        np.testing.assert_allclose(
            again.predict(IMAGES, verbose=0), model.predict(IMAGES, verbose=0)
        )


def test_within_tf_data() -> None:
    """On TensorFlow's engine, whichever is current, with what eager calls give."""
    layer = made(cornu, "RandomRotation", {"factor": 0.2})
    data = {k: v for k, v in DATA.items() if k != "labels"}
    mapped = next(iter(tf.data.Dataset.from_tensor_slices(data).batch(3).map(layer)))
    wanted = made(cornu, "RandomRotation", {"factor": 0.2})(data)
    np.testing.assert_allclose(mapped["images"], host(wanted["images"]), atol=0.05)
    np.testing.assert_allclose(
        mapped["bounding_boxes"]["boxes"], host(wanted["bounding_boxes"]["boxes"]), atol=1e-3
    )


def test_sizes_that_tf_data_does_not_know() -> None:
    layer = layers.Pipeline(
        [
            *(layers.RandomRotation(0.1), layers.RandomElasticTransform(), layers.RandomFlip()),
            *(layers.RandomPerspective(), layers.RandomCrop(5, 6), layers.CenterCrop(4, 5)),
        ]
    )
    spec = tf.TensorSpec((None, None, 3), "float32")
    data = tf.data.Dataset.from_generator(lambda: iter(IMAGES), output_signature=spec)
    for source, shape in ((data, (4, 5, 3)), (data.batch(2), (2, 4, 5, 3))):
        assert next(iter(source.map(layer))).shape == shape


def test_crops_and_numbers_of_boxes() -> None:
    layer = layers.RandomCrop(4, 5, seed=1, bounding_box_format="xyxy")
    images = np.broadcast_to(np.arange(9 * 12.0).reshape(1, 9, 12, 1), (30, 9, 12, 1))
    found = host(layer(images.astype("float32")))
    corners = found[:, 0, 0, 0]
    assert len(set(corners.tolist())) > 10
    for crop, corner in zip(found, corners, strict=True):
        row, column = divmod(int(corner), 12)
        np.testing.assert_array_equal(crop, images[0, row : row + 4, column : column + 5])
    for count in (1, 5):
        pair = (
            library.layers.MaxNumBoundingBoxes(count, bounding_box_format="xyxy")
            for library in (cornu, keras)
        )
        ours, theirs = (layer(dict(DATA))["bounding_boxes"] for layer in pair)
        for key in ("boxes", "labels"):
            np.testing.assert_array_equal(host(ours[key]), np.asarray(theirs[key]))


B, C = BOXES[0], BOXES[0] + np.array([0.5, 1, 1.5, 0], "float32")
ANGLES = {"angle": 30.0, "translate_x": 0.1, "translate_y": 0.2, "scale": 1.5}
#: Calls f(module, array function) that are the same in both.
CALLS: dict[str, Callable[[Any], Any]] = {
    **{
        f"to and from {layout}": lambda m, layout=layout: m.convert_format(
            m.convert_format(B, "xyxy", layout, 9, 12), layout, "yxyx", 9, 12
        )
        for layout in (
            *("xyxy", "yxyx", "xywh", "center_xywh", "center_yxhw"),
            *("rel_xyxy", "rel_yxyx", "rel_xywh", "rel_center_xywh"),
        )
    },
    "clip": lambda m: m.clip_to_image_size({"boxes": B - 3, "labels": np.arange(3)}, 5, 4),
    "crop": lambda m: m.crop(B, 1, 2, 5, 6),
    "pad": lambda m: m.pad(B, 1, 2),
    "turned": lambda m: m.affine_transform(
        BOXES,
        **{k: np.full(3, v, "float32") for k, v in ANGLES.items()},
        shear_x=np.zeros(3, "float32"),
        shear_y=np.full(3, 5.0, "float32"),
        height=9,
        width=12,
    ),
    "sheared": lambda m: m.affine_transform(
        BOXES[:1],
        *np.zeros((3, 1), "float32"),
        np.ones(1, "float32"),
        np.full(1, 20.0, "float32"),
        np.zeros(1, "float32"),
        9,
        12,
        center_x=0.25,
        center_y=0.5,
    ),
    "iou": lambda m: m.compute_iou(B, C, "xyxy"),
    "iou of batches": lambda m: m.compute_iou(BOXES, C, "xywh"),
    "iou with none": lambda m: m.compute_iou(B - 9, C - 9, "xyxy", use_masking=True, mask_val=-2),
    "iou, relative": lambda m: m.compute_iou(B / 12, C / 12, "rel_xyxy", image_shape=(9, 12, 3)),
    "ciou": lambda m: m.compute_ciou(B, C, "center_xywh"),
    "encoded": lambda m: m.encode_box_to_deltas(
        B, C, "xyxy", "xywh", "center_xywh", [0.1, 0.2, 0.3, 1]
    ),
    "decoded": lambda m: m.decode_deltas_to_boxes(
        B, C / 9, "yxyx", "xyxy", variance=[0.1, 0.2, 0.3, 1]
    ),
    "decoded, several": lambda m: m.decode_deltas_to_boxes(
        {"a": B}, {"a": C / 9}, "xyxy", "rel_xyxy", image_shape=(9, 12, 3)
    )["a"],
}


@pytest.mark.parametrize("name", CALLS)
def test_boxes_beside_keras(name: str) -> None:
    wanted = CALLS[name](keras.utils.bounding_boxes)
    for engine in {"jax", "torch", "numpy"} & set(ENGINES):
        with engines.use(engine):
            found = CALLS[name](utils.bounding_boxes)
            for key in found if isinstance(found, dict) else [None]:
                pair = (found, wanted) if key is None else (found[key], wanted[key])
                np.testing.assert_allclose(host(pair[0]), np.asarray(pair[1]), 1e-4, 1e-4)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: layers.RandomFlip("up"), "`mode` must be one of .* mode='up'"),
        (lambda: layers.RandomRotation(2.0), "from -1 to 1. Received: factor=2.0"),
        (lambda: layers.RandomRotation("a"), "Received: factor='a'"),
        (lambda: layers.RandomZoom(-1), "Received: height_factor=-1"),
        (lambda: layers.RandomTranslation(0.1, (1, 2, 3)), r"width_factor=\(1, 2, 3\)"),
        (lambda: layers.RandomPerspective(scale=2), "`scale` must be a number from 0 to 1"),
        (lambda: layers.RandomPerspective(-0.1), "from 0 to 1. Received: factor=-0.1"),
        (lambda: layers.RandomZoom(0.1, fill_mode="mirror"), "`fill_mode` must be one of"),
        (lambda: layers.CenterCrop(0, 1), "`height` must be a positive integer"),
        (
            lambda: layers.RandomFlip()({"image": IMAGES}),
            r"under `images`. Received: keys=\['image'\]",
        ),
        (lambda: layers.RandomFlip()(DATA), "bounding_box_format=None in the layer 'random_flip"),
        (lambda: utils.bounding_boxes.convert_format(B, "xy", "xyxy"), "`source` must be one of"),
        (lambda: utils.bounding_boxes.convert_format(B, "xyxy", "rel_xyxy"), "height=None"),
        (lambda: utils.bounding_boxes.convert_format(B[:, :3], "xyxy", "xywh"), "four numbers"),
        (lambda: utils.bounding_boxes.compute_iou(B, B, "rel_xyxy"), "image_shape=None"),
        (lambda: utils.bounding_boxes.compute_iou(BOXES[None], B, "xyxy"), "boxes1.shape"),
    ],
)
def test_what_is_wrong_is_told(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
