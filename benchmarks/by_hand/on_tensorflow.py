"""Plain TensorFlow: variables, a tape in a `tf.function`, Adam's own kernel for each variable."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from ..workloads import Workload


class Maker:
    """Makes variables and lists them."""

    def __init__(self) -> None:
        self.variables: list[tf.Variable] = []
        self.generator = np.random.default_rng(0)

    def kernel(self, *shape: int) -> tf.Variable:
        """Glorot's uniform distribution; the last two axes are channels in and out."""
        receptive = np.prod(shape[:-2], dtype=int)
        limit = np.sqrt(6 / (receptive * (shape[-2] + shape[-1])))
        return self.vector(self.generator.uniform(-limit, limit, shape))

    def vector(self, value: np.ndarray) -> tf.Variable:
        self.variables.append(tf.Variable(value, dtype="float32"))
        return self.variables[-1]

    def dense(self, inputs: int, outputs: int) -> Callable[[tf.Tensor], tf.Tensor]:
        kernel, bias = self.kernel(inputs, outputs), self.vector(np.zeros(outputs))

        def call(x: tf.Tensor) -> tf.Tensor:
            # MatMul of matrices, as any number of leading axes is one: 3-D inputs take a slower kernel.
            flat = tf.reshape(x, (-1, inputs)) if x.shape.rank != 2 else x
            y = tf.nn.bias_add(tf.matmul(flat, kernel), bias)
            return tf.reshape(y, (-1, *x.shape[1:-1], outputs)) if x.shape.rank != 2 else y

        return call


# A builder gives apply(x, training) -> outputs.


def mlp(
    make: Maker, features: int, hidden: Sequence[int], classes: int = 0, outputs: int = 0
) -> Any:
    widths = (features, *hidden, classes or outputs)
    layers = [make.dense(*pair) for pair in zip(widths, widths[1:], strict=False)]

    def apply(x: tf.Tensor, training: bool) -> tf.Tensor:
        for layer in layers[:-1]:
            x = tf.nn.relu(layer(x))
        return layers[-1](x)

    return apply


def cnn(make: Maker, image: Sequence[int], filters: Sequence[int], classes: int) -> Any:
    height, width, channels = image
    convolutions = []
    for count in filters:
        convolutions.append((make.kernel(3, 3, channels, count), make.vector(np.zeros(count))))
        height, width, channels = (height - 2) // 2, (width - 2) // 2, count
    flat = height * width * channels
    head = make.dense(flat, classes)

    def apply(x: tf.Tensor, training: bool) -> tf.Tensor:
        for kernel, bias in convolutions:
            x = tf.nn.relu(tf.nn.bias_add(tf.nn.conv2d(x, kernel, 1, "VALID"), bias))
            x = tf.nn.max_pool2d(x, 2, 2, "VALID")
        x = tf.reshape(x, (-1, flat))
        return head(tf.nn.dropout(x, 0.5) if training else x)

    return apply


def lstm(make: Maker, vocabulary: int, length: int, units: int, classes: int) -> Any:
    embedding, project = make.kernel(vocabulary, units), make.dense(units, 4 * units)
    recurrent, head = make.kernel(units, 4 * units), make.dense(units, classes)

    def apply(x: tf.Tensor, training: bool) -> tf.Tensor:
        embedded = tf.nn.embedding_lookup(embedding, tf.transpose(x))
        projected = project(embedded)
        hidden = cell = tf.zeros_like(embedded[0])
        # Reading an array's entries has a cheap gradient; that of a slice is as large as the whole.
        entries = tf.TensorArray("float32", length).unstack(projected)

        def step(time: tf.Tensor, hidden: tf.Tensor, cell: tf.Tensor) -> Any:
            gates = entries.read(time) + tf.matmul(hidden, recurrent)
            enter, forget, new, leave = tf.split(gates, 4, axis=-1)
            cell = tf.sigmoid(forget) * cell + tf.sigmoid(enter) * tf.tanh(new)
            return time + 1, tf.sigmoid(leave) * tf.tanh(cell), cell

        start = (tf.constant(0), hidden, cell)
        _, hidden, _ = tf.while_loop(
            lambda time, *_: time < length, step, start, maximum_iterations=length
        )
        return head(hidden)

    return apply


