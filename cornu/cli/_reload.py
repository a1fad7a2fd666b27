"""Load saved models in a process that knows nothing else of them, and predict there."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from ._trained import Array


def predict_afresh(jobs: Sequence[tuple[Path, Array]], engine: str) -> list[Array]:
    """What the saved models say of the inputs, in a new process.

    Raises:
        RuntimeError: the process failed; with the last line of its error.
    """
    with TemporaryDirectory(prefix="cornu-") as folder:
        arguments: list[str] = []
        for number, (model, inputs) in enumerate(jobs):
            np.save(Path(folder, f"inputs-{number}.npy"), inputs)
            names = (f"inputs-{number}.npy", f"predictions-{number}.npy")
            arguments += [str(model), *(str(Path(folder, name)) for name in names)]
        process = subprocess.run(
            [sys.executable, "-m", __name__, *arguments],
            env={**os.environ, "CORNU_BACKEND": engine},
            capture_output=True,
            text=True,
            check=False,
        )
        if process.returncode != 0:
            reason = (process.stderr.strip().splitlines() or ["no message"])[-1]
            raise RuntimeError(f"The saved models can't be read in a new process: {reason}")
        return [np.load(path) for path in arguments[2::3]]


def _predict(arguments: Sequence[str]) -> None:
    import cornu

    for model, inputs, predictions in zip(
        arguments[0::3], arguments[1::3], arguments[2::3], strict=True
    ):
        loaded = cornu.saving.load_model(model)
        np.save(predictions, loaded.predict(np.load(inputs), verbose=0))


if __name__ == "__main__":
    _predict(sys.argv[1:])
