"""Ops on images: `cornu.ops.image`."""

from __future__ import annotations

from ._image import crop_images as crop_images
from ._image import extract_patches as extract_patches
from ._image import extract_patches_3d as extract_patches_3d
from ._image import gaussian_blur as gaussian_blur
from ._image import hsv_to_rgb as hsv_to_rgb
from ._image import pad_images as pad_images
from ._image import rgb_to_grayscale as rgb_to_grayscale
from ._image import rgb_to_hsv as rgb_to_hsv
from ._image import sobel_edges as sobel_edges
from ._image import ssim as ssim
from ._resample import affine_transform as affine_transform
from ._resample import elastic_transform as elastic_transform
from ._resample import map_coordinates as map_coordinates
from ._resample import perspective_transform as perspective_transform
from ._resample import resize as resize
from ._resample import scale_and_translate as scale_and_translate
