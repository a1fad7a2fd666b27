"""The format `onnx`: a model traced by the ONNX engine, written, checked, and put into fewer bits."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .._version import __version__
from ..core import tree
from ..core.checks import installed, is_size, positive_integer
from ..core.files import like, making_folder, names_like, replacing_together
from ._checking import TOLERANCE, check, drawn
from ._quantized import Quantizing, Tools, quantized
from ._report import report
from ._tracing import Traced, told, trace
from .measuring import in_onnxruntime

if TYPE_CHECKING:
    from ..engines.onnx import OnnxEngine

OPSET, IR_VERSION = 17, 8
#: What a file may hold: protocol buffers end at 2 GiB.
_LIMIT = (1 << 31) - (1 << 24)


def write_onnx(
    model: Any,
    path: Path,
    verbose: bool,
    input_signature: Any = None,
    opset_version: int | None = None,
    ir_version: int | None = None,
    float16: bool = False,
    examples: Any = None,
    external_data: bool | None = None,
    quantize: str | None = None,
    representative_data: Any = None,
    validation: Any = None,
    max_drop: float | None = None,
    target: str | None = None,
) -> list[tuple[str, str]]:
    """An ONNX file.

    Args:
        opset_version: The version of ONNX's operations; 17 where it is left out.
        ir_version: The version of the format itself.
        float16: Whether weights are stored in 16 bits; the model computes in 32.
        examples: Inputs to check the file with, in the structure of the model's inputs.
        external_data: Whether the weights lie in a file of their own; only what is too large for
            one file, where it is left out.
        quantize: `"int8"`, `"dynamic"`, `"float16"` or `"int4"`: the file has fewer bits.
        representative_data: What `fit` takes as `x`, on which the ranges of `"int8"` are found.
        validation: `(x, y)` on which the model's metrics are computed before and after.
        max_drop: By how much the first metric may get worse; may change, where it is a user's function.
        target: `"vnni"` or `"arm"` for a file of 8 bits that runs on such CPUs alone.

    Returns:
        What is known of the file, in words.
    """
    how = Quantizing(quantize, representative_data, validation, max_drop, target)
    how.check(("int8", "dynamic", "float16", "int4"))
    float16 = float16 or quantize == "float16"
    opset, ir_version = how.versions(opset_version or OPSET, ir_version or IR_VERSION)
    traced = trace(model, input_signature, onnx_engine(opset, float16))
    size = sum(array.nbytes for array in traced.engine.graph.initializers.values())
    outside = size > _LIMIT if external_data is None else external_data
    if quantize is not None and outside:
        raise ValueError(
            "A file that is quantized holds its weights, of less than 2 GiB. Received: "
            f"{size:,} bytes of weights, external_data={external_data}. Leave out `external_data`."
        )
    with making_folder(path.parent), replacing_together(path) as name:
        there = {file.name for file in path.parent.iterdir()}
        folder = Path(name)
        free = next(f"{x}.data" for x in names_like(path.name) if f"{x}.data" not in there)
        data = folder / free if outside else None
        (folder / path.name).write_bytes(serialized(traced, ir_version, data))
        checked = _checked(model, traced, str(folder / path.name), examples)
        if quantize is not None:
            plain = trace(model, input_signature, onnx_engine(opset, False)) if float16 else traced
            batch = next((x.shape[0] for x in tree.flatten(traced.specs) if x.shape), None)
            one = drawn(model, traced, batch or 1, examples=examples)
            source = serialized(plain, ir_version, None)
            checked += quantized(
                model, traced, source, folder / path.name, how, one, verbose, _tools()
            )
        files = [file.name for file in sorted(folder.iterdir())]
    for old in filter(like(path.name, r"\.data").fullmatch, there if outside else ()):
        (path.parent / old).unlink()
    operations = f"{len(traced.engine.graph.nodes)}, opset {opset}, IR {ir_version}"
    rows = [("operations", operations), *told(traced), *checked]
    if verbose:
        report(path, [path.parent / name for name in files], rows)
    return rows


def _tools() -> Tools:
    from ..engines.onnx.quantizing import QUANTIZERS, left_float, noise

    return Tools(QUANTIZERS, in_onnxruntime, left_float, noise)


def onnx_bytes(
    model: Any,
    input_signature: Any = None,
    opset_version: int | None = None,
    float16: bool = False,
    examples: Any = None,
) -> tuple[bytes, tuple[list[str], list[str]], list[tuple[str, str]]]:
    """A model's ONNX file, the names of its inputs and outputs, and what its check says."""
    traced = trace(model, input_signature, onnx_engine(opset_version or OPSET, float16))
    content = serialized(traced, IR_VERSION, None)
    return content, traced.names, _checked(model, traced, content, examples)


