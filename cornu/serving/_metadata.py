"""What a server tells of itself and of its models, once for HTTP and gRPC: as JSON, which messages are made of too."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .._version import __version__
from ._failures import Failure
from ._messages import types
from ._options import Limits
from ._repository import Repository, Served
from ._running import TensorSpec
from ._tensors import DATATYPES

_EXTENSIONS = ["binary_tensor_data", "model_repository", "statistics", "model_configuration"]


def version_number(text: str | None) -> int | None:
    """The number of a version as paths and calls name it; None where none is named.

    Raises:
        Failure: If it is no number.
    """
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise Failure("NOT_FOUND", f"A version is a number. Received: version={text!r}.")
    return int(text)


def server() -> dict[str, Any]:
    """The server: of the Open Inference Protocol."""
    return {"name": "cornu", "version": __version__, "extensions": _EXTENSIONS}


def metadata(repository: Repository, name: str, served: Served) -> dict[str, Any]:
    """A model's versions, inputs and outputs: of the Open Inference Protocol."""
    model = served.model
    statuses = repository.statuses(name)
    return {
        "name": name,
        "versions": [str(status.version) for status in statuses if status.state == "AVAILABLE"],
        "platform": model.platform,
        "inputs": [_tensor(spec) for spec in model.inputs],
        "outputs": [_tensor(spec) for spec in model.outputs],
    }


def index(repository: Repository, ready: bool = False) -> list[dict[str, Any]]:
    """All models and their versions: of the Open Inference Protocol.

    Args:
        repository: The models.
        ready: Whether to leave out those that are not served.
    """
    return [
        {
            "name": name,
            "version": str(status.version),
            "state": "READY" if status.state == "AVAILABLE" else "UNAVAILABLE",
            "reason": status.reason,
        }
        for name, status in repository.index()
        if status.state == "AVAILABLE" or not ready
    ]


def statistics(repository: Repository, name: str | None, version: int | None) -> dict[str, Any]:
    """What models have done: of the Open Inference Protocol. Times are in nanoseconds, those of day in milliseconds.

    Args:
        repository: The models.
        name: The model; all where it is left out.
        version: Its version; all where it is left out.

    Raises:
        Failure: If there is none.
    """
    if name and version is not None:
        repository.find(name, version)
    statuses = repository.index() if not name else [(name, x) for x in repository.statuses(name)]
    return {
        "model_stats": [
            _statistics(name, status.version, repository.find(name, status.version))
            for name, status in statuses
            if status.state == "AVAILABLE" and version in (None, status.version)
        ]
    }


def _statistics(name: str, version: int, served: Served) -> dict[str, Any]:
    counters = served.counters
    runs = sum(counters.sizes.values())
    spent = counters.queue_seconds + counters.run_seconds

    def duration(count: int, seconds: float = 0.0) -> dict[str, int]:
        return {"count": count, "ns": int(seconds * 1e9)}

    return {
        "name": name,
        "version": str(version),
        "last_inference": int(counters.last * 1e3),
        "inference_count": counters.rows,
        "execution_count": runs,
        "inference_stats": {
            "success": duration(counters.requests, spent),
            "fail": duration(sum(counters.failures.values())),
            "queue": duration(counters.requests, counters.queue_seconds),
            "compute_infer": duration(runs, counters.run_seconds),
        },
        "batch_stats": [
            {"batch_size": size, "compute_infer": duration(count)}
            for size, count in sorted(counters.sizes.items())
        ],
    }


def config(name: str, served: Served, limits: Limits) -> dict[str, Any]:
    """A model's configuration as Triton has it: sizes without the batch axis, where requests may share a run."""
    model = served.model

    def tensors(specs: Sequence[TensorSpec]) -> list[dict[str, Any]]:
        return [
            {
                "name": spec.name,
                "data_type": f"TYPE_{DATATYPES[spec.dtype].replace('BYTES', 'STRING')}",
                "dims": _sizes(spec)[model.batched :],
            }
            for spec in specs
        ]

    return {
        "name": name,
        "platform": model.platform,
        "max_batch_size": limits.sizes[-1] if model.batched else 0,
        "input": tensors(model.inputs),
        "output": tensors(model.outputs),
    }


def statuses(repository: Repository, name: str, version: int | None) -> Any:
    """How a model's versions are, newest first: TensorFlow Serving's message.

    Raises:
        Failure: If there is none.
    """
    found = [x for x in repository.statuses(name) if version in (None, x.version)]
    if not found:
        repository.find(name, version)
    codes = types().Code
    return types().GetModelStatusResponse(
        model_version_status=[
            {
                "version": status.version,
                "state": status.state,
                "status": {
                    "error_code": codes.Value("INTERNAL" if status.reason else "OK"),
                    "error_message": status.reason,
                },
            }
            for status in reversed(found)
        ]
    )


def _tensor(spec: TensorSpec) -> dict[str, Any]:
    return {"name": spec.name, "datatype": DATATYPES[spec.dtype], "shape": _sizes(spec)}


def _sizes(spec: TensorSpec) -> list[int]:
    return [-1 if size is None else size for size in spec.shape]
