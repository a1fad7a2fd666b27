"""Masks travel with tensors: as an attribute, or beside those that take none (NumPy arrays)."""

from __future__ import annotations

import threading
import weakref
from typing import Any


class _Beside(threading.local):
    def __init__(self) -> None:
        self.masks: dict[int, tuple[weakref.ref[Any], Any]] = {}


_beside = _Beside()


def get_keras_mask(x: Any) -> Any:
    """The mask of a tensor, or None."""
    mask = getattr(x, "_keras_mask", None)
    if mask is None and _beside.masks:
        entry = _beside.masks.get(id(x))
        if entry is not None and entry[0]() is x:
            return entry[1]
    return mask


def set_keras_mask(x: Any, mask: Any) -> None:
    """Attach a mask to a tensor; None takes it away."""
    try:
        x._keras_mask = mask
    except AttributeError:
        key = id(x)
        masks = _beside.masks
        masks.pop(key, None)
        if mask is not None:
            masks[key] = (weakref.ref(x, lambda _: masks.pop(key, None)), mask)
