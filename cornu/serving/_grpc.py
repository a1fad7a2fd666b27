"""The protocols over gRPC: TensorFlow Serving's services, the Open Inference Protocol's, and health checks.

Calls are read and written here, not by gRPC, so that one that can't be read is an invalid argument.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import grpc

from . import _examples
from ._calls import CALLS, Asked, Calls, as_failure
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
from ._options import Limits
from ._repository import ModelConfig, Repository, Served
from ._tensors import bytes_of, dtype_name, refused
from ._watching import ID, Call

Handler = Callable[[Any, Any], Awaitable[Any]]
#: The services and their calls.
SERVICES = {
    "tensorflow.serving.PredictionService": "Predict Classify Regress MultiInference GetModelMetadata",
    "tensorflow.serving.ModelService": "GetModelStatus HandleReloadConfigRequest",
    "inference.GRPCInferenceService": " ".join(["ModelInfer", "ModelStreamInfer", *CALLS]),
    "grpc.health.v1.Health": "Check Watch",
}
#: The requests that are not called as their call and `Request`.
REQUESTS = {
    "Classify": "ClassificationRequest",
    "Regress": "RegressionRequest",
    "HandleReloadConfigRequest": "ReloadConfigRequest",
    "Check": "HealthCheckRequest",
}
_MAP = "type.googleapis.com/tensorflow.serving.SignatureDefMap"
#: The most bytes of a message: headers of gRPC have 8 kB in all, and a byte that is no ASCII takes three.
_MESSAGE = 2000
#: After how many seconds a health that is watched is looked at again.
_WATCH = 1.0


def handlers(repository: Repository, limits: Limits) -> list[Any]:
    """What `grpc.aio.server(handlers=...)` takes: the calls of all services.

    Args:
        repository: The models.
        limits: What a request may take; the server's own `grpc.max_receive_message_length` comes before it.

    >>> from cornu.serving._repository import Repository
    >>> [handler.service_name() for handler in handlers(Repository({}), Limits())][-1]
    'grpc.health.v1.Health'
    """
    calls, found = GrpcCalls(Calls(repository, limits)), []
    streams = {
        "ModelStreamInfer": grpc.stream_stream_rpc_method_handler(calls.ModelStreamInfer),
        "Watch": grpc.unary_stream_rpc_method_handler(calls.Watch),
    }
    for service, names in SERVICES.items():
        methods = {
            name: streams.get(name) or grpc.unary_unary_rpc_method_handler(calls.answered(name))
            for name in names.split()
        }
        found.append(grpc.method_handlers_generic_handler(service, methods))
    return found


class GrpcCalls:
    """The calls, by their names; each takes its request and gRPC's context."""

    def __init__(self, calls: Calls) -> None:
        self.calls, self.limit = calls, calls.limits.max_body

    def answered(self, name: str) -> Callable[[bytes, Any], Awaitable[bytes]]:
        """A call, of its bytes, whose failures have gRPC's codes."""
        handler: Handler = getattr(self, name, None) or self.asked(name)

        async def answer(data: bytes, context: Any) -> Any:
            with self.call(name, context) as call:
                try:
                    request = parsed(REQUESTS.get(name, f"{name}Request"), data)
                    return (await handler(request, context)).SerializeToString()
                except Exception as error:
                    failure = as_failure(error, name)
            await _abort(context, failure, (ID, call.id))

        return answer

    def call(self, name: str, context: Any) -> Call:
        """A call that is watched."""
        return Call(
            self.calls.repository.watching, "grpc", name, dict(context.invocation_metadata())
        )

    # ------------------------------------------------------ TensorFlow Serving

    def find(self, spec: Any) -> Served:
        """The version that a `ModelSpec` names."""
        if not spec.name:
            raise Failure("INVALID_ARGUMENT", "Missing ModelSpec")
        served = self.calls.find(spec.name, _version(spec), spec.version_label)
        check_signature(served.model, spec.signature_name)
        return served

    def spec(self, asked: Any, served: Served) -> Any:
        """What answers: the name and the version."""
        version = {"value": served.model.version}
        return types().ModelSpec(name=asked.name, version=version, signature_name=SIGNATURE)

    async def Predict(self, request: Any, context: Any) -> Any:
        """The outputs for tensors."""
        served = self.find(request.model_spec)
        inputs = {name: from_tensor(name, x, self.limit) for name, x in request.inputs.items()}
        left = [context.time_remaining()]
        outputs = await self.calls.run(served, inputs, left, request.output_filter)
        return types().PredictResponse(
            model_spec=self.spec(request.model_spec, served),
            outputs={name: tensor(x) for name, x in outputs.items()},
        )

    async def Classify(self, request: Any, context: Any) -> Any:
        """The labels of examples with their scores."""
        found = await self.examined(request.model_spec, METHODS["classify"], request.input, context)
        result = found.classification_result
        return types().ClassificationResponse(model_spec=found.model_spec, result=result)

    async def Regress(self, request: Any, context: Any) -> Any:
        """The values of examples."""
        found = await self.examined(request.model_spec, METHODS["regress"], request.input, context)
        result = found.regression_result
        return types().RegressionResponse(model_spec=found.model_spec, result=result)

    async def MultiInference(self, request: Any, context: Any) -> Any:
        """Classify and Regress by several models."""
        if not request.tasks:
            raise refused("MultiInference has tasks.", "none")
        found = (
            self.examined(task.model_spec, task.method_name, request.input, context)
            for task in request.tasks
        )
        return types().MultiInferenceResponse(results=await asyncio.gather(*found))

    async def examined(self, spec: Any, method: str, given: Any, context: Any) -> Any:
        """An `InferenceResult` for examples."""
        served = self.find(spec)
        if method not in (METHODS["classify"], METHODS["regress"]):
            rule = f"A task's method is {METHODS['classify']} or {METHODS['regress']}."
            raise refused(rule, f"{method!r}")
        inputs = _examples.inputs_of(served.model, *_read_examples(given))
        outputs = await self.calls.run(served, inputs, [context.time_remaining()])
        answer = types().InferenceResult(model_spec=self.spec(spec, served))
        if method == METHODS["classify"]:
            for row in _examples.classes(served.model, outputs):
                scores = [{"label": label, "score": score} for label, score in row]
                answer.classification_result.classifications.add(classes=scores)
        else:
            for value in _examples.values(served.model, outputs):
                answer.regression_result.regressions.add(value=value)
        return answer

    async def GetModelMetadata(self, request: Any, context: Any) -> Any:
        """The signature."""
        if (asked := list(request.metadata_field)) != ["signature_def"]:
            raise refused("The only metadata field is 'signature_def'.", f"{asked}")
        served = self.find(request.model_spec)
        value = signatures(served.model).SerializeToString(deterministic=True)
        return types().GetModelMetadataResponse(
            model_spec=self.spec(request.model_spec, served),
            metadata={"signature_def": types().Any(type_url=_MAP, value=value)},
        )

    async def GetModelStatus(self, request: Any, context: Any) -> Any:
        """How versions are."""
        spec = request.model_spec
        version = self.find(spec).model.version if spec.version_label else _version(spec)
        return self.calls.statuses(spec.name, version)

    async def HandleReloadConfigRequest(self, request: Any, context: Any) -> Any:
        """Have exactly these models."""
        if request.config.WhichOneof("config") != "model_config_list":
            raise refused("A configuration is a `model_config_list`.", "another one, or none")
        await self.calls.repository.reload(map(_config, request.config.model_config_list.config))
        return types().ReloadConfigResponse(status={"error_code": types().Code.Value("OK")})

    # ------------------------------------------------- Open Inference Protocol

    def asked(self, name: str) -> Handler:
        """One of `CALLS`."""

        async def handler(request: Any, context: Any) -> Any:
            model = getattr(request, "name", getattr(request, "model_name", ""))
            asked = Asked(model, getattr(request, "version", ""), getattr(request, "ready", False))
            return getattr(types(), f"{name}Response")(**await getattr(self.calls, name)(asked))

        return handler

    async def ModelInfer(self, request: Any, context: Any) -> Any:
        """The outputs for a request: values for values, bytes for bytes."""
        served = self.calls.find(request.model_name, request.model_version)
        raws = request.raw_input_contents
        if raws and len(raws) != len(request.inputs):
            raise refused("`raw_input_contents` has bytes for each input, or none.", f"{len(raws)}")
        pairs = zip(request.inputs, raws or [None] * len(request.inputs), strict=True)
        inputs = {x.name: from_input(x, data, self.limit) for x, data in pairs}
        if len(inputs) != len(request.inputs):
            raise refused(
                "Each input has a name of its own.", f"{[x.name for x in request.inputs]}"
            )
        timeout = request.parameters["timeout"].int64_param / 1e6 or None
        left, wanted = [context.time_remaining(), timeout], [x.name for x in request.outputs]
        outputs = await self.calls.run(served, inputs, left, wanted)
        narrow = {"float16", "bfloat16"}.intersection(dtype_name(x.dtype) for x in outputs.values())
        contents = not raws and not narrow
        return types().ModelInferResponse(
            model_name=request.model_name,
            model_version=str(served.model.version),
            id=request.id,
            outputs=[output(name, x, contents) for name, x in outputs.items()],
            raw_output_contents=[] if contents else map(bytes_of, outputs.values()),
        )

    async def ModelStreamInfer(self, requests: AsyncIterator[bytes], context: Any) -> Any:
        """`ModelInfer` for each request of a stream; one that fails does not end it."""
        async for data in requests:
            with self.call("ModelStreamInfer", context):
                try:
                    answer = await self.ModelInfer(parsed("ModelInferRequest", data), context)
                    said = types().ModelStreamInferResponse(infer_response=answer)
                except Exception as error:
                    message = as_failure(error, "ModelStreamInfer").message
                    said = types().ModelStreamInferResponse(error_message=message)
            yield said.SerializeToString()

    # ------------------------------------------------------------------ health

    def health(self, service: str) -> str:
        """The health of the server, of one of its services, or of a model."""
        repository = self.calls.repository
        index = [status for name, status in repository.index() if name == service]
        if not index and service not in ("", *SERVICES):
            return "SERVICE_UNKNOWN"
        available = any(status.state == "AVAILABLE" for status in index) and not repository.leaving
        return "SERVING" if (available if index else repository.ready) else "NOT_SERVING"

    async def Check(self, request: Any, context: Any) -> Any:
        """The health now."""
        health = self.health(request.service)
        if health == "SERVICE_UNKNOWN":
            raise Failure("NOT_FOUND", f"Received: service={request.service!r}, which is not here.")
        return types().HealthCheckResponse(status=health)

    async def Watch(self, data: bytes, context: Any) -> Any:
        """The health now, and whenever it has become another."""
        service, said = parsed("HealthCheckRequest", data).service, ""
        while True:
            if (health := self.health(service)) != said:
                yield types().HealthCheckResponse(status=health).SerializeToString()
                said = health
            if (
                self.calls.repository.leaving and said != "SERVING"
            ):  # who watches would be waited for
                return
            await asyncio.sleep(_WATCH)


