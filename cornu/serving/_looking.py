"""What people look at: the page at `/`, the calls at `/docs`, and the numbers of `/metrics`.

The pages hold no data. They ask for it as any client does, so they stand open where the server asks for a token.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from .. import export
from ..core.pages import filled
from ..export.describing import examples_of, input_of, output_of
from ._announcing import command
from ._calls import as_failure
from ._openapi import document
from ._repository import Repository, Served
from ._running import Array, TensorSpec
from ._tensors import DATATYPES

_PAGE = Path(__file__).with_name("page")
_SHARED = Path(export.__file__).with_name("page")
#: The rows of drawn examples from which the page learns how outputs look.
_ROWS = 2


def looking(repository: Repository) -> list[Route]:
    """The paths of what people look at.

    >>> from cornu.serving._repository import Repository
    >>> [route.path for route in looking(Repository({}))][:3]
    ['/', '/docs', '/openapi.json']
    """

    async def metrics(request: Request) -> Response:
        body, kind = repository.watching.metrics.text(request.headers.get("accept", ""))
        return Response(body, headers={"content-type": kind})

    async def calls(request: Request) -> Response:
        return _json(document(repository, request.scope.get("root_path", "")))

    async def models(request: Request) -> Response:
        found: dict[str, list[Any]] = {}
        for name, status in repository.index():
            found.setdefault(name, []).append(status._asdict())
        return _json([{"name": name, "versions": versions} for name, versions in found.items()])

    async def model(request: Request) -> Response:
        try:
            name = request.path_params["model"]
            url = str(request.url.replace(path=request.scope.get("root_path", ""), query=""))
            return _json(await described(name, repository.find(name), url))
        except Exception as error:
            failure = as_failure(error, request.url.path)
            return _json({"error": failure.message}, failure.http)

    return [
        Route("/", _page("page.html", "page.css", [_SHARED / "widgets.js", _PAGE / "page.js"])),
        Route("/docs", _page("docs.html", "docs.css", [_PAGE / "docs.js"])),
        Route("/openapi.json", calls),
        Route("/models.json", models),
        Route("/models/{model}.json", model),
        Route("/metrics", metrics),
        Route("/monitoring/prometheus/metrics", metrics),
    ]


def _json(content: Any, status: int = 200) -> Response:
    return Response(orjson.dumps(content), status, media_type="application/json")


def _page(template: str, style: str, scripts: list[Path]) -> Any:
    """What answers with a page that stands alone."""
    styles = ((_SHARED / "page.css"), _PAGE / style)
    parts = {"style": styles, "script": scripts}
    read = {name: "".join(x.read_text("utf-8") for x in files) for name, files in parts.items()}
    page = filled(_PAGE / template, read)

    async def answer(request: Request) -> Response:
        return Response(page, media_type="text/html")

    return answer


async def described(name: str, served: Served, url: str) -> dict[str, Any]:
    """What the page needs of a version: how to ask for its inputs and how to draw its outputs, as it finds by a run.

    Raises:
        Failure: If its inputs are of a kind that the page can't ask for, or it can't run.
    """
    model = served.model
    given = [model.examples[x.name] for x in model.inputs if x.name in model.examples]
    complete = given if len(given) == len(model.inputs) else []
    example = model.example(max(_ROWS, len(complete[0]) if complete else 0))
    results = await served.run(example)
    inputs = [
        {**_asked(spec, example[spec.name], bool(complete)), "datatype": DATATYPES[spec.dtype]}
        for spec in model.inputs
    ]
    texts = any(spec.dtype == "string" for spec in model.inputs)
    return {
        "name": name,
        "version": model.version,
        "platform": model.platform,
        "nbytes": model.nbytes,
        "signature": model.signature,
        "command": command(model, url),
        "inputs": inputs,
        "outputs": [_shown(x, results[x.name], model.classes) for x in model.outputs],
        "examples": [] if texts else examples_of(complete),
    }


def _asked(spec: TensorSpec, example: Array, typical: bool) -> dict[str, Any]:
    """An input, without its batch axis; sizes that a page must know are those of the example."""
    batched = spec.shape[:1] in ((None,), (1,))
    shape = spec.shape[1:] if batched else spec.shape
    sizes = example.shape[len(spec.shape) - len(shape) :]
    if None in shape[1:]:
        shape = sizes
    if spec.dtype == "string":
        return {"name": spec.name, "kind": "strings", "shape": sizes, "batched": batched}
    known = spec._replace(shape=(None, *shape))
    found = input_of(spec.name, known, example if typical and batched else None)
    if found["kind"] == "image" and not typical and "int" in spec.dtype:
        found["high"] = 255.0
    return {**found, "batched": batched}


def _shown(spec: TensorSpec, result: Array, classes: list[str] | None) -> dict[str, Any]:
    """An output, seen from what a run gave."""
    if result.dtype == object:
        return {"name": spec.name, "kind": "strings"}
    x = np.atleast_1d(result)
    labels = classes if classes is not None and x.shape[-1:] == (len(classes),) else None
    return output_of(spec.name, x, labels)
