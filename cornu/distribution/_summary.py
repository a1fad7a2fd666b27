"""What a device has of a model: before the first step, without drawing a weight."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ..core.dtypes import numpy_dtype
from ..engines.contract import parts


def summary(distribution: Any, model: Any, print_fn: Callable[[str], Any] = print) -> int:
    """Print how each weight of a model lies, and the bytes that a device has of it.

    Args:
        distribution: The distribution.
        model: The model; where it is compiled and its optimizer is built, that is counted too.
        print_fn: What prints a line.

    Returns:
        The bytes that a device has of all.
    """
    rows = [("variable", "shape", "layout", "bytes per device")]
    totals: dict[str, tuple[int, int]] = {}
    optimizer = getattr(model, "optimizer", None)
    for owner, variables in (
        ("weights", model.variables),
        ("optimizer", getattr(optimizer, "variables", [])),
    ):
        for variable in variables:
            of = variable if variable.kept_for is None else variable.kept_for
            is_alike = of.stored_shape == variable.stored_shape
            layout = distribution.get_variable_layout(of if is_alike else variable)
            whole = math.prod(variable.stored_shape) * numpy_dtype(variable.stored_dtype).itemsize
            own = whole // parts(layout)
            first, second = totals.get(owner, (0, 0))
            totals[owner] = first + own, second + whole
            if owner == "weights":
                axes = ", ".join("-" if axis is None else str(axis) for axis in layout.axes)
                rows.append((variable.path, str(variable.stored_shape), axes, f"{own:,}"))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        *texts, number = (cell.ljust(n) for cell, n in zip(row, widths, strict=True))
        print_fn("  ".join([*texts, number.strip().rjust(widths[-1])]))
    for owner, (own, whole) in totals.items():
        print_fn(f"{owner}: {own:,} bytes on each device of {whole:,}")
    return sum(own for own, _ in totals.values())
