"""What transforms do on a layer: they are put on its weights, on what it is called on and what it gives."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from ..core import tree
from ..core.checks import one_of
from ..core.dtypes import is_float
from ..core.masks import get_keras_mask, set_keras_mask
from ..core.scopes import concrete_scope, here, within
from ..core.serialization import deserialize_keras_object, serialize_keras_object
from ..core.transforms import Operand, Transform, set_transforms
from ..core.variable import Variable
from ..engines import current
from .quantizing import leave

_PASSES = ("inputs", "outputs")


class Transforming:
    """A layer's part that has to do with transforms."""

    #: What the first argument of calls and their outputs pass through.
    _passes: Mapping[str, tuple[Transform, ...]] = MappingProxyType({})
    #: The config of transforms that are put on once it is built.
    _to_come: Mapping[str, Any] | None = None

    @property
    def transforms(self) -> list[tuple[str, Transform]]:
        """The transforms of the layer's own weights, by their names, and those of `"inputs"` and `"outputs"`."""
        layer: Any = self
        chains = [(v.name, v.transforms) for v in layer._owned("variables")]
        return [(of, t) for of, chain in (*chains, *self._passes.items()) for t in chain]

    def _baked(self) -> list[Transform]:
        """The transforms of weights of which files have the values."""
        layer: Any = self
        chains = (v.transforms for v in layer._owned("variables") if is_baked(v))
        return [transform for chain in chains for transform in chain if transform.is_baked]

    def add_transform(self, target: Variable | str, transform: Transform) -> Transform:
        """Have a weight read through a transform in calls, or outputs pass through one.

        It may be done at any time once the layer is built; what was compiled is compiled again.

        Args:
            target: A weight that this layer itself owns; or `"outputs"` for the layer's outputs, `"inputs"`
                for its first argument.
            transform: What it goes through; behind those that it goes through already and whose `order` is
                not above its own.

        Returns:
            The transform.

        Raises:
            ValueError: If the layer is not built, or the weight is not its own.
        """
        of, variable = self._target(target)
        if not isinstance(transform, Transform):
            raise ValueError(f"What is put on is a `Transform`. Received: transform={transform!r}.")
        transform.attach(self, of, variable)
        self._set_chain(target, (*self._chain(target), transform))
        return transform

    def remove_transform(self, target: Variable | str, transform: Transform) -> None:
        """Take a transform off a weight, off `"outputs"` or `"inputs"`; what is stored stays as it is.

        Raises:
            ValueError: If it is not there.
        """
        chain = self._chain(target)
        if not any(known is transform for known in chain):
            raise ValueError(
                "A transform can be taken off where it is. Received: "
                f"transform={transform!r} for {_named(target)!r} of the layer {self.path!r}, whose "  # type: ignore[attr-defined]
                f"transforms are {list(chain)}."
            )
        self._set_chain(target, tuple(known for known in chain if known is not transform))
        transform.detach()
        if transform.quantizes:
            leave(self)

    def strip_transforms(self, kind: type | tuple[type, ...] = Transform) -> None:
        """Put what weights read as in the place of what they store, and take transforms off: plain weights stay.

        The layers inside are stripped too. Transforms of inputs and outputs are taken off.

        Args:
            kind: The class of those that are taken, or several; all of them where it is left out.

        Raises:
            ValueError: If another transform comes before one of them: what it gives can't be stored.

        >>> from cornu import layers
        >>> layer = layers.Dense(3, lora_rank=1)
        >>> layer.build((None, 4))
        >>> layer.strip_transforms()
        >>> [weight.name for weight in layer.trainable_weights]
        ['kernel', 'bias']
        """
        parts: list[Any] = self._flatten_layers()  # type: ignore[attr-defined]
        for part in parts:
            for variable in [v for v in part._owned("variables") if v.transforms]:
                _strip(part, variable, kind)
            for which, chain in part._passes.items():
                for transform in chain:
                    if isinstance(transform, kind):
                        part.remove_transform(which, transform)

    def get_transforms_config(self) -> dict[str, Any]:
        """The transforms of the layer's own weights, by the weights' numbers, and of its inputs and outputs.

        `frozen` has the numbers of weights that are frozen by themselves, `quantized` the dtype policy that codes
        have led to and its config.

        >>> from cornu import layers
        >>> layer = layers.Dense(3, lora_rank=1)
        >>> layer.build((None, 4))
        >>> [config["class_name"] for config in layer.get_transforms_config()["0"]]
        ['LowRank']
        """
        layer: Any = self
        own = self._transformable()
        chains = {str(i): v.transforms for i, v in enumerate(own)} | {**self._passes}
        config: dict[str, Any] = {
            key: [serialize_keras_object(transform) for transform in chain]
            for key, chain in chains.items()
            if chain
        }
        if any(transform.quantizes for _, transform in self.transforms):
            told = layer.dtype_policy, layer.quantization_config
            config["quantized"] = [serialize_keras_object(each) for each in told]
        still = [i for i, v in enumerate(own) if not v.trainable and v not in layer._tracker.frozen]
        return {**config, "frozen": still} if still and layer.trainable else config

    def transform_from_config(self, config: Mapping[str, Any]) -> None:
        """Have just the transforms that `get_transforms_config` gave; from its building on, if it is not built."""
        if not self.built:  # type: ignore[attr-defined]
            object.__setattr__(self, "_to_come", config)
            return
        own = self._transformable()
        for number in config.get("frozen", ()):
            own[number].trainable = False
        for key, chain in config.items():
            if key in ("frozen", "quantized"):
                continue
            target = own[int(key)] if key.isdigit() else key
            missing = _plain(chain)
            for transform in self._chain(target):
                described = _plain(serialize_keras_object(transform))
                if described in missing:
                    missing.remove(described)
                elif transform.quantizes and isinstance(target, Variable):
                    _strip(
                        self, target, type(transform)
                    )  # what is stored is none of the next one's
                else:
                    self.remove_transform(target, transform)
            for described in missing:
                self.add_transform(target, _transform(described))
        if "quantized" in config:
            told = map(deserialize_keras_object, config["quantized"])
            self.dtype_policy, self.quantization_config = told

    def _transformable(self) -> list[Variable]:
        """The layer's own weights but for parts of transforms."""
        parts = {part for _, transform in self.transforms for part in transform.parts.values()}
        return [v for v in self._owned("variables") if v not in parts]  # type: ignore[attr-defined]

    def _post_build(self) -> None:
        """What is left to do once the layer is built."""
        super()._post_build()  # type: ignore[misc]
        if self._to_come is not None:
            config, self._to_come = self._to_come, None
            self.transform_from_config(config)

    def _target(self, target: Variable | str) -> tuple[str, Variable | None]:
        layer: Any = self
        if not layer.built:
            raise ValueError(
                "A layer must be built before its weights are transformed. Received: the layer "
                f"{layer.path!r}, never built. Call it on data, or `build(input_shape)`, first."
            )
        if isinstance(target, str):
            one_of(_PASSES, target=target)
            return target, None
        if not any(target is variable for variable in layer._owned("variables")):
            raise ValueError(
                "A layer transforms its own weights. Received: "
                f"{getattr(target, 'path', target)!r} for the layer {layer.path!r}, which owns "
                f"{[variable.path for variable in layer._owned('variables')]}."
            )
        return target.name, target

    def _chain(self, target: Variable | str) -> tuple[Transform, ...]:
        return self._passes.get(target, ()) if isinstance(target, str) else target.transforms

    def _set_chain(self, target: Variable | str, chain: tuple[Transform, ...]) -> None:
        layer: Any = self
        if isinstance(target, Variable):
            set_transforms(target, chain)
        else:
            chains = {**self._passes, target: tuple(sorted(chain, key=lambda x: x.order))}
            passes = {key: chains[key] for key in _PASSES if chains.get(key)}
            object.__setattr__(self, "_passes", passes)
        # Parts stand as the transforms do, in whatever order these came: files have them by number.
        parts = [p for _, t in self.transforms if t._owner is self for p in t.parts.values()]
        layer._tracker.replace("variables", [*self._transformable(), *parts])
        layer._tracker.change()

    def _passed(self, which: str, values: Any) -> Any:
        """Values behind the transforms that they pass through; what is no float tensor stays as it is."""
        for transform in self._passes.get(which, ()):
            values = tree.map_structure(functools.partial(_through, transform), values)
        return values


