"""Small networks and the layouts of their weights: on several devices each trains as on one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

import cornu
from cornu import layers, ops
from cornu.distribution import DataParallel, DeviceMesh, LayoutMap, ModelParallel, fsdp

BATCH, SAMPLES = 16, 56  # the last batch has 8, and that of `predict`, of 27 samples, 11


def perceptron() -> Any:
    """Two dense layers."""
    return cornu.Sequential(
        [
            cornu.Input((8,)),
            layers.Dense(16, activation="relu", name="up"),
            layers.Dense(2, name="down"),
        ],
        name="net",
    )


def convolutional() -> Any:
    """Convolution, normalization over the batch, pooling."""
    return cornu.Sequential(
        [
            cornu.Input((6, 6, 2)),
            layers.Conv2D(4, 3, use_bias=False, name="up"),  # normalization takes a bias away
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(2, name="down"),
        ],
        name="net",
    )


def recurrent() -> Any:
    """An LSTM."""
    return cornu.Sequential(
        [cornu.Input((5, 3)), layers.LSTM(8, name="up"), layers.Dense(2, name="down")], name="net"
    )


def attention() -> Any:
    """A block of a transformer, with dropout."""
    inputs = cornu.Input((6, 8))
    x = layers.MultiHeadAttention(4, 2, dropout=0.2, name="attention")(inputs, inputs)
    x = normal = layers.LayerNormalization()(x + inputs)
    x = layers.Dropout(0.3)(layers.Dense(16, activation="gelu", name="up")(x))
    x = layers.Dense(8, name="down")(x) + normal
    outputs = layers.Dense(2, name="head")(layers.GlobalAveragePooling1D()(x))
    return cornu.Model(inputs, outputs, name="net")


class Gan(cornu.Model):
    """Two networks that train against each other, in a `train_step` of their own."""

    def __init__(self) -> None:
        super().__init__(name="net")
        self.critic = cornu.Sequential(
            [cornu.Input((8,)), layers.Dense(16, activation="relu"), layers.Dense(1)], name="up"
        )
        self.forger = cornu.Sequential([cornu.Input((4,)), layers.Dense(8)], name="down")
        self.noise = cornu.random.SeedGenerator(1)
        self.of_forger = cornu.optimizers.SGD(0.05)
        self.of_forger.build(self.forger.trainable_variables)

    def call(self, x: Any) -> Any:
        """What the critic says."""
        return self.critic(x)

    def train_step(self, data: Any) -> dict[str, Any]:
        """A step of each."""
        x, _ = data
        z = cornu.random.normal((ops.shape(x)[0], 4), seed=self.noise)

        def critics() -> Any:
            real, forged = self.critic(x), self.critic(self.forger(z))
            return ops.mean(ops.softplus(-real)) + ops.mean(ops.softplus(forged))

        def forgers() -> Any:
            return ops.mean(ops.softplus(-self.critic(self.forger(z))))

        variables = self.critic.trainable_variables
        loss, gradients = cornu.value_and_grad(critics, variables)()
        self.optimizer.apply(gradients, variables)
        variables = self.forger.trainable_variables
        other, gradients = cornu.value_and_grad(forgers, variables)()
        self.of_forger.apply(gradients, variables)
        return {"loss": loss, "mae": other}


class Batches:
    """Batches, in order."""

    def __init__(self, x: Any, y: Any) -> None:
        self.x, self.y = x, y

    def __iter__(self) -> Iterator[Any]:
        for i in range(0, SAMPLES, BATCH):
            yield self.x[i : i + BATCH], self.y[i : i + BATCH]


class Network(NamedTuple):
    """A network, the shape of a sample, and how its weights may be divided along an axis `model`."""

    make: Callable[[], Any]
    shape: tuple[int, ...]
    layouts: dict[str, tuple[Any, ...]]


COLUMNS = {
    "net/up/kernel": (None, "model"),
    "net/up/bias": ("model",),
    "net/down/kernel": ("model", None),
}
NETWORKS = {
    "perceptron": Network(perceptron, (8,), COLUMNS),
    "convolutional": Network(
        convolutional, (6, 6, 2), {"net/up/kernel": (None, None, None, "model")}
    ),
    "recurrent": Network(recurrent, (5, 3), {"net/up/.*/kernel": (None, "model")}),
    "attention": Network(
        attention,
        (6, 8),
        {
            "up/kernel": (None, "model"),
            "down/kernel": ("model", None),
            "attention/(query|key|value)/kernel": (None, "model", None),
            "attention/attention_output/kernel": ("model", None, None),
            "up/output": ("batch", None, "model"),
        },
    ),
    "gan": Network(Gan, (8,), {"up/dense.*/kernel": ("model", None)}),
}


def data(network: Network) -> tuple[Any, Any]:
    """What it is trained on."""
    draw = np.random.default_rng(5)
    x = draw.normal(size=(SAMPLES, *network.shape)).astype("float32")
    return x, draw.normal(size=(SAMPLES, 2)).astype("float32")


def distribution(kind: str, network: Network, shape: tuple[int, ...]) -> Any:
    """A distribution: `none`, `data`, `fsdp`, or `model` over a mesh (batch, model)."""
    if kind == "none":
        return None
    if kind == "data":
        return DataParallel()
    if kind == "fsdp":
        return fsdp(smallest=8)
    layout_map = LayoutMap(DeviceMesh(shape, ("batch", "model")))
    layout_map.update(network.layouts)
    return ModelParallel(layout_map=layout_map)


def trained(
    name: str,
    kind: str,
    shape: tuple[int, ...] = (1, 2),
    folder: str | None = None,
    source: str = "arrays",
) -> dict[str, np.ndarray[Any, Any]]:
    """The curve of a training, and what the model evaluates to and predicts then.

    Its data are arrays that each process has, in an order that is drawn; batches that each makes; or, with `apart`,
    arrays of each process's own rows of every batch.
    """
    network = NETWORKS[name]
    cornu.utils.set_random_seed(3)
    x, y = data(network)
    found = distribution(kind, network, shape)
    data_args: Any = (x, y, BATCH)
    if source == "batches":
        data_args = (Batches(x, y),)
    elif source == "apart" and found is not None:
        found.auto_shard_dataset = False
        processes = found.num_processes
        batches = [range(i, min(i + BATCH, SAMPLES)) for i in range(0, SAMPLES, BATCH)]
        parts = [np.array_split(batch, processes)[found.data_shard_id] for batch in batches]
        rows = np.concatenate(parts)
        data_args = (x[rows], y[rows], BATCH // processes)
    cornu.distribution.set_distribution(found)
    try:
        model = network.make()
        model.compile(cornu.optimizers.Adam(1e-2, global_clipnorm=1.0), "mse", metrics=["mae"])
        told = (
            []
            if folder is None
            else [cornu.callbacks.Checkpoint(f"{folder}/{name}-{kind}", steps=3)]
        )
        history = model.fit(
            *data_args, epochs=2, verbose=0, callbacks=told, shuffle=source == "arrays"
        ).history
        scores = [] if name == "gan" else model.evaluate(*data_args, verbose=0)
        found = cornu.distribution.distribution()
        if found is not None:
            found.auto_shard_dataset = True
        predicted = model.predict(x[:27], BATCH, verbose=0)
        if folder is not None:
            model.save(f"{folder}/{name}-{kind}.keras")
        return {
            "loss": np.array(history["loss"]),
            "mae": np.array(history["mae"]),
            "evaluate": np.array(scores),
            "predict": predicted,
            "kernel": model.trainable_variables[0].numpy(),
        }
    finally:
        cornu.distribution.set_distribution(None)
