"""Losses and metrics that are declared by their function: their names, signatures and configs."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, ClassVar

from ..core.described import Described


class Declared(Described):
    """A class that follows from a function: `class Huber(NamedLoss, function=huber)`.

    Its default name is the function's, unless it has an `__init__` that says another one or is
    declared with one (`named`). Its config holds the function's arguments; those in `unwritten`,
    which Keras's own configs lack, only where they are not the default.
    """

    _function: ClassVar[Callable[..., Any]]
    _function_parameters: ClassVar[list[str]] = []
    _default_name: ClassVar[str]

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
        cls._optional_arguments = frozenset(unwritten)
        signature = inspect.signature(cls.__init__)
        parameters = dict(signature.parameters)
        if "__init__" not in vars(cls):
            name = named or function.__name__
            parameters["name"] = parameters["name"].replace(default=name)
        cls._default_name = parameters["name"].default
        of_all = {"self", "reduction", "name", "dtype"}
        cls._function_parameters = [name for name in parameters if name not in of_all]
        public = [p for p in parameters.values() if p.name != "self"]
        cls.__signature__ = signature.replace(parameters=public)  # type: ignore[attr-defined]

    def _options(self) -> dict[str, Any]:
        """The arguments that are the function's."""
        return {name: getattr(self, name) for name in self._function_parameters}

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor, as what a file can hold."""
        return Described.get_config(self)
