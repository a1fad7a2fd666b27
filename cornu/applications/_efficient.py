"""What both versions of EfficientNet share: scaled stages of blocks that widen and narrow."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from .. import layers
from ..initializers import VarianceScaling
from ._blocks import halving_pad, rounded
from ._network import Network, channel_axis

#: How often the last block of a network is left out in training; earlier ones are so less often.
DROP_RATE = 0.2


@dataclass(frozen=True)
class Stage:
    """Blocks of one kind; the first one has the strides."""

    blocks: int
    filters: int
    expansion: int
    strides: int
    window: int = 3
    #: The share of a block's channels that squeeze-and-excitation goes through.
    squeezed: float = 0.25
    #: Whether widening and looking at neighbours are one convolution.
    fused: bool = False


class Efficient(Network):
    """A network of such stages; blocks of its two versions differ in what stands here."""

    momentum: float
    depthwise: str
    #: Whether images are padded by a layer before a window with strides.
    padded: bool
    #: The least share that rounding leaves of filters.
    least: float
    #: Whether drop rates grow over all blocks, or over as many as the smallest network has.
    counts_all: bool
    #: How much wider it is than the smallest network.
    wider: float
    dropout: float
    #: What the classifier's bias is drawn by.
    bias: Any = "zeros"

    def conv(self, x: Any, filters: int, size: int, name: str, **options: Any) -> Any:
        """A convolution, as all of them are."""
        options = {"padding": "same", "use_bias": False, **options}
        drawn = VarianceScaling(2.0, "fan_out", "truncated_normal")
        return layers.Conv2D(filters, size, kernel_initializer=drawn, name=name, **options)(x)

    def norm(self, x: Any, name: str, activation: str | None = None) -> Any:
        """A norm, and an activation where it has a name."""
        x = layers.BatchNormalization(axis=channel_axis(), momentum=self.momentum, name=name)(x)
        return x if activation is None else layers.Activation("swish", name=activation)(x)

    def width(self, filters: int) -> int:
        """How many filters the network has where its smallest one has so many."""
        return rounded(self.wider * filters, self.least)

    def stages(self, x: Any, stages: Sequence[Stage], deeper: float) -> Any:
        """All blocks: `block1a`, `block1b`, ..., `block2a`, ..."""
        counts = [math.ceil(deeper * stage.blocks) for stage in stages]
        total = sum(counts) if self.counts_all else sum(stage.blocks for stage in stages)
        index = 0
        for number, (stage, count) in enumerate(zip(stages, counts, strict=True), 1):
            stage = replace(stage, filters=self.width(stage.filters))
            for block in range(count):
                name = f"block{number}{chr(ord('a') + block)}_"
                x = self.block(x, name, stage, DROP_RATE * index / total)
                stage, index = replace(stage, strides=1), index + 1
        return x

    def block(self, x: Any, name: str, stage: Stage, drop_rate: float) -> Any:
        """Widen, look at neighbours, weigh channels, narrow; added to the input where sizes agree."""
        inputs, channels = x, x.shape[channel_axis()]
        x = self.widened(x, name, stage)
        if stage.squeezed and not stage.fused:
            x = self.excited(x, name, max(1, int(channels * stage.squeezed)))
        if not (stage.fused and stage.expansion == 1):
            x = self.norm(
                self.conv(x, stage.filters, 1, f"{name}project_conv"), f"{name}project_bn"
            )
        if (stage.strides, channels) != (1, stage.filters):
            return x
        if drop_rate:
            x = layers.Dropout(drop_rate, noise_shape=(None, 1, 1, 1), name=f"{name}drop")(x)
        return layers.add([x, inputs], name=f"{name}add")

    def widened(self, x: Any, name: str, stage: Stage) -> Any:
        """More channels, each of which has seen its neighbours."""
        channels = stage.expansion * x.shape[channel_axis()]
        if stage.fused and stage.expansion == 1:
            x = self.conv(
                x, stage.filters, stage.window, f"{name}project_conv", strides=stage.strides
            )
            return self.norm(x, f"{name}project_bn", f"{name}project_activation")
        if stage.fused or stage.expansion > 1:
            size, strides = (stage.window, stage.strides) if stage.fused else (1, 1)
            x = self.conv(x, channels, size, f"{name}expand_conv", strides=strides)
            x = self.norm(x, f"{name}expand_bn", f"{name}expand_activation")
        if stage.fused:
            return x
        padding = "same"
        if self.padded and stage.strides > 1:
            padding = "valid"
            pads = halving_pad(x, stage.window)
            x = layers.ZeroPadding2D(pads, name=f"{name}{self.depthwise}_pad")(x)
        x = layers.DepthwiseConv2D(
            stage.window,
            stage.strides,
            padding,
            use_bias=False,
            depthwise_initializer=VarianceScaling(2.0, "fan_out", "truncated_normal"),
            name=f"{name}{self.depthwise}",
        )(x)
        return self.norm(x, f"{name}bn", f"{name}activation")

    def excited(self, x: Any, name: str, squeezed: int) -> Any:
        """Channels times weights that follow from the means of all of them."""
        channels = x.shape[channel_axis()]
        shape = (1, 1, channels) if channel_axis() == 3 else (channels, 1, 1)
        weights = layers.GlobalAveragePooling2D(name=f"{name}se_squeeze")(x)
        weights = layers.Reshape(shape, name=f"{name}se_reshape")(weights)
        for filters, what, activation in (
            (squeezed, "reduce", "swish"),
            (channels, "expand", "sigmoid"),
        ):
            weights = self.conv(
                weights, filters, 1, f"{name}se_{what}", activation=activation, use_bias=True
            )
        return layers.multiply([x, weights], name=f"{name}se_excite")

    def top(self, x: Any) -> Any:
        """The last convolution."""
        x = self.conv(x, self.width(1280), 1, "top_conv")
        return self.norm(x, "top_bn", "top_activation")

    def classifier(self, x: Any) -> Any:
        x = layers.GlobalAveragePooling2D(name="avg_pool")(x)
        if self.dropout:
            x = layers.Dropout(self.dropout, name="top_dropout")(x)
        drawn = VarianceScaling(1 / 3, "fan_out", "uniform")
        return self.predictions(x, kernel_initializer=drawn, bias_initializer=self.bias)
