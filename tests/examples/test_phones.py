"""The apps in `examples/android` and `examples/ios`: the files that they read, by the names that they use."""

from __future__ import annotations

import importlib.util
import re
import xml.etree.ElementTree
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cornu import engines
from cornu.engines.onnxruntime import open_session
from cornu.export import _saved_model

EXAMPLES = Path(__file__).parents[2] / "examples"
MAIN = Path("android", "app", "src", "main")


def phones() -> Any:
    spec = importlib.util.spec_from_file_location("phones", EXAMPLES / "phones.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_apps_read_what_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_saved_model, "_checked", lambda *_: [])  # which starts TensorFlow
    written = phones()
    with engines.use("numpy"):
        written.write(written.trained(epochs=1), tmp_path)
    session = open_session(str(tmp_path / MAIN / "assets" / "digits.onnx"))
    (image,), (digit,) = session.get_inputs(), session.get_outputs()
    assert session.run(None, {"image": np.zeros(image.shape, "float32")})[0].shape == (1, 10)
    assert (tmp_path / MAIN / "assets" / "digits.tflite").exists()
    assert (tmp_path / "ios" / "digits" / "saved_model.pb").exists()
    java = "".join(path.read_text() for path in (EXAMPLES / MAIN).rglob("*.java"))
    swift = (EXAMPLES / "ios" / "Digits.swift").read_text()
    for source, size in ((java, "int SIDE"), (swift, "let side")):
        found = re.search(rf"{size} = (\d+)", source)
        assert found and image.shape == [1, int(found[1]), int(found[1]), 1]
        assert f'"{image.name}"' in source
    assert 'open("digits.onnx")' in java and f'"{digit.name}"' in swift


def test_the_android_app_is_whole() -> None:
    """Its build files name the package that the sources are of, and the class that the manifest starts."""
    manifest = xml.etree.ElementTree.parse(EXAMPLES / MAIN / "AndroidManifest.xml")
    name = "{http://schemas.android.com/apk/res/android}name"
    (activity,) = manifest.iter("activity")
    gradle = (EXAMPLES / "android" / "app" / "build.gradle").read_text()
    package = re.search(r'namespace "(.*)"', gradle)
    assert package
    folder = EXAMPLES / MAIN / "java" / package[1].replace(".", "/")
    start = folder / f"{activity.attrib[name].removeprefix('.')}.java"
    assert start.read_text().startswith(f"package {package[1]};")
    settings = (EXAMPLES / "android" / "settings.gradle").read_text()
    assert 'include ":app"' in settings and gradle.count("{") == gradle.count("}")
