"""All that the models of `tests/serving/protocols.py` are asked by TensorFlow Serving's own stubs, and by those of
gRPC's health checks.

Run with the address of gRPC, `host:port`; ends with code 0 where all answers are right.
"""

import sys

import grpc
import tensorflow as tf
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
    regression_pb2,
)


def main() -> None:
    with grpc.insecure_channel(sys.argv[1]) as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        predicted(stub)
        examined(stub)
        told(stub, model_service_pb2_grpc.ModelServiceStub(channel))
        health = health_pb2_grpc.HealthStub(channel)
        serving = health_pb2.HealthCheckResponse.SERVING
        assert health.Check(health_pb2.HealthCheckRequest()).status == serving
        watch = health.Watch(health_pb2.HealthCheckRequest(service="double"))
        assert next(watch).status == serving
        watch.cancel()


def predicted(stub: prediction_service_pb2_grpc.PredictionServiceStub) -> None:
    for model, name, given, output, expected in (
        ("double", "x", tf.make_tensor_proto([[1.0, 2.0]]), "y", [[2, 4]]),
        ("double", "x", tf.make_tensor_proto(0.5, shape=(3, 2)), "y", [[1, 1]] * 3),
        ("double", "x", tf.make_tensor_proto([[1, 2]], tf.float16), "y", [[2, 4]]),
        ("text", "word", tf.make_tensor_proto([["a"], ["ü"]]), "index", [[1], [2]]),
    ):
        request = predict_pb2.PredictRequest()
        request.model_spec.name = model
        request.inputs[name].CopyFrom(given)
        answer = stub.Predict(request, timeout=10)
        assert tf.make_ndarray(answer.outputs[output]).tolist() == expected
        assert answer.model_spec.version.value == 1


def examined(stub: prediction_service_pb2_grpc.PredictionServiceStub) -> None:
    feature = tf.train.Feature(float_list=tf.train.FloatList(value=[1, 1]))
    example = tf.train.Example(features=tf.train.Features(feature={"x": feature}))
    classify = classification_pb2.ClassificationRequest()
    classify.model_spec.name = "classes"
    classify.input.example_list.examples.append(example)
    (row,) = stub.Classify(classify, timeout=10).result.classifications
    assert [(x.label, x.score) for x in row.classes] == [("no", 0.5), ("yes", 0.5)]
    regress = regression_pb2.RegressionRequest()
    regress.model_spec.name = "value"
    regress.input.example_list.examples.append(example)
    assert stub.Regress(regress, timeout=10).result.regressions[0].value == 2
    several = inference_pb2.MultiInferenceRequest(input=regress.input)
    several.tasks.add(model_spec=regress.model_spec, method_name="tensorflow/serving/regress")
    (result,) = stub.MultiInference(several, timeout=10).results
    assert result.regression_result.regressions[0].value == 2


def told(
    stub: prediction_service_pb2_grpc.PredictionServiceStub,
    models: model_service_pb2_grpc.ModelServiceStub,
) -> None:
    metadata = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    metadata.model_spec.name = "both"
    found = get_model_metadata_pb2.SignatureDefMap()
    assert stub.GetModelMetadata(metadata).metadata["signature_def"].Unpack(found)
    assert set(found.signature_def["serving_default"].inputs) == {"x", "n"}
    status = get_model_status_pb2.GetModelStatusRequest()
    status.model_spec.name = "double"
    (version,) = models.GetModelStatus(status).model_version_status
    assert version.state == get_model_status_pb2.ModelVersionStatus.AVAILABLE
    status.model_spec.name = "none"
    try:
        models.GetModelStatus(status)
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.NOT_FOUND
    else:
        raise AssertionError("a model that is not there has a status")


if __name__ == "__main__":
    main()
