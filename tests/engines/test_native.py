"""What users of an engine's own library expect: its way to write a step, its modules."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import cornu
from cornu import backend, layers
from cornu.core.state import CompiledStep
from tests.engines_tested import ENGINES
from tests.training import models_for_fit as m

QUIET = {"shuffle": False, "verbose": 0}


class Plain(cornu.Model):
    """A model with the trainer's own step."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = layers.Dense(4, activation="relu")
        self.out = layers.Dense(1)

    def call(self, x: Any) -> Any:
        return self.out(self.hidden(x))

    def measured(self, loss: Any, y: Any, y_pred: Any) -> dict[str, Any]:
        for metric in self.metrics:
            if metric.name == "loss":
                metric.update_state(loss)
            else:
                metric.update_state(y, y_pred)
        return {metric.name: metric.result() for metric in self.metrics}


class TorchStep(Plain):
    """Keras's documented form for PyTorch."""

    def train_step(self, data: Any) -> dict[str, Any]:
        import torch

        x, y = data
        self.zero_grad()
        y_pred = self(x, training=True)
        loss = self.compute_loss(y=y, y_pred=y_pred)
        loss.backward()
        weights = list(self.trainable_weights)
        gradients = [weight.value.grad for weight in weights]
        with torch.no_grad():
            self.optimizer.apply(gradients, weights)
        return self.measured(loss, y, y_pred)


class JaxStep(Plain):
    """Keras's documented form for JAX."""

    def compute_loss_and_updates(
        self, trainable: Any, fixed: Any, x: Any, y: Any, training: bool = False
    ) -> Any:
        y_pred, fixed = self.stateless_call(trainable, fixed, x, training=training)
        return self.compute_loss(x, y, y_pred), (y_pred, fixed)

    def train_step(self, state: Any, data: Any) -> Any:
        import jax

        trainable, fixed, slots, measured = state
        x, y = data
        gradient = jax.value_and_grad(self.compute_loss_and_updates, has_aux=True)
        (loss, (y_pred, fixed)), gradients = gradient(trainable, fixed, x, y, training=True)
        trainable, slots = self.optimizer.stateless_apply(slots, gradients, trainable)
        logs, after = {}, []
        for metric in self.metrics:
            count = len(metric.variables)
            mine, measured = measured[:count], measured[count:]
            given = (loss,) if metric.name == "loss" else (y, y_pred)
            mine = metric.stateless_update_state(mine, *given)
            logs[metric.name] = metric.stateless_result(mine)
            after += mine
        return logs, (trainable, fixed, slots, after)


class TensorFlowStep(Plain):
    """Keras's documented form for TensorFlow."""

    def train_step(self, data: Any) -> dict[str, Any]:
        import tensorflow as tf

        x, y = data
        with tf.GradientTape() as tape:
            y_pred = self(x, training=True)
            loss = self.compute_loss(y=y, y_pred=y_pred)
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply(gradients, self.trainable_variables)
        return self.measured(loss, y, y_pred)


STEPS = {"jax": JaxStep, "torch": TorchStep, "tensorflow": TensorFlowStep}


@pytest.mark.parametrize("engine", [name for name in STEPS if name in ENGINES])
def test_a_step_in_the_librarys_own_form(engine: str) -> None:
    x, y = m.draw(64, 5), m.draw(64, 1)
    histories = []
    for kind in (Plain, STEPS[engine]):
        with backend.use(engine):
            cornu.utils.set_random_seed(1)
            model = kind()
            model.compile("adam", "mse", metrics=["mae"])
            histories.append(model.fit(x, y, batch_size=16, epochs=3, **QUIET).history)
    for name, values in histories[0].items():
        np.testing.assert_allclose(histories[1][name], values, 1e-5)
    assert histories[0]["loss"][-1] < histories[0]["loss"][0]


@pytest.mark.skipif("torch" not in ENGINES, reason="other engines were asked for")
def test_views_of_weights_keep_what_they_saw_before_an_update() -> None:
    """A recorded step writes over weights; what it still needs of the old ones it must not lose."""
    from cornu.core.state import CompiledStep

    with backend.use("torch"):
        weights = [cornu.Variable(np.arange(4.0).reshape(2, 2)) for _ in range(2)]
        optimizer = cornu.optimizers.SGD(1.0, momentum=0.5)
        optimizer.build(weights)

        def step(x: Any) -> Any:
            rows = [weight.value[0] for weight in weights]
            turned = cornu.ops.transpose(weights[0].value)
            optimizer.apply([x + turned, x], weights)
            return rows, cornu.ops.sum(turned)

        compiled = CompiledStep(step, [*weights, *optimizer.variables])
        for _ in range(2):
            before = [weight.numpy() for weight in weights]
            rows, total = compiled(np.ones((2, 2), "float32"))
            assert [row.tolist() for row in rows] == [was[0].tolist() for was in before]
            assert float(total) == before[0].sum()
            assert not np.allclose(weights[0].numpy(), before[0])


