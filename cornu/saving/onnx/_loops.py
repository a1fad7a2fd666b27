"""How recurrences are read, and graphs within nodes: branches, and loops, which are written out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ... import layers, ops
from ._file import Graph
from ._reader import Array, Reader, Unreadable, reads

#: How often the body of a loop is written out.
_LONGEST = 1000

# ---------------------------------------------------------------- graphs within


@reads("If", tensors=0)
def if_(at: Reader, condition: Any, then_branch: Graph, else_branch: Graph) -> Any:
    """The branch that is known to be taken."""
    holds = at.array(condition, "conditions").item()
    return at.run(then_branch if holds else else_branch, {})


@reads("Loop", tensors=0)
def loop(at: Reader, count: Any, condition: Any, *states: Any, body: Graph) -> Any:
    """The body written out, as often as is known."""
    times = math.inf if count is None else at.array(count, "lengths").item()
    goes_on = condition is None or at.array(condition, "conditions").item()
    kept, names = list(states), [given.name for given in body.inputs]
    rows: list[list[Any]] = []
    while goes_on and len(rows) < times:
        given = [np.asarray(len(rows), "int64"), np.asarray(True), *kept]
        on, *made = at.run(body, dict(zip(names, given, strict=True)))
        goes_on = at.array(on, "conditions").item()
        kept = made[: len(kept)]
        rows.append(made[len(kept) :])
        _check_length(len(rows))
    return [*kept, *(_stacked(at, column) for column in zip(*rows, strict=True))]


@reads("Scan", tensors=0)
def scan(
    at: Reader, *operands: Any, body: Graph, num_scan_inputs: int, scan_input_axes: Any = None,
    scan_input_directions: Any = None, scan_output_axes: Any = None, scan_output_directions: Any = None,
) -> Any:  # fmt: skip
    """The body written out for each step of what it goes over."""
    count = len(operands) - num_scan_inputs
    axes = scan_input_axes or [0] * num_scan_inputs
    over = [
        ops.moveaxis(at.tensor(x), axis, 0) for x, axis in zip(operands[count:], axes, strict=True)
    ]
    turned = scan_input_directions or [0] * num_scan_inputs
    over = [ops.flip(x, 0) if back else x for x, back in zip(over, turned, strict=True)]
    kept, names = list(operands[:count]), [given.name for given in body.inputs]
    rows: list[list[Any]] = []
    length = over[0].shape[0]
    _check_length(length)
    for step in range(length):
        made = at.run(body, dict(zip(names, [*kept, *(x[step] for x in over)], strict=True)))
        kept = made[:count]
        rows.append(made[count:])
    columns = list(zip(*rows, strict=True))
    turned, axes = (
        part or [0] * len(columns) for part in (scan_output_directions, scan_output_axes)
    )
    columns = [
        column[::-1] if back else column for column, back in zip(columns, turned, strict=True)
    ]
    return [*kept, *(_stacked(at, *pair) for pair in zip(columns, axes, strict=True))]


def _check_length(steps: int | None) -> None:
    if steps is None or steps > _LONGEST:
        raise Unreadable(f"a loop over an open size, or of more than {_LONGEST:,} steps")


def _stacked(at: Reader, parts: Sequence[Any], axis: int = 0) -> Any:
    return ops.stack([at.tensor(part) for part in parts], axis)


# ------------------------------------------------------------------- recurrences

#: What a recurrence may compute with: activations by ONNX's names in small letters.
_ACTIVATIONS = {"hardsigmoid": "hard_sigmoid", "affine": "linear"} | {
    name: name for name in ("tanh", "sigmoid", "relu", "softsign", "softplus", "elu")
}
#: Their alpha and beta, and those of ONNX where it has others.
_FACTORS = {"hardsigmoid": (1 / 6, 0.5), "affine": (1.0, 0.0), "elu": (1.0, 0.0)}
_DEFAULTS = {"hardsigmoid": (0.2, 0.5)}


class _Kind(NamedTuple):
    """A layer: its gates by their places in ONNX's order, its activations, how many states it has."""

    layer: Any
    gates: tuple[int, ...]
    activations: tuple[str, ...]
    states: int


_KINDS = {
    "LSTM": _Kind(layers.LSTM, (0, 2, 3, 1), ("Sigmoid", "Tanh", "Tanh"), 2),
    "GRU": _Kind(layers.GRU, (0, 1, 2), ("Sigmoid", "Tanh"), 1),
    "RNN": _Kind(layers.SimpleRNN, (0,), ("Tanh",), 1),
}


