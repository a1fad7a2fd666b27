"""Engines: the array libraries that run Cornu, and the one that is current.

An engine loads when it is first used: nothing here imports an array library. The current engine is
that of a thread or asyncio task: `use` changes it within a block, `set_default` wherever there is no
such block.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from importlib.util import find_spec
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import tuning
from .contract import Engine as Engine

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

#: Name: (module, class, what to install when the library is missing).
BUILTIN = {
    "jax": ("cornu.engines.jax", "JaxEngine", "pip install jax"),
    "torch": ("cornu.engines.torch", "TorchEngine", "pip install 'cornu[torch]'"),
    "tensorflow": (
        "cornu.engines.tensorflow",
        "TensorFlowEngine",
        "pip install 'cornu[tensorflow]'",
    ),
    "pytensor": ("cornu.engines.pytensor", "PyTensorEngine", "pip install 'cornu[pytensor]'"),
    "numpy": ("cornu.engines.numpy", "NumpyEngine", "pip install numpy"),
    "onnxruntime": (
        "cornu.engines.onnxruntime",
        "OnnxRuntimeEngine",
        "pip install 'cornu[onnx]'",
    ),
    "spec": ("cornu.engines.spec", "SpecEngine", ""),
}
FALLBACK = "jax"
#: Those to whose libraries a layer is a module, which may be before the first tensor is made.
_WITH_MODULES = {"torch", "tensorflow"}

#: What seeds the random numbers of a library itself, which users' programs draw; Cornu draws none of them.
_SEEDED = {"tensorflow": "random.set_seed", "torch": "manual_seed"}

#: The engine of the innermost `use`. Asked for by every op: a bare variable takes 30 ns.
_current: ContextVar[Engine | None] = ContextVar("engine", default=None)
_loaded: dict[tuple[str, bool], Engine] = {}
_lock = threading.RLock()
_default: Engine | None = None


def current() -> Engine:
    """The engine that tensors belong to here."""
    engine = _current.get()
    if engine is None:
        engine = _default
        if engine is None:
            name, source = _configured()
            tuning.say("The engine is %s, by %s.", name, source)
            engine = set_default(name)
    return engine


@contextmanager
def use(engine: str | Engine) -> Iterator[Engine]:
    """Make an engine current within a `with` block, for this thread or asyncio task alone."""
    engine = get(engine) if isinstance(engine, str) else engine
    previous = _current.get()
    _current.set(engine)
    try:
        yield engine
    finally:
        _current.set(previous)  # by value: the end of an async generator may run in another task


def set_default(name: str) -> Engine:
    """Make an engine current wherever no `use` block says otherwise."""
    global _default
    _default = get(name)
    return _default


def current_name() -> str:
    """The current engine's name, found without loading the engine."""
    engine = active()
    return engine.name if engine is not None else configured_name()


def active() -> Engine | None:
    """The current engine, if it is loaded: asking loads none."""
    return _current.get() or _default


def at_hand() -> Engine | None:
    """The current engine, if it is loaded, or its library is: asking imports no library."""
    engine = active()
    if engine is None and not _WITH_MODULES.isdisjoint(sys.modules):  # the name may be in a file
        engine = current() if configured_name() in sys.modules else None
    return engine


def get(name: str, overrides: bool = True) -> Engine:
    """The engine of that name, loaded once.

    With `overrides=False` it is a second engine on the same library, in which every op and every
    primitive that has a default body runs it: the two must agree.
    """
    with _lock:
        key = (name, overrides)
        if key not in _loaded:
            import random  # which `import cornu` does without

            drawn = (
                random.getstate()
            )  # a library that is loaded draws numbers: no seed has to do with it
            engine_class = _engine_class(name)
            random.setstate(drawn)
            _loaded[key] = engine_class() if overrides else _plain(engine_class)()
        return _loaded[key]


def loaded() -> list[Engine]:
    """The engines that are in use in this process."""
    return list(_loaded.values())


def seed_libraries(seed: int) -> None:
    """Start the random numbers of engines' libraries that the process has loaded, whoever did."""
    for name, call in _SEEDED.items():
        if name in sys.modules:
            attrgetter(call)(sys.modules[name])(seed)


def names() -> list[str]:
    """The engines that can be asked for, whether or not their libraries are installed."""
    return [*BUILTIN, *(point.name for point in _installed())]


def tracing(x: Any) -> Engine | None:
    """The engine whose library is tracing a function of `x`, a tensor that has no value yet; else None.

    So a layer within `tf.data.Dataset.map` finds its engine, whichever is current.
    """
    library = type(x).__module__.partition(".")[0]
    engine = get(library) if library in BUILTIN else None
    return engine if engine is not None and engine.is_traced(x) else None


def is_tracing(name: str) -> bool:
    """Whether the library of an engine, if that is loaded, is tracing a function here."""
    engine = _loaded.get((name, True))
    return engine is not None and engine.is_traced(engine.full((), 0, "int32"))


def configured_name() -> str:
    """The engine's name from `CORNU_BACKEND`, `KERAS_BACKEND` or `keras.json`, else `"jax"`.

    The file counts only where the engine it names can be used: Keras writes one by itself.
    """
    return _configured()[0]


def _configured() -> tuple[str, str]:
    """The engine's name, and what has chosen it."""
    for variable in ("CORNU_BACKEND", "KERAS_BACKEND"):
        if name := os.environ.get(variable):
            return name, variable
    name = str(settings_file().get("backend", ""))
    if (name in BUILTIN or name in names()) and find_spec(name) is not None:
        return name, f"{home() / 'keras.json'}"
    return FALLBACK, "default"


def computing() -> bool:
    """Whether the current engine computes values; known without loading it."""
    engine = _current.get()
    return engine is None or engine.computes


def settings_file() -> dict[str, object]:
    """What `keras.json` says, from `KERAS_HOME` or `~/.keras`; nothing where it can't be read."""
    try:
        content = json.loads((home() / "keras.json").read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def home() -> Path:
    """The folder of settings and of what is fetched: `KERAS_HOME`, or `~/.keras`."""
    return Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras")


def _installed() -> Iterable[EntryPoint]:
    """The engines of other packages."""
    from importlib.metadata import entry_points  # 13 ms, of an import of 150

    return entry_points(group="cornu.engines")


def _engine_class(name: str) -> type[Engine]:
    if name in BUILTIN:
        module, attribute, install = BUILTIN[name]
        try:
            engine_class: type[Engine] = getattr(importlib.import_module(module), attribute)
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError(
                f"The engine {name!r} needs a library that is not installed. "
                f"Received: {error.name!r} can't be imported. Install it with: {install}",
                name=error.name,
            ) from error
        return engine_class
    for point in _installed():
        if point.name == name:
            found: type[Engine] = point.load()
            return found
    known = ", ".join(repr(known) for known in names() if known != "spec")
    raise ValueError(
        f"An engine must be installed or built in. Received: {name!r}. Known engines: {known}. "
        "Choose one with CORNU_BACKEND, keras.json or cornu.config.set_backend()."
    )


def _plain(engine_class: type[Engine]) -> type[Engine]:
    """The engine with every default body in its place."""
    defaults = {
        name: member for name, member in vars(Engine).items() if hasattr(member, "is_default")
    }
    return type(f"Plain{engine_class.__name__}", (engine_class,), {**defaults, "overrides": False})
