"""Xception: separable convolutions throughout, added to what comes in every few of them."""

from __future__ import annotations

from typing import Any

from ..layers import Activation, BatchNormalization, Conv2D, MaxPooling2D, SeparableConv2D, add
from ._network import KERNELS, Standard, channel_axis, network, preprocessing
from .imagenet_utils import decode_predictions as decode_predictions


def _norm(x: Any, name: str | None = None) -> Any:
    return BatchNormalization(axis=channel_axis(-1), name=name)(x)


def _relu(x: Any, name: str) -> Any:
    return Activation("relu", name=f"{name}_act")(x)


def _separable(x: Any, name: str, filters: int) -> Any:
    x = SeparableConv2D(filters, 3, padding="same", use_bias=False, name=name)(x)
    return _norm(x, f"{name}_bn")


def _halved(x: Any, block: int, filters: tuple[int, int]) -> Any:
    """Two convolutions and a pooling, added to a projection of the input."""
    shortcut = Conv2D(filters[1], 1, strides=2, padding="same", use_bias=False)(x)
    shortcut = _norm(shortcut)
    for index, count in enumerate(filters, 1):
        name = f"block{block}_sepconv{index}"
        if (block, index) != (2, 1):  # the stem has ended in an activation
            x = _relu(x, name)
        x = _separable(x, name, count)
    x = MaxPooling2D(3, strides=2, padding="same", name=f"block{block}_pool")(x)
    return add([x, shortcut])


class _Xception(Standard):
    source = "https://arxiv.org/abs/1610.02357"
    file = "xception/{name}" + KERNELS
    smallest = 71
    pool_names = ("avg_pool", None, None)
    mode = "tf"

    def features(self, x: Any) -> Any:
        for index, (filters, strides) in enumerate(((32, 2), (64, 1)), 1):
            name = f"block1_conv{index}"
            x = Conv2D(filters, 3, strides=strides, use_bias=False, name=name)(x)
            x = _relu(_norm(x, f"{name}_bn"), name)
        for block, width in ((2, 128), (3, 256), (4, 728)):
            x = _halved(x, block, (width, width))
        for block in range(5, 13):
            shortcut = x
            for index in range(1, 4):
                name = f"block{block}_sepconv{index}"
                x = _separable(_relu(x, name), name, 728)
            x = add([x, shortcut])
        x = _halved(x, 13, (728, 1024))
        for index, width in enumerate((1536, 2048), 1):
            name = f"block14_sepconv{index}"
            x = _relu(_separable(x, name, width), name)
        return x


Xception = network(_Xception, "Xception", 22_910_480, side=299)
preprocess_input = preprocessing(_Xception)
