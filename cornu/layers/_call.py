"""What a layer's `call` and `build` take, read off their signatures once a class."""

from __future__ import annotations

import inspect
from typing import Any

from ..core import tree

_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


class CallSignature:
    """The parameters of a `call`: which there are, and which of them Cornu fills in."""

    def __init__(self, call: Any) -> None:
        self.signature = inspect.signature(call)
        parameters = list(self.signature.parameters.values())[1:]
        self.signature = self.signature.replace(parameters=parameters)
        self.parameters = {parameter.name: parameter for parameter in parameters}
        self.takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters)
        names = [p.name for p in parameters if p.kind in _POSITIONAL]
        self.first = names[0] if names else None
        self.has_training = "training" in self.parameters
        self.has_mask = "mask" in self.parameters
        self.default_training = self.parameters["training"].default if self.has_training else None
        if self.default_training is inspect.Parameter.empty:
            self.default_training = None
        #: Argument: the argument that takes its mask.
        self.masks = {
            name: mask
            for name in names
            if (mask := f"{name}_mask") in self.parameters and name != "mask"
        }
        if self.has_mask and self.first and self.first not in self.masks:
            self.masks[self.first] = "mask"

    def bind(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        """The arguments by name; a TypeError where they don't fit."""
        bound = self.signature.bind(*args, **kwargs)
        arguments = dict(bound.arguments)
        for parameter in self.parameters.values():
            if parameter.kind is parameter.VAR_KEYWORD:
                arguments.update(arguments.pop(parameter.name, {}))
        return arguments

    def takes(self, arguments: dict[str, Any]) -> bool:
        """Whether a call with just these arguments is one."""
        try:
            self.signature.bind(**arguments)
        except TypeError:
            return False
        return True


class BuildSignature:
    """The parameters of a `build`: one shape, or one for each argument of the call."""

    def __init__(self, build: Any) -> None:
        parameters = list(inspect.signature(build).parameters.values())[1:]
        self.names = [p.name for p in parameters if p.kind in _POSITIONAL]
        self.takes_any = any(p.kind in (p.VAR_KEYWORD, p.VAR_POSITIONAL) for p in parameters)
        self.required = [
            p.name for p in parameters if p.default is p.empty and p.name in self.names
        ]

    def arguments(self, shapes: dict[str, Any]) -> dict[str, Any] | None:
        """The arguments of `build` for shapes by name, or None where they don't fit."""
        if not shapes:
            return None if self.required else {}
        if len(shapes) == 1 and self.names and self.names[0] not in shapes:
            return {self.names[0]: next(iter(shapes.values()))}
        if len(self.names) == 1 and not self.takes_any:
            named = shapes.get(self.names[0])
            return {self.names[0]: named if named is not None else next(iter(shapes.values()))}
        if not self.names and self.takes_any:
            return {}
        given = {name: shapes[name] for name in self.names if name in shapes}
        if all(name in given for name in self.required):
            return given
        values = list(shapes.values())
        if len(values) == len(self.names) or len(values) == 1 >= len(self.required):
            return dict(zip(self.names, values, strict=False))
        return None


def shapes_of(arguments: dict[str, Any]) -> dict[str, Any]:
    """`{"inputs_shape": ...}` of the arguments that are tensors or structures of tensors."""
    shapes = {}
    for name, value in arguments.items():
        if name in ("mask", "training") or name.endswith("_mask") or value is None:
            continue
        leaves = tree.flatten(value)
        if leaves and all(hasattr(leaf, "shape") and hasattr(leaf, "dtype") for leaf in leaves):
            shapes[f"{name}_shape"] = tree.map_structure(lambda x: tuple(x.shape), value)
    return shapes
