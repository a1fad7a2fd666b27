"""Where the time of a training step goes, layer by layer."""

from __future__ import annotations

import functools
import json
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ..core import tree
from ..core.checks import positive_integer
from ..core.dtypes import is_float
from ..core.files import replacing
from ..core.scopes import StatelessScope, here, within
from ..data import Source, unpack_x_y_sample_weight
from ..engines import current
from ..engines.profiles import SCOPE, UNKNOWN, Kernel, Profile, busy, in_lanes, own_times, timed
from ._batches import Batches
from ._programs import Programs, prepare, step_of
from ._restoring import Before, as_it_was
from ._trainer import Trainer

if TYPE_CHECKING:
    from rich.table import Table

#: The number of the process in a trace; 0 is the system's own, for processes and tracks.
_PROCESS = 1
#: What is in no layer.
_OTHERS = {"": ("loss, metrics, optimizer", ""), UNKNOWN: ("kernels without a name", "")}
#: How many layers have a row of their own: those that take longest.
_ROWS = 40
_EAGER = (
    "Each layer was called by itself, as it runs uncompiled, for the engine's library has no profiler "
    "that knows layers: within a compiled step shares may differ."
)


class Row(NamedTuple):
    """What a layer takes in a step, in milliseconds, without layers inside of it."""

    layer: str
    kind: str
    forward: float
    backward: float


class StepProfile:
    """Where the time of a training step goes.

    Attributes:
        rows: What each layer takes, in the order of their first calls; at the end what is in none of them.
        step: What a step takes as it runs in training, without reading, in milliseconds: the median.
        idle: For how long of it no kernel runs, where kernels were timed as in training; else None.
        waiting: What a step waits for its batch, in milliseconds: the median.
        compiling: The seconds that the first step took longer than the others.
        remark: How kernels were timed.
    """

    def __init__(self, found: Profile, layers: _Layers, reading: Sequence[float]) -> None:
        self._kernels, self._layers = found.kernels, layers
        self.rows = layers.rows(found.kernels, found.steps)
        waits = reading[1 : len(found.seconds) + 1]  # those of the steps that were timed
        own = [whole - wait for whole, wait in zip(found.seconds, waits, strict=True)]
        self.step = 1e3 * statistics.median(own)
        self.idle = None
        if found.is_trained:  # the profiler's own time is in no step
            self.idle = max(0.0, self.step - busy(found.kernels) / 1e3 / found.steps)
        self.waiting = 1e3 * statistics.median(waits)
        self.compiling = max(0.0, found.first - self.step / 1e3)
        self.remark = found.remark

    def __repr__(self) -> str:
        return f"<StepProfile of {len(self.rows)} layers, {self.step:.3f} ms a step>"

    def save(self, path: Any) -> None:
        """Write the kernels as a trace, which https://ui.perfetto.dev and `chrome://tracing` open."""
        with replacing(Path(path)) as draft:
            Path(draft).write_text(json.dumps(self._trace()), encoding="utf-8")

    def _trace(self) -> dict[str, Any]:
        """The trace event format: a track for each thread or stream, and above them the layers."""
        events: list[dict[str, Any]] = [_name("process", 1, "training step")]
        tracks = [
            ("layers", self._spans()),
            *((lane[0].lane, lane) for lane in in_lanes(self._kernels)),
        ]
        zero = min((kernel.start for kernel in self._kernels), default=0.0)
        for number, (title, kernels) in enumerate(tracks, 1):
            events.append(_name("thread", number, title))
            events += [self._event(kernel, number, zero) for kernel in kernels]
        return {"traceEvents": events, "displayTimeUnit": "ms"}

    def _event(self, kernel: Kernel, track: int, zero: float) -> dict[str, Any]:
        way = "backward" if kernel.backward else "forward"
        return {
            "name": kernel.name,
            "cat": way,
            "ph": "X",
            "ts": (start := _exact(kernel.start - zero)),
            "dur": _exact(kernel.start + kernel.duration - zero) - start,
            "pid": _PROCESS,
            "tid": track,
            "args": {"layer": self._layers.path(kernel.scope), "way": way},
        }

    def _spans(self) -> list[Kernel]:
        """From when to when each layer runs, seen on the lane that is busiest."""
        lanes = in_lanes(self._kernels)
        lane = max(lanes, key=lambda lane: sum(kernel.duration for kernel in lane), default=[])
        spans: list[Kernel] = []
        for kernel in lane:
            last = spans[-1] if spans else None
            end = kernel.start + kernel.duration
            if last is not None and kernel.start < last.start + last.duration:
                continue  # within the one before
            name = self._layers.path(kernel.scope) + (" (backward)" if kernel.backward else "")
            if last is not None and last.name == name:
                spans[-1] = last._replace(duration=end - last.start)
            else:
                spans.append(kernel._replace(name=name))
        return spans

    def table(self) -> Table:
        """The rows as a table for a terminal."""
        from rich import box
        from rich.table import Table

        table = Table(box=box.HEAVY_HEAD, header_style="bold", border_style="dim")
        table.add_column("Layer (type)", overflow="fold")
        for column in ("Forward ms", "Backward ms", "Share"):
            table.add_column(column, justify="right")
        total = sum(row.forward + row.backward for row in self.rows) or 1.0
        for layer, kind, forward, backward in _shortened(self.rows):
            kind = f" [cyan]({kind})[/cyan]" if kind else ""
            share = f"{(forward + backward) / total:.1%}"
            table.add_row(f"{layer}{kind}", f"{forward:.3f}", f"{backward:.3f}", share)
        return table

    def print(self) -> None:
        """Print the table, and what a step takes as a whole."""
        from rich.console import Console

        console = Console()
        console.print(self.table(), highlight=False)
        idle = "" if self.idle is None else f"; for {self.idle:.3f} ms of it no kernel runs"
        for label, figure in (
            ("A step", f"{self.step:.3f} ms{idle}"),
            ("Waiting for data", f"{self.waiting:.3f} ms a step"),
            ("Compiling", f"{self.compiling:.2f} s, once"),
        ):
            console.print(f" [bold]{label}:[/bold] {figure}", highlight=False)
        console.print(f" {self.remark}", style="dim", highlight=False)


