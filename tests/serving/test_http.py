"""The protocols over HTTP: requests and what is answered."""

from __future__ import annotations

import asyncio
import base64
import gzip
import io
import json
import re
import tracemalloc
from typing import Any, NamedTuple

import numpy as np
import pytest
from PIL import Image

from cornu.serving._tensors import LENGTH, TIMEOUT, from_json
from tests.serving.protocols import OPTIONS, application, repository, run, send

NAN = float("nan")


def picture(size: tuple[int, int] = (2, 4), kind: str = "PNG", mode: str = "RGB") -> str:
    """A grey image of 7s as JSON has it."""
    file = io.BytesIO()
    Image.fromarray(np.full((size[1], size[0], 3), 7, "uint8")).convert(mode).save(file, kind)
    return base64.b64encode(file.getvalue()).decode()


class Row(NamedTuple):
    """A request and its answer.

    Args:
        path: Its path; a body makes it a POST.
        body: What is sent: an object of JSON, or bytes.
        answer: What is answered, or a pattern of the error.
        status: The status.
        headers: Headers of the request.
    """

    path: str
    body: Any
    answer: Any
    status: int = 200
    headers: dict[str, str] = {}


def infer(shape: Any = (1, 2), data: Any = (1, 2), datatype: Any = "FP32", **more: Any) -> Any:
    """A request of the Open Inference Protocol to `double`."""
    return {"inputs": [{"name": "x", "shape": shape, "datatype": datatype, "data": data}], **more}


def inferred(data: Any, shape: Any = (1, 2), **more: Any) -> Any:
    """Its answer."""
    y = {"name": "y", "datatype": "FP32", "shape": list(shape), "data": data}
    return {"model_name": "double", "model_version": "1", **more, "outputs": [y]}


ONE, DOUBLE = "/v1/models/double:predict", "/v2/models/double/infer"
AVAILABLE = {"error_code": "OK", "error_message": ""}
STATUS = {"model_version_status": [{"version": "1", "state": "AVAILABLE", "status": AVAILABLE}]}
SIZES = [{"size": size, "name": ""} for size in ("-1", "2")]
INFO = {"dtype": "DT_FLOAT", "tensor_shape": {"dim": SIZES, "unknown_rank": False}}
SIGNATURE = {
    "inputs": {"x": {"name": "serving_default_x:0", **INFO}},
    "outputs": {"y": {"name": "serving_default_y:0", **INFO}},
    "method_name": "tensorflow/serving/predict",
}

