"""The models, written once for Cornu and Keras: the first argument is the package."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def mlp(
    package: Any, features: int, hidden: Sequence[int], classes: int = 0, outputs: int = 0
) -> Any:
    """Dense layers with rectifiers between them."""
    dense = package.layers.Dense
    return package.Sequential(
        [
            package.Input((features,)),
            *(dense(units, activation="relu") for units in hidden),
            dense(classes or outputs),
        ]
    )


def cnn(package: Any, image: Sequence[int], filters: Sequence[int], classes: int) -> Any:
    """Convolutions, each with a pooling; then dropout and logits."""
    layers = package.layers
    body = []
    for count in filters:
        body += [layers.Conv2D(count, 3, activation="relu"), layers.MaxPooling2D(2)]
    head = [layers.Flatten(), layers.Dropout(0.5), layers.Dense(classes)]
    return package.Sequential([package.Input(tuple(image)), *body, *head])


def lstm(package: Any, vocabulary: int, length: int, units: int, classes: int) -> Any:
    """Embedded tokens, an LSTM over them, logits from its last state."""
    layers = package.layers
    return package.Sequential(
        [
            package.Input((length,), dtype="int32"),
            layers.Embedding(vocabulary, units),
            layers.LSTM(units),
            layers.Dense(classes),
        ]
    )


def gpt(package: Any, vocabulary: int, length: int, width: int, heads: int, layers: int) -> Any:
    """A decoder with norms first; the logits come from the embedding's own table."""
    inputs = package.Input((length,), dtype="int32")
    embedding = package.layers.Embedding(vocabulary, width)
    positions, logits = _ends(package, embedding)
    x = positions(embedding(inputs))
    for _ in range(layers):
        y = package.layers.LayerNormalization()(x)
        attention = package.layers.MultiHeadAttention(heads, width // heads)
        x = package.layers.Add()([x, attention(y, y, use_causal_mask=True)])
        y = package.layers.LayerNormalization()(x)
        y = package.layers.Dense(4 * width, activation="gelu")(y)
        x = package.layers.Add()([x, package.layers.Dense(width)(y)])
    x = package.layers.LayerNormalization()(x)
    return package.Model(inputs, logits(x))


def _ends(package: Any, embedding: Any) -> tuple[Any, Any]:
    """A layer that adds a learned vector to each position, and one that looks tokens up backwards."""

    class Positions(package.layers.Layer):
        def build(self, input_shape: Any) -> None:
            shape = input_shape[1:]
            self.table = self.add_weight(shape=shape, initializer="uniform", name="table")

        def call(self, x: Any) -> Any:
            return x + self.table

    class Logits(package.layers.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = embedding

        def call(self, x: Any) -> Any:
            table = package.ops.cast(embedding.embeddings, x.dtype)
            return package.ops.matmul(x, package.ops.transpose(table))

    return Positions(), Logits()


def resnet(
    package: Any,
    image: Sequence[int],
    blocks: Sequence[int],
    classes: int,
    bottleneck: bool = False,
) -> Any:
    """A residual network (He et al., 2015), of basic blocks or of bottlenecks."""
    layers = package.layers
    inputs = package.Input(tuple(image))
    x = _convolution(package, inputs, 64, 7, stride=2)
    x = layers.MaxPooling2D(3, strides=2, padding="same")(x)
    for stage, count in enumerate(blocks):
        for index in range(count):
            stride = 2 if stage > 0 and index == 0 else 1
            x = _block(package, x, 64 * 2**stage, stride, bottleneck)
    x = layers.GlobalAveragePooling2D()(x)
    return package.Model(inputs, layers.Dense(classes)(x))


def _block(package: Any, x: Any, filters: int, stride: int, bottleneck: bool) -> Any:
    if bottleneck:
        y = _convolution(package, x, filters, 1)
        y = _convolution(package, y, filters, 3, stride)
        y = _convolution(package, y, 4 * filters, 1, activate=False)
    else:
        y = _convolution(package, x, filters, 3, stride)
        y = _convolution(package, y, filters, 3, activate=False)
    if x.shape != y.shape:
        x = _convolution(package, x, y.shape[-1], 1, stride, activate=False)
    return package.layers.ReLU()(package.layers.Add()([x, y]))


def _convolution(
    package: Any, x: Any, filters: int, size: int, stride: int = 1, activate: bool = True
) -> Any:
    """A convolution without bias, its normalization, and a rectifier."""
    layers = package.layers
    x = layers.Conv2D(filters, size, strides=stride, padding="same", use_bias=False)(x)
    x = layers.BatchNormalization()(x)
    return layers.ReLU()(x) if activate else x


BUILDERS = {"mlp": mlp, "cnn": cnn, "lstm": lstm, "gpt": gpt, "resnet": resnet}
