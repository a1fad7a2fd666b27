"""Files of LiteRT in fewer bits, by LiteRT's own quantizer."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, redirect_stderr
from io import StringIO
from pathlib import Path
from typing import Any

from ai_edge_litert import schema_py_generated as schema
from ai_edge_quantizer import quantizer, recipe

from ..graphs.graph import Array
from .flatbuffer import SIGNATURE
from .running import read

#: Inputs of a file: arrays by name.
Feed = dict[str, Array]
#: Operations with weights, in front of which values are in 8 bits.
_PRODUCTS = frozenset(
    "CONV_2D DEPTHWISE_CONV_2D TRANSPOSE_CONV FULLY_CONNECTED BATCH_MATMUL".split()
)
_KINDS = {number: kind for kind, number in vars(schema.BuiltinOperator).items()}


def int8(source: Path, into: Path, feeds: Iterable[Feed], target: str | None) -> None:
    """Weights and values of 8 bits, with the ranges that values had on `feeds`.

    Inputs and outputs are floats. Softmax, and what stands behind the last product, are left float: 256
    steps say little about the classes that are unlikely.

    Raises:
        NotImplementedError: If the file has loops or branches, in which the tool finds no ranges.
    """
    inner = len(read(source).subgraphs) - 1
    if inner:
        raise NotImplementedError(
            f"LiteRT's quantizer finds no ranges within loops and branches. Received: {inner} graphs of such. "
            "Give the length where the input is made, `Input((20, 8))`, as up to 32 steps are written out; "
            "or use quantize='dynamic'."
        )
    tool = quantizer.Quantizer(str(source), recipe.static_wi8_ai8())
    for name in ("INPUT", "OUTPUT", "SOFTMAX"):
        tool.update_quantization_recipe(".*", name, algorithm_key="no_quantize")
    for name in _ends(source):
        tool.update_quantization_recipe(f"^{re.escape(name)};", "*", algorithm_key="no_quantize")
    with _quietly():
        ranges = tool.calibrate({SIGNATURE: feeds}, num_threads=1)
        _write(tool, ranges, into)


def dynamic(source: Path, into: Path, feeds: Iterable[Feed], target: str | None) -> None:
    """Weights of 8 bits, with a scale for each channel; values are rounded by the range of each run."""
    with _quietly():
        _write(quantizer.Quantizer(str(source), recipe.dynamic_wi8_afp32()), None, into)


QUANTIZERS = {"int8": int8, "dynamic": dynamic}


def _write(tool: Any, ranges: Any, into: Path) -> None:
    made = tool.quantize(ranges, enable_progress_bar=False, enable_progress_report=False)
    into.write_bytes(made.quantized_model)


@contextmanager
def _quietly() -> Iterator[None]:
    """A block without the tool's bars of progress, and its interpreter's advice for debugging."""
    with redirect_stderr(StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _ends(path: Path) -> list[str]:
    """What the operations give that stand in a row behind the last product, up to the outputs."""
    model = read(path)
    graph = model.subgraphs[0]
    kinds = [_KINDS[code.builtinCode] for code in model.operatorCodes]
    made = {op.outputs[0]: op for op in graph.operators}
    found = []
    for place in graph.outputs:
        op = made.get(place)
        while op is not None and kinds[op.opcodeIndex] not in _PRODUCTS:
            found.append(graph.tensors[op.outputs[0]].name.decode())
            taken = [x for x in op.inputs if x >= 0 and not graph.tensors[x].buffer]
            op = made.get(taken[0]) if len(taken) == 1 else None
    return found
