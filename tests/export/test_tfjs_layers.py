"""Layers-models of TensorFlow.js: what is written, what is refused, and what TensorFlow.js computes of it."""

from __future__ import annotations

import contextlib
import functools
import json
import subprocess
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cornu
from cornu import engines, layers
from cornu.core import tree
from cornu.export._shards import SHARD, read_shards, write_shards
from tests.export import models
from tests.export.tables import layer_model
from tests.layers.rows import ROWS, I, Row, S, V, X
from tests.ops.rows import A

NODE = Path(__file__).parent / "node"
browser = pytest.mark.browser
installed = pytest.mark.skipif(
    not (NODE / "node_modules").is_dir(), reason="`scripts/browser` installs what this needs"
)
FIRST = {"data_format": "channels_first"}
IMAGES, FILMS, SIGNED = A(2, 3, 7, 8), A(2, 4, 7, 8, 3), A(3, 4, low=-2, high=2)
#: What the layer table has no rows for.
MORE = [
    *[
        Row(kind, V, {"activation": name, **({"units": 3} if kind == "Dense" else {})})
        for kind in ("Dense", "Activation")
        for name in (
            "elu gelu linear log_softmax mish relu relu6 selu sigmoid softmax softplus softsign tanh "
            "silu hard_sigmoid"
        ).split()
    ],
    Row("BatchNormalization", S, {"axis": 1}),
    Row("BatchNormalization", S, {"axis": 2, "center": False}),
    Row("BatchNormalization", V, {"scale": False}),
    Row("BatchNormalization", X),
    Row("Conv1D", S, {"filters": 4, "kernel_size": 3, **FIRST}),
    Row("Conv1D", S, {"filters": 4, "kernel_size": 3, "strides": 2, "padding": "same"}),
    Row("Conv2D", IMAGES, {"filters": 4, "kernel_size": 3, "padding": "same", "strides": 2, **FIRST}),
    Row("Conv2D", I, {"filters": 4, "kernel_size": 3, "dilation_rate": 2}),
    Row("Conv3D", A(2, 2, 5, 6, 4), {"filters": 3, "kernel_size": 2, **FIRST}),
    Row("Conv3D", X, {"filters": 3, "kernel_size": 2, "dilation_rate": 2}),
    Row("Conv2DTranspose", IMAGES, {"filters": 4, "kernel_size": 3, **FIRST}),
    Row("Conv2DTranspose", I, {"filters": 4, "kernel_size": 3, "dilation_rate": 2}),
    Row("Conv3DTranspose", X, {"filters": 3, "kernel_size": 3, "strides": 2, "padding": "same"}),
    Row("Conv3DTranspose", X, {"filters": 3, "kernel_size": 3, "dilation_rate": 2}),
    Row("DepthwiseConv2D", IMAGES, {"kernel_size": 3, **FIRST}),
    Row("DepthwiseConv2D", I, {"kernel_size": 3, "dilation_rate": 2}),
    Row("SeparableConv2D", IMAGES, {"filters": 4, "kernel_size": 3, **FIRST}),
    Row("SeparableConv2D", I, {"filters": 4, "kernel_size": 3, "depth_multiplier": 2}),
    *[
        Row(f"{kind}Pooling{rank}D", x, {"pool_size": 2, **FIRST})
        for kind in ("Max", "Average")
        for rank, x in ((1, S), (2, IMAGES), (3, X))
    ],
    *[Row(f"Global{kind}Pooling2D", IMAGES, FIRST) for kind in ("Max", "Average")],
    Row("Cropping2D", IMAGES, {"cropping": 1, **FIRST}),
    Row("UpSampling2D", IMAGES, {"size": (2, 3), **FIRST}),
    Row("Flatten", V),
    Row("LayerNormalization", S, {"axis": 1, "epsilon": 0.1}),
    Row("LayerNormalization", S, {"center": False}),
    Row("ReLU", V, {"max_value": 1.0}),
    Row("LeakyReLU", SIGNED, {"negative_slope": 0.2}),
    Row("PReLU", SIGNED),
    Row("ELU", SIGNED),
    Row("Softmax", S, {"axis": 2}),
    Row("Rescaling", V, {"scale": [0.5, 1, 1, 1], "offset": -1.0}),
    Row("GRU", S, {"units": 3, "reset_after": False, "return_sequences": True}),
    Row("GRU", S, {"units": 3, "reset_after": False, "go_backwards": True}),
    Row("LSTM", S, {"units": 3, "return_state": True}),
    Row("LSTM", S, {"units": 3, "use_bias": False, "recurrent_activation": "relu"}),
    *[
        Row("Bidirectional", S, functools.partial(
            lambda mode, layers: {"layer": layers.LSTM(3, return_sequences=True), "merge_mode": mode}, mode
        ))
        for mode in ("sum", "mul", "ave", None)
    ],
    Row("Bidirectional", S, lambda layers: {"layer": layers.SimpleRNN(3, return_state=True)}),
    Row("Bidirectional", S, lambda layers: {
        "layer": layers.LSTM(3), "backward_layer": layers.LSTM(3, activation="relu", go_backwards=True)
    }),
    Row("RNN", S, lambda layers: {"cell": [layers.LSTMCell(3), layers.SimpleRNNCell(2)]}),
    Row("RNN", S, lambda layers: {"cell": layers.GRUCell(3, reset_after=False), "return_state": True}),
    Row("TimeDistributed", FILMS, lambda layers: {"layer": layers.Conv2D(3, 3)}),
    Row("ConvLSTM2D", FILMS, {"filters": 3, "kernel_size": 3, "padding": "same", "strides": 2}),
    Row("Dot", [A(3, 2, 4), A(3, 4, 5)], {"axes": (2, 1)}),
    Row("Concatenate", [S, S], {"axis": -2}),
    Row("Dense", V, {"units": 3, "kernel_regularizer": "l1", "bias_regularizer": "l1_l2"}),
    Row("Dense", V, {"units": 3, "kernel_constraint": "non_neg"}),
]  # fmt: skip
#: What makes a layer's outputs of tokens in which 0 is masked.
MASKS: dict[str, Callable[[Any], Any]] = {
    "LSTM": lambda x: layers.LSTM(3)(x),
    "LSTM of sequences": lambda x: layers.LSTM(2)(layers.LSTM(3, return_sequences=True)(x)),
    "GRU": lambda x: layers.GRU(3, reset_after=False)(x),
    "backwards": lambda x: layers.SimpleRNN(3, go_backwards=True)(x),
    "Bidirectional": lambda x: layers.Bidirectional(layers.LSTM(3))(x),
    "Bidirectional of sequences": lambda x: layers.Bidirectional(
        layers.LSTM(3, return_sequences=True)
    )(x),
    "several cells": lambda x: layers.RNN([layers.LSTMCell(3), layers.LSTMCell(2)])(x),
    "initial state": lambda x: layers.LSTM(3)(
        x, initial_state=layers.LSTM(3, return_state=True)(x)[1:]
    ),
    "initial state of sequences": lambda x: layers.LSTM(3, return_sequences=True)(
        x, initial_state=layers.LSTM(3, return_state=True)(x)[1:]
    ),
    "Masking": lambda x: layers.LSTM(3)(layers.Masking()(layers.Dense(2, use_bias=False)(x))),
    "Conv1D": lambda x: layers.LSTM(3)(layers.Conv1D(3, 3, padding="same")(x)),
    "RepeatVector": lambda x: layers.LSTM(3)(layers.RepeatVector(6)(layers.LSTM(2)(x))),
    "Concatenate": lambda x: layers.LSTM(3)(layers.Concatenate()([x, layers.Dropout(0.5)(x)])),
    **{
        f"{kind} before": functools.partial(
            lambda kind, more, x: layers.LSTM(3)(getattr(layers, kind)(*more)(x)), kind, more
        )
        for kind, more in (
            *(("Activation", ["tanh"]), ("BatchNormalization", []), ("Dense", [4]), ("ELU", [])),
            *(
                ("GaussianNoise", [0.1]),
                ("LayerNormalization", []),
                ("LeakyReLU", []),
                ("ReLU", []),
            ),
            *(("PReLU", []), ("Reshape", [(6, 3)]), ("SpatialDropout1D", [0.1])),
            *(("MaxPooling1D", [2]), ("Rescaling", [2.0])),
        )
    },
    **{
        kind: functools.partial(lambda kind, x: getattr(layers, kind)()([x, x]), kind)
        for kind in ("Add", "Average", "Maximum", "Multiply")
    },
    "TimeDistributed": lambda x: layers.TimeDistributed(layers.Dense(4))(x),
    **{
        kind: functools.partial(lambda kind, x: getattr(layers, kind)()(x), kind)
        for kind in ("GlobalAveragePooling1D", "GlobalMaxPooling1D", "Flatten")
    },
}
TOKENS = np.array([[1, 2, 3, 0, 0, 0], [4, 0, 0, 0, 0, 0], [0, 1, 2, 0, 3, 4], [1, 2, 3, 4, 1, 2]])


