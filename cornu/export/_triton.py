"""The format `triton`: a folder of the model repository that Triton Inference Server serves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..core.checks import is_size
from ..core.files import check_replaceable, making_folder, replacing, replacing_together
from ._onnx import write_onnx
from ._report import report

#: Triton's names of ONNX's types of elements.
_TYPES = {
    "BOOL": "BOOL",
    "STRING": "STRING",
    "FLOAT16": "FP16",
    "FLOAT": "FP32",
    "DOUBLE": "FP64",
    **{f"{sign}INT{bits}": f"{sign}INT{bits}" for sign in ("", "U") for bits in (8, 16, 32, 64)},
}
_NAMES = r"config\.pbtxt|[1-9]\d*"
_VERSION = r"model\.onnx(\.data)?", "model.onnx"


def write_triton(
    model: Any,
    path: Path,
    verbose: bool,
    input_signature: Any = None,
    version: int = 1,
    max_batch_size: int = 32,
    opset_version: int | None = None,
    float16: bool = False,
    examples: Any = None,
) -> None:
    """A model of Triton's repository: `config.pbtxt` and `1/model.onnx`; other versions that are there stay.

    Args:
        version: The number of the version.
        max_batch_size: How many requests' inputs Triton may join, where the model's batch is free.
        opset_version: The version of ONNX's operations; 17 where it is left out.
        float16: Whether weights are stored in 16 bits; the model computes in 32.
        examples: Inputs to check the file with, in the structure of the model's inputs.
    """
    for name, value in (("version", version), ("max_batch_size", max_batch_size)):
        if not is_size(value):
            raise ValueError(f"`{name}` must be an integer from 1. Received: {name}={value!r}.")
    check_replaceable(path, _NAMES)
    check_replaceable(path / str(version), *_VERSION)
    # A version comes to others as one step, before the config that says what it takes.
    writing = replacing_together(path / "config.pbtxt") if path.exists() else replacing(path)
    with making_folder(path.parent), writing as draft:
        folder = Path(draft)
        file = folder / str(version) / "model.onnx"
        checked = write_onnx(
            model, file, False, input_signature, opset_version, None, float16, examples
        )
        (folder / "config.pbtxt").write_text(_config(path.absolute().name, file, max_batch_size))
    if verbose:
        files = [path / "config.pbtxt", *sorted((path / str(version)).iterdir())]
        report(path, files, checked)


def _config(name: str, file: Path, max_batch_size: int) -> str:
    """A model's config as text, of what the file takes and gives."""
    import onnx

    graph = onnx.load(file, load_external_data=False).graph
    dims = [x.type.tensor_type.shape.dim for x in (*graph.input, *graph.output)]
    joined = all(shape and shape[0].dim_param == "batch" for shape in dims)
    lines = [f"name: {json.dumps(name)}", 'backend: "onnxruntime"']
    lines.append(f"max_batch_size: {max_batch_size if joined else 0}")
    for key, values in (("input", graph.input), ("output", graph.output)):
        described = ",\n".join(f"  {{ {_tensor(value, joined)} }}" for value in values)
        lines.append(f"{key} [\n{described}\n]")
    if joined:
        lines.append("dynamic_batching { }")
    return "\n".join(lines) + "\n"


def _tensor(value: Any, joined: bool) -> str:
    """An input or output: its name, type and axes, without the batch's where requests are joined."""
    import onnx

    tensor = value.type.tensor_type
    sizes = [-1 if x.dim_param else x.dim_value for x in tensor.shape.dim][joined:]
    kind = _TYPES[onnx.TensorProto.DataType.Name(tensor.elem_type)]
    # Triton has no tensors without axes: it adds one, and takes it away.
    dims = f"dims: {sizes}" if sizes else "dims: [ 1 ] reshape { shape: [ ] }"
    return f"name: {json.dumps(value.name)} data_type: TYPE_{kind} {dims}"
