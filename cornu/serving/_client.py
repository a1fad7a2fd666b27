"""A client of any server that speaks the Open Inference Protocol, in bytes: NumPy in and out, no TensorFlow."""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit

import numpy as np

from ..engines.host import TEXT_KINDS
from ._failures import CODES, Failure
from ._running import Array
from ._tensors import LENGTH, TIMEOUT, bytes_of, datatype_of, dtype_of, raw, text_of

#: The name of an array that is given without one: servers take any for a model's only input.
_INPUT = "input"
_SERVICE = "/inference.GRPCInferenceService/"


class _Call(NamedTuple):
    """A call in the words of one protocol, and how its answer is read.

    Args:
        path: The path of HTTP with its method, or the name of gRPC's call.
        body: What is sent.
        read: From the headers and the body of the answer to what it says.
        head: How many bytes of the body are JSON; 0 for all.
    """

    path: str
    body: bytes
    read: Callable[[Mapping[str, str], bytes], Any]
    head: int = 0


class Client:
    """A client of a server of models, over HTTP or gRPC.

    Args:
        url: `"http://host:8501"` or `"https://..."`, `"grpc://host:8500"` or, with TLS, `"grpcs://..."`. HTTP costs
            a server in Python half of what gRPC does.
        token: What the server wants to see, if it does.
        timeout: The seconds that a call may take. The server drops what it has not begun by then.
        certificate: A file of the certificates to trust; those that the system trusts where it is left out.
        asynchronous: Whether each method gives an awaitable, for `asyncio`.

    Raises:
        ValueError: If the URL begins otherwise.

    A method raises `Failure` with one of gRPC's codes where the server does not answer, or with an error.

    >>> with Client("http://127.0.0.1:1") as client:
    ...     client.ready()
    False
    """

    def __init__(
        self,
        url: str,
        token: str | None = None,
        timeout: float = 60.0,
        certificate: str | Path | None = None,
        asynchronous: bool = False,
    ) -> None:
        scheme = urlsplit(url).scheme
        if scheme not in ("http", "https", "grpc", "grpcs"):
            raise ValueError(
                "`url` begins with http://, https://, grpc:// or grpcs://. Received: "
                f"url={url!r}. `cornu serve` prints its own."
            )
        kind = _Http if scheme.startswith("http") else _Grpc
        self._wire: _Http | _Grpc = kind(url, token, certificate, asynchronous)
        self._timeout, self._asynchronous = timeout, asynchronous

    def predict(
        self,
        model: str,
        inputs: Any,
        version: int | None = None,
        outputs: Sequence[str] | None = None,
        timeout: float | None = None,
    ) -> Any:
        """A model's outputs.

        Args:
            model: Its name.
            inputs: An array for each input by its name, or that of the only one. Files of JPEG or PNG, as bytes, are
                images to a model that takes some.
            version: Its version; the newest where it is left out.
            outputs: Which outputs; all where they are left out.
            timeout: The seconds that this call may take.

        Returns:
            The array of the only output, or arrays by their names.
        """
        given = inputs if isinstance(inputs, Mapping) else {_INPUT: inputs}
        arrays = {name: np.asarray(x) for name, x in given.items()}
        return self._send(self._wire.infer(model, version, arrays, outputs or ()), timeout)

    def metadata(self, model: str, version: int | None = None) -> Any:
        """A model's name, versions, platform, inputs and outputs, as the protocol has them."""
        return self._send(self._wire.metadata(model, version))

    def models(self) -> Any:
        """All models and versions: a list of dictionaries with `name`, `version`, `state` and `reason`."""
        return self._send(self._wire.models())

    def load(self, model: str) -> Any:
        """Have a model loaded, or loaded again."""
        return self._send(self._wire.change("load", model))

    def unload(self, model: str) -> Any:
        """Have a model served no longer."""
        return self._send(self._wire.change("unload", model))

    def ready(self, model: str | None = None) -> Any:
        """Whether the server, or a model of it, takes requests."""
        call = self._wire.ready(model)
        if self._asynchronous:
            return self._is_ready(call)
        try:
            return self._send(call)
        except Failure:
            return False

    async def _is_ready(self, call: _Call) -> Any:
        try:
            return await self._send(call)
        except Failure:
            return False

    def close(self) -> Any:
        """Close the connections."""
        return self._wire.close()

    def _send(self, call: _Call, timeout: float | None = None) -> Any:
        return self._wire.send(call, self._timeout if timeout is None else timeout)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


