"""What a search keeps on the disk: models that can still win, and nothing of the others."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from ..core import files

#: Names of models and of what a training goes on from, in a trial's folder.
HEAVY = "*.keras *.h5 *.safetensors *.safetensors.index.json *.onnx backup* checkpoint*".split()


def losers(
    scores: Mapping[str, Sequence[float] | None], directions: Sequence[str], keep: int
) -> list[str]:
    """The trials that have ended and can't be among the best any more, whatever comes.

    Args:
        scores: Of trials that have ended, by name, one for each objective; `None` for those that have none.
        directions: "minimize" or "maximize", for each objective.
        keep: How many are the best. With several objectives they are all that no other is better than in each.

    >>> losers({"a": [0.5], "b": [0.2], "c": None, "d": [0.3]}, ["minimize"], keep=2)
    ['a', 'c']
    >>> losers({"a": [1, 5], "b": [2, 9], "c": [3, 1]}, ["minimize", "maximize"], keep=1)
    ['c']
    """
    signs = [1.0 if direction == "minimize" else -1.0 for direction in directions]
    costs = {
        name: [sign * value for sign, value in zip(signs, values, strict=True)]
        for name, values in scores.items()
        if values is not None
    }
    if len(signs) == 1:
        best = set(sorted(costs, key=costs.__getitem__)[:keep])
    else:
        best = {
            name
            for name, cost in costs.items()
            if not any(_beats(other, cost) for other in costs.values())
        }
    return [name for name in scores if name not in best]


def _beats(one: Sequence[float], other: Sequence[float]) -> bool:
    """Whether costs are nowhere more than others, and less somewhere."""
    return one != other and all(a <= b for a, b in zip(one, other, strict=True))


def drop(folders: Iterable[str | os.PathLike[str]]) -> int:
    """Remove models and checkpoints from the folders of trials; the bytes that this gave back."""
    given = 0
    for folder in folders:
        for path in {path for name in HEAVY for path in Path(folder).glob(name)}:
            with suppress(FileNotFoundError):  # another process of the search was faster
                held = size(path)
                files.remove(path)
                given += held
    return given


def size(path: str | os.PathLike[str]) -> int:
    """The bytes of a file, or of all files in a folder.

    >>> size("no such folder")
    0
    """
    found = [Path(path)] if os.path.isfile(path) else Path(path).rglob("*")
    total = 0
    for file in found:
        with suppress(OSError):  # one that goes meanwhile
            total += file.stat().st_size if file.is_file() else 0
    return total
