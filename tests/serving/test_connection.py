"""Connections of HTTP that send less than a request, or more than a head."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from cornu.serving._connection import Connection

SECONDS = 0.2
GET = b"GET / HTTP/1.1\r\nHost: h\r\n"
POST = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n"
LONG = b"X: " + b"x" * 70_000 + b"\r\n"


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Answers with how many bytes a body has."""
    size, more = 0, True
    while more:
        message = await receive()
        size, more = size + len(message.get("body", b"")), message.get("more_body", False)
    body = str(size).encode()
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def told(*parts: bytes) -> tuple[bytes, float]:
    """All that a connection answers until it is closed, and after how many seconds that is. A part is read apart."""
    kind = type("Connection", (Connection,), {"seconds": SECONDS})
    config = uvicorn.Config(
        application, http=kind, ws="none", lifespan="off", log_config=None, timeout_keep_alive=1
    )
    config.load()
    state = ServerState()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: kind(config, state, {}), "127.0.0.1", 0)
    async with server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        since = time.perf_counter()
        for part in parts:
            writer.write(part)
            await asyncio.sleep(0.02)
        async with asyncio.timeout(5):
            said = await reader.read()
        writer.close()
    return said, time.perf_counter() - since


@pytest.mark.parametrize(
    ("parts", "answers"),
    [
        ((), 0),
        ((GET,), 0),
        ((b"\r\n",), 0),
        ((POST, b"ab"), 0),
        ((CHUNKED,), 0),
        ((POST + b"abcd", b"\r\n"), 1),
        ((GET + b"\r\n", POST + b"ab"), 1),
    ],
)
def test_what_is_never_whole(parts: tuple[bytes, ...], answers: int) -> None:
    """A connection is closed in time whatever it has sent; what was whole is answered."""
    said, seconds = asyncio.run(told(*parts))
    assert said.count(b"200 OK") == answers and seconds < 0.9


def test_what_comes_in_time() -> None:
    """A request in parts, and another one after the time of the first, on one connection."""

    async def asked() -> bytes:
        slow = [POST[i : i + 20] for i in range(0, len(POST), 20)]
        return (await told(*slow, b"ab", b"cd", *[POST + b"abcd"] * 8))[0]

    said = asyncio.run(asked())
    assert said.count(b"200 OK") == 9 and b"400" not in said


@pytest.mark.parametrize(
    "parts", [(GET, LONG, b"Y: "), (GET + LONG[:-2], b"x" * 10), (CHUNKED, b"0\r\n", LONG, b"Y: ")]
)
def test_long_heads(parts: tuple[bytes, ...]) -> None:
    """A head of more bytes than it may have, and headers behind a body, end a connection at once."""
    said, seconds = asyncio.run(told(*parts))
    assert said.startswith(b"HTTP/1.1 400") and said.endswith(b"A head has at most 65536 bytes.")
    assert seconds < SECONDS
