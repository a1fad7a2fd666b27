"""What tests of pages share: a browser, driven as a person would use it."""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
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


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """A block in which a folder is served over http, at the address that it yields."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            """Nothing."""

    handler = functools.partial(Quiet, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
