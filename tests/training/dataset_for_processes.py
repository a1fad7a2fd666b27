"""Datasets that a new process can import quickly."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

import numpy as np

from cornu.utils import PyDataset


class Squares(PyDataset):
    """Three batches of a row of two numbers and their squares."""

    def __len__(self) -> int:
        return 3

    def __getitem__(self, index: int) -> Any:
        x = np.arange(2.0)[None] + 2 * index
        return x, x**2


class Large(PyDataset):
    """Batches of many sizes, which take turns in being slow; a pass knows its number."""

    epoch = 0

    def __len__(self) -> int:
        return 12

    def __getitem__(self, index: int) -> Any:
        time.sleep(0.02 * (index % 3))
        x = np.full((1 + index % 5, 50_000), float(index), "float32")
        return {"a": x, "b": np.asfortranarray(x[:, ::2])}, np.full(2, self.epoch)

    def on_epoch_end(self) -> None:
        self.epoch += 1


class Slow(PyDataset):
    """Batches that take their time."""

    def __init__(self, seconds: float, steps: int = 30, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.seconds, self.steps = seconds, steps

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, index: int) -> Any:
        if self.seconds:
            time.sleep(self.seconds)
        return np.ones((2, 2), "float32"), np.ones((2, 1), "float32")


def fail(index: int) -> None:
    raise KeyError(f"no sample at {index}")


class Unpicklable(Exception):
    def __init__(self, index: int, part: str) -> None:
        super().__init__(f"{part} of {index}")


def fail_badly(index: int) -> None:
    raise Unpicklable(index, "half")


MISHAPS: dict[str, Any] = {
    "raises": fail,
    "raises what can't be sent": fail_badly,
    "is killed": lambda index: os.kill(os.getpid(), signal.SIGKILL),
    "exits": lambda index: os._exit(7),
    "leaves": lambda index: exit(),
    "is stuck": lambda index: time.sleep(1000),
    "is stuck and Ctrl-C": lambda index: time.sleep(1000),
}


class Mishap(Large):
    """What happens at index 5."""

    def __init__(self, what: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.what = what
        self.timeout = 1.0 if what == "is stuck" else None

    def __getitem__(self, index: int) -> Any:
        if index == 5:
            MISHAPS[self.what](index)
        return super().__getitem__(index)
