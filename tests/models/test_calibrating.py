"""GPTQ and AWQ on models: kernels that are fitted to data, in Keras's files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "jax")

import keras
import numpy as np
import pytest
from keras.src.quantizers.awq import AWQ
from keras.src.quantizers.gptq import GPTQ

import cornu
from cornu import engines, layers, models, ops, quantizers
from cornu.quantizers import grouped as grouped_codes
from tests.engines_tested import ENGINES
from tests.test_grouped_codes import X

TOKENS = np.random.default_rng(0).integers(0, 20, (40, 6)).astype("int32")
KERNEL = np.random.default_rng(2).normal(size=(8, 7)).astype("float32")
CONFIGS: dict[str, tuple[str, dict[str, Any]]] = {
    "gptq": ("GPTQConfig", {}),
    "gptq in groups": ("GPTQConfig", {"weight_bits": 3, "group_size": 5, "activation_order": True}),
    "awq": ("AWQConfig", {"group_size": 8}),
}


def config_of(name: str, **more: Any) -> Any:
    kind, arguments = CONFIGS[name]
    shared = {"num_samples": 16, "sequence_length": 6}
    return getattr(quantizers, kind)(TOKENS, None, **shared, **arguments, **more)


def model_of(seed: int = 0) -> tuple[models.Model, dict[str, Any]]:
    """Tokens to numbers, by two blocks of a dense layer and an einsum."""
    cornu.utils.set_random_seed(seed)
    x = layers.Input((6,), dtype="int32")
    random = np.random.default_rng(3)  # what is fitted to goes together
    table = random.normal(size=(20, 3)) @ random.normal(size=(3, 16))
    embedding = layers.Embedding(20, 16, weights=table)
    y, blocks = embedding(x), []
    for number in range(2):
        inner = layers.Input((6, 16))
        z = layers.Dense(24, activation="relu")(inner)
        z = layers.EinsumDense("abc,cd->abd", (6, 16), bias_axes="d")(z) + inner
        blocks.append(models.Model(inner, z, name=f"block{number}"))
        y = blocks[-1](y)
    model = models.Model(x, layers.Dense(3, name="head")(y))
    return model, {"pre_block_layers": [embedding], "sequential_blocks": blocks}


def grouped(model: Any) -> list[Any]:
    return [layer for layer in model._flatten_layers() if layer.quantization_mode]


@pytest.mark.parametrize("name", ["gptq in groups", "awq"])
def test_a_model_is_fitted_block_by_block_on_every_engine(name: str) -> None:
    """It changes less than by rounding, in the same way everywhere; what is in no block stays as it is."""
    found: list[Any] = []
    for engine in ENGINES if "groups" in name else ENGINES[:1]:
        with engines.use(engine):
            model, structure = model_of()
            before = numbers(model)
            model.quantize(config=config_of(name, quantization_layer_structure=structure))
            assert len(grouped(model)) == 4
            assert model.get_layer("head").dtype_policy.name == "float32"
            found.append(numbers(model))
            np.testing.assert_allclose(found[0], found[-1], 1e-3, 1e-4)
    rounded, structure = model_of()
    for block in structure["sequential_blocks"]:
        for layer in block.layers:
            if isinstance(layer, (layers.Dense, layers.EinsumDense)):
                layer.quantize(config=config_of(name))
    error = np.square(numbers(rounded) - before).mean()
    assert np.square(found[0] - before).mean() < 0.9 * error


def numbers(model: Any) -> Any:
    return np.asarray(ops.convert_to_numpy(model(TOKENS)))


class Mine(layers.Layer):
    """A layer of a user's, whose kernel has its inputs last."""

    def build(self, input_shape: Any) -> None:
        self.kernel = self.add_weight((4, input_shape[-1]), "glorot_uniform", name="kernel")

    def call(self, inputs: Any) -> Any:
        return ops.einsum("bi,oi->bo", inputs, self.kernel)


def test_any_model_on_floats_as_a_whole(tmp_path: Path) -> None:
    """Without a structure: a trained one, with a layer of the user's; filters choose, and it strips again."""
    x = np.random.default_rng(1).normal(size=(32, 10)).astype("float32")
    model = models.Sequential(
        [layers.Dense(8, activation="relu"), Mine(name="mine"), layers.Dense(2, name="last")]
    )
    model.compile("adam", "mse")
    model.fit(x, x[:, :2], verbose=0)
    before = model.predict(x, verbose=0)
    config = quantizers.GPTQConfig(x, None, weight_bits=8, group_size=-1)
    model.quantize("gptq", config=config, filters=lambda layer: layer.name != "last")
    assert [layer.quantization_mode for layer in model.layers] == ["gptq", "gptq", None]
    after = model.predict(x, verbose=0)
    np.testing.assert_allclose(after, before, atol=0.05)
    assert not np.array_equal(after, before)
    model.fit(x, x[:, :2], verbose=0)
    after = model.predict(x, verbose=0)
    model.save(tmp_path / "model.keras")
    again = cornu.saving.load_model(tmp_path / "model.keras", custom_objects={"Mine": Mine})
    np.testing.assert_array_equal(again.predict(x, verbose=0), after)
    model.strip_transforms()
    np.testing.assert_allclose(model.predict(x, verbose=0), after, atol=1e-5)
    assert [layer.dtype_policy.name for layer in model.layers] == ["float32"] * 3


def test_a_model_that_is_called_often_enough_to_be_compiled() -> None:
    x = np.random.default_rng(1).normal(size=(72, 3)).astype("float32")
    model = models.Sequential([layers.Input((3,)), layers.Dense(2, name="last")])
    model.quantize("gptq", quantizers.GPTQConfig(x, None, num_samples=len(x), group_size=-1))
    assert model.get_layer("last").quantization_mode == "gptq"


