"""NASNet: two cells that a search has found, repeated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .. import layers
from ._blocks import halving_pad
from ._network import Network, channel_axis, network, preprocessing
from .imagenet_utils import decode_predictions as decode_predictions


def _relu(x: Any, name: str | None = None) -> Any:
    return layers.Activation("relu", name=name)(x)


def _conv(x: Any, filters: int, name: str, **options: Any) -> Any:
    options = {"kernel_size": 1, "padding": "same", "use_bias": False, **options}
    return layers.Conv2D(filters, kernel_initializer="he_normal", name=name, **options)(x)


def _norm(x: Any, name: str) -> Any:
    axis = channel_axis(-1)
    return layers.BatchNormalization(axis=axis, momentum=0.9997, epsilon=1e-3, name=name)(x)


def _separable(x: Any, filters: int, size: int, name: str, strides: int = 1) -> Any:
    """Two separable convolutions, the first one with the strides."""
    for index in (1, 2):
        x, padding = _relu(x), "same"
        if (index, strides) == (1, 2):
            x = layers.ZeroPadding2D(halving_pad(x, size), name=f"separable_conv_1_pad_{name}")(x)
            padding = "valid"
        x = layers.SeparableConv2D(
            filters,
            size,
            strides if index == 1 else 1,
            padding,
            use_bias=False,
            name=f"separable_conv_{index}_{name}",
        )(x)
        x = _norm(x, f"separable_conv_{index}_bn_{name}")
    return x


def _adjusted(x: Any, like: Any, filters: int, name: str) -> Any:
    """What came before the last cell, at the size of what came after it, `like`."""
    axis = 2 if channel_axis() == 1 else 1
    if x.shape[axis] != like.shape[axis]:
        x = _relu(x, f"adjust_relu_1_{name}")
        shifted = layers.Cropping2D(((1, 0), (1, 0)))(layers.ZeroPadding2D(((0, 1), (0, 1)))(x))
        halves = []
        for index, half in enumerate((x, shifted), 1):
            half = layers.AveragePooling2D(1, strides=2, name=f"adjust_avg_pool_{index}_{name}")(
                half
            )
            halves.append(_conv(half, filters // 2, f"adjust_conv_{index}_{name}"))
        x = layers.Concatenate(axis=channel_axis(-1))(halves)
    elif x.shape[channel_axis()] != filters:
        x = _conv(_relu(x), filters, f"adjust_conv_projection_{name}")
    else:
        return x
    return _norm(x, f"adjust_bn_{name}")


def _normal(x: Any, before: Any, filters: int, name: str) -> Any:
    """A cell that keeps the size."""

    def separable(x: Any, size: int, what: str) -> Any:
        return _separable(x, filters, size, f"normal_{what}_{name}")

    def mean(x: Any, what: str) -> Any:
        return layers.AveragePooling2D(3, 1, "same", name=f"normal_{what}_{name}")(x)

    p = _adjusted(before, x, filters, name)
    h = _norm(_conv(_relu(x), filters, f"normal_conv_1_{name}"), f"normal_bn_1_{name}")
    pairs = [
        [separable(h, 5, "left1"), separable(p, 3, "right1")],
        [separable(p, 5, "left2"), separable(p, 3, "right2")],
        [mean(h, "left3"), p],
        [mean(p, "left4"), mean(p, "right4")],
        [separable(h, 3, "left5"), h],
    ]
    sums = [layers.Add(name=f"normal_add_{i}_{name}")(pair) for i, pair in enumerate(pairs, 1)]
    return layers.Concatenate(axis=channel_axis(-1), name=f"normal_concat_{name}")([p, *sums])


def _reduction(x: Any, before: Any, filters: int, name: str) -> Any:
    """A cell that halves the size."""

    def separable(x: Any, size: int, what: str, strides: int = 2) -> Any:
        return _separable(x, filters, size, f"reduction_{what}_{name}", strides)

    def pooled(kind: type, x: Any, what: str, strides: int = 2, padding: str = "valid") -> Any:
        return kind(3, strides, padding, name=f"reduction_{what}_{name}")(x)

    def total(what: str | None, *pair: Any) -> Any:
        return layers.Add(name=what and f"reduction_{what}_{name}")(list(pair))

    p = x if before is None else _adjusted(before, x, filters, name)
    h = _norm(_conv(_relu(x), filters, f"reduction_conv_1_{name}"), f"reduction_bn_1_{name}")
    padded = layers.ZeroPadding2D(halving_pad(h, 3), name=f"reduction_pad_1_{name}")(h)
    first = total("add_1", separable(h, 5, "left1"), separable(p, 7, "right1"))
    second = total("add_2", pooled(layers.MaxPooling2D, padded, "left2"), separable(p, 7, "right2"))
    third = total(
        "add3", pooled(layers.AveragePooling2D, padded, "left3"), separable(p, 5, "right3")
    )
    fourth = total(None, second, pooled(layers.AveragePooling2D, first, "left4", 1, "same"))
    fifth = total(
        "add4", separable(first, 3, "left4", 1), pooled(layers.MaxPooling2D, padded, "right5")
    )
    sums = [second, third, fourth, fifth]
    return layers.Concatenate(axis=channel_axis(-1), name=f"reduction_concat_{name}")(sums)


@dataclass
class _NASNet(Network):
    input_shape: Any = None
    include_top: bool = True
    weights: Any = "imagenet"
    input_tensor: Any = None
    pooling: str | None = None
    classes: int = 1000
    classifier_activation: Any = "softmax"
    name: str | None = None

    source = "https://arxiv.org/abs/1707.07012"
    mode = "tf"
    spelled = ("Net", "Net_")
    without_top = "-no-top"
    pool_names = (None, None, None)

    def published(self) -> str:
        return f"nasnet/NASNet-{self.row.function.removeprefix('NASNet').lower()}{{top}}"

    def features(self, x: Any, stem: int, filters: int, cells: int, skips: bool) -> Any:
        x = _conv(x, stem, "stem_conv1", kernel_size=3, strides=2, padding="valid")
        x = _norm(x, "stem_bn1")
        before, x = x, _reduction(x, None, filters // 4, "stem_1")
        before, x = x, _reduction(x, before, filters // 2, "stem_2")
        for stage in range(3):
            if stage:
                halved = _reduction(x, before, filters * 2**stage, f"reduce_{cells * stage}")
                before, x = (before if skips else x), halved
            first = cells * stage + (stage > 0)
            for index in range(first, first + cells):
                before, x = x, _normal(x, before, filters * 2**stage, str(index))
        return _relu(x)


NASNetMobile = network(
    _NASNet,
    "NASNetMobile",
    5_326_716,
    stem=32,
    filters=44,
    cells=4,
    skips=False,
)
NASNetLarge = network(
    _NASNet,
    "NASNetLarge",
    88_949_818,
    side=331,
    stem=96,
    filters=168,
    cells=6,
    skips=True,
)
preprocess_input = preprocessing(_NASNet)
