"""DenseNet: each block is given what all blocks before it have found."""

from __future__ import annotations

from typing import Any

from ..layers import (
    Activation,
    AveragePooling2D,
    BatchNormalization,
    Concatenate,
    Conv2D,
    MaxPooling2D,
    ZeroPadding2D,
)
from ._network import KERNELS, Standard, channel_axis, network, preprocessing
from .imagenet_utils import decode_predictions as decode_predictions

EPSILON = 1.001e-5
GROWTH = 32


def _norm_relu(x: Any, name: str) -> Any:
    x = BatchNormalization(axis=channel_axis(), epsilon=EPSILON, name=f"{name}bn")(x)
    return Activation("relu", name=f"{name}relu")(x)


def _block(x: Any, name: str) -> Any:
    """Add `GROWTH` channels to those that are there."""
    y = _norm_relu(x, f"{name}_0_")
    y = Conv2D(4 * GROWTH, 1, use_bias=False, name=f"{name}_1_conv")(y)
    y = _norm_relu(y, f"{name}_1_")
    y = Conv2D(GROWTH, 3, padding="same", use_bias=False, name=f"{name}_2_conv")(y)
    return Concatenate(axis=channel_axis(), name=f"{name}_concat")([x, y])


def _transition(x: Any, name: str) -> Any:
    """Half the channels, at half the size."""
    x = _norm_relu(x, f"{name}_")
    filters = x.shape[channel_axis()] // 2
    x = Conv2D(filters, 1, use_bias=False, name=f"{name}_conv")(x)
    return AveragePooling2D(2, strides=2, name=f"{name}_pool")(x)


class _DenseNet(Standard):
    """`blocks` says how many blocks each of four stages has."""

    source = "https://arxiv.org/abs/1608.06993"
    mode = "torch"
    file = "densenet/{name}" + KERNELS

    def features(self, x: Any, blocks: tuple[int, ...]) -> Any:
        x = ZeroPadding2D(3)(x)
        x = Conv2D(64, 7, strides=2, use_bias=False, name="conv1_conv")(x)
        x = _norm_relu(x, "conv1_")
        x = MaxPooling2D(3, strides=2, name="pool1")(ZeroPadding2D(1)(x))
        for stage, count in enumerate(blocks, 2):
            for block in range(1, count + 1):
                x = _block(x, f"conv{stage}_block{block}")
            if stage <= len(blocks):
                x = _transition(x, f"pool{stage}")
        return _norm_relu(x, "")


DenseNet121 = network(_DenseNet, "DenseNet121", 8_062_504, blocks=(6, 12, 24, 16))
DenseNet169 = network(_DenseNet, "DenseNet169", 14_307_880, blocks=(6, 12, 32, 32))
DenseNet201 = network(_DenseNet, "DenseNet201", 20_242_984, blocks=(6, 12, 48, 32))
preprocess_input = preprocessing(_DenseNet)
