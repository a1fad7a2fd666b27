"""ONNX files in fewer bits: ONNX Runtime's quantizers, set as its CPU kernels run and compute them best."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import onnx
from onnxruntime import quantization
from onnxruntime.quantization import QuantType, shape_inference

from ..onnxruntime import open_session

Array = np.ndarray[Any, Any]
#: Inputs of ONNX Runtime: arrays by name.
Feed = dict[str, Array]
#: Where an operation's weights stand among its inputs, and the axis of each one's channels.
_WEIGHTS: dict[str, tuple[tuple[int, ...], int]] = {
    "Conv": ((1,), 0),
    "ConvTranspose": ((1,), 1),
    "MatMul": ((1,), -1),
    "Gemm": ((1,), -1),
    "Gather": ((0,), 0),
    "LSTM": ((1, 2), 1),
    "GRU": ((1, 2), 1),
}
#: What the name of a kernel begins with once batch normalization is folded into it.
_FOLDED = "ConvBnFusion_W_"
#: Rows of a product that share a scale of 4 bits: what ONNX Runtime has kernels for.
_BLOCK = 32


def int8(source: Path, into: Path, feeds: Iterable[Feed], target: str | None) -> None:
    """Weights and values of 8 bits, with the ranges that values had on `feeds`.

    Weights are signed, with a scale for each channel, and of 7 bits where no target is known: sums of
    8 by 8 bits saturate on CPUs without VNNI. Softmax and what stands behind the last product are
    left float: 256 steps say little about the classes that are unlikely.
    """
    ready = _prepared(source, into)
    graph = ready.graph
    kept = {node.name for node in graph.node if node.op_type in ("Softmax", "LogSoftmax")}
    kept |= _ends(graph)
    with _quietly():
        quantization.quantize_static(
            ready,
            into,
            _Reader(feeds),
            per_channel=True,
            reduce_range=target is None,
            activation_type=QuantType.QInt8 if target == "arm" else QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=sorted(kept),
        )
    made = onnx.load(into)
    _unrounded(made.graph, kept)
    _save(made, into)


def dynamic(source: Path, into: Path, feeds: Iterable[Feed], target: str | None) -> None:
    """Weights of products, recurrences and tables in 8 bits; values are rounded by the range of each run.

    Convolutions are left float: ONNX Runtime's integer ones took three times as long.
    """
    ready = _prepared(source, into)
    with _quietly():
        quantization.quantize_dynamic(
            ready,
            into,
            op_types_to_quantize=["MatMul", "Gemm", "Gather", "LSTM"],
            per_channel=True,
            reduce_range=target is None,
            weight_type=QuantType.QInt8,
        )
    _save(onnx.load(into), into)


def int4(source: Path, into: Path, feeds: Iterable[Feed], target: str | None) -> None:
    """Weights in 4 bits, symmetric, with a scale for each channel and, in products, for 32 rows.

    Values stay float. The runtime's own tool for it knows products and tables alone.
    """
    message = _prepared(source, into)
    graph = message.graph
    arrays = {x.name: x for x in graph.initializer}
    made: dict[tuple[str, int], Any] = {}
    for node in graph.node:
        places, axis = _WEIGHTS.get(node.op_type, ((), 0))
        for place in places:
            name = node.input[place]
            if _is_weight(arrays.get(name)):
                if (name, axis) not in made:
                    array = onnx.numpy_helper.to_array(arrays[name])
                    result = f"{name}:{axis}"
                    made[name, axis] = _in_four_bits(graph, array, axis % array.ndim, result)
                node.input[place] = made[name, axis].output[0]
    nodes = [*made.values(), *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    _save(message, into)


QUANTIZERS: dict[str, Callable[[Path, Path, Iterable[Feed], str | None], None]] = {
    "int8": int8,
    "dynamic": dynamic,
    "int4": int4,
}


def _in_four_bits(graph: Any, array: Array, axis: int, result: str) -> Any:
    """The node that gives a weight from codes and scales, which come to the graph."""
    how: dict[str, int] = {"axis": axis}
    if array.ndim == 2 and axis == 1 and len(array) >= 2 * _BLOCK:
        scale = np.maximum.reduceat(np.abs(array), range(0, len(array), _BLOCK)) / 7
        whole = np.repeat(scale, _BLOCK, 0)[: len(array)]
        how = {"axis": 0, "block_size": _BLOCK}
    else:
        others = tuple(i for i in range(array.ndim) if i != axis)
        whole = np.abs(array).max(others, keepdims=True) / 7
        scale = whole.reshape(-1)
    codes = np.rint(array / np.where(whole == 0, 1, whole)).astype(ml_dtypes.int4)
    inputs = [_stored(graph, f"{result}_codes", codes), _stored(graph, f"{result}_scale", scale)]
    return onnx.helper.make_node("DequantizeLinear", inputs, [result], name=result, **how)


def _stored(graph: Any, name: str, array: Array) -> str:
    graph.initializer.append(onnx.numpy_helper.from_array(array, name))
    return name


# ------------------------------------------------------------------- the graph


def _prepared(source: Path, into: Path) -> Any:
    """A file's model with known shapes, batch normalization folded, and names for its nodes."""
    ready = into.with_suffix(".ready")
    shape_inference.quant_pre_process(str(source), str(ready), skip_symbolic_shape=True)
    message = onnx.load(ready)
    ready.unlink()
    for node in message.graph.node:
        node.name = f"of_{node.output[0]}"
    return message


