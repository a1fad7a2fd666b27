"""Every row of the op and layer tables as a graph of its own, whatever the format."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("KERAS_BACKEND", "jax")
sys.path.insert(0, str(Path(__file__).parents[1] / "ops"))

import numpy as np
from test_table import Case, _rows

import cornu
from cornu import engines
from cornu.core import tree
from cornu.core.scopes import StatelessScope
from tests.layers.rows import ROWS as LAYER_ROWS
from tests.ops.rows import A

Feeds = dict[str, np.ndarray]


class Outcome(NamedTuple):
    """What became of a row: how far its numbers are apart, or why it is refused."""

    name: str
    difference: float
    refusal: str


# -------------------------------------------------------------------------- ops


def graph_input(engine: Any, x: np.ndarray, feeds: Feeds) -> Any:
    """An input of a graph; one of a dtype that runtimes take no arrays of is made in the graph."""

    def plain(part: np.ndarray) -> Any:
        made = engine.graph.input(part.shape, part.dtype.name)
        feeds[made.name] = part
        return made

    if x.dtype.kind == "c":
        return engine.complex(plain(x.real), plain(x.imag))
    if x.dtype.name == "bfloat16":
        return engine.cast(plain(x.astype("float32")), "bfloat16")
    return plain(x)


def written_op(case: Case, engine: Any) -> tuple[Feeds, list[str]]:
    """Finish an engine's graph with an op; gives its inputs, and the names of its outputs.

    Complex results are two outputs.
    """
    feeds: Feeds = {}
    with StatelessScope(), engines.use(engine):
        results = case.run(engine, [graph_input(engine, x, feeds) for x in case.inputs])
        values = [engine.convert_to_tensor(x) for x in tree.flatten(results) if x is not None]
        parts = [[engine.real(x), engine.imag(x)] if "complex" in x.dtype else [x] for x in values]
        outputs = [x for pair in parts for x in pair]
        names = [f"result_{i}" for i in range(len(outputs))]
        engine.graph.finish(outputs, names)
    return feeds, names


def computed_op(case: Case) -> list[np.ndarray]:
    """What the op gives on the NumPy engine."""
    engine = engines.get("numpy")
    results = [x for x in tree.flatten(case.run(engine, case.inputs)) if x is not None]
    arrays = [np.asarray(engine.convert_to_tensor(x)) for x in results]
    return [p for x in arrays for p in ([x.real, x.imag] if x.dtype.kind == "c" else [x])]


def settled(op: str, results: list[np.ndarray]) -> list[np.ndarray]:
    """What of results is the same everywhere: vectors of a decomposition may be turned around."""
    if op == "linalg.svd" and len(results) == 3:
        u, s, v = results
        count = s.shape[-1]
        return [s, (u[..., :count] * s[..., None, :]) @ v[..., :count, :]]
    if op == "linalg.eigh":
        values, vectors = results
        return [values, (vectors * values[..., None, :]) @ np.swapaxes(vectors, -1, -2)]
    return results


def difference(found: list[np.ndarray], wanted: list[np.ndarray], rounds: bool = False) -> float:
    """The largest difference, relative to the largest number; shapes and dtypes must be equal.

    Whole numbers that were rounded may differ by 1.
    """
    assert [(x.shape, x.dtype) for x in found] == [(x.shape, x.dtype) for x in wanted]
    worst = 0.0
    for one, two in zip(found, wanted, strict=True):
        step = 1 if rounds and one.dtype.kind in "iu" else 0
        one, two = one.astype(np.float64), two.astype(np.float64)
        one = np.where(np.abs(one - two) <= step, two, one)
        finite = np.isfinite(two)
        assert np.array_equal(one[~finite], two[~finite], equal_nan=True)
        if finite.any():
            scale = max(1.0, np.abs(two[finite]).max())
            worst = max(worst, np.abs(one[finite] - two[finite]).max() / scale)
    return float(worst)


def op_outcomes(
    make: Callable[[], Any], run: Callable[[Any, Feeds, list[str]], list[np.ndarray]]
) -> Iterator[Outcome]:
    """Those of all ops: `make` gives an engine, `run` what its finished graph gives."""
    for row in _rows().values():
        case, engine = Case(row), make()
        wanted = computed_op(case)
        try:
            found = run(engine, *written_op(case, engine))
            pair = (settled(row.op, x) for x in (found, wanted))
            yield Outcome(row.op, difference(*pair, rounds=row.tolerance >= 1e-2), "")
        except NotImplementedError as error:
            yield Outcome(row.op, 0.0, str(error))


# ----------------------------------------------------------------------- layers


def layer_model(row: Any) -> Any:
    """A model of a row's layer, whose weights are all different from zero."""
    structures = (row.inputs, list(row.call.values()))
    tensors = tree.map_structure(
        lambda x: cornu.Input(x.shape[1:], dtype=x.dtype) if isinstance(x, A) else x, structures
    )
    layer = getattr(cornu.layers, row.layer)(**row.arguments(cornu.layers))
    outputs = layer(tensors[0], **dict(zip(row.call, tensors[1], strict=True)))
    generator = np.random.default_rng(3)
    for weight in layer.weights:
        weight.assign(generator.uniform(0.2, 1.0, weight.shape).astype(weight.dtype))
    inputs = [x for x in tree.flatten(tensors) if isinstance(x, cornu.KerasTensor)]
    return cornu.Model(inputs, [x for x in tree.flatten(outputs) if x is not None])


def layer_outcomes(check: Callable[[Any], list[tuple[str, str]]]) -> Iterator[Outcome]:
    """Those of all layers: `check` gives what the check of a model's file says."""
    for row in LAYER_ROWS:
        with engines.use("numpy"):
            model = layer_model(row)
            try:
                [(_, told)] = check(model)
            except NotImplementedError as error:
                yield Outcome(f"layers.{row.layer}", 0.0, str(error))
            else:
                yield Outcome(f"layers.{row.layer}", float(told.rpartition(" ")[2]), "")
