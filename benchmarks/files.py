"""Saving and loading a model beside the bytes alone: `python -m benchmarks.files --megabytes 1000`.

The bytes are written and read by h5py or safetensors, as one array a weight. What is saved by Cornu and as
bytes alone is on the disk at the end; Keras leaves that to the system. A row says the seconds that the whole
machine took, those of the processor, and the most memory beside the model's own: the least of the rounds, since disks,
and memory that a virtual machine must ask for, only add to them.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from .measure import environment

SUBJECTS = ("bytes", "cornu", "keras")
ENDINGS = (".keras", ".weights.h5", ".weights.json", ".safetensors", ".safetensors.index.json")
WIDTH = 2048
SHARD = 0.25


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.files")
    parser.add_argument("--megabytes", type=int, default=1000)
    parser.add_argument("--engine", default="jax")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--endings", nargs="*", default=ENDINGS, help="of the files; all by default"
    )
    options = parser.parse_args()
    os.environ.update(environment(options.engine))
    table = Table(title=f"A model of {options.megabytes} MB on {options.engine}")
    columns = "what, file, by, seconds, / bytes, processor, / bytes, more MB, of the size"
    for name in columns.split(", "):
        table.add_column(name, justify="left" if name in ("what", "file", "by") else "right")
    for ending in options.endings:
        with tempfile.TemporaryDirectory() as folder:
            found = by_turns(ending, folder, options)
        for what in ("save", "load"):
            for subject in SUBJECTS:
                if (subject, what) in found:
                    table.add_row(*row(what, ending, subject, found, options.megabytes))
    Console(width=120).print(table)


def by_turns(ending: str, folder: str, options: argparse.Namespace) -> dict[Any, list[Any]]:
    """Seconds, processor seconds and bytes of memory, by subject and by what it does."""
    context = multiprocessing.get_context("spawn")
    workers = {}
    for subject in SUBJECTS:
        if subject == "keras" and ".safetensors" in ending:
            continue
        ours, theirs = context.Pipe()
        place = os.path.join(folder, subject)
        arguments = (subject, ending, place, options.megabytes, theirs)
        context.Process(target=serve, args=arguments, daemon=True).start()
        workers[subject] = ours
    found: dict[Any, list[Any]] = {}
    for turn in range(options.rounds + 1):
        for what in ("save", "load"):
            for subject, worker in workers.items():
                worker.send(what)
                answer = worker.recv()
                if turn:  # before, libraries load what they need
                    found.setdefault((subject, what), []).append(answer)
    for worker in workers.values():
        worker.send("end")
    return found


def row(what: str, ending: str, subject: str, found: Any, megabytes: int) -> list[str]:
    """The least that a subject took, and that over the bytes'."""

    def least(who: str, column: int) -> float:
        return float(min(answer[column] for answer in found[who, what]))

    cells = [what, ending, subject]
    for column in (0, 1):
        value = least(subject, column)
        cells += [f"{value:.3f}", f"{value / least('bytes', column):.2f}"]
    more = least(subject, 2) / 1e6
    return [*cells, f"{more:.0f}", f"{more / megabytes:.2f}"]


def serve(subject: str, ending: str, place: str, megabytes: int, orders: Any) -> None:
    """Save or load as often as it is asked to."""
    os.mkdir(place)
    path = os.path.join(place, f"a{ending}")
    save, prepare = (of_bytes if subject == "bytes" else of_models)(subject, path, megabytes)
    while (what := orders.recv()) != "end":
        work = save if what == "save" else prepare()
        rest()
        most()
        before, start, used = most(), time.perf_counter(), time.process_time()
        kept = work()
        answer = time.perf_counter() - start, time.process_time() - used
        own = megabytes * 10**6 if what == "load" else 0
        orders.send((*answer, most() - before - own))
        del kept


def rest() -> None:
    """Leave nothing to the disk that an earlier turn wrote, and no memory that it had: a load begins without."""
    gc.collect()
    if hasattr(library := ctypes.CDLL(None), "malloc_trim"):
        library.malloc_trim(0)
    os.sync()


def most() -> int:
    """The most memory of the process since the last time."""
    lines = Path("/proc/self/status").read_text().splitlines()
    size = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
    Path("/proc/self/clear_refs").write_text("5")
    return size * 2**10


def of_models(
    subject: str, path: str, megabytes: int
) -> tuple[Callable[[], Any], Callable[[], Callable[[], Any]]]:
    """A call that saves a model, and one that gives the call that loads one."""
    if subject == "keras":
        import keras as package
    else:
        import cornu as package

    def made() -> Any:
        count = max(1, megabytes * 10**6 // (4 * WIDTH**2))
        dense = [package.layers.Dense(WIDTH) for _ in range(count)]
        return package.Sequential([package.Input((WIDTH,)), *dense])

    model = made()
    model.predict(np.ones((1, WIDTH), "float32"), verbose=0)  # the weights are on the engine
    several = {"max_shard_size": SHARD} if path.endswith(".json") else {}

    def save() -> None:
        model.save(path) if path.endswith(".keras") else model.save_weights(path, **several)

    def prepare() -> Callable[[], Any]:
        if path.endswith(".keras"):
            return lambda: package.saving.load_model(path)
        other = made()
        return lambda: other.load_weights(path)

    return save, prepare


def of_bytes(
    subject: str, path: str, megabytes: int
) -> tuple[Callable[[], Any], Callable[[], Callable[[], Any]]]:
    """The same with arrays alone, by the library of the format."""
    count = max(1, megabytes * 10**6 // (4 * WIDTH**2))
    arrays = {str(n): np.ones((WIDTH, WIDTH), "float32") for n in range(count)}
    size = max(1, int(SHARD * 2**30) // (4 * WIDTH**2)) if path.endswith(".json") else count
    names = list(arrays)
    parts = {f"{path}.{n}": names[n : n + size] for n in range(0, count, size)}

    def save() -> None:
        for part, keys in parts.items():
            if "safetensors" in path:
                import safetensors.numpy

                safetensors.numpy.save_file({key: arrays[key] for key in keys}, part)
            else:
                import h5py

                with h5py.File(part, "w") as file:
                    for key in keys:
                        file[key] = arrays[key]
            with open(part, "rb+") as file:
                os.fsync(file.fileno())

    def load() -> Any:
        if "safetensors" in path:
            import safetensors.numpy

            return [safetensors.numpy.load_file(part) for part in parts]
        import h5py

        found = []
        for part in parts:
            with h5py.File(part, "r") as file:
                found += [file[key][()] for key in file]
        return found

    return save, lambda: load


if __name__ == "__main__":
    main()
