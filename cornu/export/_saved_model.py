"""The format `tf_saved_model`: a folder that TensorFlow's loader, TensorFlow Serving and others read."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

from ..core.files import check_replaceable, making_folder, replacing
from ..engines.graphs.graph import Array
from ._beside import PROGRAMS, Beside
from ._checking import check
from ._report import report
from ._tracing import Traced, told, trace

#: What is in such a folder: a pattern, and what always is.
CONTENT = r"saved_model\.pb|fingerprint\.pb|variables|assets", "saved_model.pb"
#: What a file may hold: protocol buffers end at 2 GiB.
_LIMIT = (1 << 31) - (1 << 24)


def write_saved_model(
    model: Any,
    path: Path,
    verbose: bool,
    input_signature: Any = None,
    version: int | None = None,
    examples: Any = None,
) -> None:
    """A SavedModel, whose signature `serving_default` has the names of the model's inputs and outputs.

    Args:
        version: The number of the folder within `path` that TensorFlow Serving wants.
        examples: Inputs to check the file with, in the structure of the model's inputs.
    """
    from ..engines.graphdef import GraphDefEngine
    from ..engines.graphdef.messages import saved_model

    if version is not None and (not isinstance(version, int) or version < 0):
        raise ValueError(
            f"A version is a number from 0. Received: version={version!r}. Leave it out for none."
        )
    traced = trace(model, input_signature, GraphDefEngine.for_file())
    size = sum(array.nbytes for array in traced.engine.graph.initializers.values())
    if size > _LIMIT:
        raise NotImplementedError(
            f"A SavedModel holds its weights, of less than 2 GiB. Received: {size:,} bytes of weights. "
            "Export to ONNX, which has files of their own for them."
        )
    target = path if version is None else path / str(version)
    check_replaceable(target, *CONTENT)
    with making_folder(target.parent), replacing(target) as draft:
        folder = Path(draft)
        (folder / "variables").mkdir(parents=True)
        content = saved_model(traced.engine.graph, traced.names)
        (folder / "saved_model.pb").write_bytes(content)
        checked = _checked(model, traced, folder, examples)
    if verbose:
        rows = [("operations", f"{len(traced.engine.graph.nodes)}"), *told(traced), *checked]
        report(target, [target / "saved_model.pb"], rows)


def _checked(model: Any, traced: Traced, folder: Path, examples: Any) -> list[tuple[str, str]]:
    """What the check of a folder finds, where TensorFlow is installed."""
    if importlib.util.find_spec("tensorflow") is None:
        return [("checked", "no: pip install tensorflow-cpu, which checks each export")]
    with Beside([sys.executable, str(PROGRAMS / "running.py")]) as runtime:
        runtime.load(folder)

        def run_file(inputs: dict[str, Array]) -> list[Array]:
            return runtime.run(inputs, traced.names[1])

        return check(model, traced, run_file, examples)
