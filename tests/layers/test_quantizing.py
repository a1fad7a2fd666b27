"""Kernels in few bits: Keras's numbers and files on Keras's layers, and every other layer that has kernels."""

from __future__ import annotations

import copy
import os
from contextlib import nullcontext
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "jax")

import keras
import numpy as np
import pytest

import cornu
from cornu import layers, ops, quantizers
from tests.engines_tested import ENGINES

# Keras's: it quantizes no inputs, and JAX has no int64 for its tables.
pytestmark = [
    pytest.mark.filterwarnings("ignore:Layer InputLayer"),
    pytest.mark.filterwarnings("ignore:Explicitly requested dtype"),
]
NUMBERS = np.random.default_rng(0).normal(size=(2, 3, 2, 6)).astype("float32")
IDS = np.array([[0, 4, 2], [1, 1, 3]])

#: Layers that Keras quantizes, and what they are called on.
KERAS: dict[str, tuple[Any, np.ndarray[Any, Any]]] = {
    "Dense": (lambda of: of.Dense(5, activation="relu"), NUMBERS[:, 0]),
    "EinsumDense": (lambda of: of.EinsumDense("abc,cde->abde", (None, 2, 4)), NUMBERS[:, 0]),
    "of two axes": (lambda of: of.EinsumDense("abdc,cde->abe", (None, 5), bias_axes="e"), NUMBERS),
    "turned": (lambda of: of.EinsumDense("abc,dce->abed", (None, 5, 2)), NUMBERS[:, 0]),
    "Embedding": (lambda of: of.Embedding(5, 6), IDS),
    "tied": (lambda of: of.ReversibleEmbedding(5, 6), IDS),
    "untied": (lambda of: of.ReversibleEmbedding(5, 6, tie_weights=False), IDS),
}
#: Arguments of `quantize`.
HOW: dict[str, Any] = {
    "int8": lambda q: {"mode": "int8"},
    "int8 of weights": lambda q: {"config": q.Int8QuantizationConfig(activation_quantizer=None)},
    "int4": lambda q: {"mode": "int4"},
    "int4 per channel": lambda q: {"config": q.Int4QuantizationConfig(block_size=None)},
    "int4 in blocks": lambda q: {"config": q.Int4QuantizationConfig(block_size=4)},
    "int4, int8 inputs": lambda q: {
        "config": q.Int4QuantizationConfig(None, q.AbsMaxQuantizer(axis=-1), -1)
    },
    "float8": lambda q: {"mode": "float8"},
}
#: Not here, as Keras computes otherwise: biases beside float8, which it rounds to bfloat16.
CASES = {
    "Dense": ["int8", "int8 of weights"],
    "EinsumDense": ["int4, int8 inputs", "float8"],
    "of two axes": ["int8"],
    "turned": ["int4, int8 inputs", "int4 in blocks"],
    "Embedding": ["int4", "int4 per channel"],
    "tied": ["int8", "int4, int8 inputs"],
    "untied": ["int8"],
}


def _model(of: Any, make: Any, x: np.ndarray[Any, Any]) -> Any:
    model = of.Sequential([of.Input(x.shape[1:], dtype=str(x.dtype)), make(of.layers)])
    shapes = [weight.shape for weight in model.weights]
    model.set_weights([np.random.default_rng(i).normal(size=s) for i, s in enumerate(shapes)])
    return model


def _both(name: str, how: str) -> tuple[Any, Any, np.ndarray[Any, Any]]:
    """A quantized model, Keras's, and what they are called on."""
    make, x = KERAS[name]
    models = [_model(of, make, x) for of in (cornu, keras)]
    for model, of in zip(models, (cornu, keras), strict=True):
        model.quantize(**HOW[how](of.quantizers))
    return *models, x


def _described(model: Any) -> Any:
    named = [(v.name, tuple(v.shape), str(v.dtype), v.trainable) for v in model.weights]
    config = model.layers[-1].get_config()
    return sorted(named), {key: config[key] for key in ("dtype", "quantization_config")}


