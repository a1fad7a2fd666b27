"""Containers that functions, modules and optimizers of a library may hold."""

from __future__ import annotations

import weakref
from typing import Any, ClassVar

from .contract import Engine, Layout, Tensor


class KeepingEngine(Engine):
    """An engine that changes containers in place: a variable's is the same object while somebody holds it, also
    when the variable has been to another engine."""

    in_place: ClassVar[bool] = True

    def __init__(self) -> None:
        super().__init__()
        self._former: dict[int, tuple[weakref.ref[Any], weakref.ref[Any]]] = {}

    def container_of(
        self, owner: Any, value: Tensor, trainable: bool, layout: Layout | None
    ) -> Any:
        key = id(owner)
        known = self._former.get(key)
        container = known[1]() if known is not None and known[0]() is owner else None
        # One that has come to store something else, codes of its value, has another.
        if container is not None and self.kind_of(container) == self._kind(value):
            self.set_trainable(container, trainable)
            self.lay(container, layout)
            return self.write(container, value)
        container = self.container(value, trainable, layout)
        self.share(owner, container)
        return container

    def kind_of(self, container: Any) -> tuple[Any, ...]:
        """Dtype and shape of the value in a container."""
        return self._kind(self.read(container))

    def lay(self, container: Any, layout: Layout | None) -> None:
        """Let a container hold its value, which is about to be written, laid out so."""

    def _kind(self, value: Tensor) -> tuple[Any, ...]:
        return self.dtype_of(value), tuple(self.shape_of(value))

    def share(self, owner: Any, container: Any) -> None:
        key = id(owner)

        def forget(reference: weakref.ref[Any]) -> None:
            if key in self._former and self._former[key][1] is reference:
                del self._former[key]

        self._former[key] = weakref.ref(owner), weakref.ref(container, forget)
