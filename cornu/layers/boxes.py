"""Bounding boxes: their formats, and what happens to them when images change.

Boxes are tensors (..., 4), or dictionaries with them under `boxes` and their classes under `labels`; a
class of -1 stands for no box. Formats name the four numbers in order:

    xyxy           left, top, right, bottom
    yxyx           top, left, bottom, right
    xywh           left, top, width, height
    center_xywh    x and y of the centre, width, height
    center_yxhw    y and x of the centre, height, width

in pixels, or, but for the last, with `rel_` before it as parts of the image's width and height.
"""

from __future__ import annotations

import math
from typing import Any

from .. import ops
from ..core.checks import one_of

_ABSOLUTE = ("xyxy", "yxyx", "xywh", "center_xywh", "center_yxhw")
FORMATS = (*_ABSOLUTE, *(f"rel_{name}" for name in _ABSOLUTE[:-1]))
#: What keeps quotients of empty boxes finite.
_EPSILON = 1e-7


def convert_format(
    boxes: Any,
    source: str,
    target: str,
    height: Any = None,
    width: Any = None,
    dtype: Any = "float32",
) -> Any:
    """Boxes in another format.

    Args:
        boxes: (..., 4), or a dictionary that has them under `boxes`.
        source, target: Formats.
        height, width: The image's size in pixels, where one of the formats is relative.
        dtype: The dtype of the result.

    Raises:
        ValueError: If a format is unknown, or the size is missing.

    >>> convert_format([[1.0, 2.0, 3.0, 6.0]], "xyxy", "xywh").tolist()
    [[1.0, 2.0, 2.0, 4.0]]
    """
    if isinstance(boxes, dict):
        changed = convert_format(boxes["boxes"], source, target, height, width, dtype)
        return {**boxes, "boxes": changed}
    source, target = source.lower(), target.lower()
    one_of(FORMATS, source=source, target=target)
    boxes = ops.cast(boxes, dtype)
    if boxes.shape[-1] != 4:
        raise ValueError(
            f"Boxes are four numbers along the last axis. Received: boxes.shape={boxes.shape}."
        )
    was_relative, is_relative = source.startswith("rel_"), target.startswith("rel_")
    source, target = source.removeprefix("rel_"), target.removeprefix("rel_")
    if source == target and was_relative == is_relative:
        return boxes
    edges = _edges(boxes, source)
    if was_relative != is_relative:
        if height is None or width is None:
            raise ValueError(
                "Relative formats need the size of the images. Received: "
                f"height={height}, width={width}. Pass both in pixels."
            )
        factors = (ops.cast(size, dtype) for size in (width, height, width, height))
        edges = [
            x / size if is_relative else x * size for x, size in zip(edges, factors, strict=True)
        ]
    return _from_edges(edges, target)


def _numbers(boxes: Any) -> list[Any]:
    """The four numbers of boxes, each (..., 1)."""
    return [boxes[..., i : i + 1] for i in range(4)]


def _edges(boxes: Any, source: str) -> list[Any]:
    """Left, top, right and bottom, each (..., 1), of boxes in a format without `rel_`."""
    a, b, c, d = _numbers(boxes)
    if source.startswith(("yx", "center_yx")):
        a, b, c, d = b, a, d, c
    if source.startswith("center"):
        a, b = a - c / 2, b - d / 2
    return [a, b, c, d] if source in ("xyxy", "yxyx") else [a, b, a + c, b + d]


def _from_edges(edges: list[Any], target: str) -> Any:
    a, b, c, d = edges
    if target not in ("xyxy", "yxyx"):
        c, d = c - a, d - b
    if target.startswith("center"):
        a, b = a + c / 2, b + d / 2
    swapped = target.startswith(("yx", "center_yx"))
    return ops.concatenate([b, a, d, c] if swapped else [a, b, c, d], axis=-1)


