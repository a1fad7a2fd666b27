"""What a server is asked, once for HTTP and gRPC: which version answers, and what it tells of itself and its models."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from .. import tuning
from .._version import __version__
from ._failures import Failure
from ._messages import types
from ._options import Limits
from ._repository import Repository, Served
from ._running import Array, TensorSpec
from ._tensors import DATATYPES, pictured
from ._watching import current

_EXTENSIONS = ["binary_tensor_data", "model_repository", "statistics", "model_configuration"]
_ONE, _VERSION = "/v2/models/{model}", "/v2/models/{model}/versions/{version}"
#: The calls of the Open Inference Protocol that hold no tensors: by their names in gRPC, methods and paths of HTTP.
CALLS = {
    "ServerLive": ("GET", "/v2/health/live"),
    "ServerReady": ("GET", "/v2/health/ready"),
    "ServerMetadata": ("GET", "/v2"),
    "ModelStatistics": ("GET", "/v2/models/stats", f"{_ONE}/stats", f"{_VERSION}/stats"),
    "ModelReady": ("GET", f"{_ONE}/ready", f"{_VERSION}/ready"),
    "ModelConfig": ("GET", f"{_ONE}/config", f"{_VERSION}/config"),
    "ModelMetadata": ("GET", _ONE, _VERSION),
    "RepositoryIndex": ("POST", "/v2/repository/index"),
    "RepositoryModelLoad": ("POST", "/v2/repository/models/{model}/load"),
    "RepositoryModelUnload": ("POST", "/v2/repository/models/{model}/unload"),
}


class Asked(NamedTuple):
    """What a call names.

    Args:
        model: A model.
        version: Its version.
        ready: Whether what is not served is left out.
    """

    model: str = ""
    version: str = ""
    ready: bool = False


class Calls:
    """What a server is asked. The methods of `CALLS` have their names, and give the fields of their answers.

    Args:
        repository: The models.
        limits: What a request may take.
    """

    def __init__(self, repository: Repository, limits: Limits) -> None:
        self.repository, self.limits = repository, limits

    def find(self, name: str, version: str | int | None = None, label: str | None = None) -> Served:
        """The version that answers.

        Raises:
            Failure: If there is none.
        """
        served = self.repository.find(name, version_number(version), label or None)
        if (call := current()) is not None:
            call.model = (name, str(served.model.version))
        return served

    async def run(
        self,
        served: Served,
        inputs: Mapping[str, Array],
        seconds: Sequence[float | None] = (),
        outputs: Sequence[str] = (),
    ) -> dict[str, Array]:
        """The outputs for a request.

        Args:
            served: Which version answers.
            inputs: The arrays that were sent.
            seconds: After how long the answer is of no use, by one and another.
            outputs: Which outputs; all where there are none.

        Raises:
            Failure: As of `Served.run`.
        """
        left = [x for x in seconds if x is not None]
        deadline = time.monotonic() + min(left) if left else None
        arrays = await pictured(served.model.inputs, inputs, self.limits.max_body)
        return await served.run(arrays, list(outputs) or None, deadline)

    def statuses(self, name: str, version: int | None) -> Any:
        """How a model's versions are, newest first: TensorFlow Serving's message.

        Raises:
            Failure: If there is none.
        """
        found = [x for x in self.repository.statuses(name) if version in (None, x.version)]
        if not found:
            self.repository.find(name, version)
        code = types().Code.Value
        rows = [
            {
                "version": x.version,
                "state": x.state,
                "status": {
                    "error_code": code("INTERNAL" if x.reason else "OK"),
                    "error_message": x.reason,
                },
            }
            for x in reversed(found)
        ]
        return types().GetModelStatusResponse(model_version_status=rows)

    # ------------------------------------------------------------------- CALLS

    async def ServerLive(self, asked: Asked) -> dict[str, Any]:
        """Whether the process answers."""
        return {"live": True}

    async def ServerReady(self, asked: Asked) -> dict[str, Any]:
        """Whether requests should come here."""
        return {"ready": self.repository.ready}

    async def ServerMetadata(self, asked: Asked) -> dict[str, Any]:
        """What the server is."""
        return {"name": "cornu", "version": __version__, "extensions": _EXTENSIONS}

    async def ModelReady(self, asked: Asked) -> dict[str, Any]:
        """Whether a model is served."""
        try:
            self.find(asked.model, asked.version)
        except Failure:
            return {"ready": False}
        return {"ready": True}

    async def ModelMetadata(self, asked: Asked) -> dict[str, Any]:
        """A model's inputs and outputs."""
        model = self.find(asked.model, asked.version).model
        statuses = self.repository.statuses(asked.model)
        inputs, outputs = (
            [{"name": x.name, "datatype": DATATYPES[x.dtype], "shape": _sizes(x)} for x in specs]
            for specs in (model.inputs, model.outputs)
        )
        return {
            "name": asked.model,
            "versions": [str(x.version) for x in statuses if x.state == "AVAILABLE"],
            "platform": model.platform,
            "inputs": inputs,
            "outputs": outputs,
        }

    async def ModelConfig(self, asked: Asked) -> dict[str, Any]:
        """As Triton has it: sizes without the batch axis, where requests may share a run."""
        model = self.find(asked.model, asked.version).model
        inputs, outputs = (
            [
                {
                    "name": x.name,
                    "data_type": f"TYPE_{DATATYPES[x.dtype].replace('BYTES', 'STRING')}",
                    "dims": _sizes(x)[model.batched :],
                }
                for x in specs
            ]
            for specs in (model.inputs, model.outputs)
        )
        config = {
            "name": asked.model,
            "platform": model.platform,
            "max_batch_size": self.limits.sizes[-1] if model.batched else 0,
            "input": inputs,
            "output": outputs,
        }
        return {"config": config}

    async def ModelStatistics(self, asked: Asked) -> dict[str, Any]:
        """What models have done. Times are in nanoseconds, those of day in milliseconds."""
        version = version_number(asked.version)
        if asked.model:
            self.find(asked.model, version)
        return {
            "model_stats": [
                _statistics(name, self.find(name, x.version))
                for name, x in self.repository.index()
                if x.state == "AVAILABLE"
                if asked.model in ("", name)
                if version in (None, x.version)
            ]
        }

    async def RepositoryIndex(self, asked: Asked) -> dict[str, Any]:
        """All models and versions."""
        return {
            "models": [
                {
                    "name": name,
                    "version": str(x.version),
                    "state": "READY" if x.state == "AVAILABLE" else "UNAVAILABLE",
                    "reason": x.reason,
                }
                for name, x in self.repository.index()
                if x.state == "AVAILABLE" or not asked.ready
            ]
        }

    async def RepositoryModelLoad(self, asked: Asked) -> dict[str, Any]:
        """Load a model, or what has changed of it."""
        await self.repository.load(asked.model)
        return {}

    async def RepositoryModelUnload(self, asked: Asked) -> dict[str, Any]:
        """Serve a model no longer."""
        await self.repository.unload(asked.model)
        return {}


