"""Cross-validation: data of arrays in parts, each of which once validates."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..core import tree
from ..core.checks import is_size
from .errors import FatalValueError


def folds(
    parts: int, seed: int, x: Any, y: Any = None, **kwargs: Any
) -> Iterator[tuple[tuple[Any, ...], dict[str, Any]]]:
    """The arguments of `fit`, once for each part: trained on the others, validated on it.

    Args:
        parts: How many.
        seed: What the order follows from, in which the rows are divided.
        x, y: Arrays (rows, ...), or trees of them; a `sample_weight` among the others is divided too.
        **kwargs: The other arguments.

    Raises:
        FatalValueError: If there are no two parts, or fewer rows; the data are no arrays; or validation data are given.

    >>> (args, kwargs), *others = folds(2, 0, np.arange(5), np.arange(5))
    >>> len(args[0]), len(kwargs["validation_data"][0]), len(others)
    (2, 3, 1)
    """
    given = {"x": x, "y": y, "sample_weight": kwargs.pop("sample_weight", None)}
    leaves = [leaf for leaf in tree.flatten(given) if leaf is not None]
    rows = {len(leaf) if hasattr(leaf, "__getitem__") and np.ndim(leaf) else -1 for leaf in leaves}
    if len(rows) != 1 or -1 in rows or not is_size(parts, 2) or parts > min(rows):
        raise FatalValueError(
            "`cross_validation` divides the rows of arrays of one length into at least 2 parts. "
            f"Received: cross_validation={parts!r}, data of {sorted(rows)} rows."
        )
    if "validation_data" in kwargs or "validation_split" in kwargs:
        raise FatalValueError(
            "A cross-validation makes its own validation data. Received: validation data too."
        )
    order = np.random.default_rng(seed).permutation(rows.pop())
    for part in range(parts):
        held = np.zeros(len(order), bool)
        held[order[part::parts]] = True
        train, test = _rows(given, ~held), _rows(given, held)
        data = tuple(value for value in test.values() if value is not None)
        yield (
            (train["x"], train["y"]),
            {**kwargs, "sample_weight": train["sample_weight"], "validation_data": data},
        )


def _rows(data: Any, chosen: Any) -> Any:
    return tree.map_structure(lambda leaf: None if leaf is None else np.asarray(leaf)[chosen], data)
