"""Where the time of a step goes on JAX: the kernels of the compiled program, by XLA's own profiler.

XLA gives each of its kernels the name of the operation that it came from, in which `jax.named_scope` says the
layer. A kernel made of several operations has the name of the last one.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
from jax.profiler import ProfileData

from ..profiles import UNKNOWN, Kernel, Profile, innermost, timed

_REMARK = (
    "Kernels of the compiled step, by XLA's profiler. One that XLA made of several layers counts for the "
    "last of them."
)
_INSTRUCTION = re.compile(r"^\s*(?:ROOT )?%?([\w.\-]+) = (.*)$", re.MULTILINE)
_BLOCK = re.compile(r"^%?([\w.\-]+) \(.*\{\n(.*?)^\}", re.MULTILINE | re.DOTALL)


def profile(step: Callable[[], Any], times: int) -> Profile:
    """Profile a step that was never called."""
    known = _programs()
    first, seconds = timed(step, times)
    names = {
        name: operation
        for program in _programs()
        if program not in known
        for name, operation in _named(program)
    }
    with tempfile.TemporaryDirectory() as folder:
        options = jax.profiler.ProfileOptions()
        options.python_tracer_level = 0
        with jax.profiler.trace(folder, profiler_options=options):
            for _ in range(times):
                step()
        (file,) = Path(folder).rglob("*.xplane.pb")
        kernels = list(_kernels(ProfileData.from_file(str(file)), names))
    return Profile(first, seconds, kernels, times, _REMARK, is_trained=True)


def _programs() -> set[str]:
    """The programs that were compiled, as text."""
    executables = jax.devices()[0].client.live_executables()
    return {module.to_string() for one in executables for module in one.hlo_modules()}


def _named(program: str) -> Iterator[tuple[str, str]]:
    """The operation that each kernel came from; of one without a name, a named one that it is made of."""
    blocks = dict(_BLOCK.findall(program))
    for name, text in _INSTRUCTION.findall(program):
        called = re.search(r"calls=%?([\w.\-]+)", text)
        inside = blocks.get(called[1], "") if called else ""
        found = re.search(r'op_name="([^"]*)"', text) or re.search(
            r'op_name="([^"]*cornu:.*?)"', inside
        )
        if found:
            yield name, found[1]


def _kernels(data: Any, names: dict[str, str]) -> Iterator[Kernel]:
    events = [
        (line.name, event, dict(event.stats))
        for plane in data.planes
        for line in plane.lines
        for event in line.events
    ]
    # A kernel on the CPU may return before its work is done: another event tells its end.
    ends = {
        stats["_c"]: event.start_ns
        for _, event, stats in events
        if event.name.startswith("end: ") and "_c" in stats
    }
    for lane, event, stats in events:
        if "hlo_op" not in stats:
            continue
        operation = names.get(str(stats["hlo_op"]), "")
        done = event.start_ns + event.duration_ns
        end = ends.get(stats.get("_p"), done)
        # What goes on beside others stands on a lane of its own.
        where = lane if end - done < event.duration_ns else f"{lane} ahead"
        yield Kernel(
            name=str(stats["hlo_op"]),
            scope=innermost(operation) if operation else UNKNOWN,
            backward="transpose(" in operation,
            start=event.start_ns / 1e3,
            duration=(max(done, end) - event.start_ns) / 1e3,
            lane=where,
        )