REST = {
    "rows": Row(ONE, {"instances": [[1, 2], [3, 4.5]]}, {"predictions": [[2, 4], [6, 9]]}),
    "a column": Row(ONE, {"inputs": [[1, 2]]}, {"outputs": [[2, 4]]}),
    "by name": Row(ONE, {"inputs": {"x": [[1, 2]]}}, {"outputs": [[2, 4]]}),
    "any name": Row(ONE, {"instances": [{"other": [1, 2]}]}, {"predictions": [[2, 4]]}),
    "a version": Row(
        "/v1/models/double/versions/1:predict", {"inputs": [[1, 2]]}, {"outputs": [[2, 4]]}
    ),
    "a label": Row(
        "/v1/models/double/labels/stable:predict", {"inputs": [[1, 2]]}, {"outputs": [[2, 4]]}
    ),
    "several rows": Row(
        "/v1/models/both:predict",
        {"instances": [{"x": [1, 4], "n": 1}, {"x": [0, 9], "n": -9}]},
        {"predictions": [{"sum": 6, "root": [1, 2]}, {"sum": 0, "root": [0, 3]}]},
    ),
    "several columns": Row(
        "/v1/models/both:predict",
        {"signature_name": "serving_default", "inputs": {"x": [[1, 4]], "n": [1]}},
        {"outputs": {"sum": [6], "root": [[1, 2]]}},
    ),
    "what is no number": Row(
        "/v1/models/both:predict",
        b'{"inputs": {"x": [[NaN, -1], [Infinity, 0]], "n": [0, 0]}}',
        {"outputs": {"sum": [NAN, float("inf")], "root": [[NAN, NAN], [float("inf"), 0]]}},
    ),
    "text": Row(
        "/v1/models/text:predict",
        {"instances": [["a"], ["ü"], [{"b64": "w7w="}], ["b"]]},
        {"predictions": [[1], [2], [2], [0]]},
    ),
    "images": Row(
        "/v1/models/image:predict",
        {"instances": [{"b64": picture()}, {"b64": picture((20, 40), "JPEG", "L")}]},
        {"predictions": [[7, 7, 7], [7, 7, 7]]},
    ),
    "numbers of an image": Row(
        "/v1/models/image:predict",
        {"inputs": np.full((1, 4, 2, 3), 7).tolist()},
        {"outputs": [[7, 7, 7]]},
    ),
    "classes": Row(
        "/v1/models/classes:classify",
        {"examples": [{"x": [0, 0]}, {"x": [0, 0]}]},
        {"results": [[["no", 0.5], ["yes", 0.5]]] * 2},
    ),
    "indices for labels": Row(
        "/v1/models/double:classify",
        {"examples": [{"x": [1, 2]}]},
        {"results": [[["0", 2], ["1", 4]]]},
    ),
    "values": Row(
        "/v1/models/value:regress",
        {"context": {"x": [1, 2]}, "examples": [{}, {"x": [3, 4]}]},
        {"results": [3, 7]},
    ),
    "status": Row("/v1/models/double", None, STATUS),
    "status of a version": Row("/v1/models/double/versions/1", None, STATUS),
    "metadata": Row(
        "/v1/models/double/metadata",
        None,
        {
            "model_spec": {"name": "double", "signature_name": "", "version": "1"},
            "metadata": {"signature_def": {"signature_def": {"serving_default": SIGNATURE}}},
        },
    ),
    "packed": Row(
        ONE,
        gzip.compress(b'{"inputs": [[1, 2]]}'),
        {"outputs": [[2, 4]]},
        headers={"Content-Encoding": "gzip"},
    ),
}

INFERENCE = {
    "flat": Row(DOUBLE, infer(), inferred([2, 4])),
    "nested": Row(
        DOUBLE, infer((2, 2), [[1, 2], [3, 4]], id="7"), inferred([2, 4, 6, 8], (2, 2), id="7")
    ),
    "another dtype": Row(DOUBLE, infer(datatype="INT64"), inferred([2, 4])),
    "of a version": Row("/v2/models/double/versions/1/infer", infer(), inferred([2, 4])),
    "an output": Row(DOUBLE, infer(outputs=[{"name": "y"}]), inferred([2, 4])),
    "in time": Row(DOUBLE, infer(parameters={"timeout": 10**7}), inferred([2, 4])),
    "metadata": Row(
        "/v2/models/double",
        None,
        {
            "name": "double",
            "versions": ["1"],
            "platform": "cornu_numpy",
            "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 2]}],
            "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1, 2]}],
        },
    ),
    "config": Row(
        "/v2/models/text/config",
        None,
        {
            "name": "text",
            "platform": "cornu_numpy",
            "max_batch_size": 32,
            "input": [{"name": "word", "data_type": "TYPE_STRING", "dims": [1]}],
            "output": [{"name": "index", "data_type": "TYPE_INT64", "dims": [1]}],
        },
    ),
    "live": Row("/v2/health/live", None, {"live": True}),
    "ready": Row("/v2/health/ready", None, {"ready": True}),
    "a model is ready": Row("/v2/models/double/ready", None, {"ready": True}),
}

