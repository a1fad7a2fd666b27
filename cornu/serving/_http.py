"""The protocols over HTTP: TensorFlow Serving's REST, and the Open Inference Protocol in JSON and in bytes."""

from __future__ import annotations

import json
import time
import zlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from .. import tuning
from . import _metadata
from ._examples import classes, inputs_of, values
from ._failures import Failure
from ._messages import as_json, check_signature, signatures
from ._metadata import version_number
from ._model import Model
from ._options import Limits
from ._repository import Repository, Served
from ._running import Array
from ._tensors import (
    LENGTH,
    TIMEOUT,
    bytes_of,
    datatype_of,
    dtype_of,
    from_json,
    pictured,
    raw,
    refused,
    sized,
    to_json,
)

Handler = Callable[[Request], Awaitable[Response]]
_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
_JSON, _BYTES = "application/json", "application/octet-stream"
#: Parameters of Triton's that would change the answer, and are not known here.
_UNKNOWN = {"classification", "sequence_id", "shared_memory_region"}


def routes(repository: Repository, limits: Limits) -> list[Route]:
    """The paths of both protocols.

    Args:
        repository: The models.
        limits: What a request may take.

    >>> from cornu.serving._repository import Repository
    >>> [route.path for route in routes(Repository({}), Limits())][:2]
    ['/v2/models/{model}/infer', '/v1/models/{model}:{method}']
    """
    rest, inference = _Rest(repository, limits), _Inference(repository, limits)
    model, version = "/v2/models/{model}", "/v2/models/{model}/versions/{version}"
    table: list[tuple[str, str, Handler]] = [
        ("POST", f"{model}/infer", inference.infer),
        ("POST", "/v1/models/{model}:{method}", rest.call),
        ("POST", f"{version}/infer", inference.infer),
        ("POST", "/v1/models/{model}/versions/{version}:{method}", rest.call),
        ("POST", "/v1/models/{model}/labels/{label}:{method}", rest.call),
        *(
            ("GET", f"/v1/models/{{model}}{place}{ending}", handler)
            for ending, handler in (("/metadata", rest.metadata), ("", rest.status))
            for place in ("", "/versions/{version}", "/labels/{label}")
        ),
        ("GET", "/v1/models", rest.unnamed),
        ("", "/v1/{rest:path}", rest.malformed),
        ("GET", "/v2", inference.server),
        ("GET", "/v2/health/live", inference.live),
        ("GET", "/v2/health/ready", inference.ready),
        ("GET", "/v2/models/stats", inference.statistics),
        ("POST", "/v2/repository/index", inference.index),
        ("POST", "/v2/repository/models/{model}/load", inference.load),
        ("POST", "/v2/repository/models/{model}/unload", inference.unload),
        *(
            ("GET", f"{place}{ending}", handler)
            for place in (model, version)
            for ending, handler in (
                ("", inference.metadata),
                ("/ready", inference.model_ready),
                ("/stats", inference.statistics),
                ("/config", inference.config),
            )
        ),
        ("", "/v2/{rest:path}", inference.unknown),
    ]
    return [
        Route(path, _answered(handler), methods=[method] if method else _METHODS)
        for method, path, handler in table
    ]


class _Protocol:
    """What both protocols have."""

    def __init__(self, repository: Repository, limits: Limits) -> None:
        self.repository, self.limits = repository, limits

    def find(self, request: Request) -> Served:
        """The version that a request's path names."""
        named = request.path_params
        version = version_number(named.get("version"))
        return self.repository.find(named["model"], version, named.get("label"))

    async def body(self, request: Request) -> bytes:
        """A request's body, unpacked, if it has no more bytes than it may."""
        limit, parts, size = self.limits.max_body, [], 0
        said = request.headers.get("content-length", "")
        if said.isdecimal() and len(said) < 20 and int(said) > limit:
            raise _too_large(limit, int(said))
        async for part in request.stream():
            parts.append(part)
            size += len(part)
            if size > limit:
                raise _too_large(limit, size)
        data = b"".join(parts)
        coding = request.headers.get("content-encoding", "identity").lower()
        return data if coding == "identity" else _unpacked(data, coding, limit)

    async def run(
        self,
        served: Served,
        inputs: Mapping[str, Array],
        deadline: float | None,
        outputs: Any = None,
    ) -> dict[str, Array]:
        arrays = await pictured(served.model.inputs, inputs, self.limits.max_body)
        return await served.run(arrays, outputs, deadline)


