"""Files of LiteRT: names and free dimensions; loops and branches; what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

import cornu
from cornu import layers, ops, optimization
from cornu.core import tree
from cornu.engines.litert import flatbuffer
from tests.export import models


def written(model: Any, folder: Path, **options: Any) -> Path:
    path = folder / "model.tflite"
    model.export(path, verbose=False, **options)
    return path


def ran(path: Path, data: Any, threads: int = 1) -> dict[str, np.ndarray]:
    runner = Interpreter(str(path), num_threads=threads).get_signature_runner("serving_default")
    names = list(runner.get_input_details())
    return runner(**dict(zip(names, tree.flatten(data), strict=True)))


def kinds(path: Path) -> list[str]:
    """The operations of a file, those of all its graphs."""
    numbers = {number: kind for kind, number in vars(schema.BuiltinOperator).items()}
    model = schema.ModelT.InitFromPackedBuf(path.read_bytes())
    codes = [numbers[code.builtinCode] for code in model.operatorCodes]
    return [codes[op.opcodeIndex] for graph in model.subgraphs for op in graph.operators]


def assert_same(path: Path, model: Any, data: Any, tolerance: float = 1e-5) -> None:
    wanted = tree.flatten(model.predict(data, verbose=0))
    for one, two in zip(ran(path, data).values(), wanted, strict=True):
        np.testing.assert_allclose(one, two, tolerance, tolerance)


@pytest.mark.parametrize("name", ["lstm", "transformer"])
def test_batch_and_time_are_free(name: str, tmp_path: Path) -> None:
    model = models.made(name)
    path = written(model, tmp_path)
    (given,) = Interpreter(str(path)).get_input_details()
    assert given["shape_signature"].tolist()[:2] == [-1, -1]
    for size, length in ((1, 3), (4, 11)):
        data = np.random.default_rng(0).normal(size=(size, length, given["shape"][2]))
        assert_same(path, model, data.astype("float32"), 1e-4)


def test_names(tmp_path: Path) -> None:
    model = models.made("two_and_two")
    path = written(model, tmp_path)
    signatures = Interpreter(str(path)).get_signature_list()
    wanted = {"inputs": ["left", "right"], "outputs": ["total", "share"]}
    assert {key: sorted(x) for key, x in signatures["serving_default"].items()} == {
        key: sorted(x) for key, x in wanted.items()
    }
    data = models.inputs("two_and_two", 2)
    found, (total, share) = ran(path, data), model.predict(data, verbose=0)
    np.testing.assert_allclose(found["total"], total, 1e-5)
    np.testing.assert_allclose(found["share"], share, 1e-5)


def test_factors_biases_and_activations_are_parts_of_operations(tmp_path: Path) -> None:
    path = written(models.made("cnn"), tmp_path)
    assert kinds(path) == [
        *("CONV_2D", "MUL", "ADD", "DEPTHWISE_CONV_2D"),
        *("MAX_POOL_2D", "RESHAPE", "FULLY_CONNECTED", "SOFTMAX"),
    ]  # of the batch normalization behind an activation, whose factors can't go before that
    model = cornu.Sequential(
        [layers.Input((5, 5, 2)), layers.Conv2D(3, 2), layers.BatchNormalization(), layers.ReLU()]
    )
    weights = [np.random.default_rng(1).uniform(0.3, 1, x.shape) for x in model.weights]
    model.set_weights(weights)
    path = written(model, tmp_path)
    assert kinds(path) == ["CONV_2D"]
    assert_same(path, model, np.random.default_rng(2).normal(size=(2, 5, 5, 2)).astype("float32"))


def test_weights_of_sixteen_bits(tmp_path: Path) -> None:
    model = cornu.Sequential([layers.Input((40, 32)), layers.LSTM(64), layers.Dense(10)])
    plain = written(model, tmp_path).stat().st_size
    path = written(model, tmp_path, quantize="float16")
    assert path.stat().st_size < 0.6 * plain
    data = np.random.default_rng(0).normal(size=(2, 40, 32)).astype("float32")
    assert_same(path, model, data, 1e-2)


#: The largest error of an output in fewer bits, as a share of its largest number.
LIMITS = {"int8": 0.04, "dynamic": 0.04, "float16": 1e-3}


@pytest.mark.parametrize("kind", LIMITS)
@pytest.mark.parametrize("name", models.ALL)
def test_fewer_bits(name: str, kind: str, tmp_path: Path) -> None:
    model, given = models.made(name), models.inputs(name, 16)
    more = {"representative_data": given} if kind == "int8" else {}
    if (name, kind) == ("lstm", "int8"):
        with pytest.raises(
            NotImplementedError, match="within loops and branches. Received: 2 graphs"
        ):
            written(model, tmp_path, quantize=kind, **more)
        assert not list(tmp_path.iterdir())
        return
    contents = [written(model, tmp_path, quantize=kind, **more).read_bytes() for _ in range(2)]
    assert contents[0] == contents[1]
    found = ran(tmp_path / "model.tflite", given)
    wanted = tree.flatten(model.predict(given, verbose=0))
    for output, two in zip(model._output_names(), wanted, strict=True):
        assert found[output].dtype == np.float32
        assert np.abs(found[output] - two).max() <= LIMITS[kind] * np.abs(two).max()


@pytest.mark.parametrize("name", models.ALL)
def test_what_was_trained_rounded_is_a_file_of_integers(name: str, tmp_path: Path) -> None:
    path = written(optimization.quantize_model(models.made(name)), tmp_path)  # checked
    graphs = schema.ModelT.InitFromPackedBuf(path.read_bytes()).subgraphs
    kernels = [x for graph in graphs for x in graph.tensors if b"/kernel" in x.name and x.buffer]
    large = [x for x in kernels if len(x.shape) > 1]
    assert large and {x.type for x in large} == {schema.TensorType.INT8}
    assert {"QUANTIZE", "DEQUANTIZE"} <= set(kinds(path))


def test_what_stands_between_integers_is_in_integers(tmp_path: Path) -> None:
    kinds_ = [layers.Conv2D(4, 3, use_bias=False), layers.BatchNormalization(), layers.ReLU()]
    more = [layers.MaxPooling2D(2), layers.Flatten(), layers.Dense(5, "relu"), layers.Dense(3)]
    model = cornu.Sequential([layers.Input((8, 8, 2)), *kinds_, *more])
    generator = np.random.default_rng(0)
    for weight in model.weights:
        weight.assign(generator.uniform(0.5, 2, weight.shape))
    model.layers[1].gamma.assign([1.0, -1.0, 0.5, -2.0])
    path = written(optimization.quantize_model(model), tmp_path)  # checked against the model
    found = [kind for kind in kinds(path) if "QUANTIZE" not in kind]
    assert found == ["CONV_2D", "MAX_POOL_2D", "RESHAPE", "FULLY_CONNECTED", "FULLY_CONNECTED"]
    graph = schema.ModelT.InitFromPackedBuf(path.read_bytes()).subgraphs[0]
    types = [graph.tensors[op.outputs[0]].type for op in graph.operators]
    assert types.count(schema.TensorType.INT8) == 5  # one that rounds the input, four that compute


def test_long_loops_are_graphs_that_take_what_they_read(tmp_path: Path) -> None:
    x, scale = cornu.Input((40, 3)), cornu.Input((3,))

    class Sums(layers.Layer):
        def call(self, x: Any, scale: Any) -> Any:
            def turn(carry: Any, row: Any) -> Any:
                total = carry + ops.tanh(row) * scale
                return total, total * scale

            last, rows = ops.scan(turn, scale, ops.transpose(x, (1, 0, 2)), reverse=True)
            return last, rows

    model = cornu.Model([x, scale], Sums()(x, scale))
    path = written(model, tmp_path)
    assert "WHILE" in kinds(path)
    generator = np.random.default_rng(0)
    data = [generator.normal(size=size).astype("float32") for size in ((2, 40, 3), (2, 3))]
    assert_same(path, model, data)


def test_loops_and_branches_within_each_other(tmp_path: Path) -> None:
    class Halved(layers.Layer):
        def call(self, x: Any) -> Any:
            size = ops.sum(ops.abs(x))

            def body(turn: Any, x: Any) -> Any:
                halved = ops.cond(turn > 1, lambda: x * size / 10, lambda: x / 2)
                return turn + 1, halved

            return ops.while_loop(
                lambda turn, x: ops.logical_and(turn < 5, ops.sum(ops.abs(x)) > 0.1), body, (0, x)
            )[1]

    x = cornu.Input((3,))
    model = cornu.Model(x, Halved()(x))
    path = written(model, tmp_path)
    assert {"WHILE", "IF"} <= set(kinds(path))
    for factor in (0.01, 1, 3):
        assert_same(path, model, np.array([[1, -2, 3], [0.5, 1, 0]], "float32") * factor)


class Refused(layers.Layer):
    """A layer of one function."""

    def __init__(self, function: Any) -> None:
        super().__init__()
        self.function = function

    def call(self, x: Any) -> Any:
        return self.function(x)


REFUSED = {
    "doubles": (
        lambda x: ops.cast(x, "float64") * 2,
        r'Compute in float32 or int32, `ops.cast\(x, "float32"\)`',
    ),
    "decompositions": (lambda x: ops.linalg.cholesky(ops.eye(3) * x[0, 0]), "`cholesky`: LiteRT"),
    "wide integers": (
        lambda x: ops.argmax(ops.cast(x, "uint32")),
        "`ARG_MAX` of uint32: LiteRT",
    ),
    "complex outputs": (lambda x: ops.cast(x, "complex64"), "give an output of complex64"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused(case: str, tmp_path: Path) -> None:
    function, message = REFUSED[case]
    x = cornu.Input((3,))
    model = cornu.Model(x, Refused(function)(x))
    with pytest.raises(NotImplementedError, match=message):
        written(model, tmp_path)
    assert not list(tmp_path.iterdir())


def test_strings_are_refused(tmp_path: Path) -> None:
    x = cornu.Input((1,), dtype="string")
    model = cornu.Model(x, layers.StringLookup(vocabulary=["a", "b"])(x))
    with pytest.raises(NotImplementedError, match="layers of strings"):
        written(model, tmp_path)


def test_a_file_holds_less_than_two_gigabytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flatbuffer, "LIMIT", 1000)
    with pytest.raises(ValueError, match="less than 2 GiB. Received: 4,080 bytes"):
        written(cornu.Sequential([layers.Input((50,)), layers.Dense(20)]), tmp_path)


def test_the_package_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'cornu\[litert\]'"):
        written(models.made("cnn"), tmp_path)