@pytest.mark.parametrize(("name", "how"), [(name, how) for name in CASES for how in CASES[name]])
def test_keras_s_layers(name: str, how: str, tmp_path: Path) -> None:
    """Outputs, weights and configs are Keras's, and each library reads the other's files."""
    with cornu.backend.use("jax" if how == "int4, int8 inputs" else "numpy"):
        _check(name, how, tmp_path)


def _check(name: str, how: str, tmp_path: Path) -> None:
    ours, theirs, x = _both(name, how)
    wanted = np.asarray(theirs(x))
    np.testing.assert_allclose(ours(x), wanted, atol=2e-6)
    assert _described(ours) == _described(theirs)
    for model, file in ((ours, "ours.keras"), (theirs, "theirs.keras")):
        model.save(tmp_path / file)
    read = cornu.saving.load_model(tmp_path / "theirs.keras")
    np.testing.assert_allclose(read(x), wanted, atol=2e-6)
    np.testing.assert_allclose(keras.saving.load_model(tmp_path / "ours.keras")(x), wanted, atol=0)
    if "tied" in name:
        back = [model.layers[-1](NUMBERS[:, 0], reverse=True) for model in (ours, theirs)]
        np.testing.assert_allclose(back[0], back[1], atol=2e-6)


@pytest.mark.parametrize(
    ("name", "how"),
    [("Dense", "int8"), ("EinsumDense", "int4"), ("EinsumDense", "float8"), ("untied", "int4")],
)
def test_files_of_weights(name: str, how: str, tmp_path: Path) -> None:
    """Each library loads the other's into a model that is quantized already."""
    ours, theirs, x = _both(name, how)
    wanted = np.asarray(theirs(x))
    for model, other in ((ours, theirs), (theirs, ours)):
        model.save_weights(tmp_path / "model.weights.h5")
        for variable in other.weights:
            variable.assign(np.zeros(variable.shape))
        other.load_weights(tmp_path / "model.weights.h5")
        np.testing.assert_allclose(other(x), wanted, atol=2e-6)


@pytest.mark.parametrize(
    ("name", "how"),
    [("Dense", "int8"), ("EinsumDense", "int4"), ("Embedding", "int4 per channel")],
)
def test_low_rank_products_beside_codes(name: str, how: str, tmp_path: Path) -> None:
    """Files have codes of the sum, as Keras's do; Cornu's `.keras` files have the product too."""
    ours, theirs, x = _both(name, how)
    for model in (ours, theirs):
        model.layers[-1].enable_lora(2, lora_alpha=3)
        for at, variable in enumerate([v for v in model.weights if "lora" in v.name]):
            variable.assign(np.random.default_rng(at).normal(size=variable.shape))
    exact = np.asarray(theirs(x))
    np.testing.assert_allclose(ours(x), exact, atol=5e-6)
    for model, file in ((ours, "ours.keras"), (theirs, "theirs.keras")):
        model.save(tmp_path / file)
    rounded = np.asarray(keras.saving.load_model(tmp_path / "theirs.keras")(x))
    read = cornu.saving.load_model(tmp_path / "theirs.keras")
    np.testing.assert_allclose(read(x), rounded, atol=5e-6)
    again = keras.saving.load_model(tmp_path / "ours.keras")
    np.testing.assert_allclose(again(x), rounded, atol=5e-6)
    read = cornu.saving.load_model(tmp_path / "ours.keras")
    np.testing.assert_allclose(read(x), exact, atol=5e-6)
    assert [v.trainable for v in read.weights] == [v.trainable for v in ours.weights]


class Scaled(layers.Layer):
    """A user's layer, which knows of nothing."""

    def build(self, input_shape: Any) -> None:
        self.table = self.add_weight(shape=(input_shape[-1], 4), name="table")
        self.bias = self.add_weight(shape=(1, 4), name="bias")

    def call(self, inputs: Any) -> Any:
        return ops.matmul(inputs, self.table) + self.bias


