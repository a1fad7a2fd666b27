"""What a search costs and finds, beside Keras Tuner.

    python -m benchmarks.tuner trials [--count 200] [--peer FOLDER]     # a minute's trials, memory, disk, processes
    python -m benchmarks.tuner scores [--seeds 5] [--peer FOLDER]       # the best of 40 trials on digits
    python -m benchmarks.tuner pruning [--seeds 5]                      # what pruning saves at that

`--peer` names a folder with Keras Tuner: `pip install --no-deps --target FOLDER keras-tuner kt-legacy`. Each search
runs in a process of its own, one after the other. Exit code 1 where a target is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

#: From which trial on times count, and from which on memory does.
WARM, SETTLED = 50, 10
#: MB by which the parent may grow, how many models' bytes the disk may hold, how much faster two jobs are.
GROWTH, MODELS, SPEEDUP = 20, 3, 1.6
#: The trials of a search for the best score, and their epochs.
TRIALS, EPOCHS = 40, 8


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("trials", "scores", "pruning"))
    parser.add_argument("--count", type=int, default=200, help="trials of a search of `trials`")
    parser.add_argument("--seeds", type=int, default=5, help="searches of each kind of the others")
    parser.add_argument("--peer", help="a folder with Keras Tuner")
    parser.add_argument("--engine", default="jax")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        print(json.dumps(work(**json.loads(options.worker))), file=sys.stderr)
        return 0
    return {"trials": trials, "scores": scores, "pruning": pruning}[options.what](options)


def searched(options: Any, **search: Any) -> dict[str, Any]:
    """What a search in a process of its own found, and what it took."""
    environment = {
        **os.environ,
        "CORNU_BACKEND": options.engine,
        "KERAS_BACKEND": options.engine,
        "PYTHONPATH": os.pathsep.join(filter(None, [options.peer, os.environ.get("PYTHONPATH")])),
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    with TemporaryDirectory() as folder:
        told = json.dumps({**search, "folder": folder})
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.tuner", options.what, "--worker", told],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        text = process.communicate()[1]
        if process.returncode:
            raise RuntimeError(f"A search failed:\n{text}")
        left = subprocess.run(["pgrep", "-g", str(process.pid)], capture_output=True, check=False)
        found: dict[str, Any] = json.loads(text.splitlines()[-1])
    return {**found, "left": len(left.stdout.split())}


def show(name: str, **figures: Any) -> None:
    """A line of a search's figures."""
    print(
        f"{name:24}" + "".join(f"{key} {value:<14}" for key, value in figures.items()), flush=True
    )


# ------------------------------------------------------------------ what is measured


def trials(options: Any) -> int:
    """A minute's trials of one and of two jobs, and of Keras Tuner in one process."""
    kinds: dict[str, dict[str, Any]] = {"two jobs": {"jobs": 2}, "one job": {"jobs": 1}}
    if options.peer:
        kinds["Keras Tuner"] = {"tuner": "keras_tuner:RandomSearch"}
    rates: dict[str, float] = {}
    good = True
    for name, kind in kinds.items():
        found = searched(options, task="mlp", count=options.count, epochs=2, seed=1, **kind)
        ends = found["ends"]
        warm = min(WARM, len(ends) // 2)
        rates[name] = 60 * (len(ends) - 1 - warm) / (ends[-1] - ends[warm])
        grown, disk = found["grown"] / 1e6, found["disk"] / found["model"]
        show(
            name,
            trials=len(ends),
            per_minute=f"{rates[name]:.1f}",
            grown_MB=f"{grown:.1f}",
            disk_models=f"{disk:.1f}",
            left=found["left"],
        )
        if name == "two jobs":
            good &= grown < GROWTH and disk < MODELS and not found["left"]
    good &= rates["two jobs"] >= SPEEDUP * rates["one job"]
    good &= rates["two jobs"] >= rates.get("Keras Tuner", 0.0)
    print(f"two jobs / one job: {rates['two jobs'] / rates['one job']:.2f}")
    return int(not good)


def scores(options: Any) -> int:
    """The best score after 40 trials, and the time that took."""
    kinds: dict[str, dict[str, Any]] = {
        "TPE": {"tuner": "cornu.tuner:TPE"},
        "Bayesian": {"tuner": "cornu.tuner:BayesianOptimization"},
        "random": {"tuner": "cornu.tuner:RandomSearch"},
    }
    if options.peer:
        kinds["Keras Tuner's Bayesian"] = {"tuner": "keras_tuner:BayesianOptimization"}
    medians = compared(options, kinds)
    peer = medians.get("Keras Tuner's Bayesian", (0.0, float("inf")))
    good = all(medians[x][0] >= peer[0] and medians[x][1] < peer[1] for x in ("TPE", "Bayesian"))
    return int(not good)


def pruning(options: Any) -> int:
    """The best score and the time with and without pruning."""
    kind = {"tuner": "cornu.tuner:TPE"}
    kinds: dict[str, dict[str, Any]] = {"whole": kind}
    kinds |= {name: {**kind, "pruner": name} for name in ("asha", "median")}
    medians = compared(options, kinds)
    score, seconds = medians["whole"]
    halved = [
        x
        for x in ("asha", "median")
        if medians[x][1] <= seconds / 2 and medians[x][0] >= score - 0.004
    ]
    return int(not halved)


def compared(options: Any, kinds: dict[str, dict[str, Any]]) -> dict[str, tuple[float, float]]:
    """The median best score and seconds of each kind of search, the kinds by turns."""
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in kinds}
    for seed in range(1, options.seeds + 1):
        for name, kind in kinds.items():
            one = searched(options, task="cnn", count=TRIALS, epochs=EPOCHS, seed=seed, **kind)
            found[name].append(one)
            show(f"{name}, seed {seed}", best=f"{one['best']:.4f}", seconds=f"{one['seconds']:.0f}")
    medians = {
        name: tuple(statistics.median(one[key] for one in ones) for key in ("best", "seconds"))
        for name, ones in found.items()
    }
    for name, (best, seconds) in medians.items():
        show(f"{name}, median", best=f"{best:.4f}", seconds=f"{seconds:.0f}")
    return medians  # type: ignore[return-value]


