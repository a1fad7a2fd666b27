"""Classes as vectors of zeros and ones."""

from __future__ import annotations

from typing import Any

from ..core.config import floatx
from ..core.dtypes import standardize_dtype
from ..core.op import namespace
from ..core.types import DType, Raw, Tensor
from ..engines import current as engine
from ._bodies import axis_from_front, expand, rank_of

op = namespace("nn")


def is_class(indices: Tensor, count: Any, axis: int) -> Tensor:
    """Booleans with a new axis of `count` classes, true where its position is the index."""
    rank = rank_of(indices) + 1
    place = axis_from_front(axis, rank)
    if engine().dtype_of(indices) == "bool":
        indices = engine().cast(indices, "int32")
    dtype = engine().dtype_of(indices)
    shape = (*(1,) * place, count, *(1,) * (rank - place - 1))
    classes = engine().reshape(engine().arange(0, count, 1, dtype), shape)
    return engine().equal(expand(indices, place), classes)


@op
def one_hot(
    x: Raw, num_classes: int, axis: int = -1, dtype: DType = None, sparse: bool = False
) -> Tensor:
    """Integers as vectors that are 1 at the integer and 0 elsewhere; out of range, all are 0.

    Args:
        x: Integers.
        num_classes: The size of the new axis.
        axis: Where the new axis goes.
        dtype: The dtype of the result; floatx where it is left out.
        sparse: Accepted; the result is dense.

    >>> one_hot([1, 0], 3).tolist()
    [[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]]
    """
    dtype = floatx() if dtype is None else standardize_dtype(dtype)
    return engine().cast(is_class(x, num_classes, axis), dtype)


@op
def multi_hot(
    inputs: Raw,
    num_classes: int | None = None,
    axis: int = -1,
    dtype: DType = None,
    sparse: bool = False,
    num_tokens: int | None = None,
) -> Tensor:
    """Sets of integers as vectors that are 1 at each member and 0 elsewhere.

    Args:
        inputs: Integers; a set is a row along axis 1, or the whole of a vector.
        num_classes: The size of the new axis.
        axis: Where the new axis goes, before the set's axis is reduced.
        dtype: The dtype of the result; floatx where it is left out.
        sparse: Accepted; the result is dense.
        num_tokens: An older name of `num_classes`.

    >>> multi_hot([0, 2], 4).tolist()
    [1.0, 0.0, 1.0, 0.0]
    """
    count = num_classes if num_tokens is None else num_tokens
    if count is None:
        raise ValueError("`num_classes` must be given. Received: num_classes=None.")
    dtype = floatx() if dtype is None else standardize_dtype(dtype)
    members = is_class(inputs, count, axis)
    reduced = 1 if rank_of(inputs) > 1 else 0
    return engine().cast(engine().any(members, (reduced,), False), dtype)
