"""Pictures with boxes and masks drawn into them, and galleries of them."""

from __future__ import annotations

import colorsys
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.config import standardize_data_format
from ..core.figures import drawing
from ..engines import current
from ..layers.boxes import convert_format

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Array = np.ndarray[Any, Any]


def draw_bounding_boxes(
    images: Any,
    bounding_boxes: Any,
    bounding_box_format: str,
    class_mapping: Any = None,
    color: Any = (128, 128, 128),
    line_thickness: int = 2,
    text_thickness: int = 1,
    font_scale: float = 1.0,
    data_format: str | None = None,
) -> Array:
    """Images with boxes drawn into them, and the names of classes above these; by Pillow.

    Args:
        images: (batch, height, width, channels), of values from 0 to 255.
        bounding_boxes: `boxes` (batch, boxes, 4), `labels` (batch, boxes), of which -1 is padding, and, if wanted,
            `confidences` (batch, boxes).
        bounding_box_format: What the four numbers are, as `utils.bounding_boxes.convert_format` names it.
        class_mapping: The names of classes, by their numbers. Without it nothing is written.
        color: Red, green and blue, from 0 to 255.
        line_thickness: The width of lines in pixels.
        text_thickness: The width of the letters' strokes.
        font_scale: The size of letters, 1 for about 12 pixels.
        data_format: `channels_last` or `channels_first`; that of the settings where it is left out.

    Returns:
        Images of bytes, of the shape of `images`.

    Raises:
        ValueError: If the images are no batch, or there are no `boxes` and `labels`.
        TypeError: If `bounding_boxes` is no dictionary.
        ModuleNotFoundError: If Pillow is not installed.

    >>> boxes = {"boxes": np.array([[[1.0, 1.0, 6.0, 6.0]]]), "labels": np.array([[0]])}
    >>> drawn = draw_bounding_boxes(np.zeros((1, 8, 8, 3)), boxes, "xyxy", line_thickness=1)
    >>> drawn[0, 1, :, 0].tolist()
    [0, 128, 128, 128, 128, 128, 128, 0]
    """
    pixels, last = _pixels(images, data_format)
    if not isinstance(bounding_boxes, Mapping):
        raise TypeError(
            f"`bounding_boxes` must be a dictionary. Received: bounding_boxes of {type(bounding_boxes).__name__}. "
            "Give it `boxes` and `labels`."
        )
    if not {"boxes", "labels"} <= set(bounding_boxes):
        raise ValueError(
            f"`bounding_boxes` must have `boxes` and `labels`. Received: {sorted(bounding_boxes)}."
        )
    height, width = pixels.shape[1:3]
    boxes = _array(bounding_boxes["boxes"])
    corners = _array(convert_format(boxes, bounding_box_format, "xyxy", height, width))
    labels = _array(bounding_boxes["labels"]).reshape(corners.shape[:2])
    told = _told(labels, class_mapping, bounding_boxes.get("confidences"))
    style = (tuple(map(int, color)), int(line_thickness), int(text_thickness), font_scale)
    drawn = [
        _with_boxes(picture, own, kinds >= 0, texts, *style)
        for picture, own, kinds, texts in zip(pixels, corners, labels, told, strict=True)
    ]
    return _as_given(np.stack(drawn), last)


