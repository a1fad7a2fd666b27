"""What of a graph runs on the host, before a step: layers of strings, and what these need.

A model that begins with such layers has two parts. The first runs in NumPy wherever data comes in; `Prepared` is
what it gives, and what the second part, which is differentiated and compiled, begins with.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from ..core import tree
from ..core.keras_tensor import KerasTensor
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
    """

    def __init__(self, first: list[Step], rest: list[Step], cut: list[int]) -> None:
        self.first, self.rest, self.cut = first, rest, cut

    @classmethod
    def of(cls, steps: Sequence[Step], inputs: int, outputs: Sequence[int]) -> HostPart | None:
        """The parts of a plan; None where nothing of it must run on the host.

        What a layer on the host needs runs there too, unless it has variables: then the layer is of the rest.
        """
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
        return cls(first, rest, sorted(made & taken))

    def prepared(self, inputs: list[Any], size: int) -> Prepared:
        """What the first part gives, as NumPy arrays; `size` is the number of values in the plan."""
        with use("numpy"):
            values = run_steps(self.first, inputs, size)
        return Prepared(tuple(values[slot] for slot in self.cut))

    def opened(self, prepared: Prepared, size: int) -> list[Any]:
        """The values of the plan as they are when the rest begins."""
        values: list[Any] = [None] * size
        for slot, value in zip(self.cut, prepared.values, strict=True):
            values[slot] = value
        return values


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
