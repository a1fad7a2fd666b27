"""The ways to start processes, by name."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from typing import NamedTuple

from ._job import Job, Starter, Told
from ._kubernetes import shown_on_kubernetes, start_on_kubernetes
from ._labelled import (
    batch,
    is_in_allocation,
    srun,
    start_by_srun,
    start_by_torchrun,
    submit,
    torchrun,
)
from ._processes import Row, local_rows, ssh_rows, start_by_ssh, start_local
from ._ray import shown_on_ray, start_on_ray
from ._supervisor import supervise


class Way(NamedTuple):
    """What starts processes, and what shows how."""

    start: Starter
    shown: Callable[[Job], str]
    #: Whether all are started again by whoever starts them, and not by the supervisor.
    restarts: bool = False

    def run(self, job: Job, hung: float, told: Callable[[Told], None] | None = None) -> int:
        """Start the processes of a job and see them to their end; the exit code."""
        restarts = 0 if self.restarts else job.restarts
        return supervise(self.start, job, hung, restarts=restarts, told=told)


def run(name: str, job: Job, hung: float) -> int:
    """Start the processes of a job in the way of a name; the exit code."""
    if name == "slurm" and not is_in_allocation():
        return submit(job)
    return WAYS[name].run(job, hung)


def shown(name: str, job: Job) -> str:
    """What would be run, or written."""
    return batch(job) if name == "slurm" and not is_in_allocation() else WAYS[name].shown(job)


def _as_lines(rows: Callable[[Job], Sequence[Row]]) -> Callable[[Job], str]:
    """What shows processes as lines of a shell."""

    def shown(job: Job) -> str:
        lines = []
        for place, command, variables in rows(job):
            said = " ".join(f"{name}={shlex.quote(value)}" for name, value in variables.items())
            lines.append(f"[{place}] {said} {shlex.join(command)}")
        return "\n".join(lines)

    return shown


WAYS = {
    "local": Way(start_local, _as_lines(local_rows)),
    "torchrun": Way(start_by_torchrun, lambda job: shlex.join(torchrun(job)), restarts=True),
    "ssh": Way(start_by_ssh, _as_lines(ssh_rows)),
    "slurm": Way(start_by_srun, lambda job: shlex.join(srun(job))),
    "ray": Way(start_on_ray, shown_on_ray),
    "k8s": Way(start_on_kubernetes, shown_on_kubernetes, restarts=True),
}
