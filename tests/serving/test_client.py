"""The client: NumPy in and out over both protocols, in this thread and in a loop."""

from __future__ import annotations

import asyncio
import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cornu.serving import Client, Failure, app, serve
from cornu.serving._client import _grpc_outputs
from cornu.serving._messages import output, types
from tests.serving.protocols import addresses

SCHEMES = ("http", "grpc")


def png() -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.full((4, 2, 3), 7, "uint8")).save(file, "PNG")
    return file.getvalue()


ROWS: list[tuple[str, Any, dict[str, Any], Any]] = [
    ("double", np.array([[1, 2]], "float32"), {}, [[2, 4]]),
    ("double", [[1, 2], [3, 4]], {"version": 1}, [[2, 4], [6, 8]]),
    ("double", {"x": np.array([[1, 2]], "float16")}, {"outputs": ["y"]}, [[2, 4]]),
    ("both", {"x": [[1.0, 4]], "n": [1]}, {"outputs": ["sum"]}, [6]),
    ("both", {"x": [[1.0, 4]], "n": [1]}, {}, {"sum": [6], "root": [[1, 2]]}),
    ("text", [["a"], ["ü"]], {}, [[1], [2]]),
    ("image", np.array([png()], object), {}, [[7, 7, 7]]),
]
FAILURES: list[tuple[str, Any, dict[str, Any], str, str]] = [
    ("none", [[1, 2]], {}, "NOT_FOUND", "Latest(none)"),
    ("double", [[1, 2, 3]], {}, "INVALID_ARGUMENT", "x: float32 (None, 2)"),
    ("double", [[1, 2]], {"outputs": ["z"]}, "INVALID_ARGUMENT", "Received: ['z']"),
    ("double", [[1j, 2]], {}, "INVALID_ARGUMENT", "Received: complex128."),
    ("double", np.zeros((10**5, 2)), {}, "RESOURCE_EXHAUSTED", "at most 100,000 bytes"),
]


@pytest.mark.parametrize("scheme", SCHEMES)
def test_predictions(scheme: str) -> None:
    with Client(addresses()[scheme]) as client:
        for model, inputs, options, expected in ROWS:
            np.testing.assert_equal(client.predict(model, inputs, **options), expected)


def test_answers_that_are_shorter_than_their_arrays() -> None:
    """Strings that are empty, and integers that take a byte each."""
    for x in (np.full(99, "", object), np.zeros(99, "int64")):
        answer = types().ModelInferResponse(outputs=[output("y", x, True)])
        np.testing.assert_array_equal(_grpc_outputs(answer.SerializeToString()), x)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_failures(scheme: str) -> None:
    with Client(addresses()[scheme]) as client:
        for model, inputs, options, code, said in FAILURES:
            with pytest.raises(Failure) as failed:
                client.predict(model, inputs, **options)
            if scheme == "http" or "bytes" not in said:  # gRPC has a limit of its own before ours
                assert (failed.value.code, said in str(failed.value)) == (code, True), failed.value


@pytest.mark.parametrize("scheme", SCHEMES)
def test_what_else_a_client_asks(scheme: str) -> None:
    with Client(addresses()[scheme]) as client:
        assert [client.ready(), client.ready("double"), client.ready("none")] == [True, True, False]
        found = client.metadata("both")
        assert found["inputs"][1] == {"name": "x", "datatype": "FP32", "shape": [-1, 2]}
        one = {"name": "both", "version": "1", "state": "READY", "reason": ""}
        assert one in client.models()
        client.unload("classes")
        assert not client.ready("classes")
        client.load("classes")
        assert client.ready("classes")


@pytest.mark.parametrize("scheme", SCHEMES)
def test_in_a_loop(scheme: str) -> None:
    async def ask() -> None:
        async with Client(addresses()[scheme], asynchronous=True) as client:
            given = [np.full((1, 2), i, "float32") for i in range(20)]
            found = await asyncio.gather(*(client.predict("double", x) for x in given))
            np.testing.assert_equal(found, [2 * x for x in given])
            assert await client.ready()
            assert not await client.ready("none")
            with pytest.raises(Failure, match="Latest"):
                await client.predict("none", [1])

    asyncio.run(ask())


@pytest.mark.parametrize("scheme", SCHEMES)
def test_nobody_answers(scheme: str) -> None:
    with Client(f"{scheme}://127.0.0.1:1", timeout=5) as client:
        assert not client.ready()
        with pytest.raises(Failure) as failed:
            client.models()
    assert failed.value.code == "UNAVAILABLE"


def test_a_url_that_is_none() -> None:
    with pytest.raises(ValueError, match=r"Received: url='localhost:8501'\."):
        Client("localhost:8501")


def test_packages_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    calls = [(app, {}), (serve, "m"), *((Client, f"{scheme}://127.0.0.1") for scheme in SCHEMES)]
    for call, given in calls:
        with pytest.raises(ModuleNotFoundError, match=r"pip install 'cornu\[serve\]'"):
            call(given)
