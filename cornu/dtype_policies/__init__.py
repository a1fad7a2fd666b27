"""Dtype policies: what layers compute in, and what their weights are kept in."""

from __future__ import annotations

from typing import TYPE_CHECKING as _TYPE_CHECKING

from ..core.later import later as _later
from ._policy import QUANTIZED as QUANTIZED
from ._policy import DTypePolicy as DTypePolicy
from ._policy import DTypePolicyMap as DTypePolicyMap
from ._policy import FloatDTypePolicy as FloatDTypePolicy
from ._policy import deserialize as deserialize
from ._policy import dtype_policy as dtype_policy
from ._policy import get as get
from ._policy import serialize as serialize
from ._policy import set_dtype_policy as set_dtype_policy

if _TYPE_CHECKING:
    from ._quantized import AWQDTypePolicy as AWQDTypePolicy
    from ._quantized import GPTQDTypePolicy as GPTQDTypePolicy
    from ._quantized import Int4DTypePolicy as Int4DTypePolicy
    from ._quantized import QuantizedDTypePolicy as QuantizedDTypePolicy
    from ._quantized import QuantizedFloat8DTypePolicy as QuantizedFloat8DTypePolicy
else:
    _names = ("AWQ", "GPTQ", "Int4", "Quantized", "QuantizedFloat8")
    _later_names = {"_quantized": " ".join(f"{name}DTypePolicy" for name in _names)}
    __getattr__, __dir__ = _later(globals(), _later_names)
