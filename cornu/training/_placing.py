"""Batches and outputs of layers on several devices, where a distribution says."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from ..core import layouts, tree
from ..core.scopes import here, within
from ..data import ArraySource, MappedSource, Share, Source
from ..engines import Engine, current
from ..engines.host import holds_text
from ._batches import Stack


class Placing:
    """Puts the batches of a run where the distribution says.

    Args:
        distribution: The distribution.
        engine: The engine.
    """

    def __init__(self, distribution: Any, engine: Engine) -> None:
        self.distribution, self.engine = distribution, engine
        #: Whether each process has data, and so batches, of its own.
        self.is_apart = engine.processes > 1 and not distribution.auto_shard_dataset
        #: The last batch, of which a process whose data has ended gives no rows.
        self._last: Any = None

    @classmethod
    def here(cls) -> Placing | None:
        """What places batches now; None where there is no distribution."""
        distribution = layouts.current()
        return None if distribution is None else cls(distribution, current())

    @classmethod
    def of(cls, source: Source) -> Placing | None:
        """What places the batches of a source."""
        placing = cls.here()
        if placing is None:
            return None
        arrays = source
        while isinstance(arrays, MappedSource):
            arrays = arrays.source
        if placing.is_apart:
            return placing
        placing.check(source)
        if isinstance(arrays, ArraySource) and arrays.can_share and placing.engine.processes > 1:
            arrays.share = placing.rows
        return placing

    def rows(self, size: int) -> slice:
        """The rows of a batch of a size that this process's devices have."""
        return self.engine.rows(size, self.distribution.get_data_layout((size,)))

    def check(self, source: Source) -> None:
        """Warn where no batch of a source can be divided."""
        size, parts = source.batch_size, self.distribution.num_model_replicas
        if size is not None and size % parts:
            warnings.warn(
                f"A batch is divided in {parts} where its size is a multiple of that; else each device computes "
                f"all of it. Received: batches of {size}. Choose another `batch_size`.",
                stacklevel=5,
            )

    def __call__(self, data: Any) -> Any:
        """A batch, or a `Stack` of batches; None at the end of the data."""
        if self.is_apart:
            return self._joined(data)
        if data is None:
            return None
        if isinstance(data, Stack):
            return Stack(tree.map_structure(self._stacked, data.data), data.count)
        return tree.map_structure(self._placed, data)

    def _is_array(self, x: Any) -> bool:
        return isinstance(x, (np.ndarray, Share)) and not holds_text(x) or self.engine.is_tensor(x)

    def _placed(self, x: Any) -> Any:
        if not self._is_array(x):
            return x
        layout = self.distribution.get_data_layout(x.shape)
        if isinstance(x, Share):
            return self.engine.joined(x.rows, x.size, layout)
        return self.engine.place(x, layout)

    def _joined(self, data: Any) -> Any:
        """The batch that the processes' own ones are together, in the order of their numbers, until the data of all has
        ended."""
        engine = self.engine
        if data is None and self._last is None:
            raise ValueError(
                "Each process has data of its own with `auto_shard_dataset=False`. Received: none in process "
                f"{engine.rank}. Give each a part of it."
            )
        if data is not None:
            self._last = tree.map_structure(lambda x: x[:0] if self._is_array(x) else x, data)
        data = self._last if data is None else data
        leaves = [x for x in tree.flatten(data) if self._is_array(x)]
        sizes = engine.of_all(np.int64(len(leaves[0]))).tolist()
        return tree.map_structure(lambda x: self._whole(x, sizes), data) if any(sizes) else None

    def _whole(self, x: Any, sizes: list[int]) -> Any:
        """The array of all rows."""
        if not self._is_array(x):
            return x
        x, total, rank = np.asarray(x), sum(sizes), self.engine.rank
        layout = self.distribution.get_data_layout((total, *x.shape[1:]))
        start = sum(sizes[:rank])
        if len({*sizes}) == 1 and self.engine.rows(total, layout) == slice(start, start + len(x)):
            return self.engine.joined(x, total, layout)
        padded = np.zeros((max(sizes), *x.shape[1:]), x.dtype)
        padded[: len(x)] = x
        pairs = zip(self.engine.of_all(padded), sizes, strict=True)
        return self.engine.place(np.concatenate([rows[:size] for rows, size in pairs]), layout)

    def _stacked(self, x: Any) -> Any:
        if not self._is_array(x):
            return x
        layout = self.distribution.get_data_layout(x.shape[1:])
        return self.engine.place(x, type(layout)((None, *layout.axes), layout.device_mesh))


class LaidOutputs:
    """Lays out the outputs of layers that a distribution has a layout for (`core.scopes.Watch`)."""

    def __init__(self, distribution: Any, engine: Engine) -> None:
        self.distribution, self.engine = distribution, engine
        self.outer = here.watch.get()

    def enter(self, operation: Any, args: Any, kwargs: Any) -> None:
        """A call begins."""
        if self.outer is not None:
            self.outer.enter(operation, args, kwargs)

    def leave(self, operation: Any, outputs: Any) -> Any:
        """It ends."""
        path = getattr(operation, "path", None)  # an op of a graph has none
        layout = path and self.distribution.get_tensor_layout(f"{path}/output")
        if layout is not None:
            constrain = self.engine.constrain
            outputs = tree.map_structure(
                lambda x: constrain(x, layout) if self.engine.is_tensor(x) else x, outputs
            )
        return outputs if self.outer is None else self.outer.leave(operation, outputs)


def with_laid_outputs(step: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A step in which outputs of layers lie where the distribution says."""

    def run(data: Any) -> Any:
        with within(here.watch, LaidOutputs(layouts.current(), current())):
            return step(data)

    return run