REFUSED = {
    "no JSON": Row(ONE, b"{", "A body is JSON. Received: ", 400),
    "deep JSON": Row(ONE, b'{"inputs": ' + b"[" * 9000 + b"NaN" + b"]" * 9000 + b"}", "JSON", 400),
    "no object": Row(ONE, [1], "A request is an object of JSON. Received: [1].", 400),
    "neither": Row(ONE, {}, "either 'instances' or 'inputs'. Received: [].", 400),
    "both": Row(ONE, {"instances": [1], "inputs": [1]}, "either 'instances' or 'inputs'.", 400),
    "no rows": Row(ONE, {"instances": []}, "'instances' is a list, of one at least.", 400),
    "ragged": Row(ONE, {"instances": [[1, 2], [3]]}, "in lists of one length each.", 400),
    "null": Row(ONE, {"instances": [[1, None]]}, "the input 'x' with values of the types", 400),
    "a number as text": Row(ONE, {"instances": [["1", "2"]]}, "x: float32 (None, 2)", 400),
    "too many": Row(ONE, {"instances": [[1, 2, 3]]}, "x: float32 (None, 2)", 400),
    "a fraction": Row(
        "/v1/models/both:predict", {"inputs": {"x": [[1, 1]], "n": [0.5]}}, "not int32", 400
    ),
    "a lacking input": Row("/v1/models/both:predict", {"inputs": {"x": [[1, 1]]}}, "takes (", 400),
    "no names": Row("/v1/models/both:predict", {"inputs": [[1]]}, "has them by name", 400),
    "other keys": Row(
        "/v1/models/both:predict", {"instances": [{"x": [1, 1], "n": 1}, {}]}, "same keys", 400
    ),
    "b64": Row("/v1/models/text:predict", {"inputs": [[{"b64": "?"}]]}, "can't be read", 400),
    "an object": Row("/v1/models/text:predict", {"inputs": [[{"c": 1}]]}, "can't be read", 400),
    "a broken image": Row(
        "/v1/models/image:predict",
        {"inputs": [{"b64": picture()[:40]}]},
        "a file that can't be read",
        400,
    ),
    "a large image": Row(
        "/v1/models/image:predict", {"inputs": [{"b64": picture((200, 200))}]}, "max_body", 400
    ),
    "a signature": Row(ONE, {"signature_name": "other", "inputs": []}, "'serving_default'", 400),
    "no scores": Row(
        "/v1/models/both:classify",
        {"examples": [{"x": [1, 1], "n": 1}]},
        "one output of scores",
        400,
    ),
    "no values": Row(
        "/v1/models/double:regress", {"examples": [{"x": [1, 2]}]}, "numbers (batch,)", 400
    ),
    "no examples": Row("/v1/models/value:regress", {"examples": [1]}, "features by name", 400),
    "no feature": Row("/v1/models/both:classify", {"examples": [{"n": 1}]}, "without 'x'", 400),
    "a long feature": Row("/v1/models/value:regress", {"examples": [{"x": [1]}]}, "(None, 2)", 400),
    "no model": Row("/v1/models/none:predict", {}, "Latest(none)", 404),
    "no version": Row("/v1/models/double/versions/9:predict", {}, "Specific(double, 9)", 404),
    "no number": Row("/v1/models/double/versions/x:predict", {}, "version='x'", 404),
    "no label": Row("/v1/models/double/labels/canary:predict", {}, "Label(double, canary)", 404),
    "no method": Row("/v1/models/double:guess", {}, "POST /v1/models/double:guess", 400),
    "no path": Row("/v1/elsewhere", {}, "Malformed request: POST /v1/elsewhere", 400),
    "unnamed": Row("/v1/models", None, "Missing model name in request.", 400),
    "a path of v2": Row("/v2/elsewhere", None, "There is no such call: GET /v2/elsewhere", 404),
    "large": Row(ONE, b" " * (OPTIONS.max_body + 1), "at most 100,000 bytes (max_body)", 413),
    "large when unpacked": Row(
        ONE, gzip.compress(b" " * 10**6), "max_body", 413, {"Content-Encoding": "gzip"}
    ),
    "packed otherwise": Row(ONE, b"", "gzip or deflate", 400, {"Content-Encoding": "br"}),
    "not packed": Row(ONE, b"{}", "gzip or deflate", 400, {"Content-Encoding": "gzip"}),
    "late": Row(ONE, {"inputs": [[1, 2]]}, "time of the request", 504, {TIMEOUT: "0"}),
    "no time": Row(ONE, {"inputs": [[1, 2]]}, "A time is a number", 400, {TIMEOUT: "soon"}),
    "a time of none": Row(ONE, {"inputs": [[1, 2]]}, "A time is a number", 400, {TIMEOUT: "nan"}),
    "a long time": Row(
        DOUBLE,
        b'{"inputs": [], "x": NaN, "parameters": {"timeout": 1' + b"0" * 400 + b"}}",
        "A time is a number",
        400,
    ),
    "a datatype": Row(DOUBLE, infer(datatype="FP8"), "A datatype is one of BOOL", 400),
    "a shape": Row(DOUBLE, infer((-1, 2)), "sizes from 0 on. Received: [-1, 2]", 400),
    "a huge shape": Row(DOUBLE, infer((10**9, 2)), "at most 100,000 bytes (max_body)", 400),
    "another shape": Row(DOUBLE, infer((2, 2)), "4 for (2, 2). Received: 2", 400),
    "no name": Row(DOUBLE, {"inputs": [{}]}, "each with a name of its own", 400),
    "a name twice": Row(DOUBLE, {"inputs": infer()["inputs"] * 2}, "a name of its own", 400),
    "an unknown output": Row(DOUBLE, infer(outputs=[{"name": "z"}]), "Received: ['z']", 400),
    "shared memory": Row(
        DOUBLE, infer(parameters={"shared_memory_region": 1}), "not known here", 501
    ),
    "no bytes": Row(
        DOUBLE,
        {"inputs": [{**infer()["inputs"][0], "parameters": {"binary_data_size": 8}, "data": None}]},
        "8 for 'x', of 0",
        400,
    ),
    "a head of more": Row(DOUBLE, b"{}", "of the body. Received: '3'", 400, {LENGTH: "3"}),
    "an unknown model": Row("/v2/models/none", None, "Latest(none)", 404),
}


