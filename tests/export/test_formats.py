"""What is true of every format: its bytes, what takes part, what it says, and what stays behind where it fails."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import resource
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cornu
from cornu import engines, layers
from cornu.core import tree
from cornu.export import FORMATS, _litert, _onnx, _saved_model, _tfjs
from cornu.export._report import LINES
from tests.engines_tested import ENGINES
from tests.export import models
from tests.export.test_tfjs_layers import NODE, browser, installed

#: Formats whose files hold no strings, loops or the like are tried with this: convolutions, normalization, pooling.
MODEL = "cnn"


def made(name: str = MODEL) -> Any:
    model = models.made(name)
    model.compile("sgd", "categorical_crossentropy")
    return model


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def exported(model: Any, format: str, folder: Path, **options: Any) -> Path:
    path = folder / f"model{FORMATS[format].suffix}"
    model.export(path, format=format, **options)
    return path


#: The formats whose files are compared, and those of them that are graphs.
COMPARED = sorted(FORMATS.keys() - {"web"})
GRAPHS = ["litert", "onnx", "tf_saved_model", "tfjs"]


@pytest.fixture(autouse=True)
def unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A SavedModel has tests of its own; the check of each takes the seconds in which TensorFlow starts."""
    monkeypatch.setattr(_saved_model, "_checked", lambda *_: [])


@pytest.mark.parametrize("name", models.ALL)
def test_the_bytes_are_the_same_from_every_engine(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module, check in ((_tfjs, "_checked"), (_onnx, "_checked"), (_litert, "check")):
        monkeypatch.setattr(module, check, lambda *_: [])
    formats = COMPARED if name == MODEL else GRAPHS
    model, found = made(name), []
    for engine in (*ENGINES, ENGINES[0]):
        with engines.use(engine):
            model.to(engine)
            for format in formats:
                exported(model, format, tmp_path / format, verbose=False)
        found.append(contents(tmp_path))
    assert len(found[0]) >= len(formats)
    for one in found:
        assert one.keys() == found[0].keys()
        assert [name for name, content in one.items() if content != found[0][name]] == []


def test_neither_tensorflow_nor_torch_takes_part(tmp_path: Path) -> None:
    script = (
        "import sys, cornu; from cornu import layers; from cornu.export import FORMATS\n"
        "model = cornu.Sequential([layers.Input((3,)), layers.Dense(2)])\n"
        "model.compile('sgd', 'mse')\n"
        "for name, row in FORMATS.items():\n"
        f"    model.export({str(tmp_path)!r} + '/' + name + row.suffix, format=name)\n"
        "print({'torch', 'tensorflow', 'jax'} & set(sys.modules))"
    )
    environment = {**os.environ, "CORNU_BACKEND": "numpy"}
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=environment
    )
    assert done.stdout.endswith("set()\n"), done.stdout + done.stderr
    assert done.stdout.count(" bytes") >= len(FORMATS)
    assert done.stdout.count("largest difference") >= 6


# ------------------------------------------------------------------- what is printed


