"""Every optimizer and schedule against Keras: the same steps, the same state, the same config."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

import cornu

GENERAL: dict[str, dict[str, Any]] = {
    "clipnorm": {"clipnorm": 0.3},
    "clipvalue": {"clipvalue": 0.1},
    "global_clipnorm": {"global_clipnorm": 0.5},
    "weight_decay": {"weight_decay": 0.1},
    "ema": {"use_ema": True, "ema_momentum": 0.8},
    "ema overwrites": {"use_ema": True, "ema_momentum": 0.5, "ema_overwrite_frequency": 2},
    "accumulation": {"gradient_accumulation_steps": 2},
    "accumulation and all": {
        "gradient_accumulation_steps": 2,
        "weight_decay": 0.1,
        "clipvalue": 0.1,
    },
    "loss scale": {"loss_scale_factor": 8.0, "name": "scaled"},
}

OWN: dict[str, list[dict[str, Any]]] = {
    "SGD": [{}, {"momentum": 0.9}, {"momentum": 0.9, "nesterov": True}],
    "RMSprop": [{}, {"momentum": 0.9}, {"centered": True}, {"rho": 0.5, "momentum": 0.1, "centered": True}],
    "Adam": [{}, {"amsgrad": True}, {"beta_1": 0.5, "beta_2": 0.6, "epsilon": 1e-3}],
    "AdamW": [{}, {"weight_decay": 0.2, "amsgrad": True}],
    "Nadam": [{}, {"beta_1": 0.5}],
    "Adamax": [{}, {"beta_2": 0.5}],
    "ScheduleFreeAdamW": [{}, {"warmup_steps": 3, "beta_1": 0.5, "weight_decay": 0.1}],
    "Adagrad": [{}, {"initial_accumulator_value": 0.5}],
    "Adadelta": [{"learning_rate": 1.0}, {"rho": 0.5}],
    "Adafactor": [{}, {"relative_step": False}, {"clip_threshold": 0.1, "beta_2_decay": -0.5}],
    "Ftrl": [
        {},
        {"l1_regularization_strength": 0.01, "l2_regularization_strength": 0.1},
        {"l2_shrinkage_regularization_strength": 0.1, "beta": 0.5, "learning_rate_power": -0.3},
        {"initial_accumulator_value": 0.0, "l1_regularization_strength": 0.1},
    ],
    "Lion": [{}, {"beta_1": 0.5, "beta_2": 0.6}],
    "Lamb": [{}, {"beta_1": 0.5}],
    "Muon": [{}, {"nesterov": False, "adam_lr_ratio": 0.5}, {"exclude_layers": ["dense"]},
             {"exclude_embeddings": False, "ns_steps": 2, "rms_rate": 0.5}],
}  # fmt: skip

CASES = [
    *((name, {"learning_rate": 0.05, **more}) for name, rows in OWN.items() for more in rows),
    *(
        (name, {"learning_rate": 0.05, **more})
        for name in ("SGD", "Adam", "Nadam", "Muon")
        for more in GENERAL.values()
        if not (name == "Muon" and "weight_decay" in more)
    ),
]

SHAPES = {
    "dense/kernel": (6, 4),
    "dense/bias": (4,),
    "conv/kernel": (3, 3, 2, 5),
    "table/embeddings": (7, 3),
    "scale": (),
}


def variables(k: Any) -> list[Any]:
    """Variables in layers."""
    generator = np.random.default_rng(0)
    made = []
    for path, shape in SHAPES.items():
        value = generator.normal(size=shape).astype("float32")
        *layer, name = path.split("/")
        if layer:
            with k.name_scope(layer[0]):
                made.append(k.Variable(value, name=name))
        else:
            made.append(k.Variable(value, name=name))
    return made


def gradients(step: int) -> list[np.ndarray[Any, Any]]:
    generator = np.random.default_rng(step + 1)
    return [generator.normal(size=shape).astype("float32") for shape in SHAPES.values()]


def tensors(k: Any, arrays: list[Any]) -> list[Any]:
    return [k.ops.convert_to_tensor(array) for array in arrays]


def values(found: list[Any]) -> list[np.ndarray[Any, Any]]:
    return [np.array(variable.value, "float32") for variable in found]


def assert_same_state(ours: Any, theirs: Any) -> None:
    assert [v.path for v in ours.variables] == [v.path for v in theirs.variables]
    assert [tuple(v.shape) for v in ours.variables] == [tuple(v.shape) for v in theirs.variables]
    assert [str(v.dtype) for v in ours.variables] == [str(v.dtype) for v in theirs.variables]


def assert_close(ours: list[Any], theirs: list[Any]) -> None:
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


def run(ours: Any, theirs: Any, steps: int = 5, skip: int | None = None) -> None:
    """The same steps of both, compared after each."""
    own = {cornu: variables(cornu), keras: variables(keras)}
    ours.build(own[cornu])
    theirs.build(own[keras])
    assert_same_state(ours, theirs)
    for step in range(steps):
        for k, optimizer in ((cornu, ours), (keras, theirs)):
            grads = tensors(k, gradients(step))
            if skip is not None:
                grads[skip] = None
            optimizer.apply(grads, own[k])
        assert_close(values(own[cornu]), values(own[keras]))
    assert_close(values(ours.variables), values(theirs.variables))
    for k, optimizer in ((cornu, ours), (keras, theirs)):
        optimizer.finalize_variable_values(own[k])
    assert_close(values(own[cornu]), values(own[keras]))
    assert int(cornu.ops.convert_to_numpy(ours.iterations)) == int(np.array(theirs.iterations))


@pytest.mark.parametrize(
    ("name", "arguments"), CASES, ids=[f"{name}-{i}" for i, (name, _) in enumerate(CASES)]
)
def test_equals_keras(name: str, arguments: dict[str, Any]) -> None:
    ours, theirs = (getattr(k.optimizers, name)(**arguments) for k in (cornu, keras))
    assert ours.get_config() == theirs.get_config()
    run(ours, theirs)
    again = cornu.optimizers.deserialize(cornu.optimizers.serialize(ours))
    assert type(again) is type(ours)
    assert again.get_config() == ours.get_config()
    assert cornu.optimizers.serialize(ours) == keras.optimizers.serialize(theirs)
    assert cornu.optimizers.deserialize(keras.optimizers.serialize(theirs)).name == ours.name


@pytest.mark.parametrize("name", sorted(OWN))
def test_defaults_and_names(name: str) -> None:
    ours, theirs = (getattr(k.optimizers, name)() for k in (cornu, keras))
    assert ours.get_config() == theirs.get_config()
    assert type(cornu.optimizers.get(name)) is type(cornu.optimizers.get(name.lower()))
    assert cornu.optimizers.get(ours) is ours
    assert cornu.optimizers.get({"class_name": name, "config": {}}).name == theirs.name + "_3"


def test_a_variable_without_gradient_stays() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        run(*(k.optimizers.Adam(0.1, weight_decay=0.1) for k in (cornu, keras)), skip=1)
    optimizer, own = cornu.optimizers.SGD(), variables(cornu)
    with pytest.warns(UserWarning, match="dense/bias"):
        optimizer.apply([*tensors(cornu, gradients(0))[:1], None, None, None, None], own)


def test_weight_decay_leaves_out() -> None:
    for arguments in ({"var_names": ["bias", "^scale"]}, {"var_list": [1, 4]}):
        results = []
        for k in (cornu, keras):
            own = variables(k)
            optimizer = k.optimizers.AdamW(0.1, weight_decay=0.5)
            given = dict(arguments)
            if "var_list" in given:
                given["var_list"] = [own[i] for i in given["var_list"]]
            elif k is keras:  # Cornu's need not be built.
                optimizer.build(own)
            optimizer.exclude_from_weight_decay(**given)
            for step in range(3):
                optimizer.apply(tensors(k, gradients(step)), own)
            results.append(values(own))
        assert_close(*results)


def test_constraints_and_overwriting_gradients() -> None:
    results = []
    for k in (cornu, keras):
        own = variables(k)
        own[0].constraint = k.constraints.MaxNorm(0.5)
        own[4].overwrite_with_gradient = True
        optimizer = k.optimizers.SGD(0.5, clipnorm=1.0)
        for step in range(3):
            optimizer.apply(tensors(k, gradients(step)), own)
        results.append(values(own))
    assert_close(*results)


def test_apply_gradients_and_stateless_apply() -> None:
    results = []
    for k in (cornu, keras):
        own = variables(k)
        optimizer = k.optimizers.Adam(0.1)
        optimizer.apply_gradients(zip(tensors(k, gradients(0)), own, strict=True))
        before = values(own)
        state = [v.value for v in optimizer.variables]
        new, state = optimizer.stateless_apply(
            state, tensors(k, gradients(1)), [v.value for v in own]
        )
        assert_close(values(own), before)
        assert int(state[0]) == 2
        results.append([np.array(x) for x in (*new, *state)])
    assert_close(*results)


# ---------------------------------------------------------------------- loss scale


def test_loss_scale() -> None:
    built = {}
    for k in (cornu, keras):
        optimizer = k.optimizers.LossScaleOptimizer(
            k.optimizers.Adam(0.1, name="inner"), initial_scale=4.0, dynamic_growth_steps=2
        )
        own = variables(k)
        optimizer.build(own)
        built[k] = optimizer, own
    ours, theirs = built[cornu][0], built[keras][0]
    assert_same_state(ours, theirs)
    assert ours.get_config() == theirs.get_config()
    for step in range(7):
        for k, (optimizer, own) in built.items():
            grads = gradients(step)
            if step in (2, 3, 6):
                grads[1][2] = np.inf if step == 3 else np.nan
            state = (
                [v.value for v in optimizer.variables],
                tensors(k, grads),
                [v.value for v in own],
            )
            new, state = optimizer.stateless_apply(*state)
            if k is cornu:
                optimizer.apply(tensors(k, grads), own)
                assert_close([np.array(x) for x in [*new, *state]], values([*own, *ours.variables]))
            for variable, value in zip([*own, *optimizer.variables], [*new, *state], strict=True):
                variable.assign(value)
        assert_close(values(built[cornu][1]), values(built[keras][1]))
        assert_close(values(ours.variables), values(theirs.variables))
    assert float(ours.scale_loss(cornu.ops.convert_to_tensor(3.0))) == float(
        theirs.scale_loss(keras.ops.convert_to_tensor(3.0))
    )
    assert int(ours.iterations.numpy()) == int(theirs.iterations.numpy())
    again = cornu.optimizers.deserialize(cornu.optimizers.serialize(ours))
    assert again.get_config() == ours.get_config()
    assert cornu.optimizers.serialize(ours) == keras.optimizers.serialize(theirs)


# ------------------------------------------------------------------ several optimizers


def test_multi_optimizer() -> None:
    results = []
    for k in (cornu, keras):
        chosen = k.optimizers.OptimizerMap(
            k.optimizers.SGD(0.1, name="rest"),
            {
                "dense/.*": k.optimizers.Adam(0.1, name="dense"),
                "embedd": k.optimizers.Lion(),
                ".*beddings": k.optimizers.RMSprop(0.1),
            },
        )
        optimizer = k.optimizers.MultiOptimizer(chosen)
        own = variables(k)
        for step in range(3):
            optimizer.apply(tensors(k, gradients(step)), own)
        results.append((own, optimizer))
        with pytest.raises(ValueError, match="dense/k"):
            chosen["dense/k.*"] = k.optimizers.SGD(name="more")
            chosen["dense/kernel"]
    (own, ours), (expected, theirs) = results
    assert_close(values(own), values(expected))
    assert_same_state(ours, theirs)
    again = cornu.optimizers.deserialize(cornu.optimizers.serialize(ours))
    assert again.get_config() == ours.get_config()


def test_a_loss_scale_around_several_optimizers() -> None:
    """Each gets its gradients without the scale; a step that overflows changes none of them."""
    one, two = cornu.Variable(np.ones(2), name="one"), cornu.Variable(np.ones(2), name="two")
    first = cornu.optimizers.SGD(0.5)
    kinds = cornu.optimizers.OptimizerMap(cornu.optimizers.SGD(0.25), {"one": first})
    inner = cornu.optimizers.MultiOptimizer(kinds)
    optimizer = cornu.optimizers.LossScaleOptimizer(inner, initial_scale=4.0)
    for gradient in (4.0, np.inf):
        optimizer.apply([np.full(2, gradient, "float32")] * 2, [one, two])
        assert (one.numpy()[0], two.numpy()[0]) == (0.5, 0.75)
    assert (int(optimizer.iterations), int(first.iterations)) == (1, 1)
    assert float(optimizer.dynamic_scale) == 2.0
    state = [v.numpy() for v in optimizer.variables]
    weights, state = optimizer.stateless_apply(
        state, [np.full(2, 2.0, "float32")] * 2, [one.value, two.value]
    )
    assert [float(w[0]) for w in weights] == [0.0, 0.5] and one.numpy()[0] == 0.5
    optimizer.set_weights(state)
    assert int(first.iterations) == 2


# ------------------------------------------------------------------------- schedules

SCHEDULES: list[tuple[str, dict[str, Any]]] = [
    ("ExponentialDecay", {"initial_learning_rate": 0.1, "decay_steps": 5, "decay_rate": 0.5}),
    ("ExponentialDecay", {"initial_learning_rate": 0.1, "decay_steps": 5, "decay_rate": 0.5, "staircase": True}),
    ("PiecewiseConstantDecay", {"boundaries": [3, 7], "values": [1.0, 0.5, 0.1]}),
    ("PolynomialDecay", {"initial_learning_rate": 0.1, "decay_steps": 6}),
    ("PolynomialDecay", {"initial_learning_rate": 0.1, "decay_steps": 4, "power": 2.0, "cycle": True,
                         "end_learning_rate": 0.01}),
    ("InverseTimeDecay", {"initial_learning_rate": 0.1, "decay_steps": 3, "decay_rate": 0.5}),
    ("InverseTimeDecay", {"initial_learning_rate": 0.1, "decay_steps": 3, "decay_rate": 0.5, "staircase": True}),
    ("CosineDecay", {"initial_learning_rate": 0.1, "decay_steps": 6, "alpha": 0.1}),
    ("CosineDecay", {"initial_learning_rate": 0.0, "decay_steps": 6, "warmup_target": 0.2, "warmup_steps": 4}),
    ("CosineDecayRestarts", {"initial_learning_rate": 0.1, "first_decay_steps": 3}),
    ("CosineDecayRestarts", {"initial_learning_rate": 0.1, "first_decay_steps": 2, "t_mul": 1.0, "m_mul": 0.5,
                             "alpha": 0.01}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "arguments"), SCHEDULES, ids=[f"{name}-{i}" for i, (name, _) in enumerate(SCHEDULES)]
)
def test_schedules(name: str, arguments: dict[str, Any]) -> None:
    ours, theirs = (getattr(k.optimizers.schedules, name)(**arguments) for k in (cornu, keras))
    for step in (0, 1, 2, 3, 4, 5, 7, 9, 20, 100):
        expected = float(theirs(step))
        for given in (step, cornu.ops.convert_to_tensor(step), np.int64(step)):
            assert float(ours(given)) == pytest.approx(expected, rel=1e-5, abs=1e-7), step
    assert ours.get_config() == theirs.get_config()
    serialized = cornu.optimizers.schedules.serialize(ours)
    assert serialized == keras.optimizers.schedules.serialize(theirs)
    assert cornu.optimizers.schedules.deserialize(serialized).get_config() == ours.get_config()
    optimizers = [k.optimizers.SGD(schedule) for k, schedule in ((cornu, ours), (keras, theirs))]
    assert optimizers[0].get_config() == optimizers[1].get_config()
    run(*optimizers, steps=4)
    again = cornu.optimizers.deserialize(keras.optimizers.serialize(optimizers[1]))
    assert again.get_config() == optimizers[0].get_config()


# ---------------------------------------------------------------------- learning rate


def test_the_learning_rate_can_be_changed() -> None:
    for k in (cornu, keras):
        optimizer = k.optimizers.SGD(0.1)
        assert float(optimizer.learning_rate) == pytest.approx(0.1)
        optimizer.learning_rate = 0.5
        assert float(optimizer.learning_rate) == 0.5
        optimizer.learning_rate.assign(0.25)
        assert float(optimizer.learning_rate) == 0.25
        schedule = k.optimizers.schedules.ExponentialDecay(0.1, 1, 0.5)
        with pytest.raises(TypeError):
            k.optimizers.SGD(schedule).learning_rate = 0.5
        optimizer.learning_rate = schedule
        assert float(optimizer.learning_rate) == pytest.approx(0.1)


@pytest.mark.parametrize("name", OWN)
def test_rebuilt(name: str) -> None:
    """What is kept for the variables that stay goes on; the rest is as if it had been built for them."""
    options = {"learning_rate": 0.05, "use_ema": True}
    gone, stays, new = (cornu.Variable(np.ones((3, 2)), name=n) for n in ("gone", "stays", "new"))
    one = np.full((3, 2), 0.5, "float32")
    optimizer, expected = (getattr(cornu.optimizers, name)(**options) for _ in range(2))
    optimizer.apply([one, one], [gone, stays])
    kept = [v.numpy() for v in optimizer.variables if "stays" in v.path]
    optimizer.rebuild([new, stays])
    expected.build([new, stays])
    assert [v.shape for v in optimizer.variables] == [v.shape for v in expected.variables]
    now = [v.numpy() for v in optimizer.variables if "stays" in v.path]
    assert kept and all(np.array_equal(a, b) for a, b in zip(now, kept, strict=True))
    assert int(optimizer.iterations) == 1
    optimizer.apply([one, one], [new, stays])


def test_a_callable_learning_rate() -> None:
    run(*(k.optimizers.SGD(lambda: 0.3) for k in (cornu, keras)), steps=2)


# ----------------------------------------------------------------------------- users'


def test_an_optimizer_in_the_style_of_keras() -> None:
    """`build` and `update_step`, as users of Keras write them."""

    def own(k: Any) -> Any:
        class Momentum(k.optimizers.Optimizer):  # type: ignore[misc]
            def build(self, variables: Any) -> None:
                if self.built:
                    return
                super().build(variables)
                self.moved = [
                    self.add_variable_from_reference(reference_variable=v, name="moved")
                    for v in variables
                ]

            def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
                learning_rate = k.ops.cast(learning_rate, variable.dtype)
                moved = self.moved[self._get_variable_index(variable)]
                self.assign(moved, 0.9 * moved - gradient * learning_rate)
                self.assign_add(variable, moved)

        return Momentum(learning_rate=0.1, name="own")

    run(own(cornu), own(keras))


REFUSED: list[tuple[Callable[[Any], Any], type[Exception]]] = [
    (lambda k: k.optimizers.get("nope"), ValueError),
    (lambda k: k.optimizers.SGD(momentum=2.0), ValueError),
    (lambda k: k.optimizers.SGD(unknown=1), ValueError),
    (lambda k: k.optimizers.SGD(clipnorm=1.0, clipvalue=1.0), ValueError),
    (lambda k: k.optimizers.SGD("fast"), ValueError),
    (lambda k: k.optimizers.SGD(gradient_accumulation_steps=1), ValueError),
    (lambda k: k.optimizers.SGD(use_ema=True, ema_momentum=2.0), ValueError),
    (lambda k: k.optimizers.LossScaleOptimizer(k.optimizers.SGD(), clipnorm=1.0), ValueError),
    (lambda k: k.optimizers.Ftrl(initial_accumulator_value=-1.0), ValueError),
    (lambda k: k.optimizers.Ftrl(l1_regularization_strength=-1.0), ValueError),
    (lambda k: k.optimizers.Ftrl(l2_shrinkage_regularization_strength=-1.0), ValueError),
    (lambda k: k.optimizers.Lion(beta_1=0.0), ValueError),
    (lambda k: k.optimizers.SGD().stateless_apply([], [], []), ValueError),
    (lambda k: k.optimizers.schedules.PiecewiseConstantDecay([1], [1.0]), ValueError),
    (lambda k: k.optimizers.schedules.CosineDecay(0.1, 0), ValueError),
]


@pytest.mark.parametrize("case", REFUSED, ids=[str(i) for i in range(len(REFUSED))])
def test_refused(case: Any) -> None:
    make, error = case
    for k in (cornu, keras):
        with pytest.raises(error):
            make(k)


def test_options_by_position() -> None:
    """Where they stand in Keras: after an optimizer's own arguments."""
    ours, theirs = (k.optimizers.SGD(0.1, 0.5, True, 0.01, None, 2.0) for k in (cornu, keras))
    assert ours.get_config() == theirs.get_config()
    muon = cornu.optimizers.Muon(0.1, 0.9, 0.999, 0.004, 1e-7, 0.004, 1.0)
    assert (muon.clipnorm, muon.ns_steps) == (1.0, 5)
