"""`HyperModel`: how a model is made from hyperparameters, and trained."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class HyperModel:
    """A model with hyperparameters: a class with `build(hp)`, and `fit` where the training has some too.

    Args:
        name: Its name.
        tunable: Whether its hyperparameters are searched; otherwise they have their defaults.

    >>> import cornu
    >>> class Small(HyperModel):
    ...     def build(self, hp):
    ...         return cornu.Sequential([cornu.layers.Dense(hp.Int("units", 8, 32))])
    ...     def fit(self, hp, model, *args, **kwargs):
    ...         return model.fit(*args, batch_size=hp.Choice("batch_size", [16, 32]), **kwargs)
    """

    def __init__(self, name: str | None = None, tunable: bool = True) -> None:
        self.name, self.tunable = name, tunable

    def build(self, hp: Any) -> Any:
        """A compiled model for the hyperparameters."""
        raise NotImplementedError

    def fit(self, hp: Any, model: Any, *args: Any, **kwargs: Any) -> Any:
        """Train the model: its history, a dictionary of metrics, or a number that is to be small."""
        return model.fit(*args, **kwargs)

    def declare_hyperparameters(self, hp: Any) -> None:
        """Ask for hyperparameters before the search, so that they are known in its summary."""


class _Function(HyperModel):
    """A function that builds a model."""

    def __init__(self, build: Callable[..., Any]) -> None:
        super().__init__()
        self.build = build  # type: ignore[method-assign]


def of(hypermodel: Any) -> HyperModel:
    """The hypermodel that an argument means: one, a function, a class, or None."""
    if isinstance(hypermodel, HyperModel):
        return hypermodel
    if hypermodel is None:
        return HyperModel()
    if not callable(hypermodel):
        raise ValueError(
            "`hypermodel` must be a `HyperModel` or a function that builds a model from hyperparameters. "
            f"Received: hypermodel={hypermodel!r}."
        )
    return _Function(hypermodel)
