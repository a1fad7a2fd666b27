"""Processes of tiny scripts on this machine: their lines, and what ends them."""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from cornu.launch._job import Job, LaunchError, Told
from cornu.launch._lines import Lines
from cornu.launch._processes import start_local
from cornu.launch._supervisor import supervise

BEGINNING = """
import os, signal, subprocess, sys, time
rank, restart = os.environ["RANK"], os.environ["CORNU_RESTART"]
def told(kind, text=""):
    os.write(2, f"\\x1ecornu {kind} {text}\\n".encode())
"""


def launched(folder: Path, script: str, **options: Any) -> tuple[int, list[str], float]:
    """The exit code, the lines that were shown, and the seconds that it took, of two processes."""
    path, output = folder / "script.py", io.StringIO()
    path.write_text(BEGINNING + script)
    names = {"hung", "grace", "told"} & options.keys()
    how = {name: options.pop(name) for name in names}
    start = time.monotonic()
    job = Job((str(path),), **{"workers": 2, **options})
    code = supervise(start_local, job, output=output, **how)
    host = os.uname().nodename
    return code, output.getvalue().replace(host, "host").splitlines(), time.monotonic() - start


def test_all_end_well(tmp_path: Path) -> None:
    """Each process has its place in its environment, and its name before its lines."""
    script = """
names = "RANK WORLD_SIZE LOCAL_RANK LOCAL_WORLD_SIZE MASTER_ADDR CORNU_RESTART JAX_NUM_CPU_DEVICES"
print(*[os.environ[name] for name in names.split()], "CORNU_PAYLOAD" in os.environ)
print("half", end="", flush=True); told("beat"); print(" and half", file=sys.stderr)
"""
    code, lines, _ = launched(tmp_path, script, devices=3)
    assert code == 0
    assert sorted(lines) == [
        "[rank 0 @ host] 0 2 0 2 127.0.0.1 0 3 False",
        "[rank 0 @ host] half and half",
        "[rank 1 @ host] 1 2 1 2 127.0.0.1 0 3 False",
        "[rank 1 @ host] half and half",
    ]


#: How a process fails, the exit code, and what the last line says.
FAILURES = {
    "an error": ("raise ValueError('here')", 1, "failed (exit code 1)"),
    "a code": ("sys.exit(7)", 7, "failed (exit code 7)"),
    "kill -9": (
        "os.kill(os.getpid(), 9)",
        137,
        "was ended by SIGKILL (exit code 137)",
    ),
}


@pytest.mark.parametrize("how, code, words", FAILURES.values(), ids=FAILURES)
@pytest.mark.parametrize("rank", [0, 1])
def test_the_first_failure_stops_all(
    rank: int, how: str, code: int, words: str, tmp_path: Path
) -> None:
    """Within a second; its last 40 lines stand last, and what it says of the reason behind them."""
    script = f"""
for n in range(50): print("line", n)
if rank == "{rank}":
    time.sleep(0.2)
    {how}
time.sleep(60)
"""
    found, lines, seconds = launched(tmp_path, script)
    assert found == code
    assert seconds < 45
    assert lines[-1] == f"[launch] Rank {rank} @ host {words}; all were stopped."
    tail = lines[lines.index(f"[launch] The last lines of rank {rank}:") + 1 : -1]
    assert len(tail) <= 40
    assert "    line 49" in tail
    if "ValueError" in how:
        assert tail[-1] == "    ValueError: here"


def test_all_that_they_have_started_ends(tmp_path: Path) -> None:
    """Also who takes no SIGTERM, and what an ended process left behind."""
    script = f"""
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
open({str(tmp_path)!r} + f"/pid{{rank}}", "w").write(f"{{child.pid}} {{os.getpid()}}")
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if rank == "1":
    while not os.path.exists({str(tmp_path / "pid0")!r}): time.sleep(0.01)
    time.sleep(0.1)
    sys.exit(3)
time.sleep(60)
"""
    code, _, seconds = launched(tmp_path, script, grace=0.5)
    assert (code, seconds < 45) == (3, True)
    pids = [int(pid) for rank in "01" for pid in (tmp_path / f"pid{rank}").read_text().split()]
    assert not [pid for pid in pids if _runs(pid)]


def _runs(pid: int) -> bool:
    """Whether a process is there, and not only remembered."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_a_process_that_hangs(tmp_path: Path) -> None:
    """One that gives no sign of life any more, after it gave one."""
    script = """
while True:
    told("beat")
    if rank == "1": os.kill(os.getpid(), signal.SIGSTOP)
    time.sleep(0.1)
"""
    code, lines, seconds = launched(tmp_path, script, hung=4)
    assert (code, seconds < 45) == (137, True)
    assert re.match(
        r"\[launch\] Rank 1 @ host gave no sign of life for \d+ s \(exit code", lines[-1]
    )


def test_all_start_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cornu.launch._supervisor.PAUSE", 0.0)
    script = """