class _Http:
    """Calls over HTTP."""

    def __init__(
        self, url: str, token: str | None, certificate: str | Path | None, asynchronous: bool
    ) -> None:
        import httpx

        trusted = ssl.create_default_context(cafile=certificate) if certificate else True
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        kind = httpx.AsyncClient if asynchronous else httpx.Client
        self._client = kind(base_url=url, headers=headers, verify=trusted)
        self._errors, self._asynchronous = (
            (httpx.TimeoutException, httpx.TransportError),
            asynchronous,
        )

    def send(self, call: _Call, timeout: float) -> Any:
        """What a call's answer says, or an awaitable of it."""
        method, path = call.path.split(" ")
        headers = {TIMEOUT: str(timeout * 1e3), **({LENGTH: str(call.head)} if call.head else {})}

        def request() -> Any:
            return self._client.request(
                method, path, content=call.body, headers=headers, timeout=timeout
            )

        def read(answer: Any) -> Any:
            if not answer.is_success:
                raise _failure(answer.status_code, answer.text)
            return call.read(answer.headers, answer.content)

        return _sent(request, read, self._told, self._asynchronous)

    @contextmanager
    def _told(self) -> Iterator[None]:
        late, others = self._errors
        try:
            yield
        except late as error:
            raise Failure("DEADLINE_EXCEEDED", f"No answer in time: {error}") from error
        except others as error:
            raise Failure("UNAVAILABLE", f"The server does not answer: {error}") from error

    def close(self) -> Any:
        return self._client.aclose() if self._asynchronous else self._client.close()

    def infer(
        self,
        model: str,
        version: int | None,
        arrays: Mapping[str, Array],
        outputs: Sequence[str],
    ) -> _Call:
        parts = {name: bytes_of(x) for name, x in arrays.items()}
        said: dict[str, Any] = {
            "inputs": [
                {
                    "name": name,
                    "datatype": datatype_of(x),
                    "shape": x.shape,
                    "parameters": {"binary_data_size": len(parts[name])},
                }
                for name, x in arrays.items()
            ],
            "parameters": {"binary_data_output": True},
        }
        if outputs:
            said["outputs"] = [
                {"name": name, "parameters": {"binary_data": True}} for name in outputs
            ]
        head = json.dumps(said).encode()
        body = b"".join((head, *parts.values()))
        return _Call(f"POST {_path(model, version)}/infer", body, _outputs, len(head))

    def metadata(self, model: str, version: int | None) -> _Call:
        return _Call(f"GET {_path(model, version)}", b"", _json)

    def models(self) -> _Call:
        return _Call("POST /v2/repository/index", b"{}", _json)

    def change(self, verb: str, model: str) -> _Call:
        path = f"/v2/repository/models/{quote(model, safe='')}/{verb}"
        return _Call(f"POST {path}", b"{}", lambda headers, body: None)

    def ready(self, model: str | None) -> _Call:
        path = "/v2/health" if model is None else _path(model, None)
        return _Call(f"GET {path}/ready", b"", lambda headers, body: True)


def _path(model: str, version: int | None) -> str:
    path = f"/v2/models/{quote(model, safe='')}"
    return path if version is None else f"{path}/versions/{version}"


def _json(headers: Mapping[str, str], body: bytes) -> Any:
    return json.loads(body)


def _outputs(headers: Mapping[str, str], body: bytes) -> Any:
    """The outputs of an answer to `infer`."""
    length = int(headers.get(LENGTH, len(body)))
    data, found = memoryview(body)[length:], {}
    for item in json.loads(body[:length])["outputs"]:
        name, dtype, shape = item["name"], dtype_of(item["datatype"]), tuple(item["shape"])
        size = item.get("parameters", {}).get("binary_data_size")
        if size is None:  # of a server that does as it likes
            found[name] = np.asarray(item["data"], _kind(dtype)).reshape(shape)
        else:
            found[name], data = raw(name, dtype, shape, data[:size]), data[size:]
    return _alone(found)


def _failure(status: int, text: str) -> Failure:
    code = next((name for name, code in CODES.items() if code.http == status), "INTERNAL")
    try:
        message = json.loads(text)["error"]
    except (ValueError, KeyError, TypeError):
        message = f"The server answers {status}. {text[:200]}"
    return Failure("RESOURCE_EXHAUSTED" if status == 413 else code, message)


