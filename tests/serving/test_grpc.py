"""The protocols over gRPC: calls and what is answered."""

from __future__ import annotations

import asyncio
from typing import Any, NamedTuple

import grpc
import numpy as np
import pytest
from google.protobuf.json_format import MessageToDict, ParseDict

from cornu.serving._grpc import REQUESTS, SERVICES
from cornu.serving._messages import types
from tests.serving.protocols import addresses, call, repository, run

SERVICE = {name: service for service, names in SERVICES.items() for name in names.split()}
ANSWERS = {
    "Classify": "ClassificationResponse",
    "Regress": "RegressionResponse",
    "HandleReloadConfigRequest": "ReloadConfigResponse",
    "Check": "HealthCheckResponse",
}


class Row(NamedTuple):
    """A call: its name, its request and its answer, as JSON has them; or a code and a part of what is said."""

    name: str
    request: dict[str, Any]
    answer: Any
    code: str = "OK"


def ask(name: str, request: Any) -> Any:
    """The answer to a request as JSON has it."""
    message = ParseDict(request, getattr(types(), REQUESTS.get(name, f"{name}Request"))())
    data = call(SERVICE[name], name, message.SerializeToString())
    answer = getattr(types(), ANSWERS.get(name, f"{name}Response")).FromString(data)
    return MessageToDict(answer, preserving_proto_field_name=True)


def spec(name: str = "double", **more: Any) -> dict[str, Any]:
    return {"model_spec": {"name": name, **more}}


def answered(name: str = "double") -> dict[str, Any]:
    version = {"version": {"value": "1"}, "signature_name": "serving_default"}
    return {"model_spec": {"name": name, **version}}


def floats(*values: float) -> dict[str, Any]:
    dim = [{"size": 1}, {"size": len(values)}]
    return {"dtype": "DT_FLOAT", "tensor_shape": {"dim": dim}, "float_val": list(values)}


def examples(*features: dict[str, Any], kind: str = "float_list") -> dict[str, Any]:
    made = [
        {"features": {"feature": {name: {kind: {"value": x}} for name, x in row.items()}}}
        for row in features
    ]
    return {"input": {"example_list": {"examples": made}}}


def infer(**more: Any) -> dict[str, Any]:
    x = {"name": "x", "datatype": "FP32", "shape": [1, 2], "contents": {"fp32_contents": [1, 2]}}
    return {"model_name": "double", "inputs": [x], **more}


SCORES = [{"label": "no", "score": 0.5}, {"label": "yes", "score": 0.5}]
CLASSES = {"classifications": [{"classes": SCORES}]}
VALUES = {"regressions": [{"value": 3.0}]}
CLASSIFY, REGRESS = (f"tensorflow/serving/{name}" for name in ("classify", "regress"))

ROWS = [
    Row("Classify", {**spec("classes"), **examples({"x": [0, 0]})}, {**answered("classes"), "result": CLASSES}),
    Row("Regress", {**spec("value"), **examples({"x": [1, 2]})}, {**answered("value"), "result": VALUES}),
    Row(
        "MultiInference",
        {
            "tasks": [
                {**spec("classes"), "method_name": CLASSIFY},
                {**spec("value"), "method_name": REGRESS},
            ],
            **examples({"x": [0, 0]}),
        },
        {
            "results": [
                {**answered("classes"), "classification_result": CLASSES},
                {**answered("value"), "regression_result": {"regressions": [{}]}},
            ]
        },
    ),
    Row(
        "GetModelStatus",
        spec(),
        {"model_version_status": [{"version": "1", "state": "AVAILABLE", "status": {}}]},
    ),
    Row("ServerLive", {}, {"live": True}),
    Row("ServerReady", {}, {"ready": True}),
    Row("ModelReady", {"name": "double"}, {"ready": True}),
    Row(
        "ModelMetadata",
        {"name": "double", "version": "1"},
        {
            "name": "double",
            "versions": ["1"],
            "platform": "cornu_numpy",
            "inputs": [{"name": "x", "datatype": "FP32", "shape": ["-1", "2"]}],
            "outputs": [{"name": "y", "datatype": "FP32", "shape": ["-1", "2"]}],
        },
    ),
    Row(
        "ModelConfig",
        {"name": "double"},
        {
            "config": {
                "name": "double",
                "platform": "cornu_numpy",
                "max_batch_size": 32,
                "input": [{"name": "x", "data_type": "TYPE_FP32", "dims": ["2"]}],
                "output": [{"name": "y", "data_type": "TYPE_FP32", "dims": ["2"]}],
            }
        },
    ),
    Row("Check", {}, {"status": "SERVING"}),
    Row("Check", {"service": "double"}, {"status": "SERVING"}),
    Row("Check", {"service": "inference.GRPCInferenceService"}, {"status": "SERVING"}),
    Row("RepositoryModelLoad", {"model_name": "double"}, {}),
]  # fmt: skip