def profile(model: Any, source: Source, steps: int) -> StepProfile:
    """Run some steps of training and see where their time goes; the model is afterwards as it was."""
    positive_integer(steps=steps)
    layers = _Layers()
    with closing(_Reader(source)) as reader:
        prepare(model, reader.first, training=True)
        with as_it_was(model, Before.of(model)):
            found = _profile(model, reader, steps, layers)
    return StepProfile(found, layers, reader.seconds)


def _profile(model: Any, reader: _Reader, times: int, layers: _Layers) -> Profile:
    engine = current()
    program, plain = Programs(model).get("train"), step_of(model, "train")

    def run(step: Callable[[Any], Any]) -> Callable[[], None]:
        def once() -> None:
            for x in tree.flatten(step(reader.next()))[:1]:
                engine.synchronize(x)

        return once

    step = run(lambda batch: program([batch]))
    with within(here.watch, layers):
        found = engine.profile(step, run(plain), times)
    if found is None:
        first, seconds = timed(step, times)
        kernels = _called_alone(model, reader.first, layers)
        found = Profile(first, seconds, kernels, 1, _EAGER)
    return found


class _Reader:
    """Batches of the first one's shapes, read while steps run, as in training.

    Attributes:
        first: The first batch.
        seconds: What each reading took.
    """

    def __init__(self, source: Source) -> None:
        self._batches = Batches(source, None, 1)
        self.first = self._batches.first()
        self._epoch = iter(self._batches)
        self.seconds: list[float] = []

    def next(self) -> Any:
        """The next batch; the first one again where the data has ended, or its shapes are others."""
        start = time.perf_counter()
        found: Any = next(self._epoch, None)
        self.seconds.append(time.perf_counter() - start)
        if found is None:
            self._epoch = iter([])
            return self.first
        _, _, (batch,) = found
        return batch if _shapes(batch) == _shapes(self.first) else self.first

    def close(self) -> None:
        """Let the data's threads and processes end."""
        self._batches.close()


def _shapes(batch: Any) -> list[Any]:
    return [getattr(x, "shape", None) for x in tree.flatten(batch)]


@dataclass
class _Call:
    """A call of a layer or op."""

    operation: Any
    number: str
    args: Any
    kwargs: Any
    scope: Any
    inside: list[_Call] = field(default_factory=list)

    @functools.cached_property
    def seconds(self) -> tuple[float, float]:
        """What it takes forward and backward, called by itself. Models take what is inside of them."""
        if isinstance(self.operation, Trainer):
            return 0.0, 0.0
        return _both_ways(self.operation, self.args, self.kwargs)