@pytest.mark.skipif("torch" not in ENGINES, reason="other engines were asked for")
def test_a_layer_is_a_torch_module() -> None:
    import torch

    with backend.use("torch"):
        layer = cornu.Sequential(
            [cornu.Input((3,)), layers.Dense(4, name="one"), layers.BatchNormalization(name="two")]
        )
        module = layer.native_module()
        assert list(layer.state_dict()) == [
            *("one.kernel", "one.bias", "two.gamma", "two.beta"),
            *("two.moving_mean", "two.moving_variance"),
        ]
        assert [tuple(p.shape) for p in layer.parameters()] == [(3, 4), (4,), (4,), (4,)]
        for name in ("register_forward_hook", "eval", "half"):
            with pytest.raises(AttributeError, match="native_module"):
                getattr(layer, name)
        both = torch.nn.Sequential(module, torch.nn.Linear(4, 2))
        x = torch.tensor(m.draw(8, 3))
        before = [weight.numpy().copy() for weight in layer.weights]
        optimizer = torch.optim.SGD(both.parameters(), 0.1)
        both(x).square().mean().backward()
        optimizer.step()
        changed = [
            not np.allclose(weight.numpy(), was)
            for weight, was in zip(layer.weights, before, strict=True)
        ]
        # Not the bias, which batch normalization takes off again; the last two by the layer itself.
        assert changed == [True, False, True, True, True, True]
        both.eval()
        again = layer(x, training=False)
        assert torch.equal(module(x), again)
        module.load_state_dict({k: torch.zeros_like(v) for k, v in module.state_dict().items()})
        assert not layer.weights[0].numpy().any()
        assert module.to(torch.float64) is module
    layer.weights[0].assign(np.ones((3, 4)))  # moved to another engine, and back into the module
    with backend.use("torch"):
        assert float(layer.weights[0].value.detach().sum()) == 12.0
        assert float(next(module.parameters()).detach().sum()) == 12.0


@pytest.mark.skipif("tensorflow" not in ENGINES, reason="other engines were asked for")
class TestTensorFlow:
    def test_a_layer_is_saved_as_a_module(self, tmp_path: Any) -> None:
        import tensorflow as tf

        x = m.draw(8, 5)
        with backend.use("tensorflow"):
            model = Plain()
            expected = model.predict(x, verbose=0)
            module = model.native_module()
            assert len(module.trainable_variables) == len(module.variables) == 4
            shape = tf.TensorSpec((None, 5))
            module.serve = tf.function(lambda x: module(x), [shape], autograph=False)
            tf.saved_model.save(module, str(tmp_path))
            model.set_weights([np.zeros_like(weight) for weight in model.get_weights()])
            assert not np.any(module(x))
        loaded = tf.saved_model.load(str(tmp_path))
        np.testing.assert_allclose(loaded.serve(tf.constant(x)), expected, 1e-5, 1e-6)

    def test_fit_on_tensors_and_datasets(self) -> None:
        import tensorflow as tf

        x, y = m.draw(64, 5), m.draw(64, 1)
        tensors = tf.constant(x), tf.constant(y)
        losses = []
        for data in ((x, y), tensors, (tf.data.Dataset.from_tensor_slices(tensors).batch(32),)):
            with backend.use("tensorflow"):
                cornu.utils.set_random_seed(1)
                model = Plain()
                model.compile("adam", "mse")
                losses.append(model.fit(*data, epochs=2, **QUIET).history["loss"])
        np.testing.assert_allclose(losses[1:], [losses[0]] * 2, 1e-6)

    def test_operators_of_tensors_differentiate_by_variables(self) -> None:
        import tensorflow as tf

        with backend.use("tensorflow"):
            weight = cornu.Variable(np.array([1.0, 2.0]))
            with tf.GradientTape() as tape:
                loss = tf.reduce_sum(tf.constant([3.0, 4.0]) * weight)
            assert tape.gradient(loss, weight).numpy().tolist() == [3, 4]

    def test_a_step_that_fails_changes_nothing(self) -> None:
        import tensorflow as tf

        total, count = cornu.Variable([1.0]), cornu.Variable(0, dtype="int32", trainable=False)

        def step(index: Any) -> Any:
            count.assign_add(1)
            total.assign(total * 2)
            return tf.gather(tf.constant([1.0, 2.0]), index)

        run = CompiledStep(step, [total, count])
        with backend.use("tensorflow"):
            run(0)
            with pytest.raises(tf.errors.InvalidArgumentError):
                run(9)
        assert total.numpy().tolist() == [2] and int(count) == 1


def test_engines_without_modules_say_so() -> None:
    layer = layers.Dense(2)
    layer.build((None, 3))
    with backend.use("numpy"):
        assert not hasattr(layer, "parameters")
        with pytest.raises(NotImplementedError, match="no modules"):
            layer.native_module()
    with pytest.raises(ValueError, match="once it is built"):
        layers.Dense(2).native_module()
