"""The protocols over HTTP: TensorFlow Serving's REST, and the Open Inference Protocol in JSON and in bytes."""

from __future__ import annotations

import asyncio
import json
import math
import zlib
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any

import numpy as np
import orjson
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from ._calls import CALLS, Asked, Calls, as_failure, version_number
from ._examples import classes, inputs_of, values
from ._failures import Failure
from ._messages import as_json, check_signature, signatures
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
    raw,
    refused,
    sized,
    to_json,
)
from ._watching import ID, Call, Watching

Handler = Callable[[Request], Awaitable[Response]]
_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
#: What TensorFlow Serving's paths may have after a model.
_PLACES = ("", "/versions/{version}", "/labels/{label}")
#: The most brackets within each other that the slower parser is given: it calls itself for each.
_DEEPEST = 64
#: Parameters of Triton's that would change the answer, and are not known here.
_UNKNOWN = {"classification", "config", "sequence_id", "shared_memory_region"}


def routes(repository: Repository, limits: Limits) -> list[Route]:
    """The paths of both protocols; those that most requests take come first.

    Args:
        repository: The models.
        limits: What a request may take.

    >>> from cornu.serving._repository import Repository
    >>> [route.path for route in routes(Repository({}), Limits())][:2]
    ['/v2/models/{model}/infer', '/v2/models/{model}/versions/{version}/infer']
    """
    http = _Http(Calls(repository, limits))
    rest = "/v1/models/{model}"
    table: list[tuple[str, str, Handler]] = [
        ("POST", "/v2/models/{model}/infer", http.infer),
        ("POST", "/v2/models/{model}/versions/{version}/infer", http.infer),
        *(("POST", f"{rest}{place}:{{method}}", http.call) for place in _PLACES),
        *(("GET", f"{rest}{place}/metadata", http.metadata) for place in _PLACES),
        *(("GET", f"{rest}{place}", http.status) for place in _PLACES),
        *(
            (method, path, http.asked(name))
            for name, (method, *paths) in CALLS.items()
            for path in paths
        ),
        ("", "/v1/{rest:path}", http.unknown),
        ("", "/v2/{rest:path}", http.unknown),
    ]
    watching = repository.watching
    return [
        Route(path, _answered(path, handler, watching), methods=[method] if method else _METHODS)
        for method, path, handler in table
    ]


