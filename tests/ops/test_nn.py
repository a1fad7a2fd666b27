"""What the table of rows doesn't say of `ops.nn` and `ops.image`: errors, warnings, randomness."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from cornu import ops
from cornu.core.keras_tensor import KerasTensor
from cornu.ops import image, nn

IMAGES = np.ones((2, 8, 8, 4), "float32")
KERNEL = np.ones((3, 3, 4, 6), "float32")
HEADS = np.ones((2, 5, 4, 8), "float32")

ERRORS: list[tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any], str]] = [
    (nn.conv, (IMAGES, KERNEL), {"padding": "full"}, "Received: padding='full'"),
    (nn.conv, (IMAGES, KERNEL), {"strides": (1, 2, 3)}, r"Received: strides=\(1, 2, 3\)"),
    (nn.conv, (IMAGES, KERNEL), {"dilation_rate": 0}, "Received: dilation_rate=0"),
    (nn.conv, (IMAGES, KERNEL), {"data_format": "last"}, "Received: data_format='last'"),
    (nn.conv, (IMAGES[0], KERNEL), {}, r"inputs.shape=\(8, 8, 4\)"),
    (nn.conv, (IMAGES, KERNEL[:, :, :3]), {}, r"kernel.shape=\(3, 3, 3, 6\)"),
    (nn.conv, (IMAGES[:, :2], KERNEL), {}, "would be empty"),
    (nn.depthwise_conv, (IMAGES, KERNEL[:, :, :3]), {}, r"kernel.shape=\(3, 3, 3, 6\)"),
    (nn.max_pool, (IMAGES, 9), {}, "would be empty"),
    (nn.max_pool, (IMAGES, 0), {}, "Received: pool_size=0"),
    (nn.adaptive_max_pool, (IMAGES, 0), {}, "Received: output_size=0"),
    (nn.depth_to_space, (IMAGES, 3), {}, "Received: channels=4"),
    (nn.depth_to_space, (IMAGES, 1), {}, "block_size=1"),
    (nn.space_to_depth, (IMAGES, 3), {}, "Received: height=8"),
    (nn.glu, (IMAGES[..., :3],), {}, "axis=3"),
    (nn.softmax, (IMAGES,), {"axis": 4}, "Received: axis=4"),
    (nn.multi_hot, ([1],), {}, "num_classes=None"),
    (nn.normalize, (IMAGES,), {"order": 0}, "Received: order=0"),
    (nn.psnr, (IMAGES, IMAGES[0], 1.0), {}, r"x2.shape=\(8, 8, 4\)"),
    (nn.categorical_crossentropy, (IMAGES, IMAGES[:1]), {}, r"output.shape=\(1, 8, 8, 4\)"),
    (nn.sparse_categorical_crossentropy, ([1, 2], np.ones((3, 4))), {}, r"target.shape=\(2,\)"),
    (nn.sparse_categorical_crossentropy, (1, 2.0), {}, r"output.shape=\(\)"),
    (nn.dot_product_attention, (HEADS[0], HEADS, HEADS), {}, r"query.shape=\(5, 4, 8\)"),
    (nn.dot_product_attention, (HEADS, *[HEADS[:, :, :3]] * 2), {}, "key heads=3"),
    (nn.ctc_loss, ([[1]], HEADS[0], [1, 2], [1]), {}, r"target.shape=\(1, 1\)"),
    (nn.ctc_decode, (HEADS[0], [1]), {"strategy": "best"}, "strategy='best'"),
    (image.resize, (IMAGES, (0, 4)), {}, r"size=\(0, 4\)"),
    (image.resize, (IMAGES, (4, 4)), {"interpolation": "sinc"}, "interpolation='sinc'"),
    (image.resize, (IMAGES, (4, 4)), {"fill_mode": "wrap"}, "fill_mode='wrap'"),
    (
        image.resize,
        (IMAGES, (4, 4)),
        {"pad_to_aspect_ratio": True, "crop_to_aspect_ratio": True},
        "Only one",
    ),
    (image.rgb_to_grayscale, (IMAGES,), {}, r"images.shape=\(2, 8, 8, 4\)"),
    (image.rgb_to_hsv, (IMAGES.astype("uint8"),), {}, "images.dtype=uint8"),
    (image.pad_images, (IMAGES, 1, 2), {}, "bottom_padding=None"),
    (image.pad_images, (IMAGES, -1, 2, 3, 4), {}, "Received: top_padding=-1"),
    (image.crop_images, (IMAGES, 5, 0, 4, 0), {}, "Received: target_height=-1"),
    (image.extract_patches, (IMAGES[0, 0], 2), {}, r"images.shape=\(8, 4\)"),
    (image.map_coordinates, (IMAGES, IMAGES, 2), {}, "Received: order=2"),
    (image.map_coordinates, (IMAGES, IMAGES, 1), {}, r"inputs.shape=\(2, 8, 8, 4\)"),
    (image.affine_transform, (IMAGES, np.ones(8)), {}, r"transform.shape=\(8,\)"),
    (
        image.affine_transform,
        (IMAGES, np.ones((2, 8))),
        {"interpolation": "cubic"},
        "interpolation='cubic'",
    ),
]


@pytest.mark.parametrize(("op", "args", "kwargs", "message"), ERRORS)
def test_error(
    op: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        op(*args, **kwargs)


def test_softmax_of_one_element_warns() -> None:
    with pytest.warns(UserWarning, match="Did you mean a sigmoid"):
        nn.softmax(np.ones((2, 1), "float32"))


def test_soft_cap() -> None:
    """Capped scores, by the formula."""
    query, key, value = np.random.default_rng(0).normal(size=(3, 1, 5, 1, 8)).astype("float32")
    scores = np.einsum("bthd,bshd->bhts", query, key) / np.sqrt(8)
    weights = np.exp(0.5 * np.tanh(scores / 0.5))
    weights /= weights.sum(-1, keepdims=True)
    wanted = np.einsum("bhts,bshd->bthd", weights, value)
    found = nn.dot_product_attention(query, key, value, attn_logits_soft_cap=0.5)
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("shape", [(2, 9, 8, 3), (9, 8, 3)])
@pytest.mark.parametrize("dtype", ["float32", "float16", "uint8"])
def test_elastic_transform(shape: tuple[int, ...], dtype: str) -> None:
    images = np.random.default_rng(0).uniform(0, 200, shape).astype(dtype)
    bent = ops.convert_to_numpy(image.elastic_transform(images, seed=1))
    assert bent.shape == shape
    assert bent.dtype == dtype
    np.testing.assert_array_equal(bent, image.elastic_transform(images, seed=1))
    assert not np.array_equal(bent, image.elastic_transform(images, seed=2))
    np.testing.assert_array_equal(image.elastic_transform(images, alpha=0.0), images)


def test_unknown_image_sizes() -> None:
    """Where the sizes of images are unknown, those that are asked for are known."""
    x = KerasTensor((None, None, None, 3))
    transforms = np.zeros((2, 8), "float32")
    assert image.resize(x, (4, 5)).shape == (None, 4, 5, 3)
    assert image.resize(x, (4, 5), pad_to_aspect_ratio=True).shape == (None, 4, 5, 3)
    assert image.pad_images(x, 1, 2, target_height=8, target_width=9).shape == (None, 8, 9, 3)
    assert image.crop_images(x, 1, 2, target_height=8, target_width=9).shape == (None, 8, 9, 3)
    assert image.extract_patches(x, 2).shape == (None, None, None, 12)
    assert image.elastic_transform(x).shape == (None, None, None, 3)
    assert image.affine_transform(x, transforms).shape[1:] == (None, None, 3)