REFUSED = [
    Row("Predict", {}, "Missing ModelSpec", "INVALID_ARGUMENT"),
    Row("Predict", spec("none"), "Latest(none)", "NOT_FOUND"),
    Row("Predict", spec("長" * 1900), "Latest(長長", "NOT_FOUND"),
    Row("Predict", spec(version={"value": 9}), "Specific(double, 9)", "NOT_FOUND"),
    Row("Predict", spec(version_label="canary"), "Label(double, canary)", "NOT_FOUND"),
    Row("Predict", spec(signature_name="other"), "signature_name='other'", "INVALID_ARGUMENT"),
    Row("Predict", {**spec(), "inputs": {"x": {}}}, "A tensor's dtype", "INVALID_ARGUMENT"),
    Row("Classify", spec("classes"), "Input is empty.", "INVALID_ARGUMENT"),
    Row("Regress", {**spec("value"), **examples({"z": [1], "y": [1]})}, "without 'x'", "INVALID_ARGUMENT"),
    Row("MultiInference", {}, "MultiInference has tasks.", "INVALID_ARGUMENT"),
    Row(
        "MultiInference",
        {"tasks": [{**spec("value"), "method_name": "other"}], **examples({"x": [1, 2]})},
        "Received: 'other'",
        "INVALID_ARGUMENT",
    ),
    Row("GetModelMetadata", spec(), "The only metadata field", "INVALID_ARGUMENT"),
    Row("GetModelStatus", spec("none"), "Latest(none)", "NOT_FOUND"),
    Row("GetModelStatus", spec(version={"value": 9}), "Specific(double, 9)", "NOT_FOUND"),
    Row("HandleReloadConfigRequest", {}, "`model_config_list`", "INVALID_ARGUMENT"),
    Row(
        "HandleReloadConfigRequest",
        {"config": {"model_config_list": {"config": [{"name": "m", "base_path": "/"}]}}},
        "in that of the server",
        "INVALID_ARGUMENT",
    ),
    Row("ModelInfer", infer(model_version="x"), "version='x'", "NOT_FOUND"),
    Row("ModelInfer", infer(raw_input_contents=["", ""]), "bytes for each input", "INVALID_ARGUMENT"),
    Row("ModelInfer", {**infer(), "inputs": infer()["inputs"] * 2}, "a name of its own", "INVALID_ARGUMENT"),
    Row("ModelInfer", infer(outputs=[{"name": "z"}]), "Received: ['z']", "INVALID_ARGUMENT"),
    Row("ModelMetadata", {"name": "none"}, "Latest(none)", "NOT_FOUND"),
    Row("ModelStatistics", {"name": "none"}, "Latest(none)", "NOT_FOUND"),
    Row("RepositoryModelUnload", {"model_name": "none"}, "Latest(none)", "NOT_FOUND"),
    Row("Check", {"service": "none"}, "service='none'", "NOT_FOUND"),
]  # fmt: skip


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_calls(row: Row) -> None:
    assert ask(row.name, row.request) == row.answer


@pytest.mark.parametrize("row", REFUSED, ids=lambda row: row.name)
def test_what_is_refused(row: Row) -> None:
    with pytest.raises(grpc.RpcError) as failed:
        ask(row.name, row.request)
    assert (failed.value.code().name, row.answer in failed.value.details()) == (row.code, True), (
        failed.value.details()
    )


