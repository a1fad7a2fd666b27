"""ONNX files that others wrote, read as models: numbers, training, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import helper, numpy_helper
from torch import nn

import cornu
from cornu import engines, layers, ops
from cornu.core import tree
from cornu.engines.onnxruntime import open_session
from cornu.export._onnx import onnx_bytes
from cornu.saving import load_model
from tests.export.tables import LAYER_ROWS, layer_model
from tests.saving.torch_networks import NETWORKS, SERIES, exported


def ran(path: str, inputs: dict[str, Any]) -> list[np.ndarray]:
    """What ONNX Runtime gives."""
    session = open_session(path, threads=1)
    return session.run(None, {value.name: inputs[value.name] for value in session.get_inputs()})


def given(model: Any, inputs: dict[str, Any]) -> list[np.ndarray]:
    """What a model gives for inputs by name."""
    outputs = model.predict(inputs if len(inputs) > 1 else next(iter(inputs.values())), verbose=0)
    return tree.flatten(outputs)


def assert_same(found: Any, wanted: Any) -> None:
    for one, two in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one, two, 1e-4, 1e-4)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_of_pytorch(name: str, tmp_path: Path) -> None:
    """The same numbers; it trains, is saved, and exported again."""
    path, inputs = exported(name, tmp_path), NETWORKS[name][1]
    with engines.use("numpy"):
        model = load_model(path)
        assert_same(given(model, inputs), ran(path, inputs))
        x = inputs if len(inputs) > 1 else next(iter(inputs.values()))
        y = np.array([0, 1, 2, 0])
        losses = cornu.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(cornu.optimizers.SGD(0.05), losses)
        before = model.evaluate(x, y, verbose=0)
        weights = [weight.numpy() for weight in model.trainable_weights]
        model.fit(x, y, verbose=0)
        assert model.evaluate(x, y, verbose=0) < before
        pairs = zip(model.trainable_weights, weights, strict=True)
        moved = [not np.array_equal(weight.numpy(), old) for weight, old in pairs]
        assert (
            np.mean(moved) > 0.9
        )  # but a key's bias, what the last step of time has of the one before
        wanted = given(model, inputs)
        model.save(tmp_path / "again.keras")
        assert_same(given(load_model(tmp_path / "again.keras"), inputs), wanted)
        model.export(tmp_path / "again.onnx", verbose=False)
        assert_same(ran(str(tmp_path / "again.onnx"), inputs), wanted)


def test_layers_and_their_names(tmp_path: Path) -> None:
    with engines.use("numpy"):
        found = {
            layer.name: type(layer) for layer in load_model(exported("mobilenet", tmp_path)).layers
        }
    assert found["squeeze"] is layers.Conv2D
    assert found["classifier.1"] is layers.Dense
    assert layers.DepthwiseConv2D in found.values()


def test_the_new_exporter_of_pytorch(tmp_path: Path) -> None:
    path, inputs = exported("bert", tmp_path, dynamo=True), NETWORKS["bert"][1]
    with engines.use("numpy"):
        assert_same(given(load_model(path), inputs), ran(path, inputs))


def test_batch_normalization_that_was_preserved_trains(tmp_path: Path) -> None:
    options = {"training": torch.onnx.TrainingMode.PRESERVE, "do_constant_folding": False}
    path, inputs = exported("resnet", tmp_path, **options), NETWORKS["resnet"][1]
    with engines.use("numpy"):
        model = load_model(path)
        assert_same(given(model, inputs), ran(path, inputs))
        norm = model.get_layer("layer1.bn1")
        assert isinstance(norm, layers.BatchNormalization)
        before = norm.moving_mean.numpy()
        model.compile("sgd", "mse")
        model.fit(inputs["image"], np.zeros((4, 5), "float32"), verbose=0)
        assert not np.array_equal(norm.moving_mean.numpy(), before)


class Twins(nn.Module):
    """Two inputs through the same layers."""

    def __init__(self) -> None:
        super().__init__()
        self.fc, self.conv = nn.Linear(6, 4, bias=False), nn.Conv1d(6, 6, 3, padding=1)

    def forward(self, a: Any, b: Any) -> Any:
        a, b = (self.fc(self.conv(x.transpose(1, 2)).transpose(1, 2)) for x in (a, b))
        return (a * b).sum(-1)


def test_layers_that_are_shared_stay_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = {"a": SERIES, "b": SERIES[::-1].copy()}
    monkeypatch.setitem(NETWORKS, "twins", (Twins, inputs, {0: "batch", 1: "time"}))
    path = exported("twins", tmp_path)
    with engines.use("numpy"):
        model = load_model(path)
        assert_same(given(model, inputs), ran(path, inputs))
        names = sorted(weight.path for weight in model.trainable_weights)
    assert names == ["conv/bias", "conv/kernel", "fc/kernel"]


def network_of_tensorflow(path: str) -> dict[str, Any]:
    """A convolutional network as tf2onnx writes it."""
    import tensorflow as tf
    import tf2onnx

    draw = np.random.default_rng(0).normal
    k1, k2, k3, b3 = (
        tf.Variable(draw(0, 0.3, shape).astype("float32"))
        for shape in ((3, 3, 3, 4), (3, 3, 4, 1), (64, 5), (5,))
    )
    scale, offset, mean, variance = (
        tf.Variable(np.abs(draw(size=4)).astype("float32")) for _ in range(4)
    )

    def network(x: Any) -> Any:
        x = tf.nn.conv2d(x, k1, 2, "SAME")
        x, *_ = tf.compat.v1.nn.fused_batch_norm(
            x, scale, offset, mean, variance, is_training=False
        )
        x = tf.nn.depthwise_conv2d(tf.nn.relu6(x), k2, (1, 1, 1, 1), "SAME")
        x = tf.reshape(tf.nn.max_pool2d(x, 2, 2, "VALID"), (-1, 64))
        return tf.nn.softmax(tf.matmul(x, k3) + b3)

    spec = [tf.TensorSpec((None, 16, 16, 3), name="image")]
    tf2onnx.convert.from_function(tf.function(network, spec), spec, opset=15, output_path=path)
    return {"image": draw(size=(4, 16, 16, 3)).astype("float32")}


def perceptron_of_sklearn(path: str) -> dict[str, Any]:
    """A classifier behind a scaler, with strings as classes, as skl2onnx writes it."""
    import skl2onnx
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    x = np.random.default_rng(0).normal(size=(40, 5)).astype("float32")
    names = np.array(["left", "middle", "right"])[(x[:, 0] > 0) * 1 + (x[:, 1] > 0)]
    network = MLPClassifier((8, 6), max_iter=3, random_state=0)
    model = make_pipeline(StandardScaler(), network).fit(x, names)
    options = {id(network): {"zipmap": False, "output_class_labels": False}}
    Path(path).write_bytes(skl2onnx.to_onnx(model, x[:1], options=options).SerializeToString())
    return {"X": x}


@pytest.mark.filterwarnings("ignore")  # of exporters
@pytest.mark.parametrize("write", [network_of_tensorflow, perceptron_of_sklearn])
def test_networks_of_other_libraries(write: Any, tmp_path: Path) -> None:
    inputs = write(path := str(tmp_path / "model.onnx"))
    with engines.use("numpy"):
        model = load_model(path)
        *_, wanted = ran(path, inputs)
        assert_same(given(model, inputs), [wanted])
        (x,) = inputs.values()
        y = np.random.default_rng(1).integers(0, 3, len(x))
        model.compile(cornu.optimizers.SGD(0.01), "sparse_categorical_crossentropy")
        before = model.evaluate(x, y, verbose=0)
        model.fit(x, y, batch_size=len(x), verbose=0)
        assert model.evaluate(x, y, verbose=0) < before


# ------------------------------------------------------------------ layers of Cornu


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int8", "int16", "int64", "float16", "float64"])
def test_inputs_of_every_dtype(dtype: str, tmp_path: Path, caplog: Any) -> None:
    """What an engine narrows is said."""
    x = cornu.Input((4,), dtype=dtype, name="x")
    path = tmp_path / "model.onnx"
    with engines.use("numpy"):
        model = cornu.Model(x, layers.Dense(2)(ops.cast(x, "float32")))
        model.export(path, verbose=False)
        numbers = np.array([[1, 0, 1, 1]], dtype)
        wanted = model.predict(numbers, verbose=0)
    with caplog.at_level("INFO", "cornu"):
        found = load_model(path)
    narrowed = engines.current().canonical_dtype(dtype)
    told = f"the input 'x' of {dtype} is read as {narrowed}"
    assert (told in caplog.text) == (narrowed != dtype)
    assert found.input.dtype == dtype
    np.testing.assert_allclose(found.predict(numbers, verbose=0), wanted, 1e-5)


def test_what_cornu_exports_is_read(tmp_path: Path) -> None:
    """Every layer's file gives what the layer gives."""
    path = tmp_path / "model.onnx"
    with engines.use("numpy"):
        for row in LAYER_ROWS:
            model = layer_model(row)
            try:
                path.write_bytes(onnx_bytes(model)[0])
            except NotImplementedError:
                continue
            session, draw = open_session(str(path), threads=1), np.random.default_rng(0)
            feeds = {value.name: drawn(value, draw) for value in session.get_inputs()}
            again = load_model(path)
            found = again(feeds if len(feeds) > 1 else next(iter(feeds.values())))
            assert_same(tree.flatten(found), session.run(None, feeds))


