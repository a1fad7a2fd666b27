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
from jax.extend.core import jaxpr_as_fun
from rows import A, Row

import cornu
import cornu.ops
from cornu import engines
from cornu.core import tree
from cornu.core.keras_tensor import KerasTensor
from cornu.core.op import OPS
from cornu.core.serialization import deserialize_arguments, serialize_argument
from cornu.core.state import CompiledStep
from tests.engines_tested import ENGINES

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
    home = package if name.startswith(("random.", "quantizers.")) else package.ops
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


def described(engine: engines.Engine, result: Any) -> list[tuple[tuple[Any, ...], str]]:
    """Shape and dtype of each tensor of a result; Python numbers have none."""
    return [
        (tuple(leaf.shape), engine.dtype_of(leaf))
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


# ------------------------------------------------------------------------- programs


def traceable(case: Case) -> bool:
    """Whether there are inputs, and shapes don't depend on their values."""
    return bool(case.inputs) and "compiled" not in case.row.excluded


def differentiated(case: Case) -> bool:
    """Whether the row's gradient is checked."""
    floats = any(x.dtype == np.float32 for x in case.inputs)
    return traceable(case) and case.row.gradient and floats and "gradient" not in case.row.excluded


def objective(case: Case, engine: engines.Engine, inputs: Any) -> tuple[Any, Any]:
    """A weighted sum of all floats of the result, and the result."""
    results = tree.flatten(case.run(engine, inputs))
    generator = np.random.default_rng(7)
    total: Any = 0.0
    with engines.use(engine):
        for result in results:
            if hasattr(result, "dtype") and "float" in engine.dtype_of(result):
                weights = generator.uniform(0.5, 1, tuple(result.shape)).astype("float32")
                total = total + cornu.ops.sum(result * cornu.ops.convert_to_tensor(weights))
    return total, results


def slopes(case: Case, engine: engines.Engine, inputs: Any) -> Any:
    """The result, and the objective's gradients by the inputs of float32."""
    places = [at for at, x in enumerate(case.inputs) if x.dtype == np.float32]

    def by_floats(floats: Any) -> Any:
        merged = list(inputs)
        for at, value in zip(places, floats, strict=True):
            merged[at] = value
        return objective(case, engine, merged)

    with engines.use(engine):
        floats = [engine.convert_to_tensor(inputs[at]) for at in places]
        (_, results), gradients = engine.value_and_grad(by_floats)(floats)
    return results, gradients


def compiled(case: Case) -> dict[str, Any]:
    """What the functions of a case give within a compiled program, or the error at tracing them.

    They are one program, since most of the time goes into starting the compiler.
    """
    functions = {"compiled": functools.partial(case.run, engines.get("jax"))}
    functions["default"] = functools.partial(case.run, engines.get("jax", overrides=False))
    functions["reference"] = lambda inputs: keras_call(case)(*inputs)
    if differentiated(case):
        functions["gradient"] = functools.partial(slopes, case, engines.get("jax"))
    found: dict[str, Any] = {}
    programs: dict[str, Any] = {}
    structures: dict[str, Any] = {}
    for name, function in functions.items():
        try:
            programs[name], shapes = jax.make_jaxpr(function, return_shape=True)(case.inputs)
            structures[name] = jax.tree.structure(shapes)
        except Exception as error:
            found[name] = error
    if "gradient" in programs:
        programs.pop("compiled", None)
    same = "compiled" in programs and str(programs["compiled"]) == str(programs.get("default"))
    if same:
        programs.pop("default")  # No override takes part.

    @jax.jit
    def run(inputs: Any) -> Any:
        return {name: jaxpr_as_fun(program)(*inputs) for name, program in programs.items()}

    for name, leaves in run(case.inputs).items():
        found[name] = jax.tree.unflatten(structures[name], leaves)
    if "gradient" in found and not isinstance(found["gradient"], Exception):
        found["compiled"] = found["gradient"][0]
    if same:
        found["default"] = found["compiled"]
    return found


# --------------------------------------------------------------------------- checks
# Each takes an engine, the case, what the op gives on the engine, and what `compiled` gives, with
# the reference.

Found = dict[str, Any]


def value_of(found: Found, name: str) -> Any:
    """A compiled function's result."""
    if isinstance(found[name], Exception):
        raise found[name]
    return found[name]


def check_value(engine: engines.Engine, case: Case, ran: Any, found: Found) -> None:
    with engines.use(engine):
        assert_close(ran, found["reference"], case.row.tolerance)


def check_dtypes(engine: engines.Engine, case: Case, ran: Any, found: Found) -> None:
    """The dtypes of the results are Keras's, for each dtype of the inputs."""
    for dtype in (None, *case.row.dtypes):
        other = Case(case.row, dtype)
        theirs = [engine.canonical_dtype(name) for name in keras_dtypes(case.row, dtype)]
        if dtype is None:
            ours = ran
        elif engine.name == "jax" and traceable(case):
            ours = jax.eval_shape(functools.partial(other.run, engine), other.inputs)
        else:
            ours = other.run(engine, other.inputs)
        found_here = [d for _, d in described(engine, ours)]
        assert found_here == theirs, f"for inputs of {dtype or 'float32'}"


_KERAS_DTYPES: dict[tuple[int, str | None], list[str]] = {}


def keras_dtypes(row: Row, dtype: str | None) -> list[str]:
    """The dtypes of Keras's results, found once for all engines."""
    key = (id(row), dtype)
    if key not in _KERAS_DTYPES:
        case = Case(row, dtype)
        call = keras_call(case)
        inputs = [jax.numpy.asarray(x) for x in case.inputs]
        trace = traceable(case)
        result = quietly(jax.eval_shape, call, *inputs) if trace else quietly(call, *inputs)
        leaves = [leaf for leaf in tree.flatten(result) if hasattr(leaf, "dtype")]
        _KERAS_DTYPES[key] = [keras.backend.standardize_dtype(leaf.dtype) for leaf in leaves]
    return _KERAS_DTYPES[key]


def inferred(case: Case, unknown: bool, found: Found) -> list[tuple[tuple[Any, ...], str]]:
    """What the spec engine gives, found once for all engines."""
    key = f"spec, unknown={unknown}"
    if key not in found:
        symbols = [
            KerasTensor((None,) * x.ndim if unknown else x.shape, x.dtype.name) for x in case.inputs
        ]
        spec = engines.get("spec")
        found[key] = described(spec, case.run(spec, symbols))
    shapes: list[tuple[tuple[Any, ...], str]] = found[key]
    return shapes


def check_static(engine: engines.Engine, case: Case, ran: Any, found: Found) -> None:
    """The spec engine gives the shapes and dtypes of what runs."""
    ours = [(shape, engine.canonical_dtype(d)) for shape, d in inferred(case, False, found)]
    assert ours == described(engine, ran)


def check_unknown(engine: engines.Engine, case: Case, ran: Any, found: Found) -> None:
    """With every dimension unknown, the spec engine gives shapes that fit what runs."""
    actual = described(engine, ran)
    for (shape, dtype), (size, actual_dtype) in zip(
        inferred(case, True, found), actual, strict=True
    ):
        fits = len(shape) == len(size) and all(
            one in (None, real) for one, real in zip(shape, size, strict=True)
        )
        assert fits, f"shape {shape} with unknown dimensions, {size} ran"
        assert engine.canonical_dtype(dtype) == actual_dtype


def check_symbolic(engine: engines.Engine, case: Case, ran: Any, found: Found) -> None:
    """A symbolic call records an operation that can be written, read, and run again."""
    with engines.use(engine):
        symbols = [KerasTensor(x.shape, x.dtype.name) for x in case.inputs]
        outputs = case.call(public(cornu, case.row.op), symbols)
        values = {id(s): x for s, x in zip(symbols, case.inputs, strict=True)}
        replayed = tree.map_structure(lambda output: _replay(output, values), outputs)
        assert_close(replayed, ran, 1e-6)


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


def check_default(engine: engines.Engine, case: Case, ran: Any, found: Found) -> None:
    """The engine without its overrides agrees with the engine."""
    plain = engines.get(engine.name, overrides=False)
    traced = engine.name == "jax" and traceable(case)
    ours = value_of(found, "default") if traced else case.run(plain, case.inputs)
    with engines.use(plain):
        ours = numbers(ours)
    with engines.use(engine):
        assert_close(ours, ran, 10 * case.row.tolerance)


def check_compiled(engine: engines.Engine, case: Case, ran: Any, found: Found) -> None:
    """Within a compiled step the op gives the same."""
    with engines.use(engine):
        if engine.name == "jax":
            ours = value_of(found, "compiled")
        else:
            ours = CompiledStep(lambda *inputs: case.run(engine, inputs), [])(*case.inputs)
        assert_close(ours, ran, case.row.tolerance)


def check_gradient(engine: engines.Engine, case: Case, ran: Any, found: Found) -> None:
    """The gradient is that of finite differences along a random direction."""
    if engine.name == "jax":
        _, gradients = value_of(found, "gradient")
    else:
        _, gradients = slopes(case, engine, case.inputs)
    generator = np.random.default_rng(8)
    directions = [
        generator.uniform(-1, 1, x.shape).astype("float32") if x.dtype == np.float32 else None
        for x in case.inputs
    ]
    along = [direction for direction in directions if direction is not None]
    zeros = [np.zeros_like(d) if g is None else g for g, d in zip(gradients, along, strict=True)]
    with engines.use(engine):
        parts = [numbers([g])[0] * d for g, d in zip(zeros, along, strict=True)]
    slope = sum(float(part.sum()) for part in parts)
    scale = max(1.0, sum(float(np.abs(part).sum()) for part in parts))
    if "slopes" not in found:
        # A large step may lead over a kink, a small one drown in rounding.
        found["slopes"] = [_measured_slope(case, directions, step) for step in (1e-2, 1e-3)]
    close = any(abs(slope - measured) <= 1e-2 * scale for measured in found["slopes"])
    assert close, f"{slope}, {found['slopes']} measured"


def _measured_slope(case: Case, directions: list[Any], step: float) -> float:
    """The finite difference of the objective along a direction, on NumPy."""
    ends = []
    for distance in (step, -step):
        moved = [
            x if along is None else x + distance * along
            for x, along in zip(case.inputs, directions, strict=True)
        ]
        ends.append(float(objective(case, engines.get("numpy"), moved)[0]))
    return (ends[0] - ends[1]) / (2 * step)


def always(case: Case) -> bool:
    return True


#: The checks, each with the cases it is made of.
CHECKS: dict[Callable[..., None], Callable[[Case], bool]] = {
    check_value: always,
    check_dtypes: always,
    check_static: always,
    check_unknown: always,
    check_symbolic: lambda case: bool(case.inputs),
    check_default: always,
    check_compiled: traceable,
    check_gradient: differentiated,
}

ROWS = _rows()


def references(case: Case) -> Found:
    """What the checks of all engines share: JAX's compiled results and the reference."""
    row = case.row
    found = quietly(compiled, case) if traceable(case) else {}
    if row.reference is not None:
        found["reference"] = quietly(case.call, row.reference, case.inputs)
    elif "reference" not in found:
        found["reference"] = quietly(keras_call(case), *case.inputs)
    value_of(found, "reference")
    return found


def slot(row: Row) -> str:
    """The name by which an engine refuses the row's op."""
    namespace, _, name = row.op.rpartition(".")
    prefixed = f"{namespace}_{name}"
    return prefixed if prefixed in OPS else name


def failures(row: Row) -> list[str]:
    """Every check that a row fails: which, on which engine, and how."""
    case = Case(row)
    found = references(case)
    texts = []
    for name in ENGINES:
        engine = engines.get(name)
        if slot(row) in engine.refused:
            with pytest.raises(NotImplementedError, match=f"{name} engine can't do"):
                case.run(engine, case.inputs)
            continue
        ran: Any = None
        for check in (None, *(check for check, applies in CHECKS.items() if applies(case))):
            title = check.__name__.removeprefix("check_") if check is not None else "run"
            if {title, f"{name} {title}"} & row.excluded.keys():
                continue
            try:
                if check is None:
                    ran = case.run(engine, case.inputs)
                else:
                    check(engine, case, ran, found)
            except Exception as error:
                where = traceback.extract_tb(error.__traceback__)[-1]
                text = " ".join(str(error).split())[:600]
                place = f"{where.filename}:{where.lineno}"
                texts.append(f"{title} on {name}: {type(error).__name__}: {text} ({place})")
                if check is None:
                    break
    return texts


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS.keys())
def test_row(row: Row) -> None:
    texts = failures(row)
    assert not texts, f"{row}\n" + "\n".join(texts)


@pytest.mark.parametrize("name", ENGINES)
def test_few_ops_are_refused(name: str) -> None:
    share = 0.01 if name in ("jax", "torch", "tensorflow") else 0.05
    refused = engines.get(name).refused.keys() & OPS.keys()
    assert len(refused) <= share * len(OPS), refused
