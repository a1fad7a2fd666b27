"""Steps of training as ONNX graphs: plain ONNX Runtime trains as `train_on_batch` does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import cornu
from cornu import engines, layers, ops, optimization, optimizers
from cornu.core import tree
from cornu.engines.indexing import indexed
from cornu.engines.onnx import OnnxTrainingEngine
from cornu.engines.onnxruntime import open_session
from cornu.export import _training
from tests.engines_tested import ENGINES
from tests.export import models

STEPS = 4
FAST = optimizers.schedules.CosineDecay(0.01, 6, warmup_steps=2, warmup_target=0.1)
OPTIMIZERS = {
    "sgd": lambda: optimizers.SGD(0.1, momentum=0.9, nesterov=True),
    "adam": lambda: optimizers.Adam(FAST, clipnorm=0.5, use_ema=True, ema_overwrite_frequency=2),
    "accumulating": lambda: optimizers.AdamW(0.01, gradient_accumulation_steps=2),
    "groups": lambda: optimizers.Adam(0.01, learning_rates={"*dense_1/*": 0.1, "*bias": None}),
    "adafactor": lambda: optimizers.Adafactor(0.01),
    "muon": lambda: optimizers.Muon(0.01),
    "scaled": lambda: optimizers.LossScaleOptimizer(optimizers.SGD(0.1), initial_scale=16.0),
    "logged": lambda: optimizers.RMSprop(0.01, global_clipnorm=0.1, log_gradient_norm=True),
}


def perceptron() -> Any:
    """Layers that draw, and that keep statistics."""
    return cornu.Sequential(
        [
            cornu.Input((6,), name="table"),
            layers.Dense(8, activation="gelu", kernel_regularizer="l2"),
            layers.BatchNormalization(),
            layers.Dropout(0.4, seed=3),
            layers.GaussianNoise(0.1, seed=4),
            layers.Dense(4, activation="softmax"),
        ]
    )


def classes(optimizer: Any = "adam") -> tuple[Any, Any, Any]:
    """A compiled model of classes, with data."""
    model, generator = perceptron(), np.random.default_rng(1)
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    x = generator.normal(size=(10, 6)).astype("float32")
    return model, x, generator.integers(0, 4, 10).astype("int32")


class Device:
    """What runs the files elsewhere: ONNX Runtime, and arrays by name."""

    def __init__(self, path: Path) -> None:
        self.step = open_session(str(path), threads=1)
        self.answers = open_session(str(path.with_name(f"{path.stem}_predict.onnx")), threads=1)
        self.state = load_file(str(path.with_suffix(".safetensors")))

    def run(self, session: Any, *data: Any) -> dict[str, Any]:
        names = [value.name for value in session.get_inputs()]
        own = [name for name in names if name not in self.state]
        given = dict(zip(own, data, strict=True))
        given |= {name: self.state[name] for name in names if name in self.state}
        return dict(
            zip([v.name for v in session.get_outputs()], session.run(None, given), strict=True)
        )

    def train(self, *data: Any) -> dict[str, Any]:
        found = self.run(self.step, *data)
        new = {name: value for name, value in found.items() if name.startswith("new/")}
        self.state |= {name.removeprefix("new/"): value for name, value in new.items()}
        return {name: float(value) for name, value in found.items() if name not in new}

    def predict(self, *data: Any) -> list[Any]:
        return list(self.run(self.answers, *data).values())


def exported(model: Any, folder: Path, **options: Any) -> Device:
    model.export(folder / "step.onnx", format="onnx_training", verbose=False, **options)
    return Device(folder / "step.onnx")


def assert_trains_alike(model: Any, device: Device, x: Any, y: Any) -> None:
    """Batches of different sizes, then predictions and every weight."""
    for size in range(3, 3 + STEPS):
        one, two = (tree.map_structure(lambda part, n=size: part[:n], data) for data in (x, y))
        wanted = model.train_on_batch(one, two, return_dict=True)
        assert device.train(*tree.flatten(one), *tree.flatten(two)) == pytest.approx(
            wanted, rel=1e-4
        )
    wanted = tree.flatten(model.predict_on_batch(x))
    for found, value in zip(device.predict(*tree.flatten(x)), wanted, strict=True):
        np.testing.assert_allclose(found, value, 1e-3, 1e-4)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_step_is_that_of_train_on_batch(name: str, tmp_path: Path) -> None:
    model, x, y = classes(OPTIMIZERS[name]())
    with engines.use("numpy"):
        assert_trains_alike(model, exported(model, tmp_path), x, y)


@pytest.mark.parametrize("name", models.ALL)
def test_models_of_each_kind_train(name: str, tmp_path: Path) -> None:
    with engines.use("numpy"):
        model, x = models.made(name), models.inputs(name, 8)
        y = tree.map_structure(lambda z: np.flip(z, -1) + 0.5, model.predict(x, verbose=0))
        model.compile("sgd", loss=["mse"] * len(model.outputs))
        assert_trains_alike(model, exported(model, tmp_path, examples=(x, y)), x, y)


LOSSES = {
    "by name": {"loss": {"total": "mse", "share": "mae"}, "metrics": {"share": ["mse"]}},
    "in a list": {"loss": ["mse", "mse"], "loss_weights": [1.0, 0.5], "metrics": [["mae"], None]},
}


@pytest.mark.parametrize("losses", LOSSES)
def test_losses_and_metrics_have_the_names_of_their_outputs(
    losses: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of a model that was never trained; the line that is printed runs a step of it."""
    model, (left, right) = models.made("two_and_two"), models.inputs("two_and_two", 4)
    y_0, y_1 = np.ones((4, 2), "float32"), np.zeros((4, 1), "float32")
    model.compile("sgd", **LOSSES[losses])
    with engines.use("numpy"):
        model.export(
            tmp_path / "step.onnx", format="onnx_training", examples=([left, right], [y_0, y_1])
        )
        line = capsys.readouterr().out.splitlines()[-2]
        scope = {"left": left, "right": right, "y_0": y_0, "y_1": y_1}
        exec(line.removeprefix("Python").strip(), scope)
        names = [value.name for value in Device(tmp_path / "step.onnx").step.get_outputs()]
        found = dict(zip(names, scope["found"], strict=True))
        wanted = model.train_on_batch([left, right], [y_0, y_1], return_dict=True)
    assert {name for name in names if not name.startswith("new/")} == wanted.keys()
    assert {"total_loss", "share_loss"} < wanted.keys()
    assert {name: float(found[name]) for name in wanted} == pytest.approx(wanted, rel=1e-5)


