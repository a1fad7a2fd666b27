"""Threads that compute batches ahead of their use."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from queue import SimpleQueue
from threading import Event, Thread
from typing import Any

from ._waiting import PATIENCE, Waiting, note


class _Asked:
    """An index that threads were asked for, and its batch."""

    def __init__(self, index: int) -> None:
        self.index = index
        self.done = Event()
        self.batch: Any = None
        self.error: BaseException | None = None

    def answer(self, get: Callable[[int], Any]) -> None:
        try:
            self.batch = get(self.index)
        except BaseException as error:
            self.error = error
        self.done.set()

    def result(self, timeout: float | None) -> Any:
        if not self.done.is_set():
            waiting = Waiting(timeout)
            while not self.done.wait(waiting.next_look):
                waiting.look(self.index, "thread")
        if self.error is not None:
            note(self.error, f"Raised by a worker thread, for index {self.index}.")
            raise self.error
        return self.batch


def read_ahead(
    get: Callable[[int], Any],
    indices: Iterable[int],
    workers: int,
    ahead: int,
    timeout: float | None = None,
) -> Iterator[Any]:
    """`get(index)` in order, up to `ahead` of them computed by threads before they are asked for.

    The threads have ended when the iterator has: at its end, at an error, or when it is closed. One
    that is stuck is left behind, since no thread can be ended from outside; it keeps no process alive.

    Args:
        get: Gives the batch of an index.
        indices: The indices, in order.
        workers: How many threads.
        ahead: How many batches may wait to be used.
        timeout: Seconds to wait for a batch before that is an error; `None` for no end.
    """
    queue: SimpleQueue[_Asked | None] = SimpleQueue()
    ended = Event()

    def work() -> None:
        while (asked := queue.get()) is not None and not ended.is_set():
            asked.answer(get)

    threads = [Thread(target=work, name=f"cornu-data-{i}", daemon=True) for i in range(workers)]
    for thread in threads:
        thread.start()
    pending: deque[_Asked] = deque()
    patience = PATIENCE if timeout is None else timeout
    try:
        for index in indices:
            pending.append(_Asked(index))
            queue.put(pending[-1])
            if len(pending) >= ahead:
                yield pending.popleft().result(timeout)
        while pending:
            yield pending.popleft().result(timeout)
    except (TimeoutError, KeyboardInterrupt):
        patience = 0.0
        raise
    finally:
        ended.set()
        for _ in threads:
            queue.put(None)
        end = time.monotonic() + patience
        for thread in threads:
            thread.join(max(0.0, end - time.monotonic()))
