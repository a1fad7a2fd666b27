"""Models that come and go: `python -m tests.soak.growing ENGINE ROUNDS` prints the megabytes that stay."""

from __future__ import annotations

import ctypes
import gc
import sys

import numpy as np

import cornu
from cornu import backend, layers
from tests.suite import resident

#: Rounds after which allocators and caches have what they will have.
WARM = 10


def one() -> None:
    """Build, compile, fit and forget a model."""
    x = np.ones((16, 8), "float32")
    stack = [layers.Dense(16, activation="relu"), layers.BatchNormalization(), layers.Dropout(0.5)]
    model = cornu.Sequential([cornu.Input((8,)), *stack, layers.Dense(1)])
    model.compile("adam", "mse", metrics=["mae"])
    model.fit(x, x[:, :1], validation_split=0.25, batch_size=4, epochs=2, verbose=0)
    model.predict(x, verbose=0)


def settled() -> int:
    """The megabytes of this process, without what is only waiting to be given back."""
    gc.collect()
    if hasattr(library := ctypes.CDLL(None), "malloc_trim"):
        library.malloc_trim(0)
    return resident()


def main() -> None:
    engine, rounds = sys.argv[1], int(sys.argv[2])
    with backend.use(engine):
        for _ in range(WARM):
            one()
        before = settled()
        for _ in range(rounds):
            one()
        print(settled() - before)


if __name__ == "__main__":
    main()
