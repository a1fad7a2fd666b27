"""Small models and data, each written once for Cornu and Keras (`k` is either module)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np


def draw(*shape: int, seed: int = 0) -> np.ndarray[Any, Any]:
    """Normal numbers, read-only."""
    return frozen(np.random.default_rng(seed).normal(size=shape).astype("float32"))


def labels(*shape: int, classes: int = 3, seed: int = 1) -> np.ndarray[Any, Any]:
    """Classes as int32, read-only."""
    return frozen(np.random.default_rng(seed).integers(0, classes, shape).astype("int32"))


def frozen(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The array, read-only."""
    array.setflags(write=False)
    return array


def sequential(k: Any, units: int = 3, activation: str = "softmax", **dense: Any) -> Any:
    """Six features to three classes."""
    return k.Sequential(
        [
            k.Input((6,)),
            k.layers.Dense(8, activation="tanh", **dense),
            k.layers.Dense(units, activation=activation),
        ]
    )


def deferred(k: Any) -> Any:
    """The same without an input."""
    return k.Sequential([k.layers.Dense(8, activation="tanh"), k.layers.Dense(3, "softmax")])


def functional(k: Any) -> Any:
    """The same as a graph, with a shortcut."""
    x = k.Input((6,), name="features")
    hidden = k.layers.Dense(8, activation="tanh", name="hidden")(x)
    joined = k.layers.Concatenate()([hidden, x])
    return k.Model(x, k.layers.Dense(3, activation="softmax", name="classes")(joined))


def subclassed(k: Any) -> Any:
    """The same as a class."""

    class Net(k.Model):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.first = k.layers.Dense(8, activation="tanh")
            self.second = k.layers.Dense(3, activation="softmax")

        def call(self, inputs: Any, training: Any = False) -> Any:
            return self.second(self.first(inputs))

    return Net()


def convolutional(k: Any) -> Any:
    """Images of 8 x 8 pixels, with batch normalization."""
    return k.Sequential(
        [
            k.Input((8, 8, 1)),
            k.layers.Conv2D(4, 3, padding="same", use_bias=False),
            k.layers.BatchNormalization(momentum=0.8),
            k.layers.Activation("relu"),
            k.layers.MaxPooling2D(),
            k.layers.Conv2D(6, 3, strides=2, use_bias=False),
            k.layers.BatchNormalization(),
            k.layers.GlobalAveragePooling2D(),
            k.layers.Dense(3, activation="softmax"),
        ]
    )


def recurrent(k: Any) -> Any:
    """Sequences of tokens; 0 is masked."""
    return k.Sequential(
        [
            k.Input((7,), dtype="int32"),
            k.layers.Embedding(11, 5, mask_zero=True),
            k.layers.LSTM(6, return_sequences=True),
            k.layers.Bidirectional(k.layers.GRU(4)),
            k.layers.Dense(3, activation="softmax"),
        ]
    )


def token_data() -> tuple[Any, Any]:
    """Tokens with zeros at the end, and classes."""
    tokens = np.array(labels(40, 7, classes=11))
    for i, row in enumerate(tokens):
        row[2 + i % 6 :] = 0
    return frozen(tokens), labels(40)


def two_by_two(k: Any, names: tuple[str, str] = ("score", "kind"), as_dict: bool = True) -> Any:
    """Two inputs, two outputs."""
    left, right = k.Input((4,), name="left"), k.Input((3,), name="right")
    joined = k.layers.Concatenate()([left, right])
    hidden = k.layers.Dense(8, activation="tanh")(joined)
    first = k.layers.Dense(1, name=names[0])(hidden)
    second = k.layers.Dense(3, activation="softmax", name=names[1])(hidden)
    if as_dict:
        return k.Model({"left": left, "right": right}, {names[0]: first, names[1]: second})
    return k.Model([left, right], [first, second])


def two_by_two_data(as_dict: bool = True) -> tuple[Any, Any]:
    """Data of `two_by_two`."""
    x, y = (draw(40, 4), draw(40, 3, seed=3)), (draw(40, 1, seed=4), labels(40))
    if not as_dict:
        return list(x), list(y)
    return dict(zip(("left", "right"), x, strict=True)), dict(
        zip(("score", "kind"), y, strict=True)
    )


def penalized(k: Any) -> Any:
    """Regularizers of weights and of outputs, and a layer with `add_loss`."""

    class Penalty(k.layers.Layer):  # type: ignore[misc]
        def call(self, inputs: Any) -> Any:
            self.add_loss(0.1 * k.ops.mean(k.ops.square(inputs)))
            return inputs

    x = k.Input((6,))
    hidden = k.layers.Dense(
        8,
        activation="tanh",
        kernel_regularizer="l2",
        bias_regularizer=k.regularizers.L1(0.1),
        activity_regularizer=k.regularizers.L2(0.01),
    )(x)
    return k.Model(x, k.layers.Dense(3, activation="softmax")(Penalty()(hidden)))


def constrained(k: Any) -> Any:
    """Constraints of weights."""
    return k.Sequential(
        [
            k.Input((6,)),
            k.layers.Dense(
                8, kernel_constraint=k.constraints.MaxNorm(0.5), bias_constraint="non_neg"
            ),
            k.layers.Dense(3, activation="softmax", kernel_constraint="unit_norm"),
        ]
    )


def twins(build: Callable[[Any], Any], modules: tuple[Any, Any], x: Any) -> tuple[Any, Any]:
    """The model of each module, built for `x`, with equal weights."""
    models = [build(k) for k in modules]
    for model in models:
        if not model.built or not model.weights:
            model(x)
    ours, theirs = models
    assert [tuple(w.shape) for w in ours.weights] == [tuple(w.shape) for w in theirs.weights]
    weights = [np.asarray(w) for w in theirs.get_weights()]
    ours.set_weights(weights)
    return ours, theirs
