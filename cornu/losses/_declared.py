"""Losses and metrics that are declared by their function: their names, signatures and configs."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, ClassVar

from ..core.serialization import serialize_keras_object


class Declared:
    """A class that follows from a function: `class Huber(NamedLoss, function=huber)`.

    Its default name is the function's, unless it has an `__init__` that says another one or is
    declared with one (`named`). Its config holds the function's arguments; those in `unwritten`,
    which Keras's own configs lack, only where they are not the default.
    """

    _function: ClassVar[Callable[..., Any]]
    _default_name: ClassVar[str]
    _unwritten: ClassVar[tuple[str, ...]]
    _fn_kwargs: dict[str, Any]

    def __init_subclass__(
        cls,
        function: Callable[..., Any] | None = None,
        named: str | None = None,
        unwritten: tuple[str, ...] = (),
        **kwargs: Any,
    ) -> None:
        super().__init_subclass__(**kwargs)
        if function is None:
            return
        cls._function = staticmethod(function)
        cls._unwritten = unwritten
        signature = inspect.signature(cls.__init__)
        parameters = dict(signature.parameters)
        if "__init__" not in vars(cls):
            name = named or function.__name__
            parameters["name"] = parameters["name"].replace(default=name)
        cls._default_name = parameters["name"].default
        public = [p for p in parameters.values() if p.name not in ("self", "kwargs")]
        cls.__signature__ = signature.replace(parameters=public)  # type: ignore[attr-defined]

    def _described(self, **arguments: Any) -> dict[str, Any]:
        """What a config holds of arguments of the constructor."""
        defaults = inspect.signature(type(self)).parameters
        return {
            key: serialize_keras_object(value)
            for key, value in arguments.items()
            if key not in self._unwritten or value != defaults[key].default
        }