class _Grpc:
    """Calls over gRPC."""

    def __init__(
        self, url: str, token: str | None, certificate: str | Path | None, asynchronous: bool
    ) -> None:
        import grpc
        import grpc.aio

        library = grpc.aio if asynchronous else grpc
        sizes = [(f"grpc.max_{way}_message_length", -1) for way in ("send", "receive")]
        place = urlsplit(url)
        if place.scheme == "grpcs":
            roots = Path(certificate).read_bytes() if certificate else None
            credentials = grpc.ssl_channel_credentials(roots)
            self._channel = library.secure_channel(place.netloc, credentials, options=sizes)
        else:
            self._channel = library.insecure_channel(place.netloc, options=sizes)
        self._metadata = (("authorization", f"Bearer {token}"),) if token else ()
        self._error, self._asynchronous = grpc.RpcError, asynchronous

    def send(self, call: _Call, timeout: float) -> Any:
        """What a call's answer says, or an awaitable of it."""
        method = self._channel.unary_unary(f"{_SERVICE}{call.path}")

        def request() -> Any:
            return method(call.body, timeout=timeout, metadata=self._metadata)

        def read(answer: bytes) -> Any:
            return call.read({}, answer)

        return _sent(request, read, self._told, self._asynchronous)

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except self._error as error:
            code = error.code().name
            raise Failure(code if code in CODES else "INTERNAL", error.details() or code) from error

    def close(self) -> Any:
        return self._channel.close()

    def infer(
        self,
        model: str,
        version: int | None,
        arrays: Mapping[str, Array],
        outputs: Sequence[str],
    ) -> _Call:
        from ._messages import output, types

        request = types().ModelInferRequest(
            model_name=model,
            model_version="" if version is None else str(version),
            inputs=[output(name, x, contents=False) for name, x in arrays.items()],
            outputs=[{"name": name} for name in outputs],
            raw_input_contents=map(bytes_of, arrays.values()),
        )
        return _Call("ModelInfer", request.SerializeToString(), _messaged_outputs)

    def metadata(self, model: str, version: int | None) -> _Call:
        number = "" if version is None else str(version)
        return _messaged("ModelMetadata", lambda found: found, name=model, version=number)

    def models(self) -> _Call:
        return _messaged("RepositoryIndex", lambda found: found["models"])

    def change(self, verb: str, model: str) -> _Call:
        name = f"RepositoryModel{verb.title()}"
        return _messaged(name, lambda found: None, model_name=model)

    def ready(self, model: str | None) -> _Call:
        if model is None:
            return _messaged("ServerReady", lambda found: found["ready"])
        return _messaged("ModelReady", lambda found: found["ready"], name=model)


def _messaged(call: str, read: Callable[[dict[str, Any]], Any], /, **fields: Any) -> _Call:
    """A call of gRPC whose answer is read as JSON, in which sizes are numbers as they are over HTTP."""
    from ._messages import as_json, types

    def found(headers: Mapping[str, str], body: bytes) -> Any:
        said = as_json(getattr(types(), f"{call}Response").FromString(body))
        for tensor in (*said.get("inputs", ()), *said.get("outputs", ())):
            tensor["shape"] = list(map(int, tensor["shape"]))
        return read(said)

    request = getattr(types(), f"{call}Request")(**fields)
    return _Call(call, request.SerializeToString(), found)


def _messaged_outputs(headers: Mapping[str, str], body: bytes) -> Any:
    """The outputs of an answer to `ModelInfer`."""
    from ._messages import from_input, types

    answer = types().ModelInferResponse.FromString(body)
    parts = answer.raw_output_contents or [None] * len(answer.outputs)
    return _alone(
        {
            x.name: from_input(x, part, len(body))
            for x, part in zip(answer.outputs, parts, strict=True)
        }
    )


def _sent(
    request: Callable[[], Any], read: Callable[[Any], Any], told: Any, asynchronous: bool
) -> Any:
    """What an answer says, or an awaitable of it; `told` makes failures of a library's errors."""

    async def later() -> Any:
        with told():
            answer = await request()
        return read(answer)

    if asynchronous:
        return later()
    with told():
        answer = request()
    return read(answer)


def _kind(dtype: str) -> Any:
    return object if dtype == "string" else dtype


def _alone(found: dict[str, Array]) -> Any:
    """Arrays by their names, or the only one; text as strings."""
    arrays = {name: text_of(x) if x.dtype.kind in TEXT_KINDS else x for name, x in found.items()}
    return next(iter(arrays.values())) if len(arrays) == 1 else arrays