def version_number(version: str | int | None) -> int | None:
    """The number of a version as paths and calls name it; None where none is named.

    Raises:
        Failure: If it is no number.
    """
    if not version or isinstance(version, int):
        return None if version == "" else version
    if not (version.isascii() and version.isdigit() and len(version) < 20):
        raise Failure("NOT_FOUND", f"A version is a number. Received: version={version!r}.")
    return int(version)


def as_failure(error: Exception, where: str) -> Failure:
    """What a client is told of an error: a fault of the server is told in its log."""
    call = current()
    if isinstance(error, Failure):
        failure = error
    else:
        named = "" if call is None else f" (id {call.id})"
        tuning.say("%s failed. %s: %s%s", where, type(error).__name__, error, named, level="error")
        failure = Failure("INTERNAL", f"{where} failed in the server; its log says more.")
    if call is not None:
        call.failed(failure)
    return failure


def _statistics(name: str, served: Served) -> dict[str, Any]:
    counters = served.counters
    runs = sum(counters.sizes.values())
    spent = counters.queue_seconds + counters.run_seconds

    def duration(count: int, seconds: float = 0.0) -> dict[str, int]:
        return {"count": count, "ns": int(seconds * 1e9)}

    return {
        "name": name,
        "version": str(served.model.version),
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


def _sizes(spec: TensorSpec) -> list[int]:
    return [-1 if size is None else size for size in spec.shape]
