"""The modules of Keras, each with the names that Cornu has for it."""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.util
import os
import sys
from collections.abc import Iterator, Sequence
from functools import cache
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

#: The version of Keras whose API Cornu has.
VERSION = "3.15.1"
#: The folder whose `keras` is Cornu: first in the search path of this process and of those that it starts.
PATH = str(Path(__file__).parent / "path")
#: Names of one package under several others.
_ALIASES = ("keras.api", "keras._tf_keras.keras")
#: Parts of Keras that have other names here, by their path.
_RENAMED = {
    "backend.nn": "ops",
    "backend.numpy": "ops",
    "backend.core": "ops",
    "backend.image": "ops.image",
    "backend.linalg": "ops.linalg",
    "backend.math": "ops",
    "backend.random": "random",
    "backend.common.variables": "core.variable",
    "backend.common.masking": "core.masks",
    "backend.common.backend_utils": "ops",
    "trainers.trainer": "training._trainer",
    "utils.naming": "core.naming",
    "utils.tracking": "core.tracking",
    "utils.traceback_utils": "core.tracebacks",
    "saving.serialization_lib": "core.serialization",
}


def install() -> None:
    """Let `import keras` give Cornu from now on.

    Raises:
        ImportError: If Keras itself is loaded already.
    """
    found = sys.modules.get("keras")
    if isinstance(found, _Module):
        return
    if found is not None and os.path.dirname(found.__file__ or "") != os.path.join(PATH, "keras"):
        raise ImportError(
            "`keras` means Cornu from the first import on. Received: Keras, which is loaded already from "
            f"{found.__file__}. Import `cornu.as_keras` before what imports `keras`."
        )
    sys.meta_path.insert(0, _Finder())
    sys.path.insert(0, PATH)
    inherited = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    if PATH not in inherited:
        os.environ["PYTHONPATH"] = os.pathsep.join([PATH, *filter(None, inherited)])
    sys.modules.pop("keras", None)
    importlib.import_module("keras")


class _Module(ModuleType):
    """A module of Keras: it looks for a name when it is asked for one."""

    def __getattr__(self, name: str) -> Any:
        path = _inner(self.__name__)
        if name == "__all__":
            return [name for name in dir(self) if not name.startswith("_")]
        if name in ("__version__", "version") and path in ((), ("src",)):
            return VERSION if name == "__version__" else lambda: VERSION
        if not (name.startswith("__") and name.endswith("__")):
            if _exists((*path, name)):
                return importlib.import_module(f"{self.__name__}.{name}")
            for place in _places(path):
                if hasattr(place, name):
                    return getattr(place, name)
        raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")

    def __dir__(self) -> list[str]:
        path = _inner(self.__name__)
        names = {name for place in list(_places(path))[:1] for name in dir(place)}
        return sorted(names | _known().get(path, frozenset()) | set(super().__dir__()))


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds the modules that Keras has."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname.split(".")[0] != "keras" or not _exists(_inner(fullname)):
            return None
        return importlib.util.spec_from_loader(fullname, self, is_package=True)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _Module(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Nothing is loaded before somebody asks for it."""


def _inner(fullname: str) -> tuple[str, ...]:
    """A module's path within Keras."""
    for alias in _ALIASES:
        if fullname == alias or fullname.startswith(alias + "."):
            fullname = "keras" + fullname.removeprefix(alias)
    return tuple(fullname.split(".")[1:])


@cache
def _known() -> dict[tuple[str, ...], frozenset[str]]:
    """The modules within each package of `keras.src`."""
    text = (Path(__file__).parent / "modules.txt").read_text()
    lines = (line.split(": ") for line in text.splitlines())
    return {tuple(package.split(".")): frozenset(names.split()) for package, names in lines}


@cache
def _exists(path: tuple[str, ...]) -> bool:
    """Whether Keras has such a module."""
    if path[:1] in ((), ("api",)) or path in (("src",), ("_tf_keras",)):
        return True
    if path[0] == "src":
        return path[-1] in _known().get(path[:-1], ()) or path in (("src", "backend", "nn"),)
    if any(part.startswith("_") for part in path):
        return path == ("_tf_keras", "keras")
    return _is_module(".".join(("cornu", *path)))


def _places(path: tuple[str, ...]) -> Iterator[Any]:
    """Where the names of a module are looked for, first to last."""
    if path[:1] != ("src",):
        yield importlib.import_module(".".join(("cornu", *path)))
        return
    from ._names import NAMES

    if path[1:] in NAMES:
        yield NAMES[path[1:]]
    if renamed := _RENAMED.get(".".join(path[1:])):
        yield importlib.import_module(f"cornu.{renamed}")
    parts = path[1:]
    while parts:
        name = ".".join(("cornu", *parts))
        if _is_module(name):
            yield importlib.import_module(name)
        parts = parts[:-1]
    yield importlib.import_module("cornu")


@cache
def _is_module(name: str) -> bool:
    parent = name.rpartition(".")[0]
    return parent == "" or (
        _is_module(parent)
        and hasattr(importlib.import_module(parent), "__path__")
        and importlib.util.find_spec(name) is not None
    )
