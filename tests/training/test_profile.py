"""Where the time of a step goes: which layers are known, and the trace that Perfetto reads."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cornu
from cornu import layers, ops
from cornu.engines.profiles import Kernel, busy, in_lanes, own_times

X = np.random.default_rng(0).random((12, 6, 4), "float32")


def model() -> Any:
    x = cornu.Input((6, 4))
    h = layers.Dense(64, "tanh", name="first")(x)
    h = cornu.Sequential([layers.Dense(64, name="second")], name="inner")(h) + h
    h = layers.MultiHeadAttention(1, 2, name="attention")(h, h)
    found = cornu.Model(x, layers.Dense(2, name="last")(ops.sum(h, axis=1)), name="whole")
    found.compile("adam", "mse")
    return found


@pytest.mark.parametrize("engine", ["jax", "torch", "numpy"])
def test_layers_are_known(engine: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with cornu.backend.use(engine):
        profiled = model()
        before = profiled.get_weights()
        found = profiled.profile(
            X, np.ones((12, 2)), batch_size=4, steps=2, path=tmp_path / "trace"
        )
        np.testing.assert_equal(profiled.get_weights(), before)
        assert int(profiled.optimizer.iterations.numpy()) == 0
    rows = {row.layer: row for row in found.rows}
    assert {"first", "inner/second", "attention/query", "last"} <= rows.keys()
    assert all(rows[name].forward > 0 and rows[name].backward > 0 for name in ("first", "last"))
    assert found.step > 0 and found.waiting >= 0 and found.compiling >= 0
    assert (found.idle is None) == (engine != "jax")
    assert found.idle is None or found.idle <= found.step
    printed = capfd.readouterr().out
    assert "inner/second (Dense)" in printed and "Waiting for data" in printed
    assert ("called by itself" in printed) == (engine == "numpy")
    check_trace(json.loads((tmp_path / "trace").read_text()), set(rows))


def test_waiting_is_no_part_of_a_step() -> None:
    """Data that ends, and whose last batch is smaller, is read as far as there is any."""

    def slow() -> Iterator[Any]:
        for size in (4, 4, 4, 2):
            time.sleep(0.05)
            yield X[:size], np.ones((size, 2))

    with cornu.backend.use("numpy"):
        found = model().profile(slow(), steps=3, verbose=False)
    assert 50 <= found.waiting < 500 and found.step < found.waiting


def check_trace(trace: dict[str, Any], layers: set[str]) -> None:
    """The trace event format: complete events in microseconds; those of a track lie in or after each other, in the
    whole nanoseconds that Perfetto cuts them to, which leaves others out. It keeps 0 for the system's own."""
    events = trace["traceEvents"]
    assert trace["displayTimeUnit"] == "ms"
    tracks = {e["tid"]: e["args"]["name"] for e in events if e["name"] == "thread_name"}
    complete = [event for event in events if event["ph"] == "X"]
    assert {event["ph"] for event in events} == {"X", "M"}
    assert {event["args"]["layer"] for event in complete} <= layers | {
        "whole",
        "inner",
        "attention",
    }
    assert {"forward", "backward"} == {event["cat"] for event in complete}
    assert all(type(e["pid"]) is type(e["tid"]) is int and e["pid"] * e["tid"] > 0 for e in events)
    assert {e["pid"] for e in events} == {1} and {e["tid"] for e in complete} <= tracks.keys()
    assert all(e["args"]["name"] for e in events if e["ph"] == "M")
    for track in tracks:
        open_: list[int] = []
        for event in (event for event in complete if event["tid"] == track):
            start, duration = (int(event[key] * 1000) for key in ("ts", "dur"))
            assert start >= 0 and duration >= 0
            while open_ and open_[-1] <= start:
                open_.pop()
            assert not open_ or start + duration <= open_[-1]
            open_.append(start + duration)
    assert tracks[1] == "layers" and any(event["tid"] == 1 for event in complete)


def test_times_of_kernels() -> None:
    """A loop and what is in it, and something beside that ends after it."""
    times = [(0, 10, "a"), (1, 3, "a"), (5, 4, "a"), (8, 5, "a"), (20, 2, "b")]
    kernels = [Kernel(str(i), "", False, *time) for i, time in enumerate(times)]
    assert [[kernel.name for kernel in lane] for lane in in_lanes(kernels)] == [
        ["0", "1", "2"],
        ["3"],
        ["4"],
    ]
    assert {kernel.name: own for kernel, own in own_times(kernels)} == {
        "0": 3,
        "1": 3,
        "2": 4,
        "3": 5,
        "4": 2,
    }
    assert busy(kernels) == 13 + 2


def test_a_model_that_was_not_compiled() -> None:
    with pytest.raises(ValueError, match="compile"):
        cornu.Sequential([layers.Dense(2)]).profile(X)
