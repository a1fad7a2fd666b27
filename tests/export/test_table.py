"""Every row of the op and layer tables: exported to each format, run by its runtime, or refused by name.

`python -m tests.export.test_table` writes the table into docs/export.md.
"""

from __future__ import annotations

import functools
import re
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from cornu import ops
from cornu.core.op import OPS
from cornu.engines.graphdef import GraphDefEngine, TensorFlowJsEngine
from cornu.engines.litert import LiteRTEngine
from cornu.engines.litert.flatbuffer import serialized
from cornu.engines.litert.running import Running
from cornu.engines.onnx import OnnxEngine
from cornu.engines.onnxruntime import open_session
from cornu.export._litert import litert_bytes
from cornu.export._onnx import onnx_bytes
from tests.engines_tested import ENGINES

from .running import (
    IN_NODE,
    check_saved_model,
    check_tfjs,
    run_saved_model,
    run_tfjs,
)
from .tables import (
    Feeds,
    Outcome,
    computed_op,
    difference,
    layer_outcomes,
    op_outcomes,
    written_op,
)

PAGE = Path(__file__).parents[2] / "docs" / "export.md"
START, END = "<!-- table: python -m tests.export.test_table -->\n", "<!-- end of table -->\n"
#: How far numbers may be apart, relative to the largest one of a result where that is above 1.
TOLERANCE = 1e-4


def run_onnx(engine: OnnxEngine, feeds: Feeds, names: list[str]) -> list[np.ndarray]:
    """What a graph gives in ONNX Runtime."""
    opset = onnx.helper.make_opsetid("", engine.opset)
    model = onnx.helper.make_model(engine.graph.message("op"), opset_imports=[opset], ir_version=8)
    session = open_session(model.SerializeToString(), threads=1)
    read = {value.name for value in session.get_inputs()}
    return session.run(names, {name: x for name, x in feeds.items() if name in read})


def run_litert(engine: LiteRTEngine, feeds: Feeds, names: list[str]) -> list[np.ndarray]:
    """What a graph gives in LiteRT's interpreter."""
    return Running(serialized(engine.graph, (list(feeds), names), "op"), names)(feeds)


#: The formats by their names in the table: their engines, what runs a graph, what checks a model's file.
FORMATS: dict[str, tuple[Any, Any, Any]] = {
    "ONNX": (OnnxEngine, run_onnx, lambda model: onnx_bytes(model)[2]),
    "SavedModel": (GraphDefEngine, run_saved_model, check_saved_model),
    "TensorFlow.js": (TensorFlowJsEngine, run_tfjs, check_tfjs),
    "LiteRT": (LiteRTEngine, run_litert, lambda model: litert_bytes(model)[2]),
}
#: What some of them need to run.
MARKS = {
    "SavedModel": pytest.mark.skipif(
        "tensorflow" not in ENGINES, reason="other engines were asked for"
    ),
    "TensorFlow.js": IN_NODE,
}
of_each_format = pytest.mark.parametrize(
    "name", [pytest.param(name, marks=MARKS.get(name, ())) for name in FORMATS]
)


