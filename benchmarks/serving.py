"""What a request costs `python -m cornu serve`: CPU time of its process by the call, and its rate beside a peer.

    python -m benchmarks.serving [--peer PYTHON]

The model is a small one, of less than 0.1 ms. `--peer` names the Python of an environment that has `litserve` and
`onnxruntime`; LitServe serves the same file there, and the same connections ask both by turns. Exit code 1 where a call
costs more than its target, or the peer answers more than half as many requests of small JSON a second.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

#: The microseconds of CPU that a call may take on a quiet core.
TARGETS = {"REST": 350, "OIP bytes": 300, "OIP gRPC": 600, "Predict gRPC": 600}
CONNECTIONS = (1, 16)
#: By how many seconds requests that are due may be late before they are put off.
_HELD_UP = 0.02
#: How often a peer may be answered against one request of ours.
RATIO = 2.0
X = np.ones((1, 4), "float32")


def request(path: str, body: bytes, **headers: Any) -> bytes:
    """The bytes of a POST."""
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    head = f"POST {path} HTTP/1.1\r\nHost: h\r\nContent-Length: {len(body)}\r\n{lines}\r\n"
    return head.encode() + body


def rest(path: str = "/v1/models/m:predict") -> bytes:
    """Predict in JSON."""
    body = json.dumps({"instances": X.tolist()}).encode()
    return request(path, body, Content_Type="application/json")


def oip() -> bytes:
    """The Open Inference Protocol in bytes, both ways."""
    item = {"name": "x", "datatype": "FP32", "shape": X.shape}
    item["parameters"] = {"binary_data_size": X.nbytes}
    head = json.dumps({"inputs": [item], "parameters": {"binary_data_output": True}}).encode()
    length = {"Inference_Header_Content_Length": len(head)}
    return request("/v2/models/m/infer", head + X.tobytes(), **length)


class Connection(asyncio.Protocol):
    """A connection of HTTP. `answered(seconds, status)` is called for each answer; it may ask again."""

    def __init__(self, asks: bytes, answered: Callable[[float, int], None]) -> None:
        self._asks, self._answered, self._read = asks, answered, b""
        self.is_free = True

    def connection_made(self, transport: Any) -> None:
        """Nothing is asked yet."""
        self.transport = transport

    def connection_lost(self, error: Exception | None) -> None:
        """A request under way has failed."""
        if not self.is_free:
            self._answered(time.perf_counter() - self._since, 0)

    def ask(self, since: float | None = None) -> None:
        """Send the request; `since` is when it was due."""
        self.is_free, self._since = False, since or time.perf_counter()
        self.transport.write(self._asks)

    def data_received(self, data: bytes) -> None:
        """An answer, or a part of it."""
        self._read += data
        head, _, body = self._read.partition(b"\r\n\r\n")
        length = re.search(rb"\ncontent-length: *(\d+)", head.lower())
        if length and len(body) == int(length[1]):
            self._read, self.is_free = b"", True
            self._answered(time.perf_counter() - self._since, int(head.split()[1]))


async def connected(
    port: int, asks: bytes, answered: Callable[[Connection, float, int], None]
) -> Connection:
    """A connection of HTTP to this machine."""

    def made() -> Connection:
        connection = Connection(asks, lambda *answer: answered(connection, *answer))
        return connection

    _, connection = await asyncio.get_running_loop().create_connection(made, "127.0.0.1", port)
    return connection


async def asked(port: int, asks: bytes, connections: int, seconds: float) -> int:
    """How many requests are answered if each connection asks again at once."""
    until, count, failed = time.perf_counter() + seconds, 0, list[int]()

    def answered(connection: Connection, _: float, status: int) -> None:
        nonlocal count
        count += 1
        if status != 200:
            failed.append(status)
        elif time.perf_counter() < until:
            connection.ask()

    made = [await connected(port, asks, answered) for _ in range(connections)]
    for connection in made:
        connection.ask()
    while not all(connection.is_free for connection in made):
        await asyncio.sleep(0.01)
    for connection in made:
        connection.transport.close()
    if failed:
        raise RuntimeError(f"Answers that are none: {failed[:10]}")
    return count


async def paced(port: int, asks: bytes, rate: float, seconds: float) -> tuple[list[float], int]:
    """The seconds that requests take which come at random, so many a second; and how many fail.

    They count from when a request was due, but for those that were due while this process itself was held up: it asks
    later then, not all at once. A request that finds no connection free opens one.
    """
    took, failed, free = list[float](), 0, list[Connection]()

    def answered(connection: Connection, time_taken: float, status: int) -> None:
        nonlocal failed
        took.append(time_taken)
        if status == 200:
            free.append(connection)
        else:
            failed += 1

    generator, due = np.random.default_rng(0), time.perf_counter()
    until, opening = due + seconds, set[asyncio.Task[None]]()

    async def opened(since: float) -> None:
        (await connected(port, asks, answered)).ask(since)

    while (due := due + generator.exponential(1 / rate)) < until:
        if (left := due - time.perf_counter()) > 0:
            await asyncio.sleep(left)
        due = max(due, time.perf_counter() - _HELD_UP)
        if free:
            free.pop().ask(due)
        else:
            opening.add(asyncio.create_task(opened(due)))
        opening = {task for task in opening if not task.done()}
    await asyncio.gather(*opening)
    await asyncio.sleep(1)
    for connection in free:
        connection.transport.close()
    return took, failed


async def called(port: int, method: str, message: bytes, connections: int, seconds: float) -> int:
    """How many calls of gRPC are answered, of so many at a time."""
    import grpc.aio

    until = time.perf_counter() + seconds

    async def calls(call: Any) -> int:
        count = 0
        while time.perf_counter() < until:
            await call(message)
            count += 1
        return count

    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        call = channel.unary_unary(method)
        return sum(await asyncio.gather(*(calls(call) for _ in range(connections))))


def grpc_calls() -> dict[str, tuple[str, bytes]]:
    """The calls of gRPC with their messages."""
    from cornu.serving._messages import output, tensor, types

    infer = types().ModelInferRequest(
        model_name="m", inputs=[output("x", X, False)], raw_input_contents=[X.tobytes()]
    )
    predict = types().PredictRequest(model_spec={"name": "m"}, inputs={"x": tensor(X)})
    return {
        "OIP gRPC": ("/inference.GRPCInferenceService/ModelInfer", infer.SerializeToString()),
        "Predict gRPC": (
            "/tensorflow.serving.PredictionService/Predict",
            predict.SerializeToString(),
        ),
    }


def cpu_seconds(pid: int) -> float:
    """What a process has taken of the CPU."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident(pid: int) -> int:
    """The bytes of a process in memory."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def export(path: Path) -> None:
    """A small model."""
    from cornu import Sequential, engines, layers

    with engines.use("numpy"):
        model = Sequential([layers.Input((4,), name="x"), layers.Dense(3, name="y")])
        model.export(path, verbose=False)


@contextmanager
def serving(file: Path, *options: str) -> Iterator[tuple[int, int, int]]:
    """A server: its process, and the ports of HTTP and gRPC."""
    command = [sys.executable, "-m", "cornu", "serve", str(file), *options]
    command += ["--port", "0", "--grpc-port", "0", "--drain-delay", "0.1"]
    environment = {**os.environ, "CORNU_BACKEND": "numpy"}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        ports = re.search(r":(\d+), gRPC at port (\d+)", process.stdout.readline())
        if ports is None:
            raise RuntimeError("The server has not started: what it said stands above.")
        yield process.pid, int(ports[1]), int(ports[2])
    finally:
        process.terminate()
        process.wait()


@contextmanager
def peer(python: str, file: Path) -> Iterator[int]:
    """LitServe with the same file: its port."""
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    script = Path(__file__).with_name("serving_peer.py")
    process = subprocess.Popen([python, script, file, str(port)], start_new_session=True)
    try:
        for _ in range(600):
            time.sleep(0.1)
            with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
        time.sleep(2)  # its workers come after its port
        yield port
    finally:
        os.killpg(process.pid, 9)
        process.wait()


def costs(pid: int, port: int, grpc_port: int, runs: int, seconds: float) -> dict[Any, list[float]]:
    """The microseconds of CPU a request, by calls and connections."""
    found: dict[Any, list[float]] = {}
    ways: dict[str, Callable[[int], Awaitable[int]]] = {
        "REST": lambda n: asked(port, rest(), n, seconds),
        "OIP bytes": lambda n: asked(port, oip(), n, seconds),
    }
    for name, (method, message) in grpc_calls().items():
        ways[name] = lambda n, m=method, x=message: called(grpc_port, m, x, n, seconds)
    for _ in range(runs):
        for name, way in ways.items():
            for connections in CONNECTIONS:
                before = cpu_seconds(pid)
                count = asyncio.run(way(connections))  # type: ignore[arg-type]
                spent = 1e6 * (cpu_seconds(pid) - before) / count
                found.setdefault((name, connections), []).append(spent)
    return found


def main() -> int:
    """Print two tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peer", help="the Python of an environment with litserve and onnxruntime")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0)
    options = parser.parse_args()
    with TemporaryDirectory() as folder:
        file = Path(folder, "m.onnx")
        export(file)
        with serving(file) as (pid, port, grpc_port):
            found = costs(pid, port, grpc_port, options.runs, options.seconds)
            print("CPU of the server a request in us: the least of the runs, and their median\n")
            print(f"| call | {' | '.join(f'{n} at a time' for n in CONNECTIONS)} | target |")
            print(f"|---|{'---|' * (len(CONNECTIONS) + 1)}")
            for name, target in TARGETS.items():
                cells = [
                    f"{min(x):.0f} ({np.median(x):.0f})"
                    for x in (found[name, n] for n in CONNECTIONS)
                ]
                print(f"| {name} | {' | '.join(cells)} | {target} |")
            slow = any(min(found[name, n]) > TARGETS[name] for name, n in found)
            if options.peer is None:
                return int(slow)
            with peer(options.peer, file) as other:
                places = (port, rest()), (other, rest(path="/predict"))
                rates = [
                    [
                        asyncio.run(asked(*place, 16, options.seconds)) / options.seconds
                        for place in places
                    ]
                    for _ in range(options.runs)
                ]
    ours, theirs = np.median(rates, axis=0)
    print(
        f"\nRequests a second of small JSON, 16 at a time, by turns: {ours:,.0f}; LitServe {theirs:,.0f}"
    )
    print(
        f"Ratio {ours / theirs:.1f}; in single turns {', '.join(f'{a / b:.1f}' for a, b in rates)}"
    )
    return int(slow or ours < RATIO * theirs)


if __name__ == "__main__":
    sys.exit(main())
