"""Files go from Keras to Cornu and back: the same tree, the same weights, the same predictions."""

from __future__ import annotations

import io
import json
import warnings
import zipfile
from pathlib import Path
from types import ModuleType
from typing import Any

import h5py
import keras
import numpy as np
import pytest

import cornu
from tests.saving.models import MODELS, REGISTERED, outputs

for register in REGISTERED:
    register(keras)
    register(cornu)


def tree(path: Path) -> dict[str, Any]:
    """Every group and array of a file, with attributes and shapes."""
    found: dict[str, Any] = {}
    content = zipfile.ZipFile(path).read("model.weights.h5")
    with h5py.File(io.BytesIO(content)) as file:

        def visit(name: str, item: Any) -> None:
            shape = (item.shape, item.dtype.str) if isinstance(item, h5py.Dataset) else None
            attributes = {key: value for key, value in item.attrs.items() if key != "name"}
            found[name] = (shape, attributes)

        file.visititems(visit)
    return found


def config_of(path: Path) -> Any:
    return json.loads(zipfile.ZipFile(path).read("config.json"))


def check(model: Any, x: Any, loaded: Any) -> None:
    for one, other in zip(outputs(model, x), outputs(loaded, x), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
    assert [w.shape for w in model.weights] == [w.shape for w in loaded.weights]
    optimizer = getattr(model, "optimizer", None)
    if optimizer is None:
        assert getattr(loaded, "optimizer", None) is None
        return
    state = [np.asarray(v.numpy()) for v in optimizer.variables]
    again = [np.asarray(v.numpy()) for v in loaded.optimizer.variables]
    assert len(state) == len(again)
    for one, other in zip(state, again, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.fixture
def built(request: pytest.FixtureRequest) -> Any:
    def build(k: ModuleType) -> Any:
        k.utils.clear_session()
        k.utils.set_random_seed(3)
        with warnings.catch_warnings():
            if k is keras:
                warnings.simplefilter("ignore")
            return MODELS[request.param](k)

    return build


def quietly(call: Any, *args: Any, **kwargs: Any) -> Any:
    """A call into Keras, whose own warnings are no concern of these tests."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return call(*args, **kwargs)


@pytest.mark.parametrize("built", MODELS, indirect=True)
def test_keras_file_loads_in_cornu(built: Any, tmp_path: Path) -> None:
    model, x = built(keras)
    path = tmp_path / "keras.keras"
    quietly(model.save, path)
    loaded = cornu.saving.load_model(path)
    quietly(check, model, x, loaded)
    again = tmp_path / "cornu.keras"
    loaded.save(again)
    ours = tree(again)
    states = [x.removesuffix("/vars/state") for x in ours if x.endswith("/vars/state")]
    states += [x.removesuffix("/vars/seed_and_counter") for x in ours if "seed_and_counter" in x]
    beside = (*states, *(x.rpartition("/")[0] for x in states if x.endswith("/states/state")))
    kept = {name: held for name, held in ours.items() if not name.startswith(beside)}
    assert kept == tree(path)  # which has no states
    assert len(states) == len(loaded.variables) - len(loaded.weights)


@pytest.mark.parametrize("built", MODELS, indirect=True)
def test_cornu_file_loads_in_keras_and_cornu(built: Any, tmp_path: Path) -> None:
    model, x = built(cornu)
    path = tmp_path / "cornu.keras"
    model.save(path)
    quietly(check, model, x, quietly(keras.saving.load_model, path))
    again = cornu.saving.load_model(path)
    check(model, x, again)
    for ending, emptied in ((".weights.h5", again.variables), (".safetensors", again.weights)):
        model.save_weights(tmp_path / f"cornu{ending}")
        for variable in emptied:
            variable.assign(np.zeros(variable.shape, "float32"))
        report = again.load_weights(tmp_path / f"cornu{ending}")
        assert (report.missing, report.unexpected, report.mismatched) == ([], [], {})
        check(model, x, again)


OLD_FORMAT = [
    "two_inputs_two_outputs",
    "ops_in_the_graph",
    "custom_layers",
    "nested",
    "trained_adam",
]


@pytest.mark.parametrize("built", OLD_FORMAT, indirect=True)
def test_the_old_format_and_json_go_both_ways(built: Any, tmp_path: Path) -> None:
    """What Cornu writes as `.h5`, with a warning, or as JSON, Keras and Cornu read."""
    model, x = built(cornu)
    with pytest.warns(UserWarning, match="A whole model as HDF5 is Keras's old format"):
        model.save(tmp_path / "ours.h5")
    theirs = quietly(keras.saving.load_model, tmp_path / "ours.h5")
    check(model, x, cornu.saving.load_model(tmp_path / "ours.h5"))  # of optimizers Keras takes none
    with h5py.File(tmp_path / "ours.h5") as file:
        names = {name: sorted(item.attrs) for name, item in [("", file), *file.items()]}
        assert list(file["model_weights"].attrs["layer_names"]) == [
            layer.name.encode() for layer in model.layers
        ]
    quietly(theirs.save, tmp_path / "theirs.h5")
    with h5py.File(tmp_path / "theirs.h5") as file:
        assert names == {name: sorted(item.attrs) for name, item in [("", file), *file.items()]}
    again = [cornu.models.model_from_json(quietly(theirs.to_json))]
    again.append(quietly(keras.models.model_from_json, model.to_json()))
    for other in again:
        quietly(other.load_weights, tmp_path / "ours.h5")
    for read in (theirs, *again):
        for one, other in zip(outputs(model, x), quietly(outputs, read, x), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
