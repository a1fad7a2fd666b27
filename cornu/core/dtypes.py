"""Dtypes by name, and the dtype that several operands are promoted to.

Promotion is a lattice, the one that JAX documents and Keras uses on every engine: the result is the
least dtype above all operands, in 32 bits at most. Python numbers are weak: `int` stands below every integer dtype and
`float` below every float dtype, so that a literal never widens a tensor.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from .. import engines
from ..engines.host import numpy_dtype as numpy_dtype
from .config import floatx

#: Each dtype, and the dtypes directly above it. `int`, `float`, `complex` are the weak ones.
_ABOVE: dict[str, tuple[str, ...]] = {
    "bool": ("int",),
    "int": ("uint8", "int8"),
    "uint8": ("int16", "uint16"),
    "uint16": ("int32", "uint32"),
    "uint32": ("int64", "uint64"),
    "uint64": ("float",),
    "int8": ("int16",),
    "int16": ("int32",),
    "int32": ("int64",),
    "int64": ("float",),
    "float": ("bfloat16", "float16", "complex"),
    "bfloat16": ("float32",),
    "float16": ("float32",),
    "float32": ("float64", "complex64"),
    "float64": ("complex128",),
    "complex": ("complex64",),
    "complex64": ("complex128",),
    "complex128": (),
}
#: Promotion stays within 32 bits, which is all that accelerators do well, unless floatx is float64.
_NARROW = {
    "int64": "int32",
    "uint64": "uint32",
    "float64": "float32",
    "complex128": "complex64",
}
FLOAT8 = ("float8_e4m3fn", "float8_e5m2")
ALLOWED = {*_ABOVE, *FLOAT8, "string"} - {"int", "float", "complex"}
_PYTHON = {bool: "bool", int: "int32", str: "string"}


def standardize_dtype(dtype: Any) -> str:
    """The standard name of a dtype given as a name, a Python type or any library's dtype.

    >>> standardize_dtype(np.float16), standardize_dtype(int), standardize_dtype(None)
    ('float16', 'int32', 'float32')
    """
    if dtype.__class__ is str and dtype in ALLOWED:
        return str(dtype)
    return _numpy_name(dtype) if isinstance(dtype, np.dtype) else _standardize(dtype)


@functools.cache
def _numpy_name(dtype: np.dtype[Any]) -> str:
    """A NumPy dtype's name, which NumPy works out anew at each asking (2 us)."""
    return _standardize(dtype)


def _standardize(dtype: Any) -> str:
    # A NumPy dtype equals names such as "int", which mean other dtypes here.
    alias = dtype if isinstance(dtype, str) else None
    if dtype is None or dtype is float or alias == "float":
        return floatx()
    if alias == "int":
        return "int32"
    if isinstance(dtype, type) and dtype in _PYTHON:
        return _PYTHON[dtype]
    name = getattr(dtype, "name", None)
    if not isinstance(name, str):
        name = getattr(dtype, "__name__", None) or str(dtype).rpartition(".")[2]
    if name not in ALLOWED and not isinstance(dtype, (str, type)):
        name = engines.current().dtype_name(dtype)
    if name not in ALLOWED:
        raise ValueError(f"A dtype must be one of {sorted(ALLOWED)}. Received: dtype={dtype!r}.")
    return str(name)


@functools.cache
def _upper(dtype: str) -> frozenset[str]:
    """The dtype and everything above it."""
    return frozenset({dtype}).union(*(_upper(above) for above in _ABOVE[dtype]))


@functools.cache
def _join(dtypes: frozenset[str]) -> str:
    common = frozenset.intersection(*(_upper(dtype) for dtype in dtypes))
    (least,) = (dtype for dtype in common if _upper(dtype) == common)
    return least


@functools.lru_cache(maxsize=4096)
def _result_type(dtypes: tuple[Any, ...], default_float: str) -> str:
    weak = {int: "int", float: "float", complex: "complex", "int": "int", "float": "float"}
    names = frozenset(weak.get(dtype) or standardize_dtype(dtype) for dtype in dtypes)
    if len(names) == 1 and (names <= {*FLOAT8, "string"}):
        return next(iter(names))
    if names & {*FLOAT8, "string"}:
        raise ValueError(
            f"float8 and string are not promoted with other dtypes. Received: dtypes={dtypes}. "
            "Cast the operands to one dtype first."
        )
    joined = _join(names)
    joined = {"int": "int32", "float": default_float, "complex": "complex64"}.get(joined, joined)
    return joined if default_float == "float64" else _NARROW.get(joined, joined)


def result_type(*dtypes: Any) -> str:
    """The dtype that operands of these dtypes are promoted to.

    The types `int` and `float` stand for Python numbers.

    >>> result_type("int32", "float16"), result_type("uint8", "int8"), result_type("bfloat16", float)
    ('float16', 'int16', 'bfloat16')
    """
    if not dtypes:
        return floatx()
    return _result_type(dtypes, floatx())


def is_float(dtype: str) -> bool:
    """Whether a dtype's name is one of real floats.

    >>> is_float("bfloat16"), is_float("complex64")
    (True, False)
    """
    return "float" in dtype


def is_complex(dtype: str) -> bool:
    """Whether a dtype's name is one of complex numbers."""
    return dtype.startswith("complex")


def is_integer(dtype: str) -> bool:
    """Whether a dtype's name is one of integers."""
    return "int" in dtype
