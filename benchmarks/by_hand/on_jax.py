"""Plain JAX: functions of dictionaries of arrays, Adam from optax, one compiled step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax

from ..workloads import Workload

Parameters = Any


class Maker:
    """Makes initial parameters, and keeps the dictionary of moving statistics."""

    def __init__(self) -> None:
        self.generator = np.random.default_rng(0)

    def kernel(self, *shape: int) -> jax.Array:
        """Glorot's uniform distribution; the last two axes are channels in and out."""
        receptive = np.prod(shape[:-2], dtype=int)
        limit = np.sqrt(6 / (receptive * (shape[-2] + shape[-1])))
        return jnp.asarray(self.generator.uniform(-limit, limit, shape), "float32")

    def dense(self, inputs: int, outputs: int) -> Parameters:
        """A kernel and a bias."""
        return {"w": self.kernel(inputs, outputs), "b": jnp.zeros(outputs)}

    def norm(self, width: int) -> Parameters:
        """A scale and an offset."""
        return {"scale": jnp.ones(width), "offset": jnp.zeros(width)}


def dense(p: Parameters, x: jax.Array) -> jax.Array:
    return x @ p["w"] + p["b"]


def convolve(w: jax.Array, x: jax.Array, stride: int = 1, padding: str = "SAME") -> jax.Array:
    layout = ("NHWC", "HWIO", "NHWC")
    return lax.conv_general_dilated(x, w, (stride, stride), padding, dimension_numbers=layout)


def pool(x: jax.Array, size: int, stride: int, padding: str = "VALID") -> jax.Array:
    window, strides = (1, size, size, 1), (1, stride, stride, 1)
    return lax.reduce_window(x, -jnp.inf, lax.max, window, strides, padding)


# ------------------------------------------------------------------------ models
# A builder gives parameters, state, and apply(parameters, state, x, key) -> (outputs, state).


def mlp(
    make: Maker, features: int, hidden: Sequence[int], classes: int = 0, outputs: int = 0
) -> Any:
    widths = (features, *hidden, classes or outputs)
    parameters = [make.dense(*pair) for pair in zip(widths, widths[1:], strict=False)]

    def apply(parameters: Parameters, state: Any, x: jax.Array, key: Any) -> Any:
        for layer in parameters[:-1]:
            x = jax.nn.relu(dense(layer, x))
        return dense(parameters[-1], x), state

    return parameters, (), apply


def cnn(make: Maker, image: Sequence[int], filters: Sequence[int], classes: int) -> Any:
    height, width, channels = image
    convolutions = []
    for count in filters:
        convolutions.append({"w": make.kernel(3, 3, channels, count), "b": jnp.zeros(count)})
        height, width, channels = (height - 2) // 2, (width - 2) // 2, count
    head = make.dense(height * width * channels, classes)

    def apply(parameters: Parameters, state: Any, x: jax.Array, key: Any) -> Any:
        for layer in parameters["convolutions"]:
            x = jax.nn.relu(convolve(layer["w"], x, padding="VALID") + layer["b"])
            x = pool(x, 2, 2)
        x = x.reshape(len(x), -1)
        if key is not None:
            x = jnp.where(jax.random.bernoulli(key, 0.5, x.shape), x / 0.5, 0)
        return dense(parameters["head"], x), state

    return {"convolutions": convolutions, "head": head}, (), apply


