"""Recurrence over time: any cell, and the three standard ones as single ops.

The standard ones project all steps' inputs in one product before the loop, so that only the
recurrent product is left inside it. An engine may replace them by native ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..core import tree
from ..core.op import floating, namespace
from ..core.types import Bool, Tensor
from ..engines import current as engine
from . import _activations
from ._bodies import constant, move_axis, rank_of

op = namespace("nn")

#: One step: the inputs and the states at a time give the output and the new states.
Step = Callable[[Any, Any], tuple[Any, Any]]
#: Results over time: the outputs of all steps, the last one, and the last states.
Results = tuple[Any, Any, Any]

#: Functions that a gate or a candidate can have; a layer with another one runs its cell in `rnn`.
ACTIVATIONS = (
    *(
        "linear",
        "tanh",
        "exponential",
        "relu",
        "relu6",
        "leaky_relu",
        "elu",
        "selu",
        "celu",
        "gelu",
    ),
    *("sigmoid", "hard_sigmoid", "hard_tanh", "silu", "hard_silu", "softplus", "softsign"),
    *("softmax", "log_sigmoid", "squareplus"),
)


def _activate(name: str, x: Tensor) -> Tensor:
    if name == "linear":
        return x
    if name in ("tanh", "exponential"):
        return engine().tanh(x) if name == "tanh" else engine().exp(x)
    if name == "gelu":
        return _activations.gelu(x, approximate=False)
    if name not in ACTIVATIONS:
        raise ValueError(
            f"A recurrent op knows the activations {list(ACTIVATIONS)}. Received: {name!r}. "
            "Use `rnn` with a cell of your own."
        )
    return getattr(_activations, name)(x)


# --------------------------------------------------------------------- the loop


def rnn(
    step_function: Step,
    inputs: Any,
    initial_states: Any,
    go_backwards: bool = False,
    mask: Any = None,
    constants: Sequence[Any] | None = None,
    unroll: bool = False,
    input_length: int | None = None,
    time_major: bool = False,
    zero_output_for_mask: bool = False,
    return_all_outputs: bool = True,
) -> tuple[Any, Any, Any]:
    """Run a step over time.

    Args:
        step_function: `step(inputs at a time, [*states, *constants]) -> (output, new states)`.
        inputs: Tensors (batch, time, ...), in any structure.
        initial_states: The states before the first step: a list of tensors (batch, ...), or of
            structures of them.
        go_backwards: Whether to start at the last time; outputs are in the order they are made.
        mask: Booleans (batch, time). Where false, a step keeps the states and repeats the output.
        constants: Tensors that every step gets after the states.
        unroll: Whether to write the loop out, for a known number of steps.
        input_length: Accepted; the length is that of the inputs.
        time_major: Whether inputs, mask and outputs are (time, batch, ...).
        zero_output_for_mask: Whether a masked step outputs zeros; the last output is that of the
            last step that counts all the same.
        return_all_outputs: Whether outputs hold every step, or only the last one.

    Returns:
        The last output, the outputs (batch, time, ...), and the last states.
    """
    if not time_major:
        inputs = tree.map_structure(_swap_time, inputs)
    if mask is not None:
        mask = _as_mask(mask, time_major)
    fixed = list(constants or ())

    def step(x: Any, states: Any) -> tuple[Any, Any]:
        return step_function(x, [*states, *fixed] if fixed else states)

    outputs, last, states = _loop(
        step,
        inputs,
        initial_states,
        mask,
        go_backwards=go_backwards,
        unroll=unroll,
        zero_output_for_mask=zero_output_for_mask,
        return_all_outputs=return_all_outputs,
    )
    if not time_major:
        outputs = tree.map_structure(_swap_time, outputs)
    return last, outputs, states


def _swap_time(x: Tensor) -> Tensor:
    if rank_of(x) < 2:
        raise ValueError(
            "Inputs over time must be (batch, time, ...). "
            f"Received: inputs.shape={engine().shape_of(x)}."
        )
    return move_axis(x, 1, 0)


def _as_mask(mask: Any, time_major: bool) -> Tensor:
    mask = engine().convert_to_tensor(mask)
    if engine().dtype_of(mask) != "bool":
        mask = engine().not_equal(mask, constant(0, mask))
    if rank_of(mask) == 3:
        mask = engine().get_item(mask, (slice(None), slice(None), 0))
    return mask if time_major else _swap_time(mask)


def _loop(
    step: Step,
    inputs: Any,
    states: Any,
    mask: Tensor | None,
    *,
    go_backwards: bool,
    unroll: bool,
    zero_output_for_mask: bool = False,
    return_all_outputs: bool = True,
    zero_output: Any = None,
) -> Results:
    """Run a step over time-major inputs; outputs are time-major."""
    if mask is not None:
        if zero_output is None:
            first = tree.map_structure(lambda x: engine().get_item(x, (0,)), inputs)
            zero_output = tree.map_structure(_zeros, step(first, states)[0])
        step = _masked(step, zero_output if zero_output_for_mask else None)
        inputs, states = (inputs, mask), (states, zero_output)

    def turn(carry: Any, x: Any) -> tuple[Any, Any]:
        output, new = step(x, carry)
        return _like(carry, new), output

    if unroll:
        states, outputs = _unrolled(turn, states, inputs, go_backwards)
    else:
        states, outputs = engine().scan(turn, states, inputs, None, go_backwards)
        if go_backwards:
            outputs = tree.map_structure(lambda y: engine().flip(y, (0,)), outputs)
    if mask is None:
        last = tree.map_structure(lambda y: engine().get_item(y, (-1,)), outputs)
    else:  # the last step that counts is not always the last one
        states, last = states
    if not return_all_outputs:
        outputs = tree.map_structure(lambda y: engine().get_item(y, (None,)), last)
    return outputs, last, states


def _masked(step: Step, zero_output: Any) -> Step:
    """A step that keeps states and output where its mask is false, or puts out zeros there."""

    def masked(inputs: Any, carry: Any) -> tuple[Any, Any]:
        x, mask = inputs
        states, previous = carry

        def chosen(new: Any, old: Any) -> Any:
            return tree.map_structure(lambda y, z: _select(mask, y, z), new, old)

        output, new = step(x, states)
        last = chosen(output, previous)
        shown = last if zero_output is None else chosen(output, zero_output)
        return shown, (chosen(_like(states, new), states), last)

    return masked


def _like(structure: Any, values: Any) -> Any:
    """Values in the structure of the states they replace: a step may give a list for a tuple."""
    return tree.pack_sequence_as(structure, tree.flatten(values))


def _select(mask: Tensor, new: Tensor, old: Tensor) -> Tensor:
    (batch,) = engine().shape_of(mask)
    ones = (1,) * (rank_of(new) - 1)
    return engine().where(engine().reshape(mask, (batch, *ones)), new, old)


def _zeros(x: Tensor) -> Tensor:
    return engine().full(engine().shape_of(x), 0, engine().dtype_of(x))


def _unrolled(
    turn: Callable[[Any, Any], tuple[Any, Any]], states: Any, inputs: Any, go_backwards: bool
) -> tuple[Any, Any]:
    steps = engine().shape_of(tree.flatten(inputs)[0])[0]
    if not isinstance(steps, int):
        raise ValueError(
            "A loop can be unrolled only over a known number of steps. Received: time=None. "
            "Give the input's length, or use unroll=False."
        )
    outputs = []
    for time in reversed(range(steps)) if go_backwards else range(steps):
        x = tree.map_structure(lambda x, time=time: engine().get_item(x, (time,)), inputs)
        states, output = turn(states, x)
        outputs.append(output)
    return states, tree.map_structure(_stacked, *outputs)


def _stacked(*ys: Tensor) -> Tensor:
    shape = engine().shape_of(ys[0])
    return engine().concatenate([engine().reshape(y, (1, *shape)) for y in ys], 0)


# --------------------------------------------------------- the standard three


def _run(
    step: Step,
    projected: Tensor,
    states: Sequence[Tensor],
    mask: Tensor | None,
    go_backwards: bool,
    unroll: bool,
    return_sequences: bool,
    zero_output_for_mask: bool,
) -> tuple[Tensor, Tensor, list[Tensor]]:
    """A cell whose output is its first state, over time-major projected inputs."""
    if mask is None and not (return_sequences or unroll):  # no output is kept, only the state

        def turn(carry: Any, x: Any) -> tuple[Any, Any]:
            return _like(carry, step(x, carry)[1]), None

        new, _ = engine().scan(turn, list(states), projected, None, go_backwards)
        return engine().get_item(new[0], (slice(None), None)), new[0], new
    outputs, last, new = _loop(
        step,
        projected,
        list(states),
        None if mask is None else _swap_time(mask),
        go_backwards=go_backwards,
        unroll=unroll,
        zero_output_for_mask=zero_output_for_mask,
        return_all_outputs=return_sequences,
        zero_output=_zeros(states[0]) if mask is not None else None,
    )
    return _swap_time(outputs), last, new


def _projected(x: Tensor, kernel: Tensor, bias: Tensor | None) -> Tensor:
    """The input's part of every step, (time, batch, gates)."""
    result = engine().matmul(_swap_time(x), kernel)
    return result if bias is None else result + bias


