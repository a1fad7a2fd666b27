"""Writes `golden.json`: messages, and their bytes by the classes of those who own the protocols.

Run where they are installed, once with each: `pip install tritonclient[grpc]` in one environment, and in another
`pip install tensorflow tensorflow-serving-api grpcio-health-checking`.
"""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

from google.protobuf.json_format import ParseDict

SPEC: dict[str, Any] = {"name": "m", "version": {"value": "7"}, "signature_name": "serving_default"}
LABEL: dict[str, Any] = {"name": "m", "version_label": "stable"}
TENSOR: dict[str, Any] = {
    "dtype": "DT_FLOAT",
    "tensor_shape": {"dim": [{"size": "1"}, {"size": "2"}]},
    "float_val": [1.5, -2.0],
}
FEATURES: dict[str, Any] = {
    "features": {
        "feature": {
            "a": {"float_list": {"value": [1.5]}},
            "b": {"bytes_list": {"value": ["w7w="]}},
            "c": {"int64_list": {"value": ["-1"]}},
        }
    }
}
INFO: dict[str, Any] = {
    "name": "serving_default_x:0",
    "dtype": "DT_INT64",
    "tensor_shape": {"dim": [{"size": "-1"}]},
}
PARAMETERS: dict[str, Any] = {
    "a": {"int64_param": "-5"},
    "b": {"string_param": "s"},
    "c": {"bool_param": True},
    "d": {"double_param": 0.5},
}
IN: dict[str, Any] = {
    "name": "x",
    "datatype": "FP32",
    "shape": ["1", "2"],
    "parameters": PARAMETERS,
}
DURATION = {"count": "3", "ns": "12"}
TENSORFLOW: dict[str, Any] = {
    "PredictRequest": {"model_spec": SPEC, "inputs": {"x": TENSOR}, "output_filter": ["y"]},
    "PredictResponse": {
        "model_spec": LABEL,
        "outputs": {"y": {"dtype": "DT_STRING", "string_val": ["YQ=="]}},
    },
    "ClassificationRequest": {
        "model_spec": LABEL,
        "input": {"example_list": {"examples": [FEATURES]}},
    },
    "ClassificationResponse": {
        "result": {"classifications": [{"classes": [{"label": "no", "score": 0.5}]}]},
        "model_spec": SPEC,
    },
    "RegressionRequest": {
        "model_spec": SPEC,
        "input": {"example_list_with_context": {"examples": [FEATURES], "context": FEATURES}},
    },
    "RegressionResponse": {"result": {"regressions": [{"value": 2.5}]}, "model_spec": SPEC},
    "MultiInferenceRequest": {
        "tasks": [{"model_spec": SPEC, "method_name": "tensorflow/serving/regress"}],
        "input": {"example_list": {"examples": [FEATURES]}},
    },
    "MultiInferenceResponse": {
        "results": [
            {"model_spec": SPEC, "regression_result": {"regressions": [{"value": 2.5}]}},
            {"classification_result": {"classifications": [{}]}},
        ]
    },
    "GetModelMetadataRequest": {"model_spec": SPEC, "metadata_field": ["signature_def"]},
    "SignatureDefMap": {
        "signature_def": {
            "serving_default": {
                "inputs": {"x": INFO},
                "outputs": {"y": INFO},
                "method_name": "tensorflow/serving/predict",
            }
        }
    },
    "GetModelStatusRequest": {"model_spec": {"name": "m"}},
    "GetModelStatusResponse": {
        "model_version_status": [
            {"version": "7", "state": "AVAILABLE", "status": {}},
            {
                "version": "8",
                "state": "END",
                "status": {"error_code": "INTERNAL", "error_message": "no"},
            },
        ]
    },
    "ReloadConfigRequest": {
        "config": {
            "model_config_list": {
                "config": [
                    {
                        "name": "m",
                        "base_path": "/m",
                        "model_platform": "tensorflow",
                        "model_version_policy": {"specific": {"versions": ["1", "2"]}},
                        "version_labels": {"stable": "1"},
                    },
                    {"name": "l", "model_version_policy": {"latest": {"num_versions": 2}}},
                    {"name": "a", "model_version_policy": {"all": {}}},
                ]
            }
        },
        "metric_names": ["n"],
    },
    "ReloadConfigResponse": {"status": {"error_code": "NOT_FOUND", "error_message": "no"}},
}
INFERENCE: dict[str, Any] = {
    "ModelInferRequest": {
        "model_name": "m",
        "model_version": "7",
        "id": "i",
        "parameters": PARAMETERS,
        "inputs": [
            {**IN, "contents": {"fp32_contents": [1.5, 2.0]}},
            {
                "name": "z",
                "datatype": "BYTES",
                "contents": {
                    "bytes_contents": ["YQ=="],
                    "bool_contents": [True],
                    "int_contents": [-1],
                    "int64_contents": ["-1"],
                    "uint_contents": [1],
                    "uint64_contents": ["1"],
                    "fp64_contents": [0.5],
                },
            },
        ],
        "outputs": [{"name": "y", "parameters": PARAMETERS}],
        "raw_input_contents": ["YQ=="],
    },
    "ModelInferResponse": {
        "model_name": "m",
        "model_version": "7",
        "id": "i",
        "parameters": PARAMETERS,
        "outputs": [IN],
        "raw_output_contents": ["YQ=="],
    },
    "ModelStreamInferResponse": {"error_message": "no", "infer_response": {"model_name": "m"}},
    "ServerLiveResponse": {"live": True},
    "ServerReadyResponse": {"ready": True},
    "ServerMetadataResponse": {"name": "c", "version": "1", "extensions": ["e"]},
    "ModelReadyRequest": {"name": "m", "version": "7"},
    "ModelReadyResponse": {"ready": True},
    "ModelMetadataRequest": {"name": "m", "version": "7"},
    "ModelMetadataResponse": {
        "name": "m",
        "versions": ["1"],
        "platform": "p",
        "inputs": [{"name": "x", "datatype": "FP32", "shape": ["-1"]}],
        "outputs": [{"name": "y"}],
    },
    "RepositoryIndexRequest": {"ready": True},
    "RepositoryIndexResponse": {
        "models": [{"name": "m", "version": "1", "state": "READY", "reason": "r"}]
    },
    "RepositoryModelLoadRequest": {"model_name": "m"},
    "RepositoryModelUnloadRequest": {"model_name": "m"},
    "ModelStatisticsRequest": {"name": "m", "version": "7"},
    "ModelStatisticsResponse": {
        "model_stats": [
            {
                "name": "m",
                "version": "7",
                "last_inference": "1",
                "inference_count": "2",
                "execution_count": "3",
                "inference_stats": {
                    "success": DURATION,
                    "fail": DURATION,
                    "queue": DURATION,
                    "compute_input": DURATION,
                    "compute_infer": DURATION,
                    "compute_output": DURATION,
                },
                "batch_stats": [{"batch_size": "4", "compute_infer": DURATION}],
            }
        ]
    },
    "ModelConfigRequest": {"name": "m", "version": "7"},
    "ModelConfigResponse": {
        "config": {
            "name": "m",
            "platform": "p",
            "max_batch_size": 8,
            "input": [{"name": "x", "data_type": "TYPE_FP32", "dims": ["2"]}],
            "output": [{"name": "y", "data_type": "TYPE_STRING", "dims": ["-1"]}],
        }
    },
}
HEALTH: dict[str, Any] = {
    "HealthCheckRequest": {"service": "s"},
    "HealthCheckResponse": {"status": "SERVING"},
}

