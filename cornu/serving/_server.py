"""A server as a process: two ports on one loop, signals, and more processes where they are asked for."""

from __future__ import annotations

import asyncio
import ctypes
import multiprocessing
import os
import signal
import socket
import struct
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, nullcontext, suppress
from dataclasses import replace
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

from .. import tuning
from ..core.checks import installed
from ._announcing import announce
from ._failures import Failure
from ._layout import models_in
from ._options import Options
from ._repository import Repository

_SIGNALS = (signal.SIGTERM, signal.SIGINT)
#: The seconds in which the last connections are read.
_READ = 0.1
#: The seconds after which a connection of gRPC that rests is closed, and one is asked whether its client is there.
_IDLE, _ASKED = 300, 60
#: The option of sockets that `socket` has no name for, where systems have it.
_ATTACH_FILTER = {"linux": 26}
#: The seconds between two starts of a worker: one that can't live is no load.
_LIVED = 1.0


def app(source: Any, **options: Any) -> Any:
    """An ASGI application that serves models over HTTP, for another one to mount, or any ASGI server to run.

    Models are loaded when it starts, or, where it is mounted, by the first request.

    Args:
        source: A path as of `serve`, a model, or models by name.
        **options: Those of `Options` but for ports, workers and what ends the process.

    Raises:
        ModuleNotFoundError: If the packages of `cornu[serve]` are not installed.

    >>> from cornu import Sequential, layers
    >>> model = Sequential([layers.Input((4,)), layers.Dense(2)], name="m")
    >>> type(app(model, max_batch=8)).__name__
    'Application'
    """
    chosen = Options(**options)
    return Application(Repository(source, chosen), chosen)


def serve(source: Any, **options: Any) -> int:
    """Serve models until the process is asked to end (SIGTERM, SIGINT); requests under way are answered then.

    Args:
        source: The path of a `.keras` or `.onnx` file, a folder of versions, or a folder of models; or a model.
        **options: Those of `Options`.

    Returns:
        The exit code of the process: 0 when all was answered.

    Raises:
        OSError: If there is no such path, or a port is taken.
        ModuleNotFoundError: If the packages of `cornu[serve]` are not installed.
    """
    installed("uvicorn httptools", "Serving", "serve")
    chosen = Options(**options)
    if chosen.workers > 1:
        return _Supervisor(source, chosen).run()
    return _process(source, chosen)


