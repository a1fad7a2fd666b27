"""What a server may be told: each option once, with its default, for `serve`, `app` and the command line."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from ..core.checks import is_number, is_size, one_of, positive_integer

#: The largest numbers that options may have.
_MOST = {"port": 65535, "grpc_port": 65535}


@dataclass(frozen=True)
class Limits:
    """What requests may take, and how they are batched. Sizes count rows, not requests.

    Args:
        max_batch: The most rows of one run.
        batch_sizes: The sizes that batches are filled up to; 1, 2, 4, ... `max_batch` where they are
            left out.
        max_delay_ms: How long a batch waits for more rows, in milliseconds.
        max_queue: How many rows may wait for a model; more are refused at once.
        max_body: The bytes that a request may have.

    >>> Limits(max_batch=6).sizes, Limits(batch_sizes=(1, 3)).sizes
    ((1, 2, 4, 6), (1, 3))
    """

    max_batch: int = 32
    batch_sizes: tuple[int, ...] | None = None
    max_delay_ms: float = 0.0
    max_queue: int = 256
    max_body: int = 64 << 20

    def __post_init__(self) -> None:
        for name in ("max_batch", "max_queue", "max_body"):
            positive_integer(**{name: getattr(self, name)})
        for option in fields(self):
            _check_number(option.name, str(option.type), getattr(self, option.name))
        sizes = self.sizes
        if not sizes or not all(map(is_size, sizes)) or sorted(set(sizes)) != list(sizes):
            raise ValueError(
                "`batch_sizes` must be positive integers that rise. Received: "
                f"batch_sizes={self.batch_sizes!r}."
            )

    @property
    def sizes(self) -> tuple[int, ...]:
        """The sizes that a batch may have, rising."""
        if self.batch_sizes is not None:
            return tuple(self.batch_sizes)
        powers = (1 << n for n in range(self.max_batch.bit_length()))
        return (*(size for size in powers if size < self.max_batch), self.max_batch)


@dataclass(frozen=True)
class Options(Limits):
    """All that `serve` may be told, beside `Limits`.

    Args:
        name: The name of a model that is served alone; that of its file or folder where it is left out.
        engine: What models run on: `"onnxruntime"`, or an engine of Cornu such as `"jax"`. Where it is
            left out, ONNX Runtime for each model that it can run, else the engine that is current.
        threads: How many threads one run may use; all of the machine's where it is 0.
        versions: Which versions are served: the number of the newest that work, `"all"`, or a tuple
            of those that are wanted.
        labels: Versions by their labels, such as `{"stable": 3, "canary": 4}`.
        memory: How many bytes models may take; those that were used least recently leave for others,
            and come back when they are asked for. None for no limit.
        swap: `"before"` to unload the old version once the new one is there, `"after"` to unload it first,
            which takes half of the memory and answers nothing meanwhile.
        poll: After how many seconds folders are read again; 0 for never.
        host: The address to listen at: by default nobody but this machine gets in.
        port: The port of HTTP; 0 for any that is free.
        grpc_port: The port of gRPC; 0 for any that is free, None for no gRPC.
        workers: How many processes serve, each with models and metrics of its own.
        token_file: A file of tokens, one a line: who shows none of them (`Authorization: Bearer TOKEN`) is told no more
            than health. None to let everybody in.
        certificate: A file of PEM with the certificate of the server, and those that vouch for it: HTTP and gRPC go
            by TLS then.
        key: A file of PEM with its key.
        cors: Origins whose pages may ask, such as `https://example.com`, or `*` for all.
        access_log: Whether each call has a line in the log, of JSON with its id.
        receive_timeout: In how many seconds a request must have come whole; a connection that sends less is closed.
        drain_delay: How many seconds a process that was asked to end goes on as before, but for not being
            ready, so that whoever spreads requests takes notice.
        grace: How many seconds requests under way have after that.
    """

    name: str | None = None
    engine: str | None = None
    threads: int = 0
    versions: int | str | tuple[int, ...] = 1
    labels: Mapping[str, int] = field(default_factory=dict)
    memory: int | None = None
    swap: str = "before"
    poll: float = 1.0
    host: str = "127.0.0.1"
    port: int = 8501
    grpc_port: int | None = 8500
    workers: int = 1
    token_file: str | None = None
    certificate: str | None = None
    key: str | None = None
    cors: tuple[str, ...] = ()
    access_log: bool = False
    receive_timeout: float = 60.0
    drain_delay: float = 2.0
    grace: float = 30.0

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of(("before", "after"), swap=self.swap)
        positive_integer(workers=self.workers)
        if (self.certificate is None) != (self.key is None):
            raise ValueError(
                "TLS takes `certificate` and `key`. Received: "
                f"certificate={self.certificate!r}, key={self.key!r}."
            )
        if self.port and self.port == self.grpc_port:
            raise ValueError(
                "HTTP and gRPC have a port each. Received: "
                f"port={self.port!r}, grpc_port={self.grpc_port!r}."
            )
        if isinstance(self.versions, int):
            positive_integer(versions=self.versions)


def _check_number(name: str, annotation: str, value: Any) -> None:
    """Check an option that is a number, by its annotation."""
    kind, most = annotation.removesuffix(" | None"), _MOST.get(name)
    if kind not in ("int", "float") or (value is None and kind != annotation):
        return
    is_one = is_size(value, 0) if kind == "int" else is_number(value) and math.isfinite(value)
    if not is_one or value < 0 or (most is not None and value > most):
        what = "an integer" if kind == "int" else "a number"
        until = "on" if most is None else f"to {most}"
        raise ValueError(f"`{name}` must be {what} from 0 {until}. Received: {name}={value!r}.")