def _transform(config: Any) -> Transform:
    made = deserialize_keras_object(config)
    if not isinstance(made, Transform):
        raise ValueError(
            "A chain is made of transforms. Received: "
            f"{made!r}, of config={config}. Save the model again."
        )
    return made


def _strip(layer: Any, variable: Variable, kind: type | tuple[type, ...]) -> None:
    taken = [transform for transform in variable.transforms if isinstance(transform, kind)]
    if list(variable.transforms[: len(taken)]) != taken:
        raise ValueError(
            "What is stripped stands first in a chain, as what it gives is stored. Received: "
            f"{list(variable.transforms)} of {variable.path!r}. Strip those before it too."
        )
    bake(layer, variable, len(taken))


def bake(layer: Any, variable: Variable, depth: int) -> None:
    """Store what a weight reads as behind the first transforms of its chain, and take these off."""
    if not depth:
        return
    value = current().convert_to_numpy(Operand(variable, depth).value())
    for transform in variable.transforms[:depth]:
        layer.remove_transform(variable, transform)
    if (variable.stored_shape, variable.stored_dtype) == (value.shape, str(value.dtype)):
        variable.assign(value)
    else:
        variable.store_as(value, dtype=str(value.dtype))


def _plain(config: Any) -> Any:
    """A config as it comes out of a file: tuples are lists."""
    return json.loads(json.dumps(config))


def is_baked(variable: Variable) -> bool:
    """Whether files have what the variable reads as within a call, or codes of it, in the place of what it stores."""
    chain = variable.transforms
    chain = chain[1:] if chain[1:] and chain[0].encodes else chain
    return bool(chain) and not here.exact.get() and all(t.is_baked for t in chain)


def _through(transform: Transform, x: Any) -> Any:
    engine = current()
    if not engine.is_tensor(x) or not is_float(engine.dtype_of(x)):
        return x
    mask, dtype = get_keras_mask(x), engine.dtype_of(x)
    with within(here.autocast, None):
        x = transform.value(x)
    x = x if engine.dtype_of(x) == dtype else engine.cast(x, dtype)
    if mask is not None:
        set_keras_mask(x, mask)
    return x


def _named(target: Variable | str) -> str:
    return target if isinstance(target, str) else target.path


def when_built(layer: Any, action: Callable[[Any], None]) -> None:
    """Do something to a layer or model once it is built: now, if it is.

    >>> from cornu import layers
    >>> layer = layers.Dense(3)
    >>> when_built(layer, lambda built: print(built.kernel.shape))
    >>> layer.build((None, 2))
    (2, 3)
    """
    if layer.built:
        action(layer)
    else:
        before = vars(layer).get("_post_build")
        vars(layer)["_post_build"] = functools.partial(_built, layer, before, action)


def _built(layer: Any, before: Any, action: Callable[[Any], None]) -> None:
    vars(layer).pop("_post_build", None)
    (before or layer._post_build)()
    with concrete_scope(), within(here.calling, None), within(here.autocast, None):
        action(layer)
