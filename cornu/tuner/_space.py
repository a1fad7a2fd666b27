"""`HyperParameters`: what a builder asks, and what it was answered."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from ._parameters import (
    Boolean,
    Choice,
    Fixed,
    Float,
    HyperParameter,
    Int,
    Parent,
    Value,
    deserialize,
    serialize,
)


class Source(Protocol):
    """What answers for a trial that runs: a search."""

    def choose(self, parameter: HyperParameter) -> Any:
        """The trial's value of a hyperparameter that its builder asks for first."""

    def find(self, name: str) -> HyperParameter | None:
        """The hyperparameter of that name that other trials have had."""


class HyperParameters:
    """The hyperparameters of a model, and the values of one trial.

    What a builder asks for is in `space` and, where its conditions hold, in `values`: with its default, or with what
    the search chooses when it is asked within a trial. So a trial has just those that its builder has asked for, and
    `for i in range(hp.Int("layers", 1, 4))` needs no condition. A name that is asked for again has the same value.

    Attributes:
        values: The value of each hyperparameter that is used, by its name.

    >>> hp = HyperParameters()
    >>> hp.Int("layers", 1, 4), hp.Choice("activation", ["relu", "tanh"], default="tanh")
    (1, 'tanh')
    >>> hp.values
    {'layers': 1, 'activation': 'tanh'}
    """

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self._space: list[HyperParameter] = []
        self._scopes: list[str] = []
        self._conditions: list[Parent] = []
        #: What answers within a trial; nothing of it is copied or written.
        self.source: Source | None = None

    @property
    def space(self) -> list[HyperParameter]:
        """The hyperparameters, in the order in which they were asked for."""
        return self._space

    @contextmanager
    def name_scope(self, name: str) -> Iterator[None]:
        """Names that are asked for within have this one before theirs.

        >>> hp = HyperParameters()
        >>> with hp.name_scope("block_0"):
        ...     units = hp.Int("units", 8, 32)
        >>> hp.values
        {'block_0/units': 8}
        """
        self._scopes.append(name)
        try:
            yield
        finally:
            self._scopes.pop()

    @contextmanager
    def conditional_scope(
        self, parent_name: str, parent_values: Value | Sequence[Value]
    ) -> Iterator[None]:
        """What is asked for within is used only where the parent has one of the values, and None elsewhere.

        >>> hp = HyperParameters()
        >>> kind = hp.Choice("kind", ["dense", "cnn"])
        >>> with hp.conditional_scope("kind", "cnn"):
        ...     print(hp.Int("filters", 8, 32))
        None
        """
        name = self._full(parent_name)
        if not any(parameter.name == name for parameter in self._space):
            raise ValueError(
                "A parent must be asked for before its children. "
                f"Received: parent_name={name!r} of {[p.name for p in self._space]}."
            )
        several = isinstance(parent_values, Sequence) and not isinstance(parent_values, str)
        values: Any = parent_values if several else (parent_values,)
        if not all(isinstance(value, (int, float, str)) for value in values):
            raise TypeError(
                "`parent_values` must be integers, floats, strings or booleans. "
                f"Received: parent_values={parent_values!r}."
            )
        self._conditions.append(Parent(name, tuple(values)))
        try:
            yield
        finally:
            self._conditions.pop()

    def is_active(self, hyperparameter: str | HyperParameter) -> bool:
        """Whether the conditions of a hyperparameter, given by name or as an object, hold.

        >>> HyperParameters().is_active("unknown")
        False
        """
        if isinstance(hyperparameter, HyperParameter):
            return self._hold(hyperparameter.conditions)
        name = self._full(hyperparameter)
        return any(p.name == name and self._hold(p.conditions) for p in self._space)

    def get(self, name: str) -> Any:
        """The value of a hyperparameter; within a trial also of one that only other trials asked for so far.

        Raises:
            KeyError: If nobody has asked for it.
            ValueError: If its conditions don't hold.
        """
        full = self._full(name)
        if full in self.values and (self.is_active(name) or not self._known(full)):
            return self.values[full]
        found = self.source.find(full) if self.source else None
        if found is not None and self._hold(found.conditions):
            return self.answered(found)
        if found is None and not self._known(full):
            raise KeyError(
                f"No builder has asked for this hyperparameter. Received: {full!r} of {[*self.values]}."
            )
        raise ValueError(f"The conditions of this hyperparameter don't hold. Received: {full!r}.")

    def __getitem__(self, name: str) -> Any:
        return self.get(name)

    def __contains__(self, name: str) -> bool:
        return self._full(name) in self.values and self.is_active(name)

    def Int(
        self,
        name: str,
        min_value: int,
        max_value: int,
        step: int | None = None,
        sampling: str = "linear",
        default: int | None = None,
        parent_name: str | None = None,
        parent_values: Any = None,
    ) -> Any:
        """A whole number from `min_value` to `max_value`; `engine.hyperparameters.Int` says more.

        >>> HyperParameters().Int("units", 8, 32, step=8)
        8
        """
        given = (min_value, max_value, step, sampling, default)
        return self._ask(Int, name, given, parent_name, parent_values)

    def Float(
        self,
        name: str,
        min_value: float,
        max_value: float,
        step: float | None = None,
        sampling: str = "linear",
        default: float | None = None,
        parent_name: str | None = None,
        parent_values: Any = None,
    ) -> Any:
        """A number from `min_value` to `max_value`; `engine.hyperparameters.Float` says more.

        >>> HyperParameters().Float("learning_rate", 1e-4, 1e-2, sampling="log")
        0.0001
        """
        given = (min_value, max_value, step, sampling, default)
        return self._ask(Float, name, given, parent_name, parent_values)

    def Choice(
        self,
        name: str,
        values: Sequence[Value],
        ordered: bool | None = None,
        default: Value | None = None,
        parent_name: str | None = None,
        parent_values: Any = None,
    ) -> Any:
        """One of several values; `engine.hyperparameters.Choice` says more.

        >>> HyperParameters().Choice("activation", ["relu", "tanh"])
        'relu'
        """
        return self._ask(Choice, name, (values, ordered, default), parent_name, parent_values)

    def Boolean(
        self,
        name: str,
        default: bool = False,
        parent_name: str | None = None,
        parent_values: Any = None,
    ) -> Any:
        """True or False.

        >>> HyperParameters().Boolean("bias")
        False
        """
        return self._ask(Boolean, name, (default,), parent_name, parent_values)

    def Fixed(
        self, name: str, value: Value, parent_name: str | None = None, parent_values: Any = None
    ) -> Any:
        """A value that no search changes.

        >>> HyperParameters().Fixed("epochs", 3)
        3
        """
        return self._ask(Fixed, name, (value,), parent_name, parent_values)

    def get_config(self) -> dict[str, Any]:
        """The space and the values, as a file holds them."""
        return {"space": [serialize(p) for p in self._space], "values": dict(self.values)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> HyperParameters:
        """What `get_config` described."""
        made = cls()
        made._space = [deserialize(parameter) for parameter in config["space"]]
        made.values = dict(config["values"])
        return made

    def copy(self) -> HyperParameters:
        """Another object with the same space and the same values.

        >>> hp = HyperParameters()
        >>> _ = hp.Boolean("bias")
        >>> hp.copy().values
        {'bias': False}
        """
        return self.from_config(self.get_config())

    def merge(self, hps: HyperParameters, overwrite: bool = True) -> None:
        """Take over what another object has; with `overwrite` also what is here already.

        >>> hp, other = HyperParameters(), HyperParameters()
        >>> _ = hp.Int("units", 1, 4), other.Int("units", 2, 8), other.Boolean("bias")
        >>> hp.merge(other)
        >>> hp.values
        {'units': 2, 'bias': False}
        """
        for parameter in hps.space:
            place = self._place(parameter)
            if place is None:
                self._space.append(parameter)
            elif overwrite:
                self._space[place] = parameter
            if parameter.name in hps.values and (overwrite or parameter.name not in self.values):
                self.values[parameter.name] = hps.values[parameter.name]

    def ensure_active_values(self) -> None:
        """Give those whose conditions hold, and that have no value, one by chance."""
        for parameter in self._space:
            if self.is_active(parameter) and parameter.name not in self.values:
                self.values[parameter.name] = parameter.random_sample()

    def _ask(
        self,
        kind: Any,
        name: str,
        given: tuple[Any, ...],
        parent_name: str | None,
        parent_values: Any,
    ) -> Any:
        if parent_name is not None:
            with self.conditional_scope(parent_name, parent_values):
                return self._ask(kind, name, given, None, None)
        parameter = kind(self._full(name), *given, conditions=list(self._conditions))
        place = self._place(parameter)
        if place is None:
            self._space.append(parameter)
        else:
            parameter = self._space[place]
        return self.answered(parameter) if self._hold(parameter.conditions) else None

    def take(self, parameter: HyperParameter, value: Any) -> None:
        """Have a hyperparameter with its value, as somebody else was answered."""
        if self._place(parameter) is None:
            self._space.append(parameter)
        self.values[parameter.name] = value

    def answered(self, parameter: HyperParameter) -> Any:
        """The value of a hyperparameter whose conditions hold."""
        if parameter.name not in self.values:
            source = self.source
            self.values[parameter.name] = source.choose(parameter) if source else parameter.default
        return self.values[parameter.name]

    def _hold(self, conditions: Sequence[Parent]) -> bool:
        return all(parent.holds(self.values) for parent in conditions)

    def _known(self, full: str) -> bool:
        return any(parameter.name == full for parameter in self._space)

    def _place(self, parameter: HyperParameter) -> int | None:
        """Where the space has a hyperparameter of the same name under the same conditions."""
        key = (parameter.name, parameter.conditions)
        return next(
            (i for i, known in enumerate(self._space) if (known.name, known.conditions) == key),
            None,
        )

    def _full(self, name: str) -> str:
        return "/".join([*self._scopes, str(name)])

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "source": None}
