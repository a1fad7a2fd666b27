"""Servers as processes, and clients that ask without a pause."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np


class Server:
    """A server in a process of its own, which has printed where it is.

    Attributes:
        said: What it has printed, all once it has ended.
    """

    def __init__(self, process: subprocess.Popen[str], port: int, grpc_port: int | None) -> None:
        self.process, self.port, self.grpc_port = process, port, grpc_port
        self.said: list[str] = []

    def workers(self) -> list[int]:
        """The processes that serve, by their numbers."""
        own = self.process.pid
        found = Path(f"/proc/{own}/task/{own}/children").read_text().split()
        commands = {int(pid): Path(f"/proc/{pid}/cmdline").read_bytes() for pid in found}
        return [pid for pid, command in commands.items() if b"resource_tracker" not in command]

    def listening(self) -> int:
        """How many sockets listen at the port of HTTP."""
        rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()]
        return sum(x[1].endswith(f":{self.port:04X}") and x[3] == "0A" for x in rows)

    def status(self, path: str) -> int:
        """The status of an answer."""
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)) as connection:
            connection.request("GET", path)
            return connection.getresponse().status

    def ended(self, number: int = signal.SIGTERM) -> int:
        """The exit code after a signal."""
        self.process.send_signal(number)
        return self.process.wait(20)


@contextmanager
def serving(path: Path, *options: str) -> Iterator[Server]:
    """A server of a path, by the command line, which is gone at the end."""
    command = [sys.executable, "-m", "cornu", "serve", str(path), "--port", "0", *options]
    if "--grpc-port" not in options:
        command += ["--grpc-port", "0"]
    environment = {**os.environ, "CORNU_BACKEND": "numpy"}
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    said, reading = "", list[threading.Thread]()
    assert process.stdout is not None
    try:
        for line in process.stdout:
            said += line
            if found := re.search(
                r"Serving at https?://[^ ]*:(\d+)(?:, gRPC at port (\d+))?", line
            ):
                server = Server(process, int(found[1]), int(found[2]) if found[2] else None)
                server.said.append(said)
                reading.append(threading.Thread(target=server.said.extend, args=[process.stdout]))
                reading[0].start()
                yield server
                return
        raise AssertionError(said)
    finally:
        process.kill()
        process.wait()
        for thread in reading:
            thread.join()
        process.stdout.close()


def asked_by_http(port: int, name: str, ends: threading.Event) -> Counter[str]:
    """What becomes of requests over one connection, which is opened anew where the server closes it."""
    found: Counter[str] = Counter()
    body = json.dumps({"instances": np.ones((1, 1)).tolist()})
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        while not ends.is_set():
            try:
                connection.request("POST", f"/v1/models/{name}:predict", body)
                response = connection.getresponse()
                content = json.loads(response.read())
                right = content == {"predictions": [[1.0]]}
                found["right" if right else str(response.status)] += 1
            except ConnectionRefusedError:  # it takes no more connections
                return found
            except Exception as error:
                found[type(error).__name__] += 1
                connection.close()
    return found


def asked_by_grpc(port: int, name: str, ends: threading.Event) -> Counter[str]:
    """What becomes of calls over one channel, until the server is not to be had."""
    import grpc

    found: Counter[str] = Counter()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        # ModelReadyRequest: name=1 string; ModelReadyResponse: ready=1 bool
        call = channel.unary_unary("/inference.GRPCInferenceService/ModelReady")
        while not ends.is_set():
            try:
                answer = call(bytes([10, len(name)]) + name.encode(), timeout=10)
                found["right" if answer == b"\x08\x01" else "wrong"] += 1
            except grpc.RpcError as error:
                found[error.code().name] += 1
                if error.code() is grpc.StatusCode.UNAVAILABLE:
                    return found
    return found


@contextmanager
def load(clients: list[Callable[[threading.Event], Counter[str]]]) -> Iterator[Counter[str]]:
    """Clients that ask within the block, each in a thread; what became of their requests is known after it."""
    found: Counter[str] = Counter()
    ends = threading.Event()
    threads = [
        threading.Thread(target=lambda one=client: found.update(one(ends)), daemon=True)
        for client in clients
    ]
    for thread in threads:
        thread.start()
    time.sleep(0.3)
    try:
        yield found
    finally:
        ends.set()
        for thread in threads:
            thread.join(10)
