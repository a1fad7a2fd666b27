"""Which weights stay when a share of them goes: pure functions from weights to masks, True for what stays."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from .. import ops


class Rule(NamedTuple):
    """How the mask of a weight is found: by its numbers alone.

    Attributes:
        block_size: The rows and columns that are masked as one, of the weight as a matrix; None for all of them.
        pooling: `"AVG"` or `"MAX"` of the magnitudes in a block.
        m_by_n: How many of how many weights along the axis of inputs go; None where the largest of all stay.
        axis: The axis of inputs.
    """

    block_size: tuple[int | None, int | None]
    pooling: str
    m_by_n: tuple[int, int] | None
    axis: int

    def magnitudes(self, weight: Any) -> Any:
        """The magnitude of each weight, or of each block."""
        if self.block_size == (1, 1):
            return ops.abs(weight)
        return pooled(_matrix(weight), self._block(weight), self.pooling)

    def of_weight(self, kept: Any, weight: Any) -> Any:
        """A mask of weights, or of blocks of them, as one of the weight."""
        if self.block_size == (1, 1):
            return kept
        shape = _matrix(weight).shape
        return ops.reshape(spread(kept, self._block(weight), shape), weight.shape)

    def _block(self, weight: Any) -> tuple[int, int]:
        (rows, columns), (height, width) = _matrix(weight).shape, self.block_size
        return height or rows, width or columns


@dataclass(frozen=True)
class Finding:
    """Masks anew, in groups that each have one threshold: a function of tensors alone (`Engine.renewed`).

    It is called on all masks, on all weights, then on whether it is due and the share of zeros for each group.
    """

    groups: tuple[tuple[Rule, ...], ...]

    def __call__(self, *xs: Any) -> list[Any]:
        found: list[Any] = []
        count = sum(map(len, self.groups))
        masks, weights, rest = xs[:count], xs[count : 2 * count], xs[2 * count :]
        of_groups = zip(rest[: len(self.groups)], rest[len(self.groups) :], strict=True)
        for rules, (due, sparsity) in zip(self.groups, of_groups, strict=True):
            part = slice(len(found), len(found) + len(rules))
            new = functools.partial(masks_of, rules, weights[part], sparsity)
            old: Callable[[], Any] = functools.partial(list, masks[part])
            found += ops.cond(due, new, old) if len(self.groups) > 1 else new()
        return found


def masks_of(rules: Sequence[Rule], weights: Sequence[Any], sparsity: Any) -> list[Any]:
    """The masks of weights that have one threshold, or each its pattern of m by n."""
    pairs = list(zip(rules, weights, strict=True))
    if rules[0].m_by_n is not None:
        zeros, group = rules[0].m_by_n
        return [m_by_n(weight, zeros, group, rule.axis) for rule, weight in pairs]
    magnitudes = [rule.magnitudes(weight) for rule, weight in pairs]
    flat = [ops.reshape(x, (-1,)) for x in magnitudes]
    least = threshold(flat[0] if len(flat) == 1 else ops.concatenate(flat), sparsity)
    kept = [ops.greater_equal(x, least) for x in magnitudes]
    return [rule.of_weight(x, weight) for x, (rule, weight) in zip(kept, pairs, strict=True)]


def _matrix(weight: Any) -> Any:
    """A weight as a matrix of its last axis and all others."""
    return ops.reshape(weight, (-1, weight.shape[-1]))


def largest(magnitudes: Any, sparsity: Any) -> Any:
    """The largest of some magnitudes, and those as large as the smallest of them.

    Args:
        magnitudes: Of any shape.
        sparsity: The share that goes; at least one stays.

    >>> import numpy as np
    >>> largest(np.array([1.0, 4.0, 2.0, 3.0]), 0.5).tolist()
    [False, True, False, True]
    """
    return ops.greater_equal(magnitudes, threshold(ops.reshape(magnitudes, (-1,)), sparsity))


def threshold(magnitudes: Any, sparsity: Any) -> Any:
    """The least magnitude that stays: that of the `max(round(size * (1 - sparsity)), 1)`-th largest.

    Args:
        magnitudes: Of shape `(size,)`.
        sparsity: The share that goes.
    """
    size = magnitudes.shape[0]
    kept = ops.cast(ops.round(size * (1 - ops.cast(sparsity, "float32"))), "int32")
    return ops.take(ops.sort(magnitudes), size - ops.maximum(kept, 1))


def pooled(weights: Any, block_size: tuple[int, int], pooling: str) -> Any:
    """The magnitude of each block of a matrix, of those that `spread` masks as one.

    Blocks begin at the first row and column; at the edges they are as large as the matrix leaves them.

    Args:
        weights: Of shape `(rows, columns)`.
        block_size: Rows and columns of a block.
        pooling: `"AVG"` or `"MAX"` of the magnitudes in a block.

    Returns:
        A tensor of shape `(ceil(rows / height), ceil(columns / width))`.

    >>> import numpy as np
    >>> pooled(np.array([[1.0, -3.0, 5.0], [1.0, 3.0, 7.0]]), (2, 2), "AVG").tolist()
    [[2.0, 6.0]]
    """
    magnitudes = _in_blocks(ops.abs(weights), block_size)
    if pooling == "MAX":
        return ops.max(magnitudes, (1, 3))
    sizes = ops.sum(_in_blocks(ops.ones_like(weights), block_size), (1, 3))
    return ops.sum(magnitudes, (1, 3)) / sizes


def _in_blocks(x: Any, block_size: tuple[int, int]) -> Any:
    """A matrix as (blocks of rows, height, blocks of columns, width), filled up with zeros."""
    (rows, columns), (height, width) = x.shape, block_size
    x = ops.pad(x, [(0, -rows % height), (0, -columns % width)])
    return ops.reshape(x, (-(-rows // height), height, -(-columns // width), width))


def spread(mask: Any, block_size: tuple[int, int], shape: tuple[int, ...]) -> Any:
    """A mask of blocks as one of the elements of a matrix of a shape.

    >>> import numpy as np
    >>> spread(np.array([[True, False]]), (2, 2), (2, 3)).tolist()
    [[True, True, False], [True, True, False]]
    """
    for axis, size in enumerate(block_size):
        mask = ops.repeat(mask, size, axis)
    return mask[: shape[0], : shape[1]]


def m_by_n(weights: Any, zeros: int, group: int, axis: int) -> Any:
    """All but the smallest in each group of consecutive weights along an axis.

    The weights that a last group lacks count as zeros, as they do for hardware that has a form for such weights.

    Args:
        weights: Of any shape.
        zeros: How many of a group go.
        group: How many weights a group has.
        axis: The axis of the inputs.

    >>> import numpy as np
    >>> m_by_n(np.array([3.0, -1.0, 2.0, -4.0, 5.0, 6.0]), 2, 4, 0).tolist()
    [True, False, False, True, True, True]
    """
    magnitudes = ops.moveaxis(ops.abs(weights), axis, -1)
    size = magnitudes.shape[-1]
    padding = [(0, 0)] * (magnitudes.ndim - 1) + [(0, -size % group)]
    padded = ops.pad(magnitudes, padding, constant_values=-1.0)
    groups = ops.reshape(padded, (*padded.shape[:-1], -1, group))
    rank = ops.argsort(ops.argsort(groups))  # from the smallest
    kept = ops.reshape(rank >= zeros, padded.shape)[..., :size]
    return ops.moveaxis(kept, -1, axis)
