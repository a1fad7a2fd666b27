"""What a library's profiler tells of steps: kernels, and in which part of the program they were called."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

#: The scope of kernels whose origin the library has lost.
UNKNOWN = "?"


class Kernel(NamedTuple):
    """Something that ran.

    Attributes:
        name: Its name in the library.
        scope: The innermost `Engine.scope` in which it was called, or traced; empty outside of them, `UNKNOWN`
            where that is lost.
        backward: Whether it is of the way back.
        start, duration: In microseconds.
        lane: The thread or stream that it ran on.
    """

    name: str
    scope: str
    backward: bool
    start: float
    duration: float
    lane: str


class Profile(NamedTuple):
    """What a profiler saw.

    Attributes:
        first: The seconds of the first step, which compiles.
        seconds: Those of each step after it, as they run in training.
        kernels: What ran in `steps` further steps.
        steps: How many those were.
        remark: How kernels were timed.
        is_trained: Whether those steps ran as in training.
    """

    first: float
    seconds: list[float]
    kernels: list[Kernel]
    steps: int
    remark: str
    is_trained: bool = False


def timed(step: Callable[[], Any], times: int) -> tuple[float, list[float]]:
    """The seconds of a first call, and of so many after it."""
    seconds = []
    for _ in range(times + 1):
        start = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - start)
    return seconds[0], seconds[1:]


def in_lanes(kernels: Sequence[Kernel]) -> list[list[Kernel]]:
    """The kernels of each lane in order, each within or after the one before; others are put beside them."""
    lanes: dict[str, list[Kernel]] = {}
    ends: dict[str, list[float]] = {}
    for kernel in sorted(kernels, key=lambda kernel: (kernel.start, -kernel.duration)):
        lane, end = kernel.lane, kernel.start + kernel.duration
        while not _fits(around := ends.setdefault(lane, []), kernel.start, end):
            lane += "'"
        around.append(end)
        lanes.setdefault(lane, []).append(kernel._replace(lane=lane))
    return list(lanes.values())


def _fits(around: list[float], start: float, end: float) -> bool:
    """Whether something lies within what is around it, of which what has ended is taken off."""
    while around and around[-1] <= start:
        around.pop()
    return not around or end <= around[-1]


def own_times(kernels: Sequence[Kernel]) -> Iterator[tuple[Kernel, float]]:
    """Kernels with the microseconds that are their own: without those of kernels within them, as in a loop."""
    for lane in in_lanes(kernels):
        own: list[float] = []
        around: list[tuple[float, int]] = []  # ends, and places
        for place, kernel in enumerate(lane):
            while around and around[-1][0] <= kernel.start:
                around.pop()
            own.append(kernel.duration)
            if around:
                own[around[-1][1]] -= kernel.duration
            around.append((kernel.start + kernel.duration, place))
        yield from zip(lane, own, strict=True)


def busy(kernels: Sequence[Kernel]) -> float:
    """The microseconds in which some kernel runs."""
    total, until = 0.0, -math.inf
    for kernel in sorted(kernels, key=lambda kernel: kernel.start):
        end = kernel.start + kernel.duration
        total += max(0.0, end - max(until, kernel.start))
        until = max(until, end)
    return total


#: How scopes are called, so that they are found in the names that libraries make of them.
SCOPE = "cornu:{}"
_FOUND = re.compile(r"cornu:(\d+)")


def innermost(names: str) -> str:
    """The number of the innermost scope in a name that a library made; empty where there is none."""
    found = _FOUND.findall(names)
    return found[-1] if found else ""