def refusal(failure: Failure) -> Any:
    """A handler of gRPC that answers with a failure."""

    async def refuse(request: bytes, context: Any) -> None:
        await _abort(context, failure)

    return grpc.unary_unary_rpc_method_handler(refuse)


async def _abort(context: Any, failure: Failure, *metadata: tuple[str, str]) -> None:
    message = failure.message.encode(errors="replace")[:_MESSAGE].decode(errors="ignore")
    await context.abort(grpc.StatusCode[failure.code], message, metadata)


def _version(spec: Any) -> int | None:
    return spec.version.value if spec.HasField("version") else None


def _read_examples(given: Any) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Examples and what they share, of an `Input`."""
    kind = given.WhichOneof("kind")
    if kind is None:
        raise refused("Input is empty.", "no examples")
    held = getattr(given, kind)
    context = _features(held.context) if kind == "example_list_with_context" else {}
    return [_features(example) for example in held.examples], context


def _features(example: Any) -> dict[str, Any]:
    features: Mapping[str, Any] = example.features.feature
    kinds = {name: feature.WhichOneof("kind") for name, feature in features.items()}
    return {name: list(getattr(features[name], kind).value) for name, kind in kinds.items() if kind}


def _config(config: Any) -> ModelConfig:
    """What a `ModelConfig` says."""
    policy = config.model_version_policy
    versions: Any = {
        None: 1,
        "latest": policy.latest.num_versions or 1,
        "all": "all",
        "specific": tuple(policy.specific.versions),
    }[policy.WhichOneof("policy_choice")]
    return ModelConfig(config.name, Path(config.base_path), versions, dict(config.version_labels))