class Application:
    """The ASGI application of a repository. Who calls while the process is leaving is told to connect anew."""

    def __init__(self, repository: Repository, options: Options) -> None:
        installed("starlette orjson prometheus_client", "Serving", "serve")
        from starlette.applications import Starlette

        from ._access import guarded
        from ._http import routes
        from ._looking import looking

        self.repository = repository
        all_routes = [*routes(repository, options), *looking(repository)]
        self._inner = guarded(Starlette(routes=all_routes, lifespan=self._life), options)

    @asynccontextmanager
    async def _life(self, inner: Any) -> AsyncIterator[None]:
        await self.repository.start()
        yield
        await self.repository.close()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer a request."""
        if scope["type"] == "http":
            await self.repository.start()
        await self._inner(scope, receive, self._closing(send) if self.repository.leaving else send)

    @staticmethod
    def _closing(send: Any) -> Any:
        async def closing(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), (b"connection", b"close")]
            await send(message)

        return closing


# ------------------------------------------------------------------ one process


def _process(source: Any, options: Options, reuse: bool = False, says: bool = True) -> int:
    """Serve in this process; with `reuse` others may have the same ports."""
    import uvicorn

    from ._access import pair
    from ._connection import Connection

    repository = Repository(source, options)
    certificate, key = pair(options) or (None, None)
    config = uvicorn.Config(
        Application(repository, options),
        log_config=None,
        access_log=False,
        lifespan="off",
        http=type("Connection", (Connection,), {"seconds": options.receive_timeout}),
        ws="none",
        ssl_certfile=certificate,
        ssl_keyfile=key,
        timeout_graceful_shutdown=max(1, round(options.grace)),
    )
    with _handled_as_before(), asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        return runner.run(_serve(repository, config, options, reuse, says))


async def _serve(
    repository: Repository, config: Any, options: Options, reuse: bool, says: bool
) -> int:
    import uvicorn

    from ._access import is_open_to_all

    asked, hurried = _signals()
    loading = asyncio.ensure_future(repository.start())
    await asyncio.wait([loading, asked], return_when=asyncio.FIRST_COMPLETED)
    if asked.done():
        return 0
    await loading
    server = uvicorn.Server(config)
    # It would raise the signals again once HTTP has ended, before gRPC has.
    server.capture_signals = nullcontext
    listening = listener(options.host, options.port, reuse)
    listening.listen(config.backlog)  # who calls before the loop does waits
    kept = listening.dup()
    rpc = None if options.grpc_port is None else _Rpc(repository, options, reuse)
    if rpc is not None:
        await rpc.start()
    http = asyncio.get_running_loop().create_task(server.serve([listening]))
    if says:
        address, port = listening.getsockname()[:2]
        announce(repository, port, None if rpc is None else rpc.port)
        if is_open_to_all(address, options):
            tuning.say(
                "Whoever gets to %s may ask, load and unload models: give a `token_file`, or leave `host` out.",
                address,
                level="warning",
            )
    await asyncio.wait([http, asked], return_when=asyncio.FIRST_COMPLETED)
    repository.leaving = True
    # Whoever spreads requests looks at readiness, and needs time for it.
    await asyncio.wait([http, hurried], timeout=options.drain_delay)
    if rpc is not None:
        rpc.refuses = True
    await _accept_last(server, config, kept)
    server.should_exit = True
    await asyncio.gather(http, *([] if rpc is None else [rpc.stop(options.grace)]))
    await repository.close()
    return 0


@contextmanager
def _handled_as_before() -> Iterator[None]:
    """Signals are handled at the end as they were: a loop that is closed leaves its handlers."""
    former = {number: signal.getsignal(number) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


def _signals() -> tuple[asyncio.Future[None], asyncio.Future[None]]:
    """Done when the process is asked to end, and when it is asked again."""
    loop = asyncio.get_running_loop()
    asked, hurried = loop.create_future(), loop.create_future()

    def ask() -> None:
        waiting = [future for future in (asked, hurried) if not future.done()]
        if waiting:
            waiting[0].set_result(None)

    def orphaned(sentinel: int) -> None:
        loop.remove_reader(sentinel)
        ask()

    for number in _SIGNALS:
        loop.add_signal_handler(number, ask)
    if (parent := multiprocessing.parent_process()) is not None:
        loop.add_reader(parent.sentinel, orphaned, parent.sentinel)
    return asked, hurried


def _refuse_more(listening: socket.socket) -> None:
    """Let Linux leave requests to connect unanswered: those that came between the last `accept` and `close` would
    be reset as well. They are sent anew, and refused (https://docs.kernel.org/networking/filter.html)."""
    if (attach := _ATTACH_FILTER.get(sys.platform)) is None:
        return
    nothing = ctypes.create_string_buffer(
        struct.pack("HBBI", 0x06, 0, 0, 0)
    )  # a program: return 0 bytes
    with suppress(OSError):
        listening.setsockopt(
            socket.SOL_SOCKET, attach, struct.pack("HP", 1, ctypes.addressof(nothing))
        )


async def _accept_last(server: Any, config: Any, listening: socket.socket) -> None:
    """Accept no more connections, but those that the system has accepted: they would be reset."""
    for one in server.servers:
        one.close()
    _refuse_more(listening)
    listening.setblocking(False)
    connections = []
    with suppress(BlockingIOError):
        while True:
            connections.append(listening.accept()[0])
    listening.close()
    for connection in connections:
        await asyncio.get_running_loop().connect_accepted_socket(
            lambda: config.http_protocol_class(config, server.server_state, {}),
            connection,
            ssl=config.ssl,
        )
    await asyncio.sleep(_READ)


class _Rpc:
    """The server of gRPC.

    Attributes:
        port: Its port.
        refuses: Whether calls are refused from now on. Those that come once it has stopped end as CANCELLED, which
            tells clients not to try elsewhere; UNAVAILABLE does.
    """

    def __init__(self, repository: Repository, options: Options, reuse: bool) -> None:
        installed("grpc", "Serving over gRPC", "serve")
        import grpc

        from ._access import Tokens, pair
        from ._grpc import handlers, refusal

        self.refuses, self._tokens, self._refusal = False, Tokens(options.token_file), refusal
        settings = [
            ("grpc.so_reuseport", int(reuse)),
            ("grpc.max_receive_message_length", options.max_body),
            ("grpc.max_send_message_length", -1),
            ("grpc.server_handshake_timeout_ms", int(options.receive_timeout * 1e3)),
            ("grpc.max_connection_idle_ms", _IDLE * 1000),  # clients connect anew by themselves
            ("grpc.keepalive_time_ms", _ASKED * 1000),
        ]
        self._server = grpc.aio.server(
            handlers=[self, *handlers(repository, options)], options=settings
        )
        listener(options.host, options.grpc_port or 0, reuse).close()  # its error says more
        host = f"[{options.host}]" if ":" in options.host else options.host
        if files := pair(options):
            certificate, key = (Path(file).read_bytes() for file in files)
            credentials = grpc.ssl_server_credentials([(key, certificate)])
            self.port = self._server.add_secure_port(f"{host}:{options.grpc_port}", credentials)
        else:
            self.port = self._server.add_insecure_port(f"{host}:{options.grpc_port}")
        self.start, self.stop = self._server.start, self._server.stop

    def service(self, details: Any) -> Any:
        """What answers a call: None leaves it to the handlers after this one."""
        try:
            if self.refuses:
                raise Failure("UNAVAILABLE", "The server is about to end. Ask another one.")
            if self._tokens:
                self._tokens.check_call(details.method, dict(details.invocation_metadata or ()))
        except Failure as failure:
            return self._refusal(failure)
        return None


def listener(host: str, port: int, reuse: bool = False) -> socket.socket:
    """A socket that is bound; with `reuse` other processes may bind the same port.

    Raises:
        OSError: If the port is taken.
    """
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    bound = socket.socket(family, kind, protocol)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if reuse:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    return _bound(bound, address, host, port)


def _claim(host: str, port: int) -> socket.socket | None:
    """What only one process of Linux can hold: servers that start at once would share ports that workers share.

    Raises:
        OSError: If another one holds it.
    """
    if sys.platform != "linux":
        return None
    return _bound(socket.socket(socket.AF_UNIX), f"\0cornu-serve-{host}:{port}", host, port)


def _bound(made: socket.socket, address: Any, host: str, port: int) -> socket.socket:
    try:
        made.bind(address)
    except OSError as error:
        made.close()
        raise OSError(
            error.errno,
            f"A server needs a port that is free. Received: {host}:{port} ({error.strerror}). "
            "Choose another, or 0 for any.",
        ) from error
    return made


# -------------------------------------------------------------- more processes


class _Supervisor:
    """Processes that share ports, each with its own models. One that dies is followed by another."""

    def __init__(self, source: Any, options: Options) -> None:
        if not isinstance(source, (str, Path)):
            raise ValueError(
                "Several processes each load their models. Received: "
                f"workers={options.workers}, source={source!r}. Give a path."
            )
        from ._access import Tokens, pair

        # Errors of theirs are not of every worker.
        pair(options), Tokens(options.token_file), models_in(Path(source), options.name)
        threads = options.threads or max(1, (os.cpu_count() or 1) // options.workers)
        # They are bound here as long as anybody serves: so a port that was free stays ours.
        wanted = [x for x in (options.port, options.grpc_port) if x is not None]
        for port in wanted:  # processes of another server would share it
            listener(options.host, port).close()
        self._claims = [_claim(options.host, port) for port in wanted if port]
        self._ports = [listener(options.host, port, reuse=True) for port in wanted]
        port, grpc_port = [*(x.getsockname()[1] for x in self._ports), None][:2]
        self._source = source
        self._options = replace(options, port=port, grpc_port=grpc_port, threads=threads, workers=1)
        self._count = options.workers
        self._leaving = False
        self._processes: list[tuple[Any, float]] = []

    def run(self) -> int:
        """Keep the processes up until a signal comes."""
        for number in _SIGNALS:
            signal.signal(number, self._leave)
        for i in range(self._count):
            self._processes.append(self._started(says=i == 0))
        while not self._leaving:
            wait([x.sentinel for x, _ in self._processes if x.is_alive()], timeout=0.2)
            for i, (process, since) in enumerate(self._processes):
                if process.is_alive() or time.monotonic() - since < _LIVED:
                    continue
                tuning.say(
                    "A worker has ended (%s). Another follows.", process.exitcode, level="error"
                )
                if not self._leaving:
                    self._processes[i] = self._started()
        for process, _ in self._processes:
            process.join()
        # One that has only begun ends by the signal itself.
        return int(any(x.exitcode not in (0, -signal.SIGTERM) for x, _ in self._processes))

    def _leave(self, *_: Any) -> None:
        self._leaving = True
        for process, _since in self._processes:
            process.terminate()

    def _started(self, says: bool = False) -> tuple[Any, float]:
        process = multiprocessing.get_context("spawn").Process(
            target=_worker, args=(self._source, self._options, says)
        )
        process.start()
        if self._leaving:  # the signal came while it was not among them
            process.terminate()
        return process, time.monotonic()


def _worker(source: Any, options: Options, says: bool) -> None:
    sys.exit(_process(source, options, reuse=True, says=says))
