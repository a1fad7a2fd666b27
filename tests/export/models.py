"""Models that are exported, one of each kind."""

from __future__ import annotations

from typing import Any

import numpy as np

import cornu
from cornu import layers


def cnn() -> Any:
    """Convolutions, batch normalization, pooling."""
    return cornu.Sequential(
        [
            layers.Input((12, 12, 1), name="image"),
            layers.Conv2D(4, 3, activation="relu"),
            layers.BatchNormalization(),
            layers.DepthwiseConv2D(3, strides=2, padding="same"),
            layers.ReLU(6.0),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(3, activation="softmax", name="digit"),
        ]
    )


def lstm() -> Any:
    """A recurrence over sequences of any length."""
    x = cornu.Input((None, 5), name="series")
    return cornu.Model(x, layers.Dense(2)(layers.LSTM(6)(x)))


def bidirectional_gru() -> Any:
    """Two recurrences, over tokens with a mask."""
    x = cornu.Input((9,), dtype="int32", name="tokens")
    y = layers.Embedding(7, 4)(x)
    y = layers.Bidirectional(layers.GRU(3, return_sequences=True))(y)
    return cornu.Model(x, layers.GlobalMaxPooling1D()(y))


def transformer() -> Any:
    """A block of an encoder, over sequences of any length."""
    x = cornu.Input((None, 8), name="series")
    y = layers.LayerNormalization()(x)
    x2 = x + layers.MultiHeadAttention(2, 4)(y, y)
    y = layers.Dense(16, activation="gelu")(layers.LayerNormalization()(x2))
    return cornu.Model(x, x2 + layers.Dense(8)(y))


def two_and_two() -> Any:
    """Two inputs and two outputs."""
    a, b = cornu.Input((4,), name="left"), cornu.Input((3,), name="right")
    joined = layers.Concatenate()([a, b])
    total = layers.Dense(2, name="total")(joined)
    share = layers.Dense(1, activation="sigmoid", name="share")(layers.Multiply()([total, total]))
    return cornu.Model([a, b], [total, share])


ALL = {model.__name__: model for model in (cnn, lstm, bidirectional_gru, transformer, two_and_two)}


def made(name: str) -> Any:
    """A model with weights that are all different from zero."""
    model = ALL[name]()
    generator = np.random.default_rng(5)
    for weight in model.weights:
        weight.assign(generator.uniform(0.1, 0.6, weight.shape))
    return model


def inputs(name: str, batch: int) -> Any:
    """Data that a model takes."""
    generator = np.random.default_rng(batch)
    shapes = {"cnn": (12, 12, 1), "lstm": (7, 5), "transformer": (6, 8)}
    if name == "bidirectional_gru":
        return generator.integers(0, 7, (batch, 9)).astype("int32")
    if name == "two_and_two":
        return [generator.normal(size=(batch, size)).astype("float32") for size in (4, 3)]
    return generator.normal(size=(batch, *shapes[name])).astype("float32")
