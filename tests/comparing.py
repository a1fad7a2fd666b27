"""What tests against Keras share: names of rows, and signatures."""

from __future__ import annotations

import inspect
from typing import Any


def case_name(value: Any) -> str:
    """The id of a part of a row; arguments as `name=value`."""
    if isinstance(value, dict):
        return ",".join(f"{key}={item}" for key, item in value.items()) or "-"
    return str(value)


def same_signature(ours: Any, theirs: Any) -> None:
    """Assert that two callables have the same parameters, in order, with the same defaults."""
    ours, theirs = (
        {
            name: parameter.default
            for name, parameter in inspect.signature(target).parameters.items()
            if parameter.kind is not parameter.VAR_KEYWORD
        }
        for target in (ours, theirs)
    )
    assert list(ours) == list(theirs)
    assert ours == theirs
