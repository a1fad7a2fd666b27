"""The names of `tfmot.quantization.keras.quantizers`."""

from ..._ranges import AllValuesQuantizer as AllValuesQuantizer
from ..._ranges import FixedQuantizer as FixedQuantizer
from ..._ranges import LastValueQuantizer as LastValueQuantizer
from ..._ranges import MovingAverageQuantizer as MovingAverageQuantizer
