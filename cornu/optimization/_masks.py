"""Which weights stay when a share of them goes: pure functions from weights to masks, True for what stays."""

from __future__ import annotations

from typing import Any

from .. import ops


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
