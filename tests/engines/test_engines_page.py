"""What `docs/engines.md` and `docs/new-engine.md` say, beside what is so."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from cornu import engines
from cornu.core.op import OPS
from cornu.testing import conformance
from cornu.testing.primitives import ROWS

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "engines.md").read_text()
#: The table's rows: engine, install, trains, devices, a step is, excluded ops.
TABLE = {
    row[0].strip("`"): row[1:]
    for row in (line.strip("| ").split(" | ") for line in PAGE.splitlines())
    if len(row) == 6 and row[0].startswith("`")
}


def test_the_table_has_every_engine_that_computes() -> None:
    assert set(TABLE) == set(engines.BUILTIN) - {"spec"}


@pytest.mark.parametrize("name", TABLE)
def test_a_row_is_true(name: str) -> None:
    install, trains, *_, excluded = TABLE[name]
    engine = engines.get(name)
    assert install == f"`{engines.BUILTIN[name][2]}`"
    assert trains == ("yes" if engine.trains else "no")
    assert set(re.findall(r"`(\w+)`", excluded)) == engine.refused.keys() & OPS.keys()
    assert (excluded == "none") == (not engine.refused.keys() & OPS.keys())


def test_the_page_s_examples_run(monkeypatch: Any, capsys: Any) -> None:
    monkeypatch.setattr(engines, "_default", engines._default)  # which the example changes
    listed, switched, *_ = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    for code in (listed, switched):
        exec(code, {"__name__": "example"})
    assert f"numpy [] of {len(OPS)}\n" in capsys.readouterr().out


def test_the_suite_s_output_is_of_today() -> None:
    page = (DOCS / "new-engine.md").read_text()
    shown = re.findall(r"^│ (\w[\w ]*?) +│ (\d+)", page, re.MULTILINE)
    groups = {"primitives": ROWS, **conformance.GROUPS}
    assert {title: int(count) for title, count in shown} == {k: len(v) for k, v in groups.items()}
