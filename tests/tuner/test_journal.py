"""The journal of a search: lines that were torn, locks of the dead, many who write."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from cornu.tuner import _owners
from cornu.tuner._journal import Journal


def change(number: int) -> dict[str, Any]:
    return {"op_code": 1, "number": number}


def numbers(journal: Journal, since: int = 0) -> list[int]:
    return [line["number"] for line in journal.read_logs(since)]


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    made = Journal(tmp_path / "search.journal")
    made.append_logs([change(0), change(1)])
    return made


def test_lines_come_back_from_any_on(journal: Journal) -> None:
    assert numbers(journal) == [0, 1]
    journal.append_logs([change(2)])
    assert [numbers(journal, since) for since in range(4)] == [[0, 1, 2], [1, 2], [2], []]
    assert numbers(Journal(journal.path)) == [0, 1, 2]


TORN = [b'{"op_code": 1, "numb', b"\0\0\0", b'{"op_code": 1', b"[]"]


@pytest.mark.parametrize("torn", TORN)
def test_a_torn_last_line_is_cut_off(
    journal: Journal, torn: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """By the next who writes, who says so; those who read meanwhile see what is whole."""
    whole = journal.path.read_bytes()
    journal.path.write_bytes(whole + torn)
    assert numbers(journal) == numbers(Journal(journal.path)) == [0, 1]
    journal.append_logs([change(2)])
    assert numbers(journal) == numbers(Journal(journal.path)) == [0, 1, 2]
    assert f"torn, which was cut off at byte {len(whole)}: {torn!r}" in caplog.text
    assert all(json.loads(line) for line in journal.path.read_text().splitlines())


@pytest.mark.parametrize("torn", TORN)
def test_a_torn_line_between_others_is_skipped(
    journal: Journal, torn: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """For all in the same way, who have read before it and who come later."""
    whole = journal.path.read_bytes()
    numbers(journal)
    journal.path.write_bytes(whole + torn + b"\n")
    journal.append_logs([change(2)])
    assert numbers(journal, 2) == [2]
    assert numbers(Journal(journal.path)) == [0, 1, 2]
    assert f"torn, which was skipped at byte {len(whole)}" in caplog.text


def test_the_lock_of_the_dead(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for it; that of another host's process is waited for, for a while."""
    host, number, _ = _owners.me().split(":")
    lock = journal.path.with_name("search.journal.lock")
    for holder, seconds in (f"{host}:{number}:before", 0.0), ("elsewhere:1:2", 0.3):
        monkeypatch.setattr("cornu.tuner._journal._STALE", 0.3)
        os.symlink(holder, lock)
        started = time.monotonic()
        journal.append_logs([change(2)])
        assert seconds <= time.monotonic() - started < seconds + 5
        assert not os.path.lexists(lock)


def test_the_lock_of_the_living(journal: Journal) -> None:
    os.symlink(_owners.me(), journal.path.with_name("search.journal.lock"))
    writing = threading.Thread(target=journal.append_logs, args=([change(2)],))
    writing.start()
    writing.join(0.3)
    assert writing.is_alive() and numbers(journal) == [0, 1]
    journal.path.with_name("search.journal.lock").unlink()
    writing.join()
    assert numbers(journal) == [0, 1, 2]


WRITER = """
import sys
from pathlib import Path
from cornu.tuner._journal import Journal
journal = Journal(Path(sys.argv[1]))
for number in range(100):
    journal.append_logs([{"op_code": 1, "number": number}, {"op_code": 1, "number": number}])
"""


def test_many_write(tmp_path: Path) -> None:
    """Lines of one writing stand together."""
    path = tmp_path / "search.journal"
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(path)]) for _ in range(2)]
    assert [writer.wait() for writer in writers] == [0, 0]
    found = numbers(Journal(path))
    assert found[::2] == found[1::2]
    assert sorted(found) == sorted([*range(100)] * 4)
