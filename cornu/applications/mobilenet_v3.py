"""MobileNet v3: blocks of version 2, found by search, with weighed channels and hard activations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from .. import layers
from ..core.checks import one_of
from ._blocks import halving_pad, rounded
from ._network import Network, channel_axis, network, preprocessing
from .imagenet_utils import decode_predictions as decode_predictions


class _Block(NamedTuple):
    """A block: how much it widens, its filters and window, and what it has beside them."""

    expansion: float
    filters: int
    window: int = 3
    strides: int = 1
    weighed: bool = False
    hard: bool = True


SMALL = (
    _Block(1, 16, 3, 2, weighed=True, hard=False),
    _Block(72 / 16, 24, 3, 2, hard=False),
    _Block(88 / 24, 24, 3, hard=False),
    _Block(4, 40, 5, 2, weighed=True),
    *(_Block(6, 40, 5, weighed=True),) * 2,
    *(_Block(3, 48, 5, weighed=True),) * 2,
    _Block(6, 96, 5, 2, weighed=True),
    *(_Block(6, 96, 5, weighed=True),) * 2,
)
LARGE = (
    _Block(1, 16, hard=False),
    _Block(4, 24, 3, 2, hard=False),
    _Block(3, 24, hard=False),
    _Block(3, 40, 5, 2, weighed=True, hard=False),
    *(_Block(3, 40, 5, weighed=True, hard=False),) * 2,
    _Block(6, 80, 3, 2),
    _Block(2.5, 80),
    *(_Block(2.3, 80),) * 2,
    *(_Block(6, 112, weighed=True),) * 2,
    _Block(6, 160, 5, 2, weighed=True),
    *(_Block(6, 160, 5, weighed=True),) * 2,
)


def _conv_bn(x: Any, filters: int, name: str, size: int = 1, strides: int = 1) -> Any:
    x = layers.Conv2D(filters, size, strides, "same", use_bias=False, name=name)(x)
    return _norm(x, name)


def _norm(x: Any, name: str) -> Any:
    axis = channel_axis(-1)
    return layers.BatchNormalization(axis=axis, epsilon=1e-3, momentum=0.999, name=f"{name}_bn")(x)


def _activated(x: Any, hard: bool) -> Any:
    return (layers.Activation("hard_swish") if hard else layers.ReLU())(x)


def _weighed(x: Any, name: str) -> Any:
    """Channels times hard sigmoids that follow from the means of all of them."""
    name, channels = f"{name}_squeeze_excite", x.shape[channel_axis()]
    weights = layers.GlobalAveragePooling2D(keepdims=True, name=f"{name}_avg_pool")(x)
    weights = layers.Conv2D(rounded(channels / 4), 1, padding="same", name=f"{name}_conv")(weights)
    weights = layers.ReLU(name=f"{name}_relu")(weights)
    weights = layers.Conv2D(channels, 1, padding="same", name=f"{name}_conv_1")(weights)
    return layers.Multiply(name=f"{name}_mul")([x, layers.ReLU(6.0)(weights + 3.0) * (1.0 / 6.0)])


def _block(x: Any, block: _Block, name: str) -> Any:
    inputs, channels = x, x.shape[channel_axis()]
    if block.expansion != 1:
        x = _conv_bn(x, rounded(channels * block.expansion), f"{name}_expand")
        x = _activated(x, block.hard)
    padding = "same"
    if block.strides > 1:
        padding = "valid"
        x = layers.ZeroPadding2D(halving_pad(x, block.window), name=f"{name}_depthwise_pad")(x)
    x = layers.DepthwiseConv2D(
        block.window, block.strides, padding, use_bias=False, name=f"{name}_depthwise"
    )(x)
    x = _activated(_norm(x, f"{name}_depthwise"), block.hard)
    if block.weighed:
        x = _weighed(x, name)
    x = _conv_bn(x, block.filters, f"{name}_project")
    if (block.strides, block.filters) == (1, channels):
        x = layers.Add(name=f"{name}_add")([inputs, x])
    return x


@dataclass
class _MobileNetV3(Network):
    input_shape: Any = None
    alpha: float = 1.0
    minimalistic: bool = False
    include_top: bool = True
    weights: Any = "imagenet"
    input_tensor: Any = None
    classes: int = 1000
    pooling: str | None = None
    dropout_rate: float = 0.2
    classifier_activation: Any = "softmax"
    include_preprocessing: bool = True
    name: str | None = None

    source = "https://arxiv.org/abs/1905.02244"
    any_size = True
    without_top = "_no_top_v2"

    def published(self) -> str:
        one_of((1.0,) if self.minimalistic else (0.75, 1.0), alpha=self.alpha)
        kind = self.row.function.removeprefix("MobileNetV3").lower()
        kind += "_minimalistic" if self.minimalistic else ""
        return f"mobilenet_v3/weights_mobilenet_v3_{kind}_224_{float(self.alpha)}_float{{top}}"

    def features(self, x: Any, blocks: tuple[_Block, ...], width: int) -> Any:
        self.width = rounded(width * max(1.0, self.alpha))
        if self.include_preprocessing:
            x = layers.Rescaling(scale=1.0 / 127.5, offset=-1.0)(x)
        x = _activated(_conv_bn(x, 16, "conv", 3, strides=2), not self.minimalistic)
        for index, block in enumerate(blocks):
            block = block._replace(filters=rounded(block.filters * self.alpha))
            if self.minimalistic:
                block = block._replace(window=3, weighed=False, hard=False)
            x = _block(x, block, f"expanded_conv_{index}" if index else "expanded_conv")
        x = _conv_bn(x, rounded(6 * x.shape[channel_axis()]), "conv_1")
        return _activated(x, not self.minimalistic)

    def classifier(self, x: Any) -> Any:
        x = layers.GlobalAveragePooling2D(keepdims=True)(x)
        x = layers.Conv2D(self.width, 1, padding="same", name="conv_2")(x)
        x = _activated(x, not self.minimalistic)
        if self.dropout_rate > 0:
            x = layers.Dropout(self.dropout_rate)(x)
        x = layers.Conv2D(self.classes, 1, padding="same", name="logits")(x)
        return layers.Activation(self.classifier_activation, name="predictions")(
            layers.Flatten()(x)
        )


MobileNetV3Small = network(
    _MobileNetV3, "MobileNetV3Small", 2_554_968, model="MobileNetV3Small", blocks=SMALL, width=1024
)
MobileNetV3Large = network(
    _MobileNetV3, "MobileNetV3Large", 5_507_432, model="MobileNetV3Large", blocks=LARGE, width=1280
)
preprocess_input = preprocessing(_MobileNetV3)
