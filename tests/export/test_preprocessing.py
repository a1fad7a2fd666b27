"""Layers that a file can't hold, written beside it (`test_node.py` runs them)."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cornu
from cornu import layers


def labelled() -> Any:
    text = cornu.Input((), dtype="string", name="text")
    return cornu.Model(text, layers.Embedding(3, 2)(layers.StringLookup(vocabulary=["a"])(text)))


def test_what_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    labelled().export(tmp_path / "m.onnx", preprocessing=tmp_path / "new" / "m.json")
    config = {"vocabulary": ["a"], "mask_token": None, "num_oov_indices": 1, "invert": False}
    layer = {"class_name": "StringLookup", "config": {**config, "output_mode": "int"}}
    written = json.loads((tmp_path / "new" / "m.json").read_text())
    assert written == {"text": {"dtype": "string", "shape": [None], "layers": [layer]}}
    told = capsys.readouterr().out
    assert "inputs" in told and "text (batch) int64" in told and "StringLookup" in told
    assert f'm.onnx", {{preprocessing: "{tmp_path}/new/m.json"}})' in told


def test_a_sequential_model(tmp_path: Path) -> None:
    stack = [layers.Input((None, None, 3)), layers.Rescaling(2), layers.Resizing(2, 2)]
    model = cornu.Sequential([*stack, layers.Rescaling(3), layers.Flatten()])
    model.export(tmp_path / "m.onnx", preprocessing=tmp_path / "m.json", verbose=False)
    (described,) = json.loads((tmp_path / "m.json").read_text()).values()
    assert [layer["class_name"] for layer in described["layers"]] == ["Rescaling", "Resizing"]


def around(
    *stack: Any, shape: tuple[int | None, ...] = (), dtype: str = "string"
) -> Callable[[], Any]:
    def make() -> Any:
        x = y = cornu.Input(shape, dtype=dtype, name="given")
        for layer in stack:
            y = layer(y)
        return cornu.Model(x, y * 1, name="m")

    return make


def shared() -> Any:
    text = cornu.Input((), dtype="string", name="text")
    found = [layers.StringLookup(vocabulary=[word])(text) for word in "ab"]
    return cornu.Model(text, found[0] + found[1], name="m")


REFUSED = [
    (around(layers.Dense(1), shape=(2,), dtype="float32"), ValueError,
     "`preprocessing` is for layers that a file can't hold: of strings, or that resize images of any size. "
     "Received: the model 'm', which begins with none. Leave it out."),
    (shared, NotImplementedError,
     "Layers before a model go from an input to one tensor. Received: the input 'text' of the model "
     "'m', which goes to more. Give each an input of its own."),
    (around(layers.Hashing(3, name="h")), NotImplementedError,
     "Layers before a model are those of ['IntegerLookup', 'Normalization', 'Rescaling', 'Resizing', 'StringLookup', "
     "'TextVectorization'], one after the other. Received: Hashing 'h'. Export what comes after it, "
     "`cornu.Model(layer.output, model.output)`, and call the layer before that."),
    (around(layers.StringLookup(vocabulary=["a"], num_oov_indices=2, name="s")), NotImplementedError,
     "A StringLookup before a model has `num_oov_indices` of [1]. Received: num_oov_indices=2 for 's'. "
     "Call the layer before the model."),
    (around(layers.TextVectorization(vocabulary=["a"], standardize=lambda x: x, name="t")), NotImplementedError,
     "A TextVectorization before a model has `standardize` of [None, 'lower', 'strip_punctuation', "
     "'lower_and_strip_punctuation']. Received: standardize=<function"),
    (around(layers.Resizing(2, 2, interpolation="bicubic", name="r"), shape=(None, None, 3), dtype="float32"),
     NotImplementedError,
     "A Resizing before a model has `interpolation` of ['bilinear', 'nearest']. Received: interpolation='bicubic'"),
    (around(layers.Normalization(axis=(1, 2), mean=np.ones((4, 3)), variance=np.ones((4, 3)), name="n"),
            layers.StringLookup(vocabulary=["a"]), shape=(4, 3), dtype="float32"),
     NotImplementedError,
     "A Normalization before a model has a mean for all, or for each place of the last axis. Received: means of shape"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "kind", "message"), REFUSED)
def test_what_is_refused(
    make: Callable[[], Any], kind: type[Exception], message: str, tmp_path: Path
) -> None:
    model = make()
    with pytest.raises(kind) as caught:
        model.export(tmp_path / "m.onnx", preprocessing=tmp_path / "m.json", verbose=False)
    assert str(caught.value).startswith(message)
    assert list(tmp_path.iterdir()) == []


def test_inputs_are_those_of_a_graph(tmp_path: Path) -> None:
    class Own(cornu.Model):
        def call(self, x: Any) -> Any:
            return x

    model = Own(name="m")
    with pytest.raises(
        ValueError, match="made from `Input`s. Received: the model 'm', which was not"
    ):
        model.export(tmp_path / "m.onnx", preprocessing=tmp_path / "m.json")
    with pytest.raises(ValueError, match="Received: input_signature=.*Leave one of them out"):
        labelled().export(tmp_path / "m.onnx", input_signature=[1], preprocessing="m.json")


def test_nothing_stays_beside_a_file_that_is_refused(tmp_path: Path) -> None:
    text = cornu.Input((2, 2), dtype="string", name="text")
    found = cornu.ops.cast(layers.StringLookup(vocabulary=["a"])(text), "float32")
    model = cornu.Model(text, cornu.ops.linalg.inv(found))
    with pytest.raises(NotImplementedError, match="inv"):
        model.export(tmp_path / "m.onnx", preprocessing=tmp_path / "m.json", verbose=False)
    assert list(tmp_path.iterdir()) == []
