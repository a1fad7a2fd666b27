"""Clients of other servers, unmodified, each in an environment of its own: they get what they ask for."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.serving.protocols import addresses

pytestmark = pytest.mark.soak
SCRIPTS = Path(__file__).with_name("clients")


def places() -> list[str]:
    """The addresses of HTTP and gRPC."""
    return [addresses()[name].split("//")[1] for name in ("http", "grpc")]


def run(*command: str, **environment: str) -> str:
    """What a command prints, if it ends well."""
    found = subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, timeout=600
    )
    assert found.returncode == 0, found.stderr[-5000:]
    return found.stdout


def test_tritonclient(tmp_path: Path) -> None:
    run(sys.executable, "-m", "venv", str(tmp_path))
    python = str(tmp_path / "bin/python")
    run(python, "-m", "pip", "install", "--quiet", "tritonclient[http,grpc]")
    run(python, str(SCRIPTS / "triton.py"), *places(), PYTHONPATH="")


def test_the_stubs_of_tensorflow_serving(tmp_path: Path) -> None:
    """They want the TensorFlow that is called `tensorflow`; that of this environment does."""
    packages = ("tensorflow-serving-api", "grpcio-health-checking")
    install = ("install", "--quiet", "--no-deps", "--target", str(tmp_path))
    run(sys.executable, "-m", "pip", *install, *packages)
    run(sys.executable, str(SCRIPTS / "tensorflow_stubs.py"), places()[1], PYTHONPATH=str(tmp_path))


def test_curl() -> None:
    url = f"{addresses()['http']}/v1/models/double:predict"
    found = run("curl", "--silent", "--data", '{"instances": [[1, 2]]}', url)
    assert json.loads(found) == {"predictions": [[2, 4]]}
