"""The format `tfjs_layers`: a folder that TensorFlow.js opens as layers, and trains further."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from .._version import __version__
from ..core import tree
from ..core.checks import one_of
from ..core.files import check_replaceable, making_folder, replacing
from ..engines import use
from ._checking import check
from ._keras2 import arrays, dialect, named_weights
from ._report import report
from ._shards import KINDS, NAMES, read_shards, write_shards
from ._signature import input_names, output_names, signature
from ._tracing import Traced, run


def write_tfjs_layers(
    model: Any,
    path: Path,
    verbose: bool,
    input_signature: Any = None,
    quantize: str | None = None,
    examples: Any = None,
) -> None:
    """A layers-model of TensorFlow.js: a folder with `model.json` and the weights.

    Args:
        quantize: `"float16"` or `"uint8"`: weights are stored in fewer bits, and computed with in 32.
        examples: Inputs to check the file with, in the structure of the model's inputs.
    """
    one_of(tuple(KINDS), quantize=quantize)
    if input_signature is not None:
        raise ValueError(
            "A layers-model takes what the model's `Input`s say. Received: an `input_signature` or "
            f"`preprocessing`, {input_signature!r}. Leave it out, or export with format='tfjs'."
        )
    topology = {
        "keras_version": "2.15.0",
        "backend": "tensorflow",
        "model_config": dialect(model),
    }
    check_replaceable(path, rf"model\.json|{NAMES}", "model.json")
    with making_folder(path.parent), replacing(path) as draft:
        folder = Path(draft)
        folder.mkdir()
        manifest = write_shards(folder, arrays(model), quantize)
        written = {
            "format": "layers-model",
            "generatedBy": f"cornu {__version__}",
            "convertedBy": None,
            "modelTopology": topology,
            "weightsManifest": manifest,
        }
        (folder / "model.json").write_text(json.dumps(written))
        checked = _checked(model, topology, read_shards(folder, manifest), examples, quantize)
    if verbose:
        specs = tree.flatten(signature(model))
        named = zip(input_names(specs), specs, strict=True)
        inputs = ", ".join(f"{name} {x.shape} {x.dtype}" for name, x in named)
        report(path, sorted(path.iterdir()), [("inputs", inputs), *checked])


def _checked(
    model: Any,
    topology: dict[str, Any],
    weights: dict[str, np.ndarray[Any, Any]],
    examples: Any,
    quantize: str | None,
) -> list[tuple[str, str]]:
    """Compare the model with what Cornu reads of the folder: TensorFlow.js runs elsewhere."""
    from ..saving import model_from_json

    config = {**topology["model_config"], "keras_version": topology["keras_version"]}
    specs, names = signature(model), input_names(tree.flatten(signature(model)))
    outputs = output_names(model, model.compute_output_spec(specs))
    with use("numpy"):
        made = model_from_json(json.dumps(config))
        for name, variable in named_weights(made):
            variable.assign(weights[name])

    def run_file(given: dict[str, Any]) -> list[Any]:
        with use("numpy"):
            results = run(made, tree.pack_sequence_as(signature(made), list(given.values())))
        return [np.asarray(x) for x in tree.flatten(results)]

    traced = Traced(None, specs, (names, outputs), {}, model.name)
    return check(model, traced, run_file, examples, KINDS[quantize])
