"""From a loss of each element to the loss that training minimizes: ranks, weights, masks, means."""

from __future__ import annotations

from typing import Any

from .. import ops
from ..core.checks import one_of
from ..core.masks import get_keras_mask

#: What `reduction` may be.
REDUCTIONS = ("sum_over_batch_size", "sum", "mean", "mean_with_sample_weight", "none", None)


def squeeze_or_expand_to_same_rank(x1: Any, x2: Any, expand_rank_1: bool = True) -> tuple[Any, Any]:
    """Two tensors whose ranks differ by one, brought to one rank if the last axis has size 1.

    The axis is dropped from the tensor of higher rank; a vector beside a column becomes a column
    instead, unless `expand_rank_1` is false. Other pairs stay as they are.

    >>> import numpy as np
    >>> [x.shape for x in squeeze_or_expand_to_same_rank(np.ones((2, 3, 1)), np.ones((2, 3)))]
    [(2, 3), (2, 3)]
    """
    rank1, rank2 = len(x1.shape), len(x2.shape)
    if rank1 == rank2 + 1:
        return _matched(x1, x2, expand_rank_1)
    if rank2 == rank1 + 1:
        x2, x1 = _matched(x2, x1, expand_rank_1)
    return x1, x2


def _matched(higher: Any, lower: Any, expand_rank_1: bool) -> tuple[Any, Any]:
    if higher.shape[-1] != 1:
        return higher, lower
    if len(lower.shape) == 1 and expand_rank_1:
        return higher, ops.expand_dims(lower, -1)
    return ops.squeeze(higher, -1), lower


def standardize_reduction(reduction: str | None) -> str | None:
    """The reduction, if there is one of this name."""
    one_of(REDUCTIONS, reduction=reduction)
    return reduction


def reduce_weighted_values(
    values: Any,
    reduction: str | None = "sum_over_batch_size",
    sample_weight: Any = None,
    mask: Any = None,
    dtype: Any = None,
) -> Any:
    """Values times their weights, summed or averaged.

    Args:
        values: A tensor of any shape.
        reduction: `"sum"`; `"sum_over_batch_size"` or `"mean"`, which divide the sum by the number
            of values; `"mean_with_sample_weight"`, which divides it by the sum of the weights;
            None or `"none"`.
        sample_weight: A tensor that broadcasts with the values, or lacks their last axis of size 1.
        mask: Booleans of the first axes, the samples or all; what is false counts as if it were not there.
        dtype: The dtype of the result.

    Returns:
        A scalar, or without reduction the weighted values.
    """
    if mask is None:
        mask = get_keras_mask(values)
    values = ops.cast(ops.convert_to_tensor(values), dtype)
    weight = (
        None if sample_weight is None else ops.cast(ops.convert_to_tensor(sample_weight), dtype)
    )
    if mask is not None:
        mask = _with_axes(mask, values, each=weight is None)
        weight = _masked_weight(weight, ops.cast(mask, dtype), reduction)
    if weight is not None:
        values, weight = squeeze_or_expand_to_same_rank(values, weight)
        values = _weighted(values, weight, "sample_weight")
    if reduction in (None, "none") or not len(values.shape):
        if reduction == "mean_with_sample_weight" and weight is not None:
            return ops.divide_no_nan(values, ops.sum(weight))
        return values
    if reduction == "sum":
        return ops.sum(values)
    if reduction == "mean_with_sample_weight" and weight is not None:
        return ops.divide_no_nan(ops.sum(values), ops.sum(weight))
    return ops.sum(values) if 0 in values.shape else ops.mean(values)


def _with_axes(mask: Any, values: Any, each: bool) -> Any:
    """A mask of the first axes with axes after them: of size 1, or with an entry for each value."""
    missing = len(values.shape) - len(mask.shape)
    if missing < 1 or (missing == 1 and values.shape[-1] == 1):
        return mask
    mask = ops.reshape(mask, (*ops.shape(mask), *(1,) * missing))
    return ops.broadcast_to(mask, ops.shape(values)) if each else mask


def _masked_weight(weight: Any, mask: Any, reduction: str | None) -> Any:
    """The weights, 0 where masked; for a mean over all values, the others make up for it."""
    if reduction in ("sum_over_batch_size", "mean"):
        mask = ops.divide_no_nan(mask, ops.mean(mask))
    if weight is None:
        return mask
    weight, mask = squeeze_or_expand_to_same_rank(weight, mask)
    return _weighted(weight, mask, "mask")


def _weighted(values: Any, weight: Any, name: str) -> Any:
    check_broadcast(tuple(values.shape), tuple(weight.shape), name)
    return values * weight


def check_broadcast(shape: tuple[Any, ...], other: tuple[Any, ...], name: str) -> None:
    """Raise where weights don't broadcast with values of a shape, or have more axes than they."""
    fits = name == "mask" or not shape or len(other) <= len(shape)
    for size, own in zip(reversed(shape), reversed(other), strict=False):
        fits = fits and (size == own or None in (size, own) or 1 in (size, own))
    if not fits:
        raise ValueError(
            f"`{name}` must broadcast with what it weighs, from the last axis on. Received: "
            f"{name}.shape={other} for values of shape {shape}. Give it axes of size 1 "
            f"(`{name}[:, None]`) where each sample has one weight."
        )
