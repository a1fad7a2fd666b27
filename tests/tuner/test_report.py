"""The report of a search: what it says, and that a browser draws it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from cornu.tuner import _report
from cornu.tuner._parameters import Choice, Float, Int
from cornu.tuner._study import Study


def search(trials: int, directions: tuple[str, ...] = ("minimize",)) -> Study:
    """The score is `rate`; `kind` says nothing; `depth` is there for one kind alone."""
    study = Study(":memory:", "a <b> & c", sampler="random", directions=directions, seed=1)
    study.notes(objectives=["val_loss", "params"][: len(directions)])
    for _ in range(trials):
        number = study.ask()
        parameters: list[Any] = [
            Float("rate", 1e-4, 1e-1, sampling="log"),
            Choice("kind", ["a", "b"]),
        ]
        path = [(it.name, study.suggest(number, it), None) for it in parameters]
        if path[1][1] == "b":
            path.append(("depth", study.suggest(number, Int("depth", 1, 3)), None))
        study.attributes(number, path=path)
        if number == 3:
            message = "Traceback\n  line\nValueError: </script> is no number"
            study.attributes(number, trial={"message": message})
            study.tell(number, "FAILED")
            continue
        for step in range(3):
            study.report(number, step, path[0][1] + 1 / (1 + step))
        study.tell(number, "COMPLETED", [path[0][1], number][: len(directions)])
    return study


def content(path: Path) -> Any:
    found = re.search(r'type="application/json">(.*?)</script>', path.read_text(), re.S)
    assert found is not None
    return json.loads(found[1])


def test_what_it_says(tmp_path: Path) -> None:
    study = search(30)
    _report.write(study, tmp_path / "report.html")
    said = content(tmp_path / "report.html")
    assert "<title>a &lt;b&gt; &amp; c</title>" in (tmp_path / "report.html").read_text()
    assert said["facts"][:3] == ["30 trials", "29 completed", "1 failed"]
    first, failed = said["trials"][0], said["trials"][3]
    assert first["scores"] == [first["values"]["rate"]]
    assert first["reports"]["0"] == first["values"]["rate"] + 1
    assert (failed["scores"], failed["message"]) == (None, "ValueError: </script> is no number")
    kinds = {it["name"]: it["kind"] for it in said["parameters"]}
    assert kinds == {"rate": "log", "kind": "choice", "depth": "number"}
    shares = dict(said["objectives"][0]["importance"])
    assert sum(shares.values()) == pytest.approx(1)
    assert max(shares, key=shares.__getitem__) == "rate"
    assert _report.summary(study).startswith("30 trials, best val_loss: ")


@pytest.mark.parametrize("trials", [0, 1, 3])
def test_of_few_trials(trials: int, tmp_path: Path) -> None:
    study = search(trials)
    _report.write(study, tmp_path / "report.html", title="few")
    assert content(tmp_path / "report.html")["objectives"][0]["importance"] == []
    assert _report.summary(study).startswith(f"{trials} trials")


def test_nothing_half_written_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any) -> str:
        raise RuntimeError("no")

    (tmp_path / "report.html").write_text("before")
    monkeypatch.setattr(_report, "_page", fails)
    with pytest.raises(RuntimeError):
        _report.write(search(1), tmp_path / "report.html")
    assert (tmp_path / "report.html").read_text() == "before"
