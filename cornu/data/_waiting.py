"""How long is waited for what workers compute."""

from __future__ import annotations

import math
import time

from .. import tuning

#: Seconds without a batch after which the log names the index that is waited for.
PATIENCE = 60.0


class Waiting:
    """Waiting for an index: the log names it once, and after the time limit it is an error.

    Args:
        timeout: Seconds after which a worker is stuck; `None` for never.
        least: Seconds that it has in any case.
    """

    def __init__(self, timeout: float | None, least: float = 0.0) -> None:
        self.timeout = timeout
        self.limit = math.inf if timeout is None else max(timeout, least)
        self.started = time.monotonic()
        self.told = False

    @property
    def next_look(self) -> float:
        """Seconds to wait before the next look."""
        return 0.1 if self.timeout else 1.0

    def look(self, index: int | None, kind: str) -> None:
        """See how long it has taken.

        Args:
            index: The index that is waited for.
            kind: What computes it: a `"thread"` or a `"process"`.

        Raises:
            TimeoutError: If the worker is stuck.
        """
        waited = time.monotonic() - self.started
        if not self.told and waited > min(PATIENCE, self.limit / 2):
            self.told = True
            tuning.say("waiting for index %s of a dataset: %.0f s", index, waited, level="warning")
        if waited > self.limit:
            raise TimeoutError(
                "A batch of a dataset must be there before its `timeout`. Received: "
                f"timeout={self.timeout}, and none from the {kind} that has index {index}. Look at "
                "what `__getitem__` waits for there, or give it more time."
            )


def note(error: BaseException, text: str) -> None:
    """Add a note to an error, once: a batch may be asked for again."""
    if text not in getattr(error, "__notes__", ()):
        error.add_note(text)
