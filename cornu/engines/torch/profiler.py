"""Where the time of a step goes on PyTorch: its kernels, by PyTorch's own profiler.

A recorded step calls the kernels of the step as it is, without Python between them. So its time is taken as
it runs in training, and its kernels as the step runs unrecorded, where they are known by layer: what is called
on the way back has the number of what it is the gradient of.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from contextvars import ContextVar
from typing import Any

import torch
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, record_function

from ..profiles import Kernel, Profile, innermost, timed

_REMARK = "The step's time is that of training; kernels were timed by PyTorch's profiler as the step runs unrecorded."
_ON_GPU = "What runs on a GPU counts with the time in which it was launched."
_OPS = ("aten::", "mkldnn::", "cudnn::", "prims::")
_profiling: ContextVar[bool] = ContextVar("profiling", default=False)


def scope(name: str) -> Any:
    """What is called within carries a name; only while kernels are timed, so that recordings have none."""
    return record_function(name) if _profiling.get() else nullcontext()


def profile(step: Callable[[], Any], unrecorded: Callable[[], Any], times: int) -> Profile:
    """Profile a step that was never called."""
    first, seconds = timed(step, times)
    before = _profiling.set(True)
    try:
        unrecorded()
        with torch.profiler.profile(activities=[ProfilerActivity.CPU]) as profiler:
            for _ in range(times):
                unrecorded()
    finally:
        _profiling.reset(before)
    remark = f"{_REMARK} {_ON_GPU}" if torch.cuda.is_available() else _REMARK
    return Profile(first, seconds, list(_kernels(profiler.events())), times, remark)


def _kernels(events: Any) -> Iterator[Kernel]:
    called = [event for event in events if event.device_type == DeviceType.CPU]
    made_in: dict[int, str] = {}
    for event in called:
        scope, node = _place(event)
        if scope and node is None and event.sequence_nr >= 0:
            made_in[event.sequence_nr] = scope
    for event in called:
        if not event.name.startswith(_OPS):
            continue
        scope, node = _place(event)
        yield Kernel(
            name=event.name,
            scope=scope if node is None else made_in.get(node.sequence_nr, ""),
            backward=node is not None,
            start=event.time_range.start,
            duration=event.time_range.elapsed_us(),
            lane=f"thread {event.thread}",
        )


def _place(event: Any) -> tuple[str, Any]:
    """The innermost scope around a call, and the node of autograd that it is a part of."""
    scope, node = "", None
    while event is not None:
        scope = scope or innermost(event.name)
        if event.name.startswith("autograd::engine::evaluate_function"):
            node = event
        event = event.cpu_parent
    return scope, node
