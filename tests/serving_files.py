"""A server of files on this machine, with the habits of servers that are far away."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any


class Server(ThreadingHTTPServer):
    """Files by name. It breaks off after `breaks_after` bytes of an answer, and knows ranges if `ranges`."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, bytes] = {}
        self.breaks_after: int | None = None
        self.ranges, self.lengths = True, True
        self.version = "one"
        #: By how much a piece is another one than was asked for, and what is told as the length of a file.
        self.shift, self.told = 0, ""
        #: Whether it gives pieces of another version too.
        self.careless = False
        #: The answers to the next requests, where they are no files.
        self.codes: list[int] = []
        #: The `Range` of each request, None for all of a file.
        self.asked: list[str | None] = []

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.server_port}/{name}"


class _Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        server, name = self.server, self.path.lstrip("/").partition("?")[0]
        wanted = self.headers["Range"]
        server.asked.append(wanted)
        code = server.codes.pop(0) if server.codes else 200 if name in server.files else 404
        content = server.files.get(name, b"")
        same = server.careless or self.headers["If-Range"] in (None, f'"{server.version}"')
        self.close_connection = True
        if code == 200 and wanted and server.ranges and same:
            code, start = 206, int(wanted[len("bytes=") :].rstrip("-")) + server.shift
            self.send_response(code)
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
            content = content[start:]
        else:
            self.send_response(code)
        if server.version:
            self.send_header("ETag", f'"{server.version}"')
        if server.lengths:
            self.send_header("Content-Length", server.told or str(len(content)))
        self.end_headers()
        self.wfile.write(content[: server.breaks_after])

    def log_message(self, *args: Any) -> None:
        pass


@contextmanager
def serving() -> Iterator[Server]:
    """A server that ends with the block."""
    server = Server()
    thread = Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
