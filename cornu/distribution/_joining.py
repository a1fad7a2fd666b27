"""`initialize`: this process as one of several."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from .. import tuning
from ..core import seeding, supervision
from ..engines import Engine, current
from ._cluster import ALONE, Cluster, Environment, detect

_joined: Cluster | None = None


def initialize(
    job_addresses: str | None = None,
    num_processes: int | None = None,
    process_id: int | None = None,
) -> None:
    """Make this process one of several that compute together, before anything is computed.

    Without arguments the environment says which it is: `python -m cornu launch`, torchrun, `srun`, `mpirun` and
    indexed Jobs of Kubernetes tell it; a script that nobody started so is one process alone. All processes then have
    `RANK`, `WORLD_SIZE`, `LOCAL_RANK`, `MASTER_ADDR`, `MASTER_PORT` and `CORNU_RESTART` in their environment,
    random numbers that go on as those of process 0, and end at once where an error leaves the script: the others
    would wait for it. A second call does nothing.

    Args:
        job_addresses: The addresses of the processes, separated by commas: all meet at the first, `host:port`.
            `KERAS_DISTRIBUTION_JOB_ADDRESSES` where it is None.
        num_processes: How many there are; `KERAS_DISTRIBUTION_NUM_PROCESSES`, else the number of addresses.
        process_id: The number of this one, from 0; `KERAS_DISTRIBUTION_PROCESS_ID`.

    Raises:
        ValueError: If what is said is not enough, or differs from what the process is already.
        NotImplementedError: If the engine can't compute in several processes.

    >>> initialize()  # this process is alone
    """
    global _joined
    cluster = detect(os.environ, job_addresses, num_processes, process_id)
    if _joined is not None:
        if (cluster.size, cluster.rank) != (_joined.size, _joined.rank):
            raise ValueError(
                f"A process joins others once. Received: number {cluster.rank} of {cluster.size}; it is number "
                f"{_joined.rank} of {_joined.size} already. Start another process."
            )
        return
    if cluster.source == ALONE:
        return
    os.environ.update({k: v for k, v in cluster.variables().items() if k not in os.environ})
    if supervision.is_supervised():
        supervision.beat()
    if cluster.size > 1:
        _join(cluster, current())
    _joined = cluster


def _join(cluster: Cluster, engine: Engine) -> None:
    check_own_address(cluster, socket.gethostname(), socket.gethostbyname)
    end_on_errors()
    tuning.say(
        "Process %d of %d, by %s: all meet at %s.",
        *(cluster.rank, cluster.size, cluster.source, cluster.address),
    )
    with _handlers_kept():
        own = accelerator(cluster, os.environ)
        engine.connect(cluster.address, cluster.size, cluster.rank, own)
    supervision.follow(cluster.rank)
    _agree(engine)


@contextmanager
def _handlers_kept() -> Iterator[None]:
    """Let a SIGTERM do what it did: a library that meets others may take it (JAX's preemption service)."""
    is_main = threading.current_thread() is threading.main_thread()
    former = signal.getsignal(signal.SIGTERM) if is_main else None
    yield
    if former is not None:
        signal.signal(signal.SIGTERM, former)


def accelerator(cluster: Cluster, environ: Environment) -> int | None:
    """Which accelerator of its machine a process has to itself; None for all that it sees.

    >>> two = Cluster("a:1", 2, 1, 1, 2, 0, "torchrun")
    >>> accelerator(two, {}), accelerator(two, {"CUDA_VISIBLE_DEVICES": "5"})
    (1, None)
    """
    shown = environ.get("CUDA_VISIBLE_DEVICES", environ.get("ROCR_VISIBLE_DEVICES"))
    is_given = (
        shown is not None and "," not in shown
    )  # by whoever started it: its number is 0 there
    return None if is_given or cluster.local_size == 1 else cluster.local_rank


def check_own_address(cluster: Cluster, name: str, resolve: Any) -> None:
    """Warn where processes of other machines would be told an address at which they only meet themselves."""
    if cluster.size == cluster.local_size or cluster.address.startswith(("127.", "localhost:")):
        return
    try:
        own = resolve(name)
    except OSError as error:
        own = f"nothing ({error})"
    if not own.startswith("127.") and not own.startswith("nothing"):
        return
    tuning.say(
        "A machine's own name must lead to the address at which other machines reach it: processes on CPUs announce "
        "that. Received: %s leads to %s. Put the machine's address before its name in /etc/hosts; on PyTorch "
        "GLOO_SOCKET_IFNAME=eth0 does, too.",
        *(name, own),
        level="warning",
    )


def end_on_errors() -> None:
    """From now on an error that leaves the script, or a thread, ends the process, once it is printed.

    A process that only waited at its end for the others, which wait for it in the step, would wait for long.
    """
    former, of_threads = sys.excepthook, threading.excepthook

    def ends(kind: type[BaseException], error: BaseException, trace: Any) -> None:
        try:
            former(kind, error, trace)
        finally:
            _end(130 if issubclass(kind, KeyboardInterrupt) else 1)

    def ends_thread(arguments: Any) -> None:
        if arguments.exc_type is SystemExit:  # a thread that ends itself
            return
        try:
            of_threads(arguments)
        finally:
            _end(1)

    sys.excepthook, threading.excepthook = ends, ends_thread


def _end(code: int) -> None:
    supervision.end()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code)


def _agree(engine: Engine) -> None:
    """Let random numbers of the process, of which default seeds are drawn, go on as those of process 0."""
    state = json.dumps(seeding.random_state(), default=lambda array: array.tolist())
    told = np.frombuffer(state.encode(), np.uint8)
    size = int(engine.agreed(np.array(told.size, np.int32)))
    padded = np.zeros(size, np.uint8)
    padded[: told.size] = told[:size]
    agreed = np.asarray(engine.agreed(padded), np.uint8)
    seeding.set_random_state(json.loads(agreed.tobytes()))
