"""Models of tests: what they were asked, and how long they take."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cornu.serving import TensorSpec

X = TensorSpec("x", "float32", (None, 2))
Y = TensorSpec("y", "float32", (None, 2))


class Doubling:
    """y = 2 x. It notes the sizes of its runs, takes a time, and fails on negative numbers."""

    platform, nbytes = "test", 100

    def __init__(
        self,
        seconds: float = 0.0,
        inputs: Sequence[TensorSpec] = (X,),
        outputs: Sequence[TensorSpec] = (Y,),
        name: str = "m",
    ) -> None:
        self.name, self.seconds = name, seconds
        self.inputs, self.outputs = tuple(inputs), tuple(outputs)
        self.sizes: list[int] = []
        self.gate = threading.Event()
        self.gate.set()

    def run(self, inputs: Mapping[str, Any], outputs: Sequence[str]) -> list[Any]:
        (x,) = inputs.values()
        self.gate.wait(2)
        self.sizes.append(len(x))
        if (x < -50).any():
            raise ValueError("no negative numbers")
        time.sleep(self.seconds)
        factors = {spec.name: 2 + i for i, spec in enumerate(self.outputs)}
        return [factors[name] * x for name in outputs]


def rows(n: int, value: float = 1.0) -> dict[str, Any]:
    """A request of n rows."""
    return {"x": np.full((n, 2), value, np.float32)}
