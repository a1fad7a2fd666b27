"""What is said over gRPC: the messages of both protocols and of health checks, and tensors as each of them has them.

Fields and their numbers stand in `messages.txt`.
"""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from .._messages import TENSORS, data_type, messages
from ..core.dtypes import numpy_dtype
from ._failures import CODES
from ._model import Model
from ._running import Array
from ._tensors import (
    datatype_of,
    dtype_name,
    dtype_of,
    from_values,
    raw,
    refused,
    sized,
    strings_of,
)

#: The name of a model's only signature, and those of what may be asked of one.
SIGNATURE = "serving_default"
METHODS = {name: f"tensorflow/serving/{name}" for name in ("predict", "classify", "regress")}

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
    table = Path(__file__).with_name("messages.txt").read_text("utf-8")
    return messages("cornu.serving", f"{TENSORS}{table}enum Code: OK=0, {codes}")


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
    dtype = dtype_name(x.dtype)
    text = dtype == "string"
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
    held, datatype = {}, datatype_of(x)
    if contents:
        values = strings_of(x) if datatype == "BYTES" else x.ravel().tolist()
        held = {"contents": {_VALUES[dtype_of(datatype)][1]: values}}
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


@cache
def _number(dtype: str) -> int:
    return int(types().DataType.Value(data_type(dtype)))


@cache
def _dtypes() -> dict[int, str]:
    return {_number(dtype): dtype for dtype in _VALUES}