def layer_norm(make: Maker, width: int) -> Callable[[tf.Tensor], tf.Tensor]:
    scale, offset = make.vector(np.ones(width)), make.vector(np.zeros(width))

    def call(x: tf.Tensor) -> tf.Tensor:
        mean, variance = tf.nn.moments(x, -1, keepdims=True)
        return tf.nn.batch_normalization(x, mean, variance, offset, scale, 1e-3)

    return call


def gpt(make: Maker, vocabulary: int, length: int, width: int, heads: int, layers: int) -> Any:
    tokens, positions = make.kernel(vocabulary, width), make.kernel(length, width)
    size = width // heads
    blocks = [
        {
            "norms": (layer_norm(make, width), layer_norm(make, width)),
            "qkv": make.dense(width, 3 * width),
            "projection": make.dense(width, width),
            "wide": make.dense(width, 4 * width),
            "narrow": make.dense(4 * width, width),
        }
        for _ in range(layers)
    ]
    last = layer_norm(make, width)
    above = tf.constant(np.triu(np.full((length, length), -1e9, "float32"), 1))

    def attention(block: Any, x: tf.Tensor) -> tf.Tensor:
        qkv = tf.reshape(block["qkv"](x), (-1, length, 3, heads, size))
        q, k, v = tf.unstack(tf.transpose(qkv, (2, 0, 3, 1, 4)))
        weights = tf.nn.softmax(tf.matmul(q, k, transpose_b=True) / size**0.5 + above)
        y = tf.transpose(tf.matmul(weights, v), (0, 2, 1, 3))
        return block["projection"](tf.reshape(y, (-1, length, width)))

    def apply(x: tf.Tensor, training: bool) -> tf.Tensor:
        x = tf.nn.embedding_lookup(tokens, x) + positions
        for block in blocks:
            x = x + attention(block, block["norms"][0](x))
            y = tf.nn.gelu(block["wide"](block["norms"][1](x)))
            x = x + block["narrow"](y)
        flat = tf.reshape(last(x), (-1, width))
        return tf.reshape(tf.matmul(flat, tokens, transpose_b=True), (-1, length, vocabulary))

    return apply


def convolution(make: Maker, size: int, inputs: int, outputs: int, stride: int = 1) -> Any:
    """A convolution without bias, and its normalization with moving statistics."""
    kernel = make.kernel(size, size, inputs, outputs)
    scale, offset = make.vector(np.ones(outputs)), make.vector(np.zeros(outputs))
    moving = [tf.Variable(tf.zeros(outputs)), tf.Variable(tf.ones(outputs))]

    def call(x: tf.Tensor, training: bool) -> tf.Tensor:
        x = tf.nn.conv2d(x, kernel, stride, "SAME")
        if not training:
            return tf.nn.batch_normalization(x, *moving, offset, scale, 1e-3)
        y, mean, variance, *_ = tf.compat.v1.nn.fused_batch_norm(x, scale, offset, epsilon=1e-3)
        for old, new in zip(moving, (mean, variance), strict=True):
            old.assign_add(0.01 * (new - old))
        return y

    return call