class _Rest(_Protocol):
    """TensorFlow Serving's REST (https://www.tensorflow.org/tfx/serving/api_rest)."""

    async def call(self, request: Request) -> Response:
        """Predict, Classify or Regress."""
        method = {"predict": self._predict, "classify": self._classify, "regress": self._regress}
        found = method.get(request.path_params["method"].lower())
        if found is None:
            return await self.malformed(request)
        served = self.find(request)
        body = _object(_loads(await self.body(request)))
        check_signature(served.model, body.get("signature_name"))
        return await found(served, body, _deadline(request))

    async def _predict(self, served: Served, body: dict[str, Any], until: float | None) -> Response:
        if ("instances" in body) == ("inputs" in body):
            raise refused("A request has either 'instances' or 'inputs'.", f"{sorted(body)}")
        by_row = "instances" in body
        given = _instances(body["instances"]) if by_row else body["inputs"]
        if not _are_named(given):
            given = {_only_input(served.model): given}
        dtypes = _dtypes(served.model, given)
        inputs = {name: from_json(name, x, dtypes[name]) for name, x in given.items()}
        outputs = await self.run(served, inputs, until)
        found = {name: to_json(x, name.endswith("_bytes")) for name, x in outputs.items()}
        if not by_row:
            answer = next(iter(found.values())) if len(found) == 1 else found
            return _json({"outputs": answer}, arrays=outputs)
        rows = len(body["instances"])
        if any(x.shape[:1] != (rows,) for x in outputs.values()):
            shapes = {name: x.shape for name, x in outputs.items()}
            raise refused(
                f"Outputs of {rows} instances have a row for each.", f"{shapes}; use 'inputs'"
            )
        if len(found) == 1:
            return _json({"predictions": next(iter(found.values()))}, arrays=outputs)
        answers = [{name: x[i] for name, x in found.items()} for i in range(rows)]
        return _json({"predictions": answers}, arrays=outputs)

    async def _classify(
        self, served: Served, body: dict[str, Any], until: float | None
    ) -> Response:
        return await self._examined(served, body, until, classes)

    async def _regress(self, served: Served, body: dict[str, Any], until: float | None) -> Response:
        return await self._examined(served, body, until, values)

    async def _examined(
        self, served: Served, body: dict[str, Any], until: float | None, read: Callable[..., Any]
    ) -> Response:
        inputs = inputs_of(served.model, body.get("examples"), body.get("context"))
        outputs = await self.run(served, inputs, until)
        return _json({"results": read(served.model, outputs)}, arrays=outputs)

    async def status(self, request: Request) -> Response:
        """How versions are."""
        named = request.path_params
        version = version_number(named.get("version"))
        if "label" in named:
            version = self.find(request).model.version
        return _json(as_json(_metadata.statuses(self.repository, named["model"], version)))

    async def metadata(self, request: Request) -> Response:
        """The signature."""
        served = self.find(request)
        version = str(served.model.version)
        spec = {"name": request.path_params["model"], "signature_name": "", "version": version}
        found = {"signature_def": as_json(signatures(served.model))}
        return _json({"model_spec": spec, "metadata": found})

    async def unnamed(self, request: Request) -> Response:
        """No model is named."""
        raise Failure("INVALID_ARGUMENT", "Missing model name in request.")

    async def malformed(self, request: Request) -> Response:
        """A path that the protocol does not have."""
        raise Failure("INVALID_ARGUMENT", f"Malformed request: {request.method} {request.url.path}")


