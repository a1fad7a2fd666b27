"""Folders of Triton's model repository: the config, the versions, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cornu
from cornu import layers
from tests.export import models
from tests.export.test_files import assert_same, ran

CONFIG = """\
name: "two"
backend: "onnxruntime"
max_batch_size: 8
input [
  { name: "left" data_type: TYPE_FP32 dims: [4] },
  { name: "right" data_type: TYPE_FP32 dims: [3] }
]
output [
  { name: "total" data_type: TYPE_FP32 dims: [2] },
  { name: "share" data_type: TYPE_FP32 dims: [1] }
]
dynamic_batching { }
"""


def config(model: Any, folder: Path, **options: Any) -> str:
    model.export(folder / "model", format="triton", verbose=False, **options)
    return (folder / "model" / "config.pbtxt").read_text()


def test_a_repository(tmp_path: Path) -> None:
    model, data = models.made("two_and_two"), models.inputs("two_and_two", 3)
    model.export(tmp_path / "all" / "two", format="triton", max_batch_size=8, verbose=False)
    assert (tmp_path / "all" / "two" / "config.pbtxt").read_text() == CONFIG
    wanted = model.predict(data, verbose=0)
    first = tmp_path / "all" / "two" / "1" / "model.onnx"
    assert_same(ran(first, data), wanted)
    model.set_weights([weight + 1 for weight in model.get_weights()])
    model.export(tmp_path / "all" / "two", format="triton", version=12, verbose=False)
    names = sorted(
        str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()
    )
    assert names == [f"all/two/{x}" for x in ("1/model.onnx", "12/model.onnx", "config.pbtxt")]
    assert_same(ran(first, data), wanted)


def test_axes_and_types(tmp_path: Path) -> None:
    assert "dims: [-1, 5]" in config(models.made("lstm"), tmp_path)
    x, n = cornu.Input((), dtype="int32", name="n"), cornu.Input((2,), dtype="bool", name="flags")
    assert (
        '{ name: "n" data_type: TYPE_INT32 dims: [ 1 ] reshape { shape: [ ] } },\n'
        '  { name: "flags" data_type: TYPE_BOOL dims: [2] }'
    ) in config(cornu.Model([x, n], [x + 1, cornu.ops.any(n, axis=-1)]), tmp_path)
    words = cornu.Input((None,), dtype="string", name="words")
    indices = layers.StringLookup(vocabulary=["a", "b"])(words)
    assert '"words" data_type: TYPE_STRING dims: [-1]' in config(
        cornu.Model(words, indices), tmp_path
    )


def test_a_fixed_batch_is_an_axis(tmp_path: Path) -> None:
    model = cornu.Sequential([layers.Input(batch_shape=(2, 4)), layers.Dense(3)])
    said = config(model, tmp_path)
    assert "max_batch_size: 0\n" in said and "dims: [2, 4]" in said and "dynamic" not in said


def test_what_is_refused(tmp_path: Path) -> None:
    model = models.made("lstm")
    for name, value in (("version", 0), ("version", "1"), ("max_batch_size", 1.5)):
        with pytest.raises(ValueError, match=f"`{name}` must be an integer from 1. Received: "):
            config(model, tmp_path, **{name: value})
    x = cornu.Input(batch_shape=(2, 4, 3))
    with pytest.raises(NotImplementedError, match="must not change its variables"):
        config(cornu.Model(x, layers.LSTM(2, stateful=True)(x)), tmp_path)
    assert not list(tmp_path.iterdir())
    (tmp_path / "notes.txt").touch()
    with pytest.raises(FileExistsError, match=r"a folder with 'notes.txt'"):
        model.export(tmp_path, format="triton", verbose=False)


def test_what_fails_leaves_other_versions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = config(models.made("lstm"), tmp_path)
    wrong = lambda *_: [np.zeros((1, 2), "float32")]  # noqa: E731
    monkeypatch.setattr("cornu.export._checking._reference", wrong)
    with pytest.raises(ValueError, match="differs by|of shape"):
        config(models.made("cnn"), tmp_path, version=2)
    assert (tmp_path / "model" / "config.pbtxt").read_text() == before
    assert sorted(x.name for x in (tmp_path / "model").iterdir()) == ["1", "config.pbtxt"]
