"""ResNet: each block adds to its input what its three convolutions find."""

from __future__ import annotations

from typing import Any

from ..layers import Activation, Add, BatchNormalization, Conv2D, MaxPooling2D, ZeroPadding2D
from ._network import KERNELS, Standard, channel_axis

EPSILON = 1.001e-5


def _norm(x: Any, name: str, relu: str | None = None) -> Any:
    x = BatchNormalization(axis=channel_axis(), epsilon=EPSILON, name=name)(x)
    return x if relu is None else Activation("relu", name=relu)(x)


def _conv_bn(x: Any, name: str, filters: int, size: int, relu: bool = True, **options: Any) -> Any:
    x = Conv2D(filters, size, name=f"{name}_conv", **options)(x)
    return _norm(x, f"{name}_bn", f"{name}_relu" if relu else None)


def _stem(x: Any) -> Any:
    x = ZeroPadding2D(3, name="conv1_pad")(x)
    return Conv2D(64, 7, strides=2, name="conv1_conv")(x)


def _pool(x: Any) -> Any:
    return MaxPooling2D(3, strides=2, name="pool1_pool")(ZeroPadding2D(1, name="pool1_pad")(x))


class ResNet(Standard):
    """`blocks` says how many blocks each of four stages has."""

    source = "https://arxiv.org/abs/1512.03385"
    file = "resnet/{name}" + KERNELS
    mode = "caffe"

    def features(self, x: Any, blocks: tuple[int, ...]) -> Any:
        x = _pool(_norm(_stem(x), "conv1_bn", "conv1_relu"))
        for stage, count in enumerate(blocks):
            for block in range(1, count + 1):
                first = block == 1
                strides = 2 if first and stage else 1
                x = self.block(x, f"conv{stage + 2}_block{block}", 64 * 2**stage, strides, first)
        return x

    def block(self, x: Any, name: str, filters: int, strides: int, projected: bool) -> Any:
        """Convolutions of 1, 3 and 1, and the input, projected where its size changes."""
        shortcut = x
        if projected:
            shortcut = _conv_bn(x, f"{name}_0", 4 * filters, 1, relu=False, strides=strides)
        x = _conv_bn(x, f"{name}_1", filters, 1, strides=strides)
        x = _conv_bn(x, f"{name}_2", filters, 3, padding="same")
        x = _conv_bn(x, f"{name}_3", 4 * filters, 1, relu=False)
        x = Add(name=f"{name}_add")([shortcut, x])
        return Activation("relu", name=f"{name}_out")(x)


class ResNetV2(Standard):
    """As ResNet, with norms and activations before convolutions."""

    source = "https://arxiv.org/abs/1603.05027"
    file = "resnet/{name}" + KERNELS
    mode = "tf"

    def features(self, x: Any, blocks: tuple[int, ...]) -> Any:
        x = _pool(_stem(x))
        for stage, count in enumerate(blocks):
            for block in range(1, count + 1):
                # A stage ends at half the size, but for the last one.
                strides = 2 if block == count and stage < len(blocks) - 1 else 1
                name = f"conv{stage + 2}_block{block}"
                x = self.block(x, name, 64 * 2**stage, strides, block == 1)
        return _norm(x, "post_bn", "post_relu")

    def block(self, x: Any, name: str, filters: int, strides: int, projected: bool) -> Any:
        """Convolutions of 1, 3 and 1, and the input, projected or pooled where its size changes."""
        before = _norm(x, f"{name}_preact_bn", f"{name}_preact_relu")
        if projected:
            shortcut = Conv2D(4 * filters, 1, strides=strides, name=f"{name}_0_conv")(before)
        else:
            shortcut = MaxPooling2D(1, strides=strides)(x) if strides > 1 else x
        x = _conv_bn(before, f"{name}_1", filters, 1, strides=1, use_bias=False)
        x = ZeroPadding2D(1, name=f"{name}_2_pad")(x)
        x = _conv_bn(x, f"{name}_2", filters, 3, strides=strides, use_bias=False)
        x = Conv2D(4 * filters, 1, name=f"{name}_3_conv")(x)
        return Add(name=f"{name}_out")([shortcut, x])
