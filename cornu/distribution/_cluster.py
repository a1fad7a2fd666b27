"""Which of several processes this one is, as whoever started it says in the environment. Nothing else is asked."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from .ports import MEETING_PORT, meeting_port

Environment = Mapping[str, str]

#: What says that a process is alone: nothing.
ALONE = "nobody"


class Cluster(NamedTuple):
    """The place of a process among those that compute together.

    Args:
        address: Where all meet: `host:port` of number 0.
        size: How many there are.
        rank: The number of this one.
        local_rank: Its number among those of its machine; None where nobody says.
        local_size: How many are on its machine; None where nobody says.
        restart: How often all of them were started again.
        source: Who says so.
    """

    address: str
    size: int
    rank: int
    local_rank: int | None
    local_size: int | None
    restart: int
    source: str

    def variables(self) -> dict[str, str]:
        """The names by which a script reads all that, whoever started it: PyTorch's, and the count of restarts.

        >>> detect({}).variables()["WORLD_SIZE"]
        '1'
        """
        host, _, port = self.address.rpartition(":")
        return {
            "RANK": str(self.rank),
            "WORLD_SIZE": str(self.size),
            "LOCAL_RANK": str(self.local_rank or 0),
            "MASTER_ADDR": host.strip("[]"),
            "MASTER_PORT": port,
            "CORNU_RESTART": str(self.restart),
        }


class _Source(NamedTuple):
    """The variables of one way to start processes, and how the address follows from them."""

    name: str
    rank: str
    size: str
    local_rank: str
    local_size: Callable[[Environment], int | None]
    address: Callable[[Environment], str]
    #: Those that are there where processes are started so.
    signs: tuple[str, ...]


def detect(
    environ: Environment,
    job_addresses: str | None = None,
    num_processes: int | None = None,
    process_id: int | None = None,
) -> Cluster:
    """What an environment says; one process alone where nothing does.

    Asked in this order, the first that answers: the arguments, `KERAS_DISTRIBUTION_*`, `CORNU_*`, the names of
    torchrun (and of `cornu launch`), a step of Slurm's, Open MPI, an indexed Job of Kubernetes.

    Args:
        environ: The environment.
        job_addresses: The addresses of the processes, separated by commas; the first is where all meet.
        num_processes: How many there are; else that of the addresses.
        process_id: The number of this one.

    Raises:
        ValueError: If what is said is not enough, or contradicts itself.

    >>> found = detect({"RANK": "3", "WORLD_SIZE": "8", "MASTER_ADDR": "a", "MASTER_PORT": "29500"})
    >>> found.address, found.rank, found.source
    ('a:29500', 3, 'torchrun')
    """
    keras = {name: environ.get(f"KERAS_DISTRIBUTION_{name.upper()}") for name in _KERAS}
    arguments = (job_addresses, num_processes, process_id)
    given = {name: x for name, x in zip(_KERAS, arguments, strict=True) if x is not None}
    restart = next((environ[name] for name in _RESTARTS if name in environ), "0")
    if given or any(keras.values()):
        source = "arguments" if given else "KERAS_DISTRIBUTION_*"
        return _checked(_of_keras({**keras, **given}), restart, source)
    for way in _SOURCES:
        if all(name in environ for name in way.signs):
            return _checked(_of(way, environ), restart, way.name)
    return Cluster(f"127.0.0.1:{MEETING_PORT}", 1, 0, None, None, _integer(restart), ALONE)


#: The names of Keras's variables after `KERAS_DISTRIBUTION_`, which are those of its arguments.
_KERAS = ("job_addresses", "num_processes", "process_id")
#: Who counts how often all processes were started again.
_RESTARTS = ("CORNU_RESTART", "TORCHELASTIC_RESTART_COUNT", "SLURM_RESTART_COUNT")


def _of_keras(said: Mapping[str, Any]) -> dict[str, Any]:
    addresses = [x.strip() for x in (said["job_addresses"] or "").split(",") if x.strip()]
    return {
        "address": addresses[0] if addresses else None,
        "size": said["num_processes"] or len(addresses) or None,
        "rank": said["process_id"],
    }


def _of(source: _Source, environ: Environment) -> dict[str, Any]:
    return {
        "address": source.address(environ),
        "size": environ.get(source.size),
        "rank": environ[source.rank],
        "local_rank": environ.get(source.local_rank),
        "local_size": source.local_size(environ),
    }


def _checked(said: dict[str, Any], restart: str, source: str) -> Cluster:
    """What was said as numbers, if they fit together."""
    size, rank = _integer(said["size"]), _integer(said["rank"])
    if not 0 <= rank < size or not (said["address"] or size == 1):
        received = {name: said.get(name) for name in ("address", "size", "rank")}
        raise ValueError(
            "A process that computes with others knows the address of the first, how many there are, and its number, "
            f"from 0. Received: {', '.join(f'{k}={v!r}' for k, v in received.items())}, by {source}. Start it by "
            "`python -m cornu launch`, or set CORNU_ADDRESS=host:port, CORNU_PROCESSES and CORNU_RANK."
        )
    address = said["address"] or "127.0.0.1"
    if not re.search(r"[^:]:\d+$|\]:\d+$", address):
        address = f"{address}:{MEETING_PORT}"
    local = [said.get(name) for name in ("local_rank", "local_size")]
    local_rank, local_size = (None if x is None else _integer(x) for x in local)
    return Cluster(address, size, rank, local_rank, local_size, _integer(restart), source)


def _integer(text: Any) -> int:
    """A whole number; -1 for what is none."""
    return int(text) if str(text).isdecimal() else -1


def _master(environ: Environment) -> str:
    """The address that torchrun says. Its own store may listen there: then the port above is taken."""
    port = _integer(environ.get("MASTER_PORT", MEETING_PORT))
    if environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True":
        port = meeting_port(port + 1)
    host = environ.get("MASTER_ADDR", "127.0.0.1")
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _slurm(environ: Environment) -> str:
    """The first node of a step, at a port that follows from the numbers of job and step: JAX's for the first step."""
    nodes = environ["SLURM_STEP_NODELIST"]
    first = re.match(r"(?:[^\[,]|\[[^\]]*\])+", nodes)  # up to a comma that is in no bracket
    host = re.sub(r"\[([^\],-]+)[^\]]*\]", r"\1", first[0] if first else nodes)
    numbers = [_integer(environ.get(name, 0)) for name in ("SLURM_JOB_ID", "SLURM_STEP_ID")]
    return f"{host}:{meeting_port(numbers[0] + 64 * max(numbers[1], 0))}"


