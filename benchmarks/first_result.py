"""How soon a new process has a first result, with Cornu and with Keras, both on JAX.

Each run is a fresh process, the two libraries by turns; a figure is the median of the runs. Exit
code 1 where importing Cornu is over its budget or loads an engine's library.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys

IMPORT_BUDGET = 0.3
ENGINE_LIBRARIES = ("jax", "torch", "tensorflow", "pytensor")
LIBRARIES = ("cornu", "keras")

#: What a fresh process does and times, step after step.
STEPS = f"""
import sys, time

seconds, last = {{}}, time.perf_counter()

def lap(name):
    global last
    now = time.perf_counter()
    seconds[name], last = now - last, time.perf_counter()

import LIBRARY as library
lap("import")
engines = [name for name in {ENGINE_LIBRARIES} if name in sys.modules]
last = time.perf_counter()
float(library.ops.sum(library.ops.ones((3,))))
lap("first op, engine loaded")
model = library.Sequential([
    library.Input((64,)),
    library.layers.Dense(64, activation="relu"),
    library.layers.Dense(10),
])
lap("build two Dense layers")
import numpy as np
x, y = np.ones((32, 64), "float32"), np.zeros((32,), "int32")
last = time.perf_counter()
model.predict(x, verbose=0)
lap("first predict")
model.compile(
    optimizer="adam",
    loss=library.losses.SparseCategoricalCrossentropy(from_logits=True),
)
model.fit(x, y, batch_size=32, verbose=0)
lap("first training step")
import json
print(json.dumps({{"seconds": seconds, "engines": engines}}))
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=5, help="processes a library (default: 5)")
    count = parser.parse_args().runs
    measured: dict[str, list[dict[str, float]]] = {library: [] for library in LIBRARIES}
    loaded: set[str] = set()
    for number in range(count + 1):
        for library in LIBRARIES:
            run = fresh_process(library)
            if number:  # The first run only writes bytecode, as installing does.
                measured[library].append(run["seconds"])
            if library == "cornu":
                loaded.update(run["engines"])
    medians = {
        library: {name: statistics.median(run[name] for run in runs) for name in runs[0]}
        for library, runs in measured.items()
    }
    report(medians, count)
    return verdict(medians["cornu"]["import"], sorted(loaded))


def fresh_process(library: str) -> dict[str, dict[str, float]]:
    """What one new process measures."""
    environment = {**os.environ, "KERAS_BACKEND": "jax", "CORNU_BACKEND": "jax"}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    process = subprocess.run(
        [sys.executable, "-c", STEPS.replace("LIBRARY", library)],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    result: dict[str, dict[str, float]] = json.loads(process.stdout.splitlines()[-1])
    return result


def report(medians: dict[str, dict[str, float]], count: int) -> None:
    """Print a row a step: seconds of each library, and how many times as long Keras takes."""
    ours, theirs = (
        {**medians[library], "all of it": sum(medians[library].values())} for library in LIBRARIES
    )
    print(f"| a fresh process, on JAX (median of {count}) | Cornu | Keras | Keras / Cornu |")
    print("|---|---:|---:|---:|")
    for name, seconds in ours.items():
        ratio = theirs[name] / seconds
        print(f"| {name} | {seconds:.3f} s | {theirs[name]:.3f} s | {ratio:.1f} |")


def verdict(import_seconds: float, loaded: list[str]) -> int:
    """Say whether the import keeps its promises, as an exit code."""
    print(f"\nimport cornu: {import_seconds:.3f} s of {IMPORT_BUDGET} s; ", end="")
    print(f"engine libraries it loads: {', '.join(loaded) or 'none'}.")
    return 1 if loaded or import_seconds > IMPORT_BUDGET else 0


if __name__ == "__main__":
    sys.exit(main())
