"""Functions that run in processes of their own, a new one each time: memory comes back, a crash is an outcome.

A server has loaded the engine and forks (`_server.py`), so that a child begins at once, with none of the threads that
an engine starts. What a child needs goes there by cloudpickle: functions of the script and lambdas too, so a script
needs no `if __name__ == "__main__"`. Large arrays go once, into files that all children map.
"""

from __future__ import annotations

import io
import os
import pickle
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import Pipe, reduction
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, Self

from .. import config, dtype_policies, engines, tuning
from ..callbacks.progress import format_bytes
from ..core import seeding
from ..core.checks import installed
from ..core.serialization import get_custom_objects
from . import _owners
from ._server import Ended, Order, seed_of

#: From how many bytes on an array goes into a file.
LARGE = 1 << 16
#: What libraries read the number of their threads from, when they are loaded.
THREADS = (
    "OMP_NUM_THREADS MKL_NUM_THREADS OPENBLAS_NUM_THREADS NUMEXPR_NUM_THREADS "
    "TF_NUM_INTRAOP_THREADS TF_NUM_INTEROP_THREADS NPROC"
).split()
_START = (
    "import sys; handle, engine, *sys.path = sys.argv[1:]; "
    "from cornu.tuner._server import serve; serve(int(handle), sys.path, engine)"
)
#: What a child is told of the settings of this process: how it is read, and how it is set.
_SETTINGS: tuple[tuple[Callable[[], Any], Callable[[Any], object]], ...] = (
    (config.floatx, config.set_floatx),
    (config.epsilon, config.set_epsilon),
    (config.image_data_format, config.set_image_data_format),
    (config.max_epochs, config.set_max_epochs),
    (config.max_steps_per_epoch, config.set_max_steps_per_epoch),
    (dtype_policies.dtype_policy, dtype_policies.set_dtype_policy),
)


@dataclass(frozen=True)
class Outcome:
    """What became of a child.

    Args:
        value: What the function returned.
        reason: What ended it otherwise, in a line; `None` where it returned.
        trace: Where that was: the traceback, also of a child that crashed or was stopped.
        error: What it raised, where that could be brought here.
        seconds: How long it took.
        memory: The most memory that it had, in bytes, with what it shares with others.
    """

    value: Any = None
    reason: str | None = None
    trace: str = ""
    error: BaseException | None = None
    seconds: float = 0.0
    memory: int = 0


def run(function: Callable[..., Any], *args: Any, **options: Any) -> Outcome:
    """Run a function in a child of its own; the options are those of `Children`.

    >>> with engines.use("numpy"):
    ...     run(lambda x: 2 * x, 21).value
    42
    """
    with Children(**options) as children:
        children.start("it", function, *args)
        done = children.wait()
    assert done is not None
    return done[1]