def drawn(value: Any, draw: np.random.Generator) -> np.ndarray:
    """Numbers for an input of a session."""
    shape = [size if isinstance(size, int) else 2 for size in value.shape]
    if value.type == "tensor(float)":
        return draw.uniform(0.1, 1.0, shape).astype("float32")
    return draw.integers(0, 2, shape).astype(value.type[7:-1])


# ------------------------------------------------------------------- single nodes


def node_file(
    path: Path,
    kind: str,
    operands: Any,
    opset: int = 17,
    outputs: int = 1,
    domain: str = "",
    **more: Any,
) -> dict[str, Any]:
    """A file of one node; the first operand is its input, the others are in the file."""
    first, *others = operands
    names = ["x", *("" if x is None else f"w{k}" for k, x in enumerate(others))]
    known = [
        numpy_helper.from_array(x, name) for x, name in zip(others, names[1:], strict=True) if name
    ]
    results = [helper.make_empty_tensor_value_info(f"y{k}") for k in range(outputs)]
    dtype = helper.np_dtype_to_tensor_dtype(first.dtype)
    x = helper.make_tensor_value_info("x", dtype, first.shape)
    node = helper.make_node(kind, names, [y.name for y in results], domain=domain, **more)
    graph = helper.make_graph([node], "node", [x], results, known)
    versions = [helper.make_opsetid("", opset), helper.make_opsetid("ai.onnx.ml", 1)]
    onnx.save(helper.make_model(graph, opset_imports=versions, ir_version=8), path)
    return {"x": first}


