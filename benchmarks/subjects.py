"""What runs a workload: Cornu, Keras, hand-written code, or large matrix products alone.

Cornu as it was at an earlier commit is a subject too: its files lie in the folder that BASE names.

A runner is a call that takes a number of steps, does them, waits for the last, and gives their seconds
(of a workload of kind `growth`: megabytes).
"""

from __future__ import annotations

import importlib
import os
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from .by_hand import MODULES
from .models import BUILDERS
from .sources import data
from .workloads import Workload

Runner = Callable[[int], float]

#: The variable of the environment with the folder of an earlier Cornu.
BASE = "CORNU_BENCHMARKS_BASE"
#: Keras's engines that train.
KERAS_ENGINES = ("jax", "torch", "tensorflow")


class Missing(Exception):
    """What there is none of here: an engine, or code for it."""


def runner(subject: str, engine: str, workload: Workload) -> Runner:
    """The call that does steps of a workload.

    Args:
        subject: `"cornu"`, `"base"` (an earlier Cornu), `"arrays"` (Cornu that is given arrays), `"keras"`,
            `"hand"` or `"limit"`.
        engine: The engine; the environment names it too, because Keras reads it there.
        workload: What is done.

    Raises:
        Missing: If the subject can't run on the engine.
    """
    if subject == "limit":
        return _limit(engine, workload)
    if subject == "hand":
        if engine not in MODULES:
            raise Missing(f"nothing is written by hand for {engine}")
        return _by_hand(
            importlib.import_module(f".by_hand.{MODULES[engine]}", __package__), workload
        )
    package = _keras(engine) if subject == "keras" else _cornu(engine, subject)
    if subject == "arrays":
        workload = replace(workload, source="arrays")
    if workload.precision == "bfloat16":
        package.config.set_dtype_policy("mixed_bfloat16")
    make = _training if workload.kind in ("train", "growth") else _prediction
    return make(package, workload)


def take_files_of(subject: str) -> None:
    """Have an earlier Cornu imported, where the subject is one."""
    if subject == "base":
        sys.path.insert(0, os.environ[BASE])


def _cornu(engine: str, subject: str) -> Any:
    take_files_of(subject)
    import cornu

    if hasattr(cornu, "tuning"):  # Before, everything was for speed.
        cornu.tuning.for_speed()
        cornu.tuning.quiet_import.prefer(True)
    if engine not in cornu.backend.names():
        raise Missing(f"Cornu has no engine {engine!r} yet")
    try:
        cornu.config.set_backend(engine)
    except ModuleNotFoundError as error:
        raise Missing(str(error)) from error
    return cornu


def _keras(engine: str) -> Any:
    if engine not in KERAS_ENGINES:
        raise Missing(f"Keras doesn't train on {engine}")
    import keras

    if keras.backend.backend() != engine:
        raise RuntimeError(
            "Keras runs on the engine of its environment. Received: "
            f"engine={engine!r}, while Keras has {keras.backend.backend()!r}. Set KERAS_BACKEND."
        )
    return keras


def _timed(work: Callable[[int], Any]) -> Runner:
    def go(steps: int) -> float:
        start = time.perf_counter()
        work(steps)
        return time.perf_counter() - start

    return go


def _by_hand(module: Any, workload: Workload) -> Runner:
    x, y = workload.data()
    if workload.kind == "train":
        return _timed(module.training(workload, x, y))
    return _timed(module.prediction(workload, x))


# ------------------------------------------------------------------ Cornu, Keras


def _model(package: Any, workload: Workload) -> Any:
    model = BUILDERS[workload.model](package, **workload.sizes)
    crossentropy = package.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer="adam", loss="mse" if workload.loss == "mse" else crossentropy)
    return model


def _training(package: Any, workload: Workload) -> Runner:
    model, (x, y) = _model(package, workload), workload.data()
    options = {"shuffle": False, "verbose": 0}
    whole = data(workload.source, package, x, y, workload.batch)

    def fit(steps: int) -> None:
        epochs, rest = divmod(steps, workload.batches)
        if epochs:
            model.fit(**whole, epochs=epochs, **options)
        if rest:
            samples = rest * workload.batch
            part = data(workload.source, package, x[:samples], y[:samples], workload.batch)
            model.fit(**part, **options)

    def growth(fits: int) -> float:
        before = resident_megabytes()
        for _ in range(fits):
            fit(workload.batches)
        return resident_megabytes() - before

    return growth if workload.kind == "growth" else _timed(fit)


def _prediction(package: Any, workload: Workload) -> Runner:
    model, (x, _) = _model(package, workload), workload.data()
    if workload.kind == "predict":
        return _timed(lambda steps: [model.predict(x, verbose=0) for _ in range(steps)])
    tensor = package.ops.convert_to_tensor(x)

    def call(steps: int) -> None:
        for _ in range(steps):
            outputs = model(tensor)
        package.ops.convert_to_numpy(outputs)

    return _timed(call)


def resident_megabytes() -> float:
    """What the process has in memory now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 1e6


# ------------------------------------------------------------- arithmetic limit


def _limit(engine: str, workload: Workload) -> Runner:
    """The time of the workload's arithmetic at the rate of a large matrix product on the engine."""
    if not workload.operations:
        raise Missing("there is no arithmetic to time")
    size, product = _product(engine, workload.precision)
    each = 2 * size**3

    def go(steps: int) -> float:
        wanted = steps * workload.operations
        count = max(1, round(wanted / each))
        return _timed(product)(count) * wanted / (count * each)

    return go


def _product(engine: str, precision: str) -> tuple[int, Callable[[int], None]]:
    """The size of square matrices, and a call that multiplies them a number of times."""
    if engine == "torch":
        import torch

        cuda = torch.cuda.is_available()
        size = 8192 if cuda else 1024
        dtype = getattr(torch, precision)
        matrix = torch.ones(size, size, dtype=dtype, device="cuda" if cuda else "cpu")
        multiply, wait = torch.matmul, lambda product: product[0, 0].item()
    elif engine == "tensorflow":
        import tensorflow as tf

        size = 1024
        matrix = tf.ones((size, size), precision)
        multiply, wait = tf.function(tf.matmul), lambda product: product.numpy()
    elif engine == "jax":
        import jax
        import jax.numpy as jnp

        size = 8192 if jax.default_backend() == "gpu" else 1024
        matrix = jnp.ones((size, size), precision)
        multiply, wait = jax.jit(jnp.matmul), lambda product: product.block_until_ready()
    else:
        size = 1024
        matrix = np.ones((size, size), precision)
        multiply, wait = np.matmul, len

    def work(count: int) -> None:
        for _ in range(count):
            product = multiply(matrix, matrix)
        wait(product)

    return size, work
