"""A search that is killed: what it tries, and what it leaves to look at."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

import cornu
from cornu import tuner
from cornu.tuner import _tuner

#: The epochs of a trial, and what its parameter may be.
EPOCHS, UNITS = 4, [1, 2, 3, 4]


class Slow(cornu.callbacks.Callback):
    """Writes a line for each epoch that runs, and takes its time."""

    def __init__(self, path: str, seconds: float) -> None:
        super().__init__()
        self.path, self.seconds = path, seconds

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        with open(self.path, "a") as file:
            file.write(f"{self.model.layers[0].units} {epoch}\n")
        time.sleep(self.seconds)


def build(hp: Any) -> Any:
    units = hp.Choice("units", UNITS)
    model = cornu.Sequential([cornu.Input((2,)), cornu.layers.Dense(units), cornu.layers.Dense(1)])
    model.compile("sgd", "mse")
    return model


def search(folder: Path, kind: str, seconds: float, **options: Any) -> Any:
    _tuner._BACKUP = 0.0  # trials here are short
    made: Any = getattr(tuner, kind)(
        build, "val_loss", max_trials=len(UNITS), seed=1, directory=folder, project_name="it"
    )
    x, y = np.ones((8, 2), "float32"), np.ones((8, 1), "float32")
    slow = [Slow(str(folder / "epochs.txt"), seconds)]
    given = {"validation_data": (x, y), "epochs": EPOCHS, "callbacks": slow, "verbose": 0}
    made.search(x, y, **given, **options)
    return made


if __name__ == "__main__":
    search(Path(sys.argv[1]), sys.argv[2], float(sys.argv[3]), n_jobs=int(sys.argv[4]))
