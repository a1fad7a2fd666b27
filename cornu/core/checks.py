"""Rules of many arguments, each in one place with its error."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np


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


def installed(modules: str, what: str, extra: str) -> None:
    """Check that packages, of which the modules are given, are there for what needs them.

    >>> installed("numpy", "Arithmetic", "numbers")
    """
    for module in modules.split():
        if importlib.util.find_spec(module) is None:
            raise ModuleNotFoundError(
                f"{what} needs the package `{module.replace('_', '-')}`. Received: none installed. "
                f"Install it: pip install 'cornu[{extra}]'"
            )


def is_size(value: Any, minimum: int = 1) -> bool:
    """Whether a value is an integer, at least so large."""
    integer = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    return integer and value >= minimum


def listed(value: Any) -> tuple[Any, ...] | None:
    """What a sequence or an array has; None for anything else, such as one size for all axes.

    >>> listed([1, None]), listed(np.array([2, 3])), listed(np.array(2))
    ((1, None), (2, 3), None)
    """
    if isinstance(value, np.ndarray) and value.ndim:
        value = value.tolist()
    several = isinstance(value, Sequence) and not isinstance(value, str)
    return tuple(value) if several else None


def per_axis(value: Any, rank: int, name: str, minimum: int = 1) -> tuple[int, ...]:
    """One size for each spatial axis, from one for all or one each.

    >>> per_axis(3, 2, "kernel_size"), per_axis(np.array([1, 2]), 2, "strides")
    ((3, 3), (1, 2))
    """
    given = listed(value)
    values = (value,) * rank if given is None else given
    if len(values) != rank or not all(is_size(v, minimum) for v in values):
        several = (
            f" or {rank} integers, at least {minimum} each" if rank > 1 else f", at least {minimum}"
        )
        raise ValueError(f"`{name}` must be an integer{several}. Received: {name}={value!r}.")
    return tuple(map(int, values))


def positive_integer(**given: Any) -> None:
    """Check that arguments, given by their names, are integers, Python's or NumPy's, above 0.

    >>> positive_integer(units=0)
    Traceback (most recent call last):
    ValueError: `units` must be a positive integer. Received: units=0.
    """
    for name, value in given.items():
        if not is_size(value):
            raise ValueError(f"`{name}` must be a positive integer. Received: {name}={value!r}.")


def share(**given: Any) -> None:
    """Check that arguments, given by their names, are shares of a whole.

    >>> share(dropout=1.5)
    Traceback (most recent call last):
    ValueError: `dropout` must lie in [0, 1]. Received: dropout=1.5.
    """
    for name, value in given.items():
        if not is_number(value) or not 0 <= value <= 1:
            raise ValueError(f"`{name}` must lie in [0, 1]. Received: {name}={value!r}.")


def is_number(value: Any) -> bool:
    """Whether a value is a real number, Python's or NumPy's.

    >>> is_number(0.5), is_number(np.float32(1)), is_number(True), is_number("1")
    (True, True, False, False)
    """
    return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
