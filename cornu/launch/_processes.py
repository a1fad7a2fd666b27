"""Processes on this machine and on others, each with an agent beside it (`_agent.py`)."""

from __future__ import annotations

import base64
import json
import os
import random
import shlex
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..distribution.ports import LAST_PORT, MEETING_PORT
from ._job import Ended, Job, LaunchError, Line, Tell, Told, carried
from ._lines import Lines

#: `ssh` asks nothing, and notices within half a minute that a machine is gone.
_SSH = (
    "ssh",
    "-T",
    "-o",
    "BatchMode=yes",
    "-o",
    "ServerAliveInterval=10",
    "-o",
    "ServerAliveCountMax=2",
)


#: A process: its machine, its command, its variables.
Row = tuple[str, Sequence[str], dict[str, str]]


def start_local(job: Job, tell: Tell) -> Processes:
    """Start the processes of a job on this machine."""
    return Processes(job, [(local_agent(), None, row) for row in local_rows(job)], tell)


def local_agent() -> tuple[str, ...]:
    """The command that runs an agent on this machine."""
    return sys.executable, "-S", str(Path(__file__).with_name("_agent.py"))


def start_by_ssh(job: Job, tell: Tell) -> Processes:
    """Start the processes of a job on other machines, which need Python, and the folder that this process is in.

    Raises:
        LaunchError: If there are no machines.
    """
    rows = ssh_rows(job)
    return Processes(job, [(ssh(row[0], job), os.getcwd(), row) for row in rows], tell)


def local_rows(job: Job) -> list[Row]:
    """The processes of a job on this machine."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    hosts = [socket.gethostname()] * (job.workers or 1)
    return _rows(job, hosts, (job.python or sys.executable, *job.command), "127.0.0.1", port)


def ssh_rows(job: Job) -> list[Row]:
    """The processes of a job on its hosts: as many as workers, else one each; one host's in a row."""
    if not job.hosts:
        raise LaunchError(
            "Machines that are reached by ssh are named. Received: no hosts. Name them: --hosts a,b"
        )
    hosts = [job.hosts[number % len(job.hosts)] for number in range(job.workers or len(job.hosts))]
    hosts.sort(key=job.hosts.index)
    port = random.Random(os.urandom(8)).randint(MEETING_PORT, LAST_PORT)
    command = (job.python or "PYTHON", *job.command)
    rows = _rows(job, hosts, command, hosts[0].rpartition("@")[2], port)
    return [(host, command, {**carried(os.environ), **said}) for host, command, said in rows]


def _rows(job: Job, hosts: list[str], command: Sequence[str], address: str, port: int) -> list[Row]:
    return [
        (host, command, job.ranked(rank, hosts, address, port)) for rank, host in enumerate(hosts)
    ]


def ssh(host: str, job: Job) -> tuple[str, ...]:
    """The command that runs an agent on a machine."""
    agent = Path(__file__).with_name("_agent.py").read_text()
    words = shlex.join([job.python or "python3", "-c", agent])
    return (*_SSH, *job.options, host, words)


def said(job: Job, row: Row, folder: str | None) -> bytes:
    """What an agent is told."""
    _, command, variables = row
    payload = None if job.payload is None else base64.b64encode(job.payload).decode()
    names = {"command": command, "variables": variables, "folder": folder, "payload": payload}
    return json.dumps(names).encode() + b"\n"


class Processes:
    """Agents that were started, as `_job.Started`.

    Args:
        job: What is started.
        agents: For each process the command that runs its agent, the folder that it runs in, and itself.
        tell: Is told what happens, from several threads.
        marks: Whether marked lines are looked for.

    Raises:
        LaunchError: If the command of an agent could not be run.
    """

    def __init__(
        self,
        job: Job,
        agents: Sequence[tuple[Sequence[str], str | None, Row]],
        tell: Tell,
        marks: bool = True,
    ) -> None:
        self.places = [row[0] for _, _, row in agents]
        self._agents: list[subprocess.Popen[bytes]] = []
        try:
            for command, folder, row in agents:
                self._agents.append(_agent(command, said(job, row, folder)))
        except OSError as error:
            self.signal(signal.SIGKILL)
            raise LaunchError(f"An agent could not be run: {error}") from error
        for rank, agent in enumerate(self._agents):
            threading.Thread(target=_read, args=(rank, agent, tell, marks), daemon=True).start()

    def signal(self, number: int, rank: int | None = None) -> None:
        """Send a signal to a process and what it has started; to all without a rank."""
        for agent in self._agents if rank is None else [self._agents[rank]]:
            if agent.stdin is not None and agent.poll() is None:
                try:
                    agent.stdin.write(b"%d\n" % number)
                except (OSError, ValueError):  # it ends, or has ended
                    continue

    def close(self) -> None:
        """All have ended."""


def _agent(command: Sequence[str], first: bytes) -> subprocess.Popen[bytes]:
    agent = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        bufsize=0,
        start_new_session=True,  # Ctrl-C on the terminal is the supervisor's
    )
    try:
        assert agent.stdin is not None
        view = memoryview(first)
        while view:
            view = view[agent.stdin.write(view) :]
    except BrokenPipeError:  # what it has to say of that is read
        pass
    return agent


def _read(rank: int, agent: subprocess.Popen[bytes], tell: Tell, marks: bool) -> None:
    """Tell what an agent's process writes, and its code."""
    lines = Lines(
        lambda text: tell(Line(rank, text)),
        (lambda kind, text: tell(Told(rank, kind, text))) if marks else None,
    )
    with agent:
        read_all(agent.stdout, lines)
        code = agent.wait()
    tell(Ended(rank, code if code >= 0 else 128 - code))


def read_all(stream: Any, lines: Lines) -> None:
    """Read until the end."""
    while piece := stream.read(65_536):
        lines.add(piece)
    lines.end()
