"""The ways to start processes."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from typing import NamedTuple

from ._job import Job, Starter
from ._processes import local_rows, ssh_rows, start_by_ssh, start_local
from ._supervisor import supervise


class Way(NamedTuple):
    """One way: what starts processes, and what shows what that would be."""

    start: Starter
    shown: Callable[[Job], str]
    #: Whether whoever it asks starts all again after a failure, and not the supervisor.
    restarts: bool = False

    def run(self, job: Job, hung: float) -> int:
        """Start the processes of a job and see them to their end; the exit code."""
        return supervise(self.start, job, hung, restarts=0 if self.restarts else job.restarts)


def way(name: str) -> Way:
    """The way of a name (`command.WAYS`)."""
    return _WAYS[name]


def _as_lines(
    rows: Callable[[Job], Sequence[tuple[str, Sequence[str], dict[str, str]]]],
) -> Callable[[Job], str]:
    """What shows processes as lines of a shell."""

    def shown(job: Job) -> str:
        return "\n".join(
            f"[{place}] {' '.join(f'{k}={shlex.quote(v)}' for k, v in variables.items())} {shlex.join(command)}"
            for place, command, variables in rows(job)
        )

    return shown


_WAYS = {
    "local": Way(start_local, _as_lines(local_rows)),
    "ssh": Way(start_by_ssh, _as_lines(ssh_rows)),
}
