"""VGG: convolutions of 3 x 3 in blocks, each at half the size of the one before."""

from __future__ import annotations

from typing import Any

from ..layers import Conv2D, Dense, Flatten, MaxPooling2D
from ._network import KERNELS, Standard


class VGG(Standard):
    """`blocks` says how many convolutions each block has."""

    source = "https://arxiv.org/abs/1409.1556"
    file = "{name}/{name}" + KERNELS
    mode = "caffe"
    pool_names = ("avg_pool", None, None)

    def features(self, x: Any, blocks: tuple[int, ...]) -> Any:
        for block, convolutions in enumerate(blocks, 1):
            filters = min(32 * 2**block, 512)
            for index in range(1, convolutions + 1):
                name = f"block{block}_conv{index}"
                x = Conv2D(filters, 3, activation="relu", padding="same", name=name)(x)
            x = MaxPooling2D(2, strides=2, name=f"block{block}_pool")(x)
        return x

    def classifier(self, x: Any) -> Any:
        x = Flatten(name="flatten")(x)
        for name in ("fc1", "fc2"):
            x = Dense(4096, activation="relu", name=name)(x)
        return self.predictions(x)