def _ends(graph: Any) -> set[str]:
    """The nodes that stand in a row behind the last product, up to the outputs."""
    made = {name: node for node in graph.node for name in node.output}
    known = {x.name for x in graph.initializer}
    found: set[str] = set()
    for output in graph.output:
        node = made.get(output.name)
        while node is not None and node.op_type not in _WEIGHTS:
            found.add(node.name)
            read = [name for name in node.input if name and name not in known]
            node = made.get(read[0]) if len(read) == 1 else None
    return found


def _unrounded(graph: Any, kept: set[str]) -> None:
    """Take out the steps that a product's result is rounded to where only float nodes read it."""
    made = {name: node for node in graph.node for name in node.output}
    outputs = {x.name for x in graph.output}
    gone = []
    for second in [node for node in graph.node if node.op_type == "DequantizeLinear"]:
        first = made.get(second.input[0])
        maker = None if first is None else made.get(first.input[0])
        if first is None or maker is None or maker.op_type not in ("MatMul", "Gemm"):
            continue
        readers = [node for node in graph.node if second.output[0] in node.input]
        if first.input[0] in outputs or any(node.name not in kept for node in readers):
            continue
        maker.output[list(maker.output).index(first.input[0])] = second.output[0]
        gone += [first, second]
    for node in gone:
        graph.node.remove(node)


def _save(message: Any, path: Path) -> None:
    """Write a model, without the arrays that no node reads and the domains that none is of."""
    graph = message.graph
    read = {name for node in graph.node for name in node.input} | {x.name for x in graph.output}
    read |= {name for node in graph.node for name in _inner(node)}
    for x in [x for x in graph.initializer if x.name not in read]:
        graph.initializer.remove(x)
    del graph.value_info[:], message.metadata_props[:]
    used = {node.domain for node in graph.node} | {"", "ai.onnx.ml"}
    for domain in [x for x in message.opset_import if x.domain not in used]:
        message.opset_import.remove(domain)
    message.producer_name = "cornu"
    path.write_bytes(message.SerializeToString(deterministic=True))


def _inner(node: Any) -> Iterator[str]:
    """What the graphs within a node read."""
    for attribute in node.attribute:
        for inner in attribute.g.node:
            yield from inner.input
            yield from _inner(inner)
        yield from (x.name for x in attribute.g.output)


def _is_weight(x: Any) -> bool:
    return x is not None and len(x.dims) > 1 and x.data_type == onnx.TensorProto.FLOAT


class _Reader:
    """Inputs one by one, as the runtime's calibration asks for them."""

    def __init__(self, feeds: Iterable[Feed]) -> None:
        self.feeds = iter(feeds)

    def get_next(self) -> Feed | None:
        return next(self.feeds, None)


@contextmanager
def _quietly() -> Iterator[None]:
    """A block in which advice to the root logger is dropped, which would get a handler by it."""
    quiet = logging.NullHandler()
    logging.root.addHandler(quiet)
    try:
        yield
    finally:
        logging.root.removeHandler(quiet)


# ------------------------------------------------------------------ what it cost


def left_float(path: Path) -> list[str]:
    """The layers whose weights, of rank 2 and more, are floats in a file."""
    return list(dict.fromkeys(_layers(onnx.load(path).graph).values()))


def noise(source: Path, path: Path, feed: Feed) -> dict[str, float]:
    """How far what layers with weights give in a quantized file lies above its error, in decibels.

    `20 log10(|x| / |x - y|)` for what they give in the float file, x, and in the other one, y.
    """
    messages = [_prepared(source, path), onnx.load(path)]
    known = _layers(messages[0].graph)
    nodes = [{node.name: node for node in message.graph.node} for message in messages]
    shared = [name for name in known if name in nodes[1]]
    results = []
    for message, named in zip(messages, nodes, strict=True):
        names = [named[name].output[0] for name in shared]
        there = {x.name for x in message.graph.output}
        message.graph.output.extend(onnx.ValueInfoProto(name=x) for x in names if x not in there)
        results.append(open_session(message.SerializeToString(), 1).run(names, feed))
    found: dict[str, float] = {}
    for name, x, y in zip(shared, *results, strict=True):
        signal, error = float(np.linalg.norm(x)), float(np.linalg.norm(x - y))
        found[known[name]] = 20 * math.log10(max(signal, 1e-12) / max(error, 1e-12))
    return found


def _layers(graph: Any) -> dict[str, str]:
    """The layers of the nodes that have float weights, by the nodes' names."""
    arrays = {x.name: x for x in graph.initializer}
    found = {}
    for node in graph.node:
        for place in _WEIGHTS.get(node.op_type, ((), 0))[0]:
            if _is_weight(arrays.get(node.input[place])):
                name = node.input[place].removeprefix(_FOLDED)
                found[node.name] = name.rpartition("/")[0] or name
    return found
