"""Layers around functions of JAX, modules of Flax and PyTorch, programs of TensorFlow: each trains in a model."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest

import cornu
from cornu import engines, layers
from tests.engines_tested import ENGINES

X = np.random.default_rng(0).normal(size=(8, 3)).astype("float32")
Y = X.sum(1, keepdims=True)


@cornu.saving.register_keras_serializable("tests")
@keras.saving.register_keras_serializable("tests")
def affine(params: Any, state: Any, rng: Any, inputs: Any, training: bool) -> Any:
    """Noise in training alone, and a state that counts the steps."""
    if training:
        inputs = inputs + 0.01 * jax.random.normal(rng, inputs.shape)
    return inputs @ params["w"] + params["b"], {"steps": state["steps"] + training}


@cornu.saving.register_keras_serializable("tests")
@keras.saving.register_keras_serializable("tests")
def start(rng: Any, inputs: Any) -> Any:
    width = inputs.shape[-1]
    weights = {"w": jax.random.normal(rng, (width, 1)), "b": jnp.zeros(1)}
    return weights, {"steps": jnp.zeros(())}


class Flax(nn.Module):
    @nn.compact
    def __call__(self, inputs: Any, training: bool) -> Any:
        x = nn.BatchNorm(use_running_average=not training, momentum=0.9)(inputs)
        return nn.Dense(1)(nn.Dropout(0.02, deterministic=not training)(x))


def torch_layer(folder: Path) -> Any:
    import torch

    torch.manual_seed(0)
    return layers.TorchModuleWrapper(
        torch.nn.Sequential(torch.nn.BatchNorm1d(3), torch.nn.Dropout(0.02), torch.nn.Linear(3, 1))
    )


def program(folder: Path) -> Any:
    with engines.use("tensorflow"):
        import tensorflow as tf

        class Program(tf.Module):
            def __init__(self) -> None:
                super().__init__()
                self.w = tf.Variable(np.zeros((3, 1), "float32"), name="w")
                self.steps = tf.Variable(0.0, trainable=False, name="steps")

            @tf.function(input_signature=[tf.TensorSpec((None, 3), tf.float32)])
            def serve(self, x: Any) -> Any:
                return x @ self.w

            @tf.function(input_signature=[tf.TensorSpec((None, 3), tf.float32)])
            def learn(self, x: Any) -> Any:
                self.steps.assign_add(1.0)
                return x @ self.w

        tf.saved_model.save(Program(), str(folder / "program"))
    return layers.TFSMLayer(folder / "program", call_training_endpoint="learn")


def test_names_of_a_programs_variables_differ() -> None:
    from cornu.engines.tensorflow.adopted import _apart

    assert _apart(["a_2", "a", "a", "a", "a_1"]) == ["a_2", "a", "a_1", "a_3", "a_1_1"]


#: The engine, what makes the layer, and the shapes of its weights: those that are trained first.
KINDS: dict[str, tuple[str, Callable[[Path], Any], list[tuple[int, ...]]]] = {
    "jax": ("jax", lambda _: layers.JaxLayer(affine, start), [(1,), (3, 1), ()]),
    "flax": ("jax", lambda _: layers.FlaxLayer(Flax()), [(3,), (3,), (1,), (3, 1), (3,), (3,)]),
    "torch": ("torch", torch_layer, [(3,), (3,), (1, 3), (1,), (3,), (3,), ()]),
    "tensorflow": ("tensorflow", program, [(3, 1), ()]),
}


def model_of(layer: Any) -> Any:
    inputs = cornu.Input((3,))
    model = cornu.Model(inputs, layer(inputs))
    model.compile(cornu.optimizers.SGD(0.1), "mse")
    return model


@pytest.mark.parametrize("kind", KINDS)
def test_it_trains_where_its_library_runs(kind: str, tmp_path: Path) -> None:
    """With its state and its random numbers, in training alone; its weights are in files; elsewhere it says so."""
    name, make, shapes = KINDS[kind]
    if name not in ENGINES:
        pytest.skip(f"{name} is not tested")
    with engines.use(name):
        model = model_of(make(tmp_path))
        assert [w.shape for w in model.weights] == shapes
        assert model.output_shape == (None, 1)
        history = model.fit(X, Y, batch_size=4, epochs=20, shuffle=False, verbose=0).history
        assert history["loss"][-1] < 0.2 * history["loss"][0]
        before = model.get_weights()
        state = model.non_trainable_weights[-1]
        assert kind == "flax" or float(state) == 40  # as many steps
        once, again = (model.predict(X, verbose=0) for _ in range(2))
        np.testing.assert_array_equal(once, again)
        for one, two in zip(before, model.get_weights(), strict=True):
            np.testing.assert_array_equal(one, two)
        model.save_weights(tmp_path / "a.weights.h5")
        fresh = model_of(make(tmp_path))
        fresh.load_weights(tmp_path / "a.weights.h5")
        np.testing.assert_allclose(fresh.predict(X, verbose=0), once, 1e-6, 1e-6)
    with engines.use("numpy"):
        assert [w.shape for w in model.weights] == shapes
        with pytest.raises(
            NotImplementedError, match=f"knows what it wraps. Received: .*Run .*'{name}'"
        ):
            model(X)


def test_a_torch_module_sees_the_training() -> None:
    torch = pytest.importorskip("torch")
    module = torch.nn.Linear(3, 1)
    with engines.use("torch"):
        layer = layers.TorchModuleWrapper(module)
        model_of(layer).fit(X, Y, verbose=0)
        np.testing.assert_array_equal(layer.weights[0].numpy(), module.weight.detach().numpy())
        assert next(layer.parameters()) is module.weight
        with pytest.raises(TypeError, match="must be written|get_config"):
            cornu.saving.serialize_keras_object(layer)
        with pytest.raises(ValueError, match="must be there when it is wrapped"):
            layers.TorchModuleWrapper(torch.nn.LazyLinear(2))


def test_files_of_keras_both_ways(tmp_path: Path) -> None:
    """A `.keras` file with a function of JAX, by its registered names."""
    for one, two in ((cornu, keras), (keras, cornu)):
        inputs = one.Input((3,))
        model = one.Model(inputs, one.layers.JaxLayer(affine, start)(inputs))
        model.save(tmp_path / "model.keras")
        again = two.models.load_model(tmp_path / "model.keras")
        np.testing.assert_allclose(
            again.predict(X, verbose=0), model.predict(X, verbose=0), 1e-5, 1e-6
        )


ours = functools.partial(layers.JaxLayer, affine)


@pytest.mark.parametrize(
    "make, error, text",
    [
        (ours, ValueError, "neither `init_fn` nor `params` nor `state`"),
        (lambda: layers.JaxLayer(lambda x: x, start), ValueError, "Received: a function of .'x'."),
        (lambda: layers.TFSMLayer.from_config({"filepath": "a"}), TypeError, "Received: .*='a'"),
        (
            lambda: layers.TorchModuleWrapper.from_config({"module": "gASV", "name": "m"}),
            TypeError,
            "a pickled module is code. Received: the module of the layer 'm'",
        ),
        (lambda: layers.TorchModuleWrapper(3), TypeError, "Received: module=3"),
    ],
)
def test_errors(make: Callable[[], Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        make()
