"""What holds within a block of code: where state is read and written, autocasting.

Within a `StatelessScope` variables are not changed: reads give the scope's values, writes are
collected. That is how a step written with objects becomes a pure function.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from types import TracebackType
from typing import Any, Protocol

from ..engines import Engine, computing, current, current_name, get, use


class Watch(Protocol):
    """What sees the calls of layers, and of ops in graphs, from the outside in."""

    def enter(self, operation: Any, args: Any, kwargs: Any) -> None:
        """A call begins."""

    def leave(self, operation: Any, outputs: Any) -> Any:
        """It ends; without outputs where it raised. Returns the outputs, or what stands for them."""


class here:
    """What holds in this thread or asyncio task, which starts with what holds for who started it."""

    stateless: ContextVar[StatelessScope | None] = ContextVar("stateless", default=None)
    #: The dtype that float variables read as, where that is not their own.
    autocast: ContextVar[str | None] = ContextVar("autocast", default=None)
    #: The engine that computes, while shapes are being inferred.
    computing: ContextVar[Engine | None] = ContextVar("computing", default=None)
    training: ContextVar[bool | None] = ContextVar("training", default=None)
    #: How many samples of a batch count, where it was filled up; None for all.
    counted: ContextVar[Any] = ContextVar("counted", default=None)
    #: The layer that is being called.
    calling: ContextVar[Any] = ContextVar("calling", default=None)
    watch: ContextVar[Watch | None] = ContextVar("watch", default=None)
    #: Whether what is saved is each variable as it is stored, where files else have what layers compute with.
    exact: ContextVar[bool] = ContextVar("exact", default=False)
    #: The file whose config objects are being made of: they open nothing that it names.
    file: ContextVar[str | None] = ContextVar("file", default=None)
    #: Whether configs have what layers have adapted to: those of copies, and of files without assets.
    adapted: ContextVar[bool] = ContextVar("adapted", default=False)
    #: Whether what runs is computed again in the course of differentiation.
    recomputed: ContextVar[bool] = ContextVar("recomputed", default=False)


@contextmanager
def within(variable: ContextVar[Any], value: Any) -> Iterator[None]:
    """A block in which a variable of `here` has a value."""
    before = variable.get()
    variable.set(value)
    try:
        yield
    finally:
        variable.set(before)  # by value: the end of an async generator may run in another task


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
        self._given: dict[int, Any] = {}
        for variable, value in state_mapping or ():
            if not hasattr(variable, "fitting"):
                raise ValueError(
                    "A scope gives values to variables: `state_mapping` is pairs of a variable and a "
                    f"value. Received: {variable!r} (of {type(variable).__name__}) as a variable."
                )
            self._given[id(variable)] = variable.fitting(value)
        self._written: dict[int, tuple[Any, Any]] = {}
        self._outer: StatelessScope | None = None

    @classmethod
    def of(cls, pairs: Iterable[tuple[Any, Any]]) -> StatelessScope:
        """A scope of tensors that fit their variables."""
        scope = cls()
        scope._given = {id(variable): value for variable, value in pairs}
        return scope

    def __enter__(self) -> StatelessScope:
        self._outer = here.stateless.get()
        here.stateless.set(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        here.stateless.set(self._outer)
        self._outer = None

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


def given_values(owner: str, **groups: tuple[Sequence[Any], Iterable[Any]]) -> StatelessScope:
    """A scope in which each group's variables have its values, one for each."""
    pairs: list[tuple[Any, Any]] = []
    for name, (variables, given) in groups.items():
        values = list(given)
        if len(variables) != len(values):
            raise ValueError(
                f"`{name}` must have a value for each of the {len(variables)} variables of {owner!r}. "
                f"Received: {len(values)} values. The variables are {[v.path for v in variables]}."
            )
        pairs += zip(variables, values, strict=True)
    return StatelessScope(pairs)


def in_stateless_scope() -> bool:
    """Whether writes to variables are being collected."""
    return here.stateless.get() is not None


def get_stateless_scope() -> StatelessScope | None:
    """The innermost stateless scope."""
    return here.stateless.get()


class SymbolicScope(StatelessScope):
    """A block in which ops infer shapes only: an engine of shapes is current, state is untouched."""

    def __init__(self, *, collect_losses: bool = False) -> None:
        super().__init__(collect_losses=collect_losses)

    def __enter__(self) -> SymbolicScope:
        super().__enter__()
        self._computed_on = here.computing.get()
        engine = current()
        if engine.computes:
            here.computing.set(engine)
        self._engine = use(engine if engine.name == "spec" else get("spec"))
        self._engine.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._engine.__exit__(kind, error, trace)
        here.computing.set(self._computed_on)
        super().__exit__(kind, error, trace)


@contextmanager
def concrete_scope() -> Iterator[None]:
    """A block in which ops compute and state changes, also while shapes are being inferred."""
    engine = here.computing.get()
    if computing() or engine is None:
        yield
        return
    with within(here.stateless, None), within(here.autocast, None), use(engine):
        yield


def computing_engine_name() -> str:
    """The name of the engine that computes, also while shapes are being inferred.

    Found without loading the engine.
    """
    name = current_name()
    engine = here.computing.get()
    return engine.name if name == "spec" and engine is not None else name


def in_symbolic_scope() -> bool:
    """Whether ops infer shapes only."""
    return not current().computes


def autocast(dtype: str | None) -> AbstractContextManager[None]:
    """Within it, float variables that allow it read as `dtype`."""
    return within(here.autocast, dtype)