def F(*shape: int) -> np.ndarray:
    return np.random.default_rng(len(shape)).normal(size=shape).astype("float32")


def I(*values: int) -> np.ndarray:  # noqa: E743
    return np.array(values)


IMAGE, ROW = F(2, 3, 6, 6), F(2, 3, 4)
#: Operations as they were in one version or another: kind, version, operands, what else.
NODES: list[tuple[str, int, list[Any], dict[str, Any]]] = [
    ("Softmax", 9, [ROW], {}),
    ("Softmax", 13, [ROW], {"axis": 1}),
    ("LogSoftmax", 11, [ROW], {"axis": 2}),
    ("Squeeze", 11, [F(2, 1, 3)], {"axes": [1]}),
    ("Squeeze", 13, [F(2, 1, 3), I(1)], {}),
    ("Unsqueeze", 11, [ROW], {"axes": [0, 4]}),
    ("Slice", 9, [ROW], {"starts": [0, 1], "ends": [9, -1], "axes": [0, 2]}),
    ("Slice", 13, [ROW, I(-1), I(-(2**31)), I(1), I(-1)], {}),
    ("Clip", 10, [ROW], {"min": -0.5, "max": 0.5}),
    ("Clip", 13, [ROW, None, np.float32(0.5)], {}),
    ("Pad", 10, [ROW], {"pads": [0, 1, 0, 0, 0, 2], "value": 1.5}),
    ("Pad", 13, [ROW, I(0, 1, -1, 0, 0, 2), np.float32(2)], {}),
    ("Pad", 18, [ROW, I(1, 2), None, I(1)], {"mode": "edge"}),
    ("ReduceSum", 11, [ROW], {"axes": [1], "keepdims": 0}),
    ("ReduceSum", 13, [ROW, I(-1)], {}),
    ("ReduceMean", 18, [ROW, I(0, 2)], {}),
    ("ReduceSumSquare", 18, [ROW], {"noop_with_empty_axes": 1}),
    ("ReduceL2", 13, [ROW], {"axes": [2]}),
    ("TopK", 9, [ROW], {"k": 2, "axis": 2, "outputs": 2}),
    ("TopK", 11, [ROW, I(2)], {"largest": 0, "outputs": 2}),
    ("Upsample", 9, [IMAGE, np.array([1, 1, 2, 2], "float32")], {"mode": "nearest"}),
    ("Resize", 10, [IMAGE, np.array([1, 1, 2, 3], "float32")], {}),
    ("Resize", 13, [IMAGE, None, None, I(2, 3, 9, 4)], {"mode": "linear"}),
    ("Resize", 18, [IMAGE, None, np.array([1, 1, 2, 2], "float32")], {"mode": "linear"}),
    ("Resize", 13, [IMAGE, None, np.array([1, 1, 3, 4], "float32")],
     {"coordinate_transformation_mode": "asymmetric"}),
    ("Resize", 13, [IMAGE, None, np.array([1, 1, 2, 0.5], "float32")], {"nearest_mode": "floor"}),
    ("Resize", 13, [IMAGE, None, np.array([1, 1, 1.5, 0.7], "float32")], {"mode": "linear"}),
    ("Resize", 13, [ROW, None, None, I(2, 5, 4)],
     {"mode": "linear", "coordinate_transformation_mode": "align_corners"}),
    ("Dropout", 10, [ROW], {"ratio": 0.3}),
    ("BatchNormalization", 8, [IMAGE, *np.abs(F(4, 3))], {}),
    ("InstanceNormalization", 9, [IMAGE, *F(2, 3)], {}),
    ("GroupNormalization", 21, [F(2, 4, 5), *F(2, 4)], {"num_groups": 2}),
    ("LayerNormalization", 17, [ROW, *F(2, 4)], {}),
    ("LRN", 13, [IMAGE], {"size": 3, "alpha": 0.5}),
    ("PRelu", 9, [IMAGE, F(3, 1, 1)], {}),
    ("Gelu", 20, [ROW], {}),
    ("Mish", 18, [ROW], {}),
    ("Selu", 9, [ROW], {}),
    ("HardSigmoid", 9, [ROW], {"alpha": 0.3}),
    ("ThresholdedRelu", 10, [ROW], {"alpha": 0.2}),
    ("Gemm", 7, [F(2, 3), F(4, 3), F(4)], {"transB": 1, "alpha": 0.5, "beta": 2.0}),
    ("Gemm", 13, [F(3, 2), F(3, 4), F(1, 4)], {"transA": 1}),
    ("MatMul", 13, [ROW, F(2, 4, 5)], {}),
    ("MatMul", 13, [I(1, 2).reshape(1, 2), I(3, 4).reshape(2, 1)], {}),
    ("MatMul", 13, [ROW, F(4, 5)], {}),
    ("Einsum", 12, [ROW, F(4, 3)], {"equation": "bij, jk -> bik"}),
    ("Conv", 11, [IMAGE, F(4, 3, 3, 3), F(4)], {"pads": [0, 1, 2, 1], "strides": [2, 1]}),
    ("Conv", 11, [IMAGE, F(6, 1, 3, 3)], {"group": 3, "auto_pad": "SAME_UPPER"}),
    ("Conv", 11, [IMAGE, F(4, 3, 3, 3)], {"auto_pad": "SAME_LOWER", "strides": [2, 2]}),
    ("Conv", 11, [F(2, 4, 7), F(6, 2, 3)], {"group": 2, "dilations": [2]}),
    ("ConvTranspose", 11, [IMAGE, F(3, 4, 3, 3), F(4)], {"strides": [2, 2], "pads": [1, 1, 1, 1]}),
    ("ConvTranspose", 11, [IMAGE, F(3, 4, 2, 2)], {"strides": [3, 3], "output_padding": [1, 1]}),
    ("ConvTranspose", 11, [F(2, 3, 5), F(3, 2, 3)], {"dilations": [2], "output_padding": [0]}),
    ("MaxPool", 12, [IMAGE], {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1}),
    ("MaxPool", 12, [IMAGE], {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}),
    ("AveragePool", 11, [IMAGE], {"kernel_shape": [3, 3], "pads": [1, 0, 1, 2], "strides": [2, 2]}),
    ("AveragePool", 11, [IMAGE], {"kernel_shape": [3, 3], "pads": [1] * 4, "count_include_pad": 1}),
    ("GlobalMaxPool", 9, [IMAGE], {}),
    ("DepthToSpace", 13, [F(2, 8, 3, 3)], {"blocksize": 2, "mode": "CRD"}),
    ("SpaceToDepth", 13, [IMAGE], {"blocksize": 2}),
    ("CumSum", 14, [ROW, np.array(1)], {"exclusive": 1, "reverse": 1}),
    ("OneHot", 11, [I(0, 2, -1, 7, -9), np.array(4), np.array([0.5, 2], "float32")], {}),
    ("Trilu", 14, [ROW, np.array(1)], {"upper": 0}),
    ("Mod", 13, [ROW, F(4)], {"fmod": 1}),
    ("Div", 14, [I(-7, 7, 8), I(2, -2, 3)], {}),
    ("ArgMax", 13, [ROW], {"axis": 1, "select_last_index": 1, "keepdims": 0}),
    ("Split", 18, [F(2, 7), None], {"axis": 1, "num_outputs": 3, "outputs": 3}),
    ("Split", 11, [F(2, 7)], {"axis": 1, "split": [3, 4], "outputs": 2}),
    ("GatherElements", 13, [ROW, np.zeros((1, 2, 4), "int64")], {"axis": 1}),
    ("GatherND", 13, [ROW, I(1, 2, 0, 1).reshape(2, 2)], {}),
    ("ScatterND", 16, [ROW, I(1, 0).reshape(2, 1), F(2, 3, 4)], {"reduction": "add"}),
    ("IsInf", 10, [np.array([1, np.inf, -np.inf], "float32")], {"detect_negative": 0}),
    ("ReverseSequence", 10, [ROW, I(2, 2, 2)], {"batch_axis": 1, "time_axis": 0}),
    ("Scaler", 17, [F(2, 3)], {"offset": [1.0, 2, 3], "scale": [2.0, 1, 3], "domain": "ai.onnx.ml"}),
    ("LSTM", 14, [F(5, 2, 3), F(2, 16, 3), F(2, 16, 4), F(2, 32), np.array([5, 3], "int32")],
     {"hidden_size": 4, "direction": "bidirectional", "outputs": 3}),
    ("LSTM", 7, [F(5, 2, 3), F(1, 16, 3), F(1, 16, 4), None, None, F(1, 2, 4), F(1, 2, 4)],
     {"hidden_size": 4, "direction": "reverse", "outputs": 3}),
    ("GRU", 14, [F(5, 2, 3), F(1, 12, 3), F(1, 12, 4), F(1, 24)],
     {"hidden_size": 4, "linear_before_reset": 1, "outputs": 2}),
    ("GRU", 7, [F(5, 2, 3), F(1, 12, 3), F(1, 12, 4), F(1, 24)], {"hidden_size": 4, "outputs": 2}),
    ("RNN", 14, [F(5, 2, 3), F(1, 4, 3), F(1, 4, 4), F(1, 8)],
     {"hidden_size": 4, "activations": ["Relu"], "outputs": 2}),
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(NODES)), ids=[f"{n[0]}-{n[1]}" for n in NODES])
def test_a_node(number: int, tmp_path: Path) -> None:
    kind, opset, operands, more = NODES[number]
    while operands[-1] is None:
        operands = operands[:-1]
    inputs = node_file(path := tmp_path / "node.onnx", kind, operands, opset, **more)
    with engines.use("numpy"):
        assert_same(given(load_model(path), inputs), ran(str(path), inputs))


