"""Layers of text beside Keras's, by turns in one process: `python -m benchmarks.text`.

Keras computes them by TensorFlow whatever its backend. Documents have 5 to 20 words of a vocabulary of 20,000, some
with capitals and punctuation; inputs are NumPy arrays of strings, outputs tensors of the engine.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from .measure import environment

SUBJECTS = ("cornu", "keras")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.text")
    parser.add_argument("--documents", type=int, default=100_000)
    parser.add_argument("--strings", type=int, default=1_000_000)
    parser.add_argument("--engine", default="jax")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    os.environ.update(environment(options.engine))
    table = Table(title=f"Text on {options.engine}: seconds, the median of {options.rounds} turns")
    for name in ("what", *SUBJECTS, "times as fast"):
        table.add_column(name, justify="left" if name == "what" else "right")
    for what, prepare in JOBS.items():
        runs = {subject: prepare(_library(subject), options) for subject in SUBJECTS}
        found = by_turns(runs, options.rounds)
        ours, theirs = (statistics.median(found[subject]) for subject in SUBJECTS)
        table.add_row(what, f"{ours:.3f}", f"{theirs:.3f}", f"{theirs / ours:.1f}")
    Console(width=100).print(table)


def by_turns(runs: dict[str, Callable[[], Any]], rounds: int) -> dict[str, list[float]]:
    """The seconds of each turn, by subject; the first, in which things are made, does not count."""
    seconds: dict[str, list[float]] = {subject: [] for subject in runs}
    for turn in range(rounds + 1):
        for subject, run in runs.items():
            start = time.perf_counter()
            np.asarray(run())
            if turn:
                seconds[subject].append(time.perf_counter() - start)
    return seconds


def _library(subject: str) -> Any:
    import importlib

    return importlib.import_module(subject)


def words(count: int, size: int = 20_000, seed: int = 0) -> list[str]:
    """Words, the frequent ones short, as in a language."""
    generator = np.random.default_rng(seed)
    known = np.array([f"{'abcdefghij'[i % 10]}{i:x}" for i in range(size)])
    ranks = np.minimum(generator.zipf(1.2, count) - 1, size - 1)
    return known[ranks].tolist()  # type: ignore[no-any-return]


def documents(count: int) -> np.ndarray[Any, Any]:
    """Documents of 5 to 20 words, `(count,)`."""
    lengths = np.random.default_rng(1).integers(5, 21, count)
    flat, ends = words(int(lengths.sum())), np.cumsum(lengths)
    starts = ends - lengths
    pairs = zip(starts.tolist(), ends.tolist(), strict=True)
    return np.array([f"{' '.join(flat[a:b]).capitalize()}, and so on." for a, b in pairs])


def _adapt(library: Any, options: Any) -> Callable[[], Any]:
    texts = documents(options.documents)

    def run() -> Any:
        layer = library.layers.TextVectorization(max_tokens=20_000)
        layer.adapt(texts)
        return layer.vocabulary_size()

    return run


def _vectorize(library: Any, options: Any, **more: Any) -> Callable[[], Any]:
    texts = documents(options.documents)
    layer = library.layers.TextVectorization(max_tokens=20_000, output_sequence_length=20, **more)
    layer.adapt(texts[:10_000])
    return lambda: layer(texts)


def _look_up(library: Any, options: Any, **more: Any) -> Callable[[], Any]:
    strings = np.array(words(options.strings))
    layer = library.layers.StringLookup(**more)
    layer.adapt(strings[:100_000])
    return lambda: layer(strings)


def _hash(library: Any, options: Any) -> Callable[[], Any]:
    strings = np.array(words(options.strings))
    layer = library.layers.Hashing(1000)
    return lambda: layer(strings)


JOBS: dict[str, Callable[[Any, Any], Callable[[], Any]]] = {
    "TextVectorization.adapt": _adapt,
    "TextVectorization": _vectorize,
    "TextVectorization of pairs": lambda *given: _vectorize(*given, ngrams=2),
    "StringLookup": _look_up,
    "StringLookup, 10 unknown": lambda *given: _look_up(
        *given, num_oov_indices=10, max_tokens=1000
    ),
    "Hashing": _hash,
}

if __name__ == "__main__":
    main()