def draw_segmentation_masks(
    images: Any,
    segmentation_masks: Any,
    num_classes: int | None = None,
    color_mapping: Any = None,
    alpha: float = 0.8,
    blend: bool = True,
    ignore_index: int = -1,
    data_format: str | None = None,
) -> Array:
    """Images with the classes of their pixels laid over them as colours.

    Args:
        images: (batch, height, width, channels), of values from 0 to 255.
        segmentation_masks: Integers (batch, height, width), or with an axis for one channel.
        num_classes: How many classes there are; as many as the masks have where it is left out.
        color_mapping: Red, green and blue of classes, from 0 to 255, by their numbers.
        alpha: The share of the colours, from 0 to 1.
        blend: Whether pixels keep their share; otherwise colours take their place.
        ignore_index: The class that is not drawn.
        data_format: `channels_last` or `channels_first`; that of the settings where it is left out.

    Returns:
        Images of bytes, of the shape of `images`.

    Raises:
        ValueError: If the images are no batch.
        TypeError: If the masks are not of integers.

    >>> masks = np.array([[[1, -1]]])
    >>> draw_segmentation_masks(np.full((1, 1, 2, 3), 100), masks, color_mapping={1: (200, 0, 0)}, alpha=0.5).tolist()
    [[[[150, 50, 50], [100, 100, 100]]]]
    """
    pixels, last = _pixels(images, data_format)
    masks = _array(segmentation_masks)
    if masks.dtype.kind not in "iub":
        raise TypeError(
            f"`segmentation_masks` must be of integers. Received: segmentation_masks.dtype={masks.dtype}."
        )
    masks = masks.reshape(pixels.shape[:3])
    count = max(int(masks.max(initial=0)) + 1, num_classes or 0)
    colors = np.array([_color(number, color_mapping) for number in range(count)], "float32")
    share = alpha if blend else 1.0
    over = share * colors[np.maximum(masks, 0)] + (1 - share) * pixels
    shown = ((masks >= 0) & (masks != ignore_index))[..., None]
    return _as_given(np.where(shown, over, pixels).astype("uint8"), last)


def plot_image_gallery(
    images: Any,
    y_true: Any = None,
    y_pred: Any = None,
    label_map: Any = None,
    rows: int | None = None,
    cols: int | None = None,
    value_range: Any = (0, 255),
    scale: float = 2,
    path: Any = None,
    show: bool | None = None,
    transparent: bool = True,
    dpi: int = 60,
    legend_handles: Any = None,
    data_format: str | None = None,
) -> Figure | None:
    """Images side by side, with their classes; by matplotlib.

    Args:
        images: (batch, height, width, channels).
        y_true, y_pred: The class of each image, and the one that was predicted.
        label_map: The names of classes, by their numbers.
        rows, cols: How many stand below and beside each other; about as many where they are left out.
        value_range: The values of black and white.
        scale: The size of an image in inches.
        path: A file to write, of a format that matplotlib has.
        show: Whether the figure is returned, which a notebook shows; yes where there is no path.
        transparent: Whether the file has no background.
        dpi: The file's dots per inch.
        legend_handles: What a legend names, patches of matplotlib's.
        data_format: `channels_last` or `channels_first`; that of the settings where it is left out.

    Raises:
        ValueError: If the images are no batch, there is a path and `show`, or classes have no names.
        ModuleNotFoundError: If matplotlib is not installed.

    >>> figure = plot_image_gallery(np.zeros((4, 8, 8, 3)), y_true=[0, 1, 1, 0], label_map={0: "cat", 1: "dog"})
    >>> len(figure.axes), figure.axes[1].get_title()
    (4, 'Label: dog')
    """
    if path is not None and show:
        raise ValueError(
            "A gallery is written to a file, or shown. Received: "
            f"path={str(path)!r}, show={show!r}. Leave out one of them."
        )
    named = {"Label": y_true, "Pred": y_pred}
    if label_map is None and any(classes is not None for classes in named.values()):
        raise ValueError(
            "Classes are written by their names. Received: `y_true` or `y_pred`, and label_map=None. Pass "
            "label_map={0: 'cat'}, say."
        )
    pixels, _ = _pixels(_scaled(images, value_range), data_format)
    count = len(pixels)
    if rows is None:
        rows = math.ceil(math.sqrt(count)) if cols is None else math.ceil(count / cols)
    cols = cols or math.ceil(count / rows)
    wide = max(1.0, pixels.shape[2] / pixels.shape[1])
    with drawing(cols * scale * wide, rows * scale) as figure:
        for i, picture in enumerate(pixels[: rows * cols]):
            axes = figure.add_subplot(rows, cols, i + 1)
            axes.set_axis_off()
            axes.imshow(
                picture if picture.shape[-1] > 1 else picture[..., 0], cmap="gray", vmin=0, vmax=255
            )
            told = [f"{kind}: {label_map[int(y[i])]}" for kind, y in named.items() if y is not None]
            axes.set_title("  ".join(told), loc="center", fontsize=8, fontweight="normal")
        if legend_handles:
            figure.legend(
                handles=legend_handles, loc="outside lower center", ncols=len(legend_handles)
            )
        if path is not None:
            figure.savefig(path, dpi=dpi, transparent=transparent)
    return figure if path is None and show is not False else None