# ---------------------------------------------------------------------- refusals


def broken(path: Path, change: Any) -> None:
    """A file of a product that something was done to."""
    node_file(path, "MatMul", [F(2, 3), F(3, 4)])
    message = onnx.load(path)
    change(message.graph)
    path.write_bytes(message.SerializeToString())


def outside(location: str, **more: Any) -> Any:
    """Puts the weight into another file."""

    def change(graph: Any) -> None:
        tensor = graph.initializer[0]
        tensor.ClearField("raw_data")
        tensor.data_location = onnx.TensorProto.EXTERNAL
        for key, value in {"location": location, **more}.items():
            tensor.external_data.add(key=key, value=str(value))

    return change


def larger(graph: Any) -> None:
    graph.initializer[0].dims[:] = [3, 2**40]


def huge(graph: Any) -> None:
    graph.initializer[0].CopyFrom(numpy_helper.from_array(I(2**20, 2**20), "w0"))
    graph.node[0].op_type = "ConstantOfShape"
    graph.node[0].input[:] = ["w0"]


def renamed(kind: str) -> Any:
    return lambda graph: setattr(graph.node[0], "op_type", kind)


def without_rank(graph: Any) -> None:
    graph.input[0].type.tensor_type.ClearField("shape")


def with_attribute(graph: Any) -> None:
    graph.node[0].attribute.append(helper.make_attribute("twist", 1))


