"""A source whose batches go through a function, on the host, as they are read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ._source import Pass, Source


class MappedSource(Source):
    """A source whose batches go through a function.

    Args:
        source: The batches.
        function: What makes one of each.
    """

    def __init__(self, source: Source, function: Callable[[Any], Any]) -> None:
        self.source, self.function = source, function
        self.batch_size, self.has_partial_batch = source.batch_size, source.has_partial_batch
        self.is_shared, self.orders = source.is_shared, source.orders

    @property
    def num_batches(self) -> int | None:
        """The batches of one pass."""
        return self.source.num_batches

    def __iter__(self) -> MappedPass:
        return MappedPass(self, iter(self.source))

    def state(self) -> dict[str, Any]:
        """What the passes to come depend on."""
        return self.source.state()

    def restore(self, state: Mapping[str, Any]) -> None:
        """Let the passes to come be those of another source of this data."""
        self.source.restore(state)

    def on_epoch_begin(self) -> None:
        """Tell the source."""
        self.source.on_epoch_begin()

    def on_epoch_end(self) -> None:
        """Tell the source."""
        self.source.on_epoch_end()

    def close(self) -> None:
        """Close the source."""
        self.source.close()


class MappedPass(Pass):
    """A pass whose batches go through the source's function; its place is that of the pass below."""

    source: MappedSource

    def __init__(self, source: MappedSource, below: Pass) -> None:
        self.source, self.below = source, below
        self._peeked: list[Any] = []

    def __next__(self) -> Any:
        batch = next(self.below)
        return self._peeked.pop() if self._peeked else self.source.function(batch)

    def peek(self) -> Any:
        """The next batch, which stays the next one."""
        if not self._peeked:
            self._peeked.append(self.source.function(self.below.peek()))
        return self._peeked[0]

    def state(self) -> dict[str, Any]:
        """Where the pass is."""
        return self.below.state()

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from where another pass was."""
        self._peeked.clear()
        self.below.restore(state)

    def close(self) -> None:
        """End what reads ahead."""
        self._peeked.clear()
        self.below.close()
