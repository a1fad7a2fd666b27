"""What a source of batches is, and the orders of shuffled data."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from .. import tuning
from ..core.seeding import get_random_seed, make_default_seed


class Orders:
    """The orders of shuffled data: each follows from the seed and the number of the pass.

    In deterministic mode the seed is that of `set_random_seed`, so that a `fit` which goes on at
    `initial_epoch`, in another process too, shuffles as one that was never stopped.
    """

    def __init__(self) -> None:
        fixed = get_random_seed() if tuning.deterministic() else None
        self.seed = make_default_seed() if fixed is None else fixed
        #: The number of the next pass.
        self.number = 0

    def draw(self) -> np.random.Generator:
        """What draws the order of the next pass."""
        self.number += 1
        return np.random.default_rng((self.seed, self.number - 1))


class Source:
    """Batches of data. Iterating over it is one pass, or goes on where the data is a stream."""

    #: Samples in a batch, where it is known.
    batch_size: int | None = None
    #: Whether the last batch of a pass is smaller than the others.
    has_partial_batch: bool = False
    #: What shuffles it, if anything does.
    orders: Orders | None = None

    @property
    def num_batches(self) -> int | None:
        """The batches of one pass; `None` where it is unknown or has no end."""
        return None

    def __iter__(self) -> Iterator[Any]:
        """The batches of one pass, each `x`, `(x, y)` or `(x, y, sample_weight)`."""
        raise NotImplementedError

    def on_epoch_begin(self) -> None:
        """Called before an epoch."""

    def on_epoch_end(self) -> None:
        """Called after an epoch."""

    def close(self) -> None:
        """Called when no more passes come."""
