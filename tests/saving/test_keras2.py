"""Models that Keras 2 and Keras 1 wrote load, predict and train on as they did there."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cornu
from cornu import saving
from cornu.core import tree
from tests.saving.keras1 import draw, layer, write
from tests.saving.models import REGISTERED

ARCHIVE = zipfile.ZipFile(Path(__file__).parent / "keras2.zip")
FILES = sorted(name for name in ARCHIVE.namelist() if name.endswith((".h5", ".keras")))
WHOLE = [name for name in FILES if "alone" not in name]
for register in REGISTERED:
    register(cornu)


def extracted(name: str, folder: Path) -> Path:
    return Path(ARCHIVE.extract(name, folder))


def arrays(name: str) -> tuple[list[Any], list[Any], list[Any]]:
    """Inputs, what the model of a file predicts, and what it does after one more step."""
    found = np.load(io.BytesIO(ARCHIVE.read(f"{name.partition('.')[0]}.npz")))
    x, y, z = ([found[key] for key in sorted(found.files) if key[0] == kind] for kind in "xyz")
    return x, y, z


#: Of Nadam, Keras 2 takes the product of the momenta along once for each weight, and does not keep it.
LIMITS = {"trained_nadam": 1e-3}


def check(model: Any, inputs: list[Any], expected: list[Any], limit: float = 1e-6) -> None:
    """That a model predicts the same, up to a share of the largest value."""
    outputs = tree.flatten(model.predict(inputs if len(inputs) > 1 else inputs[0], verbose=0))
    assert len(outputs) == len(expected)
    for one, other in zip(outputs, expected, strict=True):
        share = 1e-3 if one.dtype == "float16" else limit
        near = share * max(1.0, float(np.abs(other).max()))
        np.testing.assert_allclose(np.asarray(one, "float32"), other, rtol=0, atol=near)


@pytest.mark.parametrize(
    ("name", "engine"),
    [(name, "jax") for name in WHOLE if name.endswith(".keras")]
    + [(name, "torch") for name in WHOLE if name.endswith(".h5")],
)
def test_models_of_keras_2(name: str, engine: str, tmp_path: Path) -> None:
    inputs, expected, later = arrays(name)
    with cornu.backend.use(engine):
        model = saving.load_model(extracted(name, tmp_path))
        check(model, inputs, expected)
        assert (model.optimizer is not None) == bool(later)
        if later:
            model.train_on_batch(inputs[0], np.zeros((8, 2), "float32"))
            check(model, inputs, later, LIMITS.get(name.partition(".")[0], 1e-6))


@pytest.mark.parametrize("name", ["nested", "dense", "users_layers"])
def test_configs_and_weights_alone(name: str, tmp_path: Path) -> None:
    """A model from its JSON takes the weights of files of either format, in order or by names."""
    inputs, expected, _ = arrays(name)
    model = cornu.models.model_from_json(ARCHIVE.read(f"{name}.json").decode())
    for file, by_name in ((f"{name}.weights_alone.h5", False), (f"{name}.weights_alone.h5", True)):
        for variable in model.weights:
            variable.assign(np.zeros(variable.shape, variable.dtype))
        report = model.load_weights(extracted(file, tmp_path), by_name=by_name)
        assert (report.missing, report.unexpected, report.mismatched) == ([], [], {})
        check(model, inputs, expected)
    again = cornu.models.model_from_json(model.to_json())
    again.load_weights(extracted(f"{name}.keras", tmp_path))
    check(again, inputs, expected)


def test_a_loaded_model_is_one_of_today(tmp_path: Path) -> None:
    inputs, expected, _ = arrays("sequences")
    model = saving.load_model(extracted("sequences.h5", tmp_path))
    model.save(tmp_path / "today.keras")
    check(saving.load_model(tmp_path / "today.keras"), inputs, expected)


# ------------------------------------------------------------------------ Keras 1


def steep(x: Any) -> Any:
    return np.clip(0.2 * x + 0.5, 0, 1)


def lstm(x: Any, gates: list[Any]) -> Any:
    """The last output, of gates i, c, f, o: kernel, recurrent kernel and bias of each."""
    h = c = np.zeros((len(x), gates[1].shape[0]))
    for step in x.swapaxes(0, 1):
        i, g, f, o = (step @ gates[n] + h @ gates[n + 1] + gates[n + 2] for n in (0, 3, 6, 9))
        c = steep(f) * c + steep(i) * np.tanh(g)
        h = steep(o) * np.tanh(c)
    return h


def gru(x: Any, gates: list[Any]) -> Any:
    """The last output, of gates z, r, h."""
    h = np.zeros((len(x), gates[1].shape[0]))
    for step in x.swapaxes(0, 1):
        z, r = (steep(step @ gates[n] + h @ gates[n + 1] + gates[n + 2]) for n in (0, 3))
        h = z * h + (1 - z) * np.tanh(step @ gates[6] + (r * h) @ gates[7] + gates[8])
    return h


def gates(count: int, size: int, units: int) -> list[Any]:
    draw = np.random.default_rng(count)
    shapes = [(size, units), (units, units), (units,)] * count
    return [draw.normal(size=shape).astype("float32") for shape in shapes]


def test_a_graph_of_keras_1(tmp_path: Path) -> None:
    """Gates apart, `hard_sigmoid` as it was, merging by mode, calls without arguments, old optimizers."""
    first, second, words = gates(4, 4, 3), gates(3, 4, 2), draw(7, 4)
    kernel, bias = draw(5, 2), draw(2)
    recurrent = {
        "inner_init": "orthogonal",
        "activation": "tanh",
        "inner_activation": "hard_sigmoid",
    }
    recurrent |= {
        "init": "glorot_uniform",
        "consume_less": "cpu",
        "dropout_W": 0.0,
        "dropout_U": 0.0,
    }
    layers = [
        layer("InputLayer", "x", batch_input_shape=[None, 5], input_dtype="int32", sparse=False),
        layer(
            "Embedding",
            "words",
            input_dim=7,
            output_dim=4,
            init="uniform",
            input_length=5,
            mask_zero=False,
            W_regularizer=None,
            dropout=0.0,
        ),
        layer("LSTM", "lstm", output_dim=3, forget_bias_init="one", **recurrent),
        layer("GRU", "gru", output_dim=2, **recurrent),
        layer("Merge", "both", mode="concat", mode_type="raw", concat_axis=-1, dot_axes=-1),
        layer(
            "Dense",
            "out",
            output_dim=2,
            activation="linear",
            bias=True,
            input_dim=5,
            W_regularizer={"name": "L1L2Regularizer", "l1": 0.0, "l2": 0.01},
            W_constraint={"name": "MaxNorm", "m": 9, "axis": 0},
        ),
    ]
    calls = [
        [],
        [[["x", 0, 0]]],
        [[["words", 0, 0]]],
        [[["words", 0, 0]]],
        [[["lstm", 0, 0], ["gru", 0, 0]]],
        [[["both", 0, 0]]],
    ]
    for entry, nodes in zip(layers, calls, strict=True):
        entry |= {"name": entry["config"]["name"], "inbound_nodes": nodes}
    ends = {"input_layers": [["x", 0, 0]], "output_layers": [["out", 0, 0]]}
    config = {"class_name": "Model", "config": {"name": "m", "layers": layers, **ends}}
    weights = {
        "x": [],
        "words": [words],
        "lstm": first,
        "gru": second,
        "both": [],
        "out": [kernel, bias],
    }
    trained = [array for kept in weights.values() for array in kept]
    state = [np.float32(7), *(array + 1 for array in trained), *(array**2 for array in trained)]
    adam = {"lr": 0.01, "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-8, "decay": 0.0}
    training = {
        "optimizer_config": {"class_name": "Adam", "config": adam},
        "loss": "mse",
        "metrics": ["accuracy"],
        "sample_weight_mode": None,
        "loss_weights": None,
    }
    write(tmp_path / "a.h5", config, weights, training, state)
    model = saving.load_model(tmp_path / "a.h5")
    x = np.random.default_rng(0).integers(0, 7, (3, 5)).astype("int32")
    both = np.concatenate([lstm(words[x], first), gru(words[x], second)], axis=-1)
    check(model, [x], [both @ kernel + bias])
    assert int(model.optimizer.iterations) == 7
    moment = model.optimizer._slots["momentum"][1].numpy()
    np.testing.assert_array_equal(moment, np.concatenate([first[n] for n in (0, 6, 3, 9)], -1) + 1)
    model.fit(x, np.zeros((3, 2)), verbose=0)


@pytest.mark.parametrize("ordering", ["th", "tf"])
def test_a_stack_of_keras_1(ordering: str, tmp_path: Path) -> None:
    """A config that is a list, without an input; kernels whose axes lie otherwise."""
    channels_first = ordering == "th"
    kernel, bias, other = draw(4, 2, 3, 3), draw(4), draw(6, 2)
    scales = [np.abs(draw(4)) + 0.5 for _ in range(4)]
    shape = [None, 2, 5, 5] if channels_first else [None, 5, 5, 2]
    config = [
        layer(
            "Convolution2D",
            "c",
            nb_filter=4,
            nb_row=3,
            nb_col=3,
            init="he_normal",
            bias=True,
            activation="relu",
            border_mode="valid",
            subsample=[1, 1],
            dim_ordering=ordering,
            batch_input_shape=shape,
            input_dtype="float32",
        ),
        layer(
            "BatchNormalization",
            "n",
            mode=0,
            axis=1 if channels_first else -1,
            epsilon=1e-3,
            momentum=0.99,
            gamma_regularizer=None,
            beta_regularizer=None,
        ),
        layer(
            "MaxPooling2D",
            "p",
            pool_size=[2, 2],
            strides=[1, 1],
            border_mode="valid",
            dim_ordering=ordering,
        ),
        layer("GlobalAveragePooling2D", "g", dim_ordering=ordering),
        layer("RepeatVector", "r", n=6),
        layer("Permute", "t", dims=[2, 1]),
        layer("Dropout", "d", p=0.5),
        layer("TimeDistributed", "td", layer=layer("Dense", "inner", output_dim=2, bias=False)),
    ]
    stored = kernel if channels_first else kernel.transpose(2, 3, 1, 0)
    weights = {"c": [stored, bias], "n": scales, "p": [], "td": [other]}
    write(tmp_path / "a.h5", {"class_name": "Sequential", "config": config}, weights)
    model = saving.load_model(tmp_path / "a.h5")
    la, axis = (
        cornu.layers,
        {"data_format": "channels_first" if channels_first else "channels_last"},
    )
    same = cornu.Sequential(
        [
            cornu.Input(shape[1:]),
            la.Conv2D(4, 3, activation="relu", **axis),
            la.BatchNormalization(axis=1 if channels_first else -1),
            la.MaxPooling2D(2, 1, **axis),
            la.GlobalAveragePooling2D(**axis),
            la.RepeatVector(6),
            la.Permute((2, 1)),
            la.TimeDistributed(la.Dense(2, use_bias=False)),
        ]
    )
    same.set_weights([kernel.transpose(2, 3, 1, 0), bias, *scales, other])
    x = np.random.default_rng(0).normal(size=(3, *shape[1:])).astype("float32")
    check(model, [x], [same.predict(x, verbose=0)])
    assert model.layers[0].get_config()["kernel_initializer"]["class_name"] == "HeNormal"


LOST: dict[str, tuple[dict[str, Any], str]] = {
    "an argument": (
        layer("LSTM", "a", output_dim=2, time_major=True),
        "time_major=True of LSTM 'a'",
    ),
    "a mode": (layer("BatchNormalization", "a", mode=2), "mode=2 of BatchNormalization 'a'"),
    "a class": (layer("Highway", "a"), "must be known. Received: 'Highway'"),
    "a function": (
        layer("TFOpLambda", "a", function="io.read_file"),
        "must be known. Received: 'TFOpLambda'",
    ),
}


@pytest.mark.parametrize("case", LOST)
def test_what_is_no_more_is_named(case: str, tmp_path: Path) -> None:
    entry, words = LOST[case]
    entry["config"]["batch_input_shape"] = [None, 3, 2]
    write(tmp_path / "a.h5", {"class_name": "Sequential", "config": [entry]}, {})
    with pytest.raises((TypeError, ValueError), match=words):
        saving.load_model(tmp_path / "a.h5")
