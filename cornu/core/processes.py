"""Several processes that compute together: each runs the same program, and one decides or writes for all.

What the clock, a file or a signal says to one of them is agreed upon before the next step follows from it: else they
would compute different things, and wait for each other for ever.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from ..engines import active


def count() -> int:
    """How many processes compute together."""
    engine = active()
    return 1 if engine is None else engine.processes


def rank() -> int:
    """The number of this one."""
    engine = active()
    return 0 if engine is None else engine.rank


def is_first() -> bool:
    """Whether this is number 0, which writes for all."""
    return rank() == 0


def decided(value: Any) -> Any:
    """A number of process 0's, for all."""
    engine = active()
    return value if count() == 1 or engine is None else engine.agreed(np.asarray(value)).item()


def asked_by_any(value: bool) -> bool:
    """Whether a thing holds in one of the processes, for all."""
    engine = active()
    if count() == 1 or engine is None:
        return value
    return bool(engine.of_all(np.asarray(value, "uint8")).any())


def wait() -> None:
    """Wait for all."""
    engine = active()
    if engine is not None:
        engine.barrier()


@contextmanager
def discarded(path: str | os.PathLike[str]) -> Iterator[str]:
    """A path of the same name that is gone at the end, for a process that makes along what another one writes."""
    with TemporaryDirectory(prefix="cornu-") as folder:
        yield os.path.join(folder, os.path.basename(os.path.abspath(path)))
