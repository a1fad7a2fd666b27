"""The examples of docs/tuner.md run, one after the other, as they stand there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import cornu

GUIDE = Path(__file__).parents[2] / "docs" / "tuner.md"


def test_the_guide_s_examples(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "guide"}
    blocks = re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    with cornu.backend.use("numpy"):
        for block in blocks:
            exec(compile(block, str(GUIDE), "exec"), names)
    assert len(blocks) == 4
    assert "Showing 1 best trials" in capsys.readouterr().out
