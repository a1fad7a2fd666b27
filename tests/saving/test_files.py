"""Files: what is accepted, what is refused and how, and that a good one is never spoilt."""

from __future__ import annotations

import contextlib
import errno
import io
import json
import os
import resource
import signal
import sys
import threading
import time
import warnings
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest

import cornu
from cornu import layers, ops, saving
from cornu.core import files as whole
from cornu.saving import _package
from tests.saving.models import data


def make(width: int = 3, more: bool = False) -> Any:
    stack = [layers.Dense(width, name="one"), layers.Dense(2)]
    return cornu.Sequential([cornu.Input((4,)), *stack, *([layers.Dense(1)] if more else [])])


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with good and bad files."""
    folder = tmp_path_factory.mktemp("files")
    with contextlib.chdir(folder):
        write_files()
    return folder


def write_files() -> None:
    model = make()
    model.save("good.keras")
    model.save_weights("good.weights.h5")
    os.mkdir("folder.keras")
    good, weights = Path("good.keras").read_bytes(), Path("good.weights.h5").read_bytes()
    place = good.index(b"\x89HDF") + 5000
    for name, content in {
        "cut.keras": good[: len(good) // 2],
        "empty.keras": b"",
        "hdf5.keras": weights,
        "flipped.keras": good[:place] + bytes([good[place] ^ 255]) + good[place + 1 :],
        "cut.weights.h5": weights[: len(weights) // 2],
        "text.weights.h5": b"hello",
        "text.weights.json": b"hello",
        "lost.weights.json": b'{"weight_map": {"/vars": "gone.weights.h5"}}',
        "outside.weights.json": b'{"weight_map": {"/vars": "../x.weights.h5"}}',
    }.items():
        Path(name).write_bytes(content)
    with zipfile.ZipFile("bare.keras", "w") as archive:
        archive.writestr("metadata.json", "{}")
    for name, config in {"other.keras": "[]", "nested.keras": "[" * 10**5}.items():
        with zipfile.ZipFile(name, "w") as archive:
            archive.writestr("config.json", config)
    for name, config in {"bomb.keras": b" " * 2**27, "lists.keras": b"[],".ljust(2**25)}.items():
        with zipfile.ZipFile(name, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("config.json", config)
    Path("weights.h5").write_bytes(weights)
    with h5py.File("older.h5", "w") as file:
        file.attrs.update(model_config="{}", keras_version="2.15.0")
        file.create_group("model_weights")
    with h5py.File("link.weights.h5", "w") as file:
        group = file.create_group("layers/dense/vars")
        group["0"] = h5py.ExternalLink("good.weights.h5", "/layers/dense/vars/0")
        group["1"] = np.zeros(3)
    with h5py.File("huge.weights.h5", "w") as file:
        group = file.create_group("layers/dense/vars")
        group.create_dataset("0", (10**6, 10**6), "f4")
        group["1"] = np.zeros(3)


def unknown() -> type[layers.Layer]:
    class Unknown(layers.Layer):
        def call(self, x: Any) -> Any:
            return x

    return Unknown


def undecorated(x: Any) -> Any:
    return x


def saved(model: Any, name: str) -> Any:
    model.save(name)
    return saving.load_model(name)


def unbuilt() -> Any:
    return cornu.Sequential([layers.Dense(3, name="one")], name="never")


def around(layer: Any) -> Any:
    return cornu.Sequential([cornu.Input((4,)), layer], name="outer")


REFUSED: dict[str, tuple[Callable[[], Any], type[Exception], list[str]]] = {
    "missing": (
        lambda: saving.load_model("god.keras"),
        FileNotFoundError,
        ["must exist. Received: filepath='god.keras'", "Did you mean 'good.keras'"],
    ),
    "missing, as Keras's error": (lambda: saving.load_model("x.keras"), ValueError, ["exist"]),
    "missing folder": (
        lambda: saving.load_model("away/good.keras"),
        FileNotFoundError,
        ["in the folder 'away', which does not exist", "current folder"],
    ),
    "other ending": (
        lambda: saving.load_model("good.txt"),
        ValueError,
        ["`.keras` file", "Received: filepath='good.txt'"],
    ),
    "weights as model": (
        lambda: saving.load_model("good.weights.h5"),
        ValueError,
        ["It has weights alone", "`model.load_weights`"],
    ),
    "old format, no model": (
        lambda: saving.load_model("weights.h5"),
        ValueError,
        ["must have a config", "`model.load_weights`"],
    ),
    "old format, no config of a model": (
        lambda: saving.load_model("older.h5"),
        ValueError,
        ["must describe it. Received: 'older.h5' with a dict"],
    ),
    "remote": (lambda: saving.load_model("hf://a/b"), ValueError, ["local files", "'hf://a/b'"]),
    "no path": (lambda: saving.load_model(3), TypeError, ["takes a path", "filepath=3 (of int)"]),
    "cut": (lambda: saving.load_model("cut.keras"), ValueError, ["the start of one, cut off"]),
    "empty": (lambda: saving.load_model("empty.keras"), OSError, ["an empty file"]),
    "hdf5": (lambda: saving.load_model("hdf5.keras"), ValueError, ["an HDF5 file"]),
    "flipped": (
        lambda: saving.load_model("flipped.keras"),
        ValueError,
        ["must be whole", "'model.weights.h5'", "CRC"],
    ),
    "no config": (
        lambda: saving.load_model("bare.keras"),
        ValueError,
        ["without 'config.json'", "['metadata.json']"],
    ),
    "another config": (
        lambda: saving.load_model("other.keras"),
        ValueError,
        ["must describe it. Received: 'other.keras' with a list"],
    ),
    "nested without end": (
        lambda: saving.load_model("nested.keras"),
        ValueError,
        ["must be whole", "damaged 'config.json': maximum recursion depth"],
    ),
    "bomb": (lambda: saving.load_model("bomb.keras"), ValueError, ["unpack", "config.json"]),
    "bomb of objects": (lambda: saving.load_model("lists.keras"), ValueError, ["config.json"]),
    "weights, missing": (
        lambda: make().load_weights("goood.weights.h5"),
        FileNotFoundError,
        ["Did you mean 'good.weights.h5'"],
    ),
    "weights, other ending": (
        lambda: make().load_weights("good.npz"),
        ValueError,
        [
            "`.weights.h5`, `.weights.json`, `.safetensors`",
            "or `.keras`. Received: filepath='good.npz'",
        ],
    ),
    "weights, cut": (
        lambda: make().load_weights("cut.weights.h5"),
        OSError,
        ["complete HDF5 file", "'cut.weights.h5'", "truncated file"],
    ),
    "weights, text": (
        lambda: make().load_weights("text.weights.h5"),
        ValueError,
        ["complete HDF5 file", "'text.weights.h5'"],
    ),
    "weights, link": (
        lambda: make().load_weights("link.weights.h5"),
        ValueError,
        ["must hold them itself", "a link to another place"],
    ),
    "weights, huge, CVE-2026-0897": (
        lambda: make().load_weights("huge.weights.h5"),
        ValueError,
        ["(1000000, 1000000), which the file does not hold"],
    ),
    "by name": (
        lambda: make().load_weights("good.weights.h5", by_name=True),
        ValueError,
        ["old `.h5` format", "by_name=True for 'good.weights.h5'"],
    ),
    "list, text": (lambda: make().load_weights("text.weights.json"), ValueError, ["`weight_map`"]),
    "list, lost": (
        lambda: make().load_weights("lost.weights.json"),
        FileNotFoundError,
        ["gone.weights.h5"],
    ),
    "list, outside": (
        lambda: make().load_weights("outside.weights.json"),
        ValueError,
        ["lie next to their list", "'../x.weights.h5'"],
    ),
    "other width": (
        lambda: make(width=5).load_weights("good.weights.h5"),
        ValueError,
        ["one/kernel' has the shape (4, 5). Received: shape=(4, 3) in the file", "1 more"],
    ),
    "more layers": (
        lambda: make(more=True).load_weights("good.weights.h5"),
        ValueError,
        ["has 2 weights. Received: 0 in the file", "`skip_mismatch=True`"],
    ),
    "never built": (
        lambda: unbuilt().load_weights("good.weights.h5"),
        ValueError,
        ["must be built", "Received: the model 'never'", "`build(input_shape)`"],
    ),
    "never built, weights saved": (
        lambda: unbuilt().save_weights("a.weights.h5"),
        ValueError,
        ["must be built", "Received: the model 'never'"],
    ),
    "unknown class": (
        lambda: saved(around(unknown()()), "u.keras"),
        TypeError,
        ["must be known. Received: 'Unknown'", "register_keras_serializable", "custom_objects"],
    ),
    "unknown function": (
        lambda: saved(around(layers.Lambda(undecorated)), "u.keras"),
        TypeError,
        ["A function that a config names must be known. Received: 'undecorated'"],
    ),
    "lambda": (
        lambda: around(layers.Lambda(lambda x: x, name="twice")).save("a.keras"),
        ValueError,
        ["never holds code", "the layer 'twice'", "test_files.py", "named function"],
    ),
    "save, ending": (
        lambda: make().save("model.txt"),
        ValueError,
        ["ends in `.keras`", "filepath='model.txt'", "Use 'model.keras'"],
    ),
    "save, weights": (lambda: make().save("a.weights.h5"), ValueError, ["`model.save_weights`"]),
    "save, folder": (
        lambda: make().save("a.keras", zipped=False),
        ValueError,
        ["Leave the ending"],
    ),
    "save, argument": (
        lambda: make().save("a.keras", signatures=1),
        ValueError,
        ["['signatures']"],
    ),
    "save, no folder": (
        lambda: make().save("away/a.keras"),
        FileNotFoundError,
        ["whose folder", "os.makedirs("],
    ),
    "save, in a file": (
        lambda: make().save_weights("good.keras/a.weights.h5"),
        OSError,
        ["can be written to", "Choose another folder"],
    ),
    "save, over a folder": (
        lambda: make().save("folder.keras"),
        IsADirectoryError,
        ["the place of no folder", "Choose another name"],
    ),
    "save weights, ending": (
        lambda: make().save_weights("a.h5"),
        ValueError,
        ["`.weights.h5`", "Use 'a.weights.h5'"],
    ),
    "save weights, too small": (
        lambda: make().save_weights("a.weights.json", max_shard_size=1e-9),
        ValueError,
        ["must fit in a file", "'0' of <Dense name=one, built=True>", "Raise `max_shard_size`"],
    ),
    "nobody to ask": (
        lambda: make().save("good.keras", overwrite=False),
        FileExistsError,
        ["nobody to ask", "`overwrite=True`"],
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_with_what_to_do(name: str, files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(question: str) -> str:
        raise EOFError

    monkeypatch.chdir(files)
    monkeypatch.setattr("builtins.input", nobody)
    call, kind, parts = REFUSED[name]
    before = sorted(os.listdir())
    with pytest.raises(kind) as caught:
        call()
    message = str(caught.value)
    assert not [part for part in parts if part not in message], message
    assert "Received:" in message
    assert len(message) < 900
    assert [other for other in sorted(os.listdir()) if other not in (*before, "u.keras")] == []


def test_places(tmp_path: Path) -> None:
    """Paths as str and Path, open files, folders: all hold the same."""
    model, x = make(), data(3, 4)
    model.compile("adam", "mse")
    model.fit(x, np.zeros((3, 2), "float32"), verbose=0)
    expected = model.predict(x, verbose=0)
    buffer = io.BytesIO()
    model.save(buffer)
    model.save(str(tmp_path / "a.keras"))
    model.save(tmp_path / "folder", zipped=False)
    model.save(tmp_path / "folder", zipped=False)
    assert sorted(os.listdir(tmp_path)) == ["a.keras", "folder"]
    for place in (buffer, tmp_path / "a.keras", tmp_path / "folder"):
        loaded = saving.load_model(place)
        np.testing.assert_array_equal(loaded.predict(x, verbose=0), expected)
        assert int(loaded.optimizer.iterations) == 1
        assert saving.load_model(place, compile=False).optimizer is None
        fresh = make()
        fresh.load_weights(place)
        np.testing.assert_array_equal(fresh.predict(x, verbose=0), expected)
    theirs = keras.saving.load_model(tmp_path / "folder")
    np.testing.assert_allclose(theirs.predict(x, verbose=0), expected, rtol=1e-5, atol=1e-6)
    content = io.BytesIO()
    model.save_weights(content)
    content.seek(0)
    fresh = make()
    fresh.load_weights(content)
    np.testing.assert_array_equal(fresh.predict(x, verbose=0), expected)


def test_metadata(tmp_path: Path) -> None:
    make().save(tmp_path / "a.keras")
    with zipfile.ZipFile(tmp_path / "a.keras") as archive:
        assert archive.namelist() == ["metadata.json", "config.json", "model.weights.h5"]
        metadata = json.loads(archive.read("metadata.json"))
    assert metadata["keras_version"] == "3.15.1"
    assert metadata["cornu_version"] == cornu.__version__


class Failing(layers.Layer):
    def call(self, x: Any) -> Any:
        return x

    def save_own_variables(self, store: Any) -> None:
        raise RuntimeError("the disk is full")


@pytest.mark.parametrize(
    "name",
    "a.keras a.weights.h5 a.weights.json a.safetensors a.safetensors.index.json folder".split(),
)
def test_a_failed_save_keeps_the_file(name: str, tmp_path: Path) -> None:
    def save(model: Any) -> None:
        if name.startswith(("a.weights", "a.safe")):
            model.save_weights(tmp_path / name, max_shard_size=1 if "json" in name else None)
        else:
            model.save(tmp_path / name, zipped=name != "folder")

    model = make()
    save(model)
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    with pytest.raises(RuntimeError, match="the disk is full"):
        save(around(Failing()))
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before


@pytest.mark.parametrize("name", ["a.weights.json", "a.safetensors.index.json"])
def test_a_crash_between_shards_leaves_the_old_set_whole(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = make(), make()
    for variable in new.weights:
        variable.assign(variable + 1)
    old.save_weights(tmp_path / name, max_shard_size=5e-8)
    before = sorted(os.listdir(tmp_path))
    replace, left = os.replace, [1, 2]

    def crash(*paths: str) -> None:
        left.pop()
        if not left:
            raise KeyboardInterrupt
        replace(*paths)

    monkeypatch.setattr("os.replace", crash)
    with pytest.raises(KeyboardInterrupt):
        new.save_weights(tmp_path / name, max_shard_size=5e-8)
    monkeypatch.setattr("os.replace", replace)
    other = make()
    for kept in (old, new):
        other.load_weights(tmp_path / name)
        for one, two in zip(other.weights, kept.weights, strict=True):
            np.testing.assert_array_equal(one.numpy(), two.numpy())
        new.save_weights(tmp_path / name, max_shard_size=5e-8)
    assert sorted(os.listdir(tmp_path)) == before


WRITERS: dict[str, Callable[[Any, Path], Any]] = {
    "model": lambda model, folder: model.save(folder / "a.keras"),
    "folder": lambda model, folder: model.save(folder / "a", zipped=False),
    "weights": lambda model, folder: model.save_weights(folder / "a.weights.h5"),
    "list": lambda model, folder: model.save_weights(folder / "a.weights.json", max_shard_size=1),
    "safetensors": lambda model, folder: model.save_weights(folder / "a.safetensors"),
    "safetensors' list": lambda model, folder: model.save_weights(
        folder / "a.safetensors.index.json", max_shard_size=1
    ),
    "export": lambda model, folder: model.export(folder / "a.onnx", verbose=False),
    "checkpoint": lambda model, folder: checkpoint(model, folder),
}


def checkpoint(model: Any, folder: Path) -> None:
    kept = cornu.saving.Checkpoints(folder)
    kept.write(model, {}, 1, None)
    kept.close()


@pytest.mark.parametrize("name", WRITERS)
def test_a_full_disk_says_so(name: str, tmp_path: Path) -> None:
    model = around(layers.Dense(900))
    model.compile("sgd", "mse")
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**13, limit[1]))
    try:
        words = r"there is room for it. Received: filepath=.*File too large; free are .* bytes in"
        with pytest.raises(OSError, match=words):
            WRITERS[name](model, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert os.listdir(tmp_path) == []


def test_what_a_disk_refuses_while_a_file_is_written_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system says it to who asks first."""
    refused: list[BaseException] = [OSError(errno.ENOSPC, "No space left on device")]
    began = threading.Event()

    def flush(path: str) -> None:
        began.set()
        if refused:
            raise refused.pop()

    monkeypatch.setattr(whole, "_A_WHILE", 1e-4)
    monkeypatch.setattr(whole, "_flush", flush)
    with (
        pytest.raises(OSError, match="there is room for it"),
        whole.replacing(tmp_path / "a") as draft,
    ):
        Path(draft).write_bytes(b"a")
        began.wait(10)
    assert os.listdir(tmp_path) == []


