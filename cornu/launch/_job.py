"""What is started, and what happens to it: words that the supervisor and all starters share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

#: What a script is told by its environment on other machines too: how these names begin.
_CARRIED = ("CORNU_", "KERAS_", "JAX_", "XLA_", "NCCL_", "GLOO_", "TORCH_", "OMP_", "PYTHONPATH")


def carried(environ: Mapping[str, str]) -> dict[str, str]:
    """What processes on other machines have of the environment of who starts them.

    >>> carried({"CORNU_BACKEND": "torch", "HOME": "/root", "KERAS_DISTRIBUTION_PROCESS_ID": "1"})
    {'CORNU_BACKEND': 'torch'}
    """
    said = {name: value for name, value in environ.items() if name.startswith(_CARRIED)}
    return {name: value for name, value in said.items() if "_DISTRIBUTION_" not in name}


@dataclass(frozen=True)
class Job:
    """A command that runs in several processes.

    Args:
        command: What Python is given: a script, or `-m module`, and its arguments.
        workers: How many processes; None for what the machines are: one each.
        hosts: The machines, by name, where they are named.
        devices: How many devices a process on CPUs pretends to have, on JAX.
        gpus: How many GPUs a cluster gives to each process.
        python: The interpreter; None for this one, or `python` where machines have their own.
        name: What a cluster calls it.
        image: The container image, where there are containers.
        options: More words for what starts it: `ssh`, `sbatch`, `srun`, `torchrun`, `kubectl`.
        payload: Bytes that each process finds in the file that the variable `CORNU_PAYLOAD` names.
        restarts: How often all processes are started again after a failure.
        restart: Which of these this is.
    """

    command: tuple[str, ...]
    workers: int | None = None
    hosts: tuple[str, ...] = ()
    devices: int | None = None
    gpus: int = 0
    python: str | None = None
    name: str = "cornu"
    image: str | None = None
    options: tuple[str, ...] = ()
    payload: bytes | None = None
    restarts: int = 0
    restart: int = 0

    def variables(self) -> dict[str, str]:
        """The variables that all processes have alike."""
        said = {
            "PYTHONUNBUFFERED": "1",
            "CORNU_RESTART": str(self.restart),
            "CORNU_SUPERVISED": "1",
        }
        if self.devices is not None:
            said |= {"JAX_PLATFORMS": "cpu", "JAX_NUM_CPU_DEVICES": str(self.devices)}
        return said

    def ranked(self, rank: int, hosts: Sequence[str], address: str, port: int) -> dict[str, str]:
        """The variables of one process, of which the machines of all are known.

        >>> job = Job(("train.py",))
        >>> found = job.ranked(2, ["a", "b", "b"], "a", 61440)
        >>> found["RANK"], found["LOCAL_RANK"], found["LOCAL_WORLD_SIZE"], found["MASTER_ADDR"]
        ('2', '1', '2', 'a')
        """
        host = hosts[rank]
        return {
            **self.variables(),
            "RANK": str(rank),
            "WORLD_SIZE": str(len(hosts)),
            "LOCAL_RANK": str(hosts[:rank].count(host)),
            "LOCAL_WORLD_SIZE": str(hosts.count(host)),
            "MASTER_ADDR": address,
            "MASTER_PORT": str(port),
        }


class Line(NamedTuple):
    """A line that a process has written; rank None where it is of who started it."""

    rank: int | None
    text: str


class Told(NamedTuple):
    """What a process tells its supervisor (`core.supervision`)."""

    rank: int | None
    kind: str
    text: str


class Ended(NamedTuple):
    """The exit code of a process, as a shell has it: 128 + n for signal n. Rank None where all have ended, and
    nothing more comes."""

    rank: int | None
    code: int


Event = Line | Told | Ended
Tell = Callable[[Event], None]


class Started(Protocol):
    """Processes that were started."""

    @property
    def places(self) -> Sequence[str]:
        """The machine of each, by rank."""

    def signal(self, number: int, rank: int | None = None) -> None:
        """Send a signal to a process and what it has started; to all without a rank."""

    def close(self) -> None:
        """Give back what they had, when all have ended."""


class LaunchError(RuntimeError):
    """Processes could not be started."""


#: Starts processes, each of which runs the job's command with the job's variables, and tells what they write and with
#: which codes they end.
Starter = Callable[[Job, Tell], Started]
