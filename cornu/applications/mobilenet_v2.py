"""MobileNet v2: blocks that widen, look at each channel, and narrow again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..core.checks import one_of
from ..layers import Add, BatchNormalization, Conv2D, DepthwiseConv2D, ReLU, ZeroPadding2D
from ._blocks import halving_pad, published_side, rounded
from ._network import KERNELS, Network, channel_axis, network, preprocessing
from .imagenet_utils import decode_predictions as decode_predictions

#: The sides of images that weights are published for.
SIDES = (96, 128, 160, 192, 224)
#: Of each stage: how much its blocks widen, its filters, its blocks, the strides of the first.
STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


def _norm(x: Any, name: str, relu: str | None = None) -> Any:
    x = BatchNormalization(axis=channel_axis(-1), epsilon=1e-3, momentum=0.999, name=name)(x)
    return x if relu is None else ReLU(6.0, name=relu)(x)


def _conv(x: Any, filters: int, name: str, size: int = 1, strides: int = 1) -> Any:
    return Conv2D(filters, size, strides, "same", use_bias=False, name=name)(x)


def _block(x: Any, name: str, expansion: int, filters: int, strides: int) -> Any:
    inputs, channels = x, x.shape[channel_axis()]
    if expansion > 1:
        x = _conv(x, expansion * channels, f"{name}_expand")
        x = _norm(x, f"{name}_expand_BN", f"{name}_expand_relu")
    if strides > 1:
        x = ZeroPadding2D(halving_pad(x, 3), name=f"{name}_pad")(x)
    padding = "same" if strides == 1 else "valid"
    x = DepthwiseConv2D(3, strides, padding, use_bias=False, name=f"{name}_depthwise")(x)
    x = _norm(x, f"{name}_depthwise_BN", f"{name}_depthwise_relu")
    x = _norm(_conv(x, filters, f"{name}_project"), f"{name}_project_BN")
    return Add(name=f"{name}_add")([inputs, x]) if (strides, channels) == (1, filters) else x


@dataclass
class _MobileNetV2(Network):
    input_shape: Any = None
    alpha: float = 1.0
    include_top: bool = True
    weights: Any = "imagenet"
    input_tensor: Any = None
    pooling: str | None = None
    classes: int = 1000
    classifier_activation: Any = "softmax"
    name: str | None = None

    source = "https://arxiv.org/abs/1801.04381"
    mode = "tf"
    without_top = "_no_top"
    pool_names = (None, None, None)

    @property
    def side(self) -> int:
        return published_side(self.input_shape, SIDES)

    def published(self) -> str:
        one_of((0.35, 0.5, 0.75, 1.0, 1.3, 1.4), alpha=self.alpha)
        side = published_side(self.input_shape, SIDES, warn=True)
        return "mobilenet_v2/mobilenet_v2" + KERNELS.format(
            top=f"_{float(self.alpha)}_{side}{{top}}"
        )

    def default_name(self, shape: Any) -> str | None:
        return (
            self.name or f"mobilenetv2_{self.alpha:0.2f}_{shape[0 if channel_axis() == 3 else 1]}"
        )

    def features(self, x: Any) -> Any:
        x = _conv(x, rounded(32 * self.alpha), "Conv1", size=3, strides=2)
        x = _norm(x, "bn_Conv1", "Conv1_relu")
        index = 0
        for expansion, filters, count, strides in STAGES:
            for block in range(count):
                name = f"block_{index}" if index else "expanded_conv"
                width = rounded(filters * self.alpha)
                x = _block(x, name, expansion, width, strides if block == 0 else 1)
                index += 1
        last = rounded(1280 * max(1.0, self.alpha))
        x = Conv2D(last, 1, use_bias=False, name="Conv_1")(x)
        return _norm(x, "Conv_1_bn", "out_relu")


MobileNetV2 = network(_MobileNetV2, "MobileNetV2", 3_538_984, model=None)
preprocess_input = preprocessing(_MobileNetV2)
