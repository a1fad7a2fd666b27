"""ConvNeXt: a convolutional network with the proportions of a vision transformer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..initializers import Constant
from ..layers import (
    Activation,
    Conv2D,
    Dense,
    GlobalAveragePooling2D,
    Layer,
    LayerNormalization,
    Normalization,
)
from ..models import Sequential
from ._network import Network, network, preprocessing
from .imagenet_utils import MODES
from .imagenet_utils import decode_predictions as decode_predictions

EPSILON = 1e-6


class LayerScale(Layer):
    """Each channel times a number that is learned.

    Args:
        init_values: The number at first.
        projection_dim: The number of channels.

    From "Going deeper with image transformers" (https://arxiv.org/abs/2103.17239).

    >>> import numpy as np
    >>> np.asarray(LayerScale(0.5, 2)(np.ones((1, 2)))).tolist()
    [[0.5, 0.5]]
    """

    def __init__(self, init_values: float, projection_dim: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)

    def build(self, _: Any) -> None:
        """Make the numbers (channels,)."""
        self.gamma = self.add_weight(
            name="gamma",
            shape=(self.projection_dim,),
            initializer=Constant(self.init_values),
        )

    def call(self, x: Any) -> Any:
        """The channels, scaled."""
        return x * self.gamma


@dataclass
class _ConvNeXt(Network):
    include_top: bool = True
    include_preprocessing: bool = True
    weights: Any = "imagenet"
    input_tensor: Any = None
    input_shape: Any = None
    pooling: str | None = None
    classes: int = 1000
    classifier_activation: Any = "softmax"
    name: str | None = None

    source = "https://arxiv.org/abs/2201.03545"
    pool_names = ("avg_pool", None, None)
    spelled = ("NeXt", "NeXt_")
    file = "convnext/{name}{top}"

    def features(self, x: Any, depths: tuple[int, ...], width: int) -> Any:
        if self.include_preprocessing:
            _, mean, scale = MODES["torch"]
            x = Normalization(
                mean=list(mean),
                variance=[deviation**2 for deviation in scale],
                name=f"{self.name}_prestem_normalization",
            )(x)
        for stage, depth in enumerate(depths):
            filters = width * 2**stage
            x = self.reduced(stage, filters)(x)
            for block in range(depth):
                x = self.block(x, f"{self.name}_stage_{stage}_block_{block}", filters)
        return x

    def reduced(self, stage: int, width: int) -> Sequential:
        """What stands before a stage: patches of 4 x 4, then halves."""
        if stage == 0:
            name = f"{self.name}_stem"
            conv = Conv2D(width, 4, strides=4, name=f"{name}_conv")
            return Sequential([conv, self.norm(f"{name}_layernorm")], name=name)
        name, index = f"{self.name}_downsampling", stage - 1
        conv = Conv2D(width, 2, strides=2, name=f"{name}_conv_{index}")
        norm = self.norm(f"{name}_layernorm_{index}")
        return Sequential([norm, conv], name=f"{name}_block_{index}")

    def norm(self, name: str | None = None) -> LayerNormalization:
        """A norm over channels."""
        return LayerNormalization(epsilon=EPSILON, name=name)

    def block(self, x: Any, name: str, width: int) -> Any:
        """A look at the neighbours, then two dense layers for each pixel."""
        inputs = x
        for layer in (
            Conv2D(width, 7, padding="same", groups=width, name=f"{name}_depthwise_conv"),
            self.norm(f"{name}_layernorm"),
            Dense(4 * width, name=f"{name}_pointwise_conv_1"),
            Activation("gelu", name=f"{name}_gelu"),
            Dense(width, name=f"{name}_pointwise_conv_2"),
            LayerScale(1e-6, width, name=f"{name}_layer_scale"),
            Activation("linear", name=f"{name}_identity"),
        ):
            x = layer(x)
        return inputs + x

    def classifier(self, x: Any) -> Any:
        x = GlobalAveragePooling2D(name=f"{self.name}_head_gap")(x)
        x = self.norm(f"{self.name}_head_layernorm")(x)
        return self.predictions(x, f"{self.name}_head_dense")

    def pooled(self, x: Any) -> Any:
        return self.norm()(super().pooled(x))


DEPTHS, DEEPER = (3, 3, 9, 3), (3, 3, 27, 3)

ConvNeXtTiny = network(_ConvNeXt, "ConvNeXtTiny", 28_589_128, depths=DEPTHS, width=96)
ConvNeXtSmall = network(_ConvNeXt, "ConvNeXtSmall", 50_223_688, depths=DEEPER, width=96)
ConvNeXtBase = network(_ConvNeXt, "ConvNeXtBase", 88_591_464, depths=DEEPER, width=128)
ConvNeXtLarge = network(_ConvNeXt, "ConvNeXtLarge", 197_767_336, depths=DEEPER, width=192)
ConvNeXtXLarge = network(_ConvNeXt, "ConvNeXtXLarge", 350_196_968, depths=DEEPER, width=256)
preprocess_input = preprocessing(_ConvNeXt)
