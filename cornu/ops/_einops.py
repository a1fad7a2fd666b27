"""`rearrange`: axes split, merged and moved by a pattern such as `"b (h w) c -> b h w c"`."""

from __future__ import annotations

import functools
import math
import re
from typing import Any

from ..core.op import namespace
from ..core.types import Raw, Tensor
from ..engines import current as engine

op = namespace("einops")

Groups = tuple[tuple[str, ...], ...]

#: `...` within parentheses, where the further axes make up one.
_MERGED = "(...)"
_TOKEN = re.compile(r"\s*(\.\.\.|[A-Za-z_]\w*|1\b|\(|\))")


def rearrange(tensor: Any, pattern: str, **axes_lengths: int) -> Tensor:
    """A tensor with its axes split, merged and moved.

    Args:
        tensor: A tensor.
        pattern: The axes before and after `->`, each a name, or several in parentheses where they
            make up one axis; `...` stands for any further axes, `1` for an axis of size 1.
        **axes_lengths: Sizes of axes that the shape leaves open.

    Raises:
        ValueError: If the pattern is not one, or does not fit the tensor.

    >>> rearrange([[1, 2, 3, 4]], "b (h w) -> h (b w)", h=2).tolist()
    [[1, 2], [3, 4]]
    """
    return _rearrange(tensor, pattern, tuple(sorted(axes_lengths.items())))


@op(named="rearrange")
def _rearrange(tensor: Raw, pattern: str, axes_lengths: Any = ()) -> Tensor:
    dims = engine().shape_of(tensor)
    before, after = _plan(pattern, len(dims))
    sizes = _sizes(pattern, before, dims, dict(axes_lengths))
    order = [name for group in before for name in group]
    target = [name for group in after for name in group]
    split = engine().reshape(tensor, tuple(sizes[name] for name in order))
    moved = engine().transpose(split, tuple(order.index(name) for name in target))
    return engine().reshape(moved, tuple(math.prod([sizes[n] for n in group]) for group in after))


@functools.lru_cache(maxsize=1024)
def _plan(pattern: str, rank: int) -> tuple[Groups, Groups]:
    """The groups of axis names on both sides, with `...` written out for a tensor of a rank."""
    sides = pattern.split("->")
    if len(sides) != 2:
        raise _error("A pattern has one '->'", pattern)
    before, after = (_parse(side, pattern) for side in sides)
    if any(_MERGED in group for group in before):
        raise _error("'...' can't be in parentheses on the left", pattern)
    extra = rank - len(before) + 1 if ("...",) in before else 0
    if len(before) - (("...",) in before) + extra != rank or extra < 0:
        raise _error("A pattern has as many axes as the tensor", pattern, rank=rank)
    written = [f"...{i}" for i in range(extra)]
    before, after = (_written_out(side, written) for side in (before, after))
    left, right = ([name for group in side for name in group] for side in (before, after))
    if len(set(left)) < len(left) or len(set(right)) < len(right) or set(left) != set(right):
        raise _error("Each axis is named once on each side", pattern)
    return before, after


def _parse(side: str, pattern: str) -> Groups:
    groups: list[tuple[str, ...]] = []
    inner: list[str] | None = None
    at, side = 0, side.rstrip()
    while at < len(side):
        match = _TOKEN.match(side, at)
        if match is None:
            raise _error("A pattern is made of names, 1, '...' and parentheses", pattern)
        token, at = match.group(1), match.end()
        if token in "()":
            if (token == "(") != (inner is None):
                raise _error("Parentheses come in pairs, not nested", pattern)
            if inner is not None:
                groups.append(tuple(inner))
            inner = [] if token == "(" else None
        elif inner is not None:
            inner += [] if token == "1" else [_MERGED if token == "..." else token]
        else:
            groups.append((token,) if token != "1" else ())
    if inner is not None:
        raise _error("Parentheses come in pairs, not nested", pattern)
    return tuple(groups)


def _written_out(groups: Groups, names: list[str]) -> Groups:
    """Groups with `...` replaced: alone by groups of their own, in parentheses by names."""
    result: list[tuple[str, ...]] = []
    for group in groups:
        if group == ("...",):
            result += [(name,) for name in names]
        else:
            result.append(
                tuple(n for name in group for n in (names if name == _MERGED else [name]))
            )
    return tuple(result)


def _sizes(
    pattern: str, groups: Groups, dims: tuple[Any, ...], given: dict[str, Any]
) -> dict[str, Any]:
    """The size of every axis that the pattern names."""
    sizes: dict[str, Any] = dict(given)
    names = {name for group in groups for name in group}
    if not set(given) <= names:
        raise _error("Sizes are given for axes of the pattern", pattern, **given)
    for group, size in zip(groups, dims, strict=True):
        unknown = [name for name in group if name not in sizes]
        if len(unknown) > 1:
            raise _error("All sizes in parentheses but one must be given", pattern, **given)
        rest = math.prod([sizes[name] for name in group if name in sizes])
        known = isinstance(size, int) and isinstance(rest, int)
        if known and (size % rest if unknown else size != rest):
            raise _error("Sizes in a group multiply to that of the axis", pattern, shape=dims)
        if unknown:
            sizes[unknown[0]] = size // rest
    return sizes


def _error(rule: str, pattern: str, **received: Any) -> ValueError:
    named = "".join(f", {name}={value}" for name, value in received.items())
    return ValueError(
        f"{rule} in `rearrange`. Received: pattern={pattern!r}{named}. "
        "An example is rearrange(x, 'b (h w) c -> b h w c', h=8)."
    )
