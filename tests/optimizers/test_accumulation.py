"""Several small steps whose gradients are accumulated are one large step, whatever else an optimizer does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import cornu
from cornu import ops
from tests.engines_tested import ENGINES
from tests.training import models_for_fit as m

MICRO, UPDATES, SIZE = 4, 3, 5
X, Y = m.draw(MICRO * UPDATES * SIZE, 6), m.draw(MICRO * UPDATES * SIZE, 3, seed=2)

OPTIONS: dict[str, dict[str, Any]] = {
    "clipvalue": {"clipvalue": 0.02},
    "clipnorm": {"clipnorm": 0.1},
    "global_clipnorm": {"global_clipnorm": 0.1},
    "weight_decay": {"weight_decay": 0.1},
    "ema": {"use_ema": True, "ema_momentum": 0.5},
    "ema overwrites": {"use_ema": True, "ema_momentum": 0.5, "ema_overwrite_frequency": 2},
    "groups": {"learning_rates": {"one": 0.01, "two": None}},
}
GROUPS = {"one/*": 0.05, "two/bias": None}
ALL = {**OPTIONS["clipnorm"], **OPTIONS["weight_decay"], **OPTIONS["ema"], "learning_rates": GROUPS}


def optimizer(micro: int, cls: Any = cornu.optimizers.Adam, **options: Any) -> Any:
    schedule = cornu.optimizers.schedules.ExponentialDecay(0.1, 1, 0.5)
    return cls(schedule, gradient_accumulation_steps=micro if micro > 1 else None, **options)


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("engine", ENGINES)
def test_micro_steps_of_an_optimizer(engine: str, name: str) -> None:
    def run(micro: int) -> list[Any]:
        own = [cornu.Variable(m.draw(3, seed=i), name=n) for i, n in enumerate(["one", "two"])]
        made = optimizer(micro, cornu.optimizers.SGD, momentum=0.9, **OPTIONS[name])
        for update in range(UPDATES):
            parts = [m.draw(MICRO, 3, seed=10 * i + update) for i in (1, 2)]
            for i in range(micro):
                made.apply([p[i] if micro > 1 else p.mean(0) for p in parts], own)
        made.finalize_variable_values(own)
        assert int(made.iterations) == UPDATES
        return [v.numpy() for v in own]

    with cornu.backend.use(engine):
        for a, b in zip(run(MICRO), run(1), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-6)


class OwnStep(cornu.Model):
    """A step of a user's, which is one program: it selects."""

    def train_step(self, data: Any) -> dict[str, Any]:
        return super().train_step(data)


def fitted(model: Any, size: int) -> None:
    model.fit(X, Y, batch_size=size, shuffle=False, verbose=0)


def batch_by_batch(model: Any, size: int) -> None:
    for start in range(0, len(X), size):
        model.train_on_batch(X[start : start + size], Y[start : start + size])
    model.optimizer.finalize_variable_values(model.trainable_variables)


def by_hand(model: Any, size: int) -> None:
    for start in range(0, len(X), size):
        x, y = X[start : start + size], Y[start : start + size]
        loss = cornu.value_and_grad(
            lambda x, y: ops.mean(cornu.losses.mean_squared_error(y, model(x))),
            model.trainable_variables,
        )
        model.optimizer.apply(loss(x, y)[1], model.trainable_variables)
    model.optimizer.finalize_variable_values(model.trainable_variables)


WAYS: list[tuple[Callable[[Any, int], None], type]] = [
    (fitted, cornu.Model),
    (fitted, OwnStep),
    (batch_by_batch, cornu.Model),
    (by_hand, cornu.Model),
]


@pytest.mark.parametrize("way", WAYS, ids=["fit", "own step", "train_on_batch", "by hand"])
@pytest.mark.parametrize("engine", ENGINES)
def test_micro_steps_of_a_model(engine: str, way: Any) -> None:
    train, kind = way
    with cornu.backend.use(engine):
        found = []
        for micro in (MICRO, 1):
            cornu.utils.set_random_seed(0)
            x = cornu.Input((6,))
            y = cornu.layers.Dense(4, "tanh", name="one")(x)
            model = kind(x, cornu.layers.Dense(3, name="two")(y))
            model.compile(optimizer(micro, **ALL), "mse")
            train(model, SIZE * (MICRO // micro))
            assert int(model.optimizer.iterations) == UPDATES
            found.append(model.get_weights())
        for a, b in zip(*found, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-6)
