"""`predict` of a MobileNetV2-like network on ONNX Runtime and on JAX, by turns, batch 1.

Exit code 1 where ONNX Runtime takes more than its share of JAX's time.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from typing import Any

import numpy as np

import cornu
from cornu import engines, layers

SHARE = 0.15
#: Expansion, filters, blocks and stride of each stage (Sandler et al., 2018, table 2).
STAGES = (
    *((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1)),
    *((6, 160, 3, 2), (6, 320, 1, 1)),
)


def normalized(x: Any, activate: bool = True) -> Any:
    """Batch normalization, and the rectifier that is limited to 6."""
    x = layers.BatchNormalization()(x)
    return layers.ReLU(6.0)(x) if activate else x


def block(x: Any, expansion: int, filters: int, stride: int) -> Any:
    """An inverted residual block."""
    channels = x.shape[-1]
    y = normalized(layers.Conv2D(channels * expansion, 1, use_bias=False)(x))
    y = layers.DepthwiseConv2D(3, strides=stride, padding="same", use_bias=False)(y)
    y = normalized(layers.Conv2D(filters, 1, use_bias=False)(normalized(y)), activate=False)
    return layers.Add()([x, y]) if stride == 1 and channels == filters else y


def network(size: int) -> Any:
    """The network for square images, with numbers in its weights that keep signals apart."""
    inputs = cornu.Input((size, size, 3))
    x = layers.Conv2D(32, 3, strides=2, padding="same", use_bias=False)(inputs)
    x = normalized(x)
    for expansion, filters, count, stride in STAGES:
        for index in range(count):
            x = block(x, expansion, filters, stride if index == 0 else 1)
    x = normalized(layers.Conv2D(1280, 1, use_bias=False)(x))
    x = layers.Dense(1000, activation="softmax")(layers.GlobalAveragePooling2D()(x))
    model = cornu.Model(inputs, x)
    generator = np.random.default_rng(0)
    for variable in model.variables:
        if variable.name in ("gamma", "moving_variance"):
            variable.assign(generator.uniform(0.5, 1.5, variable.shape))
        elif variable.name in ("beta", "moving_mean"):
            variable.assign(generator.normal(scale=0.1, size=variable.shape))
    return model


def main() -> int:
    """Print the two times and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--runs", type=int, default=50)
    options = parser.parse_args()
    image = np.random.default_rng(1).normal(size=(1, options.size, options.size, 3))
    image = image.astype("float32")
    models = {}
    first = network(options.size)
    for name in ("jax", "onnxruntime"):  # a model each: none moves between the engines
        models[name] = cornu.models.clone_model(first)
        models[name].set_weights(first.get_weights())
        with engines.use(name):
            models[name].predict(image, verbose=0)
    seconds: dict[str, list[float]] = {name: [] for name in models}
    for _ in range(options.runs):
        for name, model in models.items():
            with engines.use(name):
                start = time.perf_counter()
                model.predict(image, verbose=0)
                seconds[name].append(time.perf_counter() - start)
    for name, times in seconds.items():
        print(f"{name:12} {1e3 * statistics.median(times):7.2f} ms, best {1e3 * min(times):.2f} ms")
    ratio = min(seconds["onnxruntime"]) / min(seconds["jax"])
    print(f"ONNX Runtime takes {ratio:.3f} of JAX's time (best of {options.runs}).")
    return int(ratio > SHARE)


if __name__ == "__main__":
    sys.exit(main())
