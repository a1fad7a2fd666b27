"""A folder of JPEG files as batches, beside Keras's readers: `python -m benchmarks.folders --files 2000`.

A row says the seconds of the whole machine and those of the processors, for one pass by turns: Cornu's own data and
Keras's by grain are Python, NumPy and Pillow; Keras's by tf.data is TensorFlow's C++.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

HEIGHT, WIDTH = 375, 500


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.folders")
    parser.add_argument("--files", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    os.environ.setdefault("KERAS_BACKEND", "jax")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    table = Table(title=f"{options.files} JPEG files of {WIDTH}x{HEIGHT} as batches of 256x256")
    for name in ("by", "seconds", "processor", "ms a file"):
        table.add_column(name, justify="left" if name == "by" else "right")
    with tempfile.TemporaryDirectory() as folder:
        write_files(Path(folder), options.files)
        subjects = readers(folder)
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in subjects}
        for _ in range(options.rounds):
            for name, make in subjects.items():
                found[name].append(timed(make))
    for name, times in found.items():
        seconds, processor = (statistics.median(column) for column in zip(*times, strict=True))
        table.add_row(
            name, f"{seconds:.2f}", f"{processor:.2f}", f"{seconds / options.files * 1e3:.2f}"
        )
    Console(width=100).print(table)


def write_files(folder: Path, count: int) -> None:
    """Photographs, as far as a decoder sees: smooth, with edges, 40 kB each."""
    from PIL import Image

    draw = np.random.default_rng(0)
    blocks = draw.integers(0, 256, (20, 24, 32, 3), dtype="uint8")
    for name in ("cats", "dogs"):
        (folder / name).mkdir()
    for place in range(count):
        image = Image.fromarray(blocks[place % 20]).resize(
            (WIDTH, HEIGHT), Image.Resampling.BICUBIC
        )
        path = folder / ("cats", "dogs")[place % 2] / f"{place:05}.jpg"
        image.rotate(place % 7).save(path, quality=90)


def readers(folder: str) -> dict[str, Callable[[], Any]]:
    """What reads a folder, by name."""
    import keras

    import cornu

    return {
        "Cornu": lambda: cornu.utils.image_dataset_from_directory(folder, verbose=False),
        "Keras, grain": lambda: keras.utils.image_dataset_from_directory(
            folder, verbose=False, format="grain"
        ),
        "Keras, tf.data": lambda: keras.utils.image_dataset_from_directory(folder, verbose=False),
    }


def timed(make: Callable[[], Any]) -> tuple[float, float]:
    """The seconds of a pass, and those of the processors."""
    start = time.perf_counter(), time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # grain's of the signals of its threads
        for _ in make():
            pass
    return time.perf_counter() - start[0], time.process_time() - start[1]


if __name__ == "__main__":
    main()