_API = "tensorflow_serving.apis"
MODULES = {
    "tensorflow.serving": (
        TENSORFLOW,
        [
            f"{_API}.{name}_pb2"
            for name in (
                "predict classification regression inference get_model_metadata get_model_status model_management"
            ).split()
        ],
    ),
    "grpc.health.v1": (HEALTH, ["grpc_health.v1.health_pb2"]),
    "inference": (INFERENCE, ["tritonclient.grpc.service_pb2"]),
}


def main() -> None:
    path = Path(__file__).with_name("golden.json")
    golden = json.loads(path.read_text()) if path.exists() else {}
    for rows, names in MODULES.values():
        try:
            modules = [importlib.import_module(name) for name in names]
        except ImportError as error:
            print(f"left as they are: {list(rows)}: {error}")
            continue
        for name, fields in rows.items():
            (made,) = {getattr(module, name) for module in modules if hasattr(module, name)}
            data = ParseDict(_theirs(fields), made()).SerializeToString(deterministic=True)
            golden[name] = {"fields": fields, "bytes": data.hex()}
    path.write_text(json.dumps(golden, indent=1, sort_keys=True) + "\n")


def _theirs(fields: Any) -> Any:
    """Fields in which numbers in messages of their own stand alone, as JSON has them."""
    if isinstance(fields, list):
        return [_theirs(x) for x in fields]
    if not isinstance(fields, dict):
        return fields
    if fields.keys() == {"value"} and fields["value"] == "7":
        return "7"
    return {key: _theirs(value) for key, value in fields.items()}


if __name__ == "__main__":
    main()
