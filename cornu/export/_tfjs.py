"""The format `tfjs`: a graph-model of TensorFlow.js, a folder with `model.json` and the weights."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

from .._version import __version__
from ..core.checks import one_of
from ..core.files import check_replaceable, making_folder, replacing
from ..engines.graphs.graph import Array
from ._beside import PROGRAMS, Beside
from ._checking import check
from ._report import report
from ._shards import KINDS, NAMES, write_shards
from ._tracing import Traced, told, trace

#: The dtypes of arrays that inputs take.
_TAKEN = {"DT_FLOAT": "float32", "DT_INT32": "int32", "DT_BOOL": "bool"}


def write_tfjs(
    model: Any,
    path: Path,
    verbose: bool,
    input_signature: Any = None,
    quantize: str | None = None,
    examples: Any = None,
) -> None:
    """A graph-model of TensorFlow.js: a folder with `model.json` and the weights.

    Args:
        quantize: `"float16"` or `"uint8"`: weights are stored in fewer bits, and computed with in 32.
        examples: Inputs to check the folder with, in the structure of the model's inputs.
    """
    from ..engines.graphdef import TensorFlowJsEngine

    one_of(tuple(KINDS), quantize=quantize)
    traced = trace(model, input_signature, TensorFlowJsEngine.for_file())
    check_replaceable(path, rf"model\.json|{NAMES}", "model.json")
    with making_folder(path.parent), replacing(path) as draft:
        folder = Path(draft)
        folder.mkdir()
        write_graph_model(traced, folder, quantize)
        checked = _checked(model, traced, folder, examples, KINDS[quantize])
    if verbose:
        operations = ("operations", f"{len(traced.engine.graph.nodes)}")
        report(path, sorted(path.iterdir()), [operations, *told(traced), *checked])


def write_graph_model(traced: Traced, folder: Path, quantize: str | None = None) -> None:
    """Write `model.json` and the files of the weights."""
    graph = traced.engine.graph
    contents = graph.contents()
    exact = [name for name in contents if graph.labels.get(name) is None]
    written = {
        "format": "graph-model",
        "generatedBy": f"cornu {__version__}",
        "convertedBy": None,
        "signature": graph.signature(traced.names),
        "modelTopology": graph.definition(),
        "weightsManifest": write_shards(folder, contents, quantize, exact),
    }
    if graph.tables:
        written["modelInitializer"] = graph.initializer_definition()
    (folder / "model.json").write_text(json.dumps(written, separators=(",", ":")))


def _checked(
    model: Any, traced: Traced, folder: Path, examples: Any, limit: float
) -> list[tuple[str, str]]:
    """What the check of a folder finds, where Node.js finds TensorFlow.js."""
    node = shutil.which("node")
    resolve = "require.resolve('@tensorflow/tfjs')"
    if node is None or subprocess.run([node, "-e", resolve], capture_output=True).returncode:
        return [("checked", "no: npm install @tensorflow/tfjs, which checks each export")]
    graph = traced.engine.graph
    taken = {x.name: _TAKEN.get(graph.type_of(x.dtype), "O") for x in graph.inputs}
    with Beside([node, str(PROGRAMS / "running.mjs")]) as runtime:
        runtime.load(folder)

        def run_file(inputs: dict[str, Array]) -> list[Array]:
            pairs = zip(taken.items(), inputs.values(), strict=True)
            given = {name: x.astype(dtype) for (name, dtype), x in pairs}
            return runtime.run(given, [x.name for x in graph.outputs])

        return check(model, traced, run_file, examples, limit)
