"""A rule of many arguments, in one place with its error."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def one_of(allowed: Iterable[Any], /, **given: Any) -> None:
    """Check that arguments, given by their names, are among the values that they may have.

    >>> one_of(("rows", "columns"), mode="cells")
    Traceback (most recent call last):
    ValueError: `mode` must be one of ['rows', 'columns']. Received: mode='cells'.
    """
    known = list(allowed)
    for name, value in given.items():
        if value not in known:
            raise ValueError(f"`{name}` must be one of {known}. Received: {name}={value!r}.")