def _slurm_tasks(environ: Environment) -> int | None:
    """How many tasks of a step a node has: `2(x3),1` is two on each of three, and one."""
    counts: list[int] = []
    for count, times in re.findall(
        r"(\d+)(?:\(x(\d+)\))?", environ.get("SLURM_STEP_TASKS_PER_NODE", "")
    ):
        counts += [int(count)] * int(times or 1)
    node = _integer(environ.get("SLURM_NODEID", 0))
    return counts[node] if 0 <= node < len(counts) else None


def _open_mpi(environ: Environment) -> str:
    """What `mpirun -x MASTER_ADDR=...` says; without that, all must be on one machine."""
    if "MASTER_ADDR" in environ:
        return _master(environ)
    if environ.get("OMPI_COMM_WORLD_LOCAL_SIZE") == environ["OMPI_COMM_WORLD_SIZE"]:
        job = re.findall(r"\d+", environ.get("PMIX_NAMESPACE", "0"))
        return f"127.0.0.1:{meeting_port(sum(map(int, job)))}"
    raise ValueError(
        "Open MPI tells its processes no address at which they could meet. Received: no MASTER_ADDR. Give them that of "
        "the first: mpirun -x MASTER_ADDR=$(hostname) ..."
    )


def _indexed_job(environ: Environment) -> str:
    """The pod of index 0, whose headless service has the name of the Job unless MASTER_ADDR says otherwise."""
    if "WORLD_SIZE" not in environ:
        raise ValueError(
            "An indexed Job tells its pods their index alone. Received: JOB_COMPLETION_INDEX="
            f"{environ['JOB_COMPLETION_INDEX']!r}, no WORLD_SIZE. Set WORLD_SIZE, the number of completions, in the "
            "environment of its container; `python -m cornu launch --on k8s` writes such a Job."
        )
    if "MASTER_ADDR" in environ:
        return _master(environ)
    job = re.sub(r"-\d+$", "", environ.get("HOSTNAME", "").partition(".")[0])
    return f"{job}-0.{job}:{MEETING_PORT}"


def _count(name: str) -> Callable[[Environment], int | None]:
    return lambda environ: int(environ[name]) if name in environ else None


#: The ways in which processes are started, in the order in which they are asked for.
_SOURCES = (
    _Source(
        "CORNU_*",
        "CORNU_RANK",
        "CORNU_PROCESSES",
        "CORNU_LOCAL_RANK",
        _count("CORNU_LOCAL_PROCESSES"),
        lambda environ: environ.get("CORNU_ADDRESS", ""),
        ("CORNU_RANK",),
    ),
    _Source(
        "torchrun",
        "RANK",
        "WORLD_SIZE",
        "LOCAL_RANK",
        _count("LOCAL_WORLD_SIZE"),
        _master,
        ("RANK", "WORLD_SIZE"),
    ),
    _Source(
        "Slurm",
        "SLURM_PROCID",
        "SLURM_STEP_NUM_TASKS",
        "SLURM_LOCALID",
        _slurm_tasks,
        _slurm,
        # A batch script has a number too, but is no step.
        ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_STEP_NODELIST"),
    ),
    _Source(
        "Open MPI",
        "OMPI_COMM_WORLD_RANK",
        "OMPI_COMM_WORLD_SIZE",
        "OMPI_COMM_WORLD_LOCAL_RANK",
        _count("OMPI_COMM_WORLD_LOCAL_SIZE"),
        _open_mpi,
        ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"),
    ),
    _Source(
        "an indexed Job",
        "JOB_COMPLETION_INDEX",
        "WORLD_SIZE",
        "",
        lambda environ: 1,
        _indexed_job,
        ("JOB_COMPLETION_INDEX",),
    ),
)