def clip_to_image_size(
    bounding_boxes: dict[str, Any],
    height: Any = None,
    width: Any = None,
    bounding_box_format: str = "xyxy",
) -> dict[str, Any]:
    """Boxes cut to the image; those of which nothing is left get the class -1.

    Args:
        bounding_boxes: A dictionary of `boxes` and `labels`.
        height, width: The image's size in pixels; not needed where the format is relative.
        bounding_box_format: The format of the boxes.

    Raises:
        ValueError: If the size is missing.

    >>> import numpy as np
    >>> boxes = {"boxes": np.array([[-2.0, 1, 3, 4], [9, 9, 12, 12]]), "labels": np.array([5, 6])}
    >>> clipped = clip_to_image_size(boxes, height=8, width=8)
    >>> clipped["boxes"].tolist(), clipped["labels"].tolist()
    ([[0.0, 1.0, 3.0, 4.0], [8.0, 8.0, 8.0, 8.0]], [5, -1])
    """
    one_of(FORMATS, bounding_box_format=bounding_box_format)
    relative = bounding_box_format.startswith("rel_")
    if relative:
        height = width = 1
    elif height is None or width is None:
        raise ValueError(
            "Boxes in pixels need the size of the images. Received: "
            f"height={height}, width={width}. Pass both in pixels."
        )
    boxes = ops.convert_to_tensor(bounding_boxes["boxes"])
    corners = "rel_xyxy" if relative else "xyxy"
    edges = _numbers(convert_format(boxes, bounding_box_format, corners, dtype=boxes.dtype))
    sizes = (ops.cast(size, boxes.dtype) for size in (width, height, width, height))
    x1, y1, x2, y2 = (
        ops.minimum(ops.maximum(x, 0), size) for x, size in zip(edges, sizes, strict=True)
    )
    cut = ops.concatenate([x1, y1, x2, y2], axis=-1)
    clipped = {
        **bounding_boxes,
        "boxes": convert_format(cut, corners, bounding_box_format, dtype=boxes.dtype),
    }
    if "labels" in clipped:
        labels = ops.convert_to_tensor(clipped["labels"])
        kept = ops.squeeze((x2 - x1) * (y2 - y1) > 0, -1)
        clipped["labels"] = ops.where(kept, labels, ops.cast(-1, labels.dtype))
    return clipped


def affine_transform(
    boxes: Any,
    angle: Any,
    translate_x: Any,
    translate_y: Any,
    scale: Any,
    shear_x: Any,
    shear_y: Any,
    height: Any,
    width: Any,
    center_x: Any = None,
    center_y: Any = None,
    bounding_box_format: str = "xyxy",
) -> Any:
    """The boxes around boxes that are moved, turned, sheared along y, then x, and scaled.

    Args:
        boxes: (batch, boxes, 4), or (boxes, 4).
        angle: In degrees, counterclockwise; as all that follow a number, or one for each of the batch.
        translate_x, translate_y: The way to the right and down, as parts of the last pixel's place.
        scale: The factor of sizes.
        shear_x, shear_y: The angle of the shears, in degrees.
        height, width: The image's size in pixels.
        center_x, center_y: What stays where it is but for translation, as parts of the last pixel's
            place; the middle where they are left out.
        bounding_box_format: The format of the boxes.

    >>> affine_transform([[1.0, 2, 3, 6]], 0, 0, 0.5, 1, 0, 0, 9, 9).tolist()
    [[1.0, 6.0, 3.0, 10.0]]
    """
    boxes = convert_format(boxes, bounding_box_format, "xyxy", height, width)
    numbers = (angle, translate_x, translate_y, scale, shear_x, shear_y, height, width)
    angle, right, down, scale, shear_x, shear_y, height, width = map(_of_each, numbers)
    last_x, last_y = width - 1, height - 1
    x0 = last_x / 2 if center_x is None else last_x * _of_each(center_x)
    y0 = last_y / 2 if center_y is None else last_y * _of_each(center_y)
    radians = angle * (math.pi / 180)
    cosine, sine = ops.cos(radians), ops.sin(radians)
    tan_x, tan_y = (ops.tan(x * (math.pi / 180)) for x in (shear_x, shear_y))
    x, y = corners_of(boxes)
    x, y = x - x0 + right * last_x, y - y0 + down * last_y
    x, y = cosine * x + sine * y, cosine * y - sine * x
    y = y + tan_y * x
    x = x + tan_x * y
    moved = ops.reshape(box_around(x0 + scale * x, y0 + scale * y), ops.shape(boxes))
    return convert_format(moved, "xyxy", bounding_box_format, height[0, 0, 0], width[0, 0, 0])


