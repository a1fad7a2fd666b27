"""What is PyTensor's own: graphs without values, loops within steps, and when a step is compiled."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytensor
import pytest

import cornu
from cornu import ops
from cornu.core.state import CompiledStep
from cornu.engines import use
from cornu.engines.pytensor.arrays import Array, Function

X = np.arange(6, dtype="float32").reshape(2, 3)


@pytest.fixture(autouse=True)
def on_pytensor() -> Iterator[None]:
    with use("pytensor"):
        yield


def test_within_a_step_an_array_has_no_value() -> None:
    def step(x: Any) -> Any:
        assert isinstance(x, Array) and x.value is None
        assert x.variable.type.shape == (2, 3)
        return float(ops.sum(x))

    with pytest.raises(TypeError, match="Within a compiled step an array has no value yet"):
        CompiledStep(step, [])(X)


def test_a_step_is_traced_once_for_each_shape() -> None:
    traces = []

    def step(x: Any) -> Any:
        traces.append(x.shape)
        return x * 2

    run = CompiledStep(step, [])
    for x in (X, X + 1, X[:1], X):
        np.testing.assert_array_equal(ops.convert_to_numpy(run(x)), x * 2)
    assert traces == [(2, 3), (1, 3)]


def test_loops_and_branches_of_a_step() -> None:
    def step(x: Any) -> Any:
        count, total = ops.while_loop(
            lambda i, t: ops.sum(t) < 100, lambda i, t: (i + 1, t * 2), (0, x)
        )
        chosen = ops.cond(ops.sum(x) > 10, lambda: x + 1, lambda: x - 1)
        last, sums = ops.scan(lambda c, row: (c + row, ops.sum(c)), ops.zeros((3,)), x)
        return count, total, chosen, last, sums

    eager = step(ops.convert_to_tensor(X))
    compiled = CompiledStep(step, [])(X)
    assert int(eager[0]) == 3
    for one, two in zip(eager, compiled, strict=True):
        np.testing.assert_allclose(np.asarray(one), np.asarray(two))


def trained(mode: str, compiled: bool) -> tuple[list[float], Any]:
    """The losses and the weights of steps with what the engine adds to PyTensor."""
    weights = cornu.Variable(np.linspace(-1, 1, 12, dtype="float32").reshape(3, 4))

    def loss(x: Any) -> Any:
        hidden = ops.maximum(x @ weights, 0.1)
        if mode != "NUMBA":  # which takes 20 s more for a loop
            hidden = ops.scan(lambda c, row: (c + row, c * row), ops.ones((4,)), hidden)[1]
        return ops.sum(ops.max(hidden, axis=-1) * ops.mod(x[:, 1], 3))

    def step(x: Any) -> Any:
        value, (gradient,) = cornu.value_and_grad(loss, [weights])(x)
        weights.assign_sub(gradient * 0.01)
        return value

    run = CompiledStep(step, [weights]) if compiled else step
    with pytensor.config.change_flags(mode=mode):
        return [float(run(X)) for _ in range(5)], weights.numpy()


@pytest.mark.parametrize("mode", ["FAST_COMPILE", "NUMBA"])
def test_a_step_is_compiled_in_the_mode_that_was_told(mode: str) -> None:
    found, expected = trained(mode, compiled=True), trained(mode, compiled=False)
    assert found[0][0] != found[0][-1]
    for one, two in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, two, 1e-5)


def test_a_function_is_interpreted_until_it_was_called_often() -> None:
    x = pytensor.tensor.vector("x", dtype="float32", shape=(3,))
    modes = []
    for flags in ({}, {"mode": "FAST_COMPILE"}):
        function = Function([x], [x + 1])
        with pytensor.config.change_flags(**flags):
            for _ in range(5):
                assert function(X[0])[0].tolist() == [1, 2, 3]
                modes.append(function.function.maker.mode)
    assert len({id(mode) for mode in modes[:8]}) == 1
    assert modes[8] is modes[9] is not modes[0]


def test_arrays_are_read_like_those_of_numpy() -> None:
    x = ops.convert_to_tensor(X)
    assert (len(x), x.ndim, x.shape, x.dtype) == (2, 2, (2, 3), "float32")
    assert [row.tolist() for row in x] == X.tolist()
    assert x[1, ::2].tolist() == [3, 5] and x.sum().item() == 15 and f"{x[1, 2]:.1f}" == "5.0"
    assert (2 - x)[0].tolist() == [2, 1, 0] and (x > 3).tolist()[1] == [False, True, True]
    assert repr(x[0]) == "<Array shape=(3,), dtype=float32, value=[0. 1. 2.]>"
    with pytest.raises(ValueError, match="read-only"):
        x.numpy()[0] = 1
