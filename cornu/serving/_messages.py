"""What is said over gRPC: the messages of both protocols and of health checks, and tensors as each of them has them.

Fields and numbers are those of TensorFlow Serving's `apis/*.proto`, of the Open Inference Protocol with Triton's
extensions, and of `grpc.health.v1`. Fields that a server may leave alone are left out.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np

from .._messages import TENSORS, data_type, messages
from ..core.dtypes import numpy_dtype
from ..engines.host import TEXT_KINDS
from ._failures import CODES
from ._model import Model
from ._running import Array
from ._tensors import datatype_of, dtype_of, from_values, raw, refused, sized, strings_of

#: The name of a model's only signature, and those of what may be asked of one.
SIGNATURE = "serving_default"
METHODS = {name: f"tensorflow/serving/{name}" for name in ("predict", "classify", "regress")}

_TENSORFLOW = """
Int64Value: value=1 int64
Any: type_url=1 string, value=2 bytes
ModelSpec: name=1 string, version_choice(version=2 Int64Value, version_label=4 string), signature_name=3 string
PredictRequest: model_spec=1 ModelSpec, inputs=2 string>TensorProto, output_filter=3 string*
PredictResponse: outputs=1 string>TensorProto, model_spec=2 ModelSpec

BytesList: value=1 bytes*
FloatList: value=1 float*
Int64List: value=1 int64*
Feature: kind(bytes_list=1 BytesList, float_list=2 FloatList, int64_list=3 Int64List)
Features: feature=1 string>Feature
Example: features=1 Features
ExampleList: examples=1 Example*
ExampleListWithContext: examples=1 Example*, context=2 Example
Input: kind(example_list=1 ExampleList, example_list_with_context=2 ExampleListWithContext)

Class: label=1 string, score=2 float
Classifications: classes=1 Class*
ClassificationResult: classifications=1 Classifications*
ClassificationRequest: model_spec=1 ModelSpec, input=2 Input
ClassificationResponse: result=1 ClassificationResult, model_spec=2 ModelSpec
Regression: value=1 float
RegressionResult: regressions=1 Regression*
RegressionRequest: model_spec=1 ModelSpec, input=2 Input
RegressionResponse: result=1 RegressionResult, model_spec=2 ModelSpec
InferenceTask: model_spec=1 ModelSpec, method_name=2 string
InferenceResult: model_spec=1 ModelSpec
    result(classification_result=2 ClassificationResult, regression_result=3 RegressionResult)
MultiInferenceRequest: tasks=1 InferenceTask*, input=2 Input
MultiInferenceResponse: results=1 InferenceResult*

SignatureDefMap: signature_def=1 string>SignatureDef
GetModelMetadataRequest: model_spec=1 ModelSpec, metadata_field=2 string*
GetModelMetadataResponse: model_spec=1 ModelSpec, metadata=2 string>Any
GetModelStatusRequest: model_spec=1 ModelSpec
StatusProto: error_code=1 Code, error_message=2 string
ModelVersionStatus: version=1 int64, state=2 ModelVersionStatus.State, status=3 StatusProto
enum ModelVersionStatus.State: UNKNOWN=0, START=10, LOADING=20, AVAILABLE=30, UNLOADING=40, END=50
GetModelStatusResponse: model_version_status=1 ModelVersionStatus*

Latest: num_versions=1 uint32
All:
Specific: versions=1 int64*
ServableVersionPolicy: policy_choice(latest=100 Latest, all=101 All, specific=102 Specific)
ModelConfig: name=1 string, base_path=2 string, model_platform=4 string, model_version_policy=7 ServableVersionPolicy
    version_labels=8 string>int64
ModelConfigList: config=1 ModelConfig*
ModelServerConfig: config(model_config_list=1 ModelConfigList, custom_model_config=2 Any)
ReloadConfigRequest: config=1 ModelServerConfig, metric_names=2 string*
ReloadConfigResponse: status=1 StatusProto
"""
_INFERENCE = """
ServerLiveRequest:
ServerLiveResponse: live=1 bool
ServerReadyRequest:
ServerReadyResponse: ready=1 bool
ModelReadyRequest: name=1 string, version=2 string
ModelReadyResponse: ready=1 bool
ServerMetadataRequest:
ServerMetadataResponse: name=1 string, version=2 string, extensions=3 string*
ModelMetadataRequest: name=1 string, version=2 string
TensorMetadata: name=1 string, datatype=2 string, shape=3 int64*
ModelMetadataResponse: name=1 string, versions=2 string*, platform=3 string, inputs=4 TensorMetadata*
    outputs=5 TensorMetadata*

