"""Learning rates by patterns of paths, and what optimizers tell the logs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import cornu
from cornu.optimizers import SGD, AdamW, LossScaleOptimizer, MultiOptimizer, OptimizerMap

PATHS = ("net/backbone/dense/kernel", "net/backbone/norm/scale", "backbone/bias", "head/bias")
HALVES = cornu.optimizers.schedules.ExponentialDecay(1.0, 1, 0.5)

#: Rates, and what two steps with gradients of 1 and a base rate of 0.5 take off each variable.
RATES: list[tuple[dict[str, Any], tuple[float, ...]]] = [
    ({}, (1, 1, 1, 1)),
    ({"backbone/*": 0.25}, (0.5, 0.5, 0.5, 1)),
    ({"backbone/*": None, "head/*": 0.25}, (0, 0, 0, 0.5)),
    ({"backbone/*/kernel": 0, "bias": 0.25}, (0, 1, 0.5, 0.5)),
    ({"bias": 0.0, "*": 0.25}, (0.5, 0.5, 0, 0)),
    ({"backbone/*": HALVES, "head/bias": lambda: 0.125}, (1.5, 1.5, 1.5, 0.25)),
]


def variables() -> list[cornu.Variable]:
    made = []
    for path in PATHS:
        variable = cornu.Variable(np.zeros(2))
        variable._path = path
        made.append(variable)
    return made


def moved(own: list[cornu.Variable]) -> list[float]:
    return [-float(variable.numpy()[0]) for variable in own]


@pytest.mark.parametrize(("rates", "expected"), RATES, ids=[str(i) for i in range(len(RATES))])
def test_rates(rates: dict[str, Any], expected: tuple[float, ...]) -> None:
    optimizer, own = SGD(0.5, learning_rates=rates), variables()
    for _ in range(2):
        optimizer.apply([np.ones(2, "float32")] * 4, own)
    np.testing.assert_allclose(moved(own), expected)


def test_a_frozen_group_has_no_state_and_counts_in_no_norm() -> None:
    optimizer, own = AdamW(0.1, learning_rates={"backbone/*": None}, use_ema=True), variables()
    optimizer.build(own)
    assert all("head" in v.path for v in optimizer.variables[2:])
    assert [optimizer.trains(v) for v in own] == [False, False, False, True]
    clipped, own = SGD(1.0, learning_rates={"backbone/*": 0}, global_clipnorm=2.0), variables()
    clipped.apply([np.full(2, 1e9, "float32")] * 3 + [np.ones(2, "float32")], own)
    np.testing.assert_allclose(moved(own), [0, 0, 0, 1])


def test_decay_goes_by_the_groups_rate_and_groups_follow_the_rate() -> None:
    optimizer = SGD(0.5, weight_decay=0.5, learning_rates={"head/*": 0.25})
    own = variables()
    for variable in own:
        variable.assign(np.ones(2))
    optimizer.apply([np.zeros(2, "float32")] * 4, own)
    np.testing.assert_allclose(moved(own), [-0.75, -0.75, -0.75, -0.875])
    optimizer.learning_rate = 0.25  # as `ReduceLROnPlateau` does
    assert optimizer.get_config()["learning_rates"] == {"head/*": 0.125}


def test_groups_in_a_file() -> None:
    rates = {"backbone/*": None, "head/*": HALVES, "bias": 0.125}
    optimizer = SGD(0.5, learning_rates=rates, log_gradient_norm=True)
    again = cornu.optimizers.deserialize(cornu.optimizers.serialize(optimizer))
    assert again.get_config() == optimizer.get_config()
    assert float(again.learning_rates["head/*"](1)) == 0.5


def test_groups_within_other_optimizers() -> None:
    """Each variable's own optimizer knows whether it trains."""
    frozen = SGD(0.5, learning_rates={"bias": None}, log_gradient_norm=True, name="tail")
    chosen = OptimizerMap(SGD(0.5, name="rest"), {"head/.*": SGD(1.0), "backbone/.*": frozen})
    optimizer, own = LossScaleOptimizer(MultiOptimizer(chosen), initial_scale=4.0), variables()
    optimizer.apply([np.full(2, 4.0, "float32")] * 4, own)
    np.testing.assert_allclose(moved(own), [0.5, 0.5, 0, 1])
    assert [optimizer.trains(v) for v in own] == [True, True, False, True]
    assert set(optimizer.logged_variables) == {"loss_scale", "overflows", "gradient_norm_tail"}


def test_what_is_logged() -> None:
    optimizer, own = LossScaleOptimizer(SGD(log_gradient_norm=True), initial_scale=4.0), variables()
    for value in (2.0, np.inf, np.nan):
        optimizer.apply([np.full(2, value, "float32")] * 4, own)
    told = {name: float(v) for name, v in optimizer.logged_variables.items()}
    assert told == {"gradient_norm": pytest.approx(2**0.5), "loss_scale": 1.0, "overflows": 2.0}
    assert {"overflows", "gradient_norm"}.isdisjoint(v.name for v in optimizer.variables)


@pytest.mark.parametrize(
    ("rates", "said"),
    [
        (
            {"bakbone/*": 1e-3},
            r"'bakbone/\*', which matches none of 4. The nearest are \['backbone",
        ),
        ({"head/*": "slow"}, "a number, a schedule, or None"),
        ({"head/*": -1.0}, "a number, a schedule, or None"),
    ],
)
def test_refused(rates: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        SGD(0.5, learning_rates=rates).build(variables())


def test_a_pattern_stands_for_what_was_frozen_too() -> None:
    """LoRA freezes the kernel of a group that was trained."""
    model = cornu.Sequential([cornu.Input((3,)), cornu.layers.Dense(2, name="head")])
    x, y = np.ones((2, 3)), np.ones((2, 2))
    for _ in range(2):  # before, and compiled anew
        model.compile(cornu.optimizers.Adam(0.1, learning_rates={"head/kernel": 0.01}), "mse")
        model.fit(x, y, verbose=0)
        if not model.layers[0].lora_enabled:
            model.enable_lora(1)
        kernel = model.layers[0].kernel.numpy()
        model.fit(x, y, verbose=0)
        np.testing.assert_array_equal(model.layers[0].kernel.numpy(), kernel)
