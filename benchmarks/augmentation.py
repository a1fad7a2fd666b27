"""Augmentation beside Keras's on the same engine: `python -m benchmarks.augmentation [engine ...]`.

A thousand images of 224 x 224 in batches, through each of PIPELINES, in a process for each library. A figure is
the best of three passes; the ratio says how many times as long Keras takes.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

COUNT, BATCH, SIDE, PASSES = 1000, 50, 224, 3
PIPELINES: dict[str, Callable[[Any], list[Any]]] = {
    "flip, rotation, zoom, contrast": lambda layers: [
        layers.RandomFlip(seed=1),
        layers.RandomRotation(0.1, seed=2),
        layers.RandomZoom(0.2, seed=3),
        layers.RandomContrast(0.2, seed=4),
    ],
    "RandAugment": lambda layers: [layers.RandAugment(seed=1)],
}


def seconds(library: Any, pipeline: list[Any], count: int) -> float:
    """How long the images take, results waited for."""
    images = np.random.default_rng(0).integers(0, 256, (BATCH, SIDE, SIDE, 3)).astype("float32")

    def step() -> None:
        x = images
        for layer in pipeline:
            x = layer(x, training=True)
        library.ops.convert_to_numpy(x[..., 0, 0, 0])

    step()  # what is compiled is compiled
    best = float("inf")
    for _ in range(PASSES):
        start = time.perf_counter()
        for _ in range(count // BATCH):
            step()
        best = min(best, time.perf_counter() - start)
    return best


def measured(library: str, engine: str, count: int) -> list[float]:
    """The seconds of each pipeline, found by a process of its own."""
    environment = {**os.environ, "KERAS_BACKEND": engine, "CORNU_BACKEND": engine}
    command = [sys.executable, "-m", "benchmarks.augmentation", "--measure", library, str(count)]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return [float(x) for x in run.stdout.split()]


def main(arguments: list[str]) -> None:
    """Measure one library, or print the table."""
    if arguments[:1] == ["--measure"]:
        library = __import__(arguments[1])
        for make in PIPELINES.values():
            print(seconds(library, make(library.layers), int(arguments[2])))
        return
    counts = [int(x) for x in arguments if x.isdigit()]
    count = counts[0] if counts else COUNT
    for engine in [x for x in arguments if not x.isdigit()] or ["jax", "torch", "tensorflow"]:
        found = [measured(library, engine, count) for library in ("cornu", "keras")]
        for name, ours, theirs in zip(PIPELINES, *found, strict=True):
            ratio = f"{theirs / ours:.1f} times"
            print(
                f"{engine:<12}{name:<34}{ours:8.2f} s  Keras {theirs:8.2f} s  {ratio}", flush=True
            )


if __name__ == "__main__":
    main(sys.argv[1:])
