"""EfficientNet v2: the first stages widen and look at neighbours in one convolution."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..initializers import Constant
from ..layers import Normalization, Rescaling
from ._efficient import Efficient, Stage
from ._network import channel_axis, network, preprocessing
from .imagenet_utils import DEVIATIONS, MEANS
from .imagenet_utils import decode_predictions as decode_predictions


def _stages(*rows: tuple[int, int, int, int]) -> tuple[Stage, ...]:
    """Stages of (blocks, filters, expansion, strides); the first three are fused."""
    return tuple(Stage(*row, fused=index < 3) for index, row in enumerate(rows))


BASE = _stages(
    *((1, 16, 1, 1), (2, 32, 4, 2), (2, 48, 4, 2)),
    *((3, 96, 4, 2), (5, 112, 6, 1), (8, 192, 6, 2)),
)
SMALL = _stages(
    *((2, 24, 1, 1), (4, 48, 4, 2), (4, 64, 4, 2)),
    *((6, 128, 4, 2), (9, 160, 6, 1), (15, 256, 6, 2)),
)
MEDIUM = _stages(
    *((3, 24, 1, 1), (5, 48, 4, 2), (5, 80, 4, 2)),
    *((7, 160, 4, 2), (14, 176, 6, 1), (18, 304, 6, 2), (5, 512, 6, 1)),
)
LARGE = _stages(
    *((4, 32, 1, 1), (7, 64, 4, 2), (7, 96, 4, 2)),
    *((10, 192, 4, 2), (19, 224, 6, 1), (25, 384, 6, 2), (7, 640, 6, 1)),
)


@dataclass
class _Fused(Efficient):
    include_top: bool = True
    weights: Any = "imagenet"
    input_tensor: Any = None
    input_shape: Any = None
    pooling: str | None = None
    classes: int = 1000
    classifier_activation: Any = "softmax"
    include_preprocessing: bool = True
    name: str | None = None

    source = "https://arxiv.org/abs/2104.00298"
    spelled = ("V2", "V2-")
    file = "efficientnet_v2/{name}{top}"
    momentum, depthwise, padded = 0.9, "dwconv2", False
    least, counts_all = 0, False
    dropout = 0.2
    bias = Constant(0.0)

    def features(
        self, x: Any, stages: tuple[Stage, ...], scale: tuple[float, float] = (1.0, 1.0)
    ) -> Any:
        is_base, (self.wider, deeper) = stages is BASE, scale
        if self.include_preprocessing:
            x = self.prepared(x, by_channel=is_base)
        stem = self.width(32) if is_base else stages[0].filters
        x = self.norm(self.conv(x, stem, 3, "stem_conv", strides=2), "stem_bn", "stem_activation")
        return self.top(self.stages(x, stages, deeper))

    def prepared(self, x: Any, by_channel: bool) -> Any:
        """Pixels as the weights were trained: from -1 to 1, or by the moments of each channel."""
        if not by_channel:
            return Rescaling(1 / 128, offset=-1)(x)
        variance = [deviation**2 for deviation in DEVIATIONS]
        moments = Normalization(axis=channel_axis(), mean=list(MEANS), variance=variance)
        return moments(Rescaling(1 / 255)(x))


EfficientNetV2B0 = network(_Fused, "EfficientNetV2B0", 7_200_312, 224, stages=BASE)
EfficientNetV2B1 = network(
    _Fused, "EfficientNetV2B1", 8_212_124, 240, stages=BASE, scale=(1.0, 1.1)
)
EfficientNetV2B2 = network(
    _Fused, "EfficientNetV2B2", 10_178_374, 260, stages=BASE, scale=(1.1, 1.2)
)
EfficientNetV2B3 = network(
    _Fused, "EfficientNetV2B3", 14_467_622, 300, stages=BASE, scale=(1.2, 1.4)
)
EfficientNetV2S = network(_Fused, "EfficientNetV2S", 21_612_360, 384, stages=SMALL)
EfficientNetV2M = network(_Fused, "EfficientNetV2M", 54_431_388, 480, stages=MEDIUM)
EfficientNetV2L = network(_Fused, "EfficientNetV2L", 119_027_848, 480, stages=LARGE)
preprocess_input = preprocessing(_Fused)
