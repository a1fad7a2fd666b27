"""The numbers that rounded weights and values are."""

from __future__ import annotations

from typing import Any, NamedTuple

import ml_dtypes  # noqa: F401  (int4 by its name)
import numpy as np

from .graph import Array, Codes


class Steps(NamedTuple):
    """The numbers that `fake_quant_with_min_max_vars` rounds to, in float32 as in the op's own body."""

    first: int
    last: int
    span: Array
    zero: Array

    @classmethod
    def of(cls, low: Any, high: Any, first: int, last: int) -> Steps:
        """Those between the ends of ranges, for codes from the first to the last."""
        low, high = np.float32(low), np.float32(high)
        span = high - low
        zero = np.rint(np.clip(first - low / (span / (last - first)), first, last))
        return cls(first, last, span, zero)

    @property
    def scale(self) -> Array:
        return self.span / (self.last - self.first)

    def ends(self) -> tuple[Array, Array]:
        return (self.first - self.zero) * self.scale, (self.last - self.zero) * self.scale

    def codes(self, x: Array, axis: int | None, middle: int, dtype: str) -> Codes:
        """Those of an array, less `middle`."""
        shape = self.span.shape
        if axis is not None and shape:
            shape = (-1, *(1,) * (x.ndim - 1 - range(x.ndim)[axis]))
        spread = self._replace(span=self.span.reshape(shape), zero=self.zero.reshape(shape))
        inside = np.clip(x, *spread.ends())
        steps = (spread.last - spread.first) / spread.span
        codes = np.floor(inside * steps + spread.zero + np.float32(0.5))
        kind = np.dtype(dtype)
        zero = np.broadcast_to((spread.zero - middle).astype(kind), x.shape)
        return Codes((codes - middle).astype(kind), np.broadcast_to(spread.scale, x.shape), zero)
