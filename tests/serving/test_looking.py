"""What people look at: the page of models, in a browser too, and the calls as OpenAPI says them."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import numpy as np
import pytest

from cornu import Input, Model, Sequential, layers, ops

from .runners import Doubling
from .test_models import several
from .test_watching import with_client


def image() -> Any:
    """An image in, probabilities of classes and an image out."""
    x = Input((8, 8, 1), name="image")
    total = ops.mean(x, axis=(1, 2, 3))
    classes = ops.stack([total, 1 - total], axis=1)
    return Model(x, {"classes": classes, "same": 1.0 * x}, name="image")


def series() -> Any:
    return Sequential([Input((None, 2), name="s"), layers.Dense(1, name="y")], name="series")


def strings() -> Any:
    from .test_models import lookup

    return lookup()


KINDS: dict[str, tuple[Any, list[str], list[str]]] = {
    "image": (image, ["image"], ["classes", "image"]),
    "series": (series, ["series"], ["series"]),
    "strings": (strings, ["strings"], ["series"]),
    "several": (several, ["numbers", "tokens"], ["number", "number"]),
}


@pytest.mark.parametrize("name", KINDS)
def test_what_the_page_is_told_of_a_model(name: str) -> None:
    make, inputs, outputs = KINDS[name]

    async def ask(client: httpx.AsyncClient, application: Any) -> Any:
        return [(await client.get(path)).json() for path in ("/models.json", "/models/m.json")]

    models, found = asyncio.run(with_client(ask, {"m": make()}))
    assert models == [
        {"name": "m", "versions": [{"version": 1, "state": "AVAILABLE", "reason": ""}]}
    ]
    assert [x["kind"] for x in found["inputs"]] == inputs
    assert [x["kind"] for x in found["outputs"]] == outputs
    assert found["version"] == 1 and found["command"].endswith("http://h/v1/models/m:predict")
    assert found["examples"] == []


def test_examples_and_labels(tmp_path: Path) -> None:
    """Those beside the file; classes that are not as many have no names."""
    image().export(tmp_path / "m.onnx", verbose=False)
    drawn = np.zeros((3, 8, 8, 1), "float32")
    drawn[:, 2:6, 3:5] = 1
    np.savez(tmp_path / "examples.npz", image=drawn)

    async def ask(client: httpx.AsyncClient, application: Any) -> Any:
        return (await client.get("/models/m.json")).json()

    for labels, found in (("dark\nlight", ["dark", "light"]), ("one", None)):
        (tmp_path / "labels.txt").write_text(labels)
        told = asyncio.run(with_client(ask, tmp_path / "m.onnx"))
        assert told["outputs"][0]["labels"] == found
    assert len(told["examples"]) == 3
    assert told["inputs"][0]["box"] == {"x": 4, "y": 4, "width": 2, "height": 4}


def test_pages_stand_open_and_hold_no_data(tmp_path: Path) -> None:
    """Where a token is asked for, a page asks for it, and what it shows needs it."""
    (tmp_path / "tokens").write_text("secret")

    async def ask(client: httpx.AsyncClient, application: Any) -> Any:
        pages = [await client.get(path) for path in ("/", "/docs")]
        data = [await client.get(path) for path in ("/models.json", "/metrics", "/openapi.json")]
        headers = {"authorization": "Bearer secret"}
        return pages, data, await client.get("/models.json", headers=headers)

    pages, data, let_in = asyncio.run(
        with_client(ask, {"doubling": Doubling()}, token_file=str(tmp_path / "tokens"))
    )
    assert [page.status_code for page in pages] == [200, 200]
    assert not any("doubling" in page.text for page in pages)
    assert [x.status_code for x in data] == [401, 401, 401] and let_in.status_code == 200
    for page in pages:
        assert "http://" not in page.text and "https://" not in page.text  # nothing is fetched


def test_a_model_that_is_not_there() -> None:
    async def ask(client: httpx.AsyncClient, application: Any) -> Any:
        return await client.get("/models/other.json")

    answer = asyncio.run(with_client(ask))
    assert answer.status_code == 404 and "Latest(other)" in answer.json()["error"]


def test_open_api() -> None:
    """Bodies that are answered fit the schemas, and those that are refused don't."""
    good = {"instances": [{"one": [1.0, 2.0, 3.0], "two": 4}]}
    tensors = [
        {"name": "one", "datatype": "FP32", "shape": [1, 3], "data": [1.0, 2.0, 3.0]},
        {"name": "two", "datatype": "INT32", "shape": [1], "data": [4]},
    ]
    predict, infer = "/v1/models/several%3F:predict", "/v2/models/several%3F/infer"
    table = [
        (predict, good, 200),
        (predict, {"instances": [{"one": [1.0, 2.0], "two": 4}]}, 400),
        (predict, {"instances": [{"one": [1.0, 2.0, 3.0]}]}, 400),
        (predict, {"instances": []}, 400),
        (infer, {"inputs": tensors, "outputs": [{"name": "sum"}]}, 200),
        (infer, {"inputs": tensors[:1]}, 400),
        (infer, {"inputs": [tensors[0], {**tensors[1], "datatype": "FP8"}]}, 400),
    ]

    async def ask(client: httpx.AsyncClient, application: Any) -> Any:
        document = (await client.get("/openapi.json")).json()
        return document, [await client.post(path, json=body) for path, body, _ in table]

    document, answers = asyncio.run(with_client(ask, {"several?": several()}))
    assert document["openapi"] == "3.1.0" and "/v2/health/ready" in document["paths"]
    known = document["paths"]["/v2/models/{model}/ready"]["get"]["parameters"][0]
    assert known["schema"] == {"type": "string", "enum": ["several?"]}
    for (path, body, status), answer in zip(table, answers, strict=True):
        content = document["paths"][path]["post"]["requestBody"]["content"]
        schema = content["application/json"]["schema"]
        fits = jsonschema.Draft202012Validator(schema).is_valid(body)
        assert (answer.status_code, fits) == (status, status == 200), (body, answer.text)


def test_where_it_is_mounted() -> None:
    """Its pages ask for what lies beside them."""
    from starlette.applications import Starlette
    from starlette.routing import Mount

    async def ask(client: httpx.AsyncClient, application: Any) -> Any:
        outer = Starlette(routes=[Mount("/models", application)])
        transport = httpx.ASGITransport(app=outer)
        async with httpx.AsyncClient(transport=transport, base_url="http://h") as mounted:
            paths = ("/models/", "/models/openapi.json", "/models/models/m.json")
            return [await mounted.get(path) for path in paths]

    page, document, model = asyncio.run(with_client(ask))
    assert page.status_code == 200 and document.json()["servers"] == [{"url": "/models"}]
    assert model.json()["command"].endswith("http://h/models/v1/models/m:predict")


def test_the_document_is_json_for_every_dtype() -> None:
    x = Input((2,), dtype="bool", name="x")
    model = Model(x, ops.cast(x, "float32"), name="b")

    async def ask(client: httpx.AsyncClient, application: Any) -> Any:
        return (await client.get("/openapi.json")).json()

    text = json.dumps(asyncio.run(with_client(ask, {"b": model})))
    assert '"boolean"' in text