class _Inference(_Protocol):
    """The Open Inference Protocol (https://github.com/kserve/open-inference-protocol), with Triton's extensions."""

    async def infer(self, request: Request) -> Response:
        """The outputs for a request."""
        served, name = self.find(request), request.path_params["model"]
        body = await self.body(request)
        head = _head_length(request, body)
        said = _object(_loads(body[:head]))
        asked = _parameters(said)
        inputs = self._inputs(served.model, _items(said, "inputs"), memoryview(body)[head:])
        wanted = _outputs(said, asked)
        until = _deadline(request, asked.get("timeout"))
        outputs = await self.run(served, inputs, until, list(wanted) or None)
        answer = {"model_name": name, "model_version": str(served.model.version)}
        if "id" in said:
            answer["id"] = said["id"]
        binary = bool(asked.get("binary_data_output"))
        return _answer(answer, {n: (x, wanted.get(n, binary)) for n, x in outputs.items()})

    def _inputs(self, model: Model, items: list[Any], data: memoryview) -> dict[str, Array]:
        """The arrays of a request: of JSON, or of the bytes behind it."""
        found: dict[str, Array] = {}
        for item in items:
            name, dtype = item["name"], dtype_of(item.get("datatype"))
            shape = sized(name, dtype, item.get("shape"), self.limits.max_body)
            size = _parameters(item).get("binary_data_size")
            if size is None:
                x = from_json(name, item.get("data"), dtype)
                if x.size != np.prod(shape):
                    raise refused(
                        f"'data' has as many values as {shape}.", f"{x.shape} of {name!r}"
                    )
                found[name] = x.reshape(shape)
            elif not isinstance(size, int) or not 0 <= size <= len(data):
                raise refused(
                    "Tensors stand behind the JSON, 'binary_data_size' bytes each.",
                    f"{size!r} for {name!r}, of {len(data)}",
                )
            else:
                found[name], data = raw(name, dtype, shape, data[:size]), data[size:]
        if data:
            raise refused("All bytes behind the JSON are tensors'.", f"{len(data)} that are not")
        return found

    async def server(self, request: Request) -> Response:
        """What the server is."""
        return _json(_metadata.server())

    async def live(self, request: Request) -> Response:
        """Whether the process answers."""
        return _json({"live": True})

    async def ready(self, request: Request) -> Response:
        """Whether requests should come here."""
        ready = self.repository.ready
        return _json({"ready": ready}, 200 if ready else 503)

    async def model_ready(self, request: Request) -> Response:
        """Whether a model is served."""
        self.find(request)
        return _json({"name": request.path_params["model"], "ready": True})

    async def metadata(self, request: Request) -> Response:
        """The inputs and outputs of a model."""
        served = self.find(request)
        return _json(_metadata.metadata(self.repository, request.path_params["model"], served))

    async def config(self, request: Request) -> Response:
        """How a model is batched."""
        return _json(
            _metadata.config(request.path_params["model"], self.find(request), self.limits)
        )

    async def statistics(self, request: Request) -> Response:
        """What models have done."""
        named = request.path_params
        version = version_number(named.get("version"))
        return _json(_metadata.statistics(self.repository, named.get("model"), version))

    async def index(self, request: Request) -> Response:
        """All models."""
        body = await self.body(request)
        ready = bool(_object(_loads(body)).get("ready")) if body else False
        return _json(_metadata.index(self.repository, ready))

    async def load(self, request: Request) -> Response:
        """Load a model."""
        await self.repository.load(request.path_params["model"])
        return _json({})

    async def unload(self, request: Request) -> Response:
        """Serve a model no longer."""
        await self.repository.unload(request.path_params["model"])
        return _json({})

    async def unknown(self, request: Request) -> Response:
        """A path that the protocol does not have."""
        raise Failure("NOT_FOUND", f"There is no such call: {request.method} {request.url.path}")


# ------------------------------------------------------------------- requests


def _answered(handler: Handler) -> Handler:
    """A handler whose failures are answers."""

    async def answer(request: Request) -> Response:
        try:
            return await handler(request)
        except Failure as failure:
            return _json({"error": failure.message}, failure.http)
        except Exception as error:
            where = f"{request.method} {request.url.path}"
            tuning.say("%s failed. %s: %s", where, type(error).__name__, error, level="error")
            return _json({"error": f"{where} failed in the server; its log says more."}, 500)

    return answer


def _loads(data: bytes) -> Any:
    """What JSON says, with NaN, Infinity and -Infinity as TensorFlow Serving takes them."""
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as error:
        if b"NaN" in data or b"Infinity" in data:
            try:
                return json.loads(data)
            except (ValueError, RecursionError):
                pass
        raise refused("A body is JSON.", str(error)) from error


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise refused("A request is an object of JSON.", f"{value!r:.100}")
    return value


def _items(said: dict[str, Any], key: str) -> list[Any]:
    """The inputs or outputs of a request, each with a name."""
    items = said.get(key, [])
    named = isinstance(items, list) and all(
        isinstance(item, dict) and isinstance(item.get("name"), str) for item in items
    )
    if not named or len({item["name"] for item in items}) != len(items):
        raise refused(
            f"'{key}' is a list of objects, each with a name of its own.", f"{items!r:.200}"
        )
    return items


def _parameters(item: dict[str, Any]) -> dict[str, Any]:
    found = _object(item.get("parameters") or {})
    if unknown := _UNKNOWN & found.keys():
        raise Failure("UNIMPLEMENTED", f"Parameters that are not known here: {sorted(unknown)}.")
    return found


def _outputs(said: dict[str, Any], asked: dict[str, Any]) -> dict[str, bool]:
    """The outputs that a request asks for, and whether as bytes."""
    default = asked.get("binary_data_output", False)
    items = {item["name"]: _parameters(item) for item in _items(said, "outputs")}
    return {name: bool(item.get("binary_data", default)) for name, item in items.items()}


def _instances(given: Any) -> Any:
    """The values of instances: by the names of inputs, where each is an object, else all of the only input."""
    if not isinstance(given, list) or not given:
        raise refused("'instances' is a list, of one at least.", f"{given!r:.100}")
    if not _are_named(given[0]):
        return given
    names = given[0].keys()
    if not all(isinstance(x, dict) and x.keys() == names for x in given):
        raise refused("Instances are objects of the same keys.", f"some without {sorted(names)}")
    return {name: [x[name] for x in given] for name in names}


