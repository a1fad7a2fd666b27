"""Every row of the op table, through every check, on every engine."""

from __future__ import annotations

import functools
import importlib
import os
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "jax")

import jax
import keras
import numpy as np
import pytest

import cornu
import cornu.ops
from cornu import engines
from cornu.core import tree
from cornu.core.keras_tensor import KerasTensor
from cornu.core.serialization import deserialize_arguments, serialize_argument

from rows import A, Row

ENGINES = ("jax", "numpy")

pytestmark = pytest.mark.filterwarnings("error")


def _rows() -> dict[str, Row]:
    """The rows of every module, by an id that tells the module and the op."""
    found: dict[str, Row] = {}
    for path in sorted(Path(__file__).parent.glob("rows_*.py")):
        for at, row in enumerate(importlib.import_module(path.stem).ROWS):
            found[f"{path.stem.removeprefix('rows_')}-{at}-{row.op}"] = row
    return found


# ------------------------------------------------------------------------- one case


class Case:
    """A row with its inputs drawn, which can be called on any engine."""

    def __init__(self, row: Row, dtype: str | None = None) -> None:
        self.row = row
        self.leaves = tree.flatten((row.args, row.kwargs))
        self.inputs = [
            leaf.draw(seed, dtype) for seed, leaf in enumerate(self.leaves) if isinstance(leaf, A)
        ]

    def arguments(self, inputs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The row's arguments with its inputs in the places of `A`."""
        given = iter(inputs)
        return tree.map_structure(
            lambda leaf: next(given) if isinstance(leaf, A) else leaf,
            (self.row.args, self.row.kwargs),
        )

    def call(self, function: Callable[..., Any], inputs: Any) -> Any:
        """The function of the row's arguments."""
        args, kwargs = self.arguments(inputs)
        return function(*args, **kwargs)

    def run(self, engine: engines.Engine, inputs: Any) -> Any:
        """The op on an engine."""
        with engines.use(engine):
            return self.call(public(cornu, self.row.op), inputs)


def public(package: Any, name: str) -> Callable[..., Any]:
    """The public function that a row names."""
    home = package if name.startswith("random.") else package.ops
    return functools.reduce(getattr, name.split("."), home)


def keras_call(case: Case) -> Callable[..., Any]:
    return lambda *inputs: case.call(public(keras, case.row.op), inputs)


def quietly(function: Callable[..., Any], *args: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return function(*args)


def numbers(result: Any) -> list[np.ndarray]:
    """The tensors of a result as NumPy arrays, on the current engine."""
    engine = engines.current()
    leaves = tree.flatten(result)
    return [
        np.asarray(engine.convert_to_numpy(leaf) if engine.is_tensor(leaf) else leaf)
        for leaf in leaves
    ]


def described(result: Any) -> list[tuple[tuple[Any, ...], str]]:
    """Shape and dtype of each tensor of a result; Python numbers have none."""
    return [
        (tuple(leaf.shape), keras.backend.standardize_dtype(leaf.dtype))
        for leaf in tree.flatten(result)
        if hasattr(leaf, "dtype")
    ]


def assert_close(found: Any, wanted: Any, tolerance: float) -> None:
    found, wanted = numbers(found), numbers(wanted)
    assert len(found) == len(wanted), f"{len(found)} results, {len(wanted)} wanted"
    for one, two in zip(found, wanted, strict=True):
        assert one.shape == two.shape, f"shape {one.shape}, {two.shape} wanted"
        kind = np.complex128 if "c" in one.dtype.kind + two.dtype.kind else np.float64
        np.testing.assert_allclose(
            one.astype(kind), two.astype(kind), rtol=tolerance, atol=tolerance
        )


# --------------------------------------------------------------------------- checks
# Each takes an engine, the case, and what the reference gives.


def _traceable(case: Case) -> bool:
    """Whether there are inputs, and shapes don't depend on their values."""
    return bool(case.inputs) and "compiled" not in case.row.excluded


def check_value(engine: engines.Engine, case: Case, wanted: Any) -> None:
    assert_close(case.run(engine, case.inputs), wanted, case.row.tolerance)


def check_dtypes(engine: engines.Engine, case: Case, wanted: Any) -> None:
    """The dtypes of the results are Keras's, for each dtype of the inputs."""
    traced = _traceable(case)
    for dtype in (None, *case.row.dtypes):
        other = Case(case.row, dtype)
        theirs = _keras_dtypes(case.row, dtype)
        if engine.name == "jax" and traced:
            ours = jax.eval_shape(functools.partial(_traced, other, engine), other.inputs)
        else:
            ours = other.run(engine, other.inputs)
        assert [d for _, d in described(ours)] == theirs, f"for inputs of {dtype or 'float32'}"


def _traced(case: Case, engine: engines.Engine, inputs: Any) -> Any:
    return case.run(engine, inputs)


_KERAS_DTYPES: dict[tuple[int, str | None], list[str]] = {}


def _keras_dtypes(row: Row, dtype: str | None) -> list[str]:
    key = (id(row), dtype)
    if key not in _KERAS_DTYPES:
        case = Case(row, dtype)
        call = keras_call(case)
        inputs = [jax.numpy.asarray(x) for x in case.inputs]
        traced = _traceable(case)
        result = quietly(jax.eval_shape, call, *inputs) if traced else quietly(call, *inputs)
        _KERAS_DTYPES[key] = [dtype for _, dtype in described(result)]
    return _KERAS_DTYPES[key]


def check_static(engine: engines.Engine, case: Case, wanted: Any) -> None:
    """The spec engine gives the shapes and dtypes of what runs."""
    symbols = [KerasTensor(x.shape, x.dtype.name) for x in case.inputs]
    ours = described(case.run(engines.get("spec"), symbols))
    assert ours == described(case.run(engine, case.inputs))


def check_unknown(engine: engines.Engine, case: Case, wanted: Any) -> None:
    """With every dimension unknown, the spec engine gives shapes that fit what runs."""
    symbols = [KerasTensor((None,) * x.ndim, x.dtype.name) for x in case.inputs]
    ours = described(case.run(engines.get("spec"), symbols))
    ran = described(case.run(engine, case.inputs))
    for (shape, dtype), (actual, actual_dtype) in zip(ours, ran, strict=True):
        fits = len(shape) == len(actual) and all(
            size in (None, real) for size, real in zip(shape, actual, strict=True)
        )
        assert fits, f"shape {shape} with unknown dimensions, {actual} ran"
        assert dtype == actual_dtype


def check_symbolic(engine: engines.Engine, case: Case, wanted: Any) -> None:
    """A symbolic call records an operation that can be written, read, and run again."""
    if not case.inputs:
        return
    with engines.use(engine):
        symbols = [KerasTensor(x.shape, x.dtype.name) for x in case.inputs]
        outputs = case.call(public(cornu, case.row.op), symbols)
        values = {id(s): x for s, x in zip(symbols, case.inputs, strict=True)}
        replayed = tree.map_structure(lambda output: _replay(output, values), outputs)
        assert_close(replayed, case.run(engine, case.inputs), 1e-6)


def _replay(output: Any, values: dict[int, Any]) -> Any:
    """What a symbolic output becomes when operations read from their configs run on values."""
    if not isinstance(output, KerasTensor) or id(output) in values:
        return values.get(id(output), output)
    operation, at, _ = output._keras_history
    node = operation._inbound_nodes[at]
    config = {key: serialize_argument(value) for key, value in operation.get_config().items()}
    copy = type(operation)(**deserialize_arguments(config))
    assert copy.get_config() == operation.get_config()
    args, kwargs = tree.map_structure(lambda x: _replay(x, values), (node.args, node.kwargs))
    for symbol, value in zip(node.outputs, tree.flatten(copy(*args, **kwargs)), strict=True):
        values[id(symbol)] = value
    return values[id(output)]


def check_default(engine: engines.Engine, case: Case, wanted: Any) -> None:
    """The engine without its overrides agrees with the engine."""
    plain = engines.get(engine.name, overrides=False)
    if engine.name != "jax" or not _traceable(case):
        ours = case.run(plain, case.inputs)
    else:
        programs = [functools.partial(_traced, case, one) for one in (engine, plain)]
        if len({str(jax.make_jaxpr(program)(case.inputs)) for program in programs}) == 1:
            return  # No override takes part: it is the same program.
        ours = jax.jit(programs[1])(case.inputs)
    assert_close(ours, case.run(engine, case.inputs), 10 * case.row.tolerance)


def check_compiled(engine: engines.Engine, case: Case, wanted: Any) -> None:
    """Within a compiled function the op gives the same."""
    if engine.name == "jax" and not _differentiated(case):
        ours = jax.jit(functools.partial(_traced, case, engine))(case.inputs)
        assert_close(ours, case.run(engine, case.inputs), case.row.tolerance)


def check_gradient(engine: engines.Engine, case: Case, wanted: Any) -> None:
    """The gradient, compiled, is that of finite differences along a random direction."""
    if engine.name != "jax" or not _differentiated(case):
        return
    places = [at for at, x in enumerate(case.inputs) if x.dtype == np.float32]
    floats = [case.inputs[at] for at in places]
    generator = np.random.default_rng(7)

    def results(runner: engines.Engine, values: Any) -> Any:
        inputs = list(case.inputs)
        for at, value in zip(places, values, strict=True):
            inputs[at] = value
        found = tree.flatten(case.run(runner, inputs))
        return [y for y in found if "float" in getattr(y, "dtype", np.dtype("int")).name]

    ran = results(engine, floats)
    weights = [generator.uniform(0.5, 1, y.shape).astype("float32") for y in ran]
    if not weights:
        return

    def objective(values: Any) -> Any:
        found = results(engine, values)
        return sum((y * w).sum() for y, w in zip(found, weights, strict=True)), found

    (_, compiled), gradients = jax.jit(jax.value_and_grad(objective, has_aux=True))(floats)
    assert_close(compiled, ran, case.row.tolerance)
    directions = [generator.uniform(-1, 1, x.shape).astype("float32") for x in floats]
    slope = sum(float((g * d).sum()) for g, d in zip(gradients, directions, strict=True))
    step = 1e-2
    reference = engines.get("numpy")
    ends = []
    for sign in (1, -1):
        moved = [x + sign * step * d for x, d in zip(floats, directions, strict=True)]
        found = results(reference, moved)
        ends.append(
            sum(float((y.astype("float64") * w).sum()) for y, w in zip(found, weights, strict=True))
        )
    difference = (ends[0] - ends[1]) / (2 * step)
    scale = sum(float(np.abs(g * d).sum()) for g, d in zip(gradients, directions, strict=True))
    assert abs(slope - difference) <= 1e-2 * max(1.0, scale), f"{slope}, {difference} measured"


def _differentiated(case: Case) -> bool:
    """Whether the row's gradient is checked."""
    floats = any(x.dtype == np.float32 for x in case.inputs)
    return case.row.gradient and floats and "gradient" not in case.row.excluded


CHECKS = (
    check_value,
    check_dtypes,
    check_static,
    check_unknown,
    check_symbolic,
    check_default,
    check_compiled,
    check_gradient,
)


ROWS = _rows()


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS.keys())
def test_row(row: Row) -> None:
    case = Case(row)
    if row.reference is not None:
        wanted = [
            np.asarray(x) for x in tree.flatten(quietly(case.call, row.reference, case.inputs))
        ]
    else:
        call = keras_call(case)
        call = jax.jit(call) if _traceable(case) else call
        wanted = [np.asarray(x) for x in tree.flatten(quietly(call, *case.inputs))]
    failures = []
    for name in ENGINES:
        engine = engines.get(name)
        for check in CHECKS:
            title = check.__name__.removeprefix("check_")
            if {title, f"{name} {title}"} & row.excluded.keys():
                continue
            try:
                check(engine, case, wanted)
            except Exception as error:
                where = traceback.extract_tb(error.__traceback__)[-1]
                text = " ".join(str(error).split())[:600]
                failures.append(
                    f"{title} on {name}: {type(error).__name__}: {text} "
                    f"({where.filename}:{where.lineno})"
                )
    assert not failures, f"{row}\n" + "\n".join(failures)
