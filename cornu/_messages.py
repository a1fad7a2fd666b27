"""Messages of Protocol Buffers from a table of text: no compiler, no generated file, no TensorFlow.

A line of the table is a message, a field of it `name=number type`. A line that begins with a blank goes on with the one
before, `#` begins a comment:

    Drawing: name=1 string, sizes=2 int64*, points=3 Point*    # `*`: any number of them
        colours=4 string>int32                                 # a map
        fill(grey=5 float, pattern=6 Drawing)                  # one of them
    Drawing.Kind: ...                                          # a message within `Drawing`
    enum State: UNKNOWN=0, READY=10

Types are those of proto3, and messages and enumerations of the table, found from within outwards as in a `.proto` file.

The classes live in a pool of their own. The default pool refuses two files that define one message, so that clients of
other servers, or TensorFlow, could not be in one process with ours; and generated code wants the version of protobuf
that it was made by, where a table works with any. Only bytes reach others, and those have no names of messages.
"""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any

#: What tensors are in TensorFlow's graphs and in what its servers are sent.
TENSORS = """
enum DataType: DT_INVALID=0, DT_FLOAT=1, DT_DOUBLE=2, DT_INT32=3, DT_UINT8=4, DT_INT16=5, DT_INT8=6, DT_STRING=7
    DT_COMPLEX64=8, DT_INT64=9, DT_BOOL=10, DT_QINT8=11, DT_QUINT8=12, DT_QINT32=13, DT_BFLOAT16=14, DT_QINT16=15
    DT_QUINT16=16, DT_UINT16=17, DT_COMPLEX128=18, DT_HALF=19, DT_RESOURCE=20, DT_VARIANT=21, DT_UINT32=22, DT_UINT64=23
TensorShapeProto: dim=2 Dim*, unknown_rank=3 bool
TensorShapeProto.Dim: size=1 int64, name=2 string
TensorProto: dtype=1 DataType, tensor_shape=2 TensorShapeProto, version_number=3 int32, tensor_content=4 bytes
    half_val=13 int32*, float_val=5 float*, double_val=6 double*, int_val=7 int32*, string_val=8 bytes*
    scomplex_val=9 float*, int64_val=10 int64*, bool_val=11 bool*, dcomplex_val=12 double*, uint32_val=16 uint32*
    uint64_val=17 uint64*
TensorInfo: name=1 string, dtype=2 DataType, tensor_shape=3 TensorShapeProto
SignatureDef: inputs=1 string>TensorInfo, outputs=2 string>TensorInfo, method_name=3 string
"""

#: The types of fields by their numbers, from 1.
_TYPES = (
    "double float int64 uint64 int32 fixed64 fixed32 bool string group message bytes uint32 enum "
    "sfixed32 sfixed64 sint32 sint64"
).split()
_LINE = re.compile(r"(enum )?([\w.]+):(.*)", re.DOTALL)
#: The beginning of a `oneof`, its end, or a field: with a type, or of an enumeration.
_FIELD = re.compile(
    r"[\s,]*(?:(?P<oneof>\w+)\(|(?P<end>\))|(?P<name>\w+)=(?P<number>\d+)"
    r"(?: (?:(?P<key>\w+)>)?(?P<type>[\w.]+)(?P<several>\*?))?)"
)


def messages(package: str, table: str) -> Any:
    """The classes of a table's messages and enumerations, each an attribute by its name.

    Those within a message are attributes of its class. An enumeration knows its numbers by `Value(name)`, its names by
    `Name(number)`; a field of one holds the number.

    Args:
        package: The name before those of the messages.
        table: Lines as above.

    Raises:
        ImportError: If protobuf is not installed.
        ValueError: If a line can't be read, or a type is unknown.

    >>> drawn = messages("example", '''
    ... Point: x=1 double, y=2 double
    ... Drawing: name=1 string, points=2 Point*, colours=3 string>int32, fill(grey=4 float, pattern=5 Drawing)
    ... ''')
    >>> drawing = drawn.Drawing(name="line", points=[drawn.Point(x=1), drawn.Point(y=2)], grey=0.5)
    >>> drawing.colours["red"] = 7
    >>> again = drawn.Drawing.FromString(serialized(drawing))
    >>> again == drawing, again.WhichOneof("fill"), again.points[1].y
    (True, 'grey', 2.0)
    """
    try:
        from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
        from google.protobuf.internal.enum_type_wrapper import EnumTypeWrapper
    except ImportError as error:
        raise ImportError(
            "Messages of Protocol Buffers need a package. Received: protobuf is not installed. "
            "Install it with: pip install protobuf"
        ) from error
    file = descriptor_pb2.FileDescriptorProto(name=package, package=package, syntax="proto3")
    _Table(file, table).fill()
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    found = pool.FindFileByName(package)
    made = {name: EnumTypeWrapper(x) for name, x in found.enum_types_by_name.items()}
    for name, message in found.message_types_by_name.items():
        made[name] = message_factory.GetMessageClass(message)
    return SimpleNamespace(**made)


