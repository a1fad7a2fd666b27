"""The pictures of `docs/augmentation.md`: a row of each layer that changes images. `python examples/augmentation.py`.

The picture is one that scikit-learn ships. Each row begins with it; seeds are fixed, so that a row changes
only where its layer does.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw
from sklearn.datasets import load_sample_image

import cornu
from cornu import layers

DOCS = Path(__file__).parent.parent / "docs"
FOLDER = DOCS / "augmentation"
SIDE, COUNT, GAP = 112, 6, 4

#: Arguments that show what a layer does; boxes are drawn where it moves them.
MOVING: dict[str, dict[str, Any]] = {
    "RandomFlip": {"mode": "horizontal"},
    "RandomRotation": {"factor": 0.1},
    "RandomZoom": {"height_factor": 0.4},
    "RandomTranslation": {"height_factor": 0.3, "width_factor": 0.3, "fill_mode": "constant"},
    "RandomShear": {"x_factor": 0.3, "y_factor": 0.3},
    "RandomPerspective": {"factor": (1.0, 1.0), "scale": 0.5},
    "RandomElasticTransform": {"factor": (1.0, 1.0), "scale": (0.6, 1.0)},
    "RandomCrop": {"height": 80, "width": 80},
    "CenterCrop": {"height": 80, "width": 80},
    "Resizing": {"height": 80, "width": 112, "crop_to_aspect_ratio": True},
}
COLOURS: dict[str, dict[str, Any]] = {
    "AugMix": {"factor": 0.5},
    "AutoContrast": {},
    "ContrastLimitedAdaptiveHistogramEqualization": {},
    "CutMix": {},
    "Equalization": {},
    "MixUp": {"alpha": 1.0},
    "RandAugment": {"factor": 0.6},
    "RandomBrightness": {"factor": 0.4},
    "RandomColorDegeneration": {"factor": (0.0, 1.0)},
    "RandomColorJitter": {
        "brightness_factor": 0.3,
        "contrast_factor": 0.5,
        "saturation_factor": (0.2, 0.8),
        "hue_factor": 0.2,
    },
    "RandomContrast": {"factor": 0.9},
    "RandomErasing": {"factor": (1.0, 1.0), "scale": (0.05, 0.3)},
    "RandomGaussianBlur": {"factor": (1.0, 1.0), "kernel_size": 9, "sigma": (0.5, 4.0)},
    "RandomGrayscale": {"factor": 0.5},
    "RandomHue": {"factor": 0.5},
    "RandomInvert": {"factor": 0.5},
    "RandomPosterization": {"factor": 3},
    "RandomSaturation": {"factor": (0.1, 0.9)},
    "RandomSharpness": {"factor": (0.0, 1.0)},
    "Solarization": {"threshold_factor": (0.2, 0.8)},
}
#: Layers that mix images are given a second one.
MIXING = ("CutMix", "MixUp")
BOX = (38, 22, 78, 80)

HEAD = """# Layers that change images

Each row is one picture, then what a layer made of it in five draws. Where pixels move, boxes and segmentation
masks are carried along: the frame is a box. `python examples/augmentation.py` draws this page anew.

    augment = layers.Pipeline([layers.RandomFlip("horizontal"), layers.RandomRotation(0.1)])
    augment(images)                                     # at once, a draw an image
    model = Sequential([augment, ...])                  # within the compiled step of `fit`, on the device
    dataset.map(augment)                                # in tf.data
    with cornu.backend.use("numpy"): augment(images)    # in a worker process

The same seed gives the same pictures on every engine. A dictionary goes through whole: `images`, `labels`,
`segmentation_masks`, and `bounding_boxes` in the layer's `bounding_box_format`.
"""


def picture(name: str) -> np.ndarray:
    """The middle of a picture, (SIDE, SIDE, 3)."""
    image = Image.fromarray(load_sample_image(name))
    side = min(image.size)
    return np.asarray(layers.CenterCrop(side, side)(np.asarray(image)), "uint8")


def small(name: str) -> np.ndarray:
    """It in the size of the rows."""
    resized = Image.fromarray(picture(name)).resize((SIDE, SIDE), Image.Resampling.LANCZOS)
    return np.asarray(resized, "float32")


def row(name: str, arguments: dict[str, Any]) -> Image.Image:
    """The picture, then what a layer makes of it."""
    cornu.utils.set_random_seed(7)
    layer = getattr(layers, name)(**arguments, bounding_box_format="xyxy")
    images = np.stack([small("china.jpg")] * (COUNT - 1))
    if name in MIXING:
        images[1::2] = small("flower.jpg")
    data: dict[str, Any] = {"images": images}
    if name in MOVING:
        boxes = np.array([[BOX]] * (COUNT - 1), "float32")
        data["bounding_boxes"] = {"boxes": boxes, "labels": np.zeros((COUNT - 1, 1), "int32")}
    if name in MIXING:
        data["labels"] = np.eye(2, dtype="float32")[np.arange(COUNT - 1) % 2]
    changed = layer(data, training=True)
    strip = Image.new("RGB", (COUNT * (SIDE + GAP) - GAP, SIDE), "white")
    frames = changed["bounding_boxes"]["boxes"] if name in MOVING else [[None]] * COUNT
    pairs = [(images[0], BOX if name in MOVING else None)]
    pairs += [(image, frame[0]) for image, frame in zip(changed["images"], frames, strict=False)]
    for index, (image, frame) in enumerate(pairs):
        tile = Image.fromarray(np.clip(np.asarray(image), 0, 255).astype("uint8"))
        if frame is not None:
            ImageDraw.Draw(tile).rectangle([float(x) for x in frame], outline="yellow", width=2)
        strip.paste(tile, (index * (SIDE + GAP), (SIDE - tile.height) // 2))
    return strip


def main() -> None:
    """Write the pictures and the page."""
    FOLDER.mkdir(exist_ok=True)
    page = [HEAD]
    for title, table in (("Where pixels are", MOVING), ("Colours and mixtures", COLOURS)):
        page.append(f"## {title}\n")
        for name, arguments in table.items():
            row(name, arguments).save(FOLDER / f"{name}.jpg", quality=85)
            given = ", ".join(f"{key}={value!r}" for key, value in arguments.items())
            page.append(f"`{name}({given})`\n\n![{name}](augmentation/{name}.jpg)\n")
    (DOCS / "augmentation.md").write_text("\n".join(page))


if __name__ == "__main__":
    main()
