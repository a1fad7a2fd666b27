"""What happens in a call of a model, found on shapes: which layers and ops are called, on which tensors."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

from ..core import tree
from ..core.keras_tensor import KerasTensor
from ..core.scopes import SymbolicScope, here, within
from ..engines import use
from ..engines.counting import Call, CountingEngine
from ..engines.spec import Dimension, Spec
from ..layers import Layer


@dataclass(eq=False)
class Visit:
    """One call of a layer, or of an op in a graph.

    Attributes:
        operation: What is called.
        within: The visit that it is part of; None for that of the model.
        inputs: The tensors that it is given.
        outputs: Those that it gives.
        begin, end: The primitives that run in it, as places in the trace's `calls`.
    """

    operation: Any
    within: Visit | None
    inputs: list[Spec]
    outputs: list[Spec]
    begin: int
    end: int = 0


class Trace:
    """The calls of layers and of primitives in one call of a model.

    Attributes:
        model: The model.
        calls: The primitives that ran, in order.
        events: Visits as they begin (True) and end (False), in order.
        inputs, outputs: The model's own.
        weights: What the variables that were read stand for, by id: whether each is trained.
    """

    def __init__(self, model: Layer, inputs: list[Any]) -> None:
        self.model = model
        self.inputs: list[Spec] = inputs
        self.outputs: list[Spec] = []
        self.events: list[tuple[Visit, bool]] = []
        # It keeps all tensors, so that their ids are theirs. Its primitives are put into the class by name.
        self._engine = CountingEngine()  # type: ignore[abstract]
        self._open: list[Visit] = []

    @property
    def calls(self) -> list[Call]:
        """The primitives that ran, in order."""
        return self._engine.calls

    @property
    def weights(self) -> dict[int, bool]:
        """What the variables that were read stand for, by id: whether each is trained."""
        return self._engine.weights

    def enter(self, operation: Any, args: Any, kwargs: Any) -> None:
        """A call begins (`core.scopes.Watch`)."""
        around = self._open[-1] if self._open else None
        visit = Visit(operation, around, _tensors((args, kwargs)), [], len(self.calls))
        self._open.append(visit)
        self.events.append((visit, True))
        self._engine.within = (*self._engine.within, operation)

    def leave(self, operation: Any, outputs: Any) -> Any:
        """A call ends. What it gives back as it came in gets an identity of its own."""
        visit = self._open.pop()
        given = {id(x) for x in visit.inputs}
        made = {id(x) for call in self.calls[visit.begin :] for x in call.results}

        def seen(x: Any) -> Any:
            if not isinstance(x, Spec) or id(x) in made:
                return x
            fresh = copy.copy(x)
            if id(x) in given:
                self._engine.note("identity", x, fresh)
            else:  # by functions of a library, which tell nothing
                self._engine.note("native functions", visit.inputs, fresh, Dimension())
            return fresh

        if getattr(operation, "_remat", None) is not None and operation._is_much(outputs):
            self._engine.forget(visit.begin, visit.inputs)
        outputs = tree.map_structure(seen, outputs)
        visit.outputs, visit.end = _tensors(outputs), len(self.calls)
        self.events.append((visit, False))
        self._engine.within = self._engine.within[:-1]
        return outputs

    def run(self, specs: dict[str, Any], training: bool) -> None:
        """Call the model on shapes."""
        with SymbolicScope(), use(self._engine), within(here.watch, self):
            self.outputs = _tensors(Layer._call_within(self.model, (), specs, training))


def trace(model: Layer, specs: dict[str, Any], training: bool) -> Trace:
    """What happens in a call of a model with arguments of these specs."""
    found = Trace(model, _tensors(specs))
    found.run(specs, training)
    return found


def inputs_of(model: Any, batch_size: int | None, input_shape: Any = None) -> dict[str, Any]:
    """The arguments of a call as specs: those that the model was built for, with a batch of this size.

    Args:
        model: A model, or any layer.
        batch_size: How many samples a batch has; None where that is left open.
        input_shape: The shapes of the inputs with the batch, in place of those.

    Raises:
        ValueError: If there are none: the model was never built.
    """
    graph = getattr(model, "_functional", None) or model
    name = model._call_signature.first or "inputs"
    known = getattr(graph, "_inputs_struct", None)
    if input_shape is not None:
        return {name: tree.map_shape_structure(KerasTensor, input_shape)}
    if known is None and not model._build_shapes:
        raise ValueError(
            "What happens in a model depends on the shapes of its inputs. Received: the model "
            f"{model.name!r}, never built, and input_shape=None. Call it on data, `build(input_shape)`, "
            "or give `input_shape`, with the batch."
        )
    specs = model._specs_of_shapes(model._build_shapes) if known is None else {name: known}

    def of_a_batch(x: Any) -> Any:
        return None if x is None else KerasTensor((batch_size, *x.dims[1:])[: x.ndim], x.dtype)

    return {key: tree.map_structure(of_a_batch, spec) for key, spec in specs.items()}


def _tensors(structure: Any) -> list[Spec]:
    return [x for x in tree.flatten(structure) if isinstance(x, Spec)]
