"""Which weights of a model are made smaller: its kernels, and those of them that a policy takes."""

from __future__ import annotations

import warnings
from typing import Any

from .. import layers
from ..core import naming
from ..core.dtypes import is_float
from ..core.variable import Variable
from ..layers import Layer
from ..transforms import quantizing

#: Activations as layers: what comes before them is computed with them in one.
FOLLOWING = (
    *(layers.ReLU, layers.LeakyReLU, layers.PReLU, layers.ELU, layers.Activation, layers.Softmax),
)
#: Layers that multiply each number by a weight of its own: of any rank, those are no kernels.
_ELEMENTWISE = (
    *FOLLOWING,
    *(layers.BatchNormalization, layers.GroupNormalization, layers.LayerNormalization),
    *(layers.Normalization, layers.RMSNormalization),
)


class PrunableLayer:
    """A layer of a user's that says by itself which of its weights may be pruned.

    >>> class Scaled(layers.Dense, PrunableLayer):
    ...     def get_prunable_weights(self):
    ...         return [self.kernel]
    """

    def get_prunable_weights(self) -> list[Any]:
        """The weights that may be pruned, of those that the layer itself owns."""
        raise NotImplementedError(
            f"The layer {type(self).__name__} must have `get_prunable_weights(self)`."
        )


def kernels(layer: Layer) -> list[Variable]:
    """The kernels that a layer itself owns: trained floats of two axes and more, without biases.

    A normalization and an activation have none. A layer with a `get_prunable_weights` says itself.

    >>> layer = layers.Dense(3)
    >>> layer.build((None, 2))
    >>> [weight.name for weight in kernels(layer)]
    ['kernel']
    """
    said = getattr(layer, "get_prunable_weights", None)
    if said is not None:
        return list(said())
    if isinstance(layer, _ELEMENTWISE):
        return []
    return [weight for weight in quantizing.kernels(layer) if is_float(weight.stored_dtype)]


def all_kernels(*given: Layer) -> list[tuple[Layer, Variable]]:
    """The kernels of some layers and of those inside them, each once, with the first layer that owns it.

    >>> first, second = layers.Dense(2), layers.Layer()
    >>> first.build((None, 2))
    >>> second.table = first.kernel
    >>> [layer is first for layer, _ in all_kernels(first, second)]
    [True]
    """
    found: dict[Variable, Layer] = {}
    for layer in (part for one in given for part in one._flatten_layers()):
        for weight in kernels(layer):
            found.setdefault(weight, layer)
    return [(layer, weight) for weight, layer in found.items()]


def listed_layers(**given: Any) -> list[Layer]:
    """A model or layer, or several, as a list.

    Raises:
        ValueError: If something else is given.

    >>> listed_layers(to_prune=None)
    Traceback (most recent call last):
    ...
    ValueError: `to_prune` must be a model, a layer, or a list of layers. Received: to_prune=None.
    """
    ((name, value),) = given.items()
    found = list(value) if isinstance(value, (list, tuple)) else [value]
    if not found or not all(isinstance(x, Layer) for x in found):
        raise ValueError(
            f"`{name}` must be a model, a layer, or a list of layers. Received: {name}={value!r}."
        )
    return found


def warn_of_idle(policy: Any, found: list[tuple[Layer, Variable]]) -> None:
    """Warn of patterns that stand for none of the kernels, where others do."""
    for pattern in policy if isinstance(policy, (list, tuple)) else ():
        if not any(chosen([pattern], layer, weight) for layer, weight in found):
            warnings.warn(
                f"The pattern {pattern!r} stands for no kernel: {[w.path for _, w in found[:8]]}.",
                stacklevel=4,
            )


def chosen(policy: Any, layer: Layer, weight: Variable) -> bool:
    """Whether a policy takes a weight of a layer.

    Args:
        policy: None for every weight; a pattern of paths of weights or layers, or several, such as `"*/kernel"`; a
            call `policy(layer)`; or an object with `allow_pruning(layer)`.
        layer: The layer.
        weight: The weight.

    >>> layer = layers.Dense(3, name="head")
    >>> layer.build((None, 2))
    >>> chosen("head", layer, layer.kernel), chosen(["body/*", "embeddings"], layer, layer.kernel)
    (True, False)
    """
    if policy is None:
        return True
    if hasattr(policy, "allow_pruning"):
        return bool(policy.allow_pruning(layer))
    if callable(policy):
        return bool(policy(layer))
    patterns = [policy] if isinstance(policy, str) else policy
    paths = weight.path, layer.path
    return any(naming.matches(pattern, path) for pattern in patterns for path in paths)


class PruningPolicy:
    """Which layers are pruned; subclasses define `allow_pruning(layer)`.

    >>> class Heads(PruningPolicy):
    ...     def allow_pruning(self, layer):
    ...         return layer.name.startswith("head")
    >>> Heads().allow_pruning(layers.Dense(3, name="head_1"))
    True
    """

    def allow_pruning(self, layer: Any) -> bool:
        """Whether a layer is pruned."""
        raise NotImplementedError(
            f"The policy {type(self).__name__} must have `allow_pruning(self, layer)`."
        )

    def ensure_model_supports_pruning(self, model: Any) -> None:
        """Raise an error if pruning such a model brings nothing."""


class PruneForLatencyOnXNNPack(PruningPolicy):
    """Prune what XNNPACK has sparse kernels for: convolutions of 1 by 1, in a graph that it can run as a whole.

    >>> policy = PruneForLatencyOnXNNPack()
    >>> policy.allow_pruning(layers.Conv2D(8, 1)), policy.allow_pruning(layers.Conv2D(8, 3))
    (True, False)
    """

    def allow_pruning(self, layer: Any) -> bool:
        """Whether a layer is a convolution of 1 by 1."""
        return type(layer) is layers.Conv2D and set(layer.kernel_size) == {1} and layer.groups == 1

    def ensure_model_supports_pruning(self, model: Any) -> None:
        """See that the graph has the beginning and the end that the sparse kernels need.

        Raises:
            ValueError: If there is no convolution of 3 by 3 with strides of 2, or no mean over space.
        """
        found = model._flatten_layers()
        begins = any(
            type(x) is layers.Conv2D and (x.kernel_size, x.strides) == ((3, 3), (2, 2))
            for x in found
        )
        ends = any(isinstance(x, layers.GlobalAveragePooling2D) for x in found)
        if not (begins and ends):
            raise ValueError(
                "XNNPACK runs sparsely what begins with a Conv2D of 3 by 3 and strides of 2, and ends in a "
                f"GlobalAveragePooling2D. Received: the model {model.name!r}, which lacks "
                f"{'the second' if begins else 'the first'}. Leave the policy out to prune for size."
            )