class _Layers:
    """The layers and ops that are called, each with a scope of the engine around its call."""

    def __init__(self) -> None:
        #: The calls, each with those inside of it, where they are wanted.
        self.calls: list[_Call] | None = None
        self._numbers: dict[Any, str] = {}
        #: The name and class of what has a number.
        self._told: dict[str, tuple[str, str]] = {}
        self._open: list[_Call] = []

    def enter(self, operation: Any, args: Any, kwargs: Any) -> None:
        """A call begins (`core.scopes.Watch`)."""
        number = self._number(operation)
        scope = current().scope(SCOPE.format(number))
        self._open.append(_Call(operation, number, args, kwargs, scope))
        scope.__enter__()

    def leave(self, operation: Any, outputs: Any) -> Any:
        """A call ends."""
        call = self._open.pop()
        call.scope.__exit__(None, None, None)
        if self.calls is not None:
            (self._open[-1].inside if self._open else self.calls).append(call)
        return outputs

    def _number(self, operation: Any) -> str:
        """What an operation is known by; its name is that of the place of its first call."""
        if operation not in self._numbers:
            around = [call.operation.name for call in self._open[1:]]
            number = self._numbers[operation] = str(len(self._numbers))
            self._told[number] = "/".join([*around, operation.name]), type(operation).__name__
        return self._numbers[operation]

    def path(self, number: str) -> str:
        """The name of an operation, in the model."""
        return (_OTHERS.get(number) or self._told[number])[0]

    def rows(self, kernels: Sequence[Kernel], steps: int) -> list[Row]:
        """What each operation takes in a step, in the order of their first calls."""
        times: dict[tuple[str, bool], float] = defaultdict(float)
        for kernel, own in own_times(kernels):
            times[kernel.scope, kernel.backward] += own / 1e3 / steps
        rows = []
        for number, told in {**self._told, **_OTHERS}.items():
            forward, backward = times[number, False], times[number, True]
            if forward or backward:
                rows.append(Row(*told, forward, backward))
        return rows


def _shortened(rows: list[Row]) -> list[Row]:
    """The rows that take longest, in their order, and what the others take together."""
    if len(rows) <= _ROWS:
        return rows
    ordered = sorted(rows, key=lambda row: row.forward + row.backward, reverse=True)
    others = ordered[_ROWS:]
    forward, backward = sum(row.forward for row in others), sum(row.backward for row in others)
    kept = [row for row in rows if row in ordered[:_ROWS]]
    return [*kept, Row(f"{len(others)} others", "", forward, backward)]


def _name(kind: str, track: int, name: str) -> dict[str, Any]:
    """An event that gives a process or a track its name."""
    return {
        "name": f"{kind}_name",
        "ph": "M",
        "pid": _PROCESS,
        "tid": track,
        "args": {"name": name},
    }


def _exact(microseconds: float) -> float:
    """A time in eighths of a microsecond, which nobody's arithmetic changes: Perfetto reads whole nanoseconds, and
    leaves out what then ends after what is around it."""
    return round(microseconds * 8) / 8


# ---------------------------------------------------------------- one by one


def _called_alone(model: Any, batch: Any, layers: _Layers) -> list[Kernel]:
    """The time of each layer's call in a step, and of its way back, called by itself."""
    layers.calls = []
    with within(here.watch, layers):
        model._predicted(unpack_x_y_sample_weight(batch)[0], training=True)
    forward = list(_spans(layers.calls, False, 0.0))
    return [*forward, *_spans(layers.calls, True, forward[0].duration)]


def _spans(calls: Sequence[_Call], backward: bool, at: float) -> Iterator[Kernel]:
    """One call after the other, each with those inside of it."""
    for call in calls:
        inside = list(_spans(call.inside, backward, at))
        end = max([at + 1e6 * call.seconds[backward], *(x.start + x.duration for x in inside)])
        yield Kernel(call.operation.name, call.number, backward, at, end - at, "one by one")
        yield from inside
        at = end


def _both_ways(operation: Any, args: Any, kwargs: Any) -> tuple[float, float]:
    """The seconds of a call and of its gradients, the least of three times."""
    engine = current()
    weights = list(getattr(operation, "trainable_variables", ()))
    leaves = tree.flatten((args, kwargs))
    places = [
        i for i, x in enumerate(leaves) if engine.is_tensor(x) and is_float(engine.dtype_of(x))
    ]

    def call(values: list[Any], given: list[Any]) -> list[Any]:
        whole = list(leaves)
        for place, x in zip(places, given, strict=True):
            whole[place] = x
        taken, named = tree.pack_sequence_as((args, kwargs), whole)
        with StatelessScope.of(zip(weights, values, strict=True)):
            outputs = tree.flatten(operation(*taken, **named))
        return [x for x in outputs if engine.is_tensor(x) and is_float(engine.dtype_of(x))]

    primals = [variable.value for variable in weights], [leaves[place] for place in places]

    def clock(run: Callable[[], Any]) -> float:
        start = time.perf_counter()
        for x in tree.flatten(run()):
            engine.synchronize(x)
        return time.perf_counter() - start

    def turn() -> tuple[float, float]:
        forward = clock(lambda: call(*primals))
        outputs, pull = engine.vjp(call, *primals)
        ones = [engine.full(engine.shape_of(x), 1, engine.dtype_of(x)) for x in outputs]
        return forward, clock(lambda: pull(ones)) if ones else 0.0

    forward, backward = zip(*(turn() for _ in range(3)), strict=True)
    return min(forward), min(backward)