def _of_each(x: Any) -> Any:
    """A number, or one for each of a batch, beside corners (batch, boxes, 4)."""
    return ops.reshape(ops.cast(x, "float32"), (-1, 1, 1))


def corners_of(boxes: Any) -> tuple[Any, Any]:
    """x and y of the corners, each (batch, boxes, 4), of boxes that are edges."""
    x1, y1, x2, y2 = (boxes[..., i] for i in range(4))
    return ops.stack([x1, x2, x2, x1], axis=-1), ops.stack([y1, y1, y2, y2], axis=-1)


def box_around(x: Any, y: Any) -> Any:
    """The edges of boxes around points (batch, boxes, points)."""
    edges = [f(p, axis=-1) for f in (ops.min, ops.max) for p in (x, y)]
    return ops.stack(edges, axis=-1)


def crop(
    boxes: Any,
    top: Any,
    left: Any,
    height: Any,
    width: Any,
    bounding_box_format: str = "xyxy",
) -> Any:
    """Boxes (..., 4) in a part of an image, cut to it.

    Args:
        boxes: The boxes, in pixels.
        top, left, height, width: Where the part begins, and its size.
        bounding_box_format: The format of the boxes.

    >>> crop([[1.0, 2, 3, 6]], top=3, left=1, height=2, width=9).tolist()
    [[0.0, 0.0, 2.0, 2.0]]
    """
    moved = pad(boxes, -top, -left, bounding_box_format=bounding_box_format)
    return clip_to_image_size({"boxes": moved}, height, width, bounding_box_format)["boxes"]


def pad(
    boxes: Any,
    top: Any,
    left: Any,
    height: Any = None,
    width: Any = None,
    bounding_box_format: str = "xyxy",
) -> Any:
    """Boxes (..., 4) in an image that is padded.

    Args:
        boxes: The boxes, in pixels.
        top, left: How much is added above and to the left.
        height, width: Not used: boxes in pixels don't change with the image's size.
        bounding_box_format: The format of the boxes.

    >>> pad([[1.0, 2, 3, 6]], top=3, left=1).tolist()
    [[2.0, 5.0, 4.0, 9.0]]
    """
    one_of(_ABSOLUTE, bounding_box_format=bounding_box_format)
    x1, y1, x2, y2 = _numbers(convert_format(boxes, bounding_box_format, "xyxy"))
    moved = ops.concatenate([x1 + left, y1 + top, x2 + left, y2 + top], axis=-1)
    return convert_format(moved, "xyxy", bounding_box_format)


# ------------------------------------------------------------ two boxes, compared