def lines(format: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    """The lines that an export prints last, by language."""
    exported(models.made(MODEL), format, folder)
    said = capsys.readouterr().out.splitlines()[-len(LINES[format]) :]
    found = {}
    for language, line in zip(LINES[format], said, strict=True):
        assert line.startswith(language)
        found[language] = line.removeprefix(language).strip()
    return found


def test_every_format_says_what_runs_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert LINES.keys() == FORMATS.keys()
    assert all(LINES.values())
    made().export(tmp_path / "MY NAME", version=3)
    said = capsys.readouterr().out
    assert f'load("{tmp_path}/MY NAME/3")' in said and f"--dir '{tmp_path}/MY NAME/3'" in said


def test_the_lines_hold_any_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = cornu.Sequential([layers.Input((3,), name="class"), layers.Dense(2)])
    for format, options, within in (("onnx", {}, ""), ("tf_saved_model", {"version": 3}, "3")):
        path = tmp_path / f"""it's "INPUTS" of a NAME{FORMATS[format].suffix}"""
        model.export(path, format=format, **options)
        said = capsys.readouterr().out.splitlines()[-len(LINES[format]) :]
        python, shell = (line.split(None, 1)[1] for line in (said[0], said[-1]))
        compile(python, "line", "exec")
        assert json.dumps(str(path / within)) in python
        assert str(path / within) in shlex.split(shell)


PYTHON = {"litert": "ai_edge_litert", "onnx": "onnxruntime", "tf_saved_model": "tensorflow"}


@pytest.mark.parametrize("format", [name for name in PYTHON if name in FORMATS])
def test_the_line_of_python_runs(
    format: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if importlib.util.find_spec(PYTHON[format]) is None:
        pytest.skip(f"{PYTHON[format]} runs it")
    image = models.inputs(MODEL, 1)
    scope: dict[str, Any] = {"image": image}
    exec(lines(format, tmp_path, capsys)["Python"], scope)
    (found,) = tree.flatten(scope["outputs"])
    wanted = models.made(MODEL).predict(image, verbose=0)
    np.testing.assert_allclose(found, wanted, 1e-4, 1e-4)


@browser
@installed
@pytest.mark.parametrize(
    "format", [name for name in FORMATS if "JavaScript" in LINES.get(name, ())]
)
def test_the_line_of_javascript_runs(
    format: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = models.inputs(MODEL, 1)
    script = (
        f"const image = {json.dumps(image.tolist())};\n"
        f"{lines(format, tmp_path, capsys)['JavaScript']};\n"
        "process.stdout.write(JSON.stringify(Object.values(outputs)[0].nested()));"
    )
    run = ["node", "--preserve-symlinks", "--input-type=module", "--eval", script]
    done = subprocess.run(run, cwd=NODE, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    wanted = models.made(MODEL).predict(image, verbose=0)
    np.testing.assert_allclose(json.loads(done.stdout.splitlines()[-1]), wanted, 1e-4, 1e-4)


# ------------------------------------------------------------------------ what fails


@contextlib.contextmanager
def full_disk(size: int = 512) -> Iterator[None]:
    """A block in which no file can be larger."""
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limit[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)


def stateful() -> Any:
    model = cornu.Sequential([layers.Input(batch_shape=(2, 4, 3)), layers.LSTM(2, stateful=True)])
    model.compile("sgd", "mse")
    return model


@pytest.mark.parametrize("format", COMPARED)
def test_what_fails_leaves_everything_as_it_was(
    format: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, folder = made(), tmp_path / "out"
    exported(model, format, folder, verbose=False)
    before = contents(folder)
    model.set_weights([weight + 0.1 for weight in model.get_weights()])
    with full_disk(), pytest.raises(OSError, match="there is room for it"):
        exported(model, format, folder, verbose=False)
    assert contents(folder) == before
    with full_disk(), pytest.raises(OSError, match="there is room for it"):
        exported(model, format, tmp_path / "new" / "folders", verbose=False)
    assert os.listdir(tmp_path) == ["out"]
    if format != "onnx_training":  # which gives its state as outputs
        with pytest.raises(NotImplementedError, match="change its variables|stateful=True"):
            exported(stateful(), format, folder, verbose=False)
        assert contents(folder) == before
    for place in (tmp_path / "a folder", tmp_path / "file"):
        if place.name == "file":
            place.write_text("kept")
        else:
            place.mkdir()
            (place / "notes.txt").write_text("kept")
        if place.name == "file" and (FORMATS[format].suffix or format == "onnx_training"):
            continue  # a file takes the place of a file
        with pytest.raises(OSError, match="takes the place of") as error:
            model.export(place, format=format, verbose=False)
        assert "Received: filepath=" in str(error.value)
    assert sorted(x.name for x in tmp_path.iterdir()) == ["a folder", "file", "out"]
    assert (tmp_path / "a folder" / "notes.txt").read_text() == "kept"