IMAGES, SEQUENCE = (6, 6, 3), (5, 3)
OTHERS: dict[str, tuple[Any, tuple[int, ...]]] = {
    "Conv2D": (lambda: layers.Conv2D(4, 3), IMAGES),
    "DepthwiseConv2D": (lambda: layers.DepthwiseConv2D(3), IMAGES),
    "Conv2DTranspose": (lambda: layers.Conv2DTranspose(4, 3), IMAGES),
    "SeparableConv2D": (lambda: layers.SeparableConv2D(4, 3), IMAGES),
    "Bidirectional": (lambda: layers.Bidirectional(layers.LSTM(4)), SEQUENCE),
    "GRU": (lambda: layers.GRU(4), SEQUENCE),
    "a user's": (Scaled, SEQUENCE),
}


@pytest.mark.parametrize(
    ("name", "engine"),
    [
        *((name, "numpy") for name in OTHERS),
        *(("a user's", engine) for engine in ENGINES if engine != "numpy"),
    ],
)
def test_other_layers(name: str, engine: str, tmp_path: Path) -> None:
    """They compute with what codes stand for, train what is left, and are copied, saved and stripped."""
    make, shape = OTHERS[name]
    x = np.random.default_rng(0).normal(size=(2, *shape)).astype("float32")
    with cornu.backend.use(engine):
        for mode, close in (("int8", 0.01), ("int4", 0.15), ("float8", 0.15)):
            model = cornu.Sequential([cornu.Input(shape), make()])
            model.compile("sgd", "mse")
            before = ops.convert_to_numpy(model(x))
            model.quantize(mode)
            after = ops.convert_to_numpy(model(x))
            assert 0 < np.abs(after - before).max() < close * np.abs(before).max()
            model.fit(x, before, verbose=0)
            assert ("int8" in {v.dtype for v in model.weights}) == (mode != "float8")
            after = ops.convert_to_numpy(model(x))
            model.save(tmp_path / "model.keras")
            read = cornu.saving.load_model(tmp_path / "model.keras")
            for other in (read, copy.deepcopy(model)):
                assert _policies(other) == _policies(model)
                np.testing.assert_allclose(ops.convert_to_numpy(other(x)), after, atol=1e-6)
            model.strip_transforms()
            assert set(_policies(model)) == {"float32"}
            if mode == "int4" or (mode == "int8" and name != "a user's"):
                np.testing.assert_allclose(ops.convert_to_numpy(model(x)), after, atol=1e-6)


def _policies(model: Any) -> list[str]:
    return [layer.dtype_policy.name for layer in model._flatten_layers()]


def _dense(of: Any) -> Any:
    return of.Sequential([of.Input((6,)), of.layers.Dense(3, use_bias=False)])


def test_float8_trains_as_in_keras() -> None:
    """Scales, histories and kernels, to the last step."""
    x, y = NUMBERS[:, 0, 0], NUMBERS[:, 1, 0, :3]
    trained = []
    for of in (cornu, keras):
        model = _dense(of)
        model.set_weights([NUMBERS[0].reshape(6, 6)[:, :3]])
        model.compile("sgd", "mse")
        model.quantize("float8")
        model.fit(x, y, epochs=3, batch_size=1, shuffle=False, verbose=0)
        trained.append({weight.name: np.asarray(weight) for weight in model.weights})
    ours, theirs = trained
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        np.testing.assert_allclose(value, theirs[name], rtol=1e-5, atol=1e-6, err_msg=name)


