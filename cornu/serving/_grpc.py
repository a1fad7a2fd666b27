"""The protocols over gRPC: TensorFlow Serving's services, the Open Inference Protocol's, and health checks.

Calls are read and written here, not by gRPC, so that a call that can't be read is an invalid argument.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import grpc

from .. import tuning
from . import _examples, _metadata
from ._failures import Failure
from ._messages import (
    METHODS,
    SIGNATURE,
    check_signature,
    from_input,
    from_tensor,
    output,
    parsed,
    signatures,
    tensor,
    types,
)
from ._metadata import version_number
from ._options import Limits
from ._repository import ModelConfig, Repository, Served
from ._running import Array
from ._tensors import bytes_of, pictured, refused

Handler = Callable[[Any, Any], Awaitable[Any]]
#: The services and their calls; a call's request is called as it and `Request`, if nothing else stands here.
SERVICES = {
    "tensorflow.serving.PredictionService": "Predict Classify Regress MultiInference GetModelMetadata",
    "tensorflow.serving.ModelService": "GetModelStatus HandleReloadConfigRequest",
    "inference.GRPCInferenceService": "ServerLive ServerReady ModelReady ServerMetadata ModelMetadata ModelInfer "
    "RepositoryIndex RepositoryModelLoad RepositoryModelUnload ModelStatistics ModelConfig",
    "grpc.health.v1.Health": "Check",
}
_REQUESTS = {
    "Classify": "ClassificationRequest",
    "Regress": "RegressionRequest",
    "HandleReloadConfigRequest": "ReloadConfigRequest",
    "Check": "HealthCheckRequest",
}
_METADATA_URL = "type.googleapis.com/tensorflow.serving.SignatureDefMap"
#: The most characters of a message: headers of gRPC have 8 kB in all.
_MESSAGE = 2000
#: After how many seconds a watched health is looked at again.
_WATCH = 1.0


def handlers(repository: Repository, limits: Limits) -> list[Any]:
    """What `grpc.aio.Server.add_generic_rpc_handlers` takes: the calls of all services.

    Args:
        repository: The models.
        limits: What a request may take; the server's own `grpc.max_receive_message_length` comes before it.

    >>> from cornu.serving._repository import Repository
    >>> [handler.service_name() for handler in handlers(Repository({}), Limits())][-1]
    'grpc.health.v1.Health'
    """
    calls, found = _Calls(repository, limits), []
    for service, names in SERVICES.items():
        methods = {
            name: grpc.unary_unary_rpc_method_handler(
                _answered(_REQUESTS.get(name, f"{name}Request"), getattr(calls, name))
            )
            for name in names.split()
        }
        if "ModelInfer" in methods:
            methods["ModelStreamInfer"] = grpc.stream_stream_rpc_method_handler(
                calls.ModelStreamInfer
            )
        if "Check" in methods:
            methods["Watch"] = grpc.unary_stream_rpc_method_handler(calls.Watch)
        found.append(grpc.method_handlers_generic_handler(service, methods))
    return found


def _answered(request: str, handler: Handler) -> Callable[[bytes, Any], Awaitable[bytes]]:
    """A call, of its bytes, whose failures have gRPC's codes."""

    async def answer(data: bytes, context: Any) -> bytes:
        try:
            answer: bytes = (await handler(parsed(request, data), context)).SerializeToString()
            return answer
        except Failure as failure:
            code, message = failure.code, failure.message
        except Exception as error:
            tuning.say("%s failed. %s: %s", request, type(error).__name__, error, level="error")
            code, message = "INTERNAL", "The call failed in the server; its log says more."
        await context.abort(grpc.StatusCode[code], message[:_MESSAGE])
        raise AssertionError("unreachable")

    return answer


def _deadline(context: Any, microseconds: int = 0) -> float | None:
    """Until when an answer is of use, by `time.monotonic()`."""
    left = [context.time_remaining(), microseconds / 1e6 or None]
    seconds = [x for x in left if x is not None]
    return time.monotonic() + min(seconds) if seconds else None


