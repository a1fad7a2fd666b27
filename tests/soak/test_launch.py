"""Processes of real clusters, as far as one machine goes: torchrun, Slurm, Ray, ssh; and trainings that are ended.

Slurm, and hosts that are reached by ssh, need root: their scripts install what they need and start it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.soak
SCRIPTS = Path(__file__).with_name("launch")
TRAINING = str(SCRIPTS / "training.py")


def run(*command: str, timeout: float = 240, **environment: str) -> tuple[int, list[str], float]:
    """The code, the lines, and the seconds of a command."""
    began = time.monotonic()
    found = subprocess.run(
        command,
        env={**os.environ, "CORNU_BACKEND": "jax", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout,
    )
    return found.returncode, found.stdout.splitlines(), time.monotonic() - began


def launch(*words: str, **environment: str) -> tuple[int, list[str], float]:
    return run(sys.executable, "-m", "cornu", "launch", "--workers", "2", *words, **environment)


def curve(lines: list[str]) -> list[float]:
    """What number 0 says at the end."""
    said = [line.partition("curve ")[2] for line in lines if "curve [" in line]
    assert len(said) == 1, lines[-40:]
    found: list[float] = json.loads(said[0])
    return found


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> list[float]:
    """The curve of two processes that nothing happens to, which is that of one."""
    folders = [str(tmp_path_factory.mktemp("whole")) for _ in range(2)]
    code, lines, _ = run(sys.executable, TRAINING, folders[0], "no", "0")
    assert code == 0
    code, both, _ = launch(TRAINING, folders[1], "no", "0")
    assert code == 0
    assert curve(both) == pytest.approx(curve(lines), rel=1e-5)
    return curve(both)


#: How a process is ended, and what the last line says of it.
ENDS = {
    "raise": "failed (exit code 1)",
    "kill": "was ended by SIGKILL (exit code 137)",
    "stop": "gave no sign of life for",
}


@pytest.mark.parametrize("rank", [0, 1])
@pytest.mark.parametrize("how, words", ENDS.items(), ids=ENDS)
def test_a_process_that_ends(
    how: str, words: str, rank: int, whole: list[float], tmp_path: Path
) -> None:
    """All have ended 30 seconds later, the rank is named, and the restart goes on to the curve of a whole training."""
    code, lines, _ = launch("--restarts", "1", TRAINING, str(tmp_path / "a"), how, str(rank))
    assert code == 0, lines[-40:]
    assert any(line.startswith(f"[launch] Rank {rank} @ ") and words in line for line in lines)
    assert any("Epoch 4/6" in line for line in lines)
    assert curve(lines) == whole
    before = time.monotonic()
    code, lines, seconds = launch(TRAINING, str(tmp_path / "b"), how, str(rank))
    assert code == {"raise": 1, "kill": 137, "stop": 137}[how]
    assert seconds < 30 + 20  # of which twenty are for starting and training until then
    assert time.monotonic() - before < 60


def test_torchrun(whole: list[float], tmp_path: Path) -> None:
    """Its own restart goes on, too."""
    words = ("--on", "torchrun", "--restarts", "1", TRAINING, str(tmp_path))
    code, lines, _ = launch(*words, "raise", "1")
    assert code == 0, lines[-40:]
    assert curve(lines) == whole
    plain = ("-m", "torch.distributed.run", "--nproc-per-node", "2", TRAINING)
    code, lines, _ = run(sys.executable, *plain, str(tmp_path / "plain"), "no", "0")
    assert code == 0, lines[-40:]
    assert curve(lines) == whole


@pytest.mark.skipif(os.geteuid() != 0, reason="Slurm is installed and started by root")
class TestSlurm:
    @pytest.fixture(scope="class")
    def slurm(self, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
        folder = tmp_path_factory.mktemp("slurm")
        subprocess.run([SCRIPTS / "slurm", folder], check=True)
        yield str(folder / "slurm.conf")
        for name in ("slurmd", "slurmctld"):
            os.kill(int((folder / f"{name}.pid").read_text()), 15)

    def test_within_an_allocation(self, slurm: str, whole: list[float], tmp_path: Path) -> None:
        words = ("-m", "cornu", "launch", "--on", "slurm", "--workers", "2", "--restarts", "1")
        command = ("salloc", "-Q", "-n", "2", sys.executable, *words, TRAINING, str(tmp_path))
        code, lines, _ = run(*command, "kill", "1", SLURM_CONF=slurm)
        assert code == 0, lines[-40:]
        assert curve(lines) == whole
        assert any("Rank 1 @ " in line and "SIGKILL" in line for line in lines)

    def test_a_batch_job(self, slurm: str, whole: list[float], tmp_path: Path) -> None:
        words = ("--on", "slurm", f"--options=--wait --chdir={tmp_path}", "--name")
        script = (f"{tmp_path}/job", TRAINING, str(tmp_path), "no", "0")
        code, lines, _ = launch(*words, *script, SLURM_CONF=slurm)
        assert code == 0, lines
        log = next(tmp_path.glob("job-*.log"))
        assert curve(log.read_text().splitlines()) == whole

    def test_the_plain_script(self, slurm: str, whole: list[float], tmp_path: Path) -> None:
        command = ("srun", "-n", "2", sys.executable, TRAINING, str(tmp_path), "no", "0")
        code, lines, _ = run(*command, SLURM_CONF=slurm)
        assert code == 0, lines[-40:]
        assert curve(lines) == whole


@pytest.mark.parametrize("how", ["no", "raise"])
def test_two_nodes_of_ray(how: str, whole: list[float], tmp_path: Path) -> None:
    pytest.importorskip("ray")
    script = str(SCRIPTS / "two_nodes.py")
    words = ("--workers", "2", "--restarts", "1", TRAINING, str(tmp_path), how, "1")
    code, lines, _ = run(sys.executable, script, *words)
    assert code == 0, lines[-40:]
    assert curve(lines) == whole


@pytest.mark.skipif(os.geteuid() != 0, reason="namespaces of the network are root's")
@pytest.mark.parametrize("how", ["no", "kill"])
def test_two_hosts_by_ssh(how: str, whole: list[float], tmp_path: Path) -> None:
    settings = tmp_path / "ssh"
    subprocess.run([SCRIPTS / "hosts", settings], check=True)
    try:
        where = ("--on", "ssh", "--hosts", "cornu-a,cornu-b", f"--options=-F {settings}/config")
        words = ("--python", sys.executable, "--restarts", "1", TRAINING, str(tmp_path / "a"))
        root = str(Path(__file__).parents[2])
        code, lines, _ = launch(*where, *words, how, "1", PYTHONPATH=root)
    finally:
        subprocess.run([SCRIPTS / "hosts", "down"], check=True)
    assert code == 0, lines[-40:]
    assert curve(lines) == whole
