"""Handwritten digits: a convolutional network on scikit-learn's 1,797 images of 8 x 8 pixels."""

from __future__ import annotations

from typing import Any

import numpy as np

import cornu
from cornu import layers

from ._trained import Array, Digits

HELD_OUT = 0.25
VALIDATION = 0.15
BATCH = 64
LEARNING_RATE = 3e-3


def train(seed: int, epochs: int, callbacks: list[Any]) -> Digits:
    """Train on 64 % of the images, watch 11 %, and read the other 25 % once, at the end."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    cornu.utils.set_random_seed(seed)
    digits = load_digits()
    images = (digits.images[..., np.newaxis] / 16).astype("float32")
    labels = digits.target.astype("int32")

    def split(images: Array, labels: Array, share: float) -> list[Array]:
        parts: list[Array] = train_test_split(
            images, labels, test_size=share, stratify=labels, random_state=seed
        )
        return parts

    images, held_out, labels, held_out_labels = split(images, labels, HELD_OUT)
    images, validation, labels, validation_labels = split(images, labels, VALIDATION)
    images, labels = with_shifts(images, labels)
    model = build(steps=epochs * -(-len(images) // BATCH))
    history = model.fit(
        images,
        labels,
        batch_size=BATCH,
        epochs=epochs,
        validation_data=(validation, validation_labels),
        callbacks=callbacks,
        verbose=0,
    ).history
    return Digits(
        model=model,
        history=history,
        inputs=held_out,
        outputs=model.predict(held_out, verbose=0),
        truth=held_out_labels,
    )


def build(steps: int) -> Any:
    """Three convolutions and a classifier, compiled to train for that many steps."""
    model = cornu.Sequential([cornu.Input((8, 8, 1))], name="digits")
    for filters, shrink in ((32, False), (32, True), (64, False)):
        model.add(layers.Conv2D(filters, 3, padding="same", use_bias=False))
        model.add(layers.BatchNormalization(momentum=0.9))
        model.add(layers.Activation("relu"))
        if shrink:
            model.add(layers.MaxPooling2D())
    model.add(layers.Flatten())
    model.add(layers.Dropout(0.4))
    model.add(layers.Dense(10, activation="softmax"))
    schedule = cornu.optimizers.schedules.CosineDecay(LEARNING_RATE, steps)
    model.compile(
        optimizer=cornu.optimizers.Adam(schedule),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return model


def with_shifts(images: Array, labels: Array) -> tuple[Array, Array]:
    """The images, and each moved by one pixel to the left, right, top and bottom."""
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)))
    moves = ((1, 1), (0, 1), (2, 1), (1, 0), (1, 2))
    shifted = [padded[:, row : row + 8, column : column + 8] for row, column in moves]
    return np.concatenate(shifted), np.tile(labels, len(moves))