def masked(outputs: Callable[[Any], Any]) -> Any:
    x = cornu.Input((6,), dtype="int32")
    return cornu.Model(x, outputs(layers.Embedding(5, 3, mask_zero=True)(x)))


def graph() -> Any:
    """A shared layer, a model within the model, an operator, states, two outputs."""
    x = cornu.Input((6, 4), name="series")
    _, *states = layers.LSTM(3, return_state=True, name="encoder")(x)
    y = layers.LSTM(3, return_sequences=True)(x, initial_state=states)
    inner = cornu.Sequential([layers.Input((6, 3)), layers.Dense(3)], name="inner")
    shared = layers.Dense(3, activation="relu")
    z = inner(shared(inner(y)) + shared(y))
    return cornu.Model(x, {"all": z, "last": layers.GlobalMaxPooling1D()(z)})


def on_data() -> Any:
    """A model that was not made from an `Input`."""
    model = cornu.Sequential([layers.Dense(3, activation="tanh"), layers.Dense(2)])
    model(np.ones((3, 4), "float32"))
    return model


GRAPHS = {"graph": graph, "on data": on_data, **models.ALL}


def drawn(model: Any, batch: int = 3) -> list[Any]:
    """Inputs of a model."""
    generator = np.random.default_rng(1)
    found = []
    for spec in model.inputs:
        shape = (batch, *(5 if size is None else size for size in spec.shape[1:]))
        whole = "int" in spec.dtype or spec.dtype == "bool"
        x = generator.integers(0, 2, shape) if whole else generator.uniform(-1, 1, shape)
        found.append(x.astype(spec.dtype))
    return found


