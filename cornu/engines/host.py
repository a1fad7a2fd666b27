"""Conversion on the host: what every engine does by NumPy before its library takes over.

Functions without state, so that an engine that converts loads no other engine for it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

PYTHON = {bool: "bool", int: "int32", float: "float32", complex: "complex64"}
_SCATTER = {"add": np.add, "max": np.maximum, "min": np.minimum, "mul": np.multiply}
_NO_NUMBERS = "OSUTMm"
#: The kinds of arrays of strings; of objects that are such, too.
TEXT_KINDS = "OSUT"
_LITERALS = {"b": "bool", "i": "int32", "u": "uint32", "f": "float32", "c": "complex64"}


@functools.cache
def numpy_dtype(name: str) -> np.dtype[Any]:
    """The NumPy dtype of a name, those of ml_dtypes included."""
    if not name.startswith(("bfloat", "float8")):
        return np.dtype(name)
    import ml_dtypes  # not for an import of Cornu: it takes 5 ms

    return np.dtype(getattr(ml_dtypes, name, name))


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
    if isinstance(x, (np.ndarray, np.generic)) and x.dtype.kind not in _NO_NUMBERS:
        return x if dtype is None or name_of(x.dtype) == dtype else cast(x, dtype)
    literal = isinstance(x, (list, tuple, *PYTHON))
    array = _read(x)
    if array.dtype.kind in _NO_NUMBERS:
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


def holds_text(x: Any) -> bool:
    """Whether an array is one of strings, or of objects, which are strings then: no engine has such tensors.

    >>> holds_text(np.array(["a"])), holds_text(np.ones(2)), holds_text("a")
    (True, False, False)
    """
    return isinstance(x, (np.ndarray, np.generic)) and x.dtype.kind in TEXT_KINDS


@dataclass(frozen=True)
class Tabled:
    """A function of one array on the host that is a table: an element's value is its key's, or the default."""

    function: Callable[..., list[Any]]
    keys: list[Any]
    values: list[int]
    default: int

    def __call__(self, *arrays: Any) -> list[Any]:
        """What the function gives."""
        return self.function(*arrays)


def common_dtype(types: Sequence[Any]) -> str:
    """The widest dtype of the highest kind among dtypes and Python's types, which have only a kind.

    >>> common_dtype(["int64", "float16", float]), common_dtype(["int8", float])
    ('float16', 'float32')
    """
    ranks = [_rank(PYTHON.get(type_, type_)) for type_ in types]
    highest = max(ranks)
    pairs = list(zip(types, ranks, strict=True))
    own = [numpy_dtype(x) for x, rank in pairs if rank == highest and x not in PYTHON]
    if own:
        return functools.reduce(np.promote_types, own).name
    return next(PYTHON[x] for x, rank in pairs if rank == highest)


def _rank(dtype: str) -> int:
    """The place of a dtype's kind in the order from booleans to complex numbers."""
    return next(
        rank
        for rank, kinds in enumerate(("b", "iu", "fV", "c"))
        if numpy_dtype(dtype).kind in kinds
    )


def cast(x: Any, dtype: str) -> Array:
    """An array in another dtype; of complex numbers the real part."""
    target = numpy_dtype(dtype)
    x = np.asarray(x)
    if x.dtype.kind == "c" and target.kind not in "cb":
        x = x.real  # said aloud: NumPy warns of it otherwise
    with np.errstate(all="ignore"):
        return x.astype(target, copy=False)


def view(x: Any, dtype: str) -> Array:
    """The same bytes read as another dtype."""
    return np.asarray(x, order="C").view(numpy_dtype(dtype))


def scatter(x: Any, indices: Any, updates: Any, reduction: str) -> Array:
    """x with updates put at indices (..., k) by `set`, `add`, `max`, `min` or `mul`."""
    result = np.array(x)
    places = tuple(np.moveaxis(indices, -1, 0))
    if reduction == "set":
        result[places] = updates
    else:
        _SCATTER[reduction].at(result, places, updates)
    return result


def gamma(key: Any, shape: tuple[int, ...], alpha: Any) -> Any:
    """Gamma numbers of shape parameter alpha and scale 1, from a key."""
    return _generator(key).standard_gamma(np.asarray(alpha, np.float64), shape)


def binomial(key: Any, shape: tuple[int, ...], counts: Any, p: Any) -> Any:
    """Successes among `counts` trials of probability `p`, from a key."""
    trials, chance = np.asarray(counts, np.int64), np.asarray(p, np.float64)
    return _generator(key).binomial(trials, chance, shape)


def _generator(key: Any) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key=np.asarray(key).astype(np.uint64)))


def _read(x: Any) -> Array:
    if hasattr(x, "detach"):  # a tensor that is being differentiated isn't given away otherwise
        x = x.detach()
    if hasattr(x, "__dlpack__") and not hasattr(x, "__array__"):
        return np.array(np.from_dlpack(x))
    return np.asarray(x)
