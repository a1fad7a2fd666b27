"""Bodies that were changed at random: each is answered or refused, none is a fault of the server, nothing grows."""

from __future__ import annotations

import json
from collections import Counter
from random import Random
from typing import Any

import numpy as np
import pytest
from google.protobuf.json_format import ParseDict

from cornu.serving._calls import Calls
from cornu.serving._grpc import REQUESTS, GrpcCalls
from cornu.serving._messages import types
from cornu.serving._tensors import LENGTH
from tests.serving.protocols import OPTIONS, repository, run, send
from tests.serving.test_grpc import ROWS, floats, infer, spec
from tests.serving.test_http import INFERENCE, REST, Row
from tests.soak.mutations import bytes_changed, json_changed
from tests.suite import resident

#: How many bodies of each protocol; the first are a test like others.
COUNTS = [250, pytest.param(10_000, marks=pytest.mark.soak)]
#: The bytes by which a process may grow in a thousand bodies: what is kept of the largest, once.
GROWTH = 30 * 2**20

_REFUSED = {"INVALID_ARGUMENT", "NOT_FOUND", "DEADLINE_EXCEEDED"}


def bodies() -> list[tuple[str, bytes, int]]:
    """Valid requests: a path, a body, and how many bytes of it are JSON."""
    rows: list[Row] = [row for row in (*REST.values(), *INFERENCE.values()) if row.body]
    found = [(row.path, json.dumps(row.body).encode(), 0) for row in rows if type(row.body) is dict]
    data = np.ones((1, 2), "float32").tobytes()
    x = {"name": "x", "shape": [1, 2], "datatype": "FP32", "parameters": {"binary_data_size": 8}}
    text = {
        "name": "word",
        "shape": [1, 1],
        "datatype": "BYTES",
        "parameters": {"binary_data_size": 5},
    }
    for model, item, tail in (("double", x, data), ("text", text, b"\1\0\0\0a")):
        head = json.dumps({"inputs": [item], "parameters": {"binary_data_output": True}}).encode()
        found.append((f"/v2/models/{model}/infer", head + tail, len(head)))
    return found


def changed(body: bytes, head: int, draw: Random) -> tuple[bytes, str | None]:
    """A body with a change, and the number of its bytes of JSON."""
    if not head:
        return json_changed(body, draw), None
    new = draw.choice([json_changed, bytes_changed])(body[:head], draw)
    tail = body[head:] if draw.random() < 0.5 else bytes_changed(body[head:], draw)
    told = draw.choice([len(new), len(new), len(new), head, draw.randrange(-1, 2**33)])
    return new + tail, str(told)


@pytest.mark.parametrize("count", COUNTS)
def test_bodies_of_http(count: int) -> None:
    draw, valid, codes = Random(count), bodies(), Counter[int]()

    def ask() -> None:
        path, body, head = draw.choice(valid)
        new, told = changed(body, head, draw)
        headers = {} if told is None else {LENGTH: told}
        found = send("POST", path, content=new, headers=headers)
        codes[found.status_code] += 1
        assert found.status_code in {200, 400, 404, 413, 501, 504}, (path, new[:1000], found.text)

    watched(ask, count)
    assert codes[200] > count / 50
    assert codes[400] > count / 3


@pytest.mark.parametrize("count", COUNTS)
def test_bodies_of_grpc(count: int) -> None:
    draw, codes = Random(count), Counter[str]()
    predict = {**spec(), "inputs": {"x": floats(1, 2)}}
    rows = [
        ("Predict", predict),
        ("ModelInfer", infer()),
        *((row.name, row.request) for row in ROWS),
    ]
    valid = []
    for name, request in rows:
        message = REQUESTS.get(name, f"{name}Request")
        valid.append((name, ParseDict(request, getattr(types(), message)()).SerializeToString()))
    calls = GrpcCalls(Calls(repository(), OPTIONS))

    def ask() -> None:
        name, body = draw.choice(valid)
        answer, context = calls.answered(name), Context()
        try:
            run(answer(bytes_changed(body, draw), context))
            codes["OK"] += 1
        except Aborted as error:
            codes[error.args[0]] += 1
            assert error.args[0] in _REFUSED, (
                name,
                error,
            )

    watched(ask, count)
    assert codes["OK"] > count / 50
    assert codes["INVALID_ARGUMENT"] > count / 5


class Aborted(Exception):
    """A call that was refused."""


class Context:
    """What gRPC gives a call along."""

    def time_remaining(self) -> None:
        return None

    def invocation_metadata(self) -> tuple[tuple[str, str], ...]:
        return ()

    async def abort(self, code: Any, message: str, metadata: Any = ()) -> None:
        raise Aborted(code.name, message)


def watched(ask: Any, count: int) -> None:
    """Ask so many times, and see that the process does not grow from the first tenth on."""
    for _ in range(count // 10):
        ask()
    before = resident()
    for _ in range(count - count // 10):
        ask()
    assert resident() - before < GROWTH
    assert send("POST", "/v1/models/double:predict", json={"inputs": [[1, 2]]}).status_code == 200
