"""One input through exported models and through JAX, by turns: MobileNetV2 at 224 and a small transformer.

    python -m benchmarks.exported

What is in brackets is the share of what Keras's `predict_on_batch` takes on JAX. TensorFlow.js needs
what `scripts/browser` installs.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

import cornu
from cornu import engines, layers
from cornu.export import FORMATS

from .predict_on_onnxruntime import network

NODE = Path(__file__).parents[1] / "tests" / "export" / "node"
#: What the others are compared with.
BASE = "Keras on JAX"
#: Runs a model once; gives its milliseconds.
Run = Callable[[], float]


def transformer() -> Any:
    """Two blocks of an encoder of width 64, of 64 tokens."""
    x = y = cornu.Input((64, 64), name="tokens")
    for _ in range(2):
        z = layers.LayerNormalization()(y)
        y = y + layers.MultiHeadAttention(4, 16)(z, z)
        z = layers.Dense(256, activation="gelu")(layers.LayerNormalization()(y))
        y = y + layers.Dense(64)(z)
    return cornu.Model(x, layers.Dense(10)(layers.GlobalAveragePooling1D()(y)))


MODELS = {"MobileNetV2 224": lambda: network(224), "transformer 64x64": transformer}


def timed(call: Callable[[], Any]) -> Run:
    """A call that gives its own time."""

    def run() -> float:
        start = time.perf_counter()
        call()
        return 1e3 * (time.perf_counter() - start)

    return run


def on_keras(model: Any, x: Any, folder: Path, *_: Any) -> Run:
    """Keras's `predict_on_batch` of the same file on JAX."""
    os.environ["KERAS_BACKEND"] = "jax"
    import keras

    model.save(folder / "model.keras")
    read = keras.saving.load_model(folder / "model.keras", compile=False)
    return timed(lambda: read.predict_on_batch(x))


def on_jax(model: Any, x: Any, *_: Any, engine: Any = "jax") -> Run:
    """The compiled step of `predict`."""
    copy = cornu.models.clone_model(model)
    copy.set_weights(model.get_weights())

    def predict() -> None:
        with engines.use(engine):
            copy.predict(x, verbose=0)

    return timed(predict)


def on_plain_jax(model: Any, x: Any, *_: Any) -> Run:
    """The same by default bodies alone, without the forms that Cornu has for XLA, as of depthwise convolutions."""
    return on_jax(model, x, engine=engines.get("jax", overrides=False))


def on_onnxruntime(model: Any, x: Any, folder: Path, threads: int, _: ExitStack) -> Run:
    """The ONNX file."""
    from cornu.engines.onnxruntime import open_session

    model.export(folder / "model.onnx", verbose=False)
    session = open_session(str(folder / "model.onnx"), threads=threads)
    given = {session.get_inputs()[0].name: x}
    return timed(lambda: session.run(None, given))


def on_litert(model: Any, x: Any, folder: Path, threads: int, _: ExitStack) -> Run:
    """The file of LiteRT."""
    from ai_edge_litert.interpreter import Interpreter

    model.export(folder / "model.tflite", verbose=False)
    interpreter = Interpreter(str(folder / "model.tflite"), num_threads=threads)
    signature = interpreter.get_signature_runner()
    (name,) = signature.get_input_details()
    return timed(lambda: signature(**{name: x}))


def on_tfjs(model: Any, x: Any, folder: Path, _: int, stack: ExitStack) -> Run:
    """The graph-model on the backend `wasm`, one thread, in Node.js; a layers-model without such a format."""
    format = "tfjs" if "tfjs" in FORMATS else "tfjs_layers"
    model.export(folder / "web", format=format, verbose=False)
    given = folder / "given.json"
    given.write_text(json.dumps({"data": x.ravel().tolist(), "shape": x.shape}))
    script = NODE / "exported.mjs"  # where its packages are found
    stack.callback(script.unlink)
    script.write_text(Path(__file__).with_suffix(".mjs").read_text())
    process = stack.enter_context(
        subprocess.Popen(
            ["node", "--preserve-symlinks", script.name, folder / "web" / "model.json", given],
            cwd=NODE,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
    )
    stack.callback(process.kill)
    assert process.stdin and process.stdout
    stdin, stdout = process.stdin, process.stdout
    while (line := stdout.readline()) != "ready\n":
        if not line:
            raise RuntimeError(
                "Node.js ended before the model was loaded: what it said stands above."
            )

    def run() -> float:
        stdin.write("\n")
        stdin.flush()
        return float(stdout.readline())

    return run


RUNTIMES = {
    BASE: on_keras,
    "JAX, plain": on_plain_jax,
    "JAX": on_jax,
    "ONNX Runtime": on_onnxruntime,
    "LiteRT": on_litert,
    "TensorFlow.js (wasm)": on_tfjs,
}


def measured(model: Any, x: Any, runs: int, threads: int) -> dict[str, list[float]]:
    """The milliseconds of each runtime, taken by turns."""
    with TemporaryDirectory() as folder, ExitStack() as stack:
        found: dict[str, Run] = {}
        for name, prepare in RUNTIMES.items():
            try:
                found[name] = prepare(model, x, Path(folder), threads, stack)
                found[name]()
            except (ImportError, NotImplementedError, OSError, RuntimeError) as error:
                print(f"  {name} is left out: {error}", file=sys.stderr)
                found.pop(name, None)
        milliseconds: dict[str, list[float]] = {name: [] for name in found}
        for _ in range(runs):
            for name, run in found.items():
                milliseconds[name].append(run())
    return milliseconds


def main() -> None:
    """Print a table; the ratios are of the best runs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=50)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    print(f"| batch 1 | {' | '.join(RUNTIMES)} |\n|---{'|---' * len(RUNTIMES)}|")
    for name, make in MODELS.items():
        model = make()
        x = np.random.default_rng(1).normal(size=(1, *model.input_shape[1:])).astype("float32")
        found = measured(model, x, options.runs, options.threads)
        cells = []
        for runtime in RUNTIMES:
            times = found.get(runtime)
            if times is None:
                cells.append("")
                continue
            ratio = min(times) / min(found[BASE])
            cells.append(f"{statistics.median(times):.2f} ms, best {min(times):.2f} ({ratio:.2f})")
        print(f"| {name} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
