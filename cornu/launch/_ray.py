"""Processes on a cluster of Ray: an actor each, which runs the script beside an agent.

So an engine's devices are those of a process that ends with the script, whatever the actor is.
"""

from __future__ import annotations

import os
import shlex
import socket
import subprocess
import sys
import threading
from pathlib import Path

from ..core.checks import installed
from ..distribution.ports import MEETING_PORT
from ._job import Ended, Job, LaunchError, Line, Tell, Told, carried
from ._lines import Lines
from ._processes import said

#: Seconds to wait for room on the cluster.
_PATIENCE = 300.0


class Worker:
    """What runs on a node: the agent of one process."""

    def place(self) -> tuple[str, str, int]:
        """Its address, its name, and a free port."""
        import ray

        with socket.socket() as free:
            free.bind(("", 0))
            port = free.getsockname()[1]
        return ray.util.get_node_ip_address(), socket.gethostname(), port

    def start(self, source: str, first: bytes) -> None:
        """Start the agent, from its text, and tell it the first line."""
        self.agent = subprocess.Popen(
            [sys.executable, "-S", "-c", source],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            bufsize=0,
        )
        assert self.agent.stdin is not None
        self.agent.stdin.write(first)

    def read(self) -> bytes | int:
        """What was written since the last call, once there is something; the exit code at the end."""
        assert self.agent.stdout is not None
        return self.agent.stdout.read(65_536) or self.agent.wait()

    def signal(self, number: int) -> None:
        """Send a signal to the process and what it has started."""
        assert self.agent.stdin is not None
        if self.agent.poll() is None:
            self.agent.stdin.write(b"%d\n" % number)


def start_on_ray(job: Job, tell: Tell) -> Actors:
    """Start the processes of a job on the cluster that `RAY_ADDRESS` names, or this machine belongs to.

    Raises:
        ModuleNotFoundError: If Ray is not installed.
        LaunchError: If there is no cluster, or no room on it.
    """
    installed("ray", "Starting processes on Ray", "ray")
    import ray

    if not ray.is_initialized():
        try:
            ray.init(address=os.environ.get("RAY_ADDRESS", "auto"), log_to_driver=False)
        except (ConnectionError, RuntimeError) as error:
            raise LaunchError(
                "Processes are started on a cluster of Ray that is there. Received: "
                f"{error}. Start one (`ray start --head`), or set RAY_ADDRESS."
            ) from error
    return Actors(job, tell)


class Actors:
    """Actors that were started, as `_job.Started`."""

    def __init__(self, job: Job, tell: Tell) -> None:
        import ray
        from ray.util.placement_group import placement_group
        from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

        count = job.workers or len([node for node in ray.nodes() if node["Alive"]])
        bundle = {"CPU": 1.0, **({"GPU": float(job.gpus)} if job.gpus else {})}
        self._group = placement_group([bundle] * count, strategy="SPREAD")
        try:
            ray.get(self._group.ready(), timeout=_PATIENCE)
        except ray.exceptions.GetTimeoutError:
            self.close()
            raise LaunchError(
                f"A cluster has room for all processes at once. Received: {count} of {bundle}; it has "
                f"{ray.cluster_resources()}. Start fewer, or wait."
            ) from None
        worker = ray.remote(num_cpus=1, num_gpus=job.gpus, max_concurrency=4)(Worker)
        where = [PlacementGroupSchedulingStrategy(self._group, x) for x in range(count)]
        actors = [worker.options(scheduling_strategy=strategy).remote() for strategy in where]
        found = zip(ray.get([actor.place.remote() for actor in actors]), actors, strict=True)
        placed = sorted(found, key=lambda pair: pair[0][0])  # those of a node have numbers in a row
        self.places = [host for (_, host, _), _ in placed]
        self._actors = [actor for _, actor in placed]
        self._tell = tell
        self._start(job, [address for (address, _, _), _ in placed], placed[0][0][2])

    def _start(self, job: Job, addresses: list[str], port: int) -> None:
        import ray

        source = Path(__file__).with_name("_agent.py").read_text()
        command = (job.python or "PYTHON", *job.command)
        starts = []
        for rank, actor in enumerate(self._actors):
            variables = job.ranked(rank, addresses, addresses[0], port or MEETING_PORT)
            row = (self.places[rank], command, {**carried(os.environ), **variables})
            starts.append(actor.start.remote(source, said(job, row, os.getcwd())))
        ray.get(starts)
        for rank in range(len(self._actors)):
            threading.Thread(target=self._read, args=(rank,), daemon=True).start()

    def _read(self, rank: int) -> None:
        """Tell what a process writes, and its code."""
        import ray

        lines = Lines(
            lambda text: self._tell(Line(rank, text)),
            lambda kind, text: self._tell(Told(rank, kind, text)),
        )
        try:
            while not isinstance(piece := ray.get(self._actors[rank].read.remote()), int):
                lines.add(piece)
        except ray.exceptions.RayError as error:  # the actor is gone, or its node
            lines.add(f"{str(error).splitlines()[0]}\n".encode())
            piece = 137
        lines.end()
        self._tell(Ended(rank, piece if piece >= 0 else 128 - piece))

    def signal(self, number: int, rank: int | None = None) -> None:
        """Send a signal to a process and what it has started; to all without a rank."""
        for actor in self._actors if rank is None else [self._actors[rank]]:
            actor.signal.remote(number)  # nobody waits for one that is gone

    def close(self) -> None:
        """Give the places back."""
        from ray.util.placement_group import remove_placement_group

        remove_placement_group(self._group)


def shown_on_ray(job: Job) -> str:
    """What would be asked of the cluster."""
    count = "one a node" if job.workers is None else str(job.workers)
    gpus = f", {job.gpus} GPU" if job.gpus else ""
    where = os.environ.get("RAY_ADDRESS", "auto")
    return f"Actors: {count}, of 1 CPU{gpus}, on the cluster {where}: {shlex.join(job.command)}"