def test_training_goes_on_where_a_device_was(tmp_path: Path) -> None:
    """The weights come back, and what is kept for them."""
    with engines.use("numpy"):
        model, x, y = classes()
        model.train_on_batch(x, y)
        device = exported(model, tmp_path)
        for _ in range(3):
            device.train(x, y)
            model.train_on_batch(x, y)
        save_file(device.state, str(tmp_path / "back.safetensors"))
        cornu.utils.clear_session()
        twin = perceptron()
        twin.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        assert not twin.load_weights(tmp_path / "back.safetensors").missing
        wanted = [model.train_on_batch(x, y) for _ in range(2)]
        assert [twin.train_on_batch(x, y) for _ in range(2)] == [
            pytest.approx(w, rel=1e-4) for w in wanted
        ]
        assert int(twin.optimizer.iterations) == 6


def test_the_bytes_are_the_same_from_every_engine(tmp_path: Path) -> None:
    model, x, y = classes()
    contents = []
    for engine in [*ENGINES, ENGINES[0]]:
        with engines.use(engine):
            assert all(variable.value is not None for variable in model.variables)  # it moves there
            exported(model, tmp_path)
        contents.append([file.read_bytes() for file in sorted(tmp_path.iterdir())])
    assert all(content == contents[0] for content in contents)


KEYS = [
    (1, slice(None), slice(1, None, 2)),
    (slice(0, 3, 2), None, -1),
    (Ellipsis, slice(-3, -1)),
    (np.array([3, 0, 3], "int32"),),
    (slice(None), np.array([[1, 1], [0, 1]], "int32")),
]


def test_parts_are_put_where_they_were() -> None:
    """Blocks by padding, rows and single elements by scattering."""
    numpy, x = engines.get("numpy"), np.arange(60.0, dtype="float32").reshape(4, 3, 5)
    parts = [np.asarray(indexed(numpy, x, key)) for key in KEYS]
    engine = OnnxTrainingEngine.for_file(18)
    with engines.use(engine):
        values = [
            engine.graph.input(part.shape, "float32", f"part_{i}") for i, part in enumerate(parts)
        ]
        keys = [
            tuple(engine.graph.constant(e) if isinstance(e, np.ndarray) else e for e in key)
            for key in KEYS
        ]
        engine.graph.finish([engine.put(values, keys, x.shape)], ["sum"])
    traced = _training.Traced(engine, None, ([], []), {}, "put")
    session = open_session(_training.serialized(traced, 8))
    (found,) = session.run(None, {f"part_{i}": part for i, part in enumerate(parts)})
    np.testing.assert_array_equal(found, numpy.put(parts, KEYS, x.shape))


@pytest.mark.parametrize("how", ["lora", "quantize", "prune", "freeze"])
def test_weights_that_are_read_through_transforms(how: str, tmp_path: Path) -> None:
    """Products of low rank, ranges of rounded weights, masks: what trains, trains there too."""
    model, x, y = classes()
    if how == "lora":
        model.layers[0].enable_lora(2)
    elif how == "freeze":
        model.layers[0].trainable = False
    elif how == "quantize":
        model = optimization.quantize_model(cornu.Sequential([cornu.Input((6,)), layers.Dense(4)]))
    else:
        model = optimization.prune_low_magnitude(model)
    with engines.use("numpy"):
        model.compile(
            "adam", loss="mse" if how == "quantize" else "sparse_categorical_crossentropy"
        )
        y = x[:, :4] if how == "quantize" else y
        assert_trains_alike(model, exported(model, tmp_path, examples=(x, y)), x, y)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision(policy: str, tmp_path: Path) -> None:
    """Runtimes compute in 32 bits what layers round to 16."""
    x = np.random.default_rng(0).normal(size=(8, 3)).astype("float32")
    with engines.use("numpy"), np.errstate(all="ignore"):
        model = cornu.Sequential(
            [cornu.Input((3,)), layers.Dense(4, dtype=policy), layers.Dense(1)]
        )
        model.compile("sgd", "mse")
        device = exported(model, tmp_path, examples=(x, x[:, :1]))
        wanted = [model.train_on_batch(x, x[:, :1]) for _ in range(3)]
        found = [device.train(x, x[:, :1])["loss"] for _ in range(3)]
        assert found == pytest.approx(wanted, rel=1e-2)


