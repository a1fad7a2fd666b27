"""What tests of pages share: a browser, driven as a person would use it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

DRIVERS = Path(__file__).parent / "export" / "browser"
CHROMIUM = next(
    filter(None, map(shutil.which, [os.environ.get("CHROMIUM", ""), "chromium", "google-chrome"])),
    "",
)
MARKS = [
    pytest.mark.browser,
    pytest.mark.skipif(
        not CHROMIUM or not (DRIVERS / "node_modules").is_dir(),
        reason="`scripts/browser` installs what this needs",
    ),
]


def driven(
    driver: str, address: str, folder: Path, steps: list[Any], width: int = 1200
) -> dict[str, Any]:
    """What a browser shows after each step."""
    picture = folder / "seen.png"
    script = DRIVERS / driver
    arguments = ["node", script, CHROMIUM, address, picture, str(width), json.dumps(steps)]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stderr
    assert picture.stat().st_size > 10_000
    seen: dict[str, Any] = json.loads(done.stdout)
    return seen
