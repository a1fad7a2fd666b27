"""The recipes of `docs/serving.md`, each in an environment of its own, beside the packages of this one."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from benchmarks import serving as loads

pytestmark = pytest.mark.soak
ROOT = Path(__file__).parents[2]
FASTAPI = """
from fastapi.testclient import TestClient
with TestClient(application) as client:
    answer = client.post("/models/v1/models/m:predict", json={"instances": [[0, 0, 0, 0]]})
    assert answer.json() == {"predictions": [[0, 0, 0]]}, answer.text
    assert client.get("/models/v2/health/ready").status_code == 200
"""
RAY = """
import ray
from ray.cluster_utils import Cluster
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "object_store_memory": 80_000_000})
cluster.add_node(num_cpus=1, object_store_memory=80_000_000)
ray.init(address=cluster.address)
assert len(ray.nodes()) == 2
RECIPE
assert y["y"].tolist() == [[0, 0, 0]]
serve.shutdown()
ray.shutdown()
cluster.shutdown()
"""
KUBERNETES = """
import json, sys, yaml
from kubernetes import client
api = client.ApiClient()
deployment, service = (yaml.safe_load(text) for text in sys.argv[1:])
rows = [("V1Deployment", deployment), ("V1PodSpec", service["spec"]["predictor"])]
for kind, given in rows:
    read = api.deserialize(json.dumps(given), kind, "application/json")
    assert api.sanitize_for_serialization(read) == given, kind  # what is not in the schema is gone
"""


def recipes(language: str, word: str = "") -> list[str]:
    """The blocks of a language in which a word stands."""
    text = (ROOT / "docs/serving.md").read_text()
    return [x for x in re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL) if word in x]


def run(folder: Path, packages: list[str], code: str, *arguments: str) -> None:
    """Run code where these packages are, and Cornu with its own behind them."""
    subprocess.run([sys.executable, "-m", "venv", str(folder / "env")], check=True)
    python = str(folder / "env/bin/python")
    subprocess.run([python, "-m", "pip", "install", "--quiet", *packages], check=True)
    place = subprocess.check_output(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], text=True
    )
    Path(place.strip(), "behind.pth").write_text(sysconfig.get_path("purelib"))
    environment = {
        **os.environ, "PYTHONPATH": str(ROOT), "CORNU_BACKEND": "numpy", "RAY_USAGE_STATS_ENABLED": "0"
    }  # fmt: skip
    subprocess.run(
        [python, "-c", code, *arguments], check=True, cwd=folder, env=environment, timeout=300
    )


def test_fastapi(tmp_path: Path) -> None:
    (tmp_path / "models/m/1").mkdir(parents=True)
    loads.export(tmp_path / "models/m/1/model.onnx")
    (recipe,) = recipes("python", "FastAPI")
    run(tmp_path, ["fastapi"], recipe + FASTAPI)


def test_ray_on_two_nodes(tmp_path: Path) -> None:
    loads.export(tmp_path / "digits.onnx")
    (recipe,) = recipes("python", "serve.deployment")
    recipe = recipe.replace("digits.onnx", str(tmp_path / "digits.onnx"))
    recipe = recipe.replace("(1, 28, 28, 1)", "(1, 4)")
    run(tmp_path, ["ray[serve]"], RAY.replace("RECIPE", recipe))


def test_manifests(tmp_path: Path) -> None:
    run(tmp_path, ["kubernetes", "pyyaml"], KUBERNETES, *recipes("yaml"))