class Einsum(layers.Layer):
    """An einsum with a kernel, as a user may write it."""

    def __init__(self, equation: str, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.equation, self.kernel = equation, self.add_weight(shape, name="kernel")

    def call(self, x: Any) -> Any:
        return ops.einsum(self.equation, x, self.kernel)


@pytest.mark.parametrize(
    ("equation", "shape", "has_gptq"),
    [
        ("ab...,bc->ac...", (6, 3), True),  # what is summed lies before an ellipsis
        ("ijm,jk->ik", (6, 3), True),  # an axis of the input is summed by itself
        ("ijm,jkl->imk", (6, 3, 5), False),  # one of the kernel is
        ("ijm,jk", (6, 3), True),  # the result is left to say
        ("ijm,kj", (3, 6), True),
        ("ijm,j...->im...", (6, 3), True),
        ("ijm,jj->ijm", (6, 6), False),
    ],
)
def test_any_einsum(equation: str, shape: tuple[int, ...], has_gptq: bool) -> None:
    x = np.random.default_rng(0).normal(size=(2, 6, 6)).astype("float32")
    gptq = quantizers.GPTQConfig(x, None, weight_bits=8, group_size=-1)
    for config in (quantizers.Int8QuantizationConfig(), gptq):
        layer = Einsum(equation, shape)
        model = cornu.Sequential([cornu.Input((6, 6)), layer])
        expected = ops.convert_to_numpy(model(x))
        stays = config is gptq and not has_gptq
        with pytest.warns(UserWarning, match="Floats stay") if stays else nullcontext():
            model.quantize(config=config)
        assert bool(layer.transforms) != stays
        close = 0.03 * np.abs(expected).max()
        np.testing.assert_allclose(ops.convert_to_numpy(model(x)), expected, atol=close)


class Turned(layers.Layer):
    """A layer that asks a kernel for what tensors have."""

    def __init__(self) -> None:
        super().__init__()
        self.kernel = self.add_weight((3, 6), name="kernel")

    def call(self, x: Any) -> Any:
        return x @ self.kernel.T


@pytest.mark.parametrize("mode", [None, "int8", "int4"])
def test_attributes_of_tensors(mode: str | None) -> None:
    x = np.random.default_rng(0).normal(size=(2, 6)).astype("float32")
    layer = Turned()
    model = cornu.Sequential([cornu.Input((6,)), layer])
    if mode is not None:
        model.quantize(mode)
    expected = x @ ops.convert_to_numpy(layer.kernel.effective()).T
    for found in (model(x), model.predict(x, verbose=0)):
        np.testing.assert_allclose(ops.convert_to_numpy(found), expected, rtol=1e-5, atol=1e-5)
    if mode is None:
        model.compile("sgd", "mse")
        model.fit(x, np.ones((2, 3)), verbose=0)
        assert np.abs(x @ layer.kernel.numpy().T - expected).max() > 1e-4


def test_which_layers_of_a_model() -> None:
    def model() -> Any:
        made = [
            layers.Dense(4, name="first"),
            layers.LayerNormalization(),
            layers.Dense(2, name="last"),
        ]
        return cornu.Sequential([cornu.Input((6,)), *made], name="model")

    for filters, wanted in {
        "first": [True, False],
        "^(first|last)$": [True, True],
        ("la", "first|other"): [True, True],
        "model/last": [False, True],
    }.items():
        made = model()
        made.quantize("int8", filters=filters)
        assert [made.get_layer(n).quantization_mode == "int8" for n in ("first", "last")] == wanted
    made = model()
    made.quantize(config=quantizers.Int4QuantizationConfig(), filters=lambda x: x.name == "last")
    assert made.get_layer("last").dtype_policy.name == "int4/128_from_float32"
    with pytest.warns(UserWarning, match="No layer of 'model' was quantized"):
        made.quantize("int8", filters="none")
    with pytest.warns(UserWarning, match="'other' stands for no layer of 'model'"):
        model().quantize("int8", filters=["la", "other"])


class Transposed(layers.Layer):
    """Scores of a table's rows, which it holds too."""

    def __init__(self, table: Any) -> None:
        super().__init__()
        self.table = table

    def build(self, shape: Any) -> None:
        self.kernel = self.table.embeddings

    def call(self, x: Any) -> Any:
        return ops.matmul(x, ops.transpose(self.kernel))


@pytest.mark.parametrize("name", ["tied", "wrapped"])
def test_a_kernel_that_two_layers_hold_is_quantized_once(name: str, tmp_path: Path) -> None:
    if name == "tied":
        table = layers.Embedding(30, 8)
        owner, parts = table, [layers.Input((8,), dtype="int32"), table, Transposed(table)]
    else:
        wrapper = layers.SpectralNormalization(layers.Dense(4))
        owner, parts = wrapper.layer, [layers.Input((8,)), wrapper]
    model = cornu.Sequential(parts)
    x = np.arange(16).reshape(2, 8)
    model(x, training=True)
    before = np.asarray(model(x))
    model.quantize("int8")
    assert [x for x in model._flatten_layers() if x.quantization_mode] == [owner]
    codes = [w.numpy() for w in model.weights]
    model(x, training=True)
    assert all(map(np.array_equal, [w.numpy() for w in model.weights], codes))
    found = np.asarray(model(x))
    assert 0 < np.abs(found - before).max() < 0.02 * np.abs(before).max()
    if name == "wrapped":
        model.save(tmp_path / "m.keras")
        assert np.array_equal(cornu.saving.load_model(tmp_path / "m.keras")(x), found)


def test_a_compiled_model_goes_on() -> None:
    """Programs are compiled again, and the optimizer keeps what it knows of weights that are trained."""
    model = cornu.Sequential([cornu.Input((6,)), layers.Dense(3)])
    model.compile("adam", "mse")
    x, y = NUMBERS[:, 0, 0], NUMBERS[:, 1, 0, :3]
    model.fit(x, y, verbose=0)
    kernel, bias = model.get_weights()
    model.predict(x, verbose=0)
    model.quantize("int8")
    codes = model.layers[0].kernel.numpy()
    model.fit(x, y, verbose=0)
    np.testing.assert_array_equal(model.layers[0].kernel.numpy(), codes)
    assert not np.allclose(model.layers[0].bias.numpy(), bias)
    np.testing.assert_allclose(model.layers[0].kernel.effective(), kernel, atol=0.01)
    np.testing.assert_allclose(model.predict(x, verbose=0), model(x), atol=1e-6)


def _built() -> layers.Dense:
    layer = layers.Dense(4, name="dense")
    layer.build((None, 6))
    return layer


def _twice() -> None:
    layer = _built()
    layer.quantize("int8")
    layer.quantize("int8")


INT8 = quantizers.Int8QuantizationConfig()
WRONG: dict[str, tuple[Any, str]] = {
    "unbuilt": (lambda: layers.Dense(4).quantize("int8"), "must be built before it is quantized"),
    "twice": (_twice, "quantized once. Received: mode='int8' for the layer 'dense'"),
    "nothing": (lambda: _built().quantize(), "must be told a mode or a config"),
    "mode": (lambda: _built().quantize("int3"), r"`mode` must be one of \['int8', 'float8'"),
    "config": (
        lambda: _built().quantize(config="int8"),
        "by a QuantizationConfig. Received: 'int8'",
    ),
    "contradiction": (lambda: _built().quantize("int4", config=INT8), "Mode and config must agree"),
    "data": (lambda: _built().quantize("gptq"), "needs data. Received: config=None"),
    "no kernel": (lambda: layers.ReLU().quantize("int8"), "none for mode='int8'"),
    "argument": (lambda: layers.Dense(2, quantization_config="int8"), "by a QuantizationConfig"),
    "filters": (lambda: _dense(cornu).quantize("int8", filters=3), "`filters` must be a regular"),
    "keyword": (
        lambda: _dense(cornu).quantize("int8", bits=3),
        r"no such arguments. Received: \['bits'\]",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_arguments(name: str) -> None:
    run, text = WRONG[name]
    with pytest.raises((ValueError, NotImplementedError), match=text):
        run()
