"""What a server prints when it is up: where it is, what it serves, and commands that ask it."""

from __future__ import annotations

import json
import shlex
from typing import Any
from urllib.parse import quote

import numpy as np

from ._model import Model
from ._options import Options
from ._repository import Repository

#: The numbers up to which an example is written out.
_SHORT = 16


def announce(repository: Repository, port: int, grpc_port: int | None) -> None:
    """Print URLs, sizes and, for each model, a command that works."""
    options = repository.options
    shown = "127.0.0.1" if options.host in ("0.0.0.0", "::") else options.host
    scheme = "http" if options.certificate is None else "https"
    url = f"{scheme}://{f'[{shown}]' if ':' in shown else shown}:{port}"
    print(f"Serving at {url}" + (f", gRPC at port {grpc_port}." if grpc_port else "."))
    for name, status in repository.index():
        if status.state != "AVAILABLE":
            print(f"  {name} {status.version}: {status.state} {status.reason}".rstrip())
            continue
        model = repository.find(name, status.version).model
        print(f"  {name} {status.version}: {model.nbytes / 1e6:,.1f} MB on {model.platform}")
        print(f"    {model.signature}")
        print(f"    {command(model, url, options)}", flush=True)


def command(model: Model, url: str, options: Options | None = None) -> str:
    """A shell command that asks a model for a row of zeros, or of empty strings.

    >>> from cornu import Sequential, layers
    >>> model = Model(Sequential([layers.Input((2,)), layers.Dense(1)]), name="m")
    >>> print(command(model, "http://127.0.0.1:8501"))
    curl -d '{"instances": [[0.0, 0.0]]}' http://127.0.0.1:8501/v1/models/m:predict
    """
    by_rows = all(spec.shape[:1] == (None,) for spec in (*model.inputs, *model.outputs))
    arrays = {name: x[0] if by_rows else x for name, x in model.example(1).items()}
    curl = f"curl{_allowed(options or Options())}"
    place = f"{url}/v1/models/{quote(model.name)}:predict"
    before, after = ('{"instances": [', "]}") if by_rows else ('{"inputs": ', "}")
    if sum(x.size for x in arrays.values()) <= _SHORT:
        given = {
            name: np.zeros_like(x).tolist() if x.dtype != object else x.tolist()
            for name, x in arrays.items()
        }
        return f"{curl} -d '{before}{json.dumps(_alone(given))}{after}' {place}"
    text = _alone({name: _repeated(x) for name, x in arrays.items()})
    if isinstance(text, dict):
        text = f"{{{', '.join(f'{json.dumps(name)}: {x}' for name, x in text.items())}}}"
    return (
        f"python3 -c 'import json; print(json.dumps({before}{text}{after}))' | {curl} -d @- {place}"
    )


def _allowed(options: Options) -> str:
    """What `curl` is told besides, where a server wants a token, or has a certificate."""
    told = ""
    if options.certificate is not None:
        told += f" --cacert {shlex.quote(options.certificate)}"
    if options.token_file is not None:
        told += f' -H "Authorization: Bearer $(head -n 1 {shlex.quote(options.token_file)})"'
    return told


def _alone(values: dict[str, Any]) -> Any:
    """The only value, or all by name."""
    return next(iter(values.values())) if len(values) == 1 else values


def _repeated(x: Any) -> str:
    """Python for zeros of an array's shape: `[[0.0] * 28] * 28`."""
    text = '""' if x.dtype == object else json.dumps(np.zeros((), x.dtype).item())
    for size in reversed(x.shape):
        text = f"[{text}] * {size}"
    return text.replace("false", "False")
