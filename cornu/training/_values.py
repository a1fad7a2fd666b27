"""What steps give: values by name, numbers, arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import ops
from ..core import tree
from ..core.variable import Variable
from ..engines import current
from ..ops.shared import owned


def logs_of(model: Any, result: Any) -> dict[str, Any]:
    """What a step gave as values by name: the first of a tuple, or a bare value, is the loss."""
    if result is None or isinstance(result, dict):
        return _flat(result)
    values = result if isinstance(result, (tuple, list)) else [result]
    names = ["loss", *(f"value_{i}" for i in range(1, len(values)))]
    if len(values) == len(model.metrics_names):
        names = model.metrics_names
    return _flat(dict(zip(names, values, strict=True)))


def _flat(logs: Any) -> dict[str, Any]:
    """The values of a step by name, in the order of the names; dictionaries within are opened."""
    flat: dict[str, Any] = {}
    for name, value in dict(logs or {}).items():
        flat.update(_flat(value) if isinstance(value, dict) else {name: _value(value)})
    return dict(sorted(flat.items()))


def _value(x: Any) -> Any:
    """What a step gives is no variable: those are bound to traced values while it runs."""
    return x.value if isinstance(x, Variable) else x


def joined(results: list[Any]) -> Any:
    """The outputs of several batches as those of one."""
    results = [tree.map_structure(_value, result) for result in results]
    if len(results) == 1:
        return results[0]
    return tree.map_structure(lambda *parts: ops.concatenate(parts, axis=0), *results)


def to_numpy(structure: Any) -> Any:
    """Outputs as arrays that are the caller's own."""
    engine = current()
    if engine.is_tensor(structure):
        return owned(engine.convert_to_numpy(structure), structure)
    return tree.map_structure(lambda x: None if x is None else ops.convert_to_numpy(x), structure)


def concatenated(parts: list[Any]) -> Any:
    """The outputs of several executions as arrays."""
    if len(parts) == 1:
        return to_numpy(parts[0])
    arrays = map(to_numpy, parts)
    return tree.map_structure(_concatenated, *arrays)


def _concatenated(*arrays: Any) -> Any:
    if arrays[0] is None:
        return None
    try:
        return np.concatenate(arrays)
    except ValueError as error:
        raise ValueError(
            "`predict` joins the outputs for batches along their first axis, that of the samples. Received: "
            f"outputs of the shapes {sorted({x.shape for x in arrays})}. Let the model put the samples "
            "first, or call it on all of them."
        ) from error


def numbers(results: Any) -> dict[str, Any]:
    """Metrics as Python numbers: here the loop waits for the device."""
    engine = current()
    found = {}
    for name, value in dict(results or {}).items():
        host = np.asarray(engine.convert_to_numpy(value) if engine.is_tensor(value) else value)
        found[name] = float(host) if host.ndim == 0 else host
    return found


def in_order(model: Any, logs: dict[str, Any]) -> list[Any]:
    """The values of logs in the order of the metrics; those named after outputs by their name."""
    compiled = model._compile_metrics
    by_name = compiled is not None and compiled.outputs is not None and compiled.outputs.count > 1
    last = {id(metric) for metric in compiled.metrics} if by_name else ()
    names = [metric.name for metric in model.metrics if id(metric) not in last]
    first = {name: logs[name] for name in names if name in logs}
    return list({**first, **dict(sorted(logs.items()))}.values())


def answer(model: Any, results: Any, by_name: bool) -> Any:
    """What `evaluate` and its like return: numbers by name, else in order, and one number alone."""
    logs = numbers(results)
    if by_name:
        return logs
    told = getattr(model.optimizer, "logged_variables", ())
    values = in_order(model, {name: x for name, x in logs.items() if name not in told})
    return values[0] if len(values) == 1 else values
