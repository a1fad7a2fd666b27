"""What of a graph runs on the host, before a step: layers of strings, and what these need.

A model that begins with such layers has two parts. The first runs in NumPy wherever data comes in; `Prepared` is
what it gives, and what the second part, which is differentiated and compiled, begins with.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from ..core import naming, tree
from ..core.keras_tensor import KerasTensor
from ..core.operation import node_of
from ..data import on_host
from ..engines import use
from ..engines.host import holds_text, numpy_dtype
from ._function import Slot, Step, run_steps


class Prepared(NamedTuple):
    """The values that the second part of a model begins with."""

    values: tuple[Any, ...]


class HostPart:
    """The two parts of a model's plan.

    Attributes:
        first: The steps that run on the host.
        rest: Those after them.
        cut: Where the values lie that the rest, or the outputs, take of the inputs and the first part.
        size: The number of values in the plan.
    """

    def __init__(self, first: list[Step], rest: list[Step], cut: list[int], size: int) -> None:
        self.first, self.rest, self.cut, self.size = first, rest, cut, size

    @classmethod
    def of(
        cls, steps: Sequence[Step], inputs: int, outputs: Sequence[int], size: int
    ) -> HostPart | None:
        """The parts of a plan of `size` values; None where nothing of it must run on the host.

        What a layer on the host needs runs there too, unless it has variables: then the layer is of the rest.
        A nested model that has these two parts is two steps.
        """
        steps, size = _parted(steps, size)
        maker = {slot: i for i, step in enumerate(steps) for slot in step.results}
        above: list[set[int]] = []
        chosen: set[int] = set()
        for i, step in enumerate(steps):
            makers = {maker[slot] for slot in _slots(step) if slot in maker}
            above.append({i}.union(*(above[j] for j in makers)))
            on_host = getattr(step.operation, "on_host", False)
            if on_host and not any(getattr(steps[j].operation, "variables", ()) for j in above[i]):
                chosen |= above[i]
        if not chosen:
            return None
        first = [step for i, step in enumerate(steps) if i in chosen]
        rest = [step for i, step in enumerate(steps) if i not in chosen]
        made = {*range(inputs), *(slot for step in first for slot in step.results)}
        taken = {*outputs, *(slot for step in rest for slot in _slots(step))}
        return cls(first, rest, sorted(made & taken), size)

    def prepared(self, inputs: list[Any]) -> Prepared:
        """What the first part gives, as NumPy arrays."""
        with use("numpy"):
            values = run_steps(self.first, inputs, self.size)
        return Prepared(tuple(values[slot] for slot in self.cut))

    def opened(self, prepared: Prepared) -> list[Any]:
        """The values of the plan as they are when the rest begins."""
        values: list[Any] = [None] * self.size
        for slot, value in zip(self.cut, prepared.values, strict=True):
            values[slot] = value
        return values


def before_strings(outputs: Sequence[KerasTensor]) -> list[KerasTensor] | None:
    """The numbers that outputs of strings are made from; None where they are made from strings that are given."""
    found: dict[int, KerasTensor] = {}
    waiting = list(outputs)
    while waiting:
        x = waiting.pop()
        node = node_of(x)
        if x.dtype != "string":
            found[id(x)] = x
        elif node is None or node.is_input:
            return None
        else:
            waiting.extend(node.input_tensors)
    return list(found.values())


class _Beginning:
    """The first part of a nested model: from those inputs that it takes to what it makes for the rest."""

    on_host = True

    def __init__(self, graph: Any, taken: list[int]) -> None:
        self.graph, self.taken = graph, taken

    def __call__(self, *inputs: Any) -> list[Any]:
        references, host = self.graph.inputs, self.graph._host
        given = [None] * len(references)
        for slot, x in zip(self.taken, inputs, strict=True):
            given[slot] = as_input(on_host(x), references[slot])
        made = zip(host.cut, host.prepared(given).values, strict=True)
        return [x for slot, x in made if slot >= len(references)]


class _Rest:
    """A nested model, called on what its rest begins with."""

    def __init__(self, model: Any, graph: Any) -> None:
        self.model, self.graph = model, graph
        self.on_host, self.variables = model.on_host, model.variables

    def __call__(self, values: list[Any], **kwargs: Any) -> Any:
        references = self.graph.inputs

        def adjusted(slot: int, x: Any) -> Any:
            if slot >= len(references) or holds_text(x):
                return x
            return self.graph._adjusted(x, references[slot])

        cut = self.graph._host.cut
        return self.model(Prepared(tuple(map(adjusted, cut, values))), **kwargs)


def _parted(steps: Sequence[Step], size: int) -> tuple[list[Step], int]:
    """A plan in which nested models with a part on the host are two steps, and the number of its values."""
    found: list[Step] = []
    for step in steps:
        graph = getattr(step.operation, "_hosted", None)
        inputs = _inputs_of(step, graph)
        if graph is None or inputs is None:
            found.append(step)
            continue
        host, count = graph._host, len(inputs)
        taken = sorted({slot for x in host.first for slot in _slots(x) if slot < count})
        cut = {slot: inputs[slot] if slot < count else None for slot in host.cut}
        made = [slot for slot in cut if slot >= count]
        cut.update(zip(made, map(Slot, range(size, size + len(made))), strict=True))
        results = tuple(range(size, size + len(made)))
        size += len(made)
        given = tuple(inputs[slot] for slot in taken)
        found.append(Step(_Beginning(graph, taken), given, {}, None, results))  # type: ignore[arg-type]
        rest: Any = _Rest(step.operation, graph)
        found.append(Step(rest, ([*cut.values()],), step.kwargs, None, step.results))
    return found, size


def _inputs_of(step: Step, graph: Any) -> list[Slot] | None:
    """Where the inputs of a nested model lie; None where it is called on others, or its call is a user's."""
    if graph is None or not naming.is_ours(type(step.operation).call):
        return None
    given = step.args[:1] if step.only is None else [Slot(step.only)]
    slots: list[Any] = graph._in_order(*given) if given else [None]
    return slots if all(isinstance(x, Slot) for x in slots) else None


def as_input(x: Any, reference: KerasTensor) -> Any:
    """An array as an input of the host takes it: of its rank, and of its dtype if both are numbers."""
    if x is None:
        return None
    if x.ndim == reference.ndim + 1 and x.shape[-1] == 1:
        x = x[..., 0]
    elif x.ndim == reference.ndim - 1 and reference.shape[-1] == 1:
        x = x[..., None]
    if reference.dtype == "string" or holds_text(x):
        return x
    return x.astype(numpy_dtype(reference.dtype), copy=False)


def _slots(step: Step) -> list[int]:
    if step.only is not None:
        return [step.only]
    return [x.index for x in tree.flatten((step.args, step.kwargs)) if isinstance(x, Slot)]
