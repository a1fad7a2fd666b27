"""What the logger `cornu` says of compiled steps: what was compiled, how long it took, and why again."""

from __future__ import annotations

import os.path
from typing import Any

from .. import tuning
from .loops import flatten

#: The structure of arguments, and each one's dtype and shape.
Kind = tuple[Any, list[str]]


def kind_of(args: Any) -> Kind:
    """What a program is made for."""
    leaves, structure = flatten(args)
    return structure, [f"{getattr(x, 'dtype', type(x).__name__)}{_shape(x)}" for x in leaves]


def say_made(done: str, step: Any, args: Any, seconds: float, before: list[Kind]) -> None:
    """Say that a step was compiled, and what differs from the time before; `before` keeps the kinds."""
    if not tuning.says():
        return
    kind = kind_of(args)
    why = f" again, for {_difference(before[-1], kind)}" if before else ""
    before.append(kind)
    name = getattr(step, "__qualname__", "step").replace(".<locals>", "")
    tuning.say("%s: %s in %.2f s%s.", name, done, seconds, why)


def _difference(before: Kind, now: Kind) -> str:
    """What changed from one kind of arguments to the next."""
    if before[0] != now[0]:
        return f"arguments of another structure, {now[0]} after {before[0]}"
    pairs = zip(_names(now[0].paths()), before[1], now[1], strict=True)
    changed = [f"argument {name}, {new} after {old}" for name, old, new in pairs if new != old]
    return "; ".join(changed) or "a setting, or a variable's shape or dtype, that changed"


def _names(paths: list[tuple[Any, ...]]) -> list[str]:
    """Short names of arguments, without what all of their paths begin with: `0`, `1['ids']`."""
    common = os.path.commonprefix(paths) if len(paths) > 1 else paths[0][:-1] if paths else ()
    rest = [path[len(common) :] for path in paths]
    return [f"{first}{''.join(f'[{key!r}]' for key in keys)}" for first, *keys in rest]


def _shape(x: Any) -> str:
    return str(tuple(x.shape)) if hasattr(x, "shape") else ""