InferParameter: parameter_choice(bool_param=1 bool, int64_param=2 int64, string_param=3 string, double_param=4 double
    uint64_param=5 uint64)
InferTensorContents: bool_contents=1 bool*, int_contents=2 int32*, int64_contents=3 int64*, uint_contents=4 uint32*
    uint64_contents=5 uint64*, fp32_contents=6 float*, fp64_contents=7 double*, bytes_contents=8 bytes*
Tensor: name=1 string, datatype=2 string, shape=3 int64*, parameters=4 string>InferParameter
    contents=5 InferTensorContents
RequestedOutput: name=1 string, parameters=2 string>InferParameter
ModelInferRequest: model_name=1 string, model_version=2 string, id=3 string, parameters=4 string>InferParameter
    inputs=5 Tensor*, outputs=6 RequestedOutput*, raw_input_contents=7 bytes*
ModelInferResponse: model_name=1 string, model_version=2 string, id=3 string, parameters=4 string>InferParameter
    outputs=5 Tensor*, raw_output_contents=6 bytes*
ModelStreamInferResponse: error_message=1 string, infer_response=2 ModelInferResponse

RepositoryIndexRequest: repository_name=1 string, ready=2 bool
ModelIndex: name=1 string, version=2 string, state=3 string, reason=4 string
RepositoryIndexResponse: models=1 ModelIndex*
RepositoryModelLoadRequest: repository_name=1 string, model_name=2 string
RepositoryModelLoadResponse:
RepositoryModelUnloadRequest: repository_name=1 string, model_name=2 string
RepositoryModelUnloadResponse:

ModelStatisticsRequest: name=1 string, version=2 string
StatisticDuration: count=1 uint64, ns=2 uint64
InferStatistics: success=1 StatisticDuration, fail=2 StatisticDuration, queue=3 StatisticDuration
    compute_input=4 StatisticDuration, compute_infer=5 StatisticDuration, compute_output=6 StatisticDuration
InferBatchStatistics: batch_size=1 uint64, compute_infer=3 StatisticDuration
ModelStatistics: name=1 string, version=2 string, last_inference=3 uint64, inference_count=4 uint64
    execution_count=5 uint64, inference_stats=6 InferStatistics, batch_stats=7 InferBatchStatistics*
ModelStatisticsResponse: model_stats=1 ModelStatistics*
ModelConfigRequest: name=1 string, version=2 string
ConfigInput: name=1 string, data_type=2 TensorType, dims=4 int64*
ConfigOutput: name=1 string, data_type=2 TensorType, dims=3 int64*
Config: name=1 string, platform=2 string, max_batch_size=4 int32, input=5 ConfigInput*, output=6 ConfigOutput*
ModelConfigResponse: config=1 Config
enum TensorType: TYPE_INVALID=0, TYPE_BOOL=1, TYPE_UINT8=2, TYPE_UINT16=3, TYPE_UINT32=4, TYPE_UINT64=5, TYPE_INT8=6
    TYPE_INT16=7, TYPE_INT32=8, TYPE_INT64=9, TYPE_FP16=10, TYPE_FP32=11, TYPE_FP64=12, TYPE_STRING=13, TYPE_BF16=14

HealthCheckRequest: service=1 string
HealthCheckResponse: status=1 HealthCheckResponse.ServingStatus
enum HealthCheckResponse.ServingStatus: UNKNOWN=0, SERVING=1, NOT_SERVING=2, SERVICE_UNKNOWN=3
"""

#: The fields of values of each dtype: in TensorFlow's tensors, in those of the Open Inference Protocol.
_VALUES: dict[str, tuple[str, str | None]] = {
    "bool": ("bool_val", "bool_contents"),
    **dict.fromkeys(("int8", "int16", "int32"), ("int_val", "int_contents")),
    **dict.fromkeys(("uint8", "uint16"), ("int_val", "uint_contents")),
    "uint32": ("uint32_val", "uint_contents"),
    "int64": ("int64_val", "int64_contents"),
    "uint64": ("uint64_val", "uint64_contents"),
    **dict.fromkeys(("float16", "bfloat16"), ("half_val", None)),
    "float32": ("float_val", "fp32_contents"),
    "float64": ("double_val", "fp64_contents"),
    "string": ("string_val", "bytes_contents"),
}


@cache
def types() -> Any:
    """The classes of all messages here."""
    codes = ", ".join(f"{name}={code.grpc}" for name, code in CODES.items())
    table = f"{TENSORS}{_TENSORFLOW}{_INFERENCE}enum Code: OK=0, {codes}"
    return messages("cornu.serving", table)


def parsed(name: str, data: bytes) -> Any:
    """A message of its bytes.

    Raises:
        Failure: If they are no such message.
    """
    try:
        return getattr(types(), name).FromString(data)
    except Exception as error:  # protobuf's own, which has another class in each of its versions
        raise refused(f"A call has the bytes of {name}.", str(error)) from error


def as_json(message: Any) -> dict[str, Any]:
    """A message as JSON has it in TensorFlow Serving: all fields, by their names, large integers as strings."""
    from google.protobuf.json_format import MessageToDict

    said: dict[str, Any] = MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
    return said


def tensor(x: Array) -> Any:
    """An array as TensorFlow's `TensorProto`."""
    text = x.dtype.kind in TEXT_KINDS
    dtype = "string" if text else x.dtype.name
    held = {"string_val": strings_of(x)} if text else {"tensor_content": x.tobytes()}
    shape = {"dim": [{"size": size} for size in x.shape]}
    return types().TensorProto(dtype=_number(dtype), tensor_shape=shape, **held)


