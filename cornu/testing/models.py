"""Small models of each kind, whose loss over a few steps an engine must reproduce."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import callbacks, layers, models, optimizers, utils
from ..engines import Engine, use


def _convolutional() -> Any:
    return [
        layers.Input((8, 8, 1)),
        layers.Conv2D(4, 3, activation="relu"),
        layers.BatchNormalization(),
        layers.MaxPooling2D(),
        layers.Flatten(),
        layers.Dense(3, activation="softmax"),
    ]


def _recurrent() -> Any:
    return [
        layers.Input((6,), dtype="int32"),
        layers.Embedding(9, 5),
        layers.LSTM(6),
        layers.Dense(3, activation="softmax"),
    ]


def _attention() -> Any:
    tokens = layers.Input((6,), dtype="int32")
    x = layers.Embedding(9, 8)(tokens)
    normal = layers.LayerNormalization()(x)
    x = x + layers.MultiHeadAttention(2, 4)(normal, normal, use_causal_mask=True)
    x = x + layers.Dense(8, activation="gelu")(x)
    x = layers.GlobalAveragePooling1D()(x)
    return tokens, layers.Dense(3, activation="softmax")(x)


#: Builds the model, and the shape and dtype of its inputs.
MODELS: dict[str, tuple[Callable[[], Any], tuple[int, ...], str]] = {
    "convolutional": (_convolutional, (8, 8, 1), "float32"),
    "recurrent": (_recurrent, (6,), "int32"),
    "attention": (_attention, (6,), "int32"),
}


def curve(name: str, engine: str | Engine, epochs: int = 2) -> list[float]:
    """The loss after each of five steps an epoch, with Adam, from one seed."""
    build, shape, dtype = MODELS[name]
    generator = np.random.default_rng(1)
    x = generator.uniform(0, 9, (40, *shape)).astype(dtype)
    y = generator.integers(0, 3, 40)
    losses: list[float] = []
    record = callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: losses.append(float(logs["loss"]))
    )
    with use(engine):
        utils.set_random_seed(3)
        made = build()
        model = models.Sequential(made) if isinstance(made, list) else models.Model(*made)
        model.compile(optimizers.Adam(0.01), "sparse_categorical_crossentropy")
        model.fit(x, y, batch_size=8, epochs=epochs, shuffle=False, verbose=0, callbacks=[record])
    return losses