def resnet(
    make: Maker, image: Sequence[int], blocks: Sequence[int], classes: int, bottleneck: bool = False
) -> Any:
    stem, channels, body = convolution(make, 7, image[-1], 64, 2), 64, []
    for stage, count in enumerate(blocks):
        for index in range(count):
            filters, stride = 64 * 2**stage, 2 if stage > 0 and index == 0 else 1
            outputs = 4 * filters if bottleneck else filters
            shapes = [(3, channels, filters, stride), (3, filters, filters)]
            if bottleneck:
                shapes = [(1, channels, filters), (3, filters, filters, stride)]
                shapes.append((1, filters, outputs))
            path = [convolution(make, *shape) for shape in shapes]
            changed = channels != outputs or stride > 1
            shortcut = convolution(make, 1, channels, outputs, stride) if changed else None
            body.append((path, shortcut))
            channels = outputs
    head = make.dense(channels, classes)

    def apply(x: tf.Tensor, training: bool) -> tf.Tensor:
        x = tf.nn.max_pool2d(tf.nn.relu(stem(x, training)), 3, 2, "SAME")
        for path, shortcut in body:
            y = x
            for layer in path[:-1]:
                y = tf.nn.relu(layer(y, training))
            y = path[-1](y, training)
            x = tf.nn.relu(y + (x if shortcut is None else shortcut(x, training)))
        return head(tf.reduce_mean(x, (1, 2)))

    return apply


BUILDERS = {"mlp": mlp, "cnn": cnn, "lstm": lstm, "gpt": gpt, "resnet": resnet}


class Adam:
    """Adam by the kernel that TensorFlow has for it: one for a variable."""

    def __init__(self, variables: list[tf.Variable]) -> None:
        self.variables = variables
        self.slots = [[tf.Variable(tf.zeros_like(v)) for _ in "mv"] for v in variables]
        self.powers = [tf.Variable(0.9), tf.Variable(0.999)]

    def apply(self, gradients: list[Any]) -> None:
        rates = {"lr": 1e-3, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-7}
        for variable, (m, v), gradient in zip(self.variables, self.slots, gradients, strict=True):
            tf.raw_ops.ResourceApplyAdam(
                var=variable.handle,
                m=m.handle,
                v=v.handle,
                beta1_power=self.powers[0],
                beta2_power=self.powers[1],
                grad=tf.convert_to_tensor(gradient),
                **rates,
            )
        self.powers[0].assign(self.powers[0] * 0.9)
        self.powers[1].assign(self.powers[1] * 0.999)


def training(workload: Workload, x: np.ndarray, y: np.ndarray) -> Callable[[int], None]:
    """A call that takes steps, and waits for the last."""
    make = Maker()
    apply = BUILDERS[workload.model](make, **workload.sizes)
    adam = Adam(make.variables)
    batch = workload.batch

    @tf.function
    def step(x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            outputs = apply(x, True)
            if workload.loss == "mse":
                loss = tf.reduce_mean(tf.math.squared_difference(outputs, y))
            else:
                losses = tf.nn.sparse_softmax_cross_entropy_with_logits(y, outputs)
                loss = tf.reduce_mean(losses)
        adam.apply(tape.gradient(loss, make.variables))
        return loss

    def go(steps: int) -> None:
        for index in range(steps):
            start = index % workload.batches * batch
            here, wanted = x[start : start + batch], y[start : start + batch]
            loss = step(tf.convert_to_tensor(here), tf.convert_to_tensor(wanted))
        loss.numpy()

    return go


def prediction(workload: Workload, x: np.ndarray) -> Callable[[int], None]:
    """A call that predicts the batch: compiled in slices of 32, or operation by operation."""
    apply = BUILDERS[workload.model](Maker(), **workload.sizes)
    predict = tf.function(lambda x: apply(x, False), reduce_retracing=True)
    tensor = tf.convert_to_tensor(x)

    def call(steps: int) -> None:
        for _ in range(steps):
            outputs = apply(tensor, False)
        outputs.numpy()

    def predictions(steps: int) -> None:
        for _ in range(steps):
            slices = [x[start : start + 32] for start in range(0, len(x), 32)]
            np.concatenate([predict(tf.convert_to_tensor(part)).numpy() for part in slices])

    return call if workload.kind == "call" else predictions
