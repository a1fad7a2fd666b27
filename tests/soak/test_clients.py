"""Clients of other servers, unmodified, each in an environment of its own: they get what they ask for."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.serving.processes import serving
from tests.serving.protocols import addresses
from tests.serving.test_models import dense, lookup, several

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


def test_schemathesis_finds_no_500(tmp_path: Path) -> None:
    """In 2,000 cases that it draws from `/openapi.json`, of which many are wrong on purpose."""
    environment, models = tmp_path / "environment", tmp_path / "models"
    run(sys.executable, "-m", "venv", str(environment))
    run(str(environment / "bin/python"), "-m", "pip", "install", "--quiet", "schemathesis>=4.3,<5")
    for name, model in (("several", several()), ("words", lookup()), ("dense", dense())):
        (models / name / "1").mkdir(parents=True)
        model.save(models / name / "1" / "m.keras")
    check = ("--checks", "no_500,response_schema_conformance", "--continue-on-failure")
    draw = ("--mode", "all", "--max-examples", "100", "--phases", "coverage,fuzzing", "--seed", "1")
    hooks = {"SCHEMATHESIS_HOOKS": "no_500", "PYTHONPATH": str(SCRIPTS)}
    with serving(models, "--drain-delay", "0.1") as server:
        url = f"http://127.0.0.1:{server.port}"
        command = [str(environment / "bin/st"), "run", f"{url}/openapi.json", *check, *draw]
        run(*command, "--exclude-path-regex", "/unload$", **hooks)
        text = httpx.get(f"{url}/metrics").text
    families = text_string_to_metric_families(text)
    counts = next(x.samples for x in families if x.name == "cornu_request_count")
    assert sum(x.value for x in counts if x.name.endswith("_total")) >= 2000
    assert not [x.labels for x in counts if x.labels.get("code") == "INTERNAL"]