def _are_named(given: Any) -> bool:
    """Whether values stand by the names of inputs; `{"b64": ...}` is a value."""
    return isinstance(given, dict) and given.keys() != {"b64"}


def _only_input(model: Model) -> str:
    if len(model.inputs) != 1:
        raise refused(
            f"A model of several inputs has them by name: {model.signature}.", "one value"
        )
    return model.inputs[0].name


def _dtypes(model: Model, given: Mapping[str, Any]) -> dict[str, str | None]:
    """The dtypes of inputs; the only input may have any name."""
    known = {spec.name: spec.dtype for spec in model.inputs}
    default = model.inputs[0].dtype if len(model.inputs) == 1 else None
    return {name: known.get(name, default) for name in given}


def _deadline(request: Request, microseconds: Any = None) -> float | None:
    """Until when an answer is of use, by `time.monotonic()`: as the header says, or the parameter `timeout`."""
    said = request.headers.get(TIMEOUT)
    try:
        seconds = [float(said) / 1e3] if said is not None else []
        seconds += [float(microseconds) / 1e6] if microseconds else []
    except (TypeError, ValueError) as error:
        raise refused(f"A time is a number ({TIMEOUT}, or 'timeout').", str(error)) from error
    return time.monotonic() + min(seconds) if seconds else None


def _head_length(request: Request, body: bytes) -> int:
    """How many bytes of a body are JSON."""
    said = request.headers.get(LENGTH)
    if said is None:
        return len(body)
    if not (said.isdecimal() and len(said) < 20 and int(said) <= len(body)):
        raise refused(f"{LENGTH} is a number of bytes of the body.", f"{said!r}, of {len(body)}")
    return int(said)


def _unpacked(data: bytes, coding: str, limit: int) -> bytes:
    if coding not in ("gzip", "deflate"):
        raise refused("Content-Encoding is gzip, deflate or none.", f"{coding!r}")
    unpacking = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)
    try:
        found = unpacking.decompress(data, limit + 1)
    except zlib.error as error:
        raise refused(f"A body is what Content-Encoding says ({coding}).", str(error)) from error
    if len(found) > limit:
        raise _too_large(limit, len(found))
    if not unpacking.eof:
        raise refused(f"A body is what Content-Encoding says ({coding}).", "a part of one")
    return found


def _too_large(limit: int, size: int) -> Failure:
    failure = Failure(
        "RESOURCE_EXHAUSTED",
        f"A body has at most {limit:,} bytes (max_body). Received: {size:,} or more.",
    )
    failure.http = 413
    return failure


# -------------------------------------------------------------------- answers


def _json(content: Any, status: int = 200, arrays: Mapping[str, Array] | None = None) -> Response:
    """An answer; of numbers that are none, in `arrays`, with NaN and Infinity, which orjson writes as null."""
    return Response(_dumps(content, arrays or {}), status, media_type=_JSON)


def _dumps(content: Any, arrays: Mapping[str, Array]) -> bytes:
    if all(_is_finite(x) for x in arrays.values()):
        return orjson.dumps(content, default=_plain, option=orjson.OPT_SERIALIZE_NUMPY)
    return json.dumps(content, default=_plain, separators=(",", ":")).encode()


def _is_finite(x: Array) -> bool:
    return x.dtype.kind in "biuOSUT" or bool(np.isfinite(x).all())


def _plain(x: Any) -> Any:
    return x.tolist()


class _Output(NamedTuple):
    head: dict[str, Any]
    data: bytes = b""


def _answer(answer: dict[str, Any], outputs: Mapping[str, tuple[Array, bool]]) -> Response:
    """The answer to `infer`: outputs in JSON, or as bytes behind it."""
    parts = [_output(name, x, binary) for name, (x, binary) in outputs.items()]
    content = {**answer, "outputs": [part.head for part in parts]}
    plain = {name: x for name, (x, binary) in outputs.items() if not binary}
    head = _dumps(content, plain)
    if len(plain) == len(outputs):
        return Response(head, media_type=_JSON)
    body = b"".join((head, *(part.data for part in parts)))
    return Response(body, headers={LENGTH: str(len(head))}, media_type=_BYTES)


def _output(name: str, x: Array, binary: bool) -> _Output:
    head = {"name": name, "datatype": datatype_of(x), "shape": list(x.shape)}
    if not binary:
        return _Output({**head, "data": to_json(x.ravel())})
    data = bytes_of(x)
    return _Output({**head, "parameters": {"binary_data_size": len(data)}}, data)
