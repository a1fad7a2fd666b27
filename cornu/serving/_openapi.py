"""The calls of HTTP as OpenAPI 3.1 says them (https://spec.openapis.org/oas/v3.1.0), from the models' signatures."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from .._version import __version__
from ._calls import CALLS, Calls
from ._repository import Repository
from ._running import TensorSpec
from ._tensors import DATATYPES

_ERROR = {"type": "object", "required": ["error"], "properties": {"error": {"type": "string"}}}
_READY = {"type": "object", "required": ["ready"], "properties": {"ready": {"const": False}}}


def document(repository: Repository, prefix: str = "") -> dict[str, Any]:
    """The calls that models answer now, and those that ask about them.

    Args:
        repository: The models.
        prefix: Where the application is mounted.
    """
    names = sorted({name for name, _ in repository.served()})
    versions = sorted({str(served.model.version) for _, served in repository.served()})
    known = {"model": names, "version": versions}
    paths: dict[str, Any] = {}
    for name, (method, *places) in CALLS.items():
        for place in places:
            paths[place] = {method.lower(): _about(name, place, known)}
    for name in names:
        model = repository.find(name).model
        place = quote(name, safe="")
        paths[f"/v1/models/{place}:predict"] = {"post": _predict(name, model.inputs)}
        paths[f"/v2/models/{place}/infer"] = {"post": _infer(name, model.inputs, model.outputs)}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Models served by Cornu", "version": __version__},
        "servers": [{"url": prefix or "/"}],
        "paths": paths,
    }


def _about(name: str, place: str, known: dict[str, list[str]]) -> dict[str, Any]:
    """One of `CALLS`."""
    text = (getattr(Calls, name).__doc__ or "").splitlines()[0]
    found = _operation(text, "About models" if "{model}" in place else "Server")
    if name.endswith("Ready"):
        found["responses"]["503"] = {"description": "Not ready.", "content": _content(_READY)}
    if named := re.findall(r"{(\w+)}", place):
        schemas = {x: {"type": "string", **({"enum": known[x]} if known[x] else {})} for x in named}
        parameter = {"in": "path", "required": True}
        found["parameters"] = [{"name": x, **parameter, "schema": schemas[x]} for x in named]
    return found


def _operation(text: str, tag: str) -> dict[str, Any]:
    errors = {"description": "Why it is refused.", "content": _content(_ERROR)}
    return {
        "summary": text,
        "tags": [tag],
        "responses": {"200": {"description": "The answer."}, "default": errors},
    }


def _content(schema: Any) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def _asked(text: str, schema: Any) -> dict[str, Any]:
    """A call with a body."""
    return {
        **_operation(text, "Predictions"),
        "requestBody": {"required": True, "content": _content(schema)},
    }


def _predict(name: str, inputs: Sequence[TensorSpec]) -> dict[str, Any]:
    """Predict of TensorFlow Serving: by rows where all have a batch axis."""
    rows = all(spec.shape[:1] == (None,) for spec in inputs)
    given = {spec.name: _nested(spec, spec.shape[1:] if rows else spec.shape) for spec in inputs}
    one = next(iter(given.values())) if len(given) == 1 else _object(given)
    body = (
        {"instances": {"type": "array", "minItems": 1, "items": one}} if rows else {"inputs": one}
    )
    return _asked(f"Outputs of {name!r}, as TensorFlow Serving gives them.", _object(body))


def _infer(
    name: str, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]
) -> dict[str, Any]:
    """The Open Inference Protocol's call."""
    tensors = [
        _object(
            {
                "name": {"const": spec.name},
                "datatype": {"const": DATATYPES[spec.dtype]},
                "shape": _sizes(spec),
                "data": {"type": "array", "items": _value(spec)},
            }
        )
        for spec in inputs
    ]
    count = {"minItems": len(tensors), "maxItems": len(tensors)}
    body = _object({"inputs": {"type": "array", "prefixItems": tensors, "items": False, **count}})
    wanted = {"name": {"enum": [spec.name for spec in outputs]}}
    body["properties"]["outputs"] = {"type": "array", "items": _object(wanted)}
    body["properties"]["id"] = {"type": "string"}
    return _asked(f"Outputs of {name!r}, by the Open Inference Protocol.", body)


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "required": list(properties), "properties": properties}


def _nested(spec: TensorSpec, shape: Sequence[int | None]) -> dict[str, Any]:
    """Values in lists in lists, of these sizes."""
    if not shape:
        return _value(spec)
    found: dict[str, Any] = {"type": "array", "items": _nested(spec, shape[1:])}
    return found if shape[0] is None else {**found, "minItems": shape[0], "maxItems": shape[0]}


def _sizes(spec: TensorSpec) -> dict[str, Any]:
    sizes = [{"type": "integer", "minimum": 1} if x is None else {"const": x} for x in spec.shape]
    return {"type": "array", "prefixItems": sizes, "minItems": len(sizes), "maxItems": len(sizes)}


def _value(spec: TensorSpec) -> dict[str, Any]:
    kinds = {"bool": "boolean", "string": "string"}
    kind = "number" if "float" in spec.dtype else "integer"
    return {"type": kinds.get(spec.dtype, kind)}
