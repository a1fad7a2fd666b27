"""Quantization-aware training: a model trains while it computes with numbers of few bits."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import numpy as np

from .. import ops
from ..core.described import Described
from ..core.scopes import within
from ..core.serialization import custom_object_scope
from ..core.tracking import IdentitySet
from ..core.transforms import CLUSTER, FAKE, MASK, Transform
from ..core.variable import Variable
from ..data import inputs_of
from ..layers import Layer
from ._choice import kernels
from ._clustering import Cluster
from ._flow import Place, places
from ._ranges import LastValueQuantizer, MovingAverageQuantizer, observing
from ._weights import read, strip

_MISSING: Any = object()


class QuantizeConfig(Described):
    """What of a layer is quantized, and how; a subclass defines what there is.

    >>> class Fine(QuantizeConfig):
    ...     def get_weights_and_quantizers(self, layer):
    ...         return [(layer.kernel, LastValueQuantizer(16, symmetric=True))]
    """

    _describes_users = True

    def get_weights_and_quantizers(self, layer: Any) -> list[tuple[Any, Any]]:
        """Weights of the layer, each with its quantizer."""
        return []

    def get_activations_and_quantizers(self, layer: Any) -> list[tuple[Any, Any]]:
        """Activations of the layer, each with its quantizer: what it gives passes through these."""
        return []

    def get_output_quantizers(self, layer: Any) -> list[Any]:
        """What the layer gives passes through these, too."""
        return []

    def set_quantize_weights(self, layer: Any, quantize_weights: Any) -> None:
        """Nothing: a layer's weights stay where they are. It is there for programs that define it."""

    def set_quantize_activations(self, layer: Any, quantize_activations: Any) -> None:
        """Nothing: a layer's activations stay where they are. It is there for programs that define it."""


class DefaultNBitQuantizeScheme(Described):
    """How layers are quantized that say nothing themselves.

    Kernels in a symmetric range for each output channel, activations in one range that is a moving average. A
    subclass may have other quantizers.

    Args:
        num_bits_weight, num_bits_activation: How many bits a number has, 2 to 16.

    >>> DefaultNBitQuantizeScheme(num_bits_weight=4).weight_quantizer().num_bits
    4
    """

    _describes_users = True

    def __init__(self, num_bits_weight: int = 8, num_bits_activation: int = 8) -> None:
        super().__init__()
        self.weight_quantizer(), self.activation_quantizer()  # which say what is wrong

    def weight_quantizer(self) -> Transform:
        """A quantizer of a kernel."""
        return LastValueQuantizer(
            self.num_bits_weight, per_axis=True, symmetric=True, narrow_range=True
        )

    def activation_quantizer(self) -> Transform:
        """A quantizer of what a layer reads or gives."""
        return MovingAverageQuantizer(self.num_bits_activation)

    def preserved(self, weight: Variable) -> Transform | None:
        """What keeps a property that a kernel has by other means; None for nothing."""
        return None


class Default8BitQuantizeScheme(DefaultNBitQuantizeScheme):
    """Kernels and activations of 8 bits.

    >>> Default8BitQuantizeScheme().get_config()
    {}
    """

    _unwritten_arguments = frozenset({"num_bits_weight", "num_bits_activation"})

    def __init__(self) -> None:
        super().__init__()


class KeepZeros(Transform):
    """Weights that are 0 stay it: no gradient comes to them.

    >>> KeepZeros().value(ops.convert_to_tensor([0.0, 2.0])).tolist()
    [0.0, 2.0]
    """

    order = MASK

    def value(self, stored: Any) -> Any:
        """What is stored."""
        return ops.where(ops.equal(stored, 0), ops.zeros_like(stored), stored)


class Default8BitPrunePreserveQuantizeScheme(Default8BitQuantizeScheme):
    """Kernels and activations of 8 bits, of a model that was pruned: what is 0 stays it.

    >>> Default8BitPrunePreserveQuantizeScheme().weight_quantizer().num_bits
    8
    """

    def preserved(self, weight: Variable) -> Transform | None:
        """The zeros of a kernel, which a mask keeps as well."""
        return None if weight.transforms else KeepZeros()


class Default8BitClusterPreserveQuantizeScheme(Default8BitQuantizeScheme):
    """Kernels and activations of 8 bits, of a model that was clustered: a kernel has no more values than before.

    Its range is that of the whole kernel, since ranges of its channels would make several numbers of a value.

    Args:
        preserve_sparsity: Whether weights that are 0 stay it.

    >>> Default8BitClusterPreserveQuantizeScheme().weight_quantizer().per_axis
    False
    """

    def __init__(self, preserve_sparsity: bool = True) -> None:
        super().__init__()

    def weight_quantizer(self) -> Transform:
        """A quantizer of a kernel."""
        return LastValueQuantizer(8, symmetric=True, narrow_range=True)

    def preserved(self, weight: Variable) -> Transform | None:
        """The values of a kernel, where they are at most half as many as its weights."""
        values = len(np.unique(ops.convert_to_numpy(read(weight, CLUSTER))))
        if weight.transforms or not 2 <= values <= np.prod(weight.shape) / 2:
            return None
        return Cluster(values, preserve_sparsity=self.preserve_sparsity)


