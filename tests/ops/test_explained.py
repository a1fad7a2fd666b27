"""An engine's own errors: told in the words of the spec engine where that refuses the call too."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import cornu
from cornu import engines, ops
from tests.engines_tested import ENGINES

X = np.ones((2, 3), "float32")


@pytest.mark.parametrize("engine", ENGINES)
def test_one_text_on_every_engine(engine: str) -> None:
    calls = {
        r"Shapes must broadcast in `add`. Received: x1.shape=\(2, 3\), x2.shape=\(4, 5\)": (
            lambda: ops.add(X, np.ones((4, 5), "float32"))
        ),
        r"in `matmul`. Received: x1.shape=\(2, 3\), x2.shape=\(2, 3\)": lambda: ops.matmul(X, X),
        r"in `reshape`. Received: x.shape=\(2, 3\), target.shape=\(4, 5\)": (
            lambda: ops.reshape(X, (4, 5))
        ),
        r"in `concatenate`. Received: shapes=\[\(2, 3\), \(5, 5\)\]": (
            lambda: ops.concatenate([X, np.ones((5, 5), "float32")])
        ),
        r"in `multiply`. Received: x1.shape=\(2, 3\), x2.shape=\(2,\)": (
            lambda: cornu.Variable(X) * cornu.Variable([1.0, 2.0])
        ),
    }
    with engines.use(engine):
        for text, call in calls.items():
            with pytest.raises(ValueError, match=text) as caught:
                call()
            assert caught.value.__cause__ is not None  # the engine's own words


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The NumPy engine with an addition that fails, in a class of error that is the engine's own."""

    class OutOfLuckError(Exception):
        pass

    def add(x1: Any, x2: Any) -> Any:
        raise OutOfLuckError("code 17")

    engine = engines.get("numpy")
    monkeypatch.setattr(engine, "add", add, raising=False)
    with engines.use(engine):
        yield OutOfLuckError


def test_an_error_of_another_class(broken: type[Exception]) -> None:
    with pytest.raises(ValueError, match="Shapes must broadcast") as caught:
        ops.add(X, np.ones((4, 5), "float32"))
    assert isinstance(caught.value.__cause__, broken)


def test_an_error_that_is_not_the_callers_stays(broken: type[Exception]) -> None:
    with pytest.raises(broken, match="code 17"):
        ops.add(X, X)


@pytest.mark.parametrize("error", [ValueError, RuntimeError])
@pytest.mark.parametrize("engine", ["jax", "numpy", "torch", "tensorflow"])
def test_users_functions_run_once(engine: str, error: type[Exception]) -> None:
    calls: list[int] = []

    def fails(x: Any) -> Any:
        calls.append(1)
        raise error("the user's own")

    with engines.use(engine):
        for call in (
            lambda: ops.cond(True, lambda: fails(X), lambda: X),
            lambda: ops.vectorized_map(fails, X),
            lambda: ops.map(fails, X),
            lambda: ops.switch(0, [fails, fails], X),
        ):
            calls.clear()
            with pytest.raises(error, match="the user's own"):
                call()
            assert calls == [1]


@pytest.mark.parametrize("engine", ["jax", "numpy"])
def test_an_index_error_stays_one(engine: str) -> None:
    with engines.use(engine), pytest.raises(IndexError):
        ops.get_item(X, 5)


@pytest.mark.parametrize("x", [X, cornu.KerasTensor((2, 3))])
@pytest.mark.parametrize(
    ("key", "text"),
    [
        ((0, 3), "index 3 for axis 1 of a tensor of shape (2, 3). Give one from -3 to 2"),
        ((0, 0, 0), "at most one index for each axis, and one Ellipsis. Received: 3 indices"),
        ((..., ...), "one Ellipsis. Received: 0 indices and 2 Ellipsis"),
        ((1.5,), "Received: an array of shape () and dtype float32. Cast it to int32."),
        ((True,), "Received: an array of shape () and dtype bool"),
        (([0, -3],), "indices from -3 to 0 for axis 0"),
        (([True, False, True],), "a mask of 3 for axis 0"),
    ],
)
@pytest.mark.parametrize("engine", ["jax", "torch"])
def test_keys_are_refused_in_one_place(x: Any, key: Any, text: str, engine: str) -> None:
    """Also on engines that would move an index into range, and symbolically."""
    with engines.use(engine), pytest.raises(IndexError) as caught:
        ops.get_item(x, key)
    assert text in str(caught.value)
