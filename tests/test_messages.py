"""Messages of Protocol Buffers from a table: their bytes are those that protobuf's own classes give."""

from __future__ import annotations

import re
from typing import Any

import pytest
from google.protobuf import descriptor_pb2, struct_pb2, type_pb2

from cornu._messages import TENSORS, messages, serialized

#: Tables of what protobuf ships compiled: a map, a `oneof`, recursion, enumerations within and without, packed numbers.
STRUCT = """
Struct: fields=1 string>Value
Value: kind(null_value=1 NullValue, number_value=2 double, string_value=3 string, bool_value=4 bool
    struct_value=5 Struct, list_value=6 ListValue)
ListValue: values=1 Value*
enum NullValue: NULL_VALUE=0
"""
FIELD = """
Field:   # of google/protobuf/type.proto
    kind=1 Kind, cardinality=2 Field.Cardinality, number=3 int32, name=4 string
    packed=8 bool
enum Field.Kind: TYPE_UNKNOWN=0, TYPE_DOUBLE=1, TYPE_INT64=3
enum Field.Cardinality: CARDINALITY_UNKNOWN=0, CARDINALITY_REPEATED=3
Field.Twice: fields=1 Field*, kinds=2 Kind*
"""


def test_the_bytes_are_those_of_compiled_messages() -> None:
    made, value = messages("own", STRUCT), {"b": [1.5, None, "ü"], "a": {"x": True}, "c": []}
    theirs = struct_pb2.Struct()
    theirs.update(value)
    ours = made.Struct.FromString(theirs.SerializeToString())
    assert serialized(ours) == theirs.SerializeToString(deterministic=True)
    assert ours.fields["b"].list_value.values[0].WhichOneof("kind") == "number_value"
    assert made.NullValue.Value("NULL_VALUE") == 0

    field = messages("own", FIELD).Field
    own: Any = field(kind=field.Kind.Value("TYPE_INT64"), cardinality=3, number=7, packed=True)
    assert (
        own.SerializeToString()
        == type_pb2.Field(
            kind="TYPE_INT64", cardinality=3, number=7, packed=True
        ).SerializeToString()
    )
    assert len(field.Twice(kinds=[1] * 9).SerializeToString()) == 11, "numbers are packed"


def test_maps_go_by_their_keys() -> None:
    pair = messages("own", "Pair: sizes=1 string>int64").Pair
    forth, back = pair(), pair()
    for key in "abcdefgh":
        forth.sizes[key] = 1
    for key in reversed("abcdefgh"):
        back.sizes[key] = 1
    assert serialized(forth) == serialized(back)


def test_a_pool_of_its_own() -> None:
    """Two tables may define one message otherwise, and other libraries' classes stay as they are."""
    one, other = (
        messages("google.protobuf", f"FileDescriptorProto: name={number} string")
        for number in (1, 2)
    )
    ours = [made.FileDescriptorProto(name="x").SerializeToString() for made in (one, other)]
    assert ours == [b"\n\x01x", b"\x12\x01x"]
    assert descriptor_pb2.FileDescriptorProto(name="x").SerializeToString() == ours[0]


def test_tensors_are_tensorflow_s() -> None:
    framework = pytest.importorskip("tensorflow.core.framework.tensor_pb2")
    types = pytest.importorskip("tensorflow.core.framework.types_pb2")
    made = messages("own", TENSORS)
    assert dict(made.DataType.items()) == {
        name: number for name, number in types.DataType.items() if number < 24
    }
    theirs = {field.name: field for field in framework.TensorProto.DESCRIPTOR.fields}
    ours = {field.name: field for field in made.TensorProto.DESCRIPTOR.fields}
    assert set(theirs) - set(ours) == {"resource_handle_val", "variant_val", "float8_val"}
    for name, field in ours.items():
        said = (field.number, field.type, field.is_repeated, field.is_packed)
        assert said == tuple(
            getattr(theirs[name], x) for x in "number type is_repeated is_packed".split()
        )


@pytest.mark.parametrize(
    "table, said",
    [
        ("Point x=1 double", "Received: 'Point x=1 double'. Write `Name: ...` or `enum Name: ...`"),
        ("A: x=1 double\nA: y=1 double", "Received: 'A: y=1 double'"),
        ("A.B: x=1 double", "Write a line for 'A' before it."),
        ("A: x double", "Received: 'A: ... x double'. Write `field=number type`"),
        ("A: x=1", "Received: 'A: ... x=1'."),
        ("enum A: x=0 double", "Received: 'A: ... x=0 double'."),
        ("A: x=1 Point", "Received: 'A: ... Point'. Write a line for 'Point', or a type of "),
    ],
)
def test_a_table_that_cant_be_read(table: str, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        messages("own", table)
