"""Networks for images whose hyperparameters are searched, with Keras Tuner's names of them."""

from __future__ import annotations

from typing import Any

from .. import applications, layers, models, optimizers
from ._hypermodel import HyperModel

_RATES = [0.1, 0.01, 0.001]


class _Network(HyperModel):
    """A network over images: `input_shape` or `input_tensor`, and with a top `classes`."""

    def __init__(
        self,
        include_top: bool = True,
        input_shape: Any = None,
        input_tensor: Any = None,
        classes: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if include_top and classes is None:
            raise ValueError(
                "A network with its top needs `classes`. Received: include_top=True, classes=None."
            )
        if input_shape is None and input_tensor is None:
            raise ValueError(
                "A network needs `input_shape` or `input_tensor`. Received: neither of them."
            )
        self.include_top = include_top
        self.classes: Any = classes
        self.input_shape, self.input_tensor = input_shape, input_tensor

    def _input(self) -> Any:
        given = self.input_tensor
        return layers.Input(self.input_shape) if given is None else given

    def _compiled(self, model: Any, optimizer: Any) -> Any:
        model.compile(optimizer, "categorical_crossentropy", metrics=["accuracy"])
        return model


class HyperResNet(_Network):
    """ResNets of version 1, 2 and "next", 50 to 152 layers deep.

    Args:
        include_top: Whether classes are told; otherwise the model gives features and is not compiled.
        input_shape, input_tensor: The shape of images (height, width, channels), or a symbolic tensor of them.
        classes: How many.
        **kwargs: `name` and `tunable` of `HyperModel`.

    >>> HyperResNet(input_shape=(32, 32, 3))
    Traceback (most recent call last):
    ValueError: A network with its top needs `classes`. Received: include_top=True, classes=None.
    """

    def build(self, hp: Any) -> Any:
        """The network: compiled, where it has a top."""
        version = hp.Choice("version", ["v1", "v2", "next"], default="v2")
        depths = (3, hp.Choice("conv3_depth", [4, 8]), hp.Choice("conv4_depth", [6, 23, 36]), 3)
        inputs = self._input()
        x = layers.Conv2D(64, 7, strides=2, padding="same", use_bias=version != "next")(inputs)
        x = x if version == "v2" else _activated(x)
        x = layers.MaxPooling2D(3, strides=2, padding="same")(x)
        for stage, depth in enumerate(depths):
            for block in range(depth):
                strides = 2 if stage and not block else 1
                x = _residual(x, 64 * 2**stage, strides, block == 0, version)
        x = _activated(x) if version == "v2" else x
        pooling = hp.Choice("pooling", ["avg", "max"], default="avg")
        x = _pooled(x, pooling)
        if not self.include_top:
            return models.Model(inputs, x, name="ResNet")
        x = layers.Dense(self.classes, activation="softmax", name="probs")(x)
        chosen = hp.Choice("optimizer", ["adam", "rmsprop", "sgd"], default="adam")
        rate = hp.Choice("learning_rate", _RATES, default=0.01)
        optimizer = optimizers.get({"class_name": chosen, "config": {"learning_rate": rate}})
        return self._compiled(models.Model(inputs, x, name="ResNet"), optimizer)


class HyperXception(_Network):
    """Networks of separable convolutions with residual connections.

    Its arguments are those of `HyperResNet`.

    >>> HyperXception(classes=10)
    Traceback (most recent call last):
    ValueError: A network needs `input_shape` or `input_tensor`. Received: neither of them.
    """

    def build(self, hp: Any) -> Any:
        """The network: compiled, where it has a top."""
        activation = hp.Choice("activation", ["relu", "selu"])
        filters = hp.Choice("conv2d_num_filters", [32, 64, 128], default=64)
        size = hp.Choice("kernel_size", [3, 5])
        strides = hp.Choice("initial_strides", [2])
        inputs = self._input()
        x = layers.Conv2D(filters, size, strides=strides, padding="same")(inputs)
        x = _activated(x, activation)
        width = hp.Int("sep_num_filters", 128, 768, step=128, default=256)
        for _ in range(hp.Int("num_residual_blocks", 2, 8, default=4)):
            before = layers.Conv2D(width, 1, strides=2, padding="same")(x)
            for _ in range(2):
                x = layers.SeparableConv2D(width, size, padding="same")(x)
                x = _activated(x, activation)
            x = layers.MaxPooling2D(3, strides=2, padding="same")(x)
            x = layers.Add()([before, x])
        x = _pooled(x, hp.Choice("pooling", ["avg", "flatten", "max"]))
        if not self.include_top:
            return models.Model(inputs, x, name="Xception")
        count = hp.Int("num_dense_layers", 1, 3)
        rate = hp.Float("dropout_rate", 0.0, 0.6, step=0.1, default=0.5)
        normalized = hp.Choice("dense_use_bn", [True, False])
        for _ in range(count - 1):
            x = layers.Dense(width)(x)
            x = _activated(x, activation) if normalized else layers.Activation(activation)(x)
            x = layers.Dropout(rate)(x)
        x = layers.Dense(self.classes, activation="softmax")(x)
        rate = hp.Choice("learning_rate", [1e-3, 1e-4, 1e-5])
        return self._compiled(models.Model(inputs, x, name="Xception"), optimizers.Adam(rate))


class HyperEfficientNet(_Network):
    """EfficientNet B0 to B7, with Keras's published weights, and a top to train.

    Args:
        input_shape, input_tensor: The shape of images (height, width, channels), or a symbolic tensor of them.
        classes: How many.
        augmentation_model: What images go through first: a model, or a `HyperModel` such as `HyperImageAugment`.
        **kwargs: `name` and `tunable` of `HyperModel`.

    >>> HyperEfficientNet(input_shape=(32, 32, 3), classes=2, augmentation_model=3)
    Traceback (most recent call last):
    ValueError: `augmentation_model` must be a model or a `HyperModel`. Received: augmentation_model=3.
    """

    def __init__(
        self,
        input_shape: Any = None,
        input_tensor: Any = None,
        classes: int | None = None,
        augmentation_model: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(True, input_shape, input_tensor, classes, **kwargs)
        if not isinstance(augmentation_model, models.Model | HyperModel | None):
            raise ValueError(
                "`augmentation_model` must be a model or a `HyperModel`. "
                f"Received: augmentation_model={augmentation_model!r}."
            )
        self.augmentation_model = augmentation_model

    def build(self, hp: Any) -> Any:
        """The compiled network."""
        inputs = x = self._input()
        augment = self.augmentation_model
        augment = augment.build(hp) if isinstance(augment, HyperModel) else augment
        x = x if augment is None else augment(x)
        version = hp.Choice("version", [f"B{number}" for number in range(8)])
        network = getattr(applications, f"EfficientNet{version}")
        x = network(include_top=False, input_tensor=x).output
        x = layers.GlobalAveragePooling2D(name="avg_pool")(x)
        x = layers.Dropout(hp.Float("top_dropout_rate", 0.2, 0.8, step=0.2, default=0.2))(x)
        x = layers.Dense(self.classes, activation="softmax", name="probs")(x)
        rate = hp.Choice("learning_rate", _RATES, default=0.01)
        return self._compiled(models.Model(inputs, x, name="EfficientNet"), optimizers.Adam(rate))


class HyperImageAugment(HyperModel):
    """Images that are turned, moved and made lighter by chance; how much is searched.

    Args:
        input_shape, input_tensor: The shape of images (height, width, channels), or a symbolic tensor of them.
        rotate, translate_x, translate_y, contrast: The most of each, or its least and its most; None for none.
        augment_layers: How often all of them follow each other, each time with their part of the factor: the most, or
            the least and the most. 0 for once, with factors in steps of 0.05.
        **kwargs: `name` and `tunable` of `HyperModel`.

    >>> from cornu.tuner import HyperParameters
    >>> hp = HyperParameters()
    >>> model = HyperImageAugment((8, 8, 3), translate_x=None, augment_layers=0).build(hp)
    >>> hp.values
    {'factor_rotate': 0.0, 'factor_translate_y': 0.0, 'factor_contrast': 0.0}
    """

    def __init__(
        self,
        input_shape: Any = None,
        input_tensor: Any = None,
        rotate: Any = 0.5,
        translate_x: Any = 0.4,
        translate_y: Any = 0.4,
        contrast: Any = 0.3,
        augment_layers: Any = 3,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.input_shape, self.input_tensor = input_shape, input_tensor
        self.factors = {
            "rotate": rotate,
            "translate_x": translate_x,
            "translate_y": translate_y,
            "contrast": contrast,
        }
        self.augment_layers = augment_layers

    def build(self, hp: Any) -> Any:
        """The model, which augments in training alone."""
        given = self.input_tensor
        inputs = x = layers.Input(self.input_shape) if given is None else given
        count, step = 1, 0.05 if not self.augment_layers else None
        if self.augment_layers:
            least, most = _span(self.augment_layers, 1)
            count = hp.Int("augment_layers", least, most)
        factors = {
            name: hp.Float(f"factor_{name}", *_span(span, 0.0), step=step)
            for name, span in self.factors.items()
            if span
        }
        for _ in range(count):
            for name, factor in factors.items():
                x = _AUGMENTS[name](factor / count)(x) if factor else x
        return models.Model(inputs, x, name="image_augment")


_AUGMENTS: dict[str, Any] = {
    "rotate": layers.RandomRotation,
    "translate_x": lambda factor: layers.RandomTranslation(0.0, factor),
    "translate_y": lambda factor: layers.RandomTranslation(factor, 0.0),
    "contrast": layers.RandomContrast,
}


def _span(given: Any, least: Any) -> tuple[Any, Any]:
    return tuple(given) if isinstance(given, list | tuple) else (least, given)


def _activated(x: Any, activation: str = "relu") -> Any:
    return layers.Activation(activation)(layers.BatchNormalization()(x))


def _pooled(x: Any, pooling: str) -> Any:
    kinds = {"avg": layers.GlobalAveragePooling2D, "max": layers.GlobalMaxPooling2D}
    return kinds.get(pooling, layers.Flatten)()(x)


def _residual(x: Any, filters: int, strides: int, projected: bool, version: str) -> Any:
    """Convolutions of 1, 3 and 1, added to their input; in version 2 normalized before each, in "next" in 32 groups."""
    wide, groups = (2 * filters, 32) if version == "next" else (filters, 1)
    shortcut, before = x, version == "v2"
    x = _activated(x) if before else x
    if projected:
        shortcut = layers.Conv2D(4 * filters, 1, strides=strides)(x)
        shortcut = shortcut if before else layers.BatchNormalization()(shortcut)
    x = _activated(layers.Conv2D(wide, 1, use_bias=False)(x))
    x = layers.Conv2D(wide, 3, strides=strides, padding="same", groups=groups, use_bias=False)(x)
    x = layers.Conv2D(4 * filters, 1)(_activated(x))
    if before:
        return layers.Add()([shortcut, x])
    return layers.Activation("relu")(layers.Add()([shortcut, layers.BatchNormalization()(x)]))
