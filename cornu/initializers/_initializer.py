"""What all initializers have in common."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Self

import numpy as np

from ..core.described import Described
from ..core.dtypes import numpy_dtype, standardize_dtype
from ..engines import current

Array = np.ndarray[Any, Any]


class Initializer(Described):
    """What gives a weight its first value: a callable of a shape and a dtype.

    Values are drawn on the host, so the same seed gives the same bits on every engine. A subclass
    of your own overrides `__call__`, and `get_config` if its constructor takes arguments.

    >>> class Tens(Initializer):
    ...     def __call__(self, shape, dtype=None):
    ...         return np.full(shape, 10, dtype)
    >>> Tens()((2,), "int32")
    array([10, 10], dtype=int32)
    """

    def __call__(self, shape: Any, dtype: Any = None) -> Any:
        """The values as a tensor of the current engine.

        Args:
            shape: The shape.
            dtype: The dtype; floatx where it is left out.
        """
        values = self._values(checked_shape(shape), standardize_dtype(dtype))
        return current().convert_to_tensor(values, standardize_dtype(dtype))

    def draw(self, shape: Any, dtype: Any = None) -> Array:
        """The values as a NumPy array: what a call gives, before it is moved to the engine."""
        if type(self).__call__ is not Initializer.__call__:
            return np.asarray(current().convert_to_numpy(self(shape, dtype=dtype)))
        return self._values(checked_shape(shape), standardize_dtype(dtype))

    def pending(self, shape: Any, dtype: Any = None) -> Array | Callable[[], Array]:
        """The values, or a call that draws them: what `draw` would give now, whenever it is made."""
        kind = type(self)
        shape, dtype = checked_shape(shape), standardize_dtype(dtype)
        ours = kind.__call__ is Initializer.__call__ and kind.draw is Initializer.draw
        fixed = self._fixed(shape, dtype) if ours else None
        return self.draw(shape, dtype) if fixed is None else partial(fixed._values, shape, dtype)

    def _fixed(self, shape: tuple[int, ...], dtype: str) -> Self | None:
        """An initializer that draws at any time what this one would draw now; None for one that has
        to draw at once. What can't be drawn is refused here."""
        return None

    def _values(self, shape: tuple[int, ...], dtype: str) -> Array:
        raise NotImplementedError(
            "An initializer must have a method `__call__`. "
            f"Received: {type(self).__name__}, which has none. "
            "Define `__call__(self, shape, dtype=None)`."
        )

    def clone(self) -> Self:
        """A new initializer with the same config."""
        copy: Self = type(self).from_config(self.get_config())
        return copy


def checked_shape(shape: Any) -> tuple[int, ...]:
    """A shape as a tuple of integers."""
    dimensions = shape if isinstance(shape, (list, tuple)) else np.atleast_1d(shape).tolist()
    if any(not hasattr(n, "__index__") or n < 0 for n in dimensions):
        raise ValueError(
            "The shape of a weight must consist of integers that are not negative. "
            f"Received: shape={shape!r}. Give the layer an input whose features are known."
        )
    return tuple(int(n) for n in dimensions)


def cast(values: Array, dtype: str) -> Array:
    """The values in the dtype of that name."""
    return values.astype(numpy_dtype(dtype), copy=False)
