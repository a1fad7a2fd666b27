"""Output specs of layers that call native functions of their engine, from the engine's tracer."""

from __future__ import annotations

from typing import Any

from ..core import tree
from ..core.keras_tensor import KerasTensor
from ..core.scopes import StatelessScope, here
from ..engines import computing, current, use

#: Two sizes to stand for an unknown one: where an output's size differs, it depends on it.
_SIZES = (2, 3)


def traced_spec(layer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The specs of a call's outputs, found by tracing it; None where the engine can't."""
    engine = current() if computing() else here.computing.get()
    if engine is None:
        return None
    flat = tree.flatten((args, kwargs))
    places = [i for i, x in enumerate(flat) if isinstance(x, KerasTensor)]
    structure: list[Any] = []

    def run(*tensors: Any) -> list[Any]:
        values = list(flat)
        for place, tensor in zip(places, tensors, strict=True):
            values[place] = tensor
        given_args, given_kwargs = tree.pack_sequence_as((args, kwargs), values)
        outputs = layer.call(*given_args, **given_kwargs)
        structure[:] = [outputs]
        return tree.flatten(outputs)

    def traced(size: int) -> Any:
        specs = [
            (tuple(size if s is None else s for s in flat[i].shape), flat[i].dtype) for i in places
        ]
        with use(engine), StatelessScope():
            return engine.eval_shape(run, *specs)

    try:
        first, second = (traced(size) for size in _SIZES)
    except NotImplementedError:
        return None
    outputs = [
        KerasTensor([a if a == b else None for a, b in zip(one[0], other[0], strict=True)], one[1])
        for one, other in zip(first, second, strict=True)
    ]
    return tree.pack_sequence_as(structure[0], outputs)
