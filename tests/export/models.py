"""Models that are exported, one of each kind."""

from __future__ import annotations

from typing import Any

import numpy as np

import cornu
from cornu import layers, ops


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


class CachedAttention(layers.Layer):
    """Attention of one token to those before it, whose keys and values are given: it gives the new ones too."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.query, self.key, self.value = (layers.Dense(size) for _ in range(3))

    def call(self, x: Any, keys: Any, values: Any, position: Any) -> Any:
        """Of `x` (batch, 1, size) at `position` (batch, 1), with a cache (batch, length, size)."""
        places = ops.arange(keys.shape[1])[None] - position
        here = ops.cast(ops.equal(places, 0), "float32")[..., None]
        keys = keys * (1 - here) + self.key(x) * here
        values = values * (1 - here) + self.value(x) * here
        scores = ops.matmul(self.query(x), ops.swapaxes(keys, 1, 2)) / 2.0
        scores = ops.where(places[:, None] > 0, -1e9, scores)
        return ops.matmul(ops.softmax(scores), values), keys, values


def decoder() -> Any:
    """A step of a decoder, with its cache as inputs and outputs."""
    token, position = (cornu.Input((1,), dtype="int32", name=x) for x in ("token", "position"))
    keys, values = (cornu.Input((10, 4), name=name) for name in ("keys", "values"))
    x = layers.Embedding(11, 4)(token) + layers.Embedding(10, 4)(position)
    y, new_keys, new_values = CachedAttention(4)(x, keys, values, position)
    logits = layers.Dense(11)(layers.LayerNormalization()(x + y))
    outputs = {"logits": logits, "new_keys": new_keys, "new_values": new_values}
    return cornu.Model([token, position, keys, values], outputs)


def text() -> Any:
    """A model that takes strings, whose preparation no file holds."""
    words = cornu.Input((), dtype="string", name="text")
    tokens = layers.TextVectorization(
        vocabulary=["red", "green", "blue"], output_sequence_length=6
    )(words)
    x = layers.GlobalAveragePooling1D()(layers.Embedding(5, 4)(tokens))
    return cornu.Model(words, layers.Dense(2, activation="softmax")(x))


ALL = {model.__name__: model for model in (cnn, lstm, bidirectional_gru, transformer, two_and_two)}
#: Those that aren't for every test.
OTHERS = {model.__name__: model for model in (decoder, text)}


def made(name: str) -> Any:
    """A model with weights that are all different from zero."""
    model = (ALL | OTHERS)[name]()
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