def lstm(make: Maker, vocabulary: int, length: int, units: int, classes: int) -> Any:
    parameters = {
        "embedding": make.kernel(vocabulary, units),
        "input": make.dense(units, 4 * units),
        "recurrent": make.kernel(units, 4 * units),
        "head": make.dense(units, classes),
    }

    def apply(parameters: Parameters, state: Any, x: jax.Array, key: Any) -> Any:
        embedded = parameters["embedding"][x.T]  # (time, batch, units)
        projected = dense(parameters["input"], embedded)

        def step(carry: Any, at: jax.Array) -> Any:
            hidden, cell = carry
            gates = at + hidden @ parameters["recurrent"]
            enter, forget, new, leave = jnp.split(gates, 4, axis=-1)
            cell = jax.nn.sigmoid(forget) * cell + jax.nn.sigmoid(enter) * jnp.tanh(new)
            hidden = jax.nn.sigmoid(leave) * jnp.tanh(cell)
            return (hidden, cell), None

        zeros = jnp.zeros_like(embedded[0])
        (hidden, _), _ = lax.scan(step, (zeros, zeros), projected)
        return dense(parameters["head"], hidden), state

    return parameters, (), apply


def layer_norm(p: Parameters, x: jax.Array) -> jax.Array:
    mean, variance = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
    return (x - mean) * lax.rsqrt(variance + 1e-3) * p["scale"] + p["offset"]


