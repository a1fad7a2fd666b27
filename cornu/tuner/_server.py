"""The process that trials come from: it has loaded the engine, touched no device, and forks.

`_children.py` starts it, tells it over a connection what to run, and hears from it what ended. A child speaks with who
asked for it over a connection of its own. Nobody outlives who they work for: the server ends when the connection does,
and the system ends a child whose server is gone.
"""

from __future__ import annotations

import ctypes
import faulthandler
import io
import os
import pickle
import random
import signal
import sys
import threading
import time
import traceback
import zlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing import reduction
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, NoReturn

#: Seconds between two looks at the clock and at memory, while a child has a limit.
TURN = 0.2
#: Seconds that a child has to write where it hangs, and that processes of its own have to clean up after it.
_LAST_WORDS, _LEAVING = 0.3, 2.0
_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG


@dataclass
class Order:
    """What the server is told of a child.

    Args:
        key: Its name.
        environment: Variables that it has beside the server's.
        cores: The processors that it runs on; `None` for all.
        seconds, memory: What it may take: of time, and of memory in bytes.
        output: The file that its output goes to; `None` for that of the server.
        crash: The file that the system's last words go to: where it was when it crashed, or was stopped.
    """

    key: str
    environment: dict[str, str] = field(default_factory=dict)
    cores: list[int] | None = None
    seconds: float | None = None
    memory: int | None = None
    output: str | None = None
    crash: str = os.devnull


@dataclass
class Ended:
    """What the server tells of a child: its exit code, its peak of memory in bytes, and the limit it was ended for."""

    key: str
    status: int
    memory: int
    limit: str | None


@dataclass
class _Running:
    order: Order
    since: float
    limit: str | None = None


def serve(handle: int, paths: list[str], engine: str) -> None:
    """Load an engine, and run children until the connection ends."""
    _end_with_parent()
    sys.path[:] = paths
    with suppress(Exception):  # the child that needs it says it, at the same place
        from cornu import engines, layers, models, saving, training, tuning  # noqa: F401

        tuning.for_speed()
        tuning.quiet_import.prefer(True)
        engines.get(engine)
    _Server(Connection(handle)).run()


class _Server:
    def __init__(self, control: Connection) -> None:
        self.control = control
        self.running: dict[int, _Running] = {}
        #: Groups of processes whose first has ended, and since when.
        self.leaving: dict[int, float] = {}
        self.woken, self.waker = os.pipe()
        for end in (self.woken, self.waker):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(self.waker, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)

    def run(self) -> None:
        try:
            while True:
                limited = any(r.order.seconds or r.order.memory for r in self.running.values())
                ready = wait([self.control, self.woken], TURN if limited or self.leaving else None)
                if self.woken in ready:
                    os.read(self.woken, 4096)
                if self.control in ready:
                    self.obey(self.control.recv())
                self.limit()
                self.reap()
        except (EOFError, BrokenPipeError, ConnectionResetError):
            pass  # nobody wants to know any more
        finally:
            for pid in (*self.running, *self.leaving):
                _signal_group(pid, signal.SIGKILL)

    def obey(self, order: Order | str) -> None:
        if isinstance(order, str):
            for pid, running in self.running.items():
                if running.order.key == order:
                    self.end(pid, "stopped")
            return
        handle = reduction.recv_handle(self.control)
        server, pid = os.getpid(), os.fork()
        if pid == 0:
            self.control.close()
            _child(Connection(handle), order, server)
        os.close(handle)
        self.running[pid] = _Running(order, time.monotonic())

    def limit(self) -> None:
        """End who has taken more time or memory than it may."""
        for pid, running in self.running.items():
            order = running.order
            if running.limit is not None:
                continue
            if order.seconds is not None and time.monotonic() - running.since > order.seconds:
                self.end(pid, "seconds")
            elif order.memory is not None and _own_memory(pid) > order.memory:
                self.end(pid, "memory")

    def end(self, pid: int, limit: str) -> None:
        self.running[pid].limit = limit
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGUSR1)  # `faulthandler` writes where it is
            time.sleep(_LAST_WORDS)
            os.kill(pid, signal.SIGKILL)

    def reap(self) -> None:
        """Tell of those that have ended, and end what they left behind: first by asking, for trackers of shared
        memory give it back then."""
        while self.running:
            pid, status, usage = os.wait4(-1, os.WNOHANG)
            if pid == 0:
                break
            running = self.running.pop(pid, None)
            if running is None:
                continue
            _signal_group(pid, signal.SIGTERM)
            self.leaving[pid] = time.monotonic()
            code = os.waitstatus_to_exitcode(status)
            unit = 1 if sys.platform == "darwin" else 1024
            memory = usage.ru_maxrss * unit
            self.control.send(Ended(running.order.key, code, memory, running.limit))
        for pid, since in list(self.leaving.items()):
            if not _signal_group(pid, 0):
                del self.leaving[pid]
            elif time.monotonic() - since > _LEAVING:
                _signal_group(pid, signal.SIGKILL)


