"""What all networks share: their arguments, where images come in, what stands on top, weights."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, ParamSpec, cast

from .. import activations, layers
from ..core.checks import listed, one_of, positive_integer
from ..core.config import image_data_format
from ..core.keras_tensor import KerasTensor
from ..core.operation import get_source_inputs
from ..models import Functional
from ._weights import IMAGENET, fetched
from .imagenet_utils import CLASSES
from .imagenet_utils import preprocess_input as prepared

Asked = ParamSpec("Asked")
POOLINGS = {"avg": layers.GlobalAveragePooling2D, "max": layers.GlobalMaxPooling2D}
CHANNELS = 3
KERNELS = "_weights_tf_dim_ordering_tf_kernels{top}"


def channel_axis(last: int = 3) -> int:
    """The axis of channels; files have it as 3 or as -1 where it is the last one."""
    return last if image_data_format() == "channels_last" else 1


class Network:
    """A call of a constructor: its arguments, and the model that they ask for.

    A family is a dataclass of the arguments, in their order, with `features`: the layers from images
    to feature maps.
    """

    include_top: bool
    weights: Any
    input_tensor: Any
    input_shape: Any
    pooling: str | None
    classes: int
    classifier_activation: Any
    name: str | None

    #: Where the family is described.
    source: ClassVar[str]
    #: How images are prepared, as a mode of `preprocess_input`; None where the network does it.
    mode: ClassVar[str | None] = None
    #: The side of the smallest images.
    smallest: ClassVar[int] = 32
    #: Whether the classifier takes images of any size.
    any_size: ClassVar[bool] = False
    #: The names of the layers that pool: under a classifier, and by the mean and the maximum.
    pool_names: ClassVar[tuple[str | None, str | None, str | None]] = (
        "avg_pool",
        "avg_pool",
        "max_pool",
    )
    #: Where files of the family are published.
    home: ClassVar[str] = "tensorflow/keras-applications"
    #: The published files: `{name}` is the network's, `{top}` says that one has no classifier.
    file: ClassVar[str]
    without_top: ClassVar[str] = "_notop"

    #: How names of models spell what stands in the constructor's name.
    spelled: ClassVar[tuple[str, str]] = ("", "")

    row: Row

    @property
    def side(self) -> int:
        """The side of the images that weights are published for."""
        return self.row.side

    def features(self, x: Any, *args: Any, **stages: Any) -> Any:
        """The feature maps of images; `stages` is what the networks of a family differ in."""
        raise NotImplementedError

    def classifier(self, x: Any) -> Any:
        """The probabilities of the classes."""
        return self.predictions(layers.GlobalAveragePooling2D(name=self.pool_names[0])(x))

    def predictions(self, x: Any, name: str = "predictions", **options: Any) -> Any:
        """The last layer, over vectors."""
        options["activation"] = self.classifier_activation
        return layers.Dense(self.classes, name=name, **options)(x)

    def pooled(self, x: Any) -> Any:
        """Vectors, as `pooling` asks for them; else the feature maps."""
        if self.pooling is None:
            return x
        name = dict(zip(POOLINGS, self.pool_names[1:], strict=True))[self.pooling]
        return POOLINGS[self.pooling](name=name)(x)

    def default_name(self, shape: Any) -> str | None:
        """The name of a model that is given none."""
        return self.name

    def model(self) -> Functional:
        """The model, with its weights."""
        self.check()
        shape = self.shape_of_images()
        image = self.input_tensor
        if not isinstance(image, KerasTensor):
            image = layers.Input(shape, tensor=image)
        x = self.features(image, **self.row.stages)
        x = self.classifier(x) if self.include_top else self.pooled(x)
        inputs = image if self.input_tensor is None else get_source_inputs(image)
        model = Functional(inputs, x, name=self.default_name(shape))
        if self.weights == IMAGENET:
            top = "" if self.include_top else self.without_top
            path = self.published().format(name=self.row.model, top=top)
            model.load_weights(fetched(f"{self.home}/{path}.h5"))
        elif self.weights is not None:
            model.load_weights(self.weights)
        return model

    def published(self) -> str:
        """The published file for these arguments."""
        return self.file

    def check(self) -> None:
        """Refuse arguments that fit no model, or not the weights."""
        one_of((None, *POOLINGS), pooling=self.pooling)
        positive_integer(classes=self.classes)
        if self.weights not in (None, IMAGENET) and not os.path.exists(self.weights):
            raise ValueError(
                "`weights` must be None, 'imagenet' or the path of a file. Received: "
                f"weights={self.weights!r}, which is no file."
            )
        if self.weights != IMAGENET or not self.include_top:
            return
        if self.classes != CLASSES:
            raise ValueError(
                f"The published classifier knows {CLASSES} classes. Received: "
                f"classes={self.classes}, weights='imagenet', include_top=True. Leave the classifier "
                "out by `include_top=False` and put your own on top, or train all by `weights=None`."
            )
        activation = activations.get(self.classifier_activation)
        if activation not in (activations.linear, activations.softmax):
            raise ValueError(
                "The published classifier gives logits or, by softmax, probabilities. Received: "
                f"classifier_activation={self.classifier_activation!r}, weights='imagenet'. Use None "
                "or 'softmax'."
            )

    def shape_of_images(self) -> tuple[int | None, ...]:
        """The shape of one image, checked."""
        is_last = image_data_format() == "channels_last"
        of_one_size = self.include_top and not self.any_size
        if self.input_shape is None:
            sides = (self.side if of_one_size else None,) * 2
            return (*sides, CHANNELS) if is_last else (CHANNELS, *sides)
        shape = listed(self.input_shape) or ()
        channels, sides = (shape[-1:], shape[:-1]) if is_last else (shape[:1], shape[1:])
        is_published = self.weights == IMAGENET
        given = tuple(getattr(self.input_tensor, "shape", (None, *shape)))[1:]
        rules = (
            (
                any(
                    None not in pair and len({*pair}) > 1
                    for pair in zip(given, shape, strict=False)
                ),
                f"`input_shape` is that of `input_tensor`, {given}.",
                "Leave it out.",
            ),
            (
                len(shape) != 3 or channels == (None,),
                "Images have two sides, and channels whose number is known.",
                "Leave the batch out; None is a side of any size.",
            ),
            (
                is_published and channels != (CHANNELS,),
                f"Published weights are for images of {CHANNELS} channels.",
                "Repeat the channel of grey images, or train all by `weights=None`.",
            ),
            (
                any(side is not None and side < self.smallest for side in sides),
                f"Images must be at least {self.smallest} x {self.smallest}.",
                "Resize them.",
            ),
            (
                of_one_size and None in sides,
                "A classifier needs images of one size.",
                "Say the size, or leave the classifier out by `include_top=False`.",
            ),
            (
                of_one_size and is_published and sides != (self.side,) * 2,
                f"The published classifier is for images of {self.side} x {self.side}.",
                "Resize them, or leave the classifier out by `include_top=False`.",
            ),
        )
        for is_broken, rule, remedy in rules:
            if is_broken:
                raise ValueError(
                    f"{rule} Received: input_shape={self.input_shape!r}, weights={self.weights!r}, "
                    f"include_top={self.include_top}, in the layout {image_data_format()!r}. {remedy}"
                )
        return shape


@dataclass
class Standard(Network):
    """The arguments of most families."""

    include_top: bool = True
    weights: Any = IMAGENET
    input_tensor: Any = None
    input_shape: Any = None
    pooling: str | None = None
    classes: int = CLASSES
    classifier_activation: Any = "softmax"
    name: str | None = None


class Row(NamedTuple):
    """A network: its constructor, its size, what it has of its family."""

    family: type[Network]
    function: str
    parameters: int
    side: int
    model: str | None
    stages: dict[str, Any]


#: All networks, by the names of their constructors.
NETWORKS: dict[str, Row] = {}

ARGUMENTS = {
    "include_top": "Whether the network ends in its classifier.",
    "weights": "`imagenet`, for those that were published; the path of a file; None for initial ones.",
    "input_tensor": "A symbolic tensor to take as the images.",
    "input_shape": "The shape of one image.",
    "pooling": "Without the classifier: `avg` or `max` of each channel, or None for feature maps.",
    "classes": "The number of classes.",
    "classifier_activation": "What the classifier ends in; None for logits.",
    "name": "The model's name.",
    "include_preprocessing": "Whether the model takes pixels of 0 to 255 and prepares them.",
    "alpha": "The width: the filters of each layer, times this.",
    "depth_multiplier": "How many channels a depthwise convolution makes of each.",
    "dropout": "The share of features that is dropped before the classifier, in training.",
    "dropout_rate": "The share of features that is dropped before the classifier, in training.",
    "minimalistic": "Whether it is without what some hardware does slowly: weighed channels, hard "
    "activations, windows of 5 x 5.",
}


def network(
    family: Callable[Asked, Network],
    function: str,
    parameters: int,
    side: int = 224,
    model: str | None = "",
    **stages: Any,
) -> Callable[Asked, Functional]:
    """The constructor of a network.

    Args:
        family: Its family.
        function: The constructor's name.
        parameters: The number of weights with 1,000 classes.
        side: The side of the images that it was published for.
        model: The name of models that are given none; by default, the constructor's, spelled in the
            family's way.
        stages: What the family's `features` takes.
    """
    kind = cast(type[Network], family)
    if model == "":
        model = function.replace(*kind.spelled).lower()
    row = Row(kind, function, parameters, side, model, stages)
    NETWORKS[function] = row
    given = inspect.signature(family).parameters.values()
    signature = inspect.Signature(
        [p.replace(default=row.model) if p.name == "name" else p for p in given],
        return_annotation=Functional,
    )

    def construct(*args: Asked.args, **kwargs: Asked.kwargs) -> Functional:
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        asked = kind(**bound.arguments)
        asked.row = row
        return asked.model()

    construct.__name__ = construct.__qualname__ = function
    construct.__module__ = "cornu.applications"
    construct.__doc__ = _documentation(row, signature)
    construct.__signature__ = signature  # type: ignore[attr-defined]
    return construct


def _documentation(row: Row, signature: inspect.Signature) -> str:
    images = "as they are, of 0 to 255" if row.family.mode is None else "after `preprocess_input`"
    arguments = "\n".join(f"    {name}: {ARGUMENTS[name]}" for name in signature.parameters)
    return f"""{row.function}, of {row.parameters:,} parameters ({row.family.source}).

It was published for images of {row.side} x {row.side}, and takes them {images}.

Args:
{arguments}

Returns:
    The model: from images (batch, height, width, channels), or channels first, to probabilities (batch,
    classes); without the classifier to feature maps, or to vectors (batch, channels).

Raises:
    ValueError: If an argument fits no model, or not the weights.
    OSError: If published weights can't be downloaded.

>>> {row.function}(weights=None).count_params()
{row.parameters}
"""


def preprocessing(family: type[Network]) -> Callable[..., Any]:
    """The `preprocess_input` of a family."""
    mode = family.mode

    def preprocess_input(x: Any, data_format: str | None = None) -> Any:
        return x if mode is None else prepared(x, data_format, mode)

    what = "as they are: the networks prepare them" if mode is None else f"as by the mode `{mode}`"
    preprocess_input.__doc__ = f"""Images {what}.

Args:
    x: RGB images of 0 to 255, `(..., height, width, 3)` or, channels first, `(..., 3, height, width)`.
    data_format: `channels_last` or `channels_first`.

>>> import numpy as np
>>> preprocess_input(np.array([0.0, 127.5, 255.0])).shape
(3,)
"""
    return preprocess_input