def from_nowhere(graph: Any) -> None:
    graph.node[0].input[1] = "elsewhere"


#: What is wrong with a file, the error, and words of its message.
REFUSED: dict[str, tuple[Any, type[Exception], str]] = {
    "empty": (b"", ValueError, "An ONNX file must be complete. .* no nodes"),
    "text": (b"no model at all", ValueError, "An ONNX file must be complete. .* no model"),
    "larger": (larger, ValueError, "'w0' has not the numbers of"),
    "huge": (huge, ValueError, "in proportion to its size. .* 1,099,511,627,776 numbers"),
    "nowhere": (from_nowhere, ValueError, "'elsewhere' .* comes from nowhere"),
    "missing": (outside("weights.bin"), ValueError, "must lie in its folder. .* 'weights.bin'"),
    "above": (outside("../weights.bin"), ValueError, "must lie in its folder"),
    "absolute": (outside("/etc/passwd"), ValueError, "must lie in its folder"),
    "link": (outside("link.bin"), ValueError, "must lie in its folder"),
    "beyond": (outside("short.bin", offset=4, length=48), ValueError, "lies beyond the end"),
    "negative": (outside("short.bin", offset=-4), ValueError, "lies beyond the end"),
    "operation": (renamed("Unique"), NotImplementedError, r"\(Unique\) .* this operation"),
    "attribute": (with_attribute, NotImplementedError, r"\(MatMul\) .* it with twist=1"),
    "rank": (without_rank, NotImplementedError, "rank .* must be known. .* 'x'"),
    "misfit": (renamed("Conv"), ValueError, r"must fit what it takes. .* \(Conv\)"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(name: str, tmp_path: Path) -> None:
    change, kind, words = REFUSED[name]
    (tmp_path / "weights.bin").write_bytes(bytes(48))
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "short.bin").write_bytes(bytes(20))
    (folder / "link.bin").symlink_to(tmp_path / "weights.bin")
    path = folder / "model.onnx"
    if isinstance(change, bytes):
        path.write_bytes(change)
    else:
        broken(path, change)
    with engines.use("numpy"), pytest.raises(kind, match=words):
        load_model(path)


def test_weights_beside_a_file(tmp_path: Path) -> None:
    inputs = node_file(path := tmp_path / "model.onnx", "MatMul", [F(2, 300), F(300, 4)])
    onnx.save(onnx.load(path), path, save_as_external_data=True, location="weights.bin")
    with engines.use("numpy"):
        assert_same(given(load_model(path), inputs), ran(str(path), inputs))


def test_other_versions_are_refused(tmp_path: Path) -> None:
    node_file(path := tmp_path / "model.onnx", "Relu", [F(2, 3)], opset=6)
    with pytest.raises(NotImplementedError, match="versions 7 to 23 are read. .* of version 6"):
        load_model(path)
