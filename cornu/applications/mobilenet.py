"""MobileNet: a convolution of each channel by itself, then one of a single pixel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .. import layers
from ..core.checks import one_of
from ._blocks import published_side
from ._network import Network, channel_axis, network, preprocessing
from .imagenet_utils import decode_predictions as decode_predictions

#: The sides of images that weights are published for.
SIDES = (128, 160, 192, 224)
#: The filters and strides of each block.
BLOCKS = (
    (64, 1),
    *((128, 2), (128, 1)),
    *((256, 2), (256, 1)),
    *((512, 2), *((512, 1),) * 5),
    *((1024, 2), (1024, 1)),
)


def _norm_relu(x: Any, name: str) -> Any:
    x = layers.BatchNormalization(axis=channel_axis(-1), name=f"{name}_bn")(x)
    return layers.ReLU(6.0, name=f"{name}_relu")(x)


def _conv(x: Any, filters: int, size: int, name: str, strides: int = 1) -> Any:
    x = layers.Conv2D(filters, size, strides, "same", use_bias=False, name=name)(x)
    return _norm_relu(x, name)


@dataclass
class _MobileNet(Network):
    input_shape: Any = None
    alpha: float = 1.0
    depth_multiplier: int = 1
    dropout: float = 1e-3
    include_top: bool = True
    weights: Any = "imagenet"
    input_tensor: Any = None
    pooling: str | None = None
    classes: int = 1000
    classifier_activation: Any = "softmax"
    name: str | None = None

    source = "https://arxiv.org/abs/1704.04861"
    mode = "tf"
    without_top = "_no_top"
    pool_names = (None, None, None)

    @property
    def side(self) -> int:
        return published_side(self.input_shape, SIDES)

    def published(self) -> str:
        alphas = {0.25: "2_5", 0.5: "5_0", 0.75: "7_5", 1.0: "1_0"}
        one_of(alphas, alpha=self.alpha)
        one_of((1,), depth_multiplier=self.depth_multiplier)
        side = published_side(self.input_shape, SIDES, warn=True)
        return f"mobilenet/mobilenet_{alphas[self.alpha]}_{side}_tf{{top}}"

    def default_name(self, shape: Any) -> str | None:
        return self.name or f"mobilenet_{self.alpha:0.2f}_{shape[0 if channel_axis() == 3 else 1]}"

    def features(self, x: Any) -> Any:
        x = _conv(x, int(32 * self.alpha), 3, "conv1", strides=2)
        for index, (filters, strides) in enumerate(BLOCKS, 1):
            if strides > 1:
                x = layers.ZeroPadding2D(((0, 1), (0, 1)), name=f"conv_pad_{index}")(x)
            x = layers.DepthwiseConv2D(
                3,
                strides,
                "same" if strides == 1 else "valid",
                self.depth_multiplier,
                use_bias=False,
                name=f"conv_dw_{index}",
            )(x)
            x = _norm_relu(x, f"conv_dw_{index}")
            x = _conv(x, int(filters * self.alpha), 1, f"conv_pw_{index}")
        return x

    def classifier(self, x: Any) -> Any:
        x = layers.GlobalAveragePooling2D(keepdims=True)(x)
        x = layers.Dropout(self.dropout, name="dropout")(x)
        x = layers.Conv2D(self.classes, 1, padding="same", name="conv_preds")(x)
        x = layers.Reshape((self.classes,), name="reshape_2")(x)
        return layers.Activation(self.classifier_activation, name="predictions")(x)


MobileNet = network(_MobileNet, "MobileNet", 4_253_864, model=None)
preprocess_input = preprocessing(_MobileNet)
