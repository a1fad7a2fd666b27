"""Penalties on weights or outputs."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import ops
from ..core.checks import one_of
from ..core.described import Described


class Regularizer(Described):
    """A penalty: a callable that gives a scalar of a tensor.

    A subclass of your own overrides `__call__` and `get_config`.

    >>> class Largest(Regularizer):
    ...     def __call__(self, x):
    ...         return 0.1 * ops.max(ops.absolute(x))
    >>> float(Largest()(np.array([3.0, -5.0], "float32")))
    0.5
    """

    def __call__(self, x: Any) -> Any:
        """The penalty on x."""
        return 0.0

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor, as what a file can hold."""
        config = super().get_config()
        if not config:
            raise NotImplementedError(
                "A regularizer that is written to a file must have a method `get_config`. "
                f"Received: {type(self).__name__}, which has none. "
                "Let it return the arguments of the constructor as a dict."
            )
        return config


class L1(Regularizer):
    """The penalty l1 * sum(|x|).

    Args:
        l1: A finite number that is not negative; 0.01 for None.

    >>> float(L1(0.5)(np.array([1.0, -2.0], "float32")))
    1.5
    """

    def __init__(self, l1: float | None = 0.01) -> None:
        super().__init__()
        self.l1 = _single(_factor("l1", 0.01 if l1 is None else l1))

    def __call__(self, x: Any) -> Any:
        """The penalty on x."""
        return self.l1 * ops.sum(ops.absolute(x))


class L2(Regularizer):
    """The penalty l2 * sum(x ** 2).

    Args:
        l2: A finite number that is not negative; 0.01 for None.

    >>> float(L2(0.5)(np.array([1.0, -2.0], "float32")))
    2.5
    """

    def __init__(self, l2: float | None = 0.01) -> None:
        super().__init__()
        self.l2 = _factor("l2", 0.01 if l2 is None else l2)

    def __call__(self, x: Any) -> Any:
        """The penalty on x."""
        return self.l2 * ops.sum(ops.square(x))


class L1L2(Regularizer):
    """The penalty l1 * sum(|x|) + l2 * sum(x ** 2).

    Args:
        l1: A finite number that is not negative; 0 for None.
        l2: A finite number that is not negative; 0 for None.

    >>> float(L1L2(0.5, 1.0)(np.array([1.0, -2.0], "float32")))
    6.5
    """

    def __init__(self, l1: float | None = 0.0, l2: float | None = 0.0) -> None:
        super().__init__()
        self.l1 = _factor("l1", 0.0 if l1 is None else l1)
        self.l2 = _factor("l2", 0.0 if l2 is None else l2)

    def __call__(self, x: Any) -> Any:
        """The penalty on x."""
        x = ops.convert_to_tensor(x)
        penalty = ops.zeros((), x.dtype)
        if self.l1:
            penalty = penalty + self.l1 * ops.sum(ops.absolute(x))
        if self.l2:
            penalty = penalty + self.l2 * ops.sum(ops.square(x))
        return penalty


class OrthogonalRegularizer(Regularizer):
    """The mean of |cosine| over all pairs of rows (or columns) of a matrix, times a factor.

    It keeps the rows (or columns) orthogonal to each other, whatever their lengths.

    Args:
        factor: A finite number that is not negative.
        mode: `"rows"` or `"columns"`.

    Raises:
        ValueError: If it is called on anything but a matrix.

    >>> float(OrthogonalRegularizer(1.0)(np.array([[1.0, 0.0], [0.0, 3.0]], "float32")))
    0.0
    """

    def __init__(self, factor: float = 0.01, mode: str = "rows") -> None:
        super().__init__()
        self.factor = _single(_factor("factor", factor))
        one_of(("rows", "columns"), mode=mode)

    def __call__(self, inputs: Any) -> Any:
        """The penalty on a matrix."""
        inputs = ops.convert_to_tensor(inputs)
        if len(inputs.shape) != 2:
            raise ValueError(
                "Only a matrix has orthogonal rows or columns. "
                f"Received: inputs.shape={tuple(inputs.shape)}. "
                "Use this regularizer on a weight of rank 2, such as the kernel of a Dense layer."
            )
        vectors = inputs if self.mode == "rows" else ops.transpose(inputs)
        vectors = ops.normalize(vectors, axis=1)
        cosines = ops.matmul(vectors, ops.transpose(vectors))
        count = vectors.shape[0]
        others = ops.absolute(cosines) * (1 - ops.eye(count, dtype=inputs.dtype))
        pairs = max(count * (count - 1) / 2, 1)
        return self.factor * 0.5 * ops.sum(others) / pairs


def _factor(name: str, value: Any) -> float:
    if not isinstance(value, (int, float)) or not math.isfinite(value) or value < 0:
        raise ValueError(
            f"`{name}` must be a finite number that is not negative. "
            f"Received: {name}={value!r} of type {type(value).__name__}."
        )
    return float(value)


def _single(value: float) -> float:
    """The number in single precision, which is how Keras keeps this one."""
    return float(np.float32(value))
