"""The batches of training: epoch by epoch, in groups of those that run in one execution."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .. import tuning
from ..core import tree
from ..data import (
    ArrayPass,
    MappedSource,
    Pass,
    Share,
    Source,
    pack_x_y_sample_weight,
    unpack_x_y_sample_weight,
)
from ..engines import Engine, current
from ..engines.host import holds_text

#: The seconds from which reading a batch counts as waiting: below it is nothing to gain by reading ahead.
NOTICED = 2e-4


def read_by(model: Any, source: Source) -> Source:
    """A source as a model's steps read it: what layers on the host make of the inputs of its batches."""
    if not model._prepares:
        return source

    def prepared(batch: Any) -> Any:
        x, y, sample_weight = unpack_x_y_sample_weight(batch)
        shares = [leaf for leaf in tree.flatten(x) if isinstance(leaf, Share)]
        if not shares:
            return pack_x_y_sample_weight(model._prepared(x), y, sample_weight)
        found = model._prepared(tree.map_structure(lambda leaf: leaf.rows, x))
        x = tree.map_structure(lambda rows: Share(np.asarray(rows), shares[0].size), found)
        return pack_x_y_sample_weight(x, y, sample_weight)

    return MappedSource(source, prepared)


@dataclass(frozen=True)
class Stack:
    """Batches of one shape, with an axis in front that counts them."""

    data: Any
    count: int

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[Any]:
        """The batches, one by one."""
        for i in range(self.count):
            yield tree.map_structure(lambda x, i=i: None if x is None else x[i], self.data)


class Batches:
    """The batches of a source, and the place that reading has reached in its passes.

    An epoch is a pass over the data, or so many steps on from where the last epoch ended.

    Args:
        source: A `Source`.
        steps: The batches of an epoch, where they are counted.
        per_execution: How many run in one execution.
    """

    def __init__(self, source: Source, steps: int | None, per_execution: int) -> None:
        self.source = source
        self.limit = steps
        self.per_execution = per_execution
        self.steps: int | None = steps if steps is not None else source.num_batches
        #: How many of the next batches to stack, given how many whole ones are left in the epoch.
        self.together: Callable[[int], int] = lambda left: 1
        #: How many batches an execution may have at most, if that is limited.
        self.room: Callable[[], int] | None = None
        #: How many batches of the open pass, and of the epoch, were given.
        self.read = self.step = 0
        self._pass: Pass | None = None
        #: Whether the steps given before are still being computed: then nobody waits for data.
        self.is_computing: Callable[[], bool] = lambda: False
        #: What puts batches on several devices.
        self.placing: Callable[[Any], Any] | None = None
        self._began = self._fetched = self._waited = 0.0

    @property
    def waiting(self) -> float:
        """The share of the epoch's time, up to the batch given last, in which nothing was done but read data."""
        return self._waited / max(self._fetched - self._began, 1e-9)

    def state(self) -> dict[str, Any]:
        """The place that was reached, for `restore`; between two executions it is exact."""
        return {
            "step": self.step,
            "read": self.read,
            "source": self.source.state(),
            "pass": None if self._pass is None else self._pass.state(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on where `state` was taken: the next batch is the one that came next then."""
        opened = self._pass
        self.close()
        self.source.restore(state["source"])
        if state["pass"] is not None:
            self._pass = opened
            self._opened().restore(state["pass"])
        self.step, self.read = state["step"], state["read"]

    def begin(self, epoch: int) -> None:
        """Let the next batch be that with which an epoch begins.

        Shuffled data has an order for each pass. A pass may last for several epochs: in deterministic mode
        it goes on where it would be by then.
        """
        orders, count = self.source.orders, self.source.num_batches
        epochs = 1 if not count or self.limit is None else -(-count // max(1, self.limit))
        read = epoch % epochs * (self.limit or 0) if tuning.deterministic() else 0
        if orders is None and not read:
            return
        self.close()
        if orders is not None:
            orders.number = epoch // epochs
        for _ in range(read):
            next(self._opened(), None)
        self.step, self.read = 0, read

    def first(self) -> Any:
        """The next batch, which stays the next one."""
        try:
            return self._opened().peek()
        except StopIteration:
            raise ValueError(
                "Data must have at least one batch. Received: a source that gave none. Check "
                "its length, or whether a generator was used up before."
            ) from None

    @property
    def has_ended(self) -> bool:
        """Whether a stream has given its last batch: epochs to come are empty."""
        try:
            self._opened().peek()
        except StopIteration:
            return True
        return False

    def __iter__(self) -> Iterator[tuple[int, int, list[Any] | Stack]]:
        """The batches of each execution of an epoch, a list or a `Stack`, and the numbers of its first and
        last step; the rest of them where the epoch has begun.

        The last execution of an epoch is numbered as if it were whole, as in Keras.
        """
        self.source.on_epoch_begin()
        group: list[Any] = []
        ended = False
        self._began, self._waited = time.perf_counter(), 0.0
        while self.limit is None or self.step < self.limit:
            data = self._fetch(None if self.limit is None else self.limit - self.step)
            if ended := data is None:
                self._warn_of_end()
                break
            count = len(data) if isinstance(data, Stack) else 1
            self.read, self.step = self.read + count, self.step + count
            if isinstance(data, Stack):
                yield self.step - count, self.step - 1, data
                continue
            group.append(data)
            if len(group) >= self._most(self.per_execution):
                yield self.step - len(group), self.step - 1, group
                group = []
        if group:
            first = self.step - len(group)
            yield first, first + self.per_execution - 1, group
        whole = self.source.num_batches
        if ended or (whole is not None and self.read >= whole):
            self._pass, self.read = None, 0
        self.step = 0
        self.source.on_epoch_end()

    def _opened(self) -> Pass:
        if self._pass is None:
            self._pass = iter(self.source)
        return self._pass

    def _most(self, count: int) -> int:
        return count if self.room is None else min(count, self.room())

    def _fetch(self, left: int | None) -> Any:
        """What `_next` gives, sent to the device. All data comes in here."""
        start = time.perf_counter()
        data, engine = self._next(left), current()
        self._fetched = time.perf_counter()
        waited = self._fetched - start
        if waited > NOTICED and not self.is_computing():
            self._waited += waited
        if self.placing is not None:
            return self.placing(data)
        if not engine.is_far or data is None:
            return data
        if isinstance(data, Stack):
            return replace(data, data=_sent(engine, data.data))
        return _sent(engine, data)

    def _next(self, left: int | None) -> Any:
        """The next batch, or a `Stack` of the next ones; None at the end of a pass."""
        opened = self._opened()
        if isinstance(opened, ArrayPass):
            whole = opened.whole if opened.stacks else 0
            count = self.together(self._most(whole if left is None else min(whole, left)))
            if count > 1:
                return Stack(opened.stacked(count), count)
        return next(opened, None)

    def _warn_of_end(self) -> None:
        if self.limit is not None:
            warnings.warn(
                f"The data ended after {self.step} of {self.limit} steps. Make the source give "
                "`steps_per_epoch * epochs` batches, or repeat.",
                stacklevel=2,
            )

    def close(self) -> None:
        """Let the source's threads and processes end."""
        if self._pass is not None:
            self._pass.close()
        self._pass, self.read = None, 0
        if not self.source.is_shared:
            self.source.close()


def _sent(engine: Engine, data: Any) -> Any:
    def sent(x: Any) -> Any:
        return engine.send(x) if type(x) is np.ndarray and not holds_text(x) else x

    return tree.map_structure(sent, data)
