"""Inception-ResNet v2: what convolutions side by side find is added to their input."""

from __future__ import annotations

from typing import Any

from ..layers import Activation, Conv2D, Layer
from ._inception import AVERAGE, MAXIMUM, STEM, Branch, along, branched, convolved
from ._network import KERNELS, Standard, channel_axis, network, preprocessing
from .imagenet_utils import decode_predictions as decode_predictions

#: Blocks that are repeated: their name, number, the weight of what is added, branches.
STAGES: tuple[tuple[str, int, float, list[Branch]], ...] = (
    ("block35", 10, 0.17, [((32, 1),), ((32, 1), (32, 3)), ((32, 1), (48, 3), (64, 3))]),
    ("block17", 20, 0.1, [((192, 1),), ((128, 1), (160, (1, 7)), (192, (7, 1)))]),
    ("block8", 10, 0.2, [((192, 1),), ((192, 1), (224, (1, 3)), (256, (3, 1)))]),
)
#: What comes before each.
BETWEEN: dict[str, list[Branch]] = {
    "mixed_5b": [
        ((96, 1),),
        ((48, 1), (64, 5)),
        ((64, 1), (96, 3), (96, 3)),
        (AVERAGE, (64, 1)),
    ],
    "mixed_6a": [((384, 3, 2),), ((256, 1), (256, 3), (384, 3, 2)), (MAXIMUM,)],
    "mixed_7a": [
        ((256, 1), (384, 3, 2)),
        ((256, 1), (288, 3, 2)),
        ((256, 1), (288, 3), (320, 3, 2)),
        (MAXIMUM,),
    ],
}


class CustomScaleLayer(Layer):
    """The sum of two tensors of one shape, the second one times a number.

    Args:
        scale: The number.

    >>> import numpy as np
    >>> x = np.ones((1, 2), "float32")
    >>> np.asarray(CustomScaleLayer(0.5)([x, x])).tolist()
    [[1.5, 1.5]]
    """

    def __init__(self, scale: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)

    def call(self, inputs: Any) -> Any:
        """`inputs[0] + scale * inputs[1]`."""
        return inputs[0] + inputs[1] * self.scale


def _residual(x: Any, name: str, branches: list[Branch], scale: float, relu: bool = True) -> Any:
    found = branched(x, branches, f"{name}_mixed")
    filters = x.shape[channel_axis()]
    found = Conv2D(filters, 1, padding="same", name=f"{name}_conv")(found)
    x = CustomScaleLayer(scale)([x, found])
    return Activation("relu", name=f"{name}_ac")(x) if relu else x


class _InceptionResNetV2(Standard):
    source = "https://arxiv.org/abs/1602.07261"
    file = "inception_resnet_v2/{name}" + KERNELS
    smallest = 75
    pool_names = ("avg_pool", None, None)
    mode = "tf"

    def features(self, x: Any) -> Any:
        x = along(x, STEM)
        for (before, wide), (name, count, scale, branches) in zip(
            BETWEEN.items(), STAGES, strict=True
        ):
            x = branched(x, wide, before)
            for index in range(1, count + 1):
                last = (name, index) == ("block8", count)  # its sum is taken as it is
                x = _residual(x, f"{name}_{index}", branches, 1.0 if last else scale, not last)
        return convolved(x, 1536, 1, name="conv_7b")


InceptionResNetV2 = network(
    _InceptionResNetV2, "InceptionResNetV2", 55_873_736, side=299, model="inception_resnet_v2"
)
preprocess_input = preprocessing(_InceptionResNetV2)
