"""What a number becomes that is kept in few bits, and how gradients pass by."""

from __future__ import annotations

from typing import Any

from ..core.checks import is_size
from ..core.op import namespace
from ..core.types import Raw, Tensor
from ..engines import current as engine
from ..ops.shared import axis_from_front

op = namespace("quantizers")


@op
def fake_quant_with_min_max_vars(
    inputs: Raw,
    min_vals: Raw,
    max_vals: Raw,
    num_bits: int = 8,
    narrow_range: bool = False,
    axis: int | None = None,
) -> Tensor:
    """The nearest numbers that `num_bits` bits can say between a least and a largest one.

    The range is moved so that 0 is one of the numbers (Jacob et al., 2017, section 3,
    https://arxiv.org/abs/1712.05877). Gradients pass where the input lies in it; those of inputs
    below go to `min_vals`, those above to `max_vals`.

    Args:
        inputs: Floats of any shape. Whatever their dtype, float32 is computed in, or float64.
        min_vals, max_vals: Scalars, or tensors of shape `(channels,)`.
        num_bits: From 2 to 16.
        narrow_range: Whether the least of the numbers is left out, so that as many lie below 0 as above.
        axis: The axis of the channels; the last one where it is left out.

    Returns:
        Floats of the inputs' shape and dtype.

    Raises:
        ValueError: If there are no so many bits, or no such axis.

    >>> [round(x, 2) for x in fake_quant_with_min_max_vars([0.1, 0.4, 2.0], 0.0, 1.5, 2).tolist()]
    [0.0, 0.5, 1.5]
    """
    if not is_size(num_bits, 2) or num_bits > 16:
        raise ValueError(
            f"`num_bits` must be an integer from 2 to 16. Received: num_bits={num_bits!r}."
        )
    dtype = engine().dtype_of(inputs)
    wide = dtype if dtype == "float64" else "float32"
    x = engine().cast(inputs, wide)
    low, high = (_along(axis, x, engine().cast(end, wide)) for end in (min_vals, max_vals))
    value, below, above = _nearest(x, low, high, float(narrow_range), 2.0**num_bits - 1)
    passing = engine().where(below, low, engine().where(above, high, x))
    # What is added is 0, whose gradient is that of `passing`.
    result = engine().stop_gradient(value) + (passing - engine().stop_gradient(passing))
    return engine().cast(result, dtype)


def _along(axis: int | None, x: Tensor, ends: Tensor) -> Tensor:
    """The ends of ranges with the axis of the channels where it is in x."""
    if axis is None or not engine().shape_of(ends):
        return ends
    rank = len(engine().shape_of(x))
    axis = axis_from_front(axis, rank)
    return engine().reshape(ends, (-1, *(1,) * (rank - 1 - axis)))


def _nearest(x: Tensor, low: Tensor, high: Tensor, least: float, most: float) -> tuple[Any, ...]:
    """The nearest numbers, and which of x lie below their range and above it; codes are least to most."""
    nothing, one, first, last = (
        engine().full((), end, engine().dtype_of(x)) for end in (0, 1, least, most)
    )
    empty = engine().equal(high, low)
    span = engine().where(empty, one, high - low)
    scale, inverse = span / (last - first), (last - first) / span
    zero = engine().minimum(engine().maximum(first - low / scale, first), last)
    zero = engine().round(zero)
    bottom, top = (first - zero) * scale, (last - zero) * scale
    below, above = x < bottom, x > top
    inside = engine().where(below, bottom, engine().where(above, top, x))
    half = engine().full((), 0.5, engine().dtype_of(x))
    value = (engine().floor(inside * inverse + zero + half) - zero) * scale
    return engine().where(empty, nothing, value), below, above
