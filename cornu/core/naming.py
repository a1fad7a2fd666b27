"""Names of layers and variables: unique automatic ones, and the scopes that make up paths."""

from __future__ import annotations

import itertools
import re
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from fnmatch import fnmatchcase
from types import FrameType, TracebackType
from typing import Any


class _Counts(threading.local):
    """How often each name was given: the tasks of a thread share it, since names must differ."""

    def __init__(self) -> None:
        self.of: Counter[str] = Counter()


_counts = _Counts()
_open: ContextVar[tuple[NameScope, ...]] = ContextVar("open", default=())
_LIBRARY = __name__.partition(".")[0]


def auto_name(prefix: str) -> str:
    """`dense`, then `dense_1`, `dense_2`, ...: unique in this thread until `reset`."""
    prefix = to_snake_case(prefix)
    count = _counts.of[prefix]
    _counts.of[prefix] += 1
    return f"{prefix}_{count}" if count else prefix


def get_uid(prefix: str = "") -> int:
    """The next number of a prefix, counted from 1."""
    _counts.of[prefix] += 1
    return _counts.of[prefix]


def reset() -> None:
    """Start all counts again."""
    _counts.of.clear()


def local_name(part: Any) -> str:
    """A part's name without the number that tells it from those of other models, if it has one.

    >>> local_name(type("Dense", (), {"name": "dense_7"})()), local_name(type("Dense", (), {"name": "top_7"})())
    ('dense', 'top_7')
    """
    name: str = part.name
    plain = re.sub(r"_\d+$", "", name)
    return (plain if plain == to_snake_case(type(part).__name__) else name).replace(".", "_")


def numbered(name: str) -> Iterator[str]:
    """`dense`, then `dense_1`, `dense_2`, ..."""
    yield name
    yield from (f"{name}_{number}" for number in itertools.count(1))


def matches(pattern: str, path: str) -> bool:
    """Whether a pattern, as of a shell, stands for a path from any of its names on.

    >>> matches("dense/*", "model/dense/kernel"), matches("kernel", "dense/kernel"), matches("dense", "dense/kernel")
    (True, True, False)
    """
    return fnmatchcase(path, pattern) or fnmatchcase(path, f"*/{pattern}")


def is_ours(target: Any) -> bool:
    """Whether a class, a function or an object is of this library.

    >>> is_ours(NameScope), is_ours(re.compile)
    (True, False)
    """
    return str(getattr(target, "__module__", None)).partition(".")[0] == _LIBRARY


def to_snake_case(name: str) -> str:
    """
    >>> to_snake_case("Conv2DTranspose"), to_snake_case("LSTMCell"), to_snake_case("MyDense")
    ('conv2d_transpose', 'lstm_cell', 'my_dense')
    """
    name = re.sub(r"\W+", "", name)
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()


def to_camel_case(name: str) -> str:
    """
    >>> to_camel_case("log_softmax")
    'LogSoftmax'
    """
    return "".join(part[:1].upper() + part[1:] for part in name.split("_"))


def runs_here(frame: FrameType) -> bool:
    """Whether a frame runs code of this library."""
    return _library(frame) == _LIBRARY


def _library(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0]


def raised_in(error: BaseException, library: str = _LIBRARY) -> bool:
    """Whether the code of a library, Cornu's own where none is named, raised an error itself."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and _library(trace.tb_frame) == library


class NameScope:
    """A step of the path of the variables and operations made within it.

    >>> with NameScope("encoder"):
    ...     current_path()
    'encoder'
    """

    def __init__(self, name: str, *, caller: Any = None, deduplicate: bool = True) -> None:
        if not isinstance(name, str) or "/" in name:
            raise ValueError(
                f"A scope's name must be a string without '/'. Received: name={name!r}."
            )
        self.name = name
        self.caller = caller
        self.deduplicate = deduplicate
        self._entered: list[bool] = []

    def __enter__(self) -> NameScope:
        scopes = _open.get()
        again = (
            self.deduplicate
            and self.caller is not None
            and bool(scopes)
            and scopes[-1].caller is self.caller
        )
        if not again:
            _open.set((*scopes, self))
        self._entered.append(not again)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._entered.pop():
            _open.set(_open.get()[:-1])


def current_path() -> str:
    """The names of the open scopes, joined by `/`."""
    return "/".join(scope.name for scope in _open.get())


@contextmanager
def at_path(path: str) -> Iterator[None]:
    """Within it, the open scopes are those of `path`, whatever was open before."""
    previous = _open.get()
    _open.set(tuple(NameScope(name) for name in path.split("/") if name))
    try:
        yield
    finally:
        _open.set(previous)
