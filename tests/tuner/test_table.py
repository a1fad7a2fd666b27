"""What a search shows, in a file and on a terminal."""

from __future__ import annotations

import io
import re
from typing import Any

import pytest
from rich.console import Console

from cornu.callbacks import progress
from cornu.tuner._table import Table

TRIALS: list[tuple[dict[str, Any], str, float | None]] = [
    ({"units": 32, "rate": 0.00123456, "bias": True}, "COMPLETED", 0.5),
    ({"units": 64, "rate": 0.1, "bias": True}, "COMPLETED", 0.75),
    ({"units": 64, "rate": 0.1, "bias": True, "depth": 2}, "FAILED", None),
    ({"units": 64, "rate": 0.1, "bias": True, "depth": 3}, "COMPLETED", 0.25),
]
LOG = """\
trial     units     rate      bias      epoch     val_loss  best      time      state
0         32        0.001235  True      2/5       0.5000    0.5000    0s        COMPLETED
trial     units     rate      epoch     val_loss  best      time      state
1         64        0.1       2/5       0.7500    0.5000    0s        COMPLETED
2         64        0.1       2/5                 0.5000    0s        FAILED
trial     units     rate      depth     epoch     val_loss  best      time      state
3         64        0.1       3         2/5       0.2500    0.2500    0s        COMPLETED
"""


def show(table: Table) -> None:
    with table:
        for number, (values, state, score) in enumerate(TRIALS):
            table.begin(str(number))
            table.values(str(number), values)
            table.epoch(str(number), 1, 5, 0.3)
            table.end(str(number), state, score)


def test_in_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    """A row for each trial, names where they change, and nothing that moves."""
    table = Table("val_loss", "min", total=4)
    show(table)
    assert capsys.readouterr().out == LOG
    assert table.line() == "4/4 trials - 0 running - best val_loss: 0.2500 (trial 3) - 0s"


def test_larger_may_be_better(capsys: pytest.CaptureFixture[str]) -> None:
    table = Table("acc", "max", total=None)
    show(table)
    assert "best acc: 0.7500 (trial 1)" in table.line()


def test_silence(capsys: pytest.CaptureFixture[str]) -> None:
    show(Table("val_loss", "min", total=4, verbose=0))
    assert capsys.readouterr().out == ""


def test_what_runs_is_said_now_and_then(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cornu.tuner._table._SILENCE", 0.0)
    monkeypatch.setattr(progress, "INTERVAL", 0.0)
    table = Table("val_loss", "min", total=4)
    table.begin("0", {"units": 8})
    table.epoch("0", 0, 2, 0.5)
    lines = capsys.readouterr().out.splitlines()
    assert re.match(r"0 +8 +1/2 +0.5000 +0s +running$", lines[-2])
    assert lines[-1] == "0/4 trials - 1 running - 0s"


@pytest.mark.parametrize("width", [60, 200])
def test_as_many_parameters_as_there_is_room_for(
    width: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cornu.tuner._table.LOG_WIDTH", width)
    table = Table("loss", "min", total=4)
    for number in range(3):
        table.begin(str(number), {f"parameter_{i}": number for i in range(9)})
        table.end(str(number), "COMPLETED", 1.0)
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= width
    assert ("parameter_8" in lines[0]) == (width == 200)


def test_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows of trials that have ended stay; below them stands what runs, in its place."""
    file = io.StringIO()
    console = Console(file=file, force_terminal=True, width=100, legacy_windows=False)
    monkeypatch.setattr("rich.get_console", lambda: console)
    monkeypatch.setattr(progress, "INTERVAL", 0.0)
    monkeypatch.setenv("TERM", "xterm")
    show(Table("val_loss", "min", total=4))
    text = file.getvalue()
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)
    assert "\x1b[2K" in text  # a line is drawn again in its place
    for line in LOG.splitlines():
        assert plain.count(line) == 1, line
    assert "0/4 trials - 1 running" in plain
