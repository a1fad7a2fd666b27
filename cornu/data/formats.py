"""Elements as a dataset of the library that a program asks for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..core import seeding, tree
from ..core.checks import one_of, positive_integer
from ..engines import get
from ._stages import Ahead, Batched, Shuffled, Stage, Turn, cores
from .pipelines import Dataset


class _Own(str):
    """The default of `format`: it reads as Keras's, `"tf"`, and is none that a program gave."""


OWN = _Own("tf")
Join = Callable[[Sequence[Any]], Any]


def in_format(
    elements: Stage,
    shuffle: bool,
    seed: int | None,
    batch_size: int | None,
    format: str,
    join: Join,
) -> Any:
    """Elements that are shuffled, computed ahead and batched, in the format of a library.

    Args:
        elements: What computes one.
        shuffle, seed: Whether they come in a new order each pass, and where orders come from.
        batch_size: How many make a batch; None for none.
        format: `"tf"`, `"grain"`, or `OWN`.
        join: Makes a batch of elements.
    """
    one_of(("tf", "grain"), format=format)
    if batch_size is not None:
        positive_integer(batch_size=batch_size)
    if format == "grain":
        return _grain(elements, shuffle, seed, batch_size, join)
    stage = Shuffled(elements, 1, seed, anew=True) if shuffle else elements
    if not elements.gathers:
        stage = Ahead(stage, max(2 * (batch_size or 1), 4 * cores()), cores())
    if batch_size is not None:
        stage = Batched(stage, batch_size, False, join)
    dataset = Dataset(stage)
    if format is OWN:
        return dataset
    like = next(elements.read(Turn(0, 0), [0]))
    if batch_size is not None:
        like = tree.map_structure(lambda part: np.asarray(part)[None], like)
    return get("tensorflow").stream(dataset.__iter__, like, batch_size is not None, len(dataset))


class _Given:
    """Elements as grain takes them."""

    def __init__(self, elements: Stage) -> None:
        self.elements = elements

    def __len__(self) -> int:
        return self.elements.length or 0

    def __getitem__(self, place: Any) -> Any:
        return next(self.elements.read(Turn(0, 0), [int(place)]))


def _grain(
    elements: Stage, shuffle: bool, seed: int | None, batch_size: int | None, join: Join
) -> Any:
    try:
        import grain
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "format='grain' gives data of grain's. Received: no such package. Install it with: pip install grain",
            name=error.name,
        ) from error
    data = grain.MapDataset.source(_Given(elements))
    if shuffle:
        data = data.shuffle(seed=seeding.make_default_seed() if seed is None else seed)
    read = data.to_iter_dataset()
    return read if batch_size is None else read.batch(batch_size, batch_fn=join)