def compute_iou(
    boxes1: Any,
    boxes2: Any,
    bounding_box_format: str,
    use_masking: bool = False,
    mask_val: int = -1,
    image_shape: Any = None,
) -> Any:
    """The intersection of each of `boxes1` with each of `boxes2`, as a part of their union.

    Args:
        boxes1, boxes2: (m, 4) and (n, 4), either with a batch before.
        bounding_box_format: The format of both.
        use_masking: Whether pairs count as `mask_val` where a box has negative coordinates alone.
        mask_val: What they count as.
        image_shape: (height, width, channels) of the image, where the format is relative.

    Returns:
        (m, n), or (batch, m, n).

    Raises:
        ValueError: If boxes have other ranks, or the image's shape is missing.

    >>> compute_iou([[0.0, 0, 2, 2]], [[1.0, 0, 3, 2], [4, 4, 5, 5]], "xyxy").tolist()
    [[0.3333333432674408, 0.0]]
    """
    first, second = (
        _in_pixels(boxes, bounding_box_format, image_shape) for boxes in (boxes1, boxes2)
    )
    if not {len(first.shape), len(second.shape)} <= {2, 3}:
        raise ValueError(
            "Boxes have the shape (boxes, 4) or (batch, boxes, 4). Received: "
            f"boxes1.shape={first.shape}, boxes2.shape={second.shape}."
        )
    ious, *_ = _overlap(first[..., :, None, :], second[..., None, :, :])
    if use_masking:
        none1, none2 = (ops.max(boxes, axis=-1) < 0 for boxes in (first, second))
        ious = ops.where(none1[..., :, None] | none2[..., None, :], mask_val, ious)
    return ious


def _in_pixels(boxes: Any, layout: str, image_shape: Any, target: str = "xyxy") -> Any:
    """Boxes in a format in pixels."""
    if layout.startswith("rel_") and image_shape is None:
        raise ValueError(
            "Relative formats need `image_shape`, (height, width, channels). Received: "
            f"format={layout!r}, image_shape=None."
        )
    height, width = (None, None) if image_shape is None else image_shape[:2]
    return convert_format(boxes, layout, target, height, width)


def _overlap(first: Any, second: Any) -> tuple[Any, Any, Any]:
    """Intersection over union of boxes that are edges, in shapes that broadcast, and width and height
    of the box around both."""
    low1, high1, low2, high2 = first[..., :2], first[..., 2:], second[..., :2], second[..., 2:]
    inside = ops.prod(ops.maximum(ops.minimum(high1, high2) - ops.maximum(low1, low2), 0), axis=-1)
    area1, area2 = ops.prod(high1 - low1, axis=-1), ops.prod(high2 - low2, axis=-1)
    around = ops.maximum(high1, high2) - ops.minimum(low1, low2)
    return inside / (area1 + area2 - inside + _EPSILON), around[..., 0], around[..., 1]


def compute_ciou(
    boxes1: Any, boxes2: Any, bounding_box_format: str, image_shape: Any = None
) -> Any:
    """Intersection over union of pairs of boxes, less what centres and proportions differ.

    Zheng et al., 2020, https://arxiv.org/abs/2005.03572: `iou - d² / c² - alpha v`, with the distance d
    of the centres, the diagonal c of the box around both, `v = 4 / pi² (atan(w1 / h1) - atan(w2 / h2))²`
    and `alpha = v / (1 - iou + v)`.

    Args:
        boxes1, boxes2: (..., 4), of shapes that broadcast.
        bounding_box_format: The format of both.
        image_shape: (height, width, channels) of the image, where the format is relative.

    Returns:
        One number a pair, (...).

    >>> compute_ciou([[0.0, 0, 2, 2]], [[0.0, 0, 2, 2]], "xyxy").tolist()
    [1.0]
    """
    first, second = (
        _in_pixels(boxes, bounding_box_format, image_shape) for boxes in (boxes1, boxes2)
    )
    iou, width, height = _overlap(first, second)
    (x1, y1, w1, h1), (x2, y2, w2, h2) = (
        [boxes[..., i] for i in range(4)]
        for boxes in (convert_format(boxes, "xyxy", "center_xywh") for boxes in (first, second))
    )
    distance = (x1 - x2) ** 2 + (y1 - y2) ** 2
    angles = [ops.arctan(w / (h + _EPSILON)) for w, h in ((w1, h1), (w2, h2))]
    v = (angles[0] - angles[1]) ** 2 * (4 / math.pi**2)
    alpha = v / (1 - iou + v + _EPSILON)
    return iou - distance / (width**2 + height**2 + _EPSILON) - alpha * v


