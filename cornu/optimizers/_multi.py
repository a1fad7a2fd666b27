"""Several optimizers, each for some of the variables."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, MutableMapping, Sequence
from typing import Any, Self

from ..core.described import Described
from ..core.serialization import deserialize_keras_object
from ..core.variable import Variable
from ._optimizer import Optimizer


class OptimizerMap(Described, MutableMapping[str, Optimizer]):
    """Optimizers by patterns of variables' paths, and one for the rest.

    Args:
        default_optimizer: The optimizer of variables that no pattern matches.
        optimizer_map: Optimizers by regular expression, which must match a whole path.
    """

    _kept_as = {"optimizer_map": "_by_pattern"}

    def __init__(
        self, default_optimizer: Optimizer, optimizer_map: dict[str, Optimizer] | None = None
    ) -> None:
        super().__init__()
        self._by_pattern = dict(optimizer_map or {})

    def __call__(self, variable: Variable) -> Optimizer:
        """The optimizer of a variable."""
        return self[variable.path]

    def __getitem__(self, key: str) -> Optimizer:
        if key in self._by_pattern:
            return self._by_pattern[key]
        matching = [pattern for pattern in self._by_pattern if re.fullmatch(pattern, key)]
        if len(matching) > 1:
            raise ValueError(
                f"A path must match one pattern at most. Received: {key!r}, matched by {matching}."
            )
        return self._by_pattern[matching[0]] if matching else self.default_optimizer

    def __setitem__(self, key: str, optimizer: Optimizer) -> None:
        if key in self._by_pattern:
            raise ValueError(f"A pattern is given once. Received: {key!r} again.")
        self._by_pattern[key] = optimizer

    def __delitem__(self, key: str) -> None:
        del self._by_pattern[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_pattern)

    def __len__(self) -> int:
        return len(self._by_pattern)


class MultiOptimizer(Optimizer):
    """Several optimizers, each for the variables that a map or a function gives it.

    Args:
        optimizer_map: An `OptimizerMap`, or a function from a variable to its optimizer.
        loss_scale_factor: What the loss is multiplied by, for all of them.
        name: The name.
    """

    def __init__(
        self,
        optimizer_map: OptimizerMap | Callable[[Variable], Optimizer],
        loss_scale_factor: float | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(0.0, loss_scale_factor=loss_scale_factor, name=name)
        self.optimizers: list[Optimizer] = []
        self._of: dict[Variable, Optimizer] = {}

    def build(self, variables: Sequence[Variable]) -> None:
        """Give each optimizer its variables."""
        chosen = [self.optimizer_map(variable) for variable in variables]
        self._of = dict(zip(variables, chosen, strict=True))
        known = chosen
        if isinstance(self.optimizer_map, OptimizerMap):
            known = [*self.optimizer_map.values(), self.optimizer_map.default_optimizer]
        self.optimizers = list({id(one): one for one in known}.values())
        for optimizer in self.optimizers:
            own = [v for v in variables if self._of[v] is optimizer]
            if own:
                optimizer.rebuild(own)
        self._trainable_variables = list(variables)
        self.logged_variables = {
            f"{name}_{one.name}": variable
            for one in self.optimizers
            for name, variable in one.logged_variables.items()
        }
        self._places = {v: i for i, v in enumerate(variables)}
        self.built = True

    @property
    def variables(self) -> list[Variable]:
        """Its own state, then that of each optimizer."""
        return [*self._variables, *(v for one in self.optimizers for v in one.variables)]

    @property  # type: ignore[misc]  # a getter alone
    def learning_rate(self) -> Any:
        """There is none: each optimizer has its own."""
        raise AttributeError(
            "A MultiOptimizer has no learning rate of its own. Look at those of `.optimizers`."
        )

    def trains(self, variable: Variable) -> bool:
        """Whether the variable's optimizer does."""
        return (self._of.get(variable) or self.optimizer_map(variable)).trains(variable)

    def _update(self, pairs: list[tuple[Any, Variable]]) -> None:
        for optimizer in self.optimizers:
            own = [(g, v) for g, v in pairs if self._of[v] is optimizer]
            if own:
                optimizer.apply([g for g, _ in own], [v for _, v in own])

    def finalize_variable_values(self, var_list: Sequence[Variable]) -> None:
        """What each optimizer does at the end of training."""
        for optimizer in self.optimizers:
            optimizer.finalize_variable_values(var_list)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, as what a file can hold."""
        return Described.get_config(self)

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Self:
        """The optimizer that `get_config` described."""
        chosen = deserialize_keras_object(config["optimizer_map"], custom_objects=custom_objects)
        return cls(chosen, config.get("loss_scale_factor"), config.get("name"))
