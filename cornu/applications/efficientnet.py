"""EfficientNet: one network, scaled in depth, width and size of images at once."""

from __future__ import annotations

import math
from typing import Any

from ..layers import Normalization, Rescaling, ZeroPadding2D
from ._blocks import halving_pad
from ._efficient import Efficient, Stage
from ._network import Standard, channel_axis, network, preprocessing
from ._weights import IMAGENET
from .imagenet_utils import DEVIATIONS
from .imagenet_utils import decode_predictions as decode_predictions

STAGES = (
    Stage(1, 16, 1, 1),
    Stage(2, 24, 6, 2),
    Stage(2, 40, 6, 2, window=5),
    Stage(3, 80, 6, 2),
    Stage(3, 112, 6, 1, window=5),
    Stage(4, 192, 6, 2, window=5),
    Stage(1, 320, 6, 1),
)


class _Scaled(Standard, Efficient):
    home, file = "keras-applications", "{name}{top}"
    source = "https://arxiv.org/abs/1905.11946"
    momentum, depthwise, padded = 0.99, "dwconv", True
    least, counts_all = 0.9, True

    def features(self, x: Any, scale: tuple[float, float], dropout: float) -> Any:
        (self.wider, deeper), self.dropout = scale, dropout
        x = Rescaling(1 / 255)(x)
        x = Normalization(axis=channel_axis())(x)
        if self.weights == IMAGENET:
            # Published weights have divided by the variance where they should by the deviation.
            x = Rescaling([1 / math.sqrt(deviation) for deviation in DEVIATIONS])(x)
        x = ZeroPadding2D(halving_pad(x, 3), name="stem_conv_pad")(x)
        x = self.conv(x, self.width(32), 3, "stem_conv", strides=2, padding="valid")
        x = self.norm(x, "stem_bn", "stem_activation")
        return self.top(self.stages(x, STAGES, deeper))


EfficientNetB0 = network(_Scaled, "EfficientNetB0", 5_330_571, 224, scale=(1.0, 1.0), dropout=0.2)
EfficientNetB1 = network(_Scaled, "EfficientNetB1", 7_856_239, 240, scale=(1.0, 1.1), dropout=0.2)
EfficientNetB2 = network(_Scaled, "EfficientNetB2", 9_177_569, 260, scale=(1.1, 1.2), dropout=0.3)
EfficientNetB3 = network(_Scaled, "EfficientNetB3", 12_320_535, 300, scale=(1.2, 1.4), dropout=0.3)
EfficientNetB4 = network(_Scaled, "EfficientNetB4", 19_466_823, 380, scale=(1.4, 1.8), dropout=0.4)
EfficientNetB5 = network(_Scaled, "EfficientNetB5", 30_562_527, 456, scale=(1.6, 2.2), dropout=0.4)
EfficientNetB6 = network(_Scaled, "EfficientNetB6", 43_265_143, 528, scale=(1.8, 2.6), dropout=0.5)
EfficientNetB7 = network(_Scaled, "EfficientNetB7", 66_658_687, 600, scale=(2.0, 3.1), dropout=0.5)
preprocess_input = preprocessing(_Scaled)
