"""Names of a package that are loaded when they are first asked for: an import pays for none of them."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any


def later(
    package: dict[str, Any], modules: Mapping[str, str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """A package's `__getattr__` and `__dir__` (PEP 562), which know names of modules not loaded yet.

    Args:
        package: The package's `globals()`.
        modules: The modules within the package (those beside it after a dot), and the names that each gives, separated
            by spaces; a module that is its own name gives itself.

    >>> found = {"__name__": "cornu.core"}
    >>> attribute, names = later(found, {"checks": "one_of checks"})
    >>> "one_of" in names(), attribute("one_of").__name__, "one_of" in found
    (True, 'one_of', True)
    >>> "checks" in attribute("__all__")
    True
    """
    places = {name: module for module, names in modules.items() for name in names.split()}

    def attribute(name: str) -> Any:
        if name == "__all__":  # which `from package import *` asks for
            return [name for name in names() if not name.startswith("_")]
        if name not in places:
            raise AttributeError(f"module {package['__name__']!r} has no attribute {name!r}")
        module = importlib.import_module(f".{places[name]}", package["__name__"])
        package[name] = module if name == places[name] else getattr(module, name)
        return package[name]

    def names() -> list[str]:
        return sorted({*package, *places})

    return attribute, names
