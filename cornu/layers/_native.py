"""What a layer has to do with its engine's library: native functions in its call, its class among modules."""

from __future__ import annotations

import types
from typing import Any

from ..core import tree
from ..core.keras_tensor import KerasTensor
from ..core.scopes import StatelessScope, here
from ..engines import computing, current, use

#: Two sizes to stand for an unknown one: where an output's size differs, it depends on it.
_SIZES = (2, 3)


def traced_spec(layer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The specs of a call's outputs, found by tracing it; None where the engine can't."""
    engine = current() if computing() else here.computing.get()
    if engine is None:
        return None
    flat = tree.flatten((args, kwargs))
    places = [i for i, x in enumerate(flat) if isinstance(x, KerasTensor)]
    structure: list[Any] = []

    def run(*tensors: Any) -> list[Any]:
        values = list(flat)
        for place, tensor in zip(places, tensors, strict=True):
            values[place] = tensor
        given_args, given_kwargs = tree.pack_sequence_as((args, kwargs), values)
        outputs = layer.call(*given_args, **given_kwargs)
        structure[:] = [outputs]
        return tree.flatten(outputs)

    def traced(size: int) -> Any:
        specs = [
            (tuple(size if s is None else s for s in flat[i].shape), flat[i].dtype) for i in places
        ]
        with use(engine), StatelessScope():
            return engine.eval_shape(run, *specs)

    try:
        first, second = (traced(size) for size in _SIZES)
    except NotImplementedError:
        return None
    outputs = [
        KerasTensor([a if a == b else None for a, b in zip(one[0], other[0], strict=True)], one[1])
        for one, other in zip(first, second, strict=True)
    ]
    return tree.pack_sequence_as(structure[0], outputs)


def new(cls: Any) -> Any:
    """An empty object, for copies to fill."""
    return cls.__new__(cls)


class _Joined:
    """A class made of a layer's and a library's: what is made by it is of the layer's class."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Nothing: users' classes may count their subclasses."""


def joined(cls: type, module_type: type) -> type:
    """A subclass of both, kept with the layer's class; it stands as the `__class__` of layers."""
    if issubclass(cls, module_type):
        return cls
    key = f"_joined_{module_type.__module__}.{module_type.__qualname__}"
    found = vars(cls).get(key)
    if found is None:
        body = {name: getattr(cls, name) for name in ("__module__", "__qualname__", "__doc__")}
        body["__new__"] = lambda _, *args, **kwargs: cls(*args, **kwargs)
        found = types.new_class(
            cls.__name__, (_Joined, cls, module_type), exec_body=lambda names: names.update(body)
        )
        setattr(cls, key, found)
    return found
