"""Filters that are really taken out: the same model with fewer channels.

A graph is run on the names of its channels in place of tensors. A layer that computes channels anew names
them, one that keeps channels apart hands their names on, and an addition makes two names one: channels that
go, go together. What mixes channels in a way that is not known here keeps all that it is given.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from .. import layers
from ..core import tree
from ..core.checks import is_number
from ..layers import Layer
from ..models import Functional, Sequential, clone_model
from ..models.costs import costs
from ._choice import chosen


class _Kind(NamedTuple):
    """How a kind of layer depends on channels: the axes of its weights that have a place for each."""

    #: The argument that says how many channels it gives; None where they are those that it takes.
    argument: str | None
    taken: dict[str, int]
    given: dict[str, int]


_CONVOLUTION = _Kind("filters", {"kernel": -2}, {"kernel": -1, "bias": 0})
_TRANSPOSED = _Kind("filters", {"kernel": -1}, {"kernel": -2, "bias": 0})
_SEPARABLE = _Kind(
    "filters",
    {"depthwise_kernel": -2, "pointwise_kernel": -2},
    {"pointwise_kernel": -1, "bias": 0},
)
_DEPTHWISE = _Kind(None, {"kernel": -2}, {"bias": 0})
_STATISTICS = dict.fromkeys(("gamma", "beta", "moving_mean", "moving_variance"), 0)
_KINDS: dict[type, _Kind] = {
    layers.Dense: _Kind("units", {"kernel": 0}, {"kernel": 1, "bias": 0}),
    layers.Embedding: _Kind("output_dim", {}, {"embeddings": 1}),
    layers.BatchNormalization: _Kind(None, _STATISTICS, {}),
    **dict.fromkeys((layers.Conv1D, layers.Conv2D, layers.Conv3D), _CONVOLUTION),
    **dict.fromkeys((layers.Conv1DTranspose, layers.Conv2DTranspose), _TRANSPOSED),
    layers.Conv3DTranspose: _TRANSPOSED,
    **dict.fromkeys((layers.DepthwiseConv1D, layers.DepthwiseConv2D), _DEPTHWISE),
    **dict.fromkeys((layers.SeparableConv1D, layers.SeparableConv2D), _SEPARABLE),
}
#: Layers and ops, by the names of their classes, that leave channels apart, and that join those of several tensors.
_APART = frozenset(
    """Activation ELU LeakyReLU ReLU Identity ActivityRegularization Dropout SpatialDropout1D SpatialDropout2D
    SpatialDropout3D GaussianDropout GaussianNoise MaxPooling1D MaxPooling2D MaxPooling3D AveragePooling1D
    AveragePooling2D AveragePooling3D GlobalAveragePooling1D GlobalAveragePooling2D GlobalAveragePooling3D
    GlobalMaxPooling1D GlobalMaxPooling2D GlobalMaxPooling3D ZeroPadding1D ZeroPadding2D ZeroPadding3D Cropping1D
    Cropping2D Cropping3D UpSampling1D UpSampling2D UpSampling3D RepeatVector Elu Gelu HardSigmoid HardSilu
    HardTanh Mish Relu Relu6 Selu Sigmoid Silu Softplus Tanh""".split()
)
_JOINING = frozenset("Add Subtract Multiply Average Maximum Minimum".split())


def prune_filters(
    model: Any, sparsity: float | None = 0.5, pruning_policy: Any = None
) -> Functional | Sequential:
    """A copy of a model with fewer filters and units; those of the least mean magnitude go.

    Filters that an addition joins go together, by the sum of their magnitudes, each over the mean of its layer. The
    inputs and outputs of the model keep their shapes, and so does what a layer is given that mixes channels in a way
    not known here, such as `Reshape`, `LayerNormalization` or a user's layer. What a filter gave goes with its bias
    and normalization, so the copy wants training again, unless all of that was zero.

    Args:
        model: A built Functional or Sequential model; models within it lose filters too, but are given what they were.
            It stays as it is.
        sparsity: The share of filters that goes from each layer, or layers that are joined; at least one stays. None
            for filters whose weights are all zero, as `prune_low_magnitude(block_size=(None, 1))` leaves them.
        pruning_policy: Which layers may lose filters, as `prune_low_magnitude` takes it.

    Returns:
        The copy, compiled where the model is. `savings(model, copy)` says what it takes less.

    Raises:
        ValueError: If the model is no graph, or weights have transforms still: `strip_pruning` takes them off.

    >>> from cornu import Input, Sequential
    >>> model = Sequential([Input((4,)), layers.Dense(8, "relu"), layers.Dense(2)])
    >>> smaller = prune_filters(model, 0.75)
    >>> [weight.shape for weight in smaller.weights]
    [(4, 2), (2,), (2, 2), (2,)]
    """
    if not isinstance(model, (Functional, Sequential)) or not model.built:
        raise ValueError(
            "Filters are taken out of a built model that is a graph. Received: "
            f"{model!r}. Build it of layers by `cornu.Model(inputs, outputs)` or `Sequential`."
        )
    if sparsity is not None and not (is_number(sparsity) and 0 <= sparsity < 1):
        raise ValueError(
            "`sparsity` is the share of filters that goes, from 0 to below 1, or None for those that are zero. "
            f"Received: sparsity={sparsity!r}."
        )
    read = [weight.path for weight in model.weights if weight.transforms]
    if read:
        raise ValueError(
            "Filters are taken out of plain weights. Received: a model with transforms on "
            f"{read[:3]}. `strip_pruning(model)` first."
        )
    graph = _Graph()
    graph.fix(*tree.flatten(graph.run(model, None)))
    gone = graph.gone(sparsity, pruning_policy)
    pairs: list[tuple[Layer, Layer]] = []

    def smaller(layer: Layer) -> Layer:
        config = layer.get_config()
        kind = _KINDS.get(type(layer))
        if kind and kind.argument and layer in graph.given:
            config[kind.argument] = int(graph.stay(graph.given[layer], gone).sum())
        pairs.append((layer, type(layer).from_config(config)))
        return pairs[-1][1]

    copy: Any = clone_model(model, clone_function=smaller, recursive=True)
    for layer, other in pairs:
        if isinstance(layer, Layer):  # and no op
            graph.hand_over(layer, other, gone)
    return copy


class Channels:
    """A tensor in the graph of channels: the number of each channel of its last axis."""

    def __init__(self, numbers: np.ndarray[Any, Any]) -> None:
        self.numbers = numbers


class _Graph:
    """Which channels of a graph are the same, and which layers make and take them."""

    def __init__(self) -> None:
        #: For each channel one that it goes together with: itself for the first of them.
        self.same: list[int] = []
        self.fixed: set[int] = set()
        self.taken: dict[Layer, np.ndarray[Any, Any]] = {}
        self.given: dict[Layer, np.ndarray[Any, Any]] = {}

    # --- running

    def run(self, model: Any, given: Any) -> Any:
        """What a model gives for its inputs; for new ones where they are None."""
        graph = getattr(model, "_functional", None) or model
        inputs = graph._inputs if given is None else tree.flatten(given)
        values = [self._new(x.shape[-1], True) if given is None else x for x in inputs]
        return graph._run_steps(values, self._called)

    def _called(self, operation: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        name, inputs = type(operation).__name__, tree.flatten((args, kwargs))
        known = [x for x in inputs if isinstance(x, Channels)]
        constants = any(np.ndim(x) for x in inputs if not isinstance(x, Channels))
        last = getattr(operation, "data_format", "channels_last") != "channels_first"
        if isinstance(operation, (Functional, Sequential)):
            self.fix(*known)  # its inputs say how many channels they have
            return self.run(operation, known)
        if last and not constants and type(operation).__module__.startswith(("cornu.", "keras.")):
            if name in _APART:
                return known[0]
            if name in _JOINING:
                return self._joined(known)
            if name == "Flatten":
                return Channels(np.resize(known[0].numbers, self._size(operation)))
            if name == "Concatenate" and operation.axis in (-1, self._rank(operation) - 1):
                return Channels(np.concatenate([x.numbers for x in known]))
            if type(operation) in _KINDS and self._is_plain(operation):
                return self._weighted(operation, known[0])
        self.fix(*known)
        nodes = operation._inbound_nodes[0].output_structure
        return tree.map_structure(
            lambda x: self._new(x.shape[-1] if x.ndim > 1 else 1, True), nodes
        )

    def _weighted(self, layer: Any, x: Channels) -> Channels:
        kind = _KINDS[type(layer)]
        if not kind.taken:
            self.fix(x)  # numbers of rows
        elif layer in self.taken:
            self._joined([Channels(self.taken[layer]), x])
        self.taken[layer] = x.numbers
        if kind.argument is None:
            self.given[layer] = np.repeat(x.numbers, getattr(layer, "depth_multiplier", 1))
        elif layer not in self.given:
            self.given[layer] = self._new(getattr(layer, kind.argument)).numbers
        return Channels(self.given[layer])

    def _is_plain(self, layer: Any) -> bool:
        last = getattr(layer, "axis", -1) in (-1, self._rank(layer) - 1)
        return last and getattr(layer, "groups", 1) == 1

    def _size(self, operation: Any) -> int:
        return int(operation._inbound_nodes[0].outputs[0].shape[-1])

    def _rank(self, operation: Any) -> int:
        return int(operation._inbound_nodes[0].outputs[0].ndim)

    # --- channels

    def _new(self, count: int | None, fixed: bool = False) -> Channels:
        numbers = np.arange(count or 1) + len(self.same)
        self.same += numbers.tolist()
        if fixed:
            self.fixed.update(numbers.tolist())
        return Channels(numbers)

    def first(self, number: int) -> int:
        """The channel that stands for all that go together with one."""
        while self.same[number] != number:
            self.same[number] = number = self.same[self.same[number]]
        return number

    def fix(self, *xs: Channels) -> None:
        """Keep all channels of some tensors."""
        for x in xs:
            self.fixed.update(x.numbers.tolist())

    def _joined(self, xs: list[Channels]) -> Channels:
        """Make the channels of tensors of one size the same; those of size 1 meet all, and stay."""
        size = max(len(x.numbers) for x in xs)
        wide = [x for x in xs if len(x.numbers) == size]
        self.fix(*(x for x in xs if len(x.numbers) != size))
        for x in wide[1:]:
            for a, b in zip(x.numbers.tolist(), wide[0].numbers.tolist(), strict=True):
                self.same[self.first(a)] = self.first(b)
        return wide[0]

    # --- choosing

    def gone(self, sparsity: float | None, policy: Any) -> set[int]:
        """The channels that go, each by the first of those that it goes together with."""
        makers = {x: self.given[x] for x in self.given if _KINDS[type(x)].argument is not None}
        paths = {x: tuple(_KINDS[type(x)].given)[0] for x in makers}
        allowed = [x for x in makers if chosen(policy, x, getattr(x, paths[x]))]
        fixed = set(map(self.first, self.fixed))
        for layer in makers:
            if layer not in allowed:
                fixed.update(map(self.first, makers[layer].tolist()))
        scores: dict[int, float] = {}
        groups: list[set[int]] = []
        for layer in allowed:
            firsts = [self.first(number) for number in makers[layer].tolist()]
            free = {number for number in firsts if number not in fixed}
            for number, score in zip(firsts, _magnitudes(layer, paths[layer]), strict=True):
                scores[number] = scores.get(number, 0.0) + score
            met = [group for group in groups if group & free]
            groups = [group for group in groups if not group & free]
            groups.append(free.union(*met))
        found: set[int] = set()
        for group in groups:
            ranked = sorted(group, key=lambda number: (scores[number], number))
            zeros = sum(scores[number] == 0 for number in ranked)
            count = zeros if sparsity is None else round(len(ranked) * sparsity)
            found.update(ranked[: min(count, len(ranked) - 1)] if ranked else ())
        return found

    def stay(self, numbers: np.ndarray[Any, Any], gone: set[int]) -> np.ndarray[Any, Any]:
        """Which of these channels stay, as a mask."""
        return np.array([self.first(number) not in gone for number in numbers.tolist()])

    def hand_over(self, layer: Any, other: Any, gone: set[int]) -> None:
        """Give a layer of the copy the weights of that of the model, for the channels that stay."""
        kind = _KINDS.get(type(layer)) if layer in self.given else None
        values = []
        for weight in layer.weights:
            value = weight.numpy()
            for axes, channels in (
                ((kind.taken, self.taken), (kind.given, self.given)) if kind else ()
            ):
                if weight.name in axes:
                    stays = self.stay(channels[layer], gone)
                    axis = axes[weight.name]
                    stays = np.repeat(stays, value.shape[axis] // len(stays))
                    value = np.compress(stays, value, axis)
            values.append(value)
        other.set_weights(values)


def _magnitudes(layer: Any, name: str) -> Iterable[float]:
    """The mean magnitude of each filter of a layer, over that of all."""
    kernel = np.abs(getattr(layer, name).numpy().astype("float32"))
    axis = _KINDS[type(layer)].given[name] % kernel.ndim
    means = kernel.mean(tuple(i for i in range(kernel.ndim) if i != axis))
    return (means / (means.mean() or 1.0)).tolist()


class Savings(NamedTuple):
    """What a model took, and takes: pairs of numbers before and after.

    Attributes:
        filters: Of each layer that lost some, by its path.
        parameters: The elements of all weights.
        multiply_adds: Those of a call on one sample; None where they depend on sizes that are not known.
    """

    filters: dict[str, tuple[int, int]]
    parameters: tuple[int, int]
    multiply_adds: tuple[int | None, int | None]

    def __str__(self) -> str:
        rows = [*self.filters.items(), ("parameters", self.parameters)]
        rows.append(("multiply-adds", self.multiply_adds))  # type: ignore[arg-type]
        width = max(len(name) for name, _ in rows)
        return "\n".join(
            f"{name:{width}} {before or '?':>14,} -> {after or '?':>14,}"
            for name, (before, after) in rows
        )


def savings(before: Any, after: Any) -> Savings:
    """What one model takes less than another of the same layers.

    Args:
        before: The model before filters were taken out.
        after: That of `prune_filters`.

    >>> from cornu import Input, Sequential
    >>> model = Sequential([Input((4,)), layers.Dense(8, name="hidden"), layers.Dense(2)], name="model")
    >>> print(savings(model, prune_filters(model, 0.5)))
    model/hidden               8 ->              4
    parameters                58 ->             30
    multiply-adds             48 ->             24
    """
    pairs = zip(before._flatten_layers(), after._flatten_layers(), strict=True)
    filters = {
        layer.path: (a, b)
        for layer, other in pairs
        if (kind := _KINDS.get(type(layer))) and kind.argument
        for a, b in [(getattr(layer, kind.argument), getattr(other, kind.argument))]
        if a != b
    }
    taken = [costs(model).multiply_adds() for model in (before, after)]
    return Savings(filters, (before.count_params(), after.count_params()), (taken[0], taken[1]))