@functools.cache
def outcomes(name: str) -> tuple[Outcome, ...]:
    """Those of all rows in a format; 1,200 graphs take some seconds."""
    engine, run, check = FORMATS[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of overflows and the like, which the op table is about
        return (*op_outcomes(engine, run), *layer_outcomes(check))


@of_each_format
def test_what_runs_gives_the_same(name: str) -> None:
    far = [outcome for outcome in outcomes(name) if outcome.difference > TOLERANCE]
    assert not far


@of_each_format
def test_nine_of_ten_rows_run(name: str) -> None:
    refused = [outcome for outcome in outcomes(name) if outcome.refusal]
    assert len(refused) <= 0.1 * len(outcomes(name)), len(refused)


@of_each_format
def test_all_layers_run(name: str) -> None:
    layers = [outcome for outcome in outcomes(name) if outcome.name.startswith("layers.")]
    assert not [outcome for outcome in layers if outcome.refusal]


@of_each_format
def test_a_refusal_names_what_it_refuses_and_the_way_out(name: str) -> None:
    for outcome in outcomes(name):
        if outcome.refusal:
            assert re.search(r"The \w+ engine can't .*`\w+`|of complex", outcome.refusal), outcome
            assert re.search(r"another engine|`ops\.|Give it", outcome.refusal), outcome
            assert "Received: " in outcome.refusal


@of_each_format
def test_the_page_says_what_is_refused(name: str) -> None:
    page = PAGE.read_text()
    told = dict(column(page.partition(START)[2].partition(END)[0], name))
    assert told == dict(column("".join(table([name])), name))


class Edges:
    """Ops at infinities and NaN, at the ends of integers, and along no elements: one graph for all."""

    far = np.array([np.inf, -np.inf, np.inf, -np.inf, 89.0, 2.0], "float32")
    inputs = (
        far,
        far[[0, 0, 1, 1, 0, 4]],
        np.array([-128, 127, 126, -7], "int8"),
        np.array([127, -128, -128, 2], "int8"),
        np.array([3, np.nan, 5], "float32"),
        np.zeros((2, 0), "float32"),
    )

    def run(self, engine: Any, inputs: Sequence[Any]) -> list[Any]:
        far, apart, low, high, torn, none = inputs
        return [
            ops.arctan2(far, apart),
            ops.floor_divide(low, high),
            ops.argmax(torn),
            ops.argmin(torn),
            ops.any(none > 0, axis=1),
        ]


@of_each_format
def test_numbers_at_edges(name: str) -> None:
    engine, run, _ = FORMATS[name]
    made, edges = engine(), Edges()
    found = run(made, *written_op(edges, made))
    assert difference(found, computed_op(edges)) < TOLERANCE


@of_each_format
def test_what_is_refused_is_refused(name: str) -> None:
    engine = FORMATS[name][0]
    for op in sorted(engine.refused.keys() & OPS.keys()):
        with pytest.raises(NotImplementedError, match=f"`{op}`"):
            OPS[op].resolve(engine())()


# -------------------------------------------------------------------- the table


def table(formats: Sequence[str]) -> Iterator[str]:
    """The table's lines: of each op and format the largest difference, or what is refused."""
    yield f"| op or layer | cases | {' | '.join(formats)} |\n|---|---|{'---|' * len(formats)}\n"
    found: dict[str, dict[str, list[Outcome]]] = {}
    for name in formats:
        for outcome in outcomes(name):
            found.setdefault(outcome.name, {}).setdefault(name, []).append(outcome)
    for row, cases in sorted(found.items()):
        cells = " | ".join(cell(cases[name]) for name in formats)
        yield f"| {row} | {len(cases[formats[0]])} | {cells} |\n"


def cell(cases: list[Outcome]) -> str:
    """The largest difference of cases; if some are refused, how many run, and why the others don't."""
    ran = [case for case in cases if not case.refusal]
    worst = f"{max(case.difference for case in ran):.0e}" if ran else ""
    if len(ran) == len(cases):
        return worst
    why = "; ".join(dict.fromkeys(reason(case.refusal) for case in cases if case.refusal))
    return f"{worst} of {len(ran)}; can't {why}" if ran else f"can't {why}"


def reason(refusal: str) -> str:
    """The first sentence of a refusal, without its start."""
    return refusal.partition(" Received:")[0].partition("engine can't ")[2].rstrip(".")


def column(text: str, name: str) -> Iterator[tuple[str, tuple[str, str]]]:
    """What of a format's cells is the same on every machine, by the rows: all but the differences."""
    header, _, *lines = ([cell.strip() for cell in line.split("|")] for line in text.splitlines())
    for cells in lines:
        told = re.sub(r"^\d\S*e[-+]\d\d", "", cells[header.index(name)])
        yield cells[1], (cells[2], told)


def main() -> None:
    """Write the table into its page."""
    page = PAGE.read_text()
    before, _, rest = page.partition(START)
    _, _, after = rest.partition(END)
    PAGE.write_text(before + START + "".join(table(list(FORMATS))) + END + after)
    for name in FORMATS:
        ran = sum(not outcome.refusal for outcome in outcomes(name))
        print(f"{name}: {ran} of {len(outcomes(name))} cases run.")


if __name__ == "__main__":
    main()
