"""A product and an offset as one op: what every dense layer is made of."""

from __future__ import annotations

from ..core.op import namespace
from ..core.types import Tensor
from ..engines import current as engine

op = namespace("nn")


@op
def affine(x: Tensor, kernel: Tensor, bias: Tensor) -> Tensor:
    """`x @ kernel + bias`: one call of the engine, where most have one kernel for it.

    Args:
        x: (..., features).
        kernel: (features, units).
        bias: (units,).
    """
    return engine().add(engine().matmul(x, kernel), bias)
