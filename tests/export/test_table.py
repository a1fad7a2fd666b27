"""Every row of the op and layer tables: exported, run by ONNX Runtime, or refused by name.

`python -m tests.export.test_table` writes the table into docs/export.md.
"""

from __future__ import annotations

import functools
import os
import re
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("KERAS_BACKEND", "jax")
sys.path.insert(0, str(Path(__file__).parents[1] / "ops"))

import numpy as np
import onnx
import pytest
from test_table import Case, _rows

import cornu
from cornu import engines
from cornu.core import tree
from cornu.core.op import OPS
from cornu.core.scopes import StatelessScope
from cornu.engines.onnx import OnnxEngine
from cornu.engines.onnxruntime import open_session
from cornu.export._onnx import onnx_bytes
from tests.layers.rows import ROWS as LAYER_ROWS
from tests.ops.rows import A

PAGE = Path(__file__).parents[2] / "docs" / "export.md"
START, END = "<!-- table: python -m tests.export.test_table -->\n", "<!-- end of table -->\n"
#: How far numbers may be apart, relative to the largest one of a result where that is above 1.
TOLERANCE = 1e-4


class Outcome(NamedTuple):
    """What became of a row: how far its numbers are apart, or why it is refused."""

    name: str
    difference: float
    refusal: str


# -------------------------------------------------------------------------- ops


def graph_input(engine: OnnxEngine, x: np.ndarray, feeds: dict[str, np.ndarray]) -> Any:
    """An input of a graph; one of a dtype that the runtime takes no arrays of is made in the graph."""

    def plain(part: np.ndarray) -> Any:
        made = engine.graph.input(part.shape, part.dtype.name)
        feeds[made.name] = part
        return made

    if x.dtype.kind == "c":
        return engine.complex(plain(x.real), plain(x.imag))
    if x.dtype.name == "bfloat16":
        return engine.cast(plain(x.astype("float32")), "bfloat16")
    return plain(x)


def exported_op(case: Case) -> list[np.ndarray]:
    """What an op gives as a graph of its own; complex results in two parts."""
    engine, feeds = OnnxEngine(), {}
    with StatelessScope(), engines.use(engine):
        results = case.run(engine, [graph_input(engine, x, feeds) for x in case.inputs])
        values = [engine.convert_to_tensor(x) for x in tree.flatten(results) if x is not None]
        parts = [[engine.real(x), engine.imag(x)] if "complex" in x.dtype else [x] for x in values]
        outputs = [x for pair in parts for x in pair]
        names = [f"result_{i}" for i in range(len(outputs))]
        engine.graph.finish(outputs, names)
    opset = onnx.helper.make_opsetid("", engine.opset)
    model = onnx.helper.make_model(engine.graph.message("op"), opset_imports=[opset], ir_version=8)
    session = open_session(model.SerializeToString(), threads=1)
    read = {value.name for value in session.get_inputs()}
    return session.run(names, {name: x for name, x in feeds.items() if name in read})


def computed_op(case: Case) -> list[np.ndarray]:
    """What the op gives on the NumPy engine."""
    engine = engines.get("numpy")
    results = [x for x in tree.flatten(case.run(engine, case.inputs)) if x is not None]
    arrays = [np.asarray(engine.convert_to_tensor(x)) for x in results]
    return [p for x in arrays for p in ([x.real, x.imag] if x.dtype.kind == "c" else [x])]


def difference(found: list[np.ndarray], wanted: list[np.ndarray]) -> float:
    """The largest difference, relative to the largest number; shapes and dtypes must be equal."""
    assert [(x.shape, x.dtype) for x in found] == [(x.shape, x.dtype) for x in wanted]
    worst = 0.0
    for one, two in zip(found, wanted, strict=True):
        one, two = one.astype(np.float64), two.astype(np.float64)
        finite = np.isfinite(two)
        assert np.array_equal(one[~finite], two[~finite], equal_nan=True)
        if finite.any():
            scale = max(1.0, np.abs(two[finite]).max())
            worst = max(worst, np.abs(one[finite] - two[finite]).max() / scale)
    return float(worst)


