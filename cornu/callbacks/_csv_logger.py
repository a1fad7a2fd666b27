"""CSVLogger: the metrics of each epoch as a row of a file."""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import numpy as np

from ._callback import Callback, Logs


class CSVLogger(Callback):
    """Write the metrics of each epoch to a CSV file, a row an epoch.

    The columns are those of the first epoch, and those of validation, which may come later; where
    an epoch has no value stands `NA`.

    Args:
        filename: The file.
        separator: What stands between two values.
        append: Whether rows are added to a file that exists, instead of starting it anew.
    """

    in_trials = False

    _kept_as = {"separator": "sep"}
    sep: str

    def __init__(
        self, filename: str | PathLike[str], separator: str = ",", append: bool = False
    ) -> None:
        super().__init__()
        self.filename = fspath(filename)
        self.keys: list[str] | None = None
        #: The bytes of the file that stay when the next row is written; None for all.
        self._kept: int | None = None

    def on_train_begin(self, logs: Logs = None) -> None:
        """Start the file anew, with the first row, unless rows are added to it."""
        self.keys = None
        self._kept = None if self.append else 0
        with open(self.filename, "ab"):  # where it can't be written, that is said now
            pass

    def state_dict(self) -> dict[str, Any]:
        """The columns, and how long the file is."""
        size = os.path.getsize(self.filename) if os.path.exists(self.filename) else 0
        return {"keys": self.keys, "size": size if self._kept is None else self._kept}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on after the rows that were there: later ones are of epochs that come again."""
        self.keys, self._kept = state["keys"], state["size"]

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Write a row, which is in the file when this returns."""
        logs = logs or {}
        if self._kept is not None:
            os.truncate(self.filename, min(self._kept, os.path.getsize(self.filename)))
            self._kept = None
        rows: list[list[Any]] = []
        if self.keys is None:
            self.keys = _columns(logs)
            if not _has_rows(self.filename):
                rows.append(["epoch", *self.keys])
        rows.append([epoch, *(_cell(logs.get(key, "NA")) for key in self.keys)])
        with open(self.filename, "a", newline="", encoding="utf-8") as file:
            csv.writer(file, delimiter=self.sep, lineterminator="\n").writerows(rows)


def _has_rows(filename: str) -> bool:
    path = Path(filename)
    return path.exists() and path.stat().st_size > 0


def _columns(logs: dict[str, Any]) -> list[str]:
    """The metrics in order; validation may come in a later epoch than the first."""
    names = sorted(logs)
    if not any(name.startswith("val_") for name in names):
        names += [f"val_{name}" for name in names]
    return names


def _cell(value: Any) -> Any:
    if isinstance(value, (list, tuple, np.ndarray)) and np.ndim(value) > 0:
        return f'"[{", ".join(map(str, value))}]"'
    return value
