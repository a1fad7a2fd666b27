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
    "an archive from elsewhere, CVE-2025-12060": lambda_layer(
        called("keras.utils", "get_file"), origin="http://localhost:1/x.tar", extract=True
    ),
    "code that merges": made(None, "Merge", mode=[CODE, None, None], mode_type="lambda"),
    "a function of TensorFlow": made("keras.layers", "TFOpLambda", function="io.read_file"),
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
    "must be known|must be one of its serializable|must be a known name|lambda can't be loaded|"
    "A file runs no"
)


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], bytes]:
    """The config of a good file, and its weights."""
    path = tmp_path_factory.mktemp("good") / "a.keras"
    cornu.Sequential([cornu.Input((2,)), layers.Flatten(name="bad")]).save(path)
    with zipfile.ZipFile(path) as archive:
        return json.loads(archive.read("config.json")), archive.read("model.weights.h5")


def write(path: Path, config: Any, weights: bytes) -> None:
    version = f"{path.stem[-1]}.15.0"
    if path.suffix == ".h5":
        with h5py.File(path, "w") as file:
            file.attrs.update(model_config=json.dumps(config), keras_version=version)
            file.create_group("model_weights").attrs["layer_names"] = []
            if training := config.pop("compile_config", None):
                training = {**training, "optimizer_config": training["optimizer"]}
                file.attrs.update(
                    training_config=json.dumps(training), model_config=json.dumps(config)
                )
        return
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": version}))
        archive.writestr("config.json", json.dumps(config))
        archive.writestr("model.weights.h5", weights)


@pytest.mark.parametrize("ending", ["3.keras", "3.h5", "2.keras", "2.h5", "1.h5"])
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


@pytest.mark.parametrize("ending", ["3.keras", "3.h5"])
@pytest.mark.parametrize("kind", ["StringLookup", "IntegerLookup", "TextVectorization"])
def test_no_vocabulary_comes_from_elsewhere(
    kind: str, ending: str, parts: Any, tmp_path: Path
) -> None:
    """CVE-2025-12058: a config names a file, or a URL. Nothing is read, and the layer says so."""
    secret, path = tmp_path / "secret.txt", tmp_path / f"a{ending}"
    secret.write_text("1\n2\n")
    for place in (str(secret), secret.as_uri(), "http://localhost:1/x"):
        config = json.loads(json.dumps(parts[0]))
        config["config"]["layers"][1] = made("keras.layers", kind, vocabulary=place, name="bad")
        write(path, config, parts[1])
        layer = saving.load_model(path, compile=False).get_layer("bad")
        with pytest.raises(ValueError, match="a path in a saved model, which is not read"):
            layer([1] if kind == "IntegerLookup" else ["1"])


@pytest.mark.parametrize("place", ["model_weights", "model_weights/one", "optimizer_weights"])
@pytest.mark.parametrize("link", [h5py.SoftLink("/other"), h5py.ExternalLink("b.h5", "/other")])
def test_groups_of_the_old_format_are_where_they_say(
    link: Any, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    archive = zipfile.ZipFile(Path(__file__).parent / "keras2.zip")
    archive.extract("trained_adam.h5")
    with h5py.File("trained_adam.h5", "r+") as file:
        file.copy(place, file, "other")
        file.copy(place, h5py.File("b.h5", "w"), "other")
        del file[place]
        file[place] = link
    with pytest.raises(ValueError, match="must hold them itself.* a link to another place"):
        saving.load_model("trained_adam.h5")


GRAPH = {
    "reads a file": ("io.read_file", {}),
    "writes a file": ("io.write_file", {"contents": "x"}),
    "runs Python": ("py_function", {"func": "os.system"}),
    "runs Python by its name": ("numpy_function", {"func": "os.system"}),
    "is no function of TensorFlow": ("os.system", {}),
    "has other arguments": ("math.add", {"y": 1.0, "out": "/etc/passwd"}),
}


@pytest.mark.parametrize("case", GRAPH)
def test_a_graph_of_keras_2_has_ops_alone(case: str, tmp_path: Path) -> None:
    function, arguments = GRAPH[case]
    entries = [
        {"class_name": "InputLayer", "config": {"batch_input_shape": [None, 2], "name": "x"}},
        {"class_name": "TFOpLambda", "config": {"name": "bad", "function": function}},
    ]
    for entry, calls in zip(entries, ([], [["x", 0, 0, arguments]]), strict=True):
        entry |= {"name": entry["config"]["name"], "inbound_nodes": calls}
    ends = {"input_layers": [["x", 0, 0]], "output_layers": [["bad", 0, 0]]}
    config = {"class_name": "Functional", "config": {"name": "m", "layers": entries, **ends}}
    write(tmp_path / "2.h5", config, b"")
    with pytest.raises(ValueError, match=f"must have an op for it. Received: tf.{function}"):
        saving.load_model(tmp_path / "2.h5")


@pytest.mark.parametrize("piece", ["[],", "{},", '{"a":1},', "1,"])
def test_a_text_that_becomes_too_much_is_refused(piece: str, tmp_path: Path) -> None:
    """Before any of its objects is made: they would take 1 GB and more."""
    text = f"[{piece * (2**30 // 100)}1]" if piece == "1," else f"[{piece * (2**30 // 150)}1]"
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "config.json").write_text(text)
    for name in ("metadata.json", "model.weights.h5"):
        (tmp_path / "a" / name).write_text("{}")
    with pytest.raises(ValueError, match=r"as objects it takes [\d,]+ MB, of 1,024 at most"):
        saving.load_model(tmp_path / "a")
