"""A layer as a `tf.Module`."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from .. import use
from ..contract import Engine


class LayerModule(tf.Module):  # type: ignore[misc]
    """A layer as a module, which TensorFlow tracks and saves with its variables.

    TensorFlow reads the attributes of modules, first asking which to leave out: that is when what the layer
    has now becomes attributes. Of the layer's own it reads the one that holds this module.
    """

    def __init__(self, engine: Engine, layer: Any) -> None:
        super().__init__()
        self.__dict__.update(
            engine=engine, _layer=layer
        )  # past TensorFlow: the layer is no submodule

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the layer."""
        with use(self.engine):
            return self._layer(*args, **kwargs)

    def __reduce__(self) -> Any:
        return LayerModule, (self.engine, self._layer)

    def run(self, *args: Any, **kwargs: Any) -> Any:
        """The layer's call: TensorFlow puts nothing around it."""
        return self._layer._call_within(args, kwargs)

    def refresh(self) -> None:
        """Take what the layer has now, restoring what a checkpoint that was read earlier has for it."""
        trained, others, layers = self._layer._parts_on(self.engine)
        for name, parts in (("weights", {**trained, **others}), ("layers", layers)):
            if _identities(vars(self).get(name, {})) != _identities(parts):
                setattr(self, name, parts)

    @property
    def _TF_MODULE_IGNORED_PROPERTIES(self) -> frozenset[str]:
        self.refresh()
        beside = {"engine", "_layer", *vars(self._layer)} - {"weights", "layers", "_native"}
        return super()._TF_MODULE_IGNORED_PROPERTIES | beside

    def _trackable_children(self, *args: Any, **kwargs: Any) -> Any:
        self.refresh()
        return super()._trackable_children(*args, **kwargs)


def _identities(parts: Any) -> dict[str, int]:
    return {name: id(part) for name, part in parts.items()}


#: What TensorFlow asks of a module and of its submodules.
NAMES = frozenset(name for name in dir(tf.Module()) if not name.startswith("__"))
