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

from ..core.checks import installed
from ..core.dtypes import numpy_dtype
from ._failures import CODES, Failure
from ._running import Array
from ._tensors import LENGTH, TIMEOUT, bytes_of, datatype_of, dtype_of, raw, text_of

#: The name of an array that is given without one: servers take any for a model's only input.
_INPUT = "input"
_SERVICE = "/inference.GRPCInferenceService"


class _Call(NamedTuple):
    """What is sent, and how the answer is read.

    Args:
        name: The method and the path of HTTP, or the name of gRPC's call.
        body: The bytes that are sent.
        read: From the answer, of the library that sends, to what it says.
        head: How many of the bytes are JSON; 0 for all.
    """

    name: str
    body: bytes
    read: Callable[[Any], Any]
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

    A method raises `Failure`, with one of gRPC's codes, where the server does not answer, or with an error.

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
        place = urlsplit(url)
        if place.scheme not in ("http", "https", "grpc", "grpcs"):
            raise ValueError(
                "`url` begins with http://, https://, grpc:// or grpcs://. Received: "
                f"url={url!r}. `cornu serve` prints its own."
            )
        kind = _Http if place.scheme.startswith("http") else _Grpc
        self._wire: _Http | _Grpc = kind(url, token, certificate, asynchronous)
        self._timeout, self._asynchronous = timeout, asynchronous

    def predict(
        self,
        model: str,
        inputs: Any,
        version: int | None = None,
        outputs: Sequence[str] = (),
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
        call = self._wire.infer(model, "" if version is None else str(version), arrays, outputs)
        return self._wire.send(call, self._timeout if timeout is None else timeout)

    def metadata(self, model: str) -> Any:
        """A model's name, versions, platform, inputs and outputs, as the protocol has them."""
        return self._ask("GET /v2/models/{name}", "ModelMetadata", name=model)

    def models(self) -> Any:
        """All models and versions: a list of dictionaries with `name`, `version`, `state` and `reason`."""
        return self._ask("POST /v2/repository/index", "RepositoryIndex")

    def load(self, model: str) -> Any:
        """Have a model loaded, or loaded again."""
        path = "POST /v2/repository/models/{model_name}/load"
        return self._ask(path, "RepositoryModelLoad", model_name=model)

    def unload(self, model: str) -> Any:
        """Have a model served no longer."""
        path = "POST /v2/repository/models/{model_name}/unload"
        return self._ask(path, "RepositoryModelUnload", model_name=model)

    def ready(self, model: str | None = None) -> Any:
        """Whether the server, or a model of it, takes requests."""
        try:
            if model is None:
                answer = self._ask("GET /v2/health/ready", "ServerReady")
            else:
                answer = self._ask("GET /v2/models/{name}/ready", "ModelReady", name=model)
        except Failure:
            return False
        return _is_ready(answer) if self._asynchronous else answer["ready"]

    def close(self) -> Any:
        """Close the connections."""
        return self._wire.close()

    def _ask(self, path: str, call: str, /, **fields: str) -> Any:
        return self._wire.send(self._wire.ask(path, call, fields), self._timeout)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


async def _is_ready(answer: Any) -> Any:
    try:
        return (await answer)["ready"]
    except Failure:
        return False


class _Wire:
    """Calls over HTTP or gRPC.

    `infer` makes a call for outputs, `ask` any other: by its path of HTTP, its name of gRPC, and its fields, which
    stand in the path or are the request. Within `_told` the errors of the library are failures.
    """

    _open: Callable[[str, str, Any], None]
    _request: Callable[[_Call, float], Any]
    _told: Callable[[], Any]

    def __init__(
        self, url: str, token: str | None, certificate: str | Path | None, asynchronous: bool
    ) -> None:
        self._asynchronous = asynchronous
        self._open(url, f"Bearer {token}" if token else "", certificate)

    def send(self, call: _Call, timeout: float) -> Any:
        """What a call's answer says, or an awaitable of it."""
        if self._asynchronous:
            return self._later(call, timeout)
        with self._told():
            answer = self._request(call, timeout)
        return call.read(answer)

    async def _later(self, call: _Call, timeout: float) -> Any:
        with self._told():
            answer = await self._request(call, timeout)
        return call.read(answer)


class _Http(_Wire):
    """Calls over HTTP, of httpx."""

    def _open(self, url: str, authorization: str, certificate: str | Path | None) -> None:
        installed("httpx", "A client over HTTP", "serve")
        import httpx

        headers = {"Authorization": authorization} if authorization else {}
        trusted = ssl.create_default_context(cafile=certificate) if certificate else True
        kind = httpx.AsyncClient if self._asynchronous else httpx.Client
        self._client = kind(base_url=url, headers=headers, verify=trusted)
        self._errors = httpx.TimeoutException, httpx.TransportError

    def close(self) -> Any:
        return self._client.aclose() if self._asynchronous else self._client.close()

    def _request(self, call: _Call, timeout: float) -> Any:
        headers = {TIMEOUT: str(timeout * 1e3), **({LENGTH: str(call.head)} if call.head else {})}
        method, path = call.name.split(" ")
        return self._client.request(
            method, path, content=call.body, headers=headers, timeout=timeout
        )

    @contextmanager
    def _told(self) -> Iterator[None]:
        late, other = self._errors
        try:
            yield
        except late as error:
            raise Failure("DEADLINE_EXCEEDED", f"No answer in time: {error}") from error
        except other as error:
            raise Failure("UNAVAILABLE", f"The server does not answer: {error}") from error

    def infer(
        self, model: str, version: str, arrays: Mapping[str, Array], outputs: Sequence[str]
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
            "outputs": [{"name": name} for name in outputs],
            "parameters": {"binary_data_output": True},
        }
        head = json.dumps(said).encode()
        path = (
            f"POST /v2/models/{quote(model, '')}{f'/versions/{version}' if version else ''}/infer"
        )
        return _Call(path, b"".join((head, *parts.values())), _http_outputs, len(head))

    def ask(self, path: str, name: str, fields: Mapping[str, str]) -> _Call:
        quoted = {key: quote(value, "") for key, value in fields.items()}
        return _Call(path.format(**quoted), b"", lambda answer: _checked(answer).json())


def _checked(answer: Any) -> Any:
    """An answer of HTTP, if it is no failure."""
    if answer.is_success:
        return answer
    code = next((name for name, x in CODES.items() if x.http == answer.status_code), "INTERNAL")
    try:
        message = answer.json()["error"]
    except (ValueError, KeyError, TypeError):
        message = f"The server answers {answer.status_code}. {answer.text[:200]}"
    raise Failure("RESOURCE_EXHAUSTED" if answer.status_code == 413 else code, message)


def _http_outputs(answer: Any) -> Any:
    body = _checked(answer).content
    length = int(answer.headers.get(LENGTH, len(body)))
    data, found = memoryview(body)[length:], {}
    for item in json.loads(body[:length])["outputs"]:
        name, dtype, shape = item["name"], dtype_of(item["datatype"]), tuple(item["shape"])
        size = item.get("parameters", {}).get("binary_data_size")
        if size is None:  # of a server that gives JSON all the same
            kind = object if dtype == "string" else numpy_dtype(dtype)
            found[name] = np.asarray(item["data"], kind).reshape(shape)
        else:
            found[name], data = raw(name, dtype, shape, data[:size]), data[size:]
    return _alone(found)


class _Grpc(_Wire):
    """Calls over gRPC."""

    def _open(self, url: str, authorization: str, certificate: str | Path | None) -> None:
        installed("grpc", "A client over gRPC", "serve")
        import grpc
        import grpc.aio

        library = grpc.aio if self._asynchronous else grpc
        sizes = [(f"grpc.max_{way}_message_length", -1) for way in ("send", "receive")]
        place = urlsplit(url)
        if place.scheme == "grpcs":
            trusted = Path(certificate).read_bytes() if certificate else None
            credentials = grpc.ssl_channel_credentials(trusted)
            self._channel = library.secure_channel(place.netloc, credentials, options=sizes)
        else:
            self._channel = library.insecure_channel(place.netloc, options=sizes)
        self._metadata = (("authorization", authorization),) if authorization else ()
        self._error = grpc.RpcError

    def close(self) -> Any:
        return self._channel.close()

    def _request(self, call: _Call, timeout: float) -> Any:
        method = self._channel.unary_unary(f"{_SERVICE}/{call.name}")
        return method(call.body, timeout=timeout, metadata=self._metadata)

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except self._error as error:
            code = error.code().name
            raise Failure(code if code in CODES else "INTERNAL", error.details() or code) from error

    def infer(
        self, model: str, version: str, arrays: Mapping[str, Array], outputs: Sequence[str]
    ) -> _Call:
        from ._messages import output, types

        request = types().ModelInferRequest(
            model_name=model,
            model_version=version,
            inputs=[output(name, x, contents=False) for name, x in arrays.items()],
            outputs=[{"name": name} for name in outputs],
            raw_input_contents=map(bytes_of, arrays.values()),
        )
        return _Call("ModelInfer", request.SerializeToString(), _grpc_outputs)

    def ask(self, path: str, name: str, fields: Mapping[str, str]) -> _Call:
        from ._messages import as_json, types

        def read(body: bytes) -> Any:
            said = as_json(getattr(types(), f"{name}Response").FromString(body))
            for tensor in (*said.get("inputs", ()), *said.get("outputs", ())):
                tensor["shape"] = list(map(int, tensor["shape"]))  # which JSON has as strings
            return said.get("models", said)

        request = getattr(types(), f"{name}Request")(**fields)
        return _Call(name, request.SerializeToString(), read)


def _grpc_outputs(body: bytes) -> Any:
    from ._messages import from_input, types

    answer = types().ModelInferResponse.FromString(body)
    parts = answer.raw_output_contents or [None] * len(answer.outputs)
    pairs = zip(answer.outputs, parts, strict=True)
    limit = 8 * len(body)  # an integer of 8 bytes may take one
    return _alone({x.name: from_input(x, part, limit) for x, part in pairs})


def _alone(found: dict[str, Array]) -> Any:
    """Arrays by their names, or the only one; text as strings."""
    arrays = {name: text_of(x) if x.dtype == object else x for name, x in found.items()}
    return next(iter(arrays.values())) if len(arrays) == 1 else arrays
