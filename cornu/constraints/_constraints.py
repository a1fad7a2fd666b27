"""What weights are made to obey after each update."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import ops
from ..core.config import epsilon
from ..core.described import Described


class Constraint(Described):
    """A projection: a callable that gives the weight that obeys, of one that may not.

    A subclass of your own overrides `__call__`, and `get_config` if its constructor takes
    arguments.

    >>> class Halved(Constraint):
    ...     def __call__(self, w):
    ...         return 0.5 * w
    >>> Halved()(3.0)
    1.5
    """

    def __call__(self, w: Any) -> Any:
        """The weight that obeys; here the weight itself."""
        return w


class MaxNorm(Constraint):
    """Vectors that are longer than `max_value` are scaled down to it.

    Args:
        max_value: The largest norm.
        axis: The axis or axes along which norms are taken: 0 for the kernel of a Dense layer,
            which has one vector a unit; `[0, 1, 2]` for that of a Conv2D layer.

    >>> float(MaxNorm(1.0)([[3.0], [4.0]])[0, 0])
    0.6000000238418579
    """

    def __init__(self, max_value: float = 2, axis: int | Sequence[int] = 0) -> None:
        super().__init__()

    def __call__(self, w: Any) -> Any:
        """The weight with no vector longer than `max_value`."""
        w = ops.convert_to_tensor(w)
        norms = _norms(w, self.axis)
        return w * (ops.clip(norms, 0, self.max_value) / (epsilon() + norms))


class NonNeg(Constraint):
    """Negative elements become zero.

    >>> [float(x) for x in NonNeg()([-1.0, 2.0])]
    [0.0, 2.0]
    """

    def __call__(self, w: Any) -> Any:
        """The weight without negative elements."""
        return ops.maximum(w, 0)


class UnitNorm(Constraint):
    """Vectors are scaled to length 1.

    Args:
        axis: The axis or axes along which norms are taken, as for `MaxNorm`.

    >>> float(UnitNorm()([[3.0], [4.0]])[1, 0])
    0.800000011920929
    """

    def __init__(self, axis: int | Sequence[int] | None = 0) -> None:
        super().__init__()

    def __call__(self, w: Any) -> Any:
        """The weight with vectors of length 1."""
        w = ops.convert_to_tensor(w)
        return w / (epsilon() + _norms(w, self.axis))


class MinMaxNorm(Constraint):
    """Vectors are scaled to lengths from `min_value` to `max_value`.

    Args:
        min_value: The smallest norm.
        max_value: The largest norm.
        rate: How much of the way a vector is scaled each time: 1 for all of it.
        axis: The axis or axes along which norms are taken, as for `MaxNorm`.

    >>> float(MinMaxNorm(0.0, 1.0)([[3.0], [4.0]])[0, 0])
    0.6000000238418579
    """

    def __init__(
        self,
        min_value: float = 0.0,
        max_value: float = 1.0,
        rate: float = 1.0,
        axis: int | Sequence[int] = 0,
    ) -> None:
        super().__init__()

    def __call__(self, w: Any) -> Any:
        """The weight with vectors of the allowed lengths, or `rate` of the way there."""
        w = ops.convert_to_tensor(w)
        norms = _norms(w, self.axis)
        wanted = (
            self.rate * ops.clip(norms, self.min_value, self.max_value) + (1 - self.rate) * norms
        )
        return w * (wanted / (epsilon() + norms))


def _norms(w: Any, axis: int | Sequence[int] | None) -> Any:
    return ops.norm(w, axis=axis, keepdims=True)
