"""Who gets in, and what others can read on the way: tokens, TLS, and the pages of other origins."""

from __future__ import annotations

import hmac
import ipaddress
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from ._calls import CALLS
from ._failures import Failure
from ._options import Options
from ._tensors import LENGTH, TIMEOUT
from ._watching import ID

#: What answers without a token: health, which those ask who start processes and spread requests.
_OPEN = ("ServerLive", "ServerReady")
_OPEN_PATHS = {path for name in _OPEN for path in CALLS[name][1:]}
#: Pages, which hold no data: they ask for it with the token that somebody types there.
_OPEN_PATHS |= {"/", "/docs"}
_OPEN_CALLS = {f"/inference.GRPCInferenceService/{name}" for name in _OPEN}
_OPEN_SERVICE = "/grpc.health.v1.Health/"


class Tokens:
    """The tokens of a file, one a line: any of them lets a request in. Without a file, all are let in.

    Raises:
        OSError: If the file can't be read.
        ValueError: If it has no token.
    """

    def __init__(self, file: str | Path | None) -> None:
        lines = [] if file is None else Path(file).read_bytes().splitlines()
        self._tokens = [line.strip() for line in lines if line.strip()]
        if file is not None and not self._tokens:
            raise ValueError(
                f"`token_file` has a token in each line. Received: {file}, which is empty."
            )

    def __bool__(self) -> bool:
        """Whether a token is asked for."""
        return bool(self._tokens)

    def check(self, authorization: str | bytes | None) -> None:
        """Let a request in, by what it says in `Authorization`.

        Raises:
            Failure: If it has no token of the file.
        """
        said = authorization or b""
        scheme, _, given = (said.encode() if isinstance(said, str) else said).partition(b" ")
        # All are compared, each in a time that does not tell how much of it is right.
        found = [hmac.compare_digest(given.strip(), token) for token in self._tokens]
        if self._tokens and not (any(found) and scheme.lower() == b"bearer"):
            what = "another token, or another scheme" if authorization else "none"
            raise Failure(
                "UNAUTHENTICATED",
                f"A request has a token of this server: 'Authorization: Bearer TOKEN'. Received: {what}.",
            )

    def check_call(self, method: str, metadata: Mapping[str, str | bytes]) -> None:
        """Let a call of gRPC in.

        Raises:
            Failure: If it has no token of the file, and asks for more than health.
        """
        if method not in _OPEN_CALLS and not method.startswith(_OPEN_SERVICE):
            self.check(metadata.get("authorization"))


def guarded(inner: Any, options: Options) -> Any:
    """An ASGI application that lets in who has a token, and pages of the origins that were named.

    Args:
        inner: The application.
        options: What the server was told.
    """
    if tokens := Tokens(options.token_file):
        inner = _Guard(inner, tokens)
    if options.cors:
        from starlette.middleware.cors import CORSMiddleware

        # Outside of the guard: a browser asks for permission without a token.
        inner = CORSMiddleware(
            inner,
            allow_origins=options.cors,
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Type", LENGTH, TIMEOUT, ID],
            expose_headers=[LENGTH, ID],
        )
    return inner


class _Guard:
    """An ASGI application that answers who has a token."""

    def __init__(self, inner: Any, tokens: Tokens) -> None:
        self._inner, self._tokens = inner, tokens

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and not self._is_open(scope):
            try:
                self._tokens.check(dict(scope["headers"]).get(b"authorization"))
            except Failure as failure:
                return await self._refuse(failure, send)
        await self._inner(scope, receive, send)

    @staticmethod
    def _is_open(scope: Any) -> bool:
        return scope["path"].removeprefix(scope.get("root_path", "")) in _OPEN_PATHS

    @staticmethod
    async def _refuse(failure: Failure, send: Any) -> None:
        body = orjson.dumps({"error": failure.message})
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            (b"www-authenticate", b"Bearer"),
        ]
        await send({"type": "http.response.start", "status": failure.http, "headers": headers})
        await send({"type": "http.response.body", "body": body})


def pair(options: Options) -> tuple[str, str] | None:
    """The files of the certificate and its key; None where there is no TLS.

    Raises:
        OSError: If they can't be read, or don't belong together.
    """
    if options.certificate is None or options.key is None:
        return None
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(options.certificate, options.key)
    except OSError as error:  # `ssl.SSLError` among them
        raise OSError(
            "`certificate` and `key` are files of PEM that belong together, the key without a password. "
            f"Received: {options.certificate}, {options.key} ({error.strerror or error})."
        ) from error
    return options.certificate, options.key


def is_open_to_all(address: str, options: Options) -> bool:
    """Whether others than this machine get to an address, and in without a token."""
    return options.token_file is None and not ipaddress.ip_address(address).is_loopback