def op_outcome(row: Any) -> Outcome:
    case = Case(row)
    wanted = computed_op(case)
    try:
        return Outcome(row.op, difference(exported_op(case), wanted), "")
    except NotImplementedError as error:
        return Outcome(row.op, 0.0, str(error))


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


def layer_outcome(row: Any) -> Outcome:
    with engines.use("numpy"):
        model = layer_model(row)
        try:
            _, _, [(_, told)] = onnx_bytes(model)
        except NotImplementedError as error:
            return Outcome(f"layers.{row.layer}", 0.0, str(error))
    return Outcome(f"layers.{row.layer}", float(told.rpartition(" ")[2]), "")


# ------------------------------------------------------------------------ tests


@functools.cache
def outcomes() -> tuple[Outcome, ...]:
    """Those of all rows; 1,200 graphs take 6 s."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of overflows and the like, which the op table is about
        ops = [op_outcome(row) for row in _rows().values()]
        return (*ops, *(layer_outcome(row) for row in LAYER_ROWS))


def test_what_runs_gives_the_same() -> None:
    far = [outcome for outcome in outcomes() if outcome.difference > TOLERANCE]
    assert not far


def test_nine_of_ten_rows_run() -> None:
    refused = [outcome for outcome in outcomes() if outcome.refusal]
    assert len(refused) <= 0.1 * len(outcomes()), len(refused)


def test_a_refusal_names_what_it_refuses_and_the_way_out() -> None:
    for outcome in outcomes():
        if outcome.refusal:
            assert re.search(r"The onnx engine can't .*`\w+`|of complex", outcome.refusal), outcome
            assert re.search(r"another engine|`ops\.|Give it", outcome.refusal), outcome
            assert "Received: " in outcome.refusal


def test_the_page_says_what_is_refused() -> None:
    page = PAGE.read_text()
    told = dict(table_rows(page.partition(START)[2].partition(END)[0]))
    found = dict(table_rows("".join(table())))
    assert told == found


@pytest.mark.parametrize("name", sorted(OnnxEngine.refused.keys() & OPS.keys()))
def test_what_is_refused_is_refused(name: str) -> None:
    with pytest.raises(NotImplementedError, match=f"`{name}`"):
        OPS[name].resolve(OnnxEngine())()


# -------------------------------------------------------------------- the table


def table() -> Iterator[str]:
    """The table's lines: an op's cases, the largest difference, and what is refused."""
    by_name: dict[str, list[Outcome]] = {}
    for outcome in outcomes():
        by_name.setdefault(outcome.name, []).append(outcome)
    yield "| op or layer | cases that run | largest difference | refused |\n|---|---|---|---|\n"
    for name, cases in sorted(by_name.items()):
        ran = [case for case in cases if not case.refusal]
        worst = f"{max(case.difference for case in ran):.0e}" if ran else ""
        why = "; ".join(dict.fromkeys(reason(case.refusal) for case in cases if case.refusal))
        yield f"| {name} | {len(ran)} of {len(cases)} | {worst} | {why} |\n"


def reason(refusal: str) -> str:
    """The first sentence of a refusal, without its start."""
    return refusal.partition(" Received:")[0].removeprefix("The onnx engine can't ").rstrip(".")


def table_rows(text: str) -> Iterator[tuple[str, tuple[str, str]]]:
    """What of a table's rows is the same on every machine: all but the differences."""
    for line in text.splitlines()[2:]:
        _, name, count, _, why, _ = (cell.strip() for cell in line.split("|"))
        yield name, (count, why)


def main() -> None:
    """Write the table into its page."""
    page = PAGE.read_text()
    before, _, rest = page.partition(START)
    _, _, after = rest.partition(END)
    PAGE.write_text(before + START + "".join(table()) + END + after)
    ran = sum(not outcome.refusal for outcome in outcomes())
    print(f"{ran} of {len(outcomes())} cases run.")


if __name__ == "__main__":
    main()