class _Calls:
    """The calls, by their names; each takes its request and gRPC's context."""

    def __init__(self, repository: Repository, limits: Limits) -> None:
        self.repository, self.limits = repository, limits

    async def run(
        self,
        served: Served,
        inputs: Mapping[str, Array],
        deadline: float | None,
        outputs: Any = None,
    ) -> dict[str, Array]:
        arrays = await pictured(served.model.inputs, inputs, self.limits.max_body)
        return await served.run(arrays, outputs, deadline)

    # -------------------------------------------------------- TensorFlow Serving

    def find(self, spec: Any) -> Served:
        """The version that a `ModelSpec` names."""
        if not spec.name:
            raise Failure("INVALID_ARGUMENT", "Missing ModelSpec")
        version = spec.version.value if spec.HasField("version") else None
        served = self.repository.find(spec.name, version, spec.version_label or None)
        check_signature(served.model, spec.signature_name)
        return served

    def spec(self, asked: Any, served: Served) -> Any:
        """What answered: the name and the version."""
        version = {"value": served.model.version}
        return types().ModelSpec(name=asked.name, version=version, signature_name=SIGNATURE)

    async def Predict(self, request: Any, context: Any) -> Any:
        served, limit = self.find(request.model_spec), self.limits.max_body
        inputs = {name: from_tensor(name, x, limit) for name, x in request.inputs.items()}
        wanted = list(request.output_filter) or None
        outputs = await self.run(served, inputs, _deadline(context), wanted)
        return types().PredictResponse(
            model_spec=self.spec(request.model_spec, served),
            outputs={name: tensor(x) for name, x in outputs.items()},
        )

    async def Classify(self, request: Any, context: Any) -> Any:
        task = types().InferenceTask(model_spec=request.model_spec, method_name=METHODS["classify"])
        found = await self._examined(task, request.input, context)
        return types().ClassificationResponse(
            model_spec=found.model_spec, result=found.classification_result
        )

    async def Regress(self, request: Any, context: Any) -> Any:
        task = types().InferenceTask(model_spec=request.model_spec, method_name=METHODS["regress"])
        found = await self._examined(task, request.input, context)
        return types().RegressionResponse(
            model_spec=found.model_spec, result=found.regression_result
        )

    async def MultiInference(self, request: Any, context: Any) -> Any:
        if not request.tasks:
            raise refused("MultiInference has tasks.", "none")
        tasks = (self._examined(task, request.input, context) for task in request.tasks)
        return types().MultiInferenceResponse(results=await asyncio.gather(*tasks))

    async def _examined(self, task: Any, given: Any, context: Any) -> Any:
        """A task's `InferenceResult` for examples."""
        served, model_spec = self.find(task.model_spec), task.model_spec
        inputs = _examples.inputs_of(served.model, *_read_examples(given))
        if task.method_name not in (METHODS["classify"], METHODS["regress"]):
            names = [METHODS["classify"], METHODS["regress"]]
            raise refused(f"A task's method is one of {names}.", f"{task.method_name!r}")
        outputs = await self.run(served, inputs, _deadline(context))
        answer = types().InferenceResult(model_spec=self.spec(model_spec, served))
        if task.method_name == METHODS["classify"]:
            for row in _examples.classes(served.model, outputs):
                scores = [{"label": label, "score": score} for label, score in row]
                answer.classification_result.classifications.add(classes=scores)
        else:
            for value in _examples.values(served.model, outputs):
                answer.regression_result.regressions.add(value=value)
        return answer

    async def GetModelMetadata(self, request: Any, context: Any) -> Any:
        if list(request.metadata_field) != ["signature_def"]:
            asked = list(request.metadata_field)
            raise refused("The only metadata field is 'signature_def'.", f"{asked}")
        served = self.find(request.model_spec)
        value = signatures(served.model).SerializeToString(deterministic=True)
        return types().GetModelMetadataResponse(
            model_spec=self.spec(request.model_spec, served),
            metadata={"signature_def": types().Any(type_url=_METADATA_URL, value=value)},
        )

    async def GetModelStatus(self, request: Any, context: Any) -> Any:
        spec = request.model_spec
        version = spec.version.value if spec.HasField("version") else None
        if spec.version_label:
            version = self.find(spec).model.version
        return _metadata.statuses(self.repository, spec.name, version)

    async def HandleReloadConfigRequest(self, request: Any, context: Any) -> Any:
        configs = request.config.model_config_list.config
        if request.config.WhichOneof("config") != "model_config_list":
            raise refused("A configuration is a `model_config_list`.", "another one, or none")
        await self.repository.reload(map(_config, configs))
        return types().ReloadConfigResponse(status={"error_code": types().Code.Value("OK")})

    # --------------------------------------------------- Open Inference Protocol

    def version(self, name: str, version: str) -> Served:
        """The version that a call names."""
        return self.repository.find(name, version_number(version))

    async def ModelInfer(self, request: Any, context: Any) -> Any:
        served, raws = (
            self.version(request.model_name, request.model_version),
            request.raw_input_contents,
        )
        if raws and len(raws) != len(request.inputs):
            raise refused("`raw_input_contents` has bytes for each input, or none.", f"{len(raws)}")
        data = raws or [None] * len(request.inputs)
        inputs = {
            x.name: from_input(x, part, self.limits.max_body)
            for x, part in zip(request.inputs, data, strict=True)
        }
        until = _deadline(context, request.parameters["timeout"].int64_param)
        wanted = [x.name for x in request.outputs] or None
        outputs = await self.run(served, inputs, until, wanted)
        narrow = any(x.dtype.name in ("float16", "bfloat16") for x in outputs.values())
        contents = not raws and not narrow
        return types().ModelInferResponse(
            model_name=request.model_name,
            model_version=str(served.model.version),
            id=request.id,
            outputs=[output(name, x, contents) for name, x in outputs.items()],
            raw_output_contents=[] if contents else map(bytes_of, outputs.values()),
        )

    async def ModelStreamInfer(self, requests: AsyncIterator[bytes], context: Any) -> Any:
        async for data in requests:
            try:
                answer = await self.ModelInfer(parsed("ModelInferRequest", data), context)
                said = types().ModelStreamInferResponse(infer_response=answer)
            except Failure as failure:
                said = types().ModelStreamInferResponse(error_message=failure.message)
            yield said.SerializeToString()

    async def ServerLive(self, request: Any, context: Any) -> Any:
        return types().ServerLiveResponse(live=True)

    async def ServerReady(self, request: Any, context: Any) -> Any:
        return types().ServerReadyResponse(ready=self.repository.ready)

    async def ServerMetadata(self, request: Any, context: Any) -> Any:
        return types().ServerMetadataResponse(**_metadata.server())

    async def ModelReady(self, request: Any, context: Any) -> Any:
        try:
            self.version(request.name, request.version)
        except Failure:
            return types().ModelReadyResponse(ready=False)
        return types().ModelReadyResponse(ready=True)

    async def ModelMetadata(self, request: Any, context: Any) -> Any:
        served = self.version(request.name, request.version)
        found = _metadata.metadata(self.repository, request.name, served)
        return types().ModelMetadataResponse(**found)

    async def ModelConfig(self, request: Any, context: Any) -> Any:
        served = self.version(request.name, request.version)
        config = _metadata.config(request.name, served, self.limits)
        return types().ModelConfigResponse(config=config)

    async def ModelStatistics(self, request: Any, context: Any) -> Any:
        version = version_number(request.version)
        found = _metadata.statistics(self.repository, request.name or None, version)
        return types().ModelStatisticsResponse(**found)

    async def RepositoryIndex(self, request: Any, context: Any) -> Any:
        found = _metadata.index(self.repository, request.ready)
        return types().RepositoryIndexResponse(models=found)

    async def RepositoryModelLoad(self, request: Any, context: Any) -> Any:
        await self.repository.load(request.model_name)
        return types().RepositoryModelLoadResponse()

    async def RepositoryModelUnload(self, request: Any, context: Any) -> Any:
        await self.repository.unload(request.model_name)
        return types().RepositoryModelUnloadResponse()

    # -------------------------------------------------------------------- health

    def health(self, service: str) -> str:
        """The health of the server, of one of its services, or of a model; None is known by another name."""
        names = {name for name, _ in self.repository.index()}
        if service in names:
            ready = any(status.state == "AVAILABLE" for status in self.repository.statuses(service))
        elif service in ("", *SERVICES):
            ready = self.repository.ready
        else:
            return "SERVICE_UNKNOWN"
        return "SERVING" if ready else "NOT_SERVING"

    async def Check(self, request: Any, context: Any) -> Any:
        health = self.health(request.service)
        if health == "SERVICE_UNKNOWN":
            raise Failure("NOT_FOUND", f"Received: service={request.service!r}, which is not here.")
        return types().HealthCheckResponse(status=health)

    async def Watch(self, data: bytes, context: Any) -> Any:
        service, said = parsed("HealthCheckRequest", data).service, ""
        while True:
            if (health := self.health(service)) != said:
                yield types().HealthCheckResponse(status=health).SerializeToString()
                said = health
            await asyncio.sleep(_WATCH)


def _read_examples(given: Any) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Examples and what they share, of an `Input`."""
    kind = given.WhichOneof("kind")
    if kind is None:
        raise refused("Input is empty.", "no examples")
    held = getattr(given, kind)
    context = _features(held.context) if kind == "example_list_with_context" else {}
    return [_features(example) for example in held.examples], context


def _features(example: Any) -> dict[str, Any]:
    found = {}
    for name, feature in example.features.feature.items():
        kind = feature.WhichOneof("kind")
        found[name] = list(getattr(feature, kind).value) if kind else []
    return found


def _config(config: Any) -> ModelConfig:
    """What a `ModelConfig` says."""
    policy = config.model_version_policy
    kind = policy.WhichOneof("policy_choice")
    versions: int | str | tuple[int, ...] = 1
    if kind == "specific":
        versions = tuple(policy.specific.versions)
    elif kind == "all":
        versions = "all"
    elif kind == "latest":
        versions = policy.latest.num_versions or 1
    labels = dict(config.version_labels)
    return ModelConfig(config.name, Path(config.base_path), versions, labels)
