"""Python's operators on variables and symbolic tensors, against Keras's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

import cornu
from cornu import engines
from cornu.engines.operators import Operators

EXPRESSIONS: dict[str, Callable[[Any, Any], Any]] = {
    "v + 1": lambda v, i: v + 1,
    "1.5 + i": lambda v, i: 1.5 + i,
    "v - i": lambda v, i: v - i,
    "2 - v": lambda v, i: 2 - v,
    "v * i": lambda v, i: v * i,
    "i / 2": lambda v, i: i / 2,
    "2 / v": lambda v, i: 2 / v,
    "i // 2": lambda v, i: i // 2,
    "7 // i": lambda v, i: 7 // i,
    "i % 2": lambda v, i: i % 2,
    "7 % i": lambda v, i: 7 % i,
    "v ** 2": lambda v, i: v**2,
    "2 ** i": lambda v, i: 2**i,
    "v @ v": lambda v, i: v @ v,
    "array @ v": lambda v, i: np.ones((3, 3), "float32") @ v,
    "array + v": lambda v, i: np.ones(3, "float32") + v,
    "v + array": lambda v, i: v + np.array([1.5, 2, 3]),
    "v < i": lambda v, i: v < i,
    "v <= 2": lambda v, i: v <= 2,
    "v > 2": lambda v, i: v > 2,
    "v >= i": lambda v, i: v >= i,
    "v != 2": lambda v, i: v != 2,
    "i & 1": lambda v, i: i & 1,
    "i | 0": lambda v, i: i | 0,
    "i ^ 1": lambda v, i: i ^ 1,
    "-v": lambda v, i: -v,
    "abs(v)": lambda v, i: abs(v),
    "round(v, 1)": lambda v, i: round(v, 1),
    "v[1:]": lambda v, i: v[1:],
    "v[..., None]": lambda v, i: v[..., None],
    "i[-1]": lambda v, i: i[-1],
}
VALUES = [1.25, -2.5, 3.75]
INTEGERS = [1, 2, 3]


@pytest.mark.parametrize("name", EXPRESSIONS)
@pytest.mark.parametrize("engine", ["jax", "numpy"])
def test_variables(name: str, engine: str) -> None:
    """An operator on variables gives Keras's values and dtype."""

    def evaluate(package: Any) -> Any:
        v = package.Variable(VALUES, dtype="float32")
        return EXPRESSIONS[name](v, package.Variable(INTEGERS, dtype="int32"))

    theirs = evaluate(keras)
    with engines.use(engine):
        ours = evaluate(cornu)
        assert cornu.backend.standardize_dtype(ours.dtype) == theirs.dtype.name
        np.testing.assert_allclose(np.asarray(ours), np.asarray(theirs), rtol=1e-6)


# Keras refuses an array on the left, and this slice of a vector.
@pytest.mark.parametrize("name", [x for x in EXPRESSIONS if not ("array" in x or "[1:]" in x)])
def test_symbolic(name: str) -> None:
    """An operator on symbolic tensors records the operation that Keras records."""
    ours, theirs = (
        EXPRESSIONS[name](package.KerasTensor((3,)), package.KerasTensor((3,), "int32"))
        for package in (cornu, keras)
    )
    assert (ours.shape, ours.dtype) == (theirs.shape, theirs.dtype)
    operations = [x._keras_history.operation for x in (ours, theirs)]
    names = [(type(operation).__module__, type(operation).__name__) for operation in operations]
    assert names[0] == names[1]


def test_equality() -> None:
    """A variable compares its elements; a symbolic tensor is only equal to itself."""
    v, symbol = cornu.Variable(VALUES), cornu.KerasTensor((None, 3))
    assert (v == -2.5).tolist() == [False, True, False]
    assert v != None  # noqa: E711
    assert symbol in [cornu.KerasTensor((None, 3)), symbol]
    assert len({v, symbol}) == 2


def test_methods_of_symbolic_tensors() -> None:
    symbol = cornu.KerasTensor((None, 1, 6))
    assert symbol.reshape((-1, 3, 2)).shape == (None, 3, 2)
    assert symbol.squeeze(1).shape == (None, 6)
    assert (~cornu.KerasTensor((2,), "bool")).dtype == "bool"
    assert (~cornu.Variable(INTEGERS, dtype="int32")).tolist() == [-2, -3, -4]


@pytest.mark.parametrize("operand", [cornu.KerasTensor((2,)), cornu.Variable([1.0, 2.0])])
def test_none_is_no_operand(operand: Any) -> None:
    with pytest.raises(TypeError, match="unsupported operand"):
        operand + None


@pytest.mark.parametrize(
    "name",
    [
        "core.keras_tensor.KerasTensor",
        "core.variable.Variable",
        "engines.differentiation.traced.Traced",
        "engines.graphs.graph.Value",
        "engines.pytensor.arrays.Array",
        "engines.torch.lists.Group",
    ],
)
def test_operators_are_written_once(name: str) -> None:
    """A class inherits its operators, but for what it means otherwise; nobody puts them there later."""
    module, _, attribute = name.rpartition(".")
    found = getattr(pytest.importorskip(f"cornu.{module}"), attribute)
    shared = {key for key, value in vars(Operators).items() if callable(value)}
    own = shared & set(vars(found)) - {"_operate", "__eq__", "__hash__", "__pos__", "__invert__"}
    assert issubclass(found, Operators) and not own
