"""What holds within a block of code, per thread: where state is read and written, autocasting.

Within a `StatelessScope` variables are not changed: reads give the scope's values, writes are
collected. That is how a step written with objects becomes a pure function.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any

from ..engines import Engine, computing, current, current_name, get, use


class _Context(threading.local):
    stateless: StatelessScope | None = None
    autocast: str | None = None
    computing: Engine | None = None
    training: bool | None = None
    #: The layer that is being called.
    calling: Any = None


context = _Context()


class StatelessScope:
    """A block in which variables have other values, and writes to them are collected.

    Args:
        state_mapping: Pairs `(variable, value)`: what the variables read as.
        collect_losses: Whether losses of layers are collected here instead of in the layers.
        initialize_variables: Kept for compatibility; variables always have an initial value.
    """

    def __init__(
        self,
        state_mapping: Iterable[tuple[Any, Any]] | None = None,
        collect_losses: bool = False,
        initialize_variables: bool = True,
    ) -> None:
        self.collect_losses = collect_losses
        self.initialize_variables = initialize_variables
        self.losses: list[Any] = []
        self._given: dict[int, Any] = {
            id(variable): value for variable, value in state_mapping or ()
        }
        self._written: dict[int, tuple[Any, Any]] = {}
        self._outer: StatelessScope | None = None

    def __enter__(self) -> StatelessScope:
        self._outer, context.stateless = context.stateless, self
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        context.stateless, self._outer = self._outer, None

    def get_current_value(self, variable: Any) -> Any:
        """The variable's value in this scope or one around it; None where no scope has one."""
        key = id(variable)
        scope: StatelessScope | None = self
        while scope is not None:
            if key in scope._written:
                return scope._written[key][1]
            if key in scope._given:
                return scope._given[key]
            scope = scope._outer
        return None

    def add_update(self, update: tuple[Any, Any]) -> None:
        """Collect a write `(variable, value)`."""
        self._written[id(update[0])] = update

    def updates(self) -> list[tuple[Any, Any]]:
        """The last write to each variable that was written."""
        return list(self._written.values())

    def add_loss(self, loss: Any) -> None:
        """Collect a loss."""
        self.losses.append(loss)


def in_stateless_scope() -> bool:
    """Whether writes to variables are being collected."""
    return context.stateless is not None


def get_stateless_scope() -> StatelessScope | None:
    """The innermost stateless scope."""
    return context.stateless


class SymbolicScope(StatelessScope):
    """A block in which ops infer shapes only: the spec engine is current, state is untouched."""

    def __enter__(self) -> SymbolicScope:
        super().__enter__()
        if current().computes:
            context.computing = current()
        self._engine = use(get("spec"))
        self._engine.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._engine.__exit__(kind, error, trace)
        super().__exit__(kind, error, trace)


@contextmanager
def concrete_scope() -> Iterator[None]:
    """A block in which ops compute and state changes, also while shapes are being inferred."""
    if computing() or context.computing is None:
        yield
        return
    stateless, context.stateless = context.stateless, None
    cast, context.autocast = context.autocast, None
    try:
        with use(context.computing):
            yield
    finally:
        context.stateless, context.autocast = stateless, cast


def computing_engine_name() -> str:
    """The name of the engine that computes, also while shapes are being inferred.

    Found without loading the engine.
    """
    name = current_name()
    if name == "spec" and context.computing is not None:
        return context.computing.name
    return name


def in_symbolic_scope() -> bool:
    """Whether ops infer shapes only."""
    return not current().computes


@contextmanager
def autocast(dtype: str | None) -> Iterator[None]:
    """Within it, float variables that allow it read as `dtype`."""
    previous, context.autocast = context.autocast, dtype
    try:
        yield
    finally:
        context.autocast = previous
