"""What torchrun, Slurm, Ray and Kubernetes are asked for, and how their answers are read."""

from __future__ import annotations

import io
import json
import sys
import threading
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest

from cornu.launch import _kubernetes, _labelled
from cornu.launch._job import Ended, Event, Job, LaunchError, Line, Told
from cornu.launch._supervisor import supervise
from cornu.launch._ways import WAYS, shown

JOB = Job(("train.py", "--x", "a b"), workers=2, gpus=1, python="python", image="an/image")
#: The way, the job, and what is shown of it.
SHOWN = {
    "torchrun": (
        "torchrun",
        "python -m torch.distributed.run --nproc-per-node 2 --max-restarts 0 --tee 3 train.py --x 'a b'",
    ),
    "slurm": ("slurm", "#SBATCH --gpus-per-task=1\nexec python -m cornu launch --on slurm"),
    "ray": ("ray", "Actors: 2, of 1 CPU, 1 GPU, on the cluster auto: train.py --x 'a b'"),
    "k8s": ("k8s", 'MASTER_ADDR"\n              value: "cornu-0.cornu"'),
}


@pytest.mark.parametrize("name, words", SHOWN.values(), ids=SHOWN)
def test_what_would_be_run(name: str, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    assert words in shown(name, JOB)


def test_within_an_allocation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "1")
    assert shown("slurm", JOB) == (
        "srun --label --unbuffered --kill-on-bad-exit=1 --ntasks=2 --gpus-per-task=1 "
        "python train.py --x 'a b'"
    )


#: The lines of a command, with its code, and what is told of them.
TOLD: dict[str, tuple[Any, list[str], int, list[Event]]] = {
    "srun": (
        _labelled._SRUN,
        [" 1: text", "srun: error: n1: task 1: Exited with exit code 3"],
        3,
        [
            Line(1, "text"),
            Line(None, "srun: error: n1: task 1: Exited with exit code 3"),
            Ended(1, 3),
            Ended(None, 3),
        ],
    ),
    "srun, killed": (
        _labelled._SRUN,
        ["srun: error: n1: task 0: Killed"],
        137,
        [Line(None, "srun: error: n1: task 0: Killed"), Ended(0, 137), Ended(None, 137)],
    ),
    "torchrun": (
        _labelled._TORCHRUN,
        [
            "[default0]:\x1ecornu beat ",
            "[rank12]:half\x1ecornu place a",
            "Root Cause (first observed failure):",
            "  rank      : 2 (local_rank: 0)",
            "  exitcode  : -9 (pid: 7)",
        ],
        1,
        [
            Told(0, "beat", ""),
            Told(12, "place", "a"),
            Line(12, "half"),
            Line(None, "Root Cause (first observed failure):"),
            Line(None, "  rank      : 2 (local_rank: 0)"),
            Line(None, "  exitcode  : -9 (pid: 7)"),
            Ended(2, 137),
            Ended(None, 1),
        ],
    ),
    "torchrun, well": (_labelled._TORCHRUN, ["[1]: a"], 0, [Line(1, " a"), Ended(None, 0)]),
}


@pytest.mark.parametrize("patterns, lines, code, told", TOLD.values(), ids=TOLD)
def test_lines_with_labels(patterns: Any, lines: list[str], code: int, told: list[Event]) -> None:
    found: list[Event] = []
    script = f"print({chr(10).join(lines)!r}); raise SystemExit({code})"
    done = threading.Event()

    def tell(event: Event) -> None:
        found.append(event)
        if event == Ended(None, code):
            done.set()

    _labelled.Labelled(JOB, [sys.executable, "-c", script], "place", *patterns, tell)
    assert done.wait(60)
    assert found == told


@pytest.mark.parametrize("restarts", [0, 2])
def test_manifests_fit_their_schemas(restarts: int, tmp_path: Path) -> None:
    """A misspelt field would be found: what is not known is refused."""
    script = tmp_path / "train.py"
    script.write_text("print(1)\n")
    command = (str(script), "--x")
    job = Job(command, workers=3, gpus=2, image="a", payload=b"\x00", restarts=restarts)
    parts = _kubernetes.manifest(job)
    kinds = [part["kind"] for part in parts]
    assert kinds == (["ConfigMap", "JobSet"] if restarts else ["ConfigMap", "Service", "Job"])
    schema = json.loads(Path(__file__).with_name("jobset.json").read_text())
    for part in parts:
        if part["kind"] == "JobSet":
            jsonschema.validate(part, schema)
            inner = part["spec"]["replicatedJobs"][0]["template"]
            part = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "x"}, **inner}
        kubernetes_validate.validate(part, "1.32", strict=True)
    spec = part["spec"]
    assert (spec["completions"], spec["completionMode"]) == (3, "Indexed")
    container = spec["template"]["spec"]["containers"][0]
    assert container["command"] == ["python", "/cornu/script.py", "--x"]
    said = {x["name"]: x.get("value", x.get("valueFrom")) for x in container["env"]}
    assert said["MASTER_ADDR"] == ("cornu-main-0-0.cornu" if restarts else "cornu-0.cornu")
    assert "job-completion-index" in said["RANK"]["fieldRef"]["fieldPath"]
    assert said["CORNU_PAYLOAD"] == "/cornu/payload"
    yaml = pytest.importorskip("yaml")
    assert list(yaml.safe_load_all(_kubernetes.shown_on_kubernetes(job))) == _kubernetes.manifest(
        job
    )


@pytest.mark.parametrize(
    "job, words",
    [
        (Job(("x",), workers=2), "image=None, workers=2. Say both: --image NAME --workers N"),
        (Job(("x",), workers=2, image="a", payload=b"x" * 10**6), "at most 900,000 bytes. Rec"),
    ],
)
def test_what_kubernetes_is_not_told(job: Job, words: str) -> None:
    with pytest.raises(LaunchError, match=words):
        _kubernetes.manifest(job)


@pytest.mark.parametrize("code", [0, 3])
def test_pods_are_followed(code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a stand-in of `kubectl`: what it is told, the lines of all pods, the code of the first that failed."""
    command = tmp_path / "kubectl"
    command.write_text(f"#!{sys.executable}\n{Path(__file__).with_name('kubectl.py').read_text()}")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setenv("FAKE_FOLDER", str(tmp_path))
    monkeypatch.setenv("FAKE_CODE", str(code))
    output = io.StringIO()
    job = Job(("train.py",), workers=2, image="a", name="train")
    way = WAYS["k8s"]
    assert supervise(way.start, job, restarts=0, output=output) == code
    lines = output.getvalue().splitlines()
    assert {f"[rank {n} @ train] of train-{n}-x" for n in range(2)} <= set(lines)
    applied = json.loads((tmp_path / "applied.json").read_text())
    assert [part["kind"] for part in applied["items"]] == ["Service", "Job"]
    asked = (tmp_path / "asked").read_text()
    assert "delete" not in asked  # what has ended stays, to be looked at
    if code:
        assert lines[-1] == "[launch] Rank 1 @ train failed (exit code 3); all were stopped."


@pytest.mark.parametrize("name, words", [("k8s", "Received: none that runs"), ("slurm", "sbatch")])
def test_a_command_that_lacks(
    name: str, words: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from cornu.launch._ways import run

    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(LaunchError, match=words):
        run(name, JOB, 0.0)
    assert not list(tmp_path.iterdir())
