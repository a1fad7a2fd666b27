"""Datasets cut in two."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core import tree
from ..core.seeding import make_default_seed
from ..data.pipelines import Dataset, Elements
from ..engines import current


def split_dataset(
    dataset: Any,
    left_size: float | None = None,
    right_size: float | None = None,
    shuffle: bool = False,
    seed: int | None = None,
    preferred_backend: str | None = None,
) -> tuple[Any, Any]:
    """The first samples of a dataset and the last ones, as two datasets.

    Args:
        dataset: An array, a list or tuple of arrays, a dataset with `__len__` and `__getitem__` (torch's),
            or one with `take` and `skip` (TensorFlow's).
        left_size, right_size: How many samples, or which share of them, each part has. One that is left
            out is the rest.
        shuffle: Whether the samples are put in a random order first.
        seed: What the order is drawn from.
        preferred_backend: Kept for compatibility; what comes back depends on the dataset alone.

    Returns:
        Two datasets of samples with the methods of a `tf.data.Dataset`: such ones on TensorFlow's engine and of such a
        dataset, else those of a data set in NumPy.

    Raises:
        ValueError: If a part would be empty, or both together have more than all samples.

    >>> left, right = split_dataset((np.arange(10), np.arange(10) ** 2), left_size=0.8)
    >>> len(left), [y.tolist() for _, y in right.batch(2)]
    (8, [[64, 81]])
    """
    total = _length(dataset)
    left, right = _sizes(total, left_size, right_size)
    if seed is None and shuffle:
        seed = make_default_seed()
    if _is_arrays(dataset):
        dataset = tuple(dataset) if isinstance(dataset, list) else dataset
        if shuffle:
            order, shuffle = np.random.default_rng(seed).permutation(total), False
            dataset = tree.map_structure(lambda array: array[order], dataset)
        own = current().dataset(dataset)
        dataset = Dataset(Elements(dataset)) if own is None else own
    elif not (hasattr(dataset, "take") and hasattr(dataset, "skip")):
        dataset = Dataset(Elements(dataset))
    if shuffle:
        dataset = dataset.shuffle(total, seed=seed, reshuffle_each_iteration=False)
    return dataset.take(left), dataset.skip(total - right)


def _is_arrays(dataset: Any) -> bool:
    """Whether a dataset is an array, or a list or tuple of them."""
    parts = dataset if isinstance(dataset, (list, tuple)) else [dataset]
    return bool(parts) and all(isinstance(part, np.ndarray) and part.ndim for part in parts)


def _length(dataset: Any) -> int:
    if _is_arrays(dataset):
        lengths = [len(array) for array in tree.flatten(dataset)]
        if len(set(lengths)) > 1:
            raise ValueError(
                f"Arrays must have the same number of samples. Received: {lengths}. Each sample has "
                "one entry in each array: look at how they were cut."
            )
        return lengths[0]
    if isinstance(dataset, (list, tuple, str, dict)) or not hasattr(dataset, "__len__"):
        raise TypeError(
            "A dataset must be arrays, or have a length and samples by index. Received: "
            f"{type(dataset).__name__}. Make lists of numbers arrays: `np.asarray(x)`."
        )
    return len(dataset)


def _sizes(total: int, left: float | None, right: float | None) -> tuple[int, int]:
    if left is None and right is None:
        raise ValueError(
            "One of `left_size` and `right_size` must be given. Received: None for both. Pass "
            "`left_size=0.8`, say."
        )
    counts = [_count(total, *given) for given in (("left_size", left), ("right_size", right))]
    first = total - counts[1] if left is None else counts[0]
    second = total - counts[0] if right is None else counts[1]
    if first <= 0 or second <= 0 or first + second > total:
        raise ValueError(
            "Both parts must have samples, and together no more than there are. Received: "
            f"left_size={left}, right_size={right}, which are {first} and {second} of {total} samples."
        )
    return first, second


def _count(total: int, name: str, size: float | None) -> int:
    if size is None:
        return 0
    if isinstance(size, bool) or not isinstance(size, (int, float, np.integer, np.floating)):
        raise TypeError(
            f"`{name}` is a number of samples or a share of them. Received: {name}={size!r}."
        )
    whole = isinstance(size, (int, np.integer))
    if not 0 < size < (total if whole else 1):
        raise ValueError(
            f"`{name}` is a number of samples from 1 to {total - 1}, or a share between 0 and 1. "
            f"Received: {name}={size!r}."
        )
    return int(size) if whole else round(size * total)