def serialized(message: Any) -> bytes:
    """The bytes of a message, each time the same: maps go by their keys."""
    return message.SerializeToString(deterministic=True)


def data_type(dtype: str) -> str:
    """The name of a dtype in TensorFlow's `DataType`, of the name that NumPy has for it; text is `"string"`.

    >>> data_type("float32"), data_type("int8"), data_type("string")
    ('DT_FLOAT', 'DT_INT8', 'DT_STRING')
    """
    other = {"float16": "HALF", "float32": "FLOAT", "float64": "DOUBLE"}
    return f"DT_{other.get(dtype, dtype.upper())}"


class _Table:
    """A table whose lines are being written into the descriptor of a file."""

    def __init__(self, file: Any, table: str) -> None:
        self.package = file.package
        #: Descriptors of messages and enumerations, and what is in them, by their names.
        self.made: dict[str, Any] = {}
        self.bodies: dict[str, str] = {}
        text = re.sub(r" *#.*", "", table).strip()
        for line in re.split(r"\n+(?=\S)", text):
            said = _LINE.fullmatch(line)
            if said is None or said[2] in self.made:
                raise _unread(line, "`Name: ...` or `enum Name: ...`, each name once")
            enum, name, self.bodies[name] = said.groups()
            outer, _, own = name.rpartition(".")
            if outer not in {"", *self.made}:
                raise _unread(line, f"a line for {outer!r} before it")
            kind = "enum_type" if enum else "nested_type" if outer else "message_type"
            self.made[name] = getattr(self.made.get(outer, file), kind).add(name=own)

    def fill(self) -> None:
        """Write the fields of messages, and the numbers of enumerations."""
        for name, body in self.bodies.items():
            made, oneof, end = self.made[name], {}, 0
            enum, body = hasattr(made, "value"), body.rstrip()
            while end < len(body):
                read = _FIELD.match(body, end)
                if read is None or (read["name"] and bool(read["type"]) is enum):
                    raise _unread(
                        f"{name}: ...{body[end:]}", "`field=number type`, or `NAME=number`"
                    )
                end = read.end()
                if read["oneof"]:
                    oneof = {"oneof_index": len(made.oneof_decl)}
                    made.oneof_decl.add(name=read["oneof"])
                elif read["end"]:
                    oneof = {}
                elif enum:
                    made.value.add(name=read["name"], number=int(read["number"]))
                else:
                    self._add(name, read, oneof)

    def _add(self, name: str, read: re.Match[str], oneof: dict[str, int]) -> None:
        """Add a field to a message; a map is a list of messages with `key` and `value`."""
        made, said = self.made[name], self._type(name, read["type"])
        if read["key"]:
            words = read["name"].split("_")
            entry = "".join(word[:1].upper() + word[1:] for word in words) + "Entry"
            pair = made.nested_type.add(name=entry, options={"map_entry": True})
            pair.field.add(name="key", number=1, label=1, **self._type(name, read["key"]))
            pair.field.add(name="value", number=2, label=1, **said)
            said = {"type": 11, "type_name": f".{self.package}.{name}.{entry}"}
        label = 3 if read["key"] or read["several"] else 1
        made.field.add(name=read["name"], number=int(read["number"]), label=label, **said, **oneof)

    def _type(self, scope: str, name: str) -> dict[str, Any]:
        """What a descriptor says of a type, which a message may name from within."""
        if name in _TYPES:
            return {"type": _TYPES.index(name) + 1}
        outer = scope.split(".")
        for depth in range(len(outer), -1, -1):
            full = ".".join([*outer[:depth], name])
            if full in self.made:
                number = 14 if hasattr(self.made[full], "value") else 11
                return {"type": number, "type_name": f".{self.package}.{full}"}
        raise _unread(f"{scope}: ... {name}", f"a line for {name!r}, or a type of {_TYPES}")


def _unread(line: str, instead: str) -> ValueError:
    return ValueError(
        f"A table of messages has lines that can be read. Received: {line!r}. Write {instead}."
    )
