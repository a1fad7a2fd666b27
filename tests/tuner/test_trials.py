"""`python -m cornu trials`: what it lists, and what it says where there is nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from cornu import cli
from cornu.tuner._parameters import Float
from cornu.tuner._study import Study


def search(folder: Path, name: str = "digits") -> None:
    study = Study(
        folder / "search.journal", name, sampler="random", directions=["maximize"], seed=1
    )
    study.notes(objectives=["val_acc"])
    for score in (0.25, 0.75, None, 0.5):
        number = study.ask()
        study.suggest(number, Float("rate", 0, 1))
        if score is None:
            study.attributes(number, trial={"message": "Traceback\nValueError: no"})
        study.tell(number, "FAILED" if score is None else "COMPLETED", [score or 0.0])


def test_lists_the_best_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    search(tmp_path)
    assert cli.main(["trials", str(tmp_path), "--report", str(tmp_path / "report.html")]) == 0
    rows = [line for line in capsys.readouterr().out.splitlines() if line]
    assert all(name in rows[1] for name in ("trial", "state", "val_acc", "rate", "what went wrong"))
    scores = [line.split("│")[3].strip() for line in rows if "complete" in line]
    assert scores == ["0.7500", "0.5000", "0.2500"]
    assert "ValueError: no" in next(line for line in rows if "fail" in line)
    assert rows[-2].startswith("digits: 4 trials, best val_acc: 0.7500 (trial 1), ")
    assert (tmp_path / "report.html").stat().st_size > 10_000


def test_where_there_is_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in ([str(tmp_path)], [str(tmp_path / "no")]):
        assert cli.main(["trials", *arguments]) == 1
        assert "There is no search in" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
    search(tmp_path)
    assert cli.main(["trials", str(tmp_path / "search.journal"), "--name", "x"]) == 1
    assert "There is no search 'x' in" in capsys.readouterr().err


SCRIPT = """
import sys
from cornu import tuner

class Squares(tuner.RandomSearch):
    def run_trial(self, trial):
        return trial.hyperparameters.Int("x", -3, 3) ** 2

search = Squares(max_trials=3, directory=sys.argv[1], project_name="it", seed=1)
if "--search" in sys.argv:
    search.search()
"""


def test_a_script(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Searches as the command line says, and has a report."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    arguments = [str(script), str(tmp_path / "out")]
    assert cli.main(["tune", "--in-process", *arguments]) == 1
    assert "called no `search`" in capsys.readouterr().err
    assert cli.main(["tune", "--in-process", *arguments, "--search"]) == 0
    assert "Results summary" in capsys.readouterr().out
    assert (tmp_path / "out" / "it" / "report.html").exists()
    assert cli.main(["tune", str(tmp_path / "no.py")]) == 2
    assert "There is no script" in capsys.readouterr().err