def quantize_annotate_layer(to_annotate: Any, quantize_config: Any = None) -> Any:
    """Note that a layer is to be quantized by `quantize_apply`.

    Args:
        to_annotate: A layer, built or not.
        quantize_config: A `QuantizeConfig`, or what has its methods; what the scheme says where it is None.

    Returns:
        The layer.

    Raises:
        ValueError: If it is no layer, or no such config.

    >>> from cornu import Input, Sequential, layers
    >>> model = Sequential([Input((4,)), layers.Dense(8, "relu"), quantize_annotate_layer(layers.Dense(2))])
    >>> [len(layer.transforms) for layer in quantize_apply(model).layers]
    [0, 2]
    """
    if not isinstance(to_annotate, Layer):
        raise ValueError(f"A layer is annotated. Received: to_annotate={to_annotate!r}.")
    if quantize_config is not None and not hasattr(quantize_config, "get_weights_and_quantizers"):
        raise ValueError(
            "`quantize_config` has the methods of a `QuantizeConfig`. Received: "
            f"quantize_config={quantize_config!r}."
        )
    vars(to_annotate)["_quantized_by"] = quantize_config
    return to_annotate


def quantize_annotate_model(to_annotate: Any) -> Any:
    """Note that all layers of a model are to be quantized by `quantize_apply`, those by their own config that have one.

    Args:
        to_annotate: A model of any kind.

    Returns:
        The model.

    Raises:
        ValueError: If it is no model.
    """
    if not isinstance(to_annotate, Layer):
        raise ValueError(f"A model is annotated. Received: to_annotate={to_annotate!r}.")
    for layer in to_annotate._flatten_layers():
        vars(layer).setdefault("_quantized_by", None)
    return to_annotate


def quantize_apply(
    model: Any,
    scheme: Any = None,
    quantized_layer_name_prefix: str = "quant_",
    calibration: Any = None,
) -> Any:
    """Have the annotated layers of a model compute with numbers of few bits from now on.

    A number is quantized once, where it is read: a kernel; what a layer with a kernel is called on, if no other one has
    quantized that; what a layer gives, if that is not the model's output and the next layer is none that is computed in
    one with it (an activation, or a `BatchNormalization` after a kernel and no activation).

    A `BatchNormalization` is folded into the kernel before it where a model is run as integers: each channel of the
    kernel is multiplied by `gamma / sqrt(variance + epsilon)`. Its symmetric range is multiplied with it, so the folded
    kernel is quantized in training just as it is then, and need not be made. Quantizers of a whole kernel quantize it
    as it is, not folded.

    Args:
        model: A built model of any kind; it is the same one afterwards, as it was compiled and trained.
        scheme: How layers are quantized that were annotated without a config; `Default8BitQuantizeScheme()` where it is
            None.
        quantized_layer_name_prefix: Taken and not used: layers keep their names.
        calibration: Data that ranges of activations start from: an array of inputs, or batches. They are -6 to 6 else,
            until the first step of training.

    Returns:
        The model.

    Raises:
        ValueError: If the model is not built, or no layer of it is annotated or quantized already.
    """
    scheme = Default8BitQuantizeScheme() if scheme is None else scheme
    if not isinstance(quantized_layer_name_prefix, str):
        raise ValueError(
            "`quantized_layer_name_prefix` is a string, and a scheme is given by its name. Received: "
            f"quantized_layer_name_prefix={quantized_layer_name_prefix!r}."
        )
    _check(model, scheme)
    marked: dict[int, tuple[Layer, Any]] = {}
    for layer in model._flatten_layers():
        if "_quantized_by" in vars(layer):
            config = vars(layer)["_quantized_by"]
            parts = [layer] if config else layer._flatten_layers()
            marked.update({id(part): (part, config) for part in parts if id(part) not in marked})
    if not marked:
        raise ValueError(
            f"Layers that are annotated are quantized. Received: the model {model.name!r}, which has none. "
            "`quantize_model` takes all of them."
        )
    found = {id(x.layer): x for x in places(model, lambda layer: id(layer) in marked)}
    with _or_as_it_was(model):
        for key, (layer, config) in marked.items():
            vars(layer).pop("_quantized_by", None)
            if config is None:
                _by_scheme(layer, scheme, found.get(key))
            else:
                _by_config(layer, config)
        if calibration is not None:
            with within(observing, True):
                for x in inputs_of(calibration):
                    Layer.__call__(model, x, training=False)
    return model


