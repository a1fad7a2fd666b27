"""What networks are compared by: digests of what they are, and predictions with weights that are drawn.

    python -m tests.applications.networks

writes `keras.json`, what Keras's networks give.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

TARGET = Path(__file__).with_name("keras.json")
#: A network of each family, the smallest one.
SMALLEST = (
    *("ConvNeXtTiny", "DenseNet121", "EfficientNetB0", "EfficientNetV2B0", "InceptionResNetV2"),
    *("InceptionV3", "MobileNet", "MobileNetV2", "MobileNetV3Small", "NASNetMobile", "ResNet50"),
    *("ResNet50V2", "VGG16", "Xception"),
)


def digests(model: Any) -> dict[str, str]:
    """What a model is: its config, and the shapes of its weights, in order."""
    shapes = [list(weight.shape) for weight in model.weights]
    parts = {"config": model.get_config(), "weights": shapes}
    texts = {name: json.dumps(part, sort_keys=True) for name, part in parts.items()}
    return {name: hashlib.sha256(text.encode()).hexdigest()[:16] for name, text in texts.items()}


def small(name: str) -> dict[str, Any]:
    """Arguments of a small model with logits for 7 classes."""
    side = {"Xception": 71, "InceptionV3": 75, "InceptionResNetV2": 75}.get(name, 32)
    shape = (side, side, 3)
    return {"weights": None, "input_shape": shape, "classes": 7, "classifier_activation": None}


def fill(model: Any) -> None:
    """Draw all weights: the same for the same network, such that no output is 0 or grows."""
    rng = np.random.default_rng(1)
    for weight in model.weights:
        shape, name = tuple(weight.shape), weight.path.rpartition("/")[2]
        if name == "count":
            continue
        if name in ("gamma", "moving_variance", "variance") or name.startswith("variable"):
            values = rng.uniform(0.5, 1.5, shape)
        elif "kernel" in name:
            inputs = shape[:2] if "depthwise" in name else shape[:-1]
            values = rng.normal(size=shape) / np.sqrt(np.prod(inputs))
        else:
            values = 0.1 * rng.normal(size=shape)
        weight.assign(values.astype("float32"))


def images(model: Any) -> np.ndarray[Any, Any]:
    """Two images for a model."""
    return np.random.default_rng(0).uniform(0, 255, (2, *model.input_shape[1:])).astype("float32")


def logits(model: Any) -> np.ndarray[Any, Any]:
    """What a model that was filled predicts for its images."""
    fill(model)
    return np.asarray(model.predict(images(model), verbose=0), "float64")


def main() -> None:
    """Ask Keras."""
    import keras

    constructors: dict[str, Callable[..., Any]] = {
        name: getattr(keras.applications, name)
        for name in dir(keras.applications)
        if name[0].isupper()
    }
    for kind in vars(keras.initializers).values():  # drawing takes minutes, and nothing reads it
        if isinstance(kind, type) and issubclass(kind, keras.initializers.Initializer):
            kind.__call__ = lambda self, shape, dtype=None, **_: np.broadcast_to(
                np.float32(0), shape
            )
    found: dict[str, Any] = {}
    for name, construct in constructors.items():
        keras.utils.clear_session()
        found[name] = digests(construct(weights=None))
        if name in SMALLEST:
            named = {"name": "efficientnetv2-b0"} if name == "EfficientNetV2B0" else {}
            found[name]["logits"] = logits(construct(**small(name), **named)).round(5).tolist()
        print(name, found[name])
    TARGET.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
