"""A connection of HTTP that waits neither for a request nor for its head without end."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

#: The most bytes of a head, or of what stands between and behind the parts of a body.
_HEAD = 1 << 16


class Connection(HttpToolsProtocol):  # type: ignore[misc]
    """A connection. uvicorn closes one that rests after an answer, but not one that waits for a whole request.

    Attributes:
        seconds: Within how many a request has come whole, from its first byte or the connection's beginning on.
    """

    seconds = 60.0

    def connection_made(self, transport: Any) -> None:
        """Wait for the first request."""
        super().connection_made(transport)
        self._size, self._is_whole = 0, False
        self._timer: asyncio.TimerHandle | None = None
        self._wait()

    def connection_lost(self, error: Exception | None) -> None:
        """Wait no more."""
        self._stop()
        super().connection_lost(error)

    def data_received(self, data: bytes) -> None:
        """Read on."""
        self._size, self._is_whole = self._size + len(data), False
        super().data_received(data)
        if self._size > _HEAD and not self.transport.is_closing():
            self.send_400_response(f"A head has at most {_HEAD} bytes.")
        if self._is_whole:
            self._stop()
        elif self._timer is None:
            self._wait()

    def on_headers_complete(self) -> None:
        """What comes now is the body."""
        self._size = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A part of the body, which whoever reads it counts."""
        self._size = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """A request is there."""
        self._size, self._is_whole = 0, True
        super().on_message_complete()

    def _wait(self) -> None:
        self._timer = self.loop.call_later(self.seconds, self.transport.close)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
