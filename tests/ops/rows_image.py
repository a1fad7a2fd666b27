"""Rows of the op table: `cornu.ops.image`."""

from __future__ import annotations

from typing import Any

import numpy as np
from rows import A, Row

HALVES = ("float16", "bfloat16")
IMAGES = A(2, 5, 6, 3, low=0.0, high=255.0)
COLOURS = A(2, 5, 6, 3, low=0.0, high=1.0)
BYTES = A(2, 5, 6, 3, dtype="uint8", low=0, high=256)
#: Where a result lies half-way between two integers, rounding errors decide: 1 % is 1 here.
LIGHT = A(2, 5, 6, 3, dtype="uint8", low=100, high=256)
VOLUMES = A(2, 4, 5, 6, 3)
METHODS = ("nearest", "bilinear", "bicubic", "lanczos3", "lanczos5")

RESIZES = [
    *(
        Row(
            "image.resize",
            (IMAGES, size),
            {"interpolation": method, "antialias": antialias},
            tolerance=1e-3,
            gradient=False,
        )
        for size in ((3, 9), (8, 4), (5, 6))
        for method in METHODS
        for antialias in (False, True)
    ),
    *(
        Row(
            "image.resize",
            (LIGHT, (3, 9)),
            {"interpolation": method},
            tolerance=1e-2,
            gradient=False,
        )
        for method in ("nearest", "bilinear")
    ),
    Row("image.resize", (COLOURS, (3, 9)), dtypes=HALVES),
    Row("image.resize", (A(5, 6, 3), (3, 9))),
    Row("image.resize", (A(3, 5, 6), (3, 9)), {"data_format": "channels_first"}),
    *(
        Row("image.resize", (COLOURS, size), {option: True, "fill_value": 0.5})
        for size in ((9, 9), (4, 9), (9, 4))
        for option in ("crop_to_aspect_ratio", "pad_to_aspect_ratio")
    ),
]

COLOUR_SPACES = [
    Row("image.rgb_to_grayscale", (COLOURS,), dtypes=HALVES),
    Row("image.rgb_to_grayscale", (BYTES,)),
    Row("image.rgb_to_grayscale", (A(5, 6, 1),)),
    Row("image.rgb_to_grayscale", (A(2, 3, 5, 6),), {"data_format": "channels_first"}),
    *(
        Row(f"image.{name}", (images,), {"data_format": layout}, gradient=False)
        for name in ("rgb_to_hsv", "hsv_to_rgb")
        for images, layout in (
            (COLOURS, "channels_last"),
            (A(5, 6, 3, low=0), "channels_last"),
            (A(2, 3, 5, 6, low=0), "channels_first"),
        )
    ),
    Row(
        "image.rgb_to_hsv",
        (np.array([[[0, 0, 0], [1, 1, 1], [0.5, 0.2, 0.7], [0.2, 0.2, 0.1]]], "float32"),),
        gradient=False,
    ),
]

MARGINS = [
    *(
        Row(f"image.{name}_images", (images, *sides), settings)
        for name in ("pad", "crop")
        for images, sides, settings in (
            (IMAGES, (1, 2, 1, 1), {}),
            (BYTES, (1, 2, 1, 1), {}),
            (A(5, 6, 3), (1, 2, 1, 1), {}),
            (A(2, 3, 5, 6), (1, 2, 1, 1), {"data_format": "channels_first"}),
        )
    ),
    Row("image.pad_images", (IMAGES, 1, 2), {"target_height": 9, "target_width": 10}),
    Row("image.crop_images", (IMAGES, 1, 2), {"target_height": 2, "target_width": 3}),
    *(
        Row(
            f"image.{name}_images",
            (IMAGES,),
            {
                f"bottom_{name}{ending}": 1,
                f"right_{name}{ending}": 0,
                "target_height": height,
                "target_width": width,
            },
        )
        for name, ending, height, width in (("pad", "ding", 8, 9), ("crop", "ping", 3, 2))
    ),
]

PATCHES = [
    *(
        Row("image.extract_patches", (images, size), settings)
        for images, size, settings in (
            (IMAGES, (2, 2), {}),
            (IMAGES, 2, {"strides": 1, "padding": "same"}),
            (IMAGES, (2, 3), {"strides": (1, 2), "dilation_rate": 2}),
            (IMAGES, (2, 3), {"strides": 1, "dilation_rate": 2, "padding": "same"}),
            (A(5, 6, 3), 2, {}),
            (A(2, 3, 5, 6), 2, {"data_format": "channels_first"}),
            (BYTES, 2, {}),
            (VOLUMES, (2, 2, 2), {}),
        )
    ),
    Row("image.extract_patches_3d", (VOLUMES, 2)),
    Row("image.extract_patches_3d", (VOLUMES, (2, 3, 2)), {"strides": 1, "padding": "same"}),
]


