"""ExportArchive: functions of models as endpoints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cornu
from cornu import export, layers
from cornu.backend import use
from tests.engines_tested import ENGINES

ONE = [
    cornu.InputSpec(shape=(None, 3), dtype="float32"),
    cornu.InputSpec(shape=(None, 4), dtype="float32"),
]
X, Y = np.random.default_rng(0).normal(size=(2, 5, 4)).astype("float32")
GIVEN = [X[:, :3], Y]


def net() -> Any:
    a, b = cornu.Input((3,), name="a"), cornu.Input((4,), name="b")
    joined = layers.Concatenate()([a, layers.Dropout(0.5)(b)])
    model = cornu.Model([a, b], layers.Dense(2)(joined), name="net")
    model.compile("adam", "mse")
    return model


def archive(model: Any, format: str) -> Any:
    made = export.ExportArchive(format)
    made.track(model)
    made.add_endpoint("serve", model.call, [ONE])
    made.add_endpoint("parts", lambda a, b: {"sum": cornu.ops.sum(model([a, b]), axis=-1)}, ONE)
    return made


def test_onnx(tmp_path: Path) -> None:
    import onnxruntime

    model = net()
    wanted = model.predict(GIVEN, verbose=0)
    archive(model, "onnx").write_out(tmp_path / "out", verbose=False)
    for name, output in (("serve", wanted), ("parts", wanted.sum(-1))):
        session = onnxruntime.InferenceSession(tmp_path / "out" / f"{name}.onnx")
        names = [value.name for value in session.get_inputs()]
        assert names == ["input_0", "input_1"]
        (found,) = session.run(None, dict(zip(names, GIVEN, strict=True)))
        np.testing.assert_allclose(found, output, 1e-5, 1e-6)


@pytest.mark.skipif("tensorflow" not in ENGINES, reason="other engines were asked for")
@pytest.mark.parametrize("engine", ["jax", "tensorflow"])
def test_saved_model(engine: str, tmp_path: Path, capsys: Any) -> None:
    """Whichever engine is current; training draws anew at each call."""
    import tensorflow as tf

    with use(engine):
        model = net()
        wanted = model.predict(GIVEN, verbose=0)
        made = archive(model, "saved_model")
        made.add_endpoint("train", lambda a, b: model([a, b], training=True), ONE)
        made.add_variable_collection("optimizer_variables", model.optimizer.variables)
        made.write_out(tmp_path / "out")
        np.testing.assert_allclose(model.predict(GIVEN, verbose=0), wanted, 1e-6)
    assert "Exported" in capsys.readouterr().out
    read = tf.saved_model.load(str(tmp_path / "out"))
    np.testing.assert_allclose(read.serve(list(map(tf.constant, GIVEN))), wanted, 1e-5, 1e-6)
    np.testing.assert_allclose(read.parts(*GIVEN)["sum"], wanted.sum(-1), 1e-5, 1e-6)
    assert not np.allclose(read.train(*GIVEN), read.train(*GIVEN))
    assert list(read.signatures) == ["serve", "parts", "train", "serving_default"]
    assert {*read.signatures["train"].structured_input_signature[1]} == {"a", "b"}
    assert len(read.trainable_variables) == 2
    assert len(read.optimizer_variables) == len(model.optimizer.variables)


def test_a_signature_that_the_model_tells(tmp_path: Path) -> None:
    model, made = net(), export.ExportArchive("onnx")
    assert made.track_and_add_endpoint("serve", model, None) is model
    made.track(model)  # once more
    made.write_out(tmp_path, verbose=False)
    assert [path.name for path in tmp_path.iterdir()] == ["serve.onnx"]
    assert made.variables == model.variables and len(made.trainable_variables) == 2


def refused() -> list[tuple[Any, str]]:
    model, made = net(), export.ExportArchive
    return [
        (lambda: made("protobuf"), r"`format` must be one of \['saved_model', 'onnx'\]"),
        (lambda: made().write_out("out"), "must have endpoints. Received: none"),
        (lambda: made().track(3), "must be a layer or model that was built. Received: 3"),
        (lambda: made().track(layers.Dense(2)), "Call it on data first"),
        (lambda: made().add_endpoint("f", lambda x: x), r"Give `input_signature=\[InputSpec"),
        (
            lambda: archive(model, "onnx").add_endpoint("serve", model),
            "name='serve', which is taken",
        ),
        (
            lambda: made().add_endpoint("serve", model, jit=True),
            r"no such arguments. Received: \['jit'\]",
        ),
        (
            lambda: made("onnx").add_variable_collection("v", model.variables),
            "Write a 'saved_model'",
        ),
        (lambda: made().add_variable_collection("v", [1]), r"variables=\[1\]"),
    ]


@pytest.mark.parametrize("number", range(9))
def test_what_is_refused(number: int) -> None:
    make, message = refused()[number]
    with pytest.raises(ValueError, match=message):
        make()
