"""Exported files in fewer bits: what is stored, how far outputs move, what is refused."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import cornu
from cornu import layers, optimization
from cornu.core import tree
from cornu.core.transforms import FAKE, Transform
from cornu.export import measuring
from cornu.quantizers import fake_quant_with_min_max_vars
from tests.export import models
from tests.export.test_files import assert_same, ran, written

#: The largest error of an output, as a share of its largest number.
LIMITS = {"int8": 0.02, "dynamic": 0.04, "float16": 1e-3, "int4": 0.05}
FIRST = "DequantizeLinear"


def arrays(path: Path) -> dict[str, np.ndarray]:
    return {x.name: onnx.numpy_helper.to_array(x) for x in onnx.load(path).graph.initializer}


def classifier() -> Any:
    cornu.utils.set_random_seed(0)
    kinds = [layers.Input((64,)), layers.Dense(16, activation="relu"), layers.Dense(3, "softmax")]
    model = cornu.Sequential(kinds)
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def data(count: int = 40) -> tuple[Any, Any]:
    generator = np.random.default_rng(0)
    return generator.normal(size=(count, 64)).astype("float32"), generator.integers(0, 3, count)


@pytest.mark.parametrize("kind", LIMITS)
@pytest.mark.parametrize("name", models.ALL)
def test_outputs_are_near(name: str, kind: str, tmp_path: Path) -> None:
    model, given = models.made(name), models.inputs(name, 16)
    more = {"representative_data": given} if kind == "int8" else {}
    path = written(model, tmp_path, quantize=kind, **more)
    onnx.checker.check_model(onnx.load(path), full_check=kind != "dynamic")
    for one, two in zip(
        ran(path, given), tree.flatten(model.predict(given, verbose=0)), strict=True
    ):
        assert np.abs(one - two).max() <= LIMITS[kind] * np.abs(two).max()


@pytest.mark.parametrize(
    ("target", "largest", "values"),
    [(None, 64, "uint8"), ("vnni", 127, "uint8"), ("arm", 127, "int8")],
)
def test_int8_is_of_the_kinds_that_cpus_multiply(
    target: str | None, largest: int, values: str, tmp_path: Path
) -> None:
    more = {"quantize": "int8", "representative_data": data()[0], "target": target}
    found = arrays(written(classifier(), tmp_path, **more))
    kernel = found["sequential/dense/kernel_quantized"]
    assert kernel.dtype == np.int8
    assert found["sequential/dense/kernel_scale"].shape == (16,)
    assert np.abs(kernel).max() == largest
    assert found["input_layer_zero_point"].dtype == values


def test_int8_leaves_what_stands_behind_the_last_product_float(tmp_path: Path) -> None:
    path = written(classifier(), tmp_path, quantize="int8", representative_data=data()[0])
    nodes = onnx.load(path).graph.node
    made = {name: node.op_type for node in nodes for name in node.output}
    (softmax,) = [node for node in nodes if node.op_type == "Softmax"]
    assert made[softmax.input[0]] == "Gemm"


def test_int4_has_a_scale_for_each_channel_and_32_rows(tmp_path: Path) -> None:
    path = written(classifier(), tmp_path, quantize="int4")
    found = [x for x in arrays(path).values() if x.dtype.name == "int4"]
    assert [x.shape for x in found] == [(64, 16), (16, 3)]
    nodes = [node for node in onnx.load(path).graph.node if node.op_type == FIRST]
    scales = [arrays(path)[node.input[1]].shape for node in nodes]
    assert scales == [(2, 16), (3,)]


def test_data_is_what_fit_takes(tmp_path: Path) -> None:
    model = models.made("two_and_two")
    left, right = models.inputs("two_and_two", 8)
    batches = [([left[i : i + 4], right[i : i + 4]], None) for i in (0, 4)]
    contents = [
        written(model, tmp_path, quantize="int8", representative_data=given).read_bytes()
        for given in ([left, right], (x for x in batches))
    ]
    assert contents[0] == contents[1]


def test_ranges_are_of_all_data(tmp_path: Path) -> None:
    x = data(20)[0]
    x[0] *= 100
    more = {"quantize": "int8", "representative_data": ((x[i : i + 1],) for i in range(16))}
    (scale,) = (
        v
        for k, v in arrays(written(classifier(), tmp_path, **more)).items()
        if k == "input_layer_scale"
    )
    assert scale > np.abs(x).max() / 255


def test_it_says_what_it_cost(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    handlers, (x, y) = list(logging.root.handlers), data()
    model = classifier()
    wanted = model.evaluate(x, y, verbose=0)[1]
    more = {"representative_data": x[:10], "validation": (x, y), "max_drop": 1}
    model.export(tmp_path / "model.onnx", quantize="int8", **more)
    told = capsys.readouterr().out
    for words in ("int8:", "zipped", "ms on one thread", "accuracy", f"{wanted:.4g} to", " dB"):
        assert words in told
    assert logging.root.handlers == handlers


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"quantize": "int3"}, "`quantize` must be one of"),
        ({"quantize": "int8", "target": "x86"}, "`target` must be one of"),
        ({"quantize": "int8"}, "Ranges of 8 bits are found on data"),
        ({"validation": data()}, "`validation` goes with `quantize`"),
        ({"quantize": "int4", "max_drop": 0.1}, "`max_drop` is of a metric on data"),
        (
            {"quantize": "int4", "max_drop": "1", "validation": data()},
            "`max_drop` must be a number",
        ),
        ({"quantize": "int4", "max_drop": 1, "validation": data()[0]}, "without `y`"),
        ({"quantize": "int4", "max_drop": 1, "validation": data(0)}, "at least one batch"),
        ({"quantize": "int8", "representative_data": data(0)}, "without a batch"),
        ({"quantize": "int8", "representative_data": data()[0] * np.inf}, "NaN or infinities"),
        (
            {"quantize": "int8", "representative_data": data()[0][:, :2]},
            "shapes of the model's inputs",
        ),
        ({"quantize": "int8", "representative_data": [data()[0]] * 2}, "2 arrays"),
        ({"quantize": "int4", "external_data": True}, "holds its weights"),
        (
            {"quantize": "int4", "max_drop": -2, "validation": data()},
            r"keep the first metric within `max_drop`. Received: accuracy .* max_drop=-2.*dense",
        ),
    ],
)
def test_what_is_refused_leaves_no_file(options: Any, words: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=words):
        written(classifier(), tmp_path, **options)
    assert not os.listdir(tmp_path)


def test_data_by_names_is_in_the_models_order() -> None:
    inputs = [layers.Input((1,), name=name) for name in ("late", "early")]
    model = cornu.Model(inputs, layers.Subtract()(inputs))
    given = {"early": np.zeros(3), "late": np.ones(3), "more": np.ones(3)}
    for x in (given, [np.ones((3, 1)), np.zeros((3, 1))]):
        ((found, *_),) = measuring.feeds(model.input, x)
        assert found["late"].tolist() == [[1.0]] * 3 and not found["early"].any()
    with pytest.raises(ValueError, match=r"inputs \['late', 'early'\].*Add \['late'\]"):
        next(measuring.feeds(model.input, {"early": np.zeros(3)}))


@pytest.mark.parametrize(
    ("metric", "lost"), [("accuracy", 0.5), ("mae", -0.5), (lambda y, p: p[:, 0], 0.5)]
)
def test_which_way_is_worse(metric: Any, lost: float) -> None:
    model = classifier()
    model.compile("sgd", "mse", metrics=[metric])
    x, y = data()
    model.evaluate(x, np.eye(3)[y], verbose=0)
    name = list(model.get_metrics_result())[1]
    rows = [measuring.Measured(1, 1, 1.0, {name: score}) for score in (0.75, 0.25)]
    assert measuring.drop(model, *rows) == (name, lost)


def test_a_metric_is_needed(tmp_path: Path) -> None:
    model = classifier()
    model.compile("sgd", "sparse_categorical_crossentropy")
    with pytest.raises(ValueError, match="needs a model compiled with metrics"):
        written(model, tmp_path, quantize="int4", validation=data(), max_drop=0)


# ------------------------------------------------------- numbers that were rounded in training


class Rounded(Transform):
    """A weight, channel by channel, or what passes through a layer, rounded as in training."""

    order = FAKE

    def __init__(self, num_bits: int = 8, low: float = -1, high: float = 1, **options: Any) -> None:
        super().__init__()
        self.options = {**options, "num_bits": num_bits}
        self.ends = np.float32(low), np.float32(high)

    def build(self, owner: Any, variable: Any) -> None:
        ends = self.ends
        if variable is not None:
            size = np.abs(variable.numpy()).max(tuple(range(len(variable.shape) - 1)))
            ends = -size, size
        for name, end in zip(("min", "max"), ends, strict=True):
            self.part(name, end.shape, end)

    def value(self, stored: Any) -> Any:
        ends = [self.parts[name].value for name in ("min", "max")]
        return fake_quant_with_min_max_vars(stored, *ends, **self.options)


@pytest.mark.parametrize("narrow", [False, True])
@pytest.mark.parametrize("bits", [2, 4, 8])
@pytest.mark.parametrize(("low", "high"), [(-1.3, 2.2), (0, 6), (-1, 1), (-3.7, 0.01)])
def test_what_is_rounded_is_so_in_the_file(
    low: float, high: float, bits: int, narrow: bool, tmp_path: Path
) -> None:
    x = cornu.Input((100,))
    layer = layers.Activation("linear")
    model = cornu.Model(x, layer(x))
    layer.add_transform("outputs", Rounded(bits, low, high, narrow_range=narrow))
    path = written(model, tmp_path)
    kinds = [node.op_type for node in onnx.load(path).graph.node]
    assert kinds[-2:] == ["QuantizeLinear", FIRST] and len(kinds) <= 3
    given = np.random.default_rng(0).normal(0, 2, (100, 100)).astype("float32")
    with cornu.backend.use("numpy"):
        wanted = model.predict(given, verbose=0)
    # Of 10,000 numbers one may lie in the middle between two steps, by one way to compute it.
    assert np.count_nonzero(ran(path, given)[0] != wanted) <= 1


@pytest.mark.parametrize(
    ("opset", "bits", "dtype"), [(17, 8, "int8"), (17, 3, "int8"), (21, 4, "int4")]
)
@pytest.mark.parametrize("name", models.ALL)
def test_weights_are_codes(name: str, opset: int, bits: int, dtype: str, tmp_path: Path) -> None:
    model = models.made(name)
    rounded = 0
    for layer in model._flatten_layers():
        for variable in [x for x in vars(layer).values() if isinstance(x, cornu.Variable)]:
            if variable.ndim > 1:
                layer.add_transform(variable, Rounded(bits, narrow_range=True))
                rounded += 1
    path = written(model, tmp_path, opset_version=opset, ir_version=10)  # checked against the model
    found = [x for x in arrays(path).values() if x.ndim > 1 and x.dtype == dtype]
    assert len(found) == rounded
    onnx.checker.check_model(onnx.load(path), full_check=True)


@pytest.mark.parametrize("name", ["cnn", "lstm", "transformer"])
def test_a_model_that_was_trained_rounded_is_a_file_of_integers(name: str, tmp_path: Path) -> None:
    model = optimization.quantize_model(models.made(name))
    path = written(model, tmp_path)  # checked against the model
    kernels = {key: x for key, x in arrays(path).items() if "/kernel" in key and x.ndim > 1}
    assert kernels and {x.dtype.name for x in kernels.values()} == {"int8"}
    assert "QuantizeLinear" in {node.op_type for node in onnx.load(path).graph.node}


def test_a_normalization_is_in_the_scales_of_codes(tmp_path: Path) -> None:
    kinds = [layers.Conv2D(4, 3, use_bias=False), layers.BatchNormalization(), layers.ReLU()]
    model = cornu.Sequential([layers.Input((6, 6, 2)), *kinds])
    generator = np.random.default_rng(0)
    for weight in model.layers[1].weights:
        weight.assign(generator.uniform(0.5, 2, weight.shape))
    model.layers[1].gamma.assign([1.0, -1.0, 0.5, -2.0])
    nodes = onnx.load(written(optimization.quantize_model(model), tmp_path)).graph.node
    assert "BatchNormalization" not in {node.op_type for node in nodes}  # checked against the model
    assert [len(node.input) for node in nodes if node.op_type == "Conv"] == [3]


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        ("transformer", "int8"),
        ("bidirectional_gru", "int8"),
        ("bidirectional_gru", "int4"),
        ("cnn", "int4"),
        ("two_and_two", "int4"),
    ],
)
def test_a_quantized_model_is_a_file_of_its_codes(name: str, mode: str, tmp_path: Path) -> None:
    """As they are stored: of 8 bits, or two of 4 in a byte, which runtimes of version 17 have no dtype for."""
    model = models.made(name)
    model.quantize(mode)
    path = written(model, tmp_path)  # checked against the model
    kept = [v.numpy() for v in model.weights if v.dtype == "int8" and "zero" not in v.name]
    found = [x for x in arrays(path).values() if x.dtype == np.int8]
    assert kept and all(any(np.array_equal(x, code) for x in found) for code in kept)
    given = models.inputs(name, 3)
    assert_same(ran(path, given), model.predict(given, verbose=0))


def test_products_of_8_bit_floats_are_those_of_the_file(tmp_path: Path) -> None:
    model, given = models.made("two_and_two"), models.inputs("two_and_two", 3)
    model.quantize("float8")
    path = written(model, tmp_path, opset_version=19, ir_version=9)
    assert_same(ran(path, given), model.predict(given, verbose=0))
    with pytest.raises(ValueError, match="came with version 19 .* opset_version=17"):
        written(model, tmp_path)


@pytest.mark.parametrize("half", [False, True])
def test_transforms_are_computed_once(half: bool, tmp_path: Path) -> None:
    model = models.made("transformer")
    plain = [node.op_type for node in onnx.load(written(model, tmp_path)).graph.node]
    optimization.prune_low_magnitude(model)
    optimization.cluster_weights(model, 4)
    model.enable_lora(2, targets="*/query/kernel")
    path = written(model, tmp_path, float16=half)  # checked against the model
    kinds = [node.op_type for node in onnx.load(path).graph.node]
    assert [kind for kind in kinds if kind != "Cast"] == plain
    size = len(np.unique(arrays(path)["dense_1/kernel"]))
    assert size <= 4


def test_convolutions_add_their_biases(tmp_path: Path) -> None:
    random = {"bias_initializer": "uniform"}
    kinds = [layers.Input((6, 6, 2)), layers.Conv2D(3, 3, **random), layers.Conv2D(3, 1, **random)]
    nodes = onnx.load(written(cornu.Sequential(kinds), tmp_path)).graph.node
    assert [(x.op_type, len(x.input)) for x in nodes if x.op_type in ("Conv", "Add")] == [
        ("Conv", 3)
    ] * 2