def listed(arrays: list[Any]) -> list[dict[str, Any]]:
    """Arrays as JSON has them."""
    return [{"shape": x.shape, "dtype": x.dtype.name, "data": x.ravel().tolist()} for x in arrays]


def cases() -> dict[str, tuple[Callable[[], Any], Any]]:
    """Models, and what they are given where that matters."""
    rows = {
        f"{index} {row.layer}": (functools.partial(layer_model, row), None)
        for index, row in enumerate([*ROWS, *MORE])
    }
    masks = {
        f"mask {name}": (functools.partial(masked, made), TOKENS.astype("int32"))
        for name, made in MASKS.items()
    }
    return rows | masks | {name: (made, None) for name, made in GRAPHS.items()}


# ---------------------------------------------------------------- in TensorFlow.js


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What this library and TensorFlow.js say of each case; or why it is refused."""
    folder, said = tmp_path_factory.mktemp("layers"), {}
    with engines.use("numpy"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of masks that a layer drops
        for name, (make, given) in cases().items():
            model, place = make(), folder / name
            try:
                model.export(place, format="tfjs_layers", verbose=False)
            except NotImplementedError as error:
                said[name] = str(error)
                continue
            inputs = drawn(model) if given is None else [given]
            (place / "given.json").write_text(json.dumps({"inputs": listed(inputs)}))
            said[name] = tree.flatten(
                model.predict(inputs if len(inputs) > 1 else inputs[0], verbose=0)
            )
    in_node(folder)
    return {
        name: x
        if isinstance(x, str)
        else (x, json.loads((folder / name / "found.json").read_text()))
        for name, x in said.items()
    }


def in_node(folder: Path) -> None:
    run = ["node", "layers.mjs", str(folder)]
    done = subprocess.run(run, cwd=NODE, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def assert_same(found: Any, wanted: Any) -> None:
    assert isinstance(found, list), found
    for one, two in zip(found, wanted, strict=True):
        np.testing.assert_allclose(np.reshape(one["data"], one["shape"]), two, 1e-5, 1e-5)


@browser
@installed
def test_what_runs_gives_the_same(outcomes: dict[str, Any]) -> None:
    run = {name: said for name, said in outcomes.items() if not isinstance(said, str)}
    assert len(run) >= 165
    for name, (wanted, found) in run.items():
        try:
            assert_same(found, wanted)
        except AssertionError as error:
            raise AssertionError(name) from error


@browser
@installed
def test_it_is_trained_further(tmp_path: Path) -> None:
    """A step in TensorFlow.js is the one that would be done here."""
    wanted = {}
    for name in ("cnn", "lstm"):
        model, x = models.made(name), models.inputs(name, 4)
        model.export(tmp_path / name, format="tfjs_layers", verbose=False)
        before = model.predict(x, verbose=0)
        y = np.random.default_rng(2).uniform(size=before.shape).astype("float32")
        given = {"inputs": listed([x]), "targets": listed([y])}
        (tmp_path / name / "given.json").write_text(json.dumps(given))
        with engines.use("numpy"):
            model.compile(cornu.optimizers.SGD(0.1), "mse")
            model.fit(x, y, batch_size=4, verbose=0)
            wanted[name] = [before, model.predict(x, verbose=0)]
    in_node(tmp_path)
    for name, outputs in wanted.items():
        assert_same(json.loads((tmp_path / name / "found.json").read_text()), outputs)


# ------------------------------------------------------------------------ refusals


def masked_by_hand() -> Any:
    x, mask = cornu.Input((6, 3)), cornu.Input((6,), dtype="bool")
    return cornu.Model([x, mask], layers.LSTM(2)(x, mask=mask))


def named_twice() -> Any:
    x = cornu.Input((3,))
    inner = cornu.Sequential([layers.Input((3,)), layers.Dense(3, name="one")])
    return cornu.Model(x, layers.Dense(2, name="one")(inner(x)))


def of_a_class() -> Any:
    class Own(cornu.Model):
        def call(self, x: Any) -> Any:
            return x

    model = Own(name="own")
    model(np.ones((2, 3), "float32"))
    return model


def low_rank() -> Any:
    model = cornu.Sequential([layers.Input((4,)), layers.Dense(3)])
    model.layers[0].enable_lora(2)
    return model


def alone(layer: Any, *shape: int) -> Any:
    return cornu.Sequential([layers.Input(shape), layer])


def codes() -> Any:
    model = alone(layers.Dense(2), 3)
    model.quantize("int8")
    return model


REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "attention": (lambda: models.made("transformer"), "of the class MultiHeadAttention"),
    "gru": (lambda: models.made("bidirectional_gru"), "reset_after=True of the GRU .*Use reset_after=False"),
    "mask": (masked_by_hand, "No file was written|mask"),
    "names": (named_twice, "two of the name 'one/kernel'"),
    "class": (of_a_class, "the model 'own' of the class Own"),
    "lora": (low_rank, "lora"),
    "op": (lambda: cornu.Model(x := cornu.Input((3,)), cornu.ops.sin(x)), "of the class Sin"),
    "number": (lambda: cornu.Model(x := cornu.Input((3,)), x + 1.0), "called with numbers beside"),
    "dtype": (lambda: alone(layers.Dense(2, dtype="mixed_float16"), 3), "'mixed_float16', the dtype=DTypePolicy"),
    "codes": (codes, "'QuantizedDTypePolicy', the dtype=Quantized"),
    "name": (lambda: alone(layers.Dense(2, name="größe"), 3), "the name 'größe' of the Dense"),
    "regularizer": (
        lambda: alone(layers.Dense(2, kernel_regularizer="orthogonal_regularizer"), 3),
        "kernel_regularizer=OrthogonalRegularizer of the Dense",
    ),
    "activity": (lambda: alone(layers.Dense(2, activity_regularizer="l2"), 3), "activity_regularizer=L2 of"),
    "constraint": (lambda: alone(layers.Dense(2, kernel_constraint="unit_norm"), 3), "breaks its own"),
    "stateful": (
        lambda: cornu.Sequential([layers.Input(batch_shape=(2, 4, 3)), layers.LSTM(2, stateful=True)]),
        "stateful=True of the LSTM",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(name: str, tmp_path: Path) -> None:
    make, words = REFUSED[name]
    with pytest.raises((NotImplementedError, ValueError), match=words):
        make().export(tmp_path / "model", format="tfjs_layers", verbose=False)
    assert not list(tmp_path.iterdir())


def test_a_folder_of_something_else_stays(tmp_path: Path) -> None:
    model = models.made("cnn")
    (tmp_path / "notes.txt").write_text("kept")
    with pytest.raises(FileExistsError, match="a folder with 'notes.txt'"):
        model.export(tmp_path, format="tfjs_layers", verbose=False)
    with pytest.raises(FileExistsError, match="takes the place of one of its kind alone"):
        model.export(tmp_path / "notes.txt", format="tfjs_layers", verbose=False)
    assert (tmp_path / "notes.txt").read_text() == "kept"
    for _ in range(2):
        model.export(tmp_path / "new" / "model", format="tfjs_layers", verbose=False)
    with (
        contextlib.chdir(tmp_path / "new" / "model"),
        pytest.raises(FileExistsError, match="the current one"),
    ):
        model.export(".", format="tfjs_layers", verbose=False)
    assert sorted(x.name for x in tmp_path.iterdir()) == ["new", "notes.txt"]


def test_options(tmp_path: Path) -> None:
    model = models.made("cnn")
    with pytest.raises(ValueError, match="`quantize` must be one of"):
        model.export(tmp_path / "model", format="tfjs_layers", quantize="int4")
    spec = [cornu.InputSpec(shape=(None, 12, 12, 1))]
    with pytest.raises(ValueError, match="takes what the model's `Input`s say"):
        model.export(tmp_path / "model", format="tfjs_layers", input_signature=spec)


# -------------------------------------------------------------------------- shards


@pytest.mark.parametrize(("quantize", "limit"), [(None, 0), ("float16", 1e-3), ("uint8", 5e-3)])
def test_shards(quantize: Any, limit: float, tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    arrays = {
        "large": generator.uniform(-1, 1, (1200, 1000)).astype("float32"),
        "wide": np.array([[1e6, -1e6, 0.0]], "float32"),
        "small": np.array([0.1, 0.2], "float32"),
        "infinite": np.array([[np.inf, 1.0]], "float32"),
        "integers": np.arange(5),
        "flags": np.array([True, False]),
        "none": np.zeros((0, 3), "float32"),
        "number": np.array(2.5, "float64"),
    }
    manifest = write_shards(tmp_path, arrays, quantize)
    sizes = [(tmp_path / path).stat().st_size for path in manifest[0]["paths"]]
    assert all(size == SHARD for size in sizes[:-1]) and len(sizes) == (
        2 if quantize is None else 1
    )
    found = read_shards(tmp_path, manifest)
    for name, array in arrays.items():
        scale = np.abs(array[np.isfinite(array)]).max(initial=1.0)
        np.testing.assert_allclose(found[name], array, 0, limit * scale)
        assert found[name].dtype.name in ("float32", "int32", "bool")
    assert found["wide"][0, 2] == 0
    with pytest.raises(ValueError, match="'phase' of complex64"):
        write_shards(tmp_path, {"phase": np.zeros(1, "complex64")})
