"""A server as a process: how it starts, what it says, and that nothing is lost when it ends."""

from __future__ import annotations

import functools
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from cornu import Input, Model, Sequential, initializers, layers, ops
from cornu import serving as served
from cornu.cli import main

from .processes import Server, asked_by_grpc, asked_by_http, load, serving


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that gives what it takes."""
    path = tmp_path_factory.mktemp("served") / "m.onnx"
    dense = layers.Dense(1, use_bias=False, kernel_initializer=initializers.Ones(), name="y")
    Sequential([layers.Input((1,), name="x"), dense]).export(path, verbose=False)
    return path


def test_nothing_is_lost_at_the_end(file: Path) -> None:
    """Under load: not ready at once, goes on for the delay, then answers what is under way, and exits with 0."""
    with serving(file, "--drain-delay", "1") as server:
        assert server.status("/v2/health/ready") == 200
        clients = [functools.partial(asked_by_http, server.port, "m")] * 6
        calls = [functools.partial(asked_by_grpc, server.grpc_port, "m")] * 2
        with load([*clients, *calls]) as found:
            server.process.send_signal(signal.SIGTERM)
            time.sleep(0.2)
            assert server.status("/v2/health/ready") == 503
            assert server.status("/v2/health/live") == 200
            assert server.process.wait(20) == 0
            time.sleep(0.2)
    refused = found.pop("UNAVAILABLE", 0)  # calls that came after the end
    assert set(found) == {"right"} and found["right"] > 10, found
    assert refused <= len(calls)


def test_a_worker_that_is_killed(file: Path) -> None:
    """The other one answers, and a new one comes."""
    with serving(file, "--workers", "2", "--drain-delay", "0.1") as server:
        first = wait_for_workers(server, 2)
        clients = [functools.partial(asked_by_http, server.port, "m")] * 4
        with load(clients) as found:
            os.kill(first[0], signal.SIGKILL)
            second = wait_for_workers(server, 2, without=first[0])
        assert first[1] in second
        lost = {name: count for name, count in found.items() if name != "right"}
        assert sum(lost.values()) <= len(clients), found  # each at most the one that was under way
        assert found["right"] > 10
        assert server.ended() == 0


def wait_for_workers(server: Server, count: int, without: int | None = None) -> list[int]:
    """The workers, once so many of them listen."""
    for _ in range(1000):
        workers = server.workers()
        if server.listening() == len(workers) == count and without not in workers:
            return workers
        time.sleep(0.02)
    raise AssertionError(workers)


def test_what_a_server_prints(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The command that it prints works."""
    from cornu.serving._announcing import command

    with serving(file, "--drain-delay", "0.1") as server:
        line = command(served.Model(file), f"http://127.0.0.1:{server.port}")
        asked = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=True)
        assert json.loads(asked.stdout) == {"predictions": [[0.0]]}
        assert server.ended(signal.SIGINT) == 0


def test_commands_for_larger_inputs_and_several() -> None:
    from cornu.serving._announcing import command

    from .test_models import lookup, several

    image = Sequential([layers.Input((28, 28, 1)), layers.Flatten(), layers.Dense(2)], name="i")
    assert command(served.Model(image), "http://h") == (
        """python3 -c 'import json; print(json.dumps({"instances": [[[[0.0] * 1] * 28] * 28]}))' """
        "| curl -d @- http://h/v1/models/i:predict"
    )
    assert command(served.Model(several()), "http://h") == (
        """curl -d '{"instances": [{"one": [0.0, 0.0, 0.0], "two": 0}]}' """
        "http://h/v1/models/several:predict"
    )
    assert command(served.Model(lookup()), "http://h") == (
        """curl -d '{"instances": [["", ""]]}' http://h/v1/models/lookup:predict"""
    )
    x = Input((2,), name="x")
    assert command(served.Model(Model(x, ops.sum(x), name="sum")), "http://h") == (
        """curl -d '{"inputs": [[0.0, 0.0]]}' http://h/v1/models/sum:predict"""
    )


def test_a_port_that_is_taken(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)  # as workers do
        for workers in "12":
            arguments = ["--port", str(port), "--grpc-port", "none", "--workers", workers]
            assert main(["serve", str(file), *arguments]) == 1
            said = capsys.readouterr().err
            assert f"A server needs a port that is free. Received: 127.0.0.1:{port} (" in said
            assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
            assert "Choose another, or 0 for any." in said