@contextmanager
def _or_as_it_was(model: Any) -> Iterator[None]:
    """A block after which a model is as it was before, if it fails: its annotations and its transforms."""
    parts = model._flatten_layers() if isinstance(model, Layer) else []
    before = [(x, vars(x).get("_quantized_by", _MISSING), x.transforms) for x in parts]
    try:
        yield
    except BaseException:
        for layer, mark, transforms in before:
            vars(layer).pop("_quantized_by", None)
            if mark is not _MISSING:
                vars(layer)["_quantized_by"] = mark
            named = {variable.name: variable for variable in layer._own_weights()}
            for of, transform in layer.transforms:
                if not any(transform is known for _, known in transforms):
                    layer.remove_transform(named.get(of, of), transform)
        raise


def _check(model: Any, scheme: Any) -> None:
    if not isinstance(model, Layer) or not model.built:
        raise ValueError(
            f"A built model is quantized. Received: {model!r}. Call it on data, or `build(input_shape)`, first."
        )
    quantized = [
        x for x in model._flatten_layers() if any(t.order == FAKE for _, t in x.transforms)
    ]
    if quantized:
        raise ValueError(
            "A layer is quantized once. Received: "
            f"the model {model.name!r}, of which {quantized[0].path!r} is. `strip_quantization` ends that."
        )
    if isinstance(scheme, type) or not hasattr(scheme, "weight_quantizer"):
        raise ValueError(
            f"`scheme` has the methods of a `DefaultNBitQuantizeScheme`. Received: scheme={scheme!r}."
        )


def _by_scheme(layer: Layer, scheme: Any, place: Place | None) -> None:
    for weight in kernels(layer):
        if any(transform.order == FAKE for transform in weight.transforms):
            continue  # of another layer too
        keeping = scheme.preserved(weight)
        if keeping is not None:
            layer.add_transform(weight, keeping)
        layer.add_transform(weight, scheme.weight_quantizer())
    for which, wanted in (("inputs", place and place.reads), ("outputs", place and place.gives)):
        if wanted:
            layer.add_transform(which, scheme.activation_quantizer())


def _by_config(layer: Layer, config: Any) -> None:
    for weight, quantizer in config.get_weights_and_quantizers(layer):
        owners = [
            part for part in layer._flatten_layers() if weight in IdentitySet(part._own_weights())
        ]
        (owners or [layer])[0].add_transform(weight, quantizer)
    given = [quantizer for _, quantizer in config.get_activations_and_quantizers(layer)]
    for quantizer in [*given, *config.get_output_quantizers(layer)]:
        layer.add_transform("outputs", quantizer)


def quantize_model(
    to_quantize: Any,
    quantized_layer_name_prefix: str = "quant_",
    scheme: Any = None,
    calibration: Any = None,
) -> Any:
    """Have all layers of a model compute with numbers of few bits from now on, those by their own config that have one.

    Args:
        to_quantize: A built model of any kind.
        quantized_layer_name_prefix, scheme, calibration: As `quantize_apply` takes them.

    Returns:
        The model, the same one, as it was compiled and trained.

    Raises:
        ValueError: If it is no built model, or quantized already.

    >>> from cornu import Input, Sequential, layers
    >>> model = quantize_model(Sequential([Input((4,)), layers.Dense(8, "relu"), layers.Dense(2)]))
    >>> [[of for of, _ in layer.transforms] for layer in model.layers]
    [['kernel', 'inputs', 'outputs'], ['kernel']]
    """
    with _or_as_it_was(to_quantize):
        model = quantize_annotate_model(to_quantize)
        return quantize_apply(model, scheme, quantized_layer_name_prefix, calibration)


def strip_quantization(model: Any) -> Any:
    """Store the numbers of few bits in place of the weights trained towards them: a plain model, the same object.

    Args:
        model: A model or a layer.

    Returns:
        It.

    >>> from cornu import Input, Sequential, layers
    >>> scheme = DefaultNBitQuantizeScheme(num_bits_weight=2)
    >>> model = quantize_model(Sequential([Input((8,)), layers.Dense(1)]), scheme=scheme)
    >>> len(np.unique(strip_quantization(model).layers[0].kernel)) <= 3
    True
    """
    strip(model, FAKE)
    return model


def quantize_scope(*custom_objects: Any) -> AbstractContextManager[Any]:
    """A block in which files may name these classes. Those of this module need none.

    Args:
        *custom_objects: Dictionaries from names to classes.

    >>> with quantize_scope({"Mine": QuantizeConfig}):
    ...     pass
    """
    return custom_object_scope({name: x for given in custom_objects for name, x in given.items()})