def test_predict() -> None:
    given = {**spec(version_label="stable"), "inputs": {"x": floats(1, 2)}, "output_filter": ["y"]}
    found = ask("Predict", given)
    y = ParseDict(found["outputs"].pop("y"), types().TensorProto())
    assert found == {**answered(), "outputs": {}}
    assert np.frombuffer(y.tensor_content, "<f4").tolist() == [2, 4]


def test_metadata() -> None:
    found = ask("GetModelMetadata", {**spec(), "metadata_field": ["signature_def"]})
    held = ParseDict(found["metadata"]["signature_def"], types().Any())
    assert held.type_url == "type.googleapis.com/tensorflow.serving.SignatureDefMap"
    signature = types().SignatureDefMap.FromString(held.value).signature_def["serving_default"]
    assert [list(signature.inputs), list(signature.outputs)] == [["x"], ["y"]]
    assert [dim.size for dim in signature.inputs["x"].tensor_shape.dim] == [-1, 2]


def test_infer() -> None:
    """Whoever sends values gets some, whoever sends bytes gets those; float16 goes as bytes alone."""
    y = {"name": "y", "datatype": "FP32", "shape": ["1", "2"]}
    head = {"model_name": "double", "model_version": "1", "id": "7"}
    found = ask("ModelInfer", infer(id="7"))
    assert found == {**head, "outputs": [{**y, "contents": {"fp32_contents": [2, 4]}}]}
    raw = infer(id="7", raw_input_contents=["AACAPwAAAEA="])
    assert ask("ModelInfer", raw) == {
        **head,
        "outputs": [y],
        "raw_output_contents": ["AAAAQAAAgEA="],
    }


def test_statistics_and_index() -> None:
    ask("ModelInfer", infer())
    (found,) = ask("ModelStatistics", {"name": "double"})["model_stats"]
    assert int(found["inference_count"]) >= int(found["execution_count"]) >= 1
    index = ask("RepositoryIndex", {"ready": True})["models"]
    assert {"name": "double", "version": "1", "state": "READY"} in index
    assert len(index) == len(repository().index())


def test_streams() -> None:
    channel = grpc.insecure_channel(addresses()["grpc"].removeprefix("grpc://"))
    with channel:
        stream = channel.stream_stream("/inference.GRPCInferenceService/ModelStreamInfer")
        given = [infer(id="1"), infer(id="2", model_name="none"), infer(id="3")]
        sent = [ParseDict(x, types().ModelInferRequest()).SerializeToString() for x in given]
        found = [
            types().ModelStreamInferResponse.FromString(x) for x in stream(iter([*sent, b"?"]))
        ]
        assert [x.infer_response.id for x in found] == ["1", "", "3", ""]
        assert "Latest(none)" in found[1].error_message
        assert "the bytes of ModelInferRequest" in found[3].error_message

        watch = channel.unary_stream("/grpc.health.v1.Health/Watch")(b"", timeout=10)
        assert types().HealthCheckResponse.FromString(next(watch)).status == 1
        run(leave(True))
        try:
            assert [types().HealthCheckResponse.FromString(x).status for x in watch] == [2]
        finally:
            run(leave(False))


async def leave(leaving: bool) -> None:
    repository().leaving = leaving
    await asyncio.sleep(0)


def test_a_call_that_cant_be_read() -> None:
    with pytest.raises(grpc.RpcError) as failed:
        call("tensorflow.serving.PredictionService", "Predict", b"\xff")
    assert failed.value.code().name == "INVALID_ARGUMENT"
    assert "the bytes of PredictRequest" in failed.value.details()


def test_a_fault_of_the_server_is_told_in_the_log(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(*_: Any) -> None:
        raise RuntimeError("the secret")

    monkeypatch.setattr("cornu.serving._calls.Calls.ServerMetadata", fails)
    with pytest.raises(grpc.RpcError) as failed:
        ask("ServerMetadata", {})
    assert failed.value.details() == "ServerMetadata failed in the server; its log says more."
    assert "ServerMetadata failed. RuntimeError: the secret" in caplog.text
