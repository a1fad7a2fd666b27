"""The page of a server in a browser, used as a person would."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import pytest

from cornu import Input, Sequential, layers
from tests import browsing
from tests.browsing import MARKS

from .processes import serving
from .test_looking import image

pytestmark = MARKS


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of images, one of numbers, and one that can't be loaded."""
    folder = tmp_path_factory.mktemp("models")
    for name in ("light", "sum", "broken"):
        (folder / name / "1").mkdir(parents=True)
    image().export(folder / "light" / "1" / "m.onnx", verbose=False)
    (folder / "light" / "1" / "labels.txt").write_text("light\ndark")
    dense = layers.Dense(1, kernel_initializer="ones")
    model = Sequential([Input((3,), name="x"), dense])
    model.export(folder / "sum" / "1" / "m.onnx", verbose=False)
    (folder / "broken" / "1" / "m.onnx").write_bytes(b"no model")
    return folder


@pytest.mark.parametrize("width", [1280, 360])
def test_the_page(folder: Path, tmp_path: Path, width: int) -> None:
    """Drawn and typed inputs are answered, and what the server does is drawn."""
    line = [[0.5, 0.2], [0.5, 0.8]]
    steps: list[Any] = [{"scheme": "dark"}, {"draw": line}, {"click": "Predict"}]
    steps += [{"click": "sum"}, {"fill": ["x 1", "2"]}, {"fill": ["x 3", "-0.5"]}]
    with serving(folder, "--drain-delay", "0.1") as server:
        address = f"http://127.0.0.1:{server.port}/"
        drive = functools.partial(browsing.driven, "drive.mjs", address, tmp_path)
        seen = drive(steps, width=width)
    assert seen["answers"][1:] == ["dark", "dark", "0", "2", "1.5"]
    assert seen["errors"] == [] and not seen["overflow"]
    assert all(x.startswith(address) for x in seen["requests"])
    assert "Answer in" in seen["facts"] and "onnx_onnxv1" in seen["facts"]
    assert any(x.endswith("/metrics") for x in seen["requests"])
