"""What a source of batches is, and the orders of shuffled data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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

    def take(self) -> int:
        """The number of the next pass, which then is the one after it."""
        self.number += 1
        return self.number - 1

    def draw(self, number: int) -> np.random.Generator:
        """What draws the order of a pass."""
        return np.random.default_rng((self.seed, number))


class Source:
    """Batches of data. Iterating over it is one pass, or goes on where the data is a stream."""

    #: Samples in a batch, where it is known.
    batch_size: int | None = None
    #: Whether the last batch of a pass is smaller than the others, where it is known.
    has_partial_batch: bool | None = None
    #: Whether more runs read it, so that who made it closes it.
    is_shared: bool = False
    #: What shuffles it, if anything does.
    orders: Orders | None = None
    #: How many passes were begun, and are to be before the next one, where another library numbers them.
    begun = due = 0

    @property
    def num_batches(self) -> int | None:
        """The batches of one pass; `None` where it is unknown or has no end."""
        return None

    def __iter__(self) -> Pass:
        """The batches of one pass, each `x`, `(x, y)` or `(x, y, sample_weight)`."""
        return Pass(self)

    def batches(self, number: int = 0, start: int = 0) -> Iterator[Any]:
        """The batches of a pass from one of them on."""
        raise NotImplementedError

    def in_order(self, outputs: Any) -> Any:
        """Outputs for the samples of a pass, an array of each or a structure, in the order that the data has."""
        return outputs

    def state(self) -> dict[str, Any]:
        """What the passes to come depend on, as plain values."""
        orders = self.orders
        return {} if orders is None else {"seed": orders.seed, "pass": orders.number}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Let the passes to come be those of another source of this data, from what its `state` was."""
        if self.orders is not None and "seed" in state:
            self.orders.seed, self.orders.number = int(state["seed"]), int(state["pass"])

    def on_epoch_begin(self) -> None:
        """Called before an epoch."""

    def on_epoch_end(self) -> None:
        """Called after an epoch."""

    def close(self) -> None:
        """Called when no more passes come."""


class Readable:
    """What is no source itself, and makes one for each use."""

    def source(
        self, shuffle: bool = False, class_weight: Mapping[Any, float] | None = None
    ) -> Source:
        """Its batches as a source."""
        raise NotImplementedError


class Pass(Iterator[Any]):
    """One pass over data, which says where it is: another one goes on from there.

    Its `state` is that after the batch which was given last. Who reads ahead of their use keeps it
    beside each batch.
    """

    def __init__(self, source: Source) -> None:
        self.source = source
        #: Its number among those that are shuffled.
        self.number = 0 if source.orders is None else source.orders.take()
        #: How many batches were given.
        self.given = 0
        self._batches: Iterator[Any] | None = None
        self._peeked: list[Any] = []

    def __next__(self) -> Any:
        batch = self.peek()
        self._peeked.clear()
        self.given += 1
        return batch

    def peek(self) -> Any:
        """The next batch, which stays the next one.

        Raises:
            StopIteration: If there is none left.
        """
        if not self._peeked:
            if self._batches is None:
                self._batches = self._open()
            self._peeked.append(next(self._batches))
        return self._peeked[0]

    def _open(self) -> Iterator[Any]:
        return self.source.batches(self.number, self.given)

    def state(self) -> dict[str, Any]:
        """Where the pass is, as plain values."""
        return {"pass": self.number, "batch": self.given}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from where another pass was, over a source that was restored before."""
        self.close()
        self._become(int(state["pass"]))
        self.given = int(state["batch"])

    def _become(self, number: int) -> None:
        """Be the pass of that number; the next one is that after it."""
        self.number = number
        if self.source.orders is not None:
            self.source.orders.number = number + 1

    def close(self) -> None:
        """End what reads ahead."""
        close = getattr(self._batches, "close", None)
        if close is not None:
            close()
        self._batches = None
        self._peeked.clear()