class Children:
    """Up to so many children at a time, each with its share of the machine.

    Args:
        jobs: How many; the processors of this process, and the GPUs, are shared among them.
        folder: Where files for them lie while they run; `None` for the system's place for such files.
        behind: Objects, by name, that stay here: what children have in their place calls their methods here.
        seconds, memory: What each may take: of time, and of memory (in bytes) of its own.

    Raises:
        ModuleNotFoundError: If cloudpickle is not installed.
        RuntimeError: If the system can't fork processes.
    """

    def __init__(
        self,
        jobs: int = 1,
        folder: str | os.PathLike[str] | None = None,
        behind: Mapping[str, Any] | None = None,
        seconds: float | None = None,
        memory: int | None = None,
    ) -> None:
        installed("cloudpickle", "Work in child processes", "tuner")
        if not hasattr(os, "fork"):
            raise RuntimeError(
                "Children are forked, which this system can't. Received: "
                f"{sys.platform=}. Work in this process: in_process=True."
            )
        self.jobs, self.seconds, self.memory = jobs, seconds, memory
        self.behind = dict(behind or {})
        self.folder = _scratch(folder)
        self._packer = _Packer(self.folder, self.behind)
        self._running: dict[str, _Child] = {}
        self._control: Connection | None = None
        self._server: subprocess.Popen[bytes] | None = None
        self._serve()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def running(self) -> list[str]:
        """The names of those that run, the oldest first."""
        return list(self._running)

    def start(
        self, key: str, function: Callable[..., Any], *args: Any, output: str | None = None
    ) -> None:
        """Start a child.

        Args:
            key: Its name.
            function: What it calls.
            *args: With what.
            output: A file that what it prints is added to; `None` for where this process prints.

        Raises:
            TypeError: If something can't be sent to it.
        """
        job = self._packer.pack((_Settings.of_here(key), function, args))
        if self._server is None or self._server.poll() is not None:
            self._serve()
        assert self._server is not None and self._control is not None
        slot = min(set(range(self.jobs)) - {child.slot for child in self._running.values()})
        ours, theirs = Pipe()
        order = Order(
            key,
            environment=_devices(slot, self.jobs),
            cores=_cores(slot, self.jobs),
            seconds=self.seconds,
            memory=self.memory,
            output=output,
            crash=str(self.folder / f"crash-{slot}.txt"),
        )
        self._running[key] = _Child(ours, slot, order, time.monotonic())
        with suppress(BrokenPipeError), theirs:  # a server that is gone is noticed while waiting
            self._control.send(order)
            reduction.send_handle(self._control, theirs.fileno(), self._server.pid)
            ours.send_bytes(job)

    def wait(self, timeout: float | None = None) -> tuple[str, Outcome] | None:
        """The next child that has ended, with its outcome; None once so many seconds have passed.

        What children ask of objects that stayed here is answered meanwhile.
        """
        end = None if timeout is None else time.monotonic() + timeout
        while self._running:
            assert self._control is not None
            left = None if end is None else max(0.0, end - time.monotonic())
            pipes = {child.pipe: child for child in self._running.values() if not child.is_closed}
            ready = wait([self._control, *pipes], left)
            for connection in ready:
                if connection is not self._control:
                    self._hear(pipes[connection])  # type: ignore[index]
            if self._control in ready and (ended := self._ended()) is not None:
                return ended
            if not ready:
                return None
        return None

    def stop(self, key: str) -> None:
        """End a child: `wait` gives its outcome."""
        if self._control is not None:
            with suppress(BrokenPipeError):
                self._control.send(key)

    def close(self) -> None:
        """End those that run, and remove their files."""
        if self._control is not None:
            self._control.close()
        if self._server is not None:
            self._server.wait()
        for child in self._running.values():
            child.pipe.close()
        self._running = {}
        shutil.rmtree(self.folder, ignore_errors=True)

    def _serve(self) -> None:
        """Start the server. It has a session of its own: Ctrl-C ends children in an order that this process chooses."""
        if self._control is not None:
            self._control.close()
        self._control, theirs = Pipe()
        engine = engines.current_name()
        environment = {**os.environ, "CORNU_BACKEND": engine}
        if self.jobs > 1:
            share = str(len(_cores(0, self.jobs) or [0]))
            environment = {**dict.fromkeys(THREADS, share), **environment}
        with theirs:
            self._server = subprocess.Popen(
                [sys.executable, "-c", _START, str(theirs.fileno()), engine, *sys.path],
                env=environment,
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )

    def _hear(self, child: _Child) -> None:
        """Answer what a child asks, or keep what it has to give."""
        try:
            kind, *told = pickle.loads(child.pipe.recv_bytes())
        except (EOFError, OSError):
            child.is_closed = True
            return
        if kind != "ask":
            child.told = (kind, *told)
            return
        name, method, args, kwargs = told
        try:
            answer = (True, getattr(self.behind[name], method)(*args, **kwargs))
        except Exception as error:
            answer = (False, error)
        with suppress(BrokenPipeError, ConnectionResetError):
            child.pipe.send_bytes(self._packer.pack(answer))

    def _ended(self) -> tuple[str, Outcome] | None:
        """Who has ended, by the server's word, or by its end."""
        assert self._control is not None
        try:
            ended: Ended = self._control.recv()
        except (EOFError, OSError):
            ended = Ended(next(iter(self._running)), -signal.SIGKILL, 0, "server")
        child = self._running.pop(ended.key)
        while not child.is_closed and child.pipe.poll():
            self._hear(child)
        child.pipe.close()
        return ended.key, child.outcome(ended)


@dataclass
class _Child:
    pipe: Connection
    slot: int
    order: Order
    since: float
    told: tuple[Any, ...] | None = None
    is_closed: bool = False

    def outcome(self, ended: Ended) -> Outcome:
        seconds = time.monotonic() - self.since
        if self.told is not None and self.told[0] == "returned":
            return Outcome(self.told[1], seconds=seconds, memory=ended.memory)
        if self.told is not None:
            _, reason, trace, error = self.told
        else:
            reason, error = self._reason(ended), None
            crash = Path(self.order.crash)
            trace = crash.read_text(errors="replace") if crash.exists() else ""
        return Outcome(None, reason, trace, error, seconds, ended.memory)

    def _reason(self, ended: Ended) -> str:
        """What ended a child that said nothing."""
        held = f"it had taken {format_bytes(ended.memory)} at most"
        if ended.limit == "seconds":
            return f"It was stopped after the {self.order.seconds:g} s that it may take."
        if ended.limit == "memory":
            may = format_bytes(self.order.memory or 0)
            return f"It was stopped because it took more memory than the {may} that it may take: {held}."
        if ended.limit == "stopped":
            return "It was stopped."
        if ended.limit == "server":
            return "It ended with the process that it came from."
        if ended.status == -signal.SIGKILL:
            return f"It was killed (exit code {ended.status}), as a system does that has no memory left: {held}."
        if ended.status < 0:
            return f"It crashed by {signal.Signals(-ended.status).name} (exit code {ended.status})."
        return f"It ended by itself before it returned (exit code {ended.status})."


