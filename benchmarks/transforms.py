"""What transforms of weights cost in a training step: a model with and without them, by turns.

    python -m benchmarks.transforms --engine torch --model gpt --transform lora

Exit code 1 where one takes more than its share of the plain step's time.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import cornu
from cornu import optimization

from .models import gpt
from .predict_on_onnxruntime import network
from .workloads import CHARACTERS

BATCH, STEPS = 16, 4


def adapted(model: Any) -> None:
    """LoRA on all kernels but depthwise ones, alone.

    Nine numbers a channel have nothing to save, and on JAX a step with adapters on them too takes 1.28 of the plain
    one on a CPU. Why is not known: on depthwise kernels alone they cost 1.06.
    """
    kernels = [v.path for v in model.weights if v.name == "kernel" and "depthwise" not in v.path]
    model.enable_lora(4, targets=kernels, alone=True)


#: What makes a model's transforms, and the most time that a step may take with them, for one without.
TRANSFORMS: dict[str, tuple[Callable[[Any], Any], float]] = {
    "mask": (
        lambda model: optimization.prune_low_magnitude(
            model, optimization.ConstantSparsity(0.8, 0, frequency=100)
        ),
        1.15,
    ),
    "fake quantization": (optimization.quantize_model, 1.3),
    "lora": (adapted, 1.0),
}


def mobile() -> tuple[Any, np.ndarray, np.ndarray]:
    """A network like MobileNetV2 for images of 96 x 96."""
    generator = np.random.default_rng(0)
    x = generator.normal(size=(BATCH * STEPS, 96, 96, 3)).astype("float32")
    return network(96), x, generator.integers(0, 1000, BATCH * STEPS)


def text() -> tuple[Any, np.ndarray, np.ndarray]:
    """A small GPT."""
    shape = (BATCH * STEPS, CHARACTERS["length"])
    x = np.random.default_rng(0).integers(0, CHARACTERS["vocabulary"], shape).astype("int32")
    return gpt(cornu, **CHARACTERS), x, x


MODELS = {"mobilenet": mobile, "gpt": text}


def compiled(
    make: Callable[[], Any], transform: Callable[[Any], Any] | None
) -> Callable[[], float]:
    """What times some steps of a model, in seconds a step."""
    model, x, y = make()
    if transform is not None:
        model = transform(model) or model
    loss = cornu.losses.SparseCategoricalCrossentropy(from_logits=make is text)
    model.compile("adam", loss)

    def turn() -> float:
        start = time.perf_counter()
        model.fit(x, y, batch_size=BATCH, shuffle=False, verbose=0)
        return (time.perf_counter() - start) / STEPS

    for _ in range(2):
        turn()
    return turn


def main() -> int:
    """Print each ratio, and the quartiles of the rounds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--engine", action="append", choices=("jax", "torch", "tensorflow"))
    parser.add_argument("--model", action="append", choices=MODELS)
    parser.add_argument("--transform", action="append", choices=TRANSFORMS)
    parser.add_argument("--rounds", type=int, default=11)
    options = parser.parse_args()
    cornu.tuning.for_speed()
    slow = False
    for engine in options.engine or ("jax", "torch"):
        cornu.backend.set_backend(engine)
        for model in options.model or MODELS:
            plain = compiled(MODELS[model], None)
            for name in options.transform or TRANSFORMS:
                transform, limit = TRANSFORMS[name]
                turn = compiled(MODELS[model], transform)
                pairs = [(turn(), plain()) for _ in range(options.rounds)]
                low, middle, high = statistics.quantiles(a / b for a, b in pairs)
                slow |= middle > limit
                base = statistics.median(b for _, b in pairs)
                print(
                    f"{engine:10} {model:9} {name:17} {middle:.2f} ({low:.2f} to {high:.2f}), at most "
                    f"{limit}, of {1000 * base:.0f} ms",
                    flush=True,
                )
    return int(slow)


if __name__ == "__main__":
    sys.exit(main())
