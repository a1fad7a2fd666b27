"""What users of an engine's own library expect: its way to write a step, its modules."""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys
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


def _branches() -> tuple[Any, Any]:
    return (
        layers.Dense(4, activation="relu"),
        cornu.Sequential([layers.Dense(4), layers.Dropout(0.5), layers.BatchNormalization()]),
    )


@pytest.mark.skipif("torch" not in ENGINES, reason="other engines were asked for")
class TestTorch:
    """A layer is a `torch.nn.Module` to PyTorch."""

    @pytest.fixture(autouse=True)
    def _engine(self) -> Any:
        with backend.use("torch"):
            yield

    def net(self) -> Any:
        import torch

        class Net(torch.nn.Module):  # type: ignore[misc]
            def __init__(self) -> None:
                super().__init__()
                self.first, self.inner = _branches()
                self.last = torch.nn.Linear(4, 2)

            def forward(self, x: Any) -> Any:
                return self.last(self.inner(self.first(x)))

        return Net()

    def test_parts_before_the_first_tensor(self) -> None:
        """In a script whose first layers are parts of a module, which loads the engine then."""
        code = "import torch, cornu; print(torch.nn.Sequential(cornu.layers.Dense(3)))"
        named = {**os.environ, "CORNU_BACKEND": "torch"}
        run = subprocess.run(
            [sys.executable, "-c", code], env=named, capture_output=True, text=True, check=True
        )
        assert "(0): <Dense" in run.stdout

    def test_parts_of_modules(self) -> None:
        """Parameters are there from the build on, under names that another net has too."""
        import torch

        x = torch.tensor(m.draw(8, 3))
        one, other = self.net(), self.net()
        with pytest.warns(UserWarning, match="no parameters before it is built"):
            assert list(one.state_dict()) == ["last.weight", "last.bias"]
        one(x), other(x)
        parameters = [
            *("first.kernel", "first.bias", "inner.dense.kernel", "inner.dense.bias"),
            *("inner.batch_normalization.gamma", "inner.batch_normalization.beta"),
        ]
        averages = [f"inner.batch_normalization.moving_{kind}" for kind in ("mean", "variance")]
        last = ["last.weight", "last.bias"]
        assert [name for name, _ in one.named_parameters()] == [*parameters, *last]
        assert list(one.state_dict()) == [*parameters, *averages, *last]
        assert dict(one.named_modules())["first"] is one.first
        assert isinstance(one.first, torch.nn.Module) and isinstance(one.first, layers.Dense)
        other.load_state_dict(one.state_dict(), assign=True)
        assert torch.equal(one.eval()(x), other.eval()(x))
        assert one.to("cpu") is one and one.inner.to("cpu") is one.inner
        with pytest.raises(ValueError, match="to an engine, one of .*Received: engine='pytorch'"):
            cornu.Sequential([layers.Dense(2)]).to("pytorch")
        one.inner.trainable = False
        assert [p.requires_grad for p in one.parameters()] == [True] * 2 + [False] * 4 + [True] * 2
        one.requires_grad_(False)
        assert not any(p.requires_grad for p in one.parameters())

    def test_training_in_pure_torch(self) -> None:
        import torch

        x = torch.tensor(m.draw(8, 3))
        net = self.net()
        net(x)
        optimizer, losses = torch.optim.SGD(net.parameters(), 0.1), []
        before = [value.clone() for value in net.state_dict().values()]
        for _ in range(10):
            optimizer.zero_grad()
            loss = (net(x) - 1).square().mean()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        assert losses[-1] < losses[0] / 2
        pairs = zip(net.state_dict().items(), before, strict=True)
        same = [name for (name, value), was in pairs if torch.equal(value, was)]
        assert same == []
        assert not torch.equal(net(x), net(x))  # training, as modules are from the start
        copies = copy.deepcopy(net), pickle.loads(pickle.dumps(net.inner))
        assert copies[0].inner.training and copies[1].training
        net.eval(), copies[0].eval()
        assert torch.equal(net(x), net(x)) and torch.equal(net(x), copies[0](x))

    def test_modes_and_hooks(self) -> None:
        import torch

        x = torch.ones(4, 100)
        drop = layers.Dropout(0.5)
        drop.parameters()
        assert torch.equal(drop(x), x)  # nobody said that it trains
        assert not torch.equal(drop.train()(x), x) and drop.train() is drop
        assert torch.equal(drop(x, training=False), x)
        within = torch.nn.Sequential(layers.Dropout(0.5))
        assert not torch.equal(within(x), x) and torch.equal(within.eval()(x), x)
        seen: list[Any] = []
        handle = drop.register_forward_hook(lambda layer, given, out: seen.append(layer.name))
        torch.nn.ModuleDict({"drop": drop})["drop"](x)
        handle.remove()
        drop(x)
        assert seen == [drop.name]

    def test_nested_and_shared(self) -> None:
        """A net of PyTorch between two models of Cornu; one layer in two places."""
        import torch

        net, x = self.net(), torch.tensor(m.draw(8, 3))

        class Outer(cornu.Model):
            def __init__(self) -> None:
                super().__init__()
                self.out = layers.Dense(1)

            def call(self, x: Any) -> Any:
                return self.out(x)

        both = torch.nn.ModuleList([net, Outer(), net.first])
        both[1](net(x))
        assert len(list(both.parameters())) == 10
        names = dict(both.named_parameters())
        assert "1.out.kernel" in names and "2.kernel" not in names
        assert names["1.out.kernel"] is both[1].out.native_module()._parameters["kernel"]

    def test_what_a_layer_refuses(self) -> None:
        import torch

        layer = layers.Dense(2)
        layer.build((None, 3))
        with pytest.raises(
            TypeError, match="dtype of a layer is its policy's. Received: torch.float16"
        ):
            layer.half()
        for change in ("register_buffer", "register_parameter", "add_module"):
            with pytest.raises(AttributeError, match="A layer makes its own parts"):
                getattr(layer, change)("more", None)
        with pytest.raises(AttributeError, match="call it with other values by `stateless_call`"):
            torch.func.functional_call(layer, {"kernel": torch.ones(3, 2)}, torch.ones(1, 3))

    def test_the_values_are_the_layers(self) -> None:
        import torch

        layer = layers.Dense(2)
        layer.build((None, 3))
        layer.load_state_dict({"kernel": torch.zeros(3, 2), "bias": torch.ones(2)})
        assert not layer.kernel.numpy().any()
        with backend.use("numpy"):  # moved to another engine, and back into the module
            layer.kernel.assign(np.ones((3, 2)))
            assert not hasattr(layers.Dense(2), "parameters")
            assert len(list(layer.parameters())) == 2
        assert float(layer.native_module().get_parameter("kernel").detach().sum()) == 6.0

    def test_classes(self) -> None:
        """`__class__` makes layers, and is known to files and copies as the layer's class."""
        layer = layers.Dense(2, name="top")
        assert type(layer) is layers.Dense and issubclass(layer.__class__, layers.Dense)
        assert type(layer.__class__(3)) is layers.Dense
        assert type(layer.__class__.from_config(layer.get_config())) is layers.Dense
        assert type(pickle.loads(pickle.dumps(layer))) is layers.Dense
        assert cornu.saving.serialize_keras_object(layer)["class_name"] == "Dense"


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

    def test_parts_of_modules(self, tmp_path: Any) -> None:
        """Variables are there from the build on, and checkpoints hold them, also ones read before it."""
        import tensorflow as tf

        class Net(tf.Module):  # type: ignore[misc]
            def __init__(self) -> None:
                super().__init__()
                first, inner = _branches()
                self.first, self.more = first, [inner, layers.Dense(1)]

            def __call__(self, x: Any) -> Any:
                return self.more[1](self.more[0](self.first(x)))

        x = tf.constant(m.draw(8, 3))
        with backend.use("tensorflow"):
            net, later = Net(), Net()
            assert isinstance(net.first, tf.Module) and not net.trainable_variables
            losses = []
            net(x)
            for _ in range(10):
                with tf.GradientTape() as tape:
                    loss = tf.reduce_mean((net(x) - 1) ** 2)
                variables = net.trainable_variables
                for variable, by in zip(variables, tape.gradient(loss, variables), strict=True):
                    variable.assign_sub(0.1 * by)
                losses.append(float(loss))
            assert losses[-1] < losses[0] / 2
            path = tf.train.Checkpoint(net=net).save(str(tmp_path / "kept"))
            status = tf.train.Checkpoint(net=later).restore(path)
            np.testing.assert_allclose(later(x), net(x), 1e-5)
            status.assert_consumed()
            assert (len(net.trainable_variables), len(net.variables)) == (8, 10)
            net.first.trainable = False
            assert (len(net.trainable_variables), len(net.variables)) == (6, 10)
            assert net.first in net.submodules
            copies = copy.deepcopy(net.more[0]), pickle.loads(pickle.dumps(net.more[0]))
            hidden = net.first(x)
            for one in copies:
                np.testing.assert_allclose(one(hidden), net.more[0](hidden), 1e-6)

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