@pytest.mark.skipif(sys.platform != "linux", reason="others can't hold a name until they end")
def test_workers_of_two_servers_that_start_at_once(file: Path) -> None:
    """They would share the port: the second is told that it is taken, before anybody listens there."""
    from cornu.serving._server import _Supervisor

    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    options = served.Options(port=port, grpc_port=None, workers=2)
    first = _Supervisor(file, options)
    with pytest.raises(OSError, match="A server needs a port that is free"):
        _Supervisor(file, options)
    for held in (*first._ports, *first._claims):
        held.close()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["gone.keras"], 1, "FileNotFoundError: What is served must be a `.keras` or `.onnx` file"),
        (["gone.keras", "--workers", "2"], 1, "What is served must be a `.keras` or `.onnx` file"),
        (["m", "--port", "inf"], 2, "argument --port: invalid integer value: 'inf'"),
        (["m", "--max-batch", "0"], 1, "ValueError: `max_batch` must be a positive integer"),
        (["m", "--max-batch", "x"], 2, "argument --max-batch: invalid integer value: 'x'"),
        (["m", "--swap", "never"], 1, "`swap` must be one of ['before', 'after']"),
        (["m", "--workers", "0"], 1, "`workers` must be a positive integer"),
    ],
)
def test_misuse(
    arguments: list[str], code: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        found = main(["serve", *arguments])
    except SystemExit as exit:
        found = exit.code
    assert found == code and message in capsys.readouterr().err


def test_options_of_the_command_line() -> None:
    """Each is a field of `Options`, with the text of its docstring."""
    from cornu.cli import _parser

    given = (
        "serve m --max-batch 8 --batch-sizes 1,4,8 --max-delay-ms 2.5 --memory 2e9 --versions 3, "
        "--labels stable=3,canary=4 --grpc-port none --name n --access-log"
    )
    options = vars(_parser().parse_args(given.split()))
    options.pop("run")
    assert options == {
        "command": "serve", "path": "m", "max_batch": 8, "batch_sizes": (1, 4, 8), "max_delay_ms": 2.5,
        "memory": 2_000_000_000, "versions": (3,), "labels": {"stable": 3, "canary": 4},
        "grpc_port": None, "name": "n", "access_log": True,
    }  # fmt: skip
    assert _parser().parse_args(["serve", "m", "--versions", "all"]).versions == "all"


def test_workers_need_a_path() -> None:
    with pytest.raises(ValueError, match=r"Received: workers=2, source=<.*Give a path"):
        served.serve(Sequential([layers.Dense(1)]), workers=2)


def test_an_application_of_its_own() -> None:
    """Any server of ASGI starts it: it is ready then."""
    import asyncio

    application = served.app(Sequential([layers.Input((2,)), layers.Dense(1)], name="m"))
    sent: list[str] = []

    async def main() -> None:
        events: asyncio.Queue[Any] = asyncio.Queue()
        events.put_nowait({"type": "lifespan.startup"})

        async def send(message: Any) -> None:
            sent.append(message["type"])
            assert application.repository.ready
            events.put_nowait({"type": "lifespan.shutdown"})

        await application({"type": "lifespan", "state": {}}, events.get, send)

    asyncio.run(main())
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


def test_an_application_that_is_mounted() -> None:
    """It loads its models with the first request, and closes connections once it leaves."""
    import asyncio

    from starlette.applications import Starlette
    from starlette.routing import Mount

    model = Sequential([layers.Input((2,), name="x"), layers.Dense(1, name="y")], name="m")
    inner = served.app(model, max_batch=4)
    outer = Starlette(routes=[Mount("/models", inner)])

    async def main() -> None:
        transport = httpx.ASGITransport(app=outer)
        async with httpx.AsyncClient(transport=transport, base_url="http://h") as client:
            x = [[1.0, 2.0], [3.0, 4.0]]
            answer = await client.post("/models/v1/models/m:predict", json={"instances": x})
            wanted = model.predict(np.array(x), verbose=0)
            np.testing.assert_allclose(answer.json()["predictions"], wanted, atol=1e-5)
            assert "connection" not in answer.headers
            inner.repository.leaving = True
            answer = await client.get("/models/v2/health/ready")
            assert (answer.status_code, answer.headers["connection"]) == (503, "close")

    asyncio.run(main())
