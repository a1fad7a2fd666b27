"""Models whose graphs are looked at."""

from __future__ import annotations

from typing import Any

import cornu
from cornu import layers, ops


def small_cnn() -> Any:
    stack = [
        *(layers.Conv2D(16, 3, activation="relu", name="first"), layers.BatchNormalization()),
        *(layers.MaxPooling2D(), layers.Flatten(), layers.Dropout(0.5)),
        layers.Dense(10, activation="softmax", name="classes"),
    ]
    return cornu.Sequential([cornu.Input((28, 28, 1)), *stack], name="small_cnn")


def two_towers() -> Any:
    """Two models within one, a block, and ops between them."""
    picture, words = cornu.Input((32, 32, 3), name="picture"), cornu.Input((20,), name="words")
    seeing = cornu.Sequential(
        [layers.Conv2D(8, 3), layers.GlobalAveragePooling2D(), layers.Dense(24, name="summed")],
        name="seeing",
    )
    given = cornu.Input((20,))
    read = layers.Embedding(100, 24)(given)
    read = read + layers.MultiHeadAttention(2, 12, name="attention")(read, read)
    reading = cornu.Model(given, layers.GlobalMaxPooling1D()(read), name="reading")
    left, right = seeing(picture), reading(words)
    joined = layers.Concatenate()([left, right])
    outputs = [layers.Dense(5, name="head")(joined), ops.sum(left * right, axis=-1)]
    return cornu.Model([picture, words], outputs, name="two_towers")


def deep() -> Any:
    """Of two hundred layers."""
    x = start = cornu.Input((8,), name="x")
    for _ in range(66):
        x = layers.Add()([x, layers.LayerNormalization()(layers.Dense(8)(x))])
    return cornu.Model(start, layers.Dense(1, name="last")(x), name="deep")
