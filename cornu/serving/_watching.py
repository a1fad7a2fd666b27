"""What is told of each call: its line in the log, its metrics, and its span where OpenTelemetry is installed."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Mapping
from contextvars import ContextVar, Token
from importlib.util import find_spec
from typing import Any

from .. import tuning
from ._failures import Failure
from ._metrics import Metrics

#: The header that holds the id of a request: that of its sender, or one that is given to it.
ID = "x-request-id"
#: The most characters of an id.
_LONGEST = 128
#: What is told of a call.
_NAMES = ("model", "version", "protocol", "call", "code")
_call: ContextVar[Call | None] = ContextVar("cornu-call", default=None)


class Watching:
    """Whoever looks at calls.

    Args:
        metrics: What counts them.
        access_log: Whether each has a line in the log.
    """

    def __init__(self, metrics: Metrics, access_log: bool = False) -> None:
        self.metrics, self.access_log = metrics, access_log
        self.tracer: Any = None
        if find_spec("opentelemetry") is None:
            tuning.say("Calls are not traced: `opentelemetry-api` is not installed.")
            return
        from opentelemetry import propagate, trace

        self.tracer, self._api, self._extract = trace.get_tracer("cornu"), trace, propagate.extract
        tuning.say("Calls are traced by OpenTelemetry, where its SDK is set up.")

    def span(self, call: Call) -> Any:
        """A span that has begun, below that of the sender; None where nobody traces."""
        if self.tracer is None or self._is_nobodys():
            return None
        kind = self._api.SpanKind.SERVER
        return self.tracer.start_span(call.name, self._extract(call.headers), kind)

    def _is_nobodys(self) -> bool:
        """Whether no SDK is set up: reading the headers for nobody would take a tenth of a call."""
        provider = self._api.get_tracer_provider()
        return isinstance(self.tracer, self._api.ProxyTracer) and isinstance(
            provider, self._api.ProxyTracerProvider
        )

    def answered(self, call: Call, span: Any, seconds: float) -> None:
        """Tell of a call that has ended."""
        said = (*call.model, call.protocol, call.name, call.code)
        self.metrics.answered(said, seconds)
        if self.access_log:
            line = {**dict(zip(_NAMES, said, strict=True)), "ms": round(seconds * 1e3, 3)}
            tuning.say("%s", json.dumps({**line, "id": call.id}))
        if span is not None and span.is_recording():
            told = {f"cornu.{name}": x for name, x in zip(_NAMES, said, strict=True)}
            span.set_attributes({**told, "cornu.id": call.id})
            if call.code != "OK":
                span.set_status(self._api.StatusCode.ERROR, call.code)
            span.end()


class Call:
    """A call while it is answered, as a `with` block. What fails in it fails outside as well.

    Args:
        watching: Who looks at it.
        protocol: `"http"` or `"grpc"`.
        name: The path with its parameters' names, or the name of gRPC.
        headers: What was sent with it.

    Attributes:
        model: The model that answers, and its version; empty where none is found.
        code: How it ended: `"OK"`, or a code of `CODES`.
    """

    __slots__ = (
        "_before",
        "_id",
        "_span",
        "_started",
        "code",
        "headers",
        "model",
        "name",
        "protocol",
        "watching",
    )

    def __init__(
        self, watching: Watching, protocol: str, name: str, headers: Mapping[str, str]
    ) -> None:
        self.watching, self.protocol, self.name, self.headers = watching, protocol, name, headers
        self.model, self.code = ("", ""), "OK"
        given = headers.get(ID, "")[:_LONGEST]
        self._id = given if given.isprintable() else ""  # it stands in logs

    @property
    def id(self) -> str:
        """Its id, which is made only for those who read it."""
        self._id = self._id or uuid.uuid4().hex
        return self._id

    def __enter__(self) -> Call:
        self._before: Token[Call | None] = _call.set(self)
        self._started, self._span = time.perf_counter(), self.watching.span(self)
        return self

    def failed(self, failure: Failure) -> None:
        """Note how it ended."""
        self.code = failure.code

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        seconds = time.perf_counter() - self._started
        _call.reset(self._before)
        if error is not None:  # whoever asked has left
            self.code = "CANCELLED"
        self.watching.answered(self, self._span, seconds)


def current() -> Call | None:
    """The call that is answered."""
    return _call.get()
