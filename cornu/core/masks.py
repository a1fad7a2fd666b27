"""Masks travel with tensors: as an attribute, or beside those that take none (NumPy arrays)."""

from __future__ import annotations

import weakref
from typing import Any

from . import tree

#: By the tensor's id. No thread's own: a tensor may be handed to another thread, with its mask.
_beside: dict[int, tuple[weakref.ref[Any], Any]] = {}


def get_keras_mask(x: Any) -> Any:
    """The mask of a tensor, or None."""
    mask = getattr(x, "_keras_mask", None)
    if mask is None and _beside:
        entry = _beside.get(id(x))
        if entry is not None and entry[0]() is x:
            return entry[1]
    return mask


def set_keras_mask(x: Any, mask: Any) -> None:
    """Attach a mask to a tensor; None takes it away."""
    try:
        x._keras_mask = mask
    except AttributeError:
        key = id(x)
        _beside.pop(key, None)
        if mask is not None:
            _beside[key] = (weakref.ref(x, lambda _: _beside.pop(key, None)), mask)


def masks_of(structure: Any) -> list[Any]:
    """The masks of a structure's leaves, to go with it where an engine gives back other tensors."""
    return [get_keras_mask(x) for x in tree.flatten(structure)]


def put_masks(structure: Any, masks: list[Any]) -> None:
    """Attach to a structure's leaves the masks that `masks_of` found."""
    for x, mask in zip(tree.flatten(structure), masks, strict=True):
        if mask is not None:
            set_keras_mask(x, mask)


def check_mask(mask: Any, x: Any, path: str) -> None:
    """Refuse a mask that is not of the first axes, (batch, time), of a layer's inputs."""
    given, expected = tuple(mask.shape), tuple(x.shape)
    pairs = zip(given[:2], expected, strict=False)
    if len(given) < 2 or any(a != b for a, b in pairs if a is not None and b is not None):
        raise ValueError(
            "A mask must have the inputs' batch and time. Received: "
            f"mask.shape={given} for inputs of shape {expected} in the layer {path!r}."
        )
