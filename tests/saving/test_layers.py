"""Every layer of the table goes from Keras to Cornu and back, in files of every format.

All are in one model, since Keras takes long for each: it writes the model, Cornu reads and writes it, Keras
reads that. With the same config and weights layers give the same, which `tests/layers` holds for each row, and
`test_interchange.py` for models as they are read.
"""

from __future__ import annotations

import functools
import json
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import keras
import numpy as np
import pytest

import cornu
from cornu.core import tree
from tests.layers.rows import ROWS
from tests.layers.test_table import drawn, made

#: A row of each layer, and those whose arguments decide which weights there are.
CHOSEN = {row.layer: index for index, row in reversed(list(enumerate(ROWS)))}
CHOSEN |= {
    f"{row.layer}-{index}": index
    for index, row in enumerate(ROWS)
    if row.layer in ("GRU", "RNN", "Bidirectional", "MultiHeadAttention", "BatchNormalization")
}
#: How weights are written alone: the end of a path and the largest size of a shard, in GB.
WEIGHTS = {".weights.h5": None, ".weights.json": 1e-5, ".keras": None, ".h5": None}


def model_of_all() -> Any:
    """A model of Keras's with a layer for each row, all weights of which differ."""
    inputs: list[Any] = []

    def symbolic(x: Any) -> Any:
        if not isinstance(x, np.ndarray):
            return x
        inputs.append(keras.Input(x.shape[1:], dtype=x.dtype.name))
        return inputs[-1]

    outputs = {}
    for index in sorted(set(CHOSEN.values())):
        row = ROWS[index]
        arguments, call = drawn(row.inputs), drawn(row.call, 50)
        given = (
            [symbolic(x) for x in arguments] if isinstance(arguments, list) else symbolic(arguments)
        )
        options = {name: symbolic(x) for name, x in call.items()}
        called = made(row, keras, name=f"row_{index}")(given, **options)
        outputs |= {f"{index}_{n}": x for n, x in enumerate(tree.flatten(called))}
    model = keras.Model(inputs, outputs)
    draw = np.random.default_rng(3)
    for weight in model.weights:
        weight.assign(draw.uniform(0.2, 1.0, weight.shape).astype(weight.dtype))
    return model


def weights(model: Any) -> dict[str, list[Any]]:
    """The weights of each layer by its name."""
    return {layer.name: [np.asarray(x) for x in layer.get_weights()] for layer in model.layers}


def configs(model: Any) -> dict[str, Any]:
    """What a model's config says of each layer and its calls, by its name, as JSON has it."""
    entries = json.loads(json.dumps(model.get_config()))["layers"]
    return {e["name"]: {key: e[key] for key in ("config", "inbound_nodes")} for e in entries}


@functools.cache
def travelled() -> dict[tuple[str, str], Any]:
    """What each library says of the model: weights and configs of it, by where it came from."""
    found: dict[tuple[str, str], Any] = {}
    with warnings.catch_warnings(), TemporaryDirectory() as folder:
        warnings.simplefilter("ignore")
        path = Path(folder)
        theirs = model_of_all()
        found["weights", "first"], found["config", "first"] = weights(theirs), configs(theirs)
        ours = written_and_read(theirs, path / "theirs", cornu, found)
        written_and_read(ours, path / "ours", keras, found)
    return found


def written_and_read(model: Any, path: Path, reader: Any, found: dict[tuple[str, str], Any]) -> Any:
    """Write a model in each format and read it in the other library."""
    name = "Keras" if reader is keras else "Cornu"
    model.save(path.with_suffix(".keras"))
    read = reader.saving.load_model(path.with_suffix(".keras"))
    found["config", name], found["weights", name] = configs(read), weights(read)
    for ending, size in WEIGHTS.items():
        file = path.with_suffix(ending)
        if size is not None or ending == ".weights.h5":
            model.save_weights(file, max_shard_size=size)
        elif not file.exists():
            model.save(file)
        for weight in read.weights:
            weight.assign(np.zeros(weight.shape, weight.dtype))
        read.load_weights(file)
        found["weights", f"{ending} in {name}"] = weights(read)
    return read


@pytest.mark.parametrize("index", CHOSEN.values(), ids=CHOSEN.keys())
def test_layer_goes_to_the_other_library_and_back(index: int) -> None:
    found = travelled()
    for kind, source in found:
        said, first = (found[kind, where][f"row_{index}"] for where in (source, "first"))
        if kind == "config":
            assert said == first, source
        for one, other in zip(said, first, strict=True) if kind == "weights" else ():
            np.testing.assert_array_equal(one, other, err_msg=source)
