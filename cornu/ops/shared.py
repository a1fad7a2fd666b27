"""What layers share with ops, beside what `cornu.ops` names: ops in one piece, axes from the front."""

from __future__ import annotations

from ._activations import mish as mish
from ._affine import affine as affine
from ._bodies import axes_from_front as axes_from_front
from ._bodies import axis_from_front as axis_from_front
from ._core import owned as owned
from ._elementwise import largest_finite as largest_finite
from ._normalization import batch_normalized as batch_normalized
from ._recurrent import ACTIVATIONS as ACTIVATIONS
from ._recurrent import gru as gru
from ._recurrent import lstm as lstm
from ._recurrent import rnn as rnn
from ._recurrent import simple_rnn as simple_rnn
from ._resample import FILL_MODES as FILL_MODES
from ._resample import READINGS as READINGS
from ._resample import homography as homography
from ._resample import sample_images as sample_images
from ._resample import warp_images as warp_images
