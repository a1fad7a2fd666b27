"""TensorFlow's graphs and SavedModels as messages."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from ..._messages import TENSORS, messages, serialized
from .graph import TensorFlowGraph

TABLE = """
VersionDef: producer=1 int32, min_consumer=2 int32
NameAttrList: name=1 string, attr=2 string>AttrValue
AttrValue: value(s=2 bytes, i=3 int64, f=4 float, b=5 bool, type=6 DataType, shape=7 TensorShapeProto
    tensor=8 TensorProto, list=1 ListValue, func=10 NameAttrList)
AttrValue.ListValue: s=2 bytes*, i=3 int64*, f=4 float*, b=5 bool*, type=6 DataType*
NodeDef: name=1 string, op=2 string, input=3 string*, attr=5 string>AttrValue
OpDef: name=1 string, input_arg=2 ArgDef*, output_arg=3 ArgDef*
OpDef.ArgDef: name=1 string, type=3 DataType
FunctionDef: signature=1 OpDef, attr=5 string>AttrValue, ret=4 string>string, node_def=3 NodeDef*
FunctionDefLibrary: function=1 FunctionDef*
GraphDef: node=1 NodeDef*, library=2 FunctionDefLibrary, versions=4 VersionDef
MetaInfoDef: tags=4 string*, tensorflow_version=5 string
MetaGraphDef: meta_info_def=1 MetaInfoDef, graph_def=2 GraphDef, signature_def=5 string>SignatureDef
SavedModel: saved_model_schema_version=1 int64, meta_graphs=2 MetaGraphDef*
"""


#: The signature, and the output of it, that loaders run once.
_INIT = "__saved_model_init_op"


@functools.cache
def classes() -> Any:
    """The classes of the messages."""
    return messages("cornu.tensorflow", TENSORS + TABLE)


def graph_message(graph: TensorFlowGraph) -> Any:
    """A graph as a `GraphDef` with the contents of its constants, and an `init` that fills its tables."""
    from google.protobuf.json_format import ParseDict

    definition, (filling, last) = graph.definition(), graph.filling()
    if filling:
        start = {"name": "init", "op": "NoOp", "input": [f"^{name}" for name in last]}
        definition["node"] += [*filling, start]
    made, contents = ParseDict(definition, classes().GraphDef()), graph.contents()
    for node in made.node:
        if node.op == "Const":
            array, tensor = contents[node.name], node.attr["value"].tensor
            if array.dtype.kind == "O":
                tensor.string_val.extend(array.ravel())
            else:
                tensor.tensor_content = np.ascontiguousarray(array).tobytes()
    return made


def saved_model(graph: TensorFlowGraph, names: tuple[list[str], list[str]]) -> bytes:
    """A graph as a SavedModel with one signature.

    Args:
        names: What the signature calls the inputs and outputs.
    """
    from google.protobuf.json_format import ParseDict

    made = classes().SavedModel(saved_model_schema_version=1)
    meta = made.meta_graphs.add()
    meta.meta_info_def.tags.append("serve")
    meta.meta_info_def.tensorflow_version = "2.7.0"
    meta.graph_def.CopyFrom(graph_message(graph))
    signature = meta.signature_def["serving_default"]
    ParseDict(graph.signature(names), signature)
    signature.method_name = "tensorflow/serving/predict"
    if graph.tables:
        meta.signature_def[_INIT].outputs[_INIT].name = "init"
    return serialized(made)
