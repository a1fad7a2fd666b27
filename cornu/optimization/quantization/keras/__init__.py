"""The names of `tfmot.quantization.keras`."""

from ..._quantizing import QuantizeConfig as QuantizeConfig
from ..._quantizing import quantize_annotate_layer as quantize_annotate_layer
from ..._quantizing import quantize_annotate_model as quantize_annotate_model
from ..._quantizing import quantize_apply as quantize_apply
from ..._quantizing import quantize_model as quantize_model
from ..._quantizing import quantize_scope as quantize_scope
from . import default_8bit as default_8bit
from . import quantizers as quantizers
