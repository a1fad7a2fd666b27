"""The one trainer."""

from typing import TYPE_CHECKING

from ..core.later import later
from ..data import pack_x_y_sample_weight as pack_x_y_sample_weight
from ..data import unpack_x_y_sample_weight as unpack_x_y_sample_weight
from ._home import at_home as at_home
from ._programs import prepare as prepare
from ._run import Run as Run
from ._trainer import Trainer as Trainer

if TYPE_CHECKING:
    from ._nan import Origin as Origin
    from ._nan import find_nan as find_nan
else:
    __getattr__, __dir__ = later(globals(), {"_nan": "Origin find_nan"})
