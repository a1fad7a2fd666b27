"""The form of a row of the op table: one case of one op.

A module `rows_<namespace>.py` has a list `ROWS`; `test_table.py` runs each row through every check.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np


class A:
    """An input array of a row: shape and dtype, drawn with a fixed seed in [low, high)."""

    def __init__(self, *shape: int, dtype: str = "float32", low: float = -2.0, high: float = 2.0):
        self.shape, self.dtype, self.low, self.high = shape, dtype, low, high
        self.values: Any = None

    @classmethod
    def of(cls, values: Any, dtype: str = "float32") -> A:
        """An input array of the given values."""
        array = cls(*np.shape(values), dtype=dtype)
        array.values = values
        return array

    def draw(self, seed: int, dtype: str | None = None) -> np.ndarray:
        """The array, read-only; `dtype` takes the place of float32."""
        from cornu.core.dtypes import numpy_dtype

        dtype = dtype if dtype and self.dtype == "float32" else self.dtype
        generator = np.random.default_rng(seed)
        values = self.values
        if values is None:
            values = generator.uniform(self.low, self.high, self.shape)
            if dtype == "bool":
                values = values > (self.low + self.high) / 2
            elif "int" in dtype:
                values = np.floor(np.abs(values) if dtype.startswith("uint") else values)
            elif dtype.startswith("complex"):
                values = values + 1j * generator.uniform(self.low, self.high, self.shape)
        array = np.array(values).astype(numpy_dtype(dtype))
        array.flags.writeable = False
        return array

    def __repr__(self) -> str:
        return f"A{self.shape}{'' if self.dtype == 'float32' else self.dtype}"


@dataclass
class Row:
    """One case of one op.

    Args:
        op: The public name, such as `softmax`, `linalg.qr`, `image.resize`, `random.normal`.
        args, kwargs: The arguments; every `A` (also in lists and dicts) becomes an input array.
        reference: A NumPy function of the same arguments; the op of the same name of Keras otherwise.
        tolerance: Absolute and relative.
        dtypes: Dtypes that the `A` inputs of dtype float32 also take; results' dtypes are Keras's.
        gradient: Whether the gradient (of float inputs) is checked against finite differences.
        excluded: Reasons why a check does not apply, by its name (`value`, `dtypes`, `static`,
            `unknown`, `gradient`, `symbolic`, `default`, `compiled`), or its name after an engine's
            (`numpy dtypes`): {"unknown": "the shape depends on values"}.
    """

    op: str
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)
    reference: Callable[..., Any] | None = None
    tolerance: float = 1e-5
    dtypes: tuple[str, ...] = ()
    gradient: bool = True
    excluded: dict[str, str] = field(default_factory=dict)

    def __repr__(self) -> str:
        given = [*map(repr, self.args), *(f"{key}={value!r}" for key, value in self.kwargs.items())]
        return f"{self.op}({', '.join(given)})"
