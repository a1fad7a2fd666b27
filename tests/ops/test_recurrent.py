"""The recurrent ops give what Keras's layers give, and `rnn` runs any cell."""

from __future__ import annotations

import itertools
from typing import Any

import keras
import numpy as np
import pytest

from cornu import engines
from cornu.core.keras_tensor import KerasTensor
from cornu.ops import _recurrent

UNITS = 4
X = np.random.default_rng(0).uniform(-1, 1, (2, 6, 3)).astype("float32")
MASK = np.array([[1, 1, 0, 1, 0, 0], [0, 1, 1, 0, 1, 1]], bool)
ZEROS = np.zeros((2, UNITS), "float32")
OPS = {"SimpleRNN": "simple_rnn", "LSTM": "lstm", "GRU": "gru"}
KINDS = [("SimpleRNN", {}), ("LSTM", {}), ("GRU", {}), ("GRU", {"reset_after": False})]


def run(kind: str, x: Any, state: Any, weights: Any, **settings: Any) -> Any:
    """An op of the recurrent layer `kind` from equal states."""
    states = [state] * (2 if kind == "LSTM" else 1)
    return getattr(_recurrent, OPS[kind])(x, *states, *weights, **settings)


@pytest.mark.parametrize(
    ("backwards", "unroll", "masked", "zero_output"),
    [
        (backwards, unroll, masked, zero_output)
        for backwards, unroll, masked, zero_output in itertools.product((False, True), repeat=4)
        # Keras forgets zero_output_for_mask where it unrolls.
        if masked or not zero_output
        if not (unroll and zero_output)
    ],
)
@pytest.mark.parametrize(("kind", "settings"), KINDS)
def test_equals_keras(
    kind: str,
    settings: dict[str, Any],
    backwards: bool,
    unroll: bool,
    masked: bool,
    zero_output: bool,
) -> None:
    activation = "softsign" if backwards else "tanh"
    layer = getattr(keras.layers, kind)(
        UNITS,
        activation=activation,
        bias_initializer="normal",
        return_sequences=True,
        return_state=True,
        go_backwards=backwards,
        unroll=unroll,
        **settings,
    )
    layer.zero_output_for_mask = zero_output
    mask = MASK if masked else None
    wanted, *states = layer(X, mask=mask)
    shared = {
        "mask": mask,
        "activation": activation,
        "go_backwards": backwards,
        "unroll": unroll,
        "zero_output_for_mask": zero_output,
        **settings,
    }
    weights = layer.get_weights()
    # The last output is a state, where Keras gives the zeros of a masked step.
    theirs = [wanted, states[0], states[0][:, None], *states]
    for name in ("jax", "numpy"):
        with engines.use(name) as engine:
            outputs, last, found = run(kind, X, ZEROS, weights, **shared)
            short, *_ = run(kind, X, ZEROS, weights, return_sequences=False, **shared)
        for our, their in zip([outputs, last, short, *found], theirs, strict=True):
            np.testing.assert_allclose(engine.convert_to_numpy(our), their, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("kind", "settings"), KINDS)
@pytest.mark.parametrize("masked", [False, True])
def test_unknown_sizes(kind: str, settings: dict[str, Any], masked: bool) -> None:
    weights = getattr(keras.layers, kind)(UNITS, **settings)
    weights.build((None, None, 3))
    mask = KerasTensor((None, None), "bool") if masked else None
    with engines.use("spec"):
        outputs, last, states = run(
            kind,
            KerasTensor((None, None, 3)),
            KerasTensor((None, UNITS)),
            weights.get_weights(),
            mask=mask,
            **settings,
        )
    assert outputs.shape == (None, None, UNITS)
    assert {x.shape for x in (last, *states)} == {(None, UNITS)}


def running_sum(x: Any, states: Any) -> tuple[Any, Any]:
    """A cell that adds up its inputs, with a count as its second state."""
    total, count = states
    return x + total, [x + total, count + 1]


@pytest.mark.parametrize("unroll", [False, True])
@pytest.mark.parametrize("time_major", [False, True])
def test_own_cell(unroll: bool, time_major: bool) -> None:
    states = [np.zeros((2, 3), "float32"), np.zeros((2, 1), "float32")]
    x, mask = (np.swapaxes(a, 0, 1) if time_major else a for a in (X, MASK))
    last, outputs, (total, count) = _recurrent.rnn(
        running_sum, x, states, mask=mask, unroll=unroll, time_major=time_major
    )
    sums = np.cumsum(X * MASK[..., None], 1)
    outputs = np.swapaxes(outputs, 0, 1) if time_major else outputs
    np.testing.assert_allclose(outputs, sums, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(last, sums[:, -1], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(total, sums[:, -1], rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(count[:, 0], MASK.sum(1))


def test_nested_inputs_and_constants() -> None:
    def step(x: Any, states: Any) -> tuple[Any, Any]:
        total, factor = states
        joined = x["left"] + x["right"] * factor
        return {"sum": total + joined}, [total + joined]

    state = [np.zeros((2, 3), "float32")]
    _, outputs, _ = _recurrent.rnn(
        step,
        {"left": X, "right": X},
        state,
        constants=[np.float32(2)],
        go_backwards=True,
    )
    np.testing.assert_allclose(outputs["sum"], np.cumsum(3 * X[:, ::-1], 1), rtol=1e-5, atol=1e-5)


def test_unrolling_needs_a_length() -> None:
    with engines.use("spec"), pytest.raises(ValueError, match="Received: time=None"):
        _recurrent.rnn(
            running_sum,
            KerasTensor((None, None, 3)),
            [KerasTensor((None, 3)), KerasTensor((None, 1))],
            unroll=True,
        )


def test_unknown_activation() -> None:
    weights = [np.zeros((3, UNITS), "float32"), np.zeros((UNITS, UNITS), "float32")]
    with pytest.raises(ValueError, match="Received: 'tangent'"):
        run("SimpleRNN", X, ZEROS, weights, activation="tangent")
