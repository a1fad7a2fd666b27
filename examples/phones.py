"""A model that reads drawn digits, in the files that phones take: for `examples/android` and `examples/ios`.

    python examples/phones.py

docs/mobile.md says what is done with them.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

import cornu
from cornu import layers

HERE = Path(__file__).parent


def trained(epochs: int = 15) -> cornu.Model:
    """A small convolutional network for images (8, 8, 1) of light ink, from 0 to 1, on dark ground."""
    data = load_digits()
    images = (data.images[..., None] / 16).astype("float32")
    model = cornu.Sequential(
        [
            cornu.Input((8, 8, 1), name="image"),
            layers.Conv2D(16, 3, padding="same", activation="relu"),
            layers.Conv2D(32, 3, activation="relu"),
            layers.Flatten(),
            layers.Dropout(0.3),
            layers.Dense(10, activation="softmax", name="digit"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(images, data.target, batch_size=64, epochs=epochs, verbose=0)
    return model


def write(model: cornu.Model, folder: Path = HERE) -> None:
    """The files of a phone: one image at a time, so all sizes are fixed, which accelerators ask for."""
    one = [cornu.InputSpec(shape=(1, 8, 8, 1), dtype="float32", name="image")]
    assets = folder / "android" / "app" / "src" / "main" / "assets"
    model.export(assets / "digits.onnx", input_signature=one)
    model.export(assets / "digits.tflite", input_signature=one)
    model.export(folder / "ios" / "digits", format="tf_saved_model", input_signature=one)


if __name__ == "__main__":
    cornu.utils.set_random_seed(1)
    np.set_printoptions(precision=3)
    write(trained())
