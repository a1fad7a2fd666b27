"""A few models behind both protocols, in a thread of this process with a loop of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from functools import cache
from typing import Any

import grpc
import httpx
import uvicorn
from starlette.applications import Starlette

import cornu
from cornu import layers, ops
from cornu.serving._grpc import handlers
from cornu.serving._http import routes
from cornu.serving._model import Model
from cornu.serving._options import Options
from cornu.serving._repository import Repository

OPTIONS = Options(engine="numpy", max_body=100_000, labels={"stable": 1})


@cache
def loop() -> asyncio.AbstractEventLoop:
    """The loop of all that is served here."""
    made = asyncio.new_event_loop()
    threading.Thread(target=made.run_forever, daemon=True).start()
    return made


def run(work: Coroutine[Any, Any, Any]) -> Any:
    """What a coroutine gives in that loop."""
    return asyncio.run_coroutine_threadsafe(work, loop()).result(60)


@cache
def repository() -> Repository:
    """The models, loaded."""
    found = Repository({name: _model(name, *made) for name, made in models().items()}, OPTIONS)
    run(found.start())
    return found


@cache
def application() -> Starlette:
    """The paths of HTTP."""
    return Starlette(routes=routes(repository(), OPTIONS))


@cache
def client() -> httpx.AsyncClient:
    """A client of it that needs no socket."""
    return httpx.AsyncClient(transport=httpx.ASGITransport(application()), base_url="http://cornu")


def send(method: str, path: str, **options: Any) -> httpx.Response:
    """The answer to a request."""
    return run(client().request(method, path, **options))


@cache
def addresses() -> dict[str, str]:
    """The URLs of a server of both, by their schemes."""
    config = uvicorn.Config(application(), port=0, log_level="error", lifespan="off")
    server = uvicorn.Server(config)
    # Not `serve`, which would take the signals of the process.
    asyncio.run_coroutine_threadsafe(server._serve(), loop())

    async def started() -> int:
        while not server.started:
            await asyncio.sleep(0.01)
        calls = grpc.aio.server()
        calls.add_generic_rpc_handlers(handlers(repository(), OPTIONS))
        port = calls.add_insecure_port("127.0.0.1:0")
        await calls.start()
        kept.append(calls)
        return port

    kept: list[Any] = [server]
    port = run(started())
    repository().kept = kept  # type: ignore[attr-defined]  # for as long as there are models
    (socket,) = server.servers[0].sockets
    return {
        "http": f"http://127.0.0.1:{socket.getsockname()[1]}",
        "grpc": f"grpc://127.0.0.1:{port}",
    }


def call(service: str, method: str, data: bytes) -> Any:
    """The bytes that a call of gRPC gives."""
    with grpc.insecure_channel(addresses()["grpc"].removeprefix("grpc://")) as channel:
        return channel.unary_unary(f"/{service}/{method}")(data, timeout=10)


def models() -> dict[str, tuple[Any, Any]]:
    """By their names, models whose answers can be worked out by hand, and the names of their classes."""
    with cornu.backend.use("numpy"):
        x = layers.Input((2,), name="x")
        number = layers.Input((), name="n", dtype="int32")
        image = layers.Input((4, 2, 3), name="image")
        word = layers.Input((1,), name="word", dtype="string")
        lookup = layers.StringLookup(vocabulary=["a", "ü"], name="index")
        outputs = {
            "sum": ops.sum(x, axis=1) + ops.cast(number, "float32"),
            "root": ops.sqrt(x),
        }
        return {
            "double": (cornu.Model(x, layers.Rescaling(2.0, name="y")(x)), None),
            "both": (cornu.Model({"x": x, "n": number}, outputs), None),
            "classes": (cornu.Model(x, ops.softmax(x)), ["no", "yes"]),
            "image": (cornu.Model(image, ops.mean(image, axis=(1, 2))), None),
            "text": (cornu.Model(word, lookup(word)), None),
            "value": (cornu.Model(x, ops.sum(x, axis=1, keepdims=True)), None),
        }


def _model(name: str, model: Any, classes: Any) -> Model:
    return Model(model, name, engine="numpy", classes=classes)