print("start", restart)
sys.exit(5 if rank == "1" and restart < "2" else 0)
"""
    code, lines, _ = launched(tmp_path, script, restarts=3)
    assert code == 0
    assert [
        line for line in lines if "start" in line and "rank 1" in line and "launch" not in line
    ] == [f"[rank 1 @ host] start {n}" for n in range(3)]
    assert "[launch] All start again: restart 2 of 3." in lines
    code, lines, _ = launched(tmp_path, script, restarts=1)
    assert code == 5


def test_what_processes_tell(tmp_path: Path) -> None:
    told: list[Told] = []
    script = 'told("value", f"of {rank}"); told("progress", "10 of 20")'
    code, lines, _ = launched(tmp_path, script, told=told.append)
    assert (code, lines) == (0, [])
    assert sorted(told) == [Told(0, "value", "of 0"), Told(1, "value", "of 1")]


def test_a_payload(tmp_path: Path) -> None:
    script = 'print(open(os.environ["CORNU_PAYLOAD"], "rb").read()[-1], os.path.getsize(os.environ["CORNU_PAYLOAD"]))'
    _, lines, _ = launched(tmp_path, script, workers=1, payload=b"\x00\xff" * 100_000)
    assert lines == ["[rank 0 @ host] 255 200000"]


def test_what_can_not_be_started(tmp_path: Path) -> None:
    code, lines, _ = launched(tmp_path, "", python="/no/python")
    assert code == 127
    assert any("/no/python could not be started: " in line for line in lines)
    with pytest.raises(LaunchError, match="Received: no hosts. Name them: --hosts a,b"):
        from cornu.launch._processes import start_by_ssh

        start_by_ssh(Job(("x",)), print)


@pytest.mark.parametrize(
    "number, code, words",
    [(signal.SIGINT, 130, ""), (signal.SIGTERM, 143, "checkpoint"), (signal.SIGKILL, -9, "")],
)
def test_the_supervisor_is_asked_to_end(number: int, code: int, words: str, tmp_path: Path) -> None:
    """Ctrl-C ends all; a SIGTERM gives them the time that they need; nothing outlives a supervisor that was killed."""
    script = tmp_path / "script.py"
    script.write_text(
        BEGINNING
        + """
def asked(number, frame):
    time.sleep(0.5)
    print("checkpoint", flush=True)
    sys.exit(143)
if sys.argv[1] == "15":
    signal.signal(signal.SIGTERM, asked)
print("ready", os.getpid(), flush=True)
time.sleep(60)
"""
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "cornu", "launch", "--workers", "2", script, str(int(number))],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    ready = [process.stdout.readline() for _ in range(2)]
    process.send_signal(number)
    rest = process.stdout.read() if number != signal.SIGKILL else ""
    assert process.wait(60) == code
    assert rest.count("checkpoint") == 2 * bool(words)
    pids = [int(line.split()[-1]) for line in ready]
    deadline = time.monotonic() + 15
    while any(map(_runs, pids)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not [pid for pid in pids if _runs(pid)]
    process.stdout.close()


@pytest.mark.parametrize(
    "arguments, code, words",
    [
        (["--dry-run", "--workers", "2", "x.py", "--y"], 0, "RANK=1 WORLD_SIZE=2"),
        (["--on", "ssh", "x.py"], 1, "LaunchError: Machines that are reached by ssh are named"),
        (["--workers", "x", "y.py"], 2, "It must be a whole number. Received: x"),
        (["--workers", "1", "/no/script.py"], 2, "failed (exit code 2); all were stopped."),
    ],
)
def test_the_command(
    arguments: list[str], code: int, words: str, capfd: pytest.CaptureFixture[str]
) -> None:
    from cornu.cli import main

    try:
        found = main(["launch", *arguments])
    except SystemExit as end:
        found = int(str(end.code))
    assert found == code
    assert words in "".join(capfd.readouterr())


def test_lines_come_in_pieces() -> None:
    """Bytes of one character, too, and a mark in the middle of a line."""
    lines: list[str] = []
    told: list[tuple[str, str]] = []
    taken = Lines(lines.append, lambda *x: told.append(x))
    for byte in (
        "ä\n10%\r20%\rdone\r\nx\x1ecornu beat \ny\n\x1ecornu value a b\nz".encode() + b"\xff"
    ):
        taken.add(bytes([byte]))
    taken.end()
    assert lines == ["ä", "done", "xy", "z\\xff"]
    assert told == [("beat", ""), ("value", "a b")]


def test_progress_is_shown_by_the_first_alone(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """And told, where somebody listens, every second."""
    from cornu.callbacks import progress
    from cornu.core import supervision

    def shown() -> tuple[str, str]:
        bar = progress.Progress(2, "Epoch 1/1")
        bar.update(1, {"loss": 0.5})
        bar.finish(2, {"loss": 0.25})
        found = capfd.readouterr()
        return found.out, found.err

    monkeypatch.setattr(progress, "TOLD_INTERVAL", 0.0)
    monkeypatch.setenv(supervision.VARIABLE, "1")
    out, told = shown()
    assert "loss: 0.2500" in out
    assert told.startswith("\x1ecornu progress Epoch 1/1 - 1/2")
    monkeypatch.setattr(supervision, "_rank", 1)
    assert shown() == ("", "")


def test_telling() -> None:
    from cornu.core import supervision

    with pytest.raises(ValueError, match="one line of less than 4096 bytes. Received: 5"):
        supervision.tell("value", "x" * 5000)


def test_a_process_that_was_left_behind_ends(tmp_path: Path) -> None:
    """It gives its signs of life to nobody."""
    script = tmp_path / "script.py"
    script.write_text(
        "import time; from cornu.core import supervision; supervision.BEAT = 0.1; supervision.beat(); "
        "print('ready', flush=True); time.sleep(60)"
    )
    process = subprocess.Popen(
        [sys.executable, script], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None and process.stderr is not None
    process.stdout.readline()
    process.stderr.close()
    assert process.wait(60) == 1
    process.stdout.close()
    assert not [t for t in threading.enumerate() if t.name == "cornu-beat"]
