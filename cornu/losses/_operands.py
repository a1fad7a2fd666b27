"""What loss functions do with their operands before anything else."""

from __future__ import annotations

from typing import Any

from .. import ops
from ._reduction import squeeze_or_expand_to_same_rank


def operands(y_true: Any, y_pred: Any) -> tuple[Any, Any]:
    """Targets and predictions as tensors of the predictions' dtype, brought to one rank."""
    y_true, y_pred = tensors(y_true, y_pred)
    return squeeze_or_expand_to_same_rank(y_true, y_pred)


def tensors(y_true: Any, y_pred: Any) -> tuple[Any, Any]:
    """Targets and predictions as tensors of the predictions' dtype."""
    y_pred = ops.convert_to_tensor(y_pred)
    return ops.convert_to_tensor(y_true, y_pred.dtype), y_pred
