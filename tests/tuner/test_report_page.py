"""The page of a search's report in a browser."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from cornu.tuner import _report
from tests.browsing import CHROMIUM
from tests.tuner.test_report import search

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM, reason="`scripts/browser` installs what this needs"),
]


def page(path: Path, width: int) -> str:
    """What a browser makes of a page, as text."""
    command = [
        CHROMIUM,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--virtual-time-budget=2000",
    ]
    done = subprocess.run(
        [
            *command,
            f"--window-size={width},900",
            "--enable-logging=stderr",
            "--dump-dom",
            path.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert "CONSOLE" not in done.stderr, done.stderr
    return done.stdout


PAGES = [(0, 1, 1200), (2, 1, 1200), (30, 1, 500), (30, 2, 1200)]


@pytest.mark.parametrize(("trials", "objectives", "width"), PAGES)
def test_a_browser_draws_it(trials: int, objectives: int, width: int, tmp_path: Path) -> None:
    _report.write(search(trials, ("minimize",) * objectives), tmp_path / "report.html")
    drawn = page(tmp_path / "report.html", width)
    ended = max(0, trials - (trials > 3))
    charts = dict(
        re.findall(r'id="(history|parallel|slices|trials)"(.*?)</(?:div|table)>', drawn, re.S)
    )
    assert charts["history"].count("<circle") == ended
    assert charts["parallel"].count('class="trial"') == ended
    assert charts["trials"].count("<tr") == trials + 1
    assert ("<option" in drawn) and drawn.count("<option") == objectives
    assert "NaN" not in drawn and "undefined" not in drawn.partition('<script type="module">')[0]
