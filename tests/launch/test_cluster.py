"""Which of several processes one is, by its environment; what follows from that for a process."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cornu.distribution._cluster import Cluster, detect
from cornu.distribution._joining import accelerator, check_own_address

TORCHRUN = {
    "RANK": "3",
    "WORLD_SIZE": "4",
    "LOCAL_RANK": "1",
    "LOCAL_WORLD_SIZE": "2",
    "MASTER_ADDR": "10.0.0.1",
    "MASTER_PORT": "29500",
}
STEP = {
    "SLURM_PROCID": "3",
    "SLURM_STEP_NUM_TASKS": "5",
    "SLURM_STEP_NODELIST": "n[03-05,7],x",
    "SLURM_STEP_TASKS_PER_NODE": "2(x2),1",
    "SLURM_LOCALID": "1",
    "SLURM_NODEID": "1",
    "SLURM_JOB_ID": "4100",
    "SLURM_STEP_ID": "0",
}
MPI = {
    "OMPI_COMM_WORLD_RANK": "1",
    "OMPI_COMM_WORLD_SIZE": "2",
    "OMPI_COMM_WORLD_LOCAL_RANK": "1",
    "OMPI_COMM_WORLD_LOCAL_SIZE": "2",
    "PMIX_NAMESPACE": "5",
}
KERAS = {
    "KERAS_DISTRIBUTION_JOB_ADDRESSES": "10.0.0.1:1234,10.0.0.2:2345",
    "KERAS_DISTRIBUTION_PROCESS_ID": "1",
}
POD = {"JOB_COMPLETION_INDEX": "2", "WORLD_SIZE": "3", "HOSTNAME": "train-2"}
CORNU = {"CORNU_ADDRESS": "h", "CORNU_PROCESSES": "9", "CORNU_RANK": "8"}

#: Environment, and what it says: address, size, rank, local rank, local size, restart, source.
SAID: dict[str, tuple[dict[str, str], tuple[Any, ...]]] = {
    "nothing": ({"PATH": "/bin"}, ("127.0.0.1:61440", 1, 0, None, None, 0, "nobody")),
    "torchrun": (TORCHRUN, ("10.0.0.1:29500", 4, 3, 1, 2, 0, "torchrun")),
    "torchrun, started again": (
        {**TORCHRUN, "TORCHELASTIC_RESTART_COUNT": "2"},
        ("10.0.0.1:29500", 4, 3, 1, 2, 2, "torchrun"),
    ),
    "torchrun, whose store has the port": (
        {**TORCHRUN, "TORCHELASTIC_USE_AGENT_STORE": "True"},
        ("10.0.0.1:62269", 4, 3, 1, 2, 0, "torchrun"),
    ),
    "torchrun, of IPv6": (
        {**TORCHRUN, "MASTER_ADDR": "fe80::1"},
        ("[fe80::1]:29500", 4, 3, 1, 2, 0, "torchrun"),
    ),
    "Slurm": (STEP, ("n03:61444", 5, 3, 1, 2, 0, "Slurm")),
    "Slurm, the second step": (
        {**STEP, "SLURM_STEP_ID": "1", "SLURM_NODEID": "2", "SLURM_STEP_NODELIST": "a-1"},
        ("a-1:61508", 5, 3, 1, 1, 0, "Slurm"),
    ),
    "a batch script of Slurm": (
        {"SLURM_PROCID": "0", "SLURM_NTASKS": "2", "SLURM_JOB_ID": "1", "SLURM_RESTART_COUNT": "1"},
        ("127.0.0.1:61440", 1, 0, None, None, 1, "nobody"),
    ),
    "torchrun within Slurm": ({**STEP, **TORCHRUN}, ("10.0.0.1:29500", 4, 3, 1, 2, 0, "torchrun")),
    "Open MPI, one machine": (MPI, ("127.0.0.1:61445", 2, 1, 1, 2, 0, "Open MPI")),
    "Open MPI": (
        {**MPI, "OMPI_COMM_WORLD_LOCAL_SIZE": "1", "MASTER_ADDR": "a"},
        ("a:61440", 2, 1, 1, 1, 0, "Open MPI"),
    ),
    "an indexed Job": (POD, ("train-0.train:61440", 3, 2, None, 1, 0, "an indexed Job")),
    "Keras": (KERAS, ("10.0.0.1:1234", 2, 1, None, None, 0, "KERAS_DISTRIBUTION_*")),
    "Keras, one address": (
        {
            "KERAS_DISTRIBUTION_JOB_ADDRESSES": "a",
            "KERAS_DISTRIBUTION_NUM_PROCESSES": "3",
            "KERAS_DISTRIBUTION_PROCESS_ID": "0",
        },
        ("a:61440", 3, 0, None, None, 0, "KERAS_DISTRIBUTION_*"),
    ),
    "by hand": (
        {**CORNU, **TORCHRUN, "CORNU_RESTART": "1"},
        ("h:61440", 9, 8, None, None, 1, "CORNU_*"),
    ),
    "Keras before all else": (
        {**CORNU, **KERAS},
        ("10.0.0.1:1234", 2, 1, None, None, 0, "KERAS_DISTRIBUTION_*"),
    ),
}


@pytest.mark.parametrize("environ, said", SAID.values(), ids=SAID)
def test_what_an_environment_says(environ: dict[str, str], said: tuple[Any, ...]) -> None:
    assert detect(environ) == Cluster(*said)


def test_arguments_take_the_place_of_variables() -> None:
    found = detect(KERAS, process_id=0)
    assert (found.address, found.size, found.rank) == ("10.0.0.1:1234", 2, 0)
    assert found.source == "arguments"
    assert detect(TORCHRUN, "a:1,b:1,c:1", None, 2).size == 3
    assert detect({}, num_processes=1, process_id=0).size == 1


WRONG: dict[str, tuple[dict[str, str], str]] = {
    "a number too large": ({**TORCHRUN, "RANK": "4"}, "size='4', rank='4', by torchrun"),
    "no number": ({**TORCHRUN, "RANK": "x"}, "rank='x', by torchrun"),
    "no address": ({"CORNU_RANK": "0", "CORNU_PROCESSES": "2"}, "address='', size='2'"),
    "no count": ({"CORNU_RANK": "0", "CORNU_ADDRESS": "a"}, "size=None, rank='0', by CORNU"),
    "no rank": ({"KERAS_DISTRIBUTION_JOB_ADDRESSES": "a,b"}, "size=2, rank=None, by KERAS"),
    "a Job without its size": ({"JOB_COMPLETION_INDEX": "2"}, "='2', no WORLD_SIZE. Set WORLD"),
    "Open MPI on several machines": (
        {**MPI, "OMPI_COMM_WORLD_LOCAL_SIZE": "1"},
        r"no MASTER_ADDR. .* mpirun -x MASTER_ADDR",
    ),
}


@pytest.mark.parametrize("environ, words", WRONG.values(), ids=WRONG)
def test_what_is_not_enough_is_refused(environ: dict[str, str], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        detect(environ)


def test_variables_for_scripts() -> None:
    assert detect(STEP).variables() == {
        "RANK": "3",
        "WORLD_SIZE": "5",
        "LOCAL_RANK": "1",
        "MASTER_ADDR": "n03",
        "MASTER_PORT": "61444",
        "CORNU_RESTART": "0",
    }
    assert detect({**TORCHRUN, "MASTER_ADDR": "::1"}).variables()["MASTER_ADDR"] == "::1"
    assert detect(detect(STEP).variables())[:4] == detect(STEP)[:4]


def test_which_accelerator_is_its_own() -> None:
    two, alone = detect(TORCHRUN), detect(POD)
    assert accelerator(two, {"CUDA_VISIBLE_DEVICES": "0,1"}) == 1
    assert accelerator(two, {"ROCR_VISIBLE_DEVICES": "3"}) is None
    assert accelerator(alone, {}) is None


@pytest.mark.parametrize(
    "own, said",
    [
        ("127.0.1.1", ["me leads to 127.0.1.1. Put"]),
        ("10.0.0.2", []),
        (OSError("unknown"), ["me leads to nothing (unknown). Put"]),
    ],
)
def test_a_name_that_leads_to_the_machine_itself(
    own: Any, said: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    def resolve(name: str) -> str:
        if isinstance(own, OSError):
            raise own
        return str(own)

    with caplog.at_level(logging.WARNING, "cornu"):
        check_own_address(detect(TORCHRUN), "me", resolve)
        check_own_address(detect({**TORCHRUN, "LOCAL_WORLD_SIZE": "4"}), "me", resolve)
    assert len(caplog.records) == len(said)
    assert all(words in caplog.text for words in said)


ENDS = """
import sys, threading, time
from cornu.distribution._joining import end_on_errors
end_on_errors()
{}
time.sleep(60)
"""


@pytest.mark.parametrize(
    "line, code",
    [
        ("raise ValueError('here')", 1),
        ("threading.Thread(target=lambda: 1 / 0).start()", 1),
        ("raise KeyboardInterrupt", 130),
        ("threading.Thread(target=sys.exit).start(); time.sleep(0.1); raise SystemExit(3)", 3),
    ],
)
def test_an_error_ends_the_process_at_once(line: str, code: int, tmp_path: Path) -> None:
    """Also where something would keep it at its end, as JAX does until the others have come to theirs."""
    waits = f"import atexit; atexit.register(time.sleep, {0 if code == 3 else 60}); "
    script = tmp_path / "script.py"
    script.write_text(ENDS.format(waits + line))
    found = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=200)
    assert found.returncode == code
    assert ("Traceback" in found.stderr) == (code != 3), found.stderr
