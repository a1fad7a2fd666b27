"""Every computing engine against the conformance suite, and what JAX and NumPy do beside it."""

from __future__ import annotations

import importlib
import inspect
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from cornu import engines
from cornu.engines.contract import Engine
from cornu.engines.numpy import NumpyEngine
from cornu.engines.onnx import OnnxEngine
from cornu.testing import conformance
from cornu.testing.conformance import Values
from cornu.testing.primitives import ROWS, correlated, draw
from tests.engines_tested import ENGINES as NAMES

ENGINES: dict[str, Any] = {
    f"{name}{'' if overrides else '-plain'}": engines.get(name, overrides)
    for name in NAMES
    for overrides in (True, False)
}

#: What engines have besides the contract, for a floor above.
EXTRAS = {"spec": {"tensor"}}


def public(names: Any) -> set[str]:
    return {name for name in names if not name.startswith("_")}


@pytest.mark.parametrize("name", engines.BUILTIN)
def test_engine_implements_the_contract_and_no_more(name: str) -> None:
    importlib.import_module("cornu.ops")
    ops = set(importlib.import_module("cornu.core.op").OPS)
    engine = engines.get(name)
    bases = [name for base in type(engine).__mro__[1:] for name in vars(base)]
    known = public([*bases, *Engine.__annotations__]) | ops | EXTRAS.get(name, set())
    assert not type(engine).__abstractmethods__
    assert public(vars(type(engine))) <= known
    assert public(vars(engine)) <= {"bodies", *Engine.__annotations__}


def mismatch(engine_class: Any, primitive: str) -> str | None:
    """How a primitive's parameters differ from the contract's. A function of a library goes by position:
    it takes as many. One in C says nothing of itself; the conformance suite calls it."""
    _, *wanted = inspect.signature(getattr(Engine, primitive)).parameters.values()
    member = inspect.getattr_static(engine_class, primitive)
    function: Any = inspect.unwrap(getattr(member, "__func__", member))
    try:
        signature = inspect.signature(function)
    except ValueError:
        return None
    if not str(getattr(function, "__module__", "")).startswith("cornu"):
        try:
            signature.bind(*wanted)
        except TypeError as error:
            return f"{primitive}: {error}"
        return None
    own = [p for p in signature.parameters.values() if p.name != "self"]
    given, said = ([(p.name, p.kind, p.default) for p in x] for x in (own, wanted))
    return None if given == said else f"{primitive}{signature}, and not {[p.name for p in wanted]}"


@pytest.mark.parametrize("name", [*engines.BUILTIN, "onnx"])
def test_primitives_take_what_the_contract_says(name: str) -> None:
    """Also those put into a class body by their names, which the type checker doesn't see."""
    found: Any = OnnxEngine if name == "onnx" else type(engines.get(name))
    names = public(key for key, value in vars(Engine).items() if inspect.isfunction(value))
    assert not list(filter(None, (mismatch(found, key) for key in names - set(found.refused))))


def test_a_mismatch_is_found() -> None:
    class Wrong(NumpyEngine):
        fft = staticmethod(lambda x: x)
        log = staticmethod(divmod)

        def rfft(self, values: Any) -> Any:
            return values

    found = [mismatch(Wrong, name) is not None for name in ("fft", "log", "rfft")]
    assert found == [False, True, True]


# The models of the suite are part of `test_switching.py`, with more steps.
CHECKS = [title for title in ("primitives", *conformance.GROUPS) if title != "training"]


@pytest.mark.parametrize(
    "engine, title",
    [(e, title) for e in ENGINES for title in CHECKS if "plain" not in e or title == "primitives"],
)
def test_conformance(engine: str, title: str) -> None:
    failed = [
        f"{result.name}: {result.error}"
        for result in conformance.run(ENGINES[engine], [title])
        if result.error is not None
    ]
    assert not failed, "\n".join(failed)


class Broken(type(engines.get("numpy"))):  # type: ignore[misc]
    """An engine with mistakes."""

    name = "broken"
    refused = {"eig": "it was left out to see it reported"}

    def negative(self, x: Any) -> Any:
        return x

    def tanhh(self, x: Any) -> Any:
        return x


def test_the_suite_finds_mistakes(monkeypatch: Any, capsys: Any) -> None:
    engine_class = engines._engine_class
    monkeypatch.setattr(
        engines, "_engine_class", lambda name: Broken if name == "broken" else engine_class(name)
    )
    assert conformance.main(["broken"]) == 1
    printed = " ".join(capsys.readouterr().out.split())
    assert "failed primitives, negative: AssertionError: Not equal" in printed
    assert "refused eig: it was left out to see it reported" in printed
    assert "failed contract, has_no_other_names: AssertionError: unknown: ['tanhh']" in printed
    monkeypatch.undo()
    assert conformance.main(["no_such_engine"]) == 2
    assert "An engine must be installed or built in" in capsys.readouterr().err


def test_every_primitive_that_is_a_function_of_tensors_has_rows() -> None:
    checked = {name for checks in conformance.GROUPS.values() for name in checks}
    others = (
        "abstractmethod jvp vjp compile compose device synchronize container read write stand_in "
        "convert_to_tensor convert_to_numpy is_tensor dtype_of shape_of weak_type canonical_dtype "
        "from_dlpack received each renewed module dtype_name patches spread slice_axis shape_alone "
        "sparse_parts container_of dataset place constrain untraced is_traced set_trainable "
        "watch_gradient send is_far is_ready is_out_of_memory scope profile "
        "save_functions stream adopt share leaves "
        "devices connect rank processes rows joined gathered own_parts agreed of_all barrier"
    )
    functions = public(vars(Engine)) - set(Engine.__annotations__)
    assert not functions - set(ROWS) - checked - set(others.split())