@reads(*_KINDS, tensors=1)
def recurrence(
    at: Reader, x: Any, w: Any, r: Any, b: Any = None, lengths: Any = None, *states: Any,
    activations: Any = None, activation_alpha: Any = None, activation_beta: Any = None,
    clip: float = 0.0, direction: str = "forward", hidden_size: int = 0, input_forget: int = 0,
    layout: int = 0, linear_before_reset: int = 0,
) -> Any:  # fmt: skip
    """A layer for each direction, from and to ONNX's order (time, directions, batch, units)."""
    kind = _KINDS[at.node.kind]
    if clip or input_forget or layout or any(x is not None for x in states[kind.states :]):
        raise Unreadable("it with clipping, coupled gates, peepholes or layout=1")
    weights = [None if part is None else at.array(part, "weights") for part in (w, r, b)]
    x = ops.transpose(x, (1, 0, 2))
    mask = _mask(at, x, lengths)
    ways = {"forward": [False], "reverse": [True], "bidirectional": [False, True]}[direction]
    called = [name.lower() for name in activations or kind.activations * len(ways)]
    _check_factors(called, activation_alpha, activation_beta)
    names = [_ACTIVATIONS.get(name) for name in called]
    each, found = len(kind.activations), []
    for k, backwards in enumerate(ways):
        *gate, name = names[k * each : (k + 1) * each]
        if None in names or (each == 3 and gate.pop() != name):
            raise Unreadable(f"it with the activations {activations}")
        options: dict[str, Any] = {
            "activation": name,
            "go_backwards": backwards,
            "zero_output_for_mask": mask is not None,
        }
        options |= {"recurrent_activation": gate[0]} if gate else {}
        options |= {"reset_after": bool(linear_before_reset)} if at.node.kind == "GRU" else {}
        arrays = _arrays([None if part is None else part[k] for part in weights], kind, options)
        initial = _initial(at, states[: kind.states], k)
        options |= {"units": len(arrays[1]), "use_bias": len(arrays) == 3}
        options |= {"return_sequences": True, "return_state": True}
        inputs = x if initial is None and mask is None else [x, initial, mask]
        y, *final = at.layer(kind.layer, inputs, (w, r, b), arrays, **options)
        found.append([ops.transpose(ops.flip(y, 1) if backwards else y, (1, 0, 2)), *final])
    first, *final = zip(*found, strict=True)
    return [ops.stack(first, 1), *(ops.stack(parts, 0) for parts in final)]


def _check_factors(called: list[str], alpha: Any, beta: Any) -> None:
    """See that activations with numbers of their own have those of Cornu."""
    for k, name in enumerate(called):
        if name in _FACTORS:
            found = [n[k : k + 1] if n else [] for n in (alpha, beta)]
            own = zip(found, _DEFAULTS.get(name, _FACTORS[name]), strict=True)
            numbers = [given[0] if given else default for given, default in own]
            if not np.allclose(numbers, _FACTORS[name]):
                raise Unreadable(f"{name} of alpha and beta {numbers}")


def _arrays(weights: list[Any], kind: _Kind, options: dict[str, Any]) -> list[Array]:
    """A layer's kernels and bias: columns for the gates, in its order."""
    count = len(kind.gates)

    def turned(rows: Array) -> Array:
        parts = rows.reshape(count, -1, rows.shape[-1] if rows.ndim > 1 else 1)
        return np.ascontiguousarray(parts[list(kind.gates)].reshape(rows.shape).T)

    kernel, recurrent, bias = weights
    arrays = [turned(kernel), turned(recurrent)]
    if bias is not None:
        both = [turned(half) for half in np.split(bias, 2)]
        arrays.append(np.stack(both) if options.get("reset_after") else both[0] + both[1])
    return arrays


def _initial(at: Reader, states: Sequence[Any], k: int) -> Any:
    """The states that a direction begins with; None where they are zeros."""
    if all(state is None or at.are_all(state, 0) for state in states):
        return None
    given = [at.tensor(state)[k] for state in states if state is not None]
    return [*given, *[ops.zeros_like(given[0])] * (len(states) - len(given))]


def _mask(at: Reader, x: Any, lengths: Any) -> Any:
    """Which steps count (batch, time); None where all do."""
    if lengths is None or at.are_all(lengths, at.dims(x)[1]):
        return None
    places = ops.cumsum(ops.ones_like(x[:, :, 0]), 1)
    return ops.less_equal(places, ops.expand_dims(ops.cast(at.tensor(lengths), "float32"), 1))
