"""The data of a workload as what `fit` reads it from: nothing is left to do when a batch is asked for."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

#: A batch.
Pair = tuple[np.ndarray, np.ndarray]


def data(source: str, package: Any, x: np.ndarray, y: np.ndarray, batch: int) -> dict[str, Any]:
    """The arguments of `fit` for its data."""
    if source == "arrays":
        return {"x": x, "y": y, "batch_size": batch}
    pairs = [(x[i : i + batch], y[i : i + batch]) for i in range(0, len(x), batch)]
    return SOURCES[source](package, pairs)


def _dataset(package: Any, pairs: list[Pair]) -> dict[str, Any]:
    class Pairs(package.utils.PyDataset):
        def __len__(self) -> int:
            return len(pairs)

        def __getitem__(self, index: int) -> Pair:
            return pairs[index]

    return {"x": Pairs()}


def _generator(package: Any, pairs: list[Pair]) -> dict[str, Any]:
    return {"x": (pair for pair in itertools.cycle(pairs)), "steps_per_epoch": len(pairs)}


def _loader(package: Any, pairs: list[Pair]) -> dict[str, Any]:
    import torch

    tensors = [(torch.from_numpy(x), torch.from_numpy(y)) for x, y in pairs]
    return {"x": torch.utils.data.DataLoader(tensors, batch_size=None)}


def _tf_data(package: Any, pairs: list[Pair]) -> dict[str, Any]:
    import tensorflow as tf

    batches = tuple(np.stack(arrays) for arrays in zip(*pairs, strict=True))
    return {"x": tf.data.Dataset.from_tensor_slices(batches).prefetch(4)}


SOURCES: dict[str, Callable[[Any, list[Pair]], dict[str, Any]]] = {
    "PyDataset": _dataset,
    "generator": _generator,
    "DataLoader": _loader,
    "tf.data": _tf_data,
}