def answered(row: Row) -> Any:
    method = "GET" if row.body is None else "POST"
    given = {} if row.body is None else {"content": row.body}
    if not isinstance(row.body, (bytes, type(None))):
        given = {"json": row.body}
    return send(method, row.path, headers=row.headers, **given)


@pytest.mark.parametrize("row", [*REST.values(), *INFERENCE.values()], ids=[*REST, *INFERENCE])
def test_requests(row: Row) -> None:
    found = answered(row)
    assert found.status_code == row.status, found.text
    np.testing.assert_equal(json.loads(found.content), row.answer)


@pytest.mark.parametrize("row", REFUSED.values(), ids=list(REFUSED))
def test_what_is_refused(row: Row) -> None:
    found = answered(row)
    assert found.status_code == row.status, found.text
    assert set(found.json()) == {"error"}
    assert re.search(re.escape(row.answer), found.json()["error"])


@pytest.mark.parametrize("datatype, dtype", [("FP32", "<f4"), ("INT32", "<i4"), ("FP16", "<f2")])
def test_bytes(datatype: str, dtype: str) -> None:
    """Tensors behind the JSON, and an output there too, or not."""
    data = np.array([[1, 2]], dtype).tobytes()
    for asked in ({"parameters": {"binary_data_output": True}}, {}):
        item = {"name": "x", "shape": [1, 2], "datatype": datatype}
        said = {"inputs": [{**item, "parameters": {"binary_data_size": len(data)}}], **asked}
        head = json.dumps(said).encode()
        found = send("POST", DOUBLE, content=head + data, headers={LENGTH: str(len(head))})
        assert found.status_code == 200, found.text
        if not asked:
            assert found.json()["outputs"][0]["data"] == [2, 4]
            continue
        length = int(found.headers[LENGTH])
        (y,) = json.loads(found.content[:length])["outputs"]
        assert y["parameters"] == {"binary_data_size": 8}
        assert np.frombuffer(found.content[length:], "<f4").tolist() == [2, 4]
    trailing = send("POST", DOUBLE, content=head + data + b"x", headers={LENGTH: str(len(head))})
    assert "All bytes behind the JSON are tensors'" in trailing.json()["error"]


def test_text_and_files_as_bytes() -> None:
    for model, value, expected in (
        ("text", "ü".encode(), [2]),
        ("image", base64.b64decode(picture()), [7, 7, 7]),
    ):
        data = len(value).to_bytes(4, "little") + value
        shape = [1, 1] if model == "text" else [1]
        item = {"name": "any", "shape": shape, "datatype": "BYTES"}
        head = json.dumps({"inputs": [{**item, "parameters": {"binary_data_size": len(data)}}]})
        found = send(
            "POST",
            f"/v2/models/{model}/infer",
            content=head.encode() + data,
            headers={LENGTH: str(len(head))},
        )
        assert found.json()["outputs"][0]["data"] == expected