class _Http:
    """The handlers: TensorFlow Serving's (https://www.tensorflow.org/tfx/serving/api_rest), and those of the Open
    Inference Protocol with Triton's extensions (https://github.com/kserve/open-inference-protocol)."""

    def __init__(self, calls: Calls) -> None:
        self.calls, self.limit = calls, calls.limits.max_body

    def find(self, request: Request) -> Served:
        """The version that a request's path names."""
        named = request.path_params
        return self.calls.find(named["model"], named.get("version"), named.get("label"))

    async def unknown(self, request: Request) -> Response:
        """A path that neither protocol has."""
        asked = f"{request.method} {request.url.path}"
        if not request.url.path.startswith("/v1/"):
            raise Failure("NOT_FOUND", f"There is no such call: {asked}")
        if request.url.path.strip("/") == "v1/models":
            raise Failure("INVALID_ARGUMENT", "Missing model name in request.")
        raise Failure("INVALID_ARGUMENT", f"Malformed request: {asked}")

    # ------------------------------------------------------ TensorFlow Serving

    async def call(self, request: Request) -> Response:
        """Predict, Classify or Regress."""
        read = {"classify": classes, "regress": values}
        method = request.path_params["method"].lower()
        if method not in ("predict", *read):
            return await self.unknown(request)
        model = (served := self.find(request)).model
        body = _object(_loads(await _body(request, self.limit)))
        check_signature(model, body.get("signature_name"))
        if method == "predict":
            inputs = _given(model, body)
        else:
            inputs = inputs_of(model, body.get("examples"), body.get("context"))
        outputs = await self._run(request, served, inputs, _seconds(request))
        answer = _predicted(body, outputs) if method == "predict" else read[method](model, outputs)
        key = "results" if method in read else "outputs" if "inputs" in body else "predictions"
        return _json({key: answer}, arrays=outputs)

    async def status(self, request: Request) -> Response:
        """How versions are."""
        named = request.path_params
        version = version_number(named.get("version"))
        if "label" in named:
            version = self.find(request).model.version
        return _json(as_json(self.calls.statuses(named["model"], version)))

    async def metadata(self, request: Request) -> Response:
        """The signature."""
        model, name = self.find(request).model, request.path_params["model"]
        spec = {"name": name, "signature_name": "", "version": str(model.version)}
        found = {"signature_def": as_json(signatures(model))}
        return _json({"model_spec": spec, "metadata": found})

    # ------------------------------------------------- Open Inference Protocol

    def asked(self, name: str) -> Handler:
        """One of `CALLS`."""

        async def handler(request: Request) -> Response:
            named, said = request.path_params, {}
            if request.method == "POST" and (body := await _body(request, self.limit)):
                _parameters(said := _object(_loads(body)))
            asked = Asked(named.get("model", ""), named.get("version", ""), bool(said.get("ready")))
            answer = await getattr(self.calls, name)(asked)
            status = 503 if answer.get("ready") is False else 200
            return _json(answer.get("models", answer.get("config", answer)), status)

        return handler

    async def infer(self, request: Request) -> Response:
        """The outputs for a request."""
        served = self.find(request)
        body = await _body(request, self.limit)
        head = _head_length(request, body)
        said = _object(_loads(body[:head]))
        asked = _parameters(said)
        inputs = self._inputs(_items(said, "inputs"), memoryview(body)[head:])
        binary = asked.get("binary_data_output", False)
        wanted = {
            item["name"]: _parameters(item).get("binary_data", binary)
            for item in _items(said, "outputs")
        }
        outputs = await self._run(request, served, inputs, _seconds(request, asked), list(wanted))
        model, version = request.path_params["model"], str(served.model.version)
        answer = {"model_name": model, "model_version": version}
        if "id" in said:
            answer["id"] = said["id"]
        return _answer(answer, outputs, {name for name in outputs if wanted.get(name, binary)})

    async def _run(self, request: Request, served: Served, *asked: Any) -> dict[str, Array]:
        """The outputs for a request; where it has to wait, it is dropped once its client leaves."""
        work = self.calls.run(served, *asked)
        if not served.batcher.takes_long:  # watching the client costs as much as a short run
            return await work
        answered, left = asyncio.ensure_future(work), asyncio.ensure_future(request.receive())
        try:
            await asyncio.wait((answered, left), return_when=asyncio.FIRST_COMPLETED)
            if not answered.done():
                raise Failure("CANCELLED", "The client has left.")
            return answered.result()
        finally:
            answered.cancel()
            left.cancel()

    def _inputs(self, items: list[Any], data: memoryview) -> dict[str, Array]:
        """The arrays of a request: of JSON, or of the bytes behind it."""
        found: dict[str, Array] = {}
        for item in items:
            name, dtype = item["name"], dtype_of(item.get("datatype"))
            shape = sized(name, dtype, item.get("shape"), self.limit)
            size = _parameters(item).get("binary_data_size")
            if size is None:
                found[name] = from_json(name, item.get("data"), dtype, shape)
                continue
            if not isinstance(size, int) or not 0 <= size <= len(data):
                rule = "Tensors stand behind the JSON, 'binary_data_size' bytes each."
                raise refused(rule, f"{size!r} for {name!r}, of {len(data)}")
            found[name], data = raw(name, dtype, shape, data[:size]), data[size:]
        if data:
            raise refused("All bytes behind the JSON are tensors'.", f"{len(data)} that are not")
        return found


