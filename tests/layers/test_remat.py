"""Layers whose call is computed again during differentiation: the same numbers, in less memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import cornu
from cornu import layers, ops
from tests.engines_tested import ENGINES
from tests.training import models_for_fit as m

X, Y = m.draw(8, 6), m.draw(8, 2, seed=1)


class Block(layers.Layer):
    """A block with all that makes computing again hard: draws, averages, losses, layers of its own."""

    calls = 0

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dense = layers.Dense(6, "tanh", activity_regularizer="l2")
        self.norm = layers.BatchNormalization()
        self.drop = layers.Dropout(0.5)

    def call(self, x: Any, training: bool = False) -> Any:
        type(self).calls += not isinstance(x, cornu.KerasTensor)
        if training:
            self.add_loss(ops.mean(x))
        return x + self.drop(self.norm(self.dense(x)))


def trained(scope: Any, **compile: Any) -> list[Any]:
    cornu.utils.set_random_seed(0)
    with scope:
        model = cornu.Sequential([cornu.Input((6,)), Block(name="one"), Block(), layers.Dense(2)])
    model.compile("sgd", "mse", **compile)
    losses = model.fit(X, Y, batch_size=4, epochs=2, shuffle=False, verbose=0).history["loss"]
    return [*model.get_weights(), losses]


SCOPES: dict[str, dict[str, Any]] = {
    "full": {},
    "activations": {"mode": "activations"},
    "larger_than": {"mode": "larger_than", "output_size_threshold": 5},
    "list_of_layers": {"mode": "list_of_layers", "layer_names": ["one"]},
}


@pytest.mark.parametrize("engine", ENGINES)
def test_training_is_the_same(engine: str) -> None:
    with cornu.backend.use(engine):
        wanted = trained(cornu.RematScope(mode=None))
        modes = SCOPES if engine in ("jax", "torch") else ["full"]
        for mode in modes:
            for found, value in zip(trained(cornu.RematScope(**SCOPES[mode])), wanted, strict=True):
                np.testing.assert_allclose(found, value, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("engine", "times"), [("torch", 2), ("numpy", 2), ("jax", 1)])
@pytest.mark.parametrize("name", SCOPES)
def test_what_is_computed_again(engine: str, times: int, name: str) -> None:
    again = {"full": 2, "larger_than": 2, "list_of_layers": 1, "activations": 0}[name]
    with cornu.backend.use(engine):
        with cornu.RematScope(**SCOPES[name]):
            model = cornu.Sequential(
                [cornu.Input((6,)), Block(name="one"), Block(), layers.Dense(2)]
            )
        Block.calls = 0
        cornu.value_and_grad(lambda: ops.sum(model(X, training=True)), model.trainable_variables)()
        assert Block.calls == 2 + again * (times - 1)