def _blurred(images: np.ndarray, kernel_size: Any, sigma: Any) -> np.ndarray:
    """Sums over the window; on JAX, Keras smooths images with channels last along one axis only."""
    width, height = (
        np.exp(-(((np.arange(size) - (size - 1) / 2) / scale) ** 2) / 2)
        for size, scale in zip(kernel_size, sigma, strict=True)
    )
    weights = np.outer(height, width) / (height.sum() * width.sum())
    rows, columns = weights.shape
    pads = [((n - 1) // 2, n // 2) for n in weights.shape]
    padded = np.pad(images, ((0, 0), *pads, (0, 0)))
    _, image_height, image_width, _ = images.shape
    return sum(
        weights[i, j] * padded[:, i : i + image_height, j : j + image_width]
        for i in range(rows)
        for j in range(columns)
    )


SQUARES = A(2, 12, 13, 3, low=0.0, high=1.0)
FILTERS = [
    *(
        Row("image.gaussian_blur", (SQUARES, sizes, sigmas), reference=_blurred)
        for sizes, sigmas in (((3, 3), (1.0, 1.0)), ((3, 5), (1.0, 2.0)), ((4, 3), (0.5, 1.0)))
    ),
    Row("image.gaussian_blur", (A(2, 3, 7, 8), (5, 3)), {"data_format": "channels_first"}),
    Row("image.sobel_edges", (SQUARES,)),
    Row("image.sobel_edges", (A(2, 3, 7, 8),), {"data_format": "channels_first"}),
    Row("image.ssim", (SQUARES, SQUARES), tolerance=1e-4),
    Row("image.ssim", (A(12, 13, 3, low=0), A(12, 13, 3, low=0)), tolerance=1e-4),
    Row(
        "image.ssim",
        (SQUARES, SQUARES),
        {"max_val": 2.0, "filter_size": 3, "filter_sigma": 1.0, "k1": 0.1, "k2": 0.3},
        tolerance=1e-4,
    ),
]

AFFINE = np.array(
    [[1, 0.13, 0.4, 0.05, 0.9, -0.33, 0, 0], [0.8, 0, 1.2, 0, 1.1, 0.7, 0, 0]], "float32"
)
CORNERS = np.array([[[0, 0], [5, 0], [0, 4], [5, 4]]] * 2, "float32")
MOVED = CORNERS + np.array([[[0.4, -0.2], [-0.7, 0.4], [0.1, -0.4], [0.2, 0.8]]], "float32")
PLACES = A(2, 4, 3, low=-4.0, high=9.0)
FILL_MODES = ("constant", "nearest", "wrap", "mirror", "reflect")

WARPS = [
    *(
        Row(
            "image.affine_transform",
            (IMAGES, AFFINE),
            {"interpolation": interpolation, "fill_mode": fill_mode, "fill_value": 9.0},
            tolerance=1e-3,
            gradient=False,
        )
        for fill_mode in FILL_MODES
        for interpolation in ("nearest", "bilinear")
    ),
    Row("image.affine_transform", (LIGHT, AFFINE), {"fill_mode": "wrap"}, tolerance=1e-2),
    Row("image.affine_transform", (A(5, 6, 3), AFFINE[0])),
    Row("image.affine_transform", (A(2, 3, 5, 6), AFFINE), {"data_format": "channels_first"}),
    *(
        Row(
            "image.map_coordinates",
            (A(5, 6), PLACES),
            {"order": order, "fill_mode": fill_mode, "fill_value": 9.0},
            gradient=False,
        )
        for order in (0, 1)
        for fill_mode in FILL_MODES
    ),
    Row("image.map_coordinates", (A(5, 6, dtype="int32", low=0, high=99), PLACES, 1)),
    Row("image.map_coordinates", (A(5, 6), PLACES, 1), dtypes=("float16",), gradient=False),
    *(
        Row(
            "image.perspective_transform",
            (IMAGES, CORNERS, MOVED),
            {"interpolation": interpolation, "fill_value": 9.0},
            tolerance=1e-2,
            gradient=False,
        )
        for interpolation in ("nearest", "bilinear")
    ),
    Row("image.perspective_transform", (A(5, 6, 3), CORNERS[0], MOVED[0]), tolerance=1e-3),
    *(
        Row(
            "image.scale_and_translate",
            (COLOURS, (2, 4, 7, 3)),
            {
                "scale": np.array([0.8, 1.2], "float32"),
                "translation": np.array([0.3, -0.5], "float32"),
                "spatial_dims": (1, 2),
                "method": method,
                "antialias": antialias,
            },
            tolerance=1e-4,
            gradient=False,
        )
        for method in ("linear", "bilinear", "cubic", "tricubic", "lanczos3", "lanczos5")
        for antialias in (False, True)
    ),
]

ROWS = [*RESIZES, *COLOUR_SPACES, *MARGINS, *PATCHES, *FILTERS, *WARPS]