def _child(pipe: Connection, order: Order, server: int) -> NoReturn:
    """Run what comes through the pipe, in this process, and end it."""
    code = 1
    try:
        os.setsid()
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        _end_with_parent()
        if os.getppid() != server:
            os._exit(1)
        _settle(order)
        _Caller.pipe = pipe
        code = _answer(pipe)
    except BaseException:
        traceback.print_exc()
    finally:
        with suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _settle(order: Order) -> None:
    """Have what a child is given: variables, processors, a file for its output, random numbers of its own."""
    os.environ.update(order.environment)
    with suppress(AttributeError, OSError):  # other systems give processes no processors
        os.sched_setaffinity(0, order.cores or os.sched_getaffinity(0))
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(
            "500"
        )  # without memory, a trial shall end, not the search
    if order.output is not None:
        file = open(order.output, "ab")  # noqa: SIM115  (the process's own from here on)
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
    crash = open(order.crash, "wb")  # noqa: SIM115
    faulthandler.enable(crash)
    faulthandler.register(signal.SIGUSR1, crash)
    random.seed()
    if "numpy.random" in sys.modules:
        sys.modules["numpy"].random.seed()


def _answer(pipe: Connection) -> int:
    """Run a job and send what it gives: 0 where that is a value."""
    try:
        settings, function, arguments = Unpickler(io.BytesIO(pipe.recv_bytes())).load()
        settings()
        pipe.send_bytes(_dumps(("returned", function(*arguments))))
        return 0
    except BaseException as error:
        text = "".join(traceback.format_exception(error))
        line = traceback.format_exception_only(error)[-1].strip()
        try:
            told = _dumps(("raised", line, text, error))
            pickle.loads(told)
        except Exception:  # errors with arguments of their own often can't be read back
            told = _dumps(("raised", line, text, None))
        pipe.send_bytes(told)
        return 1


def _dumps(value: Any) -> bytes:
    import cloudpickle

    content: bytes = cloudpickle.dumps(value)
    return content


class Unpickler(pickle.Unpickler):
    """Reads a job: arrays lie in files, and who stays behind answers over the pipe."""

    def persistent_load(self, pid: Any) -> Any:
        import numpy as np

        kind, name = pid
        if kind == "array":  # copied where it is written to, and only that
            return np.asarray(np.load(name, mmap_mode="c"))
        return Behind(name)


class Behind:
    """An object that stayed with the process that started this one: its methods run there."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def __reduce__(self) -> tuple[Any, ...]:
        return Behind, (self._name,)

    def __getattr__(self, method: str) -> Callable[..., Any]:
        if method.startswith("__"):
            raise AttributeError(method)
        return lambda *args, **kwargs: _Caller.ask(self._name, method, args, kwargs)


class _Caller:
    """Calls over the pipe, one at a time."""

    pipe: Connection | None = None
    lock = threading.Lock()

    @classmethod
    def ask(cls, name: str, method: str, args: Any, kwargs: Any) -> Any:
        assert cls.pipe is not None, "This runs in a child."
        with cls.lock:
            cls.pipe.send_bytes(_dumps(("ask", name, method, args, kwargs)))
            returned, answer = pickle.loads(cls.pipe.recv_bytes())
        if not returned:
            raise answer
        return answer


def seed_of(seed: int, key: str) -> int:
    """The seed that a child has of a process with a seed: its own, and the same each time."""
    return (seed + zlib.crc32(key.encode())) % 2**32


def _end_with_parent() -> None:
    """Have the system end this process when its parent ends, where it can (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)


def _signal_group(pid: int, number: int) -> bool:
    """Signal all processes of a child's; whether there are any."""
    try:
        os.killpg(pid, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _own_memory(pid: int) -> int:
    """The memory that a process shares with no other, in bytes; 0 where the system doesn't say."""
    with suppress(OSError), open(f"/proc/{pid}/smaps_rollup") as file:
        rows = (line.split() for line in file if line.startswith("Private_Dirty:"))
        return sum(int(row[1]) for row in rows) * 1024
    return 0
