"""The format `onnx`: a model traced by the ONNX engine, written and checked."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .._version import __version__
from ..core import tree
from ..core.files import like, names_like, replacing_together
from ..core.scopes import StatelessScope, here, within
from ..engines import get, use
from ..engines.spec import Dimension
from ..layers import Layer
from ._quantized import Quantizing, quantized
from ._report import report
from ._signature import input_names, output_names, signature
from .measuring import as_given

if TYPE_CHECKING:
    from ..engines.onnx import OnnxEngine

OPSET, IR_VERSION = 17, 8
#: What a file may hold: protocol buffers end at 2 GiB.
_LIMIT = (1 << 31) - (1 << 24)
#: Batches and lengths that a check tries where a model leaves them open.
_BATCHES = (1, 2, 5)
_LENGTHS = (24, 36)
TOLERANCE = 1e-4


class Traced(NamedTuple):
    """A model as a graph."""

    engine: OnnxEngine
    specs: Any
    names: tuple[list[str], list[str]]
    axes: dict[int, str]
    title: str


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
) -> None:
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
    """
    how = Quantizing(quantize, representative_data, validation, max_drop, target)
    how.check()
    float16 = float16 or quantize == "float16"
    opset, ir_version = how.versions(opset_version or OPSET, ir_version or IR_VERSION)
    traced = trace(model, input_signature, opset, float16)
    size = sum(array.nbytes for array in traced.engine.graph.initializers.values())
    outside = size > _LIMIT if external_data is None else external_data
    if quantize is not None and outside:
        raise ValueError(
            "A file that is quantized holds its weights, of less than 2 GiB. Received: "
            f"{size:,} bytes of weights, external_data={external_data}. Leave out `external_data`."
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    there = {file.name for file in path.parent.iterdir()}
    with replacing_together(path) as name:
        folder = Path(name)
        free = next(f"{x}.data" for x in names_like(path.name) if f"{x}.data" not in there)
        data = folder / free if outside else None
        (folder / path.name).write_bytes(_serialized(traced, ir_version, data))
        checked = check(model, traced, str(folder / path.name), examples)
        if quantize is not None:
            plain = trace(model, input_signature, opset, False) if float16 else traced
            batch = next((x.shape[0] for x in tree.flatten(traced.specs) if x.shape), None)
            drawn = _drawn(model, traced, batch or 1, _LENGTHS[0], examples)
            source = _serialized(plain, ir_version, None)
            checked += quantized(model, traced, source, folder / path.name, how, drawn, verbose)
        files = [file.name for file in sorted(folder.iterdir())]
    for old in filter(like(path.name, r"\.data").fullmatch, there if outside else ()):
        (path.parent / old).unlink()
    if verbose:
        report(path, [path.parent / name for name in files], [*_told(traced, ir_version), *checked])


def onnx_bytes(
    model: Any,
    input_signature: Any = None,
    opset_version: int | None = None,
    float16: bool = False,
    examples: Any = None,
) -> tuple[bytes, tuple[list[str], list[str]], list[tuple[str, str]]]:
    """A model's ONNX file, the names of its inputs and outputs, and what its check says."""
    traced = trace(model, input_signature, opset_version or OPSET, float16)
    content = _serialized(traced, IR_VERSION, None)
    return content, traced.names, check(model, traced, content, examples)


# --------------------------------------------------------------------- tracing


def trace(model: Any, input_signature: Any, opset: int, half: bool) -> Traced:
    """Read a model off its own graph."""
    engine = _engine(opset, half)
    specs = signature(model, input_signature)
    flat = tree.flatten(specs)
    names, axes, batch = input_names(flat), {}, Dimension()
    axes[batch.symbols[0]] = "batch"
    inputs = []
    for name, spec in zip(names, flat, strict=True):
        dims = [size if isinstance(size, int) else Dimension() for size in spec.shape]
        dims[:1] = [batch] if spec.shape[:1] == (None,) else dims[:1]
        for axis, size in enumerate(dims):
            if isinstance(size, Dimension):
                axes.setdefault(size.symbols[0], f"{name}_{axis}")
        inputs.append(engine.graph.input(dims, spec.dtype, name))
    with StatelessScope() as scope, use(engine):
        results = run(model, tree.pack_sequence_as(specs, inputs))
        values = [engine.convert_to_tensor(x) for x in tree.flatten(results) if x is not None]
        # Runtimes have no arrays of bfloat16 to give.
        outputs = [engine.cast(x, "float32") if x.dtype == "bfloat16" else x for x in values]
        _refuse_state(model, scope)
        given = output_names(model, results)
        given = [f"{name}_output" if name in names else name for name in given]
        engine.graph.finish(outputs, given)
    given = [x.name for x in engine.graph.outputs]
    return Traced(engine, specs, (names, given), axes, model.name)


def _engine(opset: int, half: bool) -> OnnxEngine:
    if importlib.util.find_spec("onnx") is None:
        raise ModuleNotFoundError(
            "Export to ONNX needs the package `onnx`. Received: none installed. Install it, and the "
            "runtime that checks the file: pip install 'cornu[onnx]'"
        )
    from ..engines.onnx import OnnxEngine

    if not 17 <= opset <= 28:
        raise ValueError(
            "`opset_version` must be from 17 to 28. "
            f"Received: opset_version={opset}. Leave it out for 17, which all runtimes read."
        )
    return OnnxEngine.for_file(opset, half)


def run(model: Any, inputs: Any) -> Any:
    """A model's outputs on the current engine, wherever the model is at home."""
    with within(here.training, False):
        return Layer.__call__(model, inputs)


def _refuse_state(model: Any, scope: StatelessScope) -> None:
    written = [variable.path for variable, _ in scope.updates()]
    if written:
        raise NotImplementedError(
            "A model that is exported must not change its variables when it predicts: a file has no "
            f"state. Received: the model {model.name!r}, which writes {written}. Use layers without "
            "`stateful=True`, and give states as inputs and outputs."
        )


# --------------------------------------------------------------------- writing


def _serialized(traced: Traced, ir_version: int, data: Path | None) -> bytes:
    """The file's bytes; with `data` the weights are written there."""
    import onnx

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


def _told(traced: Traced, ir_version: int) -> list[tuple[str, str]]:
    def listed(values: Any) -> str:
        return ", ".join(f"{x.name} {_shown(x, traced.axes)} {x.dtype}" for x in values)

    graph = traced.engine.graph
    return [
        ("operations", f"{len(graph.nodes)}, opset {traced.engine.opset}, IR {ir_version}"),
        ("inputs", listed(graph.inputs)),
        ("outputs", listed(graph.outputs)),
    ]


def _shown(x: Any, axes: dict[int, str]) -> str:
    def size(dim: Any) -> str:
        return axes.get(dim.symbols[0], "?") if isinstance(dim, Dimension) else str(dim)

    return f"({', '.join(map(size, x.dims))})"


# -------------------------------------------------------------------- checking


def check(model: Any, traced: Traced, file: Any, examples: Any = None) -> list[tuple[str, str]]:
    """Compare a file with its model on the NumPy engine, for several batches and lengths.

    Returns:
        What was found, in words.

    Raises:
        ValueError: If they differ by more than 1e-4, relative to the largest number of an output. Where
            numbers are rounded on the way by more than 1e-2: one may be rounded up here and down there.
    """
    if importlib.util.find_spec("onnxruntime") is None:
        return [("checked", "no: pip install onnxruntime, which checks each export")]
    from ..engines.onnxruntime import open_session

    session = open_session(file, integers=False)
    read = {value.name for value in session.get_inputs()}
    graph = traced.engine.graph
    rounds = any(node.kind == "QuantizeLinear" for node in graph.nodes)
    rounds |= graph.half and any(variable.transforms for variable in model.variables)
    limit, worst, tried = 1e-2 if rounds else TOLERANCE, 0.0, []
    for batch, length in _trials(traced.specs):
        arrays = _drawn(model, traced, batch, length, examples)
        given = {name: x for name, x in zip(traced.names[0], arrays, strict=True) if name in read}
        found = session.run(traced.names[1], given)
        wanted = _reference(model, traced, arrays)
        for name, one, two in zip(traced.names[1], found, wanted, strict=True):
            worst = max(worst, _difference(name, one, two, batch, length, limit))
        tried.append(f"{batch}" if length is None else f"{batch} x {length}")
    return [("checked", f"batches {', '.join(tried)}: largest difference {worst:.1e}")]


def _trials(specs: Any) -> list[tuple[int, int | None]]:
    """Batches and lengths to try: three of the one, two of the other, where they are open."""
    flat = tree.flatten(specs)
    open_batch = any(spec.shape[:1] == (None,) for spec in flat)
    batches = _BATCHES if open_batch else (next((s.shape[0] for s in flat if s.shape), 1),)
    if any(None in spec.shape[1:] for spec in flat):
        lengths = (*_LENGTHS, _LENGTHS[0])
        return [(batch, lengths[i % 3]) for i, batch in enumerate((*batches, batches[0])[:3])]
    return [(batch, None) for batch in batches]


def _drawn(
    model: Any, traced: Traced, batch: int, length: int | None, examples: Any
) -> list[np.ndarray[Any, Any]]:
    """Inputs to try: examples, or numbers around zero and, for integers, small ones."""
    if examples is not None:
        given = as_given(examples, traced.specs)
        return [np.resize(x, (batch, *x.shape[1:])) for x in given]
    known = [layer.input_dim for layer in model._flatten_layers() if hasattr(layer, "input_dim")]
    limit = min([10, *(size for size in known if isinstance(size, int))])
    generator = np.random.default_rng(batch)
    tables = [x.get_vocabulary() for x in model._flatten_layers() if hasattr(x, "get_vocabulary")]
    words = np.array([str(x) for table in tables for x in table[-1000:]] + ["?"], object)
    arrays = []
    for spec in tree.flatten(traced.specs):
        rest = [length if size is None else size for size in spec.shape[1:]]
        shape = [batch if size is None else size for size in spec.shape[:1]] + rest
        if spec.dtype == "string":
            arrays.append(generator.choice(words, shape))
            continue
        whole = "int" in spec.dtype or spec.dtype == "bool"
        drawn = generator.integers(0, limit, shape) if whole else generator.normal(size=shape)
        arrays.append(np.asarray(get("numpy").convert_to_tensor(np.asarray(drawn), spec.dtype)))
    return arrays


def _reference(model: Any, traced: Traced, arrays: list[Any]) -> list[np.ndarray[Any, Any]]:
    """What the model gives on the NumPy engine, to which no variable moves; with the file's weights."""
    values = []
    for variable in model.variables:
        value = variable.held()
        if traced.engine.graph.halves(value):
            value = value.astype(np.float16).astype(value.dtype)
        values.append((variable, value))
    with use("numpy"), StatelessScope(values):
        results = run(model, tree.pack_sequence_as(traced.specs, arrays))
    return [np.asarray(x) for x in tree.flatten(results) if x is not None]


def _difference(
    name: str, found: Any, wanted: Any, batch: int, length: int | None, limit: float
) -> float:
    """The largest difference, relative to the largest number where that is above 1."""
    place = f"for a batch of {batch}" + (f" of length {length}" if length else "")
    if found.shape != wanted.shape:
        raise ValueError(
            f"An exported file must give what its model gives. Received: {name!r} of shape "
            f"{found.shape} from the file and {wanted.shape} from the model, {place}. "
            "No file was written; please report this."
        )
    if not wanted.size:
        return 0.0
    kind = np.float64
    one, two = found.astype(kind), wanted.astype(kind)
    finite = np.isfinite(two)
    apart = np.abs(np.where(finite, one, 0) - np.where(finite, two, 0)).max()
    scale = max(1.0, float(np.abs(np.where(finite, two, 0)).max()))
    same = np.array_equal(np.isfinite(one), finite)
    limit = limit if wanted.dtype.itemsize >= 4 else 1e-2
    if not same or apart > limit * scale:
        raise ValueError(
            f"An exported file must give what its model gives. Received: {name!r}, which differs by "
            f"{apart:.2e} {place}, with numbers up to {scale:.2e}. No file was written. Give typical "
            "inputs as `examples`; where they differ too, please report it."
        )
    return float(apart / scale)