def plot_bounding_box_gallery(
    images: Any,
    bounding_box_format: str,
    y_true: Any = None,
    y_pred: Any = None,
    value_range: Any = (0, 255),
    true_color: Any = (0, 188, 212),
    pred_color: Any = (255, 235, 59),
    line_thickness: int = 2,
    font_scale: float = 1.0,
    text_thickness: int | None = None,
    class_mapping: Any = None,
    ground_truth_mapping: Any = None,
    prediction_mapping: Any = None,
    legend: bool = False,
    legend_handles: Any = None,
    rows: int | None = None,
    cols: int | None = None,
    data_format: str | None = None,
    **kwargs: Any,
) -> Figure | None:
    """A gallery of images with the boxes that are right, and those that were predicted.

    Args:
        images: (batch, height, width, channels).
        bounding_box_format: What the four numbers are, as `utils.bounding_boxes.convert_format` names it.
        y_true, y_pred: Boxes, as `draw_bounding_boxes` takes them.
        value_range: The values of black and white.
        true_color, pred_color: Their colours.
        line_thickness, font_scale, text_thickness: As of `draw_bounding_boxes`.
        class_mapping: The names of classes, by their numbers.
        ground_truth_mapping, prediction_mapping: Those of either, in its place.
        legend: Whether a legend tells the two apart.
        legend_handles: What a legend of your own names.
        rows, cols, data_format, **kwargs: As of `plot_image_gallery`.

    Raises:
        ValueError: If there are a `legend` and `legend_handles`.
    """
    if legend and legend_handles:
        raise ValueError(
            "A legend is that of the two colours, or your own. Received: legend=True and legend_handles. "
            "Leave out one of them."
        )
    drawn: Any = _scaled(images, value_range)
    kinds = [
        ("ground truth", y_true, true_color, ground_truth_mapping),
        ("prediction", y_pred, pred_color, prediction_mapping),
    ]
    for _, boxes, color, names in kinds:
        if boxes is not None:
            drawn = draw_bounding_boxes(
                drawn,
                boxes,
                bounding_box_format,
                names or class_mapping,
                color,
                line_thickness,
                text_thickness or line_thickness,
                font_scale,
                data_format,
            )
    if legend:
        from matplotlib.patches import Patch

        legend_handles = [Patch(color=np.divide(c, 255), label=k) for k, _, c, _ in kinds]
    return plot_image_gallery(
        drawn,
        rows=rows,
        cols=cols,
        legend_handles=legend_handles,
        data_format=data_format,
        **kwargs,
    )


def plot_segmentation_mask_gallery(
    images: Any,
    num_classes: int,
    value_range: Any = (0, 255),
    y_true: Any = None,
    y_pred: Any = None,
    color_mapping: Any = None,
    blend: bool = True,
    alpha: float = 0.8,
    ignore_index: int = -1,
    data_format: str | None = None,
    **kwargs: Any,
) -> Figure | None:
    """A gallery of images, each beside itself with the mask that is right, and with the one that was predicted.

    Args:
        images: (batch, height, width, channels).
        num_classes: How many classes there are.
        value_range: The values of black and white.
        y_true, y_pred: Masks, as `draw_segmentation_masks` takes them.
        color_mapping, blend, alpha, ignore_index: As of `draw_segmentation_masks`.
        data_format, **kwargs: As of `plot_image_gallery`.
    """
    plain, _ = _pixels(_scaled(images, value_range), data_format)
    masks = [mask for mask in (y_true, y_pred) if mask is not None]
    beside = [plain] + [
        draw_segmentation_masks(
            plain, mask, num_classes, color_mapping, alpha, blend, ignore_index, "channels_last"
        )
        for mask in masks
    ]
    return plot_image_gallery(np.concatenate(beside, axis=2), data_format="channels_last", **kwargs)