def test_numpy_convolves_large_batches_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cornu.engines.numpy._PATCH_ELEMENTS", 300)
    args: Any = (draw(5, 6, 2), draw(3, 2, 4), (1,), ((1, 1),), (1,), 1)
    result = ENGINES["numpy"].conv(*args)
    np.testing.assert_allclose(result, correlated(*args), 1e-5, 1e-5)


def test_jax_pooling_gradients_are_those_of_reduce_window() -> None:
    engine, window, strides = ENGINES["jax"], (2, 3), (1, 2)
    x = np.round(draw(2, 6, 7, 3, low=-1, high=1))  # with many ties

    def reference(x: Any, initial: float, function: Any) -> Any:
        return lax.reduce_window(x, initial, function, (1, *window, 1), (1, *strides, 1), "VALID")

    def gradient(pool: Callable[[Any], Any]) -> Any:
        return jax.jit(jax.grad(lambda x: (pool(x) ** 3).sum()))(x)

    pads = ((0, 0), (0, 0))
    pairs: list[tuple[Any, Any]] = [
        (engine.max_pool, lambda x: reference(x, -np.inf, lax.max)),
        (engine.average_pool, lambda x: reference(x, 0.0, lax.add) / 6),
    ]
    for pool, expected in pairs:
        mine = gradient(lambda x, pool=pool: pool(x, window, strides, pads))
        np.testing.assert_allclose(mine, gradient(expected), 1e-5, 1e-5)


def test_jax_knows_weak_types_and_tracers() -> None:
    engine, seen = ENGINES["jax"], []

    def look(*args: Any) -> Any:
        seen.extend(engine.weak_type(x) for x in args)
        assert all(type(x) in engine.native for x in args)
        return args[-1]

    jax.jit(look)(True, 3, 2.5, np.ones(2), jnp.ones(2, "int8"))
    assert seen == ["bool", int, float, "float32", "int8"]
    for transformed in (jax.vmap(look), jax.grad(lambda x: look(x).sum()), jax.jit(jax.vmap(look))):
        transformed(np.ones(3, "float32"))
    jax.grad(lambda x: lax.scan(lambda c, y: (c, look(y)), 0.0, x)[1].sum())(np.ones(3, "float32"))
    assert {*seen[5:]} == {"float32"}
    assert engine.weak_type(np.ones(2)) == "float32"
    assert engine.weak_type(engine.cast(jnp.asarray(2.5), "float32")) == "float32"


def test_jax_container_made_in_a_trace_is_concrete() -> None:
    kept = []

    @jax.jit
    def step(x: Any) -> Any:
        kept.append(ENGINES["jax"].container(np.ones(2), True))
        return x + kept[0]

    step(1.0)
    assert isinstance(kept[0], jax.Array) and not isinstance(kept[0], jax.core.Tracer)
    assert kept[0].dtype == np.float32


def test_jax_compiles_a_step_once_and_gives_its_memory_away() -> None:
    engine = ENGINES["jax"]
    state = Values(engine, [np.zeros(3, "float32")], [np.float32(2)])
    traces = []

    def step(x: Any) -> Any:
        traces.append(x)
        state.changing[0] = state.changing[0] + x * state.constant[0]
        return state.changing[0].sum()

    run = engine.compile(step, state)
    for _ in range(3):
        before, constant = state.held[0], state.fixed[0]
        run(np.ones(3, "float32"))
        assert before.is_deleted() and not constant.is_deleted()
    assert len(traces) == 1 and run.jitted._cache_size() == 1


def test_jax_step_may_hold_an_array_twice() -> None:
    engine = ENGINES["jax"]
    shared = engine.full((3,), 1, "float32")
    state = Values(engine, [], [])
    state.held, state.fixed = [shared, shared, engine.full((3,), 1, "float32")], [shared]

    def step(x: Any) -> Any:
        state.changing[0] = state.changing[0] + x
        state.changing[1] = state.changing[2] = state.changing[1] * 2
        return state.constant[0] + x

    run = engine.compile(step, state)
    for _ in range(3):
        assert run(shared).tolist() == [2, 2, 2]
    assert [x.tolist()[0] for x in state.held] == [4, 8, 8]
    assert run.jitted._cache_size() == 1 and not shared.is_deleted()


def test_composed_body_is_compiled_once() -> None:
    traces = []

    def body(x: Any, axis: int, y: Any) -> Any:
        traces.append(axis)
        return x.sum(axis) + (0 if y is None else y)

    composed = ENGINES["jax"].compose(body, (1,), "my_op")
    assert composed.__name__ == "my_op"
    for _ in range(3):
        composed(np.ones((2, 3)), 0, None)
        composed(np.ones((2, 3)), 1, 2.0)
    assert traces == [0, 1]
    assert ENGINES["numpy"].compose(body, (1,), "my_op") is body


@pytest.mark.parametrize("name", ["jax", "torch", "tensorflow", "pytensor"])
def test_an_engine_loads_no_other_to_convert(name: str) -> None:
    """Lists become arrays by plain functions (`engines.host`), not by an engine with its gradients."""
    code = (
        f"import sys; from cornu import engines; engines.get({name!r}).convert_to_tensor([1.5]); "
        "print(*(name for name in sys.modules if name.startswith('cornu.engines.numpy')))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == []
