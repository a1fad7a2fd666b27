"""Series over time as windows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..core.checks import is_size, positive_integer
from ..core.seeding import make_default_seed
from ._stages import Places, Stage, Turn, stacked
from .formats import OWN, in_format


def timeseries_dataset_from_array(
    data: Any,
    targets: Any,
    sequence_length: int,
    sequence_stride: int = 1,
    sampling_rate: int = 1,
    batch_size: int | None = 128,
    shuffle: bool = False,
    seed: int | None = None,
    start_index: int | None = None,
    end_index: int | None = None,
    format: str = OWN,
) -> Any:
    """Windows of a series as a dataset: batches `(batch, sequence_length, ...)`, with a target each.

    Args:
        data: An array (time, ...).
        targets: An array (time, ...), whose element at the place where a window begins is its target; None for none.
        sequence_length: The steps of a window.
        sequence_stride: The steps from the beginning of a window to that of the next.
        sampling_rate: The steps from one of a window to its next.
        batch_size: How many windows are in a batch; None for one by one.
        shuffle: Whether they come in a random order, a new one in each pass.
        seed: What the orders are drawn from.
        start_index, end_index: The part of the series that is used.
        format: As of `image_dataset_from_directory`.

    Raises:
        ValueError: If the series has no such window, or an argument can't be.

    >>> series = np.arange(6)
    >>> for x, y in timeseries_dataset_from_array(series, series[3:], sequence_length=3):
    ...     print(x.tolist(), y.tolist())
    [[0, 1, 2], [1, 2, 3], [2, 3, 4]] [3, 4, 5]
    """
    data = np.asarray(data)
    targets = None if targets is None else np.asarray(targets)
    sizes = {"sequence_stride": sequence_stride, "sampling_rate": sampling_rate}
    positive_integer(sequence_length=sequence_length, **sizes)
    for name, value in sizes.items():
        if value >= len(data):
            raise ValueError(
                f"`{name}` must be less than the length of the data, {len(data)}. Received: {name}={value}."
            )
    _check_part(len(data), start_index, end_index)
    part = slice(start_index, end_index)
    data, targets = data[part], None if targets is None else targets[part]
    count = len(data) - (sequence_length - 1) * sampling_rate
    count = count if targets is None else min(count, len(targets))
    if count <= 0:
        raise ValueError(
            "A series must have a window. Received: "
            f"{len(data)} steps for sequence_length={sequence_length}, sampling_rate={sampling_rate}."
        )
    starts = np.arange(0, count, sequence_stride)
    if shuffle:
        # As Keras has it: by this, windows of grain's come in the same order.
        np.random.RandomState(make_default_seed() if seed is None else seed).shuffle(starts)
    steps = np.arange(sequence_length) * sampling_rate
    return in_format(
        Windows(data, targets, starts, steps), shuffle, seed, batch_size, format, stacked
    )


class Windows(Stage):
    """Windows of a series, by where they begin and the steps from there."""

    gathers = True

    def __init__(self, data: Any, targets: Any, starts: Any, steps: Any) -> None:
        self.data, self.targets, self.starts, self.steps = data, targets, starts, steps
        self.length = len(starts)

    def read(self, turn: Turn, places: Places) -> Iterator[Any]:
        """The windows at places."""
        return (self._at(self.starts[place]) for place in places)

    def gather(self, turn: Turn, places: Places) -> Any:
        """The windows at places, as a batch."""
        return self._at(self.starts[np.asarray(places)])

    def _at(self, start: Any) -> Any:
        window = self.data[start[..., None] + self.steps]
        return window if self.targets is None else (window, self.targets[start])


def _check_part(length: int, start: Any, end: Any) -> None:
    for name, value in (("start_index", start), ("end_index", end)):
        if value is not None and not (is_size(value, 0) and value < length):
            raise ValueError(
                f"`{name}` must be an index of the data, from 0 to {length - 1}. Received: {name}={value!r}."
            )
    if start is not None and end is not None and start >= end:
        raise ValueError(
            f"`start_index` must be less than `end_index`. Received: start_index={start}, end_index={end}."
        )