def test_a_users_own_step(tmp_path: Path) -> None:
    class Halved(cornu.Model):
        def __init__(self) -> None:
            super().__init__()
            self.dense = layers.Dense(1)

        def call(self, x: Any) -> Any:
            return self.dense(x)

        def train_step(self, data: Any) -> Any:
            x, y = data[:2]
            loss, gradients = cornu.value_and_grad(
                lambda: ops.mean(ops.abs(self(x) - y)), self.trainable_variables
            )()
            self.optimizer.apply([g / 2 for g in gradients], self.trainable_variables)
            return {"distance": loss}

    model, x = Halved(), np.random.default_rng(0).normal(size=(8, 3)).astype("float32")
    with engines.use("numpy"):
        model(x)
        model.compile("sgd", "mae")
        device = exported(model, tmp_path)
        wanted = model.train_on_batch(x, x[:, :1], return_dict=True)
        assert device.train(x, x[:, :1]) == pytest.approx(wanted)
        np.testing.assert_allclose(device.predict(x)[0], model(x), 1e-5, 1e-6)


@pytest.mark.parametrize("inputs", [{"shape": (4,), "name": "loss"}, {"batch_shape": (4, 4)}])
def test_inputs_of_any_name_and_batch(inputs: Any, tmp_path: Path) -> None:
    model = cornu.Sequential([cornu.Input(**inputs), layers.Dense(2)])
    model.compile("sgd", "mse")
    x = np.ones((4, 4), "float32")
    with engines.use("numpy"):
        device = exported(model, tmp_path)
        wanted = model.train_on_batch(x, x[:, :2])
    assert [*device.train(x, x[:, :2]).values()] == pytest.approx([wanted])
    with pytest.raises(ValueError, match="Choose a name that ends in .onnx"):
        model.export(tmp_path / "step.safetensors", format="onnx_training")


class Drawing(layers.Layer):
    """A layer that draws from the generator of everybody."""

    def call(self, x: Any) -> Any:
        return x + cornu.random.normal(ops.shape(x))


class Searching(layers.Layer):
    """A layer with a loop whose length nobody knows."""

    def call(self, x: Any) -> Any:
        return ops.while_loop(lambda y: ops.sum(y) < 9, lambda y: (y + x,), (x,))[0]


def compiled(*more: Any, shape: Any = (4,), loss: Any = "mse") -> Any:
    model = cornu.Sequential([cornu.Input(shape), layers.Dense(2), *more])
    model.compile("sgd", loss)
    return model


REFUSED = {
    "never compiled": (lambda: perceptron(), ValueError, "must be compiled before `train_step\\(\\)`"),
    "two outputs": (lambda: _two(), ValueError, "Give `examples=\\(x, y\\)`"),
    "an open length": (
        lambda: compiled(shape=(None, 4)), ValueError, "sizes are known, but for the batch",
    ),
    "draws of everybody": (
        lambda: compiled(Drawing()), NotImplementedError, "Give draws a `seed=SeedGenerator",
    ),
    "narrow weights": (
        lambda: compiled(layers.Dense(2, dtype="bfloat16")), NotImplementedError, "'mixed_bfloat16'",
    ),
    "an open loop": (lambda: compiled(Searching()), NotImplementedError, "no gradient in a file"),
}  # fmt: skip


def _two() -> Any:
    model = models.made("two_and_two")
    model.compile("sgd", ["mse", "mse"])
    return model


def test_examples_are_inputs_and_targets(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Received: examples of ndarray"):
        exported(compiled(), tmp_path, examples=np.ones((2, 4)))


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_leaves_nothing(name: str, tmp_path: Path) -> None:
    make, error, message = REFUSED[name]
    with engines.use("numpy"), pytest.raises(error, match=message):
        exported(make(), tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("factor, message", [(2.0, "differs by"), (1.0, "weights of")])
def test_a_step_that_computes_something_else_is_not_written(
    factor: float, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reference = _training._reference

    def other(*args: Any) -> Any:
        given = reference(*args)
        moved = {k: v + 0.002 for k, v in given.items() if k.endswith(("kernel", "bias"))}
        return {**given, **moved, "loss": given["loss"] * factor}

    monkeypatch.setattr(_training, "_reference", other)
    with engines.use("numpy"), pytest.raises(ValueError, match=message):
        exported(compiled(), tmp_path)
    assert list(tmp_path.iterdir()) == []