def _gates(x: Tensor, count: int) -> list[Tensor]:
    """The last axis in equal parts."""
    axis = rank_of(x) - 1
    units = engine().shape_of(x)[axis] // count
    return [engine().slice_axis(x, axis, i * units, (i + 1) * units) for i in range(count)]


@op(promote=floating)
def simple_rnn(
    x: Tensor,
    h: Tensor,
    kernel: Tensor,
    recurrent_kernel: Tensor,
    bias: Tensor | None = None,
    mask: Bool | None = None,
    activation: str = "tanh",
    go_backwards: bool = False,
    unroll: bool = False,
    return_sequences: bool = True,
    zero_output_for_mask: bool = False,
) -> tuple[Tensor, Tensor, list[Tensor]]:
    """The fully connected recurrent network: h = activation(x kernel + h recurrent_kernel + bias).

    Args:
        x: (batch, time, features).
        h: The first state (batch, units).
        kernel: (features, units).
        recurrent_kernel: (units, units).
        bias: (units,).
        mask: (batch, time); where false a step keeps the state and repeats the output.
        activation: A name of `ACTIVATIONS`.
        go_backwards: Whether to start at the last time.
        unroll: Whether to write the loop out.
        return_sequences: Whether the outputs hold every step, or only the last one.
        zero_output_for_mask: Whether a masked step outputs zeros.

    Returns:
        Outputs (batch, time or 1, units), the last output (batch, units), and the states [h].
    """

    def step(inputs: Tensor, states: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
        (previous,) = states
        h = _activate(activation, inputs + engine().matmul(previous, recurrent_kernel))
        return h, [h]

    projected = _projected(x, kernel, bias)
    return _run(
        step, projected, [h], mask, go_backwards, unroll, return_sequences, zero_output_for_mask
    )


@op(promote=floating)
def lstm(
    x: Tensor,
    h: Tensor,
    c: Tensor,
    kernel: Tensor,
    recurrent_kernel: Tensor,
    bias: Tensor | None = None,
    mask: Bool | None = None,
    activation: str = "tanh",
    recurrent_activation: str = "sigmoid",
    go_backwards: bool = False,
    unroll: bool = False,
    return_sequences: bool = True,
    zero_output_for_mask: bool = False,
) -> tuple[Tensor, Tensor, list[Tensor]]:
    """Long short-term memory (Hochreiter and Schmidhuber, 1997).

    With gates i, f, o and candidate g from x kernel + h recurrent_kernel + bias, in the order
    i, f, g, o along the last axis: c = f c + i g and h = o activation(c).

    Args:
        x: (batch, time, features).
        h, c: The first states (batch, units).
        kernel: (features, 4 units).
        recurrent_kernel: (units, 4 units).
        bias: (4 units,).
        activation: Of the candidate and the cell's state: a name of `ACTIVATIONS`.
        recurrent_activation: Of the gates.
        mask, go_backwards, unroll, return_sequences, zero_output_for_mask: As in `simple_rnn`.

    Returns:
        Outputs (batch, time or 1, units), the last output (batch, units), and the states [h, c].
    """

    def step(inputs: Tensor, states: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
        h, c = states
        joined = inputs + engine().matmul(h, recurrent_kernel)
        i, f, g, o = _gates(joined, 4)
        kept = _activate(recurrent_activation, f) * c
        c = kept + _activate(recurrent_activation, i) * _activate(activation, g)
        h = _activate(recurrent_activation, o) * _activate(activation, c)
        return h, [h, c]

    projected = _projected(x, kernel, bias)
    return _run(
        step, projected, [h, c], mask, go_backwards, unroll, return_sequences, zero_output_for_mask
    )


@op(promote=floating)
def gru(
    x: Tensor,
    h: Tensor,
    kernel: Tensor,
    recurrent_kernel: Tensor,
    bias: Tensor | None = None,
    mask: Bool | None = None,
    activation: str = "tanh",
    recurrent_activation: str = "sigmoid",
    reset_after: bool = True,
    go_backwards: bool = False,
    unroll: bool = False,
    return_sequences: bool = True,
    zero_output_for_mask: bool = False,
) -> tuple[Tensor, Tensor, list[Tensor]]:
    """Gated recurrent unit (Cho et al., 2014).

    With update gate z and reset gate r: h = z h + (1 - z) activation(candidate), where the reset
    gate multiplies the state before the recurrent product or, with `reset_after`, the product.
    The order along the last axis is z, r, candidate.

    Args:
        x: (batch, time, features).
        h: The first state (batch, units).
        kernel: (features, 3 units).
        recurrent_kernel: (units, 3 units).
        bias: (3 units,), or with `reset_after` (2, 3 units): of the input and of the recurrence.
        activation: Of the candidate: a name of `ACTIVATIONS`.
        recurrent_activation: Of the gates.
        reset_after: Where the reset gate acts.
        mask, go_backwards, unroll, return_sequences, zero_output_for_mask: As in `simple_rnn`.

    Returns:
        Outputs (batch, time or 1, units), the last output (batch, units), and the states [h].
    """
    recurrent_bias = None
    if bias is not None and reset_after:
        recurrent_bias = engine().get_item(bias, (1,))
        bias = engine().get_item(bias, (0,))
    units = engine().shape_of(recurrent_kernel)[0]
    gate_kernel = engine().slice_axis(recurrent_kernel, 1, 0, 2 * units)
    candidate_kernel = engine().slice_axis(recurrent_kernel, 1, 2 * units, 3 * units)

    def reset_candidate(inputs: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        """Gate z, and the candidate with the reset gate on the state."""
        gates = engine().slice_axis(inputs, 1, 0, 2 * units) + engine().matmul(h, gate_kernel)
        z, r = _gates(_activate(recurrent_activation, gates), 2)
        recurrent = engine().matmul(r * h, candidate_kernel)
        return z, engine().slice_axis(inputs, 1, 2 * units, 3 * units) + recurrent

    def reset_product(inputs: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        """Gate z, and the candidate with the reset gate on the recurrent product."""
        product = engine().matmul(h, recurrent_kernel)
        if recurrent_bias is not None:
            product = product + recurrent_bias
        (xz, xr, xh), (hz, hr, hh) = _gates(inputs, 3), _gates(product, 3)
        r = _activate(recurrent_activation, xr + hr)
        return _activate(recurrent_activation, xz + hz), xh + r * hh

    def step(inputs: Tensor, states: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
        (h,) = states
        z, candidate = (reset_product if reset_after else reset_candidate)(inputs, h)
        h = z * h + (constant(1, z) - z) * _activate(activation, candidate)
        return h, [h]

    projected = _projected(x, kernel, bias)
    return _run(
        step, projected, [h], mask, go_backwards, unroll, return_sequences, zero_output_for_mask
    )