def _answered(path: str, handler: Handler, watching: Watching) -> Handler:
    """A handler whose failures are answers, which is watched."""

    async def answer(request: Request) -> Response:
        with Call(watching, "http", path, request.headers) as call:
            try:
                response = await handler(request)
            except Exception as error:
                failure = as_failure(error, f"{request.method} {request.url.path}")
                response = _json({"error": failure.message}, failure.http)
            if watching.access_log or call.code != "OK":
                response.headers[ID] = call.id
            return response

    return answer


# ------------------------------------------------------------------- requests


async def _body(request: Request, limit: int) -> bytes:
    """A request's body, unpacked, if it has no more bytes than it may."""
    parts, size = list[bytes](), 0
    try:
        async for part in request.stream():
            parts.append(part)
            size += len(part)
            if size > limit:
                raise _too_large(limit)
    except ClientDisconnect as error:
        raise Failure("CANCELLED", "The client has left.") from error
    data, coding = b"".join(parts), request.headers.get("content-encoding", "identity").lower()
    if coding == "identity":
        return data
    unpacking = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)
    try:
        data = unpacking.decompress(data, limit + 1)
    except zlib.error as error:
        raise refused(
            "A body is packed by gzip or deflate, or not.", f"{coding}: {error}"
        ) from error
    if len(data) > limit:
        raise _too_large(limit)
    if not unpacking.eof:
        raise refused("A body is packed by gzip or deflate, or not.", f"{coding}: a part of one")
    return data


def _too_large(limit: int) -> Failure:
    failure = Failure(
        "RESOURCE_EXHAUSTED", f"A body has at most {limit:,} bytes (max_body). Received: more."
    )
    failure.http = 413
    return failure


def _loads(data: bytes) -> Any:
    """What JSON says, with NaN, Infinity and -Infinity as TensorFlow Serving takes them."""
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as error:
        if (b"NaN" in data or b"Infinity" in data) and _depth(data) < _DEEPEST:
            with suppress(ValueError):
                return json.loads(data)
        raise refused("A body is JSON.", str(error)) from error


def _depth(data: bytes) -> int:
    """The most brackets that are open anywhere; those in strings count."""
    found = np.frombuffer(data, np.uint8)
    opened, closed = (sum(found == ord(x) for x in pair) for pair in ("[{", "]}"))
    return int(np.cumsum(opened - closed, dtype=np.int64).max(initial=0))


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
        rule = f"'{key}' is a list of objects, each with a name of its own."
        raise refused(rule, f"{items!r:.200}")
    return items


def _parameters(item: dict[str, Any]) -> dict[str, Any]:
    found = _object(item.get("parameters") or {})
    if unknown := _UNKNOWN & found.keys():
        raise Failure("UNIMPLEMENTED", f"Parameters that are not known here: {sorted(unknown)}.")
    return found


def _given(model: Model, body: dict[str, Any]) -> dict[str, Array]:
    """The inputs of Predict: by rows in 'instances', by columns in 'inputs'."""
    if ("instances" in body) == ("inputs" in body):
        raise refused("A request has either 'instances' or 'inputs'.", f"{sorted(body)}")
    given = body["inputs"] if "inputs" in body else _columns(body["instances"])
    (first, *others) = model.inputs
    if not _are_named(given):
        if others:
            rule = f"A model of several inputs has them by name: {model.signature}."
            raise refused(rule, "one value")
        given = {first.name: given}
    known = {spec.name: spec.dtype for spec in model.inputs}
    default = None if others else first.dtype  # the only one may have any name
    return {name: from_json(name, x, known.get(name, default)) for name, x in given.items()}


def _columns(rows: Any) -> Any:
    """The values of instances: by the names of inputs, where each is an object, else all of the only input."""
    if not isinstance(rows, list) or not rows:
        raise refused("'instances' is a list, of one at least.", f"{rows!r:.100}")
    if not _are_named(rows[0]):
        return rows
    names = rows[0].keys()
    if not all(isinstance(x, dict) and x.keys() == names for x in rows):
        raise refused("Instances are objects of the same keys.", f"some without {sorted(names)}")
    return {name: [x[name] for x in rows] for name in names}


