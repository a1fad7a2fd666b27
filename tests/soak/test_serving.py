"""Servers under load for some time: what a reload costs those who ask, and what too many requests do."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import serving as loads
from cornu import Sequential, initializers, layers
from tests.serving.processes import serving

pytestmark = pytest.mark.soak


def exported(factor: float, path: Path) -> None:
    """A model of a million weights that gives multiples of what it takes."""
    kernels = ["ones", "identity", initializers.Constant(factor / 1024)]
    dense = [
        layers.Dense(size, use_bias=False, kernel_initializer=kernel)
        for size, kernel in zip((1024, 1024, 1), kernels, strict=True)
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    model = Sequential([layers.Input((1,), name="x"), *dense])
    model.export(path.with_suffix(".tmp.onnx"), verbose=False)
    os.replace(path.with_suffix(".tmp.onnx"), path)


#: When it came, after how many seconds, its status and its value.
Answer = tuple[float, float, int, Any]


class Client(asyncio.Protocol):
    """One connection that asks again as soon as it is answered."""

    def __init__(self, answers: list[Answer]) -> None:
        self.answers = answers
        body = json.dumps({"instances": [[1.0]]})
        self.request = (
            f"POST /v1/models/m:predict HTTP/1.1\r\nHost: h\r\nContent-Length: {len(body)}\r\n\r\n{body}"
        ).encode()
        self.read = b""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.ask()

    def ask(self) -> None:
        self.started = time.monotonic()
        self.transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        self.read += data
        head, _, body = self.read.partition(b"\r\n\r\n")
        length = head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0]
        if length and len(body) == int(length):
            now = time.monotonic()
            status = int(head.split()[1])
            ((value,),) = json.loads(body).get("predictions", [[None]])
            self.answers.append((now, now - self.started, status, value))
            self.read = b""
            self.ask()


def p99(answers: list[Answer]) -> float:
    return float(np.percentile([seconds for _, seconds, _, _ in answers], 99))


def test_a_reload_makes_nobody_wait(tmp_path: Path) -> None:
    """p99 in the five seconds after it is at most twice that before, and every request is answered."""
    exported(1, tmp_path / "m/1/model.onnx")

    async def main(port: int) -> tuple[list[Answer], float, float]:
        answers: list[Answer] = []
        loop = asyncio.get_running_loop()
        made = [
            await loop.create_connection(lambda: Client(answers), "127.0.0.1", port)
            for _ in range(8)
        ]
        await asyncio.sleep(5)
        begun = time.monotonic()
        await asyncio.to_thread(exported, 2, tmp_path / "m/2/model.onnx")
        async with asyncio.timeout(30):
            while answers[-1][3] != 2:
                await asyncio.sleep(0.01)
        swapped = time.monotonic()
        await asyncio.sleep(5)
        for transport, _ in made:
            transport.close()
        return answers, begun, swapped

    with serving(tmp_path / "m", "--poll", "0.1") as server:
        answers, begun, swapped = asyncio.run(main(server.port))
        assert server.ended() == 0
    assert {status for _, _, status, _ in answers} == {200}
    before = p99([x for x in answers if x[0] < begun])
    after = p99([x for x in answers if x[0] > swapped])
    print(f"p99 before {1e3 * before:.1f} ms, after {1e3 * after:.1f} ms, {len(answers)} answers")
    assert after <= 2 * before


def test_versions_that_come_and_go_under_load(tmp_path: Path) -> None:
    """Fifty of them, of which every third is broken: all requests are answered, by versions that rise."""
    exported(1, tmp_path / "m/1/model.onnx")
    exported(2, tmp_path / "two.onnx")

    async def main(port: int) -> list[Answer]:
        answers: list[Answer] = []
        loop = asyncio.get_running_loop()
        made = [
            await loop.create_connection(lambda: Client(answers), "127.0.0.1", port)
            for _ in range(4)
        ]
        for number in range(2, 52):
            folder = tmp_path / "new"
            folder.mkdir()
            if number % 3:
                shutil.copy(tmp_path / "two.onnx", folder / "model.onnx")
            else:
                (folder / "model.onnx").write_bytes(os.urandom(1000))
            os.replace(folder, tmp_path / f"m/{number}")
            await asyncio.sleep(0.2)
        for transport, _ in made:
            transport.close()
        return answers

    with serving(tmp_path / "m", "--poll", "0.05") as server:
        answers = asyncio.run(main(server.port))
        assert server.ended() == 0
    assert {status for _, _, status, _ in answers} == {200}
    values = [value for _, _, _, value in answers]
    assert sorted(values) == values and set(values) == {1, 2}


def test_workers_end_with_the_process_that_started_them(tmp_path: Path) -> None:
    """Also where it is killed, and can't tell them."""
    exported(1, tmp_path / "m/1/model.onnx")
    with serving(tmp_path / "m", "--workers", "2", "--drain-delay", "0.1") as server:
        while server.listening() < 2:
            time.sleep(0.02)
        workers = [Path(f"/proc/{number}") for number in server.workers()]
        server.process.kill()
        until = time.monotonic() + 20
        while any(worker.exists() for worker in workers):
            assert time.monotonic() < until, workers
            time.sleep(0.05)


def test_minutes_at_half_of_capacity(tmp_path: Path) -> None:
    """Five of them, or CORNU_SOAK_SECONDS: no error, flat memory, p99 at most five times p50.

    Requests come at random. Where the machine has other work, so that even those that come one at a time wait, p99 is
    held against theirs.
    """
    seconds = float(os.environ.get("CORNU_SOAK_SECONDS", "300"))
    loads.export(tmp_path / "m.onnx")
    with serving(tmp_path / "m.onnx", "--drain-delay", "0.1") as server:
        port, pid = server.port, server.process.pid
        # The least of some seconds, since others may have had the machine for the rest.
        capacity = min(asyncio.run(loads.asked(port, loads.rest(), 16, 1)) for _ in range(10))
        alone, _ = asyncio.run(loads.paced(port, loads.rest(), capacity / 50, 10))
        before = loads.resident(pid)
        took, failed = asyncio.run(loads.paced(port, loads.rest(), capacity / 2, seconds))
        grown = loads.resident(pid) / before
        assert server.ended() == 0
    (p50, p99), quiet = (np.percentile(took, [50, 99]), np.percentile(alone, 99))
    print(
        f"{capacity:.0f} a second; at half of it {len(took)} in {seconds:.0f} s: p50 {1e3 * p50:.2f} ms, "
        f"p99 {1e3 * p99:.2f} ms, one at a time p99 {1e3 * quiet:.2f} ms; memory times {grown:.3f}"
    )
    assert failed == 0 and len(took) > 0.4 * capacity * seconds
    assert grown < 1.1
    assert p99 <= 5 * max(p50, quiet)