# --------------------------------------------------- boxes as distances from anchors


def encode_box_to_deltas(
    anchors: Any,
    boxes: Any,
    anchor_format: str,
    box_format: str,
    encoding_format: str = "center_yxhw",
    variance: Any = None,
    image_shape: Any = None,
) -> Any:
    """Boxes as what they differ from anchors: centres in sizes of the anchor, logarithms of factors of sizes.

    Args:
        anchors: (anchors, 4), or (batch, anchors, 4).
        boxes: A box for each anchor, likewise.
        anchor_format, box_format: Their formats.
        encoding_format: The order of the four numbers: `center_yxhw` or `center_xywh`.
        variance: Four numbers that the result is divided by.
        image_shape: (height, width, channels) of the image, where a format is relative.

    Raises:
        ValueError: If the encoding is another one, there are not four variances, or the image's shape is
            missing.

    >>> encode_box_to_deltas([[0.0, 0, 2, 2]], [[1.0, 0, 3, 2]], "xyxy", "xyxy").tolist()
    [[0.0, 0.5, 0.0, 0.0]]
    """
    one_of(("center_xywh", "center_yxhw"), encoding_format=encoding_format)
    places, sizes = _halves(_in_pixels(anchors, anchor_format, image_shape, encoding_format))
    centres, extents = _halves(_in_pixels(boxes, box_format, image_shape, encoding_format))
    sizes, extents = ops.maximum(sizes, _EPSILON), ops.maximum(extents, _EPSILON)
    deltas = ops.concatenate([(centres - places) / sizes, ops.log(extents / sizes)], axis=-1)
    return deltas if variance is None else deltas / _variances(variance)


def decode_deltas_to_boxes(
    anchors: Any,
    boxes_delta: Any,
    anchor_format: str,
    box_format: str,
    encoded_format: str = "center_yxhw",
    variance: Any = None,
    image_shape: Any = None,
) -> Any:
    """The boxes that `encode_box_to_deltas` encoded.

    Args:
        anchors: (anchors, 4), or (batch, anchors, 4); or a dictionary of several.
        boxes_delta: What each box differs from its anchor, likewise.
        anchor_format, box_format: The anchors' format, and the result's.
        encoded_format: The order of the four numbers: `center_yxhw` or `center_xywh`.
        variance: Four numbers that the differences were divided by.
        image_shape: (height, width, channels) of the image, where a format is relative.

    >>> decode_deltas_to_boxes([[0.0, 0, 2, 2]], [[0.0, 0.5, 0, 0]], "xyxy", "xyxy").tolist()
    [[1.0, 0.0, 3.0, 2.0]]
    """
    one_of(("center_xywh", "center_yxhw"), encoded_format=encoded_format)
    if isinstance(anchors, dict):
        rest = (anchor_format, box_format, encoded_format, variance, image_shape)
        return {k: decode_deltas_to_boxes(anchors[k], boxes_delta[k], *rest) for k in anchors}
    deltas = ops.cast(boxes_delta, "float32")
    moves, factors = _halves(deltas if variance is None else deltas * _variances(variance))
    places, sizes = _halves(_in_pixels(anchors, anchor_format, image_shape, encoded_format))
    boxes = ops.concatenate([places + moves * sizes, ops.exp(factors) * sizes], axis=-1)
    height, width = (None, None) if image_shape is None else image_shape[:2]
    return convert_format(boxes, encoded_format, box_format, height, width)


def _halves(boxes: Any) -> tuple[Any, Any]:
    """Places and sizes, each (..., 2)."""
    return boxes[..., :2], boxes[..., 2:]


def _variances(variance: Any) -> Any:
    variance = ops.cast(variance, "float32")
    if variance.shape[-1] != 4:
        raise ValueError(f"`variance` must be four numbers. Received: variance={variance}.")
    return variance