def _are_named(given: Any) -> bool:
    """Whether values stand by the names of inputs; `{"b64": ...}` is a value."""
    return isinstance(given, dict) and given.keys() != {"b64"}


def _seconds(request: Request, parameters: Mapping[str, Any] | None = None) -> list[float | None]:
    """After how many seconds the answer is of no use, as a header says, or Triton's parameter `timeout`."""
    said = (request.headers.get(TIMEOUT), 1e3), ((parameters or {}).get("timeout") or None, 1e6)
    try:
        found = [None if number is None else float(number) / scale for number, scale in said]
        if any(map(math.isnan, filter(None, found))):
            raise ValueError("nan")
        return found
    except (TypeError, ValueError, OverflowError) as error:
        raise refused(f"A time is a number ({TIMEOUT}, or 'timeout').", str(error)) from error


def _head_length(request: Request, body: bytes) -> int:
    """How many bytes of a body are JSON."""
    said = request.headers.get(LENGTH, str(len(body)))
    if not (said.isdecimal() and len(said) < 20 and int(said) <= len(body)):
        raise refused(f"{LENGTH} is a number of bytes of the body.", f"{said!r}, of {len(body)}")
    return int(said)


# -------------------------------------------------------------------- answers


def _predicted(body: dict[str, Any], outputs: Mapping[str, Array]) -> Any:
    """The answer to Predict: a row for each instance, or columns; values alone where there is one output."""
    found = {name: to_json(x, name.endswith("_bytes")) for name, x in outputs.items()}
    rows = len(body.get("instances", ()))
    if "instances" in body and any(x.shape[:1] != (rows,) for x in outputs.values()):
        shapes = {name: x.shape for name, x in outputs.items()}
        raise refused(
            f"Outputs of {rows} instances have a row for each.", f"{shapes}; use 'inputs'"
        )
    if len(found) == 1:
        return next(iter(found.values()))
    if "inputs" in body:
        return found
    return [{name: x[i] for name, x in found.items()} for i in range(rows)]


def _answer(answer: dict[str, Any], outputs: Mapping[str, Array], binary: set[str]) -> Response:
    """The answer to `infer`: outputs in JSON, or as bytes behind it."""
    parts = {name: bytes_of(outputs[name]) for name in binary}
    items = []
    for name, x in outputs.items():
        item: dict[str, Any] = {"name": name, "datatype": datatype_of(x), "shape": x.shape}
        if name in binary:
            item["parameters"] = {"binary_data_size": len(parts[name])}
        else:
            item["data"] = to_json(x.ravel())
        items.append(item)
    plain = {name: x for name, x in outputs.items() if name not in binary}
    head = _dumps({**answer, "outputs": items}, plain)
    if not binary:
        return Response(head, media_type="application/json")
    body = b"".join((head, *(parts[name] for name in outputs if name in binary)))
    headers = {LENGTH: str(len(head))}
    return Response(body, headers=headers, media_type="application/octet-stream")


def _json(content: Any, status: int = 200, arrays: Mapping[str, Array] | None = None) -> Response:
    return Response(_dumps(content, arrays or {}), status, media_type="application/json")


def _dumps(content: Any, arrays: Mapping[str, Array]) -> bytes:
    """JSON; of `arrays` with NaN and Infinity, which orjson writes as null."""
    if all(x.dtype.kind in "biuOSUT" or np.isfinite(x).all() for x in arrays.values()):
        return orjson.dumps(content, default=_plain, option=orjson.OPT_SERIALIZE_NUMPY)
    return json.dumps(content, default=_plain, separators=(",", ":")).encode()


def _plain(x: Any) -> Any:
    return x.tolist()