def test_a_sigterm_leaves_no_draft_nor_new_folders(tmp_path: Path) -> None:
    """One that nobody handles; the folder that was there stays."""
    (tmp_path / "old").mkdir()
    new, ended = tmp_path / "old" / "new" / "newer", signal.SIG_DFL
    assert signal.getsignal(signal.SIGTERM) is ended
    with (
        pytest.raises(SystemExit, match="143"),
        whole.making_folder(new),
        whole.replacing(new / "a") as draft,
    ):
        Path(draft).write_bytes(b"a")
        assert signal.getsignal(signal.SIGTERM) is not ended
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(10)
    assert signal.getsignal(signal.SIGTERM) is ended
    assert os.listdir(tmp_path / "old") == []


@pytest.mark.parametrize("isal", [True, False])
def test_sums_of_zip_files(isal: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not isal:
        monkeypatch.setitem(sys.modules, "isal.isal_zlib", None)
    data = np.random.default_rng(0).bytes(3 * 2**20)
    assert _package._sum(io.BytesIO(data), 5, 2**21) == zlib.crc32(data[5 : 5 + 2**21])
    with pytest.raises(EOFError, match="5 bytes are missing"):
        _package._sum(io.BytesIO(data), 5, len(data))


def test_replaces_what_a_link_points_to_and_keeps_its_mode(tmp_path: Path) -> None:
    real, link = tmp_path / "real.keras", tmp_path / "link.keras"
    make().save(real)
    real.chmod(0o640)
    link.symlink_to(real)
    make(width=6).save(link)
    assert link.is_symlink()
    assert real.stat().st_mode & 0o777 == 0o640
    assert saving.load_model(real).get_layer("one").units == 6


@pytest.mark.parametrize(("answers", "replaced"), [(["y"], True), (["maybe", "n"], False)])
def test_asks_before_it_overwrites(
    answers: list[str], replaced: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.keras"
    make().save(path)
    left = list(answers)
    monkeypatch.setattr("builtins.input", lambda question: left.pop(0))
    make(width=7).save(path, overwrite=False)
    assert left == []
    assert (saving.load_model(path).get_layer("one").units == 7) is replaced


def test_weights_in_several_files(tmp_path: Path) -> None:
    """Written by either, read by either."""

    def big(k: Any) -> Any:
        stack = [k.layers.Dense(300), k.layers.Dense(300), k.layers.Dense(10)]
        return k.Sequential([k.Input((100,)), *stack])

    model, theirs = big(cornu), big(keras)
    model.save_weights(tmp_path / "a.weights.json", max_shard_size=0.0004)
    assert sorted(os.listdir(tmp_path)) == [
        "a.weights.json",
        "a_00000.weights.h5",
        "a_00001.weights.h5",
    ]
    theirs.load_weights(tmp_path / "a.weights.json")
    for one, other in zip(model.weights, theirs.weights, strict=True):
        np.testing.assert_array_equal(one.numpy(), np.asarray(other.value))
    theirs = big(keras)
    theirs.save_weights(tmp_path / "k.weights.json", max_shard_size=0.0004)
    written = [json.loads((tmp_path / f"{n}.weights.json").read_text()) for n in "ak"]
    assert json.dumps(written[0]).replace("a_0", "k_0") == json.dumps(written[1])
    model.load_weights(tmp_path / "k.weights.json")
    for one, other in zip(model.weights, theirs.weights, strict=True):
        np.testing.assert_array_equal(one.numpy(), np.asarray(other.value))
    with pytest.warns(UserWarning, match="becomes .*b.weights.json"):
        model.save_weights(tmp_path / "b.weights.h5", max_shard_size=1)
    assert (tmp_path / "b_00000.weights.h5").exists()


@pytest.mark.parametrize("ending", [".weights.h5", ".safetensors", ".h5"])
def test_a_model_of_another_architecture_stays_as_it_was(ending: str, tmp_path: Path) -> None:
    path, other = tmp_path / f"a{ending}", make()
    model = cornu.Sequential([cornu.Input((4,)), layers.Dense(3, name="one"), layers.Dense(9)])
    with warnings.catch_warnings(action="ignore"):  # of the old format
        (model.save if ending == ".h5" else model.save_weights)(path)
    before = other.get_weights()
    with pytest.raises(ValueError, match=r"shape"):
        other.load_weights(path)
    for one, two in zip(other.get_weights(), before, strict=True):
        np.testing.assert_array_equal(one, two)


def test_skip_mismatch_and_left_over_weights(tmp_path: Path) -> None:
    path = tmp_path / "a.weights.h5"
    model = make()
    model.save_weights(path)
    other = cornu.Sequential([cornu.Input((4,)), layers.Dense(3, name="one"), layers.Dense(9)])
    last = other.layers[1].get_weights()
    with pytest.warns(UserWarning, match=r"do not fit.*has the shape \(3, 9\)"):
        other.load_weights(path, skip_mismatch=True)
    for one, two in zip(other.layers[0].weights, model.layers[0].weights, strict=True):
        np.testing.assert_array_equal(one.numpy(), two.numpy())
    for one, before in zip(other.layers[1].weights, last, strict=True):
        np.testing.assert_array_equal(one.numpy(), before)
    short = cornu.Sequential([cornu.Input((4,)), layers.Dense(3)])
    with pytest.warns(UserWarning, match="also has weights of 'layers/dense_1'"):
        short.load_weights(path)
    skipping = make()
    before = skipping.layers[0].get_weights()
    skipping.load_weights(path, objects_to_skip=[skipping.layers[0]])
    np.testing.assert_array_equal(skipping.layers[0].get_weights()[0], before[0])
    for k in (keras, cornu):  # with what is below it
        inner = k.Sequential([k.layers.Dense(2)])
        outer = k.Sequential([k.Input((2,)), inner, k.layers.Dense(1)])
        k.saving.save_weights(outer, path, objects_to_skip=[inner])
        with h5py.File(path) as file:
            assert list(file["layers/dense/vars"]) == ["0", "1"]
            assert "layers" not in file.get("layers/sequential", ())
        k.saving.load_weights(outer, path, objects_to_skip=[inner])


def test_draws_go_on_where_the_file_was_saved(tmp_path: Path) -> None:
    """Also in Keras's files, which say nothing of them; a model that draws nothing takes no notice."""

    def drawing(k: Any, rate: float = 0.5) -> Any:
        stack = [k.layers.Dropout(rate, seed=7), k.layers.Dense(2, name="last")]
        return k.Sequential([k.Input((4,)), *stack])

    model, x = drawing(cornu), np.ones((8, 4), "float32")
    model(x, training=True)
    model.save_weights(tmp_path / "a.weights.h5")
    expected = [np.asarray(model(x, training=True)) for _ in range(2)]
    same, none, theirs = drawing(cornu), drawing(cornu, 0), drawing(keras)
    for other in (same, none, theirs):
        other.load_weights(tmp_path / "a.weights.h5")
    for value in expected:
        np.testing.assert_array_equal(same(x, training=True), value)
    theirs.save_weights(tmp_path / "k.weights.h5")
    same.load_weights(tmp_path / "k.weights.h5")
    assert same.layers[0].seed_generator.state.numpy().tolist() == [7, 3]
    model.load_weights(tmp_path / "a.weights.h5", objects_to_skip=[model.layers[0].seed_generator])
    assert model.layers[0].seed_generator.state.numpy().tolist() == [7, 3]
    with h5py.File(tmp_path / "a.weights.h5", "r+") as file:
        group = file["layers/dropout/seed_generator/vars"]
        del group["seed_and_counter"]
        group["seed_and_counter"] = np.zeros(3)
    with pytest.raises(ValueError, match=r"two unsigned integers. Received: shape=\(3,\), dtype=f"):
        same.load_weights(tmp_path / "a.weights.h5")


def test_training_goes_on_after_weights_are_loaded(tmp_path: Path) -> None:
    model, x, y = make(), data(8, 4), np.ones((8, 2), "float32")
    model.compile("adam", "mse")
    model.fit(x, y, verbose=0)
    model.save_weights(tmp_path / "a.weights.h5")
    again = make()
    again.compile("adam", "mse")
    again.load_weights(tmp_path / "a.weights.h5")
    one = model.fit(x, y, verbose=0, shuffle=False).history["loss"]
    assert one == again.fit(x, y, verbose=0, shuffle=False).history["loss"]


def test_a_model_that_was_never_built(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="'never' was never built"):
        unbuilt().save(tmp_path / "a.keras")
    loaded = saving.load_model(tmp_path / "a.keras")
    assert not loaded.built
    assert loaded(data(2, 4)).shape == (2, 3)


def test_a_lambda_as_loss_leaves_training_out(tmp_path: Path) -> None:
    model = make()
    model.compile("adam", lambda y, p: cornu.ops.sum(y - p))
    with pytest.warns(UserWarning, match="How .* is trained is not saved: it includes a lambda"):
        model.save(tmp_path / "a.keras")
    assert not saving.load_model(tmp_path / "a.keras").compiled


@pytest.mark.parametrize("step", ["..", ".", "a\\b", "C:"])
def test_assets_stay_in_their_folder(step: str, tmp_path: Path) -> None:
    class Reader(layers.Layer):
        def call(self, x: Any) -> Any:
            return x

        def load_assets(self, folder: str) -> None:
            raise AssertionError("never")

    path = tmp_path / "a.keras"
    model = around(Reader())
    model.save(path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(f"assets/layers/reader/{step}/x.txt", "hello")
    with pytest.raises(ValueError, match="assets of a model lie within its folder"):
        saving.load_model(path, custom_objects={"Reader": Reader})


@pytest.mark.parametrize("place", ["name", "inbound_nodes", "config", None])
def test_an_entry_of_a_graph_without_a_part(place: str | None, tmp_path: Path) -> None:
    x = cornu.Input((2,))
    cornu.Model(x, layers.Lambda(ops.square)(x)).save(tmp_path / "a.keras")
    with zipfile.ZipFile(tmp_path / "a.keras") as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(content["config.json"])
    entries = config["config"]["layers"]
    entries[1] = {key: value for key, value in entries[1].items() if key != place} if place else 5
    with zipfile.ZipFile(tmp_path / "a.keras", "w") as archive:
        for name, part in content.items():
            archive.writestr(name, json.dumps(config) if name == "config.json" else part)
    with pytest.raises((TypeError, ValueError), match="Received"):
        saving.load_model(tmp_path / "a.keras")


@pytest.mark.parametrize("name", ["a.keras", "a.weights.h5", "a.weights.json", "a.safetensors"])
@pytest.mark.parametrize("too", [True, False])
def test_keys_of_a_users_own_stay(name: str, too: bool, tmp_path: Path) -> None:
    """Whether there are those of the library too, or not."""

    class Named(layers.Layer):
        def build(self, input_shape: Any) -> None:
            self.offset = self.add_weight(shape=(input_shape[-1],), name="offset")

        def call(self, x: Any) -> Any:
            return x + self.offset

        def save_own_variables(self, store: Any) -> None:
            if too:
                super().save_own_variables(store)
            store["offset"] = self.offset.numpy()

        def load_own_variables(self, store: Any) -> None:
            self.offset.assign(store["offset"])
            assert list(store) == (["0", "offset"] if too else ["offset"])

    one, other = around(Named()), around(Named())
    if name == "a.keras":
        one.save(tmp_path / name)
    else:
        one.save_weights(tmp_path / name, max_shard_size=1 if "json" in name else None)
    other.load_weights(tmp_path / name)
    for value, expected in zip(other.get_weights(), one.get_weights(), strict=True):
        np.testing.assert_array_equal(value, expected)


def test_text_is_no_weight(tmp_path: Path) -> None:
    class Named(layers.Layer):
        def call(self, x: Any) -> Any:
            return x

        def save_own_variables(self, store: Any) -> None:
            store["label"] = "cat"

    with pytest.raises(ValueError, match=r"must store numbers. Received: store\['label'\]='cat'"):
        around(Named()).save(tmp_path / "a.keras")


def test_the_old_format_of_keras_is_read(tmp_path: Path) -> None:
    la = keras.layers
    x = keras.Input((4,))
    y = la.Dense(3, activation="relu", name="first")(x)
    inner = keras.Sequential([la.Dense(2), la.BatchNormalization()], name="inner")
    theirs = keras.Model(x, [inner(y), la.Add()([y, y])])
    inputs, targets = data(8, 4), [np.ones((8, 2)), np.ones((8, 3))]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs.compile("adam", ["mse", "mse"], metrics=[["mae"], None])
        theirs.fit(inputs, targets, verbose=0)
        theirs.save(tmp_path / "old.h5")
        expected = theirs.predict(inputs, verbose=0)
        state = [np.asarray(v.numpy()) for v in theirs.optimizer.variables]
    model = saving.load_model(tmp_path / "old.h5")
    for one, other in zip(model.predict(inputs, verbose=0), expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
    for variable, value in zip(model.optimizer.variables, state, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)
    assert saving.load_model(tmp_path / "old.h5", compile=False).optimizer is None
    fresh = saving.load_model(tmp_path / "old.h5", compile=False)
    for variable in fresh.weights:
        variable.assign(np.zeros(variable.shape, "float32"))
    fresh.load_weights(tmp_path / "old.h5")
    np.testing.assert_array_equal(fresh.get_weights()[0], model.get_weights()[0])
    other = cornu.Sequential([cornu.Input((4,)), layers.Dense(3, name="first"), layers.Dense(9)])
    report = other.load_weights(tmp_path / "old.h5", by_name=True)
    assert [len(names) for names in vars(report).values()] == [2, 2, 6, 0]
    inner_names = {r"first/first/(kernel|bias)": r"layers/dense/\1"}
    with pytest.warns(UserWarning, match="has 2 weights. Received: 0 in the file"):
        report = other.load_weights(tmp_path / "old.h5", skip_mismatch=True, names=inner_names)
    assert [path.rpartition("/")[2] for path in report.loaded] == ["kernel", "bias"]
    np.testing.assert_array_equal(other.get_weights()[0], model.get_weights()[0])
    with pytest.raises(ValueError, match=r"'inner'|layer .*dense.* have the shapes"):
        other.load_weights(tmp_path / "old.h5")
    with pytest.raises(ValueError, match="weights of 2 layers for the model .* has 1 layers"):
        around(layers.Dense(3)).load_weights(tmp_path / "old.h5")
    with h5py.File(tmp_path / "old.h5", "r+") as file:
        state = file["optimizer_weights"]
        state.attrs["weight_names"] = state.attrs["weight_names"][:-1]
    with pytest.warns(UserWarning, match="The optimizer of .* starts anew: its state has the shap"):
        saving.load_model(tmp_path / "old.h5")


#: What may stand in place of an array, in a group, and the end of the error.
ELSEWHERE: dict[str, tuple[Callable[[Any, str, str], Any], str]] = {
    "soft link": (lambda g, key, _: g.__setitem__(key, h5py.SoftLink("/other")), "another place"),
    "external link": (
        lambda g, key, file: g.__setitem__(key, h5py.ExternalLink(file, "/other")),
        "another place",
    ),
    "virtual": (
        lambda g, key, file: g.create_virtual_dataset(key, virtual_layout(file)),
        "other arrays, maybe of other files",
    ),
    "external, CVE-2026-1669": (
        lambda g, key, file: g.create_dataset(key, (4, 3), "f4", external=[(file, 0, 48)]),
        "in another file",
    ),
    "text": (lambda g, key, _: g.__setitem__(key, "hello"), "no array of numbers"),
    "group": (lambda g, key, _: g.create_group(key), "no array of numbers"),
}


def virtual_layout(file: str) -> h5py.VirtualLayout:
    layout = h5py.VirtualLayout((4, 3), "f4")
    layout[...] = h5py.VirtualSource(file, "other", (4, 3))
    return layout


@pytest.fixture(scope="module")
def formats(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[bytes, bytes]]:
    """A file of each format, and its HDF5 part."""
    folder = tmp_path_factory.mktemp("formats")
    theirs = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    found = {}
    for name in ("a.keras", "a.weights.h5", "a.h5"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            (theirs.save_weights if "weights" in name else theirs.save)(folder / name)
        content = (folder / name).read_bytes()
        packed = name.endswith(".keras")
        inner = zipfile.ZipFile(folder / name).read("model.weights.h5") if packed else content
        found[name] = content, inner
    return found


@pytest.mark.parametrize("name", ["a.keras", "a.weights.h5", "a.h5"])
@pytest.mark.parametrize("kind", ELSEWHERE)
def test_a_file_holds_its_weights_itself(
    kind: str, name: str, tmp_path: Path, formats: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with h5py.File("secret.h5", "w") as file:
        file["other"] = np.ones((4, 3), "f4")
    content, inner = formats[name]
    buffer = io.BytesIO(inner)
    put, words = ELSEWHERE[kind]
    with h5py.File(buffer, "r+") as file:
        arrays: list[str] = []
        file.visititems(lambda path, x: arrays.append(path) if getattr(x, "ndim", 0) == 2 else None)
        above, _, key = arrays[0].rpartition("/")
        del file[above][key]
        file["other"] = np.ones((4, 3), "f4")
        put(file[above], key, str(tmp_path / "secret.h5"))
    Path(name).write_bytes(content if name.endswith(".keras") else buffer.getvalue())
    if name.endswith(".keras"):
        with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(name, "w") as new:
            for item in old.namelist():
                new.writestr(item, buffer.getvalue() if "weights" in item else old.read(item))
    with pytest.raises(ValueError, match=f"must hold them itself.* Received: .*{words}"):
        if "weights" in name:
            around(layers.Dense(3)).load_weights(name)
        else:
            saving.load_model(name)


NOISE = np.random.default_rng(0).normal(size=(64, 64))
PACKED: dict[str, Any] = {"chunks": (16, 64), "shuffle": True, "fletcher32": True}


def piece(file: h5py.File, data: bytes) -> None:
    """An array whose only piece is of such packed bytes."""
    array = file.create_dataset("a", (4,), compression="gzip", chunks=(4,))
    array.id.write_direct_chunk((0,), data)


#: What h5py may write into a file by default, or where it is asked to, and whether it is read.
STRUCTURES: dict[str, tuple[Callable[[Any], Any], bool]] = {
    "dtypes": (
        lambda f: [f.__setitem__(d, np.zeros(3, d)) for d in "? u2 i8 f2 f8 c8 V2 >f4 S5".split()],
        True,
    ),
    "nothing": (lambda f: [f.__setitem__("a", np.zeros((0, 3))), f.create_group("b/c")], True),
    "a scalar": (lambda f: f.__setitem__("a", np.float32(3)), True),
    "many groups": (lambda f: [f.create_group(f"{n}/vars") for n in range(300)], True),
    "attributes": (
        lambda f: f.attrs.update(a="x" * 60000, b=[b"a", b"bc"], c=["x", "yy"], d=True, e=1j, g=""),
        True,
    ),
    "no value": (lambda f: f.attrs.__setitem__("a", h5py.Empty("f4")), True),
    "other letters": (lambda f: [f.create_group("ä/ö"), f.attrs.__setitem__("ü", "ß")], True),
    "many other letters": (lambda f: [f.create_group(f"ä{n}") for n in range(20)], False),
    "the same array twice": (
        lambda f: [f.__setitem__("a/b", [1.0]), f.__setitem__("c", f["a"])],
        True,
    ),
    "what was deleted": (lambda f: [f.__setitem__("a", np.ones(99)), f.__delitem__("a")], True),
    "pieces": (lambda f: f.create_dataset("a", data=np.ones((99, 5)), chunks=(2, 3)), True),
    "pieces to come": (lambda f: f.create_dataset("a", (0, 2), maxshape=(None, 2)), True),
    "gzip": (
        lambda f: f.create_dataset("a", data=np.arange(9.0), compression="gzip", chunks=(2,)),
        True,
    ),
    "gzip, shuffled, with sums": (
        lambda f: f.create_dataset("a", data=NOISE, **PACKED, compression="gzip"),
        True,
    ),
    "LZF, shuffled, with sums": (
        lambda f: f.create_dataset("a", data=NOISE, **PACKED, compression="lzf"),
        True,
    ),
    "gzip of a piece that has more": (lambda f: piece(f, zlib.compress(bytes(2**20))), False),
    "gzip of a piece that has less": (lambda f: piece(f, zlib.compress(bytes(8))), False),
    "gzip that is none": (lambda f: piece(f, b"values"), False),
    "scaled and rounded": (lambda f: f.create_dataset("a", data=NOISE, scaleoffset=2), False),
    "an order of names": (lambda f: f.create_group("a", track_order=True), False),
}


@pytest.mark.parametrize("name", STRUCTURES)
def test_what_hdf5_may_be_in_a_file(name: str, tmp_path: Path) -> None:
    write, read = STRUCTURES[name]
    make().save_weights(path := tmp_path / "a.weights.h5")
    with h5py.File(path, "r+") as file:
        write(file.create_group("other"))
    with (
        contextlib.nullcontext()
        if read
        else pytest.raises(ValueError, match="must hold them itself")
    ):
        assert len(make().load_weights(path).loaded) == 4


@pytest.mark.parametrize("name", ["a.weights.h5", "a.keras", "a.h5"])
def test_a_configuration_of_h5py_is_not_that_of_files(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(h5py.get_config(), "track_order", True)
    model = make()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        (model.save_weights if "weights" in name else model.save)(tmp_path / name)
    assert len(make().load_weights(tmp_path / name).loaded) == 4


def test_a_layer_of_a_model_and_of_one_within(tmp_path: Path) -> None:
    """It is one layer again, called in both; Keras writes such files too, and can't read them."""
    shared = layers.Dense(2)
    x, y = cornu.Input((2,)), cornu.Input((2,))
    inner = cornu.Model(x, layers.Dense(3)(shared(x)))
    model = cornu.Model(y, [inner(shared(y)), shared(y)])
    model.save(tmp_path / "model.keras")
    again, data = cornu.models.load_model(tmp_path / "model.keras"), np.ones((1, 2))
    assert len(again.weights) == 4
    for one, two in zip(again(data), model(data), strict=True):
        np.testing.assert_array_equal(one, two)


def test_what_a_users_loader_raises_is_the_cause(tmp_path: Path) -> None:
    class Lost(layers.Dense):
        def load_own_variables(self, store: Any) -> None:
            raise KeyError("lost")

    model = cornu.Sequential([cornu.Input((2,)), Lost(1)])
    model.save_weights(tmp_path / "model.weights.h5")
    with pytest.raises(ValueError, match="lost") as error:
        model.load_weights(tmp_path / "model.weights.h5")
    assert isinstance(error.value.__cause__, KeyError)


def test_the_report_says_what_was_loaded(tmp_path: Path) -> None:
    """Also where the head is another one, whose weights stay as they are."""
    make().save(tmp_path / "a.keras")
    make().save_weights(tmp_path / "a.weights.h5")
    make().save_weights(tmp_path / "a.weights.json", max_shard_size=1)
    make().save_weights(tmp_path / "a.safetensors")
    for name in ("a.keras", "a.weights.h5", "a.weights.json", "a.safetensors"):
        report = make().load_weights(tmp_path / name)
        assert repr(report) == "<WeightsReport: 4 loaded, 0 missing, 0 unexpected, 0 mismatched>"
        head = [layers.Dense(3, name="one"), layers.Dense(9, name="head")]
        other = cornu.Sequential([cornu.Input((4,)), *head, layers.Dense(1, name="last")], name="m")
        with pytest.warns(UserWarning, match="left as they are"):
            report = other.load_weights(tmp_path / name, skip_mismatch=True)
        assert report.loaded == ["m/one/kernel", "m/one/bias"]
        assert report.missing == ["m/last/kernel", "m/last/bias"]
        assert report.mismatched == {
            "m/head/kernel": ((3, 9), (3, 2)),
            "m/head/bias": ((9,), (2,)),
        }
        assert "head/kernel, (3, 9) in the model and (3, 2) in the file" in str(report)
        with pytest.warns(UserWarning, match="also has weights of"):
            report = around(layers.Dense(3, name="one")).load_weights(tmp_path / name)
        keys = ("kernel", "bias") if "safe" in name else "01"
        assert report.unexpected == [f"layers/dense_1/{key}" for key in keys]


NAMES: dict[str, Any] = {
    "exact": {"layers/dense/0": "m/one/kernel", "layers/dense/1": "layers/dense_1/bias"},
    "patterns": {r"layers/dense/(\d)": r"layers/dense_1/\1"},
    "a function": lambda name: name.replace("dense/", "dense_1/"),
}


@pytest.mark.parametrize("case", NAMES)
def test_names_in_a_file_become_those_of_the_model(case: str, tmp_path: Path) -> None:
    source = around(layers.Dense(3))
    source.save_weights(tmp_path / "a.weights.h5")
    stack = [layers.Dense(4, name="one"), layers.Dense(3, name="two")]
    if case == "exact":
        stack = [layers.Dense(3, name="one", use_bias=False), layers.ReLU()]
        stack.append(layers.Dense(3, name="two"))
    model = cornu.Sequential([cornu.Input((4,)), *stack], name="m")
    with pytest.warns(UserWarning, match="left as they are"):
        report = model.load_weights(
            tmp_path / "a.weights.h5", skip_mismatch=True, names=NAMES[case]
        )
    kernel = model.get_weights()[0 if case == "exact" else 2]
    np.testing.assert_array_equal(kernel, source.get_weights()[0])
    assert len(report.loaded) == (1 if case == "exact" else 2)
    refused: list[tuple[Any, str]] = [
        ({"a(": "b"}, "'a\\(', which is none"),
        ({".*": "b"}, "both become 'b'"),
        (lambda name: None, "None for 'layers/dense/"),
    ]
    for names, words in refused:
        with pytest.raises((ValueError, TypeError), match=words):
            model.load_weights(tmp_path / "a.weights.h5", names=names)


def test_arrays_are_read_straight_from_a_whole_file_alone(tmp_path: Path) -> None:
    """A large array is read past HDF5's library; a file that has become shorter since it was opened is broken."""
    import h5py

    from cornu.saving import _hdf5

    file, written = tmp_path / "w.h5", np.random.default_rng(0).normal(size=(100, 300))
    layouts = {
        "plain": {},
        "chunked": {"chunks": (10, 10)},
        "packed": {"compression": "gzip"},
        "swapped": {"dtype": ">f8"},
        "last": {},
    }
    with h5py.File(file, "w") as made:
        for name, options in layouts.items():
            made.create_dataset(name, data=written, **options)
    with _hdf5.opened_file(str(file), "w.h5") as opened:
        for name in layouts:
            assert np.array_equal(_hdf5.stored_array(opened, name, name).read(), written)
        with file.open("r+b") as cut:
            cut.truncate(opened["last"].id.get_offset() + 1000)
        with pytest.raises(_hdf5.BrokenFileError, match="ends 239000 bytes before /last does"):
            _hdf5.stored_array(opened, "last", "last").read()
