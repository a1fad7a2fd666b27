"""Messages of gRPC: their bytes are the protocols' owners, and tensors are read in each of their forms."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cornu._messages import serialized
from cornu.core.dtypes import numpy_dtype
from cornu.serving import Failure
from cornu.serving._messages import from_input, from_tensor, output, tensor, types
from cornu.serving._tensors import DATATYPES, bytes_of, datatype_of

#: What `make_golden.py` wrote, where the protocols' own classes are installed.
GOLDEN = json.loads(Path(__file__).with_name("golden.json").read_text())
NUMBERS = [name for name in DATATYPES if name not in ("string", "bool")]
DTYPES = ["string", "bool", *NUMBERS]


@pytest.mark.parametrize("name", GOLDEN)
def test_the_bytes_are_the_owners(name: str) -> None:
    from google.protobuf.json_format import MessageToDict

    data = bytes.fromhex(GOLDEN[name]["bytes"])
    message = getattr(types(), name).FromString(data)
    assert serialized(message) == data
    assert MessageToDict(message, preserving_proto_field_name=True) == GOLDEN[name]["fields"]


def values(dtype: str) -> Any:
    if dtype == "string":
        return np.array([[b"a"], [b""], ["ü".encode()]], object)
    return np.array([[0], [1], [3]]).astype(numpy_dtype(dtype))


@pytest.mark.parametrize("dtype", DTYPES)
def test_tensors_of_each_dtype(dtype: str) -> None:
    x = values(dtype)
    for found in (
        from_tensor("x", types().TensorProto.FromString(tensor(x).SerializeToString()), 1000),
        from_input(output("x", x, contents=False), bytes_of(x), 1000),
        *(
            [from_input(output("x", x, contents=True), None, 1000)]
            if dtype not in ("float16", "bfloat16")
            else []
        ),
    ):
        assert found.dtype == x.dtype
        assert found.tolist() == x.tolist()
    assert datatype_of(x) == DATATYPES[dtype]


@pytest.mark.parametrize("dtype", DTYPES)
def test_tensors_are_tensorflow_s(dtype: str) -> None:
    tensorflow = pytest.importorskip("tensorflow")
    x = values(dtype)
    theirs = tensorflow.make_tensor_proto(x)
    found = from_tensor("x", types().TensorProto.FromString(theirs.SerializeToString()), 1000)
    assert found.tolist() == x.tolist()
    parsed = type(theirs).FromString(tensor(x).SerializeToString())
    assert tensorflow.make_ndarray(parsed).tolist() == x.tolist()


@pytest.mark.parametrize("dtype", NUMBERS)
def test_the_last_value_stands_for_the_rest(dtype: str) -> None:
    tensorflow = pytest.importorskip("tensorflow")
    # Whoever names a shape gets one value of a tensor that is all the same.
    theirs = tensorflow.make_tensor_proto(3, tensorflow.as_dtype(dtype), shape=(2, 3))
    assert not theirs.tensor_content
    found = from_tensor("x", types().TensorProto.FromString(theirs.SerializeToString()), 1000)
    assert (found.shape, found.astype(int).tolist()) == ((2, 3), [[3] * 3] * 2)


def test_a_tensor_without_values_is_zeros() -> None:
    for dtype, zero in (("DT_FLOAT", 0.0), ("DT_STRING", b"")):
        number = types().DataType.Value(dtype)
        given = types().TensorProto(dtype=number, tensor_shape={"dim": [{"size": 2}]})
        assert from_tensor("x", given, 1000).tolist() == [zero, zero]


def proto(shape: tuple[int, ...] = (1,), dtype: int = 1, **held: Any) -> Any:
    sizes = {"dim": [{"size": size} for size in shape]}
    return from_tensor("x", types().TensorProto(dtype=dtype, tensor_shape=sizes, **held), 1000)


def given(
    shape: tuple[int, ...] = (1,), datatype: str = "FP32", data: Any = None, **held: Any
) -> Any:
    message = types().Tensor(name="x", shape=shape, datatype=datatype, contents=held)
    return from_input(message, data, 1000)


@pytest.mark.parametrize(
    "read, said",
    [
        (lambda: proto(dtype=0), "Received: 0 for the input 'x'."),
        (lambda: proto(dtype=20), "A tensor's dtype is one of DT_BOOL, "),
        (lambda: proto((-1,)), "A shape is a list of sizes from 0 on. Received: [-1]"),
        (lambda: proto((10**6, 10**6)), "at most 1,000 bytes (max_body)"),
        (lambda: proto((10**6,), 7), "at most 1,000 bytes (max_body)"),
        (lambda: proto((2,), tensor_content=b"1234"), "8 for float32 (2,). Received: 4 of 'x'."),
        (lambda: proto((1,), float_val=[1, 2]), "of shape (1,) has 1 values. Received: 2 for 'x'."),
        (lambda: proto((1,), 6, int_val=[300]), "The input 'x' has values of int8."),
        (lambda: proto((1,) * 40, float_val=[1]), "32 axes"),
        (lambda: given(datatype="X"), "A datatype is one of BOOL"),
        (lambda: given((2,), fp32_contents=[1]), "2 for (2,). Received: 1 of 'x'."),
        (lambda: given(datatype="FP16"), "FP16 goes in `raw_input_contents`."),
        (lambda: given(data=b"123"), "4 for float32 (1,). Received: 3 of 'x'."),
        (lambda: given(datatype="BYTES", data=b"\x05\0\0\0abc"), "Received: 7 bytes that are not"),
        (lambda: given((2,), "BYTES", b"\x01\0\0\0a"), "has 2 strings"),
        (lambda: given((1,), "BYTES", b"\x01\0\0\0ab"), "has 1 strings"),
    ],
)  # fmt: skip
def test_what_is_no_tensor(read: Any, said: str) -> None:
    with pytest.raises(Failure, match=re.escape(said)) as failed:
        read()
    assert failed.value.code == "INVALID_ARGUMENT"