# ---------------------------------------------------------------------- one search


def work(
    folder: str,
    task: str,
    count: int,
    epochs: int,
    seed: int,
    tuner: str = "cornu.tuner:RandomSearch",
    jobs: int | None = None,
    pruner: str | None = None,
) -> dict[str, Any]:
    """Search in this process, and look at it meanwhile."""
    package, kind = tuner.split(":")
    is_peer = package == "keras_tuner"
    keras: Any = __import__("keras" if is_peer else "cornu")
    tuners: Any = __import__(package, fromlist=[kind])
    build = {"mlp": mlp, "cnn": cnn}[task](keras)
    given: dict[str, Any] = {} if pruner is None else {"pruner": pruner}
    search = getattr(tuners, kind)(
        build,
        "val_accuracy",
        max_trials=count,
        seed=seed,
        directory=folder,
        project_name="it",
        **given,
    )
    x, y, *validation = digits()
    watch = Watch(Path(folder), search)
    began = time.perf_counter()
    named: dict[str, Any] = {} if is_peer or jobs is None else {"n_jobs": jobs}
    search.search(x, y, epochs=epochs, validation_data=validation, verbose=0, **named)
    seconds = time.perf_counter() - began
    watch.end()
    best = search.oracle.get_best_trials(1)[0]
    kept = [path.stat().st_size for path in Path(folder).rglob("*.weights.h5")]
    return {
        "best": best.score,
        "seconds": seconds,
        "ends": watch.ends,
        "grown": watch.grown,
        "disk": watch.disk,
        "model": max(kept),
    }


class Watch:
    """When trials end, how the process grows, and the most that lies on the disk: looked at from a thread."""

    def __init__(self, folder: Path, search: Any) -> None:
        self.folder, self.search, self.disk = folder, search, 0
        self.ends: list[float] = []
        self.sizes: list[int] = []
        self._done = threading.Event()
        self._looking = threading.Thread(target=self._look, daemon=True)
        self._looking.start()

    def _look(self) -> None:
        while not self._done.wait(0.02):
            while len(self.ends) < len(self.search.oracle.end_order):
                self.ends.append(time.perf_counter())
                self.sizes.append(resident())
                self.disk = max(self.disk, self._held())

    def _held(self) -> int:
        """The bytes of all but data and records."""
        held = 0
        for path in self.folder.rglob("*"):
            with suppress(OSError):  # what goes meanwhile
                if path.is_file() and path.suffix not in {".npy", ".journal", ".json", ".txt"}:
                    held += path.stat().st_size
        return held

    @property
    def grown(self) -> int:
        """The bytes by which the process grew once it had settled."""
        return int(self.sizes[-1] - self.sizes[min(SETTLED, len(self.sizes) - 1)])

    def end(self) -> None:
        self._done.set()
        self._looking.join()


def resident() -> int:
    """The memory of this process, in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


def digits() -> list[Any]:
    """Scikit-learn's 1,797 digits: `(1347, 8, 8, 1)` to learn from, `(450, 8, 8, 1)` to see how well."""
    from sklearn.datasets import load_digits

    data = load_digits()
    order = np.random.default_rng(0).permutation(len(data.target))
    x = (data.images[order, ..., None] / 16).astype("float32")
    y = data.target[order].astype("int32")
    return [x[:1347], y[:1347], x[1347:], y[1347:]]


def mlp(keras: Any) -> Any:
    """A builder of small networks, whose weights are 1 MB or so: one hidden layer, three parameters."""

    def build(hp: Any) -> Any:
        layers = [
            keras.layers.Flatten(),
            keras.layers.Dense(
                hp.Int("units", 1000, 1400), activation=hp.Choice("activation", ["relu", "tanh"])
            ),
            keras.layers.Dense(10, activation="softmax"),
        ]
        model = keras.Sequential([keras.Input((8, 8, 1)), *layers])
        rate = hp.Float("rate", 1e-4, 1e-2, sampling="log")
        model.compile(
            keras.optimizers.SGD(rate), "sparse_categorical_crossentropy", metrics=["accuracy"]
        )
        return model

    return build


def cnn(keras: Any) -> Any:
    """A builder of convolutional networks with seven parameters."""

    def build(hp: Any) -> Any:
        layers, activation = keras.layers, hp.Choice("activation", ["relu", "gelu", "tanh"])
        filters, size = hp.Int("filters", 4, 32, step=4), hp.Choice("kernel", [2, 3, 5])
        parts = [keras.Input((8, 8, 1))]
        for i in range(hp.Int("convolutions", 1, 3)):
            parts.append(
                layers.Conv2D(filters * (i + 1), size, padding="same", activation=activation)
            )
        parts += [
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dropout(hp.Float("dropout", 0, 0.6)),
        ]
        parts += [layers.Dense(hp.Int("units", 8, 128, sampling="log"), activation=activation)]
        model = keras.Sequential([*parts, layers.Dense(10, activation="softmax")])
        rate = hp.Float("rate", 1e-5, 1e-1, sampling="log")
        model.compile(
            keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"]
        )
        return model

    return build


if __name__ == "__main__":
    sys.exit(main())
