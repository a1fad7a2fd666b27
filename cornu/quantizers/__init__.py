"""Quantizers: numbers in few bits, and back."""

from __future__ import annotations

from ._fake import fake_quant_with_min_max_vars as fake_quant_with_min_max_vars
from ._functions import abs_max_quantize as abs_max_quantize
from ._functions import compute_float8_amax_history as compute_float8_amax_history
from ._functions import compute_float8_scale as compute_float8_scale
from ._functions import pack_int4 as pack_int4
from ._functions import quantize_and_dequantize as quantize_and_dequantize
from ._functions import unpack_int4 as unpack_int4
