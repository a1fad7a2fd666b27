"""One hyperparameter: its range, its grid, and what a share of its probability stands for."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np

from ..core.checks import is_number, is_size, one_of

Value = int | float | str | bool
_PLAIN = (int, float, str, bool)
#: Values of a range that has no step, at the middles of equal shares of its probability.
_GRID = 10


class Parent(NamedTuple):
    """A condition: the hyperparameter of this name has one of these values.

    >>> Parent("kind", ("cnn",)).holds({"kind": "cnn"})
    True
    """

    name: str
    values: tuple[Value, ...]

    def holds(self, values: Mapping[str, Any]) -> bool:
        """Whether the values of a trial meet the condition."""
        return self.name in values and values[self.name] in self.values


class HyperParameter:
    """One number or choice that a search decides.

    Args:
        name: Its name, with the scopes that it stands in (`"block_0/units"`).
        default: The value that it has outside of a search.
        conditions: What must hold for it to be used at all, as `Parent(name, values)`.

    >>> HyperParameter("units", default=3).get_config()
    {'name': 'units', 'default': 3, 'conditions': []}
    """

    #: The arguments of the class, beside the three of all, in the order of the config.
    _own: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self, name: str, default: Any = None, conditions: Sequence[Parent] | None = None
    ) -> None:
        self.name = str(name)
        self._default = default
        self.conditions = list(conditions or ())

    @property
    def default(self) -> Any:
        """The value outside of a search."""
        return self._default

    @property
    def values(self) -> tuple[Value, ...]:
        """All that it may be; of a range without a step ten values, spread as it is sampled."""
        raise NotImplementedError

    @property
    def count(self) -> int | None:
        """How many values it may have; None for any number."""
        return len(self.values)

    def prob_to_value(self, prob: float) -> Any:
        """The value at a share of the probability, in [0, 1].

        >>> Int("units", 1, 10).prob_to_value(0.5)
        6
        """
        values = self.values
        return values[min(int(prob * len(values)), len(values) - 1)]

    def value_to_prob(self, value: Any) -> float:
        """The middle of a value's share of the probability.

        >>> Boolean("bias").value_to_prob(True)
        0.75
        """
        return (self.values.index(value) + 0.5) / len(self.values)

    def random_sample(self, seed: int | None = None) -> Any:
        """A value by chance.

        >>> 1 <= Int("units", 1, 3).random_sample(seed=1) <= 3
        True
        """
        return self.prob_to_value(float(np.random.default_rng(seed).random()))

    def get_config(self) -> dict[str, Any]:
        """What a file holds of it, as Keras Tuner writes it."""
        conditions = [
            {"class_name": "Parent", "config": {"name": name, "values": list(values)}}
            for name, values in self.conditions
        ]
        own = {name: getattr(self, name) for name in self._own}
        return {"name": self.name, "default": self._default, "conditions": conditions, **own}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """The hyperparameter that `get_config` described."""
        parents = (parent["config"] for parent in config.get("conditions", ()))
        conditions = [Parent(parent["name"], tuple(parent["values"])) for parent in parents]
        return cls(**{**config, "conditions": conditions})

    def __repr__(self) -> str:
        own = "".join(f"{name}: {getattr(self, name)!r}, " for name in self._own)
        return f"{type(self).__name__}(name: {self.name!r}, {own}default: {self.default!r})"


class _Range(HyperParameter):
    """Numbers from `min_value` to `max_value`, both of them included."""

    _own = ("min_value", "max_value", "step", "sampling")

    def __init__(
        self,
        name: str,
        min_value: float,
        max_value: float,
        step: float | None = None,
        sampling: str = "linear",
        default: float | None = None,
        conditions: Sequence[Parent] | None = None,
    ) -> None:
        super().__init__(name, default, conditions)
        self.min_value, self.max_value, self.step = min_value, max_value, step
        self.sampling = sampling
        one_of(("linear", "log", "reverse_log"), sampling=sampling)
        where = f"Received: {type(self).__name__}({name!r}, min_value={min_value}, max_value={max_value}, step={step})"
        if min_value > max_value:
            raise ValueError(f"`min_value` must not be above `max_value`. {where}.")
        if sampling != "linear" and min_value <= 0:
            raise ValueError(f"`min_value` must be above 0 with sampling={sampling!r}. {where}.")
        if step is not None and step <= (sampling != "linear"):
            least = "1, a factor," if sampling != "linear" else "0"
            raise ValueError(f"`step` must be above {least} with sampling={sampling!r}. {where}.")

    @property
    def default(self) -> Any:
        return self.min_value if self._default is None else self._default

    @property
    def steps(self) -> int | None:
        """How many steps the range has above its lowest value; None where it is continuous."""
        low, high, step = self.min_value, self.max_value, self.step
        if step is None:
            return None
        # The last step of 0, 0.1, ... 0.3 ends at 0.30000000000000004.
        if self.sampling == "linear":
            return math.floor((high - low) / step + 1e-8)
        return math.floor(math.log(high / low, step) + 1e-8)

    def at(self, index: int) -> Any:
        """The value that many steps above the lowest.

        >>> Int("units", 1, 100, step=10, sampling="log").at(2)
        100
        """
        step: Any = self.step
        value = self.min_value
        value = value + index * step if self.sampling == "linear" else value * step**index
        return min(value, self.max_value)

    @property
    def count(self) -> int | None:
        if self.min_value == self.max_value:
            return 1
        return None if self.steps is None else self.steps + 1

    @property
    def values(self) -> tuple[Value, ...]:
        if self.steps is not None:
            return tuple(self.at(index) for index in range(self.steps + 1))
        middles = [self.prob_to_value((index + 0.5) / _GRID) for index in range(_GRID)]
        return tuple(dict.fromkeys(middles))

    def prob_to_value(self, prob: float) -> Any:
        if self.steps is None:
            return min(self._spread(prob), self.max_value)
        return self.at(min(int(prob * (self.steps + 1)), self.steps))

    def value_to_prob(self, value: Any) -> float:
        if self.steps is None:
            return self._share(value)
        return (self.values.index(value) + 0.5) / (self.steps + 1)

    @property
    def _end(self) -> float:
        """Where the probability ends: integers have a share each, the last one too."""
        return self.max_value

    def _spread(self, prob: float) -> Any:
        low, high = self.min_value, self._end
        if self.sampling == "linear":
            return low + prob * (high - low)
        if self.sampling == "log":
            return low * (high / low) ** prob
        return high + low - low * (high / low) ** (1 - prob)

    def _share(self, value: float) -> float:
        low, high = self.min_value, self._end
        if low == high:
            return 0.5
        if self.sampling == "linear":
            return (value - low) / (high - low)
        if self.sampling == "log":
            return math.log(value / low) / math.log(high / low)
        return 1 - math.log((high + low - value) / low) / math.log(high / low)


class Int(_Range):
    """A whole number from `min_value` to `max_value`, both included.

    Args:
        name: Its name.
        min_value, max_value: The range.
        step: What lies between two values, a factor where `sampling` is not linear. By default 1; any whole number
            of the range without linear sampling.
        sampling: "linear", "log" (as many between 1 and 10 as between 10 and 100) or "reverse_log" (denser above).
        default: The value outside of a search; by default the lowest.

    >>> Int("units", 8, 32, step=8).values
    (8, 16, 24, 32)
    >>> Int("units", 8, 64, step=2, sampling="log").values
    (8, 16, 32, 64)
    >>> Int("units", 8, 2)
    Traceback (most recent call last):
    ValueError: `min_value` must not be above `max_value`. Received: Int('units', min_value=8, max_value=2, step=None).
    """

    def __init__(
        self,
        name: str,
        min_value: int,
        max_value: int,
        step: int | None = None,
        sampling: str = "linear",
        default: int | None = None,
        conditions: Sequence[Parent] | None = None,
    ) -> None:
        for argument, value in zip(
            ("min_value", "max_value", "step"), (min_value, max_value, step), strict=True
        ):
            if value is not None and not (is_size(value, -(2**63)) or isinstance(value, bool)):
                raise ValueError(
                    f"`{argument}` must be an integer. Received: {argument}={value!r} of {name!r}."
                )
        super().__init__(name, min_value, max_value, step, sampling, default, conditions)
        if sampling == "linear" and self.step is None:
            self.step = 1

    @property
    def _end(self) -> float:
        return self.max_value + 1

    @property
    def count(self) -> int:
        return 1 + (int(self.max_value - self.min_value) if self.steps is None else self.steps)

    def _spread(self, prob: float) -> int:
        return int(super()._spread(prob))

    def value_to_prob(self, value: Any) -> float:
        return super().value_to_prob(value if self.steps is not None else value + 0.5)


class Float(_Range):
    """A number from `min_value` to `max_value`, both included.

    Args:
        name: Its name.
        min_value, max_value: The range.
        step: What lies between two values, a factor where `sampling` is not linear; any number of the range by default.
        sampling: "linear", "log" (as many between 1 and 10 as between 10 and 100) or "reverse_log" (denser above).
        default: The value outside of a search; by default the lowest.

    >>> Float("rate", 0, 0.3, step=0.1).default
    0.0
    >>> Float("learning_rate", 1e-4, 1e-2, sampling="log").prob_to_value(0.5)
    0.001
    """

    def __init__(
        self,
        name: str,
        min_value: float,
        max_value: float,
        step: float | None = None,
        sampling: str = "linear",
        default: float | None = None,
        conditions: Sequence[Parent] | None = None,
    ) -> None:
        step = None if step is None else float(step)
        super().__init__(
            name, float(min_value), float(max_value), step, sampling, default, conditions
        )


class Choice(HyperParameter):
    """One of several values of one type: integers, floats, strings or booleans.

    Args:
        name: Its name.
        values: The values.
        ordered: Whether near values are alike, which a search may use: by default for numbers.
        default: The value outside of a search; by default the first.

    >>> Choice("activation", ["relu", "tanh"])
    Choice(name: 'activation', values: ['relu', 'tanh'], ordered: False, default: 'relu')
    >>> Choice("activation", ["relu", 2])
    Traceback (most recent call last):
    TypeError: The values of a `Choice` must be of one type. Received: Choice('activation', values=['relu', 2]).
    """

    _own = ("values", "ordered")

    def __init__(
        self,
        name: str,
        values: Sequence[Value],
        ordered: bool | None = None,
        default: Value | None = None,
        conditions: Sequence[Parent] | None = None,
    ) -> None:
        super().__init__(name, default, conditions)
        given = [value.item() if isinstance(value, np.generic) else value for value in values]
        where = f"Received: Choice({name!r}, values={given}"
        if not given:
            raise ValueError(f"A `Choice` must have at least one value. {where}).")
        if not all(isinstance(value, _PLAIN) for value in given):
            raise TypeError(
                f"The values of a `Choice` must be integers, floats, strings or booleans. {where})."
            )
        if len({type(value) for value in given}) > 1:
            raise TypeError(f"The values of a `Choice` must be of one type. {where}).")
        if default is not None and default not in given:
            raise ValueError(
                f"`default` must be one of the values of a `Choice`. {where}, default={default!r})."
            )
        numbers = is_number(given[0])
        if ordered and not numbers:
            raise ValueError(f"Only numbers have an order. {where}, ordered={ordered}).")
        self._values, self.ordered = given, numbers if ordered is None else ordered

    @property
    def values(self) -> Any:
        return self._values

    @property
    def default(self) -> Any:
        return self._values[0] if self._default is None else self._default

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "default": self.default}


class Boolean(HyperParameter):
    """True or False.

    >>> Boolean("bias").values
    (True, False)
    """

    def __init__(
        self, name: str, default: bool = False, conditions: Sequence[Parent] | None = None
    ) -> None:
        super().__init__(name, default, conditions)
        if not isinstance(default, bool):
            raise ValueError(f"`default` must be True or False. Received: default={default!r}.")

    @property
    def values(self) -> tuple[Value, ...]:
        return (True, False)

    def prob_to_value(self, prob: float) -> bool:
        return prob >= 0.5

    def value_to_prob(self, value: Any) -> float:
        return 0.75 if value else 0.25


class Fixed(HyperParameter):
    """A value that no search changes: it is told with the others.

    >>> Fixed("epochs", 3).default
    3
    """

    _own = ("value",)

    def __init__(self, name: str, value: Value, conditions: Sequence[Parent] | None = None) -> None:
        super().__init__(name, value, conditions)
        if not isinstance(value, _PLAIN):
            raise ValueError(
                f"`value` must be an integer, a float, a string or a boolean. Received: value={value!r}."
            )
        self.value = value

    @property
    def values(self) -> tuple[Value, ...]:
        return (self.value,)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["default"]
        return config


KINDS: dict[str, type[HyperParameter]] = {
    kind.__name__: kind for kind in (HyperParameter, Int, Float, Choice, Boolean, Fixed)
}


def serialize(obj: HyperParameter) -> dict[str, Any]:
    """The class and the config of a hyperparameter.

    >>> serialize(Fixed("epochs", 3))
    {'class_name': 'Fixed', 'config': {'name': 'epochs', 'conditions': [], 'value': 3}}
    """
    return {"class_name": type(obj).__name__, "config": obj.get_config()}


def deserialize(config: dict[str, Any]) -> Any:
    """The hyperparameter that `serialize` described.

    >>> deserialize(serialize(Boolean("bias"))).name
    'bias'
    """
    one_of(KINDS, class_name=config["class_name"])
    return KINDS[config["class_name"]].from_config(config["config"])
