"""Quantizers: numbers in few bits, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..core.serialization import Catalog as _Catalog
from ..core.serialization import kinds as _kinds
from ._calibrated import AWQConfig as AWQConfig
from ._calibrated import GPTQConfig as GPTQConfig
from ._config import CONFIGS as CONFIGS
from ._config import AbsMaxQuantizer as AbsMaxQuantizer
from ._config import Float8QuantizationConfig as Float8QuantizationConfig
from ._config import Int4QuantizationConfig as Int4QuantizationConfig
from ._config import Int8QuantizationConfig as Int8QuantizationConfig
from ._config import QuantizationConfig as QuantizationConfig
from ._config import Quantizer as Quantizer
from ._config import serialize as serialize
from ._fake import fake_quant_with_min_max_vars as fake_quant_with_min_max_vars
from ._functions import abs_max_quantize as abs_max_quantize
from ._functions import (
    abs_max_quantize_grouped_with_zero_point as abs_max_quantize_grouped_with_zero_point,
)
from ._functions import compute_float8_amax_history as compute_float8_amax_history
from ._functions import compute_float8_scale as compute_float8_scale
from ._functions import pack_int4 as pack_int4
from ._functions import quantize_and_dequantize as quantize_and_dequantize
from ._functions import unpack_int4 as unpack_int4

_CATALOG = _Catalog("quantizer", _kinds(globals(), Quantizer), {})


def get(identifier: Any, **kwargs: Any) -> Any:
    """The quantizer that a name, a config, a class or a callable means; None for None.

    Args:
        identifier: What means it.
        **kwargs: Arguments of its constructor, beside a name or a class.

    Raises:
        ValueError: If it means none.

    >>> get("abs_max_quantizer", axis=0).axis
    (0,)
    """
    if kwargs and isinstance(identifier, str):
        identifier = {"class_name": identifier, "config": kwargs}
    return (
        identifier(**kwargs)
        if kwargs and isinstance(identifier, type)
        else _CATALOG.get(identifier)
    )


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """The quantizer that `serialize` described.

    >>> deserialize({"class_name": "AbsMaxQuantizer", "config": {"axis": 0}}).axis
    (0,)
    """
    return _CATALOG.deserialize(config, custom_objects)