@dataclass(frozen=True)
class _Settings:
    """What the process is set to, which a child is set to as well."""

    values: tuple[Any, ...]
    choices: dict[str, Any]
    registered: dict[str, Any]
    seed: int | None

    @classmethod
    def of_here(cls, key: str) -> Self:
        """Those of this process. Who was given a seed gives each child its own, the same each time."""
        seed = seeding.get_random_seed()
        objects = get_custom_objects().items()
        return cls(
            tuple(read() for read, _ in _SETTINGS),
            tuning.made(),
            {name: it for name, it in objects if getattr(it, "__module__", "") == "__main__"},
            None if seed is None else seed_of(seed, key),
        )

    def __call__(self) -> None:
        for (_, choose), value in zip(_SETTINGS, self.values, strict=True):
            choose(value)
        for name, value in self.choices.items():
            getattr(tuning, name)(value)
        get_custom_objects().update(self.registered)
        if self.seed is not None:
            seeding.set_random_seed(self.seed)


class _Packer:
    """Writes jobs: large arrays into files, once each; objects that stay here as their names."""

    def __init__(self, folder: Path, behind: Mapping[str, Any]) -> None:
        self.folder = folder
        self.names = {id(it): name for name, it in behind.items()}
        #: The files of arrays, which are held so that their ids stay theirs.
        self.files: dict[int, tuple[Any, str]] = {}

    def pack(self, content: Any) -> bytes:
        import cloudpickle

        buffer = io.BytesIO()
        pickler = cloudpickle.Pickler(buffer)
        pickler.persistent_id = self._place
        try:
            pickler.dump(content)
        except Exception as error:
            raise TypeError(
                "What a child runs is sent to it by pickling. Received: something that can't be: "
                f"{error}. Make it within the function that runs there, or work in this process: in_process=True."
            ) from error
        return buffer.getvalue()

    def _place(self, it: Any) -> tuple[str, str] | None:
        import numpy as np

        if id(it) in self.names:
            return "behind", self.names[id(it)]
        if type(it) is not np.ndarray or it.nbytes < LARGE or it.dtype.hasobject:
            return None
        if id(it) not in self.files:
            path = str(self.folder / f"{len(self.files)}.npy")
            np.save(path, it)
            self.files[id(it)] = (it, path)
        return "array", self.files[id(it)][1]


def _scratch(folder: str | os.PathLike[str] | None) -> Path:
    """A folder of this process's own, those of processes that were killed being removed."""
    place = Path(folder or tempfile.gettempdir())
    place.mkdir(parents=True, exist_ok=True)
    for other in place.glob("children-*"):
        if _owners.is_dead(other.name.removeprefix("children-").rpartition("-")[0]):
            shutil.rmtree(other, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=f"children-{_owners.me()}-", dir=place))


def _cores(slot: int, jobs: int) -> list[int] | None:
    """The processors of one of so many children; None for all."""
    if jobs == 1 or not hasattr(os, "sched_getaffinity"):
        return None
    every = sorted(os.sched_getaffinity(0))
    share = max(1, len(every) // jobs)
    return [every[(slot * share + i) % len(every)] for i in range(share)]


def _devices(slot: int, jobs: int) -> dict[str, str]:
    """What tells one of so many children its GPU, where there are any."""
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    found = [path.name.removeprefix("nvidia") for path in Path("/dev").glob("nvidia[0-9]*")]
    gpus = sorted(found) if given is None else [x for x in given.split(",") if x]
    if jobs == 1 or not gpus:
        return {}
    sharing = -(-jobs // len(gpus))
    alone = {} if sharing == 1 else {"XLA_PYTHON_CLIENT_MEM_FRACTION": f"{0.75 / sharing:.3f}"}
    return {"CUDA_VISIBLE_DEVICES": gpus[slot % len(gpus)], **alone}
