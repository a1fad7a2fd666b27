"""A SavedModel as a part of a layer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain, count
from typing import Any

import tensorflow as tf

from ..contract import Tensor


class SavedProgram:
    """Functions of a SavedModel, called with the values of a layer's variables in place of its own.

    Args:
        path: The folder.
        endpoint: The name of the function that is called: one that the model has, or a signature.
        training_endpoint: That of the one for training; the same where it is None.
    """

    def __init__(self, path: str, endpoint: str, training_endpoint: str | None = None) -> None:
        self.path = path
        self.loaded = tf.saved_model.load(path)
        self.function = self._function(endpoint)
        self.trained = self._function(training_endpoint) if training_endpoint else self.function
        functions = {id(f): f for f in (self.function, self.trained)}.values()
        found = {id(v): v for f in functions for v in _variables(f)}
        names = (v.name.partition(":")[0].replace("/", "_") for v in found.values())
        self.variables = dict(zip(_apart(names), found.values(), strict=True))

    def _function(self, name: str) -> Any:
        found = getattr(self.loaded, name, None)
        if callable(found):
            return found
        if name in self.loaded.signatures:
            return self.loaded.signatures[name]
        raise ValueError(
            "An endpoint must be one of the file's functions. Received: "
            f"{name!r}, while {self.path!r} has the signatures {list(self.loaded.signatures)}."
        )

    def parts(self) -> Iterator[tuple[str, Any, bool]]:
        """The variables that the functions read."""
        for name, variable in self.variables.items():
            yield name, variable, variable.trainable

    def call(
        self, values: Mapping[str, Tensor], args: Any, kwargs: Any, training: bool | None
    ) -> tuple[Any, dict[str, Tensor]]:
        """What the function gives, and the variables that training changes beside the gradients."""
        function = self.trained if training else self.function
        names = list(self.variables)
        inputs, structure = tf.nest.flatten((args, kwargs)), (args, kwargs)

        def run(*given: Tensor) -> Any:
            """The function reads its variables itself: they get the values that are given."""
            own = [self.variables[name] for name in names]
            for variable, value in zip(own, given, strict=False):
                variable.assign(value)
            with tf.GradientTape() as tape:
                tape.watch([x for x in given if x.dtype.is_floating])
                args, kwargs = tf.nest.pack_sequence_as(structure, list(given[len(own) :]))
                outputs = function(*args, **kwargs)

            def back(*upstream: Tensor, variables: Any = ()) -> Any:
                sources = [*own, *given[len(own) :]]
                found = tape.gradient(outputs, sources, tf.nest.pack_sequence_as(outputs, upstream))
                return found, [None] * len(variables)

            return outputs, back

        outputs = tf.custom_gradient(run)(
            *(tf.convert_to_tensor(values[name]) for name in names), *inputs
        )
        changed = [name for name in names if not self.variables[name].trainable] if training else []
        return outputs, {name: self.variables[name].read_value() for name in changed}


def _variables(function: Any) -> list[Any]:
    """The variables that a function of a SavedModel reads, in order."""
    functions = getattr(function, "concrete_functions", None) or [function]
    return [variable for f in functions for variable in f.variables]


def _apart(names: Any) -> list[str]:
    """Names, numbered where there are several of one."""
    made: list[str] = []
    for name in names:
        each = chain([name], (f"{name}_{i}" for i in count(1)))
        made.append(next(one for one in each if one not in made))
    return made