def test_integers_keep_their_digits() -> None:
    """Those of 64 bits, also beside one that is written as a fraction."""
    for dtype, values in {"int64": [2**53 + 1, 1.0], "uint64": [2**64 - 1, 0]}.items():
        assert from_json("x", values, dtype).tolist() == values
    assert from_json("x", [2**63, 1], "float32").tolist() == [2**63, 1]


def test_text_takes_no_more_memory_than_it_has() -> None:
    """Arrays of strings of one length would have the longest's, here of 4 GB."""
    words = [["a" * 30_000], *[["b"]] * 10_000]
    tracemalloc.start()
    try:
        x = from_json("x", words, "string")
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (x.shape, most < 2**20) == ((10_001, 1), True)


@pytest.mark.parametrize("waits", [False, True])
def test_a_client_that_leaves(
    waits: bool, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is no fault of the server, whether it leaves before all is sent or while it waits for others."""
    found: list[Any] = []
    body = {"type": "http.request", "body": b'{"inputs": [[1, 2]]}', "more_body": False}
    messages = iter([*([body] if waits else []), {"type": "http.disconnect"}])

    async def receive() -> Any:
        return next(messages)

    async def send(message: Any) -> None:
        found.append(message.get("status"))

    async def endless(*_: Any) -> None:
        try:
            await asyncio.sleep(60)
        finally:
            found.append("dropped")

    monkeypatch.setattr("cornu.serving._batching.Batcher.takes_long", True)
    monkeypatch.setattr("cornu.serving._repository.Served.run", endless)
    scope = {"type": "http", "method": "POST", "path": ONE, "headers": [], "query_string": b""}
    run(application()(scope, receive, send))
    assert set(found) == {*(["dropped"] if waits else []), 499, None}
    assert not caplog.text


def test_the_repository() -> None:
    index = send("POST", "/v2/repository/index").json()
    assert {"name": "both", "version": "1", "state": "READY", "reason": ""} in index
    assert send("POST", "/v2/repository/models/value/unload").json() == {}
    try:
        assert send("GET", "/v2/models/value/ready").status_code == 503
        assert send("POST", "/v2/repository/index", json={"ready": True}).json() == [
            row for row in index if row["name"] != "value"
        ]
    finally:
        assert send("POST", "/v2/repository/models/value/load").json() == {}
    assert send("GET", "/v2/models/value/ready").status_code == 200
    assert send("POST", "/v2/repository/models/none/load").status_code == 404


def test_statistics() -> None:
    def stats() -> dict[str, Any]:
        (found,) = send("GET", "/v2/models/double/stats").json()["model_stats"]
        return found

    def runs(of: dict[str, Any]) -> list[int]:
        return [x["compute_infer"]["count"] for x in of["batch_stats"] if x["batch_size"] == 4]

    before = stats()
    send("POST", ONE, json={"inputs": [[1, 2]] * 3})
    after = stats()
    assert after["inference_count"] - before["inference_count"] == 3
    assert after["execution_count"] - before["execution_count"] == 1
    assert sum(runs(after)) - sum(runs(before)) == 1
    names = {row["name"] for row in send("GET", "/v2/models/stats").json()["model_stats"]}
    assert names == {name for name, _ in repository().index()}


def test_a_fault_of_the_server_is_told_in_the_log(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(*_: Any) -> None:
        raise RuntimeError("the secret")

    monkeypatch.setattr("cornu.serving._calls.Calls.ServerMetadata", fails)
    found = send("GET", "/v2")
    assert (found.status_code, found.json()["error"]) == (
        500,
        "GET /v2 failed in the server; its log says more.",
    )
    named = f"(id {found.headers['x-request-id']})"
    assert f"GET /v2 failed. RuntimeError: the secret {named}" in caplog.text


def test_classes_and_values_of_bfloat16() -> None:
    """JSON and messages have no such numbers: they are floats of more bits."""
    from cornu.core.dtypes import numpy_dtype
    from cornu.serving import _examples

    x = np.array([[0.5], [2]], numpy_dtype("bfloat16"))
    model = repository().find("classes").model
    assert _examples.values(model, {"y": x}) == [0.5, 2.0]
    assert _examples.classes(model, {"y": x.reshape(1, 2)}) == [[("no", 0.5), ("yes", 2.0)]]