@pytest.mark.parametrize("name", ["gptq", "awq"])
def test_files_with_keras(name: str, tmp_path: Path) -> None:
    """Keras reads what Cornu wrote; what Keras writes of symmetric codes, Cornu reads."""
    symmetric = {"symmetric": True} if name == "gptq" else {}
    model, structure = model_of()
    model.quantize(config=config_of(name, quantization_layer_structure=structure, **symmetric))
    expected = numbers(model)
    path = str(tmp_path / "model.keras")
    model.save(path)
    theirs = keras.saving.load_model(path)
    np.testing.assert_allclose(np.asarray(theirs(TOKENS)), expected, 1e-4, 1e-5)
    again = cornu.saving.load_model(path)
    np.testing.assert_array_equal(numbers(again), expected)
    wanted = {
        layer.name: layer.get_config()
        for layer in theirs._flatten_layers()
        if getattr(layer, "quantization_mode", None)
    }
    assert {layer.name: layer.get_config() for layer in grouped(again)} == wanted
    model.save_weights(tmp_path / "model.weights.h5")
    for read in (theirs, again):
        for variable in read.weights:
            variable.assign(np.zeros(variable.shape))
        read.load_weights(tmp_path / "model.weights.h5")
        np.testing.assert_allclose(numbers(read), expected, 1e-4, 1e-5)
    theirs.save(path)
    if symmetric:
        found = numbers(cornu.saving.load_model(path))
        np.testing.assert_allclose(found, expected, 1e-4, 1e-5)
    else:
        with pytest.raises(ValueError, match="zeros, which Keras 3.15 writes into no file"):
            cornu.saving.load_model(path)


@pytest.mark.parametrize("kind", ["GPTQConfig", "AWQConfig"])
def test_without_data_kernels_are_what_keras_makes_of_them(kind: str) -> None:
    """Keras 3.15 sees no inputs of quantized layers, so that this is what it makes of every model."""
    theirs, ours = keras.layers.Dense(7), layers.Dense(7)
    weights = [np.random.default_rng(2).normal(size=(12, 7)), np.ones(7)]
    for layer, library in ((theirs, keras), (ours, cornu)):
        layer.build((None, 12))
        layer.set_weights(weights)
        layer.quantize(config=getattr(library.quantizers, kind)([], None, group_size=6))
    if kind == "GPTQConfig":
        GPTQ(theirs, theirs.quantization_config).quantize_and_correct_layer()
    else:
        AWQ(theirs, theirs.quantization_config).quantize_layer()
    kept = [(v.name, np.asarray(v)) for v in theirs.weights]
    for variable, (name, value) in zip(ours.weights, kept[-len(ours.weights) :], strict=True):
        value = np.floor(value) if name == "g_idx" else value
        np.testing.assert_allclose(variable.numpy(), value, 1e-6, err_msg=name)


def test_codes_are_kerass_but_for_how_errors_are_spread(monkeypatch: pytest.MonkeyPatch) -> None:
    """On the same data: Keras goes by the whole inverse of the moments, the paper by its factor, which loses less."""
    x, arguments = X[:, -8:], {"weight_bits": 3, "group_size": -1}
    theirs = keras.layers.Dense(7, use_bias=False)
    theirs.build((None, 8))
    theirs.set_weights([KERNEL])
    theirs.quantize(config=keras.quantizers.GPTQConfig(["text"], None, **arguments))
    fitting = GPTQ(theirs, theirs.quantization_config)
    fitting.update_hessian_with_batch(x)
    fitting.quantize_and_correct_layer()
    wanted, found = np.asarray(theirs(x)), []
    for factor in (None, inverse):
        if factor is not None:
            monkeypatch.setattr(grouped_codes, "_factor", factor)
        model = cornu.Sequential([cornu.Input((8,)), layers.Dense(7, use_bias=False)])
        model.set_weights([KERNEL])
        config = quantizers.GPTQConfig(x, None, num_samples=len(x), **arguments)
        model.quantize(config=config)
        found.append(ops.convert_to_numpy(model(x)))
    np.testing.assert_allclose(found[1], wanted, 1e-4, 1e-4)
    losses = [np.square(y - x @ KERNEL).mean() for y in (found[0], wanted)]
    assert losses[0] < 0.9 * losses[1]


def inverse(moments: np.ndarray[Any, Any], damping: float) -> np.ndarray[Any, Any]:
    moments = moments.astype("float64")
    return np.linalg.inv(moments + damping * np.diag(moments).mean() * np.eye(len(moments)))


WRONG: dict[str, tuple[Any, str]] = {
    "no blocks": ({}, r"must have blocks. Received: \{\}"),
    "no data": (None, "must be strings or arrays to calibrate on. Received: dataset=None"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_calibrations(name: str) -> None:
    structure, message = WRONG[name]
    model, _ = model_of()
    with pytest.raises((TypeError, ValueError), match=message):
        model.quantize(
            config=quantizers.GPTQConfig(None, None, quantization_layer_structure=structure)
        )


def test_kernels_that_stay_floats_are_named() -> None:
    x = layers.Input((8,))
    y = layers.Reshape((4, 2))(x)
    y = layers.Conv1D(3, 2, name="steps")(y)
    model = models.Model(x, layers.Dense(2, name="last")(layers.Flatten()(y)))
    config = quantizers.GPTQConfig(X[:, -8:], None, num_samples=len(X), group_size=-1)
    with pytest.warns(UserWarning, match="'gptq' is for .* Floats stay .*steps/kernel. "):
        model.quantize(config=config)
    assert [layer.name for layer in grouped(model)] == ["last"]
