"""All that the models of `tests/serving/protocols.py` are asked by an unmodified tritonclient, in its own environment.

Run with the addresses of HTTP and gRPC, `host:port` each; ends with code 0 where all answers are right.
"""

import queue
import sys
from typing import Any

import numpy as np
import tritonclient.grpc
import tritonclient.http
from tritonclient.utils import InferenceServerException

X = np.array([[1, 2], [3, 4.5]], "float32")


def main() -> None:
    http, grpc = sys.argv[1:]
    library: Any
    for library, url, bodies in (
        (tritonclient.http, http, ({"binary_data": True}, {"binary_data": False})),
        (tritonclient.grpc, grpc, ({},)),
    ):
        client = library.InferenceServerClient(url)
        asked_of_the_server(client)
        for body in bodies:
            asked_of_models(library, client, body)
        client.close()
    in_a_stream(grpc)


def asked_of_the_server(client: Any) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("double", "1")
    assert not client.is_model_ready("none")
    names = [row["name"] for row in listed(client.get_model_repository_index())]
    assert "both" in names
    assert "cornu" in str(client.get_server_metadata())
    assert "FP32" in str(client.get_model_metadata("both"))
    assert "TYPE_FP32" in str(client.get_model_config("double"))
    client.unload_model("value")
    assert not client.is_model_ready("value")
    client.load_model("value")
    assert client.is_model_ready("value")


def listed(index: Any) -> list[Any]:
    """An index as a list of dictionaries, of what HTTP and gRPC give."""
    models = getattr(index, "models", None)
    return index if models is None else [{"name": model.name} for model in models]


def asked_of_models(library: Any, client: Any, body: dict[str, bool]) -> None:
    given = library.InferInput("x", list(X.shape), "FP32")
    given.set_data_from_numpy(X, **body)
    wanted = library.InferRequestedOutput("y", **body)
    found = client.infer(
        "double", [given], "1", outputs=[wanted], request_id="7", timeout=10_000_000
    )
    assert (found.as_numpy("y") == 2 * X).all()
    assert "7" in str(found.get_response())
    assert "execution_count" in str(client.get_inference_statistics("double"))
    packing = (
        "request_compression_algorithm" if library is tritonclient.http else "compression_algorithm"
    )
    for way in ("gzip", "deflate"):
        assert (client.infer("double", [given], **{packing: way}).as_numpy("y") == 2 * X).all()
    word = library.InferInput("word", [2, 1], "BYTES")
    word.set_data_from_numpy(np.array([["a"], ["ü"]], object), **body)
    assert client.infer("text", [word]).as_numpy("index").tolist() == [[1], [2]]
    for model, wrong, said in (("none", given, "Latest(none)"), ("double", word, "float32")):
        try:
            client.infer(model, [wrong])
        except InferenceServerException as error:
            assert said in str(error), error
        else:
            raise AssertionError(f"{model} answered")


def in_a_stream(url: str) -> None:
    client = tritonclient.grpc.InferenceServerClient(url)
    given = tritonclient.grpc.InferInput("x", list(X.shape), "FP32")
    given.set_data_from_numpy(X)
    answers: queue.Queue[Any] = queue.Queue()
    client.start_stream(lambda result, error: answers.put((result, error)))
    for i in range(10):
        client.async_stream_infer("double", [given], request_id=str(i))
    for i in range(10):
        result, error = answers.get(timeout=10)
        assert error is None
        assert result.get_response().id == str(i)
    client.stop_stream()
    try:
        client.infer("double", [given], client_timeout=1e-6)
    except InferenceServerException as error:
        assert "DEADLINE_EXCEEDED" in str(error)
    client.close()


if __name__ == "__main__":
    main()
