"""SavedModels and graph-models of TensorFlow.js: names, free dimensions, loops, strings; what is refused."""

from __future__ import annotations

import json
import os
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cornu
from cornu import layers, ops
from cornu.engines.graphdef import TensorFlowJsEngine
from cornu.engines.graphdef.graph import TensorFlowGraph
from cornu.engines.graphdef.operations import LACKS, OPERATIONS
from cornu.export import ExportArchive, _beside, _checking, _saved_model, _tfjs
from cornu.export._tfjs import write_graph_model
from cornu.export._tracing import trace
from tests.export import models
from tests.export.running import IN_NODE, MODULES

FORMATS = ["tf_saved_model", pytest.param("tfjs", marks=IN_NODE)]


class Here:
    """TensorFlow in this process, where tests have it already."""

    def load(self, folder: Path) -> None:
        import tensorflow as tf

        self.signature = tf.saved_model.load(str(folder)).signatures["serving_default"]

    def run(self, inputs: Any, outputs: Any) -> Any:
        import tensorflow as tf

        results = self.signature(**{name: tf.constant(x) for name, x in inputs.items()})
        return [results[name].numpy() for name in outputs]


@pytest.fixture(autouse=True)
def _runtimes(monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def here(command: Any) -> Any:
        yield Here()

    monkeypatch.setattr(_saved_model, "Beside", here)
    monkeypatch.setenv("NODE_PATH", str(MODULES))


def checked(model: Any, folder: Path, format: str, **options: Any) -> Path:
    """A folder that was written, and that its runtime has checked."""
    told: list[Any] = []
    with pytest.MonkeyPatch.context() as patch:
        for module in (_saved_model, _tfjs):
            patch.setattr(module, "report", lambda path, files, rows: told.extend(rows))
        model.export(folder / "out", format=format, **options)
    assert "largest difference" in dict(told)["checked"], told
    return folder / "out"


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("name", models.ALL)
def test_batch_and_time_are_free(name: str, format: str, tmp_path: Path) -> None:
    checked(models.made(name), tmp_path, format)


@pytest.mark.parametrize("quantize", ["float16", "uint8"])
@pytest.mark.parametrize("marked", [pytest.param(True, marks=IN_NODE)])
def test_fewer_bits(quantize: str, marked: bool, tmp_path: Path) -> None:
    plain, fewer = (
        (checked(models.made("cnn"), tmp_path, "tfjs", quantize=x) / "group1-shard1of1.bin")
        .stat()
        .st_size
        for x in (None, quantize)
    )
    assert fewer <= plain * {"float16": 0.55, "uint8": 0.45}[quantize]


def test_shards_hold_four_megabytes(tmp_path: Path) -> None:
    x = cornu.Input((1100,))
    model = cornu.Model(x, layers.Dense(1000)(x))
    write_graph_model(trace(model, None, TensorFlowJsEngine.for_file()), tmp_path)
    sizes = [path.stat().st_size for path in sorted(tmp_path.glob("*.bin"))]
    assert sizes == [1 << 22, 4 * 1101 * 1000 - (1 << 22)]
    manifest = json.loads((tmp_path / "model.json").read_text())["weightsManifest"]
    assert manifest[0]["paths"] == ["group1-shard1of2.bin", "group1-shard2of2.bin"]


def test_names_and_a_version(tmp_path: Path) -> None:
    import tensorflow as tf

    folder = checked(models.made("two_and_two"), tmp_path, "tf_saved_model", version=3)
    assert [path.name for path in folder.iterdir()] == ["3"]
    signature = tf.saved_model.load(str(folder / "3")).signatures["serving_default"]
    assert signature.structured_input_signature[1]["left"] == tf.TensorSpec((None, 4), name="left")
    assert sorted(signature.structured_outputs) == ["share", "total"]
    with tf.compat.v1.Session(graph=tf.Graph()) as session:  # as older servers load it
        meta = tf.compat.v1.saved_model.load(session, ["serve"], str(folder / "3"))
        assert sorted(meta.signature_def["serving_default"].inputs) == ["left", "right"]
    x = cornu.Input((2,), name="größe: 2")
    checked(cornu.Model(x, layers.Dense(1)(x)), tmp_path / "plain", "tf_saved_model")
    assert (tmp_path / "plain" / "out" / "saved_model.pb").is_file()


@pytest.mark.parametrize("format", FORMATS)
def test_a_loop_a_branch_and_a_mask(format: str, tmp_path: Path) -> None:
    class Collatz(layers.Layer):
        """How many steps the first number takes to 1; the numbers turned where that is odd."""

        def call(self, x: Any) -> Any:
            def step(n: Any, count: Any) -> Any:
                odd = ops.equal(ops.mod(n, 2), 1)
                return ops.where(odd, 3 * n + 1, n // 2), count + 1

            start = ops.abs(ops.cast(x[0, 0], "int32")) + 3
            _, count = ops.while_loop(lambda n, _: n > 1, step, (start, 0))
            turned = ops.cond(ops.equal(count % 2, 0), lambda: x, lambda: -x)
            return turned + ops.cast(count, "float32")

    x = cornu.Input((4,))
    checked(cornu.Model(x, Collatz()(x)), tmp_path, format)
    x = cornu.Input((None, 3))
    y = layers.Bidirectional(layers.LSTM(4, return_sequences=True))(layers.Masking()(x))
    checked(cornu.Model(x, y), tmp_path, format)


@pytest.mark.parametrize("format", FORMATS)
def test_images_of_any_size(format: str, tmp_path: Path) -> None:
    x = cornu.Input((None, None, 3))
    y = layers.Conv2D(4, 3, strides=2, padding="same")(x)
    y = layers.MaxPooling2D(3, 2, padding="same")(y)
    y = layers.AveragePooling2D(2, 1, padding="same")(layers.DepthwiseConv2D(3)(y))
    y = layers.Conv2DTranspose(3, 3, strides=2, padding="same")(y)
    checked(cornu.Model(x, layers.GlobalAveragePooling2D()(y)), tmp_path, format)


@pytest.mark.parametrize("format", FORMATS)
def test_look_ups_of_strings_and_numbers(format: str, tmp_path: Path) -> None:
    words, numbers = cornu.Input((3,), dtype="string"), cornu.Input((2,), dtype="int32")
    found = [
        layers.StringLookup(vocabulary=["a", "b", "\xe9"])(words),
        layers.IntegerLookup(vocabulary=[4, 7, 9])(numbers),
    ]
    checked(cornu.Model([words, numbers], found), tmp_path, format)


def test_a_program_that_fails_is_told() -> None:
    answers = "print('{}'); print('{\"error\": \"no such input\"}')"
    with _beside.Beside([sys.executable, "-c", answers]) as program:
        program.load(Path("here"))
        for said in ("no such input", "the process ended"):
            with pytest.raises(RuntimeError, match=f"A file that was exported must run.*{said}"):
                program.run({"x": np.zeros((1, 2), "float32")}, ["y"])


def test_without_a_runtime_the_check_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    for format, package in (("tfjs", "@tensorflow/tfjs"), ("tf_saved_model", "tensorflow-cpu")):
        models.made("cnn").export(tmp_path / format, format=format)
        said = " ".join(capsys.readouterr().out.split())
        assert f"install {package}, which checks each export" in said


def noise() -> Any:
    class Noise(layers.Layer):
        def call(self, x: Any) -> Any:
            return x + cornu.random.normal(ops.shape(x))

    x = cornu.Input((3,))
    return cornu.Model(x, Noise()(x))


def stateful() -> Any:
    x = cornu.Input(batch_shape=(2, 4, 3))
    return cornu.Model(x, layers.LSTM(2, stateful=True)(x))


def inverted() -> Any:
    x = cornu.Input((3, 3))
    return cornu.Model(x, ops.linalg.inv(x))


def sized() -> Any:
    x = cornu.Input((None, 4))
    return cornu.Model(x, ops.reshape(x, (ops.shape(x)[0], ops.shape(x)[1], 2, 2)))


def large() -> Any:
    x = cornu.Input((3,), dtype="int64")
    return cornu.Model(x, layers.IntegerLookup(vocabulary=[5, 1 << 40])(x))


@pytest.mark.parametrize(
    ("make", "format", "options", "kind", "words"),
    [
        (noise, "tf_saved_model", {}, NotImplementedError, "`random_normal`"),
        (sized, "tf_saved_model", {}, NotImplementedError, "that no input of the graph tells"),
        (stateful, "tfjs", {}, NotImplementedError, "must not change its variables"),
        (inverted, "tfjs", {}, NotImplementedError, "`inv`: TensorFlow.js has no decompositions"),
        (
            large,
            "tfjs",
            {},
            NotImplementedError,
            "TensorFlow.js has integers of 32 bits. Received",
        ),
        (models.cnn, "tfjs", {"quantize": "int4"}, ValueError, "`quantize` must be one of"),
        (models.cnn, "tf_saved_model", {"version": -1}, ValueError, "A version is a number from 0"),
        (models.cnn, "tf_saved_model", {"quantize": "int4"}, ValueError, "Options of the format"),
    ],
)
def test_what_is_refused(
    make: Any, format: str, options: Any, kind: Any, words: str, tmp_path: Path
) -> None:
    with pytest.raises(kind, match=words):
        make().export(tmp_path / "out", format=format, verbose=False, **options)
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize(
    ("format", "theirs"),
    [
        ("tf_saved_model", "letters.txt"),
        ("tf_saved_model", "assets"),
        ("tfjs", "letters.txt"),
        ("triton", "1/letters.txt"),
        (None, "assets"),
    ],
)
def test_what_no_export_wrote_is_kept(format: str | None, theirs: str, tmp_path: Path) -> None:
    kept = tmp_path / "out" / theirs
    kept.parent.mkdir(parents=True)
    kept.write_text("mine")
    model = models.made("cnn")
    archive = ExportArchive()
    archive.add_endpoint("serve", model)
    with pytest.raises(FileExistsError, match="takes the place of one of its kind alone"):
        if format is None:
            archive.write_out(tmp_path / "out")
        else:
            model.export(tmp_path / "out", format=format, verbose=False)
    assert [x for x in tmp_path.rglob("*") if x.is_file()] == [kept]


def test_a_mismatch_is_an_error_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_checking, "_reference", lambda *_: [np.zeros((1, 3), "float32")])
    with pytest.raises(ValueError, match="differs by"):
        models.made("cnn").export(tmp_path / "out", format="tf_saved_model", verbose=False)
    assert not os.listdir(tmp_path)


def test_the_table_of_operations_is_that_of_tensorflow() -> None:
    """The results of each operation, the attributes that are dtypes, and the dtypes that its kernels take."""
    from tensorflow.core.framework import types_pb2
    from tensorflow.python.framework import kernels, op_def_registry

    numbers = {name: getattr(types_pb2, x) for name, x in TensorFlowGraph.dtypes.items()}
    for kind, operation in OPERATIONS.items():
        known = op_def_registry.get(kind)
        assert operation.results == tuple(x.name for x in known.output_arg), kind
        typed = {x.name: x for x in known.attr if x.type in ("type", "list(type)") or x.name == "N"}
        given = operation.rules.keys() | ({"key_dtype", "value_dtype"} if "Hash" in kind else set())
        assert given == typed.keys(), kind
        if kind in LACKS and "T" in typed:
            allowed = set(typed["T"].allowed_values.list.type)
            made = set()
            for kernel in kernels.get_registered_kernels_for_op(kind).kernel:
                if kernel.device_type == "CPU":
                    made.update(
                        *(x.allowed_values.list.type for x in kernel.constraint if x.name == "T")
                    )
            taken = {name for name, number in numbers.items() if number in allowed & made}
            assert not taken & LACKS[kind], kind
