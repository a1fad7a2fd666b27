"""Small helpers to prepare data: one-hot labels, unit norms, a dataset cut in two."""

from __future__ import annotations

from typing import Any

import numpy as np


def to_categorical(x: Any, num_classes: int | None = None) -> Any:
    """One-hot rows of integer labels.

    Args:
        x: Labels, `(...)` or `(..., 1)`, from 0 to `num_classes - 1`.
        num_classes: The number of classes; the largest label plus one by default.

    Returns:
        `(..., num_classes)`: float64 in NumPy, or a tensor of `floatx` where `x` is a tensor.

    Raises:
        IndexError: If a label is not below `num_classes`.
        ValueError: If there are no labels to find the number of classes by.

    >>> to_categorical([0, 2])
    array([[1., 0., 0.],
           [0., 0., 1.]])
    """
    from ..engines import current

    if not isinstance(x, (np.ndarray, list, tuple, int)) and current().is_tensor(x):
        from .. import ops

        classes = num_classes or int(np.max(ops.convert_to_numpy(x))) + 1
        return ops.one_hot(x, classes)
    labels = np.asarray(x).astype("int64")
    if labels.ndim > 1 and labels.shape[-1] == 1:
        labels = labels[..., 0]
    return np.eye(num_classes or int(labels.max()) + 1)[labels]


def normalize(x: Any, axis: int = -1, order: Any = 2) -> Any:
    """`x` divided by its norm along an axis; zeros stay zeros.

    Args:
        x: An array or a tensor.
        axis: The axis whose vectors get norm 1.
        order: The order of the norm: 2 is Euclidean.

    Returns:
        An array where `x` is one, else a tensor.

    >>> normalize(np.array([[3.0, 4.0]]))
    array([[0.6, 0.8]])
    """
    if not isinstance(x, np.ndarray):
        from .. import ops

        return ops.normalize(x, axis=axis, order=order)
    norm = np.linalg.norm(x, ord=order, axis=axis, keepdims=True)
    return x / np.where(norm == 0, 1, norm)
