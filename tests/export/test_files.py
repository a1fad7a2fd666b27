"""Exported files: names and free dimensions; what is refused, and what stays behind."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import cornu
from cornu import cli, engines, layers, ops
from cornu.core import tree
from cornu.engines.onnxruntime import open_session
from cornu.export import FORMATS, _checking, options_of
from tests.export import models


def written(model: Any, folder: Path, **options: Any) -> Path:
    path = folder / "model.onnx"
    model.export(path, verbose=False, **options)
    return path


def ran(path: Path, data: Any) -> list[np.ndarray]:
    session = open_session(str(path), threads=1)
    given = zip(session.get_inputs(), tree.flatten(data), strict=True)
    return session.run(None, {value.name: x for value, x in given})


def assert_same(found: Any, wanted: Any, tolerance: float = 1e-5) -> None:
    for one, two in zip(found, tree.flatten(wanted), strict=True):
        np.testing.assert_allclose(one, two, tolerance, tolerance)


@pytest.mark.parametrize("name", models.ALL)
def test_a_file_is_valid_and_gives_the_same(name: str, tmp_path: Path) -> None:
    model, data = models.made(name), models.inputs(name, 3)
    path = written(model, tmp_path)
    onnx.checker.check_model(path, full_check=True)
    with engines.use("numpy"):
        assert_same(ran(path, data), model.predict(data, verbose=0))


def test_an_export_moves_no_weights(tmp_path: Path) -> None:
    model = models.made("cnn")
    model(models.inputs("cnn", 1))
    before = [variable._held.container for variable in model.variables]
    written(model, tmp_path)
    assert all(v._held.container is x for v, x in zip(model.variables, before, strict=True))


@pytest.mark.parametrize("name", ["lstm", "transformer"])
def test_batch_and_time_are_free(name: str, tmp_path: Path) -> None:
    model = models.made(name)
    path = written(model, tmp_path)
    shape = onnx.load(path).graph.input[0].type.tensor_type.shape
    assert [dim.dim_param for dim in shape.dim[:2]] == ["batch", "series_1"]
    for size, length in ((1, 3), (4, 11)):
        data = np.random.default_rng(0).normal(size=(size, length, shape.dim[2].dim_value))
        data = data.astype("float32")
        assert_same(ran(path, data), model.predict(data, verbose=0))


def test_names(tmp_path: Path) -> None:
    graph = onnx.load(written(models.made("two_and_two"), tmp_path)).graph
    assert [x.name for x in graph.input] == ["left", "right"]
    assert [x.name for x in graph.output] == ["total", "share"]
    assert {"total/kernel", "total/bias"} <= {x.name for x in graph.initializer}
    # Also where operations within would have them.
    graph = onnx.load(written(models.made("transformer"), tmp_path)).graph
    assert [x.name for x in graph.output] == ["add_1"]


def test_native_operations(tmp_path: Path) -> None:
    wanted = {
        "cnn": "Conv BatchNormalization Clip MaxPool Softmax",
        "lstm": "LSTM",
        "bidirectional_gru": "GRU",
        "transformer": "LayerNormalization Softmax Erf",
    }
    for name, kinds in wanted.items():
        nodes = onnx.load(written(models.made(name), tmp_path)).graph.node
        assert set(kinds.split()) <= {node.op_type for node in nodes}
        # Channels go first once, and last once, for the whole of a network.
        assert name != "cnn" or sum(node.op_type == "Transpose" for node in nodes) == 2


def test_what_is_known_stands_in_the_file_as_numbers(tmp_path: Path) -> None:
    class Scaled(layers.Layer):
        def call(self, x: Any) -> Any:
            steps = ops.cumsum(ops.sqrt(ops.arange(1, 5, dtype="float32")))
            return x * steps[::-1] / ops.max(steps)

    x = cornu.Input((4,))
    nodes = onnx.load(written(cornu.Model(x, Scaled()(x)), tmp_path)).graph.node
    assert [node.op_type for node in nodes] == ["Mul", "Div"]


def test_opset_and_half(tmp_path: Path) -> None:
    model = models.made("transformer")
    plain = written(model, tmp_path).stat().st_size
    path = written(model, tmp_path, opset_version=20, float16=True)
    loaded = onnx.load(path)
    assert loaded.opset_import[0].version == 20
    assert "Gelu" in {node.op_type for node in loaded.graph.node}
    assert path.stat().st_size < plain
    data = models.inputs("transformer", 2)
    assert_same(ran(path, data), model.predict(data, verbose=0), 2e-2)


def test_data_outside_the_file(tmp_path: Path) -> None:
    model = cornu.Sequential([layers.Input((30,)), layers.Dense(20)])
    path = written(model, tmp_path, external_data=True)
    assert (tmp_path / "model.onnx.data").stat().st_size == 30 * 20 * 4
    data = np.ones((2, 30), "float32")
    assert_same(ran(path, data), model.predict(data, verbose=0))


def test_a_crash_leaves_the_old_data_to_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = cornu.Sequential([layers.Input((30,)), layers.Dense(20)])
    path = written(model, tmp_path, external_data=True)
    data, replace = np.ones((2, 30), "float32"), os.replace
    before, wanted = sorted(os.listdir(tmp_path)), model.predict(data, verbose=0)
    model.set_weights([weight + 1 for weight in model.get_weights()])

    def crash(draft: str, target: str) -> None:
        if target.endswith(".onnx"):
            raise KeyboardInterrupt
        replace(draft, target)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr("os.replace", crash)
        written(model, tmp_path, external_data=True)
    assert_same(ran(path, data), wanted)
    for _ in range(2):
        assert_same(
            ran(written(model, tmp_path, external_data=True), data),
            model.predict(data, verbose=0),
        )
    assert len(os.listdir(tmp_path)) == len(before)


def test_a_class_of_ones_own(tmp_path: Path) -> None:
    class Model(cornu.Model):
        def __init__(self) -> None:
            super().__init__()
            self.dense = layers.Dense(3)

        def call(self, x: Any) -> Any:
            y = self.dense(x)
            return {"sum": ops.sum(y, axis=-1) + 1, "largest": y[:, :2] * 2.0 - y[:, 1:]}

    model, data = Model(), np.ones((2, 4), "float32")
    with pytest.raises(ValueError, match="input_signature"):
        written(model, tmp_path)
    wanted = model.predict(data, verbose=0)
    assert_same(ran(written(model, tmp_path), data), wanted)
    signature = [cornu.InputSpec(shape=(None, 4), dtype="float32")]
    assert_same(ran(written(model, tmp_path, input_signature=signature), data), wanted)


def test_outputs_in_a_dictionary_keep_their_keys(tmp_path: Path) -> None:
    x = cornu.Input((4,))
    outputs = {"up": layers.Dense(2)(x), "deep": {"low": x + 1, "high": layers.ReLU()(x)}}
    graph = onnx.load(written(cornu.Model(x, outputs), tmp_path)).graph
    assert [output.name for output in graph.output] == ["deep_high", "deep_low", "up"]


def test_a_model_built_on_data_takes_any_batch(tmp_path: Path) -> None:
    model = cornu.Sequential([layers.Dense(3), layers.Dropout(0.5), layers.Dense(2)])
    model(np.ones((2, 5), "float32"))
    data = np.ones((7, 5), "float32")
    assert_same(ran(written(model, tmp_path), data), model.predict(data, verbose=0))


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "float64"])
def test_policies(policy: str, tmp_path: Path) -> None:
    cornu.config.set_dtype_policy(policy)
    try:
        model = models.made("cnn")
    finally:
        cornu.config.set_dtype_policy("float32")
    (found,) = ran(written(model, tmp_path), models.inputs("cnn", 2))
    with engines.use("numpy"):
        wanted = model.predict(models.inputs("cnn", 2), verbose=0)
    np.testing.assert_allclose(found, wanted.astype(found.dtype), atol=1e-2)


def test_images_of_any_size(tmp_path: Path) -> None:
    x = cornu.Input((None, None, 3))
    y = layers.Conv2D(4, 3, strides=2, padding="same", activation="relu")(x)
    y = layers.Conv2DTranspose(3, 3, strides=2, padding="same")(layers.MaxPooling2D(2)(y))
    model = cornu.Model(x, layers.Conv2D(1, 3, padding="same")(layers.UpSampling2D()(y)))
    path = written(model, tmp_path)
    for height, width in ((8, 12), (11, 9)):
        data = np.random.default_rng(0).normal(size=(2, height, width, 3)).astype("float32")
        assert_same(ran(path, data), model.predict(data, verbose=0))


def test_a_loop_a_branch_and_a_mask(tmp_path: Path) -> None:
    class Halve(layers.Layer):
        def call(self, x: Any) -> Any:
            small = ops.while_loop(
                lambda y: ops.max(ops.abs(y)) > 1.0, lambda y: (y * 0.5,), (x * 8.0,)
            )[0]
            return ops.cond(ops.sum(small) > 0, lambda: small + 1.0, lambda: small - 1.0)

    x = cornu.Input((5, 3))
    masked = layers.LSTM(2)(layers.Masking()(Halve()(x)))
    model = cornu.Model(x, masked)
    path = written(model, tmp_path)
    for sign in (1, -1):
        data = (sign * np.random.default_rng(1).uniform(0, 3, (2, 5, 3))).astype("float32")
        assert_same(ran(path, data), model.predict(data, verbose=0))


# ------------------------------------------------------------- refusals and remains


def test_a_mismatch_is_an_error_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(models.made("cnn"), tmp_path)
    before = path.read_bytes()
    wrong = lambda *_: [np.zeros((size, 3), "float32") for size in (1,)]  # noqa: E731
    monkeypatch.setattr(_checking, "_reference", wrong)
    with pytest.raises(ValueError, match="differs by"):
        written(models.made("cnn"), tmp_path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["model.onnx"]


def test_state_is_refused(tmp_path: Path) -> None:
    x = cornu.Input(batch_shape=(2, 4, 3))
    model = cornu.Model(x, layers.LSTM(2, stateful=True)(x))
    with pytest.raises(NotImplementedError, match="must not change its variables"):
        written(model, tmp_path)
    assert not os.listdir(tmp_path)


def test_random_numbers_are_refused(tmp_path: Path) -> None:
    class Noise(layers.Layer):
        def call(self, x: Any) -> Any:
            return x + cornu.random.normal(ops.shape(x))

    x = cornu.Input((3,))
    with pytest.raises(NotImplementedError, match="`random_normal`"):
        written(cornu.Model(x, Noise()(x)), tmp_path)


def test_an_unknown_size_is_refused(tmp_path: Path) -> None:
    x = cornu.Input((None, None, 3))
    with pytest.raises(NotImplementedError, match=r"`image_resize` along an axis of unknown size"):
        written(cornu.Model(x, layers.Resizing(4, 4)(x)), tmp_path)


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("model.pb", {}, "must be one of"),
        ("model.onnx", {"format": "openvino"}, "must be one of"),
        ("model.onnx", {"opset_version": 9}, "from 17 to 28"),
        ("model.onnx", {"opset_version": "17", "quantize": "int4"}, "Received: opset_version='17'"),
        ("model.onnx", {"ir_version": "8"}, "`ir_version` must be a positive integer"),
        ("model.onnx", {"input_signature": [cornu.InputSpec(ndim=2)]}, "specs with a shape"),
    ],
)
def test_unknown_formats(name: str, options: Any, words: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=words):
        models.made("lstm").export(tmp_path / name, **options)


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = models.made("cnn")
    model.save(tmp_path / "model.keras")
    assert cli.main(["export", str(tmp_path / "model.keras"), str(tmp_path / "out.onnx")]) == 0
    assert "largest difference" in capsys.readouterr().out
    data = models.inputs("cnn", 2)
    assert_same(ran(tmp_path / "out.onnx", data), model.predict(data, verbose=0))
    assert cli.main(["export", str(tmp_path / "none.keras"), str(tmp_path / "out.onnx")]) == 1
    assert cli.main(["export", str(tmp_path / "model.keras"), f"{tmp_path}/out.onnx/a.onnx"]) == 1
    assert "a folder that is there, or can be made" in capsys.readouterr().err
    assert cli.main(["export", str(tmp_path / "model.keras"), str(tmp_path / "out.xyz")]) == 1
    assert "must be one of" in capsys.readouterr().err


def test_the_command_has_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["export", "--help"])
    said = " ".join(capsys.readouterr().out.split())
    for name, row in FORMATS.items():
        for option in options_of(row.write):
            assert f"--{option.replace('_', '-')}" in said, (name, option)
    assert '"int8", "dynamic", "float16" or "int4": the file has fewer bits (onnx); ' in said


def test_the_command_writes_formats(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, (left, right) = models.made("two_and_two"), models.inputs("two_and_two", 8)
    model.compile("sgd", ["mse", "mse"], metrics=[["mae"], None])
    made = str(tmp_path / "two.keras")
    model.save(made)
    y_0, y_1 = model.predict([left, right], verbose=0)
    np.savez(tmp_path / "all.npz", left=left, right=right, y_0=y_0, y_1=y_1)
    np.savez(tmp_path / "x.npz", left=left, right=right)
    data, x = str(tmp_path / "all.npz"), str(tmp_path / "x.npz")

    def run(output: str, *options: str) -> str:
        code = cli.main(["export", made, str(tmp_path / output), *options])
        said = capsys.readouterr()
        assert bool(code) == bool(said.err), said
        return said.out + said.err

    assert "version" not in run("triton", "--format", "triton", "--version", "3", "--float16")
    assert (tmp_path / "triton" / "3" / "model.onnx").exists()
    assert "loadLayersModel" in run("layers", "--format=tfjs_layers", "--quantize", "uint8")
    assert "3 steps: largest" in run("step.onnx", "--format=onnx_training", "--examples", data)
    fewer = ("--quantize", "float16", "--max-drop", "0.1", "--validation")
    assert "mae" in run("out.onnx", *fewer, data)
    assert "Received: " in run("out.onnx", *fewer, x) and "as 'y', or 'y_0'" in run(
        "out.onnx", *fewer, x
    )
    assert "must be at least" not in run("out.onnx", "--opset", "18", "--examples", x)
    assert "Options of the format 'triton' are" in run("other", "--format=triton", "--title", "a")


def test_the_command_quantizes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made, bare = (str(tmp_path / f"{name}.keras") for name in ("cnn", "two_and_two"))
    models.made("cnn").save(made)
    models.made("two_and_two").save(bare)
    x, (left, right) = models.inputs("cnn", 8), models.inputs("two_and_two", 8)
    np.savez(tmp_path / "one.npz", anything=x)
    np.savez(tmp_path / "two.npz", right=right, left=left)
    np.save(tmp_path / "bare.npy", x)
    (tmp_path / "torn.npz").write_bytes((tmp_path / "one.npz").read_bytes()[:100])

    def run(model: str, *options: str) -> tuple[int, str]:
        code = cli.main(["export", model, str(tmp_path / "out.onnx"), *options])
        said = capsys.readouterr()
        return code, said.out + said.err

    int8 = ("--quantize", "int8", "--representative-data")
    for model, data in ((made, "one.npz"), (bare, "two.npz")):
        code, said = run(model, *int8, str(tmp_path / data))
        assert code == 0 and "int8: " in said, said
    assert run(made, "--quantize", "dynamic")[0] == 0
    for options, expected in (
        (("--quantize", "int8"), "Ranges of 8 bits are found on data"),
        (("--quantize", "int3"), "`quantize` must be one of"),
        ((*int8, str(tmp_path / "none.npz")), "No such file"),
        ((*int8, str(tmp_path / "bare.npy")), "reads no arrays by name"),
        ((*int8, str(tmp_path / "torn.npz")), "reads no arrays by name"),
    ):
        code, said = run(made, *options)
        assert code == 1 and expected in said, said
    assert cli.main(["export", made, str(tmp_path / "out.html"), "--quantize", "int4"]) == 1
    assert "Options of the format 'web' are ['title', " in capsys.readouterr().err
    code, said = run(bare, *int8, str(tmp_path / "one.npz"))
    assert code == 1 and "['left', 'right']. Received: " in said, said
    code, said = run(made, *int8, str(tmp_path / "two.npz"))
    assert code == 1 and "without ['image']" in said, said