def onnx_engine(opset: int, half: bool = False, trains: bool = False) -> OnnxEngine:
    """The engine of a new file, which may be one of a step of training."""
    installed("onnx", "Export to ONNX", "onnx")
    from ..engines.onnx import OnnxEngine, OnnxTrainingEngine

    if not is_size(opset, 17) or opset > 28:
        raise ValueError(
            "`opset_version` must be an integer from 17 to 28. "
            f"Received: opset_version={opset!r}. Leave it out for 17, which all runtimes read."
        )
    return (OnnxTrainingEngine if trains else OnnxEngine).for_file(opset, half)


# --------------------------------------------------------------------- writing


def serialized(traced: Traced, ir_version: int, data: Path | None = None) -> bytes:
    """The file's bytes; with `data` the weights are written there."""
    import onnx

    positive_integer(ir_version=ir_version)
    graph = traced.engine.graph
    with _outside(graph, data) as places:
        message = onnx.helper.make_model(
            graph.message(traced.title, traced.axes),
            opset_imports=[
                onnx.helper.make_opsetid("", traced.engine.opset),
                *(onnx.helper.make_opsetid(domain, 2) for domain in sorted(graph.domains())),
            ],
            ir_version=ir_version,
            producer_name="cornu",
            producer_version=__version__,
        )
    for tensor in message.graph.initializer:
        if tensor.name in places:
            dims, offset, length = places[tensor.name]
            tensor.ClearField("raw_data")
            tensor.dims[:] = dims
            tensor.data_location = onnx.TensorProto.EXTERNAL
            entries = (("location", data.name), ("offset", offset), ("length", length))  # type: ignore[union-attr]
            for key, value in entries:
                tensor.external_data.add(key=key, value=str(value))
    content: bytes = message.SerializeToString(deterministic=True)
    return content


@contextmanager
def _outside(graph: Any, data: Path | None) -> Iterator[dict[str, tuple[Any, int, int]]]:
    """A block in which a graph's larger arrays are empty: they lie in a file, at places it yields."""
    held, places = graph.initializers, {}
    if data is not None:
        with data.open("wb") as file:
            for name, array in held.items():
                if array.nbytes >= 1024:
                    places[name] = (array.shape, file.tell(), array.nbytes)
                    array.tofile(file)
        empty = {name: np.empty(0, held[name].dtype) for name in places}
        graph.initializers = {**held, **empty}
    try:
        yield places
    finally:
        graph.initializers = held


# -------------------------------------------------------------------- checking


def _checked(model: Any, traced: Traced, file: Any, examples: Any) -> list[tuple[str, str]]:
    """What the check of a file finds, where its runtime is installed.

    Where numbers are rounded on the way, one may be rounded up here and down there.
    """
    if importlib.util.find_spec("onnxruntime") is None:
        return [("checked", "no: pip install onnxruntime, which checks each export")]
    from ..engines.onnxruntime import open_session

    session = open_session(file, integers=False)
    read = {value.name for value in session.get_inputs()}

    def run_file(inputs: dict[str, Any]) -> Any:
        return session.run(traced.names[1], {name: inputs[name] for name in inputs if name in read})

    graph = traced.engine.graph
    rounds = any(node.kind == "QuantizeLinear" for node in graph.nodes)
    rounds |= graph.half and any(variable.transforms for variable in model.variables)
    return check(model, traced, run_file, examples, 1e-2 if rounds else TOLERANCE)