# --------------------------------------------------------------------- pixels


def _array(x: Any) -> Array:
    """A tensor of whatever library, or an array, on the host."""
    if isinstance(x, (np.ndarray, list, tuple)):
        return np.asarray(x)
    return np.asarray(current().convert_to_numpy(x))


def _scaled(images: Any, value_range: Any) -> Array:
    """Images of values from 0 to 255."""
    low, high = value_range
    if not low < high:
        raise ValueError(
            f"`value_range` has black and white, which differ. Received: value_range={value_range!r}. "
            "Pass (0, 1) or (0, 255), say."
        )
    return (_array(images).astype("float32") - low) * (255 / (high - low))


def _pixels(images: Any, data_format: str | None) -> tuple[Array, bool]:
    """Images as bytes with their channels last, and whether these were."""
    found = _array(images)
    if found.ndim != 4:
        raise ValueError(
            "`images` must be a batch (batch, height, width, channels). Received: "
            f"images.shape={found.shape}. One image is `images[None]`."
        )
    if not len(found):
        raise ValueError(
            f"A gallery shows at least one image. Received: images.shape={found.shape}."
        )
    last = standardize_data_format(data_format) == "channels_last"
    found = found if last else found.transpose(0, 2, 3, 1)
    return np.clip(found, 0, 255).astype("uint8"), last


def _as_given(pixels: Array, last: bool) -> Array:
    return pixels if last else pixels.transpose(0, 3, 1, 2)


def _color(number: int, given: Mapping[int, Any] | None) -> Any:
    """The colour of a class: the given one, else one whose hue is far from those before it."""
    if given is not None and number in given:
        return given[number]
    hue = 0.61803 * number % 1  # the golden ratio
    return [255 * x for x in colorsys.hsv_to_rgb(hue, 0.75, 0.9)]


def _told(labels: Array, names: Any, confidences: Any) -> list[list[str]]:
    """What is written at each box."""
    if names is None:
        return [[""] * len(row) for row in labels]
    told = [[str(names.get(int(x), int(x))) for x in row] for row in labels]
    if confidences is None:
        return told
    shares = _array(confidences).reshape(labels.shape)
    return [
        [f"{text}: {share:.2f}" for text, share in zip(*pair, strict=True)]
        for pair in zip(told, shares, strict=True)
    ]


def _with_boxes(
    pixels: Array,
    corners: Array,
    counts: Array,
    texts: list[str],
    color: tuple[int, ...],
    thickness: int,
    stroke: int,
    size: float,
) -> Array:
    """One image with its boxes."""
    try:
        from PIL import Image, ImageDraw, ImageFont
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "Boxes are drawn by Pillow. Received: no such package. Install it with: pip install 'cornu[plot]'",
            name=error.name,
        ) from error
    grey = pixels.shape[-1] == 1
    picture = Image.fromarray(pixels[..., 0] if grey else pixels)
    ink = int(np.mean(color)) if grey else color
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(12 * size)
    for (left, top, right, bottom), text in zip(
        corners[counts], np.array(texts)[counts], strict=True
    ):
        frame = [round(float(x)) for x in (left, top, max(left, right), max(top, bottom))]
        draw.rectangle(frame, outline=ink, width=thickness)
        if text:
            place = (frame[0], max(frame[1] - thickness, round(13 * size)))
            draw.text(place, str(text), ink, font, anchor="ls", stroke_width=max(stroke - 1, 0) / 2)
    return np.asarray(picture).reshape(pixels.shape)
