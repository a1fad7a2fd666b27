"""Functions that run in several processes."""

from __future__ import annotations

import os
from typing import Any

import pytest

from cornu.distribution import remote
from cornu.launch import call
from cornu.launch._job import LaunchError


def joined(parts: list[bytes], end: str = "") -> Any:
    """What a process knows, and a value that is more than one line takes."""
    if end == "exit":
        os._exit(3)
    return os.environ["RANK"], os.environ["WORLD_SIZE"], b"".join(parts) * 10_000


def test_a_value_comes_back() -> None:
    run = remote(workers=1)(joined)
    assert run([b"a", b"\x00"]) == ("0", "1", b"a\x00" * 10_000)
    with pytest.raises(LaunchError, match="neither, and the exit code 3"):
        run([], "exit")


def test_an_error_is_raised_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CORNU_BACKEND", "numpy")
    with pytest.raises(NotImplementedError, match="a call of `connect` on the numpy") as found:
        remote(workers=2)(joined)([])
    assert isinstance(found.value.__cause__, call.RemoteError)
    assert "in initialize" in str(found.value.__cause__)


def test_who_can_be_asked() -> None:
    with pytest.raises(ValueError, match=r"must be one of \['local', 'ssh', 'ray', 'k8s'\]. Rec"):
        remote(on="slurm")
