"""What says where it is, and goes on from there: data, callbacks, and those of other libraries."""

from __future__ import annotations

from typing import Any

import numpy as np

#: The names of the two methods in the libraries of the field, ours first: grain's, PyTorch's.
_METHODS = (("state", "restore"), ("state_dict", "load_state_dict"), ("get_state", "set_state"))


def has_position(x: Any) -> bool:
    """Whether an object says where it is."""
    return _methods(x) is not None


def position(x: Any) -> Any:
    """What an object says of where it is; None where it says nothing, or more than a file holds.

    >>> class Counter:
    ...     count = 3
    ...     def state_dict(self):
    ...         return {"count": self.count}
    ...     def load_state_dict(self, state):
    ...         self.count = state["count"]
    >>> position(Counter()), position(object())
    ({'count': 3}, None)
    """
    said = said_by(x)
    return said if is_plain(said) else None


def said_by(x: Any) -> Any:
    """What an object says of where it is, whatever that may be."""
    methods = _methods(x)
    return getattr(x, methods[0])() if methods else None


def go_on(x: Any, said: Any) -> None:
    """Let an object go on from where it, or another one like it, said that it was."""
    methods = _methods(x)
    if methods is None:
        raise TypeError(
            "What goes on from a position has `state()` and `restore(state)`, or "
            f"`state_dict()` and `load_state_dict(state)`. Received: {type(x).__name__}. Define both."
        )
    getattr(x, methods[1])(said)


def is_plain(said: Any) -> bool:
    """Whether a value consists of numbers, texts, bytes, NumPy arrays, lists, tuples and dictionaries by name."""
    if isinstance(said, dict):
        return all(isinstance(key, str) and is_plain(value) for key, value in said.items())
    if isinstance(said, (list, tuple)):
        return all(map(is_plain, said))
    if isinstance(said, (np.ndarray, np.generic)):
        return said.dtype.kind not in "OSUMm" and said.dtype.fields is None
    return said is None or isinstance(said, (bool, int, float, str, bytes))


def _methods(x: Any) -> tuple[str, str] | None:
    return next((p for p in _METHODS if all(callable(getattr(x, n, None)) for n in p)), None)
