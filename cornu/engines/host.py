"""Conversion on the host: what every engine does by NumPy before its library takes over.

Functions without state, so that an engine that converts loads no other engine for it.
"""

from __future__ import annotations

import functools
from typing import Any

import ml_dtypes
import numpy as np

Array = np.ndarray[Any, Any]

PYTHON = {bool: "bool", int: "int32", float: "float32", complex: "complex64"}
_LITERALS = {"b": "bool", "i": "int32", "u": "uint32", "f": "float32", "c": "complex64"}


@functools.cache
def numpy_dtype(name: str) -> np.dtype[Any]:
    """The NumPy dtype of a name, those of ml_dtypes included."""
    known = getattr(ml_dtypes, name, None) if name.startswith(("bfloat", "float8")) else None
    return np.dtype(known or name)


@functools.cache
def name_of(dtype: np.dtype[Any]) -> str:
    """A dtype's name, which NumPy works out anew at each asking (0.8 us)."""
    return dtype.name


def dtype_of(x: Any) -> str:
    """The dtype's name of an array, a number or a nested list."""
    if isinstance(x, (np.ndarray, np.generic)):
        return name_of(x.dtype)
    return PYTHON.get(type(x)) or name_of(as_array(x).dtype)


def as_array(x: Any, dtype: str | None = None) -> Any:
    """Numbers, nested lists, arrays and tensors of other libraries as an array of a dtype.

    Python's numbers have 32 bits where none is given; NumPy's scalars stay scalars.
    """
    if isinstance(x, (np.ndarray, np.generic)):
        return x if dtype is None or name_of(x.dtype) == dtype else cast(x, dtype)
    literal = isinstance(x, (list, tuple, *PYTHON))
    array = _read(x)
    if array.dtype.kind in "OSUMm":
        raise TypeError(
            f"A tensor holds numbers. Received: x={x!r}, of dtype {array.dtype}. "
            "Turn it into numbers first."
        )
    if dtype is None:
        dtype = _LITERALS.get(array.dtype.kind) if literal else None
        if dtype is None:
            return array
    # Converting literals again checks that large integers fit.
    again = literal and array.dtype.kind in "iu"
    return np.asarray(x, numpy_dtype(dtype)) if again else cast(array, dtype)


def cast(x: Any, dtype: str) -> Array:
    """An array in another dtype; of complex numbers the real part."""
    target = numpy_dtype(dtype)
    x = np.asarray(x)
    if x.dtype.kind == "c" and target.kind not in "cb":
        x = x.real  # said aloud: NumPy warns of it otherwise
    with np.errstate(all="ignore"):
        return x.astype(target, copy=False)


def _read(x: Any) -> Array:
    if hasattr(x, "detach"):  # a tensor that is being differentiated isn't given away otherwise
        x = x.detach()
    if hasattr(x, "__dlpack__") and not hasattr(x, "__array__"):
        return np.array(np.from_dlpack(x))
    return np.asarray(x)
