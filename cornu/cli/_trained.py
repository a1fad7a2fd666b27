"""What the tasks of the demo hand on: a trained model, and what it says of held-out data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(frozen=True)
class Trained:
    """A model that has learned, and what it says of data it has not seen before."""

    model: Any
    #: The figures of each epoch, by name.
    history: dict[str, list[float]]
    #: Held-out data: what goes in, what comes out, what should.
    inputs: Array
    outputs: Array
    truth: Array

    @property
    def file(self) -> str:
        """The name of the file that the model is saved in."""
        return f"{self.model.name}.keras"


@dataclass(frozen=True)
class Digits(Trained):
    """Images `(image, 8, 8, 1)`, probabilities `(image, 10)` and the true digits `(image,)`."""

    @property
    def labels(self) -> Array:
        """The digit that the model takes each image for."""
        return np.argmax(self.outputs, axis=1)

    @property
    def mistakes(self) -> int:
        """How many images the model takes for another digit."""
        return int(np.sum(self.labels != self.truth))

    @property
    def accuracy(self) -> float:
        """The share of images that the model reads correctly."""
        return 1 - self.mistakes / len(self.truth)

    @property
    def finding(self) -> str:
        """The result in a line."""
        return (
            f"{self.accuracy:.1%} of {len(self.truth)} held-out images read correctly "
            f"({plural(self.mistakes, 'mistake')})"
        )


@dataclass(frozen=True)
class Sunspots(Trained):
    """Windows `(year, 22, 1)` and the number of sunspots of the year after each, `(year,)`."""

    years: Array
    #: The model's outputs in sunspots, `(year,)`.
    forecast: Array
    #: The number of the year before, `(year,)`: the forecast to beat.
    persistence: Array

    @property
    def error(self) -> float:
        """How far the model is off on average, in sunspots."""
        return float(np.mean(np.abs(self.forecast - self.truth)))

    @property
    def baseline(self) -> float:
        """How far "as last year" is off on average, in sunspots."""
        return float(np.mean(np.abs(self.persistence - self.truth)))

    @property
    def finding(self) -> str:
        """The result in a line."""
        return (
            f"off by {self.error:.1f} a year on average in {self.years[0]}-{self.years[-1]}; "
            f'"as last year" is off by {self.baseline:.1f}'
        )


def plural(count: int, noun: str) -> str:
    """`1 mistake`, `2 mistakes`, `no mistakes`."""
    return f"{count or 'no'} {noun}{'' if count == 1 else 's'}"
