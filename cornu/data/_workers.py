"""Processes that compute the batches of a dataset ahead of their use.

Each has a pipe of its own, so it is known which index one had that ended or is stuck, and one that is
killed holds no lock that others wait for; `concurrent.futures` can do neither. They are spawned:
engines have threads, which a fork would leave in the middle of what they do. Arrays come back in
shared memory, ten times as fast as through a pipe; the caller alone creates and removes it, so
none is left behind whoever dies.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import sys
import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ._waiting import PATIENCE, Waiting, note

if TYPE_CHECKING:
    from multiprocessing.shared_memory import SharedMemory

#: Batches of fewer bytes come through the pipe; and shared memory is a multiple of it.
SMALL = 1 << 16
#: The most indices a process is asked for ahead: what a pipe holds while neither side reads it.
MOST_ASKED = 64


@dataclass(eq=False)
class _Asked:
    """An index that a process was asked for."""

    index: int
    worker: _Worker
    memory: SharedMemory | None
    done: bool = False
    batch: Any = None
    error: BaseException | None = None


@dataclass(eq=False)
class _Worker:
    process: Any
    pipe: Any
    #: What it has not answered, the oldest first: that it is at.
    asked: deque[_Asked] = field(default_factory=deque)
    #: Whether it has imported what it needs.
    started: bool = False


class Workers:
    """Processes that have a dataset.

    Args:
        count: How many.
        timeout: After how many seconds of waiting for one of them it is stuck; `None` for never.
    """

    def __init__(self, count: int, timeout: float | None = None) -> None:
        from multiprocessing import get_context

        self.timeout = timeout
        self._sent: int | None = None
        self._largest = 0
        self._free: list[SharedMemory] = []
        self._memories: list[SharedMemory] = []
        self._workers: list[_Worker] = []
        context = get_context("spawn")
        try:
            for i in range(count):
                pipe, theirs = context.Pipe()
                process = context.Process(
                    target=_work, args=(theirs,), name=f"cornu-data-{i}", daemon=True
                )
                self._workers.append(_Worker(process, pipe))
                process.start()
                theirs.close()
        except BaseException:
            self.close()
            raise

    def read(self, dataset: Any, indices: Iterable[int], ahead: int) -> Iterator[Any]:
        """`dataset[index]` in order, up to `ahead` of them computed before they are asked for.

        The processes end with it, unless it comes to its end: then they wait for the next pass.
        """
        ahead = min(ahead, MOST_ASKED * len(self._workers))
        order: deque[_Asked] = deque()
        try:
            self._send(dataset)
            for index in indices:
                order.append(self._ask(index))
                if len(order) >= ahead:
                    yield self._batch(order.popleft())
            while order:
                yield self._batch(order.popleft())
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End the processes, at once where one is busy, and give back what memory they had."""
        workers, self._workers = self._workers, []
        for worker in workers:
            worker.pipe.close()  # one that is idle ends by that
            if worker.asked and worker.process.pid is not None:
                worker.process.kill()
        end = time.monotonic() + 2.0
        for worker in workers:
            if worker.process.pid is None:
                continue
            worker.process.join(max(0.0, end - time.monotonic()))
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()
            worker.process.close()
        for memory in list(self._memories):
            self._remove(memory)
        self._free.clear()

    def _send(self, dataset: Any) -> None:
        """Give the processes the dataset, if it is not as they have it."""
        try:
            pickled = pickle.dumps(dataset, protocol=5)
        except Exception as error:
            raise TypeError(
                "A dataset goes to worker processes pickled. Received: "
                f"{type(dataset).__name__}, of which a part can't be. Define its class in a module, open "
                "files and connections in `__getitem__`, or let threads do: `use_multiprocessing=False`."
            ) from error
        if hash(pickled) == self._sent:
            return
        self._sent = hash(pickled)
        for worker in self._workers:
            try:
                worker.pipe.send(None)
                worker.pipe.send_bytes(pickled)
            except OSError:
                raise self._died(worker) from None

    def _ask(self, index: int) -> _Asked:
        worker = min(self._workers, key=lambda worker: len(worker.asked))
        asked = _Asked(index, worker, self._lend())
        worker.asked.append(asked)
        try:
            worker.pipe.send((index, asked.memory and asked.memory.name))
        except OSError:
            while True:  # what it did before it ended, and then its end
                self._receive(0)
        return asked

    def _batch(self, asked: _Asked) -> Any:
        """The batch of that index, when it has come."""
        worker, seen, waiting = asked.worker, None, Waiting(self.timeout)
        self._receive(0)
        while not asked.done:
            if seen != (worker.started, len(worker.asked)):  # it did something
                seen = worker.started, len(worker.asked)
                waiting = Waiting(self.timeout, 0.0 if worker.started else PATIENCE)
            self._receive(waiting.next_look)
            if not asked.done and seen == (worker.started, len(worker.asked)):
                waiting.look(_at(worker), "process")
        if asked.error is not None:
            note(asked.error, f"Raised by a worker process, for index {asked.index}.")
            raise asked.error
        return asked.batch

    def _receive(self, seconds: float) -> None:
        """Take what the processes have ready, waiting so long for the first of it."""
        from multiprocessing.connection import wait

        busy = {worker.pipe: worker for worker in self._workers if worker.asked}
        # Its pipe may outlive it, in a process that it made.
        busy |= {worker.process.sentinel: worker for worker in busy.values()}
        for worker in {busy[ready] for ready in wait(busy, seconds)}:
            try:
                if not worker.pipe.poll():
                    raise EOFError
                message = worker.pipe.recv()
                if message is None:
                    worker.started = True
                    continue
                failed, pickled, sizes, shared = message
                asked = worker.asked[0]
                parts = _parts(asked.memory, sizes) if shared else None
                parts = parts or [bytearray(worker.pipe.recv_bytes()) for _ in sizes]
            except (EOFError, OSError):
                raise self._died(worker) from None
            worker.asked.popleft()
            result = pickle.loads(pickled, buffers=parts)
            asked.error, asked.batch = (result, None) if failed else (None, result)
            asked.done = True
            self._largest = max(self._largest, sum(sizes))
            if asked.memory is not None:
                self._free.append(asked.memory)

    def _lend(self) -> SharedMemory | None:
        """Memory for the largest batch so far; none where batches are small, or memory is full."""
        size = -(-self._largest // SMALL) * SMALL
        while self._free:
            memory = self._free.pop()
            if memory.size >= size:
                return memory
            self._remove(memory)
        if size > SMALL:
            with contextlib.suppress(OSError):
                self._memories.append(_memory(size))
                return self._memories[-1]
        return None

    def _remove(self, memory: SharedMemory) -> None:
        self._memories.remove(memory)
        memory.close()
        memory.unlink()

    def _died(self, worker: _Worker) -> RuntimeError:
        worker.process.join(2.0)
        code = worker.process.exitcode
        how = f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
        return RuntimeError(
            "A dataset's worker process must live as long as it is read. Received: one that ended with "
            f"{how} at index {_at(worker)}. Look at what `__getitem__` does there and at the memory that is "
            'left; in a script, train under `if __name__ == "__main__":`, since a process reads it anew.'
        )


def _at(worker: _Worker) -> int | None:
    return worker.asked[0].index if worker.asked else None


def _memory(size: int) -> SharedMemory:
    """Shared memory of which every byte is there.

    Raises:
        OSError: If there is no room for it.
    """
    from multiprocessing.shared_memory import SharedMemory

    memory = SharedMemory(create=True, size=size)
    if sys.platform == "linux":  # where writing more than there is room for ends the process
        try:
            with open(f"/dev/shm/{memory.name}", "r+b") as file:
                os.posix_fallocate(file.fileno(), 0, size)
        except OSError:
            memory.close()
            memory.unlink()
            raise
    return memory


def _parts(memory: Any, sizes: list[int]) -> list[bytearray]:
    """Copies of the buffers that lie in memory, one after the other."""
    parts, start = [], 0
    for size in sizes:
        parts.append(bytearray(memory.buf[start : start + size]))
        start += size
    return parts


# ---------------------------------------------------------------------------------- in the process


def _work(pipe: Any) -> None:
    """Answer what the pipe asks for, until it is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the caller ends it
    dataset, sent = None, None
    memories: dict[str, Any] = {}
    with contextlib.suppress(EOFError, OSError):
        pipe.send(None)
        while True:
            message = pipe.recv()
            if message is None:
                sent = pipe.recv_bytes()
                continue
            index, name = message
            buffers: list[pickle.PickleBuffer] = []
            failed = False
            try:
                if sent is not None:
                    dataset, sent = pickle.loads(sent), None
                batch = dataset[index]  # type: ignore[index]
                pickled = pickle.dumps(batch, protocol=5, buffer_callback=buffers.append)
            except Exception as error:
                error.__traceback__ = (
                    error.__traceback__ and error.__traceback__.tb_next
                )  # the user's
                failed, pickled = True, _pickled_error(error)
                buffers.clear()
            raw = [buffer.raw() for buffer in buffers]
            sizes = [part.nbytes for part in raw]
            memory: Any = _opened(memories, name) if name else None
            shared = memory is not None and sum(sizes) <= memory.size
            if shared:
                start = 0
                for part in raw:
                    memory.buf[start : start + part.nbytes] = part
                    start += part.nbytes
            pipe.send((failed, pickled, sizes, shared))
            for part in [] if shared else raw:
                pipe.send_bytes(part)


def _opened(memories: dict[str, Any], name: str) -> Any:
    from multiprocessing.shared_memory import SharedMemory

    if name not in memories:
        opened = SharedMemory(name=name)
        for smaller in [key for key, held in memories.items() if held.size < opened.size]:
            memories.pop(smaller).close()  # the caller has removed it, or soon will
        memories[name] = opened
    return memories[name]


def _pickled_error(error: Exception) -> bytes:
    """An error whose cause, when it is read, is its traceback here."""
    from multiprocessing.pool import ExceptionWithTraceback  # type: ignore[attr-defined]

    try:
        pickled = pickle.dumps(ExceptionWithTraceback(error, error.__traceback__))
        pickle.loads(pickled)
    except Exception:
        told = RuntimeError(f"{type(error).__name__}: {error}")
        pickled = pickle.dumps(ExceptionWithTraceback(told, error.__traceback__))
    return pickled