def from_tensor(name: str, message: Any, limit: int) -> Array:
    """The array of a `TensorProto`: of its content, or of its values, of which the last one stands for the rest.

    Raises:
        Failure: If its shape, its dtype and its content don't go together, or it has too many bytes.
    """
    dtype = _dtypes().get(message.dtype)
    if dtype is None:
        raise refused(
            f"A tensor's dtype is one of {', '.join(map(data_type, _VALUES))}.",
            f"{message.dtype} for the input {name!r}",
        )
    shape = sized(name, dtype, [dim.size for dim in message.tensor_shape.dim], limit)
    if message.tensor_content and dtype != "string":
        return raw(name, dtype, shape, message.tensor_content)
    values, count = getattr(message, _VALUES[dtype][0]), math.prod(shape)
    stored = "uint16" if dtype in ("float16", "bfloat16") else dtype
    x = from_values(name, stored, (len(values),), values)
    if len(x) < count:
        rest = x[-1] if len(x) else b"" if dtype == "string" else 0
        x = np.concatenate([x, np.full(count - len(x), rest, x.dtype)])
    if len(x) > count:
        raise refused(f"A tensor of shape {shape} has {count} values.", f"{len(x)} for {name!r}")
    return (x if stored == dtype else x.view(numpy_dtype(dtype))).reshape(shape)


def output(name: str, x: Array, contents: bool) -> Any:
    """An output of the Open Inference Protocol.

    Args:
        name: Its name.
        x: Its array.
        contents: Whether its values go along; else their bytes go apart, by `bytes_of`.
    """
    field = _VALUES[dtype_of(datatype := datatype_of(x))][1]
    values = strings_of(x) if datatype == "BYTES" else x.ravel().tolist()
    held = {"contents": {field: values}} if contents else {}
    return types().Tensor(name=name, datatype=datatype, shape=x.shape, **held)


def from_input(message: Any, data: bytes | None, limit: int) -> Array:
    """The array of an input of the Open Inference Protocol: of its bytes, or of its own values.

    Raises:
        Failure: As of `from_tensor`.
    """
    name, dtype = message.name, dtype_of(message.datatype)
    shape = sized(name, dtype, list(message.shape), limit)
    if data is not None:
        return raw(name, dtype, shape, data)
    field = _VALUES[dtype][1]
    if field is None:
        raise refused(f"{message.datatype} goes in `raw_input_contents`.", f"contents of {name!r}")
    return from_values(name, dtype, shape, getattr(message.contents, field))


def signatures(model: Model) -> Any:
    """A model's inputs and outputs as TensorFlow Serving has them, by the name `serving_default`."""

    def infos(specs: Any) -> dict[str, Any]:
        return {
            spec.name: types().TensorInfo(
                name=f"{SIGNATURE}_{spec.name}:0",
                dtype=_number(spec.dtype),
                tensor_shape={"dim": [{"size": -1 if x is None else x} for x in spec.shape]},
            )
            for spec in specs
        }

    signature = types().SignatureDef(
        inputs=infos(model.inputs), outputs=infos(model.outputs), method_name=METHODS["predict"]
    )
    return types().SignatureDefMap(signature_def={SIGNATURE: signature})


def check_signature(model: Model, name: Any) -> None:
    """Check that a request asks for the model's only signature.

    Raises:
        Failure: If it asks for another.
    """
    if name not in (None, "", SIGNATURE):
        raise refused(
            f"A model has one signature, {SIGNATURE!r}: {model.signature}.",
            f"signature_name={name!r}",
        )


def _number(dtype: str) -> int:
    return int(types().DataType.Value(data_type(dtype)))


@cache
def _dtypes() -> dict[int, str]:
    return {_number(dtype): dtype for dtype in _VALUES}