def gpt(make: Maker, vocabulary: int, length: int, width: int, heads: int, layers: int) -> Any:
    parameters = {
        "tokens": make.kernel(vocabulary, width),
        "positions": make.kernel(length, width),
        "norm": make.norm(width),
        "layers": [
            {
                "norms": [make.norm(width), make.norm(width)],
                "qkv": make.dense(width, 3 * width),
                "projection": make.dense(width, width),
                "wide": make.dense(width, 4 * width),
                "narrow": make.dense(4 * width, width),
            }
            for _ in range(layers)
        ],
    }

    def apply(parameters: Parameters, state: Any, x: jax.Array, key: Any) -> Any:
        x = parameters["tokens"][x] + parameters["positions"]
        batch = len(x)
        for layer in parameters["layers"]:
            qkv = dense(layer["qkv"], layer_norm(layer["norms"][0], x))
            qkv = qkv.reshape(batch, length, 3, heads, width // heads)
            attended = jax.nn.dot_product_attention(*jnp.moveaxis(qkv, 2, 0), is_causal=True)
            x = x + dense(layer["projection"], attended.reshape(batch, length, width))
            y = dense(layer["wide"], layer_norm(layer["norms"][1], x))
            x = x + dense(layer["narrow"], jax.nn.gelu(y, approximate=False))
        return layer_norm(parameters["norm"], x) @ parameters["tokens"].T, state

    return parameters, (), apply


def resnet(
    make: Maker, image: Sequence[int], blocks: Sequence[int], classes: int, bottleneck: bool = False
) -> Any:
    parameters: list[Parameters] = []
    strides: list[int] = []
    state: list[Any] = []

    def declare(size: int, inputs: int, outputs: int, stride: int = 1) -> int:
        parameters.append({"w": make.kernel(size, size, inputs, outputs), **make.norm(outputs)})
        strides.append(stride)
        state.append((jnp.zeros(outputs), jnp.ones(outputs)))
        return len(parameters) - 1

    declare(7, image[-1], 64, 2)
    channels, plan = 64, []
    for stage, count in enumerate(blocks):
        for index in range(count):
            filters, stride = 64 * 2**stage, 2 if stage > 0 and index == 0 else 1
            outputs = 4 * filters if bottleneck else filters
            if bottleneck:
                path = [declare(1, channels, filters), declare(3, filters, filters, stride)]
                path.append(declare(1, filters, outputs))
            else:
                path = [declare(3, channels, filters, stride), declare(3, filters, filters)]
            changed = channels != outputs or stride > 1
            plan.append((path, declare(1, channels, outputs, stride) if changed else None))
            channels = outputs

    def apply(parameters: Parameters, state: Any, x: jax.Array, key: Any) -> Any:
        state = list(state)

        def convolution(index: int, x: jax.Array) -> jax.Array:
            p = parameters["body"][index]
            x = convolve(p["w"], x, strides[index])
            if key is None:
                mean, variance = state[index]
            else:
                mean, variance = x.mean((0, 1, 2)), x.var((0, 1, 2))
                moving = zip(state[index], (mean, variance), strict=True)
                state[index] = tuple(0.99 * old + 0.01 * new for old, new in moving)
            return (x - mean) * (lax.rsqrt(variance + 1e-3) * p["scale"]) + p["offset"]

        x = pool(jax.nn.relu(convolution(0, x)), 3, 2, "SAME")
        for path, shortcut in plan:
            y = x
            for index in path[:-1]:
                y = jax.nn.relu(convolution(index, y))
            y = convolution(path[-1], y)
            x = jax.nn.relu(y + (x if shortcut is None else convolution(shortcut, x)))
        return dense(parameters["head"], x.mean((1, 2))), state

    return {"body": parameters, "head": make.dense(channels, classes)}, state, apply


BUILDERS = {"mlp": mlp, "cnn": cnn, "lstm": lstm, "gpt": gpt, "resnet": resnet}


# ------------------------------------------------------------------------- loops


def as_precision(workload: Workload, apply: Any) -> Any:
    """The model with its parameters and inputs in the workload's dtype."""
    if workload.precision == "float32":
        return apply

    def lower(tree: Any) -> Any:
        floats = jnp.floating
        return jax.tree.map(
            lambda a: a.astype(workload.precision) if jnp.issubdtype(a.dtype, floats) else a, tree
        )

    def applied(parameters: Parameters, state: Any, x: jax.Array, key: Any) -> Any:
        outputs, state = apply(lower(parameters), state, lower(x), key)
        return outputs.astype("float32"), state

    return applied


def training(workload: Workload, x: np.ndarray, y: np.ndarray) -> Callable[[int], None]:
    """A call that takes steps, and waits for the last."""
    parameters, state, apply = BUILDERS[workload.model](Maker(), **workload.sizes)
    apply = as_precision(workload, apply)
    optimizer = optax.adam(1e-3)

    def loss_of(parameters: Parameters, state: Any, x: Any, y: Any, key: Any) -> Any:
        outputs, state = apply(parameters, state, x, key)
        if workload.loss == "mse":
            return jnp.mean((outputs - y) ** 2), state
        losses = optax.losses.softmax_cross_entropy_with_integer_labels(outputs, y)
        return losses.mean(), state

    @partial(jax.jit, donate_argnums=0)
    def step(carry: Any, x: Any, y: Any) -> Any:
        parameters, state, slots, key = carry
        key, now = jax.random.split(key)
        differentiate = jax.value_and_grad(loss_of, has_aux=True)
        (loss, state), gradients = differentiate(parameters, state, x, y, now)
        updates, slots = optimizer.update(gradients, slots)
        return (optax.apply_updates(parameters, updates), state, slots, key), loss

    carry = (parameters, state, optimizer.init(parameters), jax.random.key(0))
    batch = workload.batch

    def go(steps: int) -> None:
        nonlocal carry
        for index in range(steps):
            start = index % workload.batches * batch
            carry, loss = step(carry, x[start : start + batch], y[start : start + batch])
        loss.block_until_ready()

    return go


def prediction(workload: Workload, x: np.ndarray) -> Callable[[int], None]:
    """A call that predicts the batch: compiled in slices of 32, or operation by operation."""
    parameters, state, apply = BUILDERS[workload.model](Maker(), **workload.sizes)
    predict = jax.jit(lambda parameters, x: apply(parameters, state, x, None)[0])
    tensor = jnp.asarray(x)

    def call(steps: int) -> None:
        for _ in range(steps):
            outputs, _ = apply(parameters, state, tensor, None)
        outputs.block_until_ready()

    def predictions(steps: int) -> None:
        for _ in range(steps):
            parts = [predict(parameters, x[start : start + 32]) for start in range(0, len(x), 32)]
            np.concatenate([np.asarray(part) for part in parts])

    return call if workload.kind == "call" else predictions
