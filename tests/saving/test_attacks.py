"""Files made to run code, to read other files or to fill the memory: each is refused, and nothing ran."""

from __future__ import annotations

import base64
import json
import marshal
import sys
import zipfile
from pathlib import Path
from typing import Any

import h5py
import pytest

import cornu
from cornu import layers, saving


def called(module: str, name: str, registered: str | None = "function") -> dict[str, Any]:
    """A function as files have it."""
    return {
        "module": module,
        "class_name": "function",
        "config": name,
        "registered_name": registered,
    }


def made(module: str | None, name: str, /, **config: Any) -> dict[str, Any]:
    """An object as files have it."""
    return {"module": module, "class_name": name, "config": config, "registered_name": name}


def lambda_layer(function: Any, **arguments: Any) -> dict[str, Any]:
    return made("keras.layers", "Lambda", name="bad", function=function, arguments=arguments)


#: What runs if anything does: it makes a file.
TOUCH = "touch MARKER"
CODE = base64.b64encode(
    marshal.dumps(compile("import os; os.system('touch MARKER')", "x", "exec"))
).decode()

#: The config of a layer.
LAYERS: dict[str, dict[str, Any]] = {
    "code of a lambda, CVE-2024-3660": lambda_layer(
        {"class_name": "__lambda__", "config": {"value": [CODE, None, None]}}
    ),
    "code in the old form, CVE-2025-9905": lambda_layer([CODE, None, None], function_type="lambda"),
    "a function of os, CVE-2025-1550": lambda_layer(called("os", "system"), command=TOUCH),
    "a function by its path": lambda_layer(called("builtins", "os.system"), command=TOUCH),
    "eval": lambda_layer(called("builtins", "eval"), globals={}),
    "a function of ours that is no layer's": lambda_layer(called("keras.saving", "load_model")),
    "what switches safety off, CVE-2025-9906": lambda_layer(
        called("keras.config", "enable_unsafe_deserialization")
    ),
    "what fetches files, CVE-2025-8747": lambda_layer(
        called("keras.utils", "get_file"), origin="file:///etc/passwd"
    ),
    "what fetches files, by its inner module": lambda_layer(
        called("keras.src.utils.file_utils", "get_file"), origin="file:///etc/passwd"
    ),
    "a class of subprocess": made("subprocess", "Popen", args=["touch", "MARKER"]),
    "a module that does something": made("this", "Layer"),
    "a function as a class": made("os", "system", command=TOUCH),
    "a function as an activation": made(
        "keras.layers", "Dense", units=2, activation=called("os", "system")
    ),
    "eval as an activation": made("keras.layers", "Dense", units=2, activation="eval"),
    "a pickle, CVE-2025-49655": made("keras.layers", "TorchModuleWrapper", module=CODE),
    "a pickle, by its inner module": made(
        "keras.src.utils.torch_utils", "TorchModuleWrapper", module=CODE
    ),
    "a graph of TensorFlow, CVE-2026-1462": made("keras.layers", "TFSMLayer", filepath="/etc"),
    "a vocabulary from a file, CVE-2025-12058": made(
        "keras.layers", "StringLookup", vocabulary="/etc/passwd"
    ),
    "a vocabulary from elsewhere, CVE-2025-12058": made(
        "keras.layers", "StringLookup", vocabulary="http://localhost:1/x"
    ),
    "an archive from elsewhere, CVE-2025-12060": lambda_layer(
        called("keras.utils", "get_file"), origin="http://localhost:1/x.tar", extract=True
    ),
    "a class of Python": made("builtins", "type", name="x"),
    "a class of NumPy": made("numpy", "memmap", filename="/etc/passwd"),
    "a path out of a package": made("keras.layers..saving", "KerasFileEditor", filepath="x"),
    "a private class": made("keras.src.layers._layer", "_Layer"),
}


#: How a model is trained.
TRAINING: dict[str, dict[str, Any]] = {
    "a loss of os": {"optimizer": "sgd", "loss": called("os", "system")},
    "a class as optimizer": {"optimizer": made("subprocess", "Popen", args=["touch", "MARKER"])},
    "a metric by its path": {"optimizer": "sgd", "loss": "mse", "metrics": ["os.system"]},
}


REFUSAL = (
    "must be known|must be one of its serializable|must be a known name|lambda can't be loaded"
)


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], bytes]:
    """The config of a good file, and its weights."""
    path = tmp_path_factory.mktemp("good") / "a.keras"
    cornu.Sequential([cornu.Input((2,)), layers.Flatten(name="bad")]).save(path)
    with zipfile.ZipFile(path) as archive:
        return json.loads(archive.read("config.json")), archive.read("model.weights.h5")


def write(path: Path, config: Any, weights: bytes) -> None:
    if path.suffix == ".h5":
        with h5py.File(path, "w") as file:
            file.attrs.update(model_config=json.dumps(config), keras_version="3.15.1")
            file.create_group("model_weights").attrs["layer_names"] = []
        return
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", "{}")
        archive.writestr("config.json", json.dumps(config))
        archive.writestr("model.weights.h5", weights)


@pytest.mark.parametrize("ending", [".keras", ".h5"])
@pytest.mark.parametrize("name", [*LAYERS, *TRAINING])
def test_nothing_in_a_file_runs(
    name: str, ending: str, parts: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = json.loads(json.dumps(parts[0]))
    if name in LAYERS:
        config["config"]["layers"][1] = LAYERS[name]
    else:
        config["compile_config"] = TRAINING[name]
    monkeypatch.chdir(tmp_path)
    path = tmp_path / f"a{ending}"
    write(path, parts[0], parts[1])
    assert saving.load_model(path).layers[0].name == "bad"  # the file is good but for what is in it
    write(path, config, parts[1])
    with pytest.raises((TypeError, ValueError), match=REFUSAL):
        saving.load_model(path, safe_mode=False)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    assert not {"this", "antigravity"} & set(sys.modules)
